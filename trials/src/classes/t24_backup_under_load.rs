//! T24: backups taken while writers run.
//!
//! A piece has two halves. On the operating system's disk three threads write to a store that rolls every few commits, and
//! backups are taken meanwhile, a first one and two that bring it up to date, and one beside it: each must verify before it was
//! ever opened, be a prefix of whole commits that holds all that was durable when it began, and in the end open. On the
//! simulated disk a backup is taken beside a writer, or brought up to date, with a power cut before each of its operations: the
//! backup is then as it was (not there, where it was not), or further and whole, and the store is as it was.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bitacora::disk::OsDisk;
use bitacora::disk::sim::Random;
use bitacora::index::MemoryIndexProvider;
use bitacora::{
    BackupOptions, BackupReport, CodecId, Commit, Environment, Event, EventType, ExpectedVersion, NewEvent, Options,
    Preallocation, Sequence, Store, StreamId, backup_in, verify_in,
};

use crate::class::{Class, Extent, Tally, Threads};
use crate::images::{self, Watch};
use crate::workload::{Book, Life, ROOT, Shape, Sizes, World, script};

pub const CLASS: Class = Class {
    id: "T24",
    what: "backups under load",
    gate: 100,
    release: 5_000,
    extent: Extent::Endless,
    threads: Threads::One,
    piece,
};

/// Backups of one run on the operating system's disk, by the folder that each is made in or brought up to date.
const BACKUPS: [&str; 4] = ["backup-0", "backup-0", "backup-1", "backup-0"];
const WRITERS: u64 = 3;
/// Events that must have been added between two backups.
const EVENTS_BETWEEN: u64 = 40;

fn piece(seed: u64, tally: &mut Tally) {
    under_threads(seed, tally);
    with_power_cuts(seed, tally);
}

/// Where a run stands, and is removed with this.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(seed: u64) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("bitacora-t24-{}-{seed}-{number}", std::process::id()));
        std::fs::create_dir(&path).unwrap_or_else(|error| panic!("make {}: {error}", path.display()));
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left in the system's folder for temporary files is no fault of the store.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn environment() -> Environment {
    Environment::new(Arc::new(OsDisk), Arc::new(MemoryIndexProvider::default()))
}

fn options(random: &mut Random) -> Options {
    let preallocation = [Preallocation::Grow, Preallocation::Reserve, Preallocation::ZeroFill][random.index(3)];
    Options::new().segment_bytes([16 * 1024, 64 * 1024][random.index(2)]).preallocation(preallocation)
}

/// What the writers and whoever makes the backups share.
#[derive(Default)]
struct Load {
    is_over: AtomicBool,
}

/// One of the writers: commits of one to four events in a stream of its own and one of all, until it is over. Returns where
/// its commits ended.
fn write(store: &Store, load: &Load, mut random: Random, writer: u64) -> Vec<Sequence> {
    let (own, shared) = (stream(&format!("own-{writer}")), stream("shared-1"));
    let mut ends = Vec::new();
    while !load.is_over.load(Ordering::Relaxed) {
        let mut events = || {
            let mut payload = vec![0; random.index(300)];
            random.fill(&mut payload);
            NewEvent::new(EventType::new("Noted").expect("a name"), CodecId::RAW, payload)
        };
        let own_events = vec![events(), events()];
        let shared_events = vec![events()];
        let commit = Commit::new().append(&own, ExpectedVersion::Any, own_events).append(
            &shared,
            ExpectedVersion::Any,
            shared_events,
        );
        ends.push(store.commit(commit).expect("a commit on a sound disk").sequence_last);
    }
    ends
}

fn stream(name: &str) -> StreamId {
    StreamId::new(name).expect("a stream's name")
}

fn under_threads(seed: u64, tally: &mut Tally) {
    let folder = Folder::new(seed);
    let root = folder.0.join("store");
    let mut random = Random::new(seed);
    let store = Store::open_in(&environment(), &root, options(&mut random)).expect("a new store");
    let load = Load::default();
    let mut taken = Vec::new();
    let ends: BTreeSet<Sequence> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (store, load, random) = (&store, &load, Random::new(seed ^ (writer + 1)));
                scope.spawn(move || write(store, load, random, writer))
            })
            .collect();
        for (number, name) in (0..).zip(BACKUPS) {
            let wanted = store.last_sequence().plus(EVENTS_BETWEEN);
            while store.last_sequence() < wanted && !writers.iter().any(std::thread::ScopedJoinHandle::is_finished) {
                std::thread::yield_now();
            }
            let to = folder.0.join(name);
            let durable = store.durable_sequence();
            let is_update = to.exists();
            // Another process would see the same: nothing of the open store is used here.
            let report = back_up(&environment(), &root, &to).and_then(|report| Ok((read(&to)?, report)));
            let (held, report) = report.unwrap_or_else(|error| {
                load.is_over.store(true, Ordering::Relaxed);
                panic!("backup {number}: {error}")
            });
            taken.push(Taken { to, is_update, durable, held, report });
        }
        load.is_over.store(true, Ordering::Relaxed);
        writers.into_iter().flat_map(|writer| writer.join().expect("a writer")).collect()
    });
    let events: Vec<Event> = store.read_all(..).map(|event| event.expect("an event")).collect();
    store.close().expect("a store is closed");
    let mut opened = BTreeSet::new();
    for Taken { to, is_update, durable, held, report } in taken.into_iter().rev() {
        let label = to.display();
        assert!(report.last_sequence >= durable, "{label}: {durable} was durable, it ends at {}", report.last_sequence);
        assert!(
            report.last_sequence == Sequence::ZERO || ends.contains(&report.last_sequence),
            "{label}: sequence {} is no commit's end",
            report.last_sequence
        );
        assert!(held.len() as u64 == report.events && events.starts_with(&held), "{label}: {} events", held.len());
        assert!(is_update || report.segments_kept == 0, "{label}: {report:?}");
        assert_eq!(report.segments_kept + report.segments_copied, report.segments, "{label}");
        // Of those that were made in one folder the last one is there.
        if opened.insert(to.clone()) {
            check_backup(&environment(), &to, &events, report.last_sequence);
        }
        tally.note("events", report.events);
        tally.note("segments", report.segments);
        tally.note("kept", report.segments_kept);
        tally.one();
    }
}

/// A backup as it was when it was taken.
struct Taken {
    to: std::path::PathBuf,
    is_update: bool,
    durable: Sequence,
    held: Vec<Event>,
    report: BackupReport,
}

fn back_up(environment: &Environment, from: &Path, to: &Path) -> bitacora::Result<BackupReport> {
    backup_in(environment, from, to, &BackupOptions::new(), &mut |_| ControlFlow::Continue(()))
}

/// What a backup holds, without opening it to write. It verifies.
fn read(to: &Path) -> bitacora::Result<Vec<Event>> {
    let verified = verify_in(&environment(), to)?;
    assert!(verified.is_ok(), "{}: {:?}", to.display(), verified.findings);
    Store::open_read_only_in(&environment(), to)?.read_all(..).collect()
}

/// It verifies before it was ever opened, opens as what was closed, and holds just these first events.
fn check_backup(environment: &Environment, to: &Path, events: &[Event], last: Sequence) {
    let label = to.display();
    let verified = verify_in(environment, to).unwrap_or_else(|error| panic!("{label}: {error}"));
    assert!(verified.is_ok(), "{label}: {:?}", verified.findings);
    let opened = Store::open_in(environment, to, Options::new().segment_bytes(16 * 1024).background(false))
        .unwrap_or_else(|error| panic!("{label}: {error}"));
    let report = opened.recovery_report();
    assert!(report.was_closed_cleanly && report.cut.is_none(), "{label}: {report:?}");
    assert_eq!(opened.last_sequence(), last, "{label}");
    let mut found = 0;
    for (event, expected) in opened.read_all(..).zip(events) {
        assert_eq!(&event.unwrap_or_else(|error| panic!("{label}: {error}")), expected, "{label}");
        found += 1;
    }
    assert_eq!(found, last.get(), "{label}");
    opened.close().unwrap_or_else(|error| panic!("{label}: {error}"));
}

const TO: &str = "/backup";
const COMMITS: usize = 12;

fn with_power_cuts(seed: u64, tally: &mut Tally) {
    let mut random = Random::new(seed);
    let shape = Shape::drawn(&mut random);
    let world = World::new(&shape);
    let book = Arc::new(Book::new(seed, COMMITS, Sizes::default()));
    let mut life = Life::start(&world, shape, &book).expect("a new store");
    // A quarter of them make a backup, the others bring one up to date.
    let earlier_at = random.index(COMMITS + COMMITS / 3);
    let mut earlier = Sequence::ZERO;
    for (number, step) in script(&mut random, COMMITS).into_iter().enumerate() {
        life.step(step).unwrap_or_else(|error| panic!("{step:?}: {error}"));
        if number == earlier_at {
            let report = back_up(&life.world().environment(), Path::new(ROOT), Path::new(TO));
            earlier = report.unwrap_or_else(|error| panic!("after step {number}: {error}")).last_sequence;
        }
    }
    // A life goes on in another world after a kill.
    let world = life.world().clone();
    // Half of them beside the writer, half after it.
    let (life, durable) = if random.below(2) == 0 {
        life.close().expect("a store is closed");
        (None, None)
    } else {
        let durable = life.store().durable_sequence();
        (Some(life), Some(durable))
    };
    let known = book.known();
    let images = images::watch(&world, &book, shape, seed, Watch { each: 1, kills: false });
    let was_there = world.disk.files().iter().any(|path| path.starts_with(TO));
    let report = back_up(&world.environment(), Path::new(ROOT), Path::new(TO));
    let report = report.unwrap_or_else(|error| panic!("{shape:?}: {error}"));
    let images = images::take(&world, &images);
    drop(life);
    // A close writes what was submitted and not waited for, too.
    let expected = book.sequence(known.acknowledged)..=book.sequence(known.submitted);
    assert!(expected.contains(&report.last_sequence), "{} is not in {expected:?}", report.last_sequence);
    tally.one();
    tally.note("whole", 0);
    for image in images {
        let label = format!("before operation {}, {shape:?}", image.operation);
        let is_there = image.world.disk.files().iter().any(|path| path.starts_with(TO));
        assert!(is_there || !was_there, "{label}: a backup is gone");
        if is_there {
            let verified = verify_in(&image.world.environment(), TO).unwrap_or_else(|error| panic!("{label}: {error}"));
            assert!(verified.is_ok(), "{label}: {:?}", verified.findings);
            let least = if was_there { earlier } else { report.last_sequence };
            assert!((least..=report.last_sequence).contains(&verified.last_sequence), "{label}: {verified:?}");
            assert_eq!(verified.events, verified.last_sequence.get(), "{label}");
            tally.note("whole", u64::from(verified.last_sequence == report.last_sequence));
        }
        let store = image.world.open(&shape).unwrap_or_else(|error| panic!("{label}: {error}"));
        // In a weaker mode the store may lose to the power cut what the backup has.
        let kept = durable.unwrap_or(report.last_sequence)..=report.last_sequence;
        assert!(kept.contains(&store.last_sequence()), "{label}: {} is not in {kept:?}", store.last_sequence());
        tally.note("power cuts", 1);
    }
    let store = Store::open_in(&world.environment(), TO, shape.options()).unwrap_or_else(|error| panic!("{error}"));
    crate::oracle::check_events(&store, &book, known, &|| format!("the backup of {shape:?}"));
}
