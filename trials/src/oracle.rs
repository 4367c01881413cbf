//! What must be true of a store after any fault.
//!
//! The log is gapless and ordered; it holds all that was acknowledged and nothing that was not submitted; every commit is
//! whole or absent; bytes are equal; the index says what the log says; `verify` agrees.

use std::ops::ControlFlow;

use bitacora::{Sequence, Store, verify_in};

use crate::workload::{Book, Known, ROOT, STREAMS, Shape, World, key, stream};

/// Opens what a fault has left and holds it against what is known. Returns the store and how many commits it holds.
///
/// # Panics
/// Where the store is at fault.
pub fn check(world: &World, shape: &Shape, book: &Book, known: Known, label: &dyn Fn() -> String) -> (Store, usize) {
    let store = world.open(shape).unwrap_or_else(|error| panic!("{}: {error}", label()));
    let commits = check_events(&store, book, known, label);
    check_index(&store, book, commits, label);
    check_verify(world, label);
    (store, commits)
}

/// As [`check`], without the index: for classes that change nothing of it, and try very many stores.
///
/// # Panics
/// Where the store is at fault.
pub fn check_log(world: &World, shape: &Shape, book: &Book, known: Known, label: &dyn Fn() -> String) -> Store {
    let store = world.open(shape).unwrap_or_else(|error| panic!("{}: {error}", label()));
    check_events(&store, book, known, label);
    store
}

/// The events: all acknowledged, nothing else than submitted, whole commits, equal bytes.
///
/// # Panics
/// Where they are not.
pub fn check_events(store: &Store, book: &Book, known: Known, label: &dyn Fn() -> String) -> usize {
    let planned = book.events(known.submitted);
    let mut found = 0;
    let visited = store.visit(.., |event| {
        let Some(expected) = planned.get(found) else {
            panic!("{}: sequence {} was never submitted", label(), event.sequence)
        };
        let is_equal = event.sequence.get() == found as u64 + 1
            && event.stream == STREAMS[expected.stream]
            && event.version.get() == expected.version
            && event.id == expected.id
            && event.payload == expected.payload;
        assert!(is_equal, "{}: sequence {} is {event:?}, was submitted as {expected:?}", label(), found + 1);
        found += 1;
        Ok(ControlFlow::Continue(()))
    });
    visited.unwrap_or_else(|error| panic!("{}: {error}", label()));
    let acknowledged = book.events(known.acknowledged).len();
    assert!(found >= acknowledged, "{}: lost: {acknowledged} events were acknowledged, {found} are there", label());
    assert_eq!(store.last_sequence(), Sequence::new(found as u64), "{}", label());
    book.whole(found).unwrap_or_else(|| panic!("{}: {found} events end within a commit", label()))
}

/// The index: streams, heads and keys say what the log says.
///
/// # Panics
/// Where they do not.
pub fn check_index(store: &Store, book: &Book, commits: usize, label: &dyn Fn() -> String) {
    let events = book.events(commits);
    for (at, name) in STREAMS.iter().enumerate() {
        let name = stream(name);
        let mut expected = (1u64..).zip(events).filter(|(_, event)| event.stream == at);
        let mut last = None;
        for event in store.read_stream(&name, ..) {
            let event = event.unwrap_or_else(|error| panic!("{}: {error}", label()));
            let place = expected.next().map(|(sequence, event)| (sequence, event.version));
            assert_eq!(Some((event.sequence.get(), event.version.get())), place, "{}: {name}", label());
            last = place;
        }
        assert!(expected.next().is_none(), "{}: {name} ends too early", label());
        let head = store.stream_head(&name).unwrap_or_else(|error| panic!("{}: {error}", label()));
        assert_eq!(head.map(|head| (head.sequence.get(), head.version.get())), last, "{}: {name}", label());
    }
    for number in 0..commits {
        let used = store.key_use(&key(number)).unwrap_or_else(|error| panic!("{}: {error}", label()));
        let last = used.map(|used| used.receipt.sequence_last);
        assert_eq!(last, Some(book.sequence(number + 1)), "{}: key {number}", label());
    }
    if commits < book.commits() {
        let used = store.key_use(&key(commits)).unwrap_or_else(|error| panic!("{}: {error}", label()));
        assert!(used.is_none(), "{}: the key of a commit that is not there", label());
    }
}

/// `verify` finds nothing.
///
/// # Panics
/// Where it does.
pub fn check_verify(world: &World, label: &dyn Fn() -> String) {
    let report = verify_in(&world.environment(), ROOT).unwrap_or_else(|error| panic!("{}: {error}", label()));
    assert!(report.is_ok(), "{}: {:?}", label(), report.findings);
}
