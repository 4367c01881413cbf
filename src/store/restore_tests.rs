//! Restoring a backup: a whole store or none, and never one that is taken for what stood there.

use super::*;
use crate::recovery::examine;

const PLACE: &str = "/restored";

fn with_options(world: &World, to: &str, options: &RestoreOptions) -> Result<RestoreReport> {
    restore_in(&world.environment(), TO, to, options, &mut |_| ControlFlow::Continue(()))
}

fn into_place(world: &World) -> Result<RestoreReport> {
    with_options(world, PLACE, &RestoreOptions::new())
}

fn replacing() -> RestoreOptions {
    RestoreOptions::new().replace(true)
}

fn all(store: &Store) -> Vec<Event> {
    store.read_all(..).map(Result::unwrap).collect()
}

fn session(world: &World, root: &str) -> u64 {
    examine::read_control(&world.disk, Path::new(root), StoreId::from_bytes([7; 16])).unwrap().session
}

/// A store, its backup, and what was in the backup; the store has gone on since, was closed and opened again.
fn backed_up_after(commits: u64) -> (World, Vec<Event>, Vec<Event>) {
    let world = World::default();
    let store = world.open(ROOT).unwrap();
    write(&store, 0, commits);
    world.back_up().unwrap();
    let before = all(&store);
    write(&store, commits, 10);
    store.close().unwrap();
    drop(store);
    let store = world.open(ROOT).unwrap();
    write(&store, commits + 10, 1);
    let now = all(&store);
    store.close().unwrap();
    drop(store);
    (world, before, now)
}

fn backed_up() -> (World, Vec<Event>, Vec<Event>) {
    backed_up_after(30)
}

#[test]
fn what_is_restored_is_the_store_as_it_was_and_goes_on() {
    let (world, before, _) = backed_up();
    let backup = world.files(TO);
    let mut phases = Vec::new();
    let report = restore_in(&world.environment(), TO, PLACE, &RestoreOptions::new(), &mut |progress| {
        note(&mut phases, progress)
    })
    .unwrap();
    assert_eq!(phases, [BackupPhase::Check, BackupPhase::Copy, BackupPhase::Verify]);
    assert!(world.files(TO) == backup, "the backup is as it was");
    assert_eq!((report.events, report.last_sequence.get()), (60, 60));
    assert_eq!((report.store_id, report.set_aside), (StoreId::from_bytes([7; 16]), None));
    assert!(report.segments > 2 && report.seals > 0);
    let sizes: usize = world.files(PLACE).iter().map(|(_, bytes)| bytes.len()).sum();
    assert_eq!(report.bytes, sizes as u64);
    assert!(session(&world, PLACE) > session(&world, TO));
    assert_eq!(world.events_of(PLACE), before);
    let store = world.open(PLACE).unwrap();
    assert!(store.recovery_report().was_closed_cleanly);
    write(&store, 100, 1);
    store.close().unwrap();
    drop(store);
    assert_eq!(world.events_of(PLACE).len(), 62);
    assert_eq!(world.paths("/restored.partial"), Vec::<PathBuf>::new());
    // A backup can be brought up to date after its store was restored from it.
    let outcome = backup_in(&world.environment(), PLACE, TO, &BackupOptions::new(), &mut |_| ControlFlow::Continue(()));
    assert_eq!(outcome.unwrap().events, 62);
}

#[test]
fn a_store_that_is_replaced_is_set_aside_and_its_readers_notice() {
    let (world, before, now) = backed_up();
    let reader = Store::open_read_only_in(&world.environment(), ROOT).unwrap();
    assert_eq!(all(&reader), now);
    let old = session(&world, ROOT);
    for round in 1..=3 {
        let aside = format!("/store.before-restore-{round}");
        let report = with_options(&world, ROOT, &replacing()).unwrap();
        assert_eq!(report.set_aside, Some(PathBuf::from(&aside)));
        assert_eq!(world.killed().events_of(&aside), if round == 1 { now.clone() } else { before.clone() });
    }
    assert!(session(&world, ROOT) > old + 2, "each has a session that no other had");
    let refreshed = reader.refresh();
    assert_eq!(refreshed.unwrap_err().kind(), ErrorKind::Stale);
    let world = World { disk: world.disk.kill(), index: MemoryIndexProvider::default() };
    let store = world.open(ROOT).unwrap();
    write(&store, 200, 30);
    assert_eq!(reader.refresh().unwrap_err().kind(), ErrorKind::Stale, "also once it has grown longer than it was");
}

#[test]
fn a_damaged_store_is_replaced_and_a_damaged_backup_is_not_restored() {
    let (world, before, _) = backed_up();
    for path in ["/store/identity", "/store/log/00000000000000000001.seg"] {
        let damaged = world.killed();
        damaged.disk.flip_bit(Path::new(path), 20, 1).unwrap();
        with_options(&damaged, ROOT, &replacing()).unwrap();
        let restored = World { disk: damaged.disk.kill(), index: MemoryIndexProvider::default() };
        assert_eq!(restored.events_of(ROOT), before, "{path}");
    }
    for path in ["/backup/identity", "/backup/log/00000000000000000001.seg"] {
        let damaged = world.killed();
        damaged.disk.flip_bit(Path::new(path), 20, 1).unwrap();
        let store = damaged.files(ROOT);
        assert_eq!(into_place(&damaged).unwrap_err().kind(), ErrorKind::Corrupt, "{path}");
        assert_eq!(with_options(&damaged, ROOT, &replacing()).unwrap_err().kind(), ErrorKind::Corrupt, "{path}");
        assert_eq!(damaged.paths(PLACE), Vec::<PathBuf>::new());
        assert!(damaged.files(ROOT) == store, "{path}: the store is as it was");
    }
}

#[test]
fn a_power_cut_at_any_operation_of_a_restore_leaves_none_or_a_whole_store_and_loses_none() {
    let (mut old, mut none, mut new) = (0, 0, 0);
    for (seed, options) in [(0u64, RestoreOptions::new()), (1, replacing()), (2, replacing())] {
        let (world, before, now) = backed_up();
        let to = if options == replacing() { ROOT } else { PLACE };
        let images = cut_within(&world, seed, |world| {
            with_options(world, to, &options).unwrap();
        });
        for (operation, image) in images {
            let label = format!("{options:?}, operation {operation}");
            let aside = "/store.before-restore-1";
            let is_aside = image.disk.kind(Path::new(aside)).unwrap().is_some();
            // The index of these worlds is known by its folder's name, and a folder that was renamed has none.
            let fresh = World { disk: image.disk.kill(), index: MemoryIndexProvider::default() };
            if is_aside {
                assert_eq!(fresh.events_of(aside), now, "{label}: what was set aside");
            }
            match fresh.disk.kind(Path::new(to)).unwrap() {
                None => {
                    assert!(operation < u64::MAX, "{label}: an answered restore stays");
                    assert!(to == PLACE || is_aside, "{label}: the store that stood there is kept");
                    none += 1;
                }
                Some(_) if to == ROOT && !is_aside => {
                    assert!(operation < u64::MAX, "{label}: an answered restore stays");
                    assert_eq!(fresh.events_of(to), now, "{label}");
                    old += 1;
                }
                Some(_) => {
                    assert_eq!(fresh.events_of(to), before, "{label}");
                    new += 1;
                }
            }
            let again = image.killed();
            with_options(&again, to, &options)
                .or_else(|error| match error.kind() {
                    ErrorKind::AlreadyExists if to == PLACE => into_place_again(&again),
                    _ => Err(error),
                })
                .unwrap_or_else(|error| panic!("{label}: {error}"));
        }
    }
    assert!(old > 100 && none > 50 && new > 5, "{old} {none} {new}");
}

fn into_place_again(world: &World) -> Result<RestoreReport> {
    with_options(world, "/another", &RestoreOptions::new())
}

#[test]
fn a_restore_that_fails_or_is_broken_off_changes_nothing() {
    let (world, _, now) = backed_up_after(80);
    for (to, options) in [(PLACE, RestoreOptions::new()), (ROOT, replacing())] {
        let check = |attempt: &World, label: &str| {
            assert_eq!(attempt.paths(&format!("{to}.")), Vec::<PathBuf>::new(), "{label}: nothing is left");
            if to == ROOT {
                assert_eq!(attempt.events_of(ROOT), now, "{label}");
            } else {
                assert_eq!(attempt.disk.kind(Path::new(to)).unwrap(), None, "{label}");
            }
        };
        let probe = world.killed();
        let first = probe.disk.operations();
        with_options(&probe, to, &options).unwrap();
        let mut failed = 0;
        for nth in 1..=probe.disk.operations() - first {
            for failure in [Failure::Io, Failure::Full] {
                let attempt = world.killed();
                attempt.disk.inject(Fault::at(nth, failure));
                let outcome = with_options(&attempt, to, &options);
                attempt.disk.clear_faults();
                if let Err(error) = outcome {
                    check(&attempt, &format!("{to}, call {nth}, {failure:?}: {error}"));
                    failed += 1;
                }
            }
        }
        assert!(failed > 100, "{failed} failures");
        let mut broken = 0;
        loop {
            let (attempt, mut told) = (world.killed(), 0);
            let outcome = restore_in(&attempt.environment(), TO, to, &options, &mut |_| {
                told += 1;
                if told > broken { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            let Err(error) = outcome else { break };
            assert_eq!(error.kind(), ErrorKind::Aborted);
            check(&attempt, &format!("{to}, broken off at {told}"));
            broken += 1;
        }
        assert!(broken > 60, "{broken}");
    }
}

#[test]
fn a_place_that_is_taken_is_refused() {
    let (world, _, now) = backed_up();
    let kind = |to: &str, options: &RestoreOptions| with_options(&world, to, options).unwrap_err().kind();
    let plain = RestoreOptions::new();
    assert_eq!(kind(ROOT, &plain), ErrorKind::AlreadyExists);
    assert_eq!(kind(TO, &replacing()), ErrorKind::InvalidInput);
    assert_eq!(kind("/backup/log/inside", &plain), ErrorKind::InvalidInput);
    assert_eq!(kind("/none/store", &plain), ErrorKind::NotFound);
    world.disk.create_directory(Path::new("/empty")).unwrap();
    world.disk.write_file(Path::new("/file"), b"text").unwrap();
    for to in ["/empty", "/file"] {
        assert_eq!(kind(to, &replacing()), ErrorKind::AlreadyExists, "{to}");
    }
    let options = options().store_id(StoreId::from_bytes([8; 16]));
    drop(Store::open_in(&world.environment(), "/third", options).unwrap());
    assert_eq!(kind("/third", &replacing()), ErrorKind::Refused);
    let outcome = restore_in(&world.environment(), "/none", PLACE, &plain, &mut |_| ControlFlow::Continue(()));
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::NotFound);
    let store = world.open(ROOT).unwrap();
    assert_eq!(kind(ROOT, &replacing()), ErrorKind::Locked);
    store.close().unwrap();
    drop(store);
    assert_eq!(world.events_of(ROOT), now);
    assert!(!world.paths("/").iter().any(|path| path.to_string_lossy().contains("partial")));
}
