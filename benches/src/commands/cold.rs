//! What a warm store does not show: streams that were not touched for long, keys, an index that is gone, what the index writes in
//! all, and a second process that reads.

use std::io::{BufRead, BufReader, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bitacora::{Commit, ExpectedVersion, NewEvent, Options, Preallocation, Store};

use crate::bitacora_subject::options;
use crate::cases::Scale;
use crate::child::{Report, latencies};
use crate::subject::Durability;
use crate::workload::{empty_event, payload, record_bytes, stream_id};
use crate::{measure, place};

const IN_A_COMMIT: usize = 1_000;

/// Measures and prints.
///
/// # Panics
/// A store fails.
pub fn print(scale: Scale) {
    let streams = match scale {
        Scale::Tiny => 20_000,
        Scale::Short | Scale::Full => 1_000_000,
    };
    let commits = if scale == Scale::Full { 20_000 } else { streams / 250 };
    let folder = place::folder();
    println!("{}\n", place::machine(folder.path()));
    let path = folder.path().join("store");
    let written = fill(&path, streams);
    cold_appends(&path, streams, commits);
    without_index(&path);
    amplification(&written);
    beside_a_reader(&path, commits);
}

fn event() -> NewEvent {
    NewEvent { payload: payload(), ..empty_event() }
}

/// What was handed to the disk, and what is left of it.
struct Written {
    events: usize,
    written_bytes: u64,
    log_bytes: u64,
    index_bytes: u64,
}

/// One event to each stream and then a second one, in another order. No zeros are written, so that what is not the log is the
/// index.
fn fill(path: &Path, streams: usize) -> Written {
    let written = measure::written_bytes();
    let store = Store::open(path, Options::new().preallocation(Preallocation::Reserve)).unwrap();
    for round in 0..2 {
        for number in 0..streams / IN_A_COMMIT {
            let commit = (0..IN_A_COMMIT).fold(Commit::new(), |commit, part| {
                let stream = (number * IN_A_COMMIT + part).wrapping_mul(7_919 + 2 * round) % streams;
                commit.append(&stream_id(stream), ExpectedVersion::Any, vec![event()])
            });
            store.commit(commit).unwrap();
        }
    }
    store.housekeep().unwrap();
    store.close().unwrap();
    place::settle(path);
    let written_bytes = measure::written_bytes() - written;
    let store = Store::open_read_only(path).unwrap();
    let index_bytes = store.info().unwrap().index_bytes;
    let events = 2 * streams;
    Written { events, written_bytes, log_bytes: (events * record_bytes()) as u64, index_bytes }
}

fn amplification(written: &Written) {
    let each = |bytes: u64| bytes as f64 / written.events as f64;
    let by_index = written.written_bytes.saturating_sub(written.log_bytes);
    println!("\n## What the index writes\n");
    println!(
        "| events | handed to the disk, B/event | of it records | the rest: index, compaction, headers | index at the end |"
    );
    println!("|---:|---:|---:|---:|---:|");
    println!(
        "| {} | {:.1} | {:.1} | {:.1} | {:.1} |",
        written.events,
        each(written.written_bytes),
        each(written.log_bytes),
        each(by_index),
        each(written.index_bytes)
    );
}

fn cold_appends(path: &Path, streams: usize, commits: usize) {
    println!("## Appends of one event, durable, after the store was opened anew: {streams} streams are in the index\n");
    println!("| appends | k/s | p50 us | p99 us |\n|---|---:|---:|---:|");
    for (title, is_cold, has_key) in [
        ("to 100 warm streams", false, false),
        ("to 100 warm streams, each with a key", false, true),
        ("to cold streams", true, false),
        ("to cold streams, each with a key", true, true),
    ] {
        let store = Store::open(path, options(Durability::Sync)).unwrap();
        let stream = |number: usize| {
            let cold = number.wrapping_mul(104_729) % streams;
            stream_id(if is_cold { cold } else { number % 100 })
        };
        // The order of the commits does not repeat between the lines: what one made warm, the next does not meet.
        let first = if has_key { commits } else { 0 };
        let report = timed(commits, |number| {
            let commit = Commit::new().append(&stream(first + number), ExpectedVersion::Any, vec![event()]);
            let key = format!("{is_cold}-{number}");
            store.commit(if has_key { commit.idempotency_key(key) } else { commit }).unwrap();
        });
        store.close().unwrap();
        println!(
            "| {title} | {:.1} | {:.1} | {:.1} |",
            report.events as f64 / report.seconds / 1e3,
            report.p50_micros,
            report.p99_micros
        );
    }
}

fn timed(commits: usize, mut commit: impl FnMut(usize)) -> Report {
    let mut nanos = Vec::with_capacity(commits);
    let begun = Instant::now();
    for number in 0..commits {
        let started = Instant::now();
        commit(number);
        nanos.push(u32::try_from(started.elapsed().as_nanos()).unwrap_or(u32::MAX));
    }
    let seconds = begun.elapsed().as_secs_f64();
    nanos.sort_unstable();
    Report { events: commits as u64, seconds, ..latencies(&nanos) }
}

fn without_index(path: &Path) {
    println!("\n## Opening to the first durable append\n");
    println!("| index | ms |\n|---|---:|");
    for is_gone in [false, true] {
        if is_gone {
            std::fs::remove_dir_all(path.join("index")).unwrap();
        }
        let started = Instant::now();
        let store = Store::open(path, options(Durability::Sync)).unwrap();
        store.append(&stream_id(0), ExpectedVersion::Any, vec![event()]).unwrap();
        let millis = started.elapsed().as_secs_f64() * 1e3;
        let title =
            if is_gone { "just deleted: made anew from the whole log" } else { "as it was, after a clean close" };
        println!("| {title} | {millis:.1} |");
        store.close().unwrap();
    }
}

/// The word that makes this program a reader: it scans again and again until its input ends.
pub const READER: &str = "reader";

fn beside_a_reader(path: &Path, commits: usize) {
    println!("\n## Durable appends of one event, with and without another process that scans all the while\n");
    println!("| other process | appends, k/s | p50 us | p99 us | its scans, M events/s |\n|---|---:|---:|---:|---:|");
    let store = Store::open(path, options(Durability::Sync)).unwrap();
    for is_read in [false, true] {
        let reader = is_read.then(|| {
            Command::new(std::env::current_exe().unwrap())
                .arg(READER)
                .arg(path)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap()
        });
        let report = timed(commits, |number| {
            store.append(&stream_id(number % 100), ExpectedVersion::Any, vec![event()]).unwrap();
        });
        let mut scanned = String::new();
        if let Some(mut reader) = reader {
            drop(reader.stdin.take());
            BufReader::new(reader.stdout.take().unwrap()).read_line(&mut scanned).unwrap();
            reader.wait().unwrap();
        }
        println!(
            "| {} | {:.1} | {:.1} | {:.1} | {} |",
            if is_read { "scans" } else { "none" },
            report.events as f64 / report.seconds / 1e3,
            report.p50_micros,
            report.p99_micros,
            scanned.trim()
        );
    }
    store.close().unwrap();
}

/// What the reader does; prints its rate.
///
/// # Panics
/// The store cannot be read.
pub fn read_until_told(path: &Path) {
    let (told, is_told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let _ = std::io::stdin().lines().count();
        let _ = told.send(());
    });
    let (begun, mut events) = (Instant::now(), 0u64);
    loop {
        let store = Store::open_read_only(path).unwrap();
        store
            .visit(.., |_| {
                events += 1;
                Ok(ControlFlow::Continue(()))
            })
            .unwrap();
        if is_told.recv_timeout(Duration::ZERO).is_ok() {
            break;
        }
    }
    println!("{:.2}", events as f64 / begun.elapsed().as_secs_f64() / 1e6);
    let _ = std::io::stdout().flush();
}
