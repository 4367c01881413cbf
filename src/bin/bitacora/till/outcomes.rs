//! What a store says of a ledger's lines: read once, before a run, so that lines which have their outcome are passed over
//! without a look-up, an append or a call.

use std::collections::{HashMap, HashSet};

use bitacora::aggregate::DomainEvent;
use bitacora::money::{Currency, Money};
use bitacora::payment::PaymentEvent;
use bitacora::wallet::WalletEvent;
use bitacora::{Event, Result, Sequence, Store};

use super::ledger::{Kind, LedgerLine};
use super::names::{Booking, LedgerName};
use super::plan;
use super::refusal::LineRefused;
use super::summary::Outcome;

/// A line's outcome, and the event that says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settled {
    pub(crate) outcome: Outcome,
    /// Of a refused line.
    pub(crate) reason: String,
    pub(crate) sequence: Sequence,
}

#[derive(Debug)]
struct Booked {
    user_id: String,
    amount: Money,
    sequence: Sequence,
}

#[derive(Debug)]
struct Paid {
    user_id: String,
    currency: Currency,
    wallet_minor: i64,
    card_minor: i64,
    end: Option<(Outcome, Sequence)>,
}

/// The outcomes of a ledger's lines, by the lines' ids.
#[derive(Debug, Default)]
pub(crate) struct Outcomes {
    deposits: HashMap<String, Booked>,
    withdrawals: HashMap<String, Booked>,
    top_ups: HashSet<String>,
    payments: HashMap<String, Paid>,
    refused: HashMap<String, (String, Sequence)>,
}

impl Outcomes {
    /// Reads the whole log once.
    ///
    /// # Errors
    /// `UnknownPayload`: an event of a built-in part cannot be read by this program. `Corrupt`, `Io`: the store's.
    pub(crate) fn read(store: &Store, name: &LedgerName) -> Result<Self> {
        let mut outcomes = Self::default();
        for event in store.read_all(..) {
            outcomes.take(name, &event?)?;
        }
        Ok(outcomes)
    }

    /// Takes note of an event.
    fn take(&mut self, name: &LedgerName, event: &Event) -> Result<()> {
        match event.event_type.as_str() {
            "FundsDeposited" | "FundsWithdrawn" => self.take_booking(name, event)?,
            "PaymentStarted" | "PaymentCompleted" | "PaymentCompensated" | "PaymentRejected" => {
                self.take_payment(event)?;
            }
            LineRefused::TYPE if event.stream == *name.stream() => {
                let refused = LineRefused::decode(event)?;
                self.refused.insert(refused.id, (refused.reason, event.sequence));
            }
            _ => {}
        }
        Ok(())
    }

    fn take_booking(&mut self, name: &LedgerName, event: &Event) -> Result<()> {
        let (Some(user_id), Some((booking, line_id))) = (event.stream.aggregate_id("wallet"), name.booking_of(event))
        else {
            return Ok(());
        };
        let amount = match WalletEvent::decode(event)? {
            WalletEvent::FundsDeposited(fact) => fact.amount,
            WalletEvent::FundsWithdrawn(fact) => fact.amount,
            _ => return Ok(()),
        };
        let booked = Booked { user_id: user_id.to_owned(), amount, sequence: event.sequence };
        match booking {
            Booking::Deposit => drop(self.deposits.insert(line_id.to_owned(), booked)),
            Booking::Withdrawal => drop(self.withdrawals.insert(line_id.to_owned(), booked)),
            Booking::TopUp => drop(self.top_ups.insert(line_id.to_owned())),
        }
        Ok(())
    }

    fn take_payment(&mut self, event: &Event) -> Result<()> {
        let Some(payment_id) = event.stream.aggregate_id(bitacora::payment::PAYMENT_TYPE) else { return Ok(()) };
        let outcome = match event.event_type.as_str() {
            "PaymentCompleted" => Outcome::Completed,
            "PaymentCompensated" => Outcome::Compensated,
            "PaymentRejected" => Outcome::Rejected,
            _ => {
                if let PaymentEvent::PaymentStarted(fact) = PaymentEvent::decode(event)? {
                    let paid = Paid {
                        user_id: fact.user_id,
                        currency: fact.currency,
                        wallet_minor: fact.wallet_amount,
                        card_minor: fact.card_amount,
                        end: None,
                    };
                    self.payments.insert(payment_id.to_owned(), paid);
                }
                return Ok(());
            }
        };
        if let Some(paid) = self.payments.get_mut(payment_id) {
            paid.end = Some((outcome, event.sequence));
        }
        Ok(())
    }

    /// The outcome of `line`, if it has one. What was booked under its id with another content is not its outcome; whoever works
    /// on the line finds out that the id stands for something else.
    pub(crate) fn of(&self, line: &LedgerLine) -> Option<Settled> {
        if let Some((reason, sequence)) = self.refused.get(&line.id) {
            return Some(Settled { outcome: Outcome::Refused, reason: reason.clone(), sequence: *sequence });
        }
        let settled = |outcome, sequence| Some(Settled { outcome, reason: String::new(), sequence });
        let (booked, outcome) = match line.kind {
            Kind::Deposit => (self.deposits.get(&line.id)?, Outcome::Deposited),
            Kind::Withdrawal => (self.withdrawals.get(&line.id)?, Outcome::Withdrawn),
            Kind::Payment => {
                let paid = self.payments.get(&line.id)?;
                let (outcome, sequence) = paid.end?;
                return if paid.is_of(line) { settled(outcome, sequence) } else { None };
            }
        };
        if booked.user_id == line.user_id && booked.amount == line.amount {
            return settled(outcome, booked.sequence);
        }
        None
    }

    /// Whether a top-up for this line is not to be made any more: it is booked, or the payment began without one.
    pub(crate) fn is_past_top_up(&self, line: &LedgerLine) -> bool {
        self.top_ups.contains(&line.id) || self.payments.contains_key(&line.id)
    }

    /// Top-ups that are booked.
    pub(crate) fn top_ups(&self) -> u64 {
        u64::try_from(self.top_ups.len()).unwrap_or(u64::MAX)
    }
}

impl Paid {
    fn is_of(&self, line: &LedgerLine) -> bool {
        let parts = plan::parts(line);
        self.user_id == line.user_id
            && self.currency == line.amount.currency
            && self.wallet_minor == parts.wallet_minor.unwrap_or(0)
            && self.card_minor == parts.card_minor.unwrap_or(0)
    }
}
