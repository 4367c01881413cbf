//! What is written of what was decided and of what was answered: pure functions from a state to events.

use super::event::{
    CompensationInitiated, CompensationReason, CompensationStepFailed, CompensationStepPublished,
    CompensationStepSucceeded, FailureKind, OutcomeQueried, PaymentCompensated, PaymentCompleted, PaymentEvent,
    QueriedOutcome, RetryScheduled, Step, StepCommandPublished, StepFailed, StepSucceeded,
};
use super::gateway::{GatewayAnswer, GatewayCommand, GatewayOutcome};
use super::state::{CallPhase, PaymentSaga};
use crate::types::Timestamp;

/// Attempts of a wallet's step: it is part of a commit, so there is only one.
const ATTEMPT_ONLY: u32 = 1;

/// The intent to send an attempt of a command.
pub(crate) fn published(saga: &PaymentSaga, command: GatewayCommand, attempt: u32) -> PaymentEvent {
    let command_id = command.command_id(&saga.payment_id, attempt);
    let idempotency_key = command.key(&saga.payment_id);
    match step_of(command) {
        Some(step) => {
            StepCommandPublished { step, attempt, command_id, idempotency_key, amount: card_amount(saga) }.into()
        }
        None => CompensationStepPublished { step: Step::Charge, attempt, command_id, idempotency_key }.into(),
    }
}

/// What the gateway answered to the last attempt.
pub(crate) fn answered(saga: &PaymentSaga, command: GatewayCommand, answer: &GatewayAnswer) -> PaymentEvent {
    match answer {
        GatewayAnswer::Approved { reference } => succeeded(saga, command, reference),
        GatewayAnswer::Declined { reason } => failed(saga, command, FailureKind::Permanent, reason),
        GatewayAnswer::Unknown => failed(saga, command, FailureKind::Unknown, "the gateway did not answer"),
    }
}

/// What the gateway said when it was asked.
pub(crate) fn queried(saga: &PaymentSaga, command: GatewayCommand, outcome: &GatewayOutcome) -> Vec<PaymentEvent> {
    let asked = |outcome| OutcomeQueried { command, attempt: attempts(saga, command), outcome }.into();
    match outcome {
        GatewayOutcome::Approved { reference } => {
            vec![asked(QueriedOutcome::Approved), succeeded(saga, command, reference)]
        }
        GatewayOutcome::Declined { reason } => {
            vec![asked(QueriedOutcome::Declined), failed(saga, command, FailureKind::Permanent, reason)]
        }
        GatewayOutcome::NotSeen => vec![asked(QueriedOutcome::NotSeen)],
        GatewayOutcome::Unknown => vec![asked(QueriedOutcome::Unknown)],
    }
}

/// When the command is sent again.
pub(crate) fn retry_scheduled(saga: &PaymentSaga, command: GatewayCommand, due: Timestamp) -> PaymentEvent {
    RetryScheduled { command, attempt: attempts(saga, command), due }.into()
}

/// The wallet's part is held.
pub(crate) fn held(saga: &PaymentSaga) -> PaymentEvent {
    StepSucceeded { step: Step::Reserve, attempt: ATTEMPT_ONLY, amount: wallet_amount(saga), reference: None }.into()
}

/// The wallet refused a step of its own.
pub(crate) fn wallet_refused(step: Step, reason: &str) -> PaymentEvent {
    StepFailed { step, attempt: ATTEMPT_ONLY, kind: FailureKind::Permanent, reason: reason.to_owned() }.into()
}

/// What was held is taken.
pub(crate) fn hold_taken(saga: &PaymentSaga) -> Vec<PaymentEvent> {
    let amount = wallet_amount(saga);
    let mut events = Vec::new();
    // Of a payment with a card the gateway's approval is the step's success, and on record as such.
    if saga.capture.phase != CallPhase::Approved {
        events.push(StepSucceeded { step: Step::Capture, attempt: ATTEMPT_ONLY, amount, reference: None }.into());
    }
    events.push(completed(saga));
    events
}

/// It is paid.
pub(crate) fn completed(saga: &PaymentSaga) -> PaymentEvent {
    PaymentCompleted { wallet_amount: wallet_amount(saga), card_amount: card_amount(saga) }.into()
}

/// It is to be undone.
pub(crate) fn compensation(reason: CompensationReason, detail: String) -> PaymentEvent {
    CompensationInitiated { reason, detail }.into()
}

/// The void is given up.
pub(crate) fn void_given_up(saga: &PaymentSaga) -> PaymentEvent {
    let reason = format!("no answer to {} attempts", saga.void.attempts);
    failed(saga, GatewayCommand::Void, FailureKind::Permanent, &reason)
}

/// What was held is let go; the payment is undone unless its void failed.
pub(crate) fn released(saga: &PaymentSaga) -> Vec<PaymentEvent> {
    let mut events = vec![CompensationStepSucceeded { step: Step::Reserve, attempt: ATTEMPT_ONLY }.into()];
    if !matches!(saga.void.phase, CallPhase::Failed(_)) {
        events.push(compensated(saga));
    }
    events
}

/// The wallet refused to let go.
pub(crate) fn release_refused(reason: &str) -> PaymentEvent {
    let reason = reason.to_owned();
    CompensationStepFailed { step: Step::Reserve, attempt: ATTEMPT_ONLY, kind: FailureKind::Permanent, reason }.into()
}

/// It is undone.
pub(crate) fn compensated(saga: &PaymentSaga) -> PaymentEvent {
    let (reason, detail) = saga.compensation.clone().unwrap_or((CompensationReason::StepFailed, String::new()));
    PaymentCompensated { reason, detail }.into()
}

fn succeeded(saga: &PaymentSaga, command: GatewayCommand, reference: &str) -> PaymentEvent {
    let attempt = attempts(saga, command);
    match step_of(command) {
        Some(step) => {
            let reference = Some(reference.to_owned());
            StepSucceeded { step, attempt, amount: card_amount(saga), reference }.into()
        }
        None => CompensationStepSucceeded { step: Step::Charge, attempt }.into(),
    }
}

fn failed(saga: &PaymentSaga, command: GatewayCommand, kind: FailureKind, reason: &str) -> PaymentEvent {
    let attempt = attempts(saga, command);
    let reason = reason.to_owned();
    match step_of(command) {
        Some(step) => StepFailed { step, attempt, kind, reason }.into(),
        None => CompensationStepFailed { step: Step::Charge, attempt, kind, reason }.into(),
    }
}

/// The step that a command carries out; `None`: it undoes one.
fn step_of(command: GatewayCommand) -> Option<Step> {
    match command {
        GatewayCommand::Authorise => Some(Step::Charge),
        GatewayCommand::Capture => Some(Step::Capture),
        GatewayCommand::Void | GatewayCommand::Refund => None,
    }
}

fn attempts(saga: &PaymentSaga, command: GatewayCommand) -> u32 {
    saga.call(command).map_or(0, |call| call.attempts)
}

fn wallet_amount(saga: &PaymentSaga) -> i64 {
    saga.started.as_ref().map_or(0, |started| started.wallet_amount)
}

fn card_amount(saga: &PaymentSaga) -> i64 {
    saga.started.as_ref().map_or(0, |started| started.card_amount)
}
