//! Holds and transfers: open holds in full, resolved ones and transfers as little as "at most once, for ever" needs.
//!
//! A wallet must know every hold that it ever had. Of a resolved one it keeps 16 bytes that stand for the id, 8 that stand
//! for the content, the outcome and what was refunded: about 30 bytes in a snapshot, whatever the id's length. Of a transfer
//! that it paid it keeps 24.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::limits::Day;
use crate::types::Timestamp;

/// An open hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// What it was placed with and increased by, minor units; positive.
    pub amount: i64,
    /// What was captured of it, minor units.
    pub captured: i64,
    /// What was refunded of that, minor units.
    pub refunded: i64,
    /// The payment it is for.
    pub payment_id: Option<String>,
    /// From when on it cannot be captured, unless it names a payment.
    pub expires_at: Option<Timestamp>,
    pub(super) content: HoldContent,
    /// The last day that it was placed or increased on.
    pub(super) day: Day,
    /// What it added to that day's spending, minor units.
    pub(super) day_amount: i64,
}

impl Hold {
    /// What it still locks, minor units.
    #[must_use]
    pub fn remaining(&self) -> i64 {
        self.amount.saturating_sub(self.captured)
    }

    /// Whether its time is over. One that names a payment waits for that payment.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.payment_id.is_none() && self.expires_at.is_some_and(|expires_at| now >= expires_at)
    }
}

/// How a hold ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HoldOutcome {
    /// This many minor units were taken out in all, and the rest was unlocked.
    Captured {
        /// Minor units; positive.
        amount: i64,
    },
    /// Nothing was taken out. It was unlocked because that was asked for.
    Released,
    /// Nothing was taken out. It was unlocked because its time was over.
    Expired,
}

impl HoldOutcome {
    /// What was taken out, minor units.
    #[must_use]
    pub const fn captured(self) -> i64 {
        match self {
            Self::Captured { amount } => amount,
            Self::Released | Self::Expired => 0,
        }
    }
}

impl fmt::Display for HoldOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Captured { .. } => "captured",
            Self::Released => "released",
            Self::Expired => "expired",
        })
    }
}

/// Stands for what was asked for with a hold, to tell a repetition from another hold under the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct HoldContent([u8; 8]);

impl HoldContent {
    pub(super) fn of(amount: i64, payment_id: Option<&str>, time_to_live_micros: Option<u64>) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(amount.to_le_bytes());
        hasher.update([u8::from(time_to_live_micros.is_some())]);
        hasher.update(time_to_live_micros.unwrap_or_default().to_le_bytes());
        // Last, since it is the only part whose length varies.
        hasher.update([u8::from(payment_id.is_some())]);
        hasher.update(payment_id.unwrap_or_default());
        Self(front(&hasher.finalize().into()))
    }
}

/// Stands for the id of a resolved hold, or of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct IdDigest([u8; 16]);

impl IdDigest {
    pub(super) fn of(id: &str) -> Self {
        Self(front(&Sha256::digest(id).into()))
    }
}

/// A hold that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ResolvedHold {
    pub(super) outcome: HoldOutcome,
    pub(super) content: HoldContent,
    pub(super) refunded: i64,
}

/// Stands for a transfer that was paid, to tell a repetition from another transfer under the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TransferContent([u8; 8]);

impl TransferContent {
    pub(super) fn of(amount: i64, to_user_id: &str) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(amount.to_le_bytes());
        // Last, since it is the only part whose length varies.
        hasher.update(to_user_id);
        Self(front(&hasher.finalize().into()))
    }
}

fn front<const BYTES: usize>(hash: &[u8; 32]) -> [u8; BYTES] {
    const { assert!(BYTES <= 32) };
    let mut front = [0; BYTES];
    front.iter_mut().zip(hash).for_each(|(target, source)| *target = *source);
    front
}
