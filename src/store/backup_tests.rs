//! Backups on a simulated disk: whole or not there, whatever happens, and never of damage.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::*;
use crate::disk::Disk;
use crate::disk::sim::{CrashOptions, Failure, Fault, OperationKind, Random, SimulatedDisk, SimulationOptions};
use crate::index::MemoryIndexProvider;

#[path = "restore_tests.rs"]
mod restores;
#[path = "backup_update_tests.rs"]
mod updates;

const ROOT: &str = "/store";
const TO: &str = "/backup";

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

impl World {
    fn environment(&self) -> Environment {
        Environment::new(Arc::new(self.disk.clone()), Arc::new(self.index.clone()))
    }

    fn open(&self, root: &str) -> Result<Store> {
        Store::open_in(&self.environment(), root, options())
    }

    fn back_up(&self) -> Result<BackupReport> {
        self.back_up_to(TO, &BackupOptions::new())
    }

    fn back_up_to(&self, to: &str, options: &BackupOptions) -> Result<BackupReport> {
        backup_in(&self.environment(), ROOT, to, options, &mut |_| ControlFlow::Continue(()))
    }

    /// The same, as it would be found by who starts after a kill.
    fn killed(&self) -> Self {
        Self { disk: self.disk.kill(), index: self.index.kill() }
    }

    /// Every file below this folder with its bytes.
    fn files(&self, start: &str) -> Vec<(PathBuf, Vec<u8>)> {
        self.paths(start).into_iter().map(|path| (path.clone(), self.disk.read_file(&path).unwrap())).collect()
    }

    /// Every path that begins with this text.
    fn paths(&self, start: &str) -> Vec<PathBuf> {
        self.disk.files().into_iter().filter(|path| path.to_string_lossy().starts_with(start)).collect()
    }

    /// All events of the store at `root`, which is verified before it is opened.
    fn events_of(&self, root: &str) -> Vec<Event> {
        let report = verify_in(&self.environment(), root).unwrap();
        assert!(report.is_ok(), "{:?}", report.findings);
        let store = self.open(root).unwrap();
        assert_eq!(store.recovery_report().cut, None);
        let events = store.read_all(..).map(Result::unwrap).collect();
        store.close().unwrap();
        events
    }
}

/// Notes a phase that begins.
fn note(phases: &mut Vec<BackupPhase>, progress: BackupProgress) -> ControlFlow<()> {
    assert!(progress.done_bytes <= progress.total_bytes, "{progress:?}");
    if phases.last() != Some(&progress.phase) {
        phases.push(progress.phase);
    }
    ControlFlow::Continue(())
}

/// What power cuts leave before each operation of a deed, three for each, and one after it, under the greatest number.
fn cut_within(world: &World, seed: u64, deed: impl FnOnce(&World)) -> Vec<(u64, World)> {
    let images = Arc::new(Mutex::new(Vec::new()));
    let (kept, index, mut random) = (Arc::clone(&images), world.index.clone(), Random::new(seed));
    world.disk.set_observer(Box::new(move |operation, disk| {
        for _ in 0..3 {
            let seed = random.next_u64();
            let disk = disk.crash(seed, CrashOptions { stale_allocation: seed % 2 == 0, ..CrashOptions::default() });
            kept.lock().push((operation.number, World { disk, index: index.crash(seed) }));
        }
    }));
    deed(world);
    world.disk.clear_observer();
    let mut images = std::mem::take(&mut *images.lock());
    let after = World { disk: world.disk.crash(seed, CrashOptions::default()), index: world.index.crash(seed) };
    images.push((u64::MAX, after));
    images
}

fn write(store: &Store, from: u64, count: u64) {
    for number in from..from + count {
        let name = if number % 3 == 0 { "a-1" } else { "b-1" };
        let text = format!("{number} {}", "x".repeat(120));
        store.append(&stream(name), ExpectedVersion::Any, vec![event(&text), event("second")]).unwrap();
        if number % 5 == 4 {
            store.housekeep().unwrap();
        }
    }
}

#[test]
fn a_backup_is_a_store_that_verifies_before_it_is_opened_and_goes_on() {
    for align in [Align::Packed, Align::Sector] {
        let world = World::default();
        let store = Store::open_in(&world.environment(), ROOT, options().align(align)).unwrap();
        write(&store, 0, 60);
        store.close().unwrap();
        drop(store);
        let before = world.files(ROOT);
        let mut phases = Vec::new();
        let report = backup_in(&world.environment(), ROOT, TO, &BackupOptions::new(), &mut |progress| {
            note(&mut phases, progress)
        })
        .unwrap();
        assert_eq!(phases, [BackupPhase::Check, BackupPhase::Copy, BackupPhase::Verify]);
        assert!(world.files(ROOT) == before, "the store is as it was");
        let sizes: u64 = world.paths(TO).iter().map(|path| world.disk.read_file(path).unwrap().len() as u64).sum();
        assert_eq!((report.events, report.last_sequence, report.bytes), (120, Sequence::new(120), sizes));
        assert_eq!(report.store_id, StoreId::from_bytes([7; 16]));
        assert!(report.segments > 3 && report.seals == report.segments - 1 && report.seal_digest.is_some());
        assert_eq!(world.events_of(TO), world.events_of(ROOT));
        assert_eq!(world.paths("/backup.partial"), Vec::<PathBuf>::new());
        // It can be backed up itself, and holds the same; and it goes on.
        let none = &mut |_| ControlFlow::Continue(());
        let second = backup_in(&world.environment(), TO, "/second", &BackupOptions::new(), none).unwrap();
        assert_eq!((second.merkle_root, second.events), (report.merkle_root, report.events));
        let copy = world.open("/second").unwrap();
        write(&copy, 60, 10);
        copy.close().unwrap();
        drop(copy);
        assert_eq!(world.events_of("/second").len(), 140);
    }
}

#[test]
fn a_backup_beside_a_writer_holds_what_was_acknowledged() {
    for preallocation in [Preallocation::Grow, Preallocation::ZeroFill] {
        let world = World::default();
        let store = Store::open_in(&world.environment(), ROOT, options().preallocation(preallocation)).unwrap();
        for round in 0..12 {
            let to = format!("/backup-{round}");
            let report = world.back_up_to(&to, &BackupOptions::new()).unwrap();
            assert_eq!(report.last_sequence, store.last_sequence());
            assert_eq!(world.events_of(&to), store.read_all(..).map(Result::unwrap).collect::<Vec<_>>());
            write(&store, round * 7, 7);
        }
        // Nothing that is not synced is in it.
        let ticket = store.submit(Commit::new().append(&stream("c-1"), ExpectedVersion::Any, vec![event("later")]));
        let report = world.back_up().unwrap();
        assert_eq!(report.last_sequence, store.last_sequence());
        ticket.unwrap().wait().unwrap();
    }
}

#[test]
fn without_a_writer_a_backup_holds_what_the_next_open_would_keep() {
    let world = World::default();
    let store = Store::open_in(&world.environment(), ROOT, options().durability(Durability::Buffered)).unwrap();
    write(&store, 0, 23);
    let mut torn = 0;
    for seed in 0..40 {
        let crashed = World { disk: world.disk.crash(seed, CrashOptions::default()), index: world.index.crash(seed) };
        let report = crashed.back_up().unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let copied = crashed.events_of(TO);
        let opened = crashed.open(ROOT).unwrap();
        torn += u64::from(opened.recovery_report().cut.is_some());
        assert_eq!(copied, opened.read_all(..).map(Result::unwrap).collect::<Vec<_>>(), "seed {seed}");
        assert_eq!(report.last_sequence, opened.last_sequence(), "seed {seed}");
    }
    assert!(torn > 5, "{torn} torn tails");
}

#[test]
fn a_power_cut_at_any_operation_of_a_backup_leaves_none_or_a_whole_one() {
    let (mut whole, mut none) = (0, 0);
    for seed in 0..6 {
        let world = World::default();
        let store = world.open(ROOT).unwrap();
        write(&store, 0, 30);
        if seed % 2 == 0 {
            store.close().unwrap();
        }
        let expected: Vec<Event> = match seed % 2 {
            0 => world.clone().events_of(ROOT),
            _ => store.read_all(..).map(Result::unwrap).collect(),
        };
        let images = cut_within(&world, seed, |world| {
            world.back_up().unwrap();
        });
        for (operation, image) in images {
            if image.disk.kind(Path::new(TO)).unwrap().is_some() {
                assert_eq!(image.events_of(TO), expected, "seed {seed}, operation {operation}");
                whole += 1;
            } else {
                assert!(operation < u64::MAX, "seed {seed}: an answered backup stays");
                none += 1;
            }
            assert_eq!(image.events_of(ROOT), expected, "seed {seed}, operation {operation}: the source");
        }
    }
    assert!(whole > 5 && none > 200, "{whole} whole, {none} not there");
}

#[test]
fn a_backup_that_fails_at_any_call_leaves_nothing_behind() {
    let world = World::default();
    let store = world.open(ROOT).unwrap();
    write(&store, 0, 20);
    store.close().unwrap();
    drop(store);
    let calls = {
        let probe = world.killed();
        let before = probe.disk.operations();
        probe.back_up().unwrap();
        probe.disk.operations() - before
    };
    let mut failed = 0;
    for nth in 1..=calls {
        for failure in [Failure::Io, Failure::Full] {
            let attempt = world.killed();
            attempt.disk.inject(Fault::at(nth, failure));
            let outcome = attempt.back_up();
            attempt.disk.clear_faults();
            let label = format!("call {nth}, {failure:?}");
            match outcome {
                Ok(_) => assert_eq!(attempt.events_of(TO).len(), 40, "{label}"),
                Err(error) => {
                    assert!(!error.is_corruption(), "{label}: {error}");
                    assert_eq!(attempt.disk.kind(Path::new(TO)).unwrap(), None, "{label}");
                    assert_eq!(attempt.paths("/backup"), Vec::<PathBuf>::new(), "{label}: nothing is left");
                    failed += 1;
                }
            }
        }
    }
    assert!(failed > 100, "{failed} failures");
    // And on a disk that is full for good.
    let used: usize = world.disk.files().iter().map(|path| world.disk.read_file(path).unwrap().len()).sum();
    world.disk.set_options(SimulationOptions { capacity_bytes: Some(used as u64 + 5000), ..world.disk.options() });
    assert_eq!(world.back_up().unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(world.paths("/backup"), Vec::<PathBuf>::new());
}

#[test]
fn damage_is_refused_with_its_place_and_nothing_is_published() {
    let world = World::default();
    let store = world.open(ROOT).unwrap();
    write(&store, 0, 60);
    store.close().unwrap();
    drop(store);
    let segments: Vec<PathBuf> =
        world.paths("/store/log").into_iter().filter(|path| path.extension().is_some_and(|end| end == "seg")).collect();
    assert!(segments.len() > 3);
    let last = segments.last().unwrap();
    type Damage<'a> = Box<dyn Fn(&World) + 'a>;
    let flip = |path: PathBuf, offset: u64| -> Damage<'_> {
        Box::new(move |world: &World| world.disk.flip_bit(&path, offset, 3).unwrap())
    };
    let (first, second) = (&segments[0], &segments[1]);
    let end = |path: &Path| world.disk.read_file(path).unwrap().len() as u64;
    let cases: Vec<(&str, &Path, Damage<'_>)> = vec![
        ("a frame of a finished segment", second, flip(second.clone(), 700)),
        ("the end of a finished segment", second, flip(second.clone(), end(second) - 1)),
        ("a header", second, flip(second.clone(), 40)),
        ("a proven frame of the active segment", last, flip(last.clone(), 560)),
        ("an identity", Path::new("/store/identity"), flip("/store/identity".into(), 20)),
        ("a seal", Path::new("seal"), flip(first.with_extension("seal"), 100)),
        ("a missing segment", second, Box::new(|world: &World| world.disk.remove_file(second).unwrap())),
        ("a missing end", last, Box::new(|world: &World| world.disk.remove_file(last).unwrap())),
    ];
    for (what, place, damage) in cases {
        let damaged = world.killed();
        damage(&damaged);
        let error = damaged.back_up().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{what}: {error}");
        let file = error.corruption().unwrap_or_else(|| panic!("{what}: {error}")).file.clone();
        // Of what is missing, the neighbour is named.
        let is_named = what.contains("missing") || place.to_string_lossy().ends_with(&file) || file.ends_with(".seal");
        assert!(is_named, "{what}: {file}");
        assert_eq!(damaged.paths("/backup"), Vec::<PathBuf>::new(), "{what}");
    }
}

#[test]
fn a_backup_that_reads_back_as_something_else_is_not_published() {
    let world = World::default();
    let store = world.open(ROOT).unwrap();
    write(&store, 0, 20);
    store.close().unwrap();
    drop(store);
    // While it is synced for the last time, its bytes rot.
    world.disk.set_observer(Box::new(move |operation, disk| {
        let is_copy = operation.path.to_string_lossy().contains("partial");
        if operation.kind == OperationKind::SyncDirectory && is_copy && operation.path.ends_with("log") {
            let segment = disk.files().into_iter().find(|path| {
                path.to_string_lossy().contains("partial") && path.extension().is_some_and(|end| end == "seg")
            });
            disk.flip_bit(&segment.unwrap(), 700, 1).unwrap();
        }
    }));
    assert_eq!(world.back_up().unwrap_err().kind(), ErrorKind::Corrupt);
    world.disk.clear_observer();
    assert_eq!(world.paths("/backup"), Vec::<PathBuf>::new());
    world.back_up().unwrap();
}

#[test]
fn a_backup_that_is_broken_off_is_not_there() {
    let world = World::default();
    let store = world.open(ROOT).unwrap();
    write(&store, 0, 100);
    for reflinks in [false, true] {
        world.disk.set_options(SimulationOptions { reflinks, ..world.disk.options() });
        let mut broken = 0;
        loop {
            let attempt = world.killed();
            let mut told = 0;
            let outcome = backup_in(&attempt.environment(), ROOT, TO, &BackupOptions::new(), &mut |_| {
                told += 1;
                if told > broken { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            let Err(error) = outcome else { break };
            assert_eq!(error.kind(), ErrorKind::Aborted, "{error}");
            assert_eq!(attempt.paths("/backup"), Vec::<PathBuf>::new(), "broken off at call {told}");
            broken += 1;
        }
        assert!(broken > 80, "{broken}");
    }
}

#[test]
fn a_name_that_is_taken_or_leads_nowhere_is_refused() {
    let world = World::default();
    let store = world.open(ROOT).unwrap();
    write(&store, 0, 3);
    let environment = world.environment();
    let kind = |from: &str, to: &str| {
        let none = &mut |_| ControlFlow::Continue(());
        backup_in(&environment, from, to, &BackupOptions::new(), none).unwrap_err().kind()
    };
    assert_eq!(kind(ROOT, ROOT), ErrorKind::AlreadyExists);
    assert_eq!(kind(ROOT, "/store/log/copy"), ErrorKind::InvalidInput);
    assert_eq!(kind(ROOT, "/none/backup"), ErrorKind::NotFound);
    assert_eq!(kind("/none", TO), ErrorKind::NotFound);
    world.disk.create_directory(Path::new("/empty")).unwrap();
    world.disk.write_file(Path::new("/file"), b"text").unwrap();
    assert_eq!(kind(ROOT, "/empty"), ErrorKind::AlreadyExists);
    assert_eq!(kind(ROOT, "/file"), ErrorKind::AlreadyExists);
    world.back_up().unwrap();
    assert_eq!(world.paths("/backup.partial"), Vec::<PathBuf>::new());
    // An end that is lost later is noticed, though the backup was never opened and has no index.
    let log = Path::new("/backup/log/00000000000000000001.seg");
    let bytes = world.disk.read_file(log).unwrap();
    world.disk.write_file(log, &bytes[..bytes.len() - 200]).unwrap();
    assert_eq!(world.open(TO).unwrap_err().kind(), ErrorKind::Corrupt);
}
