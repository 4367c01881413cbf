//! A command to the gateway over all its attempts, as the log tells it.
//!
//! Invariants: attempts only grow; once approved or failed, only an operator's retry opens it again; attempts that are on
//! record as not sent cannot have had an effect, all others may.

use super::kinds::{FailureKind, QueriedOutcome};
use crate::types::Timestamp;

/// How far a command to the gateway is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum CallPhase {
    /// Not published.
    #[default]
    Idle,
    /// Published, and no answer on record.
    Published,
    /// Sent, and no answer came.
    Unanswered,
    /// Asked about, and it had no effect by then.
    NotSeen,
    /// Asked about, and no answer came.
    Unreachable,
    /// There was no network.
    Offline,
    /// To be sent again, not before this.
    Scheduled(Timestamp),
    /// To be sent again at once: an operator said so.
    Renewed,
    /// Done.
    Approved,
    /// Refused for good, or given up.
    Failed(String),
}

/// A command to the gateway, over all its attempts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CallProgress {
    /// Attempts that were published.
    pub(crate) attempts: u32,
    /// Those of them that were not sent: there was no network.
    pub(crate) unsent: u32,
    /// Attempts, and those not sent, when the current group of attempts began.
    group: (u32, u32),
    pub(crate) phase: CallPhase,
    /// Whether the last that is known is that there was no network.
    pub(crate) is_offline: bool,
    /// Whether the last attempt may have been sent and could not be asked about, so that this comes before another one.
    pub(crate) is_to_be_asked: bool,
}

impl CallProgress {
    /// Whether it may have happened, and no answer says so.
    pub(crate) fn is_in_doubt(&self) -> bool {
        self.may_have_acted() && !self.is_settled()
    }

    /// Whether an attempt may have been sent.
    pub(crate) fn may_have_acted(&self) -> bool {
        self.attempts > self.unsent
    }

    pub(crate) fn is_settled(&self) -> bool {
        matches!(self.phase, CallPhase::Approved | CallPhase::Failed(_))
    }

    /// Whether it was published, and is neither under way nor settled.
    pub(crate) fn is_stuck(&self) -> bool {
        self.is_in_doubt() && self.phase != CallPhase::Published
    }

    /// Whether it waits for a network.
    pub(crate) fn awaits_network(&self) -> bool {
        self.is_offline && matches!(self.phase, CallPhase::Offline | CallPhase::Scheduled(_))
    }

    /// Attempts of this group, those without a network included.
    pub(crate) fn attempts_of_group(&self) -> u32 {
        self.attempts.saturating_sub(self.group.0)
    }

    /// Attempts of this group that count against the limit.
    pub(crate) fn tries(&self) -> u32 {
        self.attempts_of_group().saturating_sub(self.unsent.saturating_sub(self.group.1))
    }

    pub(crate) fn published(&mut self, attempt: u32) {
        if !self.is_settled() && attempt > self.attempts {
            self.attempts = attempt;
            self.phase = CallPhase::Published;
            self.is_offline = false;
            self.is_to_be_asked = false;
        }
    }

    pub(crate) fn approved(&mut self) {
        if !self.is_settled() {
            self.phase = CallPhase::Approved;
        }
    }

    pub(crate) fn failed(&mut self, attempt: u32, kind: FailureKind, reason: &str) {
        if self.is_settled() {
            return;
        }
        match kind {
            FailureKind::Permanent => self.phase = CallPhase::Failed(reason.to_owned()),
            FailureKind::Unknown => self.moved(attempt, CallPhase::Unanswered),
            FailureKind::Retryable => self.moved(attempt, CallPhase::Unreachable),
            // Counted once: only an attempt that was not answered yet can turn out not to have been sent.
            FailureKind::Offline if self.phase == CallPhase::Published && attempt == self.attempts => {
                self.unsent = self.unsent.saturating_add(1);
                self.phase = CallPhase::Offline;
                self.is_offline = true;
            }
            FailureKind::Offline => {}
        }
    }

    pub(crate) fn queried(&mut self, attempt: u32, outcome: QueriedOutcome) {
        match outcome {
            // What it said of the command itself is on record beside this, as success or failure of the step.
            QueriedOutcome::Approved | QueriedOutcome::Declined => {}
            QueriedOutcome::NotSeen => self.moved(attempt, CallPhase::NotSeen),
            QueriedOutcome::Unknown => self.moved(attempt, CallPhase::Unreachable),
            QueriedOutcome::Offline => {
                self.moved(attempt, CallPhase::Offline);
                let is_new = self.phase == CallPhase::Offline;
                self.is_offline |= is_new;
                self.is_to_be_asked |= is_new;
                return;
            }
        }
        self.is_to_be_asked = false;
    }

    pub(crate) fn scheduled(&mut self, attempt: u32, due: Timestamp) {
        self.moved(attempt, CallPhase::Scheduled(due));
    }

    /// Begins a new group of attempts where the last one led to nothing.
    pub(crate) fn renew(&mut self) {
        if self.attempts > 0 && self.phase != CallPhase::Approved {
            self.group = (self.attempts, self.unsent);
            self.phase = CallPhase::Renewed;
            self.is_offline = false;
            self.is_to_be_asked = false;
        }
    }

    /// Whatever tells of an attempt that is not the last one is late.
    fn moved(&mut self, attempt: u32, phase: CallPhase) {
        if !self.is_settled() && attempt == self.attempts {
            self.phase = phase;
        }
    }
}
