//! What an open found and did.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::{Clock, ClockStep};
use crate::codec;
use crate::error::Result;
use crate::types::{Sequence, Timestamp};

/// What an open found and did. All sizes are bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryReport {
    /// When, in wall time.
    pub opened_at: Timestamp,
    /// Whether the store was made by this open.
    pub was_created: bool,
    /// Whether the last writer closed it.
    pub was_closed_cleanly: bool,
    /// What became of the index.
    pub index: IndexUse,
    /// The last sequence that the index covered.
    pub index_sequence: Sequence,
    /// Segments in the log.
    pub segments: u64,
    /// Segments that were read.
    pub segments_read: u64,
    /// Bytes that were read from segments.
    pub bytes_read: u64,
    /// Events that were replayed into the tail index.
    pub events_replayed: u64,
    /// The last sequence there is.
    pub last_sequence: Sequence,
    /// The last sequence that evidence proved durable.
    pub proven_sequence: Sequence,
    /// Bytes that were written again and synced, because one sync at most proved them durable.
    pub rewritten_bytes: u64,
    /// What was cut off the end, if anything.
    pub cut: Option<CutReport>,
    /// Temporary files that were removed.
    pub temporary_files_removed: u64,
    /// Whether the reserve for a full disk was missing in a store that had been there: spent, given up, or never made.
    pub reserve_was_missing: bool,
    /// Whether this open gave the reserve up, to have room for what it had to write.
    pub reserve_was_given_up: bool,
    /// What the reserve has now; zero where there is none.
    pub reserve_bytes: u64,
    /// Each phase, in order.
    pub phases: Vec<PhaseReport>,
    /// How far the clock was from the last commit; `None` where there is no commit, or it was less than
    /// [`Options::open_step_report_min`](crate::Options::open_step_report_min).
    pub clock_step: Option<ClockStep>,
}

impl RecoveryReport {
    /// The report as an open keeps it.
    ///
    /// # Errors
    /// `InvalidInput`: too large.
    pub(crate) fn encode(&self) -> Result<Vec<u8>> {
        codec::encode(self)
    }

    /// A report that was kept.
    ///
    /// # Errors
    /// `UnknownPayload`: of a newer version, or no report.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        codec::decode(bytes).or_else(|error| {
            // Before the clock's step was reported, a report ended here. A later field goes behind it in the same way.
            const NO_STEP: u8 = 0;
            let mut bytes = bytes.to_vec();
            bytes.push(NO_STEP);
            codec::decode(&bytes).map_err(|_| error)
        })
    }
}

/// What became of the index.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum IndexUse {
    /// There was none, and there was nothing to index.
    #[default]
    Created,
    /// It was used as it was.
    Used,
    /// It was made anew from the whole log, and why.
    Rebuilt {
        /// Why.
        reason: String,
    },
}

/// What was cut off the end of the log: nothing in it had been acknowledged as durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CutReport {
    /// The segment's file, relative to the store.
    pub file: String,
    /// Where the cut starts.
    pub offset: u64,
    /// How much was cut.
    pub bytes: u64,
    /// The sequence that would have come there.
    pub sequence: Sequence,
    /// What stood there.
    pub found: String,
    /// Where the cut bytes are kept, relative to the store.
    pub quarantine: String,
}

/// How long a phase took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseReport {
    /// Its name.
    pub phase: String,
    /// Its time, microseconds.
    pub microseconds: u64,
}

/// Times phases.
#[derive(Debug)]
pub(crate) struct PhaseTimer {
    clock: Arc<dyn Clock>,
    started: Duration,
    phases: Vec<PhaseReport>,
}

impl PhaseTimer {
    pub(crate) fn start(clock: Arc<dyn Clock>) -> Self {
        Self { started: clock.elapsed(), clock, phases: Vec::new() }
    }

    /// Ends a phase.
    pub(crate) fn end(&mut self, phase: &str) {
        let now = self.clock.elapsed();
        let microseconds = u64::try_from(now.saturating_sub(self.started).as_micros()).unwrap_or(u64::MAX);
        self.phases.push(PhaseReport { phase: phase.to_owned(), microseconds });
        self.started = now;
    }

    /// The phases that ended.
    pub(crate) fn take(&mut self) -> Vec<PhaseReport> {
        std::mem::take(&mut self.phases)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A report as it was kept before it told of the clock: opened at 1 us, closed cleanly, the index used, 7 events.
    const BEFORE_THE_STEP: [u8; 18] = [2, 0, 1, 1, 7, 1, 0, 0, 0, 7, 7, 0, 0, 0, 0, 0, 0, 0];

    fn report() -> RecoveryReport {
        RecoveryReport {
            opened_at: Timestamp::from_micros(1),
            was_closed_cleanly: true,
            index: IndexUse::Used,
            index_sequence: Sequence::new(7),
            segments: 1,
            last_sequence: Sequence::new(7),
            proven_sequence: Sequence::new(7),
            ..RecoveryReport::default()
        }
    }

    #[test]
    fn a_report_that_an_earlier_version_kept_is_read() {
        let report = report();
        let bytes = report.encode().unwrap();
        let (old, step) = bytes.split_at(bytes.len() - 1);
        assert_eq!(step, [0]);
        assert_eq!(RecoveryReport::decode(old).unwrap(), report);
        assert_eq!(old, BEFORE_THE_STEP);
    }

    #[test]
    fn a_report_with_a_step_is_these_bytes() {
        let report = RecoveryReport { clock_step: Some(ClockStep::Ahead(Duration::new(300, 7))), ..report() };
        let bytes = report.encode().unwrap();
        assert_eq!(bytes[bytes.len() - 6..], [1, 0, 251, 44, 1, 7]);
        assert_eq!(RecoveryReport::decode(&bytes).unwrap(), report);
    }

    #[test]
    fn what_is_no_report_is_refused() {
        let bytes = report().encode().unwrap();
        for length in 0..BEFORE_THE_STEP.len() - 1 {
            assert!(RecoveryReport::decode(&bytes[..length]).is_err(), "{length} bytes");
        }
        assert!(RecoveryReport::decode(&[&bytes[..], &[0]].concat()).is_err());
    }
}
