//! What an open store has counted, in numbers.

use serde::{Deserialize, Serialize};

use super::shared::Shared;
use crate::format::frame::to_u64;
use crate::measure::Distribution;
use crate::recovery::PhaseReport;
use crate::types::{Sequence, Timestamp};

/// What was counted since a store was opened, by the process that did. Sizes are bytes, times are nanoseconds where a name says
/// so. The numbers are read one after another while commits go on, so two that belong together may differ by a commit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StoreStats {
    /// When the store was opened, and how long that took, microseconds.
    pub opened_at: Timestamp,
    /// How long the open took, microseconds.
    pub open_micros: u64,
    /// Each phase of the open, in order.
    pub open_phases: Vec<PhaseReport>,
    /// How long it has been open, nanoseconds.
    pub open_for_nanos: u64,
    /// The last sequence that reads show.
    pub last_sequence: Sequence,
    /// The last sequence that is synced.
    pub durable_sequence: Sequence,

    /// Commits that were acknowledged. What was answered from an idempotency key is no commit of its own.
    pub commits: u64,
    /// Their events.
    pub events: u64,
    /// Their payloads' bytes.
    pub payload_bytes: u64,
    /// What was written to the log for them: frames with their padding, and marks.
    pub log_bytes: u64,
    /// Of `log_bytes`, the zeros behind frames.
    pub padding_bytes: u64,
    /// Zeros that were written ahead of small groups, beside `log_bytes`; what a spare segment is filled with beside the writers
    /// is not among them.
    pub zero_bytes: u64,
    /// Writes to the log, of a group or a mark each.
    pub writes: u64,
    /// From a commit's call to its answer, nanoseconds, but for what the caller's thread takes to wake. Under `Sync` of every
    /// commit, otherwise of one in sixteen.
    pub commit_nanos: Distribution,

    /// Syncs of the log, nanoseconds each.
    pub sync_nanos: Distribution,
    /// Syncs that failed: the store has stopped.
    pub sync_failures: u64,
    /// Commits that a sync made durable; a sync with nothing new is not counted.
    pub sync_commits: Distribution,
    /// Events that a sync made durable.
    pub sync_events: Distribution,

    /// Segments that were started.
    pub rolls: u64,
    /// Segments that were sealed.
    pub seals: u64,
    /// How long sealing took, nanoseconds.
    pub seal_nanos: u64,
    /// Times that the index was brought up to date.
    pub ingests: u64,
    /// Events that entered the index.
    pub ingested_events: u64,
    /// How long ingesting took, nanoseconds.
    pub ingest_nanos: u64,
    /// What the index takes on disk; `None` where it cannot be told.
    pub index_bytes: Option<u64>,
    /// Events whose places are in memory and not in the index yet.
    pub tail_events: u64,
    /// Roughly what they take in memory.
    pub tail_bytes: u64,

    /// Commits that waited because the answer hung on one in flight: the same stream without its version, or the same key.
    pub waits_for_commit: u64,
    /// Commits that waited because the group that forms was full.
    pub waits_for_room: u64,
    /// Commits for which the index was asked: neither memory nor a commit in flight knew a stream or a key.
    pub index_lookups: u64,
    /// Commits that were answered from an idempotency key.
    pub repeats: u64,
    /// Commits that were refused because a stream was not as expected, or a key had other content.
    pub conflicts: u64,
    /// Commits that were refused for want of room.
    pub full_refusals: u64,

    /// Events that readers were given. A reader is counted when it ends, and every 256 events.
    pub read_events: u64,
    /// Their payloads' bytes.
    pub read_bytes: u64,
    /// Snapshots that were passed over because they could not be read.
    pub snapshots_unreadable: u64,
}

impl StoreStats {
    /// Bytes written to the log and ahead of it for a hundred bytes of payload; `None` where nothing was committed. The index is not
    /// in it: see `index_bytes`.
    #[must_use]
    pub fn write_amplification_percent(&self) -> Option<u64> {
        let written = self.log_bytes.saturating_add(self.zero_bytes);
        written.saturating_mul(100).checked_div(self.payload_bytes)
    }
}

/// A store's statistics as its writer kept them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StatsRecord {
    /// When they were kept, wall time.
    pub written_at: Timestamp,
    /// How often the store had been opened to write by then.
    pub session: u64,
    /// The writer's process.
    pub process_id: u32,
    /// Whether the writer was closing the store.
    pub is_last: bool,
    /// What it had counted.
    pub stats: StoreStats,
}

impl Shared {
    pub(crate) fn stats(&self) -> StoreStats {
        let measures = &self.files.measures;
        let (tail_events, tail_bytes) = self.view.read().size();
        StoreStats {
            opened_at: self.report.opened_at,
            open_micros: self.report.phases.iter().map(|phase| phase.microseconds).sum(),
            open_phases: self.report.phases.clone(),
            open_for_nanos: measures.open_nanos(),
            last_sequence: self.places.sequence(),
            durable_sequence: self.places.durable(),
            commits: measures.commits.get(),
            events: measures.events.get(),
            payload_bytes: measures.payload_bytes.get(),
            log_bytes: measures.log_bytes.get(),
            padding_bytes: measures.padding_bytes.get(),
            zero_bytes: measures.zero_bytes.get(),
            writes: measures.writes.get(),
            commit_nanos: measures.commit_nanos.distribution(),
            sync_nanos: measures.sync_nanos.distribution(),
            sync_failures: measures.sync_failures.get(),
            sync_commits: measures.sync_commits.distribution(),
            sync_events: measures.sync_events.distribution(),
            rolls: measures.rolls.get(),
            seals: measures.seals.get(),
            seal_nanos: measures.seal_nanos.get(),
            ingests: measures.ingests.get(),
            ingested_events: measures.ingested_events.get(),
            ingest_nanos: measures.ingest_nanos.get(),
            index_bytes: self.index.bytes().ok(),
            tail_events: to_u64(tail_events),
            tail_bytes: to_u64(tail_bytes),
            waits_for_commit: measures.waits_for_commit.get(),
            waits_for_room: measures.waits_for_room.get(),
            index_lookups: measures.index_lookups.get(),
            repeats: measures.repeats.get(),
            conflicts: measures.conflicts.get(),
            full_refusals: measures.full_refusals.get(),
            read_events: measures.read_events.get(),
            read_bytes: measures.read_bytes.get(),
            snapshots_unreadable: self.snapshots.unreadable(),
        }
    }
}
