//! `bitacora append` holds a line to the version that it expects of its stream.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

mod command;

use command::{Place, line, numbers, values};

fn expecting(stream: &str, expected: &str, data: u64) -> String {
    format!("{{\"stream\":\"{stream}\",\"type\":\"Noted\",\"data\":{data},\"expected_version\":{expected}}}\n")
}

#[test]
fn what_is_expected_and_there_is_taken() {
    for in_flight in ["1", "64"] {
        let place = Place::new();
        let lines = [
            expecting("a", "\"no_stream\"", 1),
            expecting("a", "\"exists\"", 2),
            expecting("a", "2", 3),
            expecting("a", "\"any\"", 4),
            expecting("b", "0", 5),
        ];
        let assert = place.command("append", &["--inflight", in_flight]).write_stdin(lines.concat()).assert().success();
        assert_eq!(numbers(&values(&assert.get_output().stdout), "version"), [1, 2, 3, 4, 1]);
    }
}

#[test]
fn a_conflict_names_its_line_and_nothing_behind_it_is_appended() {
    for in_flight in ["1", "64"] {
        for (expected, said) in [("\"no_stream\"", "no stream"), ("1", "version 1"), ("3", "version 3")] {
            let place = Place::new();
            let lines = [line("b", 0), line("a", 1), line("a", 2), expecting("a", expected, 3), line("a", 4)];
            let assert =
                place.command("append", &["--inflight", in_flight]).write_stdin(lines.concat()).assert().code(1);
            let error = String::from_utf8(assert.get_output().stderr.clone()).unwrap();
            assert!(error.starts_with("error: line 4: ") && error.contains(said), "{error}");
            assert!(error.contains("is at version 2"), "a conflict says what is there: {error}");
            assert_eq!(values(&assert.get_output().stdout).len(), 3);
            assert_eq!(numbers(&place.read("events", &[]), "data"), [0, 1, 2]);
        }
    }
}

#[test]
fn a_stream_that_should_exist_and_does_not_is_a_conflict() {
    let place = Place::new();
    place.append(&line("b", 1));
    let lines = expecting("a", "\"exists\"", 1);
    let assert = place.command("append", &[]).write_stdin(lines).assert().code(1);
    assert!(String::from_utf8_lossy(&assert.get_output().stderr).contains("does not exist"));
}
