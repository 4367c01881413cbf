//! Making an index anew and putting it in order, and upgrades: the index says the same afterwards, whatever happens meanwhile.

use std::ops::ControlFlow;
use std::path::Path;

use super::*;
use crate::disk::sim::{CrashOptions, Random, SimulatedDisk};
use crate::index::MemoryIndexProvider;

const ROOT: &str = "/store";

#[derive(Clone, Default)]
struct World {
    disk: SimulatedDisk,
    index: MemoryIndexProvider,
}

fn options() -> Options {
    Options::new()
        .segment_bytes(4096)
        .background(false)
        .tail_events_max(7)
        .store_id(StoreId::from_bytes([7; 16]))
        .clock(Arc::new(ManualClock::new(Timestamp::from_micros(1))))
}

fn go_on(_: IndexProgress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

impl World {
    fn environment(&self) -> Environment {
        Environment::new(Arc::new(self.disk.clone()), Arc::new(self.index.clone()))
    }

    fn rebuild(&self) -> Result<IndexReport> {
        rebuild_index_in(&self.environment(), ROOT, options(), &mut go_on)
    }

    fn upgrade(&self) -> Result<UpgradeReport> {
        upgrade_in(&self.environment(), ROOT, options(), &mut go_on)
    }

    fn entries(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut entries = Vec::new();
        self.index.edit(Path::new("/store/index"), |all| entries = all.clone().into_iter().collect());
        entries
    }

    /// A closed store of 60 events with 10 keys, a snapshot, and a checkpoint that is in the index alone.
    fn filled() -> Self {
        let world = Self::default();
        let store = Store::open_in(&world.environment(), ROOT, options()).unwrap();
        for number in 0..30 {
            let name = ["a-1", "b-1", "c-1"][number % 3];
            let events = vec![event(&format!("{number} {}", "x".repeat(100))), event("second")];
            let mut commit = Commit::new().append(&stream(name), ExpectedVersion::Any, events);
            if number % 3 == 0 {
                commit = commit.idempotency_key(format!("key-{number}"));
            }
            store.commit(commit).unwrap();
            store.housekeep().unwrap();
        }
        store.save_snapshot(&snapshot()).unwrap();
        let checkpoint = Checkpoint { sequence: Sequence::new(9), data: b"data".to_vec() };
        store.set_checkpoint("own", &checkpoint).unwrap();
        store.close().unwrap();
        world
    }

    /// What the index answers.
    fn check(&self, has_state: bool, label: &str) {
        let verified = verify_in(&self.environment(), ROOT).unwrap();
        assert!(verified.is_ok(), "{label}: {:?}", verified.findings);
        let store = Store::open_in(&self.environment(), ROOT, options()).unwrap();
        let heads: Vec<_> = store.streams("").map(|found| found.unwrap().1.version.get()).collect();
        assert_eq!(heads, [20, 20, 20], "{label}");
        assert!((0..10).all(|key| store.key_use(&format!("key-{}", 3 * key)).unwrap().is_some()), "{label}");
        assert_eq!(store.snapshot("a-1@2").unwrap().is_some(), has_state, "{label}");
        assert_eq!(store.checkpoint("own").unwrap().is_some(), has_state, "{label}");
        store.close().unwrap();
    }
}

fn snapshot() -> Snapshot {
    Snapshot {
        snapshot_id: "a-1@2".into(),
        aggregate_id: "1".into(),
        aggregate_type: "a".into(),
        schema_version: 1,
        timestamp: Timestamp::from_micros(1),
        last_event_version: Version::new(2),
        last_event_sequence: Sequence::new(2),
        codec: CodecId::RAW,
        state: b"state".to_vec(),
    }
}

#[test]
fn an_index_that_is_made_anew_says_the_same_and_keeps_snapshots_and_checkpoints() {
    let world = World::filled();
    let mut told = Vec::new();
    let report = rebuild_index_in(&world.environment(), ROOT, options(), &mut |now| {
        assert_eq!(now.total_events, 60);
        told.push(now.done_events);
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!((report.events, report.streams, report.keys), (60, 3, 10));
    assert!(report.state_entries >= 2 && report.state_lost.is_none(), "{report:?}");
    assert!(report.index_bytes > 0);
    assert!(told.is_sorted() && told.last() == Some(&60));
    world.check(true, "made anew");
    // The same log gives the same index.
    let entries = world.entries();
    world.rebuild().unwrap();
    assert_eq!(world.entries(), entries);
}

#[test]
fn an_index_that_is_gone_or_damaged_or_wrong_is_made_anew_and_what_is_lost_is_said() {
    let world = World::filled();
    let gone = World { index: MemoryIndexProvider::default(), ..world.clone() };
    let report = gone.rebuild().unwrap();
    assert_eq!((report.keys, report.state_entries, report.state_lost), (10, 0, None));
    gone.check(false, "gone");
    let older = World { index: world.index.kill(), disk: world.disk.kill() };
    older.index.make_older(Path::new("/store/index"));
    let report = older.rebuild().unwrap();
    assert!(report.state_lost.is_some(), "{report:?}");
    older.check(false, "of an older format");
    // One that can be read and says what is not so.
    let wrong = World { index: world.index.kill(), disk: world.disk.kill() };
    wrong.index.edit(Path::new("/store/index"), |entries| {
        let head = entries.keys().find(|key| key.windows(3).any(|part| part == b"b-1")).cloned().unwrap();
        entries.remove(&head);
    });
    assert!(!verify_in(&wrong.environment(), ROOT).unwrap().is_ok());
    wrong.rebuild().unwrap();
    wrong.check(true, "wrong");
}

#[test]
fn it_is_refused_beside_a_writer_and_where_there_is_no_store() {
    let world = World::filled();
    let store = Store::open_in(&world.environment(), ROOT, options()).unwrap();
    assert_eq!(world.rebuild().unwrap_err().kind(), ErrorKind::Locked);
    assert_eq!(compact_index_in(&world.environment(), ROOT).unwrap_err().kind(), ErrorKind::Locked);
    assert!(world.upgrade().unwrap().is_unchanged(), "there is nothing to do");
    store.close().unwrap();
    let empty = World::default();
    assert_eq!(empty.rebuild().unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(compact_index_in(&empty.environment(), ROOT).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(empty.upgrade().unwrap_err().kind(), ErrorKind::NotFound);
    assert!(empty.disk.files().is_empty(), "nothing was made");
}

/// What: an index that was made anew missed the events behind damage in the last segment, and said nothing of it.
/// Why: an open reads nothing of a log that an index covers, and a walk that ends in the last segment is no error by itself.
/// How found: a test of the command.
#[test]
fn damage_that_an_open_does_not_read_is_told_and_the_index_stays() {
    let sound = World::filled();
    let segments: Vec<_> =
        sound.disk.files().into_iter().filter(|path| path.extension().is_some_and(|end| end == "seg")).collect();
    let (first, last) = (segments.first().unwrap(), segments.last().unwrap());
    for path in [first, last] {
        let world = World { disk: sound.disk.kill(), index: sound.index.kill() };
        world.disk.flip_bit(path, 600, 1).unwrap();
        let entries = world.entries();
        let error = world.rebuild().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert!(path.ends_with(&error.corruption().unwrap().file), "{error}");
        assert_eq!(world.entries(), entries);
    }
}

#[test]
fn broken_off_at_any_moment_the_old_index_is_as_it_was() {
    let world = World::filled();
    let entries = world.entries();
    for after in 0..30 {
        let mut calls = 0;
        let outcome = rebuild_index_in(&world.environment(), ROOT, options(), &mut |_| {
            calls += 1;
            if calls > after { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Aborted, "{after}");
        assert_eq!(world.entries(), entries, "{after}");
        assert!(!format!("{:?}", world.index).contains("index-new"), "{after}: what was made is removed");
    }
    world.check(true, "broken off");
}

#[test]
fn a_power_cut_at_any_operation_leaves_an_index_that_says_the_same() {
    let world = World::filled();
    let images = Arc::new(Mutex::new(Vec::new()));
    let (kept, index, mut random) = (Arc::clone(&images), world.index.clone(), Random::new(3));
    world.disk.set_observer(Box::new(move |operation, disk| {
        let seed = random.next_u64();
        let disk = disk.crash(seed, CrashOptions::default());
        kept.lock().push((operation.number, World { disk, index: index.crash(seed) }));
    }));
    world.rebuild().unwrap();
    world.disk.clear_observer();
    let images = std::mem::take(&mut *images.lock());
    assert!(images.len() > 10, "{}", images.len());
    for (operation, image) in images {
        image.check(true, &format!("operation {operation}"));
        image.rebuild().unwrap();
        image.check(true, &format!("operation {operation}, and once more"));
    }
}

#[test]
fn an_index_that_was_put_in_order_says_the_same() {
    let world = World::filled();
    let report = compact_index_in(&world.environment(), ROOT).unwrap();
    assert!(report.bytes_after <= report.bytes_before && report.bytes_after > 0, "{report:?}");
    world.check(true, "put in order");
    let gone = World { index: MemoryIndexProvider::default(), ..world.clone() };
    assert_eq!(compact_index_in(&gone.environment(), ROOT).unwrap_err().kind(), ErrorKind::Refused);
    world.index.make_older(Path::new("/store/index"));
    assert_eq!(compact_index_in(&world.environment(), ROOT).unwrap_err().kind(), ErrorKind::Refused);
}

#[test]
fn an_upgrade_changes_nothing_but_an_index_of_an_older_format() {
    let world = World::filled();
    let files = |world: &World| -> Vec<_> {
        world.disk.files().into_iter().map(|path| (world.disk.read_file(&path).unwrap(), path)).collect()
    };
    let before = files(&world);
    let report = world.upgrade().unwrap();
    assert!(report.is_unchanged(), "{report:?}");
    assert_eq!((report.format_before, report.format_after), (1, 1));
    assert!(files(&world) == before);
    let gone = World { index: MemoryIndexProvider::default(), ..world.clone() };
    assert!(gone.upgrade().unwrap().is_unchanged(), "the next open makes it");
    world.index.make_older(Path::new("/store/index"));
    let report = world.upgrade().unwrap();
    assert_eq!(report.index.as_ref().map(|index| index.events), Some(60));
    assert!(!report.is_unchanged());
    assert!(world.upgrade().unwrap().is_unchanged(), "once is enough");
    world.check(false, "of an older format");
}

#[test]
fn a_store_of_a_newer_format_is_refused_and_stays() {
    let world = World::filled();
    let path = Path::new("/store/identity");
    let mut identity = world.disk.read_file(path).unwrap();
    identity[8] = 2;
    let checksum = crc32fast::hash(&identity[..40]);
    identity[40..44].copy_from_slice(&checksum.to_le_bytes());
    world.disk.write_file(path, &identity).unwrap();
    assert_eq!(world.upgrade().unwrap_err().kind(), ErrorKind::UnsupportedFormat);
    assert_eq!(world.rebuild().unwrap_err().kind(), ErrorKind::UnsupportedFormat);
    assert_eq!(world.disk.read_file(path).unwrap(), identity);
}
