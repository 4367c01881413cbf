//! A store that is open to read follows its writers: it shows a prefix of what they wrote, never more than it may, and never
//! takes back what it showed.

use std::path::PathBuf;

use super::*;
use crate::disk::sim::{
    AfterFailedSync, Failure, Fault, OperationInfo, OperationKind, Random, SimulatedDisk, SimulationOptions,
};
use crate::index::{IndexProvider, MemoryIndexProvider};
use crate::types::Metadata;

const ROOT: &str = "/store";

struct World {
    disk: SimulatedDisk,
    index: MemoryIndexProvider,
}

impl World {
    fn new() -> Self {
        Self { disk: SimulatedDisk::default(), index: MemoryIndexProvider::default() }
    }

    fn environment(&self) -> Environment {
        environment(&self.disk, &self.index)
    }

    fn open(&self, options: Options) -> Store {
        Store::open_in(&self.environment(), ROOT, options).unwrap()
    }

    fn reader(&self) -> Store {
        Store::open_read_only_in(&self.environment(), ROOT).unwrap()
    }
}

fn environment(disk: &SimulatedDisk, index: &MemoryIndexProvider) -> Environment {
    Environment::new(Arc::new(disk.clone()), Arc::new(index.clone()))
}

fn options(durability: Durability) -> Options {
    Options::new()
        .segment_bytes(4096)
        .durability(durability)
        .background(false)
        .tail_events_max(7)
        .clock(Arc::new(ManualClock::new(Timestamp::from_micros(1))))
}

/// One to three events in two streams, some with a correlation id and some of a length of their own.
fn commit(number: u64, random: &mut Random) -> Commit {
    let events = (0..1 + random.below(3)).map(|part| {
        let mut event = event(&format!("{number}.{part}.{}", "x".repeat(random.index(300))));
        if part == 0 {
            event.metadata = Metadata { correlation_id: Some("c".into()), ..Metadata::default() };
        }
        event
    });
    let name = if number.is_multiple_of(3) { "a-1" } else { "b-1" };
    let commit = Commit::new().append(&stream(name), ExpectedVersion::Any, events.collect());
    commit.idempotency_key(format!("key-{number}"))
}

/// Everything a reader shows, by every way to it; it must agree with itself.
fn shown(reader: &Store) -> Vec<Event> {
    let events: Vec<Event> = reader.read_all(..).map(Result::unwrap).collect();
    assert_eq!(events.len() as u64, reader.last_sequence().get());
    for name in ["a-1", "b-1"] {
        let of_stream: Vec<Event> = reader.read_stream(&stream(name), ..).map(Result::unwrap).collect();
        assert!(of_stream.iter().eq(events.iter().filter(|event| event.stream.as_str() == name)), "{name}");
        assert_eq!(
            reader.stream_head(&stream(name)).unwrap().map(|head| head.sequence),
            of_stream.last().map(|e| e.sequence)
        );
    }
    let correlated: Vec<Event> = reader.read_correlation("c", ..).map(Result::unwrap).collect();
    assert!(correlated.iter().eq(events.iter().filter(|event| event.metadata.correlation_id.is_some())));
    events
}

/// Goal: whatever a writer does, a refreshed reader shows exactly what it has acknowledged. Method: many small segments, closes
/// and reopenings, under each durability and alignment; one reader that was there from the start, refreshed at drawn moments.
#[test]
fn a_refreshed_reader_shows_what_writers_have_acknowledged_across_rolls_and_restarts() {
    for (seed, durability) in [(1, Durability::Sync), (2, Durability::Buffered), (3, Durability::Sync)] {
        let align = if seed == 3 { Align::Sector } else { Align::Packed };
        let (world, mut random) = (World::new(), Random::new(seed));
        let mut store = world.open(options(durability).align(align));
        let reader = world.reader();
        reader.shared().follower.as_ref().unwrap().lock().tail_events = 20;
        let mut followed = reader.subscribe(SubscribeOptions::new());
        let mut given = Vec::new();
        for number in 0..300 {
            store.commit(commit(number, &mut random)).unwrap();
            if random.below(10) == 0 {
                store.housekeep().unwrap();
            }
            if random.below(40) == 0 {
                store.close().unwrap();
                if random.below(2) == 0 {
                    assert_eq!(reader.refresh().unwrap(), reader.last_sequence());
                }
                store = world.open(options(durability).align(align));
            }
            if random.below(4) == 0 {
                assert_eq!(reader.refresh().unwrap(), store.last_sequence(), "seed {seed}, commit {number}");
                given.extend(std::iter::from_fn(|| followed.try_next().unwrap()));
                assert!(shown(&reader) == shown(&store), "seed {seed}, commit {number}");
                assert!(given == shown(&reader), "seed {seed}, commit {number}: the subscription");
            }
            let (waiting, (events, _)) = (reader.shared().view.read().pending(), reader.shared().view.read().size());
            assert!(waiting < 8 && events < 200, "{waiting} tails with {events} events are kept");
        }
        assert!(reader.shared().files.count() > 10, "{}", reader.shared().files.count());
        store.close().unwrap();
        reader.refresh().unwrap();
        assert_eq!(shown(&reader), shown(&world.reader()));
    }
}

/// Goal: beside a `Sync` writer nothing is shown that a power cut could take back, and all that was acknowledged is. Method: a
/// reader refreshes, and another one opens, before every call of the writer that changes the disk; what they show must be in a
/// store that is opened on the disk without anything that was not synced.
#[test]
fn beside_a_sync_writer_nothing_is_shown_that_a_power_cut_takes_back() {
    let (world, mut random) = (World::new(), Random::new(5));
    let mut acknowledged = Sequence::ZERO;
    let mut reader = None;
    let looks = Arc::new(Mutex::new(0u64));
    for round in 0..3u64 {
        let store = world.open(options(Durability::Sync));
        let reader = Arc::clone(reader.get_or_insert_with(|| Arc::new(world.reader())));
        let known = Arc::new(Mutex::new(acknowledged));
        let observer = {
            let (known, looks, index) = (Arc::clone(&known), Arc::clone(&looks), world.index.clone());
            move |operation: &OperationInfo, disk: &SimulatedDisk| {
                let refreshed = reader.refresh().unwrap_or_else(|error| panic!("{operation:?}: {error}"));
                let opened = Store::open_read_only_in(&environment(disk, &index), ROOT).unwrap().last_sequence();
                assert!(refreshed >= *known.lock() && opened >= *known.lock(), "{operation:?}: {refreshed}, {opened}");
                let cut = disk.crash_choosing(|_| false);
                let left =
                    Store::open_in(&environment(&cut, &index.crash(operation.number)), ROOT, options(Durability::Sync));
                let left = left.unwrap_or_else(|error| panic!("{operation:?}: {error}"));
                assert!(refreshed.max(opened) <= left.last_sequence(), "{operation:?}: {refreshed}, {opened}");
                *looks.lock() += 1;
            }
        };
        world.disk.set_observer(Box::new(observer));
        for number in 0..25 {
            acknowledged = store.commit(commit(100 * round + number, &mut random)).unwrap().sequence_last;
            *known.lock() = acknowledged;
            if number % 7 == 6 {
                store.housekeep().unwrap();
            }
        }
        world.disk.clear_observer();
        store.close().unwrap();
    }
    assert!(*looks.lock() > 200, "{} looks", looks.lock());
}

/// Goal: a reader outlives writers that die, shows then what the next open keeps, and never an error. Method: writers whose disk
/// fails at a drawn call and which then end without a clean close; refreshes at drawn moments, dead writers among them.
#[test]
fn a_reader_outlives_writers_that_die() {
    let mut deaths = 0;
    for seed in 0..40 {
        let (world, mut random) = (World::new(), Random::new(seed));
        let durability = if seed % 2 == 0 { Durability::Sync } else { Durability::Buffered };
        world.open(options(durability)).close().unwrap();
        let reader = world.reader();
        let (mut number, mut before) = (0, Vec::new());
        for round in 0..6 {
            let store = world.open(options(durability));
            let label = format!("seed {seed}, round {round}");
            let found = shown(&store);
            assert!(found.starts_with(&before), "{label}: what was shown of a dead writer is kept");
            let kind = if random.below(2) == 0 { OperationKind::Write } else { OperationKind::Sync };
            let failure = if random.below(2) == 0 { Failure::Short } else { Failure::Io };
            let nth = 1 + random.below(40);
            world.disk.inject(Fault::at(nth, failure).of(kind));
            world.disk.inject(Fault::at(nth + 1, Failure::Io).of(kind).for_good());
            let mut acknowledged = store.last_sequence();
            for _ in 0..40 {
                number += 1;
                match store.commit(commit(number, &mut random)) {
                    Ok(receipt) => acknowledged = receipt.sequence_last,
                    Err(_) => break,
                }
                if random.below(3) == 0 {
                    let refreshed = reader.refresh().unwrap_or_else(|error| panic!("{label}: {error}"));
                    assert!(refreshed >= acknowledged, "{label}: {refreshed} of {acknowledged}");
                }
            }
            deaths += u64::from(store.close().is_err());
            drop(store);
            world.disk.clear_faults();
            let refreshed = reader.refresh().unwrap_or_else(|error| panic!("{label}: {error}"));
            assert!(refreshed >= acknowledged, "{label}");
            assert_eq!(reader.refresh().unwrap(), refreshed, "{label}: looked at once");
            assert_eq!(refreshed, world.reader().last_sequence(), "{label}: one rule for both");
            before = shown(&reader);
        }
    }
    assert!(deaths > 100, "{deaths}");
}

/// Goal: a refresh takes as long as what is new, and writes nothing. Method: the calls of refreshes are counted, with little and
/// with much before them.
#[test]
fn a_refresh_costs_what_is_new_and_changes_nothing() {
    let (world, mut random) = (World::new(), Random::new(1));
    let store = world.open(options(Durability::Sync));
    let reader = world.reader();
    let mut costs = Vec::new();
    for number in 0..400 {
        store.commit(commit(number, &mut random)).unwrap();
        reader.refresh().unwrap();
        let before = world.disk.operations();
        reader.refresh().unwrap();
        let idle = world.disk.operations() - before;
        store.commit(commit(1000 + number, &mut random)).unwrap();
        let before = world.disk.operations();
        reader.refresh().unwrap();
        costs.push((idle, world.disk.operations() - before));
        let calls = world.disk.operation_log();
        let changing = calls[usize::try_from(before).unwrap()..].iter().find(|call| call.kind.is_mutating());
        assert_eq!(changing, None);
    }
    assert!(reader.shared().files.count() > 20);
    let most = costs.iter().map(|(idle, new)| (*idle).max(*new)).max().unwrap();
    assert!(most <= 24, "{most} calls for a refresh; the first took {:?}", costs[0]);
    assert!(
        costs[300..].iter().any(|cost| *cost == costs[0]),
        "as many at the end as at the beginning: {:?}",
        costs[0]
    );
}

/// Goal: what was shown and then cut is told, and goes on being told. Method: a disk that gives readers the old bytes again where
/// a sync failed, under a writer that does not sync, so that whole frames were shown which the next writer never sees.
#[test]
fn a_reader_of_what_was_cut_says_that_it_is_stale() {
    let world = World::new();
    let failed = SimulationOptions { after_failed_sync: AfterFailedSync::CleanOld, ..SimulationOptions::default() };
    let mut random = Random::new(1);
    world.open(options(Durability::Buffered)).close().unwrap();
    let store = world.open(options(Durability::Buffered));
    store.commit(commit(1, &mut random)).unwrap();
    store.sync().unwrap();
    let (early, late) = (world.reader(), world.reader());
    store.commit(commit(2, &mut random)).unwrap();
    assert!(late.refresh().unwrap() > early.last_sequence());
    world.disk.set_options(failed);
    world.disk.inject(Fault::at(1, Failure::Io).of(OperationKind::Sync).for_good());
    store.sync().unwrap_err();
    drop(store);
    world.disk.clear_faults();
    let store = world.open(options(Durability::Buffered));
    assert_eq!(early.refresh().unwrap(), store.last_sequence());
    let mut waiting = late.subscribe(SubscribeOptions::new().after(late.last_sequence()));
    store.commit(commit(3, &mut random)).unwrap();
    assert_eq!(waiting.try_next().unwrap_err().kind(), ErrorKind::Stale);
    for _ in 0..2 {
        let error = late.refresh().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Stale);
        assert!(error.to_string().contains("open it again"), "{error}");
    }
    assert_eq!(early.refresh().unwrap(), store.last_sequence());
    assert_eq!(shown(&early), shown(&store));
}

/// What: another store in the folder. A reader that goes on by the names of files would show one store's events behind another's.
#[test]
fn a_reader_of_a_folder_with_another_store_says_that_it_is_stale() {
    let world = World::new();
    let store = world.open(options(Durability::Sync));
    store.commit(commit(1, &mut Random::new(1))).unwrap();
    let reader = world.reader();
    store.close().unwrap();
    for path in world.disk.files() {
        world.disk.remove_file(&path).unwrap();
    }
    world.index.remove(&PathBuf::from(ROOT).join("index")).unwrap();
    let other = world.open(options(Durability::Sync));
    for number in 1..=2 {
        other.commit(commit(number, &mut Random::new(1))).unwrap();
    }
    other.close().unwrap();
    // Two writers have opened the other one, as one has opened the first.
    world.open(options(Durability::Sync)).close().unwrap();
    assert_eq!(reader.refresh().unwrap_err().kind(), ErrorKind::Stale);
}

#[test]
fn a_store_that_is_open_to_write_is_up_to_date_and_a_closed_one_says_so() {
    let world = World::new();
    let store = world.open(options(Durability::Sync));
    store.commit(commit(1, &mut Random::new(1))).unwrap();
    assert_eq!(store.refresh().unwrap(), store.last_sequence());
    let reader = world.reader();
    reader.close().unwrap();
    store.close().unwrap();
    for closed in [store, reader] {
        assert_eq!(closed.refresh().unwrap_err().kind(), ErrorKind::Closed);
    }
}

#[test]
fn damage_in_what_was_synced_is_an_error_of_a_refresh_and_not_the_end() {
    let world = World::new();
    let mut random = Random::new(1);
    let store = world.open(options(Durability::Sync));
    store.commit(commit(1, &mut random)).unwrap();
    let reader = world.reader();
    let end = reader.shared().follower.as_ref().unwrap().lock().end_of_events();
    store.commit(commit(2, &mut random)).unwrap();
    store.commit(commit(3, &mut random)).unwrap();
    let path = PathBuf::from(ROOT).join("log/00000000000000000001.seg");
    world.disk.flip_bit(&path, end + 70, 1).unwrap();
    let error = reader.refresh().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert_eq!(error.corruption().unwrap().sequence, Some(reader.last_sequence().next()));
    assert_eq!(reader.last_sequence().get(), shown(&reader).len() as u64, "what was shown stays");
}
