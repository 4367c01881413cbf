//! What a wallet is limited to, and what of it was used on a day.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::state::two_halves;
use crate::types::Timestamp;

/// What a wallet is limited to, minor units; none of them is negative. `None` sets no limit, and the default is none at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WalletLimits {
    /// The most that one withdrawal, one transfer to another wallet or one hold with its increases may be of.
    pub per_transaction: Option<i64>,
    /// The most that may be withdrawn, transferred to other wallets and newly held within a day of UTC.
    pub per_day: Option<i64>,
    /// The most that a deposit or a transfer from another wallet may bring the balance to. Refunds and adjustments may exceed it.
    pub balance_max: Option<i64>,
}

/// A limit on what is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SpendingLimit {
    /// [`WalletLimits::per_transaction`].
    PerTransaction,
    /// [`WalletLimits::per_day`].
    PerDay,
}

impl fmt::Display for SpendingLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PerTransaction => "per transaction",
            Self::PerDay => "per day",
        })
    }
}

/// A day of UTC in store time, counted from 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Day(i64);

impl Day {
    pub(super) const FIRST: Self = Self(0);

    pub(super) fn of(time: Timestamp) -> Self {
        const DAY_MICROS: i64 = 24 * 60 * 60 * 1_000_000;
        Self(time.as_micros().div_euclid(DAY_MICROS))
    }
}

/// What was spent on the last day that anything was spent on. Store time does not go back, so no earlier day matters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Spent {
    day: Day,
    /// 128 bits, since a day without a limit may see any number of large amounts.
    #[serde(with = "two_halves")]
    minor: i128,
}

impl Spent {
    pub(super) const NOTHING: Self = Self { day: Day::FIRST, minor: 0 };

    pub(super) fn on(&self, day: Day) -> i128 {
        if self.day == day { self.minor } else { 0 }
    }

    pub(super) fn add(&mut self, day: Day, minor: i64) {
        *self = Self { day, minor: self.on(day).saturating_add(minor.into()) };
    }

    /// Takes off what was added on the same day; what was spent earlier is spent.
    pub(super) fn give_back(&mut self, day: Day, minor: i64) {
        if self.day == day {
            self.minor = self.minor.saturating_sub(minor.into());
        }
    }

    pub(super) fn is_negative(&self) -> bool {
        self.minor < 0
    }
}
