//! `bitacora repair --dry-run` says what is damaged, what is kept and what is lost, and changes nothing.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

mod command;

use std::fs;
use std::path::PathBuf;

use bitacora::aggregate::{ExecuteOptions, Repository};
use bitacora::money::{Currency, Money};
use bitacora::snapshot::SnapshotPolicy;
use bitacora::wallet::{Wallet, WalletCommand, WalletLimits};
use bitacora::{CodecId, EventType, ExpectedVersion, NewEvent, Options, Store, StreamId};
use command::{Place, Silent, bitacora, content};
use serde_json::Value;

/// Seven deposits of 1, 2, 4 ... cents into one wallet with notes between them that fill a segment each; three notes more in a
/// stream of their own. Closed.
fn store() -> Place {
    let place = Place::new();
    let store = Store::open(place.store(), Options::new().segment_bytes(1024 * 1024)).unwrap();
    let wallets = Repository::<Wallet>::new(store.clone(), SnapshotPolicy::Never);
    let euro = Currency::from_code("EUR").unwrap();
    let execute = |command: WalletCommand| {
        wallets.execute("ana", &ExecuteOptions::default(), &command).unwrap();
    };
    execute(WalletCommand::Open { currency: euro, overdraft_limit: 0, limits: WalletLimits::default() });
    for number in 0..7 {
        execute(WalletCommand::Deposit { amount: Money::new(1 << number, euro) });
        if number % 2 == 1 {
            let note = NewEvent::new(EventType::new("Noted").unwrap(), CodecId::RAW, vec![b'n'; 700_000]);
            store.append(&StreamId::new("notes-1").unwrap(), ExpectedVersion::Any, vec![note]).unwrap();
        }
    }
    store.close().unwrap();
    place
}

fn segments(place: &Place) -> Vec<PathBuf> {
    let entries = fs::read_dir(place.store().join("log")).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "seg"));
    paths.sort();
    paths
}

fn flip(path: &PathBuf, offset: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[offset] ^= 4;
    fs::write(path, bytes).unwrap();
}

/// The plan; every file must be as it was.
fn plan(place: &Place, code: i32) -> Value {
    let before = content(&place.store());
    let assert = place.command("repair", &["--dry-run", "--json"]).assert().code(code).says_nothing();
    assert!(content(&place.store()) == before, "nothing is changed");
    let mut documents = command::values(&assert.get_output().stdout);
    assert_eq!(documents.len(), 1);
    documents.remove(0)
}

#[test]
fn a_sound_store_has_nothing_to_repair() {
    let place = store();
    let plan = plan(&place, 0);
    assert_eq!((&plan["damaged"], &plan["refusal"]), (&Value::Bool(false), &Value::Null), "{plan}");
    assert_eq!((plan["events_kept"].as_u64(), plan["events_lost"].as_u64()), (Some(11), Some(0)), "{plan}");
    assert_eq!(plan["kept"], serde_json::json!([{"first": 1, "last": 11}]));
    assert!(["damage", "lost", "streams", "wallets"].iter().all(|name| plan[name].as_array().unwrap().is_empty()));
}

#[test]
fn a_flipped_bit_in_a_finished_segment_costs_one_deposit() {
    let place = store();
    // The first segment holds the opening, two deposits and a note; the second deposit is its third frame.
    let first = &segments(&place)[0];
    let bytes = fs::read(first).unwrap();
    let at = bytes.windows(14).enumerate().filter(|(_, window)| window == b"FundsDeposited").nth(1).unwrap().0;
    flip(first, at + 3);
    let plan = plan(&place, 1);
    assert_eq!(plan["lost"].as_array().unwrap().len(), 1, "{plan}");
    assert_eq!((plan["lost"][0]["first"].as_u64(), plan["lost"][0]["last"].as_u64()), (Some(3), Some(3)), "{plan}");
    assert_eq!(plan["damage"][0]["file"], "log/00000000000000000001.seg");
    assert!(plan["damage"][0]["offset"].as_u64().unwrap() > 512, "{plan}");
    let stream = &plan["streams"][0];
    assert_eq!((stream["stream"].as_str(), stream["whole_through"].as_u64()), (Some("wallet-ana"), Some(2)), "{plan}");
    let wallet = &plan["wallets"][0];
    assert_eq!((wallet["user_id"].as_str(), wallet["currency"].as_str()), (Some("ana"), Some("EUR")), "{plan}");
    // 1 before the loss of 2, and 4 + 8 + 16 + 32 + 64 behind it.
    let money = ["balance_whole", "moved_behind", "balance_known"].map(|name| wallet[name].as_i64().unwrap());
    assert_eq!(money, [1, 124, 125], "{plan}");
    // The same for people.
    let assert = place.command("repair", &["--dry-run"]).assert().code(1).says_nothing();
    let text = String::from_utf8(assert.get_output().stdout.clone()).unwrap();
    assert!(text.contains("damaged\ttrue") && text.contains("ana\tEUR\t1\t1\t124\t125"), "{text}");
}

#[test]
fn a_missing_segment_is_told_with_all_it_held() {
    let place = store();
    let segments = segments(&place);
    assert!(segments.len() >= 3);
    fs::remove_file(&segments[1]).unwrap();
    let first = |path: &PathBuf| path.file_stem().unwrap().to_str().unwrap().parse::<u64>().unwrap();
    let plan = plan(&place, 1);
    let lost = &plan["lost"][0];
    let expected = (Some(first(&segments[1])), Some(first(&segments[2]) - 1));
    assert_eq!((lost["first"].as_u64(), lost["last"].as_u64()), expected, "{plan}");
    assert!(plan["refusal"].as_str().unwrap().contains("segment"), "{plan}");
    assert!(
        !plan["damage"].as_array().unwrap().is_empty() && !plan["streams"].as_array().unwrap().is_empty(),
        "{plan}"
    );
    place.command("info", &[]).assert().code(4);
}

#[test]
fn a_damaged_header_costs_no_event() {
    let place = store();
    let last = segments(&place).pop().unwrap();
    flip(&last, 40);
    let plan = plan(&place, 1);
    assert_eq!((plan["events_kept"].as_u64(), plan["events_lost"].as_u64()), (Some(11), Some(0)), "{plan}");
    assert_eq!(plan["damage"][0]["kind"], "segments", "{plan}");
    assert!(plan["refusal"].is_string(), "{plan}");
}

#[test]
fn a_damaged_proven_frame_of_the_active_segment_is_told() {
    let place = store();
    let last = segments(&place).pop().unwrap();
    // Without the index an open reads this.
    fs::remove_dir_all(place.store().join("index")).unwrap();
    flip(&last, 512 + 20);
    let plan = plan(&place, 1);
    let first = last.file_stem().unwrap().to_str().unwrap().parse::<u64>().unwrap();
    assert_eq!(plan["lost"][0]["first"].as_u64(), Some(first), "{plan}");
    assert_eq!(plan["damage"][0]["offset"].as_u64(), Some(512), "{plan}");
    assert!(plan["refusal"].is_string(), "{plan}");
}

#[test]
fn a_damaged_identity_costs_no_event() {
    let place = store();
    let id = place.document("info", &[])["store_id"].clone();
    flip(&place.store().join("identity"), 20);
    let plan = plan(&place, 1);
    assert_eq!((&plan["store_id"], plan["events_kept"].as_u64()), (&id, Some(11)), "{plan}");
    assert_eq!(plan["damage"][0]["file"], "identity", "{plan}");
    assert!(plan["refusal"].is_string(), "{plan}");
}

#[test]
fn a_plan_needs_a_store() {
    let place = store();
    let missing = place.join("missing");
    bitacora(["repair", missing.to_str().unwrap(), "--dry-run"]).assert().code(3);
    assert!(!missing.exists());
}
