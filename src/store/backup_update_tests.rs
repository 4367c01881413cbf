//! Backups that are brought up to date: a whole store at every moment, and never one of two histories.

use super::*;
use crate::disk::OpenMode;
use crate::recovery::examine;

fn plain() -> BackupOptions {
    BackupOptions::new()
}

/// Ways to copy, with what the disk can do.
fn ways() -> [(BackupOptions, bool); 3] {
    [(plain(), false), (plain(), true), (plain().hard_links(true), false)]
}

/// A store with several segments and a backup of it, and then more of both.
fn grown(reflinks: bool, options: &BackupOptions) -> (World, Store, Vec<Event>) {
    let world = World::default();
    world.disk.set_options(SimulationOptions { reflinks, ..world.disk.options() });
    let store = world.open(ROOT).unwrap();
    write(&store, 0, 40);
    world.back_up_to(TO, options).unwrap();
    let before = store.read_all(..).map(Result::unwrap).collect();
    write(&store, 40, 40);
    (world, store, before)
}

fn segments(files: &[(PathBuf, Vec<u8>)]) -> Vec<(PathBuf, Vec<u8>)> {
    files.iter().filter(|(path, _)| path.extension().is_some_and(|end| end == "seg")).cloned().collect()
}

fn all(store: &Store) -> Vec<Event> {
    store.read_all(..).map(Result::unwrap).collect()
}

#[test]
fn an_update_copies_what_is_new_and_keeps_what_is_finished() {
    for (options, reflinks) in ways() {
        let (world, store, _) = grown(reflinks, &options);
        for round in 0..3 {
            let before = segments(&world.files(TO));
            let operations = world.disk.operations();
            let report = world.back_up_to(TO, &options).unwrap();
            let label = format!("round {round}, {options:?}, {reflinks}");
            assert_eq!(
                (report.events, report.last_sequence),
                (store.last_sequence().get(), store.last_sequence()),
                "{label}"
            );
            assert_eq!(report.segments_kept, before.len() as u64 - 1, "{label}: the last one has grown");
            assert_eq!(report.segments_kept + report.segments_copied, report.segments, "{label}");
            assert!(report.segments_copied > 2, "{label}");
            let finished = report.segments_copied - 1;
            assert_eq!(report.segments_reflinked, if reflinks { finished } else { 0 }, "{label}");
            assert!(
                report.segments_linked <= finished && (report.segments_linked > 0) == (options != plain()),
                "{label}"
            );
            let after = world.files(TO);
            let sizes: u64 =
                after.iter().filter(|(path, _)| !path.ends_with("LOCK")).map(|(_, b)| b.len() as u64).sum();
            assert_eq!((report.bytes, report.bytes_copied + report.bytes_kept), (sizes, sizes), "{label}");
            assert_eq!(segments(&after)[..before.len() - 1], before[..before.len() - 1], "{label}");
            let kept: Vec<&PathBuf> = before[..before.len() - 1].iter().map(|(path, _)| path).collect();
            let log = world.disk.operation_log();
            let touched = log.iter().skip(usize::try_from(operations).unwrap()).any(|call| {
                call.kind.is_mutating()
                    && kept.iter().any(|path| path.as_path() == &*call.path)
                    && call.kind != OperationKind::Sync
            });
            assert!(!touched, "{label}: what is kept is not written");
            // The first round read all of the log only where the backup had one segment.
            assert_eq!(report.merkle_root, None, "{label}");
            let fresh = world.killed().back_up_to("/fresh", &plain()).unwrap();
            assert_eq!(fresh.seal_digest, report.seal_digest, "{label}");
            assert_eq!(world.killed().events_of(TO), all(&store), "{label}");
            let whole = world.back_up_to(TO, &options.verify_all(true)).unwrap();
            assert_eq!((whole.segments_copied, whole.bytes_copied), (0, 0), "{label}");
            assert_eq!(whole.merkle_root, fresh.merkle_root, "{label}");
            write(&store, 80 + round * 30, 30);
        }
        assert_eq!(world.paths("/backup").iter().filter(|path| path.to_string_lossy().contains("tmp")).count(), 0);
    }
}

#[test]
fn where_nothing_is_new_nothing_is_written() {
    let (world, store, _) = grown(false, &plain());
    world.back_up().unwrap();
    let before = world.files(TO);
    // Marks are no events.
    store.close().unwrap();
    drop(store);
    let calls = world.disk.operations();
    let report = world.back_up().unwrap();
    assert_eq!((report.segments_copied, report.bytes_copied), (0, 0));
    assert_eq!((report.segments_kept, report.bytes_kept), (report.segments, report.bytes));
    assert_eq!(world.files(TO), before);
    let log = world.disk.operation_log();
    let since = log.iter().skip(usize::try_from(calls).unwrap());
    assert!(since.filter(|call| call.path.starts_with(TO)).all(|call| !call.kind.is_mutating()));
    // And it goes on behind the mark.
    let store = world.open(ROOT).unwrap();
    write(&store, 80, 3);
    assert_eq!(world.back_up().unwrap().events, 166);
    assert_eq!(world.killed().events_of(TO), all(&store));
}

#[test]
fn a_backup_of_a_store_without_events_is_brought_up_to_date() {
    let world = World::default();
    drop(Store::open_in(&world.environment(), ROOT, options()).unwrap());
    assert_eq!(world.back_up().unwrap().events, 0);
    // Its first segment gets another header by this.
    let store = Store::open_in(&world.environment(), ROOT, options().durability(Durability::Buffered)).unwrap();
    assert_eq!(world.back_up().unwrap().segments_copied, 0);
    write(&store, 0, 2);
    store.sync().unwrap();
    assert_eq!(world.back_up().unwrap().events, 4);
    assert_eq!(world.killed().events_of(TO), all(&store));
}

#[test]
fn a_power_cut_at_any_operation_of_an_update_leaves_a_whole_backup_that_holds_as_much_as_before_or_more() {
    let (mut grew, mut stayed, mut longer) = (0, 0, 0);
    for (seed, (options, reflinks)) in (0u64..).zip(ways()) {
        let (world, store, before) = grown(reflinks, &options);
        let expected = all(&store);
        let images = cut_within(&world, seed, |world| {
            world.back_up_to(TO, &options).unwrap();
        });
        for (operation, image) in images {
            let label = format!("{options:?}, {reflinks}, operation {operation}");
            let found = image.killed().events_of(TO);
            assert!(found.len() >= before.len() && expected.starts_with(&found), "{label}: {}", found.len());
            assert!(operation < u64::MAX || found == expected, "{label}: an answered update stays");
            match found.len() {
                length if length == expected.len() => grew += 1,
                length if length == before.len() => stayed += 1,
                _ => longer += 1,
            }
            // It goes on from there.
            let again = image.killed();
            again.back_up_to(TO, &options).unwrap_or_else(|error| panic!("{label}: {error}"));
            assert!(!again.paths(TO).iter().any(|path| path.to_string_lossy().ends_with(".tmp")), "{label}");
            assert_eq!(again.events_of(TO), expected, "{label}");
            // Whoever writes to what is there writes to no file of the store.
            let copy = image.open(TO).unwrap();
            write(&copy, 500, 3);
            copy.close().unwrap();
            drop(copy);
            assert_eq!(image.events_of(ROOT), expected, "{label}: the store");
        }
    }
    assert!(grew > 30 && stayed > 60 && longer > 30, "{grew} {stayed} {longer}");
}

#[test]
fn an_update_that_fails_at_any_call_leaves_a_whole_backup_and_nothing_else() {
    for (options, reflinks) in ways() {
        let (world, store, before) = grown(reflinks, &options);
        let expected = all(&store);
        store.close().unwrap();
        drop(store);
        let probe = world.killed();
        let first = probe.disk.operations();
        probe.back_up_to(TO, &options).unwrap();
        let mut failed = 0;
        for nth in 1..=probe.disk.operations() - first {
            for failure in [Failure::Io, Failure::Full] {
                let attempt = world.killed();
                attempt.disk.inject(Fault::at(nth, failure));
                let outcome = attempt.back_up_to(TO, &options);
                attempt.disk.clear_faults();
                let label = format!("{options:?}, call {nth}, {failure:?}: {:?}", outcome.as_ref().err());
                failed += u64::from(outcome.is_err());
                let found = attempt.killed().events_of(TO);
                assert!(outcome.is_err() || found == expected, "{label}");
                assert!(found.len() >= before.len() && expected.starts_with(&found), "{label}");
                if let Err(error) = outcome {
                    assert!(!error.is_corruption(), "{label}");
                    assert!(!attempt.paths(TO).iter().any(|path| path.to_string_lossy().ends_with(".tmp")), "{label}");
                    attempt.back_up_to(TO, &options).unwrap_or_else(|error| panic!("{label}, then {error}"));
                    assert_eq!(attempt.events_of(TO), expected, "{label}");
                }
            }
        }
        assert!(failed > 100, "{failed} failures");
    }
}

#[test]
fn an_update_that_is_broken_off_leaves_what_was_there_or_more() {
    for (options, reflinks) in ways() {
        let (world, store, before) = grown(reflinks, &options);
        let expected = all(&store);
        let (mut broken, mut longer) = (0, 0);
        loop {
            let attempt = world.killed();
            let mut told = 0;
            let outcome = backup_in(&attempt.environment(), ROOT, TO, &options, &mut |_| {
                told += 1;
                if told > broken { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            let Err(error) = outcome else { break };
            assert_eq!(error.kind(), ErrorKind::Aborted, "{error}");
            let found = attempt.killed().events_of(TO);
            assert!(found.len() >= before.len() && expected.starts_with(&found), "{options:?}, call {told}");
            assert!(!attempt.paths(TO).iter().any(|path| path.to_string_lossy().ends_with(".tmp")), "call {told}");
            longer += u64::from(found.len() > before.len());
            broken += 1;
        }
        assert!(broken > 40 && longer > 5, "{broken} {longer}");
    }
}

/// Nothing of the backup is changed by an update that is refused; why it is.
fn refused(world: &World, options: &BackupOptions) -> Error {
    let before = world.files(TO);
    let error = world.back_up_to(TO, options).unwrap_err();
    assert!(world.files(TO) == before, "nothing is changed: {error}");
    error
}

#[test]
fn a_backup_that_went_another_way_is_refused() {
    let kind = |world: &World| refused(world, &plain()).kind();
    let (world, store, _) = grown(false, &plain());
    // Another store.
    let other = World { disk: world.disk.kill(), index: MemoryIndexProvider::default() };
    let options = options().store_id(StoreId::from_bytes([8; 16]));
    let third = Store::open_in(&other.environment(), "/third", options).unwrap();
    write(&third, 0, 1);
    let outcome = backup_in(&other.environment(), "/third", TO, &plain(), &mut |_| ControlFlow::Continue(()));
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::AlreadyExists);
    // One that was opened, with and without an event of its own; and one that is open.
    let opened = world.killed();
    let copy = opened.open(TO).unwrap();
    assert_eq!(kind(&opened), ErrorKind::Locked);
    write(&copy, 100, 1);
    copy.close().unwrap();
    drop(copy);
    assert_eq!(kind(&opened), ErrorKind::Refused);
    // One that was opened and killed at once: nothing was written but that it was opened.
    let killed = world.killed();
    drop(killed.open(TO).map(std::mem::forget));
    assert_eq!(kind(&killed.killed()), ErrorKind::Refused);
    // And one that was closed again, with nothing written: its index tells.
    let closed = world.killed();
    closed.disk.create_directory(&Path::new(TO).join(examine::INDEX)).unwrap();
    assert_eq!(kind(&closed), ErrorKind::Refused);
    // One that is being written to by another update.
    let busy = world.killed();
    let lock = busy.disk.lock(&Path::new(TO).join("LOCK"), "somebody").unwrap().unwrap();
    assert_eq!(kind(&busy), ErrorKind::Locked);
    drop(lock);
    busy.back_up().unwrap();
    // One of a later state: the store was set back.
    let later = world.killed();
    later.back_up_to("/old", &plain()).unwrap();
    write(&store, 80, 40);
    let behind = world.killed();
    behind.back_up().unwrap();
    let restored: Vec<_> = later
        .files("/old")
        .into_iter()
        .map(|(path, bytes)| (path.strip_prefix("/old").unwrap().to_owned(), bytes))
        .collect();
    for (path, _) in behind.files(ROOT) {
        behind.disk.remove_file(&path).unwrap();
    }
    for (path, bytes) in restored {
        behind.disk.write_file(&Path::new(ROOT).join(path), &bytes).unwrap();
    }
    let behind = World { disk: behind.disk, index: MemoryIndexProvider::default() };
    let error = refused(&behind, &plain());
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.to_string().contains("holds what the store does not"), "{error}");
    // And went on from there, farther than the backup.
    let again = behind.open(ROOT).unwrap();
    write(&again, 1000, 100);
    again.close().unwrap();
    let error = refused(&behind, &plain());
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    assert_eq!(refused(&behind, &plain().verify_all(true)).kind(), ErrorKind::Refused);
}

#[test]
fn a_backup_that_is_damaged_is_refused_with_the_place_and_the_store_too() {
    let (world, _store, _) = grown(false, &plain());
    let files = world.paths("/backup/log");
    let seals: Vec<&PathBuf> = files.iter().filter(|path| path.extension().is_some_and(|end| end == "seal")).collect();
    let found: Vec<&PathBuf> = files.iter().filter(|path| path.extension().is_some_and(|end| end == "seg")).collect();
    let sealed = seals[0].with_extension("seg");
    let end = |path: &Path| world.disk.read_file(path).unwrap().len() as u64;
    let (first, last) = (found[0].as_path(), *found.last().unwrap());
    let cases: Vec<(&str, &Path, u64)> = vec![
        ("a header", first, 40),
        ("the last frame of a sealed segment", &sealed, end(&sealed) - 20),
        ("a frame of the last segment", last, 700),
        ("the end of the last segment", last, end(last) - 1),
        ("a seal", seals[0], 100),
        ("the identity", Path::new("/backup/identity"), 20),
    ];
    for (what, path, offset) in cases {
        let damaged = world.killed();
        damaged.disk.flip_bit(path, offset, 3).unwrap();
        let error = refused(&damaged, &plain());
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{what}: {error}");
        let named = error.corruption().unwrap().file.clone();
        assert_eq!(Path::new(&named), path, "{what}");
    }
    for (what, path) in [("a segment", found[1]), ("the last segment", last)] {
        let damaged = world.killed();
        damaged.disk.remove_file(path).unwrap();
        assert_eq!(refused(&damaged, &plain()).kind(), ErrorKind::Corrupt, "{what} is missing");
    }
    // And damage in the store, in what would be copied.
    let damaged = world.killed();
    let newest = damaged.paths("/store/log").into_iter().rfind(|path| path.extension().is_some_and(|end| end == "seg"));
    damaged.disk.flip_bit(&newest.unwrap(), 560, 3).unwrap();
    assert_eq!(refused(&damaged, &plain()).kind(), ErrorKind::Corrupt);
}

#[test]
fn the_middle_of_what_is_kept_is_read_on_request() {
    let world = World::default();
    let store = Store::open_in(&world.environment(), ROOT, options().segment_bytes(64 * 1024)).unwrap();
    write(&store, 0, 300);
    world.back_up().unwrap();
    write(&store, 300, 10);
    let first = PathBuf::from("/backup/log/00000000000000000001.seg");
    let end = world.disk.read_file(&first).unwrap().len() as u64;
    assert!(world.disk.kind(&first.with_extension("seal")).unwrap().is_some() && end > 50_000, "{end}");
    let whole = world.killed();
    whole.disk.flip_bit(&first, end - 2_000, 3).unwrap();
    assert_eq!(refused(&whole, &plain()).kind(), ErrorKind::Corrupt, "the last frames are looked at");
    let damaged = world.killed();
    damaged.disk.flip_bit(&first, 700, 3).unwrap();
    let error = refused(&damaged, &plain().verify_all(true));
    assert_eq!((error.kind(), Path::new(&error.corruption().unwrap().file)), (ErrorKind::Corrupt, first.as_path()));
    damaged.back_up().unwrap();
}

#[test]
fn a_copy_that_reads_back_as_something_else_gets_no_name() {
    for (options, reflinks) in ways() {
        let (world, store, before) = grown(reflinks, &options);
        // While it is synced for the first time, its bytes rot.
        let mut is_rotten = false;
        world.disk.set_observer(Box::new(move |operation, disk| {
            let is_segment = operation.path.to_string_lossy().ends_with(".seg.tmp");
            if operation.kind == OperationKind::Sync && is_segment && !std::mem::replace(&mut is_rotten, true) {
                disk.flip_bit(&operation.path, 700, 1).unwrap();
            }
        }));
        let error = world.back_up_to(TO, &options).unwrap_err();
        world.disk.clear_observer();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{options:?}: {error}");
        assert_eq!(world.killed().events_of(TO), before);
        world.back_up_to(TO, &options).unwrap();
        assert_eq!(world.killed().events_of(TO), all(&store));
    }
}

#[test]
fn what_a_reader_holds_open_is_not_changed_under_it() {
    let (world, store, before) = grown(false, &plain());
    let reader = Store::open_read_only_in(&world.environment(), TO).unwrap();
    let file = world.disk.open(&world.paths("/backup/log/0")[0], OpenMode::Read).unwrap();
    let length = file.length().unwrap();
    world.back_up().unwrap();
    assert_eq!(all(&reader), before);
    assert_eq!(file.length().unwrap(), length);
    assert_eq!(reader.refresh().unwrap(), store.last_sequence());
    assert_eq!(all(&reader), all(&store));
}
