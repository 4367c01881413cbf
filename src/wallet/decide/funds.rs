//! Money in and out.

use super::{
    Decided, covered, credit_allowed, debit_allowed, fits, positive, usable, within_balance_max, within_spending,
};
use crate::money::Money;
use crate::sabotage::{self, Defect};
use crate::types::Timestamp;
use crate::wallet::event::{FundsDeposited, FundsWithdrawn, RefundCredited};
use crate::wallet::{Wallet, WalletRefusal};

pub(super) fn deposit(wallet: &Wallet, amount: Money) -> Decided {
    let currency = credit_allowed(wallet)?;
    let minor = positive(amount, currency)?;
    within_balance_max(wallet, minor)?;
    Ok(vec![FundsDeposited { amount }.into()])
}

pub(super) fn withdraw(wallet: &Wallet, amount: Money, now: Timestamp) -> Decided {
    let currency = debit_allowed(wallet)?;
    let minor = positive(amount, currency)?;
    within_spending(wallet, minor, minor, now)?;
    covered(wallet, minor)?;
    Ok(vec![FundsWithdrawn { amount }.into()])
}

pub(super) fn refund(wallet: &Wallet, hold_id: &str, amount: Money) -> Decided {
    // Neither frozen nor the highest balance: the money is the user's again.
    let currency = usable(wallet)?;
    let captured = wallet.captured_and_refunded(hold_id).filter(|(captured, _)| *captured > 0);
    let hold_id = hold_id.to_owned();
    let Some((captured, refunded)) = captured else { return Err(WalletRefusal::CaptureNotFound { hold_id }) };
    let minor = positive(amount, currency)?;
    if minor > captured.saturating_sub(refunded) && !sabotage::has(Defect::RefundWithoutCap) {
        return Err(WalletRefusal::RefundExceedsCapture { hold_id, captured, refunded, requested: minor });
    }
    fits(wallet, minor)?;
    Ok(vec![RefundCredited { hold_id, amount }.into()])
}
