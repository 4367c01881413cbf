//! Compares full and incremental replay over a whole store. Writes nothing.

use std::collections::BTreeSet;
use std::time::Instant;

use serde::Serialize;

use super::payments::payment_stream;
use super::travel::open_payments;
use super::wallets::{is_about_one_aggregate, wallet_stream};
use super::{Finding, FindingKind};
use crate::aggregate::{AsOf, DomainEvent, EventContext, LoadedFrom, Repository};
use crate::error::Result;
use crate::payment::{PAYMENT_TYPE, PaymentEvent, PaymentSaga};
use crate::snapshot::SnapshotPolicy;
use crate::store::Store;
use crate::types::{Sequence, StreamId, Version};
use crate::wallet::Wallet;

/// What a comparison of both strategies found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckReport {
    /// Whether both give the same everywhere, and nothing is wrong.
    pub is_ok: bool,
    /// Everything up to here was looked at.
    pub last_event_sequence: Sequence,
    /// Wallets that were compared.
    pub wallets: u64,
    /// Those of them whose incremental replay started from a snapshot.
    pub wallets_from_snapshot: u64,
    /// Payments that were replayed.
    pub payments: u64,
    /// Those of them that are not over.
    pub payments_open: u64,
    /// Events that were applied.
    pub events_replayed: u64,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// How long it took, milliseconds.
    pub elapsed_ms: u64,
}

/// Replays every wallet from all its events and from its newest snapshot, and every payment from all its events, as of the
/// log's present end; compares, and checks the rules of each. Of payments, which have no snapshots, the incremental side is
/// what the recovery point and the events since tell to be open. Writes nothing, and may run beside a writer.
///
/// # Errors
/// `Corrupt`: a recovery point is beyond the log's end. `Io`, `Closed`: the store's. What is wrong with one aggregate is a
/// finding.
pub fn check(store: &Store) -> Result<CheckReport> {
    let started = Instant::now();
    let mut check = Check::new(store);
    check.all_wallets()?;
    check.all_payments()?;
    check.open_payments()?;
    check.open_holds();
    let mut report = check.report;
    report.is_ok = report.findings.is_empty();
    report.elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(report)
}

struct Check<'a> {
    store: &'a Store,
    wallets: Repository<Wallet>,
    report: CheckReport,
    open: BTreeSet<String>,
    over: BTreeSet<String>,
    /// The payments that open holds are for, each with the wallet's user.
    held_for: Vec<(String, String)>,
}

impl<'a> Check<'a> {
    fn new(store: &'a Store) -> Self {
        Self {
            store,
            wallets: Repository::new(store.clone(), SnapshotPolicy::Never),
            report: CheckReport {
                is_ok: false,
                last_event_sequence: store.last_sequence(),
                wallets: 0,
                wallets_from_snapshot: 0,
                payments: 0,
                payments_open: 0,
                events_replayed: 0,
                findings: Vec::new(),
                elapsed_ms: 0,
            },
            open: BTreeSet::new(),
            over: BTreeSet::new(),
            held_for: Vec::new(),
        }
    }

    fn find(&mut self, stream: String, kind: FindingKind, detail: impl Into<String>) {
        self.report.findings.push(Finding::notice(stream, kind, detail));
    }

    fn all_wallets(&mut self) -> Result<()> {
        for user_id in self.wallets.aggregate_ids() {
            let user_id = user_id?;
            match self.one_wallet(&user_id) {
                Err(error) if is_about_one_aggregate(&error) => {
                    self.find(wallet_stream(&user_id), FindingKind::Unreadable, error.to_string());
                }
                result => result?,
            }
        }
        Ok(())
    }

    fn one_wallet(&mut self, user_id: &str) -> Result<()> {
        let as_of = AsOf::Sequence(self.report.last_event_sequence);
        let full = self.wallets.load_full_as_of(user_id, as_of)?;
        let incremental = self.wallets.load_as_of(user_id, as_of)?;
        let replayed = full.events_replayed.saturating_add(incremental.events_replayed);
        self.report.events_replayed = self.report.events_replayed.saturating_add(replayed);
        if full.version == Version::ZERO {
            // It began after the point that this looks at.
            return Ok(());
        }
        self.report.wallets += 1;
        self.report.wallets_from_snapshot += u64::from(matches!(incremental.loaded_from, LoadedFrom::Snapshot(_)));
        if full.state != incremental.state || full.version != incremental.version {
            let amounts = |wallet: &Wallet| {
                format!(
                    "balance {}, locked {}, version {}",
                    wallet.balance(),
                    wallet.locked_balance(),
                    wallet.version()
                )
            };
            let (full, incremental) = (amounts(&full.state), amounts(&incremental.state));
            let detail = format!("all events give {full}; the snapshot and the events since give {incremental}");
            self.find(wallet_stream(user_id), FindingKind::ReplaysDiffer, detail);
        }
        if let Err(broken) = full.state.check_invariants() {
            self.find(wallet_stream(user_id), FindingKind::InvariantBroken, broken);
        }
        let payments = full.state.holds().values().filter_map(|hold| hold.payment_id.clone());
        self.held_for.extend(payments.map(|payment_id| (payment_id, user_id.to_owned())));
        Ok(())
    }

    fn all_payments(&mut self) -> Result<()> {
        for entry in self.store.streams(&payment_stream("")) {
            let (stream, _) = entry?;
            let Some(payment_id) = stream.aggregate_id(PAYMENT_TYPE).map(str::to_owned) else { continue };
            match self.one_payment(&stream, &payment_id) {
                Err(error) if is_about_one_aggregate(&error) => {
                    self.find(payment_stream(&payment_id), FindingKind::Unreadable, error.to_string());
                }
                result => result?,
            }
        }
        self.report.payments_open = u64::try_from(self.open.len()).unwrap_or(u64::MAX);
        Ok(())
    }

    fn one_payment(&mut self, stream: &StreamId, payment_id: &str) -> Result<()> {
        let (saga, events) = self.replay_payment(stream, payment_id, self.report.last_event_sequence)?;
        if events == 0 {
            return Ok(());
        }
        self.report.payments += 1;
        self.report.events_replayed = self.report.events_replayed.saturating_add(events);
        if saga.started().is_none() {
            self.find(payment_stream(payment_id), FindingKind::InvariantBroken, "it has no beginning");
        }
        match saga.is_over() {
            true => self.over.insert(payment_id.to_owned()),
            false => self.open.insert(payment_id.to_owned()),
        };
        Ok(())
    }

    fn replay_payment(&self, stream: &StreamId, payment_id: &str, end: Sequence) -> Result<(PaymentSaga, u64)> {
        let mut saga = PaymentSaga::new(payment_id);
        let mut events = 0;
        for event in self.store.read_stream(stream, Version::FIRST..) {
            let event = event?;
            if event.sequence > end {
                break;
            }
            saga.apply(&PaymentEvent::decode(&event)?, &EventContext::from(&event));
            events += 1;
        }
        Ok((saga, events))
    }

    /// What the recovery point and the events since tell to be open must be what all events tell.
    fn open_payments(&mut self) -> Result<()> {
        let told = open_payments(self.store, self.report.last_event_sequence)?;
        let missed: Vec<_> = self.open.difference(&told).cloned().collect();
        let stale: Vec<_> = told.intersection(&self.over).cloned().collect();
        for payment_id in missed {
            // A point that was set meanwhile rightly leaves out what has ended since this began to look.
            let stream = StreamId::new(payment_stream(&payment_id))?;
            let (now, _) = self.replay_payment(&stream, &payment_id, Sequence::MAX)?;
            if !now.is_over() {
                let detail = "it is open, but a recovery would not find it";
                self.find(payment_stream(&payment_id), FindingKind::OpenPaymentsDiffer, detail);
            }
        }
        for payment_id in stale {
            let detail = "it is over, but a recovery would take it for open";
            self.find(payment_stream(&payment_id), FindingKind::OpenPaymentsDiffer, detail);
        }
        Ok(())
    }

    fn open_holds(&mut self) {
        for (payment_id, user_id) in std::mem::take(&mut self.held_for) {
            if self.over.contains(&payment_id) {
                let detail = format!("a hold is open for payment {payment_id:?}, which is over");
                self.find(wallet_stream(&user_id), FindingKind::HoldOutlivesPayment, detail);
            }
        }
    }
}
