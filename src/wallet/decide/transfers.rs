//! The two sides of a transfer. They are not commands: alone, either would make or destroy money.

use super::{
    Decided, covered, credit_allowed, debit_allowed, opened, positive, valid_id, within_balance_max, within_spending,
};
use crate::types::Timestamp;
use crate::wallet::event::{TransferCredited, TransferDebited};
use crate::wallet::hold::{IdDigest, TransferContent};
use crate::wallet::{Transfer, Wallet, WalletRefusal};

/// What follows for the wallet that the money comes from; nothing where the same transfer was made before.
pub(in crate::wallet) fn transfer_out(wallet: &Wallet, transfer: &Transfer, now: Timestamp) -> Decided {
    let Transfer { transfer_id, from_user_id: _, to_user_id, amount } = transfer;
    let currency = opened(wallet)?;
    if let Some(known) = wallet.transfers.get(&IdDigest::of(transfer_id)) {
        // A wallet has one currency, so an amount in another one is other content.
        if *known == TransferContent::of(amount.minor, to_user_id) && amount.currency == currency {
            return Ok(Vec::new());
        }
        return Err(WalletRefusal::TransferExists { transfer_id: transfer_id.clone() });
    }
    if transfer.from_user_id == *to_user_id {
        return Err(WalletRefusal::SameWallet);
    }
    debit_allowed(wallet)?;
    valid_id(transfer_id)?;
    let minor = positive(*amount, currency)?;
    within_spending(wallet, minor, minor, now)?;
    covered(wallet, minor)?;
    let (transfer_id, to_user_id) = (transfer_id.clone(), to_user_id.clone());
    Ok(vec![TransferDebited { transfer_id, to_user_id, amount: *amount }.into()])
}

/// What follows for the wallet that the money goes to, where something follows for the other one.
pub(in crate::wallet) fn transfer_in(wallet: &Wallet, transfer: &Transfer) -> Decided {
    let Transfer { transfer_id, from_user_id, to_user_id: _, amount } = transfer;
    let currency = credit_allowed(wallet)?;
    let minor = positive(*amount, currency)?;
    within_balance_max(wallet, minor)?;
    let (transfer_id, from_user_id) = (transfer_id.clone(), from_user_id.clone());
    Ok(vec![TransferCredited { transfer_id, from_user_id, amount: *amount }.into()])
}
