//! What is done for bulk, and what for small commits: zeros ahead of small synced groups, and syncs beside who does not sync.

use std::sync::Mutex;
use std::time::Instant;

use super::*;
use crate::disk::sim::{OperationInfo, OperationKind, SimulatedDisk};
use crate::index::MemoryIndexProvider;

const SEGMENT_BYTES: usize = 256 * 1024;
/// The longest that anything here may take; who waits so long waits for nothing.
const PATIENCE: Duration = Duration::from_secs(60);

fn is_spare(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("spare"))
}

/// The bytes written to the spare by the time that the active segment is more than half full of events of this size.
fn bytes_written_to_the_spare(durability: Durability, payload_bytes: usize) -> u64 {
    let disk = SimulatedDisk::default();
    let written = Arc::new(Mutex::new(0));
    let sum = Arc::clone(&written);
    disk.set_observer(Box::new(move |operation: &OperationInfo, _: &SimulatedDisk| {
        if operation.kind == OperationKind::Write && is_spare(&operation.path) {
            *sum.lock().unwrap() += operation.length;
        }
    }));
    let environment = Environment::new(Arc::new(disk.clone()), Arc::new(MemoryIndexProvider::default()));
    let options = Options::new().segment_bytes(SEGMENT_BYTES as u64).durability(durability).background(false);
    let store = Store::open_in(&environment, "/store", options).unwrap();
    let payload = "x".repeat(payload_bytes);
    for _ in 0..SEGMENT_BYTES * 6 / 10 / payload_bytes {
        store.append(&stream("a-1"), ExpectedVersion::Any, vec![event(&payload)]).unwrap();
    }
    store.housekeep().unwrap();
    assert!(disk.files().iter().any(|path| is_spare(path)), "room was taken ahead");
    disk.clear_observer();
    *written.lock().unwrap()
}

#[test]
fn the_next_segment_is_filled_with_zeros_only_where_small_commits_are_synced() {
    assert_eq!(bytes_written_to_the_spare(Durability::Sync, 1_000), SEGMENT_BYTES as u64);
    assert_eq!(bytes_written_to_the_spare(Durability::Sync, 20_000), 0, "large groups would write everything twice");
    assert_eq!(bytes_written_to_the_spare(Durability::Buffered, 1_000), 0, "nothing waits for a sync");
}

#[test]
fn what_is_written_in_bulk_without_syncs_is_synced_beside_the_writer() {
    let options = Options::new().durability(Durability::Buffered).segment_bytes(64 * 1024 * 1024);
    let store = Store::in_memory(options).unwrap();
    let megabyte = "x".repeat(1_000_000);
    for _ in 0..7 {
        store.append(&stream("a-1"), ExpectedVersion::Any, vec![event(&megabyte)]).unwrap();
    }
    assert_eq!(store.durable_sequence(), Sequence::ZERO, "so little waits for the next segment");
    for _ in 0..2 {
        store.append(&stream("a-1"), ExpectedVersion::Any, vec![event(&megabyte)]).unwrap();
    }
    let started = Instant::now();
    while store.durable_sequence() == Sequence::ZERO {
        assert!(started.elapsed() < PATIENCE, "nobody has synced what was written");
        std::thread::yield_now();
    }
    assert_eq!(store.durable_sequence(), Sequence::new(9));
}
