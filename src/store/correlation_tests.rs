//! Reading by correlation id: across streams, tails, segments and the index.

use super::*;
use crate::index::MemoryIndexProvider;
use crate::limits;
use crate::recovery::IndexUse;
use crate::types::Metadata;

fn correlated(number: u64, id: Option<&str>) -> NewEvent {
    let metadata = Metadata { correlation_id: id.map(str::to_owned), ..Metadata::default() };
    NewEvent { metadata, ..event(&number.to_string()) }
}

fn id_of(number: u64) -> Option<&'static str> {
    match number % 7 {
        0 | 3 => Some("payment-1"),
        5 => Some("payment-2"),
        _ => None,
    }
}

fn options() -> Options {
    Options::new().segment_bytes(limits::SEGMENT_BYTES_MIN).preallocation(Preallocation::Grow).background(false)
}

/// Commits of one to three events over four streams, with a step of housekeeping now and then.
fn fill(store: &Store, events: u64) {
    let mut number = 0;
    while number < events {
        let mut commit = Commit::new();
        for _ in 0..=number % 3 {
            number += 1;
            let name = format!("s-{}", number % 4);
            commit = commit.append(&stream(&name), ExpectedVersion::Any, vec![correlated(number, id_of(number))]);
        }
        store.commit(commit).unwrap();
        if number.is_multiple_of(50) {
            store.housekeep().unwrap();
        }
    }
}

fn expected(last: u64, id: &str, range: impl RangeBounds<u64>) -> Vec<u64> {
    (1..=last).filter(|number| id_of(*number) == Some(id) && range.contains(number)).collect()
}

fn sequences(events: impl Iterator<Item = Result<Event>>) -> Vec<u64> {
    events.map(|event| event.unwrap().sequence.get()).collect()
}

fn check(store: &Store) {
    let last = store.last_sequence().get();
    for id in ["payment-1", "payment-2", "payment-3", ""] {
        assert_eq!(sequences(store.read_correlation(id, ..)), expected(last, id, ..));
        let mut backwards = sequences(store.read_correlation(id, ..).rev());
        backwards.reverse();
        assert_eq!(backwards, expected(last, id, ..));
        for (from, to) in [(3, 3), (4, 700), (last - 20, last + 9), (last + 1, last + 2)] {
            let range = Sequence::new(from)..Sequence::new(to);
            assert_eq!(sequences(store.read_correlation(id, range)), expected(last, id, from..to), "{from} {to}");
        }
        let mut both = store.read_correlation(id, ..);
        let mut met = Vec::new();
        while let Some(event) = if met.len() % 3 == 0 { both.next_back() } else { both.next() } {
            met.push(event.unwrap().sequence.get());
        }
        met.sort_unstable();
        assert_eq!(met, expected(last, id, ..));
    }
}

#[test]
fn all_events_of_a_correlation_id_are_found_whatever_their_streams() {
    // Goal: places in the active tail, in frozen ones and in the index make one list. Method: small segments, a bound on the
    // tail that no page fits, and a look before, between and after the steps of housekeeping.
    let environment = Environment::in_memory();
    let store = Store::open_in(&environment, "/s", options().tail_events_max(300)).unwrap();
    fill(&store, 2_000);
    check(&store);
    store.housekeep().unwrap();
    check(&store);
    fill(&store, 100);
    let read_only = Store::open_read_only_in(&environment, "/s").unwrap();
    assert_eq!(
        sequences(read_only.read_correlation("payment-1", ..)),
        sequences(store.read_correlation("payment-1", ..))
    );
    let found = store.read_correlation("payment-1", ..).of_type(&EventType::new("Noted").unwrap()).count();
    assert_eq!(store.read_correlation("payment-1", ..).count(), found);
    assert_eq!(store.read_correlation("payment-1", ..).of_type(&EventType::new("Other").unwrap()).count(), 0);
    store.close().unwrap();
    assert!(verify_in(&environment, "/s").unwrap().is_ok());
    let read_only = Store::open_read_only_in(&environment, "/s").unwrap();
    assert!(read_only.read_correlation("payment-2", ..).count() > 280);
}

#[test]
fn an_index_that_is_made_anew_finds_the_same_by_correlation_id() {
    let environment = Environment::in_memory();
    let store = Store::open_in(&environment, "/s", options().tail_events_max(500)).unwrap();
    fill(&store, 1_500);
    check(&store);
    store.close().unwrap();
    let without = Environment::new(Arc::clone(&environment.disk), Arc::new(MemoryIndexProvider::default()));
    let store = Store::open_in(&without, "/s", options()).unwrap();
    assert!(matches!(store.recovery_report().index, IndexUse::Rebuilt { .. }));
    check(&store);
    store.close().unwrap();
    check(&Store::open_in(&without, "/s", options()).unwrap());
}

#[test]
fn a_read_by_correlation_id_shows_what_was_there_when_it_began() {
    let store = store();
    fill(&store, 10);
    let before = store.read_correlation("payment-1", ..);
    let backwards = store.read_correlation("payment-1", ..).rev();
    fill(&store, 10);
    assert_eq!(sequences(before), [3, 7, 10]);
    assert_eq!(sequences(backwards), [10, 7, 3]);
}

/// An index on its own, so that a test can reach into it.
fn with_index() -> (Environment, MemoryIndexProvider) {
    let index = MemoryIndexProvider::default();
    (Environment::new(Environment::in_memory().disk, Arc::new(index.clone())), index)
}

#[test]
fn an_index_of_the_format_without_correlation_ids_is_made_anew() {
    let (environment, index) = with_index();
    let store = Store::open_in(&environment, "/s", options().tail_events_max(500)).unwrap();
    fill(&store, 1_500);
    store.close().unwrap();
    index.make_older(Path::new("/s/index"));
    let reader = Store::open_read_only_in(&environment, "/s").unwrap();
    check(&reader);
    let store = Store::open_in(&environment, "/s", options()).unwrap();
    let IndexUse::Rebuilt { reason } = &store.recovery_report().index else { panic!("it is made anew") };
    assert!(reason.contains("format 1, where this version makes 2"), "{reason}");
    check(&store);
}

#[test]
fn verify_finds_what_is_missing_or_wrong_under_a_correlation_id() {
    for wrong in [false, true] {
        let (environment, index) = with_index();
        let store = Store::open_in(&environment, "/s", options()).unwrap();
        fill(&store, 200);
        store.close().unwrap();
        assert!(verify_in(&environment, "/s").unwrap().is_ok());
        index.edit(Path::new("/s/index"), |entries| {
            let of_second = entries.iter().find(|(key, _)| key.starts_with(b"c") && key[3..].starts_with(b"payment-2"));
            let (key, value) = of_second.map(|(key, value)| (key.clone(), value.clone())).unwrap();
            if wrong {
                let first = entries.iter().find(|(key, _)| key[3..].starts_with(b"payment-1")).unwrap().0.clone();
                entries.insert(first, value);
            } else {
                entries.remove(&key);
            }
        });
        let report = verify_in(&environment, "/s").unwrap();
        let id = if wrong { "payment-1" } else { "payment-2" };
        let found: Vec<_> = report.findings.iter().map(|finding| (finding.kind, finding.detail.contains(id))).collect();
        assert_eq!(found, [(FindingKind::Index, true)], "{:?}", report.findings);
        let reader = Store::open_read_only_in(&environment, "/s").unwrap();
        let first = reader.read_correlation("payment-1", ..).next().unwrap();
        assert_eq!(first.is_err(), wrong, "an event with another correlation id is never given out");
    }
}
