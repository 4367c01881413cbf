//! Damage is found by `bitacora verify`, never shown as data by the others, and changes nothing on disk.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

mod command;

use command::{Place, Silent, content, damage, error_line};

/// Three closed events; the second one's payload is damaged.
fn damaged() -> Place {
    let place = Place::new();
    let lines: String = ["first", "second", "third"]
        .map(|word| format!("{{\"stream\":\"a\",\"type\":\"b\",\"data\":\"{word}\"}}\n"))
        .concat();
    place.append(&lines);
    damage(&place.store(), "second");
    place
}

#[test]
fn verify_says_where_and_answers_no() {
    let place = damaged();
    let assert = place.command("verify", &["--json"]).assert().code(1).says_nothing();
    let report = &command::values(&assert.get_output().stdout)[0];
    assert_eq!(report["ok"], false);
    let findings = report["findings"].as_array().unwrap();
    assert!(!findings.is_empty(), "{report}");
    let finding = &findings[0];
    assert!(finding["segment"].as_str().unwrap().ends_with("00000000000000000001.seg"), "{finding}");
    assert!(finding["offset"].as_u64().unwrap() > 0, "{finding}");
    assert_eq!(finding["sequence"], 2, "{finding}");
    assert!(finding["kind"].is_string() && finding["detail"].is_string(), "{finding}");
}

#[test]
fn a_sound_store_is_verified() {
    let place = Place::new();
    place.append("{\"stream\":\"a\",\"type\":\"b\",\"data\":1}");
    let report = place.document("verify", &[]);
    assert_eq!(report["ok"], true);
    assert_eq!(report["events"], 1);
    assert_eq!(report["last_sequence"], 1);
    assert_eq!(report["findings"].as_array().unwrap().len(), 0);
    assert!(report["bytes"].as_u64().unwrap() > 0 && report["segments"] == 1, "{report}");
}

#[test]
fn reading_and_writing_verbs_answer_corrupt_and_show_no_damaged_event() {
    let place = damaged();
    let assert = place.command("events", &[]).assert().code(4);
    let shown = String::from_utf8(assert.get_output().stdout.clone()).unwrap();
    assert!(!shown.contains("econd") && !shown.contains("third"), "{shown}");
    let error = String::from_utf8(assert.get_output().stderr.clone()).unwrap();
    error_line(&error);
    assert!(error.contains(".seg"), "the error names the file: {error}");
}

#[test]
fn no_verb_changes_a_damaged_store() {
    let place = damaged();
    let before = content(&place.store().join("log"));
    for verb in [&["verify"] as &[&str], &["events"], &["streams"], &["info"], &["recover", "--check"]] {
        // What they answer is told above; here it only matters that they ran.
        place.command(verb[0], &verb[1..]).output().unwrap();
    }
    assert!(content(&place.store().join("log")) == before, "the log is as it was");
}
