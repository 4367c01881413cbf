//! Where a payment stands, for showing, and how it ended.

use super::kinds::Step;
use crate::types::Sequence;

/// How a payment ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OutcomeKind {
    /// Both parts are paid.
    Completed,
    /// A hold or an authorisation was undone.
    Compensated,
    /// It ended with nothing to undo.
    Rejected,
}

impl OutcomeKind {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Compensated => "compensated",
            Self::Rejected => "rejected",
        }
    }
}

/// A payment's one outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub kind: OutcomeKind,
    /// Why, in words; empty of a completed one.
    pub reason: String,
    /// The sequence of the event that says so.
    pub sequence: Sequence,
}

/// Where a payment stands, for showing; what to do next is [`next`](super::next::next)'s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PaymentState {
    /// Nothing but the wish is on record, or nothing is to be held.
    Started,
    /// The payment was begun with, and its wallet's part is to be held next: a recovery handed it back, or its deadline was
    /// moved. The hold itself is one commit with what it leads to.
    ReservingFunds,
    /// The wallet's part is held.
    FundsReserved,
    /// The authorisation was published.
    Charging,
    /// The card's part is authorised.
    Charged,
    /// The capture was published: past the point of no return.
    Capturing,
    /// The card's part is captured.
    Captured,
    /// All is taken, and the card's part is being settled.
    Settling,
    /// Final: paid.
    Completed,
    /// This step is being undone.
    Compensating(Step),
    /// Final: undone.
    Compensated,
    /// Final: nothing was to undo.
    Rejected,
    /// It is not known whether this step happened.
    OutcomeUnknown(Step),
    /// What is next could not be sent, for there is no network. It may have been taken on trust.
    AwaitingConnectivity,
    /// A person has to decide.
    ManualReview,
}

impl PaymentState {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::ReservingFunds => "reserving_funds",
            Self::FundsReserved => "funds_reserved",
            Self::Charging => "charging",
            Self::Charged => "charged",
            Self::Capturing => "capturing",
            Self::Captured => "captured",
            Self::Settling => "settling",
            Self::Completed => "completed",
            Self::Compensating(_) => "compensating",
            Self::Compensated => "compensated",
            Self::Rejected => "rejected",
            Self::OutcomeUnknown(_) => "outcome_unknown",
            Self::AwaitingConnectivity => "awaiting_connectivity",
            Self::ManualReview => "manual_review",
        }
    }
}
