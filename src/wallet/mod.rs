//! The wallet: a user's money in one currency, with holds.
//!
//! Its stream is `wallet-<user_id>`. `locked` is what open holds keep, `available` is `balance - locked`, and `spendable` is
//! what may be taken or held: `available` and the overdraft limit. All amounts are integers of minor units, and all
//! arithmetic is checked.
//!
//! Invariants, see [`Wallet::check_invariants`]:
//! 1. `locked` is the sum of the open holds, and not negative.
//! 2. `spendable` is not negative, and `balance + overdraft limit` is within 64 bits, so that every sum here is.
//! 3. `balance` is the sum of all that came in less the sum of all that went out.
//! 4. A hold is resolved at most once, by a capture of at most its amount or by a release.
//! 5. One currency for life.
//! 6. The version is the number of events.

mod apply;
mod command;
mod decide;
mod event;
mod hold;
mod refusal;
mod state;
#[cfg(test)]
mod tests;

pub use command::{HOLD_ID_BYTES_MAX, OPEN_HOLDS_MAX, WalletCommand, currency_of};
pub use event::{FundsDeposited, FundsHeld, FundsWithdrawn, HoldCaptured, HoldReleased, WalletEvent, WalletOpened};
pub use hold::{Hold, HoldOutcome};
pub use refusal::WalletRefusal;
pub use state::{Wallet, WalletStatus};

use crate::aggregate::{Aggregate, EventContext};
use crate::types::Timestamp;

impl Aggregate for Wallet {
    const AGGREGATE_TYPE: &'static str = "wallet";
    const SCHEMA_VERSION: u16 = 1;
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
