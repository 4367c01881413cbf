//! `bitacora restore` makes a store of a backup, and deletes none.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

mod command;

use std::fs;
use std::path::Path;

use command::{Place, Silent, bitacora, content, damage, line, values};
use serde_json::Value;

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn back_up(place: &Place) {
    place.command("backup", &[text(&place.join("backup"))]).assert().success().says_nothing();
}

fn restore(place: &Place, to: &str, more: &[&str]) -> Value {
    let (backup, to) = (place.join("backup"), place.join(to));
    let assert =
        bitacora([&["restore", text(&backup), text(&to), "--json"], more].concat()).assert().success().says_nothing();
    let mut documents = values(&assert.get_output().stdout);
    assert_eq!(documents.len(), 1);
    documents.remove(0)
}

/// The exit code and the error of a restore that is refused.
fn refused(backup: &Path, to: &Path, more: &[&str]) -> (i32, String) {
    let assert = bitacora([&["restore", text(backup), text(to)], more].concat()).assert().failure().stdout("");
    let output = assert.get_output();
    (output.status.code().unwrap(), String::from_utf8(output.stderr.clone()).unwrap())
}

fn events(path: &Path) -> Vec<u8> {
    bitacora(["events", text(path), "--json"]).assert().success().says_nothing().get_output().stdout.clone()
}

fn names(place: &Place) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(place.join("")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn what_is_restored_opens_and_goes_on() {
    let place = Place::new();
    place.append(&(0..20).map(|number| line(&format!("s-{}", number % 3), number)).collect::<String>());
    let id = place.document("info", &[])["store_id"].clone();
    back_up(&place);
    let before = events(&place.store());
    place.append(&line("s-9", 1));
    let backup = content(&place.join("backup"));
    let report = restore(&place, "restored", &[]);
    assert!(content(&place.join("backup")) == backup, "the backup is as it was");
    assert_eq!(
        (&report["store_id"], report["events"].as_u64(), report["last_sequence"].as_u64()),
        (&id, Some(20), Some(20))
    );
    assert_eq!((report["segments"].as_u64(), report["seals"].as_u64()), (Some(1), Some(0)), "{report}");
    assert_eq!((report["merkle_root"].as_str().unwrap().len(), &report["set_aside"]), (64, &Value::Null));
    let sizes: usize = content(&place.join("restored")).values().map(Vec::len).sum();
    assert_eq!(report["bytes"].as_u64(), Some(sizes as u64));
    let restored = place.join("restored");
    assert_eq!(events(&restored), before);
    let verified =
        values(&bitacora(["verify", text(&restored), "--json"]).assert().success().get_output().stdout).remove(0);
    assert_eq!((&verified["ok"], verified["events"].as_u64()), (&Value::Bool(true), Some(20)));
    bitacora(["append", text(&restored)]).write_stdin(line("s-1", 99)).assert().success();
    assert_eq!(values(&events(&restored)).len(), 21);
    assert_eq!(names(&place), ["backup", "restored", "store"], "nothing else is left");
}

#[test]
fn a_store_that_stands_there_is_set_aside_on_request() {
    let place = Place::new();
    place.append(&line("a", 1));
    back_up(&place);
    place.append(&line("a", 2));
    let (backup, store) = (place.join("backup"), place.store());
    let (code, error) = refused(&backup, &store, &[]);
    assert!(code == 1 && error.contains("exists"), "{code} {error}");
    for number in 1..=2 {
        let report = restore(&place, "store", &["--replace"]);
        let aside = report["set_aside"].as_str().unwrap();
        assert!(aside.ends_with(&format!("store.before-restore-{number}")), "{aside}");
        assert_eq!(values(&events(&store)).len(), 1);
    }
    assert_eq!(values(&events(&place.join("store.before-restore-1"))).len(), 2);
    assert_eq!(names(&place), ["backup", "store", "store.before-restore-1", "store.before-restore-2"]);
    // As text.
    let assert = bitacora(["restore", text(&backup), text(&store), "--replace"]).assert().success().says_nothing();
    let shown = String::from_utf8(assert.get_output().stdout.clone()).unwrap();
    let fields: Vec<&str> = shown.lines().filter_map(|line| line.split('\t').next()).collect();
    let expected = ["store_id", "segments", "seals", "bytes", "events", "last_sequence", "merkle_root", "set_aside"];
    assert_eq!(fields, expected, "{shown}");
}

#[test]
fn a_damaged_store_is_replaced() {
    let place = Place::new();
    place.append("{\"stream\":\"a\",\"type\":\"b\",\"data\":\"first\"}\n");
    back_up(&place);
    damage(&place.store(), "first");
    place.command("verify", &[]).assert().code(1);
    restore(&place, "store", &["--replace"]);
    place.command("verify", &[]).assert().success();
}

#[test]
fn what_cannot_be_restored_has_an_exit_code_and_changes_nothing() {
    let place = Place::new();
    place.append("{\"stream\":\"a\",\"type\":\"b\",\"data\":\"first\"}\n");
    back_up(&place);
    let (backup, store, new) = (place.join("backup"), place.store(), place.join("new"));
    let code = |backup: &Path, to: &Path, more: &[&str]| refused(backup, to, more).0;
    assert_eq!(code(&place.join("missing"), &new, &[]), 3);
    assert_eq!(code(&backup, &place.join("none/new"), &[]), 3);
    assert_eq!(code(&backup, &backup.join("log/new"), &[]), 2);
    let mut writer = place.process("append", &[]).spawn().unwrap();
    let mut input = writer.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, line("b", 1).as_bytes()).unwrap();
    std::io::Read::read_exact(writer.stdout.as_mut().unwrap(), &mut [0; 1]).unwrap();
    let (locked, error) = refused(&backup, &store, &["--replace"]);
    assert!(locked == 3 && error.contains("is being written to by process"), "{locked} {error}");
    drop(input);
    assert!(writer.wait().unwrap().success());
    let other = Place::new();
    other.append(&line("a", 1));
    assert_eq!(code(&backup, &other.store(), &["--replace"]), 1);
    fs::create_dir(place.join("empty")).unwrap();
    assert_eq!(code(&backup, &place.join("empty"), &["--replace"]), 1);
    damage(&backup, "first");
    let (corrupt, error) = refused(&backup, &new, &[]);
    assert!(corrupt == 4 && error.contains("00000000000000000001.seg at offset"), "{corrupt} {error}");
    assert_eq!(names(&place), ["backup", "empty", "store"]);
}
