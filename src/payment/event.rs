//! What can happen to a payment, and how it is written.
//!
//! Each event's payload is the bincode of its own struct, in the order of its fields; golden bytes are in the tests. New
//! fields need a new schema version.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::gateway::GatewayCommand;
use crate::aggregate::{DomainEvent, FieldValue, FlatFields, decode_payload, unknown_event};
use crate::codec;
use crate::error::Result;
use crate::money::Currency;
use crate::types::{Event, Timestamp};

/// A step of a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Step {
    /// The wallet's part is held; undone by releasing it.
    Reserve,
    /// The card's part is authorised; undone by a void.
    Charge,
    /// What was held and authorised is taken. Not undone: it is the point of no return.
    Capture,
}

impl Step {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reserve => "reserve",
            Self::Charge => "charge",
            Self::Capture => "capture",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a failure of a step means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FailureKind {
    /// It did not happen, and may be tried again.
    Retryable,
    /// It did not happen, and never will.
    Permanent,
    /// It may have happened.
    Unknown,
}

impl FailureKind {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Retryable => "retryable",
            Self::Permanent => "permanent",
            Self::Unknown => "unknown",
        }
    }
}

/// What the gateway said when it was asked about a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum QueriedOutcome {
    /// It is done.
    Approved,
    /// It was refused for good.
    Declined,
    /// It had no effect so far.
    NotSeen,
    /// No answer came.
    Unknown,
}

impl QueriedOutcome {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Declined => "declined",
            Self::NotSeen => "not_seen",
            Self::Unknown => "unknown",
        }
    }
}

/// Why a payment is undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CompensationReason {
    /// Its deadline passed before the capture was published.
    Timeout,
    /// A step failed for good.
    StepFailed,
    /// It was called off.
    Cancelled,
    /// An operator decided so.
    Operator,
}

impl CompensationReason {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::StepFailed => "step_failed",
            Self::Cancelled => "cancelled",
            Self::Operator => "operator",
        }
    }
}

/// A payment begins: what is to be paid, and until when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentStarted {
    /// The payment's id.
    pub payment_id: String,
    /// Whose wallet.
    pub user_id: String,
    /// Of both amounts.
    pub currency: Currency,
    /// Paid from the wallet, minor units.
    pub wallet_amount: i64,
    /// Paid by card, minor units.
    pub card_amount: i64,
    /// Until when the capture must have been published, in store time.
    pub deadline: Timestamp,
}

/// The intent to send a command to the gateway. It is durable before the command is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepCommandPublished {
    /// The step it is of.
    pub step: Step,
    /// From 1.
    pub attempt: u32,
    /// UUIDv5 of payment, command and attempt.
    pub command_id: Uuid,
    /// The same over all attempts.
    pub idempotency_key: String,
    /// What it is about, minor units.
    pub amount: i64,
}

/// A step is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepSucceeded {
    /// The step.
    pub step: Step,
    /// The attempt that it was done by; 1 of a wallet's step.
    pub attempt: u32,
    /// What it is about, minor units.
    pub amount: i64,
    /// The gateway's name for it.
    pub reference: Option<String>,
}

/// A step was not done, or nobody knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepFailed {
    /// The step.
    pub step: Step,
    /// The attempt; 1 of a wallet's step.
    pub attempt: u32,
    /// What it means.
    pub kind: FailureKind,
    /// Why.
    pub reason: String,
}

/// A command to the gateway is to be sent again, under the same key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryScheduled {
    /// The command.
    pub command: GatewayCommand,
    /// The attempt that failed; the next one is this one more.
    pub attempt: u32,
    /// Not before, in store time.
    pub due: Timestamp,
}

/// The gateway was asked what became of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutcomeQueried {
    /// The command.
    pub command: GatewayCommand,
    /// The last attempt published by then.
    pub attempt: u32,
    /// What it said.
    pub outcome: QueriedOutcome,
}

/// The payment is undone from here on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompensationInitiated {
    /// Why.
    pub reason: CompensationReason,
    /// Why, in words.
    pub detail: String,
}

/// The intent to send the gateway a command that undoes a step. It is durable before the command is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompensationStepPublished {
    /// The step that is undone.
    pub step: Step,
    /// From 1.
    pub attempt: u32,
    /// UUIDv5 of payment, command and attempt.
    pub command_id: Uuid,
    /// The same over all attempts.
    pub idempotency_key: String,
}

/// A step is undone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompensationStepSucceeded {
    /// The step.
    pub step: Step,
    /// The attempt that it was undone by; 1 of a wallet's step.
    pub attempt: u32,
}

/// A step was not undone, or nobody knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompensationStepFailed {
    /// The step.
    pub step: Step,
    /// The attempt; 1 of a wallet's step.
    pub attempt: u32,
    /// What it means.
    pub kind: FailureKind,
    /// Why.
    pub reason: String,
}

/// Final: both parts are paid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentCompleted {
    /// Captured from the wallet, minor units.
    pub wallet_amount: i64,
    /// Captured from the card, minor units.
    pub card_amount: i64,
}

/// Final: what was held or authorised is undone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentCompensated {
    /// Why.
    pub reason: CompensationReason,
    /// Why, in words.
    pub detail: String,
}

/// Final: it ended with nothing to undo.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentRejected {
    /// Why.
    pub reason: String,
}

/// Nothing can be done without a person. Not final.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentParkedForReview {
    /// Why.
    pub reason: String,
}

/// A recovery found the payment unfinished and hands it back to be gone on with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentResumed {
    /// Which recovery.
    pub recovery_id: String,
    /// The command that was sent, or about to be, and not answered.
    pub in_doubt: Option<GatewayCommand>,
}

macro_rules! payment_events {
    ($($name:ident),+ $(,)?) => {
        /// A fact of a payment.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum PaymentEvent {
            $(
                #[doc = concat!("See [`", stringify!($name), "`](struct@", stringify!($name), ").")]
                $name($name),
            )+
        }

        impl PaymentEvent {
            /// The names of all types of a payment's events.
            pub const TYPES: &'static [&'static str] = &[$(stringify!($name)),+];
        }

        impl DomainEvent for PaymentEvent {
            fn event_type(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => stringify!($name),)+
                }
            }

            fn encode(&self) -> Result<Vec<u8>> {
                match self {
                    $(Self::$name(fact) => codec::encode(fact),)+
                }
            }

            fn decode(event: &Event) -> Result<Self> {
                match event.event_type.as_str() {
                    $(stringify!($name) => decode_payload(event, 1).map(Self::$name),)+
                    _ => Err(unknown_event(event)),
                }
            }
        }

        $(
            impl From<$name> for PaymentEvent {
                fn from(fact: $name) -> Self {
                    Self::$name(fact)
                }
            }
        )+
    };
}

payment_events! {
    PaymentStarted, StepCommandPublished, StepSucceeded, StepFailed, RetryScheduled, OutcomeQueried,
    CompensationInitiated, CompensationStepPublished, CompensationStepSucceeded, CompensationStepFailed,
    PaymentCompleted, PaymentCompensated, PaymentRejected, PaymentParkedForReview, PaymentResumed,
}

/// What a type of event says about whether a payment is over, without its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TypeMeaning {
    Begins,
    Ends,
    Neither,
}

/// What an event of this type says about whether its payment is over.
pub(crate) fn type_meaning(event_type: &str) -> TypeMeaning {
    match event_type {
        "PaymentStarted" => TypeMeaning::Begins,
        "PaymentCompleted" | "PaymentCompensated" | "PaymentRejected" => TypeMeaning::Ends,
        _ => TypeMeaning::Neither,
    }
}

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
            Self::CompensationStepSucceeded(fact) => {
                vec![("step", fact.step.as_str().into()), ("attempt", fact.attempt.into())]
            }
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
        }
    }
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
