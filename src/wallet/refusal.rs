//! Why a wallet says no.

use super::{HoldOutcome, SpendingLimit, WalletStatus};
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
    /// The amount is not positive, the adjustment is of nothing, or a limit is negative.
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
    /// More than a limit allows to be spent.
    #[error("{requested} and the {used} used are more than the limit of {limit} {which}")]
    LimitExceeded {
        /// Which limit.
        which: SpendingLimit,
        /// The limit.
        limit: i64,
        /// What was used of it before: on this day, or by the hold that would be increased.
        used: i64,
        /// What was asked for.
        requested: i64,
    },
    /// The balance would be higher than its limit.
    #[error("the balance {balance} and {requested} are more than the highest balance of {balance_max}")]
    MaxBalance {
        /// The balance.
        balance: i64,
        /// The limit.
        balance_max: i64,
        /// What was to be added.
        requested: i64,
    },
    /// A sum would leave 64 bits: of the balance and the overdraft limit, or of all that a hold ever held.
    #[error("{balance} and {amount} are beyond what a wallet can hold")]
    Overflow {
        /// The balance, or what the hold held.
        balance: i64,
        /// The amount.
        amount: i64,
    },
    /// More would be locked or used than there is.
    #[error("{spendable} would be spendable")]
    WouldBreakInvariant {
        /// What would be spendable then; negative.
        spendable: i64,
    },
    /// The wallet is in no state that this can be done in, or is in the state that was asked for.
    #[error("this cannot be done to a wallet that is {status}")]
    InvalidState {
        /// Its state.
        status: WalletStatus,
    },
    /// A wallet that has money, or owes some, is not closed.
    #[error("the balance is {balance}, and not zero")]
    NonZeroBalance {
        /// The balance.
        balance: i64,
    },
    /// A wallet with open holds is not closed.
    #[error("{open} open holds keep {locked}")]
    ActiveHolds {
        /// Their number.
        open: u64,
        /// What they keep.
        locked: i64,
    },
    /// The reason is empty or too long.
    #[error("a reason of {bytes} bytes is not allowed")]
    InvalidReason {
        /// Its length.
        bytes: u64,
    },
    /// The id of a hold, a payment or a transfer, or an operator's name, is empty, too long, or has control characters.
    #[error("{id:?} is no id of a hold, a payment, a transfer or an operator")]
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
    /// It was captured or released, or expired, before.
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
    /// Its time to live is not over.
    #[error("the hold {hold_id:?} has not expired")]
    HoldNotExpired {
        /// The hold.
        hold_id: String,
        /// When it will have; `None`: never.
        expires_at: Option<Timestamp>,
        /// The time that it was looked at.
        now: Timestamp,
    },
    /// It is a payment's, which ends it.
    #[error("the hold {hold_id:?} is the payment {payment_id:?}'s and does not expire by itself")]
    HoldNamesPayment {
        /// The hold.
        hold_id: String,
        /// The payment.
        payment_id: String,
    },
    /// There never was such a hold, or nothing was captured of it.
    #[error("nothing was captured of a hold {hold_id:?}")]
    CaptureNotFound {
        /// The hold.
        hold_id: String,
    },
    /// More than was captured and not refunded.
    #[error("{requested} and the {refunded} refunded are more than the {captured} captured of hold {hold_id:?}")]
    RefundExceedsCapture {
        /// The hold.
        hold_id: String,
        /// What was captured of it.
        captured: i64,
        /// What was refunded of that before.
        refunded: i64,
        /// What was asked for.
        requested: i64,
    },
    /// A transfer from a wallet to itself.
    #[error("a transfer goes to another wallet")]
    SameWallet,
    /// The id stands for another transfer from this wallet: of another amount or to another wallet.
    #[error("the transfer {transfer_id:?} exists with other content")]
    TransferExists {
        /// The transfer.
        transfer_id: String,
    },
    /// The wallet that a transfer goes to does not take it.
    #[error("the wallet of {user_id:?}, which it is for: {refusal}")]
    TargetRefused {
        /// Whose wallet.
        user_id: String,
        /// Why.
        refusal: Box<WalletRefusal>,
    },
}

impl WalletRefusal {
    /// Its name as in this type, such as `InsufficientFunds`; of [`TargetRefused`](Self::TargetRefused) what the target says.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::AlreadyExists => "AlreadyExists",
            Self::NotOpen => "NotOpen",
            Self::Closed => "Closed",
            Self::Frozen { .. } => "Frozen",
            Self::UnknownCurrency { .. } => "UnknownCurrency",
            Self::InvalidAmount { .. } => "InvalidAmount",
            Self::CurrencyMismatch { .. } => "CurrencyMismatch",
            Self::InsufficientFunds { .. } => "InsufficientFunds",
            Self::LimitExceeded { .. } => "LimitExceeded",
            Self::MaxBalance { .. } => "MaxBalance",
            Self::Overflow { .. } => "Overflow",
            Self::WouldBreakInvariant { .. } => "WouldBreakInvariant",
            Self::InvalidState { .. } => "InvalidState",
            Self::NonZeroBalance { .. } => "NonZeroBalance",
            Self::ActiveHolds { .. } => "ActiveHolds",
            Self::InvalidReason { .. } => "InvalidReason",
            Self::InvalidId { .. } => "InvalidId",
            Self::InvalidTimeToLive => "InvalidTimeToLive",
            Self::HoldExists { .. } => "HoldExists",
            Self::TooManyHolds { .. } => "TooManyHolds",
            Self::HoldNotFound { .. } => "HoldNotFound",
            Self::HoldResolved { .. } => "HoldResolved",
            Self::HoldExpired { .. } => "HoldExpired",
            Self::CaptureExceedsHold { .. } => "CaptureExceedsHold",
            Self::HoldNotExpired { .. } => "HoldNotExpired",
            Self::HoldNamesPayment { .. } => "HoldNamesPayment",
            Self::CaptureNotFound { .. } => "CaptureNotFound",
            Self::RefundExceedsCapture { .. } => "RefundExceedsCapture",
            Self::SameWallet => "SameWallet",
            Self::TransferExists { .. } => "TransferExists",
            Self::TargetRefused { refusal, .. } => refusal.name(),
        }
    }
}
