//! The wallet: a user's money in one currency, with holds.
//!
//! Its stream is `wallet-<user_id>`. `locked` is what open holds keep, `available` is `balance - locked`, and `spendable` is
//! what may be taken or held: `available` and the overdraft limit. All amounts are integers of minor units, and all
//! arithmetic is checked.
//!
//! [`transfer`] moves money from one wallet to another, in one commit over both streams. The page [`wallet`](crate::docs::wallet)
//! of the book has all commands, events and refusals.
//!
//! Invariants, see [`Wallet::check_invariants`]:
//! 1. `locked` is the sum of what open holds keep, and not negative.
//! 2. `spendable` is not negative, and `balance + overdraft limit` is within 64 bits, so that every sum here is.
//! 3. `balance` is the sum of all that came in less the sum of all that went out.
//! 4. Of a hold at most its amount is captured, and of that at most all is refunded. It is resolved at most once: by the last
//!    capture, by a release or when its time is over.
//! 5. One currency for life.
//! 6. The version is the number of events.
//! 7. Closed means that nothing is in it and nothing is held, and that nothing happens any more.
//! 8. Over all wallets in a currency as much is received by transfer as is sent, see [`TransferTotals`].

mod apply;
mod command;
mod content;
mod decide;
mod event;
mod fields;
mod hold;
mod invariants;
mod limits;
mod refusal;
mod state;
#[cfg(test)]
mod tests;
mod transfer;

pub use command::{HOLD_ID_BYTES_MAX, OPEN_HOLDS_MAX, REASON_BYTES_MAX, WalletCommand, currency_of};
pub use event::{
    BalanceAdjusted, FundsDeposited, FundsHeld, FundsWithdrawn, HoldCaptured, HoldExpired, HoldExtended, HoldIncreased,
    HoldReleased, LimitsSet, OverdraftLimitSet, RefundCredited, TransferCredited, TransferDebited, WalletClosed,
    WalletEvent, WalletFrozen, WalletOpened, WalletUnfrozen,
};
pub use hold::{Hold, HoldOutcome};
pub use invariants::TransferTotals;
pub use limits::{SpendingLimit, WalletLimits};
pub use refusal::WalletRefusal;
pub use state::{Wallet, WalletStatus};
pub use transfer::{Transfer, Transferred, transfer};

use crate::aggregate::{Aggregate, EventContext};
use crate::types::Timestamp;

impl Aggregate for Wallet {
    const AGGREGATE_TYPE: &'static str = "wallet";
    const SCHEMA_VERSION: u16 = 2;
    type Command = WalletCommand;
    type Event = WalletEvent;
    type Refusal = WalletRefusal;

    fn new(aggregate_id: &str) -> Self {
        Self::unopened(aggregate_id)
    }

    fn decide(&self, command: &WalletCommand, now: Timestamp) -> Result<Vec<WalletEvent>, WalletRefusal> {
        decide::decide(self, command, now)
    }

    fn apply(&mut self, event: &WalletEvent, context: &EventContext) {
        apply::apply(self, event, context);
    }
}
