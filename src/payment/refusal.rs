//! Why what an operator asks of a payment is not done.

use std::fmt;

use super::kinds::CompensationReason;
use super::outcome::OutcomeKind;
use crate::types::Timestamp;

/// Why it is not done. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PaymentRefusal {
    /// It has its outcome, which stays.
    AlreadyOver {
        /// The outcome.
        outcome: OutcomeKind,
    },
    /// It has no outcome yet.
    NotOver,
    /// The capture was published: there is only completion, or review.
    PastPivot,
    /// It is being undone already.
    BeingUndone {
        /// Why.
        reason: CompensationReason,
    },
    /// It is not parked: what is to be done is being done.
    NotParked,
    /// The new deadline is not later than the one it has.
    DeadlineNotLater {
        /// The one it has.
        deadline: Timestamp,
    },
    /// The wallet's part does not allow it: what is held was let go, or taken, before.
    WalletPart {
        /// What it is.
        detail: String,
    },
    /// Nothing was to be paid by card.
    NoCardPart,
}

impl fmt::Display for PaymentRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyOver { outcome } => write!(f, "the payment is {} already", outcome.as_str()),
            Self::NotOver => f.write_str("the payment has no outcome yet"),
            Self::PastPivot => f.write_str("the payment's capture was published, it can only be completed or reviewed"),
            Self::BeingUndone { reason } => write!(f, "the payment is being undone already: {}", reason.as_str()),
            Self::NotParked => f.write_str("the payment is not parked for review"),
            Self::DeadlineNotLater { deadline } => {
                write!(f, "the payment's deadline, {} us, is not earlier", deadline.as_micros())
            }
            Self::WalletPart { detail } => write!(f, "the wallet's part does not allow it: {detail}"),
            Self::NoCardPart => f.write_str("nothing of the payment was to be paid by card"),
        }
    }
}

impl std::error::Error for PaymentRefusal {}
