//! The reserve on a simulated disk: what is still possible when it is full, and what a power cut leaves of it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::disk::sim::{CrashOptions, Failure, Fault, OperationKind, Random, SimulatedDisk, SimulationOptions};
use crate::disk::{Disk, OpenMode};
use crate::index::MemoryIndexProvider;

const ROOT: &str = "/store";
const RESERVE_BYTES: u64 = 32 * 1024;

fn options() -> Options {
    Options::new()
        .segment_bytes(8192)
        .reserve_bytes(RESERVE_BYTES)
        .background(false)
        .tail_events_max(7)
        .store_id(StoreId::from_bytes([7; 16]))
        .clock(Arc::new(ManualClock::new(Timestamp::from_micros(1))))
}

#[derive(Clone, Default)]
struct World {
    disk: SimulatedDisk,
    index: MemoryIndexProvider,
}

impl World {
    fn open(&self, options: Options) -> Store {
        Store::open_in(&self.environment(), ROOT, options).unwrap()
    }

    fn environment(&self) -> Environment {
        Environment::new(Arc::new(self.disk.clone()), Arc::new(self.index.clone()))
    }

    /// From now on there is this much room beside what is used.
    fn leave(&self, bytes: Option<u64>) {
        let used: usize = self.disk.files().iter().map(|path| self.disk.read_file(path).unwrap().len()).sum();
        let capacity_bytes = bytes.map(|bytes| used as u64 + bytes);
        self.disk.set_options(SimulationOptions { capacity_bytes, ..self.disk.options() });
    }

    fn has_reserve(&self) -> bool {
        self.disk.files().contains(&PathBuf::from("/store/log/reserve"))
    }
}

fn plain(text: &str) -> Commit {
    Commit::new().append(&stream("a-1"), ExpectedVersion::Any, vec![event(text)])
}

fn must(text: &str) -> Commit {
    plain(text).may_use_reserve()
}

fn all(store: &Store) -> Vec<String> {
    texts(store.read_all(..))
}

/// Commits until the disk is full; what was acknowledged.
fn fill(store: &Store) -> Vec<String> {
    let mut done = Vec::new();
    loop {
        let text = format!("plain {} {}", done.len(), "x".repeat(150));
        match store.commit(plain(&text)) {
            Ok(_) => done.push(text),
            Err(error) if error.kind() == ErrorKind::StorageFull => return done,
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn on_a_full_disk_what_must_be_written_is_written_and_everything_else_is_refused() {
    for preallocation in [Preallocation::Reserve, Preallocation::ZeroFill] {
        for align in [Align::Packed, Align::Sector] {
            let world = World::default();
            let options = || options().preallocation(preallocation).align(align);
            let store = world.open(options());
            assert_eq!(store.info().unwrap().reserve_bytes, RESERVE_BYTES);
            assert_eq!(store.recovery_report().reserve_bytes, RESERVE_BYTES);
            world.leave(Some(20_000));
            let mut known = fill(&store);
            assert!(known.len() > 2, "{align:?}");
            for number in 0..3 {
                known.push(format!("must {number}"));
                store.commit(must(known.last().unwrap())).unwrap();
                // What is left is kept for those alone, though another one would fit.
                assert_eq!(store.commit(plain("small")).unwrap_err().kind(), ErrorKind::StorageFull);
                assert_eq!(all(&store), known, "reads go on");
            }
            assert!(!world.has_reserve());
            assert_eq!(store.info().unwrap().reserve_bytes, 0);
            // A clean close, and an open, on a disk without room.
            store.close().unwrap();
            drop(store);
            let store = world.open(options());
            assert!(store.recovery_report().was_closed_cleanly && store.recovery_report().reserve_was_missing);
            assert_eq!(store.commit(plain("small")).unwrap_err().kind(), ErrorKind::StorageFull);
            known.push("must 3".to_owned());
            store.commit(must("must 3")).unwrap();
            assert_eq!(all(&store), known);
            // There is room again: all goes on, and the reserve comes first.
            world.leave(Some(RESERVE_BYTES));
            known.push("small".to_owned());
            store.commit(plain("small")).unwrap();
            assert!(world.has_reserve());
            world.leave(None);
            for number in 0..100 {
                known.push(format!("after {number} {}", "x".repeat(100)));
                store.commit(plain(known.last().unwrap())).unwrap();
            }
            store.housekeep().unwrap();
            assert_eq!(store.info().unwrap().reserve_bytes, RESERVE_BYTES);
            store.close().unwrap();
            drop(store);
            assert_eq!(all(&world.open(options())), known);
            assert!(verify_in(&world.environment(), ROOT).unwrap().is_ok());
        }
    }
}

/// What: Where the reserve was as long as a segment and there was no room for it at an open, every plain commit was refused,
/// though the active segment was empty but for a header.
/// Why: A segment that was made of the reserve is known by its length, and every segment had that length.
/// How found: By reading, while T9 was built.
#[test]
fn a_reserve_as_long_as_a_segment_is_not_taken_for_one() {
    for reserve_bytes in [Some(8192), None] {
        let world = World::default();
        let options = || {
            let options = options();
            match reserve_bytes {
                Some(bytes) => options.reserve_bytes(bytes),
                None => Options { reserve_bytes: None, ..options },
            }
        };
        world.open(options()).close().unwrap();
        world.disk.remove_file(&PathBuf::from("/store/log/reserve")).unwrap();
        world.leave(Some(0));
        let store = world.open(options());
        assert_eq!(store.info().unwrap().reserve_bytes, 0, "there is no room for it");
        store.commit(plain("plain")).unwrap();
        // One that was made of it is still known for that.
        world.leave(None);
        store.housekeep().unwrap();
        world.leave(Some(0));
        let mut known = fill(&store);
        known.insert(0, "plain".to_owned());
        known.push("must".to_owned());
        store.commit(must("must")).unwrap();
        store.close().unwrap();
        drop(store);
        let store = world.open(options());
        assert_eq!(store.commit(plain("small")).unwrap_err().kind(), ErrorKind::StorageFull);
        assert_eq!(all(&store), known);
    }
}

#[test]
fn a_spent_reserve_ends_in_a_clean_refusal() {
    let world = World::default();
    let store = world.open(options());
    world.leave(Some(0));
    let mut known = fill(&store);
    let before = known.len();
    let error = loop {
        let text = format!("must {} {}", known.len(), "x".repeat(200));
        match store.commit(must(&text)) {
            Ok(_) => known.push(text),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
    assert!(known.len() - before > 60, "{} commits", known.len() - before);
    assert_eq!(all(&store), known);
    world.leave(None);
    known.push("plain again".to_owned());
    store.commit(plain("plain again")).unwrap();
    assert_eq!(all(&store), known);
    store.close().unwrap();
}

#[test]
fn housekeeping_makes_the_reserve_again_before_the_spare() {
    let world = World::default();
    let store = world.open(options());
    world.leave(Some(0));
    fill(&store);
    store.commit(must("must")).unwrap();
    assert_eq!(store.housekeep().unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(all(&store).last().unwrap(), "must", "a chore that fails stops nothing");
    world.leave(Some(RESERVE_BYTES + 4096));
    let _ = store.housekeep();
    assert!(world.has_reserve());
    store.commit(plain("small")).unwrap();
}

#[test]
fn a_commit_that_may_use_the_reserve_is_not_failed_by_one_before_it_in_its_group() {
    let world = World::default();
    let store = world.open(options());
    world.leave(Some(0));
    let known = fill(&store);
    // One thread, one group: the plain one stands before the other.
    let ticket = store.submit(plain(&"x".repeat(3000))).unwrap();
    let receipt = store.commit(must("must")).unwrap();
    assert_eq!(receipt.sequence_first.get(), known.len() as u64 + 1);
    assert_eq!(ticket.wait().unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(all(&store).last().unwrap(), "must");
}

#[test]
fn beside_many_plain_writers_on_a_full_disk_every_commit_that_must_is_written() {
    let world = World::default();
    let store = world.open(options());
    world.leave(Some(0));
    let before = fill(&store).len();
    let go_on = AtomicBool::new(true);
    std::thread::scope(|scope| {
        let plains: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    while go_on.load(Ordering::Relaxed) {
                        let refused = store.commit(plain("small and refused")).unwrap_err();
                        assert_eq!(refused.kind(), ErrorKind::StorageFull);
                    }
                })
            })
            .collect();
        // The first one takes the reserve; what follows has the rest of it to itself.
        let first = store.commit(must("first"));
        let musts: Vec<_> = (0..2)
            .map(|thread| {
                let store = &store;
                scope.spawn(move || (0..20).try_for_each(|n| store.commit(must(&format!("{thread} {n}"))).map(drop)))
            })
            .collect();
        let outcomes: Vec<_> = musts.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        // Before anything is asked, so that no failure leaves the others running.
        go_on.store(false, Ordering::Relaxed);
        plains.into_iter().for_each(|thread| thread.join().unwrap());
        first.unwrap();
        outcomes.into_iter().for_each(|outcome| outcome.unwrap().unwrap());
    });
    assert_eq!(all(&store).len(), before + 41);
}

/// What: A seal that met a full disk closed the latch, and the store took no more writes until it was opened again.
/// Why: It was written without taking room first, and a failed write closes the latch of every file of the store.
/// How found: By reading, when the reserve was built: what else is written on a full disk?
#[test]
fn a_full_disk_at_a_seal_stops_nothing() {
    let world = World::default();
    let store = world.open(options());
    world.leave(Some(8192));
    let mut known = fill(&store);
    world.leave(Some(0));
    assert!(known.len() > 40, "two segments");
    assert_eq!(store.housekeep().unwrap_err().kind(), ErrorKind::StorageFull);
    known.push("must".to_owned());
    store.commit(must("must")).unwrap();
    assert_eq!(all(&store), known);
    world.leave(None);
    store.housekeep().unwrap();
    let is_seal = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "seal");
    assert_eq!(world.disk.files().iter().filter(|path| is_seal(path)).count(), 2);
}

#[test]
fn a_close_gives_the_reserve_to_an_index_that_has_no_room() {
    let world = World::default();
    let store = world.open(options());
    store.commit(plain("one")).unwrap();
    world.index.fail_ingests(Some(ErrorKind::StorageFull));
    store.close().unwrap();
    drop(store);
    assert!(!world.has_reserve(), "it was given up");
    world.index.fail_ingests(None);
    let store = world.open(options());
    assert!(world.has_reserve() && store.recovery_report().reserve_was_missing);
    assert_eq!(all(&store), ["one"]);
}

/// A torn tail on a disk without room: its bytes are kept before they are cut, and the reserve makes that possible.
#[test]
fn an_open_that_has_to_keep_cut_bytes_on_a_full_disk_gives_the_reserve_up() {
    let world = World::default();
    let options = || options().durability(Durability::Buffered).tail_events_max(1000);
    let store = world.open(options());
    for number in 0..20 {
        store.commit(plain(&format!("{number} {}", "x".repeat(200)))).unwrap();
    }
    let mut cuts = 0;
    for seed in 0..30 {
        let crashed = World { disk: world.disk.crash(seed, CrashOptions::default()), index: world.index.crash(seed) };
        crashed.leave(Some(0));
        let opened = crashed.open(options());
        let report = opened.recovery_report();
        assert_eq!(report.cut.is_some(), report.reserve_was_given_up, "seed {seed}");
        cuts += u64::from(report.cut.is_some());
        let kept = all(&opened);
        assert_eq!(kept.len() as u64, opened.last_sequence().get());
    }
    assert!(cuts > 5, "{cuts} cuts");
}

#[test]
fn a_file_that_is_no_reserve_is_made_one() {
    let world = World::default();
    let path = PathBuf::from("/store/log/reserve");
    let check = |world: &World, what: &str| {
        let store = world.open(options());
        assert_eq!(world.disk.read_file(&path).unwrap(), vec![0; usize::try_from(RESERVE_BYTES).unwrap()], "{what}");
        store.close().unwrap();
    };
    check(&world, "made");
    world.disk.write_file(&path, &[1; 600]).unwrap();
    check(&world, "another size");
    world.disk.overwrite(&path, 0, b"BITACORA").unwrap();
    check(&world, "a header");
    world.disk.remove_file(&path).unwrap();
    check(&world, "gone");
    let store = world.open(options().reserve_bytes(0));
    assert!(!world.has_reserve(), "none is kept");
    store.close().unwrap();
    drop(store);
    let store = world.open(options().preallocation(Preallocation::Grow));
    assert!(!world.has_reserve(), "a file that grows has no use for it");
    assert_eq!(store.info().unwrap().reserve_bytes, 0);
}

/// Fills the disk, spends the reserve, closes, opens, gets room, and goes on.
fn life(world: &World, known: &Mutex<(Vec<String>, Option<String>)>) {
    let commit = |store: &Store, commit: fn(&str) -> Commit, text: &str| {
        known.lock().1 = Some(text.to_owned());
        store.commit(commit(text))?;
        let mut known = known.lock();
        known.1 = None;
        known.0.push(text.to_owned());
        Ok::<(), Error>(())
    };
    let store = world.open(options());
    world.leave(Some(0));
    for number in 0.. {
        if let Err(error) = commit(&store, plain, &format!("plain {number} {}", "x".repeat(700))) {
            assert_eq!(error.kind(), ErrorKind::StorageFull);
            break;
        }
    }
    for number in 0..3 {
        commit(&store, must, &format!("must {number}")).unwrap();
    }
    let _ = store.housekeep();
    store.close().unwrap();
    drop(store);
    let store = world.open(options());
    commit(&store, must, "must again").unwrap();
    world.leave(None);
    store.housekeep().unwrap();
    for number in 0..12 {
        commit(&store, plain, &format!("more {number} {}", "y".repeat(700))).unwrap();
    }
    store.close().unwrap();
}

/// A power cut before every operation while the reserve is spent and made again: nothing acknowledged is lost, on a disk that
/// is still full as on one that has room, and what must be written can be.
#[test]
fn a_power_cut_at_any_point_of_spending_and_remaking_the_reserve_loses_nothing() {
    let mut count = 0;
    for seed in 0..8 {
        let world = World::default();
        let known = Arc::new(Mutex::new((Vec::new(), None)));
        let images = Arc::new(Mutex::new(Vec::new()));
        let (index, book, kept, mut random) =
            (world.index.clone(), Arc::clone(&known), Arc::clone(&images), Random::new(seed));
        world.disk.set_observer(Box::new(move |operation, disk| {
            let seed = random.next_u64();
            let crash = CrashOptions { stale_allocation: seed % 2 == 0, ..CrashOptions::default() };
            let crashed = World { disk: disk.crash(seed, crash), index: index.crash(seed) };
            kept.lock().push((operation.number, crashed, book.lock().clone()));
        }));
        life(&world, &known);
        world.disk.clear_observer();
        for (operation, image, (acknowledged, submitted)) in std::mem::take(&mut *images.lock()) {
            let label = format!("seed {seed}, operation {operation}");
            let is_full = operation % 2 == 0 && image.disk.files().iter().any(|path| path.ends_with("control"));
            image.leave(if is_full { Some(0) } else { None });
            let opened = Store::open_in(&image.environment(), ROOT, options());
            let store = match opened {
                Err(error) if is_full && error.kind() == ErrorKind::StorageFull => {
                    // The very first segment was not there yet.
                    assert!(acknowledged.is_empty(), "{label}: {error}");
                    continue;
                }
                opened => opened.unwrap_or_else(|error| panic!("{label}: {error}")),
            };
            let mut found = all(&store);
            assert!(found.starts_with(&acknowledged), "{label}: {found:?} of {acknowledged:?}");
            let rest = found.split_off(acknowledged.len());
            assert!(rest.is_empty() || Some(&rest[0]) == submitted.as_ref() && rest.len() == 1, "{label}: {rest:?}");
            if !is_full {
                store.housekeep().unwrap();
                assert!(image.has_reserve(), "{label}: it is made again");
                store.commit(plain("goes on")).unwrap_or_else(|error| panic!("{label}: {error}"));
            }
            store.commit(must("must")).unwrap_or_else(|error| panic!("{label}: {error}"));
            drop(store);
            let verified = verify_in(&image.environment(), ROOT).unwrap();
            assert!(verified.is_ok(), "{label}: {:?}", verified.findings);
            count += 1;
        }
    }
    assert!(count > 1_000, "{count} images");
}

/// Each call that takes the reserve apart or makes it can fail: nothing acknowledged is lost.
#[test]
fn a_call_that_fails_while_the_reserve_is_spent_loses_nothing() {
    let mut failed = 0;
    for kind in [OperationKind::Rename, OperationKind::Create, OperationKind::Allocate, OperationKind::Remove] {
        for failure in [Failure::Io, Failure::Full] {
            for nth in 1..=3 {
                let world = World::default();
                let store = world.open(options());
                world.leave(Some(0));
                let known = fill(&store);
                world.disk.inject(Fault::at(nth, failure).of(kind));
                let mut done = known.clone();
                for number in 0..4 {
                    let text = format!("must {number}");
                    match store.commit(must(&text)) {
                        Ok(_) => done.push(text),
                        Err(_) => failed += 1,
                    }
                    let _ = store.housekeep();
                }
                drop(store);
                world.disk.clear_faults();
                world.leave(None);
                let again = all(&world.open(options()));
                assert!(again.starts_with(&done), "{kind:?} {failure:?} {nth}: {again:?} of {done:?}");
            }
        }
    }
    assert!(failed > 0, "some of the faults strike a commit");
}

/// What: On a full disk a commit could be `CommitUnknown` and stop the store, though no byte of it was written.
/// Why: A folder grows by a block with its names; where there is none, a new segment cannot be named, and every failure to
/// name one was taken for one that leaves the log in doubt.
/// How found: T9, on ext4 with blocks of 1 KiB.
#[test]
fn a_segment_whose_name_has_no_room_is_a_clean_refusal() {
    for failures in 1..=2 {
        for is_full in [false, true] {
            let world = World::default();
            let store = world.open(options());
            let mut known = Vec::new();
            let mut refused = 0;
            for nth in 1..=failures {
                world.disk.inject(Fault::at(nth, Failure::Full).of(OperationKind::Rename));
            }
            for number in 0..200 {
                let text = format!("plain {number} {}", "x".repeat(150));
                match store.commit(plain(&text)) {
                    Ok(_) => known.push(text),
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
                        refused += 1;
                    }
                }
            }
            assert_eq!((refused, all(&store)), (failures, known.clone()));
            // What must be written gets the reserve's room for its segment and for the folder.
            if is_full {
                world.leave(Some(0));
                known.extend(fill(&store));
            }
            world.disk.inject(Fault::at(1, Failure::Full).of(OperationKind::Rename));
            for number in 0..60 {
                known.push(format!("must {number} {}", "x".repeat(150)));
                store.commit(must(known.last().unwrap())).unwrap();
            }
            assert_eq!(all(&store), known);
            world.disk.clear_faults();
            world.leave(None);
            store.housekeep().unwrap();
            assert!(world.has_reserve());
            store.close().unwrap();
            drop(store);
            assert_eq!(all(&world.open(options())), known);
            assert!(verify_in(&world.environment(), ROOT).unwrap().is_ok());
        }
    }
}

#[test]
fn the_reserve_has_limits() {
    use crate::limits::{RESERVE_BYTES_DEFAULT, RESERVE_BYTES_MAX, RESERVE_BYTES_MIN};
    for (bytes, is_allowed) in [
        (0, true),
        (1, false),
        (RESERVE_BYTES_MIN - 1, false),
        (RESERVE_BYTES_MIN, true),
        (RESERVE_BYTES_MAX, true),
        (RESERVE_BYTES_MAX + 1, false),
    ] {
        assert_eq!(options().reserve_bytes(bytes).check().is_ok(), is_allowed, "{bytes}");
    }
    assert_eq!(Options::new().reserve(), RESERVE_BYTES_DEFAULT);
    assert_eq!(Options::new().preallocation(Preallocation::Grow).reserve(), 0);
}

#[test]
fn what_a_killed_writer_left_is_removed_and_its_room_is_there_when_it_is_needed() {
    let spare = PathBuf::from("/store/log/spare.tmp");
    for (has_reserve, left) in [(true, 0), (false, 0), (true, 6 * 1024 * 1024)] {
        let world = World::default();
        let store = world.open(options());
        store.commit(plain("before")).unwrap();
        store.close().unwrap();
        let file = world.disk.open(&spare, OpenMode::CreateNew).unwrap();
        file.allocate(5 * 1024 * 1024).unwrap();
        drop(file);
        if !has_reserve {
            world.disk.remove(&PathBuf::from("/store/log/reserve")).unwrap();
        }
        world.leave(Some(left));
        let store = world.open(options());
        let report = store.recovery_report();
        assert_eq!((report.temporary_files_removed, report.reserve_bytes), (1, RESERVE_BYTES));
        assert!(!world.disk.files().contains(&spare));
        assert!(world.disk.room(&spare).unwrap().unwrap().free_bytes > 4 * 1024 * 1024);
        store.commit(plain("after")).unwrap();
        assert_eq!(all(&store), ["before", "after"]);
        store.close().unwrap();
    }
}
