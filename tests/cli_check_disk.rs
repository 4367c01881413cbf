//! `bitacora check-disk` measures a disk, says which options suit it, and leaves nothing behind.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

mod command;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use command::{PROGRAM, Place, bitacora, content, line, values};
use serde_json::Value;

fn names(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_store_s_disk_is_measured_and_the_store_is_as_it_was() {
    let place = Place::new();
    place.append(&line("a", 1));
    let before = content(&place.store());
    let output = place.command("check-disk", &["--seconds", "1", "--json"]).output().unwrap();
    // In memory the answer is no.
    assert!(matches!(output.status.code(), Some(0 | 1)), "{output:?}");
    assert!(content(&place.store()) == before);
    let document: Value = values(&output.stdout).remove(0);
    let measured = &document["measurements"];
    let ways: Vec<&str> =
        measured["syncs"].as_array().unwrap().iter().map(|cost| cost["way"].as_str().unwrap()).collect();
    assert_eq!(ways, ["grow", "reserve", "zero_fill", "zero_fill_sector", "zero_fill_dsync"]);
    for cost in measured["syncs"].as_array().unwrap() {
        assert!(cost["nanos"]["count"].as_u64().unwrap() > 0 && cost["nanos"]["p50"].as_u64().unwrap() > 0, "{cost}");
    }
    assert!(measured["write_bytes_per_second"].as_u64().unwrap() > 0, "{measured}");
    assert!(measured["read_bytes_per_second"].as_u64().unwrap() > 0, "{measured}");
    let advice = &document["advice"];
    assert!(["grow", "reserve", "zero_fill"].contains(&advice["preallocation"].as_str().unwrap()), "{advice}");
    assert!(["packed", "sector"].contains(&advice["align"].as_str().unwrap()), "{advice}");
    let is_lying = |warning: &Value| ["too_fast", "memory"].contains(&warning["kind"].as_str().unwrap());
    let lies = advice["warnings"].as_array().unwrap().iter().any(is_lying);
    assert_eq!(output.status.code(), Some(i32::from(lies)), "{advice}");
}

#[test]
fn people_get_a_table_and_reasons() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let output = bitacora(["check-disk", path, "--seconds", "1"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("way\twrites\tp50_us\tp90_us\tp99_us\tmax_us\ngrow\t"), "{text}");
    assert!(text.contains("\npreallocation\t") && text.contains("\nalign\t"), "{text}");
    assert!(names(folder.path()).is_empty());
}

#[test]
fn an_interrupt_ends_it_with_130_and_removes_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(PROGRAM)
        .args(["check-disk", folder.path().to_str().unwrap(), "--seconds", "60"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let began = Instant::now();
    while names(folder.path()).is_empty() {
        assert!(began.elapsed() < Duration::from_secs(30), "it does not begin");
        std::thread::yield_now();
    }
    let interrupted = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(interrupted.success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(began.elapsed() < Duration::from_secs(30), "it does not go on for a minute");
    assert!(names(folder.path()).is_empty());
}

#[test]
fn what_cannot_be_measured_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let none = folder.path().join("none");
    let error = bitacora(["check-disk", none.to_str().unwrap()]).assert().code(3).get_output().stderr.clone();
    assert!(String::from_utf8(error).unwrap().contains("no such folder"));
    for seconds in ["0", "601", "x"] {
        bitacora(["check-disk", folder.path().to_str().unwrap(), "--seconds", seconds]).assert().code(2);
    }
}
