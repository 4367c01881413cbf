//! What can be asked of a wallet.

use std::time::Duration;

use serde::Serialize;

use super::WalletRefusal;
use crate::money::{Currency, Money};

/// A hold's id, and the id of the payment that it names, bytes: both are kept in the state while the hold is open.
pub const HOLD_ID_BYTES_MAX: usize = 128;

/// Open holds of one wallet: with the longest ids they take about a megabyte of a snapshot.
pub const OPEN_HOLDS_MAX: usize = 4_096;

/// What can be asked of a wallet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub enum WalletCommand {
    /// Opens it.
    Open {
        /// Its currency, for life.
        currency: Currency,
        /// How far `available` may go below zero, minor units; not negative.
        overdraft_limit: i64,
    },
    /// Puts money in.
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
    /// Takes locked money out and releases the rest of its hold. Final.
    Capture {
        /// The hold.
        hold_id: String,
        /// How much; positive, at most what is held.
        amount: Money,
    },
    /// Unlocks what is held.
    Release {
        /// The hold.
        hold_id: String,
    },
}

/// The currency with this code.
///
/// # Errors
/// [`WalletRefusal::UnknownCurrency`].
pub fn currency_of(code: &str) -> Result<Currency, WalletRefusal> {
    Currency::from_code(code).ok_or_else(|| WalletRefusal::UnknownCurrency { code: code.to_owned() })
}
