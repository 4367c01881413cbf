//! The account itself: opening, limits, freezing, closing, corrections.

use super::{Decided, fits, same_currency, usable, valid_id};
use crate::money::{Currency, Money};
use crate::wallet::command::REASON_BYTES_MAX;
use crate::wallet::event::{
    BalanceAdjusted, LimitsSet, OverdraftLimitSet, WalletClosed, WalletFrozen, WalletOpened, WalletUnfrozen,
};
use crate::wallet::{Wallet, WalletLimits, WalletRefusal, WalletStatus};

pub(super) fn open(wallet: &Wallet, currency: Currency, overdraft_limit: i64, limits: WalletLimits) -> Decided {
    if wallet.is_opened() {
        return Err(WalletRefusal::AlreadyExists);
    }
    not_negative(overdraft_limit)?;
    valid_limits(limits)?;
    Ok(vec![WalletOpened { currency, overdraft_limit, limits }.into()])
}

pub(super) fn adjust(wallet: &Wallet, amount: Money, reason: &str, operator: &str) -> Decided {
    let currency = usable(wallet)?;
    same_currency(amount, currency)?;
    if amount.minor == 0 {
        return Err(WalletRefusal::InvalidAmount { amount: 0 });
    }
    valid_id(operator)?;
    if reason.trim().is_empty() || reason.len() > REASON_BYTES_MAX {
        return Err(WalletRefusal::InvalidReason { bytes: u64::try_from(reason.len()).unwrap_or(u64::MAX) });
    }
    fits(wallet, amount.minor)?;
    not_overdrawn(i128::from(wallet.spendable()) + i128::from(amount.minor))?;
    Ok(vec![BalanceAdjusted { amount, reason: reason.to_owned(), operator: operator.to_owned() }.into()])
}

pub(super) fn set_overdraft(wallet: &Wallet, overdraft_limit: i64) -> Decided {
    usable(wallet)?;
    not_negative(overdraft_limit)?;
    if overdraft_limit == wallet.overdraft_limit() {
        return Ok(Vec::new());
    }
    let balance = wallet.balance();
    if balance.checked_add(overdraft_limit).is_none() {
        return Err(WalletRefusal::Overflow { balance, amount: overdraft_limit });
    }
    not_overdrawn(i128::from(wallet.available()) + i128::from(overdraft_limit))?;
    Ok(vec![OverdraftLimitSet { overdraft_limit }.into()])
}

pub(super) fn set_limits(wallet: &Wallet, limits: WalletLimits) -> Decided {
    usable(wallet)?;
    valid_limits(limits)?;
    if limits == wallet.limits() {
        return Ok(Vec::new());
    }
    Ok(vec![LimitsSet { limits }.into()])
}

pub(super) fn freeze(wallet: &Wallet, debits_only: bool) -> Decided {
    match (wallet.status(), debits_only) {
        (WalletStatus::Unopened, _) => Err(WalletRefusal::NotOpen),
        (status @ WalletStatus::Closed, _)
        | (status @ WalletStatus::FrozenDebits, true)
        | (status @ WalletStatus::Frozen, false) => Err(WalletRefusal::InvalidState { status }),
        _ => Ok(vec![WalletFrozen { debits_only }.into()]),
    }
}

pub(super) fn unfreeze(wallet: &Wallet) -> Decided {
    match wallet.status() {
        WalletStatus::Unopened => Err(WalletRefusal::NotOpen),
        status @ (WalletStatus::Open | WalletStatus::Closed) => Err(WalletRefusal::InvalidState { status }),
        WalletStatus::FrozenDebits | WalletStatus::Frozen => Ok(vec![WalletUnfrozen {}.into()]),
    }
}

pub(super) fn close(wallet: &Wallet) -> Decided {
    match wallet.status() {
        WalletStatus::Unopened => return Err(WalletRefusal::NotOpen),
        status @ WalletStatus::Closed => return Err(WalletRefusal::InvalidState { status }),
        WalletStatus::Open | WalletStatus::FrozenDebits | WalletStatus::Frozen => {}
    }
    if !wallet.holds().is_empty() {
        let (open, locked) = (wallet.holds().len(), wallet.locked_balance());
        return Err(WalletRefusal::ActiveHolds { open: u64::try_from(open).unwrap_or(u64::MAX), locked });
    }
    if wallet.balance() != 0 {
        return Err(WalletRefusal::NonZeroBalance { balance: wallet.balance() });
    }
    Ok(vec![WalletClosed {}.into()])
}

fn not_negative(minor: i64) -> Result<(), WalletRefusal> {
    if minor < 0 {
        return Err(WalletRefusal::InvalidAmount { amount: minor });
    }
    Ok(())
}

fn valid_limits(limits: WalletLimits) -> Result<(), WalletRefusal> {
    let WalletLimits { per_transaction, per_day, balance_max } = limits;
    [per_transaction, per_day, balance_max].into_iter().flatten().try_for_each(not_negative)
}

fn not_overdrawn(spendable: i128) -> Result<(), WalletRefusal> {
    if spendable < 0 {
        let spendable = i64::try_from(spendable).unwrap_or(i64::MIN);
        return Err(WalletRefusal::WouldBreakInvariant { spendable });
    }
    Ok(())
}
