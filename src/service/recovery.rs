//! The flow of a recovery, and the checkpoints that keep the next one short.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::payments::payment_stream;
use super::wallets::{distance, is_about_one_aggregate, wallet_stream};
use super::{
    Finding, FindingKind, Gate, Health, PAYMENTS_SERVICE, PaymentService, Phase, PhaseReport, RecoveryPoint,
    SagaDecision, SagaReport, SagaService, SagaView, Scope, Service, ServiceReport, Strategy, Trigger, WALLETS_SERVICE,
    WalletService, WalletsReport,
};
use crate::aggregate::{Aggregate, Repository};
use crate::error::{Error, ErrorKind, Result};
use crate::payment::Orchestrator;
use crate::store::Store;
use crate::sync::Mutex;
use crate::types::{Sequence, Timestamp};
use crate::wallet::{HoldOutcome, Wallet};

/// How far back snapshots are fetched ahead.
const SNAPSHOTS_RECENT: Duration = Duration::from_hours(24);

/// Events since the recovery point from which on a day's snapshots are fetched at once. Below it there are fewer aggregates to
/// look up one by one than a day may have snapshots.
const SNAPSHOTS_AHEAD_EVENTS_MIN: u64 = 10_000;

/// Recovers the wallets and the payments of a store. One at a time; killed at any point, it is started again.
pub struct RecoveryService {
    store: Store,
    wallets: WalletService,
    sagas: Arc<dyn SagaService>,
    gate: Gate,
    running: Mutex<()>,
}

impl fmt::Debug for RecoveryService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecoveryService").field("gate", &self.gate).finish_non_exhaustive()
    }
}

/// What one recovery has gathered so far.
struct Run {
    recovery_id: String,
    strategy: Strategy,
    end: Sequence,
    phases: Vec<PhaseReport>,
    findings: Vec<Finding>,
    /// The streams that a finding quarantines, each with the reason.
    quarantined: BTreeMap<String, String>,
    started: Instant,
    phase_started: Instant,
}

impl Run {
    fn new(recovery_id: String, strategy: Strategy, end: Sequence) -> Self {
        let started = Instant::now();
        Self {
            recovery_id,
            strategy,
            end,
            phases: Vec::new(),
            findings: Vec::new(),
            quarantined: BTreeMap::new(),
            started,
            phase_started: started,
        }
    }

    /// Ends a phase; the next one begins.
    fn done(&mut self, phase: Phase, count: impl TryInto<u64>) {
        assert!(self.phases.last().is_none_or(|last| last.phase < phase), "the phases are in the flow's order");
        let now = Instant::now();
        let elapsed_ms = millis(now.duration_since(self.phase_started));
        self.phases.push(PhaseReport { phase, count: count.try_into().unwrap_or(u64::MAX), elapsed_ms });
        self.phase_started = now;
        tracing::debug!(recovery_id = self.recovery_id, ?phase, elapsed_ms, "recovery");
    }

    /// Adds findings. Of an aggregate that is quarantined already nothing more is said: the rest follows from it.
    fn find(&mut self, findings: Vec<Finding>) {
        for finding in findings {
            if self.is_quarantined(&finding.stream) {
                continue;
            }
            tracing::warn!(stream = finding.stream, kind = ?finding.kind, detail = finding.detail, "recovery finding");
            if finding.is_quarantined {
                self.quarantined.insert(finding.stream.clone(), finding.detail.clone());
            }
            self.findings.push(finding);
        }
    }

    fn is_quarantined(&self, stream: &str) -> bool {
        self.quarantined.contains_key(stream)
    }
}

/// The finding for a saga whose wallet is quarantined.
fn held_back(run: &Run, saga_id: &str, user_id: &str) -> Option<Finding> {
    let wallet = wallet_stream(user_id);
    run.is_quarantined(&wallet).then(|| {
        let detail = format!("its wallet, {wallet}, is quarantined");
        Finding::quarantine(payment_stream(saga_id), FindingKind::WalletQuarantined, detail)
    })
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl RecoveryService {
    /// A recovery service over the store that `wallets` stands on, with the payments of `orchestrator`. The gate is closed.
    #[must_use]
    pub fn new(wallets: Repository<Wallet>, orchestrator: Orchestrator) -> Self {
        Self::with_sagas(wallets, Arc::new(PaymentService::new(orchestrator)))
    }

    /// The same with other sagas.
    #[must_use]
    pub fn with_sagas(wallets: Repository<Wallet>, sagas: Arc<dyn SagaService>) -> Self {
        let store = wallets.store().clone();
        Self { store, wallets: WalletService::new(wallets), sagas, gate: Gate::closed(), running: Mutex::new(()) }
    }

    /// The gate that a recovery opens.
    #[must_use]
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// The wallet service.
    #[must_use]
    pub fn wallets(&self) -> &WalletService {
        &self.wallets
    }

    /// The saga service.
    #[must_use]
    pub fn sagas(&self) -> &dyn SagaService {
        self.sagas.as_ref()
    }

    /// Recovers what has failed, and opens the gate. Both services are restored, since each rests on the other; nobody may
    /// write to them meanwhile, which the gate, closed from here on, is for. After a health check that finds all well nothing is
    /// done.
    ///
    /// # Errors
    /// `InvalidInput`: the alert names no service. `NotReady`: another recovery is under way. `Corrupt`: a checkpoint is beyond
    /// the log's end. `Io`, `StorageFull`, `Poisoned`, `Closed`, `ReadOnly`: the store's. The gate stays closed then.
    pub fn recover(&self, trigger: Trigger, strategy: Strategy) -> Result<ServiceReport> {
        let Some(_running) = self.running.try_lock() else {
            return Err(Error::new(ErrorKind::NotReady, "another recovery is under way"));
        };
        let end = self.store.last_sequence();
        // Named by the log's end: the same for a given log, and another one as soon as a recovery has put anything on record.
        let mut run = Run::new(format!("recovery-{end}"), strategy, end);

        let failed_services = self.identify(&trigger)?;
        run.done(Phase::IdentifyFailedService, failed_services.len());
        if failed_services.is_empty() {
            return Ok(self.report(run, trigger, failed_services, Vec::new(), WalletsReport::default(), Vec::new()));
        }
        self.gate.close("the services are recovering");

        let [wallets_point, sagas_point] = self.recovery_points(&mut run)?;
        let touched = self.events_since(&mut run, &wallets_point)?;
        let incomplete = self.sagas.incomplete(sagas_point.last_event_sequence, &sagas_point.pending)?;
        let incomplete: BTreeSet<String> = incomplete.into_iter().collect();
        run.done(Phase::IncompleteSagas, incomplete.len());

        let restored = self.restore(&mut run, &touched, &incomplete)?;
        let mut sagas = self.resume(&mut run, &incomplete)?;
        self.validate(&mut run, &touched.user_ids, &incomplete)?;
        for saga in &mut sagas {
            if run.is_quarantined(&payment_stream(&saga.saga_id)) {
                saga.decision = SagaDecision::HeldBack;
            }
        }

        let last_snapshot_id = [&restored.last_snapshot_id, &wallets_point.last_snapshot_id];
        let last_snapshot_id = last_snapshot_id.into_iter().find(|id| !id.is_empty()).cloned().unwrap_or_default();
        let points = self.set_points(run.end, last_snapshot_id, &run.quarantined, incomplete)?;
        run.done(Phase::Complete, points);

        self.gate.set_quarantined(run.quarantined.clone());
        self.wallets.ready();
        run.done(Phase::WalletServiceReady, 1_u64);
        self.sagas.ready();
        self.gate.open();
        run.done(Phase::OrchestratorReady, 1_u64);
        let wallets = WalletsReport {
            restored: restored.aggregates,
            from_snapshot: restored.from_snapshot,
            events_replayed: restored.events_replayed,
        };
        Ok(self.report(run, trigger, failed_services, vec![wallets_point, sagas_point], wallets, sagas))
    }

    /// Moves the recovery points to the log's end, so that the next recovery has little to read: before a close, and now and
    /// then. Wallets that have changed since the last ones are validated; others may write meanwhile. Returns the sequence
    /// of the new points.
    ///
    /// # Errors
    /// `NotReady`: nothing was recovered yet, or a recovery is under way. Otherwise as [`recover`](Self::recover).
    pub fn checkpoint(&self) -> Result<Sequence> {
        let Some(_running) = self.running.try_lock() else {
            return Err(Error::new(ErrorKind::NotReady, "a recovery is under way"));
        };
        self.gate.check()?;
        let wallets_point = RecoveryPoint::load(&self.store, WALLETS_SERVICE)?;
        let sagas_point = RecoveryPoint::load(&self.store, PAYMENTS_SERVICE)?;
        let mut run = Run::new(String::new(), Strategy::Incremental, self.store.last_sequence());
        let touched = self.touched(&wallets_point, run.end)?;
        let incomplete = self.sagas.incomplete(sagas_point.last_event_sequence, &sagas_point.pending)?;
        run.find(self.wallets.validate(&touched.user_ids)?);
        for (stream, reason) in &run.quarantined {
            self.gate.quarantine(stream, reason);
        }
        // Those found bad by a recovery stay bad until a recovery says otherwise.
        let quarantined = self.gate.quarantined();
        let incomplete = incomplete.into_iter().collect();
        self.set_points(run.end, wallets_point.last_snapshot_id, &quarantined, incomplete)?;
        Ok(run.end)
    }

    fn identify(&self, trigger: &Trigger) -> Result<Vec<String>> {
        let services: [&dyn Service; 2] = [&self.wallets, self.sagas.as_ref()];
        let ids = |is_failed: &dyn Fn(&dyn Service) -> bool| {
            services.iter().filter(|service| is_failed(**service)).map(|service| service.id().to_owned()).collect()
        };
        match trigger {
            Trigger::Open => Ok(ids(&|_| true)),
            Trigger::HealthCheck => Ok(ids(&|service| service.health() != Health::Healthy)),
            Trigger::Alert { service_id, reason } => {
                let Some(service) = services.iter().find(|service| service.id() == service_id) else {
                    return Err(Error::new(ErrorKind::InvalidInput, format!("there is no service {service_id:?}")));
                };
                service.fail(reason);
                Ok(ids(&|service| service.health() != Health::Healthy))
            }
        }
    }

    fn recovery_points(&self, run: &mut Run) -> Result<[RecoveryPoint; 2]> {
        let mut points = [WALLETS_SERVICE, PAYMENTS_SERVICE].map(RecoveryPoint::beginning);
        for point in &mut points {
            // Loaded for a full replay too: one that is beyond the log's end must be noticed.
            let loaded = RecoveryPoint::load(&self.store, &point.service_id)?;
            if run.strategy == Strategy::Incremental {
                *point = loaded;
            }
        }
        let set = points.iter().filter(|point| point.last_event_sequence > Sequence::ZERO).count();
        run.done(Phase::RecoveryPoint, set);
        Ok(points)
    }

    /// Fetches snapshots ahead where that pays, then finds the wallets that have changed.
    fn events_since(&self, run: &mut Run, point: &RecoveryPoint) -> Result<Touched> {
        let is_much = distance(point.last_event_sequence, run.end) >= SNAPSHOTS_AHEAD_EVENTS_MIN;
        let mut snapshots = BTreeMap::new();
        if run.strategy == Strategy::Incremental && is_much {
            let now = self.store.now().as_micros();
            let recent = i64::try_from(SNAPSHOTS_RECENT.as_micros()).unwrap_or(i64::MAX);
            snapshots = self.wallets.snapshots_since(Timestamp::from_micros(now.saturating_sub(recent)))?;
        }
        run.done(Phase::LoadSnapshots, snapshots.len());
        let touched = self.touched(point, run.end)?;
        run.done(Phase::EventsSince, touched.events);
        Ok(Touched { snapshots, ..touched })
    }

    fn touched(&self, point: &RecoveryPoint, end: Sequence) -> Result<Touched> {
        let mut touched = Touched { user_ids: point.pending.clone(), ..Touched::default() };
        if point.last_event_sequence >= end {
            return Ok(touched);
        }
        for event in self.store.read_all(point.last_event_sequence.next()..=end) {
            let event = event?;
            touched.events += 1;
            if let Some(user_id) = event.stream.aggregate_id(Wallet::AGGREGATE_TYPE)
                && !touched.user_ids.contains(user_id)
            {
                touched.user_ids.insert(user_id.to_owned());
            }
        }
        Ok(touched)
    }

    fn restore(&self, run: &mut Run, touched: &Touched, incomplete: &BTreeSet<String>) -> Result<super::Restored> {
        let strategy = run.strategy;
        let scope = Scope { aggregate_ids: &touched.user_ids, strategy, snapshots: &touched.snapshots };
        let mut restored = self.wallets.restore(&scope)?;
        run.find(std::mem::take(&mut restored.findings));
        run.done(Phase::RestoreWallets, restored.aggregates);
        let scope = Scope { aggregate_ids: incomplete, strategy, snapshots: &BTreeMap::new() };
        let sagas = self.sagas.restore(&scope)?;
        run.find(sagas.findings);
        run.done(Phase::RestoreOrchestrator, sagas.aggregates);
        Ok(restored)
    }

    fn resume(&self, run: &mut Run, incomplete: &BTreeSet<String>) -> Result<Vec<SagaReport>> {
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

    fn resume_one(&self, run: &mut Run, saga_id: &str) -> Result<SagaDecision> {
        let stream = payment_stream(saga_id);
        if !run.is_quarantined(&stream) {
            let user_id = self.sagas.view(saga_id)?.and_then(|view| view.user_id);
            run.find(user_id.and_then(|user_id| held_back(run, saga_id, &user_id)).into_iter().collect());
        }
        if run.is_quarantined(&stream) {
            return Ok(SagaDecision::HeldBack);
        }
        self.sagas.resume(saga_id, &run.recovery_id, self.store.now())
    }

    fn validate(&self, run: &mut Run, user_ids: &BTreeSet<String>, incomplete: &BTreeSet<String>) -> Result<()> {
        run.find(self.wallets.validate(user_ids)?);
        run.find(self.holds_of_ended_sagas(user_ids, incomplete)?);
        run.done(Phase::ValidateWallets, user_ids.len());
        run.find(self.sagas.validate(incomplete)?);
        let findings = self.open_sagas_and_wallets(run, incomplete)?;
        run.find(findings);
        run.done(Phase::ValidateSagas, incomplete.len());
        Ok(())
    }

    /// Open holds that are for a payment of ours that is over. A hold may name a payment of somebody else's, too.
    fn holds_of_ended_sagas(&self, user_ids: &BTreeSet<String>, incomplete: &BTreeSet<String>) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        for (payment_id, user_id) in self.wallets.payments_held_for(user_ids)? {
            if incomplete.contains(&payment_id) {
                continue;
            }
            match self.sagas.view(&payment_id) {
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
    fn open_sagas_and_wallets(&self, run: &Run, incomplete: &BTreeSet<String>) -> Result<Vec<Finding>> {
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

    fn open_saga_and_wallet(&self, run: &Run, saga_id: &str) -> Result<Option<Finding>> {
        let Some(SagaView { user_id: Some(user_id), is_over: false }) = self.sagas.view(saga_id)? else {
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
    fn set_points(
        &self,
        end: Sequence,
        last_snapshot_id: String,
        quarantined: &BTreeMap<String, String>,
        incomplete: BTreeSet<String>,
    ) -> Result<u64> {
        // A payment may have been taken off the list because it ended after `end`. That end must be durable before the list is,
        // or a power cut would bring back an open payment that nobody looks for.
        self.store.sync()?;
        let prefix = wallet_stream("");
        let bad_wallets =
            quarantined.keys().filter_map(|stream| stream.strip_prefix(&prefix)).map(str::to_owned).collect();
        let wallets = RecoveryPoint {
            service_id: WALLETS_SERVICE.to_owned(),
            last_event_sequence: end,
            last_snapshot_id,
            pending: bad_wallets,
        };
        let sagas = RecoveryPoint {
            service_id: PAYMENTS_SERVICE.to_owned(),
            last_event_sequence: end,
            last_snapshot_id: String::new(),
            pending: incomplete,
        };
        let mut set = 0;
        for point in [wallets, sagas] {
            match point.save(&self.store) {
                Ok(()) => set += 1,
                Err(error) => {
                    tracing::warn!(service_id = point.service_id, %error, "a recovery point is not set");
                }
            }
        }
        Ok(set)
    }

    fn report(
        &self,
        run: Run,
        trigger: Trigger,
        failed_services: Vec<String>,
        recovery_points: Vec<RecoveryPoint>,
        wallets: WalletsReport,
        sagas: Vec<SagaReport>,
    ) -> ServiceReport {
        ServiceReport {
            recovery_id: run.recovery_id,
            trigger,
            strategy: run.strategy,
            failed_services,
            recovery_points,
            phases: run.phases,
            wallets,
            sagas,
            findings: run.findings,
            last_event_sequence: run.end,
            elapsed_ms: millis(run.started.elapsed()),
            is_ready: self.gate.is_open(),
        }
    }
}

/// What has changed since a recovery point.
#[derive(Debug, Default)]
struct Touched {
    events: u64,
    user_ids: BTreeSet<String>,
    snapshots: BTreeMap<String, crate::snapshot::Snapshot>,
}
