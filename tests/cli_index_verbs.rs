//! `bitacora rebuild-index` and `bitacora compact-index`: the index says the same afterwards, and what is lost is said.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

mod command;

use std::fs;
use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, Instant};

use bitacora::{Checkpoint, CodecId, EventType, ExpectedVersion, NewEvent, Options, Sequence, Store, StreamId};
use command::{Place, Silent, content, damage, line, order_of, values};
use serde_json::Value;

/// Events with keys, and a checkpoint that is in the index alone.
fn filled() -> Place {
    let place = Place::new();
    place.append(&(0..30).map(|number| line(&format!("s-{}", number % 3), number)).collect::<String>());
    place.append("{\"stream\":\"s-1\",\"type\":\"Noted\",\"data\":1,\"key\":\"k1\"}\n");
    let store = Store::open(place.store(), Options::new()).unwrap();
    let checkpoint = Checkpoint { sequence: Sequence::new(7), data: b"own".to_vec() };
    store.set_checkpoint("own", &checkpoint).unwrap();
    store.close().unwrap();
    place
}

fn checkpoint(place: &Place) -> Option<Checkpoint> {
    Store::open_read_only(place.store()).unwrap().checkpoint("own").unwrap()
}

#[test]
fn an_index_that_is_made_anew_says_the_same() {
    let place = filled();
    let (streams, log) = (place.read("streams", &[]), content(&place.store().join("log")));
    let document = place.document("rebuild-index", &[]);
    assert_eq!((&document["events"], &document["streams"], &document["keys"]), (&31.into(), &3.into(), &1.into()));
    assert_eq!((&document["state_entries"], &document["state_lost"]), (&1.into(), &Value::Null));
    assert!(document["index_bytes"].as_u64().unwrap() > 0 && document["elapsed_ms"].is_u64(), "{document}");
    assert_eq!(place.read("streams", &[]), streams);
    assert_eq!(checkpoint(&place).unwrap().data, b"own");
    place.command("verify", &[]).assert().success();
    assert!(!place.store().join("index-new").exists());
    let segments =
        |files: &std::collections::BTreeMap<std::path::PathBuf, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(segments(&content(&place.store().join("log"))), segments(&log), "no segment came or went");
    // A key is known, and the fields have an order.
    let again = place.append("{\"stream\":\"s-1\",\"type\":\"Noted\",\"data\":1,\"key\":\"k1\"}\n");
    assert_eq!(again[0]["sequence"], 31);
    let assert = place.command("rebuild-index", &["--json"]).assert().success();
    let line = String::from_utf8(assert.get_output().stdout.clone()).unwrap();
    let expected =
        ["store_id", "events", "streams", "keys", "state_entries", "state_lost", "elapsed_ms", "index_bytes"];
    assert_eq!(order_of(line.trim_end()), expected);
    let assert = place.command("rebuild-index", &[]).assert().success();
    let text = String::from_utf8(assert.get_output().stdout.clone()).unwrap();
    assert!(text.lines().map(|line| line.split('\t').next().unwrap()).eq(expected), "{text}");
}

#[test]
fn an_index_that_is_gone_or_cannot_be_read_is_made_anew() {
    let place = filled();
    fs::remove_dir_all(place.store().join("index")).unwrap();
    place.command("compact-index", &[]).assert().code(1);
    let document = place.document("rebuild-index", &[]);
    assert_eq!((&document["state_entries"], &document["state_lost"]), (&0.into(), &Value::Null));
    place.command("verify", &[]).assert().success();
    let index = place.store().join("index");
    let manifest = fs::read_to_string(index.join("CURRENT")).unwrap();
    fs::write(index.join(manifest.trim()), "garbage").unwrap();
    place.command("compact-index", &[]).assert().code(1);
    let document = place.document("rebuild-index", &[]);
    assert!(document["state_lost"].is_string(), "{document}");
    assert_eq!(place.read("streams", &[]).len(), 3);
    place.command("verify", &[]).assert().success();
}

#[test]
fn an_index_that_was_put_in_order_says_the_same() {
    let place = filled();
    for number in 0..6 {
        place.append(&(0..20).map(|other| line(&format!("s-{other}"), number)).collect::<String>());
    }
    let streams = place.read("streams", &[]);
    let assert = place.command("compact-index", &["--json"]).assert().success().says_nothing();
    let text = String::from_utf8(assert.get_output().stdout.clone()).unwrap();
    assert_eq!(order_of(text.trim_end()), ["bytes_before", "bytes_after", "elapsed_ms"]);
    let document = values(text.as_bytes()).remove(0);
    assert!(document["bytes_after"].as_u64().unwrap() > 0, "{document}");
    let tables = |place: &Place| {
        let entries = fs::read_dir(place.store().join("index")).unwrap();
        entries.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|end| end == "sst")).count()
    };
    assert_eq!(tables(&place), 2, "one of each family");
    assert_eq!(place.read("streams", &[]), streams);
    assert_eq!(checkpoint(&place).unwrap().sequence, Sequence::new(7));
    place.command("verify", &[]).assert().success();
    let assert = place.command("compact-index", &[]).assert().success();
    assert_eq!(String::from_utf8_lossy(&assert.get_output().stdout).lines().count(), 3);
}

#[test]
fn beside_a_writer_both_are_3_and_so_is_a_store_that_is_not_there() {
    let place = filled();
    let mut writer = place.process("append", &[]).spawn().unwrap();
    let mut input = writer.stdin.take().unwrap();
    input.write_all(line("s-1", 1).as_bytes()).unwrap();
    let mut answer = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(writer.stdout.as_mut().unwrap()), &mut answer).unwrap();
    for verb in ["rebuild-index", "compact-index"] {
        let assert = place.command(verb, &[]).assert().code(3).stdout("");
        assert!(String::from_utf8_lossy(&assert.get_output().stderr).contains("is being written to"), "{verb}");
        let missing = Place::new();
        missing.command(verb, &[]).assert().code(3).stdout("");
        assert!(!missing.store().exists(), "{verb} made something");
        fs::create_dir(missing.store()).unwrap();
        missing.command(verb, &[]).assert().code(3).stdout("");
        assert_eq!(fs::read_dir(missing.store()).unwrap().count(), 0, "{verb} made something");
        missing.command(verb, &["surprise"]).assert().code(2);
    }
    drop(input);
    assert!(writer.wait().unwrap().success());
}

#[test]
fn a_damaged_log_is_4_and_the_index_stays() {
    let place = Place::new();
    place.append(
        "{\"stream\":\"a\",\"type\":\"b\",\"data\":\"first\"}\n{\"stream\":\"a\",\"type\":\"b\",\"data\":\"second\"}\n",
    );
    damage(&place.store(), "first");
    let before = content(&place.store().join("index"));
    let assert = place.command("rebuild-index", &[]).assert().code(4).stdout("");
    assert!(String::from_utf8_lossy(&assert.get_output().stderr).contains("00000000000000000001.seg at offset"));
    assert_eq!(content(&place.store().join("index")).keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
    assert!(!place.store().join("index-new").exists());
}

/// Goal: after Ctrl-C the old index is as it was. Method: a store whose log takes a while to read; the signal is sent once the new
/// index is begun.
#[test]
fn an_interrupt_leaves_the_old_index() {
    let place = Place::new();
    let store = Store::open(place.store(), Options::new()).unwrap();
    for number in 0..400u32 {
        let stream = StreamId::new(format!("s-{number}")).unwrap();
        let event = || NewEvent::new(EventType::new("Noted").unwrap(), CodecId::RAW, vec![7; 20]);
        store.append(&stream, ExpectedVersion::Any, (0..1000).map(|_| event()).collect()).unwrap();
    }
    store.close().unwrap();
    let index = fs::read(place.store().join("index/IDENTITY")).ok();
    let mut child = place.process("rebuild-index", &[]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    while !place.store().join("index-new").exists() {
        assert!(begun.elapsed() < Duration::from_secs(60), "nothing is begun");
        std::thread::yield_now();
    }
    std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(!place.store().join("index-new").exists());
    assert_eq!(fs::read(place.store().join("index/IDENTITY")).ok(), index);
    assert_eq!(place.read("streams", &[]).len(), 400);
    place.command("rebuild-index", &[]).assert().success();
}
