//! Whether a day that was interrupted came out right.
//!
//! A pure function over [`Evidence`]: what the till acknowledged, what the store's events say, what the gateway's journal
//! says, and what the wallets say of themselves. Nothing here asks the wallet's or the payment's own code for an answer:
//! balances are sums over events, and charges are sums over the journal.

use std::collections::{BTreeMap, HashMap};

use super::child::Ack;
use crate::till::Outcome;
use crate::till::ledger::LedgerLine;

/// An outcome that an event of the store records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// The id of the ledger's line.
    pub(crate) line_id: String,
    pub(crate) outcome: Outcome,
}

/// What the store's events say of a payment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PaymentTrail {
    pub(crate) currency: String,
    pub(crate) wallet_minor: i64,
    pub(crate) card_minor: i64,
    /// Every final event it has.
    pub(crate) outcomes: Vec<Outcome>,
}

impl PaymentTrail {
    fn is_completed(&self) -> bool {
        self.outcomes == [Outcome::Completed]
    }
}

/// What the store's events say of a wallet, and what it says itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct WalletTrail {
    pub(crate) currency: String,
    pub(crate) deposited_minor: i64,
    pub(crate) withdrawn_minor: i64,
    pub(crate) captured_minor: i64,
    /// Held by payments, less what was captured of it and let go.
    pub(crate) held_minor: i64,
    /// The balance that the wallet tells.
    pub(crate) balance_told_minor: i64,
    /// What the wallet tells to be locked.
    pub(crate) locked_told_minor: i64,
}

impl WalletTrail {
    fn balance_minor(&self) -> i128 {
        i128::from(self.deposited_minor) - i128::from(self.withdrawn_minor) - i128::from(self.captured_minor)
    }
}

/// What the gateway's journal says of a payment, minor units.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CardTrail {
    pub(crate) currency: String,
    pub(crate) authorised_minor: i64,
    pub(crate) captured_minor: i64,
    pub(crate) voided_minor: i64,
    pub(crate) refunded_minor: i64,
    pub(crate) authorisations: u32,
    pub(crate) captures: u32,
}

impl CardTrail {
    /// What the customer is short of: what was taken and not given back, and what is still locked.
    fn net(&self) -> i128 {
        let [authorised, captured, voided, refunded] =
            [self.authorised_minor, self.captured_minor, self.voided_minor, self.refunded_minor].map(i128::from);
        captured - refunded + (authorised - captured - voided).max(0)
    }
}

/// All that is known of the day.
#[derive(Clone, Debug, Default)]
pub(crate) struct Evidence {
    pub(crate) acks: Vec<Ack>,
    /// The lines that can be booked, by number.
    pub(crate) lines: BTreeMap<u64, LedgerLine>,
    /// Outcomes by the sequence of their event.
    pub(crate) records: HashMap<u64, Record>,
    pub(crate) payments: BTreeMap<String, PaymentTrail>,
    pub(crate) wallets: BTreeMap<String, WalletTrail>,
    /// By payment id.
    pub(crate) cards: BTreeMap<String, CardTrail>,
}

/// One question, and how many times the answer is not what it must be.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Finding {
    pub(crate) check: &'static str,
    pub(crate) found: u64,
    /// How many things were looked at.
    pub(crate) of: u64,
    /// The first few that are wrong, in words.
    pub(crate) examples: Vec<String>,
}

/// Examples that are kept of each finding.
const EXAMPLES_MAX: usize = 5;

impl Finding {
    fn new(check: &'static str) -> Self {
        Self { check, found: 0, of: 0, examples: Vec::new() }
    }

    fn look(&mut self) {
        self.of = self.of.saturating_add(1);
    }

    fn wrong(&mut self, count: u64, example: impl FnOnce() -> String) {
        self.found = self.found.saturating_add(count);
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(example());
        }
    }
}

/// Answers every question about the day; all of them must have found nothing.
pub(crate) fn check(evidence: &Evidence) -> Vec<Finding> {
    vec![
        lost_acknowledgements(evidence),
        lines_without_outcome(evidence),
        payments_with_two_outcomes(evidence),
        charges_without_payment(evidence),
        double_charges(evidence),
        balances_that_are_no_sum(evidence),
        money_out_of_nowhere(evidence),
    ]
}

/// Every acknowledgement names an event that records this outcome of this line.
fn lost_acknowledgements(evidence: &Evidence) -> Finding {
    let mut finding = Finding::new("acknowledged outcomes lost");
    for ack in &evidence.acks {
        finding.look();
        let line = evidence.lines.get(&ack.line);
        let record = evidence.records.get(&ack.sequence);
        let is_kept = match (line, record) {
            (Some(line), Some(record)) => line.id == record.line_id && record.outcome == ack.outcome,
            _ => false,
        };
        if !is_kept {
            finding.wrong(1, || {
                format!("line {}: {} at sequence {} was acknowledged", ack.line, ack.outcome.as_str(), ack.sequence)
            });
        }
    }
    finding
}

fn lines_without_outcome(evidence: &Evidence) -> Finding {
    let mut finding = Finding::new("lines without an outcome, or with two");
    let mut outcomes: HashMap<&str, u64> = HashMap::new();
    for record in evidence.records.values() {
        let count = outcomes.entry(record.line_id.as_str()).or_default();
        *count = count.saturating_add(1);
    }
    for line in evidence.lines.values() {
        finding.look();
        let count = outcomes.get(line.id.as_str()).copied().unwrap_or(0);
        if count != 1 {
            finding.wrong(1, || format!("line {} has {count} outcomes", line.number));
        }
    }
    finding
}

fn payments_with_two_outcomes(evidence: &Evidence) -> Finding {
    let mut finding = Finding::new("payments with two outcomes");
    for (payment_id, trail) in &evidence.payments {
        finding.look();
        if trail.outcomes.len() > 1 {
            finding.wrong(1, || format!("payment {payment_id}: {:?}", trail.outcomes));
        }
    }
    finding
}

fn charges_without_payment(evidence: &Evidence) -> Finding {
    let mut finding = Finding::new("charges without a completed payment");
    for (payment_id, card) in &evidence.cards {
        finding.look();
        let is_completed = evidence.payments.get(payment_id).is_some_and(PaymentTrail::is_completed);
        if card.net() != 0 && !is_completed {
            finding.wrong(1, || format!("payment {payment_id}: {} {} charged", card.net(), card.currency));
        }
    }
    finding
}

fn double_charges(evidence: &Evidence) -> Finding {
    let mut finding = Finding::new("double charges");
    for (payment_id, card) in &evidence.cards {
        finding.look();
        let wanted = evidence.payments.get(payment_id).map_or(0, |trail| i128::from(trail.card_minor));
        if card.captures > 1 || card.authorisations > 1 || card.net() > wanted {
            finding.wrong(1, || {
                format!("payment {payment_id}: {} {} charged, {wanted} were due", card.net(), card.currency)
            });
        }
    }
    finding
}

fn balances_that_are_no_sum(evidence: &Evidence) -> Finding {
    let mut finding = Finding::new("wallets that are not the sum of their events");
    for (user_id, trail) in &evidence.wallets {
        finding.look();
        let is_sum = trail.balance_minor() == i128::from(trail.balance_told_minor)
            && trail.held_minor == trail.locked_told_minor;
        if !is_sum {
            finding.wrong(1, || {
                format!(
                    "wallet {user_id} tells {} and {} locked, its events say {} and {}",
                    trail.balance_told_minor,
                    trail.locked_told_minor,
                    trail.balance_minor(),
                    trail.held_minor
                )
            });
        }
    }
    finding
}

/// Three balances by currency: what went into the wallets less what left them is what they hold; what left them by capture
/// is what completed payments took from them; what cards were charged is what completed payments took from those.
fn money_out_of_nowhere(evidence: &Evidence) -> Finding {
    #[derive(Default)]
    struct Books {
        wallets: i128,
        captures: i128,
        charges: i128,
    }
    let mut finding = Finding::new("money created or destroyed, minor units");
    let mut books: BTreeMap<&str, Books> = BTreeMap::new();
    for trail in evidence.wallets.values() {
        let book = books.entry(&trail.currency).or_default();
        book.wallets += trail.balance_minor() - i128::from(trail.balance_told_minor);
        book.captures += i128::from(trail.captured_minor);
    }
    for card in evidence.cards.values().filter(|card| card.net() != 0) {
        books.entry(&card.currency).or_default().charges += card.net();
    }
    for trail in evidence.payments.values().filter(|trail| trail.is_completed()) {
        let book = books.entry(&trail.currency).or_default();
        book.captures -= i128::from(trail.wallet_minor);
        book.charges -= i128::from(trail.card_minor);
    }
    for (currency, book) in books {
        finding.look();
        let pairs = [("wallets", book.wallets), ("captures", book.captures), ("charges", book.charges)];
        for (what, difference) in pairs.into_iter().filter(|(_, difference)| *difference != 0) {
            let count = u64::try_from(difference.unsigned_abs()).unwrap_or(u64::MAX);
            finding.wrong(count, || format!("{currency}: {what} are off by {difference} minor units"));
        }
    }
    finding
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
