//! Holds: open ones in full, resolved ones as little as "resolved at most once, for ever" needs.
//!
//! A wallet must know every hold that it ever had. Of a resolved one it keeps 16 bytes that stand for the id, 8 that stand
//! for the content, and the outcome: about 30 bytes in a snapshot, whatever the id's length.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::types::Timestamp;

/// An open hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// What it keeps, minor units; positive.
    pub amount: i64,
    /// What was captured of it, minor units. A capture is final, so it is zero while the hold is open.
    pub captured: i64,
    /// The payment it is for.
    pub payment_id: Option<String>,
    /// From when on it cannot be captured, unless it names a payment.
    pub expires_at: Option<Timestamp>,
    pub(super) content: HoldContent,
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
    /// This many minor units were taken out, and the rest was unlocked.
    Captured {
        /// Minor units.
        amount: i64,
    },
    /// All of it was unlocked.
    Released,
}

impl fmt::Display for HoldOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Captured { .. } => "captured",
            Self::Released => "released",
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

/// Stands for the id of a resolved hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct HoldDigest([u8; 16]);

impl HoldDigest {
    pub(super) fn of(hold_id: &str) -> Self {
        Self(front(&Sha256::digest(hold_id).into()))
    }
}

/// A hold that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ResolvedHold {
    pub(super) outcome: HoldOutcome,
    pub(super) content: HoldContent,
}

fn front<const BYTES: usize>(hash: &[u8; 32]) -> [u8; BYTES] {
    const { assert!(BYTES <= 32) };
    let mut front = [0; BYTES];
    front.iter_mut().zip(hash).for_each(|(target, source)| *target = *source);
    front
}
