//! A line that `bitacora append` cannot take ends it: what stands before is kept, and nothing behind is appended.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

mod command;

use command::{Place, error_line, line, numbers, values};

const BAD: &[(&str, &str)] = &[
    ("{\"stream\":\"a\",", "EOF"),
    ("{\"stream\":\"a\",\"type\":\"b\"}", "missing field `data`"),
    ("{\"stream\":\"\",\"type\":\"b\",\"data\":1}", "must not be empty"),
    ("{\"stream\":\"a\",\"type\":\"b\",\"data\":1,\"surprise\":1}", "unknown field `surprise`"),
    ("{\"stream\":\"a\",\"type\":\"b\",\"data\":1,\"id\":\"7\"}", "UUID"),
    ("{\"stream\":\"wallet-1\",\"type\":\"FundsDeposited\",\"data\":{\"amount\":100}}", "built-in"),
    ("{\"stream\":\"payment-1\",\"type\":\"b\",\"data\":1}", "built-in"),
    ("{\"stream\":\"till-1\",\"type\":\"b\",\"data\":1}", "built-in"),
    ("{\"stream\":\"$system\",\"type\":\"b\",\"data\":1}", "built-in"),
    ("{\"stream\":\"a\",\"type\":\"b\",\"data\":1,\"key\":\"\"}", "key"),
];

#[test]
fn the_error_names_the_line_and_the_reason() {
    for in_flight in ["1", "64"] {
        for (bad, reason) in BAD {
            let place = Place::new();
            let lines = format!("{}{}{bad}\n{}", line("a", 1), line("a", 2), line("a", 4));
            let assert = place.command("append", &["--inflight", in_flight]).write_stdin(lines).assert().code(2);
            let output = assert.get_output();
            let error = String::from_utf8(output.stderr.clone()).unwrap();
            assert!(error.starts_with("error: line 3: "), "{error}");
            assert!(error.contains(reason), "{error} says nothing of {reason}");
            error_line(&error);
            assert_eq!(numbers(&values(&output.stdout), "sequence"), [1, 2], "what stands before is answered");
            assert_eq!(numbers(&place.read("events", &[]), "data"), [1, 2], "what stands before is kept, and no more");
        }
    }
}

#[test]
fn a_line_that_is_not_utf_8_is_bad() {
    let place = Place::new();
    let mut lines = line("a", 1).into_bytes();
    lines.extend_from_slice(b"{\"stream\":\"\xff\",\"type\":\"b\",\"data\":1}\n");
    let assert = place.command("append", &[]).write_stdin(lines).assert().code(2);
    assert!(String::from_utf8_lossy(&assert.get_output().stderr).contains("line 2"));
    assert_eq!(place.read("events", &[]).len(), 1);
}
