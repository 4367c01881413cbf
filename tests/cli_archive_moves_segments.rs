//! `bitacora archive` moves old segments out of the log and `unarchive` brings them back; whoever reads sees no difference.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

mod command;

use std::fs;
use std::path::{Path, PathBuf};

use bitacora::{
    Checkpoint, CodecId, EventType, ExpectedVersion, NewEvent, Options, Sequence, Store, StreamId, Timestamp,
};
use command::{Place, Silent, bitacora, content, order_of, values};
use serde_json::{Value, json};

/// A store of five segments or more, closed.
fn filled() -> Place {
    let place = Place::new();
    let store = Store::open(place.store(), Options::new().segment_bytes(1024 * 1024)).unwrap();
    let event_type = EventType::new("Noted").unwrap();
    for number in 0..80u64 {
        let text: String = (0..8_000u64).map(|word| format!("{} ", (number * 31 + word * word) % 977)).collect();
        let event =
            NewEvent::new(event_type.clone(), CodecId::RAW, format!("{text}{}", "x".repeat(40_000)).into_bytes());
        let stream = StreamId::new(format!("s-{}", number % 3)).unwrap();
        store.append(&stream, ExpectedVersion::Any, vec![event]).unwrap();
    }
    store.housekeep().unwrap();
    store.close().unwrap();
    place
}

/// The files of the log with this ending.
fn log_files(place: &Place, ending: &str) -> Vec<PathBuf> {
    let files = content(&place.store().join("log")).into_keys();
    files.filter(|path| path.to_string_lossy().ends_with(ending)).collect()
}

fn events(place: &Place) -> Vec<u8> {
    place.command("events", &[]).assert().success().says_nothing().get_output().stdout.clone()
}

/// What becomes of the segments, in order.
fn states(document: &Value) -> Vec<&str> {
    document["segments"].as_array().unwrap().iter().map(|segment| segment["state"].as_str().unwrap()).collect()
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn what_is_archived_is_read_as_before_and_comes_back() {
    let place = filled();
    let (before, shown) = (content(&place.store().join("log")), events(&place));
    let arguments = ["--before", "1000000", "--without-backup"];
    let dry = place.document("archive", &[&arguments[..], &["--dry-run"]].concat());
    assert!(content(&place.store().join("log")) == before, "a dry run changes nothing");
    assert_eq!((&dry["dry_run"], &dry["moved"]), (&json!(true), &json!(0)));
    let count = states(&dry).len();
    assert!(count >= 5, "{dry}");
    let line = place.command("archive", &["--json"]).args(arguments).assert().success().says_nothing();
    let line = String::from_utf8(line.get_output().stdout.clone()).unwrap();
    let fields = ["dry_run", "folder", "segments", "moved", "segment_bytes", "archive_bytes"];
    let done: Value = serde_json::from_str(&line).unwrap();
    assert!(fields.iter().all(|field| order_of(&line).contains(&(*field).to_owned())), "{line}");
    let moved = done["moved"].as_u64().unwrap();
    assert_eq!(states(&done).iter().filter(|state| **state == "moved").count() as u64, moved);
    assert_eq!(&states(&done)[count - 2..], ["kept", "kept"], "the last two stay");
    assert!(moved >= 3 && done["archive_bytes"].as_u64() < done["segment_bytes"].as_u64(), "{done}");
    assert_eq!(log_files(&place, ".arc").len() as u64, moved);
    assert_eq!(log_files(&place, ".seg").len() as u64, count as u64 - moved);
    assert!(events(&place) == shown, "reads go on");
    assert_eq!(place.document("verify", &[])["ok"], true);
    let info = place.document("info", &[]);
    assert_eq!((&info["segments"], &info["archived_segments"]), (&json!(count), &done["moved"]), "{info}");
    assert_eq!(info["archived_bytes"], done["segment_bytes"]);
    assert_eq!(info["archive_bytes"], done["archive_bytes"]);
    // Appending goes on, and a backup is plain.
    place.append(&command::line("s-9", 1));
    let copy = place.join("copy");
    place.command("backup", &[path(&copy)]).assert().success();
    assert!(content(&copy).keys().all(|file| !path(file).ends_with(".arc")));
    // A part comes back, and then the rest.
    let third = done["segments"][2]["first"].to_string();
    let back = place.document("unarchive", &["--from", &third]);
    assert_eq!(back["moved"].as_u64(), Some(moved - 2), "{back}");
    assert_eq!(back["left"], json!([]));
    let back = place.document("unarchive", &[]);
    assert_eq!(
        back["segments"][0],
        json!({
            "first": 1, "last": done["segments"][0]["last"], "segment_bytes": done["segments"][0]["segment_bytes"],
            "archive_bytes": done["segments"][0]["archive_bytes"],
        })
    );
    let after = content(&place.store().join("log"));
    let finished = log_files(&place, ".seg").into_iter().take(usize::try_from(moved).unwrap());
    assert!(finished.into_iter().all(|file| after[&file] == before[&file]), "byte for byte");
    assert_eq!(fs::read_dir(place.store().join("archive")).unwrap().count(), 0);
    assert_eq!(place.document("verify", &[])["ok"], true);
    let plain = place.command("unarchive", &[]).assert().success().get_output().stdout.clone();
    assert_eq!(String::from_utf8(plain).unwrap(), "moved\t0\nsegment_bytes\t0\narchive_bytes\t0\nleft\t\n");
}

#[test]
fn a_backup_must_be_named_and_what_is_needed_stays() {
    let place = filled();
    place.command("archive", &["--before", "1000000"]).assert().code(2).stdout("");
    place.command("archive", &["--before", "soon", "--without-backup"]).assert().code(2).stdout("");
    let unnamed = place.document("archive", &["--before", "1000000", "--dry-run"]);
    assert_eq!(unnamed["segments"][0]["because"], json!(["no backup was named"]));
    let old = place.document("archive", &["--before", "2001-01-01T00:00:00Z", "--without-backup"]);
    assert_eq!(
        (&old["moved"], &old["segments"][0]["because"]),
        (&json!(0), &json!(["it is not wholly before the bound"]))
    );
    let copy = place.join("copy");
    let arguments = ["--before", "2999-01-01T00:00:00Z", "--backup", path(&copy), "--dry-run"];
    place.command("archive", &arguments).assert().code(1).stdout("");
    place.command("backup", &[path(&copy)]).assert().success();
    let planned = place.document("archive", &arguments);
    assert!(states(&planned).iter().filter(|state| **state == "goes").count() >= 3, "{planned}");
    let store = Store::open(place.store(), Options::new()).unwrap();
    let second = planned["segments"][1]["last"].as_u64().unwrap();
    store.set_checkpoint("mailer", &Checkpoint { sequence: Sequence::new(second), data: Vec::new() }).unwrap();
    assert!(store.now() > Timestamp::EPOCH);
    // Nobody else may be writing, but anybody may look.
    place.command("archive", &arguments[..4]).assert().code(3).stdout("");
    assert_eq!(&states(&place.document("archive", &arguments))[..3], ["goes", "goes", "kept"]);
    store.close().unwrap();
    let plain = place.command("archive", &arguments[..4]).assert().success().get_output().stdout.clone();
    let plain = String::from_utf8(plain).unwrap();
    let lines: Vec<&str> = plain.lines().collect();
    assert_eq!(lines[0], "first\tlast\tstate\tsegment_bytes\tarchive_bytes\tbecause");
    assert!(lines[1].starts_with("1\t") && lines[1].contains("\tmoved\t"), "{plain}");
    assert!(lines[3].ends_with(&format!("\tconsumer mailer is at {second}")), "{plain}");
}

#[test]
fn a_folder_that_is_away_is_named_and_the_store_opens() {
    let place = filled();
    let shown = events(&place);
    let (usb, away) = (place.join("usb"), place.join("away"));
    let arguments = ["--before", "1000000", "--without-backup", "--to", path(&usb)];
    let done = place.document("archive", &arguments);
    let last = done["segments"].as_array().unwrap().iter().rfind(|segment| segment["state"] == "moved").unwrap();
    fs::rename(&usb, &away).unwrap();
    place.append(&command::line("s-9", 1));
    let next = (last["last"].as_u64().unwrap() + 1).to_string();
    place.command("events", &["--from", &next]).assert().success();
    let assert = place.command("events", &[]).assert().code(6);
    let error = String::from_utf8(assert.get_output().stderr.clone()).unwrap();
    assert!(error.contains(path(&usb)) && error.contains("bring that folder back"), "{error}");
    let (code, documents) = place.answer("verify", &[]);
    assert_eq!((code, &documents[0]["ok"]), (1, &json!(false)));
    assert!(documents[0].to_string().contains(path(&usb)), "{}", documents[0]);
    let repair = place.command("repair", &["--dry-run", "--json"]).assert().code(1);
    let plan = &values(&repair.get_output().stdout)[0];
    assert!(plan["obstacle"].as_str().unwrap().contains("bring that folder back"), "{plan}");
    place.command("unarchive", &[]).assert().code(6).stdout("");
    fs::rename(&away, &usb).unwrap();
    assert!(events(&place).starts_with(&shown));
    let back = place.document("unarchive", &[]);
    assert_eq!(back["moved"], done["moved"]);
    assert_eq!(Some(back["left"].as_array().unwrap().len() as u64), done["moved"].as_u64());
}

#[test]
fn a_damaged_archive_is_told_and_no_store_is_made_where_there_is_none() {
    let place = filled();
    place.document("archive", &["--before", "1000000", "--without-backup"]);
    let archive = content(&place.store().join("archive")).into_keys().next().unwrap();
    let mut bytes = fs::read(&archive).unwrap();
    bytes[2_000] ^= 1;
    fs::write(&archive, bytes).unwrap();
    let assert = place.command("events", &[]).assert().code(4);
    let error = String::from_utf8(assert.get_output().stderr.clone()).unwrap();
    assert!(error.contains(path(&archive)), "{error}");
    assert_eq!(place.answer("verify", &[]).0, 1);
    place.command("unarchive", &[]).assert().code(4);
    let missing = place.join("missing");
    for verb in [&["archive", path(&missing), "--before", "9", "--without-backup"][..], &["unarchive", path(&missing)]]
    {
        bitacora(verb).assert().code(3).stdout("");
    }
    assert!(!missing.exists());
}
