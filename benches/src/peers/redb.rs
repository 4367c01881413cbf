//! redb: a table of events under their sequence, and one of entries by stream and version.

use std::path::Path;
use std::sync::Mutex;

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use super::positions::{Counters, EVENT_HEADER, look_at, stream_number};
use super::{BOTH, CACHE_BYTES, Peer};
use crate::subject::{Durability, Subject};

const EVENTS: TableDefinition<u64, &[u8]> = TableDefinition::new("events");
const STREAMS: TableDefinition<(u32, u32), u64> = TableDefinition::new("streams");

struct Redb {
    db: Database,
    counters: Mutex<Counters>,
    durability: redb::Durability,
}

/// What the benches know of it.
pub(super) const PEER: Peer = Peer {
    name: "redb",
    open,
    durabilities: BOTH,
    has_group_commit: false,
    note: "two tables, cache of 128 MiB; checksums are checked in repairs and not on reads; writers queue; its \
           buffered commits (`Durability::None`) stay in the process, which is less than the others give",
};

pub(super) fn open(folder: &Path, durability: Durability) -> Box<dyn Subject> {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    let db = builder.create(folder.join("events.redb")).expect("redb opens");
    let reads = db.begin_read().expect("redb begins");
    let events = match reads.open_table(EVENTS) {
        Ok(events) => events.last().expect("redb reads").map_or(0, |(sequence, _)| sequence.value() + 1),
        Err(redb::TableError::TableDoesNotExist(_)) => {
            create_tables(&db);
            0
        }
        Err(error) => panic!("redb reads: {error}"),
    };
    drop(reads);
    let durability = match durability {
        Durability::Sync => redb::Durability::Immediate,
        Durability::Buffered => redb::Durability::None,
    };
    Box::new(Redb { db, counters: Mutex::new(Counters::of(events)), durability })
}

/// A table is there once a transaction that writes has opened it.
fn create_tables(db: &Database) {
    let commit = db.begin_write().expect("redb begins");
    commit.open_table(EVENTS).expect("redb opens a table");
    commit.open_table(STREAMS).expect("redb opens a table");
    commit.commit().expect("redb commits");
}

impl Subject for Redb {
    fn append(&self, streams: &[usize], payload: &[u8]) {
        let mut counters = self.counters.lock().expect("no thread panicked");
        let mut commit = self.db.begin_write().expect("redb begins");
        commit.set_durability(self.durability).expect("redb takes its durability");
        {
            let mut events = commit.open_table(EVENTS).expect("redb opens a table");
            let mut entries = commit.open_table(STREAMS).expect("redb opens a table");
            let positions = counters.assign(streams, |stream| {
                let mut versions = entries.range((stream, 0)..=(stream, u32::MAX)).expect("redb reads");
                versions.next_back().map(|entry| entry.expect("redb reads").0.value().1)
            });
            let mut event = Vec::with_capacity(EVENT_HEADER + payload.len());
            for position in positions {
                position.write_event(payload, &mut event);
                events.insert(position.sequence, event.as_slice()).expect("redb writes");
                entries.insert((position.stream, position.version), position.sequence).expect("redb writes");
            }
        }
        commit.commit().expect("redb commits");
    }

    fn scan(&self) -> Option<(u64, u64)> {
        let reads = self.db.begin_read().expect("redb begins");
        let events = reads.open_table(EVENTS).expect("redb opens a table");
        let (mut count, mut bytes) = (0, 0);
        for event in events.iter().expect("redb reads") {
            count += 1;
            bytes += look_at(&event.expect("redb reads").1.value()[EVENT_HEADER..]);
        }
        Some((count, bytes))
    }

    fn read_stream(&self, stream: usize) -> Option<u64> {
        let stream = stream_number(stream);
        let reads = self.db.begin_read().expect("redb begins");
        let events = reads.open_table(EVENTS).expect("redb opens a table");
        let entries = reads.open_table(STREAMS).expect("redb opens a table");
        let mut count = 0;
        for entry in entries.range((stream, 0)..=(stream, u32::MAX)).expect("redb reads") {
            let sequence = entry.expect("redb reads").1.value();
            let event = events.get(sequence).expect("redb reads").expect("an entry has its event");
            look_at(&event.value()[EVENT_HEADER..]);
            count += 1;
        }
        Some(count)
    }

    fn close(self: Box<Self>) {
        // Dropping the database makes what was committed without durability durable.
        drop(self);
    }
}
