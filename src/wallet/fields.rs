//! A wallet's events as flat lists of named fields, for printing.

use super::event::{
    BalanceAdjusted, FundsDeposited, FundsHeld, FundsWithdrawn, HoldCaptured, HoldExpired, HoldExtended, HoldIncreased,
    HoldReleased, LimitsSet, OverdraftLimitSet, RefundCredited, TransferCredited, TransferDebited, WalletClosed,
    WalletFrozen, WalletOpened, WalletUnfrozen,
};
use super::{WalletEvent, WalletLimits};
use crate::aggregate::{FieldValue, FlatFields};
use crate::money::Money;

type Fields = Vec<(&'static str, FieldValue)>;

impl FlatFields for WalletEvent {
    fn fields(&self) -> Fields {
        match self {
            Self::WalletOpened(WalletOpened { currency, overdraft_limit, limits: limited }) => {
                let first = [("currency", currency.code().into()), ("overdraft_limit", (*overdraft_limit).into())];
                first.into_iter().chain(limits(limited)).collect()
            }
            Self::FundsDeposited(FundsDeposited { amount }) | Self::FundsWithdrawn(FundsWithdrawn { amount }) => {
                money(amount).to_vec()
            }
            Self::FundsHeld(FundsHeld { hold_id, amount, payment_id, time_to_live_micros, expires_at }) => {
                let rest = [
                    ("payment_id", payment_id.as_deref().into()),
                    ("time_to_live_micros", (*time_to_live_micros).into()),
                    ("expires_at", (*expires_at).into()),
                ];
                named("hold_id", hold_id, amount, rest)
            }
            Self::HoldIncreased(HoldIncreased { hold_id, amount })
            | Self::HoldReleased(HoldReleased { hold_id, amount })
            | Self::RefundCredited(RefundCredited { hold_id, amount }) => named("hold_id", hold_id, amount, []),
            Self::HoldExtended(HoldExtended { hold_id, time_to_live_micros, expires_at }) => vec![
                ("hold_id", hold_id.as_str().into()),
                ("time_to_live_micros", (*time_to_live_micros).into()),
                ("expires_at", (*expires_at).into()),
            ],
            Self::HoldCaptured(HoldCaptured { hold_id, amount, released, is_final }) => {
                named("hold_id", hold_id, amount, [("released", (*released).into()), ("is_final", (*is_final).into())])
            }
            Self::HoldExpired(HoldExpired { hold_id, amount, expires_at }) => {
                named("hold_id", hold_id, amount, [("expires_at", (*expires_at).into())])
            }
            Self::TransferDebited(TransferDebited { transfer_id, to_user_id, amount }) => {
                named("transfer_id", transfer_id, amount, [("to_user_id", to_user_id.as_str().into())])
            }
            Self::TransferCredited(TransferCredited { transfer_id, from_user_id, amount }) => {
                named("transfer_id", transfer_id, amount, [("from_user_id", from_user_id.as_str().into())])
            }
            Self::BalanceAdjusted(BalanceAdjusted { amount, reason, operator }) => {
                let rest = [("reason", reason.as_str().into()), ("operator", operator.as_str().into())];
                money(amount).into_iter().chain(rest).collect()
            }
            Self::OverdraftLimitSet(OverdraftLimitSet { overdraft_limit }) => {
                vec![("overdraft_limit", (*overdraft_limit).into())]
            }
            Self::LimitsSet(LimitsSet { limits: limited }) => limits(limited).to_vec(),
            Self::WalletFrozen(WalletFrozen { debits_only }) => vec![("debits_only", (*debits_only).into())],
            Self::WalletUnfrozen(WalletUnfrozen {}) | Self::WalletClosed(WalletClosed {}) => Vec::new(),
        }
    }
}

fn money(amount: &Money) -> [(&'static str, FieldValue); 2] {
    [("amount", amount.minor.into()), ("currency", amount.currency.code().into())]
}

fn limits(limits: &WalletLimits) -> [(&'static str, FieldValue); 3] {
    let WalletLimits { per_transaction, per_day, balance_max } = *limits;
    [("per_transaction", per_transaction.into()), ("per_day", per_day.into()), ("balance_max", balance_max.into())]
}

fn named<const FIELDS: usize>(
    name: &'static str,
    id: &str,
    amount: &Money,
    rest: [(&'static str, FieldValue); FIELDS],
) -> Fields {
    [(name, id.into())].into_iter().chain(money(amount)).chain(rest).collect()
}
