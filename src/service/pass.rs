//! One pass over the log for the whole store's check: every payment, its hold beside it, and what transfers moved.
//!
//! What is over is let go of at once, so memory is for what is open at a time, however long the log is.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::payments::payment_stream;
use super::travel::replay;
use super::wallets::is_about_one_aggregate;
use super::{Finding, FindingKind, TransferTotals};
use crate::aggregate::{Aggregate, DomainEvent, EventContext, FieldValue, FlatFields};
use crate::error::Result;
use crate::payment::{OutcomeKind, PAYMENT_TYPE, PaymentEvent, PaymentSaga};
use crate::store::Store;
use crate::types::{Event, Sequence, Version};
use crate::wallet::{Wallet, WalletEvent};

/// What became of a payment's hold, as the wallet's events tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    Open,
    /// Minor units.
    Captured(i128),
    LetGo,
}

struct Open {
    saga: PaymentSaga,
    hold: Option<Hold>,
}

/// See the module.
pub(super) struct Pass<'a> {
    store: &'a Store,
    open: HashMap<String, Open>,
    unreadable: BTreeSet<String>,
    transfers: BTreeMap<String, (i128, i128)>,
    pub(super) payments: u64,
    pub(super) events_replayed: u64,
    pub(super) findings: Vec<Finding>,
}

impl<'a> Pass<'a> {
    pub(super) fn new(store: &'a Store) -> Self {
        Self {
            store,
            open: HashMap::new(),
            unreadable: BTreeSet::new(),
            transfers: BTreeMap::new(),
            payments: 0,
            events_replayed: 0,
            findings: Vec::new(),
        }
    }

    /// Takes in the next event of the log.
    ///
    /// # Errors
    /// `Corrupt`, `Io`, `Closed`: the store's. What is wrong with a payment is a finding.
    pub(super) fn take(&mut self, event: &Event) -> Result<()> {
        if let Some(payment_id) = event.stream.aggregate_id(PAYMENT_TYPE) {
            return match self.take_payment(payment_id, event) {
                Err(error) if is_about_one_aggregate(&error) => {
                    self.open.remove(payment_id);
                    if self.unreadable.insert(payment_id.to_owned()) {
                        self.find(payment_id, FindingKind::Unreadable, error.to_string());
                    }
                    Ok(())
                }
                result => result,
            };
        }
        if event.stream.aggregate_id(Wallet::AGGREGATE_TYPE).is_some() {
            // An event of a wallet that cannot be read is found where the wallets are.
            self.take_wallet_event(event);
        }
        Ok(())
    }

    /// The payments that are not over.
    pub(super) fn open(&self) -> BTreeSet<String> {
        self.open.keys().cloned().collect()
    }

    /// What transfers moved, by currency; what went out of wallets and what came into others must be the same.
    pub(super) fn transfers(&self) -> Vec<TransferTotals> {
        let totals = |(currency, (debited, credited)): (&String, &(i128, i128))| TransferTotals {
            currency: currency.clone(),
            debited: *debited,
            credited: *credited,
        };
        self.transfers.iter().map(totals).collect()
    }

    fn find(&mut self, payment_id: &str, kind: FindingKind, detail: impl Into<String>) {
        self.findings.push(Finding::notice(payment_stream(payment_id), kind, detail));
    }

    fn take_payment(&mut self, payment_id: &str, event: &Event) -> Result<()> {
        if self.unreadable.contains(payment_id) {
            return Ok(());
        }
        self.events_replayed += 1;
        if event.version == Version::FIRST {
            self.payments += 1;
            self.open.insert(payment_id.to_owned(), Open { saga: PaymentSaga::new(payment_id), hold: None });
        } else if !self.open.contains_key(payment_id) {
            // It was over, and something came later; it may be open again.
            let saga = replay(self.store, &event.stream, payment_id, event.sequence.previous())?;
            self.open.insert(payment_id.to_owned(), Open { saga, hold: None });
        }
        let fact = PaymentEvent::decode(event)?;
        let Some(open) = self.open.get_mut(payment_id) else { return Ok(()) };
        let was_over = open.saga.outcome().is_some();
        open.saga.apply(&fact, &EventContext::from(event));
        let (is_begun, is_over, hold) = (open.saga.started().is_some(), is_over(&open.saga), open.hold);
        let disagreement = if was_over { None } else { disagreement(&open.saga, hold) };
        if event.version == Version::FIRST && !is_begun {
            self.find(payment_id, FindingKind::InvariantBroken, "it has no beginning");
        }
        if let Some(detail) = disagreement {
            self.find(payment_id, FindingKind::HoldDisagrees, detail);
        }
        if is_over {
            self.open.remove(payment_id);
        }
        Ok(())
    }

    fn take_wallet_event(&mut self, event: &Event) {
        let kind = event.event_type.as_str();
        if !matches!(
            kind,
            "FundsHeld" | "HoldCaptured" | "HoldReleased" | "HoldExpired" | "TransferDebited" | "TransferCredited"
        ) {
            return;
        }
        let Ok(fact) = WalletEvent::decode(event) else { return };
        let fields = fact.fields();
        let text = |name: &str| match fields.iter().find(|(known, _)| *known == name) {
            Some((_, FieldValue::Text(text))) => Some(text.as_str()),
            _ => None,
        };
        let amount = match fields.iter().find(|(known, _)| *known == "amount") {
            Some((_, FieldValue::Integer(amount))) => i128::from(*amount),
            _ => 0,
        };
        if matches!(kind, "TransferDebited" | "TransferCredited") {
            let (debited, credited) =
                self.transfers.entry(text("currency").unwrap_or_default().to_owned()).or_default();
            let total = if kind == "TransferDebited" { debited } else { credited };
            *total = total.saturating_add(amount);
            return;
        }
        // A payment's own hold has its name.
        let Some(open) = text("hold_id").and_then(|hold_id| self.open.get_mut(hold_id)) else { return };
        open.hold = Some(match (kind, open.hold) {
            ("FundsHeld", _) => Hold::Open,
            ("HoldCaptured", Some(Hold::Captured(before))) => Hold::Captured(before.saturating_add(amount)),
            ("HoldCaptured", _) => Hold::Captured(amount),
            _ => Hold::LetGo,
        });
    }
}

/// Whether nothing is left to be done about a payment.
pub(super) fn is_over(saga: &PaymentSaga) -> bool {
    saga.is_over()
}

/// How a payment that has just got its outcome and its hold contradict each other.
fn disagreement(saga: &PaymentSaga, hold: Option<Hold>) -> Option<String> {
    let outcome = saga.outcome()?;
    let wallet_part = saga.wallet_part().map_or(0, |part| i128::from(part.minor));
    match (outcome.kind, hold) {
        (OutcomeKind::Completed, Some(Hold::Captured(amount))) if amount == wallet_part => None,
        (OutcomeKind::Completed, None) if wallet_part == 0 => None,
        (OutcomeKind::Completed, _) => {
            let found = match hold {
                None => "nothing was held".to_owned(),
                Some(Hold::Open) => "its hold was open".to_owned(),
                Some(Hold::Captured(amount)) => format!("its hold was captured with {amount}"),
                Some(Hold::LetGo) => "its hold was let go".to_owned(),
            };
            Some(format!("it is completed, {wallet_part} of it from the wallet, and {found}"))
        }
        (kind, Some(Hold::Captured(amount))) => {
            Some(format!("it is {}, and its hold was captured with {amount}", kind.as_str()))
        }
        _ => None,
    }
}

/// Sums of transfers that do not agree, as findings about the store as a whole.
pub(super) fn transfer_findings(transfers: &[TransferTotals]) -> Vec<Finding> {
    let differ = transfers.iter().filter(|totals| totals.debited != totals.credited);
    let finding = |totals: &TransferTotals| {
        let TransferTotals { currency, debited, credited } = totals;
        let detail = format!("transfers took {debited} {currency} from wallets and gave {credited} to wallets");
        Finding::notice(String::new(), FindingKind::TransfersDiffer, detail)
    };
    differ.map(finding).collect()
}

/// What transfers moved in a range. Both sides of one are in one commit, so every range between commits must add up.
///
/// # Errors
/// `Corrupt`, `Io`, `Closed`: the store's.
pub(super) fn transfers_within(store: &Store, from: Sequence, end: Sequence) -> Result<Vec<TransferTotals>> {
    let mut pass = Pass::new(store);
    for event_type in ["TransferDebited", "TransferCredited"] {
        if from >= end {
            break;
        }
        let event_type = crate::types::EventType::new(event_type)?;
        for event in store.read_all(from.next()..=end).of_type(&event_type) {
            pass.take_wallet_event(&event?);
        }
    }
    Ok(pass.transfers())
}
