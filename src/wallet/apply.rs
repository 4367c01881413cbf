//! Takes an event into a wallet. Never fails; an event that no decision could have led to is taken in as far as it goes and
//! noted as the wallet's fault.

use super::event::{FundsHeld, HoldCaptured, TransferDebited, WalletOpened};
use super::hold::{Hold, HoldContent, HoldOutcome, IdDigest, ResolvedHold, TransferContent};
use super::limits::Day;
use super::{Wallet, WalletEvent, WalletStatus};
use crate::aggregate::EventContext;
use crate::money::Money;
use crate::sabotage::{self, Defect};

pub(super) fn apply(wallet: &mut Wallet, event: &WalletEvent, context: &EventContext) {
    let day = Day::of(context.timestamp);
    wallet.version = context.version;
    wallet.events = wallet.events.saturating_add(1);
    match wallet.status {
        WalletStatus::Unopened if !matches!(event, WalletEvent::WalletOpened(_)) => {
            wallet.note_fault("it was never opened")
        }
        WalletStatus::Closed => wallet.note_fault("it was closed before"),
        _ => {}
    }
    match event {
        WalletEvent::WalletOpened(fact) => wallet.open(fact),
        WalletEvent::FundsDeposited(fact) => wallet.bring_in(fact.amount),
        WalletEvent::FundsWithdrawn(fact) => {
            wallet.take_out(fact.amount);
            wallet.spent.add(day, fact.amount.minor);
        }
        WalletEvent::FundsHeld(fact) => wallet.place(fact, day),
        WalletEvent::HoldIncreased(fact) => wallet.increase(&fact.hold_id, fact.amount, day),
        WalletEvent::HoldExtended(fact) => match wallet.holds.get_mut(&fact.hold_id) {
            Some(hold) => hold.expires_at = Some(fact.expires_at),
            None => wallet.note_fault("a hold was extended that was not open"),
        },
        WalletEvent::HoldCaptured(fact) => wallet.capture(fact, day),
        WalletEvent::HoldReleased(fact) => {
            wallet.check_currency(fact.amount);
            if sabotage::has(Defect::ReleaseTakesMoney) {
                wallet.take_out(fact.amount);
            }
            wallet.resolve(&fact.hold_id, fact.amount.minor, HoldOutcome::Released, day);
        }
        WalletEvent::HoldExpired(fact) => {
            wallet.check_currency(fact.amount);
            wallet.resolve(&fact.hold_id, fact.amount.minor, HoldOutcome::Expired, day);
        }
        WalletEvent::TransferDebited(fact) => wallet.debit(fact, day),
        WalletEvent::TransferCredited(fact) => {
            wallet.bring_in(fact.amount);
            wallet.transferred_in = wallet.transferred_in.saturating_add(fact.amount.minor.into());
        }
        WalletEvent::RefundCredited(fact) => wallet.refund(&fact.hold_id, fact.amount),
        WalletEvent::BalanceAdjusted(fact) => wallet.adjust(fact.amount),
        WalletEvent::OverdraftLimitSet(fact) => wallet.overdraft_limit = fact.overdraft_limit,
        WalletEvent::LimitsSet(fact) => wallet.limits = fact.limits,
        WalletEvent::WalletFrozen(fact) => {
            wallet.status = if fact.debits_only { WalletStatus::FrozenDebits } else { WalletStatus::Frozen };
        }
        WalletEvent::WalletUnfrozen(_) => wallet.status = WalletStatus::Open,
        WalletEvent::WalletClosed(_) => wallet.status = WalletStatus::Closed,
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

    fn open(&mut self, fact: &WalletOpened) {
        if self.is_opened() {
            self.note_fault("it was opened twice");
            return;
        }
        self.currency = Some(fact.currency);
        self.status = WalletStatus::Open;
        self.overdraft_limit = fact.overdraft_limit;
        self.limits = fact.limits;
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

    fn adjust(&mut self, amount: Money) {
        if amount.minor >= 0 {
            self.bring_in(amount);
            return;
        }
        self.check_currency(amount);
        // The most negative number has no positive twin of 64 bits.
        self.total_out = self.total_out.saturating_sub(amount.minor.into());
        self.balance = self.checked(self.balance.checked_add(amount.minor), self.balance);
    }

    fn debit(&mut self, fact: &TransferDebited, day: Day) {
        self.take_out(fact.amount);
        self.transferred_out = self.transferred_out.saturating_add(fact.amount.minor.into());
        self.spent.add(day, fact.amount.minor);
        let content = TransferContent::of(fact.amount.minor, &fact.to_user_id);
        if self.transfers.insert(IdDigest::of(&fact.transfer_id), content).is_some() {
            self.note_fault("a transfer was paid twice");
        }
    }

    fn place(&mut self, fact: &FundsHeld, day: Day) {
        self.check_currency(fact.amount);
        let minor = fact.amount.minor;
        self.locked_balance = self.checked(self.locked_balance.checked_add(minor), self.locked_balance);
        self.spent.add(day, minor);
        let hold = Hold {
            amount: minor,
            captured: 0,
            refunded: 0,
            payment_id: fact.payment_id.clone(),
            expires_at: fact.expires_at,
            content: HoldContent::of(minor, fact.payment_id.as_deref(), fact.time_to_live_micros),
            day,
            day_amount: minor,
        };
        let known = self.holds.insert(fact.hold_id.clone(), hold).is_some();
        if known || self.resolved.contains_key(&IdDigest::of(&fact.hold_id)) {
            self.note_fault("a hold was placed twice");
        }
    }

    fn increase(&mut self, hold_id: &str, amount: Money, day: Day) {
        self.check_currency(amount);
        let minor = amount.minor;
        let Some(hold) = self.holds.get_mut(hold_id) else {
            self.note_fault("a hold was increased that was not open");
            return;
        };
        let on_day = if hold.day == day { hold.day_amount } else { 0 };
        let (Some(increased), Some(on_day)) = (hold.amount.checked_add(minor), on_day.checked_add(minor)) else {
            self.note_fault("a sum left 64 bits");
            return;
        };
        (hold.amount, hold.day, hold.day_amount) = (increased, day, on_day);
        self.locked_balance = self.checked(self.locked_balance.checked_add(minor), self.locked_balance);
        self.spent.add(day, minor);
    }

    fn capture(&mut self, fact: &HoldCaptured, day: Day) {
        self.take_out(fact.amount);
        let minor = fact.amount.minor;
        let Some(hold) = self.holds.get_mut(&fact.hold_id) else {
            self.note_fault("a hold was captured that was not open");
            return;
        };
        let captured = hold.captured.checked_add(minor).filter(|captured| (0..=hold.amount).contains(captured));
        let Some(captured) = captured else {
            self.note_fault("more was captured of a hold than it kept");
            return;
        };
        hold.captured = captured;
        self.locked_balance = self.checked(self.locked_balance.checked_sub(minor), self.locked_balance);
        if fact.is_final {
            self.resolve(&fact.hold_id, fact.released, HoldOutcome::Captured { amount: captured }, day);
        } else if fact.released != 0 {
            self.note_fault("a capture that was not final released something");
        }
    }

    /// Ends a hold. `unlocked` is what it still kept, and `end` how it ended if nothing was captured of it.
    fn resolve(&mut self, hold_id: &str, unlocked: i64, end: HoldOutcome, day: Day) {
        let Some(hold) = self.holds.remove(hold_id) else {
            self.note_fault("a hold was resolved that was not open");
            return;
        };
        if hold.remaining() != unlocked {
            self.note_fault("a hold was resolved with another amount than it kept");
        }
        self.locked_balance = self.checked(self.locked_balance.checked_sub(hold.remaining()), self.locked_balance);
        if hold.day == day {
            self.spent.give_back(day, hold.remaining().min(hold.day_amount));
        }
        let outcome = if hold.captured > 0 { HoldOutcome::Captured { amount: hold.captured } } else { end };
        let resolved = ResolvedHold { outcome, content: hold.content, refunded: hold.refunded };
        self.resolved.insert(IdDigest::of(hold_id), resolved);
    }

    fn refund(&mut self, hold_id: &str, amount: Money) {
        self.bring_in(amount);
        let open = self.holds.get_mut(hold_id).map(|hold| &mut hold.refunded);
        let resolved = self.resolved.get_mut(&IdDigest::of(hold_id)).map(|hold| &mut hold.refunded);
        match open.or(resolved) {
            Some(refunded) => *refunded = refunded.saturating_add(amount.minor),
            None => self.note_fault("a hold was refunded that there never was"),
        }
    }

    /// The result of checked arithmetic; `before`, with a fault noted, where there is none.
    fn checked(&mut self, result: Option<i64>, before: i64) -> i64 {
        result.unwrap_or_else(|| {
            self.note_fault("a sum left 64 bits");
            before
        })
    }
}
