//! A wallet's state.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::WalletLimits;
use super::hold::{Hold, HoldOutcome, IdDigest, ResolvedHold, TransferContent};
use super::limits::{Day, Spent};
use crate::money::Currency;
use crate::types::{Timestamp, Version};

/// What a wallet can be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum WalletStatus {
    /// It was never opened.
    Unopened,
    /// For everything.
    Open,
    /// For nothing that takes or locks money.
    FrozenDebits,
    /// For nothing that takes, locks or adds money.
    Frozen,
    /// For nothing, ever.
    Closed,
}

impl WalletStatus {
    /// As text: `unopened`, `open`, `frozen_debits`, `frozen`, `closed`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unopened => "unopened",
            Self::Open => "open",
            Self::FrozenDebits => "frozen_debits",
            Self::Frozen => "frozen",
            Self::Closed => "closed",
        }
    }
}

impl fmt::Display for WalletStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A user's money in one currency. All amounts are minor units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wallet {
    pub(super) user_id: String,
    pub(super) currency: Option<Currency>,
    pub(super) status: WalletStatus,
    pub(super) balance: i64,
    pub(super) locked_balance: i64,
    pub(super) overdraft_limit: i64,
    pub(super) limits: WalletLimits,
    pub(super) spent: Spent,
    pub(super) holds: BTreeMap<String, Hold>,
    pub(super) resolved: BTreeMap<IdDigest, ResolvedHold>,
    /// The transfers that it paid.
    pub(super) transfers: BTreeMap<IdDigest, TransferContent>,
    /// 128 bits, so that a life of money in and out does not end a wallet whose balance is small.
    #[serde(with = "two_halves")]
    pub(super) total_in: i128,
    #[serde(with = "two_halves")]
    pub(super) total_out: i128,
    /// What of that came from and went to other wallets.
    #[serde(with = "two_halves")]
    pub(super) transferred_in: i128,
    #[serde(with = "two_halves")]
    pub(super) transferred_out: i128,
    pub(super) version: Version,
    pub(super) events: u64,
    /// The first event that no decision of a wallet could have led to, and why. `apply` cannot fail, so this is how a log
    /// that another program wrote to is noticed.
    pub(super) fault: Option<String>,
}

impl Wallet {
    pub(super) fn unopened(user_id: &str) -> Self {
        Self {
            user_id: user_id.to_owned(),
            currency: None,
            status: WalletStatus::Unopened,
            balance: 0,
            locked_balance: 0,
            overdraft_limit: 0,
            limits: WalletLimits::default(),
            spent: Spent::NOTHING,
            holds: BTreeMap::new(),
            resolved: BTreeMap::new(),
            transfers: BTreeMap::new(),
            total_in: 0,
            total_out: 0,
            transferred_in: 0,
            transferred_out: 0,
            version: Version::ZERO,
            events: 0,
            fault: None,
        }
    }

    /// Whose it is.
    #[must_use]
    pub fn user_id(&self) -> &str {
        &self.user_id
    }

    /// Its currency; `None` until it is opened.
    #[must_use]
    pub fn currency(&self) -> Option<Currency> {
        self.currency
    }

    /// What it can be used for.
    #[must_use]
    pub fn status(&self) -> WalletStatus {
        self.status
    }

    /// Whether it was opened, closed or frozen since or not.
    #[must_use]
    pub fn is_opened(&self) -> bool {
        self.status != WalletStatus::Unopened
    }

    /// All that is in it, locked or not.
    #[must_use]
    pub fn balance(&self) -> i64 {
        self.balance
    }

    /// What open holds keep.
    #[must_use]
    pub fn locked_balance(&self) -> i64 {
        self.locked_balance
    }

    /// The balance less what is locked; may be negative within the overdraft limit.
    #[must_use]
    pub fn available(&self) -> i64 {
        self.balance.saturating_sub(self.locked_balance)
    }

    /// How far `available` may go below zero.
    #[must_use]
    pub fn overdraft_limit(&self) -> i64 {
        self.overdraft_limit
    }

    /// What may be taken or held now.
    #[must_use]
    pub fn spendable(&self) -> i64 {
        self.available().saturating_add(self.overdraft_limit)
    }

    /// What it is limited to.
    #[must_use]
    pub fn limits(&self) -> WalletLimits {
        self.limits
    }

    /// What was withdrawn, transferred to others and newly held on the UTC day of `now`, less what was released of holds placed
    /// on that day.
    #[must_use]
    pub fn spent_on_day_of(&self, now: Timestamp) -> i128 {
        self.spent.on(Day::of(now))
    }

    /// The open holds, by id.
    #[must_use]
    pub fn holds(&self) -> &BTreeMap<String, Hold> {
        &self.holds
    }

    /// How a hold ended; `None` while it is open, and where there never was one.
    #[must_use]
    pub fn hold_outcome(&self, hold_id: &str) -> Option<HoldOutcome> {
        self.resolved.get(&IdDigest::of(hold_id)).map(|hold| hold.outcome)
    }

    /// What was captured of a hold, and what was refunded of that, minor units; `None` where there never was such a hold.
    #[must_use]
    pub fn captured_and_refunded(&self, hold_id: &str) -> Option<(i64, i64)> {
        if let Some(hold) = self.holds.get(hold_id) {
            return Some((hold.captured, hold.refunded));
        }
        self.resolved.get(&IdDigest::of(hold_id)).map(|hold| (hold.outcome.captured(), hold.refunded))
    }

    /// The holds that [`Expire`](super::WalletCommand::Expire) ends now: their time is over, and they name no payment.
    pub fn holds_expired(&self, now: Timestamp) -> impl Iterator<Item = &str> {
        self.holds.iter().filter(move |(_, hold)| hold.is_expired(now)).map(|(hold_id, _)| hold_id.as_str())
    }

    /// Holds that ended.
    #[must_use]
    pub fn holds_resolved(&self) -> usize {
        self.resolved.len()
    }

    /// All that ever came in.
    #[must_use]
    pub fn total_in(&self) -> i128 {
        self.total_in
    }

    /// All that ever went out.
    #[must_use]
    pub fn total_out(&self) -> i128 {
        self.total_out
    }

    /// All that ever came from other wallets.
    #[must_use]
    pub fn transferred_in(&self) -> i128 {
        self.transferred_in
    }

    /// All that ever went to other wallets.
    #[must_use]
    pub fn transferred_out(&self) -> i128 {
        self.transferred_out
    }

    /// The version of its last event, which is the number of its events.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }
}

/// A number of 128 bits as its high and its low half: not every codec that can read what is stored has numbers that wide.
pub(super) mod two_halves {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(in crate::wallet) fn serialize<S: Serializer>(number: &i128, serializer: S) -> Result<S::Ok, S::Error> {
        let [low @ .., _, _, _, _, _, _, _, _] = number.to_le_bytes();
        let [_, _, _, _, _, _, _, _, high @ ..] = number.to_le_bytes();
        (i64::from_le_bytes(high), u64::from_le_bytes(low)).serialize(serializer)
    }

    pub(in crate::wallet) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i128, D::Error> {
        let (high, low) = <(i64, u64)>::deserialize(deserializer)?;
        Ok((i128::from(high) << 64) | i128::from(low))
    }

    #[cfg(test)]
    mod tests {
        use serde::{Deserialize, Serialize};

        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct Wide(#[serde(with = "super")] i128);

        #[test]
        fn every_width_and_sign_comes_back() {
            for number in
                [0, 1, -1, i128::from(u64::MAX), i128::from(u64::MAX) + 1, i128::from(i64::MIN), i128::MAX, i128::MIN]
            {
                let bytes = crate::codec::encode(&Wide(number)).unwrap();
                assert_eq!(crate::codec::decode::<Wide>(&bytes).unwrap(), Wide(number));
            }
        }
    }
}
