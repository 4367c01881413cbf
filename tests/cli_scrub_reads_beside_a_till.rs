//! `bitacora scrub` says what is damaged and where, goes on where it was, and leaves a running till alone; `--preset` opens a
//! store for a kind of machine.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

mod command;

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;

use bitacora::{CodecId, EventType, ExpectedVersion, NewEvent, Options, Store, StreamId};
use command::{Place, Silent, content, line, masked, order_of};
use serde_json::json;

const FIRST: &str = "log/00000000000000000001.seg";

fn write(store: &Store, from: u64, count: u64) {
    for number in from..from + count {
        let payload = format!("{{\"number\":{number},\"text\":\"{}\"}}", "x".repeat(150));
        let event = NewEvent::new(EventType::new("Noted").unwrap(), CodecId::JSON, payload.into_bytes());
        store.append(&StreamId::new("a-1").unwrap(), ExpectedVersion::Any, vec![event]).unwrap();
    }
}

/// A closed store of several segments.
fn filled(place: &Place, events: u64) {
    let store = Store::open(place.store(), Options::new().segment_bytes(64 * 1024).background(false)).unwrap();
    write(&store, 0, events);
    store.housekeep().unwrap();
    store.close().unwrap();
}

#[test]
fn a_sound_store_is_fine_and_only_the_position_is_written() {
    let place = Place::new();
    filled(&place, 900);
    let before = content(&place.store());
    place.command("scrub", &["--status"]).assert().code(1).stdout("");
    let assert = place.command("scrub", &["--rate", "0", "--json"]).assert().code(0).says_nothing();
    let text = String::from_utf8(assert.get_output().stdout.clone()).unwrap();
    assert_eq!(
        order_of(text.lines().next().unwrap()),
        [
            "ok",
            "is_complete",
            "pass",
            "started_at",
            "was_resumed",
            "segments",
            "events",
            "bytes",
            "last_sequence",
            "reads_repeated",
            "unread_since",
            "keeps_position",
            "findings",
            "findings_left_off"
        ]
    );
    let document = serde_json::from_str::<serde_json::Value>(&text).unwrap();
    assert!(document["bytes"].as_u64().unwrap() > 200_000, "{document}");
    let segments = document["segments"].as_u64().unwrap();
    assert!(segments > 3, "{document}");
    assert_eq!(
        masked(&document),
        json!({
            "ok": true, "is_complete": true, "pass": 1, "started_at": "TIME", "was_resumed": false, "segments": segments,
            "events": 900, "bytes": document["bytes"], "last_sequence": 900, "reads_repeated": 0, "unread_since": "TIME",
            "keeps_position": true, "findings": [], "findings_left_off": 0
        })
    );
    let mut after = content(&place.store());
    assert!(after.remove(&place.store().join("scrub")).is_some());
    assert!(after == before, "nothing else is written");
    assert_eq!(place.document("scrub", &["--status"])["started_at"], document["started_at"]);
    let plain = place.command("scrub", &["--rate", "0"]).assert().code(0).says_nothing();
    let plain = String::from_utf8(plain.get_output().stdout.clone()).unwrap();
    assert!(plain.starts_with("ok\ttrue\nis_complete\ttrue\npass\t2\n"), "{plain}");
}

#[test]
fn damage_is_told_with_its_place_and_is_no() {
    let place = Place::new();
    filled(&place, 900);
    let mut bytes = std::fs::read(place.store().join(FIRST)).unwrap();
    bytes[20_000] ^= 4;
    std::fs::write(place.store().join(FIRST), &bytes).unwrap();
    let verified = place.answer("verify", &[]);
    let (code, documents) = place.answer("scrub", &["--rate", "0"]);
    assert_eq!((code, documents[0]["ok"].as_bool()), (1, Some(false)));
    assert_eq!(documents[0]["findings"], verified.1[0]["findings"]);
    let finding = &documents[0]["findings"][0];
    assert_eq!((finding["segment"].as_str(), finding["kind"].as_str()), (Some(FIRST), Some("frame")));
    assert!(finding["offset"].as_u64().unwrap() <= 20_000 && finding["sequence"].as_u64().unwrap() > 1, "{finding}");
    // Also what is only remembered is "no".
    assert_eq!(place.answer("scrub", &["--status"]).0, 1);
    let plain = place.command("scrub", &["--rate", "0"]).assert().code(1);
    let plain = String::from_utf8(plain.get_output().stdout.clone()).unwrap();
    assert!(plain.contains("\nsegment\toffset\tsequence\tkind\tdetail\nlog/00000000000000000001.seg\t"), "{plain}");
}

#[test]
fn no_store_is_3_a_damaged_identity_is_4_and_a_bad_rate_is_2() {
    let place = Place::new();
    place.command("scrub", &[]).assert().code(3).stdout("");
    place.append(&line("a", 1));
    for rate in ["fast", "-1", "1e9"] {
        place.command("scrub", &["--rate", rate]).assert().code(2).stdout("");
    }
    let identity = place.store().join("identity");
    let mut bytes = std::fs::read(&identity).unwrap();
    bytes[20] ^= 1;
    std::fs::write(&identity, bytes).unwrap();
    let assert = place.command("scrub", &["--json"]).assert().code(4).stdout("");
    let error = String::from_utf8(assert.get_output().stderr.clone()).unwrap();
    let line = command::error_line(&error);
    assert!(line.starts_with("error: the store is damaged: identity at offset 0: "), "{error}");
}

#[test]
fn an_interrupted_scrub_is_130_and_the_next_one_goes_on_there() {
    let place = Place::new();
    filled(&place, 6_000);
    let mut child = place.process("scrub", &["--rate", "0.3"]).spawn().unwrap();
    // After a second it says how far it is.
    let mut told = BufReader::new(child.stderr.take().unwrap());
    let mut progress = String::new();
    told.read_line(&mut progress).unwrap();
    assert!(progress.starts_with("scrub: reading, ") && progress.contains(" MiB/s"), "{progress}");
    let sent = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let mut rest = String::new();
    told.read_to_string(&mut rest).unwrap();
    assert!(!rest.contains("error:"), "{rest}");
    let status = place.document("scrub", &["--status"]);
    let read = status["segments"].as_u64().unwrap();
    assert!(read > 0 && status["is_complete"] == false, "{status}");
    let report = place.document("scrub", &["--rate", "0"]);
    assert_eq!((report["was_resumed"].as_bool(), report["pass"].as_u64()), (Some(true), Some(1)));
    assert_eq!((report["events"].as_u64(), report["is_complete"].as_bool()), (Some(6_000), Some(true)));
    assert!(report["segments"].as_u64().unwrap() > read);
    let again = place.document("scrub", &["--rate", "0", "--restart"]);
    assert_eq!((again["was_resumed"].as_bool(), again["pass"].as_u64()), (Some(false), Some(2)));
}

#[test]
fn beside_a_till_that_writes_nothing_is_found() {
    let place = Place::new();
    let store = Store::open(place.store(), Options::new().segment_bytes(64 * 1024)).unwrap();
    write(&store, 0, 300);
    std::thread::scope(|scope| {
        let till = scope.spawn(|| write(&store, 300, 3_000));
        let mut least = 300;
        while !till.is_finished() {
            let report = place.document("scrub", &["--rate", "0"]);
            assert_eq!(report["ok"], true, "{report}");
            let last = report["last_sequence"].as_u64().unwrap();
            assert!(last >= least, "{last} after {least}");
            least = last;
        }
    });
    store.close().unwrap();
    assert_eq!(place.document("scrub", &["--rate", "0"])["events"], 3_300);
}

#[test]
fn where_it_was_can_be_kept_elsewhere_and_need_not_be_kept() {
    let place = Place::new();
    filled(&place, 300);
    let folder: PathBuf = place.join("positions");
    std::fs::create_dir(&folder).unwrap();
    let before = content(&place.store());
    let arguments = ["--rate", "0", "--position", folder.to_str().unwrap()];
    assert_eq!(place.document("scrub", &arguments)["pass"], 1);
    assert_eq!(place.document("scrub", &arguments)["pass"], 2);
    assert!(content(&place.store()) == before, "nothing is written into the store");
    let kept: Vec<String> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(kept.len() == 1 && kept[0].starts_with("scrub-"), "{kept:?}");
    // A name that is taken: it is told, and is no failure.
    std::fs::create_dir(place.store().join("scrub.tmp")).unwrap();
    let report = place.document("scrub", &["--rate", "0"]);
    assert_eq!((report["ok"].as_bool(), report["keeps_position"].as_bool()), (Some(true), Some(false)));
}

#[test]
fn a_preset_is_how_a_store_is_opened() {
    for (preset, mebibytes) in [("small", 4), ("default", 64), ("server", 256)] {
        let place = Place::new();
        let arguments = ["--preset", preset];
        place.command("append", &arguments).write_stdin(line("a", 1)).assert().success().says_nothing();
        let length = std::fs::metadata(place.store().join(FIRST)).unwrap().len();
        assert_eq!(length, mebibytes * 1024 * 1024, "{preset}");
        place.command("recover", &arguments).assert().success();
        place.command("command", &arguments).write_stdin("").assert().success();
    }
    Place::new().command("append", &["--preset", "huge"]).write_stdin("").assert().code(2);
}
