//! What can happen to a payment, and how it is written.
//!
//! Each event's payload is the bincode of its own struct, in the order of its fields; golden bytes are in the tests. New
//! fields need a new schema version, and the old one stays readable.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::gateway::GatewayCommand;
use super::kinds::{CompensationReason, FailureKind, QueriedOutcome, Resolution, Step};
use crate::aggregate::{DomainEvent, decode_payload, unknown_event};
use crate::codec;
use crate::error::Result;
use crate::money::Currency;
use crate::types::{Event, Timestamp};

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
    /// Whether the card's part is settled after the capture; `false` in schema version 1, which has no such field.
    pub settles: bool,
}

/// The payload of [`PaymentStarted`] in schema version 1.
#[derive(Deserialize)]
struct PaymentStarted1 {
    payment_id: String,
    user_id: String,
    currency: Currency,
    wallet_amount: i64,
    card_amount: i64,
    deadline: Timestamp,
}

impl PaymentStarted {
    const SCHEMA_VERSION: u16 = 2;

    fn read(event: &Event) -> Result<Self> {
        if event.schema_version != 1 {
            return decode_payload(event, Self::SCHEMA_VERSION);
        }
        let PaymentStarted1 { payment_id, user_id, currency, wallet_amount, card_amount, deadline } =
            decode_payload(event, 1)?;
        Ok(Self { payment_id, user_id, currency, wallet_amount, card_amount, deadline, settles: false })
    }
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

/// The payment's deadline is another one from here on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadlineScheduled {
    /// Until when the capture must have been published, in store time. The deadline before it counts no more.
    pub deadline: Timestamp,
    /// Why it was moved.
    pub reason: String,
}

/// The deadline passed before the capture was published. It stands right before what follows from that, in one commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadlineReached {
    /// The deadline.
    pub deadline: Timestamp,
}

/// An operator called the payment off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorCancelled {
    /// Who.
    pub operator: String,
    /// Why.
    pub reason: String,
}

/// An operator has what was given up tried again, under the same keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorRetried {
    /// Who.
    pub operator: String,
    /// Why.
    pub reason: String,
}

/// An operator says what became of a payment that was parked. Its outcome follows in the same commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorResolved {
    /// Who.
    pub operator: String,
    /// Why.
    pub reason: String,
    /// What became of it.
    pub resolution: Resolution,
}

/// A payment that was not paid was charged to the card after all. Its outcome stays; the charge is given back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LateSuccessDetected {
    /// The gateway's name for the charge.
    pub reference: String,
    /// What is given back, minor units: the card's part of the payment, never more.
    pub amount: i64,
}

/// The intent to send a refund to the gateway. It is durable before the command is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundPublished {
    /// From 1.
    pub attempt: u32,
    /// UUIDv5 of payment, command and attempt.
    pub command_id: Uuid,
    /// The same over all attempts.
    pub idempotency_key: String,
    /// What is given back, minor units.
    pub amount: i64,
}

/// The late charge is given back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundSucceeded {
    /// The attempt that it was given back by.
    pub attempt: u32,
    /// What was given back, minor units.
    pub amount: i64,
    /// The gateway's name for it.
    pub reference: String,
}

/// The late charge was not given back, or nobody knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundFailed {
    /// The attempt.
    pub attempt: u32,
    /// What it means.
    pub kind: FailureKind,
    /// Why.
    pub reason: String,
}

/// Without a network, the card's part is taken on trust: it is authorised as soon as there is one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfflineAccepted {
    /// The card's part, minor units.
    pub amount: i64,
    /// Until when the capture must have been published: the payment's deadline from here on.
    pub upload_by: Timestamp,
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

            fn schema_version(&self) -> u16 {
                if matches!(self, Self::PaymentStarted(_)) { PaymentStarted::SCHEMA_VERSION } else { 1 }
            }

            fn encode(&self) -> Result<Vec<u8>> {
                match self {
                    $(Self::$name(fact) => codec::encode(fact),)+
                }
            }

            fn decode(event: &Event) -> Result<Self> {
                match event.event_type.as_str() {
                    "PaymentStarted" => PaymentStarted::read(event).map(Self::PaymentStarted),
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
    DeadlineScheduled, DeadlineReached, OperatorCancelled, OperatorRetried, OperatorResolved,
    LateSuccessDetected, RefundPublished, RefundSucceeded, RefundFailed, OfflineAccepted,
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
        // What is over and was charged nevertheless has something left to be done.
        "PaymentStarted" | "LateSuccessDetected" => TypeMeaning::Begins,
        "PaymentCompleted" | "PaymentCompensated" | "PaymentRejected" | "RefundSucceeded" => TypeMeaning::Ends,
        _ => TypeMeaning::Neither,
    }
}
