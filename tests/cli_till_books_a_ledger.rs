//! `bitacora till`: a ledger is booked once, however often it is started, in order for each user, and refuses by line number.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

mod command;

use command::{Place, values};
use serde_json::{Value, json};

/// Line 1 is the header; line number mod 3 is the form of a payment: 0 wallet, 1 card, 2 split.
const LEDGER: &str = "id,user_id,timestamp,kind,amount,currency\r\n\
    d1,00001,2026-01-01T08:00:00Z,deposit,100.00,EUR\r\n\
    p1,00001,2026-01-01T08:01:00Z,payment,30.00,EUR\r\n\
    p2,00001,2026-01-01T08:02:00Z,payment,12.34,EUR\r\n\
    p3,00001,2026-01-01T08:03:00Z,payment,0.01,EUR\r\n\
    w1,00001,2026-01-01T08:04:00Z,withdrawal,1000.00,EUR\r\n\
    w2,00001,2026-01-01T08:05:00Z,withdrawal,20.00,EUR\r\n\
    z1,00002,2026-01-01T08:06:00Z,payment,0.00,EUR\r\n\
    z2,00002,2026-01-01T08:06:00Z,payment,-1.00,EUR\r\n\
    z3,00002,2026-01-01T08:06:00Z,payment,1.00,XXQ\r\n\
    z4,00002,2026-01-01T08:06:00Z,payment\r\n\
    d1,00001,2026-01-01T08:07:00Z,deposit,5.00,EUR\r\n\
    y1,00003,2026-01-01T08:08:00Z,deposit,500,JPY\r\n\
    y2,00003,2026-01-01T08:08:00Z,deposit,1.5,JPY\r\n";

fn run(place: &Place, arguments: &[&str]) -> Value {
    let ledger = place.join("day.csv");
    std::fs::write(&ledger, LEDGER).unwrap();
    let arguments = [&["--ledger", ledger.to_str().unwrap(), "--json"], arguments].concat();
    values(&place.command("till", &arguments).assert().success().get_output().stdout).pop().unwrap()
}

#[test]
fn each_line_has_one_answer_and_money_adds_up() {
    let place = Place::new();
    let summary = run(&place, &["--workers", "3"]);
    assert_eq!(summary["lines"], 13);
    let answered: u64 = ["completed", "compensated", "rejected", "deposits", "withdrawals"]
        .iter()
        .map(|name| summary[name].as_u64().unwrap())
        .sum();
    let refused: Vec<u64> =
        summary["refused"].as_array().unwrap().iter().map(|refused| refused["line"].as_u64().unwrap()).collect();
    assert_eq!(answered + refused.len() as u64, 13);
    assert_eq!(refused, [6, 8, 9, 10, 11, 12, 14], "a withdrawal that is not covered, and what cannot be booked");
    assert_eq!((summary["deposits"].as_u64(), summary["withdrawals"].as_u64()), (Some(2), Some(1)));
    let wallets: Vec<Value> = place
        .read("streams", &[])
        .into_iter()
        .filter(|s| s["stream"].as_str().unwrap().starts_with("wallet-"))
        .collect();
    assert_eq!(wallets.len(), 2, "no wallet is opened for lines that cannot be booked: {wallets:?}");
    let wallet = place.document("wallet", &["00001"]);
    assert_eq!(wallet["currency"], "EUR");
    assert_eq!(wallet["locked_balance"], 0);
    let captured = summary["captured"]["EUR"].as_i64().unwrap_or(0);
    assert_eq!(
        wallet["balance"].as_i64().unwrap(),
        10_000 - 2_000 - captured + 5_000 * summary["top_ups"].as_i64().unwrap()
    );
    assert_eq!(summary["balances"], json!({"EUR": wallet["balance"], "JPY": 500}));
    assert_eq!(place.document("verify", &[])["ok"], true);
}

#[test]
fn started_again_it_does_nothing_twice() {
    let place = Place::new();
    let first = run(&place, &[]);
    let events = || {
        let all = place.read("events", &[]);
        all.iter().filter(|event| event["stream"] != "system-recovery").count()
    };
    let once = events();
    let again = run(&place, &["--workers", "1"]);
    for name in [
        "lines",
        "completed",
        "compensated",
        "rejected",
        "deposits",
        "withdrawals",
        "top_ups",
        "refused",
        "captured",
        "charged",
        "balances",
    ] {
        assert_eq!(first[name], again[name], "{name}");
    }
    assert_eq!(events(), once, "beside the record of its recovery");
}

#[test]
fn acknowledgements_name_the_line_and_the_sequence_of_its_outcome() {
    let place = Place::new();
    let ledger = place.join("day.csv");
    std::fs::write(&ledger, LEDGER).unwrap();
    let arguments = ["--ledger", ledger.to_str().unwrap(), "--acks"];
    let acks = values(&place.command("till", &arguments).assert().success().get_output().stdout);
    assert_eq!(acks.len(), 7, "{acks:?}");
    let events = place.read("events", &[]);
    for ack in acks {
        let event = &events[usize::try_from(ack["sequence"].as_u64().unwrap()).unwrap() - 1];
        let expected = match ack["outcome"].as_str().unwrap() {
            "deposited" => "FundsDeposited",
            "withdrawn" => "FundsWithdrawn",
            "completed" => "PaymentCompleted",
            "compensated" => "PaymentCompensated",
            "rejected" => "PaymentRejected",
            "refused" => "LineRefused",
            other => panic!("{other}"),
        };
        assert_eq!(event["type"], expected, "{ack}");
    }
}

#[test]
fn a_ledger_that_is_not_there_changes_nothing() {
    let place = Place::new();
    place.command("till", &["--ledger", "no-such.csv"]).assert().code(2);
    assert!(!place.store().exists());
}
