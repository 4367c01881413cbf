//! What an open found and did, as it is printed.

use bitacora::{ClockStep, CutReport, IndexUse, RecoveryReport};
use serde::Serialize;

use crate::render;

/// The report of an open.
#[derive(Serialize)]
pub(crate) struct StoreReport<'a> {
    opened_at: String,
    was_created: bool,
    was_closed_cleanly: bool,
    /// `created`, `used` or `rebuilt`.
    index: &'static str,
    /// Why the index was rebuilt.
    index_reason: Option<&'a str>,
    index_sequence: u64,
    segments: u64,
    segments_read: u64,
    bytes_read: u64,
    events_replayed: u64,
    last_sequence: u64,
    proven_sequence: u64,
    rewritten_bytes: u64,
    /// What was cut off the end, and where the cut bytes are kept.
    cut: Option<&'a CutReport>,
    temporary_files_removed: u64,
    /// Whether there was no reserve for a full disk, and whether this open gave it up; what it has now, bytes.
    reserve_was_missing: bool,
    reserve_was_given_up: bool,
    reserve_bytes: u64,
    /// How far the clock was ahead of the last commit, or, negative, behind it; where that was much.
    clock_step_seconds: Option<i64>,
    phases: Vec<Phase<'a>>,
    microseconds: u64,
}

#[derive(Serialize)]
struct Phase<'a> {
    phase: &'a str,
    microseconds: u64,
}

impl<'a> StoreReport<'a> {
    pub(crate) fn new(report: &'a RecoveryReport) -> Self {
        let (index, index_reason) = match &report.index {
            IndexUse::Created => ("created", None),
            IndexUse::Used => ("used", None),
            IndexUse::Rebuilt { reason } => ("rebuilt", Some(reason.as_str())),
        };
        let phases = report.phases.iter();
        Self {
            opened_at: render::time(report.opened_at),
            was_created: report.was_created,
            was_closed_cleanly: report.was_closed_cleanly,
            index,
            index_reason,
            index_sequence: report.index_sequence.get(),
            segments: report.segments,
            segments_read: report.segments_read,
            bytes_read: report.bytes_read,
            events_replayed: report.events_replayed,
            last_sequence: report.last_sequence.get(),
            proven_sequence: report.proven_sequence.get(),
            rewritten_bytes: report.rewritten_bytes,
            cut: report.cut.as_ref(),
            temporary_files_removed: report.temporary_files_removed,
            reserve_was_missing: report.reserve_was_missing,
            reserve_was_given_up: report.reserve_was_given_up,
            reserve_bytes: report.reserve_bytes,
            clock_step_seconds: report.clock_step.map(seconds),
            phases: phases
                .map(|phase| Phase { phase: phase.phase.as_str(), microseconds: phase.microseconds })
                .collect(),
            microseconds: report.phases.iter().map(|phase| phase.microseconds).sum(),
        }
    }

    /// In one line, for people.
    pub(crate) fn line(&self) -> String {
        let how = match (self.was_created, self.was_closed_cleanly) {
            (true, _) => "created",
            (false, true) => "closed cleanly before",
            (false, false) => "not closed before",
        };
        let cut = self.cut.map_or_else(String::new, |cut| {
            format!(", {} bytes of {} cut at {} and kept in {}", cut.bytes, cut.file, cut.offset, cut.quarantine)
        });
        let reserve = match (self.reserve_was_given_up, self.reserve_was_missing) {
            (true, _) => ", the reserve for a full disk given up",
            (false, true) => ", the reserve for a full disk was missing",
            (false, false) => "",
        };
        let clock = match self.clock_step_seconds {
            None => String::new(),
            Some(step) if step < 0 => format!(", the clock {} s behind the last commit", step.unsigned_abs()),
            Some(step) => format!(", the clock {step} s ahead of the last commit"),
        };
        format!(
            "{}: {how}; index {}; {} of {} segments read, {} events replayed{cut}{reserve}{clock}; {} us",
            self.opened_at, self.index, self.segments_read, self.segments, self.events_replayed, self.microseconds
        )
    }
}

fn seconds(step: ClockStep) -> i64 {
    let whole = |duration: std::time::Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    match step {
        ClockStep::Ahead(step) => whole(step),
        ClockStep::Behind(step) => -whole(step),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_step_of_the_clock_is_printed_with_its_direction() {
        let report = |clock_step| RecoveryReport { clock_step, ..RecoveryReport::default() };
        let (night, battery) = (Duration::from_secs(36_000), Duration::from_secs(1_800_000_000));
        let (ahead, behind) = (report(Some(ClockStep::Ahead(night))), report(Some(ClockStep::Behind(battery))));
        assert!(StoreReport::new(&ahead).line().contains(", the clock 36000 s ahead of the last commit;"));
        assert!(StoreReport::new(&behind).line().contains(", the clock 1800000000 s behind the last commit;"));
        assert!(!StoreReport::new(&report(None)).line().contains("clock"));
        assert_eq!(serde_json::to_value(StoreReport::new(&behind)).unwrap()["clock_step_seconds"], -1_800_000_000);
    }
}
