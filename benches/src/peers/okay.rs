//! okaywal: a log to write ahead of something else. Nothing stands behind it here, so it forgets what it checkpoints.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use okaywal::{Configuration, Entry, EntryId, LogManager, SegmentReader, WriteAheadLog};

use super::positions::stream_number;
use super::{Peer, SYNC};
use crate::subject::{Durability, Subject};

/// What a segment is filled to with zeros when it is made; larger than by default (1 MiB), so that one holds some commits
/// of 1,000 events.
const SEGMENT_BYTES: u32 = 16 << 20;
const CHECKPOINT_BYTES: u64 = 12 << 20;

/// Hears of the entries on recovery and, as nothing stands behind the log, does nothing with them.
#[derive(Debug)]
struct Manager;

impl LogManager for Manager {
    fn recover(&mut self, entry: &mut Entry<'_>) -> io::Result<()> {
        entry.read_all_chunks()?;
        Ok(())
    }

    fn checkpoint_to(&mut self, _: EntryId, _: &mut SegmentReader, _: &WriteAheadLog) -> io::Result<()> {
        Ok(())
    }
}

struct Okay {
    log: WriteAheadLog,
    next_sequence: AtomicU64,
}

/// What the benches know of it.
pub(super) const PEER: Peer = Peer {
    name: "okaywal",
    open,
    durabilities: SYNC,
    has_group_commit: true,
    note: "a log to write ahead of a store, and no store: it has no index, is read on recovery only, and writes \
           over segments of 16 MiB again and again, which a store that keeps its events cannot",
};

pub(super) fn open(folder: &Path, durability: Durability) -> Box<dyn Subject> {
    assert_eq!(durability, Durability::Sync, "okaywal syncs every commit");
    Box::new(Okay { log: open_log(folder, Manager), next_sequence: AtomicU64::new(0) })
}

fn open_log<M: LogManager>(folder: &Path, manager: M) -> WriteAheadLog {
    Configuration::default_for(folder)
        .preallocate_bytes(SEGMENT_BYTES)
        .checkpoint_after_bytes(CHECKPOINT_BYTES)
        .open(manager)
        .expect("okaywal opens")
}

impl Subject for Okay {
    fn append(&self, streams: &[usize], payload: &[u8]) {
        let mut commit = self.log.begin_entry().expect("okaywal begins");
        // Nobody else writes meanwhile, so the order of the sequences is the log's.
        let first = self.next_sequence.fetch_add(streams.len() as u64, Ordering::Relaxed);
        let mut event = Vec::with_capacity(12 + payload.len());
        for (sequence, &stream) in (first..).zip(streams) {
            event.clear();
            event.extend_from_slice(&sequence.to_be_bytes());
            event.extend_from_slice(&stream_number(stream).to_be_bytes());
            event.extend_from_slice(payload);
            commit.write_chunk(&event).expect("okaywal writes");
        }
        commit.commit().expect("okaywal commits");
    }

    fn scan(&self) -> Option<(u64, u64)> {
        None
    }

    fn read_stream(&self, _: usize) -> Option<u64> {
        None
    }

    fn close(self: Box<Self>) {
        self.log.shutdown().expect("okaywal shuts down");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Debug, Default, Clone)]
    struct Counting(Arc<Mutex<u64>>);

    impl LogManager for Counting {
        fn recover(&mut self, entry: &mut Entry<'_>) -> io::Result<()> {
            let chunks = entry.read_all_chunks()?.expect("a whole entry");
            *self.0.lock().unwrap() += chunks.len() as u64;
            Ok(())
        }

        fn checkpoint_to(&mut self, _: EntryId, _: &mut SegmentReader, _: &WriteAheadLog) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_was_committed_is_recovered() {
        let folder = tempfile::tempdir().unwrap();
        let subject = open(folder.path(), Durability::Sync);
        subject.append(&[1, 2, 1], &[7; 256]);
        subject.append(&[3], &[7; 256]);
        subject.close();
        let counting = Counting::default();
        open_log(folder.path(), counting.clone()).shutdown().unwrap();
        assert_eq!(*counting.0.lock().unwrap(), 4);
    }
}
