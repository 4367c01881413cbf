//! The reading verbs neither lock nor write: they work beside a writer, after a kill, and leave every file as it is.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

mod command;

use std::io::{BufRead, BufReader, Write};

use bitacora::{CodecId, EventType, ExpectedVersion, NewEvent, Options, Store, StreamId};
use command::{Place, content, line, numbers};

const READERS: &[&[&str]] = &[
    &["events"],
    &["events", "--reverse"],
    &["events", "--stream", "a"],
    &["streams"],
    &["info"],
    &["verify"],
    &["recover", "--check"],
    &["wallets"],
    &["payments"],
    &["snapshots"],
    &["diff", "--from-sequence", "0"],
    &["health"],
];

#[test]
fn a_reader_sees_what_the_writer_has_acknowledged() {
    let place = Place::new();
    let store = Store::open(place.store(), Options::new()).unwrap();
    let stream = StreamId::new("a").unwrap();
    for number in 1..=3 {
        let event = NewEvent::new(EventType::new("Noted").unwrap(), CodecId::JSON, b"1".to_vec());
        store.append(&stream, ExpectedVersion::Any, vec![event]).unwrap();
        assert!(numbers(&place.read("events", &[]), "sequence").into_iter().eq(1..=number));
        assert_eq!(numbers(&place.read("streams", &[]), "version"), [number]);
        assert_eq!(place.document("info", &[])["last_sequence"], number);
        assert_eq!(place.document("verify", &[])["ok"], true);
    }
    store.close().unwrap();
}

#[test]
fn readers_change_nothing_in_a_closed_store() {
    let place = Place::new();
    place.append(&[line("a", 1), line("b", 2)].concat());
    let before = content(&place.store());
    for verb in READERS {
        place.command(verb[0], &verb[1..]).assert().success();
        assert!(content(&place.store()) == before, "{verb:?} changed a file");
    }
}

/// Goal: what the next open would keep is shown before that open, and nothing is mended on the way. Method: a writer that
/// is killed after three answers; every reader before and after each look at the files.
#[test]
fn readers_change_nothing_in_a_store_whose_writer_was_killed() {
    let place = Place::new();
    let mut child = place.process("append", &[]).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    for number in 1..=3 {
        input.write_all(line("a", number).as_bytes()).unwrap();
        output.read_line(&mut String::new()).unwrap();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let before = content(&place.store());
    for verb in READERS {
        place.command(verb[0], &verb[1..]).assert().success();
        assert!(content(&place.store()) == before, "{verb:?} changed a file");
    }
    assert_eq!(numbers(&place.read("events", &[]), "sequence"), [1, 2, 3]);
}
