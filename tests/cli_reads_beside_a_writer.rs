//! The reading verbs neither lock nor write: they work beside a writer, after a kill, and leave every file as it is.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

mod command;

use std::io::{BufRead, BufReader, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use bitacora::aggregate::{ExecuteOptions, Repository};
use bitacora::money::Money;
use bitacora::snapshot::SnapshotPolicy;
use bitacora::wallet::{Wallet, WalletCommand};
use bitacora::{CodecId, Durability, EventType, ExpectedVersion, NewEvent, Options, Store, StreamId};
use command::{Place, content, line, numbers, values};
use serde_json::{Value, json};

const READERS: &[&[&str]] = &[
    &["events"],
    &["events", "--reverse"],
    &["events", "--stream", "a"],
    &["streams"],
    &["info"],
    &["verify"],
    &["recover", "--check"],
    &["wallets"],
    &["payments"],
    &["snapshots"],
    &["diff", "--from-sequence", "0"],
    &["health"],
];

#[test]
fn a_reader_sees_what_the_writer_has_acknowledged() {
    let place = Place::new();
    let store = Store::open(place.store(), Options::new()).unwrap();
    let stream = StreamId::new("a").unwrap();
    for number in 1..=3 {
        let event = NewEvent::new(EventType::new("Noted").unwrap(), CodecId::JSON, b"1".to_vec());
        store.append(&stream, ExpectedVersion::Any, vec![event]).unwrap();
        assert!(numbers(&place.read("events", &[]), "sequence").into_iter().eq(1..=number));
        assert_eq!(numbers(&place.read("streams", &[]), "version"), [number]);
        assert_eq!(place.document("info", &[])["last_sequence"], number);
        assert_eq!(place.document("verify", &[])["ok"], true);
    }
    store.close().unwrap();
}

#[test]
fn readers_change_nothing_in_a_closed_store() {
    let place = Place::new();
    place.append(&[line("a", 1), line("b", 2)].concat());
    let before = content(&place.store());
    for verb in READERS {
        place.command(verb[0], &verb[1..]).assert().success();
        assert!(content(&place.store()) == before, "{verb:?} changed a file");
    }
}

/// Goal: what the next open would keep is shown before that open, and nothing is mended on the way. Method: a writer that
/// is killed after three answers; every reader before and after each look at the files.
#[test]
fn readers_change_nothing_in_a_store_whose_writer_was_killed() {
    let place = Place::new();
    let mut child = place.process("append", &[]).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    for number in 1..=3 {
        input.write_all(line("a", number).as_bytes()).unwrap();
        output.read_line(&mut String::new()).unwrap();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let before = content(&place.store());
    for verb in READERS {
        place.command(verb[0], &verb[1..]).assert().success();
        assert!(content(&place.store()) == before, "{verb:?} changed a file");
    }
    assert_eq!(numbers(&place.read("events", &[]), "sequence"), [1, 2, 3]);
}

/// Every verb that reads, each with what it is to be asked about the till below.
const ASKED: &[&[&str]] = &[
    &["events"],
    &["events", "--reverse", "--limit", "50"],
    &["events", "--stream", "wallet-ana", "--type", "FundsDeposited"],
    &["streams"],
    &["info"],
    &["verify"],
    &["repair", "--dry-run"],
    &["wallet", "ana"],
    &["wallet", "ana", "--full"],
    &["wallets"],
    &["explain", "ana"],
    &["diff", "--from-sequence", "3"],
    &["trace", "sale-1"],
    &["payment", "sale-1"],
    &["payments"],
    &["snapshots"],
    &["recover", "--check"],
    &["health"],
];

/// Goal: every verb that reads answers while a till writes, as of one moment, and the till goes on. Method: a till in this process
/// that deposits every few milliseconds, rolls every hundred deposits and moves its tails into the index as often; each verb, in a process of
/// its own, again and again under two durabilities.
#[test]
fn every_reading_verb_shows_a_prefix_while_a_till_writes() {
    for durability in [Durability::Sync, Durability::Buffered] {
        let place = Place::new();
        let options = || Options::new().durability(durability).segment_bytes(1024 * 1024).tail_events_max(150);
        Store::open(place.store(), options()).unwrap().close().unwrap();
        place.done(&[
            json!({"command": "open", "command_id": "1", "user_id": "ana", "currency": "EUR"}),
            json!({"command": "deposit", "command_id": "2", "user_id": "ana", "amount": 1_000, "currency": "EUR"}),
            json!({
                "command": "pay", "command_id": "3", "payment_id": "sale-1", "user_id": "ana", "currency": "EUR",
                "wallet_amount": 10, "card_amount": 0,
            }),
        ]);
        let store = Store::open(place.store(), options()).unwrap();
        let acknowledged = &AtomicU64::new(store.last_sequence().get());
        std::thread::scope(|scope| {
            // The day is over when this is dropped, also where a verb fails.
            let (day, end_of_day) = channel();
            let store = &store;
            let till = scope.spawn(move || deposit_until(store, acknowledged, &end_of_day));
            for round in 0..3 {
                for verb in ASKED {
                    let before = acknowledged.load(Ordering::Acquire);
                    let output = place.command(verb[0], &verb[1..]).arg("--json").output().unwrap();
                    let error = String::from_utf8_lossy(&output.stderr);
                    assert_eq!((output.status.code(), &*error), (Some(0), ""), "{verb:?} beside {durability:?}");
                    let answer = values(&output.stdout);
                    assert!(!answer.is_empty() || verb[0] == "snapshots", "{verb:?} says something");
                    check_prefix(verb, &answer, before);
                }
                back_up_beside(&place, round, acknowledged.load(Ordering::Acquire));
            }
            drop(day);
            assert!(till.join().unwrap() > 200, "the till went on");
        });
        assert!(store.info().unwrap().segments > 1, "it rolled");
        store.close().unwrap();
        assert_eq!(place.document("verify", &[])["ok"], true);
    }
}

/// Deposits, with a large event of another stream beside each; how many there were.
fn deposit_until(store: &Store, acknowledged: &AtomicU64, end_of_day: &Receiver<()>) -> u64 {
    let wallets = Repository::<Wallet>::new(store.clone(), SnapshotPolicy::Never);
    let amount = Money::new(1, "EUR".parse().unwrap());
    let receipts = StreamId::new("receipts").unwrap();
    let mut deposits = 0;
    while end_of_day.recv_timeout(Duration::from_millis(2)) == Err(RecvTimeoutError::Timeout) {
        wallets.execute("ana", &ExecuteOptions::default(), &WalletCommand::Deposit { amount }).unwrap();
        let printed = NewEvent::new(EventType::new("ReceiptPrinted").unwrap(), CodecId::RAW, vec![1; 8 * 1024]);
        let receipt = store.append(&receipts, ExpectedVersion::Any, vec![printed]).unwrap();
        acknowledged.store(receipt.sequence_last.get(), Ordering::Release);
        deposits += 1;
    }
    deposits
}

/// What was acknowledged before the verb began is in its answer, and what is in it is without a gap.
fn check_prefix(verb: &[&str], answer: &[Value], before: u64) {
    let reached = match verb {
        ["events"] => {
            assert!(numbers(answer, "sequence").into_iter().eq(1..=answer.len() as u64), "gapless");
            answer.len() as u64
        }
        ["events", "--reverse", ..] => {
            let sequences = numbers(answer, "sequence");
            assert!(sequences.windows(2).all(|pair| pair[0] == pair[1] + 1), "{sequences:?}");
            sequences[0]
        }
        ["streams"] => numbers(answer, "last_sequence").into_iter().max().unwrap(),
        ["info"] => answer[0]["last_sequence"].as_u64().unwrap(),
        ["verify"] => {
            assert_eq!(answer[0]["ok"], true, "{answer:?}");
            answer[0]["last_sequence"].as_u64().unwrap()
        }
        // The last event of a pair is not the wallet's.
        ["wallet", ..] => answer[0]["last_event_sequence"].as_u64().unwrap() + 1,
        _ => before,
    };
    assert!(reached >= before, "{verb:?} shows {reached} events where {before} were acknowledged");
}

/// A backup beside the till is a store, whole, and a prefix.
fn back_up_beside(place: &Place, round: u64, before: u64) {
    let to = place.join(&format!("backup-{round}"));
    let output = place.command("backup", &[to.to_str().unwrap(), "--json"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let copied = Store::open(&to, Options::new()).unwrap();
    let last = copied.last_sequence();
    assert!(last.get() >= before && last.get() == values(&output.stdout)[0]["last_sequence"].as_u64().unwrap());
    let original = Store::open_read_only(place.store()).unwrap();
    assert!(copied.read_all(..).map(Result::unwrap).eq(original.read_all(..=last).map(Result::unwrap)), "a prefix");
    copied.close().unwrap();
}
