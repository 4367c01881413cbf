//! A store in numbers.

use std::sync::Arc;

use super::reads::Streams;
use super::shared::Shared;
use crate::error::{Error, Result};
use crate::format::FORMAT_VERSION;
use crate::format::frame::to_u64;
use crate::log::{archived, reserve};
use crate::recovery::RecoveryReport;
use crate::recovery::examine::{self, LOG};
use crate::types::{Sequence, StoreId};

/// A store in numbers. Sizes are bytes.
#[derive(Clone, Debug)]
pub struct StoreInfo {
    /// The store's id.
    pub store_id: StoreId,
    /// The version of its formats.
    pub format_version: u16,
    /// The first sequence; zero where there is none.
    pub first_sequence: Sequence,
    /// The last sequence.
    pub last_sequence: Sequence,
    /// The last sequence that is synced.
    pub durable_sequence: Sequence,
    /// Segments, those that are archived included.
    pub segments: u64,
    /// Segments that are in an archive.
    pub archived_segments: u64,
    /// What these segments would take in the log.
    pub archived_bytes: u64,
    /// What their archives take, wherever they are.
    pub archive_bytes: u64,
    /// What the log takes, room that is kept ready included.
    pub log_bytes: u64,
    /// The room that is kept for a full disk: what [`Commit::may_use_reserve`](crate::Commit::may_use_reserve) may still use.
    pub reserve_bytes: u64,
    /// What the index takes.
    pub index_bytes: u64,
    /// Streams.
    pub streams: u64,
    /// Events whose places are in memory and not in the index yet.
    pub tail_events: u64,
    /// Roughly what they take in memory.
    pub tail_bytes: u64,
    /// Snapshots that were passed over since the store was opened, because they could not be read.
    pub snapshots_unreadable: u64,
    /// What the last open to write found and did; `None` where it kept no report.
    pub last_recovery: Option<RecoveryReport>,
}

impl Shared {
    pub(crate) fn info(self: &Arc<Self>) -> Result<StoreInfo> {
        let log = self.root.join(LOG);
        let entries = super::space::log_entries(self.environment.disk.as_ref(), &self.root)?;
        let mut streams = 0;
        for stream in Streams::new(self, "") {
            stream?;
            streams += 1;
        }
        let (archived_segments, archived_bytes, archive_bytes) = self.archived()?;
        let last = self.places.sequence();
        let (tail_events, tail_bytes) = self.view.read().size();
        Ok(StoreInfo {
            store_id: self.store_id,
            format_version: FORMAT_VERSION,
            first_sequence: last.min(Sequence::FIRST),
            last_sequence: last,
            durable_sequence: self.places.durable(),
            segments: to_u64(self.files.count()),
            archived_segments,
            archived_bytes,
            archive_bytes,
            log_bytes: entries.iter().map(|entry| entry.length).sum(),
            reserve_bytes: reserve::length(self.environment.disk.as_ref(), &log)
                .map_err(|source| Error::from_io("look at log/reserve", source))?,
            index_bytes: self.index.bytes()?,
            streams,
            tail_events: to_u64(tail_events),
            tail_bytes: to_u64(tail_bytes),
            snapshots_unreadable: self.snapshots.unreadable(),
            last_recovery: super::open::kept_report(self.environment.disk.as_ref(), &self.root),
        })
    }

    /// How many segments are archived, and their bytes before and after, as their stubs say. One that is damaged says nothing.
    fn archived(&self) -> Result<(u64, u64, u64)> {
        let (disk, log) = (self.environment.disk.as_ref(), self.root.join(LOG));
        let archived = examine::inventory(disk, &log)?.archived;
        let stubs =
            archived.iter().filter_map(|first| archived::read_stub(disk, &log, self.store_id, *first).ok().flatten());
        let (before, after) =
            stubs.fold((0, 0), |sums, stub| (sums.0 + stub.segment_bytes, sums.1 + stub.archive_bytes));
        Ok((to_u64(archived.len()), before, after))
    }
}
