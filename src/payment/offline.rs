//! Payments without a network: what may be taken on trust, and how much of it there is.
//!
//! Invariants: what is stored and what is about to be never exceeds the policy, whatever threads do; what is counted is what
//! the log tells, or more for a moment. A payment is counted from before its acceptance is committed until its card was
//! authorised or refused, or it is over.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::draft::Draft;
use super::event::OfflineAccepted;
use super::gateway::{GatewayAnswer, GatewayCommand};
use super::orchestrator::Orchestrator;
use super::record;
use super::state::PaymentSaga;
use crate::error::{Error, ErrorKind, Result};
use crate::money::{Currency, Money};
use crate::sabotage::{self, Defect};
use crate::sync::Mutex;
use crate::types::{Sequence, Timestamp};

/// What may be taken on trust while there is no network. The default is nothing: a payment then waits for a network, up to
/// its deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OfflinePolicy {
    /// The highest card part of one payment, minor units.
    pub floor_limit: i64,
    /// How many payments may be stored at a time. Zero: none, and nothing is refused for want of a network.
    pub payments_max: u32,
    /// The highest sum of the stored payments' card parts, minor units, for each currency.
    pub sum_max: i64,
    /// How long there is to upload a payment that was stored. Default a day.
    pub upload_within: Duration,
}

impl Default for OfflinePolicy {
    fn default() -> Self {
        Self { floor_limit: 0, payments_max: 0, sum_max: 0, upload_within: Duration::from_secs(24 * 60 * 60) }
    }
}

impl OfflinePolicy {
    /// Whether anything is taken on trust.
    #[must_use]
    pub const fn is_any(&self) -> bool {
        self.payments_max > 0
    }

    /// Checks every field.
    ///
    /// # Errors
    /// `InvalidInput`: a limit is negative, or there is no time to upload.
    pub fn check(&self) -> Result<()> {
        let invalid = |text: &str| Err(Error::new(ErrorKind::InvalidInput, text));
        if self.floor_limit < 0 || self.sum_max < 0 {
            return invalid("offline payments: a limit is negative");
        }
        if self.upload_within.is_zero() {
            return invalid("offline payments: upload_within is 0");
        }
        Ok(())
    }
}

/// What is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OfflineStored {
    /// How many payments.
    pub payments: u32,
    /// Their card parts, added up for each currency, in the order of the codes.
    pub sums: Vec<Money>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    amount: Money,
    /// Workers that are about to put its acceptance on record.
    pending: u32,
    is_stored: bool,
    /// It was uploaded, or ended: whoever is late with its acceptance does not count it again.
    is_settled: bool,
}

/// The counters. `None` until the log was asked.
#[derive(Debug, Default)]
pub(super) struct OfflineCounters {
    entries: Mutex<Option<BTreeMap<String, Entry>>>,
}

impl OfflineCounters {
    /// Takes note of what is on record of a payment: one that is stored no more counts no more.
    pub(super) fn note(&self, saga: &PaymentSaga) {
        if saga.offline().is_none() || saga.is_stored_offline() {
            return;
        }
        if let Some(entries) = &mut *self.entries.lock() {
            release(entries, saga.payment_id(), |entry| {
                entry.is_stored = false;
                entry.is_settled = true;
            });
        }
    }

    /// Counts a payment that is about to be accepted. An error in the result is the reason why it may not be.
    fn reserve(
        &self,
        orchestrator: &Orchestrator,
        payment_id: &str,
        amount: Money,
    ) -> Result<std::result::Result<(), String>> {
        let policy = &orchestrator.inner.options.offline;
        let mut guard = self.entries.lock();
        if guard.is_none() {
            *guard = Some(stored_in(orchestrator, &orchestrator.incomplete(Sequence::ZERO, &BTreeSet::new())?)?);
        }
        let entries = guard.get_or_insert_default();
        if let Some(entry) = entries.get_mut(payment_id) {
            entry.pending = entry.pending.saturating_add(1);
            return Ok(Ok(()));
        }
        if let Some(reason) = refusal(policy, entries, amount) {
            return Ok(Err(reason));
        }
        entries.insert(payment_id.to_owned(), Entry { amount, pending: 1, is_stored: false, is_settled: false });
        Ok(Ok(()))
    }

    /// Ends what [`reserve`](Self::reserve) began.
    fn conclude(&self, payment_id: &str, is_on_record: bool) {
        if let Some(entries) = &mut *self.entries.lock() {
            release(entries, payment_id, |entry| {
                entry.pending = entry.pending.saturating_sub(1);
                entry.is_stored |= is_on_record && !entry.is_settled;
            });
        }
    }
}

fn release(entries: &mut BTreeMap<String, Entry>, payment_id: &str, change: impl FnOnce(&mut Entry)) {
    let Some(entry) = entries.get_mut(payment_id) else { return };
    change(entry);
    if entry.pending == 0 && !entry.is_stored {
        entries.remove(payment_id);
    }
}

/// Why a payment may not be taken on trust beside those that are.
fn refusal(policy: &OfflinePolicy, entries: &BTreeMap<String, Entry>, amount: Money) -> Option<String> {
    if amount.minor > policy.floor_limit {
        return Some(format!("{} is over the floor limit of {}", amount.minor, policy.floor_limit));
    }
    let count = u32::try_from(entries.len()).unwrap_or(u32::MAX);
    if count >= policy.payments_max {
        return Some(format!("{count} payments are stored, at most {} may be", policy.payments_max));
    }
    let sum = sum_of(entries, amount.currency);
    if sum.checked_add(amount.minor).is_none_or(|sum| sum > policy.sum_max) {
        return Some(format!("{} on top of {sum} that are stored is over {}", amount.minor, policy.sum_max));
    }
    None
}

fn sum_of(entries: &BTreeMap<String, Entry>, currency: Currency) -> i64 {
    let amounts = entries.values().filter(|entry| entry.amount.currency == currency).map(|entry| entry.amount.minor);
    amounts.fold(0_i64, i64::saturating_add)
}

/// Those of the payments that are stored.
fn stored_in<'a>(
    orchestrator: &Orchestrator,
    payment_ids: impl IntoIterator<Item = &'a String>,
) -> Result<BTreeMap<String, Entry>> {
    let mut entries = BTreeMap::new();
    for payment_id in payment_ids {
        if sabotage::has(Defect::ForgetOfflineStored) {
            continue;
        }
        let saga = Draft::load(orchestrator.store(), payment_id)?.saga;
        if let Some(amount) = saga.card_part().filter(|_| saga.is_stored_offline()) {
            entries.insert(payment_id.clone(), Entry { amount, pending: 0, is_stored: true, is_settled: false });
        }
    }
    Ok(entries)
}

impl Orchestrator {
    /// Counts the payments that are stored without a network, out of the log: of `incomplete`, which are all that are not over
    /// (see [`incomplete`](Self::incomplete)). A recovery calls it; without that, the first payment that finds no network
    /// does so for the whole store. It may be called at any time.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn rebuild_offline<'a>(&self, incomplete: impl IntoIterator<Item = &'a String>) -> Result<()> {
        let mut guard = self.inner.offline.entries.lock();
        let found = stored_in(self, incomplete)?;
        let entries = guard.get_or_insert_default();
        for (payment_id, entry) in found {
            // What was stored since the caller looked is in there already, and stays.
            entries.entry(payment_id).and_modify(|known| known.is_stored = true).or_insert(entry);
        }
        Ok(())
    }

    /// What is stored without a network.
    ///
    /// # Errors
    /// As [`rebuild_offline`](Self::rebuild_offline), where nobody has counted yet.
    pub fn offline_stored(&self) -> Result<OfflineStored> {
        let is_counted = self.inner.offline.entries.lock().is_some();
        if !is_counted {
            self.rebuild_offline(&self.incomplete(Sequence::ZERO, &BTreeSet::new())?)?;
        }
        let guard = self.inner.offline.entries.lock();
        let Some(entries) = &*guard else { return Ok(OfflineStored::default()) };
        let stored: BTreeMap<String, Entry> =
            entries.iter().filter(|(_, entry)| entry.is_stored).map(|(id, entry)| (id.clone(), *entry)).collect();
        let currencies: BTreeSet<&str> = stored.values().map(|entry| entry.amount.currency.code()).collect();
        let sums = currencies.into_iter().filter_map(Currency::from_code);
        Ok(OfflineStored {
            payments: u32::try_from(stored.len()).unwrap_or(u32::MAX),
            sums: sums.map(|currency| Money::new(sum_of(&stored, currency), currency)).collect(),
        })
    }

    /// Whether the policy decides on a charge that found no network. Not where an earlier attempt may have arrived: such a
    /// payment is neither refused nor accepted, it waits.
    pub(super) fn is_for_offline_policy(&self, saga: &PaymentSaga, answer: &GatewayAnswer) -> bool {
        let call = saga.call(GatewayCommand::Authorise);
        let only_unsent = call.attempts == call.unsent.saturating_add(1);
        *answer == GatewayAnswer::Offline
            && self.inner.options.offline.is_any()
            && only_unsent
            && saga.offline().is_none()
            && saga.compensation().is_none()
    }

    /// Takes a charge that found no network on trust, or refuses it, as the policy says.
    pub(super) fn decide_offline(&self, draft: &mut Draft, now: Timestamp) -> Result<()> {
        let payment_id = draft.saga.payment_id().to_owned();
        let Some(amount) = draft.saga.card_part() else { return Ok(()) };
        if let Err(reason) = self.inner.offline.reserve(self, &payment_id, amount)? {
            let reason = format!("there is no network, and {reason}");
            draft.push(record::offline_refused(&draft.saga, &reason));
            return Ok(());
        }
        let upload_by = now.plus(self.inner.options.offline.upload_within);
        draft.push(record::answered(&draft.saga, GatewayCommand::Authorise, &GatewayAnswer::Offline));
        draft.push(OfflineAccepted { amount: amount.minor, upload_by }.into());
        let result = self.flush(draft);
        self.inner.offline.conclude(&payment_id, result.is_ok());
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What: a payment that was uploaded by one worker while another one had only just put its acceptance on record stayed
    /// counted. Why: the end of the reservation set what the upload had cleared. How found: by reading it.
    #[test]
    fn an_acceptance_that_is_noted_after_the_upload_counts_no_more() {
        let amount = Money::new(5, Currency::from_code("EUR").unwrap());
        let entry = Entry { amount, pending: 1, is_stored: false, is_settled: false };
        let counters = OfflineCounters { entries: Mutex::new(Some(BTreeMap::from([("p".to_owned(), entry)]))) };
        let mut uploaded = PaymentSaga::new("p");
        uploaded.offline = Some(OfflineAccepted { amount: 5, upload_by: Timestamp::EPOCH });
        uploaded.authorise.published(1);
        uploaded.authorise.approved();
        counters.note(&uploaded);
        counters.conclude("p", true);
        assert!(counters.entries.lock().as_ref().unwrap().is_empty());
    }
}
