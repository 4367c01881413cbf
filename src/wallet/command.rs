//! What can be asked of a wallet.

use std::time::Duration;

use serde::{Serialize, Serializer};

use super::content::CommandContent;
use super::{WalletLimits, WalletRefusal};
use crate::money::{Currency, Money};

/// The id of a hold, of a payment or a transfer and an operator's name, bytes: most of them are kept in the state while a
/// hold is open.
pub const HOLD_ID_BYTES_MAX: usize = 128;

/// The reason of an adjustment, bytes.
pub const REASON_BYTES_MAX: usize = 1_024;

/// Open holds of one wallet: with the longest ids they take about a megabyte of a snapshot.
pub const OPEN_HOLDS_MAX: usize = 4_096;

/// What can be asked of one wallet. What concerns two is [`transfer`](super::transfer).
///
/// Its encoding is what a repeated command id is compared by, for as long as the store lives. It is pinned in this module, apart
/// from these variants, and never changes for what could be asked before.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WalletCommand {
    /// Opens it.
    Open {
        /// Its currency, for life.
        currency: Currency,
        /// How far `available` may go below zero, minor units; not negative.
        overdraft_limit: i64,
        /// What it is limited to.
        limits: WalletLimits,
    },
    /// Puts money in, at most up to the highest balance.
    Deposit {
        /// How much; positive.
        amount: Money,
    },
    /// Takes money out, at most what is spendable.
    Withdraw {
        /// How much; positive.
        amount: Money,
    },
    /// Locks money, at most what is spendable. The same hold asked for again changes nothing.
    Hold {
        /// Names the hold within the wallet, for ever.
        hold_id: String,
        /// How much; positive.
        amount: Money,
        /// The payment it is for; a hold that names one does not expire by itself.
        payment_id: Option<String>,
        /// How long it can be captured, from now on; from one microsecond. `None`: until it is resolved.
        time_to_live: Option<Duration>,
    },
    /// Locks more money under an open hold, at most what is spendable.
    IncreaseHold {
        /// The hold.
        hold_id: String,
        /// How much more; positive.
        amount: Money,
    },
    /// Lets an open hold live longer. Nothing follows where it lives as long as that already.
    ExtendHold {
        /// The hold.
        hold_id: String,
        /// How long it can be captured, from now on; from one microsecond.
        time_to_live: Duration,
    },
    /// Takes locked money out. Whether freeze, limits or, where the hold names a payment, time would forbid it does not matter:
    /// the money was promised when it was held.
    Capture {
        /// The hold.
        hold_id: String,
        /// How much; positive, at most what is held.
        amount: Money,
        /// Whether the rest is released and the hold over. A capture of all that is held is final in any case.
        is_final: bool,
    },
    /// Unlocks what is held, at any time.
    Release {
        /// The hold.
        hold_id: String,
    },
    /// Unlocks what is held by a hold whose time is over. A hold that names a payment is that payment's to end.
    Expire {
        /// The hold.
        hold_id: String,
    },
    /// Gives back money that was captured, also into a frozen wallet and beyond the highest balance.
    Refund {
        /// The hold that it was captured of, resolved or not.
        hold_id: String,
        /// How much; positive, with all refunds of that hold at most what was captured of it.
        amount: Money,
    },
    /// Corrects the balance, by a person. Neither limits nor freeze matter.
    Adjust {
        /// How much is added; negative takes away. Not zero.
        amount: Money,
        /// Why, for the record.
        reason: String,
        /// Who.
        operator: String,
    },
    /// Sets how far `available` may go below zero.
    SetOverdraft {
        /// Minor units; not negative, and not less than is used of it.
        overdraft_limit: i64,
    },
    /// Sets all limits. They bind what is asked from now on.
    SetLimits {
        /// What it is limited to.
        limits: WalletLimits,
    },
    /// Freezes it, or changes what it is frozen for.
    Freeze {
        /// For what takes or locks money alone, else also for what adds money.
        debits_only: bool,
    },
    /// Ends a freeze.
    Unfreeze,
    /// Closes it, for ever. It must be empty and without open holds.
    Close,
}

impl Serialize for WalletCommand {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        CommandContent::of(self).serialize(serializer)
    }
}

/// The currency with this code.
///
/// # Errors
/// [`WalletRefusal::UnknownCurrency`].
pub fn currency_of(code: &str) -> Result<Currency, WalletRefusal> {
    Currency::from_code(code).ok_or_else(|| WalletRefusal::UnknownCurrency { code: code.to_owned() })
}
