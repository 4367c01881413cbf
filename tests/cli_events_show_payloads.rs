//! `bitacora events` shows payloads as far as they can be read: JSON as it was given, built-in events flat, else bytes.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

mod command;

use bitacora::aggregate::{ExecuteOptions, Repository};
use bitacora::snapshot::SnapshotPolicy;
use bitacora::wallet::{Wallet, WalletCommand, WalletLimits};
use bitacora::{CodecId, EventType, ExpectedVersion, NewEvent, Options, Store, StreamId};
use command::Place;
use serde_json::json;

#[test]
fn json_comes_back_as_it_was_given() {
    let place = Place::new();
    let data = r#"{"z":1.10,"a":123456789012345678901234567890,"text":"caf\u00e9 \" é","list":[],"none":null}"#;
    place.append(&format!("{{\"data\": {data} , \"stream\":\"a\",\"type\":\"Noted\"}}"));
    let assert = place.command("events", &[]).assert().success();
    let text = String::from_utf8(assert.get_output().stdout.clone()).unwrap();
    assert!(text.contains(&format!("\"data\":{data},\"metadata\":{{}}")), "{text}");
}

#[test]
fn all_fields_are_there_in_the_order_of_the_contract() {
    let place = Place::new();
    let metadata = r#"{"correlation_id":"c","causation_id":"b","actor":"a","till":"7","shift":"late"}"#;
    let id = "018f2b7e-0000-7000-8000-000000000001";
    place.append(&format!(
        r#"{{"stream":"a","type":"Noted","data":[1],"id":"{id}","metadata":{metadata},"expected_version":0,"key":"k"}}"#
    ));
    let assert = place.command("events", &[]).assert().success();
    let text = String::from_utf8(assert.get_output().stdout.clone()).unwrap();
    let start = format!(r#"{{"sequence":1,"stream":"a","version":1,"type":"Noted","id":"{id}","timestamp":"2"#);
    assert!(text.starts_with(&start), "{text}");
    assert!(text.ends_with(&format!("Z\",\"data\":[1],\"metadata\":{metadata}}}\n")), "{text}");
    let time = place.read("events", &[])[0]["timestamp"].as_str().unwrap().to_owned();
    assert_eq!(time.len(), "2026-01-01T00:00:00.000000Z".len(), "{time}: RFC 3339 with microseconds");
}

#[test]
fn other_payloads_are_shown_as_bytes_and_lines_stay_lines() {
    let place = Place::new();
    let store = Store::open(place.store(), Options::new()).unwrap();
    let event = |codec, payload: &[u8]| NewEvent::new(EventType::new("Noted").unwrap(), codec, payload.to_vec());
    let events = vec![
        event(CodecId::RAW, b"\x00\xff"),
        event(CodecId(200), b"{}"),
        event(CodecId::JSON, b"{\n  \"a\": \"b\"\n}\n"),
        event(CodecId::JSON, b"no json"),
    ];
    store.append(&StreamId::new("a").unwrap(), ExpectedVersion::Any, events).unwrap();
    store.close().unwrap();
    drop(store);
    let data: Vec<_> = place.read("events", &[]).into_iter().map(|event| event["data"].clone()).collect();
    assert_eq!(data[0], json!({"codec": 0, "base64": "AP8="}));
    assert_eq!(data[1], json!({"codec": 200, "base64": "e30="}));
    assert_eq!(data[2], json!({"a": "b"}));
    assert_eq!(data[3], json!({"codec": 2, "base64": "bm8ganNvbg=="}));
}

#[test]
fn a_wallets_events_are_flat_objects_with_integer_amounts() {
    let place = Place::new();
    let store = Store::open(place.store(), Options::new()).unwrap();
    let wallets = Repository::<Wallet>::new(store.clone(), SnapshotPolicy::Never);
    let euro = "EUR".parse().unwrap();
    let open = WalletCommand::Open { currency: euro, overdraft_limit: 0, limits: WalletLimits::default() };
    let deposit = WalletCommand::Deposit { amount: bitacora::money::Money::new(1_999, euro) };
    for command in [open, deposit] {
        wallets.execute("7", &ExecuteOptions::default(), &command).unwrap();
    }
    store.close().unwrap();
    drop((wallets, store));
    let events = place.read("events", &["--stream", "wallet-7", "--type", "FundsDeposited"]);
    assert_eq!(events[0]["data"], json!({"amount": 1_999, "currency": "EUR"}));
}
