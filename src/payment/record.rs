//! What is written of what was decided and of what was answered: pure functions from a state to events.

use super::call::CallPhase;
use super::event::{
    CompensationInitiated, CompensationStepFailed, CompensationStepPublished, CompensationStepSucceeded,
    DeadlineReached, OutcomeQueried, PaymentCompensated, PaymentCompleted, PaymentEvent, PaymentRejected, RefundFailed,
    RefundPublished, RefundSucceeded, RetryScheduled, StepCommandPublished, StepFailed, StepSucceeded,
};
use super::gateway::{GatewayAnswer, GatewayCommand, GatewayOutcome};
use super::kinds::{CompensationReason, FailureKind, QueriedOutcome, Step};
use super::state::PaymentSaga;
use crate::types::Timestamp;

/// Attempts of a wallet's step: it is part of a commit, so there is only one.
const ATTEMPT_ONLY: u32 = 1;

/// The intent to send an attempt of a command.
pub(crate) fn published(saga: &PaymentSaga, command: GatewayCommand, attempt: u32) -> PaymentEvent {
    let command_id = command.command_id(&saga.payment_id, attempt);
    let idempotency_key = command.key(&saga.payment_id);
    let amount = amount_of(saga, command);
    match role_of(command) {
        Role::Step(step) => StepCommandPublished { step, attempt, command_id, idempotency_key, amount }.into(),
        Role::Undoes(step) => CompensationStepPublished { step, attempt, command_id, idempotency_key }.into(),
        Role::GivesBack => RefundPublished { attempt, command_id, idempotency_key, amount }.into(),
    }
}

/// What the gateway answered to the last attempt.
pub(crate) fn answered(saga: &PaymentSaga, command: GatewayCommand, answer: &GatewayAnswer) -> PaymentEvent {
    match answer {
        GatewayAnswer::Approved { reference } => succeeded(saga, command, reference),
        GatewayAnswer::Declined { reason } => failed(saga, command, FailureKind::Permanent, reason),
        GatewayAnswer::Unknown => failed(saga, command, FailureKind::Unknown, "the gateway did not answer"),
        GatewayAnswer::Offline => failed(saga, command, FailureKind::Offline, "there is no network"),
    }
}

/// What the gateway said when it was asked.
pub(crate) fn queried(saga: &PaymentSaga, command: GatewayCommand, outcome: &GatewayOutcome) -> Vec<PaymentEvent> {
    let asked = |outcome| OutcomeQueried { command, attempt: saga.call(command).attempts, outcome }.into();
    match outcome {
        GatewayOutcome::Approved { reference } => {
            vec![asked(QueriedOutcome::Approved), succeeded(saga, command, reference)]
        }
        GatewayOutcome::Declined { reason } => {
            vec![asked(QueriedOutcome::Declined), failed(saga, command, FailureKind::Permanent, reason)]
        }
        GatewayOutcome::NotSeen => vec![asked(QueriedOutcome::NotSeen)],
        GatewayOutcome::Unknown => vec![asked(QueriedOutcome::Unknown)],
        GatewayOutcome::Offline => vec![asked(QueriedOutcome::Offline)],
    }
}

/// When the command is sent again.
pub(crate) fn retry_scheduled(saga: &PaymentSaga, command: GatewayCommand, due: Timestamp) -> PaymentEvent {
    RetryScheduled { command, attempt: saga.call(command).attempts, due }.into()
}

/// The wallet's part is held.
pub(crate) fn held(saga: &PaymentSaga) -> PaymentEvent {
    StepSucceeded { step: Step::Reserve, attempt: ATTEMPT_ONLY, amount: wallet_amount(saga), reference: None }.into()
}

/// The wallet refused a step of its own.
pub(crate) fn wallet_refused(step: Step, reason: &str) -> PaymentEvent {
    StepFailed { step, attempt: ATTEMPT_ONLY, kind: FailureKind::Permanent, reason: reason.to_owned() }.into()
}

/// What was held is taken; that completes the payment, unless it is to be settled.
pub(crate) fn hold_taken(saga: &PaymentSaga) -> Vec<PaymentEvent> {
    let mut events = Vec::new();
    // Of a payment with a card the gateway's approval is the step's success, and on record as such. Where something follows, the
    // wallet's part needs an event of its own.
    if saga.capture.phase != CallPhase::Approved || saga.settles() {
        events.push(hold_captured(saga));
    }
    if !saga.settles() {
        events.push(completed(saga));
    }
    events
}

/// The wallet's part is taken: the success of a capture without a gateway's name for it.
pub(crate) fn hold_captured(saga: &PaymentSaga) -> PaymentEvent {
    let amount = wallet_amount(saga);
    StepSucceeded { step: Step::Capture, attempt: ATTEMPT_ONLY, amount, reference: None }.into()
}

/// It is paid.
pub(crate) fn completed(saga: &PaymentSaga) -> PaymentEvent {
    PaymentCompleted { wallet_amount: wallet_amount(saga), card_amount: card_amount(saga) }.into()
}

/// It is to be undone.
pub(crate) fn compensation(saga: &PaymentSaga, reason: CompensationReason, detail: String) -> Vec<PaymentEvent> {
    let mut events = deadline_reached(saga, reason);
    events.push(CompensationInitiated { reason, detail }.into());
    events
}

/// It ends with nothing to undo.
pub(crate) fn rejected(saga: &PaymentSaga, reason: CompensationReason, detail: String) -> Vec<PaymentEvent> {
    let mut events = deadline_reached(saga, reason);
    events.push(PaymentRejected { reason: detail }.into());
    events
}

/// A deadline is on record where it leads to something, and nowhere else, so it fires once.
fn deadline_reached(saga: &PaymentSaga, reason: CompensationReason) -> Vec<PaymentEvent> {
    let deadline = saga.deadline.filter(|_| reason == CompensationReason::Timeout);
    deadline.map(|deadline| DeadlineReached { deadline }.into()).into_iter().collect()
}

/// The void is given up.
pub(crate) fn void_given_up(saga: &PaymentSaga) -> PaymentEvent {
    let reason = format!("no answer to {} attempts", saga.void.attempts);
    failed(saga, GatewayCommand::Void, FailureKind::Permanent, &reason)
}

/// The refund is given up.
pub(crate) fn refund_given_up(saga: &PaymentSaga, reason: &str) -> PaymentEvent {
    failed(saga, GatewayCommand::Refund, FailureKind::Permanent, reason)
}

/// The card's part is not taken on trust.
pub(crate) fn offline_refused(saga: &PaymentSaga, reason: &str) -> PaymentEvent {
    failed(saga, GatewayCommand::Authorise, FailureKind::Permanent, reason)
}

/// What was held is let go; the payment is undone unless its void failed.
pub(crate) fn released(saga: &PaymentSaga) -> Vec<PaymentEvent> {
    let mut events = vec![hold_released()];
    if !matches!(saga.void.phase, CallPhase::Failed(_)) {
        events.push(compensated(saga));
    }
    events
}

/// What was held is let go.
pub(crate) fn hold_released() -> PaymentEvent {
    CompensationStepSucceeded { step: Step::Reserve, attempt: ATTEMPT_ONLY }.into()
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
    let attempt = saga.call(command).attempts;
    let amount = amount_of(saga, command);
    let reference = reference.to_owned();
    match role_of(command) {
        Role::Step(step) => StepSucceeded { step, attempt, amount, reference: Some(reference) }.into(),
        Role::Undoes(step) => CompensationStepSucceeded { step, attempt }.into(),
        Role::GivesBack => RefundSucceeded { attempt, amount, reference }.into(),
    }
}

fn failed(saga: &PaymentSaga, command: GatewayCommand, kind: FailureKind, reason: &str) -> PaymentEvent {
    let attempt = saga.call(command).attempts;
    let reason = reason.to_owned();
    match role_of(command) {
        Role::Step(step) => StepFailed { step, attempt, kind, reason }.into(),
        Role::Undoes(step) => CompensationStepFailed { step, attempt, kind, reason }.into(),
        Role::GivesBack => RefundFailed { attempt, kind, reason }.into(),
    }
}

/// What a command is for.
enum Role {
    Step(Step),
    Undoes(Step),
    GivesBack,
}

fn role_of(command: GatewayCommand) -> Role {
    match command {
        GatewayCommand::Authorise => Role::Step(Step::Charge),
        GatewayCommand::Capture => Role::Step(Step::Capture),
        GatewayCommand::Settle => Role::Step(Step::Settle),
        GatewayCommand::Void => Role::Undoes(Step::Charge),
        GatewayCommand::Refund => Role::GivesBack,
    }
}

/// What a command is about, minor units. A refund never gives back more than the card's part.
pub(crate) fn amount_of(saga: &PaymentSaga, command: GatewayCommand) -> i64 {
    let card_amount = card_amount(saga);
    match (command, &saga.late) {
        (GatewayCommand::Refund, Some(late)) => late.amount.min(card_amount),
        _ => card_amount,
    }
}

fn wallet_amount(saga: &PaymentSaga) -> i64 {
    saga.started.as_ref().map_or(0, |started| started.wallet_amount)
}

fn card_amount(saga: &PaymentSaga) -> i64 {
    saga.started.as_ref().map_or(0, |started| started.card_amount)
}
