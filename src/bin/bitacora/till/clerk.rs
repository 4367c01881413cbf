//! Books one line: opens the wallet, tops it up, deposits, withdraws, pays, and puts refusals on record.
//!
//! Every step may have been taken by an earlier run that was killed after it. Bookings are keyed by the line, payments by
//! their id, and opening a wallet that is open changes nothing; so a line can be worked on again at any time.

use std::collections::HashMap;

use bitacora::aggregate::{ExecuteError, ExecuteOptions, Repository};
use bitacora::money::{Currency, Money, parse_decimal};
use bitacora::payment::{Orchestrator, OutcomeKind, PAYMENT_TYPE, PaymentRequest};
use bitacora::service::Gate;
use bitacora::wallet::{Wallet, WalletCommand, WalletLimits, WalletRefusal};
use bitacora::{Error, ErrorKind, ExpectedVersion, Result, Sequence, StreamId};

use parking_lot::Mutex;

use super::ledger::{Kind, LedgerLine};
use super::names::{Booking, LedgerName};
use super::outcomes::Outcomes;
use super::plan;
use super::refusal::LineRefused;
use super::summary::Outcome;
use super::teller::Told;

/// Whether wallets are filled up before they pay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TopUps {
    Made,
    NotMade,
}

/// Books lines; shared by all workers.
#[derive(Debug)]
pub(crate) struct Clerk {
    pub(crate) wallets: Repository<Wallet>,
    pub(crate) orchestrator: Orchestrator,
    /// Closed for wallets and payments that the recovery quarantined.
    pub(crate) gate: Gate,
    pub(crate) name: LedgerName,
    pub(crate) overdraft: Overdraft,
    pub(crate) top_ups: TopUps,
    pub(crate) outcomes: Outcomes,
    pub(crate) waiting: Waiting,
}

/// Users with a line that got no outcome, each with its number: their later lines are not begun, since what follows from them
/// would rest on it.
#[derive(Debug, Default)]
pub(crate) struct Waiting(Mutex<HashMap<String, u64>>);

impl Waiting {
    fn check(&self, line: &LedgerLine) -> Result<()> {
        match self.0.lock().get(&line.user_id) {
            Some(number) => {
                let text = format!("line {number} of the same user has no outcome");
                Err(Error::new(ErrorKind::NotReady, text))
            }
            None => Ok(()),
        }
    }

    fn add(&self, line: &LedgerLine) {
        self.0.lock().entry(line.user_id.clone()).or_insert(line.number);
    }
}

/// How a booking ended: at a sequence, or refused.
enum Booked {
    At(Sequence),
    Refused(String),
}

impl Clerk {
    /// Works on `line` until it has its outcome.
    ///
    /// # Errors
    /// The store's. The line can be worked on again after any of them.
    pub(crate) fn work(&self, line: LedgerLine) -> Result<Told> {
        if let Err(error) = self.waiting.check(&line).and_then(|()| self.check_gate(&line)) {
            return Ok(self.pending(line, &error, false));
        }
        self.open_wallet(&line)?;
        match line.kind {
            Kind::Deposit => {
                let command = WalletCommand::Deposit { amount: line.amount };
                let booked = self.book(Booking::Deposit, &line, &command)?;
                self.told(line, Outcome::Deposited, booked)
            }
            Kind::Withdrawal => {
                let command = WalletCommand::Withdraw { amount: line.amount };
                let booked = self.book(Booking::Withdrawal, &line, &command)?;
                self.told(line, Outcome::Withdrawn, booked)
            }
            Kind::Payment => self.pay(line),
        }
    }

    fn check_gate(&self, line: &LedgerLine) -> Result<()> {
        self.gate.check_stream(&Repository::<Wallet>::stream(&line.user_id)?)?;
        if line.kind == Kind::Payment {
            self.gate.check_stream(&StreamId::of(PAYMENT_TYPE, &line.id)?)?;
        }
        Ok(())
    }

    fn open_wallet(&self, line: &LedgerLine) -> Result<()> {
        if self.wallets.cached(&line.user_id)?.state.is_opened() {
            return Ok(());
        }
        let currency = line.amount.currency;
        let command = WalletCommand::Open {
            currency,
            overdraft_limit: self.overdraft.minor(currency),
            limits: WalletLimits::default(),
        };
        let metadata = self.name.metadata(line, None);
        let options = ExecuteOptions { metadata, ..ExecuteOptions::default() };
        match self.wallets.execute(&line.user_id, &options, &command) {
            Ok(_) | Err(ExecuteError::Refused(WalletRefusal::AlreadyExists)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn book(&self, booking: Booking, line: &LedgerLine, command: &WalletCommand) -> Result<Booked> {
        let command_id = self.name.command_id(booking, line);
        let metadata = self.name.metadata(line, Some(command_id.clone()));
        let options = ExecuteOptions { command_id: Some(&command_id), metadata, ..ExecuteOptions::default() };
        match self.wallets.execute(&line.user_id, &options, command) {
            Ok(executed) => match executed.receipt {
                Some(receipt) => Ok(Booked::At(receipt.sequence_last)),
                None => Err(Error::new(ErrorKind::Corrupt, format!("line {}: nothing was booked", line.number))),
            },
            Err(ExecuteError::Refused(refusal)) => Ok(Booked::Refused(refusal.to_string())),
            Err(ExecuteError::Store(error)) => refusal_of(error).map(Booked::Refused),
        }
    }

    fn pay(&self, line: LedgerLine) -> Result<Told> {
        let parts = plan::parts(&line);
        let has_top_up = match parts.wallet_minor {
            Some(minor) => self.top_up(&line, Money::new(minor, line.amount.currency))?,
            None => false,
        };
        let request = PaymentRequest::new(line.id.as_str(), line.user_id.as_str(), line.amount.currency)
            .by_wallet(parts.wallet_minor.unwrap_or(0))
            .by_card(parts.card_minor.unwrap_or(0))
            .with_metadata(self.name.metadata(&line, None));
        match self.orchestrator.run(request) {
            Ok(ended) => {
                let outcome = outcome_of(ended.kind);
                let (reason, sequence) = (ended.reason, ended.sequence);
                Ok(Told::Done { line, outcome, reason, sequence, is_new: true, has_top_up })
            }
            Err(error) if error.kind() == ErrorKind::NotReady => Ok(self.pending(line, &error, has_top_up)),
            Err(error) => {
                let reason = refusal_of(error)?;
                self.refuse(line, reason, has_top_up)
            }
        }
    }

    /// Fills the wallet up if `needed` is more than may be spent; whether that booked something.
    fn top_up(&self, line: &LedgerLine, needed: Money) -> Result<bool> {
        if self.top_ups == TopUps::NotMade || self.outcomes.is_past_top_up(line) {
            return Ok(false);
        }
        let wallet = self.wallets.cached(&line.user_id)?;
        if wallet.state.currency() != Some(needed.currency) {
            // The payment says so better.
            return Ok(false);
        }
        let Some(amount) = plan::top_up(needed, wallet.state.spendable()) else { return Ok(false) };
        // A wallet that takes no deposit will refuse the payment too, and that is what goes on record.
        let booked = self.book(Booking::TopUp, line, &WalletCommand::Deposit { amount })?;
        Ok(matches!(booked, Booked::At(_)))
    }

    fn pending(&self, line: LedgerLine, error: &Error, has_top_up: bool) -> Told {
        self.waiting.add(&line);
        Told::Pending { line, reason: error.to_string(), has_top_up }
    }

    fn told(&self, line: LedgerLine, outcome: Outcome, booked: Booked) -> Result<Told> {
        match booked {
            Booked::At(sequence) => {
                let reason = String::new();
                Ok(Told::Done { line, outcome, reason, sequence, is_new: true, has_top_up: false })
            }
            Booked::Refused(reason) => self.refuse(line, reason, false),
        }
    }

    /// Puts on record that `line` was refused, so that a later run does not decide it anew.
    fn refuse(&self, line: LedgerLine, reason: String, has_top_up: bool) -> Result<Told> {
        let event = LineRefused::new(&line, &reason).event(&self.name, &line)?;
        let store = self.wallets.store();
        let receipt = store.append(self.name.stream(), ExpectedVersion::Any, vec![event])?;
        let (outcome, sequence) = (Outcome::Refused, receipt.sequence_last);
        Ok(Told::Done { line, outcome, reason, sequence, is_new: true, has_top_up })
    }
}

/// The reason for refusing a line, if that is what `error` asks for and not an end of the run.
fn refusal_of(error: Error) -> Result<String> {
    match error.kind() {
        ErrorKind::Refused | ErrorKind::IdempotencyConflict => Ok(error.to_string()),
        _ => Err(error),
    }
}

fn outcome_of(kind: OutcomeKind) -> Outcome {
    match kind {
        OutcomeKind::Completed => Outcome::Completed,
        OutcomeKind::Compensated => Outcome::Compensated,
        OutcomeKind::Rejected => Outcome::Rejected,
    }
}

/// How far new wallets may go below zero: a decimal number of major units, of whatever currency the wallet is in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Overdraft {
    major: String,
    decimals: String,
}

impl Overdraft {
    /// In minor units of `currency`; decimals that it does not have are left off.
    pub(crate) fn minor(&self, currency: Currency) -> i64 {
        let decimals: String = self.decimals.chars().take(usize::from(currency.exponent())).collect();
        let text = if decimals.is_empty() { self.major.clone() } else { format!("{}.{decimals}", self.major) };
        parse_decimal(&text, currency).unwrap_or(0)
    }
}

impl std::str::FromStr for Overdraft {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (major, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        // Twelve digits of major units fit every currency.
        if !is_number(major) || !is_number(decimals) || major.len() > 12 {
            return Err("must be a decimal number that is not negative, such as 25 or 12.50".to_owned());
        }
        Ok(Self { major: major.to_owned(), decimals: decimals.to_owned() })
    }
}

#[cfg(test)]
#[path = "clerk_tests.rs"]
mod tests;
