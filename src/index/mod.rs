//! Finding events: streams' heads and places, correlation ids, idempotency keys; and a small durable state (snapshots, checkpoints).
//!
//! An index covers exactly the events up to its watermark. It is filled by whole sorted batches, each with its own
//! new watermark, atomically; what lies beyond is in the tail index, in memory. Everything in it can be rebuilt
//! from the log, so no error of an index is ever an error of the log.
//!
//! Rules the store keeps, and on which recovery rests: nothing enters an index, batch or state, above the durable
//! watermark of the log; so whatever stands in it proves that the log was durable up to there.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::error::Result;
use crate::format::control::LogEnd;
use crate::limits;
use crate::types::{Sequence, StoreId, StreamId, Timestamp, Version};

pub(crate) mod checkpoints;
#[cfg(test)]
mod conformance;
pub(crate) mod keys;
mod lookup;
mod memory;
pub(crate) mod names;
#[cfg(feature = "rocksdb")]
mod rocks;
pub(crate) mod tail;

pub use checkpoints::Checkpoint;
#[cfg(any(test, feature = "simulation"))]
pub use memory::MemoryIndexImage;
pub use memory::MemoryIndexProvider;
#[cfg(feature = "rocksdb")]
pub use rocks::RocksIndexProvider;

/// Where an event's record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The event's sequence.
    pub sequence: Sequence,
    /// The first sequence of the segment it lies in, which names the segment.
    pub segment: Sequence,
    /// The offset of its frame in the segment.
    pub frame_offset: u32,
    /// The offset of its record in the segment.
    pub record_offset: u32,
}

/// A stream's last event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamHead {
    /// Its version, which is the number of events in the stream.
    pub version: Version,
    /// Its sequence.
    pub sequence: Sequence,
}

/// What an idempotency key was used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyEntry {
    /// The hash of the content it was used with.
    pub content_hash: [u8; 32],
    /// The first sequence of the segment its commit lies in.
    pub segment: Sequence,
    /// The offset of its commit's frame in the segment.
    pub frame_offset: u32,
}

/// Up to where an index covers the log, and where the log goes on from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watermark {
    /// The store whose log this is.
    pub store_id: StoreId,
    /// The last sequence covered.
    pub sequence: Sequence,
    /// The first sequence of the segment that the next frame is looked for in.
    pub segment: Sequence,
    /// The offset there.
    pub offset: u64,
    /// The checksum of the frame before it, which the next frame has chained in.
    pub chain: u32,
    /// The time of the last commit covered.
    pub timestamp: Timestamp,
    /// The offset of the last frame covered; `None` where that is in the segment before.
    pub previous_frame: Option<u32>,
}

impl Watermark {
    /// Where this says the log ends.
    pub(crate) fn log_end(&self) -> LogEnd {
        LogEnd { sequence: self.sequence, offset: self.offset, chain: self.chain }
    }
}

/// The places of up to [`POSTING_EVENTS_MAX`](crate::limits::POSTING_EVENTS_MAX) consecutive events of one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posting {
    /// The stream.
    pub stream: StreamId,
    /// The version of the first of them.
    pub version_first: Version,
    /// Their places, in the order of versions; never empty.
    pub places: Vec<Place>,
}

/// The places of up to [`POSTING_EVENTS_MAX`](crate::limits::POSTING_EVENTS_MAX) events with one correlation id, none of them
/// left out between the first and the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorrelationPosting {
    /// The correlation id.
    pub correlation_id: String,
    /// Their places, in the order of sequences; never empty.
    pub places: Vec<Place>,
}

/// A range of the log's events, as an index takes it in. Each list is sorted by its key, without duplicates.
#[derive(Clone, Debug)]
pub struct IndexBatch {
    /// The places of the range's events that have a correlation id; sorted by the length of the id, then by its bytes.
    pub correlations: Vec<CorrelationPosting>,
    /// Each stream that has an event in the range, once, with its new head.
    pub heads: Vec<(StreamId, StreamHead)>,
    /// The idempotency keys of the range's commits, each once.
    pub keys: Vec<(String, KeyEntry)>,
    /// The places of the range's events.
    pub postings: Vec<Posting>,
    /// The end of the range.
    pub watermark: Watermark,
}

impl IndexBatch {
    /// A batch without events: the index is told only where the log goes on.
    pub(crate) fn of_nothing(watermark: Watermark) -> Self {
        let (correlations, heads, keys, postings) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { correlations, heads, keys, postings, watermark }
    }
}

/// One change to the small state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateWrite {
    /// Sets a key.
    Put(Vec<u8>, Vec<u8>),
    /// Removes a key.
    Delete(Vec<u8>),
}

/// Which way a scan goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the smallest.
    Forwards,
    /// From the largest.
    Backwards,
}

/// What an index says about the log before anything is decided or changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IndexEvidence {
    /// There is none.
    Absent,
    /// There is something that cannot be read as an index of this store, and why.
    Unusable(String),
    /// An index of this store.
    Present {
        /// Up to where it covers the log; `None` where nothing was ingested yet.
        watermark: Option<Watermark>,
        /// The highest sequence that a snapshot or a checkpoint rests on; zero where there is none.
        state_sequence: Sequence,
    },
}

/// An index that is open.
pub trait Index: Send + Sync + fmt::Debug {
    /// Up to where it covers the log; `None` before the first batch.
    fn watermark(&self) -> Option<Watermark>;

    /// A stream's head, as far as the watermark.
    ///
    /// # Errors
    /// `Io`: the index failed.
    fn head(&self, stream: &str) -> Result<Option<StreamHead>>;

    /// An idempotency key's use, as far as the watermark.
    ///
    /// # Errors
    /// `Io`: the index failed.
    fn key(&self, key: &str) -> Result<Option<KeyEntry>>;

    /// The places of a stream's events, at most `limit`: forwards from version `from` on, backwards from `from` down,
    /// inclusive.
    ///
    /// # Errors
    /// `Io`: the index failed.
    fn places(&self, stream: &str, from: Version, direction: Direction, limit: usize) -> Result<Vec<(Version, Place)>>;

    /// The places of the events with a correlation id, at most `limit`: forwards from sequence `from` on, backwards from
    /// `from` down, inclusive.
    ///
    /// # Errors
    /// `Io`: the index failed.
    fn correlated(
        &self,
        correlation_id: &str,
        from: Sequence,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Place>>;

    /// Streams whose name starts with `prefix`, in the order of their bytes, after `after`, at most `limit`.
    ///
    /// # Errors
    /// `Io`: the index failed.
    fn streams(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<(StreamId, StreamHead)>>;

    /// Takes in a batch, whole or not at all; its watermark becomes the index's.
    ///
    /// # Errors
    /// `Io`, `StorageFull`: the index failed, and is as before.
    fn ingest(&self, batch: &IndexBatch) -> Result<()>;

    /// Changes the state, all or nothing, and notes that it rests on the log up to `sequence`. Survives a kill.
    ///
    /// # Errors
    /// `Io`, `StorageFull`: the index failed.
    fn write_state(&self, writes: &[StateWrite], sequence: Sequence) -> Result<()>;

    /// A key of the state.
    ///
    /// # Errors
    /// `Io`: the index failed.
    fn state(&self, key: &[u8]) -> Result<Option<Vec<u8>>>;

    /// The state's keys that start with `prefix`, from `from` on (inclusive; with `Backwards`, down from it; empty: from the
    /// end that the direction starts at), at most `limit`.
    ///
    /// # Errors
    /// `Io`: the index failed.
    fn scan_state(
        &self,
        prefix: &[u8],
        from: &[u8],
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>>;

    /// Makes everything durable and ends background work. Everything but `watermark` and `bytes` answers `Closed` afterwards.
    ///
    /// # Errors
    /// `Io`, `StorageFull`: the index failed.
    fn close(&self) -> Result<()>;

    /// Brings a read-only index up to what its writer has made since; an index that writes does nothing.
    ///
    /// # Errors
    /// `Io`: the index failed.
    fn catch_up(&self) -> Result<()>;

    /// Puts what it holds in order, so that it takes no more room and no more look-ups than it must. What it says stays the same;
    /// a kill on the way leaves it as sound as before.
    ///
    /// # Errors
    /// `Io`, `StorageFull`: the index failed.
    fn compact(&self) -> Result<()>;

    /// Bytes that it takes on disk.
    ///
    /// # Errors
    /// `Io`: the index failed.
    fn bytes(&self) -> Result<u64>;
}

/// How much an index on disk may take beside the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexBounds {
    /// Caches and write buffers, bytes.
    pub memory_bytes: u64,
    /// Files kept open.
    pub open_files_max: u32,
}

impl Default for IndexBounds {
    fn default() -> Self {
        Self { memory_bytes: limits::INDEX_MEMORY_BYTES_DEFAULT, open_files_max: limits::INDEX_OPEN_FILES_DEFAULT }
    }
}

/// Makes indices for a store's folder.
pub trait IndexProvider: Send + Sync + fmt::Debug {
    /// What the index in `directory` says about the log. Changes nothing there.
    fn evidence(&self, directory: &Path, store_id: StoreId) -> IndexEvidence;

    /// Opens the index in `directory` for writing, making it where there is none.
    ///
    /// # Errors
    /// `Io`: it cannot be opened or made, or is of another store; it is to be removed and rebuilt then.
    fn open(&self, directory: &Path, store_id: StoreId) -> Result<Arc<dyn Index>>;

    /// Opens the index in `directory` to read while another process may write to it. Changes nothing there.
    ///
    /// # Errors
    /// `Io`: it cannot be opened. `NotFound`: there is none.
    fn open_read_only(&self, directory: &Path, store_id: StoreId) -> Result<Arc<dyn Index>>;

    /// Removes the index in `directory`, so that a new one can be made.
    ///
    /// # Errors
    /// `Io`: it cannot be removed.
    fn remove(&self, directory: &Path) -> Result<()>;

    /// A provider of the same indices that keep to these bounds where they are opened to write; `None` where they know none.
    fn bounded(&self, bounds: IndexBounds) -> Option<Arc<dyn IndexProvider>> {
        let _ = bounds;
        None
    }

    /// Puts the index in `from`, which is closed, into the place of that in `to`, durably. A kill on the way leaves one of them
    /// there, or none.
    ///
    /// # Errors
    /// `Io`: it cannot be done; in `to` there may be none.
    fn replace(&self, from: &Path, to: &Path) -> Result<()>;
}
