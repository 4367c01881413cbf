//! `bitacora command` refuses what the wallet's table says, by name and with numbers, and goes on.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

mod command;

use command::{Place, masked};
use serde_json::{Value, json};

/// One store for all refusals: each changes nothing.
struct Book {
    place: Place,
    number: u64,
}

impl Book {
    /// Wallets of all kinds: `ana` has 100 and an overdraft of 50, of which 30 are held as `h`; `ben` is limited; `cam` is
    /// frozen, `dan` for debits; `eva` is closed; `fay` is in dollars.
    fn new() -> Self {
        let mut book = Self { place: Place::new(), number: 0 };
        for (user_id, currency) in
            [("ana", "EUR"), ("ben", "EUR"), ("cam", "EUR"), ("dan", "EUR"), ("eva", "EUR"), ("fay", "USD")]
        {
            book.must("open", user_id, json!({"currency": currency}));
        }
        let euros = |amount: i64| json!({"amount": amount, "currency": "EUR"});
        book.must("deposit", "ana", euros(100));
        book.must("set_overdraft", "ana", json!({"overdraft_limit": 50}));
        book.must("hold", "ana", json!({"hold_id": "h", "amount": 30, "currency": "EUR"}));
        book.must("hold", "ana", json!({"hold_id": "over", "amount": 1, "currency": "EUR", "time_to_live_ms": 1}));
        book.must("hold", "ana", json!({"hold_id": "p", "amount": 1, "currency": "EUR", "payment_id": "p"}));
        book.must("hold", "ana", json!({"hold_id": "gone", "amount": 5, "currency": "EUR"}));
        book.must("release", "ana", json!({"hold_id": "gone"}));
        book.must("hold", "ana", json!({"hold_id": "paid", "amount": 10, "currency": "EUR"}));
        book.must("capture", "ana", json!({"hold_id": "paid", "amount": 10, "currency": "EUR"}));
        book.must("deposit", "ben", euros(100));
        let limits = json!({"per_transaction": 20, "per_day": 30, "balance_max": 110});
        book.must("set_limits", "ben", json!({"limits": limits}));
        book.must("withdraw", "ben", euros(15));
        book.must("freeze", "cam", json!({}));
        book.must("freeze", "dan", json!({"debits_only": true}));
        book.must("close", "eva", json!({}));
        book
    }

    fn line(&mut self, command: &str, user_id: &str, fields: Value) -> Value {
        self.number += 1;
        let mut line = json!({"command": command, "command_id": format!("c{}", self.number)});
        if command != "transfer" {
            line["user_id"] = user_id.into();
        }
        line.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        line
    }

    fn must(&mut self, command: &str, user_id: &str, fields: Value) {
        let line = self.line(command, user_id, fields);
        self.place.done(&[line]);
    }

    /// Carries out all of them in one process; each must be refused, with exactly these fields.
    #[track_caller]
    fn refused(&mut self, cases: &[(&str, &str, Value, Value)]) {
        let lines: Vec<Value> =
            cases.iter().map(|(command, user_id, fields, _)| self.line(command, user_id, fields.clone())).collect();
        let last_sequence = |place: &Place| place.document("info", &[])["last_sequence"].as_u64().unwrap();
        let (code, outcomes) = self.place.carry_out(&lines, &[]);
        assert_eq!(code, 1);
        assert_eq!(outcomes.len(), lines.len());
        for ((outcome, line), (.., expected)) in outcomes.iter().zip(&lines).zip(cases) {
            let mut outcome = masked(outcome);
            let fields = outcome.as_object_mut().unwrap();
            assert_eq!(fields.remove("command_id"), Some(line["command_id"].clone()), "{line}");
            assert_eq!(fields.remove("ok"), Some(json!(false)), "{line}");
            assert!(fields.remove("message").unwrap().as_str().is_some_and(|text| !text.is_empty()), "{line}");
            assert_eq!(outcome, *expected, "{line}");
        }
        assert!(last_sequence(&self.place) > 0);
    }
}

fn euros(amount: i64) -> Value {
    json!({"amount": amount, "currency": "EUR"})
}

fn held(hold_id: &str, amount: i64) -> Value {
    json!({"hold_id": hold_id, "amount": amount, "currency": "EUR"})
}

fn with(mut fields: Value, name: &str, value: impl Into<Value>) -> Value {
    fields[name] = value.into();
    fields
}

fn why(name: &str) -> Value {
    json!({"refusal": name})
}

#[test]
fn of_opening_and_of_funds() {
    let mut book = Book::new();
    let insufficient = |requested: i64| json!({"refusal": "InsufficientFunds", "available": 58, "spendable": 108, "requested": requested});
    book.refused(&[
        ("open", "ana", json!({"currency": "EUR"}), why("AlreadyExists")),
        ("open", "gil", json!({"currency": "XXE"}), json!({"refusal": "UnknownCurrency", "currency": "XXE"})),
        (
            "open",
            "gil",
            json!({"currency": "EUR", "overdraft_limit": -1}),
            json!({"refusal": "InvalidAmount", "amount": -1}),
        ),
        ("deposit", "gil", euros(1), why("NotOpen")),
        ("deposit", "ana", euros(0), json!({"refusal": "InvalidAmount", "amount": 0})),
        ("deposit", "ana", euros(-5), json!({"refusal": "InvalidAmount", "amount": -5})),
        ("deposit", "fay", euros(1), json!({"refusal": "CurrencyMismatch", "expected": "USD", "given": "EUR"})),
        ("deposit", "eva", euros(1), why("Closed")),
        ("deposit", "cam", euros(1), json!({"refusal": "Frozen", "status": "frozen"})),
        (
            "deposit",
            "ben",
            euros(26),
            json!({"refusal": "MaxBalance", "balance": 85, "balance_max": 110, "requested": 26}),
        ),
        ("deposit", "ana", euros(i64::MAX), json!({"refusal": "Overflow", "balance": 90, "amount": i64::MAX})),
        ("withdraw", "ana", euros(109), insufficient(109)),
        ("withdraw", "dan", euros(1), json!({"refusal": "Frozen", "status": "frozen_debits"})),
        (
            "withdraw",
            "ben",
            euros(21),
            json!({
                "refusal": "LimitExceeded", "which": "per_transaction", "limit": 20, "used": 0, "requested": 21,
            }),
        ),
        (
            "withdraw",
            "ben",
            euros(16),
            json!({"refusal": "LimitExceeded", "which": "per_day", "limit": 30, "used": 15, "requested": 16}),
        ),
    ]);
}

#[test]
fn of_holds() {
    let mut book = Book::new();
    book.refused(&[
        (
            "hold",
            "ana",
            held("n", 109),
            json!({"refusal": "InsufficientFunds", "available": 58, "spendable": 108, "requested": 109}),
        ),
        ("hold", "ana", held("n", 0), json!({"refusal": "InvalidAmount", "amount": 0})),
        ("hold", "fay", held("n", 1), json!({"refusal": "CurrencyMismatch", "expected": "USD", "given": "EUR"})),
        ("hold", "dan", held("n", 1), json!({"refusal": "Frozen", "status": "frozen_debits"})),
        ("hold", "eva", held("n", 1), why("Closed")),
        (
            "hold",
            "ben",
            held("n", 21),
            json!({
                "refusal": "LimitExceeded", "which": "per_transaction", "limit": 20, "used": 0, "requested": 21,
            }),
        ),
        ("hold", "ana", held("h", 31), json!({"refusal": "HoldExists", "hold_id": "h"})),
        ("hold", "ana", held("", 1), json!({"refusal": "InvalidId", "id": ""})),
        ("hold", "ana", with(held("n", 1), "time_to_live_ms", 0), why("InvalidTimeToLive")),
        ("hold", "ana", with(held("n", 1), "time_to_live_ms", -1), why("InvalidTimeToLive")),
        ("increase_hold", "ana", held("n", 1), json!({"refusal": "HoldNotFound", "hold_id": "n"})),
        (
            "increase_hold",
            "ana",
            held("over", 1),
            json!({"refusal": "HoldExpired", "hold_id": "over", "expires_at": "TIME"}),
        ),
        (
            "increase_hold",
            "ana",
            held("h", 109),
            json!({"refusal": "InsufficientFunds", "available": 58, "spendable": 108, "requested": 109}),
        ),
        (
            "extend_hold",
            "ana",
            json!({"hold_id": "n", "time_to_live_ms": 5}),
            json!({"refusal": "HoldNotFound", "hold_id": "n"}),
        ),
        (
            "extend_hold",
            "ana",
            json!({"hold_id": "over", "time_to_live_ms": 5}),
            json!({"refusal": "HoldExpired", "hold_id": "over", "expires_at": "TIME"}),
        ),
    ]);
}

#[test]
fn of_captures_releases_expiries_and_refunds() {
    let mut book = Book::new();
    let resolved =
        |hold_id: &str, outcome: &str| json!({"refusal": "HoldResolved", "hold_id": hold_id, "outcome": outcome});
    book.refused(&[
        ("capture", "ana", held("n", 1), json!({"refusal": "HoldNotFound", "hold_id": "n"})),
        ("capture", "ana", held("gone", 1), resolved("gone", "released")),
        ("capture", "ana", held("paid", 1), resolved("paid", "captured")),
        ("capture", "ana", held("over", 1), json!({"refusal": "HoldExpired", "hold_id": "over", "expires_at": "TIME"})),
        (
            "capture",
            "ana",
            held("h", 31),
            json!({"refusal": "CaptureExceedsHold", "hold_id": "h", "held": 30, "requested": 31}),
        ),
        ("release", "ana", json!({"hold_id": "n"}), json!({"refusal": "HoldNotFound", "hold_id": "n"})),
        ("release", "ana", json!({"hold_id": "paid"}), resolved("paid", "captured")),
        (
            "expire",
            "ana",
            json!({"hold_id": "h"}),
            json!({"refusal": "HoldNotExpired", "hold_id": "h", "expires_at": null, "now": "TIME"}),
        ),
        (
            "expire",
            "ana",
            json!({"hold_id": "p"}),
            json!({"refusal": "HoldNamesPayment", "hold_id": "p", "payment_id": "p"}),
        ),
        ("refund", "ana", held("n", 1), json!({"refusal": "CaptureNotFound", "hold_id": "n"})),
        ("refund", "ana", held("gone", 1), json!({"refusal": "CaptureNotFound", "hold_id": "gone"})),
        (
            "refund",
            "ana",
            held("paid", 11),
            json!({
                "refusal": "RefundExceedsCapture", "hold_id": "paid", "captured": 10, "refunded": 0,
                "requested": 11,
            }),
        ),
        ("refund", "eva", held("paid", 1), why("Closed")),
    ]);
}

#[test]
fn of_transfers() {
    let mut book = Book::new();
    let order = |from: &str, to: &str, amount: i64| json!({"transfer_id": "t", "from_user_id": from, "to_user_id": to, "amount": amount, "currency": "EUR"});
    let line = book.line("transfer", "", with(order("ana", "ben", 5), "transfer_id", "made"));
    book.place.done(&[line]);
    book.refused(&[
        ("transfer", "", order("ana", "ana", 1), why("SameWallet")),
        (
            "transfer",
            "",
            order("ana", "fay", 1),
            json!({
                "refusal": "CurrencyMismatch", "target_user_id": "fay", "expected": "USD", "given": "EUR",
            }),
        ),
        (
            "transfer",
            "",
            order("ana", "ben", 104),
            json!({"refusal": "InsufficientFunds", "available": 53, "spendable": 103, "requested": 104}),
        ),
        ("transfer", "", order("dan", "ana", 1), json!({"refusal": "Frozen", "status": "frozen_debits"})),
        (
            "transfer",
            "",
            order("ben", "ana", 21),
            json!({
                "refusal": "LimitExceeded", "which": "per_transaction", "limit": 20, "used": 0, "requested": 21,
            }),
        ),
        (
            "transfer",
            "",
            order("ana", "ben", 21),
            json!({
                "refusal": "MaxBalance", "target_user_id": "ben", "balance": 90, "balance_max": 110, "requested": 21,
            }),
        ),
        ("transfer", "", order("ana", "eva", 1), json!({"refusal": "Closed", "target_user_id": "eva"})),
        (
            "transfer",
            "",
            with(order("ana", "ben", 6), "transfer_id", "made"),
            json!({"refusal": "TransferExists", "transfer_id": "made"}),
        ),
    ]);
}

#[test]
fn of_what_changes_a_wallet_as_a_whole() {
    let mut book = Book::new();
    let adjust = |amount: i64| with(with(euros(amount), "reason", "count"), "operator", "eva");
    book.refused(&[
        ("adjust", "ana", adjust(i64::MAX), json!({"refusal": "Overflow", "balance": 90, "amount": i64::MAX})),
        ("adjust", "eva", adjust(1), why("Closed")),
        ("adjust", "ana", adjust(-109), json!({"refusal": "WouldBreakInvariant", "spendable": -1})),
        ("adjust", "ana", with(adjust(1), "reason", ""), json!({"refusal": "InvalidReason", "bytes": 0})),
        ("adjust", "ana", with(adjust(1), "operator", ""), json!({"refusal": "InvalidId", "id": ""})),
        ("set_overdraft", "ana", json!({"overdraft_limit": -1}), json!({"refusal": "InvalidAmount", "amount": -1})),
        ("set_limits", "ana", json!({"limits": {"per_day": -1}}), json!({"refusal": "InvalidAmount", "amount": -1})),
        ("set_limits", "eva", json!({"limits": {}}), why("Closed")),
        ("freeze", "cam", json!({}), json!({"refusal": "InvalidState", "status": "frozen"})),
        ("unfreeze", "ana", json!({}), json!({"refusal": "InvalidState", "status": "open"})),
        ("close", "ben", json!({}), json!({"refusal": "NonZeroBalance", "balance": 85})),
        ("close", "eva", json!({}), json!({"refusal": "InvalidState", "status": "closed"})),
    ]);
    book.must("withdraw", "ana", euros(90));
    book.refused(&[
        ("close", "ana", json!({}), json!({"refusal": "ActiveHolds", "open": 3, "locked": 32})),
        (
            "set_overdraft",
            "ana",
            json!({"overdraft_limit": 31}),
            json!({"refusal": "WouldBreakInvariant", "spendable": -1}),
        ),
    ]);
}
