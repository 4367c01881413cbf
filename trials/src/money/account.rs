//! A wallet, added up from its events alone, and held against the rules that no wallet breaks.

use std::collections::BTreeMap;

use bitacora::wallet::{WalletEvent, WalletLimits};
use bitacora::{Event, Sequence, Timestamp};

#[derive(Debug, Default, PartialEq, Eq)]
struct Hold {
    placed: i64,
    remaining: i64,
    captured: i64,
    refunded: i64,
    of_payment: bool,
    expires_at: Option<Timestamp>,
    is_resolved: bool,
}

/// A wallet, added up.
#[derive(Debug, Default)]
pub struct Account {
    money_in: i64,
    money_out: i64,
    overdraft_limit: i64,
    limits: WalletLimits,
    /// Frozen: for debits alone, or else for credits too.
    frozen_debits_only: Option<bool>,
    is_closed: bool,
    holds: BTreeMap<String, Hold>,
    /// By transfer: what was sent, and what was received.
    pub sent: BTreeMap<String, i64>,
    /// What was received.
    pub received: BTreeMap<String, i64>,
    /// By what caused it: where it stands.
    pub caused: BTreeMap<String, Sequence>,
}

fn rule(holds: bool, text: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(text.to_owned()) }
}

impl Account {
    /// Takes an event in.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn take(&mut self, fact: &WalletEvent, event: &Event) -> Result<(), String> {
        rule(!self.is_closed, "nothing happens to what is closed")?;
        if let Some(cause) = event.metadata.causation_id.as_ref().filter(|cause| cause.starts_with("deed-")) {
            let before = self.caused.insert(cause.clone(), event.sequence);
            rule(before.is_none(), "a command happens once")?;
        }
        self.take_fact(fact, event.timestamp).map_err(|why| format!("{why}: {fact:?}, {self:?}"))
    }

    fn take_fact(&mut self, fact: &WalletEvent, now: Timestamp) -> Result<(), String> {
        match fact {
            WalletEvent::WalletOpened(fact) => {
                (self.overdraft_limit, self.limits) = (fact.overdraft_limit, fact.limits);
            }
            WalletEvent::FundsDeposited(fact) => self.credit(fact.amount.minor)?,
            WalletEvent::FundsWithdrawn(fact) => {
                self.money_out += fact.amount.minor;
                self.debited(fact.amount.minor)?;
            }
            WalletEvent::TransferDebited(fact) => {
                let before = self.sent.insert(fact.transfer_id.clone(), fact.amount.minor);
                rule(before.is_none(), "a transfer is sent once")?;
                self.money_out += fact.amount.minor;
                self.debited(fact.amount.minor)?;
            }
            WalletEvent::TransferCredited(fact) => {
                let before = self.received.insert(fact.transfer_id.clone(), fact.amount.minor);
                rule(before.is_none(), "a transfer is received once")?;
                self.credit(fact.amount.minor)?;
            }
            WalletEvent::BalanceAdjusted(fact) => {
                self.money_in += fact.amount.minor;
                rule(self.spendable() >= 0, "more is taken than there is")?;
            }
            WalletEvent::OverdraftLimitSet(fact) => {
                self.overdraft_limit = fact.overdraft_limit;
                rule(self.spendable() >= 0, "more is used than may be")?;
            }
            WalletEvent::LimitsSet(fact) => self.limits = fact.limits,
            WalletEvent::WalletFrozen(fact) => self.frozen_debits_only = Some(fact.debits_only),
            WalletEvent::WalletUnfrozen(_) => {
                rule(self.frozen_debits_only.take().is_some(), "what ends a freeze follows one")?;
            }
            WalletEvent::WalletClosed(_) => {
                rule(self.balance() == 0 && self.open_holds().next().is_none(), "what is closed is empty")?;
                self.is_closed = true;
            }
            WalletEvent::FundsHeld(fact) => {
                let minor = fact.amount.minor;
                let hold = Hold {
                    placed: minor,
                    remaining: minor,
                    of_payment: fact.payment_id.is_some(),
                    expires_at: fact.expires_at,
                    ..Hold::default()
                };
                let before = self.holds.insert(fact.hold_id.clone(), hold);
                rule(before.is_none(), "a hold is placed once")?;
                self.debited(minor)?;
            }
            other => self.take_of_hold(other, now)?,
        }
        Ok(())
    }

    fn take_of_hold(&mut self, fact: &WalletEvent, now: Timestamp) -> Result<(), String> {
        match fact {
            WalletEvent::HoldIncreased(fact) => {
                let hold = self.open_hold(&fact.hold_id, now)?;
                hold.placed += fact.amount.minor;
                hold.remaining += fact.amount.minor;
                let placed = hold.placed;
                self.debited(placed)
            }
            WalletEvent::HoldExtended(fact) => {
                let hold = self.open_hold(&fact.hold_id, now)?;
                let before = hold.expires_at.replace(fact.expires_at);
                rule(before.is_some_and(|before| before < fact.expires_at), "it lives longer")
            }
            WalletEvent::HoldCaptured(fact) => {
                let hold = self.open_hold(&fact.hold_id, now)?;
                hold.remaining -= fact.amount.minor + fact.released;
                hold.captured += fact.amount.minor;
                hold.is_resolved = fact.is_final;
                rule((hold.remaining == 0) == fact.is_final && hold.remaining >= 0, "what was held is captured")?;
                rule(fact.amount.minor > 0 && fact.released >= 0, "something is captured")?;
                self.money_out += fact.amount.minor;
                Ok(())
            }
            WalletEvent::HoldReleased(fact) => self.let_go(&fact.hold_id, fact.amount.minor),
            WalletEvent::HoldExpired(fact) => {
                let hold = self.holds.get(&fact.hold_id);
                let is_time = hold.is_some_and(|hold| !hold.of_payment && hold.expires_at == Some(fact.expires_at));
                rule(is_time && fact.expires_at <= now, "a hold expires when its time is over")?;
                self.let_go(&fact.hold_id, fact.amount.minor)
            }
            WalletEvent::RefundCredited(fact) => {
                let hold = self.holds.get_mut(&fact.hold_id).ok_or("what is refunded was held")?;
                hold.refunded += fact.amount.minor;
                rule(hold.refunded <= hold.captured, "what is refunded was captured")?;
                self.money_in += fact.amount.minor;
                Ok(())
            }
            other => Err(format!("{other:?} is unknown here")),
        }
    }

    fn open_hold(&mut self, hold_id: &str, now: Timestamp) -> Result<&mut Hold, String> {
        let hold = self.holds.get_mut(hold_id).filter(|hold| !hold.is_resolved);
        let hold = hold.ok_or_else(|| format!("{hold_id} is open"))?;
        let is_over = !hold.of_payment && hold.expires_at.is_some_and(|end| end <= now);
        rule(!is_over, "its time is not over")?;
        Ok(hold)
    }

    fn let_go(&mut self, hold_id: &str, minor: i64) -> Result<(), String> {
        let hold = self.holds.get_mut(hold_id).filter(|hold| !hold.is_resolved).ok_or("what is let go was held")?;
        rule(hold.remaining == minor, "all that was held is let go")?;
        (hold.remaining, hold.is_resolved) = (0, true);
        Ok(())
    }

    fn credit(&mut self, minor: i64) -> Result<(), String> {
        self.money_in += minor;
        rule(self.frozen_debits_only != Some(false), "nothing is put into what is frozen")?;
        rule(self.limits.balance_max.is_none_or(|most| self.balance() <= most), "the balance is within its limit")
    }

    /// Money was taken or locked, by a transaction of so much.
    fn debited(&self, transaction: i64) -> Result<(), String> {
        rule(self.frozen_debits_only.is_none(), "nothing is taken of what is frozen")?;
        rule(self.limits.per_transaction.is_none_or(|most| transaction <= most), "it is within the limit")?;
        rule(self.spendable() >= 0, "no more is taken than there is")
    }

    /// In less out.
    #[must_use]
    pub fn balance(&self) -> i64 {
        self.money_in - self.money_out
    }

    /// What open holds keep.
    #[must_use]
    pub fn locked(&self) -> i64 {
        self.holds.values().map(|hold| hold.remaining).sum()
    }

    fn spendable(&self) -> i64 {
        self.balance() - self.locked() + self.overdraft_limit
    }

    /// Open holds, with whether each is a payment's.
    pub fn open_holds(&self) -> impl Iterator<Item = (&String, bool)> {
        self.holds.iter().filter(|(_, hold)| !hold.is_resolved).map(|(hold_id, hold)| (hold_id, hold.of_payment))
    }

    /// Holds of which something was refunded.
    #[must_use]
    pub fn refunds(&self) -> u64 {
        self.holds.values().filter(|hold| hold.refunded > 0).count() as u64
    }

    /// What was captured of a hold.
    #[must_use]
    pub fn captured(&self, hold_id: &str) -> i64 {
        self.holds.get(hold_id).map_or(0, |hold| hold.captured)
    }
}
