//! The arguments of the verbs on payments.

use std::path::PathBuf;

use bitacora::payment::Resolution;
use clap::{Args, ValueEnum};

use super::PresetArg;

/// Show a payment: where it stands, how it ended, its steps, and its events.
///
/// {"payment_id","user_id","currency","amount","wallet_amount","card_amount","deadline","state","outcome","reason","in_doubt",
/// "version","last_event_sequence","steps","events"}; a step is {"step","kind","outcome","amount","reference","started_at",
/// "ended_at","attempts"}, an attempt {"attempt","command_id","published_at","answered_at","outcome","reason"}, an event
/// {"sequence","timestamp","type","data"}. Amounts are integers of minor units. Exit 1 where there is no such payment.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  bitacora payment till-data 17 --json")]
pub(crate) struct PaymentArgs {
    /// The store's folder.
    pub(crate) dir: PathBuf,
    /// The payment's id.
    pub(crate) payment_id: String,
}

/// List payments by id, all of them or those that all the options are true of.
///
/// One object a line: {"payment_id","state","outcome","user_id","currency","amount","wallet_amount","card_amount","deadline",
/// "in_doubt","is_overdue","parked","version","last_event_sequence"}. Works beside a writer, and writes nothing.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  bitacora payments till-data --in-doubt --json")]
pub(crate) struct PaymentsArgs {
    /// The store's folder.
    pub(crate) dir: PathBuf,
    /// In this state, such as charging, `manual_review` or completed.
    #[arg(long, value_name = "STATE", value_parser = STATES)]
    pub(crate) state: Option<String>,
    /// With a command to the gateway whose outcome nothing on record tells.
    #[arg(long)]
    pub(crate) in_doubt: bool,
    /// Not over, and past the deadline.
    #[arg(long)]
    pub(crate) overdue: bool,
}

/// The names of the states of payments.
const STATES: [&str; 15] = [
    "started",
    "reserving_funds",
    "funds_reserved",
    "charging",
    "charged",
    "capturing",
    "captured",
    "settling",
    "completed",
    "compensating",
    "compensated",
    "rejected",
    "outcome_unknown",
    "awaiting_connectivity",
    "manual_review",
];

/// Call a payment off, before its capture is published: what was held or authorised is undone.
///
/// Puts it on record with the operator's name, then goes on with the payment as far as that needs no card gateway, or with
/// --gateway. Prints {"payment_id","ok":true,"repeat","events","version","sequence","state","outcome","reason"}, or, with exit 1,
/// {"payment_id","ok":false,"refusal","message"}.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  \
    bitacora payment-cancel till-data 17 --operator ana --reason 'the customer left'")]
pub(crate) struct CancelArgs {
    #[command(flatten)]
    pub(crate) operator: OperatorArgs,
}

/// Have tried again what was given up: the last step of a payment that is parked for review, under the same keys.
///
/// Puts it on record with the operator's name, then goes on with the payment as far as that needs no card gateway, or with
/// --gateway. Prints {"payment_id","ok":true,"repeat","events","version","sequence","state","outcome","reason"}, or, with exit 1,
/// {"payment_id","ok":false,"refusal","message"}.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  \
    bitacora payment-retry till-data 17 --operator ana --reason 'the gateway is back'")]
pub(crate) struct RetryArgs {
    #[command(flatten)]
    pub(crate) operator: OperatorArgs,
}

/// End a payment that is parked for review: say what became of the card's part; the wallet's part follows in the same commit.
///
/// Calls no gateway. Prints {"payment_id","ok":true,"repeat","events","version","sequence","state","outcome","reason"}, or, with exit 1,
/// {"payment_id","ok":false,"refusal","message"}.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  bitacora payment-resolve till-data 17 --as compensated --operator ana \
    --reason 'the bank says that nothing was charged'")]
pub(crate) struct ResolveArgs {
    #[command(flatten)]
    pub(crate) operator: OperatorArgs,
    /// What became of the card's part.
    #[arg(long = "as", value_enum, value_name = "OUTCOME")]
    pub(crate) resolution: ResolutionArg,
}

/// Which payment, and on whose word.
#[derive(Args, Debug)]
pub(crate) struct OperatorArgs {
    /// The store's folder.
    pub(crate) dir: PathBuf,
    /// The payment's id.
    pub(crate) payment_id: String,
    /// Who decides; it is put on record.
    #[arg(long, value_name = "NAME")]
    pub(crate) operator: String,
    /// Why; it is put on record.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// The card gateway's folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) gateway: Option<PathBuf>,
    /// The kind of machine; it should be the same each time.
    #[arg(long, value_enum, default_value_t = PresetArg::Default)]
    pub(crate) preset: PresetArg,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ResolutionArg {
    /// It is paid; what is held in the wallet is taken.
    Completed,
    /// It is not paid, or was given back; what is held in the wallet is let go.
    Compensated,
}

impl From<ResolutionArg> for Resolution {
    fn from(argument: ResolutionArg) -> Self {
        match argument {
            ResolutionArg::Completed => Self::Completed,
            ResolutionArg::Compensated => Self::Compensated,
        }
    }
}
