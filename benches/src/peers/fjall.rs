//! fjall: a keyspace of events under their sequence, and one of entries by stream and version.

use std::path::Path;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::positions::{EVENT_HEADER, SharedCounters, big_endian_u64, look_at, stream_number, version_of};
use super::{BOTH, CACHE_BYTES, Peer};
use crate::subject::{Durability, Subject};

struct Fjall {
    db: Database,
    events: Keyspace,
    streams: Keyspace,
    counters: SharedCounters,
    persist: PersistMode,
}

/// What the benches know of it.
pub(super) const PEER: Peer = Peer {
    name: "fjall",
    open,
    durabilities: BOTH,
    has_group_commit: true,
    note: "two keyspaces, cache of 128 MiB, without LZ4; blocks are checked when they are read from the file; a \
           commit holds the journal while it syncs, so writers share no sync",
};

pub(super) fn open(folder: &Path, durability: Durability) -> Box<dyn Subject> {
    let db = Database::builder(folder).cache_size(CACHE_BYTES as u64).open().expect("fjall opens");
    let events = db.keyspace("events", KeyspaceCreateOptions::default).expect("fjall opens a keyspace");
    let streams = db.keyspace("streams", KeyspaceCreateOptions::default).expect("fjall opens a keyspace");
    let last = events.last_key_value().map_or(0, |last| big_endian_u64(&last.key().expect("fjall reads")) + 1);
    let persist = match durability {
        Durability::Sync => PersistMode::SyncData,
        Durability::Buffered => PersistMode::Buffer,
    };
    Box::new(Fjall { db, events, streams, counters: SharedCounters::of(last), persist })
}

impl Fjall {
    fn last_version(&self, stream: u32) -> Option<u32> {
        let last = self.streams.prefix(stream.to_be_bytes()).next_back()?;
        version_of(&last.key().expect("fjall reads"), stream)
    }
}

impl Subject for Fjall {
    fn append(&self, streams: &[usize], payload: &[u8]) {
        let positions = self.counters.assign(streams, |stream| self.last_version(stream));
        let mut batch = self.db.batch().durability(Some(self.persist));
        let mut event = Vec::with_capacity(EVENT_HEADER + payload.len());
        for position in positions {
            position.write_event(payload, &mut event);
            batch.insert(&self.events, position.key(), event.as_slice());
            batch.insert(&self.streams, position.index_key(), position.key());
        }
        batch.commit().expect("fjall commits");
    }

    fn scan(&self) -> Option<(u64, u64)> {
        let (mut count, mut bytes) = (0, 0);
        for event in self.events.iter() {
            count += 1;
            bytes += look_at(&event.value().expect("fjall reads")[EVENT_HEADER..]);
        }
        Some((count, bytes))
    }

    fn read_stream(&self, stream: usize) -> Option<u64> {
        let mut count = 0;
        for entry in self.streams.prefix(stream_number(stream).to_be_bytes()) {
            let key = entry.value().expect("fjall reads");
            let event = self.events.get(&key).expect("fjall reads").expect("an entry has its event");
            look_at(&event[EVENT_HEADER..]);
            count += 1;
        }
        Some(count)
    }

    fn close(self: Box<Self>) {
        self.db.persist(PersistMode::SyncAll).expect("fjall syncs its journal");
    }
}
