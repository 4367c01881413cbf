//! A line with a key is safe to repeat: the same content is answered as the first time, other content is refused.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

mod command;

use command::{Place, line, values};

fn keyed(key: &str, data: &str) -> String {
    format!("{{\"stream\":\"a\",\"type\":\"Noted\",\"data\":{data},\"key\":\"{key}\"}}\n")
}

#[test]
fn a_repetition_is_answered_with_the_first_place_and_id() {
    for in_flight in ["1", "64"] {
        let place = Place::new();
        let first = place.append(&keyed("k", "{\"n\":1}"));
        // In another process, twice, and with other white space.
        let again = [line("b", 1), keyed("k", "{\"n\":1}"), keyed("k", "{ \"n\" : 1 }")].concat();
        let assert = place.command("append", &["--inflight", in_flight]).write_stdin(again).assert().success();
        let answers = values(&assert.get_output().stdout);
        assert_eq!(answers[1], first[0]);
        assert_eq!(answers[2], first[0]);
        assert_eq!(place.read("events", &["--stream", "a"]).len(), 1);
    }
}

#[test]
fn other_content_under_the_same_key_is_refused() {
    for in_flight in ["1", "64"] {
        let place = Place::new();
        let lines = [keyed("k", "1"), keyed("k", "2"), line("a", 3)].concat();
        let assert = place.command("append", &["--inflight", in_flight]).write_stdin(lines).assert().code(1);
        let error = String::from_utf8(assert.get_output().stderr.clone()).unwrap();
        assert!(error.starts_with("error: line 2: "), "{error}");
        assert_eq!(place.read("events", &[]).len(), 1);
    }
}
