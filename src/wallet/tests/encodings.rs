//! Bytes that are on record, or that hashes on record were made of, and must never change.

use std::fmt::Write as _;

use serde::Serialize;

use super::*;
use crate::aggregate::{FieldValue, FlatFields};
use crate::codec;
use crate::error::ErrorKind;
use crate::types::CodecId;
use crate::wallet::content::CommandContent;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

const LIMITS: WalletLimits = WalletLimits { per_transaction: Some(1), per_day: Some(300), balance_max: None };

fn one_of_each() -> Vec<WalletEvent> {
    let expires_at = Timestamp::from_micros(0x0102_0304_0506);
    vec![
        WalletOpened { currency: usd(0).currency, overdraft_limit: 5_000, limits: LIMITS }.into(),
        FundsDeposited { amount: usd(1_234) }.into(),
        FundsWithdrawn { amount: usd(5) }.into(),
        FundsHeld {
            hold_id: "h1".into(),
            amount: usd(250),
            payment_id: Some("p1".into()),
            time_to_live_micros: Some(60_000_000),
            expires_at: Some(expires_at),
        }
        .into(),
        HoldIncreased { hold_id: "h1".into(), amount: usd(6) }.into(),
        HoldExtended { hold_id: "h1".into(), time_to_live_micros: 60_000_000, expires_at }.into(),
        HoldCaptured { hold_id: "h1".into(), amount: usd(200), released: 0, is_final: false }.into(),
        HoldReleased { hold_id: "h2".into(), amount: usd(7) }.into(),
        HoldExpired { hold_id: "h3".into(), amount: usd(7), expires_at }.into(),
        TransferDebited { transfer_id: "t1".into(), to_user_id: "bob".into(), amount: usd(9) }.into(),
        TransferCredited { transfer_id: "t1".into(), from_user_id: "ana".into(), amount: usd(9) }.into(),
        RefundCredited { hold_id: "h1".into(), amount: usd(3) }.into(),
        BalanceAdjusted { amount: usd(-4), reason: "why".into(), operator: "who".into() }.into(),
        OverdraftLimitSet { overdraft_limit: 8 }.into(),
        LimitsSet { limits: LIMITS }.into(),
        WalletFrozen { debits_only: true }.into(),
        WalletUnfrozen {}.into(),
        WalletClosed {}.into(),
    ]
}

#[test]
fn golden_bytes_of_every_event() {
    // A currency is 03555344, an amount in front of it twice its value.
    let golden = [
        ("WalletOpened", 2, "03555344fb1027 0102 01fb5802 00"),
        ("FundsDeposited", 1, "fba40903555344"),
        ("FundsWithdrawn", 1, "0a03555344"),
        ("FundsHeld", 1, "026831fbf40103555344 01027031 01fc00879303 01fd0c0a080604020000"),
        ("HoldIncreased", 1, "026831 0c03555344"),
        ("HoldExtended", 1, "026831 fc00879303 fd0c0a080604020000"),
        ("HoldCaptured", 2, "026831 fb900103555344 00 00"),
        ("HoldReleased", 1, "026832 0e03555344"),
        ("HoldExpired", 1, "026833 0e03555344 fd0c0a080604020000"),
        ("TransferDebited", 1, "027431 03626f62 1203555344"),
        ("TransferCredited", 1, "027431 03616e61 1203555344"),
        ("RefundCredited", 1, "026831 0603555344"),
        ("BalanceAdjusted", 1, "0703555344 03776879 0377686f"),
        ("OverdraftLimitSet", 1, "10"),
        ("LimitsSet", 1, "0102 01fb5802 00"),
        ("WalletFrozen", 1, "01"),
        ("WalletUnfrozen", 1, ""),
        ("WalletClosed", 1, ""),
    ];
    assert_eq!(golden.map(|(event_type, ..)| event_type), WalletEvent::TYPES, "every type has its line");
    for (event, (event_type, schema_version, bytes)) in one_of_each().iter().zip(golden) {
        assert_eq!((event.event_type(), event.schema_version()), (event_type, schema_version));
        assert_eq!(event.codec(), CodecId::BINCODE);
        assert_eq!(hex(&event.encode().unwrap()), bytes.replace(' ', ""), "{event_type}");
        assert_eq!(&WalletEvent::decode(&stored(event, 1)).unwrap(), event);
    }
}

#[test]
fn golden_bytes_of_the_first_version_are_read_and_mean_what_they_meant() {
    let opened = [3, b'U', b'S', b'D', 251, 0x10, 0x27];
    let captured = [2, b'h', b'1', 251, 0x90, 0x01, 3, b'U', b'S', b'D', 100];
    let expected: [(WalletEvent, &[u8]); 2] = [
        (
            WalletOpened { currency: usd(0).currency, overdraft_limit: 5_000, limits: WalletLimits::default() }.into(),
            &opened,
        ),
        (HoldCaptured { hold_id: "h1".into(), amount: usd(200), released: 50, is_final: true }.into(), &captured),
    ];
    for (event, payload) in expected {
        let first = Event { schema_version: 1, payload: payload.to_vec(), ..stored(&event, 1) };
        assert_eq!(WalletEvent::decode(&first).unwrap(), event);
        let newer = Event { schema_version: 3, ..first.clone() };
        let error = WalletEvent::decode(&newer).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnknownPayload);
        assert!(error.to_string().contains("schema version 3"), "{error}");
        // What was written as one version is not the other one.
        assert!(WalletEvent::decode(&Event { schema_version: 2, ..first }).is_err());
        assert!(WalletEvent::decode(&Event { schema_version: 1, ..stored(&event, 1) }).is_err());
    }
}

#[test]
fn events_of_another_type_schema_or_codec_are_not_decoded() {
    let good = stored(&one_of_each()[1], 1);
    let wrong = [
        Event { event_type: EventType::new("FundsBurned").unwrap(), ..good.clone() },
        Event { schema_version: 2, ..good.clone() },
        Event { codec: CodecId::JSON, ..good.clone() },
        Event { payload: good.payload[1..].to_vec(), ..good.clone() },
    ];
    for event in wrong {
        assert_eq!(WalletEvent::decode(&event).unwrap_err().kind(), ErrorKind::UnknownPayload);
    }
}

#[test]
fn every_event_is_printed_flat_with_an_integer_amount() {
    for event in one_of_each() {
        let fields = event.fields();
        let names: std::collections::BTreeSet<_> = fields.iter().map(|(name, _)| *name).collect();
        assert_eq!(names.len(), fields.len(), "each name once");
        let amount = fields.iter().find(|(name, _)| *name == "amount").map(|(_, value)| value);
        match event {
            WalletEvent::WalletOpened(_)
            | WalletEvent::HoldExtended(_)
            | WalletEvent::OverdraftLimitSet(_)
            | WalletEvent::LimitsSet(_)
            | WalletEvent::WalletFrozen(_)
            | WalletEvent::WalletUnfrozen(_)
            | WalletEvent::WalletClosed(_) => assert_eq!(amount, None),
            _ => assert!(matches!(amount, Some(FieldValue::Integer(minor)) if *minor != 0)),
        }
    }
    let text = |text: &str| FieldValue::Text(text.into());
    let captured = [
        ("hold_id", text("h1")),
        ("amount", FieldValue::Integer(200)),
        ("currency", text("USD")),
        ("released", FieldValue::Integer(0)),
        ("is_final", FieldValue::Bool(false)),
    ];
    assert_eq!(one_of_each()[6].fields(), captured);
    let opened = [
        ("currency", text("USD")),
        ("overdraft_limit", FieldValue::Integer(5_000)),
        ("per_transaction", FieldValue::Integer(1)),
        ("per_day", FieldValue::Integer(300)),
        ("balance_max", FieldValue::None),
    ];
    assert_eq!(one_of_each()[0].fields(), opened);
}

/// Goal: a command id that is repeated in years is still told from another command's.
/// Method: the encodings that the ids' hashes are made of are pinned here, one line each. A line that fails is never changed:
/// the encoding is.
#[test]
fn golden_bytes_of_every_command() {
    let transfer =
        Transfer { transfer_id: "t".into(), from_user_id: "ana".into(), to_user_id: "bob".into(), amount: usd(9) };
    let open = |limits| WalletCommand::Open { currency: usd(0).currency, overdraft_limit: 5_000, limits };
    let (h, micros) = (|| "h".to_owned(), Duration::from_micros(2));
    let golden: Vec<(Vec<u8>, &str)> = [
        (open(WalletLimits::default()), "00 03555344 fb1027"),
        (WalletCommand::Deposit { amount: usd(1) }, "01 0203555344"),
        (WalletCommand::Withdraw { amount: usd(1) }, "02 0203555344"),
        (hold("h", 1), "03 0168 0203555344 00 00"),
        (
            WalletCommand::Hold {
                hold_id: h(),
                amount: usd(1),
                payment_id: Some("p".into()),
                time_to_live: Some(Duration::from_secs(3) + micros),
            },
            "03 0168 0203555344 010170 0103fbd007",
        ),
        (capture("h", 1), "04 0168 0203555344"),
        (release("h"), "05 0168"),
        (open(LIMITS), "06 03555344 fb1027 0102 01fb5802 00"),
        (WalletCommand::IncreaseHold { hold_id: h(), amount: usd(1) }, "07 0168 0203555344"),
        (WalletCommand::ExtendHold { hold_id: h(), time_to_live: micros }, "08 0168 00fbd007"),
        (WalletCommand::Capture { hold_id: h(), amount: usd(1), is_final: false }, "09 0168 0203555344"),
        (WalletCommand::Expire { hold_id: h() }, "0a 0168"),
        (WalletCommand::Refund { hold_id: h(), amount: usd(1) }, "0c 0168 0203555344"),
        (
            WalletCommand::Adjust { amount: usd(-1), reason: "r".into(), operator: "o".into() },
            "0d 0103555344 0172 016f",
        ),
        (WalletCommand::SetOverdraft { overdraft_limit: 1 }, "0e 02"),
        (WalletCommand::SetLimits { limits: LIMITS }, "0f 0102 01fb5802 00"),
        (WalletCommand::Freeze { debits_only: true }, "10 01"),
        (WalletCommand::Unfreeze, "11"),
        (WalletCommand::Close, "12"),
    ]
    .into_iter()
    .map(|(command, bytes)| (codec::encode(&command).unwrap(), bytes))
    .chain([(codec::encode(&CommandContent::of_transfer(&transfer)).unwrap(), "0b 0174 03626f62 1203555344")])
    .collect();
    for (encoded, bytes) in golden {
        assert_eq!(hex(&encoded), bytes.replace(' ', ""));
    }
}

/// The commands as they were declared, and encoded, when the first stores were written.
#[derive(Serialize)]
enum FirstCommand {
    Open { currency: Currency, overdraft_limit: i64 },
    Deposit { amount: Money },
    Withdraw { amount: Money },
    Hold { hold_id: String, amount: Money, payment_id: Option<String>, time_to_live: Option<Duration> },
    Capture { hold_id: String, amount: Money },
    Release { hold_id: String },
}

#[test]
fn what_could_be_asked_at_first_is_encoded_as_it_was() {
    let (h, amount, payment_id) = (|| "h".to_owned(), usd(7), Some("p".to_owned()));
    let time_to_live = Some(Duration::from_millis(1_500));
    let currency = amount.currency;
    let pairs = [
        (
            FirstCommand::Open { currency, overdraft_limit: 3 },
            WalletCommand::Open { currency, overdraft_limit: 3, limits: WalletLimits::default() },
        ),
        (FirstCommand::Deposit { amount }, WalletCommand::Deposit { amount }),
        (FirstCommand::Withdraw { amount }, WalletCommand::Withdraw { amount }),
        (
            FirstCommand::Hold { hold_id: h(), amount, payment_id: payment_id.clone(), time_to_live },
            WalletCommand::Hold { hold_id: h(), amount, payment_id, time_to_live },
        ),
        (FirstCommand::Capture { hold_id: h(), amount }, capture("h", 7)),
        (FirstCommand::Release { hold_id: h() }, release("h")),
    ];
    for (first, now) in pairs {
        assert_eq!(codec::encode(&first).unwrap(), codec::encode(&now).unwrap(), "{now:?}");
    }
}

#[test]
fn golden_bytes_of_a_snapshot() {
    let mut played = Played::limited(3, LIMITS);
    played.play(WalletCommand::SetLimits { limits: WalletLimits::default() }).unwrap();
    played.play(WalletCommand::Deposit { amount: usd(100) }).unwrap();
    played.play(hold("h", 40)).unwrap();
    played.play(hold("r", 2)).unwrap();
    played.play(capture("r", 1)).unwrap();
    played.play(WalletCommand::Refund { hold_id: "r".into(), amount: usd(1) }).unwrap();
    let golden = [
        "03616e61",                               // user id
        "0103555344",                             // currency
        "01c85006",                               // status, balance, locked, overdraft limit
        "000000",                                 // limits
        "000029",                                 // spent: day, high and low half
        "0101685000000000b1c0abb3c4d7bf230050",   // open holds: id, amount, captured, refunded, ..., content, day
        "01454349e422f05297191ead13e21d3db50002", // resolved: the front of SHA-256 of "r", captured 1
        "3892a88a1c454d5202",                     // its content, refunded 1
        "00",                                     // transfers
        "0065000100000000",                       // in, out, transferred in and out (high and low halves)
        "070700",                                 // version, events, fault
    ]
    .concat();
    assert_eq!(hex(&played.wallet.encode_state().unwrap()), golden);
}

/// What is kept for ever is small: a wallet of many years must still fit a snapshot.
#[test]
fn what_is_kept_of_a_resolved_hold_and_of_a_transfer_is_small() {
    let mut played = Played::opened(i64::MAX);
    let bytes = |played: &Played| played.wallet.encode_state().unwrap().len();
    let long = |number: u32| format!("{number:0>120}");
    let before = bytes(&played);
    for number in 0..100 {
        played.play(hold(&long(number), 1_000)).unwrap();
        played.play(capture(&long(number), 500)).unwrap();
    }
    let of_holds = (bytes(&played) - before) / 100;
    assert!((24..=32).contains(&of_holds), "{of_holds} bytes");
    let before = bytes(&played);
    for number in 0..100 {
        let (transfer_id, to_user_id) = (long(number), long(7));
        let transfer = Transfer { transfer_id, from_user_id: "ana".into(), to_user_id, amount: usd(5) };
        for event in decide::transfer_out(&played.wallet, &transfer, played.now).unwrap() {
            let version = played.wallet.version().next();
            let context = EventContext { sequence: Sequence::new(version.get()), version, timestamp: played.now };
            played.wallet.apply(&event, &context);
        }
    }
    let of_transfers = (bytes(&played) - before) / 100;
    assert!((24..=26).contains(&of_transfers), "{of_transfers} bytes");
}
