//! The life of a hold.

use std::time::Duration;

use super::{Decided, covered, debit_allowed, opened, positive, usable, valid_id, within_spending};
use crate::money::Money;
use crate::types::Timestamp;
use crate::wallet::command::OPEN_HOLDS_MAX;
use crate::wallet::event::{FundsHeld, HoldCaptured, HoldExpired, HoldExtended, HoldIncreased, HoldReleased};
use crate::wallet::hold::{Hold, HoldContent, IdDigest};
use crate::wallet::{Wallet, WalletRefusal};

pub(super) fn hold(
    wallet: &Wallet,
    hold_id: &str,
    amount: Money,
    payment_id: Option<&str>,
    time_to_live: Option<Duration>,
    now: Timestamp,
) -> Decided {
    let currency = opened(wallet)?;
    let time_to_live_micros = time_to_live.map(micros).transpose()?;
    let content = HoldContent::of(amount.minor, payment_id, time_to_live_micros);
    let known = wallet.holds.get(hold_id).map(|hold| hold.content);
    let resolved = wallet.resolved.get(&IdDigest::of(hold_id)).map(|hold| hold.content);
    if let Some(known) = known.or(resolved) {
        // A wallet has one currency, so an amount in another one is other content.
        if known == content && amount.currency == currency {
            return Ok(Vec::new());
        }
        return Err(WalletRefusal::HoldExists { hold_id: hold_id.to_owned() });
    }
    debit_allowed(wallet)?;
    valid_id(hold_id)?;
    payment_id.map_or(Ok(()), valid_id)?;
    let minor = positive(amount, currency)?;
    within_spending(wallet, minor, minor, now)?;
    covered(wallet, minor)?;
    if wallet.holds.len() >= OPEN_HOLDS_MAX {
        return Err(WalletRefusal::TooManyHolds { open: u64::try_from(wallet.holds.len()).unwrap_or(u64::MAX) });
    }
    let expires_at = time_to_live_micros.map(|micros| ends_at(now, micros)).transpose()?;
    let (hold_id, payment_id) = (hold_id.to_owned(), payment_id.map(str::to_owned));
    Ok(vec![FundsHeld { hold_id, amount, payment_id, time_to_live_micros, expires_at }.into()])
}

pub(super) fn increase(wallet: &Wallet, hold_id: &str, amount: Money, now: Timestamp) -> Decided {
    let currency = opened(wallet)?;
    let hold = open_hold(wallet, hold_id)?;
    not_expired(hold, hold_id, now)?;
    debit_allowed(wallet)?;
    let minor = positive(amount, currency)?;
    // What was captured of it counts too, so the sum may be more than the wallet ever had at a time.
    let Some(increased) = hold.amount.checked_add(minor) else {
        return Err(WalletRefusal::Overflow { balance: hold.amount, amount: minor });
    };
    within_spending(wallet, minor, increased, now)?;
    covered(wallet, minor)?;
    Ok(vec![HoldIncreased { hold_id: hold_id.to_owned(), amount }.into()])
}

pub(super) fn extend(wallet: &Wallet, hold_id: &str, time_to_live: Duration, now: Timestamp) -> Decided {
    // It takes no money, so whether the wallet is frozen does not matter.
    usable(wallet)?;
    let hold = open_hold(wallet, hold_id)?;
    not_expired(hold, hold_id, now)?;
    let time_to_live_micros = micros(time_to_live)?;
    let expires_at = ends_at(now, time_to_live_micros)?;
    if hold.expires_at.is_none_or(|known| known >= expires_at) {
        return Ok(Vec::new());
    }
    Ok(vec![HoldExtended { hold_id: hold_id.to_owned(), time_to_live_micros, expires_at }.into()])
}

pub(super) fn capture(wallet: &Wallet, hold_id: &str, amount: Money, is_final: bool, now: Timestamp) -> Decided {
    // Neither frozen nor limits: the money was promised when it was held.
    let currency = opened(wallet)?;
    let hold = open_hold(wallet, hold_id)?;
    let minor = positive(amount, currency)?;
    not_expired(hold, hold_id, now)?;
    let held = hold.remaining();
    let hold_id = hold_id.to_owned();
    if minor > held {
        return Err(WalletRefusal::CaptureExceedsHold { hold_id, held, requested: minor });
    }
    // A hold of nothing would be open for ever.
    let is_final = is_final || minor == held;
    let released = if is_final { held - minor } else { 0 };
    Ok(vec![HoldCaptured { hold_id, amount, released, is_final }.into()])
}

pub(super) fn release(wallet: &Wallet, hold_id: &str) -> Decided {
    let currency = opened(wallet)?;
    let hold = open_hold(wallet, hold_id)?;
    let amount = Money::new(hold.remaining(), currency);
    Ok(vec![HoldReleased { hold_id: hold_id.to_owned(), amount }.into()])
}

pub(super) fn expire(wallet: &Wallet, hold_id: &str, now: Timestamp) -> Decided {
    let currency = opened(wallet)?;
    let hold = open_hold(wallet, hold_id)?;
    let hold_id = hold_id.to_owned();
    if let Some(payment_id) = &hold.payment_id {
        return Err(WalletRefusal::HoldNamesPayment { hold_id, payment_id: payment_id.clone() });
    }
    match hold.expires_at {
        Some(expires_at) if now >= expires_at => {
            let amount = Money::new(hold.remaining(), currency);
            Ok(vec![HoldExpired { hold_id, amount, expires_at }.into()])
        }
        expires_at => Err(WalletRefusal::HoldNotExpired { hold_id, expires_at, now }),
    }
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

fn not_expired(hold: &Hold, hold_id: &str, now: Timestamp) -> Result<(), WalletRefusal> {
    match hold.expires_at {
        Some(expires_at) if hold.is_expired(now) => {
            Err(WalletRefusal::HoldExpired { hold_id: hold_id.to_owned(), expires_at })
        }
        _ => Ok(()),
    }
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
