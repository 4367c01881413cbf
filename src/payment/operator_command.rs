//! What an operator asks under a command id, so that it is safe to ask again.
//!
//! The id is on record with the event that it led to, as what caused it. So it is found again with the payment, also years and
//! restarts later.

use super::event::{OperatorCancelled, OperatorResolved, OperatorRetried, PaymentEvent};
use super::kinds::Resolution;
use super::orchestrator::Orchestrator;
use super::refusal::PaymentRefusal;
use super::request::stream_of;
use super::state::PaymentSaga;
use crate::aggregate::{DomainEvent, ExecuteError};
use crate::error::{Error, ErrorKind, Result};
use crate::types::Version;

/// What an operator asks of payments, under one command id. The same id with the same content, of the same payment, gives the
/// first outcome again; a refusal leaves it free. From [`Orchestrator::for_command`].
#[derive(Clone, Copy, Debug)]
pub struct OperatorCommand<'a> {
    orchestrator: &'a Orchestrator,
    command_id: &'a str,
}

/// What came of what an operator asked.
#[derive(Clone, Debug)]
pub struct OperatorOutcome {
    /// The payment as it is now.
    pub saga: PaymentSaga,
    /// The version of the event that says what was asked.
    pub version: Version,
    /// Whether it had been done before.
    pub is_repeat: bool,
}

type Operated<T = OperatorOutcome> = Result<T, ExecuteError<PaymentRefusal>>;

impl Orchestrator {
    /// What an operator asks under this command id.
    #[must_use]
    pub fn for_command<'a>(&'a self, command_id: &'a str) -> OperatorCommand<'a> {
        OperatorCommand { orchestrator: self, command_id }
    }
}

impl OperatorCommand<'_> {
    /// As [`Orchestrator::cancel`].
    ///
    /// # Errors
    /// `IdempotencyConflict`: the command id stands for something else that was asked of this payment. Otherwise as there.
    pub fn cancel(&self, payment_id: &str, operator: &str, reason: &str) -> Operated {
        let asked = OperatorCancelled { operator: operator.to_owned(), reason: reason.to_owned() };
        self.once(payment_id, &asked.into(), || {
            self.orchestrator.cancel_for(Some(self.command_id), payment_id, operator, reason)
        })
    }

    /// As [`Orchestrator::retry`].
    ///
    /// # Errors
    /// `IdempotencyConflict`: the command id stands for something else that was asked of this payment. Otherwise as there.
    pub fn retry(&self, payment_id: &str, operator: &str, reason: &str) -> Operated {
        let asked = OperatorRetried { operator: operator.to_owned(), reason: reason.to_owned() };
        self.once(payment_id, &asked.into(), || {
            self.orchestrator.retry_for(Some(self.command_id), payment_id, operator, reason)
        })
    }

    /// As [`Orchestrator::resolve`].
    ///
    /// # Errors
    /// `IdempotencyConflict`: the command id stands for something else that was asked of this payment. Otherwise as there.
    pub fn resolve(&self, payment_id: &str, resolution: Resolution, operator: &str, reason: &str) -> Operated {
        let asked = OperatorResolved { operator: operator.to_owned(), reason: reason.to_owned(), resolution };
        self.once(payment_id, &asked.into(), || {
            self.orchestrator.resolve_for(Some(self.command_id), payment_id, resolution, operator, reason)
        })
    }

    fn once(
        &self,
        payment_id: &str,
        asked: &PaymentEvent,
        operate: impl FnOnce() -> Operated<PaymentSaga>,
    ) -> Operated {
        if let Some(version) = self.find(payment_id, asked)? {
            let saga = self.orchestrator.load(payment_id)?;
            let saga = saga.unwrap_or_else(|| PaymentSaga::new(payment_id));
            return Ok(OperatorOutcome { saga, version, is_repeat: true });
        }
        match operate() {
            Ok(saga) => {
                let version = self.find(payment_id, asked)?.unwrap_or(saga.version());
                Ok(OperatorOutcome { saga, version, is_repeat: false })
            }
            Err(ExecuteError::Refused(refusal)) => {
                // What refuses it may be its own first outcome, put on record by another thread meanwhile.
                let Some(version) = self.find(payment_id, asked)? else { return Err(ExecuteError::Refused(refusal)) };
                let saga = self.orchestrator.load(payment_id)?;
                let saga = saga.unwrap_or_else(|| PaymentSaga::new(payment_id));
                Ok(OperatorOutcome { saga, version, is_repeat: true })
            }
            Err(error) => Err(error),
        }
    }

    /// The version of the event that this command led to before.
    fn find(&self, payment_id: &str, asked: &PaymentEvent) -> Result<Option<Version>> {
        for event in self.orchestrator.store().read_stream(&stream_of(payment_id)?, ..) {
            let event = event?;
            if event.metadata.causation_id.as_deref() != Some(self.command_id) {
                continue;
            }
            match PaymentEvent::decode(&event)? {
                fact if fact == *asked => return Ok(Some(event.version)),
                PaymentEvent::PaymentStarted(_)
                | PaymentEvent::OperatorCancelled(_)
                | PaymentEvent::OperatorRetried(_)
                | PaymentEvent::OperatorResolved(_) => {
                    let text = format!("the command id {:?} was used with another command", self.command_id);
                    return Err(Error::new(ErrorKind::IdempotencyConflict, text));
                }
                // What followed in the same commit.
                _ => {}
            }
        }
        Ok(None)
    }
}
