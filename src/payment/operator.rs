//! What an operator may ask of a payment. Each is an event with the operator's name, and is decided on what is on record: of
//! two who ask at the same time, one is first and the other one decides anew.

use super::draft::Draft;
use super::event::{DeadlineScheduled, OperatorCancelled, OperatorResolved, OperatorRetried, PaymentCompensated};
use super::kinds::{CompensationReason, Resolution};
use super::next::{Action, undo};
use super::orchestrator::Orchestrator;
use super::record;
use super::refusal::PaymentRefusal;
use super::state::{HoldProgress, PaymentSaga};
use crate::aggregate::ExecuteError;
use crate::error::{Error, ErrorKind, Result};
use crate::sabotage::{self, Defect};
use crate::types::Timestamp;
use crate::wallet::{HoldOutcome, WalletCommand, WalletRefusal};

/// How often it is decided anew because another writer was faster.
const CONFLICTS_MAX: u32 = 64;

/// An operator's name and reason, bytes each.
const WORDS_BYTES_MAX: usize = 1_024;

type Operated<T = PaymentSaga> = Result<T, ExecuteError<PaymentRefusal>>;

impl Orchestrator {
    /// Calls a payment off, before its capture is published: what was held or may be authorised is undone; where there is
    /// nothing to undo it is rejected. Carrying it out is [`drive`](Self::drive)'s or [`advance`](Self::advance)'s.
    ///
    /// # Errors
    /// [`PaymentRefusal::PastPivot`], [`BeingUndone`](PaymentRefusal::BeingUndone),
    /// [`AlreadyOver`](PaymentRefusal::AlreadyOver). `InvalidInput`: the operator has no name, or a text is longer than 1024
    /// bytes. `NotFound`: there is no such payment. As [`start`](Self::start), and `Conflict`.
    pub fn cancel(&self, payment_id: &str, operator: &str, reason: &str) -> Operated {
        self.cancel_for(None, payment_id, operator, reason)
    }

    pub(super) fn cancel_for(
        &self,
        command_id: Option<&str>,
        payment_id: &str,
        operator: &str,
        reason: &str,
    ) -> Operated {
        self.operate_for(command_id, payment_id, Some(operator), reason, |draft| {
            check_before_pivot(&draft.saga)?;
            draft.push(OperatorCancelled { operator: operator.to_owned(), reason: reason.to_owned() }.into());
            let detail = format!("cancelled: {reason}");
            let events = match undo(&draft.saga, CompensationReason::Cancelled, detail) {
                Action::Compensate { reason, detail } => record::compensation(&draft.saga, reason, detail),
                Action::Reject { reason, detail } => record::rejected(&draft.saga, reason, detail),
                _ => Vec::new(),
            };
            draft.push_all(events);
            Ok(())
        })
    }

    /// Has what was given up tried again: of a parked payment, the capture, the settlement, the void or the release; of one that
    /// is over, the refund of a late charge. Attempts are counted anew, under the same keys, so that nothing is done twice.
    /// Carrying it out is [`drive`](Self::drive)'s or [`advance`](Self::advance)'s.
    ///
    /// # Errors
    /// [`PaymentRefusal::NotParked`], [`AlreadyOver`](PaymentRefusal::AlreadyOver); the rest as [`cancel`](Self::cancel).
    pub fn retry(&self, payment_id: &str, operator: &str, reason: &str) -> Operated {
        self.retry_for(None, payment_id, operator, reason)
    }

    pub(super) fn retry_for(
        &self,
        command_id: Option<&str>,
        payment_id: &str,
        operator: &str,
        reason: &str,
    ) -> Operated {
        self.operate_for(command_id, payment_id, Some(operator), reason, |draft| {
            let refund_failed = draft.saga.refund_failure().is_some();
            if let Some(outcome) = draft.saga.outcome().filter(|_| !refund_failed) {
                return Err(refused(PaymentRefusal::AlreadyOver { outcome: outcome.kind }));
            }
            if draft.saga.parked().is_none() && !refund_failed {
                return Err(refused(PaymentRefusal::NotParked));
            }
            draft.push(OperatorRetried { operator: operator.to_owned(), reason: reason.to_owned() }.into());
            Ok(())
        })
    }

    /// Ends a parked payment: the operator says what became of the card's part, and the wallet's part follows in the same
    /// commit. Completed: what is held is taken. Compensated: it is let go. The gateway is not called.
    ///
    /// # Errors
    /// [`PaymentRefusal::NotParked`], [`AlreadyOver`](PaymentRefusal::AlreadyOver),
    /// [`WalletPart`](PaymentRefusal::WalletPart): the wallet's part was let go, or taken, before; the rest as
    /// [`cancel`](Self::cancel).
    pub fn resolve(&self, payment_id: &str, resolution: Resolution, operator: &str, reason: &str) -> Operated {
        self.resolve_for(None, payment_id, resolution, operator, reason)
    }

    pub(super) fn resolve_for(
        &self,
        command_id: Option<&str>,
        payment_id: &str,
        resolution: Resolution,
        operator: &str,
        reason: &str,
    ) -> Operated {
        self.operate_for(command_id, payment_id, Some(operator), reason, |draft| {
            if let Some(outcome) = draft.saga.outcome() {
                return Err(refused(PaymentRefusal::AlreadyOver { outcome: outcome.kind }));
            }
            if draft.saga.parked().is_none() {
                return Err(refused(PaymentRefusal::NotParked));
            }
            let (operator, reason) = (operator.to_owned(), reason.to_owned());
            let detail = format!("resolved: {reason}");
            draft.push(OperatorResolved { operator, reason, resolution }.into());
            self.resolve_wallet_part(draft, resolution)?;
            draft.push(match resolution {
                Resolution::Completed => record::completed(&draft.saga),
                Resolution::Compensated => PaymentCompensated { reason: CompensationReason::Operator, detail }.into(),
            });
            Ok(())
        })
    }

    /// Moves a payment's deadline to a later time, before its capture is published. A hold that names a payment does not
    /// expire by itself, so nothing else has to be moved.
    ///
    /// # Errors
    /// [`PaymentRefusal::DeadlineNotLater`], [`PastPivot`](PaymentRefusal::PastPivot),
    /// [`BeingUndone`](PaymentRefusal::BeingUndone), [`AlreadyOver`](PaymentRefusal::AlreadyOver); the rest as
    /// [`cancel`](Self::cancel).
    pub fn extend_deadline(&self, payment_id: &str, new_deadline: Timestamp, why: &str) -> Operated {
        self.operate(payment_id, None, why, |draft| {
            check_before_pivot(&draft.saga)?;
            if let Some(deadline) = draft.saga.deadline().filter(|deadline| new_deadline <= *deadline) {
                return Err(refused(PaymentRefusal::DeadlineNotLater { deadline }));
            }
            draft.push(DeadlineScheduled { deadline: new_deadline, reason: why.to_owned() }.into());
            Ok(())
        })
    }

    /// Decides on what is on record, and anew where another writer was faster.
    pub(super) fn operate(
        &self,
        payment_id: &str,
        operator: Option<&str>,
        reason: &str,
        decide: impl Fn(&mut Draft) -> Operated<()>,
    ) -> Operated {
        self.operate_for(None, payment_id, operator, reason, decide)
    }

    /// As [`operate`](Self::operate), for a command that is named in the events.
    pub(super) fn operate_for(
        &self,
        command_id: Option<&str>,
        payment_id: &str,
        operator: Option<&str>,
        reason: &str,
        decide: impl Fn(&mut Draft) -> Operated<()>,
    ) -> Operated {
        if operator == Some("") || operator.unwrap_or_default().len().max(reason.len()) > WORDS_BYTES_MAX {
            let text = format!("an operator has a name, and a name and a reason have at most {WORDS_BYTES_MAX} bytes");
            return Err(Error::new(ErrorKind::InvalidInput, text).into());
        }
        let mut conflicts = 0;
        loop {
            let mut draft = Draft::load(self.store(), payment_id)?;
            let Some(started) = draft.saga.started() else {
                return Err(Error::new(ErrorKind::NotFound, format!("there is no payment {payment_id:?}")).into());
            };
            let user_id = started.user_id.clone();
            let _turn = draft.saga.needs_wallet().then(|| self.inner.wallets.turn(&user_id));
            draft.set_actor(operator);
            draft.set_causation(command_id);
            decide(&mut draft)?;
            match self.flush(&mut draft) {
                Ok(()) => {
                    self.inner.watch.ring();
                    return Ok(draft.saga);
                }
                Err(error) if error.kind() == ErrorKind::Conflict && conflicts < CONFLICTS_MAX => {
                    conflicts += 1;
                    self.inner.wallets.forget(&user_id);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Adds what becomes of the wallet's part.
    fn resolve_wallet_part(&self, draft: &mut Draft, resolution: Resolution) -> Operated<()> {
        let Some(amount) = draft.saga.wallet_part() else { return Ok(()) };
        let gone = |detail: &str| Err(refused(PaymentRefusal::WalletPart { detail: detail.to_owned() }));
        match (&draft.saga.hold, resolution) {
            (HoldProgress::Captured, Resolution::Completed) | (HoldProgress::Released, Resolution::Compensated) => {
                return Ok(());
            }
            (HoldProgress::Captured, Resolution::Compensated) => return gone("it is taken"),
            (HoldProgress::Released, Resolution::Completed) => return gone("it was let go"),
            (HoldProgress::None | HoldProgress::Refused(_), Resolution::Completed) => return gone("it was never held"),
            (HoldProgress::None | HoldProgress::Refused(_), Resolution::Compensated) => return Ok(()),
            (HoldProgress::Held | HoldProgress::ReleaseRefused(_), _) => {}
        }
        if sabotage::has(Defect::ResolveLeavesHold) {
            return Ok(());
        }
        let hold_id = draft.saga.payment_id().to_owned();
        let (command, event, outcome_wanted) = match resolution {
            Resolution::Completed => {
                let event = record::hold_captured(&draft.saga);
                (WalletCommand::Capture { hold_id, amount, is_final: true }, event, Resolution::Completed)
            }
            Resolution::Compensated => {
                (WalletCommand::Release { hold_id }, record::hold_released(), Resolution::Compensated)
            }
        };
        let user_id = draft.saga.started().map(|started| started.user_id.clone()).unwrap_or_default();
        match self.inner.wallets.decide(&user_id, &command) {
            Ok(decision) => draft.push_effect(decision, vec![event]),
            // The wallet was brought there by other means: what it says has been done need not be done.
            Err(ExecuteError::Refused(refusal)) if is_done(&refusal, outcome_wanted) => draft.push(event),
            Err(ExecuteError::Refused(refusal)) => return gone(&refusal.to_string()),
            Err(ExecuteError::Store(error)) => return Err(error.into()),
        }
        Ok(())
    }
}

/// Whether what a wallet refuses to do is done.
fn is_done(refusal: &WalletRefusal, wanted: Resolution) -> bool {
    match refusal {
        WalletRefusal::HoldResolved { outcome: HoldOutcome::Captured { .. }, .. } => wanted == Resolution::Completed,
        WalletRefusal::HoldResolved { .. } | WalletRefusal::HoldNotFound { .. } => wanted == Resolution::Compensated,
        _ => false,
    }
}

/// Checks that a payment can still be called off.
fn check_before_pivot(saga: &PaymentSaga) -> Operated<()> {
    if let Some(outcome) = saga.outcome() {
        return Err(refused(PaymentRefusal::AlreadyOver { outcome: outcome.kind }));
    }
    if let Some(reason) = saga.compensation() {
        return Err(refused(PaymentRefusal::BeingUndone { reason }));
    }
    if saga.is_past_pivot() {
        return Err(refused(PaymentRefusal::PastPivot));
    }
    Ok(())
}

pub(super) fn refused(refusal: PaymentRefusal) -> ExecuteError<PaymentRefusal> {
    ExecuteError::Refused(refusal)
}
