//! A full disk under the real index. One test alone, for it takes mounts of its own for its whole process.

#![cfg(all(feature = "rocksdb", not(any(bitacora_loom, bitacora_shuttle))))]

use std::time::{Duration, Instant};

use bitacora::{
    Checkpoint, CodecId, ErrorKind, EventType, ExpectedVersion, NewEvent, Options, Result, Sequence, Store, StreamId,
};
use bitacora_trials::real::folder;
use bitacora_trials::real::mount::{self, Filler, Mounted};

const PATIENCE: Duration = Duration::from_secs(30);

fn set_checkpoint(store: &Store, bytes: usize) -> Result<()> {
    store.set_checkpoint("consumer", &Checkpoint { sequence: Sequence::FIRST, data: vec![7; bytes] })
}

/// What: After a full disk checkpoints, snapshots and ingestion failed for as long as the store was open, and tails piled up.
/// Why: An ingest synced RocksDB's write-ahead log past its record of errors. On a log that had had no room that failed anew,
/// with an error that RocksDB never recovers from, while from want of room it recovers by itself within seconds.
/// How found: T9, when its pieces were made to wait for the index after the room was back.
#[test]
fn an_index_that_had_no_room_goes_on_in_the_same_opening() {
    if let Err(why) = mount::prepare() {
        println!("skipped: {why}");
        return;
    }
    let place = folder::temporary();
    let small = Mounted::memory(&place.path().join("small"), 24 << 20);
    let filler = Filler::new(&small);
    let options = Options::new().segment_bytes(1 << 20).tail_events_max(1).background(false);
    let store = Store::open(small.point().join("store"), options).unwrap();
    let append = || {
        let event = NewEvent::new(EventType::new("Noted").unwrap(), CodecId::RAW, vec![7; 100]);
        store.append(&StreamId::new("notes-1").unwrap(), ExpectedVersion::Any, vec![event])
    };
    append().unwrap();
    store.housekeep().unwrap();
    filler.leave(0);
    let full = loop {
        if let Err(error) = set_checkpoint(&store, 100_000) {
            break error;
        }
    };
    assert_eq!(full.kind(), ErrorKind::StorageFull, "{full}");
    append().unwrap();
    assert_eq!(store.housekeep().unwrap_err().kind(), ErrorKind::StorageFull);
    filler.give_back();
    let began = Instant::now();
    while let Err(error) = store.housekeep().and_then(|()| set_checkpoint(&store, 10)) {
        assert!(began.elapsed() < PATIENCE, "there is room again, and the index says {error}");
        std::thread::park_timeout(Duration::from_millis(50));
    }
    store.close().unwrap();
    drop(store);
    drop(filler);
    small.unmount();
}
