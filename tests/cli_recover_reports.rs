//! `bitacora recover` brings a store's payments back on their way, and says what is wrong with what it finds.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

mod command;

use std::sync::Arc;

use bitacora::aggregate::{DomainEvent, Repository, new_events};
use bitacora::money::{Currency, Money};
use bitacora::payment::{FileGateway, GatewayProfile, Orchestrator, OrchestratorOptions, PaymentRequest};
use bitacora::snapshot::SnapshotPolicy;
use bitacora::wallet::{FundsDeposited, TransferCredited, Wallet, WalletEvent, WalletLimits, WalletOpened};
use bitacora::{CodecId, EventType, ExpectedVersion, Metadata, NewEvent, Options, Store, StreamId};
use command::{Place, Silent, line, order_of, values};

fn euro() -> Currency {
    "EUR".parse().unwrap()
}

fn orchestrator(store: &Store, place: &Place) -> Orchestrator {
    let gateway = FileGateway::open_with(place.join("gateway"), GatewayProfile::always_approve()).unwrap();
    let wallets = Repository::<Wallet>::new(store.clone(), SnapshotPolicy::Never);
    Orchestrator::new(wallets, Arc::new(gateway), OrchestratorOptions::default()).unwrap()
}

#[test]
fn a_payment_under_way_is_resumed_and_one_that_is_over_is_let_be() {
    let place = Place::new();
    let store = Store::open(place.store(), Options::new()).unwrap();
    let payments = orchestrator(&store, &place);
    payments.run(PaymentRequest::new("over", "7", euro()).by_card(1_000)).unwrap();
    payments.start(PaymentRequest::new("begun", "7", euro()).by_card(2_000)).unwrap();
    store.close().unwrap();
    drop((payments, store));

    let report = place.document("recover", &[]);
    assert_eq!(report["ok"], true, "{report}");
    assert_eq!(report["services"]["is_ready"], true, "{report}");
    let sagas = report["services"]["sagas"].as_array().unwrap();
    assert_eq!(sagas.len(), 1, "{report}");
    assert_eq!(sagas[0]["saga_id"], "begun");
    assert_eq!(sagas[0]["decision"], "resumed");
    assert_eq!(report["store"]["was_closed_cleanly"], true, "{report}");
    assert!(report["store"]["phases"].is_array(), "{report}");

    let payment = place.document("payment", &["begun"]);
    assert_eq!(payment["outcome"], serde_json::Value::Null, "nothing was done outside the store");
    assert_eq!(place.document("recover", &["--full"])["services"]["strategy"], "full");
    let check = place.document("recover", &["--check"]);
    assert_eq!(check["ok"], true, "{check}");
    assert_eq!(check["payments"], 2, "{check}");
    assert_eq!(check["payments_open"], 1, "{check}");
}

#[test]
fn the_payment_verb_tells_amounts_outcome_and_history() {
    let place = Place::new();
    let store = Store::open(place.store(), Options::new()).unwrap();
    let payments = orchestrator(&store, &place);
    payments.run(PaymentRequest::new("p", "7", euro()).by_card(1_234)).unwrap();
    store.close().unwrap();
    drop((payments, store));
    let payment = place.document("payment", &["p"]);
    for (field, expected) in [("payment_id", "p"), ("user_id", "7"), ("currency", "EUR"), ("outcome", "completed")] {
        assert_eq!(payment[field], expected, "{payment}");
    }
    for (field, expected) in [("amount", 1_234), ("wallet_amount", 0), ("card_amount", 1_234)] {
        assert_eq!(payment[field], expected, "{payment}");
    }
    let events = payment["events"].as_array().unwrap();
    assert_eq!(events[0]["type"], "PaymentStarted");
    assert_eq!(events[0]["data"]["amount"], 1_234);
    assert_eq!(events[events.len() - 1]["type"], "PaymentCompleted");
    assert_eq!(payment["version"], events.len());
}

/// A deposit to a wallet that was never opened: sound bytes that no decision of a wallet could have led to.
fn with_a_wallet_that_breaks_its_rules() -> Place {
    let place = Place::new();
    let store = Store::open(place.store(), Options::new()).unwrap();
    let fact = WalletEvent::from(FundsDeposited { amount: Money::new(500, euro()) });
    let event = NewEvent::new(EventType::new(fact.event_type()).unwrap(), CodecId::BINCODE, fact.encode().unwrap());
    store.append(&StreamId::new("wallet-7").unwrap(), ExpectedVersion::Any, vec![event]).unwrap();
    store.close().unwrap();
    place
}

#[test]
fn a_wallet_that_breaks_its_rules_is_a_finding_of_every_check() {
    let place = with_a_wallet_that_breaks_its_rules();
    for arguments in [&["--check", "--json"] as &[&str], &["--json"]] {
        let assert = place.command("recover", arguments).assert().code(1).says_nothing();
        let report = &values(&assert.get_output().stdout)[0];
        assert_eq!(report["ok"], false, "{report}");
        assert!(report.to_string().contains("wallet-7"), "{report}");
    }
    let assert = place.command("verify", &["--json"]).assert().code(1).says_nothing();
    let report = &values(&assert.get_output().stdout)[0];
    assert_eq!(report["findings"][0]["kind"], "conservation", "{report}");
    assert!(report["findings"][0]["detail"].as_str().unwrap().contains("wallet of user 7"), "{report}");
}

#[test]
fn money_that_one_wallet_received_and_none_sent_is_a_finding_of_verify() {
    let place = Place::new();
    let store = Store::open(place.store(), Options::new()).unwrap();
    let opened = WalletOpened { currency: euro(), overdraft_limit: 0, limits: WalletLimits::default() };
    let credited =
        TransferCredited { transfer_id: "t".to_owned(), from_user_id: "8".to_owned(), amount: Money::new(500, euro()) };
    let facts = [WalletEvent::from(opened), WalletEvent::from(credited)];
    let events = new_events(&facts, &Metadata::default()).unwrap();
    store.append(&StreamId::new("wallet-7").unwrap(), ExpectedVersion::Any, events).unwrap();
    store.close().unwrap();
    let assert = place.command("verify", &["--json"]).assert().code(1).says_nothing();
    let report = &values(&assert.get_output().stdout)[0];
    assert_eq!(report["findings"][0]["kind"], "conservation", "{report}");
    let detail = report["findings"][0]["detail"].as_str().unwrap();
    assert!(detail.contains("sent 0 minor units to each other and received 500"), "{report}");
}

#[test]
fn recover_makes_no_store() {
    let place = Place::new();
    place.command("recover", &[]).assert().code(3);
    assert!(!place.store().exists());
}

#[test]
fn a_store_without_payments_is_ready_at_once() {
    let place = Place::new();
    place.append(&line("a", 1));
    let report = place.document("recover", &[]);
    assert_eq!(report["ok"], true);
    assert_eq!(report["store"]["last_sequence"], 1, "{report}");
    let plain = place.command("recover", &[]).assert().success().get_output().stdout.clone();
    let plain = String::from_utf8(plain).unwrap();
    assert!(plain.starts_with("ok\ttrue\n") && plain.contains("\norchestrator_ready\t1\t"), "{plain}");
}

#[test]
fn one_service_can_be_recovered_by_its_id() {
    let place = Place::new();
    place.append(&line("a", 1));
    let report = place.document("recover", &["--service", "wallets"]);
    assert_eq!(
        (&report["ok"], &report["services"]["trigger"]["alert"]["service_id"]),
        (&true.into(), &"wallets".into())
    );
    place.command("recover", &["--service", "nobody"]).assert().code(2);
    place.command("recover", &["--service", "wallets", "--check"]).assert().code(2);
}

/// Goal: the shapes of both documents stay as they are documented. Method: the names of their fields, in order.
#[test]
fn reports_have_the_fields_that_are_documented() {
    let place = Place::new();
    place.append(&line("a", 1));
    let fields = |arguments: &[&str]| {
        let assert = place.command("recover", arguments).assert().success();
        order_of(std::str::from_utf8(&assert.get_output().stdout).unwrap().trim_end())
    };
    assert_eq!(fields(&["--json"]), ["ok", "store", "services"]);
    let checked = [
        "ok",
        "last_event_sequence",
        "wallets",
        "wallets_from_snapshot",
        "payments",
        "payments_open",
        "events_replayed",
        "findings",
        "elapsed_ms",
        "wallets_per_second",
        "payments_per_second",
        "events_per_second",
    ];
    assert_eq!(fields(&["--check", "--json"]), checked);
    let services = place.document("recover", &[])["services"].clone();
    for field in ["recovery_id", "strategy", "recovery_points", "phases", "sagas", "findings", "is_ready"] {
        assert!(services.get(field).is_some(), "{field}: {services}");
    }
    let phase = &services["phases"][0];
    assert!(phase["count"].is_u64() && phase["elapsed_ms"].is_u64(), "{phase}");
}
