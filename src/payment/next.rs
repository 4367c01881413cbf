//! What to do next with a payment: a pure function of its log, the time and the retry policy.
//!
//! The rules, in this order:
//! 1. A payment that is over is left alone, but for a charge that came late: it is given back. One that is parked is left alone.
//! 2. One that is being undone is undone in reverse: first the charge (by a void under the authorisation's key, which also
//!    precludes one that never arrived), then the hold. A step that cannot be undone does not keep the others from it.
//! 3. Past the pivot, which is the publication of the capture, there is only completion or review; no deadline counts. What is
//!    captured is settled, where the gateway asks for that.
//! 4. A part that was refused ends the payment; what was done before is undone.
//! 5. Past the deadline what was done, or may have been, is undone.
//! 6. Otherwise the next step: hold, authorise, capture.
//!
//! What was not sent for want of a network is sent again after a delay, as often as it takes: it uses up no attempt.
//!
//! A command on record as published and not as answered is in doubt: the gateway is asked. Whoever has just published one
//! sends it without asking.

use super::call::CallPhase;
use super::gateway::GatewayCommand;
use super::kinds::CompensationReason;
use super::retry::RetryPolicy;
use super::state::{HoldProgress, PaymentSaga};
use crate::sabotage::{self, Defect};
use crate::types::Timestamp;

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing: there is no such payment.
    NotStarted,
    /// Nothing: it has its outcome.
    Done,
    /// Nothing: a person has to decide.
    Parked,
    /// Nothing before this time.
    WaitUntil(Timestamp),
    /// Hold the wallet's part.
    Hold,
    /// Put this attempt of a command on record, durably, then send it.
    Publish {
        /// The command.
        command: GatewayCommand,
        /// From 1.
        attempt: u32,
    },
    /// Ask the gateway what became of a command.
    Query(GatewayCommand),
    /// Put on record when a command is sent again.
    ScheduleRetry {
        /// The command.
        command: GatewayCommand,
        /// Not before.
        due: Timestamp,
    },
    /// Take what is held, which completes the payment, unless it is to be settled.
    TakeHold,
    /// Put on record that it is completed.
    Complete,
    /// Begin to undo it.
    Compensate {
        /// Why.
        reason: CompensationReason,
        /// Why, in words.
        detail: String,
    },
    /// Put on record that the void is given up.
    GiveUpVoid,
    /// Let go what is held, which ends the compensation unless the void was given up.
    ReleaseHold,
    /// Put on record that it is undone.
    ConcludeCompensation,
    /// Put on record that giving back a late charge is given up.
    GiveUpRefund(String),
    /// End it with nothing to undo.
    Reject {
        /// Why.
        reason: CompensationReason,
        /// Why, in words.
        detail: String,
    },
    /// Leave it to a person.
    Park(String),
}

/// What to do next with a payment. Pure.
#[must_use]
pub fn next(saga: &PaymentSaga, now: Timestamp, policy: &RetryPolicy) -> Action {
    let Some(started) = &saga.started else { return Action::NotStarted };
    if saga.outcome.is_some() {
        return next_after_outcome(saga, now, policy);
    }
    if saga.parked.is_some() {
        return Action::Parked;
    }
    if saga.compensation.is_some() {
        return next_undoing(saga, now, policy);
    }
    if saga.is_past_pivot() {
        return next_past_pivot(saga, now, policy);
    }
    if let Some(reason) = refusal(saga) {
        return undo(saga, CompensationReason::StepFailed, reason);
    }
    let deadline = saga.deadline.unwrap_or(started.deadline);
    if now >= deadline {
        return undo(saga, CompensationReason::Timeout, "its deadline passed".to_owned());
    }
    if saga.hold == HoldProgress::None && started.wallet_amount > 0 {
        return Action::Hold;
    }
    if started.card_amount == 0 {
        return Action::TakeHold;
    }
    match pursue(saga, GatewayCommand::Authorise, now, policy) {
        Pursuit::Approved => Action::Publish { command: GatewayCommand::Capture, attempt: 1 },
        Pursuit::Failed(reason) => undo(saga, CompensationReason::StepFailed, reason),
        // A deadline ends the waiting, and another rule goes on from there.
        Pursuit::Act(Action::WaitUntil(due)) => Action::WaitUntil(due.min(deadline)),
        Pursuit::Act(action) => action,
    }
}

fn next_past_pivot(saga: &PaymentSaga, now: Timestamp, policy: &RetryPolicy) -> Action {
    match pursue(saga, GatewayCommand::Capture, now, policy) {
        Pursuit::Approved if saga.hold == HoldProgress::Held => Action::TakeHold,
        Pursuit::Approved if saga.settles() => match pursue(saga, GatewayCommand::Settle, now, policy) {
            Pursuit::Approved => Action::Complete,
            Pursuit::Failed(reason) => Action::Park(format!("the settlement failed: {reason}")),
            Pursuit::Act(action) => action,
        },
        Pursuit::Approved => Action::Complete,
        Pursuit::Failed(reason) => Action::Park(format!("the capture failed: {reason}")),
        Pursuit::Act(action) => action,
    }
}

fn next_undoing(saga: &PaymentSaga, now: Timestamp, policy: &RetryPolicy) -> Action {
    if saga.is_charge_to_undo() && !sabotage::has(Defect::ReleaseBlindly) {
        return match pursue(saga, GatewayCommand::Void, now, policy) {
            Pursuit::Act(action) => action,
            Pursuit::Approved | Pursuit::Failed(_) => Action::GiveUpVoid,
        };
    }
    if saga.hold == HoldProgress::Held {
        return Action::ReleaseHold;
    }
    match (&saga.void.phase, &saga.hold) {
        (CallPhase::Failed(reason), _) => Action::Park(format!("the void failed: {reason}")),
        (_, HoldProgress::ReleaseRefused(reason)) => Action::Park(format!("the release failed: {reason}")),
        _ => Action::ConcludeCompensation,
    }
}

/// A refund that failed for good is on record, and left to a person.
fn next_after_outcome(saga: &PaymentSaga, now: Timestamp, policy: &RetryPolicy) -> Action {
    if saga.late.is_none() || saga.refund.is_settled() {
        return Action::Done;
    }
    match pursue(saga, GatewayCommand::Refund, now, policy) {
        Pursuit::Act(action) => action,
        Pursuit::Failed(reason) => Action::GiveUpRefund(reason),
        Pursuit::Approved => Action::Done,
    }
}

/// Why the payment cannot go on, if a part of it was refused.
fn refusal(saga: &PaymentSaga) -> Option<String> {
    if let HoldProgress::Refused(reason) = &saga.hold {
        return Some(reason.clone());
    }
    // A capture that failed without having been published is the wallet's, of a payment without a card.
    [&saga.authorise, &saga.capture].into_iter().find_map(|call| match &call.phase {
        CallPhase::Failed(reason) => Some(reason.clone()),
        _ => None,
    })
}

/// Ends a payment before the pivot: by compensation where something is, or may be, done.
pub(crate) fn undo(saga: &PaymentSaga, reason: CompensationReason, detail: String) -> Action {
    if saga.hold == HoldProgress::Held || saga.may_be_authorised() {
        Action::Compensate { reason, detail }
    } else {
        Action::Reject { reason, detail }
    }
}

enum Pursuit {
    Act(Action),
    Approved,
    Failed(String),
}

/// How to bring a command to an answer.
fn pursue(saga: &PaymentSaga, command: GatewayCommand, now: Timestamp, policy: &RetryPolicy) -> Pursuit {
    let call = saga.call(command);
    let again = Action::Publish { command, attempt: call.attempts.saturating_add(1) };
    let later = || {
        let delay = policy.delay(call.attempts_of_group());
        let due = now.plus(delay).plus(policy.jitter(delay, &saga.payment_id, command, call.attempts));
        Pursuit::Act(Action::ScheduleRetry { command, due })
    };
    match &call.phase {
        CallPhase::Approved => Pursuit::Approved,
        CallPhase::Failed(reason) => Pursuit::Failed(reason.clone()),
        CallPhase::Idle | CallPhase::Renewed => Pursuit::Act(again),
        CallPhase::Published | CallPhase::Unanswered => Pursuit::Act(Action::Query(command)),
        CallPhase::Scheduled(due) if now < *due => Pursuit::Act(Action::WaitUntil(*due)),
        CallPhase::Scheduled(_) if call.is_to_be_asked => Pursuit::Act(Action::Query(command)),
        CallPhase::Scheduled(_) => Pursuit::Act(again),
        CallPhase::Offline => later(),
        CallPhase::NotSeen | CallPhase::Unreachable if call.tries() >= policy.attempts_max_of(command) => {
            Pursuit::Failed(format!("no answer to {} attempts of {command}", call.attempts))
        }
        CallPhase::NotSeen if call.tries() <= 1 => Pursuit::Act(again),
        CallPhase::NotSeen | CallPhase::Unreachable => later(),
    }
}
