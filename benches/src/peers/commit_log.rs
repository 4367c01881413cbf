//! commitlog: a plain log, without an index of streams and without a sync.

use std::path::Path;
use std::sync::Mutex;

use commitlog::message::{MessageBuf, MessageSet};
use commitlog::{CommitLog, LogOptions, ReadLimit};

use super::positions::{look_at, stream_number};
use super::{BUFFERED, Peer};
use crate::subject::{Durability, Subject};

/// The largest commit, and how much one read asks for.
const COMMIT_BYTES: usize = 64 << 20;
const READ_BYTES: usize = 1 << 20;

struct Commitlog(Mutex<CommitLog>);

/// What the benches know of it.
pub(super) const PEER: Peer = Peer {
    name: "commitlog",
    open,
    durabilities: BUFFERED,
    has_group_commit: false,
    note: "a plain log without syncs and without an index of streams; checksums are checked on reads; what is read \
           was loaded without a sync",
};

pub(super) fn open(folder: &Path, durability: Durability) -> Box<dyn Subject> {
    assert_eq!(durability, Durability::Buffered, "commitlog has no sync");
    let mut options = LogOptions::new(folder);
    options.message_max_bytes(COMMIT_BYTES);
    Box::new(Commitlog(Mutex::new(CommitLog::new(options).expect("commitlog opens"))))
}

impl Subject for Commitlog {
    fn append(&self, streams: &[usize], payload: &[u8]) {
        let mut events = MessageBuf::default();
        for &stream in streams {
            let header = stream_number(stream).to_be_bytes();
            events.push_with_metadata(header, payload).expect("commitlog takes an event");
        }
        self.0.lock().expect("no thread panicked").append(&mut events).expect("commitlog writes");
    }

    fn scan(&self) -> Option<(u64, u64)> {
        let log = self.0.lock().expect("no thread panicked");
        let (mut count, mut bytes) = (0, 0);
        loop {
            // Reading verifies each checksum.
            let events = log.read(count, ReadLimit::max_bytes(READ_BYTES)).expect("commitlog reads");
            if events.is_empty() {
                return Some((count, bytes));
            }
            count += events.len() as u64;
            bytes += events.iter().map(|event| look_at(event.payload())).sum::<u64>();
        }
    }

    fn read_stream(&self, _: usize) -> Option<u64> {
        None
    }

    fn close(self: Box<Self>) {
        self.0.into_inner().expect("no thread panicked").flush().expect("commitlog flushes");
    }
}
