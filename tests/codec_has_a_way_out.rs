//! The payload codec can be replaced: another, maintained library writes and reads the very same bytes.
//!
//! bincode is not maintained any more. Its bytes are what stores hold, so what matters is that they can be read without it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::time::Duration;

use bitacora::aggregate::{Aggregate, DomainEvent, EventContext};
use bitacora::money::{Currency, Money};
use bitacora::wallet::{TransferCredited, TransferDebited, Wallet, WalletCommand, WalletEvent, WalletLimits};
use bitacora::{CutReport, Metadata, PhaseReport, RecoveryReport, Sequence, Timestamp, Version, codec};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_wincode::SerdeCompat;
use wincode::config::Configuration;

fn check<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: T) {
    let configuration = Configuration::default().with_varint_encoding();
    let ours = codec::encode(&value).unwrap();
    let theirs = <SerdeCompat<T> as wincode::config::Serialize<_>>::serialize(&value, configuration);
    let theirs = theirs.unwrap_or_else(|error| panic!("{value:?}: {error}"));
    assert_eq!(ours, theirs, "{value:?}");
    let read = <SerdeCompat<T> as wincode::config::Deserialize<'_, _>>::deserialize(&ours, configuration).unwrap();
    assert_eq!(read, value);
    assert_eq!(codec::decode::<T>(&theirs).unwrap(), value);
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Unit,
    New(u64),
    Pair(i64, Option<String>),
    Named { flag: bool, bytes: [u8; 5], list: Vec<i32> },
}

#[test]
fn every_shape_that_payloads_have() {
    for number in [0u64, 1, 250, 251, 252, 65_535, 65_536, u64::from(u32::MAX), 1 << 32, u64::MAX] {
        check(number);
        check(Shape::New(number));
    }
    for number in [0i64, 1, -1, 125, -126, i64::from(i32::MIN), i64::MAX, i64::MIN] {
        check(Shape::Pair(number, Some("José".to_owned())));
        check(Shape::Pair(number, None));
    }
    check(Shape::Unit);
    check(Shape::Named { flag: true, bytes: [1, 2, 3, 4, 255], list: vec![0, -1, i32::MIN] });
    check(BTreeMap::from([("a".to_owned(), vec![1u16, 300]), (String::new(), Vec::new())]));
    check(BTreeSet::from([Sequence::new(7), Sequence::MAX]));
}

#[test]
fn types_that_stores_hold() {
    check(Metadata {
        correlation_id: Some("p-1".to_owned()),
        causation_id: None,
        actor: Some("ana".to_owned()),
        pairs: vec![("occurred_at".to_owned(), "1997-01-01".to_owned())],
    });
    check(RecoveryReport {
        opened_at: Timestamp::from_micros(-5),
        cut: Some(CutReport {
            file: "log/1.seg".to_owned(),
            offset: 1 << 40,
            bytes: 300,
            sequence: Sequence::new(9),
            found: "zeros".to_owned(),
            quarantine: "quarantine/1".to_owned(),
        }),
        phases: vec![PhaseReport { phase: "walk".to_owned(), microseconds: 1_000_000 }],
        ..RecoveryReport::default()
    });
}

#[test]
fn a_wallets_events_and_its_state() {
    let mut wallet = Wallet::new("ana");
    let currency = Currency::from_code("EUR").unwrap();
    let amount = Money::new(12_345, currency);
    let (id, micros) = (str::to_owned, Duration::from_micros);
    let (some, limits) = (Money::new(300, currency), WalletLimits { per_day: Some(9_000), ..WalletLimits::default() });
    let hold = |hold_id: &str, payment_id: Option<&str>, time_to_live| WalletCommand::Hold {
        hold_id: hold_id.to_owned(),
        amount: some,
        payment_id: payment_id.map(str::to_owned),
        time_to_live,
    };
    // Ten microseconds apart.
    let commands = [
        WalletCommand::Open { currency, overdraft_limit: 50, limits },
        WalletCommand::Deposit { amount },
        WalletCommand::Withdraw { amount: some },
        hold("h-1", Some("p-1"), None),
        hold("h-2", None, None),
        WalletCommand::Release { hold_id: id("h-2") },
        WalletCommand::IncreaseHold { hold_id: id("h-1"), amount: some },
        WalletCommand::Capture { hold_id: id("h-1"), amount: some, is_final: false },
        WalletCommand::Refund { hold_id: id("h-1"), amount: some },
        WalletCommand::Capture { hold_id: id("h-1"), amount: some, is_final: true },
        hold("h-3", None, Some(micros(15))),
        WalletCommand::ExtendHold { hold_id: id("h-3"), time_to_live: micros(10) },
        WalletCommand::Expire { hold_id: id("h-3") },
        WalletCommand::SetOverdraft { overdraft_limit: 70 },
        WalletCommand::SetLimits { limits: WalletLimits::default() },
        WalletCommand::Freeze { debits_only: true },
        WalletCommand::Unfreeze,
        WalletCommand::Adjust { amount: Money::new(-11_745, currency), reason: id("r"), operator: id("o") },
        WalletCommand::Close,
    ];
    check(TransferDebited { transfer_id: id("t"), to_user_id: id("bob"), amount });
    check(TransferCredited { transfer_id: id("t"), from_user_id: id("bob"), amount });
    let mut number = 0_u64;
    let mut types = BTreeSet::from(["TransferDebited", "TransferCredited"]);
    for command in commands {
        let now = Timestamp::from_micros(number.cast_signed() * 10);
        for event in wallet.decide(&command, now).unwrap() {
            types.insert(event.event_type());
            match event.clone() {
                WalletEvent::WalletOpened(fact) => check(fact),
                WalletEvent::FundsDeposited(fact) => check(fact),
                WalletEvent::FundsWithdrawn(fact) => check(fact),
                WalletEvent::FundsHeld(fact) => check(fact),
                WalletEvent::HoldIncreased(fact) => check(fact),
                WalletEvent::HoldExtended(fact) => check(fact),
                WalletEvent::HoldCaptured(fact) => check(fact),
                WalletEvent::HoldReleased(fact) => check(fact),
                WalletEvent::HoldExpired(fact) => check(fact),
                WalletEvent::TransferDebited(fact) => check(fact),
                WalletEvent::TransferCredited(fact) => check(fact),
                WalletEvent::RefundCredited(fact) => check(fact),
                WalletEvent::BalanceAdjusted(fact) => check(fact),
                WalletEvent::OverdraftLimitSet(fact) => check(fact),
                WalletEvent::LimitsSet(fact) => check(fact),
                WalletEvent::WalletFrozen(fact) => check(fact),
                WalletEvent::WalletUnfrozen(fact) => check(fact),
                WalletEvent::WalletClosed(fact) => check(fact),
                other => panic!("not checked: {other:?}"),
            }
            number += 1;
            let context =
                EventContext { sequence: Sequence::new(number), version: Version::new(number), timestamp: now };
            wallet.apply(&event, &context);
            check(wallet.clone());
        }
    }
    assert_eq!(types, WalletEvent::TYPES.iter().copied().collect(), "every type was checked");
}
