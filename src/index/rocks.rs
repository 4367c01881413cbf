//! The index on disk: one RocksDB with two families.
//!
//! `index` is only ingested: a batch is written as one sorted file with its watermark in it, which RocksDB takes in
//! whole or not at all. `state` takes ordinary writes with a write-ahead log, which is not synced, so they survive a
//! kill; an ingest and a close make them durable.
//!
//! Invariants:
//! 1. The store's id is in `state`, synced, before anything else is; a folder without it is not an index.
//! 2. The sequence that the state rests on never goes down, and is written with what rests on it.
//! 3. `watermark` is what was ingested last, or read last by a secondary; it is never ahead of what readers find.
//!
//! After `close` the database is released, whatever happens, and everything but `watermark` and `bytes` answers
//! `Closed`; so another open, in this process or another, finds it free.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rocksdb::{
    BottommostLevelCompaction, ColumnFamily, CompactOptions, DB, IngestExternalFileOptions, ReadOptions, SstFileWriter,
    WriteBatch, WriteOptions,
};

use crate::error::{Error, ErrorKind, Result};
use crate::sync::{Mutex, RwLock};
use crate::types::{Sequence, StoreId, StreamId, Version};

use super::keys::{self, IDENTITY_KEY, STATE_SEQUENCE_KEY};
use super::lookup::{self, Entries, Start, Visit};
use super::{
    Direction, Index, IndexBatch, IndexBounds, IndexEvidence, IndexProvider, KeyEntry, Place, StateWrite, StreamHead,
    Watermark,
};

mod folder;
mod records;
mod tuning;

use folder::Scratch;
use tuning::{INDEX_FAMILY, Role, STATE_FAMILY};

/// How often a secondary tries again, each time with a newer view, when the writer has removed a file under it.
const SECONDARY_ATTEMPTS: usize = 4;

/// Makes indices on disk, with RocksDB.
#[derive(Clone, Copy, Debug, Default)]
pub struct RocksIndexProvider;

impl IndexProvider for RocksIndexProvider {
    fn evidence(&self, directory: &Path, store_id: StoreId) -> IndexEvidence {
        Bounded::default().evidence(directory, store_id)
    }

    fn open(&self, directory: &Path, store_id: StoreId) -> Result<Arc<dyn Index>> {
        Bounded::default().open(directory, store_id)
    }

    fn open_read_only(&self, directory: &Path, store_id: StoreId) -> Result<Arc<dyn Index>> {
        Bounded::default().open_read_only(directory, store_id)
    }

    fn remove(&self, directory: &Path) -> Result<()> {
        Bounded::default().remove(directory)
    }

    fn bounded(&self, bounds: IndexBounds) -> Option<Arc<dyn IndexProvider>> {
        Some(Arc::new(Bounded(bounds)))
    }

    fn replace(&self, from: &Path, to: &Path) -> Result<()> {
        Bounded::default().replace(from, to)
    }
}

/// Makes indices that keep to bounds.
#[derive(Clone, Copy, Debug, Default)]
struct Bounded(IndexBounds);

impl IndexProvider for Bounded {
    fn evidence(&self, directory: &Path, store_id: StoreId) -> IndexEvidence {
        let look = || -> Result<IndexEvidence> {
            // Asked first because opening would make the folder.
            if !folder::has_database(directory)? {
                return Ok(IndexEvidence::Absent);
            }
            if let Some(damage) = folder::damage(directory) {
                return Ok(IndexEvidence::Unusable(damage));
            }
            records::check(directory)?;
            let families = tuning::families(&tuning::cache(self.0), self.0);
            let db =
                DB::open_cf_descriptors_read_only(&tuning::database(Role::Witness, self.0), directory, families, false)
                    .map_err(|error| folder::failed("open read-only", directory, error))?;
            check_identity(&db, directory, store_id)?;
            let watermark = lookup::watermark(&family(&db, directory, INDEX_FAMILY)?, store_id)?;
            let state_sequence = lookup::state_sequence(&family(&db, directory, STATE_FAMILY)?)?;
            Ok(IndexEvidence::Present { watermark, state_sequence })
        };
        look().unwrap_or_else(|error| IndexEvidence::Unusable(error.to_string()))
    }

    fn open(&self, directory: &Path, store_id: StoreId) -> Result<Arc<dyn Index>> {
        let is_new = !folder::has_database(directory)?;
        folder::make(directory)?;
        records::check(directory)?;
        folder::fresh_ingest_file(directory)?;
        let families = tuning::families(&tuning::cache(self.0), self.0);
        let db = DB::open_cf_descriptors(&tuning::database(Role::Writer, self.0), directory, families)
            .map_err(|error| folder::failed("open", directory, error))?;
        if is_new {
            write_identity(&db, directory, store_id)?;
        }
        Ok(Arc::new(RocksIndex::new(db, None, directory, store_id, self.0)?))
    }

    fn open_read_only(&self, directory: &Path, store_id: StoreId) -> Result<Arc<dyn Index>> {
        if !folder::has_database(directory)? {
            return Err(Error::new(ErrorKind::NotFound, format!("there is no index in {}", directory.display())));
        }
        let open = || -> Result<Arc<dyn Index>> {
            records::check(directory)?;
            let scratch = Scratch::new()?;
            let families = tuning::families(&tuning::cache(self.0), self.0);
            let options = tuning::database(Role::Secondary, self.0);
            let db = DB::open_cf_descriptors_as_secondary(&options, directory, scratch.path(), families)
                .map_err(|error| folder::failed("open as secondary", directory, error))?;
            Ok(Arc::new(RocksIndex::new(db, Some(scratch), directory, store_id, self.0)?))
        };
        attempt(SECONDARY_ATTEMPTS, || Ok(()), open)
    }

    fn remove(&self, directory: &Path) -> Result<()> {
        folder::remove(directory)
    }

    fn bounded(&self, bounds: IndexBounds) -> Option<Arc<dyn IndexProvider>> {
        Some(Arc::new(Self(bounds)))
    }

    fn replace(&self, from: &Path, to: &Path) -> Result<()> {
        folder::replace(from, to)
    }
}

/// Does `work`, up to `attempts` times as long as the index fails, with `prepare` before each repetition.
fn attempt<T>(attempts: usize, prepare: impl Fn() -> Result<()>, work: impl Fn() -> Result<T>) -> Result<T> {
    let mut last = work();
    for _ in 1..attempts {
        match &last {
            Err(error) if error.kind() == ErrorKind::Io => last = prepare().and_then(|()| work()),
            _ => break,
        }
    }
    last
}

/// One of the two families, to read.
struct Family<'a> {
    db: &'a DB,
    directory: &'a Path,
    handle: &'a ColumnFamily,
}

fn family<'a>(db: &'a DB, directory: &'a Path, name: &str) -> Result<Family<'a>> {
    let handle = db.cf_handle(name).ok_or_else(|| {
        Error::new(ErrorKind::Io, format!("the index in {} has no family {name}", directory.display()))
    })?;
    Ok(Family { db, directory, handle })
}

impl Entries for Family<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.db.get_cf(self.handle, key).map_err(|error| folder::failed("read", self.directory, error))
    }

    fn scan(&self, prefix: &[u8], start: Start<'_>, direction: Direction, visit: Visit<'_>) -> Result<()> {
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound(prefix);
        let after = lookup::after_prefix(prefix);
        if let Some(after) = &after {
            options.set_iterate_upper_bound(after.as_slice());
        }
        let is_before = |key: &[u8]| key < prefix;
        let is_behind = |key: &[u8]| after.as_deref().is_some_and(|after| key >= after);
        let mut entries = self.db.raw_iterator_cf_opt(self.handle, options);
        match (direction, start) {
            (Direction::Forwards, Start::At(key)) if is_behind(key) => return Ok(()),
            (Direction::Backwards, Start::At(key) | Start::Covering(key)) if is_before(key) => return Ok(()),
            (Direction::Forwards, Start::At(key)) if !is_before(key) => entries.seek(key),
            (Direction::Forwards, Start::Covering(key)) if is_behind(key) => entries.seek_to_last(),
            (Direction::Forwards, Start::Covering(key)) if !is_before(key) => {
                entries.seek_for_prev(key);
                if !entries.valid() {
                    self.check(&entries)?;
                    entries.seek_to_first();
                }
            }
            (Direction::Backwards, Start::At(key) | Start::Covering(key)) if !is_behind(key) => {
                entries.seek_for_prev(key)
            }
            (Direction::Forwards, _) => entries.seek_to_first(),
            (Direction::Backwards, _) => entries.seek_to_last(),
        }
        while let Some((key, value)) = entries.item() {
            if visit(key, value)? == ControlFlow::Break(()) {
                return Ok(());
            }
            match direction {
                Direction::Forwards => entries.next(),
                Direction::Backwards => entries.prev(),
            }
        }
        self.check(&entries)
    }
}

impl Family<'_> {
    /// An iterator that ends may have failed.
    fn check(&self, entries: &rocksdb::DBRawIterator<'_>) -> Result<()> {
        entries.status().map_err(|error| folder::failed("scan", self.directory, error))
    }
}

fn write_identity(db: &DB, directory: &Path, store_id: StoreId) -> Result<()> {
    let state = family(db, directory, STATE_FAMILY)?;
    let mut options = WriteOptions::default();
    options.set_sync(true);
    db.put_cf_opt(state.handle, IDENTITY_KEY, keys::encode_identity(store_id), &options)
        .map_err(|error| folder::failed("write the store's id", directory, error))
}

fn check_identity(db: &DB, directory: &Path, store_id: StoreId) -> Result<()> {
    match family(db, directory, STATE_FAMILY)?.get(IDENTITY_KEY)? {
        None => Err(Error::new(ErrorKind::Io, format!("the index in {} has no store's id", directory.display()))),
        Some(identity) => match keys::decode_identity(&identity)? {
            found if found == store_id => Ok(()),
            found => Err(lookup::foreign(found, store_id)),
        },
    }
}

/// What goes when an index is closed: the database, and after it the folder of a secondary.
struct Open {
    db: DB,
    scratch: Option<Scratch>,
}

struct RocksIndex {
    directory: PathBuf,
    store_id: StoreId,
    bounds: IndexBounds,
    /// `None` once closed. Readers and writers hold it shared, so that a close waits for them.
    open: RwLock<Option<Open>>,
    watermark: Mutex<Option<Watermark>>,
    /// Held through a write to the state, so that it is not written down again by a slower one.
    state_sequence: Mutex<Sequence>,
    /// Held through an ingest: there is one file to build a batch in.
    ingesting: Mutex<()>,
}

impl std::fmt::Debug for RocksIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RocksIndex")
            .field("directory", &self.directory)
            .field("watermark", &self.watermark())
            .finish_non_exhaustive()
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the index was closed")
}

fn read_only() -> Error {
    Error::new(ErrorKind::ReadOnly, "the index was opened to read")
}

impl RocksIndex {
    fn new(db: DB, scratch: Option<Scratch>, directory: &Path, store_id: StoreId, bounds: IndexBounds) -> Result<Self> {
        check_identity(&db, directory, store_id)?;
        let watermark = lookup::watermark(&family(&db, directory, INDEX_FAMILY)?, store_id)?;
        let state_sequence = lookup::state_sequence(&family(&db, directory, STATE_FAMILY)?)?;
        Ok(Self {
            directory: directory.to_owned(),
            store_id,
            bounds,
            open: RwLock::new(Some(Open { db, scratch })),
            watermark: Mutex::new(watermark),
            state_sequence: Mutex::new(state_sequence),
            ingesting: Mutex::new(()),
        })
    }

    /// Reads from a family. A secondary tries again with a newer view, as its files may have gone.
    fn read<T>(&self, name: &str, read: impl Fn(&Family<'_>) -> Result<T>) -> Result<T> {
        let open = self.open.read();
        let open = open.as_ref().ok_or_else(closed)?;
        let is_secondary = open.scratch.is_some();
        let attempts = if is_secondary { SECONDARY_ATTEMPTS } else { 1 };
        let outcome =
            attempt(attempts, || self.look_again(&open.db), || read(&family(&open.db, &self.directory, name)?));
        outcome.inspect_err(|error| {
            if !is_secondary {
                folder::note_damage(&self.directory, error);
            }
        })
    }

    /// The database, to write to.
    fn write(&self, write: impl FnOnce(&DB) -> Result<()>) -> Result<()> {
        let open = self.open.read();
        match open.as_ref() {
            None => Err(closed()),
            Some(Open { scratch: Some(_), .. }) => Err(read_only()),
            Some(Open { db, scratch: None }) => {
                write(db).inspect_err(|error| folder::note_damage(&self.directory, error))
            }
        }
    }

    /// Makes a secondary see what the writer has made since.
    fn look_again(&self, db: &DB) -> Result<()> {
        db.try_catch_up_with_primary().map_err(|error| folder::failed("catch up", &self.directory, error))?;
        let watermark = lookup::watermark(&family(db, &self.directory, INDEX_FAMILY)?, self.store_id)?;
        *self.watermark.lock() = watermark;
        Ok(())
    }

    fn build(&self, file: &Path, batch: &IndexBatch) -> Result<()> {
        let failed = |error| folder::failed("build a batch", &self.directory, error);
        let options = tuning::index_family(&tuning::cache(self.bounds));
        let mut writer = SstFileWriter::create(&options);
        writer.open(file).map_err(failed)?;
        lookup::each_entry(batch, |key, value| writer.put(key, value).map_err(failed))?;
        writer.finish().map_err(failed)
    }

    fn take_in(&self, db: &DB, file: &Path) -> Result<()> {
        // The state's changes so far become durable first, which bounds what a power cut takes of them.
        self.sync_state(db)?;
        let mut options = IngestExternalFileOptions::default();
        options.set_move_files(true);
        // The family has nothing in memory, so there is nothing that an ingest would have to wait for.
        options.set_allow_blocking_flush(false);
        let index = family(db, &self.directory, INDEX_FAMILY)?;
        db.ingest_external_file_cf_opts(index.handle, &options, vec![file])
            .map_err(|error| folder::failed("ingest a batch", &self.directory, error))
    }

    /// Makes the state's changes so far durable, by a synced write of what stands there already. Not by a sync of the
    /// write-ahead log itself: that goes past RocksDB's own record of errors, and fails again on a log that had no room. For
    /// RocksDB that is another error, one that it does not recover from when there is room, as it does from the first.
    fn sync_state(&self, db: &DB) -> Result<()> {
        let highest = self.state_sequence.lock();
        let state = family(db, &self.directory, STATE_FAMILY)?;
        let mut options = WriteOptions::default();
        options.set_sync(true);
        db.put_cf_opt(state.handle, STATE_SEQUENCE_KEY, keys::encode_state_sequence(*highest), &options)
            .map_err(|error| folder::failed("sync the state", &self.directory, error))
    }

    /// Makes the state durable in tables and ends background work.
    fn settle(&self, db: &DB) -> Result<()> {
        let flushed = family(db, &self.directory, STATE_FAMILY).and_then(|state| {
            db.flush_cf(state.handle).map_err(|error| folder::failed("flush the state", &self.directory, error))
        });
        db.cancel_all_background_work(true);
        flushed
    }
}

impl Index for RocksIndex {
    fn watermark(&self) -> Option<Watermark> {
        *self.watermark.lock()
    }

    fn head(&self, stream: &str) -> Result<Option<StreamHead>> {
        self.read(INDEX_FAMILY, |index| lookup::head(index, stream))
    }

    fn key(&self, key: &str) -> Result<Option<KeyEntry>> {
        self.read(INDEX_FAMILY, |index| lookup::key(index, key))
    }

    fn places(&self, stream: &str, from: Version, direction: Direction, limit: usize) -> Result<Vec<(Version, Place)>> {
        self.read(INDEX_FAMILY, |index| lookup::places(index, stream, from, direction, limit))
    }

    fn correlated(
        &self,
        correlation_id: &str,
        from: Sequence,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Place>> {
        self.read(INDEX_FAMILY, |index| lookup::correlated(index, correlation_id, from, direction, limit))
    }

    fn streams(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<(StreamId, StreamHead)>> {
        self.read(INDEX_FAMILY, |index| lookup::streams(index, prefix, after, limit))
    }

    fn ingest(&self, batch: &IndexBatch) -> Result<()> {
        let _ingesting = self.ingesting.lock();
        self.write(|db| {
            lookup::check_batch(batch, self.watermark(), self.store_id)?;
            let file = folder::fresh_ingest_file(&self.directory)?;
            let done = self.build(&file, batch).and_then(|()| self.take_in(db, &file));
            if done.is_err() {
                // Only for its room: the next ingest or open removes it in any case.
                let _ = folder::fresh_ingest_file(&self.directory);
            }
            done?;
            *self.watermark.lock() = Some(batch.watermark);
            Ok(())
        })
    }

    fn write_state(&self, writes: &[StateWrite], sequence: Sequence) -> Result<()> {
        let mut highest = self.state_sequence.lock();
        self.write(|db| {
            let state = family(db, &self.directory, STATE_FAMILY)?;
            let mut batch = WriteBatch::default();
            for write in writes {
                match write {
                    StateWrite::Put(key, value) => batch.put_cf(state.handle, keys::state_key(key), value),
                    StateWrite::Delete(key) => batch.delete_cf(state.handle, keys::state_key(key)),
                }
            }
            if sequence > *highest {
                batch.put_cf(state.handle, STATE_SEQUENCE_KEY, keys::encode_state_sequence(sequence));
            }
            db.write(batch).map_err(|error| folder::failed("write the state", &self.directory, error))?;
            *highest = sequence.max(*highest);
            Ok(())
        })
    }

    fn state(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.read(STATE_FAMILY, |state| state.get(&keys::state_key(key)))
    }

    fn scan_state(
        &self,
        prefix: &[u8],
        from: &[u8],
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        self.read(STATE_FAMILY, |state| lookup::scan_state(state, prefix, from, direction, limit))
    }

    fn close(&self) -> Result<()> {
        let Some(open) = self.open.write().take() else { return Ok(()) };
        if open.scratch.is_some() { Ok(()) } else { self.settle(&open.db) }
    }

    fn catch_up(&self) -> Result<()> {
        let open = self.open.read();
        match open.as_ref() {
            Some(Open { db, scratch: Some(_) }) => attempt(SECONDARY_ATTEMPTS, || Ok(()), || self.look_again(db)),
            Some(_) => Ok(()),
            None => Err(closed()),
        }
    }

    fn compact(&self) -> Result<()> {
        self.write(|db| {
            let mut options = CompactOptions::default();
            // Down to the last level, for what was overwritten or deleted there too.
            options.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
            let compact = |name| -> Result<()> {
                let family = family(db, &self.directory, name)?;
                db.flush_cf(family.handle).map_err(|error| folder::failed("flush", &self.directory, error))?;
                db.compact_range_cf_opt(family.handle, None::<&[u8]>, None::<&[u8]>, &options);
                Ok(())
            };
            compact(INDEX_FAMILY)?;
            // A compaction that fails says so to the next write. The state comes behind it: it is small, and takes that write in.
            self.sync_state(db)?;
            compact(STATE_FAMILY)
        })
    }

    fn bytes(&self) -> Result<u64> {
        folder::bytes(&self.directory)
    }
}

#[cfg(test)]
mod tests;
