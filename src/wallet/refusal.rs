//! Why a wallet says no.

use super::{HoldOutcome, WalletStatus};
use crate::money::Currency;
use crate::types::Timestamp;

/// Why a wallet says no. Amounts are minor units.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WalletRefusal {
    /// It was opened before.
    #[error("the wallet exists")]
    AlreadyExists,
    /// It was never opened.
    #[error("the wallet was never opened")]
    NotOpen,
    /// It is closed.
    #[error("the wallet is closed")]
    Closed,
    /// It is frozen for what was asked.
    #[error("the wallet is frozen ({status})")]
    Frozen {
        /// For what.
        status: WalletStatus,
    },
    /// The code names no currency.
    #[error("{code:?} is no currency code of ISO 4217")]
    UnknownCurrency {
        /// The code.
        code: String,
    },
    /// The amount is not positive, or the overdraft limit negative.
    #[error("the amount {amount} is not allowed here")]
    InvalidAmount {
        /// The amount.
        amount: i64,
    },
    /// The amount is in another currency.
    #[error("the wallet is in {expected}, the amount in {given}")]
    CurrencyMismatch {
        /// The wallet's currency.
        expected: Currency,
        /// The amount's.
        given: Currency,
    },
    /// There is not so much to spend.
    #[error("insufficient funds: {requested} requested, {spendable} spendable, {available} available")]
    InsufficientFunds {
        /// `balance - locked`; may be negative within the overdraft limit.
        available: i64,
        /// `available` and the overdraft limit.
        spendable: i64,
        /// What was asked for.
        requested: i64,
    },
    /// A sum would leave 64 bits.
    #[error("the balance {balance} and {amount} are beyond what a wallet can hold")]
    Overflow {
        /// The balance.
        balance: i64,
        /// The amount.
        amount: i64,
    },
    /// The id of a hold or a payment is empty, too long, or has control characters.
    #[error("{id:?} is no id of a hold or a payment")]
    InvalidId {
        /// The id.
        id: String,
    },
    /// The time to live is shorter than a microsecond, or ends after the last time that can be told.
    #[error("the time to live is not allowed")]
    InvalidTimeToLive,
    /// The id stands for another hold: of another amount, payment or time to live.
    #[error("the hold {hold_id:?} exists with other content")]
    HoldExists {
        /// The hold.
        hold_id: String,
    },
    /// The wallet has as many open holds as it may.
    #[error("the wallet has {open} open holds and takes no more")]
    TooManyHolds {
        /// Their number.
        open: u64,
    },
    /// There never was such a hold.
    #[error("there is no hold {hold_id:?}")]
    HoldNotFound {
        /// The hold.
        hold_id: String,
    },
    /// It was captured or released before.
    #[error("the hold {hold_id:?} was {outcome} before")]
    HoldResolved {
        /// The hold.
        hold_id: String,
        /// How it ended.
        outcome: HoldOutcome,
    },
    /// Its time to live is over.
    #[error("the hold {hold_id:?} has expired")]
    HoldExpired {
        /// The hold.
        hold_id: String,
        /// Since when.
        expires_at: Timestamp,
    },
    /// More than is held.
    #[error("{requested} is more than the {held} of hold {hold_id:?}")]
    CaptureExceedsHold {
        /// The hold.
        hold_id: String,
        /// What it keeps.
        held: i64,
        /// What was asked for.
        requested: i64,
    },
}
