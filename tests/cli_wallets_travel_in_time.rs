//! `bitacora wallets`, `diff` and `explain` show wallets as they were, what changed, and why.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

mod command;

use command::{Place, masked};
use serde_json::{Value, json};

/// Two wallets and a transfer between them; the sequences of all outcomes, with that of the transfer's second event at the end.
fn filled() -> (Place, Vec<u64>) {
    let place = Place::new();
    let outcomes = place.done(&[
        json!({"command": "open", "command_id": "1", "user_id": "ana", "currency": "EUR"}),
        json!({"command": "deposit", "command_id": "2", "user_id": "ana", "amount": 1_000, "currency": "EUR"}),
        json!({"command": "open", "command_id": "3", "user_id": "ben", "currency": "EUR"}),
        json!({
            "command": "transfer", "command_id": "4", "transfer_id": "t", "from_user_id": "ana", "to_user_id": "ben",
            "amount": 300, "currency": "EUR", "metadata": {"correlation_id": "rent", "actor": "ana"},
        }),
        json!({
            "command": "hold", "command_id": "5", "user_id": "ana", "hold_id": "h", "amount": 50, "currency": "EUR",
        }),
    ]);
    let mut sequences: Vec<u64> = outcomes.iter().map(|outcome| outcome["sequence"].as_u64().unwrap()).collect();
    sequences.push(sequences[3] + 1);
    (place, sequences)
}

fn balances(wallets: &[Value]) -> Vec<(&str, i64)> {
    wallets.iter().map(|wallet| (wallet["user_id"].as_str().unwrap(), wallet["balance"].as_i64().unwrap())).collect()
}

#[test]
fn each_wallet_is_a_line_with_the_fields_of_wallet() {
    let (place, sequences) = filled();
    let wallets = place.read("wallets", &[]);
    let ana = json!({
        "user_id": "ana", "currency": "EUR", "balance": 700, "locked_balance": 50, "available_balance": 650,
        "version": 4, "last_event_sequence": sequences[4], "status": "open",
        "holds": [{"hold_id": "h", "amount": 50, "captured": 0, "payment_id": null, "expires_at": null}],
        "loaded_from": wallets[0]["loaded_from"], "events_replayed": wallets[0]["events_replayed"],
    });
    assert_eq!(wallets[0], ana);
    assert_eq!(balances(&wallets), [("ana", 700), ("ben", 300)]);
    for wallet in &wallets {
        let mut alone = place.document("wallet", &[wallet["user_id"].as_str().unwrap()]);
        for how in ["loaded_from", "events_replayed"] {
            alone[how] = wallet[how].clone();
        }
        assert_eq!(*wallet, alone);
    }
}

#[test]
fn as_of_a_sequence_only_wallets_opened_by_then_are_shown_also_inside_a_commit() {
    let (place, sequences) = filled();
    let at = |sequence: u64| place.read("wallets", &["--at-sequence", &sequence.to_string()]);
    assert_eq!(balances(&at(sequences[0] - 1)), []);
    assert_eq!(balances(&at(sequences[0])), [("ana", 0)]);
    assert_eq!(balances(&at(sequences[1])), [("ana", 1_000)]);
    assert_eq!(balances(&at(sequences[2])), [("ana", 1_000), ("ben", 0)]);
    // The transfer is one commit of two events. In between the money has left one wallet and not reached the other one.
    assert_eq!(balances(&at(sequences[3])), [("ana", 700), ("ben", 0)]);
    assert_eq!(balances(&at(sequences[5])), [("ana", 700), ("ben", 300)]);
    assert_eq!(balances(&at(u64::MAX)), [("ana", 700), ("ben", 300)]);
}

#[test]
fn as_of_a_time_they_are_shown_as_they_were() {
    let (place, sequences) = filled();
    let sequence = sequences[1].to_string();
    let event = &place.read("events", &["--from", &sequence, "--to", &sequence])[0];
    let at = |time: &str| place.read("wallets", &["--at-time", time]);
    let wallets = at(event["timestamp"].as_str().unwrap());
    assert_eq!(wallets[0]["user_id"], "ana");
    assert!(wallets[0]["balance"] == 1_000 || wallets[0]["balance"] == 700, "{wallets:?}");
    assert!(at("2000-01-01T00:00:00Z").is_empty());
    assert_eq!(at("2300-01-01T00:00:00Z").len(), 2);
    place.command("wallets", &["--at-time", "noon"]).assert().code(2);
    place.command("wallets", &["--at-time", "2300-01-01T00:00:00Z", "--at-sequence", "1"]).assert().code(2);
}

#[test]
fn a_diff_names_the_wallets_that_changed() {
    let (place, sequences) = filled();
    let diff = |arguments: &[&str]| place.read("diff", arguments);
    let (from, to) = (sequences[2].to_string(), sequences[5].to_string());
    let found = diff(&["--from-sequence", &from, "--to-sequence", &to]);
    let ben = json!({
        "user_id": "ben", "currency": "EUR",
        "from": {
            "balance": 0, "locked_balance": 0, "available_balance": 0, "status": "open", "version": 1,
            "last_event_sequence": sequences[2],
        },
        "to": {
            "balance": 300, "locked_balance": 0, "available_balance": 300, "status": "open", "version": 2,
            "last_event_sequence": sequences[5],
        },
        "balance_change": 300, "locked_change": 0, "events": 1,
    });
    assert_eq!((found.len(), &found[1]), (2, &ben));
    assert_eq!(diff(&["ben", "--from-sequence", &from])[0], ben, "without a second point it is now");
    let back = diff(&["ben", "--from-sequence", &to, "--to-sequence", &from]);
    assert_eq!((&back[0]["balance_change"], &back[0]["events"]), (&json!(-300), &json!(-1)));
    assert!(diff(&["--from-sequence", &to, "--to-sequence", &to]).is_empty());
    let all = diff(&["--from-sequence", "0"]);
    assert_eq!((all.len(), &all[0]["from"]["status"]), (2, &json!("unopened")));
    place.command("diff", &[]).assert().code(2);
}

#[test]
fn what_made_a_balance_adds_up_to_it() {
    let (place, sequences) = filled();
    let explanation = place.document("explain", &["ana"]);
    let line =
        |sequence: u64, version: u64, event_type: &str, change: i64, locked: i64, balance: i64, command: &str| {
            json!({
                "sequence": sequence, "version": version, "timestamp": "TIME", "type": event_type,
                "balance_change": change, "locked_change": locked, "balance": balance, "locked_balance": locked,
                "correlation_id": null, "causation_id": command, "actor": null,
            })
        };
    let mut transferred = line(sequences[3], 3, "TransferDebited", -300, 0, 700, "4");
    transferred["correlation_id"] = "rent".into();
    transferred["actor"] = "ana".into();
    let expected = json!({
        "user_id": "ana", "currency": "EUR", "balance": 700, "locked_balance": 50, "available_balance": 650,
        "version": 4, "last_event_sequence": sequences[4],
        "events": [
            line(sequences[0], 1, "WalletOpened", 0, 0, 0, "1"),
            line(sequences[1], 2, "FundsDeposited", 1_000, 0, 1_000, "2"),
            transferred,
            line(sequences[4], 4, "FundsHeld", 0, 50, 700, "5"),
        ],
    });
    assert_eq!(masked(&explanation), expected);
    let before = place.document("explain", &["ana", "--at-sequence", &sequences[1].to_string()]);
    assert_eq!((&before["balance"], before["events"].as_array().unwrap().len()), (&json!(1_000), 2));
    place.command("explain", &["ben", "--at-sequence", &sequences[1].to_string()]).assert().code(1);
    place.command("explain", &["nobody"]).assert().code(1);
}

#[test]
fn a_trace_is_all_that_has_a_correlation_id_in_order() {
    let (place, sequences) = filled();
    let traced = place.read("trace", &["rent"]);
    let event = |sequence: u64, stream: &str, version: u64, event_type: &str, other: (&str, &str)| {
        json!({
            "sequence": sequence, "stream": stream, "version": version, "type": event_type, "id": "UUID",
            "timestamp": "TIME",
            "data": {"transfer_id": "t", "amount": 300, "currency": "EUR", other.0: other.1},
            "metadata": {"correlation_id": "rent", "causation_id": "4", "actor": "ana"},
        })
    };
    let expected = [
        event(sequences[3], "wallet-ana", 3, "TransferDebited", ("to_user_id", "ben")),
        event(sequences[5], "wallet-ben", 2, "TransferCredited", ("from_user_id", "ana")),
    ];
    assert_eq!(traced.iter().map(masked).collect::<Vec<_>>(), expected);
    place.command("trace", &["nothing"]).assert().code(1);
}

#[test]
fn people_get_tables() {
    let (place, _) = filled();
    let text = |verb: &str, arguments: &[&str]| {
        let assert = place.command(verb, arguments).assert().success();
        String::from_utf8(assert.get_output().stdout.clone()).unwrap()
    };
    assert!(text("wallets", &[]).starts_with("user_id\tcurrency\tbalance\t"));
    assert!(text("diff", &["--from-sequence", "0"]).contains("\nben\tEUR\t300\t0\t2\t0\t300\tunopened\topen\n"));
    assert!(text("explain", &["ana"]).contains("\nbalance\t700\n"));
    assert!(text("trace", &["rent"]).contains("\twallet-ben\tTransferCredited\tana\t4\t"));
}

#[test]
fn snapshots_are_listed_newest_first() {
    let (place, sequences) = filled();
    place.done(&[json!({
        "command": "deposit", "command_id": "6", "user_id": "ana", "amount": 1, "currency": "EUR",
    })]);
    let snapshots = place.read("snapshots", &[]);
    let ids: Vec<&str> = snapshots.iter().map(|snapshot| snapshot["snapshot_id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["wallet-ana@5", "wallet-ana@4", "wallet-ben@2"]);
    let mut last = masked(&snapshots[2]);
    assert!(last["bytes"].as_u64().unwrap() > 0 && last["schema_version"].as_u64().unwrap() > 0);
    last["bytes"] = 0.into();
    last["schema_version"] = 0.into();
    let expected = json!({
        "snapshot_id": "wallet-ben@2", "aggregate_type": "wallet", "aggregate_id": "ben", "timestamp": "TIME",
        "last_event_version": 2, "last_event_sequence": sequences[5], "schema_version": 0, "codec": 1, "bytes": 0,
    });
    assert_eq!(last, expected);
    assert_eq!(place.read("snapshots", &["ben"]), snapshots[2..]);
    assert!(place.read("snapshots", &["nobody"]).is_empty());
}
