//! Killed with SIGKILL at any moment, `bitacora command` has lost no outcome that it printed, and a repeat finds it.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

mod command;

use std::io::{BufRead, BufReader, Write};

use command::{Place, values};
use serde_json::{Value, json};

/// Rounds of the test; the environment may ask for more.
const ROUNDS: u64 = 6;

fn deposit(number: u64) -> Value {
    let user_id = format!("u{}", number % 3);
    json!({
        "command": "deposit", "command_id": format!("d{number}"), "user_id": user_id, "amount": number, "currency": "EUR",
    })
}

/// Goal: what is printed is durable, and nothing is done twice. Method: many processes one after the other on one store, each
/// killed after a drawn number of outcomes while it has work left; the next one begins again from the first command that has no
/// outcome, so that the last one before the kill may be asked for twice. At the end every deposit is in its wallet once.
#[test]
fn no_printed_outcome_is_missing_after_a_kill_and_none_is_done_twice() {
    let rounds = std::env::var("BITACORA_KILL_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let place = Place::new();
    let opens: Vec<Value> = (0..3)
        .map(|user| json!({"command": "open", "command_id": "o", "user_id": format!("u{user}"), "currency": "EUR"}))
        .collect();
    place.done(&opens);
    let (mut draw, mut next) = (1u64, 1u64);
    for round in 0..rounds {
        draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let outcomes = killed_after(&place, next, (draw >> 33) % 40);
        for outcome in &outcomes {
            assert_eq!(outcome["command_id"], format!("d{next}"), "round {round}: in order, without a gap");
            assert_eq!(outcome["ok"], true);
            next += 1;
        }
        let again: Vec<Value> = (1..next).map(deposit).collect();
        for outcome in place.done(&again) {
            assert_eq!(outcome["repeat"], true, "round {round}: what was printed is there: {outcome}");
        }
    }
    // The one that the last kill met may have been done without being printed; asked for again it is done once.
    place.done(&(1..=next).map(deposit).collect::<Vec<_>>());
    let total: i64 =
        (0..3).map(|user| place.document("wallet", &[&format!("u{user}")])["balance"].as_i64().unwrap()).sum();
    let expected: u64 = (1..=next).sum();
    assert_eq!(u64::try_from(total).unwrap(), expected);
}

/// Feeds deposits from number `first` on until the process is killed; the outcomes that it printed.
fn killed_after(place: &Place, first: u64, outcomes_before_kill: u64) -> Vec<Value> {
    let mut child = place.process("command", &[]).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let feeder = std::thread::spawn(move || {
        // Without end: the kill is what ends it, so it always meets work in progress.
        for number in first.. {
            if input.write_all(format!("{}\n", deposit(number)).as_bytes()).is_err() {
                return;
            }
        }
    });
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut text = Vec::new();
    for _ in 0..outcomes_before_kill {
        output.read_until(b'\n', &mut text).unwrap();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    feeder.join().unwrap();
    while output.read_until(b'\n', &mut text).unwrap() > 0 {}
    // The last line may be half an outcome, which is none.
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    values(&text[..whole])
}
