//! One line of input: what is asked, under which id, and what stands beside it.

use std::time::Duration;

use bitacora::Metadata;
use bitacora::money::{Currency, Money};
use bitacora::payment::{PaymentRequest, Resolution};
use bitacora::wallet::{Transfer, WalletCommand, WalletLimits, WalletRefusal, currency_of};

use super::fields::{Fields, Needed};
use crate::exit::Failure;

/// A command id, bytes: it is part of a key in the store.
const COMMAND_ID_BYTES_MAX: usize = 256;

/// A line that can be carried out, or refused.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) command_id: String,
    /// What made it is the command, unless the line says otherwise.
    pub(super) metadata: Metadata,
    /// Refused where what it says means nothing that a wallet could be asked: a currency that there is not.
    pub(super) ask: Result<Ask, WalletRefusal>,
}

/// What is asked.
#[derive(Debug)]
pub(super) enum Ask {
    Wallet { user_id: String, command: WalletCommand },
    Transfer(Transfer),
    Pay(PaymentRequest),
    Operate(Operation),
}

/// What an operator asks of a payment.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) payment_id: String,
    pub(crate) kind: OperationKind,
    pub(crate) operator: String,
    pub(crate) reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OperationKind {
    Cancel,
    Retry,
    Resolve(Resolution),
}

/// What a line asks: what is wrong with the line ends the input, what is refused does not.
type Asked<T> = Result<Result<T, WalletRefusal>, Failure>;

impl Line {
    /// The line that `text` says, or why it says none.
    pub(super) fn parse(text: &[u8]) -> Result<Self, Failure> {
        let mut fields = Fields::of_line(text)?;
        let command = fields.text("command")?;
        let command_id = fields.text("command_id")?;
        if command_id.is_empty() || command_id.len() > COMMAND_ID_BYTES_MAX {
            return Err(Failure::usage(format!("command_id: must have from 1 to {COMMAND_ID_BYTES_MAX} bytes")));
        }
        let mut metadata = fields.metadata_if_any("metadata")?.unwrap_or_default();
        metadata.causation_id.get_or_insert_with(|| command_id.clone());
        let ask = ask(&command, &mut fields)?;
        fields.finish()?;
        Ok(Self { command_id, metadata, ask })
    }
}

fn ask(command: &str, fields: &mut Fields<'_>) -> Asked<Ask> {
    match command {
        "transfer" => Ok(transfer(fields)?.map(Ask::Transfer)),
        "pay" => Ok(pay(fields)?.map(Ask::Pay)),
        "cancel" => operation(fields, OperationKind::Cancel),
        "retry" => operation(fields, OperationKind::Retry),
        "resolve" => {
            let resolution = match fields.text("as")?.as_str() {
                "completed" => Resolution::Completed,
                "compensated" => Resolution::Compensated,
                other => return Err(Failure::usage(format!("as: {other:?} is not completed or compensated"))),
            };
            operation(fields, OperationKind::Resolve(resolution))
        }
        _ => {
            let user_id = fields.text("user_id")?;
            Ok(wallet_command(command, fields)?.map(|command| Ask::Wallet { user_id, command }))
        }
    }
}

fn wallet_command(command: &str, fields: &mut Fields<'_>) -> Asked<WalletCommand> {
    Ok(match command {
        "open" => return open(fields),
        "deposit" => money(fields)?.map(|amount| WalletCommand::Deposit { amount }),
        "withdraw" => money(fields)?.map(|amount| WalletCommand::Withdraw { amount }),
        "hold" => return hold(fields),
        "increase_hold" => {
            let hold_id = fields.text("hold_id")?;
            money(fields)?.map(|amount| WalletCommand::IncreaseHold { hold_id, amount })
        }
        "extend_hold" => {
            let hold_id = fields.text("hold_id")?;
            let time_to_live_ms = fields.integer("time_to_live_ms")?;
            duration(time_to_live_ms).map(|time_to_live| WalletCommand::ExtendHold { hold_id, time_to_live })
        }
        "capture" => {
            let hold_id = fields.text("hold_id")?;
            let is_final = fields.flag_if_any("final")?.unwrap_or(true);
            money(fields)?.map(|amount| WalletCommand::Capture { hold_id, amount, is_final })
        }
        "release" => Ok(WalletCommand::Release { hold_id: fields.text("hold_id")? }),
        "expire" => Ok(WalletCommand::Expire { hold_id: fields.text("hold_id")? }),
        "refund" => {
            let hold_id = fields.text("hold_id")?;
            money(fields)?.map(|amount| WalletCommand::Refund { hold_id, amount })
        }
        "adjust" => {
            let (reason, operator) = (fields.text("reason")?, fields.text("operator")?);
            money(fields)?.map(|amount| WalletCommand::Adjust { amount, reason, operator })
        }
        "set_overdraft" => Ok(WalletCommand::SetOverdraft { overdraft_limit: fields.integer("overdraft_limit")? }),
        "set_limits" => Ok(WalletCommand::SetLimits { limits: limits(fields, Needed::Yes)? }),
        "freeze" => Ok(WalletCommand::Freeze { debits_only: fields.flag_if_any("debits_only")?.unwrap_or(false) }),
        "unfreeze" => Ok(WalletCommand::Unfreeze),
        "close" => Ok(WalletCommand::Close),
        other => return Err(Failure::usage(format!("command: there is no command {other:?}"))),
    })
}

fn open(fields: &mut Fields<'_>) -> Asked<WalletCommand> {
    let currency = currency(fields)?;
    let overdraft_limit = fields.integer_if_any("overdraft_limit")?.unwrap_or(0);
    let limits = limits(fields, Needed::No)?;
    Ok(currency.map(|currency| WalletCommand::Open { currency, overdraft_limit, limits }))
}

fn hold(fields: &mut Fields<'_>) -> Asked<WalletCommand> {
    let hold_id = fields.text("hold_id")?;
    let payment_id = fields.text_if_any("payment_id")?;
    let time_to_live_ms = fields.integer_if_any("time_to_live_ms")?;
    let amount = money(fields)?;
    let time_to_live = time_to_live_ms.map(duration).transpose();
    Ok(amount.and_then(|amount| {
        time_to_live.map(|time_to_live| WalletCommand::Hold { hold_id, amount, payment_id, time_to_live })
    }))
}

fn transfer(fields: &mut Fields<'_>) -> Asked<Transfer> {
    let transfer_id = fields.text("transfer_id")?;
    let (from_user_id, to_user_id) = (fields.text("from_user_id")?, fields.text("to_user_id")?);
    Ok(money(fields)?.map(|amount| Transfer { transfer_id, from_user_id, to_user_id, amount }))
}

fn pay(fields: &mut Fields<'_>) -> Asked<PaymentRequest> {
    let (payment_id, user_id) = (fields.text("payment_id")?, fields.text("user_id")?);
    let currency = currency(fields)?;
    let wallet_amount = fields.integer_if_any("wallet_amount")?.unwrap_or(0);
    let card_amount = fields.integer_if_any("card_amount")?.unwrap_or(0);
    Ok(currency.and_then(|currency| {
        let negative = [wallet_amount, card_amount].into_iter().find(|amount| *amount < 0);
        // Neither of them is negative, so a sum that does not fit is too large.
        let amount = negative.or_else(|| (wallet_amount.checked_add(card_amount)? == 0).then_some(0));
        match amount {
            Some(amount) => Err(WalletRefusal::InvalidAmount { amount }),
            None if wallet_amount.checked_add(card_amount).is_none() => {
                Err(WalletRefusal::Overflow { balance: wallet_amount, amount: card_amount })
            }
            None => {
                Ok(PaymentRequest::new(payment_id, user_id, currency).by_wallet(wallet_amount).by_card(card_amount))
            }
        }
    }))
}

fn operation(fields: &mut Fields<'_>, kind: OperationKind) -> Asked<Ask> {
    let payment_id = fields.text("payment_id")?;
    let (operator, reason) = (fields.text("operator")?, fields.text("reason")?);
    Ok(Ok(Ask::Operate(Operation { payment_id, kind, operator, reason })))
}

fn limits(fields: &mut Fields<'_>, needed: Needed) -> Result<WalletLimits, Failure> {
    let mut fields = fields.inner("limits", "limits.", needed)?;
    let limits = WalletLimits {
        per_transaction: fields.integer_if_any("per_transaction")?,
        per_day: fields.integer_if_any("per_day")?,
        balance_max: fields.integer_if_any("balance_max")?,
    };
    fields.finish()?;
    Ok(limits)
}

fn currency(fields: &mut Fields<'_>) -> Asked<Currency> {
    Ok(currency_of(&fields.text("currency")?))
}

fn money(fields: &mut Fields<'_>) -> Asked<Money> {
    let amount = fields.integer("amount")?;
    Ok(currency(fields)?.map(|currency| Money::new(amount, currency)))
}

fn duration(time_to_live_ms: i64) -> Result<Duration, WalletRefusal> {
    u64::try_from(time_to_live_ms).map(Duration::from_millis).map_err(|_| WalletRefusal::InvalidTimeToLive)
}
