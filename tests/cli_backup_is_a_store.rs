//! `bitacora backup` makes a store of a store, beside a writer too, and nothing of a damaged one.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

mod command;

use std::fs;
use std::io::{BufRead, BufReader, Write};

use command::{Place, Silent, bitacora, content, damage, line, values};
use serde_json::Value;

/// Backs the store up; what is printed.
fn back_up(place: &Place, to: &str) -> Value {
    let to = place.join(to);
    let assert = place.command("backup", &[to.to_str().unwrap(), "--json"]).assert().success().says_nothing();
    let mut documents = values(&assert.get_output().stdout);
    assert_eq!(documents.len(), 1);
    documents.remove(0)
}

/// What a verb prints of a folder beside the store.
fn read(place: &Place, verb: &str, name: &str) -> Vec<u8> {
    let path = place.join(name);
    bitacora([verb, path.to_str().unwrap(), "--json"]).assert().success().says_nothing().get_output().stdout.clone()
}

/// The names beside the store.
fn names(place: &Place) -> Vec<String> {
    let entries = fs::read_dir(place.join("")).unwrap();
    let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_backup_verifies_before_it_is_opened_and_holds_the_same_events() {
    let place = Place::new();
    place.append(&(0..50).map(|number| line(&format!("s-{}", number % 3), number)).collect::<String>());
    let before = content(&place.store());
    let report = back_up(&place, "backup");
    assert!(content(&place.store()) == before, "the store is as it was");
    assert_eq!((report["events"].as_u64(), report["last_sequence"].as_u64()), (Some(50), Some(50)), "{report}");
    assert_eq!(report["segments"], 1);
    assert_eq!(report["merkle_root"].as_str().unwrap().len(), 64);
    assert_eq!(report["seal_digest"], Value::Null);
    let files = content(&place.join("backup"));
    assert_eq!(report["bytes"].as_u64().unwrap(), files.values().map(|bytes| bytes.len() as u64).sum::<u64>());
    let verified = values(&read(&place, "verify", "backup")).remove(0);
    assert_eq!((&verified["ok"], verified["events"].as_u64()), (&Value::Bool(true), Some(50)), "{verified}");
    assert_eq!(read(&place, "events", "backup"), read(&place, "events", "store"));
    assert_eq!(values(&read(&place, "info", "backup"))[0]["store_id"], report["store_id"]);
    for (field, expected) in [("segments_copied", 1), ("segments_kept", 0), ("bytes_kept", 0)] {
        assert_eq!(report[field], expected, "{report}");
    }
    assert_eq!(report["bytes_copied"], report["bytes"]);
    // It is opened to write, goes on, and the next backup of the store is the same as the first.
    let backup = place.join("backup");
    bitacora(["append", backup.to_str().unwrap()]).write_stdin(line("s-9", 1)).assert().success();
    assert_eq!(values(&read(&place, "verify", "backup"))[0]["events"].as_u64(), Some(51));
    assert_eq!(back_up(&place, "second")["merkle_root"], report["merkle_root"]);
    assert_eq!(names(&place), ["backup", "second", "store"], "nothing else is left");
}

#[test]
fn beside_a_writer_everything_acknowledged_is_in_it() {
    let place = Place::new();
    let mut writer = place.process("append", &[]).spawn().unwrap();
    let mut input = writer.stdin.take().unwrap();
    let mut answers = BufReader::new(writer.stdout.take().unwrap()).lines();
    for number in 0..20 {
        input.write_all(line("s-1", number).as_bytes()).unwrap();
        let answer: Value = serde_json::from_str(&answers.next().unwrap().unwrap()).unwrap();
        assert_eq!(answer["sequence"].as_u64(), Some(number + 1));
        if number % 7 == 6 {
            let name = format!("backup-{number}");
            assert_eq!(back_up(&place, &name)["last_sequence"].as_u64(), Some(number + 1));
            assert_eq!(values(&read(&place, "events", &name)).len() as u64, number + 1);
        }
    }
    drop(input);
    assert!(writer.wait().unwrap().success());
}

#[test]
fn damage_is_told_with_its_place_and_nothing_is_left() {
    let place = Place::new();
    place.append(
        &["first", "second", "third"]
            .map(|word| format!("{{\"stream\":\"a\",\"type\":\"b\",\"data\":\"{word}\"}}\n"))
            .concat(),
    );
    damage(&place.store(), "second");
    let to = place.join("backup");
    let assert = place.command("backup", &[to.to_str().unwrap()]).assert().code(4).stdout("");
    let error = String::from_utf8(assert.get_output().stderr.clone()).unwrap();
    assert!(error.starts_with("error: ") && error.contains("00000000000000000001.seg at offset"), "{error}");
    assert_eq!(names(&place), ["store"]);
}

#[test]
fn a_target_that_is_there_and_a_source_that_is_not_are_refused() {
    let place = Place::new();
    place.append(&line("a", 1));
    let to = place.join("backup");
    fs::create_dir(&to).unwrap();
    let assert = place.command("backup", &[to.to_str().unwrap()]).assert().code(1).stdout("");
    assert!(String::from_utf8_lossy(&assert.get_output().stderr).contains("exists"));
    assert_eq!(fs::read_dir(&to).unwrap().count(), 0);
    let (missing, inside, nowhere) = (place.join("missing"), place.store().join("log/copy"), place.join("none/backup"));
    bitacora(["backup", missing.to_str().unwrap(), place.join("b").to_str().unwrap()]).assert().code(3);
    place.command("backup", &[inside.to_str().unwrap()]).assert().code(2);
    place.command("backup", &[nowhere.to_str().unwrap()]).assert().code(3);
    assert_eq!(names(&place), ["backup", "store"]);
}
