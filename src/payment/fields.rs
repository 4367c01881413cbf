//! A payment's events as flat lists of named fields.

use super::event::{PaymentEvent, PaymentParkedForReview, PaymentRejected};
use super::gateway::GatewayCommand;
use super::kinds::{CompensationReason, FailureKind, Step};
use crate::aggregate::{FieldValue, FlatFields};

impl FlatFields for PaymentEvent {
    fn fields(&self) -> Vec<(&'static str, FieldValue)> {
        match self {
            Self::PaymentStarted(fact) => vec![
                ("payment_id", fact.payment_id.as_str().into()),
                ("user_id", fact.user_id.as_str().into()),
                ("amount", fact.wallet_amount.saturating_add(fact.card_amount).into()),
                ("currency", fact.currency.code().into()),
                ("wallet_amount", fact.wallet_amount.into()),
                ("card_amount", fact.card_amount.into()),
                ("deadline", fact.deadline.into()),
                ("settles", fact.settles.into()),
            ],
            Self::StepCommandPublished(fact) => vec![
                ("step", fact.step.as_str().into()),
                ("attempt", fact.attempt.into()),
                ("command_id", fact.command_id.to_string().as_str().into()),
                ("idempotency_key", fact.idempotency_key.as_str().into()),
                ("amount", fact.amount.into()),
            ],
            Self::StepSucceeded(fact) => vec![
                ("step", fact.step.as_str().into()),
                ("attempt", fact.attempt.into()),
                ("amount", fact.amount.into()),
                ("reference", fact.reference.as_deref().into()),
            ],
            Self::StepFailed(fact) => failure_fields(fact.step, fact.attempt, fact.kind, &fact.reason),
            Self::RetryScheduled(fact) => vec![
                ("command", fact.command.as_str().into()),
                ("attempt", fact.attempt.into()),
                ("due", fact.due.into()),
            ],
            Self::OutcomeQueried(fact) => vec![
                ("command", fact.command.as_str().into()),
                ("attempt", fact.attempt.into()),
                ("outcome", fact.outcome.as_str().into()),
            ],
            Self::CompensationInitiated(fact) => reason_fields(fact.reason, &fact.detail),
            Self::CompensationStepPublished(fact) => vec![
                ("step", fact.step.as_str().into()),
                ("attempt", fact.attempt.into()),
                ("command_id", fact.command_id.to_string().as_str().into()),
                ("idempotency_key", fact.idempotency_key.as_str().into()),
            ],
            Self::CompensationStepSucceeded(fact) => attempt_fields(fact.step, fact.attempt),
            Self::CompensationStepFailed(fact) => failure_fields(fact.step, fact.attempt, fact.kind, &fact.reason),
            Self::PaymentCompleted(fact) => vec![
                ("amount", fact.wallet_amount.saturating_add(fact.card_amount).into()),
                ("wallet_amount", fact.wallet_amount.into()),
                ("card_amount", fact.card_amount.into()),
            ],
            Self::PaymentCompensated(fact) => reason_fields(fact.reason, &fact.detail),
            Self::PaymentRejected(PaymentRejected { reason })
            | Self::PaymentParkedForReview(PaymentParkedForReview { reason }) => {
                vec![("reason", reason.as_str().into())]
            }
            Self::PaymentResumed(fact) => vec![
                ("recovery_id", fact.recovery_id.as_str().into()),
                ("in_doubt", fact.in_doubt.map(GatewayCommand::as_str).into()),
            ],
            Self::DeadlineScheduled(_)
            | Self::DeadlineReached(_)
            | Self::OperatorCancelled(_)
            | Self::OperatorRetried(_)
            | Self::OperatorResolved(_)
            | Self::OfflineAccepted(_) => beside_fields(self),
            Self::LateSuccessDetected(_)
            | Self::RefundPublished(_)
            | Self::RefundSucceeded(_)
            | Self::RefundFailed(_) => late_fields(self),
        }
    }
}

/// Of what happens beside the steps.
fn beside_fields(event: &PaymentEvent) -> Vec<(&'static str, FieldValue)> {
    match event {
        PaymentEvent::DeadlineScheduled(fact) => {
            vec![("deadline", fact.deadline.into()), ("reason", fact.reason.as_str().into())]
        }
        PaymentEvent::DeadlineReached(fact) => vec![("deadline", fact.deadline.into())],
        PaymentEvent::OperatorCancelled(fact) => operator_fields(&fact.operator, &fact.reason),
        PaymentEvent::OperatorRetried(fact) => operator_fields(&fact.operator, &fact.reason),
        PaymentEvent::OperatorResolved(fact) => {
            let mut fields = operator_fields(&fact.operator, &fact.reason);
            fields.push(("resolution", fact.resolution.as_str().into()));
            fields
        }
        PaymentEvent::OfflineAccepted(fact) => {
            vec![("amount", fact.amount.into()), ("upload_by", fact.upload_by.into())]
        }
        _ => Vec::new(),
    }
}

/// Of what follows a charge that came too late.
fn late_fields(event: &PaymentEvent) -> Vec<(&'static str, FieldValue)> {
    match event {
        PaymentEvent::LateSuccessDetected(fact) => {
            vec![("reference", fact.reference.as_str().into()), ("amount", fact.amount.into())]
        }
        PaymentEvent::RefundPublished(fact) => vec![
            ("attempt", fact.attempt.into()),
            ("command_id", fact.command_id.to_string().as_str().into()),
            ("idempotency_key", fact.idempotency_key.as_str().into()),
            ("amount", fact.amount.into()),
        ],
        PaymentEvent::RefundSucceeded(fact) => vec![
            ("attempt", fact.attempt.into()),
            ("amount", fact.amount.into()),
            ("reference", fact.reference.as_str().into()),
        ],
        PaymentEvent::RefundFailed(fact) => vec![
            ("attempt", fact.attempt.into()),
            ("kind", fact.kind.as_str().into()),
            ("reason", fact.reason.as_str().into()),
        ],
        _ => Vec::new(),
    }
}

fn operator_fields(operator: &str, reason: &str) -> Vec<(&'static str, FieldValue)> {
    vec![("operator", operator.into()), ("reason", reason.into())]
}

fn attempt_fields(step: Step, attempt: u32) -> Vec<(&'static str, FieldValue)> {
    vec![("step", step.as_str().into()), ("attempt", attempt.into())]
}

fn failure_fields(step: Step, attempt: u32, kind: FailureKind, reason: &str) -> Vec<(&'static str, FieldValue)> {
    vec![
        ("step", step.as_str().into()),
        ("attempt", attempt.into()),
        ("kind", kind.as_str().into()),
        ("reason", reason.into()),
    ]
}

fn reason_fields(reason: CompensationReason, detail: &str) -> Vec<(&'static str, FieldValue)> {
    vec![("reason", reason.as_str().into()), ("detail", detail.into())]
}
