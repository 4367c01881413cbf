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
    /// What there is to be told of a payment that came from `before` to `after`.
    pub(crate) fn between(before: &PaymentSaga, after: &PaymentSaga) -> Option<Self> {
        let alert = |kind, reason: &str| {
            Some(Self { payment_id: after.payment_id().to_owned(), kind, reason: reason.to_owned() })
        };
        match (after.parked(), after.refund_failure()) {
            (Some(reason), _) if before.parked().is_none() => alert(AlertKind::ParkedForReview, reason),
            (_, Some(reason)) if before.refund_failure().is_none() => alert(AlertKind::RefundFailed, reason),
            _ => None,
        }
    }

    /// Tells it.
    pub(crate) fn raise(&self, handler: Option<&AlertHandler>) {
        tracing::error!(payment = %self.payment_id, kind = %self.kind, reason = %self.reason, "a payment waits for a person");
        if let Some(handler) = handler {
            handler(self);
        }
    }
}
