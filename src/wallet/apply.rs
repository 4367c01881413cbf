//! Takes an event into a wallet. Never fails; an event that no decision could have led to is taken in as far as it goes and
//! noted as the wallet's fault.

use super::event::{FundsHeld, HoldCaptured};
use super::hold::{Hold, HoldContent, HoldDigest, HoldOutcome, ResolvedHold};
use super::{Wallet, WalletEvent, WalletStatus};
use crate::aggregate::EventContext;
use crate::money::Money;
use crate::sabotage::{self, Defect};

pub(super) fn apply(wallet: &mut Wallet, event: &WalletEvent, context: &EventContext) {
    wallet.version = context.version;
    wallet.events = wallet.events.saturating_add(1);
    match event {
        WalletEvent::WalletOpened(fact) => {
            if wallet.is_opened() {
                wallet.note_fault("it was opened twice");
                return;
            }
            wallet.currency = Some(fact.currency);
            wallet.status = WalletStatus::Open;
            wallet.overdraft_limit = fact.overdraft_limit;
        }
        WalletEvent::FundsDeposited(fact) => wallet.bring_in(fact.amount),
        WalletEvent::FundsWithdrawn(fact) => wallet.take_out(fact.amount),
        WalletEvent::FundsHeld(fact) => wallet.place(fact),
        WalletEvent::HoldCaptured(HoldCaptured { hold_id, amount, released }) => {
            wallet.take_out(*amount);
            let outcome = HoldOutcome::Captured { amount: amount.minor };
            wallet.resolve(hold_id, i128::from(amount.minor) + i128::from(*released), outcome);
        }
        WalletEvent::HoldReleased(fact) => {
            wallet.check_currency(fact.amount);
            if sabotage::has(Defect::ReleaseTakesMoney) {
                wallet.take_out(fact.amount);
            }
            wallet.resolve(&fact.hold_id, fact.amount.minor.into(), HoldOutcome::Released);
        }
    }
}

impl Wallet {
    fn note_fault(&mut self, what: &str) {
        let version = self.version;
        self.fault.get_or_insert_with(|| format!("version {version}: {what}"));
    }

    fn check_currency(&mut self, amount: Money) {
        if self.currency != Some(amount.currency) {
            self.note_fault("it is in another currency, or was never opened");
        }
    }

    fn bring_in(&mut self, amount: Money) {
        self.check_currency(amount);
        self.total_in = self.total_in.saturating_add(amount.minor.into());
        self.balance = self.checked(self.balance.checked_add(amount.minor), self.balance);
    }

    fn take_out(&mut self, amount: Money) {
        self.check_currency(amount);
        self.total_out = self.total_out.saturating_add(amount.minor.into());
        self.balance = self.checked(self.balance.checked_sub(amount.minor), self.balance);
    }

    fn place(&mut self, fact: &FundsHeld) {
        self.check_currency(fact.amount);
        self.locked_balance = self.checked(self.locked_balance.checked_add(fact.amount.minor), self.locked_balance);
        let hold = Hold {
            amount: fact.amount.minor,
            captured: 0,
            payment_id: fact.payment_id.clone(),
            expires_at: fact.expires_at,
            content: HoldContent::of(fact.amount.minor, fact.payment_id.as_deref(), fact.time_to_live_micros),
        };
        let known = self.holds.insert(fact.hold_id.clone(), hold).is_some();
        if known || self.resolved.contains_key(&HoldDigest::of(&fact.hold_id)) {
            self.note_fault("a hold was placed twice");
        }
    }

    fn resolve(&mut self, hold_id: &str, amount: i128, outcome: HoldOutcome) {
        let Some(hold) = self.holds.remove(hold_id) else {
            self.note_fault("a hold was resolved that was not open");
            return;
        };
        if i128::from(hold.remaining()) != amount {
            self.note_fault("a hold was resolved with another amount than it kept");
        }
        self.locked_balance = self.checked(self.locked_balance.checked_sub(hold.remaining()), self.locked_balance);
        self.resolved.insert(HoldDigest::of(hold_id), ResolvedHold { outcome, content: hold.content });
    }

    /// The result of checked arithmetic; `before`, with a fault noted, where there is none.
    fn checked(&mut self, result: Option<i64>, before: i64) -> i64 {
        result.unwrap_or_else(|| {
            self.note_fault("a sum left 64 bits");
            before
        })
    }
}
