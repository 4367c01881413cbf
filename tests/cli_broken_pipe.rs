//! A reader that has seen enough may go: the command ends without a word.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

mod command;

use std::io::{BufRead, BufReader, Read, Write};

use command::{Place, line};

#[test]
fn a_reading_verb_ends_quietly_when_its_reader_goes() {
    let place = Place::new();
    // More than pipes and buffers hold.
    let lines: String = (0..5_000).map(|number| line("a", number)).collect();
    place.command("append", &["--inflight", "1024"]).write_stdin(lines).assert().success();
    let mut child = place.process("events", &[]).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    output.read_line(&mut String::new()).unwrap();
    drop(output);
    let mut error = String::new();
    child.stderr.take().unwrap().read_to_string(&mut error).unwrap();
    assert_eq!(error, "");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// Goal: who cannot be answered is not taken from. Method: a writer of endless lines whose answers nobody reads.
#[test]
fn append_stops_taking_lines_when_nobody_reads_its_answers() {
    let place = Place::new();
    let mut child = place.process("append", &[]).spawn().unwrap();
    drop(child.stdout.take());
    let mut input = child.stdin.take().unwrap();
    while input.write_all(line("a", 1).as_bytes()).is_ok() {}
    let mut error = String::new();
    child.stderr.take().unwrap().read_to_string(&mut error).unwrap();
    assert_eq!(error, "");
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(!place.read("events", &[]).is_empty());
}
