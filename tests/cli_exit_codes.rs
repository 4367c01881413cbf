//! The exit code says what the caller must do, and standard error says why in one line, and in another one what to do next.
//!
//! Here are 0, 1, 2, 3, and 6 of an output that cannot be written. 4 is in `cli_damage_is_told.rs`, 5 in `cli_full_disk.rs`, 6 of a failed sync in
//! `cli_append_stops_at_a_failed_sync.rs`, 130 in `cli_interrupts.rs` and `cli_tail_follows_writers.rs`.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

mod command;

use std::fs;

use bitacora::{Options, Store};
use command::{Place, Silent, bitacora, error_line, line};

const READERS: &[&[&str]] = &[
    &["events"],
    &["streams"],
    &["info"],
    &["stats"],
    &["verify"],
    &["scrub"],
    &["wallet", "7"],
    &["wallets"],
    &["explain", "7"],
    &["diff", "--from-sequence", "0"],
    &["trace", "7"],
    &["payment", "7"],
    &["payments"],
    &["snapshots"],
    &["recover", "--check"],
    &["health"],
    &["export"],
    &["upgrade"],
];

#[track_caller]
fn assert_one_error_line(assert: &assert_cmd::assert::Assert) {
    let error = String::from_utf8(assert.get_output().stderr.clone()).unwrap();
    error_line(&error);
    assert!(assert.get_output().stdout.is_empty(), "nothing but an answer goes to standard output");
}

#[test]
fn wrong_usage_is_2() {
    bitacora(["surprise"]).assert().code(2);
    bitacora(["append"]).assert().code(2);
    bitacora(["events", "x", "--from", "minus-one"]).assert().code(2);
    bitacora(["append", "x", "--inflight", "0"]).assert().code(2);
    bitacora(["append", "x", "--durability", "none"]).assert().code(2);
    bitacora(["wallet", "x", "7", "--at-sequence", "1", "--at-version", "1"]).assert().code(2);
    bitacora(["wallet", "x", "7", "--at-time", "noon"]).assert().code(2);
}

#[test]
fn a_name_that_cannot_be_is_2() {
    let place = Place::new();
    place.append(&line("a", 1));
    place.command("events", &["--stream", ""]).assert().code(2);
    place.command("events", &["--type", "a\nb"]).assert().code(2);
}

#[test]
fn a_store_that_is_missing_is_3_and_is_not_made() {
    for verb in READERS {
        let place = Place::new();
        let assert = place.command(verb[0], &verb[1..]).assert().code(3);
        assert_one_error_line(&assert);
        assert!(!place.store().exists(), "{verb:?} made something");
    }
}

#[test]
fn a_folder_that_is_no_store_is_3_and_is_left_alone() {
    for verb in READERS {
        let place = Place::new();
        fs::create_dir(place.store()).unwrap();
        fs::write(place.store().join("letter.txt"), "dear").unwrap();
        let assert = place.command(verb[0], &verb[1..]).assert().code(3);
        assert_one_error_line(&assert);
        assert_eq!(fs::read_dir(place.store()).unwrap().count(), 1, "{verb:?} made something");
    }
}

#[test]
fn a_file_where_the_store_should_be_is_3() {
    for verb in READERS.iter().chain([&["append"] as &[&str]].iter()) {
        let place = Place::new();
        fs::write(place.store(), "dear").unwrap();
        let assert = place.command(verb[0], &verb[1..]).write_stdin("").assert().code(3);
        assert_one_error_line(&assert);
        assert_eq!(fs::read_to_string(place.store()).unwrap(), "dear");
    }
}

#[test]
fn a_store_that_another_process_writes_to_is_3_for_writers() {
    let place = Place::new();
    let store = Store::open(place.store(), Options::new()).unwrap();
    for verb in ["append", "command"] {
        let assert = place.command(verb, &[]).write_stdin(line("a", 1)).assert().code(3);
        assert_one_error_line(&assert);
        let error = String::from_utf8(assert.get_output().stderr.clone()).unwrap();
        assert!(error.contains(&std::process::id().to_string()), "the error names the holder: {error}");
    }
    store.close().unwrap();
}

#[test]
fn what_is_not_there_is_1() {
    let place = Place::new();
    place.append(&line("a", 1));
    for verb in [&["wallet", "7"] as &[&str], &["payment", "7"], &["explain", "7"], &["trace", "7"]] {
        assert_one_error_line(&place.command(verb[0], &verb[1..]).assert().code(1));
    }
}

#[test]
fn a_conflict_is_1_and_a_bad_line_is_2() {
    let place = Place::new();
    let conflict = "{\"stream\":\"a\",\"type\":\"b\",\"data\":1,\"expected_version\":7}";
    assert_one_error_line(&place.command("append", &[]).write_stdin(conflict).assert().code(1));
    assert_one_error_line(&place.command("append", &[]).write_stdin("{").assert().code(2));
}

#[test]
fn fine_is_0() {
    let place = Place::new();
    place.append(&line("a", 1));
    for verb in ["events", "streams", "info", "verify"] {
        place.command(verb, &[]).assert().code(0).says_nothing();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn an_output_that_cannot_be_written_is_6() {
    let place = Place::new();
    place.append(&line("a", 1));
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = place.process("events", &[]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(6));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error_line(&error).starts_with("error: standard output: "), "{error}");
}

/// A shell shows the end by an interrupt as 130.
#[cfg(unix)]
#[test]
fn an_interrupt_ends_the_command_and_keeps_what_was_answered() {
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::process::ExitStatusExt;

    let place = Place::new();
    let mut child = place.process("append", &[]).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(line("a", 1).as_bytes()).unwrap();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
    let interrupted = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(interrupted.success());
    assert_eq!(child.wait().unwrap().signal(), Some(2));
    assert_eq!(place.read("events", &[]).len(), 1);
}
