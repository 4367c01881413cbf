//! After a crash: which payments are not over, and handing them back to be gone on with.

use std::collections::BTreeSet;
use std::time::Duration;

use super::draft::Draft;
use super::event::{DeadlineScheduled, PaymentResumed, TypeMeaning, type_meaning};
use super::next::{Action, next};
use super::orchestrator::Orchestrator;
use super::record;
use super::request::PAYMENT_TYPE;
use super::state::PaymentSaga;
use crate::error::{Error, ErrorKind, Result};
use crate::types::{Sequence, Timestamp};

/// How often a payment is looked at anew because another writer was faster.
const CONFLICTS_MAX: u32 = 16;

/// What a recovery found a payment to need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResumeDecision {
    /// It goes on from where it was.
    Resumed,
    /// It is being undone.
    Compensating,
    /// It was over.
    AlreadyFinal,
    /// It waits for a person.
    Parked,
}

impl Orchestrator {
    /// The payments that are not over, by id: those of `known_open`, and those begun after `from`, less those that ended after
    /// `from`. One that ended and was charged late is not over until the charge is given back. Reads types alone, no
    /// payloads.
    ///
    /// # Errors
    /// `Corrupt`, `Io`, `Closed`: the store's.
    pub fn incomplete(&self, from: Sequence, known_open: &BTreeSet<String>) -> Result<Vec<String>> {
        let mut open = known_open.clone();
        let prefix = format!("{PAYMENT_TYPE}-");
        self.store().visit(from.next().., |event| {
            if let Some(payment_id) = event.stream.strip_prefix(&prefix) {
                match type_meaning(event.event_type) {
                    TypeMeaning::Begins => drop(open.insert(payment_id.to_owned())),
                    TypeMeaning::Ends => drop(open.remove(payment_id)),
                    TypeMeaning::Neither => {}
                }
            }
            Ok(std::ops::ControlFlow::Continue(()))
        })?;
        Ok(open.into_iter().collect())
    }

    /// Puts on record that the recovery `recovery_id` found this payment unfinished, and what was in doubt; and, past its
    /// deadline and before the pivot, that it is being undone. Calls no gateway: [`drive`](Self::drive) or
    /// [`advance`](Self::advance) go on with it. The same recovery may ask again.
    ///
    /// `extend_by` is the step of time that was found at open and that nobody could have used: after a long power cut, or a clock
    /// that jumped. Where it is not zero, the deadline of a payment before the pivot is moved by it first, once for each recovery.
    /// Zero is for a policy by which such payments expire.
    ///
    /// # Errors
    /// `NotFound`: there is no such payment. As [`load`](Self::load), and of the commit: `Conflict`, `StorageFull`,
    /// `Poisoned`, `CommitUnknown`, `ReadOnly`.
    pub fn resume(
        &self,
        payment_id: &str,
        recovery_id: &str,
        now: Timestamp,
        extend_by: Duration,
    ) -> Result<ResumeDecision> {
        let mut conflicts = 0;
        loop {
            match self.resume_once(payment_id, recovery_id, now, extend_by) {
                Err(error) if error.kind() == ErrorKind::Conflict && conflicts < CONFLICTS_MAX => conflicts += 1,
                result => return result,
            }
        }
    }

    fn resume_once(
        &self,
        payment_id: &str,
        recovery_id: &str,
        now: Timestamp,
        extend_by: Duration,
    ) -> Result<ResumeDecision> {
        let mut draft = Draft::load(self.store(), payment_id)?;
        let now = self.store().now().max(now);
        match next(&draft.saga, now, &self.inner.options.retry) {
            Action::NotStarted => {
                return Err(Error::new(ErrorKind::NotFound, format!("there is no payment {payment_id:?}")));
            }
            Action::Done if draft.saga.is_over() => return Ok(ResumeDecision::AlreadyFinal),
            // A refund that was given up waits for a person as a parked payment does.
            Action::Done | Action::Parked => return Ok(ResumeDecision::Parked),
            _ => {}
        }
        if draft.saga.recovery_id.as_deref() != Some(recovery_id) {
            let in_doubt = draft.saga.in_doubt();
            draft.push(PaymentResumed { recovery_id: recovery_id.to_owned(), in_doubt }.into());
            if let Some(deadline) = extended(&draft.saga, extend_by) {
                let reason = format!("time stood still for {} ms before recovery {recovery_id}", extend_by.as_millis());
                draft.push(DeadlineScheduled { deadline, reason }.into());
            }
        }
        if let Action::Compensate { reason, detail } = next(&draft.saga, now, &self.inner.options.retry) {
            let events = record::compensation(&draft.saga, reason, detail);
            draft.push_all(events);
        }
        self.flush(&mut draft)?;
        Ok(match draft.saga.compensation() {
            Some(_) if draft.saga.outcome().is_none() => ResumeDecision::Compensating,
            _ => ResumeDecision::Resumed,
        })
    }
}

/// The deadline of a payment that time which nobody could use is not held against.
fn extended(saga: &PaymentSaga, extend_by: Duration) -> Option<Timestamp> {
    let binds = saga.outcome().is_none() && saga.compensation().is_none() && !saga.is_past_pivot();
    saga.deadline().filter(|_| binds && !extend_by.is_zero()).map(|deadline| deadline.plus(extend_by))
}
