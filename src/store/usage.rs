//! What a store takes on disk and how it is used, as far as its files tell.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::reads::Streams;
use super::shared::Shared;
use super::space::log_entries;
use crate::error::Result;
use crate::format::frame::to_u64;
use crate::log::cursor::{self, FrameCursor};
use crate::measure::{Distribution, per_second};
use crate::types::{Sequence, Timestamp};

/// What a store takes on disk and how it is used. Sizes are bytes. Where a name says `sampled`, it is of the newest events that were
/// asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StoreUsage {
    /// Events.
    pub events: u64,
    /// Streams.
    pub streams: u64,
    /// Segment files.
    pub segments: u64,
    /// What the log takes, room that is kept ready included.
    pub log_bytes: u64,
    /// What the index takes.
    pub index_bytes: u64,
    /// When the last event was committed; `None` where there is none.
    pub last_event_at: Option<Timestamp>,
    /// Events that were looked at.
    pub sampled_events: u64,
    /// Their commits.
    pub sampled_commits: u64,
    /// Their payloads.
    pub sampled_payload_bytes: u64,
    /// Their frames: headers, records and padding.
    pub sampled_frame_bytes: u64,
    /// The zeros behind those.
    pub sampled_padding_bytes: u64,
    /// Events of a commit.
    pub sampled_commit_events: Distribution,
    /// How long it took to read and check them, nanoseconds.
    pub sampled_nanos: u64,
    /// Events that the index on disk does not cover: an open reads them.
    pub events_beyond_index: u64,
    /// What they take, at the sample's bytes an event.
    pub bytes_beyond_index: u64,
    /// Consumers and services by name, each with its place in the log.
    pub checkpoints: Vec<CheckpointLag>,
    /// Snapshots.
    pub snapshots: u64,
    /// When the oldest was made.
    pub snapshot_oldest_at: Option<Timestamp>,
    /// When the newest was made.
    pub snapshot_newest_at: Option<Timestamp>,
    /// How long the next open after a kill would take and a recovery of the services after it, microseconds: what the last open took
    /// apart from walking, and the events beyond the index, and those that the furthest service is behind, at the rate the sample was
    /// read at. What a service makes of an event is not in it.
    pub recovery_micros: u64,
}

/// How far behind the log a consumer or a service is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckpointLag {
    /// Its name; that of a service begins with `service/`.
    pub name: String,
    /// It has dealt with everything up to here.
    pub sequence: Sequence,
    /// Events since.
    pub behind: u64,
}

impl StoreUsage {
    /// What an event takes in the log, of the sample.
    #[must_use]
    pub fn bytes_per_event(&self) -> Option<u64> {
        self.sampled_frame_bytes.checked_div(self.sampled_events)
    }

    /// What an event takes in the index.
    #[must_use]
    pub fn index_bytes_per_event(&self) -> Option<u64> {
        self.index_bytes.checked_div(self.events)
    }

    /// Bytes in the log for a hundred bytes of payload, of the sample.
    #[must_use]
    pub fn write_amplification_percent(&self) -> Option<u64> {
        self.sampled_frame_bytes.saturating_mul(100).checked_div(self.sampled_payload_bytes)
    }

    /// How many events a second were read and checked.
    #[must_use]
    pub fn events_per_second(&self) -> Option<u64> {
        per_second(self.sampled_events, Duration::from_nanos(self.sampled_nanos))
    }

    /// `events` at the rate of the sample, microseconds.
    fn micros_for(&self, events: u64) -> u64 {
        let nanos = u128::from(events) * u128::from(self.sampled_nanos);
        let nanos = nanos.checked_div(u128::from(self.sampled_events)).unwrap_or(0);
        u64::try_from(nanos / 1_000).unwrap_or(u64::MAX)
    }
}

impl Shared {
    pub(crate) fn usage(self: &Arc<Self>, sample: u64) -> Result<StoreUsage> {
        let last = self.places.sequence();
        let mut usage = self.sample(last, sample)?;
        let entries = log_entries(self.environment.disk.as_ref(), &self.root)?;
        usage.events = last.get();
        usage.segments = to_u64(self.files.count());
        usage.log_bytes = entries.iter().map(|entry| entry.length).sum();
        usage.index_bytes = self.index.bytes()?;
        usage.streams = Streams::new(self, "").try_fold(0, |count, stream| stream.map(|_| count + 1))?;
        usage.last_event_at = (last > Sequence::ZERO).then(|| self.places.timestamp());
        let covered = self.index.watermark().map_or(Sequence::ZERO, |mark| mark.sequence);
        usage.events_beyond_index = last.get().saturating_sub(covered.get());
        usage.bytes_beyond_index = usage.bytes_per_event().unwrap_or(0).saturating_mul(usage.events_beyond_index);
        let behind = |sequence: Sequence| last.get().saturating_sub(sequence.get());
        let checkpoints = self.checkpoints.all()?.into_iter();
        usage.checkpoints =
            checkpoints.map(|(name, sequence)| CheckpointLag { name, sequence, behind: behind(sequence) }).collect();
        let (snapshots, ages) = self.snapshots.ages()?;
        usage.snapshots = snapshots;
        (usage.snapshot_oldest_at, usage.snapshot_newest_at) = ages.unzip();
        usage.recovery_micros = self.recovery_micros(&usage);
        Ok(usage)
    }

    /// Reads the newest events up to `last`.
    fn sample(&self, last: Sequence, sample: u64) -> Result<StoreUsage> {
        let mut usage = StoreUsage::default();
        if last == Sequence::ZERO || sample == 0 {
            return Ok(usage);
        }
        let first = Sequence::new(last.get().saturating_sub(sample - 1).max(1));
        let began = Instant::now();
        let mut sizes = Vec::new();
        self.each_frame(first, last, |header, payload_bytes| {
            let events = u64::from(header.event_count);
            sizes.push(events);
            usage.sampled_events += events;
            usage.sampled_commits += 1;
            usage.sampled_payload_bytes += payload_bytes;
            usage.sampled_frame_bytes += header.total_bytes();
            usage.sampled_padding_bytes += u64::from(header.padding_bytes);
        })?;
        usage.sampled_nanos = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        usage.sampled_commit_events = Distribution::of_values(sizes);
        Ok(usage)
    }

    /// Shows each frame with events that holds one of a range, with its payloads' bytes; all are checked.
    fn each_frame(
        &self,
        first: Sequence,
        last: Sequence,
        mut look: impl FnMut(&crate::format::frame::FrameHeader, u64),
    ) -> Result<()> {
        let mut cursor = FrameCursor::at(&self.files, first)?;
        let mut next = first;
        while next <= last {
            let frame = cursor.frame()?;
            let damaged = |defect| cursor::damaged_in(&frame, defect);
            let mut payload_bytes = 0;
            for placed in frame.records().map_err(damaged)? {
                payload_bytes += to_u64(placed.map_err(damaged)?.record.payload.len());
            }
            next = frame.header.next_sequence();
            look(&frame.header, payload_bytes);
        }
        Ok(())
    }

    fn recovery_micros(&self, usage: &StoreUsage) -> u64 {
        let kept = super::open::kept_report(self.environment.disk.as_ref(), &self.root).unwrap_or_default();
        let others = kept.phases.iter().filter(|phase| phase.phase != "walk").map(|phase| phase.microseconds);
        let services = usage.checkpoints.iter().filter(|lag| lag.name.starts_with("service/")).map(|lag| lag.behind);
        let events = usage.events_beyond_index.saturating_add(services.max().unwrap_or(0));
        others.sum::<u64>().saturating_add(usage.micros_for(events))
    }
}
