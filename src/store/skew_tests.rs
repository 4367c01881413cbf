//! An index that says more than its log, or something else.

use super::*;
use crate::disk::sim::SimulatedDisk;
use crate::index::MemoryIndexProvider;

const ROOT: &str = "/store";

fn options() -> Options {
    Options::new().background(false).tail_events_max(1).store_id(StoreId::from_bytes([7; 16]))
}

fn environment(disk: &SimulatedDisk, index: &MemoryIndexProvider) -> Environment {
    Environment::new(Arc::new(disk.clone()), Arc::new(index.clone()))
}

/// Commits and ingests; what a kill would leave after each commit.
fn lived(texts: &[&str]) -> Vec<(SimulatedDisk, MemoryIndexProvider)> {
    let (disk, index) = (SimulatedDisk::default(), MemoryIndexProvider::default());
    let store = Store::open_in(&environment(&disk, &index), ROOT, options()).unwrap();
    let mut images = Vec::new();
    for text in texts {
        store.append(&stream("a-1"), ExpectedVersion::Any, vec![event(text)]).unwrap();
        store.housekeep().unwrap();
        images.push((disk.kill(), index.kill()));
    }
    images
}

fn assert_refused(disk: &SimulatedDisk, index: &MemoryIndexProvider, label: &str) {
    let contents = |disk: &SimulatedDisk| -> Vec<_> {
        let files = disk.files().into_iter().filter(|path| !path.ends_with("LOCK"));
        files.map(|path| (disk.read_file(&path).unwrap(), path)).collect()
    };
    let before = contents(disk);
    let write = Store::open_in(&environment(disk, index), ROOT, options()).map(drop).unwrap_err();
    let read = Store::open_read_only_in(&environment(disk, index), ROOT).map(drop).unwrap_err();
    for error in [write, read] {
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{label}: {error}");
        assert!(error.to_string().contains("which the index proves"), "{label}: {error}");
    }
    assert_eq!(contents(disk), before, "{label}");
}

/// What: a log that had lost its last events, which were durable, was opened where the index covered them, and went on
/// behind a hole; only a read of the hole told of it.
/// Why: the walk started where the index ends without looking at what stands before; a segment is as long as its room.
/// How found: T13, an index ahead of its log by each step.
#[test]
fn a_log_that_ends_before_its_index_is_refused() {
    let images = lived(&["1", "2", "3", "4", "5", "6"]);
    for (at, (disk, _)) in images.iter().enumerate() {
        for (ahead, (_, index)) in images.iter().enumerate().skip(at + 1) {
            assert_refused(disk, index, &format!("log of {at}, index of {ahead}"));
        }
        let environment = environment(disk, &images[0].1.kill());
        let store = Store::open_in(&environment, ROOT, options()).unwrap();
        assert_eq!(store.last_sequence(), Sequence::new(at as u64 + 1), "an index that is behind is used");
    }
}

/// As above, where the log ends at the same place and is another one: a folder that was put together from two copies.
#[test]
fn a_log_of_another_history_than_its_index_is_refused() {
    let (ours, theirs) = (lived(&["1", "2", "3"]), lived(&["1", "2", "4"]));
    assert_refused(&ours[2].0, &theirs[2].1, "another last event");
    assert_refused(&ours[2].0, &theirs[0].1, "another event before it");
}
