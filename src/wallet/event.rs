//! What can have happened to a wallet. Every payload is the bincode of its struct, schema version 1.

use serde::{Deserialize, Serialize};

use crate::aggregate::{DomainEvent, FieldValue, FlatFields, decode_payload, unknown_event};
use crate::codec;
use crate::error::Result;
use crate::money::{Currency, Money};
use crate::types::{Event, Timestamp};

/// The wallet was opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WalletOpened {
    /// Its currency, for life.
    pub currency: Currency,
    /// How far `available` may go below zero, minor units.
    pub overdraft_limit: i64,
}

/// Money came in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FundsDeposited {
    /// How much.
    pub amount: Money,
}

/// Money went out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FundsWithdrawn {
    /// How much.
    pub amount: Money,
}

/// Money was locked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FundsHeld {
    /// The hold.
    pub hold_id: String,
    /// How much.
    pub amount: Money,
    /// The payment it is for.
    pub payment_id: Option<String>,
    /// How long it was asked for, microseconds.
    pub time_to_live_micros: Option<u64>,
    /// When that ends.
    pub expires_at: Option<Timestamp>,
}

/// Locked money went out, and the rest of its hold was unlocked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldCaptured {
    /// The hold.
    pub hold_id: String,
    /// What went out.
    pub amount: Money,
    /// What was unlocked, minor units.
    pub released: i64,
}

/// Locked money was unlocked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldReleased {
    /// The hold.
    pub hold_id: String,
    /// What was unlocked.
    pub amount: Money,
}

macro_rules! wallet_events {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What can have happened to a wallet.
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum WalletEvent {
            $($(#[$doc])* $name($name),)*
        }

        impl DomainEvent for WalletEvent {
            fn event_type(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => stringify!($name),)*
                }
            }

            fn encode(&self) -> Result<Vec<u8>> {
                match self {
                    $(Self::$name(fact) => codec::encode(fact),)*
                }
            }

            fn decode(event: &Event) -> Result<Self> {
                match event.event_type.as_str() {
                    $(stringify!($name) => decode_payload(event, 1).map(Self::$name),)*
                    _ => Err(unknown_event(event)),
                }
            }
        }

        $(impl From<$name> for WalletEvent {
            fn from(fact: $name) -> Self {
                Self::$name(fact)
            }
        })*
    };
}

wallet_events! {
    /// It was opened.
    WalletOpened,
    /// Money came in.
    FundsDeposited,
    /// Money went out.
    FundsWithdrawn,
    /// Money was locked.
    FundsHeld,
    /// Locked money went out.
    HoldCaptured,
    /// Locked money was unlocked.
    HoldReleased,
}

impl FlatFields for WalletEvent {
    fn fields(&self) -> Vec<(&'static str, FieldValue)> {
        let money = |amount: &Money| [("amount", amount.minor.into()), ("currency", amount.currency.code().into())];
        let hold = |hold_id: &String| [("hold_id", hold_id.as_str().into())];
        match self {
            Self::WalletOpened(WalletOpened { currency, overdraft_limit }) => {
                vec![("currency", currency.code().into()), ("overdraft_limit", (*overdraft_limit).into())]
            }
            Self::FundsDeposited(FundsDeposited { amount }) | Self::FundsWithdrawn(FundsWithdrawn { amount }) => {
                money(amount).to_vec()
            }
            Self::FundsHeld(FundsHeld { hold_id, amount, payment_id, time_to_live_micros, expires_at }) => {
                let rest = [
                    ("payment_id", payment_id.as_deref().into()),
                    ("time_to_live_micros", (*time_to_live_micros).into()),
                    ("expires_at", (*expires_at).into()),
                ];
                hold(hold_id).into_iter().chain(money(amount)).chain(rest).collect()
            }
            Self::HoldCaptured(HoldCaptured { hold_id, amount, released }) => {
                hold(hold_id).into_iter().chain(money(amount)).chain([("released", (*released).into())]).collect()
            }
            Self::HoldReleased(HoldReleased { hold_id, amount }) => {
                hold(hold_id).into_iter().chain(money(amount)).collect()
            }
        }
    }
}
