//! Archives on a simulated disk: nothing is lost wherever the power goes, and whoever reads sees no difference.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::*;
use crate::clock::ManualClock;
use crate::disk::Disk;
use crate::disk::sim::{CrashOptions, Failure, Fault, Random, SimulatedDisk};
use crate::error::ErrorKind;
use crate::index::{Checkpoint, MemoryIndexProvider};
use crate::snapshot::Snapshot;
use crate::store::{BackupOptions, Environment, Options, backup_in, repair_plan_in, verify_in};
use crate::types::{CodecId, Event, EventType, ExpectedVersion, NewEvent, StoreId, StreamId, Timestamp, Version};

const ROOT: &str = "/store";
const FAR: &str = "/usb";

#[derive(Clone, Default)]
struct World {
    disk: SimulatedDisk,
    index: MemoryIndexProvider,
}

fn options() -> Options {
    Options::new()
        .segment_bytes(4096)
        .background(false)
        .store_id(StoreId::from_bytes([7; 16]))
        .clock(Arc::new(ManualClock::new(Timestamp::from_micros(1))))
}

fn all() -> ArchiveOptions {
    ArchiveOptions::before(ArchiveBefore::Sequence(Sequence::MAX)).backup(ArchiveBackup::Without)
}

fn go_on(_: ArchiveProgress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn stream(name: &str) -> StreamId {
    StreamId::new(name).unwrap()
}

impl World {
    /// With a store of some ten segments, all but the last sealed and indexed, closed.
    fn filled() -> (Self, Vec<Event>) {
        let world = Self::default();
        let store = world.open().unwrap();
        for number in 0..120 {
            write(&store, number);
            store.housekeep().unwrap();
        }
        let events = store.read_all(..).map(Result::unwrap).collect();
        store.close().unwrap();
        (world, events)
    }

    fn copy(&self) -> Self {
        Self { disk: self.disk.kill(), index: self.index.kill() }
    }

    fn environment(&self) -> Environment {
        Environment::new(Arc::new(self.disk.clone()), Arc::new(self.index.clone()))
    }

    fn open(&self) -> Result<Store> {
        Store::open_in(&self.environment(), ROOT, options())
    }

    fn read_only(&self) -> Result<Store> {
        Store::open_read_only_in(&self.environment(), ROOT)
    }

    /// Archives what may go, with a store that is opened for that.
    fn archive(&self, options: &ArchiveOptions) -> Result<ArchiveReport> {
        let store = self.open()?;
        store.housekeep()?;
        let report = store.archive(options, &mut go_on);
        store.close()?;
        report
    }

    fn unarchive(&self, from: u64) -> Result<UnarchiveReport> {
        unarchive_in(&self.environment(), ROOT, Sequence::new(from), &mut go_on)
    }

    /// The files with this ending, by name, and their bytes.
    fn files(&self, ending: &str) -> BTreeMap<PathBuf, Vec<u8>> {
        let paths = self.disk.files().into_iter().filter(|path| path.to_string_lossy().ends_with(ending));
        paths.map(|path| (path.clone(), self.disk.read_file(&path).unwrap())).collect()
    }

    /// Everything is there by every way of reading, and the store verifies.
    fn check(&self, events: &[Event], label: &str) {
        let report = verify_in(&self.environment(), ROOT).unwrap();
        assert!(report.is_ok(), "{label}: {:?}", report.findings);
        assert_eq!(report.events, events.len() as u64, "{label}");
        let store = self.read_only().unwrap_or_else(|error| panic!("{label}: {error}"));
        check_reads(&store, events, label);
        drop(store);
        let store = self.open().unwrap_or_else(|error| panic!("{label}: {error}"));
        check_reads(&store, events, label);
        store.close().unwrap();
    }
}

fn write(store: &Store, number: u64) {
    let event_type = EventType::new("Noted").unwrap();
    let text = format!("{number} {}", "x".repeat(120));
    let events = [text.as_str(), "second"].map(|text| NewEvent::new(event_type.clone(), CodecId::RAW, text.into()));
    let name = if number.is_multiple_of(3) { "a-1" } else { "b-1" };
    store.append(&stream(name), ExpectedVersion::Any, events.to_vec()).unwrap();
}

fn check_reads(store: &Store, events: &[Event], label: &str) {
    let read: Vec<Event> =
        store.read_all(..).map(|event| event.unwrap_or_else(|error| panic!("{label}: {error}"))).collect();
    assert!(read == events, "{label}: {} of {} events", read.len(), events.len());
    let backwards: Vec<Event> = store.read_all(..).rev().map(Result::unwrap).collect();
    assert!(backwards.iter().rev().eq(events), "{label}: backwards");
    for name in ["a-1", "b-1"] {
        let read = store.read_stream(&stream(name), ..).map(Result::unwrap);
        assert!(read.eq(events.iter().filter(|event| event.stream.as_str() == name).cloned()), "{label}: {name}");
    }
    for event in events.iter().step_by(17) {
        assert_eq!(store.event(event.sequence).unwrap().as_ref(), Some(event), "{label}");
    }
}

#[test]
fn reads_go_on_through_archives_and_a_segment_comes_back_as_it_was() {
    for folder in [None, Some(FAR)] {
        let (world, events) = World::filled();
        let before = world.files(".seg");
        let seals = world.files(".seal");
        let options = folder.map_or_else(all, |folder| all().to(folder));
        let planned = world.read_only().unwrap().archive_plan(&options).unwrap();
        assert_eq!(world.files(".seg"), before, "a plan changes nothing");
        let report = world.archive(&options).unwrap();
        assert_eq!(report.moved.len(), planned.goes().count());
        assert!(report.moved.len() > 3, "{:?}", report.moved);
        assert_eq!(world.files(".zst").len(), report.moved.len());
        assert_eq!(world.files(".seg").len(), before.len() - report.moved.len());
        assert_eq!(world.files(".seal"), seals, "digests still chain");
        // Any tool for zstd gives the segment.
        for (path, archive) in world.files(".zst") {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let (_, name) = name.split_at(name.len() - "00000000000000000001.seg".len());
            let segment = &before[&Path::new("/store/log").join(name)];
            assert!(zstd::stream::decode_all(archive.as_slice()).unwrap() == *segment, "{}", path.display());
        }
        world.check(&events, "archived");
        let info = world.read_only().unwrap().info().unwrap();
        assert_eq!((info.segments, info.archived_segments), (before.len() as u64, report.moved.len() as u64));
        assert_eq!(info.archived_bytes, report.moved.iter().map(|moved| moved.segment_bytes).sum::<u64>());
        assert_eq!(info.archive_bytes, world.files(".zst").values().map(|bytes| bytes.len() as u64).sum::<u64>());
        // Again there is nothing to do; an index that is lost is made anew from the archives.
        assert_eq!(world.archive(&options).unwrap().moved, []);
        let bare = World { index: MemoryIndexProvider::default(), ..world.copy() };
        bare.check(&events, "without the index");
        // A part of it comes back, and then all.
        let middle = report.moved[2].first.get();
        let back = world.unarchive(middle).unwrap();
        assert_eq!(back.moved, report.moved[2..]);
        world.check(&events, "a part is back");
        let rest = world.unarchive(0).unwrap();
        assert_eq!(rest.moved, report.moved[..2]);
        let left = if folder.is_some() { 2 } else { 0 };
        assert_eq!((rest.left.len(), world.files(".arc").len()), (left, 0));
        let after = world.files(".seg");
        assert!(before.iter().all(|(path, bytes)| after.get(path) == Some(bytes)), "byte for byte");
        world.check(&events, "all is back");
        // What was left is found to be the same, and used.
        assert_eq!(world.archive(&options).unwrap().moved.len(), report.moved.len());
        world.check(&events, "archived again");
    }
}

#[test]
fn a_reader_and_a_writer_go_on_while_segments_are_archived_and_brought_back() {
    let (world, events) = World::filled();
    let (early, late) = (world.read_only().unwrap(), world.read_only().unwrap());
    check_reads(&early, &events, "mapped before");
    let store = world.open().unwrap();
    let mapped = store.read_all(..).count();
    assert_eq!(mapped, events.len());
    assert!(store.archive(&all(), &mut go_on).unwrap().moved.len() > 3);
    write(&store, 500);
    let more: Vec<Event> = store.read_all(..).map(Result::unwrap).collect();
    assert_eq!(more.len(), events.len() + 2);
    check_reads(&store, &more, "the writer");
    for reader in [&early, &late] {
        assert_eq!(reader.refresh().unwrap(), store.last_sequence());
        check_reads(reader, &more, "a reader");
    }
    store.close().unwrap();
    world.unarchive(0).unwrap();
    check_reads(&early, &more, "after they came back");
    world.check(&more, "after they came back");
}

#[test]
fn a_follower_that_is_far_behind_finds_what_was_archived_meanwhile() {
    let world = World::default();
    let store = world.open().unwrap();
    write(&store, 0);
    let reader = world.read_only().unwrap();
    for number in 1..120 {
        write(&store, number);
        store.housekeep().unwrap();
    }
    assert!(store.archive(&all(), &mut go_on).unwrap().moved.len() > 3);
    assert_eq!(reader.refresh().unwrap(), store.last_sequence());
    assert!(reader.read_all(..).map(Result::unwrap).eq(store.read_all(..).map(Result::unwrap)));
}

#[test]
fn a_backup_of_a_store_with_archives_is_plain_and_proves_what_may_go() {
    let (world, events) = World::filled();
    let environment = world.environment();
    let far = || all().backup(ArchiveBackup::Folder("/backup".into()));
    let store = world.read_only().unwrap();
    assert_eq!(store.archive_plan(&far()).unwrap_err().kind(), ErrorKind::NotFound);
    let first =
        backup_in(&environment, ROOT, "/backup", &BackupOptions::new(), &mut |_| ControlFlow::Continue(())).unwrap();
    let planned = store.archive_plan(&far()).unwrap();
    assert_eq!(planned.goes().count(), store.archive_plan(&all()).unwrap().goes().count());
    // Through a sequence, as an operator says; and without a word nothing goes.
    let second = planned.segments[1].clone();
    let through = |sequence| all().backup(ArchiveBackup::Through(sequence));
    assert_eq!(store.archive_plan(&through(second.last)).unwrap().goes().count(), 2);
    assert_eq!(store.archive_plan(&through(second.last.previous())).unwrap().goes().count(), 1);
    let unnamed = ArchiveOptions::before(ArchiveBefore::Sequence(Sequence::MAX));
    assert_eq!(store.archive_plan(&unnamed).unwrap().goes().count(), 0);
    drop(store);
    world.archive(&far()).unwrap();
    // A backup of what is archived is plain, and holds the same.
    let again =
        backup_in(&environment, ROOT, "/again", &BackupOptions::new(), &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!((again.merkle_root, again.events), (first.merkle_root, events.len() as u64));
    assert!(world.files(".arc").keys().all(|path| path.starts_with(ROOT)));
    // The one from before is brought up to date, and what is archived by now is kept in it.
    let updated =
        backup_in(&environment, ROOT, "/backup", &BackupOptions::new(), &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(updated.last_sequence, again.last_sequence);
    assert!(updated.segments_kept >= planned.goes().count() as u64, "{updated:?}");
    // One with another seal proves nothing from there on, and another store's none at all.
    let (world, _) = World::filled();
    backup_in(&world.environment(), ROOT, "/backup", &BackupOptions::new(), &mut |_| ControlFlow::Continue(()))
        .unwrap();
    let seal = Path::new("/backup/log").join(crate::format::segment::seal_name(second.first));
    world.disk.flip_bit(&seal, 60, 1).unwrap();
    assert_eq!(world.read_only().unwrap().archive_plan(&far()).unwrap().goes().count(), 1);
    let other = options().store_id(StoreId::from_bytes([8; 16]));
    Store::open_in(&world.environment(), "/other", other).unwrap().close().unwrap();
    let foreign = all().backup(ArchiveBackup::Folder("/other".into()));
    assert_eq!(world.read_only().unwrap().archive_plan(&foreign).unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn what_a_consumer_a_service_or_a_snapshot_needs_stays() {
    let (world, events) = World::filled();
    let store = world.open().unwrap();
    let segments = store.archive_plan(&all()).unwrap().segments;
    let goes = |options: &ArchiveOptions| store.archive_plan(options).unwrap().goes().count();
    let free = goes(&all());
    let set = |name: &str, sequence| {
        store.set_checkpoint(name, &Checkpoint { sequence, data: Vec::new() }).unwrap();
    };
    set("mailer", segments[3].last);
    assert_eq!(goes(&all()), 4.min(free));
    set("service/payments", segments[2].last.previous());
    assert_eq!(goes(&all()), 2);
    let named = store.archive_plan(&all()).unwrap();
    let SegmentFate::Kept(because) = &named.segments[2].fate else { panic!("{named:?}") };
    assert_eq!(
        because.iter().map(KeptBecause::to_string).collect::<Vec<_>>(),
        [format!("service payments is at {}", segments[2].last.previous())]
    );
    // A snapshot of the newest state needs nothing; one of an early state needs what follows.
    let of_b: Vec<&Event> = events.iter().filter(|event| event.stream.as_str() == "b-1").collect();
    let save = |event: &Event| {
        let snapshot = Snapshot {
            snapshot_id: format!("b-1@{}", event.version),
            aggregate_id: "1".into(),
            aggregate_type: "b".into(),
            timestamp: event.timestamp,
            last_event_version: event.version,
            last_event_sequence: event.sequence,
            schema_version: 1,
            codec: CodecId::RAW,
            state: Vec::new(),
        };
        store.save_snapshot(&snapshot).unwrap();
    };
    let behind = of_b.iter().position(|event| event.sequence > segments[0].last).unwrap();
    save(of_b[behind - 1]);
    assert_eq!(of_b[behind].version, Version::new(behind as u64 + 1));
    assert_eq!(goes(&all()), 1, "the next event of b-1 is in the second segment");
    assert_eq!(goes(&all().past_snapshots(true)), 2);
    save(of_b[of_b.len() - 1]);
    assert_eq!(goes(&all()), 2, "the newest snapshot counts");
    assert_eq!(store.archive(&all(), &mut go_on).unwrap().moved.len(), 2);
}

#[test]
fn an_archive_that_is_not_at_hand_hinders_the_reads_that_need_it_and_no_open() {
    let (world, events) = World::filled();
    let report = world.archive(&all().to(FAR)).unwrap();
    let (sound, last) = (world.copy(), report.moved[report.moved.len() - 1].last);
    for path in world.files(".zst").keys() {
        world.disk.remove_file(path).unwrap();
    }
    let store = world.open().unwrap();
    write(&store, 500);
    let error = store.read_all(..).next().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.to_string().contains("is archived in /usb/"), "{error}");
    assert!(store.read_all(last.next()..).all(|event| event.is_ok()));
    assert_eq!(store.info().unwrap().archived_segments, report.moved.len() as u64);
    store.close().unwrap();
    let verified = verify_in(&world.environment(), ROOT).unwrap();
    assert_eq!(verified.findings.len(), report.moved.len(), "{:?}", verified.findings);
    assert!(verified.findings.iter().all(|finding| finding.detail.contains("/usb/")));
    // A repair would fill it with stand-ins; it refuses.
    let plan = repair_plan_in(&world.environment(), ROOT, &mut |_| {}).unwrap();
    assert!(plan.obstacle.unwrap().contains("bring that folder back"));
    assert_eq!(world.unarchive(0).unwrap_err().kind(), ErrorKind::Io);
    sound.check(&events, "with the folder");
}

#[test]
fn damage_in_an_archive_or_a_stub_is_never_shown_as_data() {
    let (world, events) = World::filled();
    let moved = world.archive(&all()).unwrap().moved.len();
    let mut random = Random::new(5);
    let (mut harmless, mut rounds) = (0, 0);
    for path in world.files(".zst").keys().chain(world.files(".arc").keys()) {
        for _ in 0..40 {
            let damaged = world.copy();
            let bytes = damaged.disk.read_file(path).unwrap();
            damaged.disk.flip_bit(path, random.below(bytes.len() as u64), 1).unwrap();
            let label = format!("{} in {rounds}", path.display());
            let store = damaged.open().unwrap_or_else(|error| panic!("{label}: {error}"));
            let (mut read, mut is_met) = (store.read_all(..), false);
            for event in &events {
                match read.next().unwrap() {
                    Ok(found) => assert_eq!(&found, event, "{label}"),
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::Corrupt, "{label}: {error}");
                        is_met = true;
                        break;
                    }
                }
            }
            store.close().unwrap();
            let verified = verify_in(&damaged.environment(), ROOT).unwrap();
            assert_eq!(verified.is_ok(), !is_met, "{label}");
            let plan = repair_plan_in(&damaged.environment(), ROOT, &mut |_| {}).unwrap();
            assert_eq!(plan.obstacle.is_some(), is_met, "{label}");
            harmless += u64::from(!is_met);
            rounds += 1;
        }
    }
    // A bit that zstd does not use changes nothing.
    assert!(rounds == 80 * moved && harmless * 50 < rounds as u64, "{harmless} of {rounds} changed nothing");
}

#[test]
fn a_segment_that_is_not_what_its_seal_says_is_not_archived() {
    let (world, _) = World::filled();
    let path = world.files(".seg").into_keys().nth(1).unwrap();
    let before = world.copy().files("");
    world.disk.flip_bit(&path, 900, 1).unwrap();
    let error = world.archive(&all()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(world.disk.read_file(&path).is_ok() && world.files(".arc").len() == 1, "the first one has gone");
    assert!(world.files(".tmp").is_empty() && before.contains_key(&path));
}

#[test]
fn something_else_under_an_archives_name_is_left_alone() {
    let (world, events) = World::filled();
    let names: Vec<PathBuf> = {
        let copy = world.copy();
        copy.archive(&all()).unwrap();
        copy.files(".zst").into_keys().collect()
    };
    world.disk.create_directory(Path::new("/store/archive")).unwrap();
    world.disk.sync_directory(Path::new(ROOT)).unwrap();
    world.disk.write_file(&names[1], b"another till's").unwrap();
    let error = world.archive(&all()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
    assert_eq!(world.disk.read_file(&names[1]).unwrap(), b"another till's");
    assert_eq!(world.files(".arc").len(), 1);
    world.check(&events, "one is archived");
}

#[test]
fn broken_off_it_has_moved_whole_segments_and_goes_on() {
    let (world, events) = World::filled();
    let total = world.copy().archive(&all()).unwrap().moved.len();
    let mut met = Vec::new();
    for stop in 0.. {
        let world = world.copy();
        let store = world.open().unwrap();
        let mut told = 0;
        let outcome = store.archive(&all(), &mut |now| {
            assert!(now.done_bytes <= now.total_bytes, "{now:?}");
            told += 1;
            if told > stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        store.close().unwrap();
        assert!(world.files(".tmp").is_empty());
        world.check(&events, &format!("broken off at {stop}"));
        met.push(world.files(".arc").len());
        match outcome {
            Err(error) => assert_eq!(error.kind(), ErrorKind::Aborted),
            Ok(_) => break,
        }
        assert_eq!(world.archive(&all()).unwrap().moved.len() + met[met.len() - 1], total);
    }
    assert_eq!((met[0], met[met.len() - 1]), (0, total));
}

#[test]
fn a_store_that_is_closed_meanwhile_breaks_an_archiving_off() {
    let (world, events) = World::filled();
    let store = world.open().unwrap();
    let mut closing = None;
    let error = store.archive(&all(), &mut |_| {
        let clone = store.clone();
        closing.get_or_insert_with(|| {
            let closing = std::thread::spawn(move || clone.close());
            while store.shared().check_open().is_ok() {
                std::thread::yield_now();
            }
            closing
        });
        ControlFlow::Continue(())
    });
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Closed);
    closing.unwrap().join().unwrap().unwrap();
    assert!(world.files(".tmp").is_empty());
    world.check(&events, "closed meanwhile");
}

/// What a power cut could leave before every operation of `deed`, and after it.
fn images(world: &World, seed: u64, deed: impl FnOnce(&World)) -> Vec<(u64, World)> {
    let images = Arc::new(crate::sync::Mutex::new(Vec::new()));
    let (kept, index, mut random) = (Arc::clone(&images), world.index.clone(), Random::new(seed));
    world.disk.set_observer(Box::new(move |operation, disk| {
        let count = if operation.kind.is_mutating() { 2 } else { 0 };
        for _ in 0..count {
            let seed = random.next_u64();
            let disk = disk.crash(seed, CrashOptions { stale_allocation: seed % 2 == 0, ..CrashOptions::default() });
            kept.lock().push((operation.number, World { disk, index: index.crash(seed) }));
        }
    }));
    deed(world);
    world.disk.clear_observer();
    std::mem::take(&mut *images.lock())
}

/// Goal: wherever the power goes, every event can be read from a segment or from its archive, and it can be begun again.
/// Method: an image of what a power cut could leave before every operation of an archiving, then of the way back.
#[test]
fn a_power_cut_at_any_operation_loses_no_read() {
    let (mut archived, mut both) = (0, 0);
    for (seed, folder) in [(1, ARCHIVE), (2, FAR)] {
        let (world, events) = World::filled();
        let options = all().to(folder);
        let there = images(&world, seed, |world| drop(world.archive(&options).unwrap()));
        let moved = world.files(".arc").len();
        let back = images(&world, seed + 7, |world| drop(world.unarchive(0).unwrap()));
        for (way, operation, image) in there
            .into_iter()
            .map(|(at, image)| ("there", at, image))
            .chain(back.into_iter().map(|(at, image)| ("back", at, image)))
        {
            let label = format!("{folder}, {way}, operation {operation}");
            let stubs = image.files(".arc").into_keys();
            both += stubs.filter(|stub| image.disk.read_file(&stub.with_extension("seg")).is_ok()).count();
            image.check(&events, &label);
            let again = if operation % 2 == 0 {
                image.archive(&options).unwrap_or_else(|error| panic!("{label}: {error}"));
                moved
            } else {
                image.unarchive(0).unwrap_or_else(|error| panic!("{label}: {error}"));
                0
            };
            assert_eq!(image.files(".arc").len(), again, "{label}");
            image.check(&events, &format!("{label}, again"));
            archived += 1;
        }
    }
    assert!(archived > 400 && both > 10, "{archived} images, {both} segments with both");
}

#[test]
fn a_call_that_fails_loses_nothing_and_stops_no_writer() {
    let (world, events) = World::filled();
    let operations = {
        let probe = world.copy();
        let store = probe.open().unwrap();
        let before = probe.disk.operations();
        store.archive(&all(), &mut go_on).unwrap();
        probe.disk.operations() - before
    };
    let mut failed = 0;
    for number in (0..operations).step_by(3) {
        let world = world.copy();
        let store = world.open().unwrap();
        world.disk.inject(Fault::at(world.disk.operations() + number, Failure::Io));
        failed += u64::from(store.archive(&all(), &mut go_on).is_err());
        world.disk.clear_faults();
        write(&store, 500);
        store.close().unwrap();
        let mut now = events.clone();
        now.extend(world.read_only().unwrap().read_all(Sequence::new(events.len() as u64 + 1)..).map(Result::unwrap));
        assert_eq!(now.len(), events.len() + 2);
        world.check(&now, &format!("failed at {number}"));
        world.archive(&all()).unwrap();
        world.check(&now, &format!("failed at {number}, again"));
    }
    assert!(failed > operations / 6, "{failed} of {operations}");
}
