//! What follows from a command. Pure.

use std::time::Duration;

use super::command::{HOLD_ID_BYTES_MAX, OPEN_HOLDS_MAX};
use super::event::{FundsDeposited, FundsHeld, FundsWithdrawn, HoldCaptured, HoldReleased, WalletOpened};
use super::hold::{Hold, HoldContent, HoldDigest};
use super::{Wallet, WalletCommand, WalletEvent, WalletRefusal, WalletStatus};
use crate::money::{Currency, Money};
use crate::types::Timestamp;

type Decided = Result<Vec<WalletEvent>, WalletRefusal>;

pub(super) fn decide(wallet: &Wallet, command: &WalletCommand, now: Timestamp) -> Decided {
    match command {
        WalletCommand::Open { currency, overdraft_limit } => open(wallet, *currency, *overdraft_limit),
        WalletCommand::Deposit { amount } => deposit(wallet, *amount),
        WalletCommand::Withdraw { amount } => withdraw(wallet, *amount),
        WalletCommand::Hold { hold_id, amount, payment_id, time_to_live } => {
            opened(wallet)?;
            let asked = FundsHeld {
                hold_id: hold_id.clone(),
                amount: *amount,
                payment_id: payment_id.clone(),
                time_to_live_micros: time_to_live.map(micros).transpose()?,
                expires_at: None,
            };
            hold(wallet, asked, now)
        }
        WalletCommand::Capture { hold_id, amount } => capture(wallet, hold_id, *amount, now),
        WalletCommand::Release { hold_id } => release(wallet, hold_id),
    }
}

fn open(wallet: &Wallet, currency: Currency, overdraft_limit: i64) -> Decided {
    if wallet.is_opened() {
        return Err(WalletRefusal::AlreadyExists);
    }
    if overdraft_limit < 0 {
        return Err(WalletRefusal::InvalidAmount { amount: overdraft_limit });
    }
    Ok(vec![WalletOpened { currency, overdraft_limit }.into()])
}

fn deposit(wallet: &Wallet, amount: Money) -> Decided {
    let currency = opened(wallet)?;
    match wallet.status() {
        WalletStatus::Closed => return Err(WalletRefusal::Closed),
        status @ WalletStatus::Frozen => return Err(WalletRefusal::Frozen { status }),
        WalletStatus::Unopened | WalletStatus::Open | WalletStatus::FrozenDebits => {}
    }
    let minor = positive(amount, currency)?;
    let balance = wallet.balance();
    // With the overdraft limit on top, so that what may be spent is a number too.
    if balance.checked_add(minor).and_then(|sum| sum.checked_add(wallet.overdraft_limit())).is_none() {
        return Err(WalletRefusal::Overflow { balance, amount: minor });
    }
    Ok(vec![FundsDeposited { amount }.into()])
}

fn withdraw(wallet: &Wallet, amount: Money) -> Decided {
    let currency = opened(wallet)?;
    debit_allowed(wallet)?;
    let minor = positive(amount, currency)?;
    covered(wallet, minor)?;
    Ok(vec![FundsWithdrawn { amount }.into()])
}

fn hold(wallet: &Wallet, asked: FundsHeld, now: Timestamp) -> Decided {
    let currency = opened(wallet)?;
    let content = HoldContent::of(asked.amount.minor, asked.payment_id.as_deref(), asked.time_to_live_micros);
    let known = wallet.holds.get(&asked.hold_id).map(|hold| hold.content);
    let resolved = wallet.resolved.get(&HoldDigest::of(&asked.hold_id)).map(|hold| hold.content);
    if let Some(known) = known.or(resolved) {
        // A wallet has one currency, so an amount in another one is other content.
        if known == content && asked.amount.currency == currency {
            return Ok(Vec::new());
        }
        return Err(WalletRefusal::HoldExists { hold_id: asked.hold_id });
    }
    debit_allowed(wallet)?;
    valid_id(&asked.hold_id)?;
    asked.payment_id.as_deref().map_or(Ok(()), valid_id)?;
    let minor = positive(asked.amount, currency)?;
    covered(wallet, minor)?;
    if wallet.holds.len() >= OPEN_HOLDS_MAX {
        return Err(WalletRefusal::TooManyHolds { open: u64::try_from(wallet.holds.len()).unwrap_or(u64::MAX) });
    }
    let expires_at = asked.time_to_live_micros.map(|micros| ends_at(now, micros)).transpose()?;
    Ok(vec![FundsHeld { expires_at, ..asked }.into()])
}

fn capture(wallet: &Wallet, hold_id: &str, amount: Money, now: Timestamp) -> Decided {
    // Neither frozen nor limits: the money was promised when it was held.
    let currency = opened(wallet)?;
    let hold = open_hold(wallet, hold_id)?;
    let minor = positive(amount, currency)?;
    if let Some(expires_at) = hold.expires_at
        && hold.is_expired(now)
    {
        return Err(WalletRefusal::HoldExpired { hold_id: hold_id.to_owned(), expires_at });
    }
    let held = hold.remaining();
    if minor > held {
        return Err(WalletRefusal::CaptureExceedsHold { hold_id: hold_id.to_owned(), held, requested: minor });
    }
    Ok(vec![HoldCaptured { hold_id: hold_id.to_owned(), amount, released: held - minor }.into()])
}

fn release(wallet: &Wallet, hold_id: &str) -> Decided {
    let currency = opened(wallet)?;
    let hold = open_hold(wallet, hold_id)?;
    let amount = Money::new(hold.remaining(), currency);
    Ok(vec![HoldReleased { hold_id: hold_id.to_owned(), amount }.into()])
}

fn opened(wallet: &Wallet) -> Result<Currency, WalletRefusal> {
    wallet.currency().ok_or(WalletRefusal::NotOpen)
}

fn debit_allowed(wallet: &Wallet) -> Result<(), WalletRefusal> {
    match wallet.status() {
        WalletStatus::Unopened => Err(WalletRefusal::NotOpen),
        WalletStatus::Open => Ok(()),
        WalletStatus::Closed => Err(WalletRefusal::Closed),
        status @ (WalletStatus::FrozenDebits | WalletStatus::Frozen) => Err(WalletRefusal::Frozen { status }),
    }
}

fn positive(amount: Money, currency: Currency) -> Result<i64, WalletRefusal> {
    if amount.currency != currency {
        return Err(WalletRefusal::CurrencyMismatch { expected: currency, given: amount.currency });
    }
    if amount.minor <= 0 {
        return Err(WalletRefusal::InvalidAmount { amount: amount.minor });
    }
    Ok(amount.minor)
}

fn covered(wallet: &Wallet, requested: i64) -> Result<(), WalletRefusal> {
    assert!(requested > 0, "only a positive amount is taken");
    let (available, spendable) = (wallet.available(), wallet.spendable());
    if requested > spendable {
        return Err(WalletRefusal::InsufficientFunds { available, spendable, requested });
    }
    Ok(())
}

fn open_hold<'a>(wallet: &'a Wallet, hold_id: &str) -> Result<&'a Hold, WalletRefusal> {
    if let Some(hold) = wallet.holds.get(hold_id) {
        return Ok(hold);
    }
    let hold_id = hold_id.to_owned();
    Err(match wallet.hold_outcome(&hold_id) {
        Some(outcome) => WalletRefusal::HoldResolved { hold_id, outcome },
        None => WalletRefusal::HoldNotFound { hold_id },
    })
}

fn valid_id(id: &str) -> Result<(), WalletRefusal> {
    if id.is_empty() || id.len() > HOLD_ID_BYTES_MAX || id.chars().any(char::is_control) {
        return Err(WalletRefusal::InvalidId { id: id.to_owned() });
    }
    Ok(())
}

fn micros(time_to_live: Duration) -> Result<u64, WalletRefusal> {
    match u64::try_from(time_to_live.as_micros()) {
        Ok(micros) if micros > 0 => Ok(micros),
        _ => Err(WalletRefusal::InvalidTimeToLive),
    }
}

fn ends_at(now: Timestamp, time_to_live_micros: u64) -> Result<Timestamp, WalletRefusal> {
    let end = i64::try_from(time_to_live_micros).ok().and_then(|micros| now.as_micros().checked_add(micros));
    end.map(Timestamp::from_micros).ok_or(WalletRefusal::InvalidTimeToLive)
}
