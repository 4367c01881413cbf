//! What charges cards: the one thing outside this store that a payment needs.
//!
//! Every command carries an idempotency key. A gateway must answer a repeated key as it did before and must never act
//! twice on it; and a void names the key of the authorisation it undoes, so that it also precludes one that has not
//! arrived yet. The payment's safety after a crash rests on these two rules.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::money::Money;

/// A command to the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum GatewayCommand {
    /// Locks money on the card.
    Authorise,
    /// Takes money that was authorised.
    Capture,
    /// Lets go what was authorised, or precludes that it ever is.
    Void,
    /// Gives back money that was captured.
    Refund,
    /// Settles what was captured.
    Settle,
}

/// The space of command ids, drawn once.
const COMMAND_NAMESPACE: Uuid =
    Uuid::from_bytes([0x6c, 0x1f, 0x0a, 0x52, 0x9d, 0x3e, 0x4b, 0x7c, 0x8e, 0x25, 0x41, 0xd7, 0x93, 0xb0, 0x5e, 0xaf]);

impl GatewayCommand {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Authorise, Self::Capture, Self::Void, Self::Refund, Self::Settle];

    /// Its name, as it stands in keys.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Authorise => "authorise",
            Self::Capture => "capture",
            Self::Void => "void",
            Self::Refund => "refund",
            Self::Settle => "settle",
        }
    }

    /// The idempotency key of this command for a payment: `<payment_id>/<command>`, the same over all retries.
    #[must_use]
    pub fn key(self, payment_id: &str) -> String {
        format!("{payment_id}/{}", self.as_str())
    }

    /// The id of one attempt: UUIDv5 of payment, command and attempt, so that whoever decides the same attempt gives it the
    /// same id.
    #[must_use]
    pub fn command_id(self, payment_id: &str, attempt: u32) -> Uuid {
        Uuid::new_v5(&COMMAND_NAMESPACE, format!("{payment_id}/{}/{attempt}", self.as_str()).as_bytes())
    }

    /// The payment and the command that `key` was made of by [`key`](Self::key).
    #[must_use]
    pub fn parse_key(key: &str) -> Option<(&str, Self)> {
        let (payment_id, name) = key.rsplit_once('/')?;
        let command = Self::ALL.into_iter().find(|command| command.as_str() == name)?;
        Some((payment_id, command))
    }
}

impl fmt::Display for GatewayCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a gateway says to a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GatewayAnswer {
    /// It is done.
    Approved {
        /// The gateway's own name for what it did.
        reference: String,
    },
    /// It is refused for good: the same key is refused again.
    Declined {
        /// Why.
        reason: String,
    },
    /// No answer came: it may have happened or not.
    Unknown,
    /// It was not sent, and will not arrive: there is no network. Where that is not certain, the answer is `Unknown`.
    Offline,
}

/// What a gateway says when asked about a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GatewayOutcome {
    /// That command is done.
    Approved {
        /// The gateway's own name for what it did.
        reference: String,
    },
    /// That command was refused for good.
    Declined {
        /// Why.
        reason: String,
    },
    /// No command with that key had any effect so far. One that is still on its way may yet arrive.
    NotSeen,
    /// No answer came.
    Unknown,
    /// It was not asked: there is no network.
    Offline,
}

/// A card gateway.
///
/// Calls may block, each for at most [`RetryPolicy::attempt_time_limit`](super::RetryPolicy::attempt_time_limit), which
/// [`limit_attempts`](Self::limit_attempts) hands over. A fault on the way, a time-out among them, is
/// [`GatewayAnswer::Unknown`].
pub trait PaymentGateway: Send + Sync {
    /// Locks `amount` on the card that `reference` stands for.
    fn authorise(&self, key: &str, amount: Money, reference: &str) -> GatewayAnswer;

    /// Takes `amount` of what was authorised under `authorise_key`.
    fn capture(&self, key: &str, authorise_key: &str, amount: Money) -> GatewayAnswer;

    /// Undoes what was authorised under `authorise_key`. Of a key that was not seen, it makes a later authorisation under
    /// that key decline.
    fn void(&self, key: &str, authorise_key: &str) -> GatewayAnswer;

    /// Gives back `amount` of what was captured under `capture_key`.
    fn refund(&self, key: &str, capture_key: &str, amount: Money) -> GatewayAnswer;

    /// What became of the command with `key`. Changes nothing.
    fn query(&self, key: &str) -> GatewayOutcome;

    /// Whether what was captured has to be settled. Asked once for each payment, at its start, and kept on record.
    fn settles(&self) -> bool {
        false
    }

    /// Settles `amount` of what was captured under `capture_key`. A gateway that does not settle refuses.
    fn settle(&self, key: &str, capture_key: &str, amount: Money) -> GatewayAnswer {
        let _ = (key, capture_key, amount);
        GatewayAnswer::Declined { reason: "this gateway does not settle".to_owned() }
    }

    /// Whether there is a network now. Asked before a command is published again that was not sent for want of one, so that
    /// waiting for a network writes nothing. It is a hint: what counts is what the command is answered.
    fn is_online(&self) -> bool {
        true
    }

    /// Tells the gateway, once and before its first call, how long a call may take. A call that takes longer must return
    /// `Unknown` by then: nobody interrupts it from outside. A gateway that answers at once has nothing to do here.
    fn limit_attempts(&self, limit: Duration) {
        let _ = limit;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_names_its_payment_and_command_and_is_read_back() {
        for command in GatewayCommand::ALL {
            let key = command.key("p/with/slashes");
            assert_eq!(GatewayCommand::parse_key(&key), Some(("p/with/slashes", command)));
        }
        assert_eq!(GatewayCommand::Authorise.key("p-1"), "p-1/authorise");
        assert_eq!(GatewayCommand::parse_key("p-1/elsewhere"), None);
        assert_eq!(GatewayCommand::parse_key("p-1"), None);
    }

    #[test]
    fn command_ids_are_fixed_by_payment_command_and_attempt() {
        let id = GatewayCommand::Authorise.command_id("p-1", 1);
        assert_eq!(id.to_string(), "03763d7a-0602-588e-ac37-5e007140e5cd");
        assert_ne!(id, GatewayCommand::Authorise.command_id("p-1", 2));
        assert_ne!(id, GatewayCommand::Capture.command_id("p-1", 1));
        assert_ne!(id, GatewayCommand::Authorise.command_id("p-2", 1));
    }
}
