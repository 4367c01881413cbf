use std::collections::BTreeSet;
use std::io::{ErrorKind, IoSlice};
use std::sync::mpsc;

use super::super::{Latch, write_all_at};
use super::*;

const SEEDS: u64 = 400;
const POWERSAFE: CrashOptions = CrashOptions { powersafe: true, stale_allocation: false };

fn path(text: &str) -> &Path {
    Path::new(text)
}

fn create(disk: &dyn Disk, at: &str) -> Arc<dyn DiskFile> {
    disk.open(path(at), OpenMode::CreateNew).unwrap()
}

fn put(file: &dyn DiskFile, bytes: &[u8], offset: u64) {
    write_all_at(file, &[bytes], offset).unwrap();
}

/// A disk with one durable file of these bytes, open.
fn with_file(options: SimulationOptions, bytes: &[u8]) -> (SimulatedDisk, Arc<dyn DiskFile>) {
    let disk = SimulatedDisk::new(options);
    disk.write_file(path("/f"), bytes).unwrap();
    let file = disk.open(path("/f"), OpenMode::ReadWrite).unwrap();
    (disk, file)
}

/// What the file holds after a crash, over many seeds.
fn outcomes(disk: &SimulatedDisk, at: &str, options: CrashOptions) -> BTreeSet<Option<Vec<u8>>> {
    (0..SEEDS).map(|seed| disk.crash(seed, options).read_file(path(at)).ok()).collect()
}

fn everything(disk: &SimulatedDisk) -> Vec<(PathBuf, Vec<u8>)> {
    disk.files().into_iter().map(|path| (path.clone(), disk.read_file(&path).unwrap())).collect()
}

fn only<T: Ord>(item: T) -> BTreeSet<T> {
    BTreeSet::from([item])
}

#[test]
fn it_conforms_whatever_its_sectors_are() {
    for (sector, reflinks) in [(Sector::Bytes512, true), (Sector::Bytes4096, false)] {
        let disk = SimulatedDisk::new(SimulationOptions { sector, reflinks, ..SimulationOptions::default() });
        super::super::tests::conforms(&disk, path("/"));
    }
}

#[test]
fn a_second_name_is_kept_or_lost_and_shared_bytes_are_durable_once_they_are_synced() {
    let (disk, file) = with_file(SimulationOptions { reflinks: true, ..SimulationOptions::default() }, &[1; 1024]);
    disk.sync_directory(path("/")).unwrap();
    assert!(disk.hard_link(path("/f"), path("/linked")).unwrap());
    put(file.as_ref(), &[2; 512], 0);
    file.sync_data().unwrap();
    let second = [[2; 512], [1; 512]].concat();
    assert_eq!(outcomes(&disk, "/linked", POWERSAFE), BTreeSet::from([None, Some(second.clone())]));
    assert!(disk.reflink(path("/f"), path("/shared")).unwrap());
    disk.sync_directory(path("/")).unwrap();
    assert_eq!(outcomes(&disk, "/linked", POWERSAFE), only(Some(second.clone())));
    let unsynced = outcomes(&disk, "/shared", POWERSAFE);
    assert!(unsynced.contains(&Some(Vec::new())) && unsynced.len() > 2, "its name says nothing of its bytes");
    disk.open(path("/shared"), OpenMode::ReadWrite).unwrap().sync_data().unwrap();
    put(file.as_ref(), &[3; 512], 0);
    assert_eq!(outcomes(&disk, "/shared", POWERSAFE), only(Some(second)));
}

#[test]
fn an_unsynced_sector_is_kept_lost_torn_or_garbage_where_it_was_changed() {
    // The sector starts as all ones; the write changes bytes 100 to 199. Every outcome must agree with both outside
    // of these, and each of the four shapes must come up.
    let old = vec![1u8; 512];
    let (disk, file) = with_file(SimulationOptions::default(), &old);
    put(file.as_ref(), &[2; 100], 100);
    let mut new = old.clone();
    new[100..200].fill(2);
    let seen: Vec<Vec<u8>> = outcomes(&disk, "/f", POWERSAFE).into_iter().flatten().collect();
    let is_torn = |bytes: &Vec<u8>| {
        let cut = bytes[100..200].iter().take_while(|byte| **byte == 2).count();
        (1..100).contains(&cut) && bytes[100 + cut..200].iter().all(|byte| *byte == 1)
    };
    let is_garbage = |bytes: &Vec<u8>| bytes[100..200].iter().any(|byte| !(1..=2).contains(byte));
    for bytes in &seen {
        assert_eq!(bytes.len(), 512);
        assert_eq!(bytes[..100], old[..100]);
        assert_eq!(bytes[200..], old[200..]);
        assert!(*bytes == old || *bytes == new || is_torn(bytes) || is_garbage(bytes));
    }
    assert!(seen.contains(&old));
    assert!(seen.contains(&new));
    assert!(seen.iter().any(is_torn));
    assert!(seen.iter().any(is_garbage));
}

#[test]
fn without_powersafe_overwrite_a_whole_sector_may_be_garbage_and_its_neighbours_never() {
    let (disk, file) = with_file(SimulationOptions::default(), &[1; 1536]);
    put(file.as_ref(), &[2; 8], 600);
    let options = CrashOptions { powersafe: false, ..POWERSAFE };
    let seen: Vec<Vec<u8>> = outcomes(&disk, "/f", options).into_iter().flatten().collect();
    assert!(seen.iter().any(|bytes| bytes[512..600].iter().any(|byte| *byte != 1)));
    for bytes in &seen {
        assert!(bytes[..512].iter().all(|byte| *byte == 1));
        assert!(bytes[1024..].iter().all(|byte| *byte == 1));
    }
}

#[test]
fn sectors_are_kept_and_lost_each_for_itself() {
    for (sector, count) in [(Sector::Bytes512, 3usize), (Sector::Bytes4096, 3)] {
        let size = usize::try_from(sector.bytes()).unwrap();
        let options = SimulationOptions { sector, ..SimulationOptions::default() };
        let (disk, file) = with_file(options, &vec![0; size * count]);
        put(file.as_ref(), &vec![9; size * count], 0);
        assert_eq!(disk.unsynced(), count);
        let mut seen = BTreeSet::new();
        for bytes in outcomes(&disk, "/f", POWERSAFE).into_iter().flatten() {
            let shape: Vec<Option<bool>> = bytes
                .chunks(size)
                .map(|sector| match sector {
                    all if all.iter().all(|byte| *byte == 9) => Some(true),
                    all if all.iter().all(|byte| *byte == 0) => Some(false),
                    _ => None,
                })
                .collect();
            seen.insert(shape);
        }
        for bits in 0..1 << count {
            let shape: Vec<Option<bool>> = (0..count).map(|index| Some(bits >> index & 1 == 1)).collect();
            assert!(seen.contains(&shape), "{shape:?}");
        }
    }
}

#[test]
fn a_sector_written_twice_may_be_left_at_the_first_of_the_two() {
    let (disk, file) = with_file(SimulationOptions::default(), &[1; 512]);
    put(file.as_ref(), &[2; 512], 0);
    put(file.as_ref(), &[3; 512], 0);
    let seen = outcomes(&disk, "/f", POWERSAFE);
    for value in 1..=3 {
        assert!(seen.contains(&Some(vec![value; 512])), "{value}");
    }
}

#[test]
fn what_was_synced_is_never_lost_and_what_came_after_does_not_touch_it() {
    let disk = SimulatedDisk::default();
    let file = create(&disk, "/f");
    put(file.as_ref(), &[5; 700], 0);
    file.sync_data().unwrap();
    disk.sync_directory(path("/")).unwrap();
    assert_eq!(disk.unsynced(), 0);
    assert_eq!(outcomes(&disk, "/f", POWERSAFE), only(Some(vec![5; 700])));
    put(file.as_ref(), &[6; 700], 700);
    for bytes in outcomes(&disk, "/f", POWERSAFE).into_iter().flatten() {
        assert_eq!(bytes[..700], [5; 700]);
    }
}

#[test]
fn a_sync_says_nothing_of_the_name_nor_of_another_file() {
    let disk = SimulatedDisk::default();
    let (first, second) = (create(&disk, "/first"), create(&disk, "/second"));
    put(first.as_ref(), b"first", 0);
    put(second.as_ref(), b"second", 0);
    first.sync_data().unwrap();
    let seen = outcomes(&disk, "/first", POWERSAFE);
    assert_eq!(seen, BTreeSet::from([None, Some(b"first".to_vec())]));
    disk.sync_directory(path("/")).unwrap();
    assert_eq!(outcomes(&disk, "/first", POWERSAFE), only(Some(b"first".to_vec())));
    let seen = outcomes(&disk, "/second", POWERSAFE);
    assert!(!seen.contains(&None), "the folder was synced");
    for bytes in [b"second".to_vec(), vec![], vec![0; 6]] {
        assert!(seen.contains(&Some(bytes)), "the file was not");
    }
}

#[test]
fn a_length_is_kept_or_lost_apart_from_the_bytes() {
    let (disk, file) = with_file(SimulationOptions::default(), &[1; 100]);
    put(file.as_ref(), &[2; 1000], 100);
    put(file.as_ref(), &[2; 1000], 1100);
    let lengths: BTreeSet<usize> =
        outcomes(&disk, "/f", POWERSAFE).into_iter().flatten().map(|bytes| bytes.len()).collect();
    assert_eq!(lengths, BTreeSet::from([100, 1100, 2100]));
    let mut long = vec![1; 100];
    long.resize(2100, 0);
    assert!(outcomes(&disk, "/f", POWERSAFE).contains(&Some(long)), "the length kept and all of the bytes lost");
}

#[test]
fn what_was_allocated_reads_as_zeros_or_on_demand_as_old_bytes_until_it_is_synced() {
    let disk = SimulatedDisk::default();
    disk.write_file(path("/old"), &[7; 2048]).unwrap();
    disk.write_file(path("/f"), b"x").unwrap();
    let file = disk.open(path("/f"), OpenMode::ReadWrite).unwrap();
    file.allocate(2048).unwrap();
    let mut zeros = b"x".to_vec();
    zeros.resize(2048, 0);
    assert_eq!(outcomes(&disk, "/f", POWERSAFE), BTreeSet::from([Some(b"x".to_vec()), Some(zeros.clone())]));
    let stale = CrashOptions { stale_allocation: true, ..POWERSAFE };
    let seen: Vec<Vec<u8>> = outcomes(&disk, "/f", stale).into_iter().flatten().collect();
    assert!(seen.iter().all(|bytes| bytes.len() == 1 || bytes[..512] == zeros[..512]), "the tail of a sector is zeros");
    assert!(seen.iter().any(|bytes| bytes.len() == 2048 && bytes[512..1024] == [7; 512]), "bytes of another file");
    file.sync_data().unwrap();
    assert_eq!(outcomes(&disk, "/f", stale), only(Some(zeros)));
}

#[test]
fn creations_renames_and_removals_are_kept_or_lost_until_the_folder_is_synced() {
    let disk = SimulatedDisk::default();
    for name in ["/spare", "/gone", "/control"] {
        disk.write_file(path(name), name.as_bytes()).unwrap();
    }
    create(&disk, "/new");
    disk.write_file(path("/d/none"), b"").unwrap_err();
    disk.rename(path("/spare"), path("/segment")).unwrap();
    disk.remove(path("/gone")).unwrap();
    create(&disk, "/control.tmp");
    disk.rename(path("/control.tmp"), path("/control")).unwrap();
    assert_eq!(disk.unsynced(), 5);
    let mut shapes = BTreeSet::new();
    for seed in 0..SEEDS {
        let image = disk.crash(seed, POWERSAFE);
        let has = |name: &str| image.read_file(path(name)).is_ok();
        assert_ne!(has("/spare"), has("/segment"), "a rename is kept or lost as one");
        assert!(has("/control"), "a name that is replaced is never missing");
        shapes.insert((
            has("/new"),
            has("/segment"),
            has("/gone"),
            image.read_file(path("/control")).unwrap().is_empty(),
        ));
    }
    assert_eq!(shapes.len(), 16, "each for itself");
    disk.sync_directory(path("/")).unwrap();
    assert_eq!(disk.unsynced(), 0);
    for seed in 0..SEEDS {
        assert_eq!(everything(&disk.crash(seed, POWERSAFE)), everything(&disk));
    }
}

#[test]
fn a_rename_between_folders_is_safe_only_when_both_are_synced() {
    let moved = || {
        let disk = SimulatedDisk::default();
        for directory in ["/a", "/b"] {
            disk.create_directory(path(directory)).unwrap();
        }
        disk.sync_directory(path("/")).unwrap();
        disk.write_file(path("/a/f"), b"f").unwrap();
        disk.rename(path("/a/f"), path("/b/f")).unwrap();
        disk
    };
    let seen = |disk: &SimulatedDisk| -> BTreeSet<Vec<PathBuf>> {
        (0..SEEDS).map(|seed| disk.crash(seed, POWERSAFE).files()).collect()
    };
    let (from, to) = (PathBuf::from("/a/f"), PathBuf::from("/b/f"));
    let disk = moved();
    assert_eq!(seen(&disk), BTreeSet::from([vec![from.clone()], vec![to.clone()]]));
    disk.sync_directory(path("/b")).unwrap();
    assert_eq!(seen(&disk), BTreeSet::from([vec![from, to.clone()], vec![to.clone()]]));
    disk.sync_directory(path("/a")).unwrap();
    assert_eq!(seen(&disk), only(vec![to.clone()]));
    let disk = moved();
    disk.sync_directory(path("/a")).unwrap();
    assert_eq!(seen(&disk), BTreeSet::from([vec![], vec![to]]));
}

#[test]
fn a_lost_folder_takes_its_files_with_it() {
    let disk = SimulatedDisk::default();
    disk.create_directory(path("/d")).unwrap();
    let file = create(&disk, "/d/f");
    put(file.as_ref(), b"f", 0);
    file.sync_data().unwrap();
    disk.sync_directory(path("/d")).unwrap();
    assert_eq!(outcomes(&disk, "/d/f", POWERSAFE), BTreeSet::from([None, Some(b"f".to_vec())]));
    disk.sync_directory(path("/")).unwrap();
    assert_eq!(outcomes(&disk, "/d/f", POWERSAFE), only(Some(b"f".to_vec())));
}

#[test]
fn the_same_seed_gives_the_same_image_and_the_running_disk_is_not_disturbed() {
    let run = || {
        let (disk, file) = with_file(SimulationOptions::default(), &[1; 3000]);
        put(file.as_ref(), &[2; 4000], 500);
        create(&disk, "/g");
        disk.rename(path("/g"), path("/h")).unwrap();
        file.allocate(20_000).unwrap();
        (disk, file)
    };
    let ((disk, file), (other, _other_file)) = (run(), run());
    let before = everything(&disk);
    let options = CrashOptions { powersafe: false, stale_allocation: true };
    let mut images = BTreeSet::new();
    for seed in 0..100 {
        let image = everything(&disk.crash(seed, options));
        assert_eq!(image, everything(&disk.crash(seed, options)));
        assert_eq!(image, everything(&other.crash(seed, options)));
        images.insert(image);
    }
    assert!(images.len() > 50);
    let image = disk.crash(1, options);
    let snapshot = everything(&image);
    put(file.as_ref(), &[8; 9000], 0);
    assert_eq!(everything(&image), snapshot, "an image does not follow the disk");
    image.write_file(path("/f"), b"other").unwrap();
    assert_eq!(before.len(), everything(&disk).len());
    assert_eq!(disk.read_file(path("/f")).unwrap()[..9000], [8; 9000], "nor the disk the image");
    assert_eq!(image.unsynced(), 0);
}

#[test]
fn every_subset_of_what_is_not_synced_can_be_chosen() {
    let (disk, file) = with_file(SimulationOptions::default(), &[0; 1024]);
    put(file.as_ref(), &[1; 1024], 0);
    create(&disk, "/new");
    assert_eq!(disk.unsynced(), 3);
    let mut images = BTreeSet::new();
    for bits in 0..8u32 {
        let image = disk.crash_choosing(|number| bits >> number & 1 == 1);
        images.insert(everything(&image));
    }
    assert_eq!(images.len(), 8);
    assert_eq!(everything(&disk.crash_choosing(|_| true)), everything(&disk));
}

#[test]
fn a_kill_loses_nothing_but_locks_and_a_power_cut_after_it_still_does() {
    let disk = SimulatedDisk::default();
    let file = create(&disk, "/f");
    put(file.as_ref(), b"bytes", 0);
    let lock = disk.lock(path("/LOCK"), "me").unwrap().unwrap();
    let killed = disk.kill();
    assert_eq!(everything(&killed), everything(&disk));
    assert!(!killed.is_locked(path("/LOCK")).unwrap());
    assert!(disk.is_locked(path("/LOCK")).unwrap());
    assert_eq!(killed.unsynced(), disk.unsynced());
    assert!(outcomes(&killed, "/f", POWERSAFE).contains(&None));
    drop(lock);
    assert!(!disk.crash(1, POWERSAFE).is_locked(path("/LOCK")).unwrap());
}

#[test]
fn a_lying_disk_loses_what_it_said_was_synced() {
    let disk = SimulatedDisk::new(SimulationOptions { lies_about_sync: true, ..SimulationOptions::default() });
    let file = create(&disk, "/f");
    put(file.as_ref(), b"bytes", 0);
    file.sync_data().unwrap();
    disk.sync_directory(path("/")).unwrap();
    let seen = outcomes(&disk, "/f", POWERSAFE);
    assert!(seen.contains(&None));
    assert!(seen.contains(&Some(vec![])));
}

#[test]
fn a_failed_sync_leaves_what_its_model_says() {
    // One sector is rewritten, its sync fails, a second sync succeeds, then power fails.
    let after = |after_failed_sync| {
        let (disk, file) =
            with_file(SimulationOptions { after_failed_sync, ..SimulationOptions::default() }, &[1; 512]);
        put(file.as_ref(), &[2; 512], 0);
        disk.inject(Fault::at(1, Failure::Io).of(OperationKind::Sync));
        let first = file.sync_data().is_ok();
        let cached = disk.read_file(path("/f")).unwrap()[0];
        let second = file.sync_data().is_ok();
        let kept: BTreeSet<u8> = outcomes(&disk, "/f", POWERSAFE)
            .into_iter()
            .flatten()
            .filter(|bytes| bytes.iter().all(|byte| *byte == bytes[0]))
            .map(|bytes| bytes[0])
            .filter(|byte| *byte <= 2)
            .collect();
        put(file.as_ref(), &[3; 512], 0);
        file.sync_data().unwrap();
        assert_eq!(outcomes(&disk, "/f", POWERSAFE), only(Some(vec![3; 512])), "what is written again is synced again");
        ((first, second), cached, kept)
    };
    let either = BTreeSet::from([1, 2]);
    assert_eq!(after(AfterFailedSync::Dirty), ((false, true), 2, only(2)));
    assert_eq!(after(AfterFailedSync::CleanNew), ((false, true), 2, either.clone()));
    assert_eq!(after(AfterFailedSync::CleanOld), ((false, true), 1, only(1)));
    assert_eq!(after(AfterFailedSync::ReportedLate), ((true, false), 2, either));
}

#[test]
fn a_length_whose_sync_failed_is_in_doubt_until_something_beyond_the_durable_one_is_written() {
    let (disk, file) = with_file(SimulationOptions::default(), &[1; 512]);
    file.allocate(4096).unwrap();
    disk.inject(Fault::at(1, Failure::Io).of(OperationKind::Sync));
    file.sync_data().unwrap_err();
    put(file.as_ref(), &[2; 512], 0);
    file.sync_data().unwrap();
    let lengths = |disk: &SimulatedDisk| -> BTreeSet<usize> {
        outcomes(disk, "/f", POWERSAFE).into_iter().flatten().map(|bytes| bytes.len()).collect()
    };
    assert_eq!(lengths(&disk), BTreeSet::from([512, 4096]));
    for bytes in outcomes(&disk, "/f", POWERSAFE).into_iter().flatten() {
        assert_eq!(bytes[..512], [2; 512], "what was written after the failure was synced");
    }
    put(file.as_ref(), &[2; 512], 512);
    file.sync_data().unwrap();
    assert_eq!(lengths(&disk), only(4096));
    assert_eq!(disk.unsynced(), 0);
}

#[test]
fn calls_fail_where_and_how_they_are_told_to() {
    let (disk, file) = with_file(SimulationOptions::default(), &[1; 10]);
    for (failure, kind) in [(Failure::Full, ErrorKind::StorageFull), (Failure::Interrupted, ErrorKind::Interrupted)] {
        disk.inject(Fault::at(2, failure).of(OperationKind::Write));
        let write = || file.write_at(&[IoSlice::new(b"ab")], 0);
        assert_eq!(write().unwrap(), 2);
        assert_eq!(write().unwrap_err().kind(), kind);
        assert_eq!(write().unwrap(), 2, "once");
    }
    disk.inject(Fault::at(1, Failure::Io).of(OperationKind::Read).for_good());
    for _ in 0..3 {
        assert_eq!(file.read_at(&mut [0], 0).unwrap_err().raw_os_error(), Some(Errno::IO.raw_os_error()));
    }
    disk.clear_faults();
    disk.inject(Fault::at(1, Failure::Short).of(OperationKind::Read));
    assert_eq!(file.read_at(&mut [0; 5], 0).unwrap(), 3);
    disk.inject(Fault::at(1, Failure::Short).of(OperationKind::Write).for_good());
    assert_eq!(file.write_at(&[IoSlice::new(b"abcd")], 0).unwrap(), 2);
    put(file.as_ref(), b"0123456789", 0);
    assert_eq!(disk.read_file(path("/f")).unwrap(), b"0123456789", "short writes get there");
    disk.clear_faults();
    disk.inject(Fault::at(1, Failure::Zero));
    assert_eq!(write_all_at(file.as_ref(), &[b"x"], 0).unwrap_err().kind(), ErrorKind::WriteZero);
    disk.inject(Fault::at(1, Failure::Io).on("g"));
    assert!(disk.list(path("/")).is_ok());
    assert!(disk.open(path("/g"), OpenMode::CreateNew).is_err());
    assert_eq!(disk.files(), [PathBuf::from("/f")], "what failed has done nothing");
    assert!(disk.failures() > 8);
}

#[test]
fn the_failure_of_every_single_call_is_reported_to_its_caller() {
    // Goal: no call swallows a fault. Method: fail the first call, then the second, until a run has no failure left.
    let run = |disk: &SimulatedDisk| -> io::Result<()> {
        disk.create_directory(path("/d"))?;
        let lock = disk.lock(path("/d/LOCK"), "me")?;
        disk.is_locked(path("/d/LOCK"))?;
        let file = disk.open(path("/d/a"), OpenMode::CreateNew)?;
        file.allocate(100)?;
        file.write_at(&[IoSlice::new(b"abc")], 0)?;
        file.sync_data()?;
        file.length()?;
        file.map()?;
        file.share_word(8)?;
        file.read_at(&mut [0; 3], 0)?;
        disk.rename(path("/d/a"), path("/d/b"))?;
        disk.sync_directory(path("/d"))?;
        disk.kind(path("/d/b"))?;
        disk.list(path("/d"))?;
        disk.open(path("/d/b"), OpenMode::Read)?;
        disk.remove(path("/d/b"))?;
        drop(lock);
        Ok(())
    };
    let whole = SimulatedDisk::default();
    run(&whole).unwrap();
    let kinds: BTreeSet<OperationKind> = whole.operation_log().iter().map(|info| info.kind).collect();
    assert_eq!(kinds.len(), 17, "every kind of call");
    for nth in 1..=whole.operations() {
        let disk = SimulatedDisk::default();
        disk.inject(Fault::at(nth, Failure::Io));
        assert!(run(&disk).is_err(), "call {nth}");
        assert_eq!((disk.failures(), disk.operations()), (1, nth));
        assert_eq!(disk.operation_log().last().unwrap().failure, Some(Failure::Io));
    }
}

#[test]
fn a_full_disk_takes_what_fits_and_goes_on_when_there_is_room() {
    let options = SimulationOptions { capacity_bytes: Some(1000), ..SimulationOptions::default() };
    let (disk, file) = with_file(options, &[1; 600]);
    assert_eq!(file.allocate(1001).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(file.length().unwrap(), 600);
    assert_eq!(file.write_at(&[IoSlice::new(&[2; 600])], 600).unwrap(), 400);
    assert_eq!(file.write_at(&[IoSlice::new(&[2; 600])], 1000).unwrap_err().kind(), ErrorKind::StorageFull);
    put(file.as_ref(), &[3; 1000], 0);
    disk.set_options(SimulationOptions { capacity_bytes: None, ..options });
    put(file.as_ref(), &[4; 1000], 1000);
    assert_eq!(file.length().unwrap(), 2000);
}

#[test]
fn the_observer_sees_the_disk_before_each_call_that_may_change_it() {
    // It takes an image each time, from within the call, and the images are the states between the calls.
    let disk = SimulatedDisk::default();
    let (sender, receiver) = mpsc::channel();
    disk.set_observer(Box::new(move |info, disk| {
        let durable = everything(&disk.crash_choosing(|_| false)).len();
        sender.send((info.number, info.kind, disk.files().len(), durable)).unwrap();
    }));
    let file = create(&disk, "/f");
    file.length().unwrap();
    put(file.as_ref(), b"x", 0);
    file.sync_data().unwrap();
    disk.sync_directory(path("/")).unwrap();
    disk.remove(path("/f")).unwrap();
    disk.clear_observer();
    create(&disk, "/g");
    let seen: Vec<_> = receiver.iter().collect();
    assert_eq!(
        seen,
        [
            (1, OperationKind::Create, 0, 0),
            (3, OperationKind::Write, 1, 0),
            (4, OperationKind::Sync, 1, 0),
            (5, OperationKind::SyncDirectory, 1, 0),
            (6, OperationKind::Remove, 1, 1),
        ]
    );
}

#[test]
fn the_log_says_what_was_called_and_where() {
    let disk = SimulatedDisk::default();
    let file = create(&disk, "/f");
    file.write_at(&[IoSlice::new(b"ab"), IoSlice::new(b"c")], 7).unwrap();
    disk.rename(path("/f"), path("/g")).unwrap();
    let log = disk.operation_log();
    assert_eq!(log.iter().map(|info| info.number).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!((log[1].kind, log[1].offset, log[1].length), (OperationKind::Write, 7, 3));
    assert_eq!(&*log[1].path, path("/f"));
    assert_eq!(log[2].target.as_deref(), Some(path("/g")));
}

#[test]
fn rot_is_seen_by_readers_and_survives_a_crash() {
    let (disk, file) = with_file(SimulationOptions::default(), &[0; 1024]);
    disk.flip_bit(path("/f"), 513, 3).unwrap();
    disk.overwrite(path("/f"), 1020, &[9; 100]).unwrap();
    let mut expected = vec![0; 1024];
    expected[513] = 8;
    expected[1020..].fill(9);
    assert_eq!(disk.read_file(path("/f")).unwrap(), expected);
    assert_eq!(outcomes(&disk, "/f", POWERSAFE), only(Some(expected)));
    put(file.as_ref(), &[1; 8], 0);
    disk.flip_bit(path("/f"), 4, 0).unwrap();
    assert_eq!(disk.read_file(path("/f")).unwrap()[..8], [1, 1, 1, 1, 0, 1, 1, 1]);
    assert_eq!(disk.crash_choosing(|_| true).read_file(path("/f")).unwrap()[..8], [1, 1, 1, 1, 0, 1, 1, 1]);
    assert_eq!(disk.crash_choosing(|_| false).read_file(path("/f")).unwrap()[..8], [0; 8]);
    for (offset, bit) in [(1024, 0), (0, 8)] {
        assert_eq!(disk.flip_bit(path("/f"), offset, bit).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
    disk.remove_file(path("/f")).unwrap();
    assert_eq!(outcomes(&disk, "/f", POWERSAFE), only(None));
}

#[test]
fn a_shared_word_is_in_doubt_until_its_file_is_synced_and_costs_a_bounded_memory() {
    let (disk, file) = with_file(SimulationOptions::default(), &[0; 512]);
    let word = file.share_word(8).unwrap();
    for value in 1..=1000 {
        word.store(value);
    }
    assert_eq!(disk.unsynced(), 1);
    let seen = outcomes(&disk, "/f", POWERSAFE);
    let value_of = |bytes: &Vec<u8>| u64::from_le_bytes(*bytes[8..].first_chunk().unwrap());
    let values: BTreeSet<u64> = seen.iter().flatten().map(value_of).collect();
    for value in [0, 997, 998, 999, 1000] {
        assert!(values.contains(&value), "{value}");
    }
    assert!(!values.contains(&996));
    file.sync_data().unwrap();
    assert_eq!(disk.unsynced(), 0);
}

#[test]
fn a_latch_in_front_of_it_keeps_later_writes_out() {
    let (disk, _) = with_file(SimulationOptions::default(), &[0; 8]);
    let latch = Latch::default();
    let file = latch.wrap_disk(Arc::new(disk.clone())).open(path("/f"), OpenMode::ReadWrite).unwrap();
    disk.inject(Fault::at(1, Failure::Io).of(OperationKind::Sync));
    put(file.as_ref(), &[1; 8], 0);
    assert!(file.sync_data().is_err());
    let calls = disk.operations();
    assert!(file.write_at(&[IoSlice::new(&[2; 8])], 0).is_err());
    assert!(file.sync_data().is_err());
    assert_eq!(disk.operations(), calls);
    assert_eq!(disk.read_file(path("/f")).unwrap(), [1; 8]);
}
