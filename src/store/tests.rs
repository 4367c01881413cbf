//! The store in memory: what appends, reads and keys promise, apart from any crash.

use std::time::Duration;

use super::*;
use crate::clock::ManualClock;
use crate::error::{Error, ErrorKind};
use crate::types::{CodecId, EventType, Version};

#[path = "time_tests.rs"]
mod time;

#[cfg(feature = "simulation")]
#[path = "backup_tests.rs"]
mod backups;
#[cfg(feature = "simulation")]
#[path = "bulk_tests.rs"]
mod bulk;
#[cfg(feature = "simulation")]
#[path = "crash_tests.rs"]
mod crash;
#[cfg(feature = "simulation")]
#[path = "damage_tests.rs"]
mod damage;
#[cfg(feature = "simulation")]
#[path = "follow_tests.rs"]
mod follows;
#[cfg(feature = "simulation")]
#[path = "repair_tests.rs"]
mod repairs;
#[cfg(feature = "simulation")]
#[path = "repair_deed_tests.rs"]
mod repairs_done;
#[cfg(feature = "simulation")]
#[path = "reserve_tests.rs"]
mod reserve;
#[cfg(feature = "simulation")]
#[path = "skew_tests.rs"]
mod skew;
#[cfg(all(feature = "simulation", feature = "transfer"))]
#[path = "transfer_tests.rs"]
mod transfers;
#[cfg(all(feature = "simulation", feature = "transfer"))]
#[path = "transfer_crash_tests.rs"]
mod transfers_cut_short;

#[cfg(feature = "simulation")]
#[path = "consumer_tests.rs"]
mod consumers;
#[path = "correlation_tests.rs"]
mod correlations;
#[path = "heads_tests.rs"]
mod heads;
#[cfg(feature = "simulation")]
#[path = "keep_index_tests.rs"]
mod keeps_index;
#[path = "span_tests.rs"]
mod spans;
#[cfg(feature = "simulation")]
#[path = "stats_tests.rs"]
mod stats;
#[cfg(feature = "futures")]
#[path = "stream_tests.rs"]
mod streams;
#[path = "subscription_tests.rs"]
mod subscriptions;

fn event(text: &str) -> NewEvent {
    NewEvent::new(EventType::new("Noted").unwrap(), CodecId::RAW, text.as_bytes().to_vec())
}

fn stream(name: &str) -> StreamId {
    StreamId::new(name).unwrap()
}

fn store() -> Store {
    Store::in_memory(Options::new().segment_bytes(1024 * 1024)).unwrap()
}

fn texts(events: impl Iterator<Item = Result<Event>>) -> Vec<String> {
    events.map(|event| String::from_utf8(event.unwrap().payload).unwrap()).collect()
}

#[test]
fn what_is_appended_is_read_in_order_and_in_both_directions() {
    let store = store();
    for number in 0..50 {
        let name = if number % 3 == 0 { "a-1" } else { "b-1" };
        let receipt = store.append(&stream(name), ExpectedVersion::Any, vec![event(&number.to_string())]).unwrap();
        assert_eq!(receipt.sequence_first, Sequence::new(number + 1));
    }
    let all: Vec<String> = (0..50).map(|number| number.to_string()).collect();
    assert_eq!(texts(store.read_all(..)), all);
    let mut backwards = texts(store.read_all(..).rev());
    backwards.reverse();
    assert_eq!(backwards, all);
    let a: Vec<String> = (0..50).step_by(3).map(|number| number.to_string()).collect();
    assert_eq!(texts(store.read_stream(&stream("a-1"), ..)), a);
    assert_eq!(texts(store.read_stream(&stream("a-1"), ..).rev().take(2)), ["48", "45"]);
    assert_eq!(texts(store.read_stream(&stream("a-1"), Version::new(2)..Version::new(4))), ["3", "6"]);
    assert_eq!(texts(store.read_all(Sequence::new(49)..)), ["48", "49"]);
    assert_eq!(texts(store.read_all(Sequence::new(60)..)), Vec::<String>::new());
    assert_eq!(texts(store.read_stream(&stream("c-1"), ..)), Vec::<String>::new());
}

#[test]
fn a_read_from_both_ends_meets_in_the_middle() {
    let store = store();
    let commit = (0..40).map(|number| event(&number.to_string())).collect();
    store.append(&stream("a-1"), ExpectedVersion::NoStream, commit).unwrap();
    let meet = |mut events: Box<dyn DoubleEndedIterator<Item = Result<Event>>>| {
        let mut seen = Vec::new();
        while let Some(event) = if seen.len() % 3 == 0 { events.next_back() } else { events.next() } {
            seen.push(event.unwrap().sequence);
        }
        seen.sort_unstable();
        seen
    };
    let all: Vec<Sequence> = (1..=40).map(Sequence::new).collect();
    assert_eq!(meet(Box::new(store.read_all(..))), all);
    assert_eq!(meet(Box::new(store.read_stream(&stream("a-1"), ..))), all);
}

#[test]
fn events_of_a_type_are_read_alone() {
    let store = store();
    let other = EventType::new("Other").unwrap();
    let odd = |number: u64| {
        let mut event = event(&number.to_string());
        if number % 2 == 1 {
            event.event_type = other.clone();
        }
        event
    };
    store.append(&stream("a-1"), ExpectedVersion::Any, (0..9).map(odd).collect()).unwrap();
    assert_eq!(texts(store.read_all(..).of_type(&other)), ["1", "3", "5", "7"]);
    assert_eq!(texts(store.read_all(..).of_type(&other).rev()), ["7", "5", "3", "1"]);
    assert_eq!(texts(store.read_stream(&stream("a-1"), ..).of_type(&other)), ["1", "3", "5", "7"]);
}

#[test]
fn a_visit_shows_what_a_read_copies_and_can_break_off() {
    let store = store();
    let commits = [3, 1, 4];
    for count in commits {
        let events = (0..count).map(|number| event(&number.to_string())).collect();
        store.append(&stream("a-1"), ExpectedVersion::Any, events).unwrap();
    }
    let copied: Vec<Event> = store.read_all(Sequence::new(2)..=Sequence::new(6)).map(Result::unwrap).collect();
    let mut seen = Vec::new();
    let range = Sequence::new(2)..=Sequence::new(6);
    store
        .visit(range, |event| {
            seen.push((
                event.sequence,
                event.stream.to_owned(),
                event.version,
                event.id,
                event.timestamp,
                event.payload.to_vec(),
            ));
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
    let expected =
        copied.iter().map(|e| (e.sequence, e.stream.to_string(), e.version, e.id, e.timestamp, e.payload.clone()));
    assert_eq!(seen, expected.collect::<Vec<_>>());
    let mut count = 0;
    let breaks_off = |_: EventRef<'_>| {
        count += 1;
        Ok(if count == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    };
    store.visit(.., breaks_off).unwrap();
    assert_eq!(count, 3);
    store.visit(Sequence::new(9).., |_| panic!("there is no ninth event")).unwrap();
}

#[test]
fn a_conflict_says_what_was_expected_and_what_is_there() {
    let store = store();
    let a = stream("a-1");
    store.append(&a, ExpectedVersion::NoStream, vec![event("1"), event("2")]).unwrap();
    let conflict = |expected| store.append(&a, expected, vec![event("x")]).unwrap_err();
    for expected in
        [ExpectedVersion::NoStream, ExpectedVersion::Exact(Version::new(1)), ExpectedVersion::Exact(Version::new(3))]
    {
        let error = conflict(expected);
        assert_eq!(error.kind(), ErrorKind::Conflict);
        let detail = error.as_conflict().unwrap();
        assert_eq!((detail.expected, detail.actual), (expected, Some(Version::new(2))));
    }
    let missing = store.append(&stream("b-1"), ExpectedVersion::StreamExists, vec![event("x")]).unwrap_err();
    assert_eq!(missing.as_conflict().unwrap().actual, None);
    store.append(&a, ExpectedVersion::Exact(Version::new(2)), vec![event("3")]).unwrap();
    store.append(&a, ExpectedVersion::StreamExists, vec![event("4")]).unwrap();
    assert_eq!(store.last_sequence(), Sequence::new(4));
}

#[test]
fn a_commit_over_several_streams_is_all_or_nothing() {
    let store = store();
    let commit = || {
        Commit::new()
            .append(&stream("a-1"), ExpectedVersion::NoStream, vec![event("1"), event("2")])
            .append(&stream("b-1"), ExpectedVersion::NoStream, vec![event("3")])
            .append(&stream("a-1"), ExpectedVersion::Exact(Version::new(2)), vec![event("4")])
    };
    let receipt = store.commit(commit()).unwrap();
    assert_eq!((receipt.sequence_first, receipt.sequence_last), (Sequence::new(1), Sequence::new(4)));
    let shape: Vec<_> =
        receipt.streams.iter().map(|s| (s.stream.as_str(), s.version_first.get(), s.version_last.get())).collect();
    assert_eq!(shape, [("a-1", 1, 3), ("b-1", 1, 1)]);
    let half = Commit::new().append(&stream("c-1"), ExpectedVersion::NoStream, vec![event("5")]).append(
        &stream("b-1"),
        ExpectedVersion::NoStream,
        vec![event("6")],
    );
    assert_eq!(store.commit(half).unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(store.stream_head(&stream("c-1")).unwrap(), None);
    assert_eq!(store.last_sequence(), Sequence::new(4));
    assert_eq!(texts(store.read_stream(&stream("a-1"), ..)), ["1", "2", "4"]);
}

#[test]
fn a_repeated_key_gives_the_first_receipt_and_other_content_is_refused() {
    let store = store();
    let a = stream("a-1");
    let commit = |text: &str, expected| Commit::new().append(&a, expected, vec![event(text)]).idempotency_key("key");
    let first = store.commit(commit("1", ExpectedVersion::NoStream)).unwrap();
    assert!(!first.is_repeat);
    // The key is looked at before the expected version.
    let again = store.commit(commit("1", ExpectedVersion::NoStream)).unwrap();
    assert_eq!(again, Receipt { is_repeat: true, ..first.clone() });
    let other = store.commit(commit("2", ExpectedVersion::Any)).unwrap_err();
    assert_eq!(other.kind(), ErrorKind::IdempotencyConflict);
    assert_eq!(store.last_sequence(), Sequence::new(1));
    let used = store.key_use("key").unwrap().unwrap();
    assert_eq!(used.receipt.sequence_first, first.sequence_first);
    assert_eq!(store.key_use("none").unwrap(), None);
}

#[test]
fn commits_of_many_threads_are_gapless_and_in_order() {
    const THREADS: u64 = 8;
    const COMMITS: u64 = 200;
    let store = store();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let store = store.clone();
            scope.spawn(move || {
                let own = stream(&format!("own-{thread}"));
                for number in 0..COMMITS {
                    let commit = Commit::new()
                        .append(&own, ExpectedVersion::Exact(Version::new(number)), vec![event(&number.to_string())])
                        .append(&stream("all-1"), ExpectedVersion::Any, vec![event("x")]);
                    let receipt = store.commit(commit).unwrap();
                    assert!(receipt.sequence_last <= store.durable_sequence());
                    assert_eq!(store.stream_head(&own).unwrap().unwrap().version, Version::new(number + 1));
                }
            });
        }
    });
    let all: Vec<Event> = store.read_all(..).map(Result::unwrap).collect();
    assert_eq!(all.len() as u64, THREADS * COMMITS * 2);
    assert!(all.iter().zip(1..).all(|(event, number)| event.sequence == Sequence::new(number)));
    assert!(all.windows(2).all(|pair| pair[0].timestamp <= pair[1].timestamp));
    let shared = store.read_stream(&stream("all-1"), ..).map(Result::unwrap).collect::<Vec<_>>();
    assert!(shared.iter().zip(1..).all(|(event, number)| event.version == Version::new(number)));
}

#[test]
fn one_key_from_many_threads_is_committed_once() {
    let store = store();
    let receipts: Vec<Receipt> = std::thread::scope(|scope| {
        let commit = || {
            let commit = Commit::new().append(&stream("a-1"), ExpectedVersion::NoStream, vec![event("1")]);
            store.commit(commit.idempotency_key("once")).unwrap()
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(commit)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(receipts.iter().filter(|receipt| !receipt.is_repeat).count(), 1);
    assert!(receipts.iter().all(|receipt| receipt.sequence_first == Sequence::FIRST));
    assert_eq!(store.last_sequence(), Sequence::FIRST);
}

#[test]
fn one_thread_keeps_many_commits_in_flight_in_order() {
    let store = store();
    let a = stream("a-1");
    let submit = |number: u64| {
        let commit =
            Commit::new().append(&a, ExpectedVersion::Exact(Version::new(number)), vec![event(&number.to_string())]);
        store.submit(commit).unwrap()
    };
    let tickets: Vec<Ticket> = (0..100).map(submit).collect();
    // A conflict with what is not resolved yet is answered when that is.
    let conflict = store.append(&a, ExpectedVersion::Exact(Version::new(3)), vec![event("x")]).unwrap_err();
    assert_eq!(conflict.as_conflict().unwrap().actual, Some(Version::new(100)));
    for (ticket, number) in tickets.into_iter().zip(1..) {
        assert_eq!(ticket.wait().unwrap().sequence_first, Sequence::new(number));
    }
}

#[test]
fn a_submitted_commit_that_nobody_waits_for_is_written_all_the_same() {
    let store = store();
    drop(store.submit(Commit::new().append(&stream("a-1"), ExpectedVersion::Any, vec![event("1")])).unwrap());
    store.sync().unwrap();
    assert_eq!(store.durable_sequence(), Sequence::FIRST);
}

#[test]
fn a_clock_that_jumps_back_does_not_reorder_time() {
    let clock = ManualClock::new(Timestamp::from_micros(1_000));
    let store = Store::in_memory(Options::new().segment_bytes(1024 * 1024).clock(Arc::new(clock.clone()))).unwrap();
    let mut times = Vec::new();
    for micros in [1_000, 2_000, 500, 1_500, 3_000] {
        clock.set(Timestamp::from_micros(micros));
        let receipt = store.append(&stream("a-1"), ExpectedVersion::Any, vec![event("x")]).unwrap();
        times.push(receipt.timestamp.as_micros());
    }
    assert_eq!(times, [1_000, 2_000, 2_000, 2_000, 3_000]);
    let at = |micros| store.sequence_at(Timestamp::from_micros(micros)).unwrap().get();
    assert_eq!([at(999), at(1_000), at(1_999), at(2_000), at(2_999), at(9_999)], [0, 1, 1, 4, 4, 5]);
}

#[test]
fn limits_and_empty_commits_are_refused_and_nothing_is_written() {
    let store = store();
    let a = stream("a-1");
    let refused = |commit| store.commit(commit).unwrap_err().kind();
    assert_eq!(refused(Commit::new()), ErrorKind::InvalidInput);
    assert_eq!(refused(Commit::new().append(&a, ExpectedVersion::Any, Vec::new())), ErrorKind::InvalidInput);
    let many = vec![event(""); crate::limits::COMMIT_EVENTS_MAX + 1];
    assert_eq!(refused(Commit::new().append(&a, ExpectedVersion::Any, many)), ErrorKind::InvalidInput);
    let large = vec![event(&"x".repeat(crate::limits::PAYLOAD_BYTES_MAX)); 5];
    assert_eq!(refused(Commit::new().append(&a, ExpectedVersion::Any, large)), ErrorKind::InvalidInput);
    assert_eq!(store.last_sequence(), Sequence::ZERO);
    store.append(&a, ExpectedVersion::Any, vec![event(""); crate::limits::COMMIT_EVENTS_MAX]).unwrap();
    assert_eq!(store.last_sequence(), Sequence::new(crate::limits::COMMIT_EVENTS_MAX as u64));
}

#[test]
fn a_commit_larger_than_a_segment_gets_a_segment_of_its_own_size() {
    let store = store();
    let a = stream("a-1");
    store.append(&a, ExpectedVersion::Any, vec![event("small")]).unwrap();
    store.append(&a, ExpectedVersion::Any, vec![event(&"x".repeat(3 * 1024 * 1024))]).unwrap();
    store.append(&a, ExpectedVersion::Any, vec![event("small")]).unwrap();
    let sizes: Vec<usize> = store.read_all(..).map(|event| event.unwrap().payload.len()).collect();
    assert_eq!(sizes, [5, 3 * 1024 * 1024, 5]);
    assert_eq!(store.info().unwrap().segments, 3);
}

#[test]
fn streams_are_listed_by_name_across_index_and_tail() {
    let options = Options::new().segment_bytes(1024 * 1024).tail_events_max(10).background(false);
    let store = Store::in_memory(options).unwrap();
    for number in 0..95u64 {
        let name = format!("s-{:02}", number % 40);
        store.append(&stream(&name), ExpectedVersion::Any, vec![event("x")]).unwrap();
        if number % 20 == 0 {
            store.housekeep().unwrap();
        }
    }
    let listed: Vec<_> = store
        .streams("s-")
        .map(|stream| stream.map(|(name, head)| (name.to_string(), head.version.get())).unwrap())
        .collect();
    let expected: Vec<_> = (0..40).map(|number| (format!("s-{number:02}"), if number < 15 { 3 } else { 2 })).collect();
    assert_eq!(listed, expected);
    assert_eq!(store.streams("s-1").count(), 10);
    for (name, count) in expected {
        assert_eq!(store.read_stream(&stream(&name), ..).count() as u64, count, "{name}");
        assert_eq!(store.read_stream(&stream(&name), ..).rev().count() as u64, count, "{name}");
    }
}

#[test]
fn a_closed_store_answers_closed() {
    let store = store();
    let a = stream("a-1");
    store.append(&a, ExpectedVersion::Any, vec![event("1")]).unwrap();
    let clone = store.clone();
    store.close().unwrap();
    store.close().unwrap();
    assert_eq!(clone.append(&a, ExpectedVersion::Any, vec![event("2")]).unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(clone.sync().unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn options_out_of_range_are_refused_by_name() {
    let error = Store::in_memory(Options::new().segment_bytes(10)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("segment_bytes"));
    assert!(Store::in_memory(Options::new().tail_events_max(0)).is_err());
    assert!(Store::in_memory(Options::new().durability(Durability::Interval(Duration::ZERO))).is_err());
    let below = crate::limits::CLOCK_STEP_MIN - Duration::from_micros(1);
    let error = Store::in_memory(Options::new().clock_step_max(below)).unwrap_err();
    assert!(error.kind() == ErrorKind::InvalidInput && error.to_string().contains("clock_step_max"), "{error}");
    Store::in_memory(Options::new().clock_step_max(crate::limits::CLOCK_STEP_MIN)).unwrap();
}
