//! The encoding of what was asked, as repeated command ids are compared by it.
//!
//! A store keeps the hash of that encoding for years, so it is pinned here: a variant keeps its place and its fields for ever,
//! and a command that says more than it used to gets another variant for that, while what could be said before is written as
//! before. Hence two for opening and for capturing.

use std::time::Duration;

use serde::Serialize;

use super::{Transfer, WalletCommand, WalletLimits};
use crate::money::{Currency, Money};

/// New variants go to the end.
#[derive(Serialize)]
pub(super) enum CommandContent<'a> {
    Open { currency: Currency, overdraft_limit: i64 },
    Deposit { amount: Money },
    Withdraw { amount: Money },
    Hold { hold_id: &'a str, amount: Money, payment_id: Option<&'a str>, time_to_live: Option<Duration> },
    Capture { hold_id: &'a str, amount: Money },
    Release { hold_id: &'a str },
    OpenLimited { currency: Currency, overdraft_limit: i64, limits: WalletLimits },
    IncreaseHold { hold_id: &'a str, amount: Money },
    ExtendHold { hold_id: &'a str, time_to_live: Duration },
    CapturePart { hold_id: &'a str, amount: Money },
    Expire { hold_id: &'a str },
    Transfer { transfer_id: &'a str, to_user_id: &'a str, amount: Money },
    Refund { hold_id: &'a str, amount: Money },
    Adjust { amount: Money, reason: &'a str, operator: &'a str },
    SetOverdraft { overdraft_limit: i64 },
    SetLimits { limits: WalletLimits },
    Freeze { debits_only: bool },
    Unfreeze,
    Close,
}

impl<'a> CommandContent<'a> {
    pub(super) fn of(command: &'a WalletCommand) -> Self {
        match command {
            WalletCommand::Open { currency, overdraft_limit, limits } => {
                let (currency, overdraft_limit, limits) = (*currency, *overdraft_limit, *limits);
                if limits == WalletLimits::default() {
                    Self::Open { currency, overdraft_limit }
                } else {
                    Self::OpenLimited { currency, overdraft_limit, limits }
                }
            }
            WalletCommand::Deposit { amount } => Self::Deposit { amount: *amount },
            WalletCommand::Withdraw { amount } => Self::Withdraw { amount: *amount },
            WalletCommand::Hold { hold_id, amount, payment_id, time_to_live } => {
                Self::Hold { hold_id, amount: *amount, payment_id: payment_id.as_deref(), time_to_live: *time_to_live }
            }
            WalletCommand::IncreaseHold { hold_id, amount } => Self::IncreaseHold { hold_id, amount: *amount },
            WalletCommand::ExtendHold { hold_id, time_to_live } => {
                Self::ExtendHold { hold_id, time_to_live: *time_to_live }
            }
            WalletCommand::Capture { hold_id, amount, is_final: true } => Self::Capture { hold_id, amount: *amount },
            WalletCommand::Capture { hold_id, amount, is_final: false } => {
                Self::CapturePart { hold_id, amount: *amount }
            }
            WalletCommand::Release { hold_id } => Self::Release { hold_id },
            WalletCommand::Expire { hold_id } => Self::Expire { hold_id },
            WalletCommand::Refund { hold_id, amount } => Self::Refund { hold_id, amount: *amount },
            WalletCommand::Adjust { amount, reason, operator } => Self::Adjust { amount: *amount, reason, operator },
            WalletCommand::SetOverdraft { overdraft_limit } => Self::SetOverdraft { overdraft_limit: *overdraft_limit },
            WalletCommand::SetLimits { limits } => Self::SetLimits { limits: *limits },
            WalletCommand::Freeze { debits_only } => Self::Freeze { debits_only: *debits_only },
            WalletCommand::Unfreeze => Self::Unfreeze,
            WalletCommand::Close => Self::Close,
        }
    }

    /// As the wallet that the money comes from is asked. That wallet's name is in a command's hash anyway.
    pub(super) fn of_transfer(transfer: &'a Transfer) -> Self {
        Self::Transfer { transfer_id: &transfer.transfer_id, to_user_id: &transfer.to_user_id, amount: transfer.amount }
    }
}
