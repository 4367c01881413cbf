//! What an open found and did, as it is printed.

use bitacora::{CutReport, IndexUse, RecoveryReport};
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
        format!(
            "{}: {how}; index {}; {} of {} segments read, {} events replayed{cut}{reserve}; {} us",
            self.opened_at, self.index, self.segments_read, self.segments, self.events_replayed, self.microseconds
        )
    }
}
