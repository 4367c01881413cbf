//! Plans of repairs, over stores that are damaged in every way we know: what is told is what is there, and nothing changes.

use std::path::{Path, PathBuf};

use super::*;
use crate::disk::sim::{CrashOptions, Random, SimulatedDisk};
use crate::format::segment::SegmentHeader;
use crate::index::MemoryIndexProvider;

pub(super) const ROOT: &str = "/store";

#[derive(Clone, Default)]
pub(super) struct World {
    pub(super) disk: SimulatedDisk,
    pub(super) index: MemoryIndexProvider,
}

pub(super) fn options() -> Options {
    Options::new()
        .segment_bytes(4096)
        .background(false)
        .store_id(StoreId::from_bytes([7; 16]))
        .clock(Arc::new(ManualClock::new(Timestamp::from_micros(1))))
}

impl World {
    /// A closed store of 120 events in commits of one and two, and several segments.
    pub(super) fn closed() -> (Self, Vec<Event>) {
        let world = Self::default();
        let store = Store::open_in(&world.environment(), ROOT, options()).unwrap();
        for number in 0..80 {
            let name = ["a-1", "b-1", "c-1"][number % 3];
            let events = vec![event(&format!("{number} {}", "x".repeat(60))); 1 + number % 2];
            store.append(&stream(name), ExpectedVersion::Any, events).unwrap();
        }
        let events = store.read_all(..).map(Result::unwrap).collect();
        store.housekeep().unwrap();
        store.close().unwrap();
        (world, events)
    }

    pub(super) fn environment(&self) -> Environment {
        Environment::new(Arc::new(self.disk.clone()), Arc::new(self.index.clone()))
    }

    pub(super) fn copy(&self) -> Self {
        Self { disk: self.disk.kill(), index: self.index.kill() }
    }

    fn contents(&self) -> Vec<(PathBuf, Vec<u8>)> {
        self.disk.files().into_iter().map(|path| (path.clone(), self.disk.read_file(&path).unwrap())).collect()
    }

    pub(super) fn segments(&self) -> Vec<PathBuf> {
        self.disk.files().into_iter().filter(|path| path.extension().is_some_and(|end| end == "seg")).collect()
    }

    /// The plan, which must leave every file as it was, tell of `events` exactly those that are shown, and add up.
    pub(super) fn plan(&self, events: &[Event], label: &str) -> RepairPlan {
        let before = self.contents();
        let mut shown = Vec::new();
        let plan = repair_plan_in(&self.environment(), ROOT, &mut |event| shown.push(event.clone()))
            .unwrap_or_else(|error| panic!("{label}: {error}"));
        assert!(self.contents() == before, "{label}: nothing is changed");
        let kept: Vec<u64> = plan.kept.iter().flat_map(|range| range.first.get()..=range.last.get()).collect();
        let lost: Vec<u64> = plan.lost.iter().flat_map(|range| range.first.get()..=range.last.get()).collect();
        assert_eq!((plan.events_kept, plan.events_lost), (kept.len() as u64, lost.len() as u64), "{label}");
        let mut all = [kept.clone(), lost.clone()].concat();
        all.sort_unstable();
        assert_eq!(all, (1..=all.len() as u64).collect::<Vec<_>>(), "{label}: each sequence is kept or lost");
        let expected: Vec<&Event> = events.iter().filter(|event| kept.contains(&event.sequence.get())).collect();
        assert_eq!(shown.iter().collect::<Vec<_>>(), expected, "{label}: what is kept is what was written");
        let mut unknown = plan.events_lost;
        for loss in &plan.streams {
            let versions: Vec<u64> = loss.lost.iter().flat_map(|v| v.first.get()..=v.last.get()).collect();
            let of_stream = events.iter().filter(|event| event.stream == loss.stream);
            let really =
                of_stream.filter(|event| lost.contains(&event.sequence.get())).map(|event| event.version.get());
            let really: Vec<u64> = really.collect();
            assert!(versions.iter().all(|version| really.contains(version)), "{label}: {loss:?}, really {really:?}");
            assert_eq!(loss.whole_through.get() + 1, really[0], "{label}");
            unknown -= loss.events_lost;
        }
        assert_eq!(plan.events_of_unknown_streams, unknown, "{label}");
        plan
    }
}

#[test]
fn a_sound_store_has_nothing_to_repair_open_or_closed_or_torn() {
    let (world, events) = World::closed();
    let plan = world.plan(&events, "closed");
    assert!(!plan.is_damaged() && plan.refusal.is_none() && plan.torn_tail.is_none(), "{plan:?}");
    assert_eq!(plan.events_kept, 120);
    let store = Store::open_in(&world.environment(), ROOT, options()).unwrap();
    store.append(&stream("a-1"), ExpectedVersion::Any, vec![event("beside a writer")]).unwrap();
    let events: Vec<Event> = store.read_all(..).map(Result::unwrap).collect();
    let plan = world.plan(&events, "beside a writer");
    assert!(!plan.is_damaged() && plan.refusal.is_none(), "{plan:?}");
    assert_eq!(plan.events_kept, 121);
    drop(store);
    // What a power cut tears is no damage: the next open cuts it.
    let world = World::default();
    let store = Store::open_in(&world.environment(), ROOT, options().durability(Durability::Buffered)).unwrap();
    for number in 0..10 {
        store
            .append(&stream("a-1"), ExpectedVersion::Any, vec![event(&format!("{number} {}", "x".repeat(150)))])
            .unwrap();
    }
    let events: Vec<Event> = store.read_all(..).map(Result::unwrap).collect();
    let mut torn = 0;
    for seed in 0..60 {
        let crashed = World { disk: world.disk.crash(seed, CrashOptions::default()), index: world.index.crash(seed) };
        let plan = crashed.plan(&events, &format!("seed {seed}"));
        assert!(!plan.is_damaged() && plan.refusal.is_none(), "seed {seed}: {plan:?}");
        let opened = Store::open_in(&crashed.environment(), ROOT, options()).unwrap();
        let cut = opened.recovery_report().cut.as_ref().map(|cut| (cut.file.clone(), cut.offset, cut.bytes));
        assert_eq!(plan.torn_tail.map(|tail| (tail.file, tail.offset, tail.bytes)), cut, "seed {seed}");
        assert_eq!(plan.events_kept, opened.last_sequence().get(), "seed {seed}");
        torn += u64::from(cut.is_some());
    }
    assert!(torn > 5, "{torn} torn tails");
}

#[test]
fn a_flipped_bit_costs_its_commit_and_nothing_else() {
    let (world, events) = World::closed();
    let segments = world.segments();
    let mut random = Random::new(5);
    let mut lost = 0;
    for number in 0..400 {
        let damaged = world.copy();
        let path = &segments[random.index(segments.len())];
        let bytes = damaged.disk.read_file(path).unwrap();
        // Behind the header, which is tried below.
        let offset = 512 + random.below(bytes.len() as u64 - 512);
        damaged.disk.flip_bit(path, offset, u32::try_from(random.below(8)).unwrap()).unwrap();
        let label = format!("{number}: {} at {offset}", path.display());
        let plan = damaged.plan(&events, &label);
        assert_eq!(plan.events_kept + plan.events_lost, 120, "{label}");
        assert!(plan.events_lost <= 2, "{label}: a commit has at most two events: {plan:?}");
        lost += u64::from(plan.events_lost > 0);
        // In the zeros behind the last frame it is what the next open cuts.
        assert!(plan.is_damaged() || plan.torn_tail.is_some(), "{label}");
    }
    assert!(lost > 200, "{lost} lost a commit");
    // One more event begins a segment, which has room left at its end.
    let damaged = world.copy();
    let store = Store::open_in(&damaged.environment(), ROOT, options()).unwrap();
    store.append(&stream("a-1"), ExpectedVersion::Any, vec![event(&"x".repeat(500))]).unwrap();
    let events: Vec<Event> = store.read_all(..).map(Result::unwrap).collect();
    store.close().unwrap();
    drop(store);
    let last = damaged.segments().pop().unwrap();
    damaged.disk.flip_bit(&last, 4095, 0).unwrap();
    let plan = damaged.plan(&events, "the last byte");
    assert!(!plan.is_damaged() && plan.torn_tail.is_some(), "{plan:?}");
}

#[test]
fn a_file_that_is_damaged_or_gone_is_named_and_what_it_held_is_told() {
    let (world, events) = World::closed();
    let segments = world.segments();
    assert!(segments.len() >= 4, "{}", segments.len());
    let first_of = |path: &Path| path.file_stem().unwrap().to_str().unwrap().parse::<u64>().unwrap();
    for (number, path) in segments.iter().enumerate() {
        let following = segments.get(number + 1).map_or(121, |next| first_of(next));
        let label = path.display().to_string();
        // A header: it can be made again, and no event is lost.
        let damaged = world.copy();
        damaged.disk.flip_bit(path, 40, 1).unwrap();
        let plan = damaged.plan(&events, &label);
        assert_eq!((plan.events_kept, plan.events_lost), (120, 0), "{label}: {plan:?}");
        assert!(plan.damage.iter().any(|finding| label.ends_with(&finding.segment)), "{label}: {:?}", plan.damage);
        // The whole segment.
        let damaged = world.copy();
        damaged.disk.remove_file(path).unwrap();
        let plan = damaged.plan(&events, &label);
        let lost: Vec<_> = plan.lost.iter().map(|loss| (loss.first.get(), loss.last.get())).collect();
        assert_eq!(lost, [(first_of(path), following - 1)], "{label}");
        assert!(!plan.damage.is_empty() && plan.refusal.is_some(), "{label}: {plan:?}");
        // The index knows whose they were, also at the end.
        assert_eq!(plan.events_of_unknown_streams, 0, "{label}");
        assert_eq!(plan.streams.len(), 3, "{label}");
    }
    // A seal is made again.
    let damaged = world.copy();
    damaged.disk.flip_bit(&segments[0].with_extension("seal"), 60, 1).unwrap();
    let plan = damaged.plan(&events, "a seal");
    assert!(plan.is_damaged() && plan.events_lost == 0 && plan.refusal.is_none(), "{plan:?}");
    assert_eq!(plan.damage[0].kind, FindingKind::Seal);
    // An identity: the log says whose it is.
    for damage in [Some(20), None] {
        let damaged = world.copy();
        let identity = Path::new("/store/identity");
        match damage {
            Some(offset) => damaged.disk.flip_bit(identity, offset, 3).unwrap(),
            None => damaged.disk.remove_file(identity).unwrap(),
        }
        let plan = damaged.plan(&events, "an identity");
        assert_eq!((plan.store_id, plan.events_kept), (Some(StoreId::from_bytes([7; 16])), 120), "{damage:?}");
        assert!(plan.refusal.is_some() && plan.damage[0].segment == "identity", "{plan:?}");
    }
}

#[test]
fn damage_in_proven_frames_of_the_active_segment_is_told() {
    let (world, events) = World::closed();
    let last = world.segments().pop().unwrap();
    let first: u64 = last.file_stem().unwrap().to_str().unwrap().parse().unwrap();
    // Without the index, which covers all of a closed store, an open reads the log.
    let damaged = World { index: MemoryIndexProvider::default(), ..world.copy() };
    damaged.disk.flip_bit(&last, 520, 2).unwrap();
    let plan = damaged.plan(&events, "active");
    assert!(plan.refusal.is_some() && !plan.damage.is_empty(), "{plan:?}");
    assert_eq!(plan.lost.len(), 1, "{plan:?}");
    let loss = &plan.lost[0];
    assert_eq!((loss.first.get(), loss.offset), (first, 512));
    assert!(last.ends_with(&loss.file), "{}", loss.file);
    assert_eq!(plan.damage[0].offset, Some(512));
}

#[test]
fn what_is_no_store_has_no_plan() {
    let world = World::default();
    let kind = |world: &World| repair_plan_in(&world.environment(), ROOT, &mut |_| {}).unwrap_err().kind();
    assert_eq!(kind(&world), ErrorKind::NotFound);
    crate::disk::Disk::create_directory(&world.disk, Path::new(ROOT)).unwrap();
    assert_eq!(kind(&world), ErrorKind::NotFound);
    world.disk.write_file(Path::new("/store/letter.txt"), b"hello").unwrap();
    assert_eq!(kind(&world), ErrorKind::NotAStore);
}

/// What: a store whose last segment was cut within its close mark was refused by `open`, and `verify` found nothing, a reader
/// showed it, and the plan of a repair called it sound.
/// Why: the index ends behind the mark, and only `open` compared the two; all events are before it.
/// How found: the fuzz target `directory`, which cuts a file of a closed store and asks whether what verifies opens.
#[test]
fn a_log_that_is_damaged_before_the_end_of_the_index_is_told_by_all() {
    let world = World::default();
    let store = Store::open_in(&world.environment(), ROOT, options()).unwrap();
    for _ in 0..3 {
        store.append(&stream("a-1"), ExpectedVersion::Any, vec![event("before the mark")]).unwrap();
    }
    let events: Vec<Event> = store.read_all(..).map(Result::unwrap).collect();
    store.close().unwrap();
    let last = world.segments().pop().unwrap();
    let bytes = world.disk.read_file(&last).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let sound = verify_in(&world.environment(), ROOT).unwrap();
    assert!(sound.is_ok(), "{:?}", sound.findings);
    for cut in 1..40 {
        let label = format!("cut by {cut}");
        let world = world.copy();
        world.disk.write_file(&last, &bytes[..end - cut]).unwrap();
        let report = verify_in(&world.environment(), ROOT).unwrap();
        assert_eq!(report.events, events.len() as u64, "{label}: the events are all there");
        assert_eq!(report.findings.len(), 1, "{label}: {:?}", report.findings);
        let plan = world.plan(&events, &label);
        assert!(plan.is_damaged() && plan.refusal.is_some(), "{label}: {plan:?}");
        let refused = Store::open_read_only_in(&world.environment(), ROOT).err().map(|error| error.kind());
        assert_eq!(refused, Some(ErrorKind::Corrupt), "{label}: a reader");
        let refused = Store::open_in(&world.environment(), ROOT, options()).err().map(|error| error.kind());
        assert_eq!(refused, Some(ErrorKind::Corrupt), "{label}: a writer");
    }
    // The same where it is only wrong.
    world.disk.flip_bit(&last, end as u64 - 20, 3).unwrap();
    let report = verify_in(&world.environment(), ROOT).unwrap();
    assert_eq!(report.findings.len(), 1, "{:?}", report.findings);
    let refused = Store::open_in(&world.environment(), ROOT, options()).err().map(|error| error.kind());
    assert_eq!(refused, Some(ErrorKind::Corrupt));
}

/// What: a segment's header whose checksum fits and whose ordinal is the largest number made a sum overflow, which ends a program
/// that is built with overflow checks.
/// Why: one was added to the ordinal before it was compared.
/// How found: the fuzz target `segment`, built with overflow checks.
#[test]
fn a_header_with_the_largest_ordinal_is_refused() {
    let world = World::default();
    let store = Store::open_in(&world.environment(), ROOT, options()).unwrap();
    store.append(&stream("a-1"), ExpectedVersion::Any, vec![event("one")]).unwrap();
    store.close().unwrap();
    let first = world.segments().remove(0);
    let mut bytes = world.disk.read_file(&first).unwrap();
    let mut header = SegmentHeader::decode(&bytes, StoreId::from_bytes([7; 16]), Sequence::FIRST).unwrap();
    header.ordinal = u64::MAX;
    let encoded = header.encode();
    bytes[..encoded.len()].copy_from_slice(&encoded);
    world.disk.write_file(&first, &bytes).unwrap();
    let refused = Store::open_in(&world.environment(), ROOT, options()).err().map(|error| error.kind());
    assert_eq!(refused, Some(ErrorKind::Corrupt));
    assert!(!verify_in(&world.environment(), ROOT).unwrap().is_ok());
}
