//! The spans of opening and committing, and what a commit's answer adds to the counters.
//!
//! The names, the target `bitacora` and the fields are documented, and programs filter by them. A span that nobody listens to
//! costs one load and a comparison: its fields are not even looked at.

use std::path::Path;

use tracing::Span;
use tracing::field::Empty;

use super::commit::Commit;
use super::shared::Shared;
use crate::error::Result;
use crate::recovery::RecoveryReport;
use crate::types::Receipt;

pub(super) fn open_span(root: &Path) -> Span {
    tracing::info_span!(
        target: "bitacora", "open",
        root = %root.display(), sequence = Empty, replayed = Empty, bytes_read = Empty, was_closed_cleanly = Empty
    )
}

/// Adds to the span of an open what it came to.
pub(super) fn opened(span: &Span, report: &RecoveryReport) {
    if span.is_disabled() {
        return;
    }
    span.record("sequence", report.last_sequence.get());
    span.record("replayed", report.events_replayed);
    span.record("bytes_read", report.bytes_read);
    span.record("was_closed_cleanly", report.was_closed_cleanly);
}

impl Shared {
    /// Commits, under a span of its own.
    pub(super) fn observed_commit(&self, commit: Commit) -> Result<Receipt> {
        let span = tracing::trace_span!(
            target: "bitacora", "commit",
            streams = commit.content.appends.len(), events = commit.events(), sequence = Empty, is_repeat = Empty
        );
        let outcome = {
            let _entered = span.enter();
            self.commit(commit)
        };
        self.files.measures.answered(&outcome);
        if !span.is_disabled()
            && let Ok(receipt) = &outcome
        {
            span.record("sequence", receipt.sequence_last.get());
            span.record("is_repeat", receipt.is_repeat);
        }
        outcome
    }
}
