//! What to do next with a payment: a pure function of its log, the time and the retry policy.
//!
//! The rules, in this order:
//! 1. A payment that is over, or parked, is left alone.
//! 2. One that is being undone is undone in reverse: first the charge (by a void under the authorisation's key, which also
//!    precludes one that never arrived), then the hold. A step that cannot be undone does not keep the others from it.
//! 3. Past the pivot, which is the publication of the capture, there is only completion or review; no deadline counts.
//! 4. A part that was refused ends the payment; what was done before is undone.
//! 5. Past the deadline what was done, or may have been, is undone.
//! 6. Otherwise the next step: hold, authorise, capture.
//!
//! A command on record as published and not as answered is in doubt: the gateway is asked. Whoever has just published one
//! sends it without asking.

use super::event::CompensationReason;
use super::gateway::GatewayCommand;
use super::retry::RetryPolicy;
use super::state::{CallPhase, CallProgress, HoldProgress, PaymentSaga};
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
    /// Take what is held, which completes the payment.
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
    /// End it with nothing to undo.
    Reject(String),
    /// Leave it to a person.
    Park(String),
}

/// What to do next with a payment. Pure.
#[must_use]
pub fn next(saga: &PaymentSaga, now: Timestamp, policy: &RetryPolicy) -> Action {
    let Some(started) = &saga.started else { return Action::NotStarted };
    if saga.outcome.is_some() {
        return Action::Done;
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
    if now >= started.deadline {
        return undo(saga, CompensationReason::Timeout, "its deadline passed".to_owned());
    }
    if saga.hold == HoldProgress::None && started.wallet_amount > 0 {
        return Action::Hold;
    }
    if started.card_amount == 0 {
        return Action::TakeHold;
    }
    match pursue(&saga.authorise, GatewayCommand::Authorise, now, policy) {
        Pursuit::Approved => Action::Publish { command: GatewayCommand::Capture, attempt: 1 },
        Pursuit::Failed(reason) => undo(saga, CompensationReason::StepFailed, reason),
        // A deadline ends the waiting, and another rule goes on from there.
        Pursuit::Act(Action::WaitUntil(due)) => Action::WaitUntil(due.min(started.deadline)),
        Pursuit::Act(action) => action,
    }
}

fn next_past_pivot(saga: &PaymentSaga, now: Timestamp, policy: &RetryPolicy) -> Action {
    match pursue(&saga.capture, GatewayCommand::Capture, now, policy) {
        Pursuit::Approved if saga.hold == HoldProgress::Held => Action::TakeHold,
        Pursuit::Approved => Action::Complete,
        Pursuit::Failed(reason) => Action::Park(format!("the capture failed: {reason}")),
        Pursuit::Act(action) => action,
    }
}

fn next_undoing(saga: &PaymentSaga, now: Timestamp, policy: &RetryPolicy) -> Action {
    if saga.is_charge_to_undo() && !sabotage::has(Defect::ReleaseBlindly) {
        return match pursue(&saga.void, GatewayCommand::Void, now, policy) {
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
fn undo(saga: &PaymentSaga, reason: CompensationReason, detail: String) -> Action {
    if saga.hold == HoldProgress::Held || saga.may_be_authorised() {
        Action::Compensate { reason, detail }
    } else {
        Action::Reject(detail)
    }
}

enum Pursuit {
    Act(Action),
    Approved,
    Failed(String),
}

/// How to bring a command to an answer.
fn pursue(call: &CallProgress, command: GatewayCommand, now: Timestamp, policy: &RetryPolicy) -> Pursuit {
    let again = Action::Publish { command, attempt: call.attempts.saturating_add(1) };
    let exhausted = call.attempts >= policy.attempts_max;
    match &call.phase {
        CallPhase::Approved => Pursuit::Approved,
        CallPhase::Failed(reason) => Pursuit::Failed(reason.clone()),
        CallPhase::Idle => Pursuit::Act(again),
        CallPhase::Published | CallPhase::Unanswered => Pursuit::Act(Action::Query(command)),
        CallPhase::Scheduled(due) if now < *due => Pursuit::Act(Action::WaitUntil(*due)),
        CallPhase::Scheduled(_) => Pursuit::Act(again),
        CallPhase::NotSeen | CallPhase::Unreachable if exhausted => {
            Pursuit::Failed(format!("no answer to {} attempts of {command}", call.attempts))
        }
        CallPhase::NotSeen if call.attempts <= 1 => Pursuit::Act(again),
        CallPhase::NotSeen | CallPhase::Unreachable => {
            let due = now.plus(policy.delay(call.attempts));
            Pursuit::Act(Action::ScheduleRetry { command, due })
        }
    }
}
