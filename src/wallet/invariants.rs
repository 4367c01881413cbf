//! The rules that a wallet never breaks, and the one that all wallets keep together.

use std::collections::BTreeMap;

use super::hold::IdDigest;
use super::{Wallet, WalletStatus};
use crate::money::Currency;

impl Wallet {
    /// Checks the rules that the module's documentation lists.
    ///
    /// # Errors
    /// The first rule that is broken, with its numbers.
    pub fn check_invariants(&self) -> Result<(), String> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        self.check_holds()?;
        self.check_sums()?;
        if self.version.get() != self.events {
            return Err(format!("the version is {}, but there were {} events", self.version, self.events));
        }
        if self.is_opened() != self.currency.is_some() || (self.events > 0) != self.is_opened() {
            return Err(format!("a wallet that is {} has {} events", self.status, self.events));
        }
        if self.status == WalletStatus::Closed && (self.balance != 0 || !self.holds.is_empty()) {
            return Err(format!("a closed wallet has {} and {} holds", self.balance, self.holds.len()));
        }
        Ok(())
    }

    fn check_holds(&self) -> Result<(), String> {
        let held: i128 = self.holds.values().map(|hold| i128::from(hold.amount) - i128::from(hold.captured)).sum();
        if i128::from(self.locked_balance) != held || held < 0 {
            return Err(format!("{} is locked, but open holds keep {held}", self.locked_balance));
        }
        for (hold_id, hold) in &self.holds {
            if hold.captured < 0 || hold.captured > hold.amount {
                return Err(format!("{} of the {} of hold {hold_id:?} is captured", hold.captured, hold.amount));
            }
            check_refund(hold.refunded, hold.captured)?;
            if hold.day_amount < 0 || hold.day_amount > hold.amount {
                return Err(format!("hold {hold_id:?} of {} counts as {} spent", hold.amount, hold.day_amount));
            }
            if self.resolved.contains_key(&IdDigest::of(hold_id)) {
                return Err(format!("hold {hold_id:?} is open and resolved"));
            }
        }
        self.resolved.values().try_for_each(|hold| check_refund(hold.refunded, hold.outcome.captured()))
    }

    fn check_sums(&self) -> Result<(), String> {
        if i128::from(self.balance) != self.total_in - self.total_out {
            return Err(format!(
                "the balance is {}, but {} came in and {} went out",
                self.balance, self.total_in, self.total_out
            ));
        }
        let transferred = [(self.transferred_in, self.total_in), (self.transferred_out, self.total_out)];
        for (part, whole) in transferred {
            if part < 0 || part > whole {
                return Err(format!("{part} of the {whole} that moved was transferred"));
            }
        }
        let spendable = i128::from(self.balance) - i128::from(self.locked_balance) + i128::from(self.overdraft_limit);
        if spendable < 0 || self.overdraft_limit < 0 {
            return Err(format!("{spendable} is spendable with an overdraft limit of {}", self.overdraft_limit));
        }
        if i128::from(self.balance) + i128::from(self.overdraft_limit) > i128::from(i64::MAX) {
            return Err(format!(
                "the balance {} and the overdraft limit {} leave 64 bits",
                self.balance, self.overdraft_limit
            ));
        }
        if self.spent.is_negative() {
            return Err("less than nothing was spent on a day".to_owned());
        }
        Ok(())
    }
}

fn check_refund(refunded: i64, captured: i64) -> Result<(), String> {
    if refunded < 0 || refunded > captured {
        return Err(format!("{refunded} is refunded of a hold of which {captured} was captured"));
    }
    Ok(())
}

/// What all wallets of a store transferred to each other: in each currency as much went out as came in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransferTotals(BTreeMap<Currency, (i128, i128)>);

impl TransferTotals {
    /// Counts in a wallet. For a check, all wallets must be as of the same sequence, one that ends a commit.
    pub fn add(&mut self, wallet: &Wallet) {
        if let Some(currency) = wallet.currency {
            let (sent, received) = self.0.entry(currency).or_default();
            *sent = sent.saturating_add(wallet.transferred_out);
            *received = received.saturating_add(wallet.transferred_in);
        }
    }

    /// What was sent in a currency, minor units.
    #[must_use]
    pub fn sent(&self, currency: Currency) -> i128 {
        self.0.get(&currency).map_or(0, |(sent, _)| *sent)
    }

    /// Checks that all that was sent was received.
    ///
    /// # Errors
    /// The first currency in which it was not, with its numbers.
    pub fn check(&self) -> Result<(), String> {
        match self.0.iter().find(|(_, (sent, received))| sent != received) {
            Some((currency, (sent, received))) => {
                Err(format!("the wallets in {currency} sent {sent} minor units to each other and received {received}"))
            }
            None => Ok(()),
        }
    }
}
