//! What came of a ledger, counted over all its lines however many runs it took.
//!
//! Invariant: every line is counted once, so `lines` is the sum of completed, compensated, rejected, deposits, withdrawals,
//! refused and pending.

use std::collections::BTreeMap;
use std::time::Duration;

use bitacora::money::Money;
use bitacora::{Error, ErrorKind};
use serde::{Deserialize, Serialize};

use super::ledger::LedgerLine;
use super::plan;

/// What came of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// A payment that is paid.
    Completed,
    /// A payment that is not paid, and of which a hold or an authorisation was undone.
    Compensated,
    /// A payment that is not paid, and of which nothing had to be undone.
    Rejected,
    /// Money was put into a wallet.
    Deposited,
    /// Money was taken out of a wallet.
    Withdrawn,
    /// Nothing was booked, for a reason that is on record.
    Refused,
}

impl Outcome {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Compensated => "compensated",
            Self::Rejected => "rejected",
            Self::Deposited => "deposited",
            Self::Withdrawn => "withdrawn",
            Self::Refused => "refused",
        }
    }
}

/// A line and a reason, of lines that were refused or have no outcome yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct LineReason {
    pub(crate) line: u64,
    pub(crate) reason: String,
}

/// Money by currency code, minor units.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct Sums(pub(crate) BTreeMap<String, i64>);

impl Sums {
    /// Adds money to its currency's sum.
    ///
    /// # Errors
    /// `InvalidInput`: the sum is more than can be counted.
    pub(crate) fn add(&mut self, money: Money) -> Result<(), Error> {
        let code = money.currency.code();
        let sum = self.0.entry(code.to_owned()).or_default();
        *sum = sum.checked_add(money.minor).ok_or_else(|| {
            Error::new(ErrorKind::InvalidInput, format!("the sum of {code} is too large to be counted"))
        })?;
        Ok(())
    }
}

/// The counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Summary {
    pub(crate) lines: u64,
    pub(crate) completed: u64,
    pub(crate) compensated: u64,
    pub(crate) rejected: u64,
    pub(crate) deposits: u64,
    pub(crate) withdrawals: u64,
    pub(crate) top_ups: u64,
    pub(crate) refused: Vec<LineReason>,
    /// What wallets paid of completed payments.
    pub(crate) captured: Sums,
    /// What cards paid of completed payments.
    pub(crate) charged: Sums,
    /// What is in the wallets.
    pub(crate) balances: Sums,
    pub(crate) elapsed_ms: u64,
    pub(crate) events_per_second: u64,
    /// Lines without an outcome: payments that a person has to decide, and lines of what the recovery quarantined. Where there
    /// is one the answer is "no".
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) pending: Vec<LineReason>,
}

impl Summary {
    /// Counts a line that has its outcome; `reason` is of a refused one.
    ///
    /// # Errors
    /// `InvalidInput`: a sum is more than can be counted.
    pub(crate) fn count(&mut self, line: &LedgerLine, outcome: Outcome, reason: &str) -> Result<(), Error> {
        self.lines = self.lines.saturating_add(1);
        let counter = match outcome {
            Outcome::Completed => {
                let parts = plan::parts(line);
                for (sums, minor) in [(&mut self.captured, parts.wallet_minor), (&mut self.charged, parts.card_minor)] {
                    if let Some(minor) = minor {
                        sums.add(Money::new(minor, line.amount.currency))?;
                    }
                }
                &mut self.completed
            }
            Outcome::Compensated => &mut self.compensated,
            Outcome::Rejected => &mut self.rejected,
            Outcome::Deposited => &mut self.deposits,
            Outcome::Withdrawn => &mut self.withdrawals,
            Outcome::Refused => {
                self.refused.push(LineReason { line: line.number, reason: reason.to_owned() });
                return Ok(());
            }
        };
        *counter = counter.saturating_add(1);
        Ok(())
    }

    /// Counts a line that could not be read as one that can be booked.
    pub(crate) fn count_unreadable(&mut self, line: u64, reason: String) {
        self.lines = self.lines.saturating_add(1);
        self.refused.push(LineReason { line, reason });
    }

    /// Counts a line that has no outcome.
    pub(crate) fn count_pending(&mut self, line: u64, reason: String) {
        self.lines = self.lines.saturating_add(1);
        self.pending.push(LineReason { line, reason });
    }

    /// Puts the named lines in their order and says how fast it was.
    pub(crate) fn finish(&mut self, elapsed: Duration, events: u64) {
        self.refused.sort_by_key(|refused| refused.line);
        self.pending.sort_by_key(|pending| pending.line);
        self.elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX).max(1);
        self.events_per_second = events.saturating_mul(1_000_000).checked_div(micros).unwrap_or(0);
        debug_assert!(self.is_whole(), "every line is counted once");
    }

    /// Whether every line is counted once.
    pub(crate) fn is_whole(&self) -> bool {
        let named = u64::try_from(self.refused.len().saturating_add(self.pending.len())).unwrap_or(u64::MAX);
        [self.completed, self.compensated, self.rejected, self.deposits, self.withdrawals]
            .iter()
            .fold(named, |sum, count| sum.saturating_add(*count))
            == self.lines
    }
}

#[cfg(test)]
mod tests {
    use super::super::ledger::Kind;
    use super::*;

    fn line(number: u64, kind: Kind, minor: i64) -> LedgerLine {
        LedgerLine {
            number,
            id: format!("l{number}"),
            user_id: "u".to_owned(),
            occurred_at: "t".to_owned(),
            kind,
            amount: Money::new(minor, "EUR".parse().unwrap()),
        }
    }

    #[test]
    fn every_line_is_in_exactly_one_count_and_only_completed_payments_are_money() {
        let mut summary = Summary::default();
        summary.count(&line(5, Kind::Payment, 101), Outcome::Completed, "").unwrap();
        summary.count(&line(8, Kind::Payment, 101), Outcome::Compensated, "").unwrap();
        summary.count(&line(6, Kind::Payment, 70), Outcome::Completed, "").unwrap();
        summary.count(&line(9, Kind::Payment, 70), Outcome::Rejected, "").unwrap();
        summary.count(&line(10, Kind::Deposit, 70), Outcome::Deposited, "").unwrap();
        summary.count(&line(11, Kind::Withdrawal, 70), Outcome::Withdrawn, "").unwrap();
        summary.count(&line(12, Kind::Withdrawal, 70), Outcome::Refused, "not covered").unwrap();
        summary.count_unreadable(4, "zero amount".to_owned());
        summary.count_pending(13, "no answer".to_owned());
        summary.finish(Duration::from_millis(500), 1_000);
        assert!(summary.is_whole());
        assert_eq!(summary.lines, 9);
        assert_eq!(summary.captured.0["EUR"], 50 + 70);
        assert_eq!(summary.charged.0["EUR"], 51);
        assert_eq!(summary.refused.iter().map(|refused| refused.line).collect::<Vec<_>>(), [4, 12]);
        assert_eq!((summary.elapsed_ms, summary.events_per_second), (500, 2_000));
    }

    #[test]
    fn the_json_has_the_agreed_fields_and_pending_only_where_there_is_one() {
        let mut summary = Summary::default();
        summary.finish(Duration::ZERO, 0);
        let json = serde_json::to_value(&summary).unwrap();
        let names: Vec<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
        let mut wanted = vec![
            "lines",
            "completed",
            "compensated",
            "rejected",
            "deposits",
            "withdrawals",
            "top_ups",
            "refused",
            "captured",
            "charged",
            "balances",
            "elapsed_ms",
            "events_per_second",
        ];
        wanted.sort_unstable();
        let mut names = names;
        names.sort_unstable();
        assert_eq!(names, wanted);
    }

    #[test]
    fn sums_that_cannot_be_counted_are_an_error() {
        let mut sums = Sums::default();
        let most = Money::new(i64::MAX, "EUR".parse().unwrap());
        sums.add(most).unwrap();
        assert_eq!(sums.add(most).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}
