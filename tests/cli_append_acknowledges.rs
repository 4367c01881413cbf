//! `bitacora append` answers each line in the input's order, with the place that its event was given.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

mod command;

use std::io::{BufRead, BufReader, Write};

use command::{Place, line, numbers, values};

#[test]
fn each_line_is_answered_with_its_place_and_its_id() {
    let place = Place::new();
    let id = "018f2b7e-0000-7000-8000-000000000001";
    let lines = format!(
        "{}{}{{\"stream\":\"b\",\"type\":\"Noted\",\"data\":null,\"id\":\"{id}\"}}",
        line("a", 1),
        line("a", 2)
    );
    let answers = place.append(&lines);
    assert_eq!(numbers(&answers, "sequence"), [1, 2, 3]);
    assert_eq!(numbers(&answers, "version"), [1, 2, 1]);
    assert_eq!(answers[0]["stream"], "a");
    assert_eq!(answers[2]["stream"], "b");
    assert_eq!(answers[2]["id"], id);
    let ids = place.read("events", &[]).into_iter().map(|event| event["id"].clone());
    assert!(ids.eq(answers.iter().map(|answer| answer["id"].clone())), "an answer names the id that is stored");
}

#[test]
fn fields_are_named_in_the_order_of_the_contract() {
    let place = Place::new();
    let assert = place.command("append", &[]).write_stdin(line("a", 1)).assert().success();
    let text = String::from_utf8(assert.get_output().stdout.clone()).unwrap();
    assert!(text.starts_with(r#"{"sequence":1,"stream":"a","version":1,"id":""#), "{text}");
}

#[test]
fn sequences_follow_the_input_for_every_number_in_flight() {
    for in_flight in ["1", "2", "7", "64", "4096"] {
        let place = Place::new();
        let lines: String = (0..500).map(|number| line(&format!("s{}", number % 7), number)).collect();
        let assert = place.command("append", &["--inflight", in_flight]).write_stdin(lines).assert().success();
        let answers = values(&assert.get_output().stdout);
        assert!(numbers(&answers, "sequence").into_iter().eq(1..=500), "in flight: {in_flight}");
        assert!(numbers(&place.read("events", &[]), "data").into_iter().eq(0..500), "in flight: {in_flight}");
    }
}

/// Goal: a writer that waits for an answer before it sends more is answered. Method: a conversation over pipes, with
/// more in flight allowed than there ever is; a command that held answers back would leave this test waiting.
#[test]
fn an_answer_comes_before_more_input_is_needed() {
    let place = Place::new();
    let mut child = place.process("append", &["--inflight", "64"]).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    for number in 1..=5 {
        input.write_all(line("a", number).as_bytes()).unwrap();
        let mut answer = String::new();
        output.read_line(&mut answer).unwrap();
        assert_eq!(numbers(&values(answer.as_bytes()), "sequence"), [number]);
    }
    drop(input);
    assert!(child.wait().unwrap().success());
}

#[test]
fn blank_lines_carriage_returns_and_a_missing_last_newline_are_taken() {
    let place = Place::new();
    let lines = format!("\n{}\r\n  \r\n{}", line("a", 1).trim_end(), line("a", 2).trim_end());
    assert_eq!(numbers(&place.append(&lines), "sequence"), [1, 2]);
}

#[test]
fn buffered_appends_are_there_for_the_next_reader() {
    let place = Place::new();
    place.command("append", &["--durability", "buffered"]).write_stdin(line("a", 1)).assert().success();
    assert_eq!(place.read("events", &[]).len(), 1);
}
