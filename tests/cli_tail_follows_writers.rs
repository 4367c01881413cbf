//! `bitacora tail` prints what is there and what comes, each event once and in order, whatever becomes of the writers.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

mod command;

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdout};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use command::{Place, bitacora, line, numbers, values};
use serde_json::Value;

/// How long a line may take on a machine that does much else.
const LONG: Duration = Duration::from_secs(60);

/// A tail that runs, and its lines as they come.
struct Tail {
    child: Child,
    lines: Receiver<Value>,
}

impl Tail {
    fn start(place: &Place, arguments: &[&str]) -> Self {
        let mut child = place.process("tail", arguments).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines() {
                let line = line.unwrap();
                let value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
                if sender.send(value).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    fn next(&self) -> Value {
        self.lines.recv_timeout(LONG).unwrap()
    }

    /// Presses Ctrl-C; what it printed until it ended.
    fn interrupt(mut self) -> Vec<Value> {
        interrupt(&self.child);
        let rest = self.lines.iter().collect();
        expect_end(&mut self.child, 130);
        rest
    }
}

fn interrupt(child: &Child) {
    let sent = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

fn expect_end(child: &mut Child, code: i32) {
    let mut error = String::new();
    child.stderr.take().unwrap().read_to_string(&mut error).unwrap();
    assert_eq!(error, "");
    assert_eq!(child.wait().unwrap().code(), Some(code));
}

/// Goal: every acknowledged event once, in order, whatever becomes of the writer. Method: one tail; writers that are killed while
/// they have lines left to take, and one that ends in good order; at the end the tail has printed what `events` prints.
#[test]
fn tail_prints_every_event_once_across_kills_and_restarts_of_the_writer() {
    let place = Place::new();
    place.append(&line("a", 0));
    let tail = Tail::start(&place, &[]);
    let mut printed = vec![tail.next()];
    let mut answered = vec![];
    for round in 0..8u64 {
        let in_flight = ["1", "8", "64"][usize::try_from(round % 3).unwrap()];
        answered.extend(killed_after(&place, in_flight, 20 + 30 * (round % 4)));
        // Also while no writer is there.
        if round % 2 == 0 {
            let last = answered.last().map_or(1, |(sequence, _): &(u64, String)| *sequence);
            while printed.len() as u64 != last {
                printed.push(tail.next());
            }
        }
    }
    let last = place.append(&line("b", 1))[0]["sequence"].as_u64().unwrap();
    while (printed.len() as u64) < last {
        printed.push(tail.next());
    }
    assert_eq!(tail.interrupt(), Vec::<Value>::new());
    assert!(numbers(&printed, "sequence").into_iter().eq(1..=last), "gapless, in order, each once");
    for (sequence, id) in answered {
        assert_eq!(printed[usize::try_from(sequence).unwrap() - 1]["id"], id.as_str());
    }
    assert!(printed == place.read("events", &[]), "tail prints as events does");
}

/// Feeds lines until the process is killed; the answers that it gave.
fn killed_after(place: &Place, in_flight: &str, answers_before_kill: u64) -> Vec<(u64, String)> {
    let mut child = place.process("append", &["--inflight", in_flight]).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let feeder = std::thread::spawn(move || {
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
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let answer = |answer: Value| (answer["sequence"].as_u64().unwrap(), answer["id"].as_str().unwrap().to_owned());
    values(&text[..whole]).into_iter().map(answer).collect()
}

#[test]
fn tail_begins_where_it_is_told_and_prints_what_is_asked_for() {
    let place = Place::new();
    let other = "{\"stream\":\"a\",\"type\":\"Other\",\"data\":0}\n";
    place.append(&[line("a", 1), line("b", 2), line("a", 3), other.to_owned()].concat());
    let start = |arguments: &[&str]| Tail::start(&place, arguments);
    let cases: [(&[&str], &[u64]); 6] = [
        (&[], &[1, 2, 3, 4, 5, 6]),
        (&["--from", "3"], &[3, 4, 5, 6]),
        (&["--from", "0", "--stream", "a"], &[1, 3, 4, 5]),
        (&["--type", "Other"], &[4]),
        (&["--from", "2", "--stream", "a", "--type", "Noted", "--json"], &[3, 5]),
        (&["--from", "6"], &[6]),
    ];
    let tails: Vec<Tail> = cases.iter().map(|(arguments, _)| start(arguments)).collect();
    place.append(&[line("a", 5), line("b", 6)].concat());
    for (tail, (arguments, expected)) in tails.into_iter().zip(cases) {
        let mut printed: Vec<Value> = expected.iter().map(|_| tail.next()).collect();
        printed.extend(tail.interrupt());
        assert_eq!(numbers(&printed, "sequence"), expected, "{arguments:?}");
    }
}

/// A tail of what is new says nothing of what was there. When it has begun cannot be seen from outside, so lines are appended until
/// it prints one.
#[test]
fn tail_of_what_is_new_begins_with_what_comes() {
    let place = Place::new();
    place.append(&[line("a", 1), line("a", 2)].concat());
    let tail = Tail::start(&place, &["--new"]);
    let first = (0..600)
        .find_map(|number| {
            place.append(&line("a", number));
            tail.lines.recv_timeout(Duration::from_millis(100)).ok()
        })
        .unwrap();
    let mut printed = vec![first];
    printed.extend(tail.interrupt());
    let sequences = numbers(&printed, "sequence");
    assert!(sequences[0] > 2 && sequences.windows(2).all(|pair| pair[1] == pair[0] + 1), "{sequences:?}");
}

/// Goal: nothing half printed at Ctrl-C. Method: more than pipes and buffers hold, so that the interrupt meets a write that waits.
#[test]
fn an_interrupt_ends_tail_between_two_lines() {
    let place = Place::new();
    let lines: String = (0..5_000).map(|number| line("a", number)).collect();
    place.command("append", &["--inflight", "1024"]).write_stdin(lines).assert().success();
    let mut child = place.process("tail", &[]).spawn().unwrap();
    let mut output: BufReader<ChildStdout> = BufReader::new(child.stdout.take().unwrap());
    let mut text = Vec::new();
    output.read_until(b'\n', &mut text).unwrap();
    interrupt(&child);
    output.read_to_end(&mut text).unwrap();
    let sequences = numbers(&values(&text), "sequence");
    assert_eq!(text.last(), Some(&b'\n'));
    assert!(sequences.iter().copied().eq(1..=sequences.len() as u64));
    expect_end(&mut child, 130);
}

#[test]
fn tail_ends_quietly_when_its_reader_goes_also_where_nothing_comes() {
    let place = Place::new();
    place.append(&line("a", 1));
    let mut child = place.process("tail", &[]).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    output.read_line(&mut String::new()).unwrap();
    drop(output);
    expect_end(&mut child, 0);
}

#[test]
fn tail_of_no_store_and_from_two_places_is_refused() {
    let place = Place::new();
    let refused = place.command("tail", &[]).assert().code(3);
    assert!(String::from_utf8_lossy(&refused.get_output().stderr).contains("no store"));
    place.append(&line("a", 1));
    place.command("tail", &["--new", "--from", "1"]).assert().code(2);
    place.command("tail", &["--stream", ""]).assert().code(2);
    bitacora(["tail"]).assert().code(2);
}
