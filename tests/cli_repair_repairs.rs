//! `bitacora repair` does what its dry run said, asks first, and leaves a store that opens, verifies and goes on.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

mod command;

use std::fs;

use command::{Place, Silent, content, damage, line, numbers, values};
use serde_json::Value;

fn store() -> Place {
    let place = Place::new();
    let note = |word: &str| format!("{{\"stream\":\"notes\",\"type\":\"Noted\",\"data\":\"{word}\"}}\n");
    place.append(&["first", "second", "third", "fourth"].map(note).concat());
    damage(&place.store(), "second");
    place
}

fn repair(place: &Place, arguments: &[&str], code: i32) -> Value {
    let assert = place.command("repair", &["--json"]).args(arguments).assert().code(code).says_nothing();
    values(&assert.get_output().stdout).remove(0)
}

#[test]
fn what_is_lost_is_what_the_dry_run_said_and_the_rest_is_as_it_was() {
    let place = store();
    let before = content(&place.store());
    let mut dry = repair(&place, &["--dry-run"], 1);
    assert_eq!((dry["events_kept"].as_u64(), dry["events_lost"].as_u64()), (Some(3), Some(1)), "{dry}");
    let mut done = repair(&place, &["--yes"], 0);
    let repaired = done["repaired"].take();
    assert!(dry["repaired"].take().is_null());
    assert_eq!(done, dry, "the same plan");
    assert_eq!((repaired["record_sequence"].as_u64(), repaired["verified"].as_bool()), (Some(5), Some(true)));
    assert_eq!(place.document("verify", &[])["ok"], true);
    let events = place.read("events", &[]);
    assert_eq!(numbers(&events, "sequence"), [1, 2, 3, 4, 5]);
    let data: Vec<&Value> = [0, 2, 3].map(|at: usize| &events[at]["data"]).to_vec();
    assert_eq!(data, ["first", "third", "fourth"]);
    let stand_in = ["stream", "type", "version"].map(|name| events[1][name].to_string());
    assert_eq!(stand_in, ["\"notes\"", "\"EventLost\"", "2"]);
    // The log itself says what was done.
    let record = &events[4];
    assert_eq!((record["stream"].as_str(), record["type"].as_str()), (Some("system-repairs"), Some("StoreRepaired")));
    assert_eq!(record["data"]["lost"], serde_json::json!([{"first": 2, "last": 2}]), "{record}");
    assert_eq!(record["data"]["streams"][0]["stream"], "notes");
    // Every byte that was there is there.
    let kept = &repaired["quarantined"][0];
    assert_eq!(kept["kept_as"], "quarantine/repair-1/00000000000000000001.seg");
    assert_eq!(kept["sha256"], record["data"]["quarantined"][0]["sha256"]);
    let copy = fs::read(place.store().join(kept["kept_as"].as_str().unwrap())).unwrap();
    assert!(copy == before[&place.store().join("log/00000000000000000001.seg")]);
    // It goes on, and there is nothing left to do.
    place.append(&line("notes", 5));
    assert_eq!(place.document("verify", &[])["events"].as_u64(), Some(6));
    let again = repair(&place, &["--yes"], 0);
    assert_eq!((&again["damaged"], &again["repaired"]), (&Value::Bool(false), &Value::Null));
}

#[test]
fn without_a_terminal_nothing_is_done_unasked() {
    let place = store();
    let before = content(&place.store());
    for arguments in [&[] as &[&str], &["--json"]] {
        let assert = place.command("repair", arguments).write_stdin("yes\n").assert().code(2).stdout("");
        assert!(String::from_utf8_lossy(&assert.get_output().stderr).contains("--yes"));
    }
    place.command("repair", &["--yes", "--dry-run"]).assert().code(2);
    assert!(content(&place.store()) == before, "nothing is changed");
}

#[test]
fn a_wallet_that_has_lost_an_event_is_told_and_not_used() {
    let place = Place::new();
    let commands = r#"{"command":"open","command_id":"1","user_id":"ana","currency":"EUR"}
{"command":"open","command_id":"2","user_id":"ben","currency":"EUR"}
{"command":"deposit","command_id":"3","user_id":"ana","amount":500,"currency":"EUR"}
{"command":"deposit","command_id":"4","user_id":"ana","amount":700,"currency":"EUR"}
{"command":"deposit","command_id":"5","user_id":"ben","amount":300,"currency":"EUR"}
"#;
    place.command("command", &[]).write_stdin(commands).assert().success();
    damage(&place.store(), "FundsDeposited");
    let dry = repair(&place, &["--dry-run"], 1);
    assert_eq!(dry["wallets"][0]["moved_behind"].as_i64(), Some(700), "{dry}");
    let text = place.command("repair", &["--yes"]).assert().code(0).says_nothing();
    let text = String::from_utf8(text.get_output().stdout.clone()).unwrap();
    assert!(text.contains("repaired\ttrue\nverified\ttrue\n"), "{text}");
    let verified = place.document("verify", &[]);
    assert_eq!((&verified["ok"], verified["wallets_with_losses"].as_u64()), (&Value::Bool(true), Some(1)));
    place.command("wallet", &["ana"]).assert().code(1);
    assert_eq!(place.document("wallet", &["ben"])["balance"].as_i64(), Some(300));
    // The till goes on without that wallet.
    let commands = r#"{"command":"deposit","command_id":"6","user_id":"ben","amount":1,"currency":"EUR"}
{"command":"deposit","command_id":"7","user_id":"ana","amount":1,"currency":"EUR"}
"#;
    let assert = place.command("command", &[]).write_stdin(commands).assert().code(1);
    let answers = values(&assert.get_output().stdout);
    assert_eq!((&answers[0]["ok"], &answers[1]["refusal"]), (&Value::Bool(true), &"NotReady".into()), "{answers:?}");
}
