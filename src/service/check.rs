//! Checks a whole store: both ways to replay it, and that wallets, payments and transfers agree. Writes nothing.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use serde::Serialize;

use super::pass::{Pass, transfer_findings};
use super::payments::payment_stream;
use super::travel::{open_payments, replay};
use super::wallets::{is_about_one_aggregate, wallet_stream};
use super::{Finding, FindingKind};
use crate::aggregate::{Loaded, LoadedFrom, Repository, RestoreOptions};
use crate::error::{Error, ErrorKind, Result};
use crate::payment::PAYMENT_TYPE;
use crate::snapshot::SnapshotPolicy;
use crate::store::Store;
use crate::sync::{AtomicU64, Ordering};
use crate::types::{Sequence, StreamId, Version};
use crate::wallet::Wallet;

/// What transfers moved in a currency, minor units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TransferTotals {
    /// The currency's code.
    pub currency: String,
    /// Taken from wallets.
    pub debited: i128,
    /// Given to wallets.
    pub credited: i128,
}

/// What a check of a whole store found.
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
    /// What transfers moved, by currency.
    pub transfers: Vec<TransferTotals>,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// How long it took, milliseconds.
    pub elapsed_ms: u64,
    /// Wallets compared a second; zero where no time passed by the store's clock.
    pub wallets_per_second: u64,
    /// Payments replayed a second.
    pub payments_per_second: u64,
    /// Events of the log looked at a second.
    pub events_per_second: u64,
}

/// How far a check is. Wallets are compared beside the pass over the events, and after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckProgress {
    /// Events of the log that were looked at.
    pub done_events: u64,
    /// Events of the log.
    pub total_events: u64,
}

/// Is told how far a check is, from several threads, and says whether to go on.
pub type CheckTold<'a> = &'a (dyn Fn(CheckProgress) -> ControlFlow<()> + Sync);

/// Events that are looked at between two words on how far it is.
const STEP_EVENTS: u64 = 1024;

/// Replays every wallet from all its events and from its newest snapshot, and every payment from all its events, as of the
/// log's present end; compares, and checks the rules of each, that holds and payments agree, that versions are those of the
/// index, and that transfers took from wallets what they gave to wallets. Of payments, which have no snapshots, the incremental
/// side is what the recovery point and the events since tell to be open. One pass over the log for the wallets and one for the
/// payments, side by side where there are threads. Writes nothing, and may run beside a writer.
///
/// # Errors
/// `Corrupt`: a recovery point is beyond the log's end. `Io`, `Closed`: the store's. What is wrong with one aggregate is a
/// finding, and so is damage in the log.
pub fn check(store: &Store) -> Result<CheckReport> {
    check_with(store, &|_| ControlFlow::Continue(()))
}

/// As [`check`], telling how far it is; `Break` breaks it off.
///
/// # Errors
/// As [`check`]. `Aborted`: `progress` said so.
pub fn check_with(store: &Store, progress: CheckTold<'_>) -> Result<CheckReport> {
    let started = store.elapsed();
    let end = store.last_sequence();
    let done = AtomicU64::new(0);
    let tell = |seen: u64| {
        let done_events = done.fetch_max(seen, Ordering::Relaxed).max(seen);
        match progress(CheckProgress { done_events, total_events: end.get() }) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::new(ErrorKind::Aborted, "the check was broken off")),
        }
    };
    let tell: Tell<'_> = &tell;
    let (wallets, payments) = if store.has_background() {
        std::thread::scope(|scope| {
            let payments = scope.spawn(|| Payments::check(store, end, tell));
            let wallets = Wallets::check(store, end, tell);
            (wallets, payments.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        })
    } else {
        (Wallets::check(store, end, tell), Payments::check(store, end, tell))
    };
    let (wallets, mut payments) = (wallets?, payments?);
    payments.holds(&wallets.held_for)?;
    let elapsed = store.elapsed().saturating_sub(started);
    let per_second = |count: u64| {
        let rate = u128::from(count).saturating_mul(1_000_000).checked_div(elapsed.as_micros()).unwrap_or(0);
        u64::try_from(rate).unwrap_or(u64::MAX)
    };
    let findings = [wallets.findings, payments.findings].concat();
    Ok(CheckReport {
        is_ok: findings.is_empty(),
        last_event_sequence: end,
        wallets: wallets.count,
        wallets_from_snapshot: wallets.from_snapshot,
        payments: payments.count,
        payments_open: u64::try_from(payments.open.len()).unwrap_or(u64::MAX),
        events_replayed: wallets.events_replayed.saturating_add(payments.events_replayed),
        transfers: payments.transfers,
        findings,
        elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
        wallets_per_second: per_second(wallets.count),
        payments_per_second: per_second(payments.count),
        events_per_second: per_second(end.get()),
    })
}

/// Hears how many events were looked at, and fails where the check is broken off.
type Tell<'a> = &'a (dyn Fn(u64) -> Result<()> + Sync);

/// The wallets, replayed both ways.
#[derive(Default)]
struct Wallets {
    count: u64,
    from_snapshot: u64,
    events_replayed: u64,
    findings: Vec<Finding>,
    /// The payments that open holds are for, each with the wallet's user.
    held_for: Vec<(String, String)>,
}

impl Wallets {
    fn check(store: &Store, end: Sequence, tell: Tell<'_>) -> Result<Self> {
        let wallets = Repository::<Wallet>::new(store.clone(), SnapshotPolicy::Never);
        let full = RestoreOptions { use_snapshots: false, sequence_max: end, ..RestoreOptions::new(store) };
        let incremental = RestoreOptions { use_snapshots: true, ..full };
        let mut check = Self::default();
        let mut ids = wallets.aggregate_ids();
        loop {
            // So many states are held twice.
            let round = ids.by_ref().take(full.states_max / 2).collect::<Result<Vec<String>>>()?;
            if round.is_empty() {
                return Ok(check);
            }
            let mut states = Vec::with_capacity(round.len());
            wallets.restore_each(round.iter().cloned().map(Ok), &full, &mut |_, loaded| {
                states.push(loaded);
                tell(0)
            })?;
            let mut states = states.into_iter();
            wallets.restore_each(round.into_iter().map(Ok), &incremental, &mut |user_id, incremental| {
                tell(0)?;
                let compared = states.next().map_or(Ok(()), |full| check.one(store, user_id, &full?, &incremental?));
                match compared {
                    Err(error) if is_about_one_aggregate(&error) => {
                        check.find(user_id, FindingKind::Unreadable, error.to_string());
                        Ok(())
                    }
                    result => result,
                }
            })?;
        }
    }

    fn find(&mut self, user_id: &str, kind: FindingKind, detail: impl Into<String>) {
        self.findings.push(Finding::notice(wallet_stream(user_id), kind, detail));
    }

    fn one(&mut self, store: &Store, user_id: &str, full: &Loaded<Wallet>, incremental: &Loaded<Wallet>) -> Result<()> {
        let replayed = full.events_replayed.saturating_add(incremental.events_replayed);
        self.events_replayed = self.events_replayed.saturating_add(replayed);
        if full.version == Version::ZERO {
            // It began after the point that this looks at.
            return Ok(());
        }
        self.count += 1;
        self.from_snapshot += u64::from(matches!(incremental.loaded_from, LoadedFrom::Snapshot(_)));
        if full.state != incremental.state || full.version != incremental.version {
            let amounts = |wallet: &Wallet| {
                let (balance, locked, version) = (wallet.balance(), wallet.locked_balance(), wallet.version());
                format!("balance {balance}, locked {locked}, version {version}")
            };
            let (full, incremental) = (amounts(&full.state), amounts(&incremental.state));
            let detail = format!("all events give {full}; the snapshot and the events since give {incremental}");
            self.find(user_id, FindingKind::ReplaysDiffer, detail);
        }
        if let Err(broken) = full.state.check_invariants() {
            self.find(user_id, FindingKind::InvariantBroken, broken);
        }
        let head = store.stream_head(&Repository::<Wallet>::stream(user_id)?)?;
        // Where the head is later, others write meanwhile.
        let is_other =
            head.is_none_or(|head| head.sequence <= full.last_event_sequence && head.version != full.version);
        if is_other {
            let at = head.map_or(Version::ZERO, |head| head.version);
            let detail = format!("all events give version {}, the index says {at}", full.version);
            self.find(user_id, FindingKind::Behind, detail);
        }
        let payments = full.state.holds().values().filter_map(|hold| hold.payment_id.clone());
        self.held_for.extend(payments.map(|payment_id| (payment_id, user_id.to_owned())));
        Ok(())
    }
}

/// The payments, and what transfers moved.
struct Payments<'a> {
    store: &'a Store,
    end: Sequence,
    count: u64,
    events_replayed: u64,
    open: BTreeSet<String>,
    transfers: Vec<TransferTotals>,
    findings: Vec<Finding>,
}

impl<'a> Payments<'a> {
    fn check(store: &'a Store, end: Sequence, tell: Tell<'_>) -> Result<Self> {
        let mut pass = Pass::new(store);
        let mut damage = None;
        if end > Sequence::ZERO {
            for (number, event) in (0_u64..).zip(store.read_all(..=end)) {
                if number.is_multiple_of(STEP_EVENTS) {
                    tell(number)?;
                }
                match event.and_then(|event| pass.take(&event)) {
                    Err(error) if error.kind() == ErrorKind::Corrupt => damage = Some(error),
                    result => result?,
                }
            }
        }
        let mut check = Self {
            store,
            end,
            count: pass.payments,
            events_replayed: pass.events_replayed,
            open: pass.open(),
            transfers: pass.transfers(),
            findings: pass.findings,
        };
        match damage {
            Some(error) => {
                // Nothing that is beyond the damage was seen, so what is known of the whole is worth nothing.
                check.findings = vec![Finding::notice(String::new(), FindingKind::Unreadable, error.to_string())];
                check.transfers.clear();
                check.each_by_itself()?;
            }
            None => check.findings.extend(transfer_findings(&check.transfers)),
        }
        check.told()?;
        Ok(check)
    }

    fn find(&mut self, payment_id: &str, kind: FindingKind, detail: impl Into<String>) {
        self.findings.push(Finding::notice(payment_stream(payment_id), kind, detail));
    }

    /// Reads every payment's stream: where the log is damaged, only those fail that the damage hit.
    fn each_by_itself(&mut self) -> Result<()> {
        (self.count, self.events_replayed) = (0, 0);
        self.open.clear();
        for entry in self.store.streams(&payment_stream("")) {
            let (stream, _) = entry?;
            let Some(payment_id) = stream.aggregate_id(PAYMENT_TYPE) else { continue };
            match replay(self.store, &stream, payment_id, self.end) {
                Ok(saga) if saga.version() == Version::ZERO => {}
                Ok(saga) => {
                    self.count += 1;
                    self.events_replayed = self.events_replayed.saturating_add(saga.version().get());
                    if !saga.is_over() {
                        self.open.insert(payment_id.to_owned());
                    }
                }
                Err(error) if is_about_one_aggregate(&error) => {
                    self.find(payment_id, FindingKind::Unreadable, error.to_string());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether a payment is over; `None` where there is none, or it cannot be read.
    fn is_over(&self, payment_id: &str, end: Sequence) -> Result<Option<bool>> {
        match replay(self.store, &StreamId::new(payment_stream(payment_id))?, payment_id, end) {
            Ok(saga) => Ok((saga.version() > Version::ZERO).then(|| saga.is_over())),
            Err(error) if is_about_one_aggregate(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What the recovery point and the events since tell to be open must be what all events tell.
    fn told(&mut self) -> Result<()> {
        let told = open_payments(self.store, self.end)?;
        let missed: Vec<_> = self.open.difference(&told).cloned().collect();
        let stale: Vec<_> = told.difference(&self.open).cloned().collect();
        for payment_id in missed {
            // A point that was set meanwhile rightly leaves out what has ended since this began to look.
            if self.is_over(&payment_id, Sequence::MAX)? == Some(false) {
                let detail = "it is open, but a recovery would not find it";
                self.find(&payment_id, FindingKind::OpenPaymentsDiffer, detail);
            }
        }
        for payment_id in stale {
            if self.is_over(&payment_id, self.end)? == Some(true) {
                let detail = "it is over, but a recovery would take it for open";
                self.find(&payment_id, FindingKind::OpenPaymentsDiffer, detail);
            }
        }
        Ok(())
    }

    /// Open holds whose payment is over.
    fn holds(&mut self, held_for: &[(String, String)]) -> Result<()> {
        for (payment_id, user_id) in held_for {
            if !self.open.contains(payment_id) && self.is_over(payment_id, self.end)? == Some(true) {
                let detail = format!("a hold is open for payment {payment_id:?}, which is over");
                let stream = wallet_stream(user_id);
                self.findings.push(Finding::notice(stream, FindingKind::HoldOutlivesPayment, detail));
            }
        }
        Ok(())
    }
}
