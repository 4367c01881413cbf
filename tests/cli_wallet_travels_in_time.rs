//! `bitacora wallet` shows a wallet as it is, and as it was at a sequence, a version or a time.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

mod command;

use bitacora::aggregate::{ExecuteOptions, Repository};
use bitacora::money::{Currency, Money};
use bitacora::snapshot::SnapshotPolicy;
use bitacora::wallet::{Wallet, WalletCommand, WalletLimits};
use bitacora::{Options, Store};
use command::Place;
use serde_json::{Value, json};

fn euro() -> Currency {
    "EUR".parse().unwrap()
}

/// Opened, 100.00 in, 30.00 held for payment p, 25.00 out: four events of wallet 7 at sequences 1, 2, 4 and 5.
fn filled(policy: SnapshotPolicy) -> Place {
    let place = Place::new();
    let store = Store::open(place.store(), Options::new()).unwrap();
    let wallets = Repository::<Wallet>::new(store.clone(), policy);
    let execute = |user: &str, command: WalletCommand| {
        wallets.execute(user, &ExecuteOptions::default(), &command).unwrap();
    };
    let euros = |major: i64| Money::new(major * 100, euro());
    execute("7", WalletCommand::Open { currency: euro(), overdraft_limit: 0, limits: WalletLimits::default() });
    execute("7", WalletCommand::Deposit { amount: euros(100) });
    execute("8", WalletCommand::Open { currency: euro(), overdraft_limit: 0, limits: WalletLimits::default() });
    let hold_id = "h".to_owned();
    let payment_id = Some("p".to_owned());
    execute("7", WalletCommand::Hold { hold_id, amount: euros(30), payment_id, time_to_live: None });
    execute("7", WalletCommand::Withdraw { amount: euros(25) });
    wallets.snapshot_changed();
    store.close().unwrap();
    place
}

#[test]
fn now_it_shows_balances_holds_and_where_they_come_from() {
    let wallet = filled(SnapshotPolicy::Never).document("wallet", &["7"]);
    let expected = json!({
        "user_id": "7", "currency": "EUR", "balance": 7_500, "locked_balance": 3_000, "available_balance": 4_500,
        "version": 4, "last_event_sequence": 5, "status": "open", "loaded_from": "beginning", "events_replayed": 4,
        "holds": [{"hold_id": "h", "amount": 3_000, "captured": 0, "payment_id": "p", "expires_at": null}],
    });
    assert_eq!(wallet, expected);
}

#[test]
fn a_sequence_and_a_version_are_points_in_the_past() {
    let place = filled(SnapshotPolicy::Never);
    let balances = |arguments: &[&str]| {
        let wallet = place.document("wallet", &[&["7"], arguments].concat());
        (wallet["balance"].as_i64().unwrap(), wallet["locked_balance"].as_i64().unwrap())
    };
    assert_eq!(balances(&["--at-sequence", "1"]), (0, 0));
    assert_eq!(balances(&["--at-sequence", "3"]), (10_000, 0));
    assert_eq!(balances(&["--at-version", "3"]), (10_000, 3_000));
    assert_eq!(balances(&["--at-version", "99"]), (7_500, 3_000));
    assert_eq!(balances(&["--at-sequence", "99"]), (7_500, 3_000));
    place.command("wallet", &["8", "--at-sequence", "2"]).assert().code(1);
}

#[test]
fn a_time_is_a_point_in_the_past() {
    let place = filled(SnapshotPolicy::Never);
    let events = place.read("events", &["--stream", "wallet-7"]);
    let time = |event: &Value| event["timestamp"].as_str().unwrap().to_owned();
    let last = place.document("wallet", &["7", "--at-time", &time(&events[3])]);
    assert_eq!(last["version"], 4);
    let future = place.document("wallet", &["7", "--at-time", "2300-01-01T00:00:00+01:00"]);
    assert_eq!(future["version"], 4);
    place.command("wallet", &["7", "--at-time", "2000-01-01T00:00:00Z"]).assert().code(1);
}

#[test]
fn a_snapshot_spares_events_and_full_does_without() {
    let place = filled(SnapshotPolicy::default());
    let quick = place.document("wallet", &["7"]);
    assert_eq!(quick["loaded_from"], "wallet-7@4");
    assert_eq!(quick["events_replayed"], 0);
    let full = place.document("wallet", &["7", "--full"]);
    assert_eq!(full["loaded_from"], "beginning");
    assert_eq!(full["events_replayed"], 4);
    for field in ["balance", "locked_balance", "version", "holds"] {
        assert_eq!(quick[field], full[field], "{field}");
    }
}
