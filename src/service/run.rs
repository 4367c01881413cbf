//! What one recovery has gathered so far.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use super::extension::Extension;
use super::{Finding, Phase, PhaseReport, RecoverOptions, Strategy};
use crate::aggregate::restore_threads;
use crate::store::Store;
use crate::types::Sequence;

pub(super) struct Run<'a> {
    pub(super) recovery_id: String,
    pub(super) strategy: Strategy,
    pub(super) options: RecoverOptions<'a>,
    pub(super) end: Sequence,
    /// Zero until the recovery of the payments begins.
    pub(super) extension: Extension,
    pub(super) phases: Vec<PhaseReport>,
    pub(super) findings: Vec<Finding>,
    /// The streams that a finding quarantines, each with the reason.
    pub(super) quarantined: BTreeMap<String, String>,
    store: Store,
    started: Duration,
    phase_started: Duration,
}

impl<'a> Run<'a> {
    /// A run over what is in the store now.
    pub(super) fn new(store: &Store, strategy: Strategy, options: RecoverOptions<'a>) -> Self {
        let (end, started) = (store.last_sequence(), store.elapsed());
        Self {
            // Named by the log's end: the same for a given log, and another one as soon as a recovery has put anything on
            // record.
            recovery_id: format!("recovery-{end}"),
            strategy,
            options,
            end,
            extension: Extension::default(),
            phases: Vec::new(),
            findings: Vec::new(),
            quarantined: BTreeMap::new(),
            store: store.clone(),
            started,
            phase_started: started,
        }
    }

    pub(super) fn threads(&self) -> NonZeroUsize {
        self.options.threads.unwrap_or_else(|| restore_threads(&self.store))
    }

    /// Ends a phase; the next one begins.
    pub(super) fn done(&mut self, phase: Phase, count: impl TryInto<u64>) {
        assert!(self.phases.last().is_none_or(|last| last.phase < phase), "the phases are in the flow's order");
        let (now, count) = (self.store.elapsed(), count.try_into().unwrap_or(u64::MAX));
        let elapsed_ms = millis(now.saturating_sub(self.phase_started));
        self.phases.push(PhaseReport { phase, count, elapsed_ms });
        self.phase_started = now;
        self.options.tell(phase, count, count);
        tracing::debug!(recovery_id = self.recovery_id, ?phase, elapsed_ms, "recovery");
    }

    pub(super) fn elapsed_ms(&self) -> u64 {
        millis(self.store.elapsed().saturating_sub(self.started))
    }

    /// Adds findings. Of an aggregate that is quarantined already nothing more is said: the rest follows from it.
    pub(super) fn find(&mut self, findings: Vec<Finding>) {
        for finding in findings {
            if self.is_quarantined(&finding.stream) {
                continue;
            }
            tracing::warn!(stream = finding.stream, kind = ?finding.kind, detail = finding.detail, "recovery finding");
            if finding.is_quarantined {
                self.quarantined.insert(finding.stream.clone(), finding.detail.clone());
            }
            self.findings.push(finding);
        }
    }

    pub(super) fn is_quarantined(&self, stream: &str) -> bool {
        self.quarantined.contains_key(stream)
    }

    /// What is wrong with the store as a whole, which nobody may write to then.
    pub(super) fn store_finding(&self) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.is_about_the_store())
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
