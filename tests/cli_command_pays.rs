//! `bitacora command` carries out payments, and `payment`, `payments` and the operator's verbs show and decide them.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

mod command;

use bitacora::payment::FileGateway;
use command::parked::{begin, park};
use command::{Place, masked};
use serde_json::{Value, json};

/// Ana has 1,000.
fn filled() -> Place {
    let place = Place::new();
    place.done(&[
        json!({"command": "open", "command_id": "1", "user_id": "ana", "currency": "EUR"}),
        json!({"command": "deposit", "command_id": "2", "user_id": "ana", "amount": 1_000, "currency": "EUR"}),
    ]);
    place
}

fn pay(command_id: &str, payment_id: &str, wallet_amount: i64, card_amount: i64) -> Value {
    json!({
        "command": "pay", "command_id": command_id, "payment_id": payment_id, "user_id": "ana", "currency": "EUR",
        "wallet_amount": wallet_amount, "card_amount": card_amount,
    })
}

fn operator(command: &str, command_id: &str, payment_id: &str) -> Value {
    json!({
        "command": command, "command_id": command_id, "payment_id": payment_id, "operator": "eva", "reason": "so it is",
    })
}

fn types(events: &Value) -> Vec<&str> {
    events.as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap()).collect()
}

/// The same with a payment of 300 from the wallet and 200 by card that is parked for review: its capture was refused.
fn with_one_parked() -> Place {
    let place = filled();
    park(&place, "parked");
    place
}

/// The same with a payment by card that was put on record and not begun with.
fn with_one_begun() -> Place {
    let place = filled();
    begin(&place, "begun");
    place
}

#[test]
fn a_payment_from_the_wallet_tells_its_events_and_its_outcome() {
    let place = filled();
    let outcome = &place.done(&[pay("3", "sale-1", 400, 0)])[0];
    assert_eq!(types(&outcome["events"]), ["PaymentStarted", "StepSucceeded", "StepSucceeded", "PaymentCompleted"]);
    let mut rest = masked(outcome);
    rest.as_object_mut().unwrap().remove("events");
    let expected = json!({
        "command_id": "3", "ok": true, "repeat": false, "version": 4, "sequence": outcome["sequence"],
        "payment_id": "sale-1", "state": "completed", "outcome": "completed", "reason": null,
    });
    assert_eq!(rest, expected);
    assert_eq!(place.document("wallet", &["ana"])["balance"], 600);
    let again = &place.done(&[pay("3", "sale-1", 400, 0)])[0];
    let mut expected = outcome.clone();
    expected["repeat"] = true.into();
    assert_eq!(*again, expected, "the same payment is given as it was");
    let (code, other) = place.carry_out(&[pay("3", "sale-1", 401, 0)], &[]);
    assert_eq!((code, &other[0]["refusal"]), (1, &json!("IdempotencyConflict")));
}

#[test]
fn a_payment_shows_its_steps_with_their_attempts() {
    let place = filled();
    place.done(&[pay("3", "sale-1", 400, 0)]);
    let payment = masked(&place.document("payment", &["sale-1"]));
    let attempt = json!([{
        "attempt": 1, "command_id": null, "published_at": null, "answered_at": "TIME", "outcome": "succeeded",
        "reason": null,
    }]);
    let step = |name: &str| {
        json!({
            "step": name, "kind": "step", "outcome": "succeeded", "amount": 400, "reference": null,
            "started_at": "TIME", "ended_at": "TIME", "attempts": attempt,
        })
    };
    assert_eq!(payment["steps"], json!([step("reserve"), step("capture")]));
    let mut rest = payment.clone();
    for list in ["steps", "events"] {
        rest.as_object_mut().unwrap().remove(list);
    }
    let expected = json!({
        "payment_id": "sale-1", "user_id": "ana", "currency": "EUR", "amount": 400, "wallet_amount": 400,
        "card_amount": 0, "deadline": "TIME", "state": "completed", "outcome": "completed", "reason": null,
        "in_doubt": null, "version": 4, "last_event_sequence": payment["last_event_sequence"],
    });
    assert_eq!(rest, expected);
}

#[test]
fn a_payment_that_is_not_paid_is_a_refusal_with_its_outcome() {
    let place = filled();
    let (code, outcomes) = place.carry_out(&[pay("3", "sale-1", 1_001, 0)], &[]);
    assert_eq!(code, 1);
    let outcome = &outcomes[0];
    let expected = json!({
        "command_id": "3", "ok": false, "refusal": "PaymentRejected", "message": outcome["reason"], "repeat": false,
        "version": outcome["version"], "sequence": outcome["sequence"], "payment_id": "sale-1", "state": "rejected",
        "outcome": "rejected", "reason": outcome["reason"],
    });
    assert_eq!(*outcome, expected);
    assert!(outcome["reason"].as_str().unwrap().contains("insufficient funds"), "{outcome}");
}

#[test]
fn without_a_gateway_a_card_is_refused_and_with_one_it_is_charged() {
    let place = filled();
    let (code, refused) = place.carry_out(&[pay("3", "sale-1", 100, 200)], &[]);
    assert_eq!((code, &refused[0]["refusal"]), (1, &json!("NoGateway")));
    place.command("payment", &["sale-1"]).assert().code(1);
    let gateway = place.join("gateway");
    let (code, outcomes) = place.carry_out(&[pay("3", "sale-1", 100, 200)], &["--gateway", gateway.to_str().unwrap()]);
    assert_eq!(code, 0, "{outcomes:?}");
    assert_eq!(outcomes[0]["outcome"], "completed");
    let charge = &FileGateway::read_journal(&gateway).unwrap().charges["sale-1"];
    assert_eq!((charge.captured, charge.captures), (200, 1));
    let payment = masked(&place.document("payment", &["sale-1"]));
    let charged = &payment["steps"][1];
    assert_eq!(
        (&charged["step"], &charged["outcome"], &charged["amount"]),
        (&json!("charge"), &json!("succeeded"), &json!(200))
    );
    let attempts = charged["attempts"].as_array().unwrap();
    let last = &attempts[attempts.len() - 1];
    assert_eq!((&last["command_id"], &last["published_at"]), (&json!("UUID"), &json!("TIME")), "{payment}");
    // What is over is given as it was, also without a gateway.
    assert_eq!(place.done(&[pay("3", "sale-1", 100, 200)])[0]["repeat"], true);
}

#[test]
fn a_payment_that_asks_for_nothing_is_refused() {
    let place = filled();
    let (code, outcomes) =
        place.carry_out(&[pay("3", "a", 0, 0), pay("4", "b", -1, 0), pay("5", "c", i64::MAX, 1)], &[]);
    assert_eq!(code, 1);
    let names: Vec<_> = outcomes.iter().map(|outcome| outcome["refusal"].as_str().unwrap()).collect();
    assert_eq!(names, ["InvalidAmount", "InvalidAmount", "Overflow"]);
}

#[test]
fn an_operator_calls_a_payment_off_once() {
    let place = with_one_begun();
    let cancelled = &place.done(&[operator("cancel", "x1", "begun")])[0];
    assert_eq!(cancelled["events"][0]["type"], "OperatorCancelled", "{cancelled}");
    assert_eq!(cancelled["events"][0]["data"], json!({"operator": "eva", "reason": "so it is"}));
    let states = ["rejected", "compensated"];
    assert!(states.contains(&cancelled["state"].as_str().unwrap()), "{cancelled}");
    assert_eq!(place.document("wallet", &["ana"])["locked_balance"], 0);
    let mut expected = cancelled.clone();
    expected["repeat"] = true.into();
    assert_eq!(place.done(&[operator("cancel", "x1", "begun")])[0], expected);
    let (code, refused) = place.carry_out(
        &[operator("cancel", "x2", "begun"), operator("retry", "x1", "begun"), operator("cancel", "x3", "nobody")],
        &[],
    );
    let names: Vec<_> = refused.iter().map(|outcome| outcome["refusal"].as_str().unwrap()).collect();
    assert_eq!((code, names), (1, vec!["AlreadyOver", "IdempotencyConflict", "PaymentNotFound"]));
}

#[test]
fn the_operators_verbs_put_names_on_record() {
    let place = with_one_parked();
    let with_operator = ["parked", "--operator", "eva", "--reason", "the bank said so"];
    let (code, refused) = place.answer("payment-cancel", &with_operator);
    let expected =
        json!({"payment_id": "parked", "ok": false, "refusal": "PastPivot", "message": refused[0]["message"]});
    assert_eq!((code, &refused[0]), (1, &expected));
    let (code, resolved) = place.answer("payment-resolve", &[&with_operator[..], &["--as", "completed"]].concat());
    assert_eq!(code, 0, "{resolved:?}");
    let resolved = &resolved[0];
    assert_eq!(types(&resolved["events"]), ["OperatorResolved", "StepSucceeded", "PaymentCompleted"]);
    let mut rest = resolved.clone();
    rest.as_object_mut().unwrap().remove("events");
    let expected = json!({
        "payment_id": "parked", "ok": true, "repeat": false, "version": rest["version"], "sequence": rest["sequence"],
        "state": "completed", "outcome": "completed", "reason": null,
    });
    assert_eq!(rest, expected);
    assert_eq!(place.document("wallet", &["ana"])["balance"], 700);
    let payment = masked(&place.document("payment", &["parked"]));
    let steps: Vec<&str> =
        payment["steps"].as_array().unwrap().iter().map(|step| step["step"].as_str().unwrap()).collect();
    assert_eq!(steps, ["reserve", "charge", "capture"]);
    let attempts = json!([
        {
            "attempt": 1, "command_id": "UUID", "published_at": "TIME", "answered_at": "TIME",
            "outcome": "permanent", "reason": "not today",
        },
        {
            "attempt": 1, "command_id": null, "published_at": null, "answered_at": "TIME", "outcome": "succeeded",
            "reason": null,
        },
    ]);
    assert_eq!(payment["steps"][2]["attempts"], attempts, "what the gateway refused stays on record");
    let traced = place.read("trace", &["parked"]);
    let resolved = traced.iter().find(|event| event["type"] == "OperatorResolved").unwrap();
    assert_eq!(resolved["metadata"]["actor"], "eva");
    assert!(traced.iter().any(|event| event["stream"] == "wallet-ana"), "what it did to the wallet is traced as well");
    let (code, over) = place.answer("payment-retry", &with_operator);
    assert_eq!((code, &over[0]["refusal"], &over[0]["outcome"]), (1, &json!("AlreadyOver"), &json!("completed")));
    let assert = place.command("payment-retry", &with_operator).assert().code(1).stdout("");
    let error = String::from_utf8(assert.get_output().stderr.clone()).unwrap();
    assert!(error.starts_with("error: AlreadyOver: "), "{error}");
}

#[test]
fn a_retry_goes_on_where_the_payment_was_given_up() {
    let place = with_one_parked();
    let gateway = place.join("gateway");
    let arguments = ["parked", "--operator", "eva", "--reason", "again", "--gateway", gateway.to_str().unwrap()];
    let (code, retried) = place.answer("payment-retry", &arguments);
    assert_eq!((code, &retried[0]["outcome"]), (0, &json!("completed")), "{retried:?}");
    assert_eq!(place.document("wallet", &["ana"])["balance"], 700);
}

#[test]
fn resolving_as_compensated_lets_go_what_was_held() {
    let place = with_one_parked();
    let mut resolve = operator("resolve", "x1", "parked");
    resolve["as"] = "compensated".into();
    let outcome = &place.done(&[resolve])[0];
    assert_eq!((&outcome["state"], &outcome["outcome"]), (&json!("compensated"), &json!("compensated")), "{outcome}");
    let wallet = place.document("wallet", &["ana"]);
    assert_eq!((&wallet["balance"], &wallet["locked_balance"]), (&json!(1_000), &json!(0)));
}

#[test]
fn an_operators_verb_makes_no_store() {
    for verb in ["payment-cancel", "payment-retry", "payment-resolve"] {
        let place = Place::new();
        let arguments = ["p", "--operator", "eva", "--reason", "r", "--as", "completed"];
        let arguments = if verb == "payment-resolve" { &arguments[..] } else { &arguments[..5] };
        place.command(verb, arguments).assert().code(3);
        assert!(!place.store().exists(), "{verb}");
        place.command(verb, &["p"]).assert().code(2);
    }
}

#[test]
fn payments_are_listed_by_where_they_stand() {
    let place = with_one_parked();
    place.done(&[pay("3", "sale-1", 100, 0)]);
    let ids = |arguments: &[&str]| -> Vec<String> {
        let payments = place.read("payments", arguments);
        payments.iter().map(|payment| payment["payment_id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(&[]), ["parked", "sale-1"]);
    assert_eq!(ids(&["--state", "completed"]), ["sale-1"]);
    assert_eq!(ids(&["--state", "manual_review"]), ["parked"]);
    assert!(ids(&["--in-doubt"]).is_empty() && ids(&["--overdue"]).is_empty());
    place.command("payments", &["--state", "asleep"]).assert().code(2);
    let parked = &place.read("payments", &["--state", "manual_review"])[0];
    let expected = json!({
        "payment_id": "parked", "state": "manual_review", "outcome": null, "user_id": "ana", "currency": "EUR",
        "amount": 500, "wallet_amount": 300, "card_amount": 200, "deadline": "TIME", "in_doubt": null,
        "is_overdue": false, "parked": parked["parked"], "version": parked["version"],
        "last_event_sequence": parked["last_event_sequence"],
    });
    assert_eq!(masked(parked), expected);
    assert!(parked["parked"].as_str().unwrap().contains("not today"), "{parked}");
}

#[test]
fn what_was_under_way_is_gone_on_with_before_the_first_command() {
    let place = with_one_begun();
    let gateway = place.join("gateway");
    let (code, outcomes) = place.carry_out(&[], &["--gateway", gateway.to_str().unwrap()]);
    assert_eq!((code, outcomes.len()), (0, 0));
    assert_eq!(place.document("payment", &["begun"])["outcome"], "completed");
}

#[test]
fn health_says_what_a_recovery_would_find() {
    let place = with_one_parked();
    let (code, health) = place.answer("health", &[]);
    let health = &health[0];
    let service = |index: usize, id: &str| {
        let service = &health["services"][index];
        json!({
            "service_id": id, "last_event_sequence": service["last_event_sequence"],
            "last_snapshot_id": service["last_snapshot_id"], "events_behind": service["events_behind"], "pending": [],
        })
    };
    let expected = json!({
        "is_well": false, "last_sequence": health["last_sequence"],
        "services": [service(0, "wallets"), service(1, "payments")],
        "payments": {"open": 1, "in_doubt": 0, "overdue": 0, "parked": 1}, "findings": [],
        "disk": health["disk"],
    });
    assert_eq!((code, health), (1, &expected));
    assert_eq!(health["disk"]["is_reserve_missing"], false);
    for service in health["services"].as_array().unwrap() {
        let [behind, at] = ["events_behind", "last_event_sequence"].map(|name| service[name].as_u64().unwrap());
        assert_eq!(behind + at, health["last_sequence"].as_u64().unwrap());
    }
    let mut resolve = operator("resolve", "x1", "parked");
    resolve["as"] = "completed".into();
    place.done(&[resolve]);
    let (code, health) = place.answer("health", &[]);
    assert_eq!((code, &health[0]["is_well"], &health[0]["payments"]["open"]), (0, &json!(true), &json!(0)));
}
