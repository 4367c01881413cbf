//! T15, the part that is explored in full: small meetings of two threads in a store, under loom.
//!
//! The real store runs, over a simulated disk and the index in memory. Loom tries every order of the two threads' accesses
//! to locks and atomics, and every value that a load may see, as far as one could differ from another. The scenarios that have too
//! many orders are explored up to a number of *preemptions*: switches away from a thread that could go on. Each prints how
//! many executions it took.

#![cfg(bitacora_loom)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bitacora::disk::Disk;
use bitacora::disk::sim::{Failure, Fault, OperationKind};
use bitacora::{
    CodecId, Commit, Durability, Error, ErrorKind, EventId, EventType, ExpectedVersion, NewEvent, Preallocation,
    Receipt, Result, Sequence, Store, StreamId, Version,
};
use bitacora_trials::runner::grouped;
use bitacora_trials::workload::{ROOT, Shape, World};

/// Words.
const STACK: usize = 64 * 1024;

fn shape() -> Shape {
    Shape { preallocation: Preallocation::Reserve, tail_events_max: 1000, ..Shape::plain() }
}

/// A store as a scenario meets it: open and empty.
#[derive(Clone)]
struct Meeting {
    world: World,
    store: Store,
}

impl Meeting {
    fn new(shape: Shape) -> Self {
        let world = World::new(&shape);
        let store = world.open(&shape).expect("a store");
        Self { world, store }
    }

    /// What a power cut now leaves where it takes all that was not synced.
    fn image(&self) -> World {
        World { disk: self.world.disk.crash_choosing(|_| false), index: self.world.index.crash(0) }
    }

    fn append(&self, name: &str, expected: ExpectedVersion, number: u8) -> Answer {
        self.commit(Commit::new().append(&stream(name), expected, vec![event(number, 1)]))
    }

    /// Commits, and keeps what a power cut leaves at the moment of the answer.
    fn commit(&self, commit: Commit) -> Answer {
        let outcome = self.store.commit(commit);
        Answer { image: self.image(), seen: self.seen(), outcome }
    }

    fn seen(&self) -> Seen {
        // In this order: what is shown under `Sync` is durable.
        let shown = self.store.last_sequence();
        Seen { shown, durable: self.store.durable_sequence() }
    }
}

/// How far the store says that it goes.
#[derive(Clone, Copy, Debug)]
struct Seen {
    shown: Sequence,
    durable: Sequence,
}

/// What a caller was told, and what it could see then.
struct Answer {
    outcome: Result<Receipt>,
    image: World,
    seen: Seen,
}

impl Answer {
    fn kind(&self) -> Option<ErrorKind> {
        self.outcome.as_ref().err().map(Error::kind)
    }

    /// It was acknowledged: then it is shown, and a power cut at that moment leaves it.
    fn acknowledged(&self) -> &Receipt {
        let receipt = self.outcome.as_ref().unwrap_or_else(|error| panic!("not acknowledged: {error}"));
        let last = receipt.sequence_last;
        assert!(self.seen.shown >= last, "acknowledged {last}, shown {}", self.seen.shown);
        assert!(self.seen.durable >= last, "acknowledged {last}, durable {}", self.seen.durable);
        let kept = last_sequence(&self.image);
        assert!(kept >= last, "acknowledged {last}, and a power cut left {kept}");
        receipt
    }
}

/// Where the log ends in an image.
fn last_sequence(image: &World) -> Sequence {
    let store = image.open(&shape()).unwrap_or_else(|error| panic!("the image does not open: {error}"));
    let last = store.last_sequence();
    let count = store.read_all(..).map(|event| event.expect("an event")).count();
    assert_eq!(count as u64, last.get(), "the log is gapless");
    last
}

/// Runs a scenario in every order: `apart` is what the threads do, `after` looks at what came of it.
fn explore<T: 'static>(
    name: &str,
    preemptions: Option<usize>,
    shape: Shape,
    prepare: fn(&Meeting),
    apart: fn(&Meeting) -> T,
    after: fn(&Meeting, T),
) {
    let executions = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&executions);
    let started = Instant::now();
    let mut builder = loom::model::Builder::new();
    builder.max_threads = 4;
    builder.max_branches = 100_000;
    builder.preemption_bound = preemptions;
    builder.expect_explicit_explore = true;
    builder.check(move || {
        counted.fetch_add(1, Ordering::SeqCst);
        let whole = move || {
            let meeting = Meeting::new(shape);
            prepare(&meeting);
            loom::explore();
            let told = apart(&meeting);
            loom::stop_exploring();
            after(&meeting, told);
        };
        beside(whole).join().expect("no panic");
    });
    let bound = preemptions.map_or("in full".to_owned(), |bound| format!("up to {bound} preemptions"));
    let seconds = started.elapsed().as_secs_f64();
    println!("T15 loom {name}: {} executions, {bound} ({seconds:.1} s)", grouped(executions.load(Ordering::SeqCst)));
}

/// Starts a thread, with room for the store's frames.
fn beside<T: Send + 'static>(action: impl FnOnce() -> T + Send + 'static) -> loom::thread::JoinHandle<T> {
    loom::thread::Builder::new().stack_size(STACK).spawn(action).expect("a thread")
}

/// What two threads are told that do this at once.
fn both(meeting: &Meeting, one: fn(&Meeting) -> Answer, other: fn(&Meeting) -> Answer) -> [Answer; 2] {
    let clone = meeting.clone();
    let thread = beside(move || one(&clone));
    let second = other(meeting);
    [thread.join().expect("no panic"), second]
}

fn nothing(_: &Meeting) {}

fn stream(name: &str) -> StreamId {
    StreamId::new(name).expect("a stream's name")
}

fn event(number: u8, bytes: usize) -> NewEvent {
    let kind = EventType::new("Noted").expect("a type's name");
    NewEvent::new(kind, CodecId::JSON, vec![number; bytes]).with_id(EventId::from_bytes([number; 16]))
}

fn keyed(number: u8, bytes: usize) -> Commit {
    let events = vec![event(number, bytes)];
    Commit::new().append(&stream("a"), ExpectedVersion::Any, events).idempotency_key("key")
}

/// The next sync of a file fails, and every call after it.
fn sync_fails(meeting: &Meeting) {
    meeting.world.disk.inject(Fault::at(1, Failure::Io).of(OperationKind::Sync).for_good());
}

/// The active segment is nearly full, and there will be no room for the next one, once.
fn no_room(meeting: &Meeting) {
    let fill = Commit::new().append(&stream("fill"), ExpectedVersion::Any, vec![event(9, 3000)]);
    meeting.store.commit(fill).expect("acknowledged");
    meeting.world.disk.inject(Fault::at(1, Failure::Full).of(OperationKind::Allocate));
}

#[test]
fn writers_to_different_streams_are_both_acknowledged() {
    let apart = |meeting: &Meeting| {
        both(
            meeting,
            |meeting| meeting.append("a", ExpectedVersion::NoStream, 1),
            |meeting| meeting.append("b", ExpectedVersion::NoStream, 2),
        )
    };
    explore("two streams", Some(6), shape(), nothing, apart, |_, told| {
        let sequences = told.each_ref().map(|answer| answer.acknowledged().sequence_first.get());
        assert_eq!(sequences.iter().sum::<u64>(), 3);
    });
}

#[test]
fn three_writers_hand_the_lead_on() {
    let apart = |meeting: &Meeting| {
        let clone = meeting.clone();
        let third = beside(move || clone.append("c", ExpectedVersion::Any, 3));
        let [one, other] = both(
            meeting,
            |meeting| meeting.append("a", ExpectedVersion::Any, 1),
            |meeting| meeting.append("b", ExpectedVersion::Any, 2),
        );
        [one, other, third.join().expect("no panic")]
    };
    explore("three streams", Some(2), shape(), nothing, apart, |_, told| {
        let sequences = told.each_ref().map(|answer| answer.acknowledged().sequence_first.get());
        assert_eq!(sequences.iter().sum::<u64>(), 6);
    });
}

#[test]
fn of_two_with_the_same_expectation_one_hears_of_the_other_when_that_is_durable() {
    let apart = |meeting: &Meeting| {
        both(
            meeting,
            |meeting| meeting.append("a", ExpectedVersion::NoStream, 1),
            |meeting| meeting.append("a", ExpectedVersion::NoStream, 2),
        )
    };
    explore("same expectation", None, shape(), nothing, apart, |_, told| {
        let (won, lost): (Vec<_>, Vec<_>) = told.iter().partition(|answer| answer.outcome.is_ok());
        assert_eq!((won.len(), lost.len()), (1, 1));
        won[0].acknowledged();
        let conflict = lost[0].outcome.as_ref().expect_err("the other one").as_conflict().expect("a conflict");
        assert_eq!(conflict.actual, Some(Version::FIRST));
        assert_eq!(lost[0].seen.shown, Sequence::FIRST, "what a conflict names is shown");
        assert_eq!(last_sequence(&lost[0].image), Sequence::FIRST, "what a conflict names survives");
    });
}

#[test]
fn a_repeated_key_hears_of_the_first_when_that_is_durable() {
    let apart =
        |meeting: &Meeting| both(meeting, |meeting| meeting.commit(keyed(1, 1)), |meeting| meeting.commit(keyed(1, 1)));
    explore("repeated key", None, shape(), nothing, apart, |_, told| {
        let repeats = told.each_ref().map(|answer| answer.acknowledged().is_repeat);
        assert_eq!(repeats.iter().filter(|is_repeat| **is_repeat).count(), 1);
    });
}

#[test]
fn a_key_with_other_content_hears_of_the_first_when_that_is_durable() {
    let apart =
        |meeting: &Meeting| both(meeting, |meeting| meeting.commit(keyed(1, 1)), |meeting| meeting.commit(keyed(2, 1)));
    explore("key with other content", None, shape(), nothing, apart, |_, told| {
        let (won, lost): (Vec<_>, Vec<_>) = told.iter().partition(|answer| answer.outcome.is_ok());
        assert_eq!((won.len(), lost.len()), (1, 1));
        won[0].acknowledged();
        assert_eq!(lost[0].kind(), Some(ErrorKind::IdempotencyConflict));
        assert_eq!(last_sequence(&lost[0].image), Sequence::FIRST, "the commit that has the key survives");
    });
}

/// See `a_key_of_a_commit_that_failed_is_free` in the store's tests.
#[test]
fn a_key_is_not_taken_by_a_commit_that_found_no_room() {
    let apart = |meeting: &Meeting| {
        both(meeting, |meeting| meeting.commit(keyed(1, 2000)), |meeting| meeting.commit(keyed(2, 2000)))
    };
    explore("key without room", Some(6), shape(), no_room, apart, |_, told| {
        let kinds = told.each_ref().map(Answer::kind);
        for (own, other) in [(0, 1), (1, 0)] {
            match kinds[own] {
                None => drop(told[own].acknowledged()),
                Some(ErrorKind::StorageFull) => {}
                Some(ErrorKind::IdempotencyConflict) => assert_eq!(kinds[other], None, "nobody used the key"),
                Some(kind) => panic!("{kind:?}"),
            }
        }
        assert!(kinds.contains(&Some(ErrorKind::StorageFull)), "{kinds:?}");
    });
}

#[test]
fn after_a_failure_without_room_the_log_goes_on() {
    let apart = |meeting: &Meeting| {
        both(
            meeting,
            |meeting| meeting.commit(keyed(1, 2000)),
            |meeting| {
                let big = Commit::new().append(&stream("b"), ExpectedVersion::Any, vec![event(2, 2000)]);
                meeting.commit(big)
            },
        )
    };
    explore("no room", None, shape(), no_room, apart, |meeting, told| {
        let mut written = 1;
        for answer in &told {
            match answer.kind() {
                None => {
                    answer.acknowledged();
                    written += 1;
                }
                Some(kind) => assert_eq!(kind, ErrorKind::StorageFull),
            }
        }
        assert!(written < 3, "one found no room");
        let answer = meeting.append("c", ExpectedVersion::NoStream, 3);
        assert_eq!(answer.acknowledged().sequence_first.get(), written + 1);
    });
}

#[test]
fn nobody_is_acknowledged_after_a_failed_sync() {
    let apart = |meeting: &Meeting| {
        both(
            meeting,
            |meeting| meeting.append("a", ExpectedVersion::NoStream, 1),
            |meeting| meeting.append("b", ExpectedVersion::NoStream, 2),
        )
    };
    explore("failed sync", None, shape(), sync_fails, apart, |_, told| {
        let kinds = told.each_ref().map(|answer| answer.kind().expect("nobody is acknowledged"));
        assert!(kinds.contains(&ErrorKind::CommitUnknown), "{kinds:?}");
        assert!(kinds.iter().all(|kind| matches!(kind, ErrorKind::CommitUnknown | ErrorKind::Poisoned)), "{kinds:?}");
    });
}

/// Of what hangs on a commit in doubt, nothing is known either.
fn in_doubt(told: &[Answer; 2]) {
    let kinds = told.each_ref().map(|answer| answer.kind().expect("nobody is acknowledged"));
    assert!(kinds.contains(&ErrorKind::CommitUnknown), "{kinds:?}");
    assert!(kinds.iter().all(|kind| matches!(kind, ErrorKind::CommitUnknown | ErrorKind::Poisoned)), "{kinds:?}");
}

#[test]
fn a_conflict_with_a_commit_in_doubt_is_in_doubt() {
    let apart = |meeting: &Meeting| {
        both(
            meeting,
            |meeting| meeting.append("a", ExpectedVersion::NoStream, 1),
            |meeting| meeting.append("a", ExpectedVersion::NoStream, 2),
        )
    };
    explore("conflict in doubt", None, shape(), sync_fails, apart, |_, told| in_doubt(&told));
}

#[test]
fn a_key_of_a_commit_in_doubt_is_in_doubt() {
    let apart =
        |meeting: &Meeting| both(meeting, |meeting| meeting.commit(keyed(1, 1)), |meeting| meeting.commit(keyed(1, 1)));
    explore("repeated key in doubt", None, shape(), sync_fails, apart, |_, told| in_doubt(&told));
    let apart =
        |meeting: &Meeting| both(meeting, |meeting| meeting.commit(keyed(1, 1)), |meeting| meeting.commit(keyed(2, 1)));
    explore("other content in doubt", None, shape(), sync_fails, apart, |_, told| in_doubt(&told));
}

#[test]
fn what_is_submitted_before_a_close_is_written_by_it() {
    let apart = |meeting: &Meeting| {
        let clone = meeting.clone();
        let thread = beside(move || {
            let commit = Commit::new().append(&stream("a"), ExpectedVersion::NoStream, vec![event(1, 1)]);
            let outcome = clone.store.submit(commit).and_then(bitacora::Ticket::wait);
            Answer { image: clone.image(), seen: clone.seen(), outcome }
        });
        meeting.store.close().expect("closed");
        let closed = meeting.image();
        (thread.join().expect("no panic"), closed)
    };
    explore("submit and close", None, shape(), nothing, apart, |_, (told, closed)| {
        let expected = if told.outcome.is_ok() {
            told.acknowledged();
            Sequence::FIRST
        } else {
            assert_eq!(told.kind(), Some(ErrorKind::Closed));
            Sequence::ZERO
        };
        assert_eq!(last_sequence(&closed), expected, "the closed log");
    });
}

/// What: a store that two threads close gives its folder free only when its log is closed.
/// Why: the second to close came back at once and released the lock, while the first still wrote; another process could have
/// opened the store then.
/// How found: this scenario.
#[test]
fn the_folder_is_free_when_the_log_is_closed_and_not_before() {
    fn close(meeting: &Meeting) -> (World, bool) {
        meeting.store.close().expect("closed");
        let is_locked = meeting.world.disk.is_locked(&Path::new(ROOT).join("LOCK")).expect("a lock");
        (meeting.image(), is_locked)
    }
    let prepare = |meeting: &Meeting| drop(meeting.append("a", ExpectedVersion::NoStream, 1).outcome.expect("ok"));
    let apart = |meeting: &Meeting| {
        let clone = meeting.clone();
        let thread = beside(move || close(&clone));
        let own = close(meeting);
        [thread.join().expect("no panic"), own]
    };
    explore("two closes", None, shape(), prepare, apart, |_, closed| {
        for (image, is_locked) in closed {
            assert!(!is_locked, "closed, and the folder is not free");
            let store = image.open(&shape()).expect("the image opens");
            assert!(store.recovery_report().was_closed_cleanly, "the folder was free before the log was closed");
        }
    });
}

#[test]
fn a_sync_covers_what_was_acknowledged_before_it() {
    let buffered = Shape { durability: Durability::Buffered, ..shape() };
    let apart = |meeting: &Meeting| {
        let clone = meeting.clone();
        let thread = beside(move || {
            let receipt = clone.append("a", ExpectedVersion::NoStream, 1).outcome.expect("acknowledged");
            let durable = clone.store.sync().expect("synced");
            (receipt.sequence_last, durable, clone.image())
        });
        let durable = meeting.store.sync().expect("synced");
        let own = (Sequence::ZERO, durable, meeting.image());
        [thread.join().expect("no panic"), own]
    };
    explore("sync", Some(6), buffered, nothing, apart, |_, told| {
        for (acknowledged, durable, image) in told {
            assert!(durable >= acknowledged, "acknowledged {acknowledged}, synced through {durable}");
            let kept = last_sequence(&image);
            assert!(kept >= durable, "synced through {durable}, and a power cut left {kept}");
        }
    });
}

#[test]
fn what_a_reader_sees_is_whole_and_durable() {
    let prepare = |meeting: &Meeting| drop(meeting.append("a", ExpectedVersion::NoStream, 1).outcome.expect("ok"));
    let apart = |meeting: &Meeting| {
        let clone = meeting.clone();
        let thread = beside(move || clone.append("a", ExpectedVersion::Exact(Version::FIRST), 2));
        let shown = meeting.store.last_sequence();
        let events: Vec<_> = meeting.store.read_all(..).map(|event| event.expect("an event")).collect();
        let image = meeting.image();
        let of_stream = meeting.store.read_stream(&stream("a"), ..).map(|event| event.expect("an event")).count();
        assert!(events.len() as u64 >= shown.get(), "shown {shown}, read {}", events.len());
        assert!(of_stream >= events.len(), "read {} by sequence and {of_stream} by stream", events.len());
        assert!(events.iter().zip(1..).all(|(event, number)| event.sequence.get() == number), "gapless");
        (thread.join().expect("no panic"), events.len(), image)
    };
    explore("reader", None, shape(), prepare, apart, |_, (told, read, image)| {
        told.acknowledged();
        assert!(last_sequence(&image).get() >= read as u64, "what was read survives");
    });
}

/// More than half of the active segment is full, so a spare is wanted.
fn half_full(meeting: &Meeting) {
    let fill = Commit::new().append(&stream("fill"), ExpectedVersion::Any, vec![event(9, 2500)]);
    meeting.store.commit(fill).expect("acknowledged");
}

/// What: after a close nothing is changed in the folder, whatever another thread is about.
/// Why: a call that keeps house and had begun before went on after the folder was free, and could take away the file of
/// the segment that the next owner had prepared.
/// How found: this scenario.
#[test]
fn after_a_close_nothing_is_changed_in_the_folder() {
    let apart = |meeting: &Meeting| {
        let clone = meeting.clone();
        let thread = beside(move || clone.store.housekeep());
        meeting.store.close().expect("closed");
        let calls = meeting.world.disk.operation_log().len();
        let _ = thread.join().expect("no panic");
        calls
    };
    explore("housekeeping and close", None, shape(), half_full, apart, |meeting, calls| {
        let log = meeting.world.disk.operation_log();
        let after: Vec<_> = log[calls..].iter().filter(|call| call.kind.is_mutating()).collect();
        assert!(after.is_empty(), "after the close: {after:?}");
    });
}

/// What: two threads that keep house at once, or one beside the housekeeping thread, prepare one segment between them.
/// Why: one removed the file that the other had prepared, and made its own under the same name; the next segment got the
/// name of the one and the events of the other, and acknowledged commits were gone at the next open.
/// How found: this scenario.
#[test]
fn two_who_keep_house_prepare_one_segment() {
    let apart = |meeting: &Meeting| {
        let clone = meeting.clone();
        let thread = beside(move || clone.store.housekeep());
        meeting.store.housekeep().expect("kept");
        thread.join().expect("no panic").expect("kept");
    };
    explore("two who keep house", None, shape(), half_full, apart, |meeting, ()| {
        let big = Commit::new().append(&stream("a"), ExpectedVersion::Any, vec![event(1, 2500)]);
        meeting.commit(big).acknowledged();
    });
}

/// What: what waits to be ingested is known to be durable.
/// Why: a full tail was shown to who keeps house before it was noted that the tail is durable; in that moment the assertion
/// that only what is durable enters the index failed, and the panic poisoned the store.
/// How found: shuttle, T15 seed 57.
#[test]
fn a_full_tail_is_durable_before_it_is_shown_to_who_keeps_house() {
    let shape = Shape { tail_events_max: 1, ..shape() };
    let apart = |meeting: &Meeting| {
        let clone = meeting.clone();
        let thread = beside(move || clone.append("a", ExpectedVersion::NoStream, 1));
        meeting.store.housekeep().expect("kept");
        thread.join().expect("no panic")
    };
    explore("full tail", None, shape, nothing, apart, |_, told| {
        told.acknowledged();
    });
}

/// What: a sync that succeeds names at least what was acknowledged before it.
/// Why: where a close or a group had synced and then failed, a sync beside it found nothing to do and named the sequence
/// before that.
/// How found: shuttle, T15 seed 12.
#[test]
fn a_sync_beside_a_close_that_fails_names_what_is_durable() {
    let buffered = Shape { durability: Durability::Buffered, ..shape() };
    let prepare = |meeting: &Meeting| {
        meeting.append("a", ExpectedVersion::NoStream, 1).outcome.expect("acknowledged");
        meeting.world.disk.inject(Fault::at(2, Failure::Io).of(OperationKind::Sync));
    };
    let apart = |meeting: &Meeting| {
        let clone = meeting.clone();
        let thread = beside(move || drop(clone.store.close()));
        let synced = meeting.store.sync();
        thread.join().expect("no panic");
        synced
    };
    explore("sync and failing close", Some(6), buffered, prepare, apart, |_, synced| match synced {
        Ok(synced) => assert_eq!(synced, Sequence::FIRST),
        Err(error) => {
            assert!(matches!(error.kind(), ErrorKind::Io | ErrorKind::Poisoned | ErrorKind::Closed), "{error}")
        }
    });
}

/// What: a segment that is made of the reserve keeps the reserve's file, also where somebody keeps house meanwhile.
/// Why: the reserve was made again while the old one was still being made a segment, and took its name away from it; the
/// segment got the name of an empty file, and acknowledged commits were gone at the next open.
/// How found: by reading, and by this scenario.
#[test]
fn the_reserve_is_made_again_when_the_segment_has_its_name() {
    let apart = |meeting: &Meeting| {
        let clone = meeting.clone();
        let thread = beside(move || clone.commit(keyed(1, 2000).may_use_reserve()));
        let _ = meeting.store.housekeep();
        thread.join().expect("no panic")
    };
    explore("reserve", None, shape(), no_room, apart, |_, told| match told.kind() {
        None => {
            told.acknowledged();
        }
        Some(kind) => panic!("{kind:?}"),
    });
}
