//! Payments: a saga over a wallet in this store and a card gateway outside.
//!
//! A payment (stream `payment-<payment_id>`) is paid from a wallet, by card, or split over both: reserve (the wallet's part is
//! held), charge (the card's part is authorised), capture (both are taken), and, where the gateway asks for it, settle. Refused, or
//! not done by its deadline, it is undone in reverse. Its outcome is one of three: *completed*; *compensated*, where a hold or an
//! authorisation was undone; *rejected*, where it ended with nothing to undo.
//!
//! The rule is: *write the intent, then act*. Every command to the gateway is on record, durably, before it is sent, under an
//! idempotency key that stays the same over all retries, and its answer is recorded. A command that is on record and not
//! answered is in doubt: the gateway is asked, or it is sent again under the same key. A step in this store has no
//! intent: its effect and the payment's progress are one commit over both streams.
//!
//! What to do next is decided by [`next`], a pure function of the log; the [`Orchestrator`] carries it out. A payment is a
//! [`Saga`](crate::saga::Saga). The page [`docs::payments`](crate::docs::payments) has all states and rules.

mod alert;
mod call;
mod draft;
mod event;
mod fields;
mod gateway;
mod gateway_file;
mod gateway_journal;
mod gateway_ledger;
#[cfg(any(test, feature = "simulation"))]
mod gateway_memory;
mod kinds;
mod late;
mod next;
mod offline;
mod operator;
mod operator_command;
mod orchestrator;
mod outcome;
mod poll;
mod record;
mod recover;
mod refusal;
mod request;
mod retry;
mod saga;
mod state;
#[cfg(test)]
mod tests;

pub(crate) use crate::saga::TypeMeaning;
pub use alert::{Alert, AlertHandler, AlertKind};
pub(crate) use event::type_meaning;
pub use event::{
    CompensationInitiated, CompensationStepFailed, CompensationStepPublished, CompensationStepSucceeded,
    DeadlineReached, DeadlineScheduled, LateSuccessDetected, OfflineAccepted, OperatorCancelled, OperatorResolved,
    OperatorRetried, OutcomeQueried, PaymentCompensated, PaymentCompleted, PaymentEvent, PaymentParkedForReview,
    PaymentRejected, PaymentResumed, PaymentStarted, RefundFailed, RefundPublished, RefundSucceeded, RetryScheduled,
    StepCommandPublished, StepFailed, StepSucceeded,
};
pub use gateway::{GatewayAnswer, GatewayCommand, GatewayOutcome, PaymentGateway};
pub use gateway_file::FileGateway;
pub use gateway_journal::{Charge, Journal};
pub use gateway_ledger::GatewayProfile;
#[cfg(any(test, feature = "simulation"))]
pub use gateway_memory::MemoryGateway;
pub use kinds::{CompensationReason, FailureKind, QueriedOutcome, Resolution, Step};
pub use next::{Action, next};
pub use offline::{OfflinePolicy, OfflineStored};
pub use operator_command::{OperatorCommand, OperatorOutcome};
pub use orchestrator::{Orchestrator, OrchestratorOptions, Progress};
pub use outcome::{Outcome, OutcomeKind, PaymentState};
pub use recover::ResumeDecision;
pub use refusal::PaymentRefusal;
pub use request::{PAYMENT_TYPE, PaymentRequest};
pub use retry::{CommandSet, RetryPolicy};
pub use state::PaymentSaga;
