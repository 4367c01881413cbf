//! A large store is backed up, damaged in one sealed segment and repaired: lost is exactly what the plan said, event by event.
//!
//! `BITACORA_EVENTS=1000000 cargo test --release --test repair_loses_what_was_planned -- --nocapture` tries it with a million events
//! and tells the figures; without the variable it takes fewer, and a moment.

#![cfg(feature = "rocksdb")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use bitacora::{
    CodecId, Commit, Durability, EVENT_LOST, ErrorKind, Event, EventType, ExpectedVersion, NewEvent, Options, Store,
    StreamId, backup, repair, repair_plan, repair_with, verify,
};

const EVENTS: u64 = 30_000;
const STREAMS: u64 = 200;
/// Damaged bytes lie this far apart, so that many frames are hit and sound ones stand between them.
const DAMAGE_EVERY_BYTES: u64 = 100_003;

fn events() -> u64 {
    std::env::var("BITACORA_EVENTS").map_or(EVENTS, |count| count.parse().unwrap())
}

fn options(events: u64) -> Options {
    // About ten segments, whatever the size.
    let bytes = (events * 200 / 10).clamp(1024 * 1024, 64 * 1024 * 1024);
    Options::new().segment_bytes(bytes).durability(Durability::Buffered)
}

/// Commits of one to five events, over one stream or two, gapless in each.
fn fill(folder: &Path, events: u64) {
    let store = Store::open(folder, options(events)).unwrap();
    let event_type = EventType::new("Noted").unwrap();
    let (mut made, mut number) = (0, 0_u64);
    let mut tickets = Vec::new();
    while made < events {
        let count = (1 + number % 5).min(events - made);
        let payload = |at: u64| format!("{{\"number\":{},\"note\":\"{}\"}}", made + at, "x".repeat(48));
        let new = |at: u64| NewEvent::new(event_type.clone(), CodecId::JSON, payload(at).into_bytes());
        let stream = |at: u64| StreamId::new(format!("stream-{}", at % STREAMS)).unwrap();
        let (first, second): (Vec<_>, Vec<_>) = (0..count).partition(|at| *at < 3);
        let appended = first.into_iter().map(new).collect();
        let mut commit = Commit::new().append(&stream(number * 7), ExpectedVersion::Any, appended);
        if !second.is_empty() {
            let appended = second.into_iter().map(new).collect();
            commit = commit.append(&stream(number * 7 + 1), ExpectedVersion::Any, appended);
        }
        tickets.push(store.submit(commit).unwrap());
        if tickets.len() == 1_000 {
            tickets.drain(..).for_each(|ticket| drop(ticket.wait().unwrap()));
        }
        made += count;
        number += 1;
    }
    tickets.into_iter().for_each(|ticket| drop(ticket.wait().unwrap()));
    store.close().unwrap();
}

/// The segments that are sealed, in order.
fn sealed(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder.join("log")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|end| end == "seal"));
    files.sort();
    files.iter().map(|seal| seal.with_extension("seg")).collect()
}

/// Flips a bit in many places of a file; how many.
fn damage(segment: &Path) -> u64 {
    let mut file = fs::OpenOptions::new().read(true).write(true).open(segment).unwrap();
    let length = file.metadata().unwrap().len();
    let (mut at, mut count) = (4_096, 0);
    while at < length {
        let mut byte = [0];
        file.seek(SeekFrom::Start(at)).unwrap();
        file.read_exact(&mut byte).unwrap();
        // Room that was never written is no event.
        if byte != [0] {
            file.seek(SeekFrom::Start(at)).unwrap();
            file.write_all(&[byte[0] ^ 0x10]).unwrap();
            count += 1;
        }
        at += DAMAGE_EVERY_BYTES;
    }
    count
}

/// Goal: a repair loses what its plan said, no event more and none less, and changes no other. Method: bits are flipped all over one
/// sealed segment of a store that was backed up before; after the repair every event is compared with the backup's.
#[test]
fn a_repair_loses_exactly_what_its_plan_said() {
    let events = events();
    let folder = tempfile::tempdir().unwrap();
    let (store, copy) = (folder.path().join("till-data"), folder.path().join("backup"));
    let mut told = vec![format!("{events} events")];
    let mut timed = |what: &str, from: Instant| told.push(format!("{what} {:.1} s", from.elapsed().as_secs_f64()));

    let started = Instant::now();
    fill(&store, events);
    timed("written in", started);
    let started = Instant::now();
    assert_eq!(backup(&store, &copy).unwrap().events, events);
    timed("backed up in", started);

    let segments = sealed(&store);
    assert!(segments.len() >= 3, "some segments are sealed: {segments:?}");
    let places = damage(&segments[segments.len() / 2]);
    assert!(places >= 3, "{places} places");
    assert!(!verify(&store).unwrap().is_ok());

    let started = Instant::now();
    let plan = repair_plan(&store).unwrap();
    timed("planned in", started);
    let planned: BTreeSet<u64> = plan.lost.iter().flat_map(|loss| loss.first.get()..=loss.last.get()).collect();
    assert_eq!(planned.len() as u64, plan.events_lost);
    assert!(plan.events_lost >= places && plan.events_lost + plan.events_kept == events, "{plan:?}");

    // Broken off at its first word, it has changed nothing.
    let broken = repair_with(&store, &plan, &mut |_| ControlFlow::Break(())).unwrap_err();
    assert_eq!(broken.kind(), ErrorKind::Aborted);
    assert_eq!(repair_plan(&store).unwrap(), plan);

    let started = Instant::now();
    let outcome = repair(&store, &plan).unwrap();
    timed("repaired in", started);
    assert_eq!((outcome.events_lost, outcome.record_sequence.get()), (plan.events_lost, events + 1));

    let started = Instant::now();
    assert!(verify(&store).unwrap().is_ok());
    let lost = compared(&store, &copy, events);
    timed("verified and compared in", started);
    assert_eq!(lost, planned, "lost is what was planned");
    let share = plan.lost.len();
    println!("{}; {places} bits flipped; {} events lost in {share} places, as planned", told.join(", "), lost.len());
}

/// Compares every event with the backup's, but for stand-ins; the sequences of those.
fn compared(store: &Path, copy: &Path, events: u64) -> BTreeSet<u64> {
    // It opens to write, and goes on.
    let repaired = Store::open(store, options(events)).unwrap();
    let original = Store::open_read_only(copy).unwrap();
    let mut lost = BTreeSet::new();
    let mut versions = std::collections::HashMap::new();
    for (event, before) in repaired.read_all(..).zip(original.read_all(..)) {
        let (event, before): (Event, Event) = (event.unwrap(), before.unwrap());
        assert_eq!(event.sequence, before.sequence);
        if event.event_type.as_str() == EVENT_LOST {
            lost.insert(event.sequence.get());
        } else {
            assert_eq!(event, before, "what is kept is as it was");
        }
        let version = versions.entry(event.stream.clone()).or_insert(0);
        *version += 1;
        assert_eq!(event.version.get(), *version, "gapless in {}", event.stream);
    }
    assert_eq!(original.last_sequence().get(), events);
    repaired.close().unwrap();
    lost
}
