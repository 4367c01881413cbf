//! What a person has to hear of.

use std::fmt;
use std::sync::Arc;

use super::state::PaymentSaga;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AlertKind {
    /// A payment was parked: an operator has to decide.
    ParkedForReview,
    /// A charge that came late could not be given back.
    RefundFailed,
}

impl AlertKind {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ParkedForReview => "parked_for_review",
            Self::RefundFailed => "refund_failed",
        }
    }
}

impl fmt::Display for AlertKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A payment that waits for a person. It is told once, after it is on record; what is on record stays in
/// [`Orchestrator::incomplete`](super::Orchestrator::incomplete) until it is settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Which payment.
    pub payment_id: String,
    /// What happened.
    pub kind: AlertKind,
    /// Why, in words.
    pub reason: String,
}

/// Called with each alert, by whichever thread put it on record, with no lock held. It must not panic.
pub type AlertHandler = Arc<dyn Fn(&Alert) + Send + Sync>;

impl Alert {
    /// What a person has to hear of while a payment stands as it does.
    pub(crate) fn standing(saga: &PaymentSaga) -> Option<AlertKind> {
        let refund_failed = saga.refund_failure().map(|_| AlertKind::RefundFailed);
        saga.parked().map(|_| AlertKind::ParkedForReview).or(refund_failed)
    }

    /// What there is to be told of a payment that stood otherwise before.
    pub(crate) fn since(before: Option<AlertKind>, saga: &PaymentSaga) -> Option<Self> {
        let kind = Self::standing(saga).filter(|kind| before != Some(*kind))?;
        let reason = saga.parked().or(saga.refund_failure()).unwrap_or_default().to_owned();
        Some(Self { payment_id: saga.payment_id().to_owned(), kind, reason })
    }

    /// Tells it.
    pub(crate) fn raise(&self, handler: Option<&AlertHandler>) {
        tracing::error!(payment = %self.payment_id, kind = %self.kind, reason = %self.reason, "a payment waits for a person");
        if let Some(handler) = handler {
            handler(self);
        }
    }
}
