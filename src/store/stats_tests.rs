//! What a store counts, keeps of it for other processes, and says of its disk's room.

use std::path::{Path, PathBuf};

use super::*;
use crate::disk::sim::{Failure, Fault, OperationKind, SimulatedDisk, SimulationOptions};
use crate::index::MemoryIndexProvider;

const ROOT: &str = "/store";
const SEGMENT_BYTES: u64 = 8192;
const RESERVE_BYTES: u64 = 32 * 1024;
const DAY: Duration = Duration::from_secs(24 * 3_600);

#[derive(Clone, Default)]
struct World {
    disk: SimulatedDisk,
    index: MemoryIndexProvider,
    clock: ManualClock,
}

impl World {
    fn environment(&self) -> Environment {
        Environment::new(Arc::new(self.disk.clone()), Arc::new(self.index.clone()))
    }

    fn options(&self) -> Options {
        Options::new()
            .segment_bytes(SEGMENT_BYTES)
            .reserve_bytes(RESERVE_BYTES)
            .background(false)
            .tail_events_max(7)
            .clock(Arc::new(self.clock.clone()))
    }

    fn open(&self, options: Options) -> Store {
        Store::open_in(&self.environment(), ROOT, options).unwrap()
    }

    fn open_read_only(&self) -> Store {
        Store::open_read_only_in(&self.environment(), ROOT).unwrap()
    }

    /// From now on there is this much room beside what is used.
    fn leave(&self, bytes: u64) {
        let used: usize = self.disk.files().iter().map(|path| self.disk.read_file(path).unwrap().len()).sum();
        let capacity_bytes = Some(used as u64 + bytes);
        self.disk.set_options(SimulationOptions { capacity_bytes, ..self.disk.options() });
    }

    fn has_stats(&self) -> bool {
        self.disk.files().contains(&PathBuf::from("/store/stats"))
    }
}

fn append(store: &Store, text: &str) -> Result<Receipt> {
    store.append(&stream("a-1"), ExpectedVersion::Any, vec![event(text), event(text)])
}

#[test]
fn everything_that_is_done_is_counted() {
    let world = World::default();
    let store = world.open(world.options());
    for _ in 0..10 {
        append(&store, "0123456789").unwrap();
    }
    assert!(store.append(&stream("a-1"), ExpectedVersion::NoStream, vec![event("x")]).is_err());
    let keyed = || {
        let events = vec![event("keyed")];
        store.commit(Commit::new().append(&stream("b-1"), ExpectedVersion::Any, events).idempotency_key("k"))
    };
    assert!(!keyed().unwrap().is_repeat);
    assert!(keyed().unwrap().is_repeat);
    store.housekeep().unwrap();
    let stats = store.stats();
    assert_eq!((stats.commits, stats.events, stats.payload_bytes), (11, 21, 205));
    assert_eq!((stats.conflicts, stats.repeats, stats.full_refusals), (1, 1, 0));
    assert_eq!((stats.last_sequence, stats.durable_sequence), (Sequence::new(21), Sequence::new(21)));
    assert_eq!((stats.commit_nanos.count, stats.sync_commits.sum, stats.sync_events.sum), (11, 11, 21));
    assert_eq!((stats.sync_commits.count, stats.sync_events.p50), (11, 2));
    assert!(stats.sync_nanos.count >= 11 && stats.sync_failures == 0, "{stats:?}");
    assert!(stats.commit_nanos.max >= stats.sync_nanos.p50, "a commit takes at least its sync: {stats:?}");
    assert!(stats.log_bytes > stats.payload_bytes + stats.padding_bytes, "{stats:?}");
    assert!(stats.zero_bytes > 0 && stats.writes >= 11, "{stats:?}");
    assert!(stats.ingests > 0 && stats.ingested_events + stats.tail_events == 21, "{stats:?}");
    assert!(stats.index_lookups >= 2, "the stream and the key were asked for: {stats:?}");
    let written = stats.log_bytes + stats.zero_bytes;
    assert_eq!(stats.write_amplification_percent(), Some(written * 100 / 205));
    // Segments of 8 KiB: these do not fit into one.
    for _ in 0..10 {
        append(&store, &"long".repeat(200)).unwrap();
    }
    store.housekeep().unwrap();
    let later = store.stats();
    assert!(later.rolls >= 2 && later.seals == later.rolls && later.seal_nanos > 0, "{later:?}");
    assert!(later.log_bytes > stats.log_bytes && later.sync_nanos.count > stats.sync_nanos.count);
    assert_eq!(later.open_phases, store.recovery_report().phases);
}

#[test]
fn commits_that_share_a_sync_are_counted_as_its_group() {
    let world = World::default();
    let store = world.open(world.options().durability(Durability::Buffered).tail_events_max(100));
    for number in 0..5 {
        append(&store, &number.to_string()).unwrap();
    }
    assert_eq!(store.stats().sync_commits.count, 0, "nothing was synced");
    assert_eq!(store.stats().commit_nanos.count, 1, "the time of one in sixteen is taken");
    store.sync().unwrap();
    let stats = store.stats();
    assert_eq!((stats.sync_commits.count, stats.sync_commits.max, stats.sync_events.max), (1, 5, 10));
    // One sync serves all that were submitted before the first of them is waited for.
    let world = World::default();
    let store = world.open(world.options());
    let commit = || Commit::new().append(&stream("a-1"), ExpectedVersion::Any, vec![event("x")]);
    let tickets: Vec<Ticket> = (0..4).map(|_| store.submit(commit()).unwrap()).collect();
    tickets.into_iter().for_each(|ticket| drop(ticket.wait().unwrap()));
    assert_eq!(store.stats().sync_commits, crate::Distribution { count: 1, sum: 4, p50: 4, p90: 4, p99: 4, max: 4 });
}

#[test]
fn what_readers_are_given_is_counted_when_they_end() {
    let world = World::default();
    let store = world.open(world.options());
    for _ in 0..3 {
        append(&store, "12345").unwrap();
    }
    let read = || (store.stats().read_events, store.stats().read_bytes);
    assert_eq!(read(), (0, 0));
    assert_eq!(store.read_all(..).count(), 6);
    assert_eq!(read(), (6, 30));
    assert_eq!(store.read_all(..).rev().take(2).count(), 2);
    assert_eq!(store.read_stream(&stream("a-1"), ..).count(), 6);
    assert_eq!(read(), (14, 70));
    store.visit(.., |_| Ok(std::ops::ControlFlow::Break(()))).unwrap();
    assert_eq!(read(), (15, 75));
}

#[test]
fn a_failed_sync_and_a_full_disk_are_counted() {
    let world = World::default();
    let store = world.open(world.options());
    append(&store, "first").unwrap();
    world.leave(0);
    let refused = (0..100).find_map(|_| append(&store, &"long".repeat(200)).err()).unwrap();
    assert_eq!(refused.kind(), ErrorKind::StorageFull);
    assert_eq!(store.stats().full_refusals, 1);
    world.disk.set_options(SimulationOptions::default());
    world.disk.inject(Fault::at(1, Failure::Io).of(OperationKind::Sync));
    assert_eq!(append(&store, "last").unwrap_err().kind(), ErrorKind::CommitUnknown);
    assert_eq!(store.stats().sync_failures, 1);
}

#[test]
fn a_writer_keeps_its_statistics_when_it_closes_and_a_reader_finds_them() {
    let world = World::default();
    let store = world.open(world.options().background(true));
    append(&store, "kept").unwrap();
    assert_eq!(store.kept_stats(), None, "an open writes none, and a commit neither");
    store.close().unwrap();
    assert!(world.has_stats());
    let kept = world.open_read_only().kept_stats().unwrap();
    assert!(kept.is_last && kept.session == 1 && kept.process_id == std::process::id(), "{kept:?}");
    assert_eq!((kept.stats.commits, kept.stats.events, kept.stats.sync_commits.count), (1, 2, 1));
    // The next writer's take their place, and damaged ones count as none.
    let store = world.open(world.options().background(true));
    assert_eq!(store.kept_stats(), Some(kept));
    store.close().unwrap();
    let reader = world.open_read_only();
    assert_eq!(reader.kept_stats().map(|kept| (kept.session, kept.stats.commits)), Some((2, 0)));
    world.disk.flip_bit(Path::new("/store/stats"), 20, 3).unwrap();
    assert_eq!(reader.kept_stats(), None);
    drop(reader);
    let store = world.open(world.options().background(true));
    assert_eq!(store.last_sequence(), Sequence::new(2));
    store.close().unwrap();
    assert_eq!(world.open_read_only().kept_stats().map(|kept| kept.session), Some(3));
}

#[test]
fn statistics_that_cannot_be_kept_are_no_failure_and_a_stopped_store_writes_none() {
    let world = World::default();
    let store = world.open(world.options().background(true));
    append(&store, "kept").unwrap();
    world.leave(0);
    store.close().unwrap();
    assert_eq!(world.open_read_only().kept_stats(), None);
    let world = World::default();
    let store = world.open(world.options().background(true));
    append(&store, "kept").unwrap();
    world.disk.inject(Fault::at(1, Failure::Io).of(OperationKind::Sync));
    assert!(append(&store, "in doubt").is_err());
    assert!(store.close().is_err());
    assert!(!world.has_stats());
}

#[test]
fn usage_tells_sizes_lags_and_how_long_a_recovery_takes() {
    let world = World::default();
    let store = world.open(world.options());
    for _ in 0..30 {
        append(&store, "0123456789").unwrap();
    }
    store.housekeep().unwrap();
    let set = |name: &str, sequence| {
        store.set_checkpoint(name, &Checkpoint { sequence: Sequence::new(sequence), data: Vec::new() }).unwrap();
    };
    set("export", 50);
    set("service/wallets", 10);
    let usage = store.usage(20).unwrap();
    assert_eq!((usage.events, usage.streams, usage.snapshots), (60, 1, 0));
    assert_eq!((usage.sampled_events, usage.sampled_commits, usage.sampled_payload_bytes), (20, 10, 200));
    assert_eq!((usage.sampled_commit_events.p50, usage.sampled_commit_events.max), (2, 2));
    let bytes = usage.sampled_frame_bytes;
    assert_eq!(
        (usage.bytes_per_event(), usage.write_amplification_percent()),
        (Some(bytes / 20), Some(bytes * 100 / 200))
    );
    assert!(usage.sampled_nanos > 0 && usage.events_per_second().is_some());
    let lags: Vec<(&str, u64)> = usage.checkpoints.iter().map(|lag| (lag.name.as_str(), lag.behind)).collect();
    assert_eq!(lags, [("export", 10), ("service/wallets", 50)]);
    assert_eq!(usage.events_beyond_index, store.stats().tail_events);
    // The service is fifty behind: the estimate grows with that at the rate that was measured.
    let walked = usage.recovery_micros;
    assert!(walked >= 50 * usage.sampled_nanos / 20 / 1_000, "{usage:?}");
    assert_eq!(usage.last_event_at, Some(store.now()));
    let nothing = world.open_read_only().usage(0).unwrap();
    assert_eq!((nothing.events, nothing.sampled_events, nothing.bytes_per_event()), (60, 0, None));
    assert_eq!(store.usage(u64::MAX).unwrap().sampled_events, 60);
}

#[test]
fn a_disk_that_fills_up_is_low_then_critical_and_well_again_with_room() {
    use DiskLevel::{Critical, Low, Ok};
    let world = World::default();
    let store = world.open(world.options());
    append(&store, "first").unwrap();
    assert_eq!(store.disk_space().unwrap().free_bytes, None, "this disk has no bound");
    let reader = world.open_read_only();
    for (segments, expected) in [(100, Ok), (8, Ok), (7, Low), (2, Low), (1, Critical), (0, Critical), (9, Ok)] {
        world.leave(segments * SEGMENT_BYTES);
        for store in [&store, &reader] {
            let space = store.disk_space().unwrap();
            assert_eq!((space.level, space.segments_left), (expected, Some(segments)), "{space:?}");
            assert_eq!((space.segment_bytes, space.is_reserve_missing), (SEGMENT_BYTES, false));
            assert_eq!(space.reserve_bytes, RESERVE_BYTES);
        }
    }
}

#[test]
fn a_reserve_that_is_spent_makes_a_low_disk_a_critical_one() {
    let world = World::default();
    let store = world.open(world.options());
    append(&store, "first").unwrap();
    world.leave(0);
    let long = "long".repeat(200);
    let must = || Commit::new().append(&stream("a-1"), ExpectedVersion::Any, vec![event(&long)]).may_use_reserve();
    while !store.disk_space().unwrap().is_reserve_missing {
        store.commit(must()).unwrap();
    }
    // Enough for a segment or two, and too little for the reserve.
    world.leave(3 * SEGMENT_BYTES);
    for store in [&store, &world.open_read_only()] {
        let space = store.disk_space().unwrap();
        assert!(space.is_reserve_missing && space.reserve_bytes == 0, "{space:?}");
        assert_eq!(space.level, DiskLevel::Critical, "{space:?}");
    }
}

#[test]
fn the_days_that_are_left_follow_from_when_segments_were_begun() {
    let world = World::default();
    world.clock.set(Timestamp::from_micros(1_700_000_000_000_000));
    let store = world.open(world.options());
    // A segment takes eight of these, and there is one an eighth of a day.
    let commit = || {
        append(&store, &"x".repeat(450)).unwrap();
        world.clock.advance(DAY / 8);
    };
    commit();
    assert_eq!(store.disk_space().unwrap().bytes_per_day, None);
    (0..79).for_each(|_| commit());
    store.housekeep().unwrap();
    world.leave(100 * SEGMENT_BYTES);
    let space = store.disk_space().unwrap();
    let per_day = space.bytes_per_day.unwrap();
    assert!(per_day.abs_diff(SEGMENT_BYTES) < SEGMENT_BYTES / 2, "about a segment a day: {space:?}");
    assert_eq!(space.days_left, Some(100 * SEGMENT_BYTES / per_day));
    assert_eq!(space.level, DiskLevel::Ok);
    world.leave(10 * SEGMENT_BYTES);
    let space = store.disk_space().unwrap();
    assert!(space.days_left.unwrap() < 14 && space.segments_left == Some(10), "{space:?}");
    assert_eq!(space.level, DiskLevel::Low, "the days tell it before the segments do");
}
