//! Consumers on a disk that crashes: a checkpoint goes back and never ahead, and no further back than its last place in the log.

use super::*;
use crate::clock::Clock;
use crate::disk::sim::{CrashOptions, Random, SimulatedDisk};
use crate::index::MemoryIndexProvider;
use crate::index::checkpoints::LOGGED_STREAM;

const ROOT: &str = "/store";

fn options(clock: &ManualClock) -> Options {
    Options::new()
        .segment_bytes(4096)
        .background(false)
        .tail_events_max(9)
        .store_id(StoreId::from_bytes([7; 16]))
        .event_ids_from(1)
        .clock(Arc::new(clock.clone()))
}

fn environment(disk: &SimulatedDisk, index: &MemoryIndexProvider) -> Environment {
    Environment::new(Arc::new(disk.clone()), Arc::new(index.clone()))
}

fn in_memory() -> (Store, ManualClock) {
    let clock = ManualClock::new(Timestamp::from_micros(1));
    (Store::open_in(&Environment::in_memory(), ROOT, options(&clock)).unwrap(), clock)
}

fn append(store: &Store, count: u64) {
    for number in 0..count {
        store.append(&stream("a-1"), ExpectedVersion::Any, vec![event(&number.to_string())]).unwrap();
    }
}

/// The next one, acknowledged.
fn deal(consumer: &mut Consumer) -> Option<u64> {
    let event = consumer.try_next().unwrap()?;
    consumer.acknowledge(event.sequence).unwrap();
    Some(event.sequence.get())
}

fn checkpoint(store: &Store, name: &str) -> u64 {
    store.checkpoint(name).unwrap().map_or(0, |checkpoint| checkpoint.sequence.get())
}

/// The newest checkpoint of the name that the log holds.
fn logged(store: &Store, name: &str) -> u64 {
    let events = store.read_stream(&stream(LOGGED_STREAM), ..).map(Result::unwrap);
    let checkpoints = events.filter_map(|event| {
        let kind = event.event_type.as_str();
        let decoded = crate::index::checkpoints::decode_logged;
        decoded(kind, event.schema_version, event.codec, &event.payload, event.sequence)
    });
    checkpoints.filter(|(of, _)| of == name).map(|(_, sequence)| sequence.get()).max().unwrap_or(0)
}

#[test]
fn a_consumer_resumes_after_what_it_acknowledged() {
    let (store, _) = in_memory();
    append(&store, 5);
    let mut consumer = store.consumer("export", ConsumerOptions::new()).unwrap();
    assert_eq!((deal(&mut consumer), deal(&mut consumer)), (Some(1), Some(2)));
    assert_eq!(consumer.try_next().unwrap().unwrap().sequence, Sequence::new(3));
    drop(consumer);
    let mut again = store.consumer("export", ConsumerOptions::new()).unwrap();
    assert_eq!(again.acknowledged(), Sequence::new(2));
    assert_eq!(again.next().unwrap().unwrap().sequence, Sequence::new(3), "given, and never acknowledged");
    let after = ConsumerOptions::new().subscribe(SubscribeOptions::new().after(Sequence::new(4)));
    assert_eq!(deal(&mut store.consumer("other", after.clone()).unwrap()), Some(5));
    assert_eq!(deal(&mut store.consumer("export", after).unwrap()), Some(3), "its checkpoint counts more");
}

#[test]
fn a_checkpoint_is_never_ahead_of_what_was_given_and_never_goes_back() {
    let (store, _) = in_memory();
    append(&store, 5);
    let mut consumer = store.consumer("export", ConsumerOptions::new()).unwrap();
    assert_eq!(consumer.acknowledge(Sequence::FIRST).unwrap_err().kind(), ErrorKind::InvalidInput);
    consumer.next().unwrap().unwrap();
    consumer.next().unwrap().unwrap();
    assert_eq!(consumer.acknowledge(Sequence::new(3)).unwrap_err().kind(), ErrorKind::InvalidInput);
    consumer.acknowledge(Sequence::new(2)).unwrap();
    consumer.acknowledge(Sequence::new(1)).unwrap();
    assert_eq!(checkpoint(&store, "export"), 2);
    let mut second = store.consumer("export", ConsumerOptions::new()).unwrap();
    while deal(&mut second).is_some() {}
    consumer.next().unwrap().unwrap();
    consumer.acknowledge(Sequence::new(3)).unwrap();
    assert_eq!(checkpoint(&store, "export"), 5, "who is behind does not take it back");
    for name in ["", "a\u{0}", &"x".repeat(256)] {
        assert_eq!(store.consumer(name, ConsumerOptions::new()).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}

#[test]
fn a_checkpoint_moves_on_past_what_is_not_for_its_consumer() {
    let (store, _) = in_memory();
    append(&store, 5);
    let rare = SubscribeOptions::new().event_type(&EventType::new("Rare").unwrap());
    let mut consumer = store.consumer("rare", ConsumerOptions::new().subscribe(rare)).unwrap();
    assert_eq!(consumer.try_next().unwrap(), None);
    consumer.acknowledge(consumer.reached()).unwrap();
    assert_eq!(checkpoint(&store, "rare"), 5);
}

#[test]
fn checkpoints_go_into_the_log_now_and_then_and_when_a_consumer_or_the_store_ends() {
    let (store, clock) = in_memory();
    append(&store, 8);
    let every = || ConsumerOptions::new().log_every(Duration::from_secs(5));
    let mut export = store.consumer("export", every()).unwrap();
    let mut report = store.consumer("report", every()).unwrap();
    for consumer in [&mut export, &mut report] {
        deal(consumer);
    }
    deal(&mut export);
    assert_eq!((logged(&store, "export"), logged(&store, "report")), (0, 0), "not yet");
    clock.advance(Duration::from_secs(5));
    deal(&mut export);
    assert_eq!((logged(&store, "export"), logged(&store, "report")), (3, 0));
    deal(&mut export);
    assert_eq!(logged(&store, "export"), 3, "not so soon again");
    export.close().unwrap();
    assert_eq!((logged(&store, "export"), logged(&store, "report")), (4, 0));
    let events = store.last_sequence();
    store.consumer("export", every()).unwrap().close().unwrap();
    assert_eq!(store.last_sequence(), events, "nothing new, so nothing is written");
    let environment = store.shared().environment.clone();
    store.close().unwrap();
    drop(report);
    let store = Store::open_read_only_in(&environment, ROOT).unwrap();
    assert_eq!((logged(&store, "export"), logged(&store, "report")), (4, 1));
}

#[test]
fn consumers_pass_over_the_stores_own_streams_and_reads_do_not() {
    let (store, _) = in_memory();
    let each = || ConsumerOptions::new().log_every(Duration::ZERO);
    append(&store, 3);
    store.append(&stream("system-recovery"), ExpectedVersion::Any, vec![event("x")]).unwrap();
    let mut plain = store.consumer("plain", each()).unwrap();
    let seen: Vec<_> = std::iter::from_fn(|| deal(&mut plain)).collect();
    assert_eq!(seen, [1, 2, 3]);
    let mut with = store.consumer("with", each().with_system_streams()).unwrap();
    let seen: Vec<_> = std::iter::from_fn(|| deal(&mut with)).take(99).collect();
    assert_eq!(seen, [1, 2, 3, 4], "checkpoints make no more checkpoints");
    assert_eq!(store.read_all(..).count(), 4 + 3 + 4);
    assert_eq!(store.subscribe(SubscribeOptions::new()).take(11).count(), 11);
}

#[test]
fn a_checkpoint_beyond_the_logs_end_is_evidence_of_loss_and_never_followed() {
    let (store, _) = in_memory();
    append(&store, 3);
    let checkpoint = Checkpoint { sequence: Sequence::new(99), data: Vec::new() };
    store.set_checkpoint_unchecked("export", &checkpoint).unwrap();
    let error = store.consumer("export", ConsumerOptions::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
}

#[test]
fn a_store_that_is_open_to_read_has_no_consumers_and_shows_their_checkpoints() {
    let clock = ManualClock::default();
    let (disk, index) = (SimulatedDisk::default(), MemoryIndexProvider::default());
    let store = Store::open_in(&environment(&disk, &index), ROOT, options(&clock)).unwrap();
    append(&store, 30);
    let mut consumer = store.consumer("export", ConsumerOptions::new()).unwrap();
    while deal(&mut consumer).is_some() {}
    store.close().unwrap();
    for index in [index, MemoryIndexProvider::default()] {
        let reader = Store::open_read_only_in(&environment(&disk, &index), ROOT).unwrap();
        assert_eq!(checkpoint(&reader, "export"), 30, "also where only the log has it");
        assert_eq!(reader.consumer("export", ConsumerOptions::new()).unwrap_err().kind(), ErrorKind::ReadOnly);
    }
}

/// What a consumer's life knows of itself at one moment.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// The highest sequence that was being acknowledged.
    tried: u64,
    /// The highest one whose checkpoint is known to be in the log, durably.
    logged: u64,
}

/// Goal: after a power cut a checkpoint is not ahead of what was acknowledged, nor before its last place in the log; and where the
/// index is lost as well, exactly there. Method: a consumer works in small steps while events are appended and house is kept; an
/// image of what a power cut could leave is taken before every operation of the disk, and is opened with the index that could be
/// left and without any.
#[test]
fn a_checkpoint_goes_back_at_most_to_its_last_place_in_the_log_and_never_ahead() {
    let mut count = 0;
    for seed in 0..3 {
        let (disk, index) = (SimulatedDisk::default(), MemoryIndexProvider::default());
        let clock = ManualClock::new(Timestamp::from_micros(1));
        let known = Arc::new(Mutex::new(Known::default()));
        let images = Arc::new(Mutex::new(Vec::new()));
        let observer = {
            let (index, known, images) = (index.clone(), Arc::clone(&known), Arc::clone(&images));
            let mut random = Random::new(seed);
            move |_: &crate::disk::sim::OperationInfo, disk: &SimulatedDisk| {
                let seed = random.next_u64();
                let image = (disk.crash(seed, CrashOptions::default()), index.crash(seed), *known.lock());
                images.lock().push(image);
            }
        };
        disk.set_observer(Box::new(observer));
        let mut random = Random::new(seed);
        for _ in 0..2 {
            let store = Store::open_in(&environment(&disk, &index), ROOT, options(&clock)).unwrap();
            let every = ConsumerOptions::new().log_every(Duration::from_secs(3));
            let mut consumer = store.consumer("export", every).unwrap();
            for step in 0..40 {
                append(&store, 1 + random.below(2));
                clock.advance(Duration::from_millis(700));
                if let Some(event) = consumer.try_next().unwrap() {
                    known.lock().tried = event.sequence.get();
                    consumer.acknowledge(event.sequence).unwrap();
                    known.lock().logged = logged(&store, "export");
                }
                if step % 6 == 5 {
                    store.housekeep().unwrap();
                }
            }
            drop(consumer);
            known.lock().logged = logged(&store, "export");
            store.close().unwrap();
        }
        disk.clear_observer();
        let images = std::mem::take(&mut *images.lock());
        for (number, (disk, index, known)) in images.into_iter().enumerate() {
            for index in [index, MemoryIndexProvider::default()] {
                let clock = ManualClock::new(clock.now());
                let is_lost = index.snapshot().is_empty();
                let store = Store::open_in(&environment(&disk.kill(), &index), ROOT, options(&clock)).unwrap();
                let (found, logged) = (checkpoint(&store, "export"), logged(&store, "export"));
                let label = format!("seed {seed}, image {number}: {found}, in the log {logged}, {known:?}");
                assert!(known.logged <= logged && logged <= found && found <= known.tried, "{label}");
                assert!(found == logged || !is_lost, "{label}");
                let next = store.consumer("export", ConsumerOptions::new()).unwrap().try_next().unwrap();
                assert!(next.is_none_or(|event| event.sequence.get() > found), "{label}");
                count += 1;
            }
        }
    }
    assert!(count > 1_000, "{count} images");
}
