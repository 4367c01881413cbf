//! What made a balance.

use serde::Serialize;

use super::as_of::{bounds, of_wallet};
use crate::aggregate::{Aggregate, AsOf, DomainEvent, EventContext, Repository};
use crate::error::{Error, ErrorKind, Result};
use crate::store::Store;
use crate::types::{Sequence, Timestamp, Version};
use crate::wallet::{Wallet, WalletEvent};

/// An event of a wallet, and what it did to the balance. Amounts are minor units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExplainedEvent {
    /// Its global place.
    pub sequence: Sequence,
    /// Its place in the wallet's stream.
    pub version: Version,
    /// When it was committed, in store time; microseconds since 1970 where it is serialised.
    pub timestamp: Timestamp,
    /// What happened, such as `FundsDeposited`.
    pub event_type: String,
    /// What came in; negative: what went out.
    pub balance_change: i128,
    /// What was locked; negative: what was unlocked.
    pub locked_change: i128,
    /// The balance after it.
    pub balance: i64,
    /// What was locked after it.
    pub locked_balance: i64,
    /// What it belongs to, such as a payment.
    pub correlation_id: Option<String>,
    /// What made it: an event's or a command's id.
    pub causation_id: Option<String>,
    /// Who did it.
    pub actor: Option<String>,
}

/// A balance, and the events that made it. Amounts are minor units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// Whose.
    pub user_id: String,
    /// Its currency.
    pub currency: Option<&'static str>,
    /// All that was in it at the point.
    pub balance: i64,
    /// What open holds kept.
    pub locked_balance: i64,
    /// The balance less what was locked.
    pub available_balance: i64,
    /// The version it was at.
    pub version: Version,
    /// The sequence of the last event that counts.
    pub last_event_sequence: Sequence,
    /// All its events up to the point, in order. Their changes add up to the balance, and to what is locked.
    pub events: Vec<ExplainedEvent>,
}

/// The events that made a user's balance, as of a point; from the beginning, whatever snapshots there are.
///
/// # Errors
/// `NotFound`: the user had no wallet by then. `InvalidInput`: the id makes no stream's name. `UnknownPayload`, `Corrupt`: an
/// event cannot be read. `Io`, `Closed`: the store's.
pub fn explain(store: &Store, user_id: &str, as_of: AsOf) -> Result<Explanation> {
    let (sequence_max, version_max) = bounds(store, as_of)?;
    let mut wallet = Wallet::new(user_id);
    let mut events: Vec<ExplainedEvent> = Vec::new();
    for event in store.read_stream(&Repository::<Wallet>::stream(user_id)?, ..=version_max) {
        let event = event.map_err(|error| of_wallet(user_id, error))?;
        if event.sequence > sequence_max {
            break;
        }
        let (balance, locked) = (wallet.balance(), wallet.locked_balance());
        wallet.apply(&WalletEvent::decode(&event)?, &EventContext::from(&event));
        events.push(ExplainedEvent {
            sequence: event.sequence,
            version: event.version,
            timestamp: event.timestamp,
            event_type: event.event_type.as_str().to_owned(),
            balance_change: i128::from(wallet.balance()) - i128::from(balance),
            locked_change: i128::from(wallet.locked_balance()) - i128::from(locked),
            balance: wallet.balance(),
            locked_balance: wallet.locked_balance(),
            correlation_id: event.metadata.correlation_id,
            causation_id: event.metadata.causation_id,
            actor: event.metadata.actor,
        });
    }
    let Some(last) = events.last() else {
        return Err(Error::new(ErrorKind::NotFound, format!("there is no wallet of user {user_id} at that point")));
    };
    Ok(Explanation {
        user_id: user_id.to_owned(),
        currency: wallet.currency().map(crate::money::Currency::code),
        balance: wallet.balance(),
        locked_balance: wallet.locked_balance(),
        available_balance: wallet.available(),
        version: last.version,
        last_event_sequence: last.sequence,
        events,
    })
}
