//! LMDB, through heed: a database of events under their sequence, and one of entries by stream and version.

use std::path::Path;
use std::sync::Mutex;

use heed::byteorder::BigEndian;
use heed::types::{Bytes, U64};
use heed::{CommitOrAbort, Database, Env, EnvFlags, EnvOpenOptions, PutFlags};

use super::positions::{Counters, EVENT_HEADER, Position, look_at, stream_number};
use super::{BOTH, Peer};
use crate::subject::{Durability, Subject};

type Number = U64<BigEndian>;
type Events = Database<'static, Number, Bytes>;
type Entries = Database<'static, Number, Number>;

/// Address space, not memory: what the file may grow to.
const MAP_BYTES: usize = 64 << 30;

struct Lmdb {
    env: Env,
    events: Events,
    streams: Entries,
    counters: Mutex<Counters>,
}

/// What the benches know of it.
pub(super) const PEER: Peer = Peer {
    name: "LMDB",
    open,
    durabilities: BOTH,
    has_group_commit: false,
    note: "two databases, `NO_SYNC` where buffered; it has no checksums and reads from a map of its file; writers \
           queue, and a commit waits for the disk twice",
};

pub(super) fn open(folder: &Path, durability: Durability) -> Box<dyn Subject> {
    let env = open_env(folder, durability);
    let (events, streams) = open_databases(&env);
    let reads = env.read_txn().expect("LMDB begins");
    let last = events.last(&reads).expect("LMDB reads").map_or(0, |(sequence, _)| sequence + 1);
    drop(reads);
    Box::new(Lmdb { env, events, streams, counters: Mutex::new(Counters::of(last)) })
}

#[expect(unsafe_code, reason = "LMDB maps its file: that nobody else changes it is the caller's to promise")]
fn open_env(folder: &Path, durability: Durability) -> Env {
    let mut options = EnvOpenOptions::new();
    options.map_size(MAP_BYTES).max_dbs(2);
    // SAFETY: the folder is the bench's own, opened once at a time and changed by nothing else; a crash of the machine,
    // after which NO_SYNC may leave a broken file, ends the bench too.
    unsafe {
        if durability == Durability::Buffered {
            options.flags(EnvFlags::NO_SYNC);
        }
        options.open(folder).expect("LMDB opens")
    }
}

fn open_databases(env: &Env) -> (Events, Entries) {
    let commit = env.write_txn().expect("LMDB begins");
    let opened = env.create_databases_and_commit(commit, |opener, commit| -> heed::Result<_> {
        let events = opener.create_database::<Number, Bytes>(commit, Some("events"))?;
        let streams = opener.create_database::<Number, Number>(commit, Some("streams"))?;
        Ok(CommitOrAbort::<_, ()>::Commit((events, streams)))
    });
    opened.expect("LMDB opens").unwrap_commit()
}

fn entry(stream: u32, version: u32) -> u64 {
    u64::from(stream) << 32 | u64::from(version)
}

impl Subject for Lmdb {
    fn append(&self, streams: &[usize], payload: &[u8]) {
        let mut counters = self.counters.lock().expect("no thread panicked");
        let mut commit = self.env.write_txn().expect("LMDB begins");
        let positions = counters.assign(streams, |stream| {
            let last = self.streams.get_lower_than_or_equal_to(&commit, &entry(stream, u32::MAX));
            let (last, _) = last.expect("LMDB reads")?;
            (last >> 32 == u64::from(stream)).then_some((last & u64::from(u32::MAX)) as u32)
        });
        let mut event = Vec::with_capacity(EVENT_HEADER + payload.len());
        for position in positions {
            position.write_event(payload, &mut event);
            let Position { sequence, stream, version } = position;
            self.events.put_with_flags(&mut commit, PutFlags::APPEND, &sequence, &event).expect("LMDB writes");
            self.streams.put(&mut commit, &entry(stream, version), &sequence).expect("LMDB writes");
        }
        commit.commit().expect("LMDB commits");
    }

    fn scan(&self) -> Option<(u64, u64)> {
        let reads = self.env.read_txn().expect("LMDB begins");
        let (mut count, mut bytes) = (0, 0);
        for event in self.events.iter(&reads).expect("LMDB reads") {
            count += 1;
            bytes += look_at(&event.expect("LMDB reads").1[EVENT_HEADER..]);
        }
        Some((count, bytes))
    }

    fn read_stream(&self, stream: usize) -> Option<u64> {
        let stream = stream_number(stream);
        let reads = self.env.read_txn().expect("LMDB begins");
        let mut count = 0;
        let range = entry(stream, 0)..=entry(stream, u32::MAX);
        for found in self.streams.range(&reads, &range).expect("LMDB reads") {
            let (_, sequence) = found.expect("LMDB reads");
            let event = self.events.get(&reads, &sequence).expect("LMDB reads").expect("an entry has its event");
            look_at(&event[EVENT_HEADER..]);
            count += 1;
        }
        Some(count)
    }

    fn close(self: Box<Self>) {
        self.env.force_sync().expect("LMDB syncs");
        self.env.prepare_for_closing().wait();
    }
}
