//! `bitacora stats` says what a store takes and costs: from its files, and from what its writer kept.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

mod command;

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::time::{Duration, Instant};

use command::{Place, Silent, content, line};
use serde_json::{Value, json};

/// Two commits of two events each, and one of one: by the library, for the command commits a line each.
fn filled() -> Place {
    use bitacora::{CodecId, EventType, ExpectedVersion, NewEvent, Options, Store, StreamId};
    let place = Place::new();
    let store = Store::open(place.store(), Options::new()).unwrap();
    let event = || NewEvent::new(EventType::new("Noted").unwrap(), CodecId::JSON, b"1234567890".to_vec());
    let stream = StreamId::new("a-1").unwrap();
    for events in [2, 2, 1] {
        let events = (0..events).map(|_| event()).collect();
        store.append(&stream, ExpectedVersion::Any, events).unwrap();
    }
    let mut consumer = store.consumer("export", bitacora::ConsumerOptions::new()).unwrap();
    for _ in 0..3 {
        let event = consumer.try_next().unwrap().unwrap();
        consumer.acknowledge(event.sequence).unwrap();
    }
    consumer.close().unwrap();
    store.close().unwrap();
    place
}

fn keys(document: &Value) -> Vec<&str> {
    document.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn the_document_has_its_shape_and_its_numbers() {
    let place = filled();
    let before = content(&place.store());
    let stats = place.document("stats", &[]);
    assert!(content(&place.store()) == before, "nothing is written");
    let mut expected = vec![
        "store_id",
        "events",
        "streams",
        "segments",
        "log_bytes",
        "index_bytes",
        "index_bytes_per_event",
        "last_event_at",
        "last_event_age_seconds",
        "sample",
        "checkpoints",
        "snapshots",
        "recovery",
        "writer",
        "disk",
    ];
    let mut found = keys(&stats);
    expected.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, expected);
    let events = stats["events"].as_u64().unwrap();
    let sample = &stats["sample"];
    assert_eq!((&sample["events"], stats["segments"].as_u64()), (&stats["events"], Some(1)), "{stats}");
    assert!(
        sample["bytes_per_event"].as_u64().unwrap() > 10
            && sample["write_amplification_percent"].as_u64().unwrap() > 100
    );
    assert_eq!(sample["events_per_commit"]["max"], 2);
    let export = &stats["checkpoints"].as_array().unwrap()[0];
    assert_eq!((&export["name"], &export["sequence"]), (&json!("export"), &json!(3)));
    assert_eq!(export["events_behind"].as_u64(), Some(events - 3));
    assert_eq!(
        stats["snapshots"],
        json!({"count": 0, "oldest_at": null, "newest_at": null, "newest_age_seconds": null})
    );
    assert_eq!(stats["recovery"]["events_beyond_index"], 0, "it was closed");
    assert!(stats["last_event_age_seconds"].as_u64().unwrap() < 3_600);
    let writer = &stats["writer"];
    assert_eq!((&writer["is_last"], &writer["session"]), (&json!(true), &json!(1)), "{writer}");
    assert_eq!((&writer["stats"]["events"], &writer["process_id"]), (&json!(events), &json!(std::process::id())));
    assert!(writer["stats"]["sync_nanos"]["p50"].as_u64().unwrap() > 0, "{writer}");
    assert!(writer["stats"]["opened_at"].as_str().unwrap().ends_with('Z'), "{writer}");
    assert!(writer["age_seconds"].as_u64().unwrap() < 3_600);
    let two = place.document("stats", &["--sample", "2"]);
    assert_eq!(two["sample"]["events"], 2, "{two}");
    assert_eq!(place.document("stats", &["--sample", "0"])["sample"]["bytes_per_event"], Value::Null);
}

#[test]
fn people_get_names_and_values_and_a_table_of_latencies() {
    let plain = filled().command("stats", &[]).assert().success().says_nothing().get_output().stdout.clone();
    let text = String::from_utf8(plain).unwrap();
    for name in ["events\t", "bytes_per_event\t", "disk_level\t", "writer_is_last\ttrue\n", "recovery_estimated_us\t"] {
        assert!(text.contains(name), "{name:?} is not in {text}");
    }
    assert!(text.contains("measured\tcount\tsum\tp50\tp90\tp99\tmax\nsync_us\t"), "{text}");
    assert!(text.contains("checkpoint\tsequence\tevents_behind\nexport\t3\t"), "{text}");
}

#[test]
fn without_its_file_of_statistics_a_store_is_as_well_as_before() {
    let place = filled();
    std::fs::remove_file(place.store().join("stats")).unwrap();
    assert_eq!(place.document("stats", &[])["writer"], Value::Null);
    assert_eq!(place.document("verify", &[])["ok"], true);
    std::fs::write(place.store().join("stats"), b"no statistics").unwrap();
    assert_eq!(place.document("stats", &[])["writer"], Value::Null);
    place.append(&line("b-1", 1));
    assert_eq!(place.document("stats", &[])["writer"]["stats"]["commits"], 1, "it is written over");
}

#[test]
fn the_latencies_of_a_running_writer_are_seen_from_outside() {
    let place = Place::new();
    let mut writer = place.process("append", &[]).stderr(Stdio::inherit()).spawn().unwrap();
    let mut input = writer.stdin.take().unwrap();
    let mut answers = BufReader::new(writer.stdout.take().unwrap()).lines();
    // A commit now and then until the statistics are there, which takes five seconds.
    let began = Instant::now();
    let mut sent = 0;
    let stats = loop {
        input.write_all(line("a-1", sent).as_bytes()).unwrap();
        answers.next().unwrap().unwrap();
        sent += 1;
        let stats = place.document("stats", &["--sample", "10"]);
        if !stats["writer"].is_null() {
            break stats;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "nothing was kept");
    };
    let kept = &stats["writer"];
    assert_eq!((&kept["is_last"], &kept["process_id"]), (&json!(false), &json!(writer.id())), "{kept}");
    let commits = kept["stats"]["commits"].as_u64().unwrap();
    assert!(
        commits > 0 && commits <= sent && kept["stats"]["sync_nanos"]["count"].as_u64().unwrap() >= commits,
        "{kept}"
    );
    drop(input);
    assert!(writer.wait().unwrap().success());
    let last = &place.document("stats", &[])["writer"];
    assert_eq!((&last["is_last"], &last["stats"]["commits"]), (&json!(true), &json!(sent)), "{last}");
}
