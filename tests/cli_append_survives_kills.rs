//! Killed with SIGKILL at any moment, `bitacora append` has lost nothing that it answered.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

mod command;

use std::io::{BufRead, BufReader, Write};

use command::{Place, line, numbers, values};

/// Rounds of the test; the environment may ask for more.
const ROUNDS: u64 = 20;

/// Goal: no answered line is missing after a kill, and the store goes on. Method: many processes one after the other on
/// one store, each killed after a drawn number of answers, while it has lines left to take; answers still in the pipe
/// count as given. The draw is a fixed sequence, so that a failure is the same the next time.
#[test]
fn no_answered_line_is_missing_after_a_kill() {
    let rounds = std::env::var("BITACORA_KILL_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let place = Place::new();
    let mut draw = 1u64;
    let mut answered = Vec::new();
    for round in 0..rounds {
        draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let in_flight = ["1", "8", "64"][(round % 3) as usize];
        let answers_before_kill = (draw >> 33) % 120;
        answered.extend(killed_after(&place, in_flight, answers_before_kill));
        let events = place.read("events", &[]);
        assert!(numbers(&events, "sequence").into_iter().eq(1..=events.len() as u64), "round {round}: gapless");
        for (sequence, id) in &answered {
            let event = &events[usize::try_from(*sequence).unwrap() - 1];
            assert_eq!(event["id"], id.as_str(), "round {round}: the line that was answered with {sequence} is there");
        }
    }
    assert!(!answered.is_empty());
}

/// Feeds lines until the process is killed; the answers that it gave.
fn killed_after(place: &Place, in_flight: &str, answers_before_kill: u64) -> Vec<(u64, String)> {
    let mut child = place.process("append", &["--inflight", in_flight]).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let feeder = std::thread::spawn(move || {
        // Without end: the kill is what ends it, so it always meets work in progress.
        for number in 0.. {
            if input.write_all(line(&format!("s{}", number % 5), number).as_bytes()).is_err() {
                return;
            }
        }
    });
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut text = Vec::new();
    for _ in 0..answers_before_kill {
        output.read_until(b'\n', &mut text).unwrap();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    feeder.join().unwrap();
    while output.read_until(b'\n', &mut text).unwrap() > 0 {}
    // The last line may be half an answer, which is none.
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let answers = values(&text[..whole]);
    assert!(answers.len() as u64 >= answers_before_kill, "the kill met work in progress");
    answers
        .into_iter()
        .map(|answer| (answer["sequence"].as_u64().unwrap(), answer["id"].as_str().unwrap().to_owned()))
        .collect()
}
