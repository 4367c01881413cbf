//! A refusal as it is printed: its name, what it says, and its numbers by name.

use bitacora::payment::PaymentRefusal;
use bitacora::wallet::WalletRefusal;
use serde_json::{Value, json};

use crate::render::time;

/// Why something is refused.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) name: &'static str,
    pub(crate) message: String,
    /// By name, in the order in which they are printed.
    pub(crate) details: Vec<(&'static str, Value)>,
}

impl Refusal {
    /// One without numbers.
    pub(crate) fn plain(name: &'static str, message: impl Into<String>) -> Self {
        Self { name, message: message.into(), details: Vec::new() }
    }
}

impl From<&WalletRefusal> for Refusal {
    fn from(refusal: &WalletRefusal) -> Self {
        Self { name: refusal.name(), message: refusal.to_string(), details: wallet_details(refusal) }
    }
}

fn wallet_details(refusal: &WalletRefusal) -> Vec<(&'static str, Value)> {
    match refusal {
        WalletRefusal::UnknownCurrency { code } => vec![("currency", json!(code))],
        WalletRefusal::InvalidAmount { amount } => vec![("amount", json!(amount))],
        WalletRefusal::CurrencyMismatch { expected, given } => {
            vec![("expected", json!(expected.code())), ("given", json!(given.code()))]
        }
        WalletRefusal::InsufficientFunds { available, spendable, requested } => {
            vec![("available", json!(available)), ("spendable", json!(spendable)), ("requested", json!(requested))]
        }
        WalletRefusal::LimitExceeded { which, limit, used, requested } => vec![
            ("which", json!(which.to_string().replace(' ', "_"))),
            ("limit", json!(limit)),
            ("used", json!(used)),
            ("requested", json!(requested)),
        ],
        WalletRefusal::MaxBalance { balance, balance_max, requested } => {
            vec![("balance", json!(balance)), ("balance_max", json!(balance_max)), ("requested", json!(requested))]
        }
        WalletRefusal::Overflow { balance, amount } => vec![("balance", json!(balance)), ("amount", json!(amount))],
        WalletRefusal::WouldBreakInvariant { spendable } => vec![("spendable", json!(spendable))],
        WalletRefusal::NonZeroBalance { balance } => vec![("balance", json!(balance))],
        WalletRefusal::ActiveHolds { open, locked } => vec![("open", json!(open)), ("locked", json!(locked))],
        WalletRefusal::Frozen { status } | WalletRefusal::InvalidState { status } => {
            vec![("status", json!(status.as_str()))]
        }
        WalletRefusal::InvalidReason { bytes } => vec![("bytes", json!(bytes))],
        WalletRefusal::InvalidId { id } => vec![("id", json!(id))],
        WalletRefusal::TooManyHolds { open } => vec![("open", json!(open))],
        WalletRefusal::TransferExists { transfer_id } => vec![("transfer_id", json!(transfer_id))],
        WalletRefusal::TargetRefused { user_id, refusal } => {
            let mut details = vec![("target_user_id", json!(user_id))];
            details.extend(wallet_details(refusal));
            details
        }
        other => hold_details(other),
    }
}

/// The details of a refusal that is about a hold.
fn hold_details(refusal: &WalletRefusal) -> Vec<(&'static str, Value)> {
    match refusal {
        WalletRefusal::HoldExists { hold_id }
        | WalletRefusal::HoldNotFound { hold_id }
        | WalletRefusal::CaptureNotFound { hold_id } => vec![("hold_id", json!(hold_id))],
        WalletRefusal::HoldResolved { hold_id, outcome } => {
            vec![("hold_id", json!(hold_id)), ("outcome", json!(outcome.to_string()))]
        }
        WalletRefusal::HoldExpired { hold_id, expires_at } => {
            vec![("hold_id", json!(hold_id)), ("expires_at", json!(time(*expires_at)))]
        }
        WalletRefusal::HoldNotExpired { hold_id, expires_at, now } => {
            vec![("hold_id", json!(hold_id)), ("expires_at", json!(expires_at.map(time))), ("now", json!(time(*now)))]
        }
        WalletRefusal::HoldNamesPayment { hold_id, payment_id } => {
            vec![("hold_id", json!(hold_id)), ("payment_id", json!(payment_id))]
        }
        WalletRefusal::CaptureExceedsHold { hold_id, held, requested } => {
            vec![("hold_id", json!(hold_id)), ("held", json!(held)), ("requested", json!(requested))]
        }
        WalletRefusal::RefundExceedsCapture { hold_id, captured, refunded, requested } => vec![
            ("hold_id", json!(hold_id)),
            ("captured", json!(captured)),
            ("refunded", json!(refunded)),
            ("requested", json!(requested)),
        ],
        _ => Vec::new(),
    }
}

impl From<&PaymentRefusal> for Refusal {
    fn from(refusal: &PaymentRefusal) -> Self {
        let (name, details) = match refusal {
            PaymentRefusal::AlreadyOver { outcome } => ("AlreadyOver", vec![("outcome", json!(outcome.as_str()))]),
            PaymentRefusal::NotOver => ("NotOver", Vec::new()),
            PaymentRefusal::PastPivot => ("PastPivot", Vec::new()),
            PaymentRefusal::BeingUndone { reason } => ("BeingUndone", vec![("reason", json!(reason.as_str()))]),
            PaymentRefusal::NotParked => ("NotParked", Vec::new()),
            PaymentRefusal::WalletPart { detail } => ("WalletPart", vec![("detail", json!(detail))]),
            PaymentRefusal::NoCardPart => ("NoCardPart", Vec::new()),
            _ => ("Refused", Vec::new()),
        };
        Self { name, message: refusal.to_string(), details }
    }
}
