//! `bitacora command` carries out every command of a wallet, and says what followed.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

mod command;

use command::{Place, masked};
use serde_json::{Value, json};

fn open(user_id: &str) -> Value {
    json!({"command": "open", "command_id": format!("open-{user_id}"), "user_id": user_id, "currency": "EUR"})
}

fn funds(command: &str, command_id: &str, user_id: &str, amount: i64) -> Value {
    json!({"command": command, "command_id": command_id, "user_id": user_id, "amount": amount, "currency": "EUR"})
}

/// A wallet's part of an outcome.
fn wallet(outcome: &Value) -> (i64, i64, i64, &str) {
    let number = |name: &str| outcome[name].as_i64().unwrap();
    (number("balance"), number("locked_balance"), number("version"), outcome["status"].as_str().unwrap())
}

#[test]
fn an_outcome_tells_what_followed_and_where_the_wallet_stands() {
    let outcomes = Place::new().done(&[
        json!({
            "command": "open", "command_id": "c1", "user_id": "ana", "currency": "EUR", "overdraft_limit": 500,
            "limits": {"per_transaction": 10_000, "per_day": 20_000, "balance_max": 1_000_000},
        }),
        funds("deposit", "c2", "ana", 1_250),
    ]);
    let opened = json!({
        "command_id": "c1", "ok": true, "repeat": false,
        "events": [{
            "type": "WalletOpened", "stream": "wallet-ana", "version": 1, "sequence": outcomes[0]["sequence"],
            "data": {
                "currency": "EUR", "overdraft_limit": 500,
                "per_transaction": 10_000, "per_day": 20_000, "balance_max": 1_000_000,
            },
        }],
        "version": 1, "sequence": outcomes[0]["sequence"], "user_id": "ana", "currency": "EUR",
        "balance": 0, "locked_balance": 0, "available_balance": 0, "status": "open",
    });
    assert_eq!(outcomes[0], opened);
    let sequence = outcomes[0]["sequence"].as_u64().unwrap() + 1;
    let deposited = json!({
        "command_id": "c2", "ok": true, "repeat": false,
        "events": [{
            "type": "FundsDeposited", "stream": "wallet-ana", "version": 2, "sequence": sequence,
            "data": {"amount": 1_250, "currency": "EUR"},
        }],
        "version": 2, "sequence": sequence, "user_id": "ana", "currency": "EUR",
        "balance": 1_250, "locked_balance": 0, "available_balance": 1_250, "status": "open",
    });
    assert_eq!(outcomes[1], deposited);
}

/// Goal: every row of the wallet's table can be asked for. Method: one after the other on two wallets, each with the type of
/// the event that follows and the balance, what is locked, the version and the status after it.
#[test]
fn every_command_of_a_wallet_is_carried_out() {
    let place = Place::new();
    let of = |command: &str, id: &str, more: Value| {
        let mut line = json!({"command": command, "command_id": id, "user_id": "ana"});
        line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        line
    };
    let hold = |id: &str, hold_id: &str, amount: i64, more: Value| {
        let mut line = funds("hold", id, "ana", amount);
        line["hold_id"] = hold_id.into();
        line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        line
    };
    let part = |command: &str, id: &str, hold_id: &str, amount: i64, more: Value| {
        let mut line = hold(id, hold_id, amount, more);
        line["command"] = command.into();
        line
    };
    let table = [
        (open("ana"), "WalletOpened", (0, 0, 1, "open")),
        (funds("deposit", "1", "ana", 10_000), "FundsDeposited", (10_000, 0, 2, "open")),
        (funds("withdraw", "2", "ana", 1_000), "FundsWithdrawn", (9_000, 0, 3, "open")),
        (hold("3", "h1", 2_000, json!({})), "FundsHeld", (9_000, 2_000, 4, "open")),
        (part("increase_hold", "4", "h1", 500, json!({})), "HoldIncreased", (9_000, 2_500, 5, "open")),
        (hold("5", "h2", 100, json!({"time_to_live_ms": 60_000})), "FundsHeld", (9_000, 2_600, 6, "open")),
        (
            of("extend_hold", "6", json!({"hold_id": "h2", "time_to_live_ms": 3_600_000})),
            "HoldExtended",
            (9_000, 2_600, 7, "open"),
        ),
        (part("capture", "7", "h1", 1_000, json!({"final": false})), "HoldCaptured", (8_000, 1_600, 8, "open")),
        (part("capture", "8", "h1", 500, json!({})), "HoldCaptured", (7_500, 100, 9, "open")),
        (of("release", "9", json!({"hold_id": "h2"})), "HoldReleased", (7_500, 0, 10, "open")),
        (part("refund", "10", "h1", 300, json!({})), "RefundCredited", (7_800, 0, 11, "open")),
        (
            of("adjust", "11", json!({"amount": -800, "currency": "EUR", "reason": "miscounted", "operator": "eva"})),
            "BalanceAdjusted",
            (7_000, 0, 12, "open"),
        ),
        (of("set_overdraft", "12", json!({"overdraft_limit": 50})), "OverdraftLimitSet", (7_000, 0, 13, "open")),
        (of("set_limits", "13", json!({"limits": {"per_day": 90_000}})), "LimitsSet", (7_000, 0, 14, "open")),
        (of("freeze", "14", json!({"debits_only": true})), "WalletFrozen", (7_000, 0, 15, "frozen_debits")),
        (of("freeze", "15", json!({})), "WalletFrozen", (7_000, 0, 16, "frozen")),
        (of("unfreeze", "16", json!({})), "WalletUnfrozen", (7_000, 0, 17, "open")),
        (hold("17", "h3", 1, json!({"time_to_live_ms": 1})), "FundsHeld", (7_000, 1, 18, "open")),
    ];
    let commands: Vec<Value> = table.iter().map(|(command, ..)| command.clone()).collect();
    for (outcome, (command, event_type, after)) in place.done(&commands).iter().zip(&table) {
        assert_eq!(outcome["events"][0]["type"], *event_type, "{command}");
        assert_eq!(outcome["events"].as_array().unwrap().len(), 1, "{command}");
        assert_eq!(wallet(outcome), *after, "{command}");
    }
    // By the time of the next process the hold's millisecond is over.
    let rest = [
        (of("expire", "18", json!({"hold_id": "h3"})), "HoldExpired", (7_000, 0, 19, "open")),
        (funds("withdraw", "19", "ana", 7_000), "FundsWithdrawn", (0, 0, 20, "open")),
        (of("close", "20", json!({})), "WalletClosed", (0, 0, 21, "closed")),
    ];
    let commands: Vec<Value> = rest.iter().map(|(command, ..)| command.clone()).collect();
    for (outcome, (command, event_type, after)) in place.done(&commands).iter().zip(&rest) {
        assert_eq!(outcome["events"][0]["type"], *event_type, "{command}");
        assert_eq!(wallet(outcome), *after, "{command}");
    }
    assert_eq!(place.document("verify", &[])["ok"], true);
}

fn transfer(command_id: &str, transfer_id: &str, amount: i64) -> Value {
    json!({
        "command": "transfer", "command_id": command_id, "transfer_id": transfer_id, "from_user_id": "ana",
        "to_user_id": "ben", "amount": amount, "currency": "EUR",
    })
}

#[test]
fn a_transfer_tells_both_wallets() {
    let place = Place::new();
    place.done(&[open("ana"), open("ben"), funds("deposit", "1", "ana", 1_000)]);
    let outcome = &place.done(&[transfer("2", "t1", 400)])[0];
    let sequence = outcome["sequence"].as_u64().unwrap();
    let expected = json!({
        "command_id": "2", "ok": true, "repeat": false,
        "events": [
            {
                "type": "TransferDebited", "stream": "wallet-ana", "version": 3, "sequence": sequence,
                "data": {"transfer_id": "t1", "amount": 400, "currency": "EUR", "to_user_id": "ben"},
            },
            {
                "type": "TransferCredited", "stream": "wallet-ben", "version": 2, "sequence": sequence + 1,
                "data": {"transfer_id": "t1", "amount": 400, "currency": "EUR", "from_user_id": "ana"},
            },
        ],
        "version": 3, "sequence": sequence, "user_id": "ana", "currency": "EUR",
        "balance": 600, "locked_balance": 0, "available_balance": 600, "status": "open",
        "to": {
            "version": 2, "sequence": sequence + 1, "user_id": "ben", "currency": "EUR",
            "balance": 400, "locked_balance": 0, "available_balance": 400, "status": "open",
        },
    });
    assert_eq!(*outcome, expected);
}

#[test]
fn the_same_command_is_answered_with_its_first_outcome_also_after_restarts() {
    let place = Place::new();
    let commands = [
        open("ana"),
        open("ben"),
        funds("deposit", "1", "ana", 1_000),
        transfer("2", "t1", 400),
        funds("withdraw", "3", "ana", 600),
    ];
    let first = place.done(&commands);
    // The money is gone, so each of them would be refused now.
    for round in 0..3 {
        for (again, first) in place.done(&commands).iter().zip(&first) {
            let mut expected = first.clone();
            expected["repeat"] = true.into();
            assert_eq!(*again, expected, "round {round}");
        }
    }
    assert_eq!(place.document("wallet", &["ana"])["version"], 4);
}

#[test]
fn the_same_id_with_other_content_is_refused() {
    let place = Place::new();
    place.done(&[open("ana"), funds("deposit", "1", "ana", 1_000)]);
    let (code, outcomes) = place.carry_out(
        &[funds("deposit", "1", "ana", 1_001), funds("withdraw", "1", "ana", 1_000), funds("deposit", "2", "ana", 5)],
        &[],
    );
    assert_eq!(code, 1);
    for refused in &outcomes[..2] {
        assert_eq!(refused["refusal"], "IdempotencyConflict", "{refused}");
        assert_eq!((&refused["command_id"], &refused["ok"]), (&json!("1"), &json!(false)));
    }
    assert_eq!(outcomes[2]["balance"], 1_005, "what comes after a refusal is carried out");
}

#[test]
fn a_refusal_leaves_the_command_id_free() {
    let place = Place::new();
    place.done(&[open("ana")]);
    let (code, refused) = place.carry_out(&[funds("withdraw", "1", "ana", 10)], &[]);
    assert_eq!((code, &refused[0]["refusal"]), (1, &json!("InsufficientFunds")));
    let outcomes = place.done(&[funds("deposit", "2", "ana", 10), funds("withdraw", "1", "ana", 10)]);
    assert_eq!((&outcomes[1]["repeat"], &outcomes[1]["balance"]), (&json!(false), &json!(0)));
}

#[test]
fn a_hold_that_is_asked_for_again_changes_nothing() {
    let place = Place::new();
    let mut hold = funds("hold", "1", "ana", 10);
    hold["hold_id"] = "h".into();
    place.done(&[open("ana"), funds("deposit", "0", "ana", 10), hold.clone()]);
    hold["command_id"] = "2".into();
    let outcome = &place.done(&[hold])[0];
    assert_eq!((&outcome["events"], &outcome["repeat"]), (&json!([]), &json!(false)), "{outcome}");
    assert_eq!(wallet(outcome), (10, 10, 3, "open"));
}

#[test]
fn what_stands_beside_a_command_stands_beside_its_events() {
    let place = Place::new();
    let mut deposit = funds("deposit", "d-1", "ana", 10);
    deposit["metadata"] = json!({"correlation_id": "day-7", "actor": "eva", "till": "3"});
    place.done(&[open("ana"), deposit]);
    let events = place.read("events", &["--stream", "wallet-ana"]);
    assert_eq!(events[0]["metadata"], json!({"causation_id": "open-ana"}));
    let expected = json!({"correlation_id": "day-7", "causation_id": "d-1", "actor": "eva", "till": "3"});
    assert_eq!(events[1]["metadata"], expected);
    let traced = place.read("trace", &["day-7"]);
    assert_eq!((traced.len(), &traced[0]), (1, &events[1]), "{:?}", masked(&traced[0]));
}
