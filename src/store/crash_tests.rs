//! The store on a disk that crashes: what was acknowledged is there afterwards, whole, in order, and nothing else is.
//!
//! Method: a small workload runs once on the simulated disk, and an image of what a power cut could leave is taken before
//! every operation. Each image is opened as a store and held against the oracle. A few seeds only: the volume is in `trials`,
//! classes T1, T2, T7 and T8. What those found stands below as tests of its own.

use std::path::PathBuf;

use super::*;
use crate::disk::sim::{
    AfterFailedSync, CrashOptions, Failure, Fault, OperationKind, Random, SimulatedDisk, SimulationOptions,
};
use crate::index::MemoryIndexProvider;
use crate::types::EventId;

const ROOT: &str = "/store";

/// What the workload knows of itself at one moment.
#[derive(Clone, Debug, Default)]
struct Known {
    /// Payloads of acknowledged commits, in the order of their sequences.
    acknowledged: Vec<Vec<String>>,
    /// The commit that was submitted and not answered.
    submitted: Option<Vec<String>>,
}

struct Image {
    disk: SimulatedDisk,
    index: MemoryIndexProvider,
    known: Known,
    operation: u64,
}

fn options(durability: Durability) -> Options {
    Options::new()
        .segment_bytes(4096)
        .durability(durability)
        .background(false)
        .tail_events_max(7)
        .store_id(StoreId::from_bytes([7; 16]))
        .clock(Arc::new(ManualClock::new(Timestamp::from_micros(1))))
}

fn environment(disk: &SimulatedDisk, index: &MemoryIndexProvider) -> Environment {
    Environment::new(Arc::new(disk.clone()), Arc::new(index.clone()))
}

fn all_payloads(store: &Store) -> Vec<String> {
    store.read_all(..).map(|event| String::from_utf8(event.unwrap().payload).unwrap()).collect()
}

/// The oracle: a prefix that holds everything acknowledged, whole commits alone, readable by stream, and verified.
fn check(environment: &Environment, options: Options, known: &Known, label: &str) -> Store {
    let store = Store::open_in(environment, ROOT, options).unwrap_or_else(|error| panic!("{label}: {error}"));
    let found = all_payloads(&store);
    let acknowledged: Vec<String> = known.acknowledged.iter().flatten().cloned().collect();
    assert!(found.len() >= acknowledged.len(), "{label}: {} acknowledged, {} found", acknowledged.len(), found.len());
    assert_eq!(found[..acknowledged.len()], acknowledged[..], "{label}");
    let rest = found[acknowledged.len()..].to_vec();
    let submitted = known.submitted.clone().unwrap_or_default();
    assert!(rest.is_empty() || rest == submitted, "{label}: {rest:?} was never submitted or is half a commit");
    let events: Vec<Event> = store.read_all(..).map(Result::unwrap).collect();
    assert!(events.iter().zip(1..).all(|(event, number)| event.sequence == Sequence::new(number)), "{label}");
    for name in ["a-1", "b-1"] {
        let name = stream(name);
        let of_stream: Vec<&Event> = events.iter().filter(|event| event.stream == name).collect();
        let read: Vec<Event> = store
            .read_stream(&name, ..)
            .map(|event| event.unwrap_or_else(|error| panic!("{label}: {error}")))
            .collect();
        assert_eq!(read.iter().collect::<Vec<_>>(), of_stream, "{label}");
        assert!(read.iter().zip(1..).all(|(event, number)| event.version == Version::new(number)), "{label}");
    }
    let verified = verify_in(environment, ROOT).unwrap();
    assert!(verified.is_ok(), "{label}: {:?}", verified.findings);
    store
}

/// The same text has the same id, so that the same seed gives the same bytes.
fn id_of(text: &str) -> EventId {
    EventId::from_uuid(uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, text.as_bytes()))
}

/// Runs commits of one to three events until the disk fails or `commits` are done.
fn run(store: &Store, known: &Mutex<Known>, from: u64, commits: u64, random: &mut Random) -> Result<()> {
    for number in from..from + commits {
        let texts: Vec<String> =
            (0..1 + random.below(3)).map(|part| format!("{number}.{part}.{}", "x".repeat(random.index(200)))).collect();
        let split = random.index(texts.len() + 1);
        let events = |texts: &[String]| texts.iter().map(|text| event(text).with_id(id_of(text))).collect::<Vec<_>>();
        let commit = Commit::new()
            .append(&stream("a-1"), ExpectedVersion::Any, events(&texts[..split]))
            .append(&stream("b-1"), ExpectedVersion::Any, events(&texts[split..]))
            .idempotency_key(format!("key-{number}"));
        known.lock().submitted = Some(texts.clone());
        store.commit(commit)?;
        let mut known = known.lock();
        known.submitted = None;
        known.acknowledged.push(texts);
        drop(known);
        if number % 5 == 4 {
            store.housekeep()?;
        }
    }
    Ok(())
}

/// Runs a workload of two openings and takes a crash image before every operation.
fn images(seed: u64, durability: Durability, powersafe: bool, align: Align) -> Vec<Image> {
    let disk = SimulatedDisk::default();
    let index = MemoryIndexProvider::default();
    let known = Arc::new(Mutex::new(Known::default()));
    let images = Arc::new(Mutex::new(Vec::new()));
    let observer = {
        let (index, known, images) = (index.clone(), Arc::clone(&known), Arc::clone(&images));
        let mut random = Random::new(seed);
        move |operation: &crate::disk::sim::OperationInfo, disk: &SimulatedDisk| {
            let seed = random.next_u64();
            let crash = CrashOptions { powersafe, ..CrashOptions::default() };
            let image = Image {
                disk: disk.crash(seed, crash),
                index: index.crash(seed),
                known: known.lock().clone(),
                operation: operation.number,
            };
            images.lock().push(image);
        }
    };
    disk.set_observer(Box::new(observer));
    let environment = environment(&disk, &index);
    let mut random = Random::new(seed);
    for round in 0..2 {
        let store = Store::open_in(&environment, ROOT, options(durability).align(align)).unwrap();
        run(&store, &known, round * 40, 40, &mut random).unwrap();
        store.close().unwrap();
    }
    disk.clear_observer();
    Arc::try_unwrap(images).map(Mutex::into_inner).unwrap_or_default()
}

#[test]
fn no_acknowledged_event_is_lost_whenever_the_power_is_cut() {
    let mut count = 0;
    for (seed, align) in [(0, Align::Packed), (1, Align::Sector)] {
        for image in images(seed, Durability::Sync, true, align) {
            let label = format!("seed {seed}, {align:?}, operation {}", image.operation);
            let environment = environment(&image.disk, &image.index);
            check(&environment, options(Durability::Sync).align(align), &image.known, &label);
            count += 1;
        }
    }
    assert!(count > 500, "{count} images");
}

#[test]
fn with_sectors_of_their_own_nothing_is_lost_on_a_medium_that_tears_whole_sectors() {
    for image in images(100, Durability::Sync, false, Align::Sector) {
        let label = format!("operation {}", image.operation);
        let environment = environment(&image.disk, &image.index);
        check(&environment, options(Durability::Sync).align(Align::Sector), &image.known, &label);
    }
}

#[test]
fn a_recovery_that_is_cut_short_can_start_again() {
    let mut count = 0;
    for image in images(0, Durability::Sync, true, Align::Packed).into_iter().step_by(31) {
        let nested = Arc::new(Mutex::new(Vec::new()));
        let observer = {
            let (nested, index, mut random) = (Arc::clone(&nested), image.index.clone(), Random::new(image.operation));
            move |operation: &crate::disk::sim::OperationInfo, disk: &SimulatedDisk| {
                let seed = random.next_u64();
                nested.lock().push((disk.crash(seed, CrashOptions::default()), index.crash(seed), operation.number));
            }
        };
        image.disk.set_observer(Box::new(observer));
        let outer = environment(&image.disk, &image.index);
        drop(check(&outer, options(Durability::Sync), &image.known, "outer"));
        image.disk.clear_observer();
        for (disk, index, operation) in std::mem::take(&mut *nested.lock()) {
            let label = format!("operation {} and {operation} of its recovery", image.operation);
            check(&environment(&disk, &index), options(Durability::Sync), &image.known, &label);
            count += 1;
        }
    }
    assert!(count > 100, "{count} nested images");
}

#[test]
fn a_buffered_store_loses_nothing_to_a_kill_and_keeps_a_prefix_after_a_power_cut() {
    for seed in 0..6 {
        let disk = SimulatedDisk::default();
        let index = MemoryIndexProvider::default();
        let known = Mutex::new(Known::default());
        let environment_before = environment(&disk, &index);
        let store = Store::open_in(&environment_before, ROOT, options(Durability::Buffered)).unwrap();
        run(&store, &known, 0, 60, &mut Random::new(seed)).unwrap();
        let (killed, killed_index) = (disk.kill(), index.kill());
        let known = known.into_inner();
        check(
            &environment(&killed, &killed_index),
            options(Durability::Buffered),
            &known,
            &format!("kill, seed {seed}"),
        );
        for cut in 0..40 {
            let (disk, index) = (disk.crash(cut, CrashOptions::default()), index.crash(cut));
            let opened = Store::open_in(&environment(&disk, &index), ROOT, options(Durability::Buffered)).unwrap();
            let found = all_payloads(&opened);
            let all: Vec<String> = known.acknowledged.iter().flatten().cloned().collect();
            assert_eq!(found[..], all[..found.len()], "seed {seed}, cut {cut}");
            assert!(store.durable_sequence() <= opened.last_sequence(), "what was synced is there");
        }
        drop(store);
    }
}

/// Goal: after a failed write or sync nothing is acknowledged, and what is in doubt is there whole or not at all. Method: the
/// n-th call fails, once or for good, for every n; then the store is opened again as after a restart without a reboot, and
/// once more after a power cut.
#[test]
fn a_failed_call_is_never_followed_by_an_acknowledgement_that_is_lost() {
    let models =
        [AfterFailedSync::Dirty, AfterFailedSync::CleanNew, AfterFailedSync::CleanOld, AfterFailedSync::ReportedLate];
    let mut failed = 0;
    for model in models {
        for for_good in [false, true] {
            for kind in [OperationKind::Write, OperationKind::Sync] {
                for nth in 1.. {
                    let disk = SimulatedDisk::new(SimulationOptions {
                        after_failed_sync: model,
                        ..SimulationOptions::default()
                    });
                    let index = MemoryIndexProvider::default();
                    let known = Mutex::new(Known::default());
                    let fault = Fault::at(nth, Failure::Io).of(kind);
                    let store = Store::open_in(&environment(&disk, &index), ROOT, options(Durability::Sync)).unwrap();
                    disk.inject(if for_good { fault.for_good() } else { fault });
                    let outcome = run(&store, &known, 0, 6, &mut Random::new(nth));
                    let Err(error) = outcome else { break };
                    assert!(
                        [ErrorKind::CommitUnknown, ErrorKind::Poisoned, ErrorKind::Io].contains(&error.kind()),
                        "{error}"
                    );
                    let after = store.append(&stream("a-1"), ExpectedVersion::Any, vec![event("after")]).unwrap_err();
                    assert_eq!(after.kind(), ErrorKind::Poisoned, "{after}");
                    failed += 1;
                    drop(store);
                    disk.clear_faults();
                    let known = known.into_inner();
                    let label = format!("{model:?}, {kind:?} {nth}, for good: {for_good}");
                    let restarted = disk.kill();
                    let reopened =
                        check(&environment(&restarted, &index.kill()), options(Durability::Sync), &known, &label);
                    let served = all_payloads(&reopened);
                    // What this opening has served is durable: it survives a power cut right now.
                    for seed in 0..3 {
                        let cut = restarted.crash(seed, CrashOptions::default());
                        let again = Store::open_in(&environment(&cut, &index.kill()), ROOT, options(Durability::Sync));
                        let again = again.unwrap_or_else(|error| panic!("{label}, cut {seed}: {error}"));
                        assert_eq!(all_payloads(&again), served, "{label}, cut {seed}");
                    }
                }
            }
        }
    }
    assert!(failed > 80, "{failed} failures");
}

/// What: a commit with the key of one that waits, and other content, is not told that the key was used when that one fails.
/// Why: the key was compared with commits whose group was not resolved; after a full disk nobody has used it.
/// How found: loom, `a_key_is_not_taken_by_a_commit_that_found_no_room` in `trials/tests/interleavings.rs`.
#[test]
fn a_key_of_a_commit_that_failed_is_free() {
    let (disk, index) = (SimulatedDisk::default(), MemoryIndexProvider::default());
    let options = options(Durability::Sync).preallocation(Preallocation::Reserve).segment_bytes(4096);
    let store = Store::open_in(&environment(&disk, &index), ROOT, options).unwrap();
    let commit = |text: &str| {
        Commit::new().append(&stream("a"), ExpectedVersion::Any, vec![event(&text.repeat(1500))]).idempotency_key("key")
    };
    store.append(&stream("fill"), ExpectedVersion::Any, vec![event(&"f".repeat(2500))]).unwrap();
    disk.inject(Fault::at(1, Failure::Full).of(OperationKind::Allocate));
    let ticket = store.submit(commit("1")).unwrap();
    assert!(!store.commit(commit("2")).unwrap().is_repeat);
    assert_eq!(ticket.wait().unwrap_err().kind(), ErrorKind::StorageFull);
}

#[test]
fn a_full_disk_refuses_cleanly_and_serves_again_when_there_is_room() {
    let options_of_disk = SimulationOptions { capacity_bytes: Some(40 * 1024), ..SimulationOptions::default() };
    let disk = SimulatedDisk::new(options_of_disk);
    let index = MemoryIndexProvider::default();
    let known = Mutex::new(Known::default());
    let environment = environment(&disk, &index);
    let store = Store::open_in(&environment, ROOT, options(Durability::Sync)).unwrap();
    let mut random = Random::new(1);
    let error = run(&store, &known, 0, 10_000, &mut random).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
    let done = known.lock().acknowledged.len() as u64;
    assert!(done > 20);
    assert_eq!(all_payloads(&store).len(), known.lock().acknowledged.iter().map(Vec::len).sum::<usize>());
    disk.set_options(SimulationOptions { capacity_bytes: None, ..options_of_disk });
    known.lock().submitted = None;
    run(&store, &known, done, 50, &mut random).unwrap();
    drop(store);
    check(&environment, options(Durability::Sync), &known.into_inner(), "after room was made");
}

/// What: a close and a sync whose write or sync met a full disk answered `StorageFull`, which says that nothing was written and
/// that the same call succeeds once there is room; but the store had stopped, and closing again does nothing.
/// Why: the kind was taken from the system's error, whatever had failed.
/// How found: T7, a full disk at every call that writes.
#[test]
fn a_full_disk_that_stops_the_store_is_a_failure_of_the_storage() {
    let calls: [fn(&Store) -> Result<()>; 2] = [Store::close, |store| store.sync().map(drop)];
    for (number, call) in calls.into_iter().enumerate() {
        for kind in [OperationKind::Write, OperationKind::Sync] {
            let (disk, index) = (SimulatedDisk::default(), MemoryIndexProvider::default());
            let store = Store::open_in(&environment(&disk, &index), ROOT, options(Durability::Buffered)).unwrap();
            store.append(&stream("a-1"), ExpectedVersion::Any, vec![event("one")]).unwrap();
            disk.inject(Fault::at(1, Failure::Full).of(kind).for_good());
            let answer = call(&store).map_err(|error| error.kind());
            // A sync writes nothing by itself.
            let writes = number == 0 || kind == OperationKind::Sync;
            assert_eq!(answer, if writes { Err(ErrorKind::Io) } else { Ok(()) }, "call {number}, {kind:?}");
        }
    }
}

/// What: a store whose first open was killed, or failed, between making the folder and syncing that folder's parent lost everything
/// with the next power cut, acknowledged events among it.
/// Why: the parent was synced by the open that made the folder, and by no later one.
/// How found: T7, a failing sync of the parent, a new start, a commit and a power cut.
#[test]
fn the_name_of_a_stores_folder_is_durable_whoever_made_it() {
    for fails in [OperationKind::SyncDirectory, OperationKind::Lock, OperationKind::Create, OperationKind::Rename] {
        let (disk, index) = (SimulatedDisk::default(), MemoryIndexProvider::default());
        disk.inject(Fault::at(1, Failure::Io).of(fails));
        Store::open_in(&environment(&disk, &index), ROOT, options(Durability::Sync)).unwrap_err();
        let disk = disk.kill();
        let store = Store::open_in(&environment(&disk, &index), ROOT, options(Durability::Sync)).unwrap();
        store.append(&stream("a-1"), ExpectedVersion::Any, vec![event("one")]).unwrap();
        for seed in 0..12 {
            let cut = disk.crash(seed, CrashOptions::default());
            let again = Store::open_in(&environment(&cut, &index.kill()), ROOT, options(Durability::Sync)).unwrap();
            assert_eq!(all_payloads(&again), ["one"], "{fails:?}, cut {seed}");
        }
    }
}

/// What: where a store was made by a path of one word, such as `till`, its folder's name was never made durable.
/// Why: the parent of such a path is empty, and an empty path was passed over.
/// How found: reading, after the trial of the test above.
#[test]
fn a_path_of_one_word_has_a_parent_too() {
    let (disk, index) = (SimulatedDisk::default(), MemoryIndexProvider::default());
    let store = Store::open_in(&environment(&disk, &index), "till", options(Durability::Sync)).unwrap();
    store.append(&stream("a-1"), ExpectedVersion::Any, vec![event("one")]).unwrap();
    let cut = disk.crash_choosing(|_| false);
    let again = Store::open_in(&environment(&cut, &index.kill()), "till", options(Durability::Sync)).unwrap();
    assert_eq!(all_payloads(&again), ["one"]);
}

/// A life in which one sync of a file fails and reports that one sync late; a restart without a reboot; then the power is cut. Each
/// sync of the files that were opened at `path_end` fails in turn.
fn survives_late_reports(path_end: &str, commits: u64) {
    let mut failed = 0;
    for (nth, preallocation) in (1..).flat_map(|nth| [(nth, Preallocation::Grow), (nth, Preallocation::Reserve)]) {
        let options = || options(Durability::Sync).preallocation(preallocation);
        let late = AfterFailedSync::ReportedLate;
        let disk = SimulatedDisk::new(SimulationOptions { after_failed_sync: late, ..SimulationOptions::default() });
        let index = MemoryIndexProvider::default();
        disk.inject(Fault::at(nth, Failure::Io).of(OperationKind::Sync).on(path_end));
        // Whatever hears of it may fail.
        if let Ok(store) = Store::open_in(&environment(&disk, &index), ROOT, options()) {
            let _ = run(&store, &Mutex::new(Known::default()), 0, commits, &mut Random::new(nth))
                .and_then(|()| store.close());
        }
        if disk.failures() == 0 {
            break;
        }
        failed += 1;
        let (disk, index) = (disk.kill(), index.kill());
        let store = Store::open_in(&environment(&disk, &index), ROOT, options()).unwrap();
        for seed in 0..12 {
            let label = format!("{path_end}, sync {nth}, {preallocation:?}, cut {seed}");
            let environment = environment(&disk.crash(seed, CrashOptions::default()), &index.kill());
            let again =
                Store::open_in(&environment, ROOT, options()).unwrap_or_else(|error| panic!("{label}: {error}"));
            assert_eq!(all_payloads(&again), all_payloads(&store), "{label}");
            let verified = verify_in(&environment, ROOT).unwrap();
            assert!(verified.is_ok(), "{label}: {:?}", verified.findings);
        }
    }
    assert!(failed > 0, "no sync of {path_end} failed");
}

/// What: on a file system that reports a failed write one sync late, a power cut after the first open could leave a store
/// without an identity, which no open accepts.
/// Why: the identity was synced once before it got its name, and is never written again.
/// How found: T8, a late report at every sync.
#[test]
fn an_identity_is_durable_where_a_failed_write_is_reported_late() {
    survives_late_reports("identity.tmp", 30);
}

/// What: as with the identity, a finished segment could be left with a damaged seal, which `verify` finds.
/// Why: a seal was synced once before it got its name, and is written again only where it is missing.
/// How found: T8, a late report at every sync.
#[test]
fn a_seal_is_durable_where_a_failed_write_is_reported_late() {
    survives_late_reports("00000000000000000001.seal.tmp", 30);
}

/// What: as with the identity, a store that was closed could lose its close mark and then be refused, for the index proves a
/// longer log.
/// Why: the mark was synced once, and the index was told of it; what the index stands on no open writes again.
/// How found: T8, a late report at every sync.
#[test]
fn a_close_mark_is_durable_where_a_failed_write_is_reported_late() {
    survives_late_reports("log/first.tmp", 2);
}

#[test]
fn a_key_survives_a_restart_and_a_rebuilt_index() {
    let disk = SimulatedDisk::default();
    let index = MemoryIndexProvider::default();
    let environment_before = environment(&disk, &index);
    let store = Store::open_in(&environment_before, ROOT, options(Durability::Sync)).unwrap();
    run(&store, &Mutex::new(Known::default()), 0, 30, &mut Random::new(3)).unwrap();
    let before = store.key_use("key-4").unwrap().unwrap();
    store.close().unwrap();
    drop(store);
    for index in [index, MemoryIndexProvider::default()] {
        let store = Store::open_in(&environment(&disk, &index), ROOT, options(Durability::Sync)).unwrap();
        assert_eq!(store.key_use("key-4").unwrap().unwrap(), before);
        store.close().unwrap();
    }
}

#[test]
fn a_clean_close_leaves_nothing_to_read() {
    let disk = SimulatedDisk::default();
    let index = MemoryIndexProvider::default();
    let environment = environment(&disk, &index);
    for round in 0..3 {
        let store = Store::open_in(&environment, ROOT, options(Durability::Sync)).unwrap();
        let report = store.recovery_report();
        assert_eq!((report.events_replayed, report.was_closed_cleanly), (0, round > 0));
        run(&store, &Mutex::new(Known::default()), round * 100, 20, &mut Random::new(round)).unwrap();
        store.close().unwrap();
    }
}

/// What: a log could not be opened, because a segment's last mark was not in the chain that the next one continued. Why: an index
/// that covered every event, but not the close mark after them, was taken for the end of the log, and the next segment was
/// chained to the event. How found: by a crash image whose tail had been ingested with the very last commit.
#[test]
fn the_log_goes_on_behind_its_close_mark_wherever_the_index_ends() {
    for commits in 1..=30 {
        let (disk, index) = (SimulatedDisk::default(), MemoryIndexProvider::default());
        let (environment_now, known) = (environment(&disk, &index), Mutex::new(Known::default()));
        let mut random = Random::new(commits);
        let store = Store::open_in(&environment_now, ROOT, options(Durability::Sync)).unwrap();
        run(&store, &known, 0, commits, &mut random).unwrap();
        store.close().unwrap();
        let store = Store::open_in(&environment_now, ROOT, options(Durability::Sync)).unwrap();
        let report = store.recovery_report();
        assert_eq!((report.segments_read, report.bytes_read), (0, 0), "{commits} commits");
        run(&store, &known, commits, 25, &mut random).unwrap();
        let (disk, index) = (disk.kill(), MemoryIndexProvider::default());
        check(
            &environment(&disk, &index),
            options(Durability::Sync),
            &known.into_inner(),
            &format!("{commits} commits"),
        );
    }
}

/// What: acknowledged events were passed over by an open, and written over. Why: the control file's session number, which has no
/// checksum and is synced once, was believed when it said that nothing had been written since the last close. How found: by
/// flipping its bits, and by a sync of it that is reported late. Now the log itself must end where the index does.
#[test]
fn a_control_file_that_is_wrong_about_the_last_close_hides_nothing() {
    for byte in 0..32 {
        for bit in 0..8 {
            let (disk, index) = (SimulatedDisk::default(), MemoryIndexProvider::default());
            let (environment_now, known) = (environment(&disk, &index), Mutex::new(Known::default()));
            let open = || Store::open_in(&environment_now, ROOT, options(Durability::Sync)).unwrap();
            for round in 0..4 {
                let store = open();
                run(&store, &known, round, 1, &mut Random::new(round)).unwrap();
                store.close().unwrap();
            }
            let store = open();
            run(&store, &known, 4, 1, &mut Random::new(4)).unwrap();
            let (killed, killed_index) = (disk.kill(), index.kill());
            killed.flip_bit(&Path::new(ROOT).join("control"), byte, bit).unwrap();
            let label = format!("bit {bit} of byte {byte}");
            check(&environment(&killed, &killed_index), options(Durability::Sync), &known.into_inner(), &label);
        }
    }
    let late = SimulationOptions { after_failed_sync: AfterFailedSync::ReportedLate, ..SimulationOptions::default() };
    let (disk, index) = (SimulatedDisk::new(late), MemoryIndexProvider::default());
    let (environment_now, known) = (environment(&disk, &index), Mutex::new(Known::default()));
    let open = || Store::open_in(&environment_now, ROOT, options(Durability::Sync)).unwrap();
    let store = open();
    run(&store, &known, 0, 1, &mut Random::new(0)).unwrap();
    store.close().unwrap();
    disk.inject(Fault::at(1, Failure::Io).of(OperationKind::Sync).on("control"));
    // Neither closed nor dropped before the power cuts.
    let store = open();
    run(&store, &known, 1, 5, &mut Random::new(1)).unwrap();
    assert_eq!(disk.failures(), 1);
    let known = known.into_inner();
    for seed in 0..50 {
        let (disk, index) = (disk.crash(seed, CrashOptions::default()), index.crash(seed));
        check(&environment(&disk, &index), options(Durability::Sync), &known, &format!("cut {seed}"));
    }
}

/// Goal: what is acknowledged while another thread closes the store is there afterwards. Method: writers race with the close, many
/// times; a group that forms behind the last leader must not be written behind the end that the close notes.
#[test]
fn what_is_acknowledged_during_a_close_is_there_afterwards() {
    for round in 0..60 {
        let (disk, index) = (SimulatedDisk::default(), MemoryIndexProvider::default());
        let environment_now = environment(&disk, &index);
        let store = Store::open_in(&environment_now, ROOT, options(Durability::Sync).tail_events_max(100)).unwrap();
        let acknowledged: Vec<Sequence> = std::thread::scope(|scope| {
            let write = |thread: u64| {
                let store = &store;
                move || {
                    let name = stream(&format!("s-{thread}"));
                    let append = || store.append(&name, ExpectedVersion::Any, vec![event("x")]);
                    std::iter::from_fn(|| append().ok()).map(|receipt| receipt.sequence_last).collect::<Vec<_>>()
                }
            };
            let threads: Vec<_> = (0..4).map(|thread| scope.spawn(write(thread))).collect();
            while store.last_sequence() < Sequence::new(20 + round) {
                std::hint::spin_loop();
            }
            store.close().unwrap();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        let again = Store::open_in(&environment_now, ROOT, options(Durability::Sync)).unwrap();
        assert_eq!(again.recovery_report().bytes_read, 0, "round {round}");
        assert_eq!(again.last_sequence().get(), acknowledged.len() as u64, "round {round}");
        assert_eq!(all_payloads(&again).len(), acknowledged.len(), "round {round}");
    }
}

/// A segment lost, or a durable event damaged: refused, and not one byte changed.
#[test]
fn damage_is_refused_and_nothing_is_changed() {
    let disk = SimulatedDisk::default();
    let index = MemoryIndexProvider::default();
    let store = Store::open_in(&environment(&disk, &index), ROOT, options(Durability::Sync)).unwrap();
    run(&store, &Mutex::new(Known::default()), 0, 40, &mut Random::new(5)).unwrap();
    store.close().unwrap();
    drop(store);
    let segments: Vec<PathBuf> =
        disk.files().into_iter().filter(|path| path.extension().is_some_and(|e| e == "seg")).collect();
    assert!(segments.len() > 3);
    for segment in &segments {
        let damaged = disk.kill();
        damaged.remove_file(segment).unwrap();
        let before = contents(&damaged);
        let error = Store::open_in(&environment(&damaged, &index.kill()), ROOT, options(Durability::Sync)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert_eq!(contents(&damaged), before, "{}", segment.display());
        let report = verify_in(&environment(&damaged, &index.kill()), ROOT).unwrap();
        assert!(!report.is_ok());
    }
}

fn contents(disk: &SimulatedDisk) -> Vec<(PathBuf, Vec<u8>)> {
    let files = disk.files().into_iter().filter(|path| !path.ends_with("LOCK"));
    files.map(|path| (path.clone(), disk.read_file(&path).unwrap())).collect()
}
