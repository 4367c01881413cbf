//! `bitacora events` shows the events that are asked for, in the order that is asked for.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

mod command;

use command::{Place, numbers};

/// Sequences 1 to 12 over the streams a, b, c in turn; every fourth is of type Other.
fn filled() -> Place {
    let place = Place::new();
    let lines: String = (1..=12)
        .map(|number| {
            let stream = ["c", "a", "b"][number % 3];
            let event_type = if number % 4 == 0 { "Other" } else { "Noted" };
            format!("{{\"stream\":\"{stream}\",\"type\":\"{event_type}\",\"data\":{number}}}\n")
        })
        .collect();
    place.append(&lines);
    place
}

#[test]
fn by_place_stream_type_direction_and_number() {
    let place = filled();
    let cases: &[(&[&str], &[u64])] = &[
        (&[], &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
        (&["--from", "4", "--to", "6"], &[4, 5, 6]),
        (&["--from", "11"], &[11, 12]),
        (&["--to", "2"], &[1, 2]),
        (&["--from", "0", "--to", "1"], &[1]),
        (&["--from", "13"], &[]),
        (&["--from", "5", "--to", "4"], &[]),
        (&["--reverse", "--limit", "3"], &[12, 11, 10]),
        (&["--limit", "2"], &[1, 2]),
        (&["--limit", "0"], &[]),
        (&["--type", "Other"], &[4, 8, 12]),
        (&["--type", "Other", "--reverse", "--limit", "2"], &[12, 8]),
        (&["--type", "None"], &[]),
        (&["--stream", "a"], &[1, 4, 7, 10]),
        (&["--stream", "a", "--reverse"], &[10, 7, 4, 1]),
        (&["--stream", "a", "--from", "2", "--to", "8"], &[4, 7]),
        (&["--stream", "a", "--from", "2", "--to", "8", "--reverse"], &[7, 4]),
        (&["--stream", "a", "--type", "Other"], &[4]),
        (&["--stream", "nobody"], &[]),
    ];
    for (arguments, expected) in cases {
        assert_eq!(numbers(&place.read("events", arguments), "sequence"), *expected, "{arguments:?}");
    }
}

#[test]
fn events_are_json_lines_with_and_without_the_flag() {
    let place = filled();
    let plain = place.command("events", &[]).assert().success().get_output().stdout.clone();
    let json = place.command("events", &["--json"]).assert().success().get_output().stdout.clone();
    assert_eq!(plain, json);
}
