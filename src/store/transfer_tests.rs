//! Exports and imports: what comes back is what was there, to the byte, and what is not whole or not the same is refused.

use std::ops::{ControlFlow, RangeBounds};
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;
use crate::disk::Disk;
use crate::disk::sim::SimulatedDisk;
use crate::index::MemoryIndexProvider;
use crate::types::{EventId, Metadata};

pub(super) const ROOT: &str = "/store";
pub(super) const TO: &str = "/copy";

#[derive(Clone, Default)]
pub(super) struct World {
    pub(super) disk: SimulatedDisk,
    pub(super) index: MemoryIndexProvider,
}

pub(super) fn options(clock: &ManualClock) -> Options {
    Options::new()
        .segment_bytes(4096)
        .background(false)
        .tail_events_max(7)
        .store_id(StoreId::from_bytes([7; 16]))
        .event_ids_from(1)
        .clock(Arc::new(clock.clone()))
}

/// Of imports: another time, another id and other segments than those of the store that was exported.
pub(super) fn other_options() -> Options {
    options(&ManualClock::new(Timestamp::from_micros(9_000_000_000_000)))
        .segment_bytes(8192)
        .store_id(StoreId::from_bytes([8; 16]))
}

pub(super) fn keep_going(_: TransferProgress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

impl World {
    pub(super) fn environment(&self) -> Environment {
        Environment::new(Arc::new(self.disk.clone()), Arc::new(self.index.clone()))
    }

    pub(super) fn kill(&self) -> Self {
        Self { disk: self.disk.kill(), index: self.index.kill() }
    }

    fn open(&self, root: &str) -> Store {
        Store::open_in(&self.environment(), root, other_options()).unwrap()
    }

    pub(super) fn export_range(
        &self,
        root: &str,
        range: impl RangeBounds<Sequence>,
    ) -> Result<(Vec<u8>, ExportReport)> {
        let mut lines = Vec::new();
        let report = export_in(&self.environment(), root, range, &mut lines, &mut keep_going)?;
        assert_eq!(report.bytes, lines.len() as u64);
        Ok((lines, report))
    }

    pub(super) fn export(&self, root: &str) -> (Vec<u8>, ExportReport) {
        self.export_range(root, ..).unwrap()
    }

    pub(super) fn import(&self, mut lines: &[u8]) -> Result<ImportReport> {
        import_in(&self.environment(), TO, other_options(), &mut lines, &mut keep_going)
    }

    /// Every path of an import that is not whole.
    fn partial(&self) -> Vec<PathBuf> {
        let paths = self.disk.files().into_iter();
        paths.filter(|path| path.to_string_lossy().contains("partial")).collect()
    }
}

/// What the index answers of a store, by everything that can be asked.
#[derive(Debug, PartialEq)]
struct Answers {
    streams: Vec<(StreamId, StreamHead)>,
    events: Vec<Vec<Event>>,
    keys: Vec<Option<KeyUse>>,
    correlated: Vec<Event>,
    checkpoints: Vec<Option<Checkpoint>>,
}

impl Answers {
    fn of(store: &Store) -> Self {
        let streams: Vec<_> = store.streams("").map(Result::unwrap).collect();
        let events = streams.iter().map(|(name, _)| store.read_stream(name, ..).map(Result::unwrap).collect());
        Self {
            events: events.collect(),
            keys: (0..60).map(|number| store.key_use(&format!("key-{number}")).unwrap()).collect(),
            correlated: store.read_correlation("c", ..).map(Result::unwrap).collect(),
            checkpoints: ["export", "report"].map(|name| store.checkpoint(name).unwrap()).to_vec(),
            streams,
        }
    }
}

/// A store of 40 commits, with keys, several streams in a commit, JSON and bytes, and a consumer's checkpoints in its log.
pub(super) fn filled() -> World {
    let world = World::default();
    let clock = ManualClock::new(Timestamp::from_micros(1_000));
    let store = Store::open_in(&world.environment(), ROOT, options(&clock)).unwrap();
    for number in 0u64..40 {
        clock.advance(Duration::from_micros(number % 4));
        let json = NewEvent::new(EventType::new("Sold").unwrap(), CodecId::JSON, format!("{{\"n\": {number}}}").into());
        let correlated = Metadata { correlation_id: Some("c".into()), ..Metadata::default() };
        let mut commit = Commit::new().append(&stream("a-1"), ExpectedVersion::Any, vec![event("first"), json]);
        if number % 2 == 0 {
            let second = event(&"x".repeat(90)).with_metadata(correlated);
            commit = commit.append(&stream("b-1"), ExpectedVersion::Any, vec![second]);
            commit = commit.append(&stream("a-1"), ExpectedVersion::Any, vec![event("again")]);
        }
        if number % 3 == 0 {
            commit = commit.idempotency_key(format!("key-{number}"));
        }
        store.commit(commit).unwrap();
        if number == 20 {
            let mut consumer = store.consumer("export", ConsumerOptions::new()).unwrap();
            let sequence = consumer.next().unwrap().unwrap().sequence;
            consumer.acknowledge(sequence).unwrap();
            consumer.close().unwrap();
        }
        store.housekeep().unwrap();
    }
    store.close().unwrap();
    world
}

#[test]
fn an_import_is_the_same_store_and_its_export_the_same_bytes() {
    let world = filled();
    let (lines, exported) = world.export(ROOT);
    assert_eq!((exported.first_sequence, exported.commits), (Sequence::FIRST, 41));
    let report = world.import(&lines).unwrap();
    assert!(report.is_new);
    assert_eq!((report.events_written, report.events_present), (exported.events, 0));
    assert_eq!((report.commits_written, report.merkle_root), (exported.commits, exported.merkle_root));
    assert!(world.export(TO).0 == lines, "byte for byte");
    let environment = world.environment();
    let [source, copy] = [ROOT, TO].map(|root| {
        let verified = verify_in(&environment, root).unwrap();
        assert!(verified.is_ok(), "{:?}", verified.findings);
        let to = format!("/backup-of{}", root.replace('/', "-"));
        backup_in(&environment, root, to, &BackupOptions::new(), &mut |_| ControlFlow::Continue(())).unwrap()
    });
    assert_eq!((source.merkle_root, source.store_id), (copy.merkle_root, copy.store_id));
    assert_eq!(source.merkle_root, Some(exported.merkle_root), "of a whole store the export has the backup's root");
    let (source, copy) = (world.open(ROOT), world.open(TO));
    let answers = Answers::of(&copy);
    assert_eq!(answers, Answers::of(&source));
    assert_eq!(answers.checkpoints[0], Some(Checkpoint { sequence: Sequence::FIRST, data: Vec::new() }));
    assert!(answers.keys[3].is_some() && !answers.correlated.is_empty());
    // It goes on like any store, and a key that was used is a repeat.
    let repeat = Commit::new().append(&stream("a-1"), ExpectedVersion::Any, vec![event("other")]);
    let refused = copy.commit(repeat.idempotency_key("key-3")).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::IdempotencyConflict);
    copy.append(&stream("a-1"), ExpectedVersion::Any, vec![event("on")]).unwrap();
    copy.close().unwrap();
    assert_eq!(world.partial(), Vec::<PathBuf>::new());
}

#[test]
fn the_index_of_an_import_says_what_one_says_that_is_made_anew() {
    let world = filled();
    // In two parts: the index in memory goes by the folder's name, and does not follow a store that is named.
    for last in [Sequence::new(2), Sequence::MAX] {
        world.import(&world.export_range(ROOT, ..=last).unwrap().0).unwrap();
    }
    let copy = world.open(TO);
    assert_eq!(copy.recovery_report().index, crate::IndexUse::Used);
    let answers = Answers::of(&copy);
    copy.close().unwrap();
    drop(copy);
    let anew = World { index: MemoryIndexProvider::default(), ..world };
    let rebuilt = anew.open(TO);
    assert!(matches!(rebuilt.recovery_report().index, crate::IndexUse::Rebuilt { .. }));
    assert_eq!(Answers::of(&rebuilt), answers);
}

#[test]
fn exports_of_one_part_after_another_make_the_whole() {
    let world = filled();
    let whole = world.export(ROOT);
    let end = whole.1.last_sequence;
    let mut from = Sequence::FIRST;
    let mut parts = Vec::new();
    while from <= end {
        let part = world.export_range(ROOT, from..=from.plus(20)).unwrap();
        assert_eq!(part.1.first_sequence, from);
        assert!(part.1.last_sequence >= from.plus(20).min(end), "a commit is exported whole");
        from = part.1.last_sequence.next();
        parts.push(part);
    }
    assert!(parts.len() > 3);
    // Behind the end there is an export of nothing, and beyond that none.
    let nothing = world.export_range(ROOT, end.next()..).unwrap();
    assert_eq!((nothing.1.events, nothing.1.last_sequence), (0, end));
    let beyond = world.export_range(ROOT, end.plus(2)..).unwrap_err();
    assert_eq!(beyond.kind(), ErrorKind::InvalidInput);
    assert_eq!(
        world.export_range(ROOT, Sequence::new(9)..Sequence::new(3)).unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
    parts.push(nothing);
    // Without what is before, a part has no place.
    assert_eq!(world.import(&parts[1].0).unwrap_err().kind(), ErrorKind::Conflict);
    assert!(world.disk.kind(Path::new(TO)).unwrap().is_none());
    for (number, (lines, exported)) in parts.iter().enumerate() {
        if let Some((later, _)) = parts.get(number + 1).filter(|(_, later)| later.events > 0 && number > 0) {
            assert_eq!(world.import(later).unwrap_err().kind(), ErrorKind::Conflict, "a part is left out");
        }
        let report = world.import(lines).unwrap();
        assert_eq!((report.is_new, report.events_written), (number == 0, exported.events));
        assert_eq!(report.merkle_root, exported.merkle_root);
        // Once more: it is all there.
        let again = world.import(lines).unwrap();
        assert_eq!((again.events_written, again.events_present), (0, exported.events));
    }
    assert!(world.export(TO).0 == whole.0);
    let again = world.import(&whole.0).unwrap();
    assert_eq!((again.events_present, again.is_new), (whole.1.events, false));
    assert!(verify_in(&world.environment(), TO).unwrap().is_ok());
}

#[test]
fn an_export_begins_and_ends_with_whole_commits() {
    let world = filled();
    // The first commit has the sequences 1 to 4.
    let (_, report) = world.export_range(ROOT, Sequence::new(3)..=Sequence::new(5)).unwrap();
    assert_eq!((report.first_sequence, report.last_sequence, report.commits), (Sequence::FIRST, Sequence::new(6), 2));
    let zero = world.export_range(ROOT, Sequence::ZERO..=Sequence::FIRST).unwrap().1;
    assert_eq!((zero.first_sequence, zero.last_sequence), (Sequence::FIRST, Sequence::new(4)));
}

#[test]
fn a_store_without_events_is_exported_and_imported_too() {
    let world = World::default();
    let clock = ManualClock::new(Timestamp::from_micros(1));
    Store::open_in(&world.environment(), ROOT, options(&clock)).unwrap().close().unwrap();
    let (lines, report) = world.export(ROOT);
    assert_eq!((report.events, report.last_sequence), (0, Sequence::ZERO));
    world.disk.create_directory(Path::new(TO)).unwrap();
    let imported = world.import(&lines).unwrap();
    assert!(imported.is_new && imported.events_written == 0, "into an empty folder");
    assert_eq!(world.open(TO).store_id(), StoreId::from_bytes([7; 16]));
}

#[test]
fn an_export_beside_a_writer_holds_what_was_acknowledged() {
    let world = World::default();
    let clock = ManualClock::new(Timestamp::from_micros(1));
    let store = Store::open_in(&world.environment(), ROOT, options(&clock)).unwrap();
    for number in 0..30 {
        store.append(&stream("a-1"), ExpectedVersion::Any, vec![event(&number.to_string())]).unwrap();
        let (lines, report) = world.export(ROOT);
        assert_eq!(report.last_sequence, store.last_sequence());
        assert_eq!(lines.iter().filter(|byte| **byte == b'\n').count() as u64, report.commits + 2);
    }
    let ticket = store.submit(Commit::new().append(&stream("a-1"), ExpectedVersion::Any, vec![event("later")]));
    assert_eq!(world.export(ROOT).1.last_sequence, store.last_sequence());
    ticket.unwrap().wait().unwrap();
    assert_eq!(world.import(&world.export(ROOT).0).unwrap().events_written, 31);
    let mut lines = &world.export(ROOT).0[..];
    let locked = import_in(&world.environment(), ROOT, other_options(), &mut lines, &mut keep_going).unwrap_err();
    assert_eq!(locked.kind(), ErrorKind::Locked);
}

#[test]
fn a_file_that_is_cut_anywhere_is_noticed_and_nothing_is_published() {
    let world = filled();
    let (lines, report) = world.export(ROOT);
    let text = String::from_utf8(lines).unwrap();
    let ends: Vec<usize> = text.match_indices('\n').map(|(at, _)| at + 1).collect();
    assert_eq!(ends.len() as u64, report.commits + 2);
    for cut in ends.iter().rev().skip(1).chain([&0, &(ends[0] - 1), &(ends[5] + 30), &(text.len() - 1)]) {
        let error = world.import(&text.as_bytes()[..*cut]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{cut}: {error}");
        assert_eq!(world.disk.kind(Path::new(TO)).unwrap(), None, "{cut}");
    }
    assert_eq!(world.partial(), Vec::<PathBuf>::new());
    let after = format!("{text}{{}}\n");
    assert!(world.import(after.as_bytes()).unwrap_err().to_string().contains("line 44"), "what stands behind the end");
}

#[test]
fn a_line_that_was_changed_is_told_by_its_number() {
    let world = filled();
    let text = String::from_utf8(world.export(ROOT).0).unwrap();
    let change = |number: usize, from: &str, to: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        assert!(lines[number - 1].contains(from), "{from} in {}", lines[number - 1]);
        lines[number - 1] = lines[number - 1].replacen(from, to, 1);
        format!("{}\n", lines.join("\n"))
    };
    let cases = [
        (7, "\"n\": 5", "\"n\": 6", ErrorKind::InvalidInput),
        (7, "\"a-1\"", "\"a-2\"", ErrorKind::InvalidInput),
        (7, "{\"commit\"", "{\"comit\"", ErrorKind::InvalidInput),
        (7, "\"events\"", "\"extra\":1,\"events\"", ErrorKind::InvalidInput),
        (8, "\"key_hash\":\"", "\"key_hash\":\"00", ErrorKind::InvalidInput),
        (8, "key-6", "key-7", ErrorKind::InvalidInput),
        (9, "\"crc32\":\"", "\"crc32\":\"0", ErrorKind::InvalidInput),
        (9, "\"time_micros\":", "\"time_micros\":-", ErrorKind::InvalidInput),
        (9, "\"sequence\":", "\"sequence\":1", ErrorKind::InvalidInput),
        (9, "\"base64\":\"", "\"base64\":\"!", ErrorKind::InvalidInput),
        (43, "\"merkle_root\":\"", "\"merkle_root\":\"0", ErrorKind::InvalidInput),
        (43, "\"commits\":41", "\"commits\":40", ErrorKind::InvalidInput),
        (1, "\"version\":1", "\"version\":2", ErrorKind::UnsupportedFormat),
        (1, "\"first_sequence\":1", "\"first_sequence\":0", ErrorKind::InvalidInput),
        (1, "export", "exports", ErrorKind::InvalidInput),
    ];
    for (number, from, to, kind) in cases {
        let error = world.import(change(number, from, to).as_bytes()).unwrap_err();
        assert_eq!(error.kind(), kind, "{from}: {error}");
        assert!(error.to_string().starts_with(&format!("line {number}: ")), "{from}: {error}");
        assert_eq!(world.disk.kind(Path::new(TO)).unwrap(), None, "{from}");
    }
    let lines: Vec<&str> = text.lines().collect();
    let without = |number: usize| {
        let kept: Vec<&str> =
            lines.iter().enumerate().filter(|(at, _)| *at + 1 != number).map(|(_, line)| *line).collect();
        format!("{}\n", kept.join("\n"))
    };
    let left_out = world.import(without(6).as_bytes()).unwrap_err();
    assert!(left_out.to_string().starts_with("line 6: it begins with sequence"), "{left_out}");
    assert!(world.import(without(42).as_bytes()).unwrap_err().to_string().starts_with("line 42: "), "the last commit");
}

#[test]
fn commits_before_a_bad_line_stay_in_a_store_that_is_there_and_the_import_goes_on() {
    let world = filled();
    let whole = world.export(ROOT);
    let (first, _) = world.export_range(ROOT, ..=Sequence::new(10)).unwrap();
    world.import(&first).unwrap();
    let text = String::from_utf8(whole.0.clone()).unwrap();
    let bad = text.replacen("\"n\": 20", "\"n\": 21", 1);
    let error = world.import(bad.as_bytes()).unwrap_err();
    assert!(error.to_string().starts_with("line 22: "), "{error}");
    let store = world.open(TO);
    let there = store.last_sequence();
    store.close().unwrap();
    drop(store);
    let (_, cut) = world.export_range(ROOT, ..=there).unwrap();
    assert_eq!((cut.commits, cut.last_sequence), (20, there), "20 whole commits");
    let report = world.import(&whole.0).unwrap();
    assert_eq!(report.events_present, there.get());
    assert_eq!(report.events_written, whole.1.events - there.get());
    assert!(world.export(TO).0 == whole.0);
}

#[test]
fn a_store_that_went_another_way_is_refused_and_stays() {
    let world = filled();
    let (lines, report) = world.export(ROOT);
    let (first, _) = world.export_range(ROOT, ..=Sequence::new(10)).unwrap();
    world.import(&first).unwrap();
    let store = world.open(TO);
    store.append(&stream("a-1"), ExpectedVersion::Any, vec![event("its own")]).unwrap();
    store.close().unwrap();
    drop(store);
    let before = world.export(TO).0;
    let error = world.import(&lines).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    assert!(error.to_string().contains("the store has another commit at sequence"), "{error}");
    assert!(error.to_string().starts_with("line "), "{error}");
    assert!(world.export(TO).0 == before);
    // Another store.
    let other = Store::open_in(&world.environment(), "/other", other_options()).unwrap();
    other.close().unwrap();
    drop(other);
    let mut rest = &lines[..];
    let error = import_in(&world.environment(), "/other", other_options(), &mut rest, &mut keep_going).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    // Something else.
    world.disk.create_directory(Path::new("/else")).unwrap();
    world.disk.write_file(Path::new("/else/file"), b"x").unwrap();
    let mut rest = &lines[..];
    let error = import_in(&world.environment(), "/else", other_options(), &mut rest, &mut keep_going).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotAStore, "{error}");
    let mut rest = &lines[..];
    let error = import_in(&world.environment(), "/none/copy", other_options(), &mut rest, &mut keep_going).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert!(report.events > 0);
}

#[test]
fn both_can_be_broken_off_at_any_moment() {
    let world = filled();
    let (lines, report) = world.export(ROOT);
    let mut phases = Vec::new();
    let mut rest = &lines[..];
    import_in(&world.kill().environment(), TO, other_options(), &mut rest, &mut |now| {
        assert!(now.done_events <= now.total_events && now.total_events == report.events, "{now:?}");
        if phases.last() != Some(&now.phase) {
            phases.push(now.phase);
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(phases, [TransferPhase::Import, TransferPhase::Verify]);
    for after in [0, 1, 20, 40, 45, 81] {
        let mut calls = 0;
        let mut stop = |_: TransferProgress| {
            calls += 1;
            if calls > after { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let mut rest = &lines[..];
        let error = import_in(&world.environment(), TO, other_options(), &mut rest, &mut stop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Aborted, "{after}");
        assert_eq!(world.disk.kind(Path::new(TO)).unwrap(), None, "{after}");
        assert_eq!(world.partial(), Vec::<PathBuf>::new(), "{after}");
        if after < 41 {
            calls = 0;
            let mut stop = |_: TransferProgress| {
                calls += 1;
                if calls > after { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            let file = Path::new("/export");
            let error = export_file_in(&world.environment(), ROOT, .., file, &mut stop).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Aborted, "{after}");
            assert_eq!(world.disk.kind(file).unwrap(), None);
            assert_eq!(world.partial(), Vec::<PathBuf>::new(), "{after}");
        }
    }
}

#[test]
fn an_export_of_a_damaged_log_is_refused_with_the_place() {
    let world = filled();
    let segment = world.disk.files().into_iter().find(|path| path.extension().is_some_and(|end| end == "seg")).unwrap();
    world.disk.flip_bit(&segment, 900, 2).unwrap();
    let file = Path::new("/export");
    let error = export_file_in(&world.environment(), ROOT, .., file, &mut keep_going).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(error.corruption().unwrap().file.ends_with(".seg"));
    assert_eq!(world.disk.kind(file).unwrap(), None);
    assert_eq!(world.partial(), Vec::<PathBuf>::new());
    // What lies behind the damage, in another segment, can be exported.
    let (_, tail) = world.export_range(ROOT, Sequence::new(100)..).unwrap();
    assert!(tail.events > 0);
}

fn payload() -> impl Strategy<Value = (u8, Vec<u8>)> {
    let json = prop::sample::select(vec![
        "null",
        "1.0",
        "{}",
        "{\"a\": [1, \"\\u00e1\"]}",
        " {}",
        "{\n}",
        "[",
        "\"caf\u{e9} \u{2028}\"",
        "1e400",
        "{\"a\":1,\"a\":2}",
    ]);
    prop_oneof![
        json.prop_map(|text| (2, text.as_bytes().to_vec())),
        (any::<u8>(), prop::collection::vec(any::<u8>(), 0..300)),
    ]
}

fn any_event() -> impl Strategy<Value = NewEvent> {
    let text = || prop::option::of("[ -~\u{e9}]{0,6}");
    let pairs = prop::collection::vec(("[a-b\n\"]{0,2}", "[ -~]{0,4}"), 0..3);
    let metadata = (text(), text(), text(), pairs).prop_map(|(correlation_id, causation_id, actor, pairs)| Metadata {
        correlation_id,
        causation_id,
        actor,
        pairs,
    });
    let tags = prop::collection::vec("[ -~]{0,5}", 0..3);
    let id = any::<[u8; 16]>().prop_map(EventId::from_bytes);
    (payload(), metadata, tags, any::<u16>(), id).prop_map(|((codec, payload), metadata, tags, schema_version, id)| {
        NewEvent {
            id: Some(id),
            event_type: EventType::new("Some \"type\"").unwrap(),
            schema_version,
            codec: CodecId(codec),
            tags,
            metadata,
            payload,
        }
    })
}

/// Streams and events, whether it has a key, and how much later it is, microseconds.
type AnyCommit = (Vec<(usize, Vec<NewEvent>)>, bool, u64);

fn any_commit() -> impl Strategy<Value = AnyCommit> {
    let appends = prop::collection::vec((0usize..4, prop::collection::vec(any_event(), 1..4)), 1..4);
    (appends, any::<bool>(), 0u64..3)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Goal: whatever was committed, an import of its export is the same store. Method: random commits; the export of the import
    /// is compared byte for byte, and the events, the index's answers and the backup's Merkle root with those of the source.
    #[test]
    fn whatever_was_committed_comes_back(commits in prop::collection::vec(any_commit(), 1..25)) {
        let world = World::default();
        let clock = ManualClock::new(Timestamp::from_micros(5));
        let store = Store::open_in(&world.environment(), ROOT, options(&clock)).unwrap();
        for (number, (appends, has_key, later)) in commits.into_iter().enumerate() {
            clock.advance(Duration::from_micros(later));
            let mut commit = Commit::new();
            for (name, events) in appends {
                commit = commit.append(&stream(["a-1", "b", "system-x", "c \"1\""][name]), ExpectedVersion::Any, events);
            }
            if has_key {
                commit = commit.idempotency_key(format!("key-{number}"));
            }
            store.commit(commit).unwrap();
        }
        store.close().unwrap();
        drop(store);
        let (lines, report) = world.export(ROOT);
        let imported = world.import(&lines).unwrap();
        prop_assert_eq!(imported.merkle_root, report.merkle_root);
        prop_assert!(world.export(TO).0 == lines);
        prop_assert!(verify_in(&world.environment(), TO).unwrap().is_ok());
        let backup = backup_in(&world.environment(), TO, "/backup", &BackupOptions::new(), &mut |_| ControlFlow::Continue(())).unwrap();
        prop_assert_eq!(backup.merkle_root, Some(report.merkle_root));
        let all = |store: &Store| store.read_all(..).map(Result::unwrap).collect::<Vec<_>>();
        let (source, copy) = (world.open(ROOT), world.open(TO));
        prop_assert_eq!(all(&source), all(&copy));
        prop_assert_eq!(Answers::of(&source), Answers::of(&copy));
    }
}
