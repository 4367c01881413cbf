//! `bitacora streams` and `bitacora info` say what a store holds.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

mod command;

use command::{Place, line, numbers};

fn filled() -> Place {
    let place = Place::new();
    place.append(&[line("b", 1), line("a-1", 2), line("b", 3), line("a-2", 4)].concat());
    place
}

#[test]
fn streams_come_by_name_with_their_heads() {
    let streams = filled().read("streams", &[]);
    let names: Vec<&str> = streams.iter().map(|stream| stream["stream"].as_str().unwrap()).collect();
    assert_eq!(names, ["a-1", "a-2", "b"]);
    assert_eq!(numbers(&streams, "version"), [1, 1, 2]);
    assert_eq!(numbers(&streams, "last_sequence"), [2, 4, 3]);
}

#[test]
fn streams_can_be_narrowed_by_prefix() {
    assert_eq!(numbers(&filled().read("streams", &["--prefix", "a-"]), "last_sequence"), [2, 4]);
}

#[test]
fn streams_are_plain_columns_in_a_pipe() {
    let assert = filled().command("streams", &[]).assert().success();
    let text = String::from_utf8(assert.get_output().stdout.clone()).unwrap();
    assert_eq!(text, "stream\tversion\tlast_sequence\na-1\t1\t2\na-2\t1\t4\nb\t2\t3\n");
}

#[test]
fn info_counts_what_is_there() {
    let place = filled();
    let info = place.document("info", &[]);
    for (field, expected) in [
        ("format", 1),
        ("first_sequence", 1),
        ("last_sequence", 4),
        ("durable_sequence", 4),
        ("segments", 1),
        ("streams", 3),
    ] {
        assert_eq!(info[field], expected, "{field}: {info}");
    }
    assert_eq!(info["store_id"].as_str().unwrap().len(), 36);
    assert!(info["bytes"].as_u64().unwrap() > 0, "{info}");
    let disk = &info["disk"];
    assert!(["ok", "low", "critical"].contains(&disk["level"].as_str().unwrap()), "{disk}");
    assert_eq!(disk["segments_left"], disk["free_bytes"].as_u64().unwrap() / disk["segment_bytes"].as_u64().unwrap());
    assert_eq!((&disk["is_reserve_missing"], &disk["reserve_bytes"]), (&false.into(), &info["reserve_bytes"]));
    assert!(disk["days_left"].is_null() && disk["bytes_per_day"].is_null(), "an hour tells nothing of a day: {disk}");
    assert_eq!(info["store_id"], place.document("info", &[])["store_id"], "a store keeps its id");
    let plain = place.command("info", &[]).assert().success().get_output().stdout.clone();
    assert!(String::from_utf8(plain).unwrap().contains("last_sequence\t4\n"));
}
