//! RocksDB: a column family of events under their sequence, and one of entries by stream and version.

use std::path::Path;

use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType, IteratorMode, Options,
    ReadOptions, WriteBatch, WriteOptions,
};

use super::positions::{EVENT_HEADER, SharedCounters, big_endian_u64, index_key, look_at, stream_number, version_of};
use super::{BOTH, CACHE_BYTES, Peer};
use crate::subject::{Durability, Subject};

const EVENTS: &str = "events";
const STREAMS: &str = "streams";

struct Rocks {
    db: DB,
    counters: SharedCounters,
    sync: bool,
}

/// What the benches know of it.
pub(super) const PEER: Peer = Peer {
    name: "RocksDB",
    open,
    durabilities: BOTH,
    has_group_commit: true,
    note: "one batch a commit: the event under its sequence, and an entry for each event in an index; blocks are \
           checked when they are read from the file, not again from its cache of 128 MiB; a reader may see an \
           event before one of a lower sequence",
};

pub(super) fn open(folder: &Path, durability: Durability) -> Box<dyn Subject> {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(&Cache::new_lru_cache(CACHE_BYTES));
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.increase_parallelism(2);
    options.set_compression_type(DBCompressionType::None);
    options.set_block_based_table_factory(&blocks);
    let families = [EVENTS, STREAMS].map(|name| ColumnFamilyDescriptor::new(name, options.clone()));
    let db = DB::open_cf_descriptors(&options, folder, families).expect("RocksDB opens");
    let last = db.iterator_cf(family(&db, EVENTS), IteratorMode::End).next();
    let events = last.map_or(0, |entry| big_endian_u64(&entry.expect("RocksDB reads").0) + 1);
    Box::new(Rocks { db, counters: SharedCounters::of(events), sync: durability == Durability::Sync })
}

fn family<'a>(db: &'a DB, name: &str) -> &'a ColumnFamily {
    db.cf_handle(name).expect("the family was made on open")
}

impl Rocks {
    fn last_version(&self, stream: u32) -> Option<u32> {
        let mut entries = self.db.raw_iterator_cf(family(&self.db, STREAMS));
        entries.seek_for_prev(index_key(stream, u32::MAX));
        entries.status().expect("RocksDB reads");
        version_of(entries.key()?, stream)
    }
}

impl Subject for Rocks {
    fn append(&self, streams: &[usize], payload: &[u8]) {
        let positions = self.counters.assign(streams, |stream| self.last_version(stream));
        let (events, entries) = (family(&self.db, EVENTS), family(&self.db, STREAMS));
        let mut batch = WriteBatch::default();
        let mut event = Vec::with_capacity(EVENT_HEADER + payload.len());
        for position in positions {
            position.write_event(payload, &mut event);
            batch.put_cf(events, position.key(), &event);
            batch.put_cf(entries, position.index_key(), position.key());
        }
        let mut options = WriteOptions::default();
        options.set_sync(self.sync);
        self.db.write_opt(batch, &options).expect("RocksDB writes");
    }

    fn scan(&self) -> Option<(u64, u64)> {
        let mut options = ReadOptions::default();
        options.set_verify_checksums(true);
        options.set_readahead_size(2 << 20);
        options.fill_cache(false);
        let mut events = self.db.raw_iterator_cf_opt(family(&self.db, EVENTS), options);
        let (mut count, mut bytes) = (0, 0);
        events.seek_to_first();
        while let Some(event) = events.value() {
            count += 1;
            bytes += look_at(&event[EVENT_HEADER..]);
            events.next();
        }
        events.status().expect("RocksDB reads");
        Some((count, bytes))
    }

    fn read_stream(&self, stream: usize) -> Option<u64> {
        let stream = stream_number(stream);
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(index_key(stream + 1, 0));
        let mut entries = self.db.raw_iterator_cf_opt(family(&self.db, STREAMS), options);
        entries.seek(index_key(stream, 0));
        let mut keys: Vec<[u8; 8]> = Vec::new();
        while let Some(key) = entries.value() {
            keys.push(key.try_into().expect("a sequence"));
            entries.next();
        }
        entries.status().expect("RocksDB reads");
        let events = self.db.batched_multi_get_cf(family(&self.db, EVENTS), &keys, true);
        for event in &events {
            let event = event.as_ref().expect("RocksDB reads").as_ref().expect("an entry has its event");
            look_at(&event[EVENT_HEADER..]);
        }
        Some(events.len() as u64)
    }

    fn close(self: Box<Self>) {
        self.db.flush_wal(true).expect("RocksDB syncs its log");
        self.db.cancel_all_background_work(true);
    }
}
