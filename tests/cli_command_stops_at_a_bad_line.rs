//! `bitacora command` ends at a line that is no command, with its number; what stands before it is done and kept.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

mod command;

use command::{Place, Silent, error_line, values};

const OPEN: &str = r#"{"command":"open","command_id":"o","user_id":"ana","currency":"EUR"}"#;

fn deposit(id: &str, amount: &str) -> String {
    format!(r#"{{"command":"deposit","command_id":"{id}","user_id":"ana","amount":{amount},"currency":"EUR"}}"#)
}

#[test]
fn a_line_that_is_no_command_is_2_and_names_the_line() {
    let long = "u".repeat(5_000);
    for (bad, why) in [
        (deposit("2", "10.0"), "line 4: amount: 10.0 is not an integer"),
        (deposit("2", "\"10\""), "line 4: amount: \"10\" is not an integer"),
        (deposit("2", "1e1"), "line 4: amount: 1e1 is not an integer"),
        (deposit("2", "10,\"why\":1"), "line 4: unknown field `why`"),
        ("{".to_owned(), "line 4: "),
        (r#"{"command":"dance","command_id":"2","user_id":"ana"}"#.to_owned(), "line 4: command: there is no command"),
        (r#"{"command":"close","user_id":"ana"}"#.to_owned(), "line 4: missing field `command_id`"),
        (r#"{"command":"close","command_id":"2","user_id":""}"#.to_owned(), "line 4: "),
        (format!(r#"{{"command":"close","command_id":"2","user_id":"{long}"}}"#), "line 4: "),
        (r#"{"command":"close","command_id":"2","user_id":"a\u0000"}"#.to_owned(), "line 4: "),
    ] {
        let place = Place::new();
        let lines = format!("{OPEN}\n\n{}\n{bad}\n{}\n", deposit("1", "5"), deposit("3", "7"));
        let assert = place.command("command", &[]).write_stdin(lines).assert().code(2);
        let error = String::from_utf8(assert.get_output().stderr.clone()).unwrap();
        assert!(error_line(&error).starts_with(&format!("error: {why}")), "{bad}: {error}");
        let outcomes = values(&assert.get_output().stdout);
        assert_eq!(outcomes.len(), 2, "what stands before it is answered");
        assert_eq!(place.document("wallet", &["ana"])["balance"], 5, "and kept, and nothing behind it is");
    }
}

#[test]
fn refusals_before_a_bad_line_do_not_change_the_exit_code() {
    let place = Place::new();
    place.command("command", &[]).write_stdin(format!("{}\n{{", deposit("1", "5"))).assert().code(2);
}

#[test]
fn no_line_at_all_is_fine() {
    Place::new().command("command", &[]).write_stdin("").assert().code(0).stdout("").says_nothing();
}
