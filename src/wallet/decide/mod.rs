//! What follows from a command. Pure.

mod account;
mod funds;
mod holds;
mod transfers;

pub(super) use transfers::{transfer_in, transfer_out};

use super::command::HOLD_ID_BYTES_MAX;
use super::limits::Day;
use super::{SpendingLimit, Wallet, WalletCommand, WalletEvent, WalletLimits, WalletRefusal, WalletStatus};
use crate::money::{Currency, Money};
use crate::types::Timestamp;

type Decided = Result<Vec<WalletEvent>, WalletRefusal>;

pub(super) fn decide(wallet: &Wallet, command: &WalletCommand, now: Timestamp) -> Decided {
    match command {
        WalletCommand::Open { currency, overdraft_limit, limits } => {
            account::open(wallet, *currency, *overdraft_limit, *limits)
        }
        WalletCommand::Deposit { amount } => funds::deposit(wallet, *amount),
        WalletCommand::Withdraw { amount } => funds::withdraw(wallet, *amount, now),
        WalletCommand::Hold { hold_id, amount, payment_id, time_to_live } => {
            holds::hold(wallet, hold_id, *amount, payment_id.as_deref(), *time_to_live, now)
        }
        WalletCommand::IncreaseHold { hold_id, amount } => holds::increase(wallet, hold_id, *amount, now),
        WalletCommand::ExtendHold { hold_id, time_to_live } => holds::extend(wallet, hold_id, *time_to_live, now),
        WalletCommand::Capture { hold_id, amount, is_final } => {
            holds::capture(wallet, hold_id, *amount, *is_final, now)
        }
        WalletCommand::Release { hold_id } => holds::release(wallet, hold_id),
        WalletCommand::Expire { hold_id } => holds::expire(wallet, hold_id, now),
        WalletCommand::Refund { hold_id, amount } => funds::refund(wallet, hold_id, *amount),
        WalletCommand::Adjust { amount, reason, operator } => account::adjust(wallet, *amount, reason, operator),
        WalletCommand::SetOverdraft { overdraft_limit } => account::set_overdraft(wallet, *overdraft_limit),
        WalletCommand::SetLimits { limits } => account::set_limits(wallet, *limits),
        WalletCommand::Freeze { debits_only } => account::freeze(wallet, *debits_only),
        WalletCommand::Unfreeze => account::unfreeze(wallet),
        WalletCommand::Close => account::close(wallet),
    }
}

fn opened(wallet: &Wallet) -> Result<Currency, WalletRefusal> {
    wallet.currency().ok_or(WalletRefusal::NotOpen)
}

/// Opened and not closed.
fn usable(wallet: &Wallet) -> Result<Currency, WalletRefusal> {
    let currency = opened(wallet)?;
    if wallet.status() == WalletStatus::Closed {
        return Err(WalletRefusal::Closed);
    }
    Ok(currency)
}

fn credit_allowed(wallet: &Wallet) -> Result<Currency, WalletRefusal> {
    let currency = usable(wallet)?;
    match wallet.status() {
        status @ WalletStatus::Frozen => Err(WalletRefusal::Frozen { status }),
        _ => Ok(currency),
    }
}

fn debit_allowed(wallet: &Wallet) -> Result<Currency, WalletRefusal> {
    let currency = usable(wallet)?;
    match wallet.status() {
        status @ (WalletStatus::FrozenDebits | WalletStatus::Frozen) => Err(WalletRefusal::Frozen { status }),
        _ => Ok(currency),
    }
}

fn same_currency(amount: Money, currency: Currency) -> Result<(), WalletRefusal> {
    if amount.currency != currency {
        return Err(WalletRefusal::CurrencyMismatch { expected: currency, given: amount.currency });
    }
    Ok(())
}

fn positive(amount: Money, currency: Currency) -> Result<i64, WalletRefusal> {
    same_currency(amount, currency)?;
    if amount.minor <= 0 {
        return Err(WalletRefusal::InvalidAmount { amount: amount.minor });
    }
    Ok(amount.minor)
}

/// The balance with `minor` more.
fn fits(wallet: &Wallet, minor: i64) -> Result<i64, WalletRefusal> {
    let balance = wallet.balance();
    let raised = balance.checked_add(minor);
    // With the overdraft limit on top, so that what may be spent is a number too.
    raised
        .filter(|raised| raised.checked_add(wallet.overdraft_limit()).is_some())
        .ok_or(WalletRefusal::Overflow { balance, amount: minor })
}

fn within_balance_max(wallet: &Wallet, minor: i64) -> Result<(), WalletRefusal> {
    let raised = fits(wallet, minor)?;
    match wallet.limits().balance_max {
        Some(balance_max) if raised > balance_max => {
            Err(WalletRefusal::MaxBalance { balance: wallet.balance(), balance_max, requested: minor })
        }
        _ => Ok(()),
    }
}

/// Whether `minor` more may be spent today, by a transaction that is of `transaction` in all.
fn within_spending(wallet: &Wallet, minor: i64, transaction: i64, now: Timestamp) -> Result<(), WalletRefusal> {
    let WalletLimits { per_transaction, per_day, balance_max: _ } = wallet.limits();
    if let Some(limit) = per_transaction
        && transaction > limit
    {
        let which = SpendingLimit::PerTransaction;
        return Err(WalletRefusal::LimitExceeded { which, limit, used: transaction - minor, requested: minor });
    }
    let used = wallet.spent.on(Day::of(now));
    if let Some(limit) = per_day
        && used + i128::from(minor) > i128::from(limit)
    {
        let (which, used) = (SpendingLimit::PerDay, i64::try_from(used).unwrap_or(i64::MAX));
        return Err(WalletRefusal::LimitExceeded { which, limit, used, requested: minor });
    }
    Ok(())
}

fn covered(wallet: &Wallet, requested: i64) -> Result<(), WalletRefusal> {
    assert!(requested > 0, "only a positive amount is taken");
    let (available, spendable) = (wallet.available(), wallet.spendable());
    if requested > spendable {
        return Err(WalletRefusal::InsufficientFunds { available, spendable, requested });
    }
    Ok(())
}

fn valid_id(id: &str) -> Result<(), WalletRefusal> {
    if id.is_empty() || id.len() > HOLD_ID_BYTES_MAX || id.chars().any(char::is_control) {
        return Err(WalletRefusal::InvalidId { id: id.to_owned() });
    }
    Ok(())
}
