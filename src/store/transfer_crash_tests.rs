//! Exports and imports that are cut short: a power cut or a failing call at every operation.

use std::path::Path;

use super::transfers::{ROOT, TO, World, filled, keep_going, other_options};
use super::*;
use crate::disk::Disk;
use crate::disk::sim::{CrashOptions, Failure, Fault, Random};

/// What a power cut leaves at each operation of what `work` does; the last one is after it.
fn images_of(world: &World, seed: u64, work: impl FnOnce(&World)) -> Vec<(u64, World)> {
    let images = Arc::new(Mutex::new(Vec::new()));
    let (kept, index, mut random) = (Arc::clone(&images), world.index.clone(), Random::new(seed));
    world.disk.set_observer(Box::new(move |operation, disk| {
        let seed = random.next_u64();
        let disk = disk.crash(seed, CrashOptions { stale_allocation: seed % 2 == 0, ..CrashOptions::default() });
        kept.lock().push((operation.number, World { disk, index: index.crash(seed) }));
    }));
    work(world);
    world.disk.clear_observer();
    let after = World { disk: world.disk.crash(seed, CrashOptions::default()), index: world.index.crash(seed) };
    images.lock().push((u64::MAX, after));
    std::mem::take(&mut *images.lock())
}

#[test]
fn a_power_cut_at_any_operation_of_an_import_leaves_no_store_or_a_whole_one() {
    let lines = filled().export(ROOT).0;
    let (mut whole, mut none) = (0, 0);
    for seed in 0..4 {
        let world = World::default();
        for (operation, image) in images_of(&world, seed, |world| assert!(world.import(&lines).is_ok())) {
            if image.disk.kind(Path::new(TO)).unwrap().is_some() {
                assert!(image.export(TO).0 == lines, "seed {seed}, operation {operation}");
                assert!(verify_in(&image.environment(), TO).unwrap().is_ok(), "seed {seed}, operation {operation}");
                whole += 1;
            } else {
                assert!(operation < u64::MAX, "seed {seed}: an answered import stays");
                none += 1;
                if operation % 7 == 0 {
                    assert!(image.import(&lines).unwrap().is_new, "it can be begun again");
                    assert!(image.export(TO).0 == lines);
                }
            }
        }
    }
    assert!(whole > 4 && none > 200, "{whole} whole, {none} not there");
}

#[test]
fn a_power_cut_at_any_operation_of_an_import_into_a_store_leaves_whole_commits_and_it_goes_on() {
    let source = filled();
    let lines = source.export(ROOT).0;
    let first = source.export_range(ROOT, ..=Sequence::new(30)).unwrap().0;
    let mut between = 0;
    for seed in 0..3 {
        let world = World::default();
        world.import(&first).unwrap();
        for (operation, image) in images_of(&world, seed, |world| assert!(world.import(&lines).is_ok())) {
            let label = format!("seed {seed}, operation {operation}");
            // What is there is a prefix, of whole commits.
            let there = image.export(TO).1;
            let prefix = source.export_range(ROOT, ..=there.last_sequence).unwrap().1;
            assert_eq!((prefix.last_sequence, prefix.merkle_root), (there.last_sequence, there.merkle_root), "{label}");
            assert!(there.last_sequence >= Sequence::new(30), "{label}: what was there stays");
            let report = image.import(&lines).unwrap_or_else(|error| panic!("{label}: {error}"));
            assert_eq!(report.events_present, there.last_sequence.get(), "{label}");
            between += u64::from(report.events_present > 33 && report.events_written > 0);
            assert!(image.export(TO).0 == lines, "{label}");
        }
    }
    assert!(between > 10, "{between} in between");
}

#[test]
fn an_import_that_fails_at_any_call_leaves_nothing_behind() {
    let lines = filled().export(ROOT).0;
    let calls = {
        let probe = World::default();
        probe.import(&lines).unwrap();
        probe.disk.operations()
    };
    let mut failed = 0;
    for nth in 1..=calls {
        for failure in [Failure::Io, Failure::Full] {
            let world = World::default();
            world.disk.inject(Fault::at(nth, failure));
            let outcome = world.import(&lines);
            world.disk.clear_faults();
            let label = format!("call {nth}, {failure:?}");
            match outcome {
                Ok(_) => assert!(world.export(TO).0 == lines, "{label}"),
                Err(error) => {
                    assert!(!error.is_corruption(), "{label}: {error}");
                    assert_eq!(world.disk.kind(Path::new(TO)).unwrap(), None, "{label}: {error}");
                    failed += 1;
                }
            }
        }
    }
    assert!(failed > 50, "{failed} failures");
}

#[test]
fn a_power_cut_at_any_operation_of_an_export_leaves_no_file_or_a_whole_one() {
    let source = filled();
    let lines = source.export(ROOT).0;
    let file = Path::new("/export");
    let (mut whole, mut none) = (0, 0);
    for seed in 0..4 {
        let world = source.kill();
        let work = |world: &World| {
            export_file_in(&world.environment(), ROOT, .., file, &mut keep_going).unwrap();
        };
        for (operation, image) in images_of(&world, seed, work) {
            if image.disk.kind(file).unwrap().is_some() {
                assert!(image.disk.read_file(file).unwrap() == lines, "seed {seed}, operation {operation}");
                whole += 1;
            } else {
                assert!(operation < u64::MAX, "seed {seed}: an answered export stays");
                none += 1;
            }
        }
    }
    assert!(whole >= 4 && none > 8, "{whole} whole, {none} not there");
    let taken = export_file_in(&source.environment(), ROOT, .., ROOT, &mut keep_going).unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::AlreadyExists);
    let nowhere = export_file_in(&source.environment(), ROOT, .., "/none/file", &mut keep_going).unwrap_err();
    assert_eq!(nowhere.kind(), ErrorKind::NotFound);
    assert!(!other_options().background, "nothing runs beside what is counted");
}
