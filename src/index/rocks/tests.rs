use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::index::conformance::{Log, STORE, put, watermark};

const ROCKS: RocksIndexProvider = RocksIndexProvider;

fn open(directory: &Path) -> Arc<dyn Index> {
    ROCKS.open(directory, STORE).unwrap()
}

/// Names, contents and times of change of all files in a folder, and the folder's own.
fn listing(directory: &Path) -> BTreeMap<String, (Vec<u8>, std::time::SystemTime)> {
    let files = std::fs::read_dir(directory).unwrap().map(|entry| {
        let entry = entry.unwrap();
        let changed = entry.metadata().unwrap().modified().unwrap();
        (entry.file_name().into_string().unwrap(), (std::fs::read(entry.path()).unwrap(), changed))
    });
    let own = (Vec::new(), std::fs::metadata(directory).unwrap().modified().unwrap());
    files.chain([(String::new(), own)]).collect()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

fn tables(directory: &Path) -> Vec<PathBuf> {
    let paths = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "sst")).collect()
}

/// An index with something in tables, in the write-ahead log, and in memory.
fn filled(directory: &Path) -> (Log, Arc<dyn Index>) {
    let mut log = Log::default();
    let index = open(directory);
    index.ingest(&log.batch(&["a", "b", "a"], &[("k", 1)])).unwrap();
    index.write_state(&[put("a", "1"), put("b", "2")], Sequence::new(3)).unwrap();
    (log, index)
}

fn evidence(directory: &Path) -> (Option<u64>, u64) {
    match ROCKS.evidence(directory, STORE) {
        IndexEvidence::Present { watermark, state_sequence } => {
            (watermark.map(|watermark| watermark.sequence.get()), state_sequence.get())
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn evidence_changes_nothing_in_the_folder() {
    // Goal: nothing, not even a time, in the folder changes by looking. Method: look at an index that was closed, at one
    // that was killed, and at one that is in use.
    let folder = tempfile::tempdir().unwrap();
    let [used, killed] = ["used", "killed"].map(|name| folder.path().join(name));
    let (_, index) = filled(&used);
    copy(&used, &killed);
    for directory in [&used, &killed] {
        let before = listing(directory);
        assert_eq!(evidence(directory), (Some(3), 3));
        assert!(matches!(ROCKS.evidence(directory, StoreId::from_bytes([9; 16])), IndexEvidence::Unusable(_)));
        assert_eq!(listing(directory), before);
    }
    index.close().unwrap();
    let before = listing(&used);
    assert_eq!(evidence(&used), (Some(3), 3));
    assert_eq!(listing(&used), before);
}

#[test]
fn reading_beside_a_writer_changes_nothing_in_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("index");
    let (log, writer) = filled(&directory);
    let before = listing(&directory);
    let reader = ROCKS.open_read_only(&directory, STORE).unwrap();
    reader.catch_up().unwrap();
    assert_eq!(reader.places("a", Version::FIRST, Direction::Forwards, 9).unwrap().len(), 2);
    assert_eq!(reader.state(b"b").unwrap().as_deref(), Some(&b"2"[..]));
    reader.close().unwrap();
    drop(reader);
    assert_eq!(listing(&directory), before);
    drop((log, writer));
}

#[test]
fn a_reader_removes_its_temporary_folder() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("index");
    let (_, index) = filled(&directory);
    index.close().unwrap();
    let scratch = Scratch::new().unwrap();
    let path = scratch.path().to_owned();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    let families = tuning::families(&tuning::cache(IndexBounds::default()), IndexBounds::default());
    let db = DB::open_cf_descriptors_as_secondary(
        &tuning::database(Role::Secondary, IndexBounds::default()),
        &directory,
        &path,
        families,
    );
    let reader = RocksIndex::new(db.unwrap(), Some(scratch), &directory, STORE, IndexBounds::default()).unwrap();
    assert!(path.exists());
    reader.close().unwrap();
    assert!(!path.exists());
}

#[test]
fn what_was_written_to_the_state_survives_a_kill() {
    // Method: the folder is copied while the index is open, which is what a kill leaves of it.
    let folder = tempfile::tempdir().unwrap();
    let [directory, killed] = ["index", "killed"].map(|name| folder.path().join(name));
    let (_, index) = filled(&directory);
    index.write_state(&[put("c", &"x".repeat(100_000))], Sequence::new(2)).unwrap();
    copy(&directory, &killed);
    let again = open(&killed);
    assert_eq!(again.watermark(), Some(watermark(3)));
    assert_eq!(again.state(b"a").unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(again.state(b"c").unwrap().unwrap().len(), 100_000);
    again.write_state(&[], Sequence::new(1)).unwrap();
    again.close().unwrap();
    assert_eq!(evidence(&killed), (Some(3), 3), "the sequence that the state rests on is remembered, not begun anew");
}

#[test]
fn a_torn_write_ahead_log_loses_the_latest_state_and_nothing_else() {
    // Goal: the crash model of the index in memory holds here. Method: cut the write-ahead log at every 97th byte.
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("index");
    let (_, index) = filled(&directory);
    for number in 1..=20u64 {
        index.write_state(&[put("n", &number.to_string())], Sequence::new(3 + number)).unwrap();
    }
    let wal = listing(&directory).into_iter().find(|(name, (bytes, _))| name.ends_with(".log") && !bytes.is_empty());
    let (name, (bytes, _)) = wal.unwrap();
    let mut last_kept = u64::MAX;
    for length in (0..=bytes.len()).rev().step_by(97) {
        let torn = folder.path().join(format!("torn-{length}"));
        copy(&directory, &torn);
        std::fs::write(torn.join(&name), &bytes[..length]).unwrap();
        match ROCKS.evidence(&torn, STORE) {
            IndexEvidence::Present { watermark: found, state_sequence } => {
                assert_eq!(found, Some(watermark(3)), "the index is not touched, at {length}");
                assert!(state_sequence.get() <= last_kept, "in order, at {length}");
                last_kept = state_sequence.get();
                let again = open(&torn);
                let number = again.state(b"n").unwrap().map(|value| String::from_utf8(value).unwrap());
                assert_eq!(number.map_or(0, |number| number.parse::<u64>().unwrap()), last_kept.saturating_sub(3));
            }
            // So short that not even the store's id is left: to be rebuilt.
            other => assert!(matches!(other, IndexEvidence::Unusable(_)), "{other:?}"),
        }
    }
    assert!(last_kept < 10, "the cut went far");
    drop(index);
}

#[test]
fn garbage_is_unusable_and_can_be_removed() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("index");
    for damaged in ["CURRENT", "MANIFEST", ".sst"] {
        let (_, index) = filled(&directory);
        index.close().unwrap();
        drop(index);
        let mut count = 0;
        for name in listing(&directory).into_keys().filter(|name| name.contains(damaged)) {
            std::fs::write(directory.join(name), b"not what it was").unwrap();
            count += 1;
        }
        assert!(count > 0, "{damaged}");
        assert!(matches!(ROCKS.evidence(&directory, STORE), IndexEvidence::Unusable(_)), "{damaged}");
        assert_eq!(ROCKS.open(&directory, STORE).unwrap_err().kind(), ErrorKind::Io, "{damaged}");
        ROCKS.remove(&directory).unwrap();
        assert_eq!(ROCKS.evidence(&directory, STORE), IndexEvidence::Absent);
    }
    std::fs::create_dir(&directory).unwrap();
    assert_eq!(ROCKS.evidence(&directory, STORE), IndexEvidence::Absent, "an empty folder");
    ROCKS.remove(&directory).unwrap();
    std::fs::write(&directory, b"").unwrap();
    assert!(matches!(ROCKS.evidence(&directory, STORE), IndexEvidence::Unusable(_)), "a file");
}

/// What: an open never returned where one bit of the index's manifest was flipped.
/// Why: RocksDB reads such a manifest without end.
/// How found: T13, a flipped bit in any file of the index.
#[test]
fn a_manifest_that_rocksdb_would_read_without_end_is_unusable() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("index");
    let (_, index) = filled(&directory);
    index.close().unwrap();
    drop(index);
    for end in [".log", "MANIFEST"] {
        let file = listing(&directory).into_iter().find(|(name, (bytes, _))| name.contains(end) && bytes.len() > 100);
        let Some((name, (sound, _))) = file else {
            assert_eq!(end, ".log", "there is a manifest");
            continue;
        };
        let second = 7 + usize::from(u16::from_le_bytes([sound[4], sound[5]]));
        let mut bytes = sound.clone();
        bytes[second + 6] ^= 4;
        std::fs::write(directory.join(&name), &bytes).unwrap();
        assert!(matches!(ROCKS.evidence(&directory, STORE), IndexEvidence::Unusable(_)), "{name}");
        assert_eq!(ROCKS.open(&directory, STORE).unwrap_err().kind(), ErrorKind::Io, "{name}");
        assert_eq!(ROCKS.open_read_only(&directory, STORE).unwrap_err().kind(), ErrorKind::Io, "{name}");
        std::fs::write(directory.join(&name), &sound).unwrap();
        assert_eq!(evidence(&directory), (Some(3), 3));
    }
}

#[test]
fn what_a_kill_left_of_an_ingest_does_not_harm_the_table_it_became() {
    // Goal: RocksDB takes a file in by giving it a second name; a kill may leave the first. Building the next batch
    // under that name must not write into the table. Method: put each table's second name there by hand.
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("index");
    let (mut log, index) = filled(&directory);
    let table = tables(&directory)[0].clone();
    let content = std::fs::read(&table).unwrap();
    std::fs::hard_link(&table, directory.join("ingest.tmp")).unwrap();
    index.ingest(&log.batch(&["a"], &[])).unwrap();
    assert_eq!(std::fs::read(&table).unwrap(), content);
    std::fs::hard_link(&table, directory.join("ingest.tmp")).unwrap();
    index.close().unwrap();
    let index = open(&directory);
    assert!(!directory.join("ingest.tmp").exists(), "an open clears it away");
    assert_eq!(index.places("a", Version::FIRST, Direction::Forwards, 9).unwrap().len(), 3);
    index.close().unwrap();
}

#[test]
fn an_ingest_that_fails_leaves_the_index_as_it_was_and_nothing_behind() {
    // Method: a folder in the place of the file that a batch is built in.
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("index");
    let (mut log, index) = filled(&directory);
    let batch = log.batch(&["a"], &[]);
    std::fs::create_dir(directory.join("ingest.tmp")).unwrap();
    assert_eq!(index.ingest(&batch).unwrap_err().kind(), ErrorKind::Io);
    assert_eq!(index.watermark(), Some(watermark(3)));
    std::fs::remove_dir(directory.join("ingest.tmp")).unwrap();
    let mut bad = batch.clone();
    bad.heads.clear();
    bad.postings.push(batch.postings[0].clone());
    assert_eq!(index.ingest(&bad).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert!(!directory.join("ingest.tmp").exists());
    index.ingest(&batch).unwrap();
    assert_eq!(index.watermark(), Some(watermark(4)));
    index.close().unwrap();
}

#[test]
fn a_second_writer_is_refused_while_the_first_has_it_open() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("index");
    let (_, index) = filled(&directory);
    assert_eq!(ROCKS.open(&directory, STORE).unwrap_err().kind(), ErrorKind::Io);
    index.close().unwrap();
    open(&directory).close().unwrap();
}

#[test]
fn an_index_of_an_older_format_is_unusable_until_it_is_removed() {
    // Method: the identity that an older version wrote, in the place of ours.
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("index");
    let (_, index) = filled(&directory);
    index.close().unwrap();
    {
        let families = tuning::families(&tuning::cache(IndexBounds::default()), IndexBounds::default());
        let db = DB::open_cf_descriptors(&tuning::database(Role::Writer, IndexBounds::default()), &directory, families)
            .unwrap();
        let mut older = keys::encode_identity(STORE);
        older[0] = 1;
        db.put_cf(db.cf_handle(STATE_FAMILY).unwrap(), IDENTITY_KEY, older).unwrap();
    }
    let IndexEvidence::Unusable(why) = ROCKS.evidence(&directory, STORE) else { panic!("older") };
    assert!(why.contains("format 1, where this version makes 2"), "{why}");
    assert_eq!(ROCKS.open(&directory, STORE).unwrap_err().kind(), ErrorKind::Io);
    assert_eq!(ROCKS.open_read_only(&directory, STORE).unwrap_err().kind(), ErrorKind::Io);
    ROCKS.remove(&directory).unwrap();
    open(&directory).close().unwrap();
}

#[test]
fn closing_leaves_nothing_to_replay() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("index");
    let (_, index) = filled(&directory);
    let wal_bytes = || {
        let files = listing(&directory).into_iter().filter(|(name, _)| name.ends_with(".log"));
        files.map(|(_, (bytes, _))| bytes.len()).sum::<usize>()
    };
    assert!(wal_bytes() > 0);
    index.close().unwrap();
    assert_eq!(wal_bytes(), 0);
    assert_eq!(evidence(&directory), (Some(3), 3));
}

#[test]
fn a_reader_lives_through_compactions_of_the_writer() {
    // Goal: the writer's compaction removes the tables that a reader has read from. Method: many batches, then a
    // compaction of everything, between a look of the reader and the next, with and without catching up.
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("index");
    let mut log = Log::default();
    let families = tuning::families(&tuning::cache(IndexBounds::default()), IndexBounds::default());
    folder::make(&directory).unwrap();
    let db =
        DB::open_cf_descriptors(&tuning::database(Role::Writer, IndexBounds::default()), &directory, families).unwrap();
    write_identity(&db, &directory, STORE).unwrap();
    let writer = RocksIndex::new(db, None, &directory, STORE, IndexBounds::default()).unwrap();
    writer.ingest(&log.batch(&["a", "b"], &[])).unwrap();
    let reader = ROCKS.open_read_only(&directory, STORE).unwrap();
    for round in 1..=6u64 {
        for _ in 0..3 {
            writer.ingest(&log.batch(&["a", "b"], &[])).unwrap();
            writer.write_state(&[put("n", &round.to_string())], Sequence::ZERO).unwrap();
        }
        {
            let open = writer.open.read();
            let db = &open.as_ref().unwrap().db;
            for name in [INDEX_FAMILY, STATE_FAMILY] {
                let handle = db.cf_handle(name).unwrap();
                db.flush_cf(handle).unwrap();
                db.compact_range_cf::<&[u8], &[u8]>(handle, None, None);
            }
        }
        let found = reader.places("a", Version::FIRST, Direction::Forwards, 99).unwrap();
        assert!(!found.is_empty());
        if round % 2 == 0 {
            reader.catch_up().unwrap();
            let found = reader.places("a", Version::FIRST, Direction::Forwards, 99).unwrap();
            assert_eq!(found.len() as u64, 1 + 3 * round);
            assert_eq!(reader.state(b"n").unwrap(), Some(round.to_string().into_bytes()));
        }
    }
    writer.close().unwrap();
}

#[test]
fn it_can_be_used_and_closed_from_any_thread() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("index");
    let (_, index) = filled(&directory);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            loop {
                match index.head("a") {
                    Ok(head) => assert!(head.is_some()),
                    Err(error) => return error.kind(),
                }
            }
        });
        let closer = scope.spawn(|| index.close());
        closer.join().unwrap().unwrap();
        assert_eq!(reader.join().unwrap(), ErrorKind::Closed);
    });
    std::thread::spawn(move || drop(index)).join().unwrap();
    assert_eq!(evidence(&directory), (Some(3), 3));
}

#[test]
fn the_folder_is_for_its_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("index");
    open(&directory).close().unwrap();
    assert_eq!(std::fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o700);
}
