//! The flow of a recovery of the wallets and the sagas, phase by phase.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::time::Duration;

use super::pass::{transfer_findings, transfers_within};
use super::payments::payment_stream;
use super::recovery::bad_wallets;
use super::run::Run;
use super::wallets::{distance, is_about_one_aggregate, wallet_stream};
use super::{
    Finding, FindingKind, PAYMENTS_SERVICE, Phase, RecoveryPoint, RecoveryService, Restored, SagaDecision, SagaReport,
    SagaService, SagaView, Scope, Service, Strategy, WALLETS_SERVICE, WalletService,
};
use crate::aggregate::Aggregate;
use crate::error::Result;
use crate::snapshot::Snapshot;
use crate::store::Store;
use crate::types::{Sequence, Timestamp};
use crate::wallet::{HoldOutcome, Wallet};

/// How far back snapshots are fetched ahead.
const SNAPSHOTS_RECENT: Duration = Duration::from_hours(24);

/// Events since the recovery point from which on a day's snapshots are fetched at once. Below it there are fewer aggregates to
/// look up one by one than a day may have snapshots.
const SNAPSHOTS_AHEAD_EVENTS_MIN: u64 = 10_000;

/// What has changed since a recovery point.
#[derive(Debug, Default)]
pub(super) struct Touched {
    events: u64,
    pub(super) user_ids: BTreeSet<String>,
    snapshots: BTreeMap<String, Snapshot>,
    /// After this.
    from: Sequence,
    /// Whether anything was moved from wallet to wallet.
    has_transfers: bool,
}

/// The finding for a saga whose wallet is quarantined.
fn held_back(run: &Run<'_>, saga_id: &str, user_id: &str) -> Option<Finding> {
    let wallet = wallet_stream(user_id);
    run.is_quarantined(&wallet).then(|| {
        let detail = format!("its wallet, {wallet}, is quarantined");
        Finding::quarantine(payment_stream(saga_id), FindingKind::WalletQuarantined, detail)
    })
}

/// Adds the ids of the aggregates of a type that have an event in the range to `ids`.
///
/// # Errors
/// `Corrupt`, `Io`, `Closed`: the store's.
pub(super) fn add_touched(
    store: &Store,
    aggregate_type: &str,
    from: Sequence,
    end: Sequence,
    ids: &mut BTreeSet<String>,
) -> Result<()> {
    add_touched_looking(store, aggregate_type, (from, end), ids, &mut |_| {})
}

/// As [`add_touched`], and shows the types of these aggregates' events.
fn add_touched_looking(
    store: &Store,
    aggregate_type: &str,
    (from, end): (Sequence, Sequence),
    ids: &mut BTreeSet<String>,
    look: &mut dyn FnMut(&str),
) -> Result<()> {
    if from >= end {
        return Ok(());
    }
    store.visit(from.next()..=end, |event| {
        let id = event.stream.strip_prefix(aggregate_type).and_then(|rest| rest.strip_prefix('-'));
        if let Some(id) = id {
            look(event.event_type);
            if !ids.contains(id) {
                ids.insert(id.to_owned());
            }
        }
        Ok(ControlFlow::Continue(()))
    })
}

impl RecoveryService {
    /// Does what is the wallets'; a panic in it is an error.
    pub(super) fn of_wallets<T>(&self, doing: &str, work: impl FnOnce(&WalletService) -> Result<T>) -> Result<T> {
        let [member, _] = &self.core;
        member.guard(doing, || work(&self.wallets))
    }

    /// Does what is the sagas'; a panic in it is an error.
    pub(super) fn of_sagas<T>(&self, doing: &str, work: impl FnOnce(&dyn SagaService) -> Result<T>) -> Result<T> {
        let [_, member] = &self.core;
        member.guard(doing, || work(self.sagas.as_ref()))
    }

    fn view(&self, saga_id: &str) -> Result<Option<SagaView>> {
        self.of_sagas("looking at a saga", |sagas| sagas.view(saga_id))
    }

    /// The sagas that are not over, by the recovery point and what came since.
    pub(super) fn incomplete(&self, point: &RecoveryPoint) -> Result<BTreeSet<String>> {
        let incomplete = self
            .of_sagas("looking for open sagas", |sagas| sagas.incomplete(point.last_event_sequence, &point.pending))?;
        Ok(incomplete.into_iter().collect())
    }

    /// Fetches snapshots ahead where that pays, then finds the wallets that have changed.
    pub(super) fn events_since(&self, run: &mut Run<'_>, point: &RecoveryPoint) -> Result<Touched> {
        let is_much = distance(point.last_event_sequence, run.end) >= SNAPSHOTS_AHEAD_EVENTS_MIN;
        let mut snapshots = BTreeMap::new();
        if run.strategy == Strategy::Incremental && is_much {
            let now = self.store.now().as_micros();
            let recent = i64::try_from(SNAPSHOTS_RECENT.as_micros()).unwrap_or(i64::MAX);
            let since = Timestamp::from_micros(now.saturating_sub(recent));
            snapshots = self.of_wallets("loading snapshots", |wallets| wallets.snapshots_since(since))?;
        }
        run.done(Phase::LoadSnapshots, snapshots.len());
        let touched = self.touched(point, run.end)?;
        run.done(Phase::EventsSince, touched.events);
        Ok(Touched { snapshots, ..touched })
    }

    pub(super) fn touched(&self, point: &RecoveryPoint, end: Sequence) -> Result<Touched> {
        let from = point.last_event_sequence;
        let mut user_ids = point.pending.clone();
        let mut has_transfers = false;
        let look = &mut |event_type: &str| {
            has_transfers |= event_type == "TransferDebited" || event_type == "TransferCredited"
        };
        add_touched_looking(&self.store, Wallet::AGGREGATE_TYPE, (from, end), &mut user_ids, look)?;
        Ok(Touched { events: distance(from, end), user_ids, snapshots: BTreeMap::new(), from, has_transfers })
    }

    pub(super) fn restore_core(
        &self,
        run: &mut Run<'_>,
        touched: &Touched,
        incomplete: &BTreeSet<String>,
        points: &[RecoveryPoint; 2],
    ) -> Result<Restored> {
        let options = run.options;
        let [wallets_point, sagas_point] = points;
        let scope = Scope {
            aggregate_ids: &touched.user_ids,
            strategy: run.strategy,
            snapshots: &touched.snapshots,
            from: wallets_point.last_event_sequence,
            end: run.end,
            threads: run.threads(),
            progress: &|done| options.tell(Phase::RestoreWallets, done, count(touched.user_ids.len())),
        };
        let mut restored = self.of_wallets("restoring", |wallets| wallets.restore(&scope))?;
        run.find(std::mem::take(&mut restored.findings));
        run.done(Phase::RestoreWallets, restored.aggregates);
        let scope = Scope {
            aggregate_ids: incomplete,
            snapshots: &BTreeMap::new(),
            from: sagas_point.last_event_sequence,
            progress: &|done| options.tell(Phase::RestoreOrchestrator, done, count(incomplete.len())),
            ..scope
        };
        let sagas = self.of_sagas("restoring", |sagas| sagas.restore(&scope))?;
        run.find(sagas.findings);
        run.done(Phase::RestoreOrchestrator, sagas.aggregates);
        Ok(restored)
    }

    pub(super) fn resume_sagas(&self, run: &mut Run<'_>, incomplete: &BTreeSet<String>) -> Result<Vec<SagaReport>> {
        let mut sagas = Vec::new();
        for saga_id in incomplete {
            let decision = match self.resume_one(run, saga_id) {
                Ok(decision) => decision,
                Err(error) if is_about_one_aggregate(&error) => {
                    let stream = payment_stream(saga_id);
                    run.find(vec![Finding::quarantine(stream, FindingKind::Unreadable, error.to_string())]);
                    SagaDecision::HeldBack
                }
                Err(error) => return Err(error.context(format_args!("resume {}", payment_stream(saga_id)))),
            };
            sagas.push(SagaReport { saga_id: saga_id.clone(), decision });
        }
        run.done(Phase::ResumeSagas, sagas.len());
        Ok(sagas)
    }

    /// Tells whoever polls what is open, and what is to be left alone.
    pub(super) fn watch_sagas(&self, run: &Run<'_>, incomplete: &BTreeSet<String>) -> Result<()> {
        let held_back =
            incomplete.iter().filter(|id| run.is_quarantined(&payment_stream(id))).cloned().collect::<BTreeSet<_>>();
        self.of_sagas("watching", |sagas| sagas.watch(run.end, incomplete, &held_back))
    }

    fn resume_one(&self, run: &mut Run<'_>, saga_id: &str) -> Result<SagaDecision> {
        let stream = payment_stream(saga_id);
        let mut resumed_by = None;
        if !run.is_quarantined(&stream)
            && let Some(view) = self.view(saga_id)?
        {
            resumed_by = view.recovery_id;
            run.find(view.user_id.and_then(|user_id| held_back(run, saga_id, &user_id)).into_iter().collect());
        }
        if run.is_quarantined(&stream) {
            return Ok(SagaDecision::HeldBack);
        }
        let extend_by = run.extension.of(resumed_by.as_deref());
        self.of_sagas("resuming a saga", |sagas| sagas.resume(saga_id, &run.recovery_id, self.store.now(), extend_by))
    }

    pub(super) fn validate_core(
        &self,
        run: &mut Run<'_>,
        touched: &Touched,
        incomplete: &BTreeSet<String>,
    ) -> Result<()> {
        let user_ids = &touched.user_ids;
        run.find(self.of_wallets("validating", |wallets| wallets.validate(user_ids))?);
        run.find(self.holds_of_ended_sagas(user_ids, incomplete)?);
        if touched.has_transfers {
            run.find(transfer_findings(&transfers_within(&self.store, touched.from, run.end)?));
        }
        run.done(Phase::ValidateWallets, user_ids.len());
        run.find(self.of_sagas("validating", |sagas| sagas.validate(incomplete))?);
        let findings = self.open_sagas_and_wallets(run, incomplete)?;
        run.find(findings);
        run.done(Phase::ValidateSagas, incomplete.len());
        Ok(())
    }

    /// Open holds that are for a payment of ours that is over. A hold may name a payment of somebody else's, too.
    fn holds_of_ended_sagas(&self, user_ids: &BTreeSet<String>, incomplete: &BTreeSet<String>) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        for (payment_id, user_id) in self.of_wallets("validating", |wallets| wallets.payments_held_for(user_ids))? {
            if incomplete.contains(&payment_id) {
                continue;
            }
            match self.view(&payment_id) {
                Ok(Some(view)) if view.is_over => {
                    let detail = format!("a hold is open for payment {payment_id:?}, which is over");
                    findings.push(Finding::notice(wallet_stream(&user_id), FindingKind::HoldOutlivesPayment, detail));
                }
                Ok(_) => {}
                Err(error) if is_about_one_aggregate(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(findings)
    }

    /// Open payments whose wallet turned out bad, and those whose hold was captured: capture and outcome are one commit.
    fn open_sagas_and_wallets(&self, run: &Run<'_>, incomplete: &BTreeSet<String>) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        for saga_id in incomplete {
            match self.open_saga_and_wallet(run, saga_id) {
                Ok(finding) => findings.extend(finding),
                // What cannot be read is found where it is restored.
                Err(error) if is_about_one_aggregate(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(findings)
    }

    fn open_saga_and_wallet(&self, run: &Run<'_>, saga_id: &str) -> Result<Option<Finding>> {
        let Some(SagaView { user_id: Some(user_id), is_over: false, .. }) = self.view(saga_id)? else {
            return Ok(None);
        };
        if let Some(finding) = held_back(run, saga_id, &user_id) {
            return Ok(Some(finding));
        }
        let Some(HoldOutcome::Captured { amount }) = self.wallets.hold_outcome(&user_id, saga_id)? else {
            return Ok(None);
        };
        let detail = format!("its hold was captured with {amount}, and it is not over");
        Ok(Some(Finding::quarantine(payment_stream(saga_id), FindingKind::CapturedBeforeOutcome, detail)))
    }

    /// Sets both recovery points, and returns how many were set. One that cannot be set costs the next recovery time and
    /// nothing else.
    pub(super) fn set_core_points(
        &self,
        end: Sequence,
        last_snapshot_id: String,
        quarantined: &BTreeMap<String, String>,
        incomplete: BTreeSet<String>,
    ) -> Result<u64> {
        // A payment may have been taken off the list because it ended after `end`. That end must be durable before the list is,
        // or a power cut would bring back an open payment that nobody looks for.
        self.store.sync()?;
        let wallets = RecoveryPoint {
            service_id: WALLETS_SERVICE.to_owned(),
            last_event_sequence: end,
            last_snapshot_id,
            pending: bad_wallets(quarantined.keys()),
        };
        let sagas = RecoveryPoint {
            service_id: PAYMENTS_SERVICE.to_owned(),
            last_event_sequence: end,
            last_snapshot_id: String::new(),
            pending: incomplete,
        };
        let mut set = 0;
        for point in [wallets, sagas] {
            set += u64::from(self.try_save(&point));
        }
        Ok(set)
    }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
