//! `bitacora backup` into an earlier backup brings it up to date, and never mixes two histories.

#![cfg(all(feature = "cli", unix))]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

mod command;

use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use bitacora::{CodecId, EventType, ExpectedVersion, NewEvent, Options, Store, StreamId};
use command::{Place, Silent, bitacora, content, line, values};
use serde_json::Value;

fn back_up(place: &Place, to: &str, more: &[&str]) -> Value {
    let to = place.join(to);
    let arguments = [&[to.to_str().unwrap(), "--json"], more].concat();
    let assert = place.command("backup", &arguments).assert().success().says_nothing();
    values(&assert.get_output().stdout).remove(0)
}

fn number(report: &Value, field: &str) -> u64 {
    report[field].as_u64().unwrap_or_else(|| panic!("{field} in {report}"))
}

/// What a verb prints of a folder beside the store.
fn read(place: &Place, verb: &str, name: &str) -> Vec<u8> {
    let path = place.join(name);
    bitacora([verb, path.to_str().unwrap(), "--json"]).assert().success().says_nothing().get_output().stdout.clone()
}

/// Appends so many events of 100 KB, in segments of 1 MiB.
fn grow(store: &Path, count: u64) {
    let options = Options::new().segment_bytes(1024 * 1024);
    let store = Store::open(store, options).unwrap();
    let stream = StreamId::new("bulk-1").unwrap();
    for _ in 0..count {
        let event = NewEvent::new(EventType::new("Noted").unwrap(), CodecId::RAW, vec![7; 100_000]);
        store.append(&stream, ExpectedVersion::Any, vec![event]).unwrap();
    }
    store.close().unwrap();
}

/// The exit code and the error of a backup that is refused; nothing of it is changed.
fn refused(place: &Place, to: &str) -> (i32, String) {
    let before = content(&place.join(to));
    let path = place.join(to);
    let assert = place.command("backup", &[path.to_str().unwrap()]).assert().failure().stdout("");
    assert!(content(&place.join(to)) == before, "nothing is changed");
    let output = assert.get_output();
    (output.status.code().unwrap(), String::from_utf8(output.stderr.clone()).unwrap())
}

#[test]
fn a_second_backup_copies_what_is_new() {
    let place = Place::new();
    grow(&place.store(), 35);
    let first = back_up(&place, "backup", &[]);
    assert_eq!((number(&first, "segments_kept"), number(&first, "bytes_kept")), (0, 0), "{first}");
    assert!(
        number(&first, "segments") > 3 && number(&first, "segments_copied") == number(&first, "segments"),
        "{first}"
    );
    grow(&place.store(), 20);
    let second = back_up(&place, "backup", &[]);
    assert_eq!((number(&second, "events"), &second["merkle_root"]), (55, &Value::Null), "{second}");
    assert!(number(&second, "segments_kept") >= number(&first, "segments") - 1, "{second}");
    assert_eq!(number(&second, "segments_kept") + number(&second, "segments_copied"), number(&second, "segments"));
    assert_eq!(number(&second, "bytes_kept") + number(&second, "bytes_copied"), number(&second, "bytes"));
    assert!(number(&second, "bytes_kept") > 2_500_000, "{second}");
    assert_eq!(read(&place, "events", "backup"), read(&place, "events", "store"));
    assert_eq!(values(&read(&place, "verify", "backup"))[0]["ok"], true);
    // Nothing is new, and all of it is read again.
    let third = back_up(&place, "backup", &["--verify-all"]);
    assert_eq!((number(&third, "segments_copied"), number(&third, "bytes_copied")), (0, 0), "{third}");
    assert_eq!(third["merkle_root"], back_up(&place, "fresh", &[])["merkle_root"]);
    // As text.
    let to = place.join("backup");
    let assert = place.command("backup", &[to.to_str().unwrap()]).assert().success().says_nothing();
    let text = String::from_utf8(assert.get_output().stdout.clone()).unwrap();
    let names: Vec<&str> = text.lines().filter_map(|line| line.split('\t').next()).collect();
    let expected = [
        "store_id",
        "segments",
        "segments_copied",
        "segments_reflinked",
        "segments_linked",
        "segments_kept",
        "seals",
        "bytes",
        "bytes_copied",
        "bytes_kept",
        "events",
        "last_sequence",
        "merkle_root",
        "seal_digest",
    ];
    assert_eq!(names, expected, "{text}");
}

#[test]
fn hard_links_are_made_on_request_and_of_finished_segments_alone() {
    let place = Place::new();
    grow(&place.store(), 25);
    let linked = |name: &str| {
        let mut files: Vec<(String, u64)> = std::fs::read_dir(place.join(name).join("log"))
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| (entry.file_name().into_string().unwrap(), entry.metadata().unwrap().nlink()))
            .filter(|(name, _)| name.ends_with(".seg"))
            .collect();
        files.sort();
        files.into_iter().map(|(_, links)| links > 1).collect::<Vec<bool>>()
    };
    let plain = back_up(&place, "plain", &[]);
    assert_eq!(number(&plain, "segments_linked"), 0);
    assert!(linked("plain").iter().all(|linked| !linked));
    for round in 0..2 {
        let report = back_up(&place, "backup", &["--hard-links"]);
        let links = linked("backup");
        assert!(!links.last().unwrap(), "round {round}: the last one is written to by who opens it");
        assert!(number(&report, "segments_linked") > 0, "{report}");
        assert_eq!(values(&read(&place, "verify", "backup"))[0]["ok"], true);
        grow(&place.store(), 20);
    }
}

#[test]
fn what_is_no_earlier_state_of_the_store_is_refused() {
    let place = Place::new();
    place.append(&line("a", 1));
    back_up(&place, "backup", &[]);
    // Opened to write since, and nothing appended.
    place.append(&line("a", 2));
    let opened = place.join("backup");
    bitacora(["append", opened.to_str().unwrap()]).write_stdin("").assert().success();
    let (code, error) = refused(&place, "backup");
    assert!(code == 1 && error.contains("was opened to write"), "{code} {error}");
    // And something appended.
    bitacora(["append", opened.to_str().unwrap()]).write_stdin(line("b", 1)).assert().success();
    let (code, error) = refused(&place, "backup");
    assert!(code == 1 && error.starts_with("error: ") && error.contains("was opened to write"), "{code} {error}");
    // Another store.
    let other = Place::new();
    other.append(&line("a", 1));
    let path = place.join("other");
    other.command("backup", &[path.to_str().unwrap()]).assert().success();
    let (code, error) = refused(&place, "other");
    assert!(code == 1 && error.contains("is another store"), "{code} {error}");
    // Newer than the store, which was set back.
    back_up(&place, "old", &[]);
    place.append(&line("a", 3));
    back_up(&place, "new", &[]);
    std::fs::remove_dir_all(place.store()).unwrap();
    let (old, store) = (place.join("old"), place.store());
    bitacora(["restore", old.to_str().unwrap(), store.to_str().unwrap()]).assert().success();
    let (code, error) = refused(&place, "new");
    assert!(code == 1 && error.contains("holds what the store does not"), "{code} {error}");
    // Damaged, with the place.
    let segment = place.join("old").join("log/00000000000000000001.seg");
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[600] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let (code, error) = refused(&place, "old");
    assert!(code == 4 && error.contains("old/log/00000000000000000001.seg at offset"), "{code} {error}");
}

#[test]
fn a_backup_that_is_being_written_to_is_locked() {
    let place = Place::new();
    place.append(&line("a", 1));
    back_up(&place, "backup", &[]);
    place.append(&line("a", 2));
    let to = place.join("backup");
    let mut writer = std::process::Command::new(command::PROGRAM)
        .args(["append", to.to_str().unwrap()])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    writer.stdin.as_mut().unwrap().write_all(line("b", 1).as_bytes()).unwrap();
    let mut answer = [0; 1];
    std::io::Read::read_exact(writer.stdout.as_mut().unwrap(), &mut answer).unwrap();
    let assert = place.command("backup", &[to.to_str().unwrap()]).assert().code(3).stdout("");
    assert!(String::from_utf8_lossy(&assert.get_output().stderr).contains("is being written to"));
    drop(writer.stdin.take());
    writer.wait().unwrap();
}

#[test]
fn ctrl_c_leaves_what_was_there() {
    let place = Place::new();
    grow(&place.store(), 10);
    back_up(&place, "backup", &[]);
    let before = read(&place, "events", "backup");
    grow(&place.store(), 1500);
    let mut interrupted = 0;
    for name in ["backup", "new"] {
        let to = place.join(name);
        let mut child = place.process("backup", &[to.to_str().unwrap()]).spawn().unwrap();
        // The signal may come before it is caught, and then ends the process as ever: nothing had been begun.
        let segment = if name == "new" { place.join("") } else { to.join("log") };
        let begun = |entry: std::io::Result<std::fs::DirEntry>| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            name.contains(".partial-") || name.ends_with(".tmp")
        };
        while !std::fs::read_dir(&segment).unwrap().any(begun) {
            assert!(child.try_wait().unwrap().is_none(), "it ended before it was seen to begin");
            std::thread::yield_now();
        }
        let pid = child.id().to_string();
        assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        let code = output.status.code().unwrap();
        assert!(code == 130 || code == 0, "{code}: {}", String::from_utf8_lossy(&output.stderr));
        interrupted += u32::from(code == 130);
        let mut names: Vec<String> = std::fs::read_dir(place.join(""))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.contains("partial"))
            .collect();
        names.sort();
        assert_eq!(names, Vec::<String>::new());
        if name == "backup" {
            assert!(read(&place, "events", "backup").starts_with(&before));
        } else {
            assert!(code == 0 || !to.exists());
        }
        assert!(!String::from_utf8_lossy(&output.stderr).contains("error:"));
    }
    assert!(interrupted > 0, "150 MB are not copied in the time that a signal takes");
}
