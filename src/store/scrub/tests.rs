use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::mpsc;
use std::time::Duration;

use super::bucket::BURST_BYTES;
use super::run::Host;
use super::*;
use crate::clock::{Clock, ManualClock};
use crate::disk::sim::{CrashOptions, Failure, Fault, OperationKind, SimulatedDisk};
use crate::index::MemoryIndexProvider;
use crate::store::{Align, Durability, FindingKind, Options, Store, verify_in};
use crate::types::{CodecId, EventType, ExpectedVersion, NewEvent, StreamId};

const ROOT: &str = "/store";
const FIRST: &str = "log/00000000000000000001.seg";
const SECTOR: u64 = 4096;

#[derive(Clone, Default)]
struct World {
    disk: SimulatedDisk,
    index: MemoryIndexProvider,
}

fn store_options() -> Options {
    let clock = ManualClock::new(Timestamp::from_micros(1));
    let store_id = StoreId::from_bytes([7; 16]);
    Options::new().segment_bytes(16 * 1024).background(false).store_id(store_id).clock(Arc::new(clock))
}

fn options() -> ScrubOptions {
    ScrubOptions::new().rate_bytes(0).clock(Arc::new(ManualClock::new(Timestamp::from_micros(100))))
}

fn go_on(_: ScrubProgress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn write(store: &Store, from: u64, count: u64) {
    for number in from..from + count {
        let name = StreamId::new(if number % 3 == 0 { "a-1" } else { "b-1" }).unwrap();
        let text = format!("{number} {}", "x".repeat(120));
        let event = NewEvent::new(EventType::new("Noted").unwrap(), CodecId::RAW, text.into_bytes());
        store.append(&name, ExpectedVersion::Any, vec![event.clone(), event]).unwrap();
        if number % 5 == 4 {
            store.housekeep().unwrap();
        }
    }
}

impl World {
    /// A closed store of several segments.
    fn filled() -> Self {
        let world = Self::default();
        let store = world.open(store_options());
        write(&store, 0, 120);
        store.close().unwrap();
        world
    }

    fn environment(&self) -> Environment {
        Environment::new(Arc::new(self.disk.clone()), Arc::new(self.index.clone()))
    }

    fn open(&self, options: Options) -> Store {
        Store::open_in(&self.environment(), ROOT, options).unwrap()
    }

    fn scrub(&self) -> Result<ScrubReport> {
        scrub_in(&self.environment(), ROOT, &options(), &mut go_on)
    }

    /// All files but the position.
    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let files = self.disk.files().into_iter().filter(|path| path != &self.path("scrub"));
        files.map(|path| (path.clone(), self.disk.read_file(&path).unwrap())).collect()
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::new(ROOT).join(name)
    }

    /// How often segments were read since, by file.
    fn segments_read(&self, since: usize) -> BTreeMap<PathBuf, usize> {
        let mut counts = BTreeMap::new();
        for call in self.disk.operation_log().split_off(since) {
            if call.kind == OperationKind::Read && call.path.extension().is_some_and(|end| end == "seg") {
                *counts.entry(call.path.to_path_buf()).or_default() += 1;
            }
        }
        counts
    }
}

#[test]
fn a_sound_store_is_read_whole_and_nothing_is_changed() {
    for align in [Align::Packed, Align::Sector] {
        let world = World::default();
        let store = world.open(store_options().align(align));
        write(&store, 0, 120);
        store.close().unwrap();
        let before = world.files();
        let report = world.scrub().unwrap();
        let verified = verify_in(&world.environment(), ROOT).unwrap();
        assert!(report.is_ok() && report.is_complete && report.keeps_position, "{:?}", report.findings);
        assert!(report.segments > 3 && report.bytes >= (report.segments - 1) * 12 * 1024, "{report:?}");
        assert_eq!(
            (report.segments, report.events, report.last_sequence),
            (verified.segments, verified.events, verified.last_sequence)
        );
        assert_eq!((report.pass, report.unread_since), (1, Timestamp::from_micros(100)));
        assert!(world.files() == before);
        assert_eq!(world.scrub().unwrap().pass, 2);
    }
}

/// Goal: what `verify` says of the log, a scrub says too. Method: one bit at a time, at places all over the first, a middle and the
/// last segment and in a seal.
#[test]
fn what_is_found_is_what_verify_finds() {
    let world = World::filled();
    let mut segments: Vec<PathBuf> =
        world.disk.files().into_iter().filter(|path| path.extension().is_some_and(|end| end == "seg")).collect();
    let last = segments.pop().unwrap();
    let seal = segments[1].with_extension("seal");
    let chosen = [segments[0].clone(), segments[segments.len() / 2].clone(), last, seal];
    let mut found = 0;
    for (number, path) in chosen.iter().enumerate() {
        let bytes = world.disk.read_file(path).unwrap();
        let written = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        for at in (number..written).step_by(written / 60) {
            let at = at as u64;
            world.disk.flip_bit(path, at, 3).unwrap();
            let (scrubbed, verified) = (world.scrub().unwrap(), verify_in(&world.environment(), ROOT).unwrap());
            let label = format!("{} at {at}: {:?}, {:?}", path.display(), scrubbed.findings, verified.findings);
            assert_eq!(scrubbed.is_ok(), verified.is_ok(), "{label}");
            // Of the log's end the index has its own to say.
            assert!(number == 2 || scrubbed.findings == verified.findings, "{label}");
            found += scrubbed.findings.len();
            world.disk.flip_bit(path, at, 3).unwrap();
        }
    }
    assert!(found > 200, "{found}");
    assert!(world.scrub().unwrap().is_ok());
}

#[test]
fn damage_to_control_is_found_and_to_the_identity_is_an_error() {
    let world = World::filled();
    world.disk.flip_bit(&world.path("control"), 520, 0).unwrap();
    let findings = world.scrub().unwrap().findings;
    assert_eq!(findings.iter().map(|finding| finding.kind).collect::<Vec<_>>(), [FindingKind::Control]);
    world.disk.flip_bit(&world.path("control"), 520, 0).unwrap();
    world.disk.flip_bit(&world.path("identity"), 20, 0).unwrap();
    let error = world.scrub().unwrap_err();
    assert_eq!((error.kind(), error.corruption().unwrap().file.as_str()), (ErrorKind::Corrupt, "identity"));
}

#[test]
fn a_segment_that_is_missing_and_a_lost_end_are_found() {
    let world = World::filled();
    let segments: Vec<PathBuf> =
        world.disk.files().into_iter().filter(|path| path.extension().is_some_and(|end| end == "seg")).collect();
    let (middle, last) = (&segments[2], segments.last().unwrap());
    for (gone, expected) in [(middle, FindingKind::Segments), (last, FindingKind::Missing)] {
        let bytes = world.disk.read_file(gone).unwrap();
        world.disk.remove_file(gone).unwrap();
        let kinds: Vec<FindingKind> = world.scrub().unwrap().findings.iter().map(|finding| finding.kind).collect();
        assert!(kinds.contains(&expected), "{}: {kinds:?}", gone.display());
        world.disk.write_file(gone, &bytes).unwrap();
    }
    assert!(world.scrub().unwrap().is_ok());
}

/// Goal: a scrub that is broken off anywhere goes on there, and says in the end what it would have said. Method: broken off at
/// each call of its progress; what it reads afterwards is looked at in the disk's log.
#[test]
fn a_scrub_that_is_broken_off_goes_on_where_it_was() {
    let world = World::filled();
    world.disk.flip_bit(&world.path(FIRST), 5_000, 1).unwrap();
    let whole = world.scrub().unwrap();
    assert!(!whole.is_ok());
    let calls = Cell::new(0u64);
    scrub_in(&world.environment(), ROOT, &options(), &mut |progress| {
        assert!(progress.done_bytes <= progress.total_bytes, "{progress:?}");
        calls.set(calls.get() + 1);
        ControlFlow::Continue(())
    })
    .unwrap();
    let mut resumed = 0;
    for broken in 1..=calls.get() {
        let mut seen = 0;
        let mut at = Sequence::ZERO;
        let outcome = scrub_in(&world.environment(), ROOT, &options().restart(true), &mut |progress| {
            seen += 1;
            at = progress.segment;
            if seen == broken { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Aborted);
        let since = world.disk.operation_log().len();
        let report = world.scrub().unwrap();
        let expected = ScrubReport { pass: report.pass, was_resumed: report.was_resumed, ..whole.clone() };
        assert_eq!(report, expected, "broken off at call {broken}");
        let read = world.segments_read(since);
        for (path, count) in &read {
            let first: u64 = path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
            // Of those before, headers at most.
            assert!(first >= at.get() || *count <= 4, "{} was read again, {count} times", path.display());
        }
        resumed += u64::from(report.was_resumed);
    }
    assert!(resumed > 5, "{resumed}");
}

#[test]
fn a_position_that_is_damaged_foreign_or_of_another_log_is_not_used() {
    let world = World::filled();
    let break_off = || {
        let mut calls = 0;
        let outcome = scrub_in(&world.environment(), ROOT, &options().restart(true), &mut |_| {
            calls += 1;
            if calls > 8 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Aborted);
    };
    break_off();
    let position = world.disk.read_file(&world.path("scrub")).unwrap();
    world.disk.flip_bit(&world.path("scrub"), position.len() as u64 / 2, 5).unwrap();
    let report = world.scrub().unwrap();
    assert!(report.is_ok() && !report.was_resumed && report.pass == 1);
    // The log is made anew under the same id: what was read before is not a part of it.
    break_off();
    let kept = world.disk.read_file(&world.path("scrub")).unwrap();
    let other = World::default();
    let store = other.open(store_options());
    write(&store, 1_000, 100);
    store.close().unwrap();
    other.disk.write_file(&other.path("scrub"), &kept).unwrap();
    let report = other.scrub().unwrap();
    assert!(report.is_ok() && !report.was_resumed, "{:?}", report.findings);
}

#[test]
fn a_sector_that_cannot_be_read_is_told_with_its_place_and_what_lies_behind_is_checked() {
    let world = World::filled();
    let whole = world.scrub().unwrap();
    let bad = 2 * SECTOR..3 * SECTOR;
    let fault = Fault::at(1, Failure::Io).of(OperationKind::Read).on(FIRST).touching(bad).for_good();
    world.disk.inject(fault);
    let report = world.scrub().unwrap();
    let read: Vec<_> = report.findings.iter().filter(|finding| finding.kind == FindingKind::Read).collect();
    assert_eq!(read.len(), 1, "{:?}", report.findings);
    assert_eq!((read[0].segment.as_str(), read[0].offset), (FIRST, Some(2 * SECTOR)));
    assert!(read[0].detail.starts_with("4096 bytes cannot be read"), "{}", read[0].detail);
    let frame = report.findings.iter().find(|finding| finding.kind == FindingKind::Frame).unwrap();
    assert_eq!(read[0].sequence, frame.sequence);
    assert!(frame.offset.unwrap() < 3 * SECTOR && frame.sequence.unwrap() > Sequence::FIRST);
    let lost = whole.events - report.events;
    assert!((1..=40).contains(&lost), "{lost} events are in a sector");
    assert_eq!(report.last_sequence, whole.last_sequence);
    world.disk.clear_faults();
    assert!(world.scrub().unwrap().is_ok());
}

#[test]
fn a_read_that_fails_once_is_counted_and_costs_nothing() {
    let world = World::filled();
    world.disk.inject(Fault::at(1, Failure::Io).of(OperationKind::Read).on(FIRST).touching(SECTOR..SECTOR + 1));
    let report = world.scrub().unwrap();
    assert!(report.is_ok(), "{:?}", report.findings);
    assert_eq!(report.reads_repeated, 1);
}

#[test]
fn a_device_that_is_gone_is_asked_for_so_much_and_no_more() {
    let world = World::default();
    let store = world.open(store_options().segment_bytes(8 * 1024 * 1024));
    for _ in 0..5 {
        let large = NewEvent::new(EventType::new("Large").unwrap(), CodecId::RAW, vec![7; 3_000_000]);
        store.append(&StreamId::new("a-1").unwrap(), ExpectedVersion::Any, vec![large]).unwrap();
    }
    store.close().unwrap();
    let since = world.disk.operations();
    world.disk.inject(Fault::at(1, Failure::Io).of(OperationKind::Read).touching(SECTOR..u64::MAX).for_good());
    let report = world.scrub().unwrap();
    assert!(report.findings.iter().all(|finding| finding.kind == FindingKind::Read), "{:?}", report.findings);
    assert!(report.findings.len() >= 2, "{:?}", report.findings);
    assert!(world.disk.operations() - since < 5_000);
}

/// Goal: beside a writer nothing is found that is not damage, and all that it had acknowledged is read. Method: the writer appends
/// and rolls at each call of the progress, in each durability.
#[test]
fn beside_a_writer_that_appends_and_rolls_nothing_is_found_and_all_is_read() {
    for durability in [Durability::Sync, Durability::Buffered] {
        let world = World::default();
        let store = world.open(store_options().durability(durability));
        write(&store, 0, 120);
        let before = store.last_sequence();
        let mut written = 120;
        let report = store
            .scrub(&options(), &mut |_| {
                if written < 600 {
                    write(&store, written, 3);
                    written += 3;
                }
                ControlFlow::Continue(())
            })
            .unwrap();
        assert!(report.is_ok(), "{durability:?}: {:?}", report.findings);
        assert!(report.last_sequence >= before && report.segments >= 3, "{durability:?}: {report:?}");
        store.close().unwrap();
        drop(store);
        let store = world.open(store_options());
        assert_eq!(store.last_sequence().get(), written * 2);
    }
}

#[test]
fn a_store_that_is_closed_ends_its_scrub_and_nothing_is_written_afterwards() {
    let world = World::default();
    let store = world.open(store_options());
    write(&store, 0, 120);
    let mut calls = 0;
    let outcome = store.scrub(&options(), &mut |_| {
        calls += 1;
        if calls == 5 {
            store.close().unwrap();
        }
        ControlFlow::Continue(())
    });
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Closed);
    let kept = position::load(&world.disk, &world.path("scrub"), StoreId::from_bytes([7; 16]));
    assert!(kept.is_none_or(|kept| !kept.is_done));
    assert_eq!(store.scrub(&options(), &mut go_on).unwrap_err().kind(), ErrorKind::Closed);
    assert!(world.scrub().unwrap().is_ok());
}

/// A host whose time is a clock that waits move on.
#[derive(Debug, Default)]
struct Simulated(ManualClock);

impl Host for Simulated {
    fn check(&self) -> Result<()> {
        Ok(())
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    fn wait(&self, at_most: Duration) {
        self.0.advance(at_most);
    }

    fn keep(&self, write: &mut dyn FnMut()) {
        write();
    }
}

#[test]
fn a_scrub_takes_as_long_as_its_rate_says() {
    let world = World::default();
    let store = world.open(store_options());
    write(&store, 0, 900);
    store.close().unwrap();
    let host = Simulated::default();
    host.0.advance(Duration::from_secs(1_000));
    let started = host.elapsed();
    let rate = 64 * 1024;
    let options = options().rate_bytes(rate);
    let mut longest = Duration::ZERO;
    let mut told = started;
    let report = scrub_on(&host, &world.environment(), Path::new(ROOT), &options, &mut |_| {
        longest = longest.max(host.elapsed() - told);
        told = host.elapsed();
        ControlFlow::Continue(())
    })
    .unwrap();
    // All but the first burst is waited for.
    let expected = Duration::from_millis(report.bytes.saturating_sub(BURST_BYTES) * 1_000 / rate);
    let took = host.elapsed() - started;
    assert!(
        expected > Duration::from_millis(500) && took.abs_diff(expected) < Duration::from_millis(10),
        "{took:?} and not {expected:?}"
    );
    assert!(longest <= Duration::from_millis(50), "it tells how far it is at least that often: {longest:?}");
}

/// A power cut or a kill at any call leaves the store as it was, and a scrub that is made again.
#[test]
fn a_power_cut_at_any_operation_of_a_scrub_costs_nothing() {
    let world = World::filled();
    let images = Arc::new(crate::sync::leaf::Mutex::new(Vec::new()));
    let taken = Arc::clone(&images);
    world.disk.set_observer(Box::new(move |info, disk| {
        let mut taken = taken.lock();
        taken.push(disk.crash(info.number, CrashOptions::default()));
        taken.push(disk.kill());
    }));
    world.scrub().unwrap();
    world.disk.clear_observer();
    let images = std::mem::take(&mut *images.lock());
    assert!(images.len() >= 6);
    for disk in images {
        let after = World { disk, index: world.index.clone() };
        let report = after.scrub().unwrap();
        assert!(report.is_ok() && report.events == 240, "{report:?}");
        assert!(verify_in(&after.environment(), ROOT).unwrap().is_ok());
    }
}

/// Each call that fails once is at most a position that is not kept, or an error; never a finding that is none.
#[test]
fn a_call_that_fails_is_never_taken_for_damage() {
    let world = World::filled();
    let before = world.disk.operations();
    world.scrub().unwrap();
    let calls = world.disk.operations() - before;
    for failing in (1..=calls).step_by(3) {
        world.disk.inject(Fault::at(failing, Failure::Io));
        match world.scrub() {
            Ok(report) => assert!(
                report.findings.iter().all(|finding| finding.kind == FindingKind::Read),
                "call {failing}: {:?}",
                report.findings
            ),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Io, "call {failing}: {error}"),
        }
        world.disk.clear_faults();
        assert!(scrub_in(&world.environment(), ROOT, &options().restart(true), &mut go_on).unwrap().is_ok());
    }
}

#[test]
fn a_scrubber_reports_each_pass_and_ends_with_its_store() {
    let world = World::default();
    let store = world.open(store_options());
    write(&store, 0, 60);
    let options = ScrubOptions::new().rate_bytes(0);
    assert_eq!(
        store.scrub_in_background(options.clone(), Duration::ZERO, |_| {}).unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
    let (reports, told) = mpsc::channel();
    let report = move |outcome: Result<ScrubReport>| reports.send(outcome).unwrap();
    let scrubber = store.scrub_in_background(options.clone(), Duration::from_secs(3_600), report).unwrap();
    let report = told.recv().unwrap().unwrap();
    assert!(report.is_ok() && report.events == 120 && scrubber.is_running());
    scrubber.stop();
    assert!(told.try_recv().is_err(), "the next pass is not due");
    // A new thread knows when the last pass was: it is not due either.
    let scrubber = store.scrub_in_background(options, Duration::from_secs(3_600), |_| panic!("it is not due")).unwrap();
    store.close().unwrap();
    scrubber.stop();
}
