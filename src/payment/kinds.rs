//! The words that a payment's events are made of. They are written by their places, so a new one comes last.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A step of a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Step {
    /// The wallet's part is held; undone by releasing it.
    Reserve,
    /// The card's part is authorised; undone by a void.
    Charge,
    /// What was held and authorised is taken. Not undone: it is the point of no return.
    Capture,
    /// What was captured by card is settled, where the gateway asks for that. Not undone.
    Settle,
}

impl Step {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reserve => "reserve",
            Self::Charge => "charge",
            Self::Capture => "capture",
            Self::Settle => "settle",
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
    /// It was not sent: there is no network.
    Offline,
}

impl FailureKind {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Retryable => "retryable",
            Self::Permanent => "permanent",
            Self::Unknown => "unknown",
            Self::Offline => "offline",
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
    /// It was not asked: there is no network.
    Offline,
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
            Self::Offline => "offline",
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

/// What an operator found out about a payment that was parked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Resolution {
    /// The card's part is paid; the wallet's part is taken.
    Completed,
    /// The card's part is not paid, or was given back; the wallet's part is let go.
    Compensated,
}

impl Resolution {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Compensated => "compensated",
        }
    }
}
