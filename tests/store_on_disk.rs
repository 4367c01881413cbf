//! The store on real files with RocksDB: what is written by one opening is read by the next, and by readers beside it.

#![cfg(feature = "rocksdb")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

use std::fs;
use std::path::Path;
use std::time::Duration;

use bitacora::{
    CodecId, Commit, Durability, ErrorKind, Event, EventType, ExpectedVersion, IndexUse, NewEvent, Options,
    Preallocation, Sequence, Store, StreamId, verify,
};

fn stream(number: u64) -> StreamId {
    StreamId::new(format!("s-{number}")).unwrap()
}

fn commit(number: u64) -> Commit {
    let text = format!("{number}:{}", "x".repeat(usize::try_from(number % 700).unwrap()));
    let event = NewEvent::new(EventType::new("Noted").unwrap(), CodecId::RAW, text.into_bytes());
    Commit::new()
        .append(&stream(number % 37), ExpectedVersion::Any, vec![event])
        .idempotency_key(format!("key-{number}"))
}

fn fill(store: &Store, from: u64, to: u64) {
    let tickets: Vec<_> = (from..to).map(|number| store.submit(commit(number)).unwrap()).collect();
    tickets.into_iter().for_each(|ticket| drop(ticket.wait().unwrap()));
}

fn options() -> Options {
    Options::new().segment_bytes(1024 * 1024)
}

/// Every event, found in order, by stream and by key.
fn check(store: &Store, count: u64) {
    let all: Vec<Event> = store.read_all(..).map(Result::unwrap).collect();
    assert_eq!(all.len() as u64, count);
    for (event, number) in all.iter().zip(0..) {
        assert!(event.payload.starts_with(format!("{number}:").as_bytes()));
    }
    for number in 0..37 {
        let expected: Vec<&Event> = all.iter().filter(|event| event.stream == stream(number)).collect();
        let read: Vec<Event> = store.read_stream(&stream(number), ..).map(Result::unwrap).collect();
        assert_eq!(read.iter().collect::<Vec<_>>(), expected);
        let mut backwards: Vec<Event> = store.read_stream(&stream(number), ..).rev().map(Result::unwrap).collect();
        backwards.reverse();
        assert_eq!(backwards, read);
    }
    for number in (0..count).step_by(101) {
        let used = store.key_use(&format!("key-{number}")).unwrap().unwrap();
        assert_eq!(used.receipt.sequence_first, Sequence::new(number + 1));
    }
}

fn verified(folder: &Path) {
    let report = verify(folder).unwrap();
    assert!(report.is_ok(), "{:?}", report.findings);
}

#[test]
fn it_is_all_there_after_each_reopening() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..4 {
        let store = Store::open(folder.path(), options()).unwrap();
        let report = store.recovery_report();
        assert_eq!((report.was_created, report.events_replayed, report.bytes_read), (round == 0, 0, 0));
        fill(&store, round * 3_000, (round + 1) * 3_000);
        check(&store, (round + 1) * 3_000);
        store.close().unwrap();
        verified(folder.path());
    }
}

#[test]
fn an_index_that_is_deleted_or_damaged_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), options()).unwrap();
    fill(&store, 0, 9_000);
    store.close().unwrap();
    drop(store);
    let index = folder.path().join("index");
    fs::remove_dir_all(&index).unwrap();
    let store = Store::open(folder.path(), options()).unwrap();
    assert!(matches!(store.recovery_report().index, IndexUse::Rebuilt { .. }));
    check(&store, 9_000);
    store.close().unwrap();
    drop(store);
    verified(folder.path());
    for entry in fs::read_dir(&index).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with("MANIFEST") {
            fs::write(path, "damaged").unwrap();
        }
    }
    let store = Store::open(folder.path(), options()).unwrap();
    assert!(matches!(store.recovery_report().index, IndexUse::Rebuilt { .. }));
    check(&store, 9_000);
}

#[test]
fn a_reader_beside_a_writer_sees_what_is_synced_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), options()).unwrap();
    for round in 1..=5 {
        fill(&store, (round - 1) * 2_000, round * 2_000);
        let reader = Store::open_read_only(folder.path()).unwrap();
        check(&reader, round * 2_000);
        assert_eq!(reader.commit(commit(1)).unwrap_err().kind(), ErrorKind::ReadOnly);
        assert_eq!(reader.sync().unwrap_err().kind(), ErrorKind::ReadOnly);
        verified(folder.path());
    }
    check(&store, 10_000);
}

#[test]
fn an_interval_store_syncs_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let store =
        Store::open(folder.path(), options().durability(Durability::Interval(Duration::from_millis(5)))).unwrap();
    fill(&store, 0, 10);
    assert_eq!(store.last_sequence(), Sequence::new(10));
    let start = std::time::Instant::now();
    while store.durable_sequence() < Sequence::new(10) {
        assert!(start.elapsed() < Duration::from_secs(30), "no interval sync");
        std::thread::yield_now();
    }
    // A call may ask for more.
    store.commit(commit(10).durability(Durability::Sync)).unwrap();
    assert_eq!(store.durable_sequence(), Sequence::new(11));
}

#[test]
fn every_durability_and_preallocation_can_follow_every_other() {
    let folder = tempfile::tempdir().unwrap();
    let durabilities = [Durability::Sync, Durability::Buffered, Durability::Interval(Duration::from_millis(50))];
    let preallocations = [Preallocation::ZeroFill, Preallocation::Reserve, Preallocation::Grow];
    let mut count = 0;
    for _ in 0..2 {
        for durability in durabilities {
            for preallocation in preallocations {
                let store =
                    Store::open(folder.path(), options().durability(durability).preallocation(preallocation)).unwrap();
                fill(&store, count, count + 400);
                count += 400;
                check(&store, count);
            }
        }
    }
    verified(folder.path());
}

#[test]
fn a_store_may_be_reached_through_a_link() {
    let folder = tempfile::tempdir().unwrap();
    let (real, link) = (folder.path().join("real"), folder.path().join("link"));
    Store::open(&real, options()).unwrap().close().unwrap();
    std::os::unix::fs::symlink(&real, &link).unwrap();
    let store = Store::open(&link, options()).unwrap();
    fill(&store, 0, 10);
    store.close().unwrap();
    check(&Store::open_read_only(&link).unwrap(), 10);
}
