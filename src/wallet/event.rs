//! What can have happened to a wallet. Every payload is the bincode of its struct. Two are of schema version 2, and are still
//! read as version 1; all others are of version 1.

use serde::{Deserialize, Serialize};

use super::WalletLimits;
use crate::aggregate::{DomainEvent, decode_payload, unknown_event};
use crate::codec;
use crate::error::Result;
use crate::money::{Currency, Money};
use crate::types::{Event, Timestamp};

/// The wallet was opened. Schema version 2.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WalletOpened {
    /// Its currency, for life.
    pub currency: Currency,
    /// How far `available` may go below zero, minor units.
    pub overdraft_limit: i64,
    /// What it is limited to; none in version 1.
    pub limits: WalletLimits,
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

/// More money was locked under a hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldIncreased {
    /// The hold.
    pub hold_id: String,
    /// How much more.
    pub amount: Money,
}

/// A hold lives longer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldExtended {
    /// The hold.
    pub hold_id: String,
    /// How long it was asked for, microseconds.
    pub time_to_live_micros: u64,
    /// When that ends.
    pub expires_at: Timestamp,
}

/// Locked money went out. Schema version 2.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldCaptured {
    /// The hold.
    pub hold_id: String,
    /// What went out.
    pub amount: Money,
    /// What was unlocked, minor units; zero where it is not final.
    pub released: i64,
    /// Whether the hold is over; in version 1 it is.
    pub is_final: bool,
}

/// Locked money was unlocked, and its hold is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldReleased {
    /// The hold.
    pub hold_id: String,
    /// What was unlocked.
    pub amount: Money,
}

/// Locked money was unlocked because the time of its hold is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldExpired {
    /// The hold.
    pub hold_id: String,
    /// What was unlocked.
    pub amount: Money,
    /// When its time was over.
    pub expires_at: Timestamp,
}

/// Money went to another wallet. A `TransferCredited` stands in that wallet's stream, in the same commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferDebited {
    /// The transfer.
    pub transfer_id: String,
    /// Whose wallet it went to.
    pub to_user_id: String,
    /// How much.
    pub amount: Money,
}

/// Money came from another wallet. A `TransferDebited` stands in that wallet's stream, in the same commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferCredited {
    /// The transfer.
    pub transfer_id: String,
    /// Whose wallet it came from.
    pub from_user_id: String,
    /// How much.
    pub amount: Money,
}

/// Money that was captured came back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundCredited {
    /// The hold that it was captured of.
    pub hold_id: String,
    /// How much.
    pub amount: Money,
}

/// A person corrected the balance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalanceAdjusted {
    /// How much was added; negative was taken away.
    pub amount: Money,
    /// Why.
    pub reason: String,
    /// Who.
    pub operator: String,
}

/// The overdraft limit was set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverdraftLimitSet {
    /// How far `available` may go below zero, minor units.
    pub overdraft_limit: i64,
}

/// The limits were set, all of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitsSet {
    /// What it is limited to.
    pub limits: WalletLimits,
}

/// The wallet was frozen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WalletFrozen {
    /// For what takes or locks money alone, else also for what adds money.
    pub debits_only: bool,
}

/// The freeze is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WalletUnfrozen {}

/// The wallet was closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WalletClosed {}

/// [`WalletOpened`] as it was written at first.
#[derive(Deserialize)]
struct WalletOpenedV1 {
    currency: Currency,
    overdraft_limit: i64,
}

impl From<WalletOpenedV1> for WalletOpened {
    fn from(first: WalletOpenedV1) -> Self {
        let WalletOpenedV1 { currency, overdraft_limit } = first;
        Self { currency, overdraft_limit, limits: WalletLimits::default() }
    }
}

/// [`HoldCaptured`] as it was written at first.
#[derive(Deserialize)]
struct HoldCapturedV1 {
    hold_id: String,
    amount: Money,
    released: i64,
}

impl From<HoldCapturedV1> for HoldCaptured {
    fn from(first: HoldCapturedV1) -> Self {
        let HoldCapturedV1 { hold_id, amount, released } = first;
        Self { hold_id, amount, released, is_final: true }
    }
}

macro_rules! wallet_events {
    ($($(#[$doc:meta])* $name:ident: $version:literal $(, first $first:ident)?;)*) => {
        /// What can have happened to a wallet.
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum WalletEvent {
            $($(#[$doc])* $name($name),)*
        }

        impl WalletEvent {
            /// The types of all of them, in the order of their declaration.
            pub const TYPES: &'static [&'static str] = &[$(stringify!($name),)*];
        }

        impl DomainEvent for WalletEvent {
            fn event_type(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => stringify!($name),)*
                }
            }

            fn schema_version(&self) -> u16 {
                match self {
                    $(Self::$name(_) => $version,)*
                }
            }

            fn encode(&self) -> Result<Vec<u8>> {
                match self {
                    $(Self::$name(fact) => codec::encode(fact),)*
                }
            }

            fn decode(event: &Event) -> Result<Self> {
                match (event.event_type.as_str(), event.schema_version) {
                    $($((stringify!($name), 1) => decode_payload::<$first>(event, 1).map(|first| Self::$name(first.into())),)?
                    (stringify!($name), _) => decode_payload(event, $version).map(Self::$name),)*
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
    WalletOpened: 2, first WalletOpenedV1;
    /// Money came in.
    FundsDeposited: 1;
    /// Money went out.
    FundsWithdrawn: 1;
    /// Money was locked.
    FundsHeld: 1;
    /// More money was locked under a hold.
    HoldIncreased: 1;
    /// A hold lives longer.
    HoldExtended: 1;
    /// Locked money went out.
    HoldCaptured: 2, first HoldCapturedV1;
    /// Locked money was unlocked.
    HoldReleased: 1;
    /// Locked money was unlocked because its time is over.
    HoldExpired: 1;
    /// Money went to another wallet.
    TransferDebited: 1;
    /// Money came from another wallet.
    TransferCredited: 1;
    /// Money that was captured came back.
    RefundCredited: 1;
    /// A person corrected the balance.
    BalanceAdjusted: 1;
    /// The overdraft limit was set.
    OverdraftLimitSet: 1;
    /// The limits were set.
    LimitsSet: 1;
    /// It was frozen.
    WalletFrozen: 1;
    /// The freeze is over.
    WalletUnfrozen: 1;
    /// It was closed.
    WalletClosed: 1;
}

impl WalletEvent {
    /// What it adds to the balance, minor units; negative takes away. What only locks or unlocks money moves none.
    ///
    /// For adding up a stream apart from [`Wallet`](super::Wallet), which does not use it.
    #[must_use]
    pub fn balance_change(&self) -> i128 {
        match self {
            Self::FundsDeposited(FundsDeposited { amount })
            | Self::TransferCredited(TransferCredited { amount, .. })
            | Self::RefundCredited(RefundCredited { amount, .. })
            | Self::BalanceAdjusted(BalanceAdjusted { amount, .. }) => amount.minor.into(),
            Self::FundsWithdrawn(FundsWithdrawn { amount })
            | Self::HoldCaptured(HoldCaptured { amount, .. })
            | Self::TransferDebited(TransferDebited { amount, .. }) => -i128::from(amount.minor),
            Self::WalletOpened(_)
            | Self::FundsHeld(_)
            | Self::HoldIncreased(_)
            | Self::HoldExtended(_)
            | Self::HoldReleased(_)
            | Self::HoldExpired(_)
            | Self::OverdraftLimitSet(_)
            | Self::LimitsSet(_)
            | Self::WalletFrozen(_)
            | Self::WalletUnfrozen(_)
            | Self::WalletClosed(_) => 0,
        }
    }
}
