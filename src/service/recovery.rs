//! The recovery service: what it recovers, when, and in which order.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tracing::field::Empty;

use super::extension::Extension;
use super::member::Member;
use super::payments::payment_stream;
use super::record;
use super::registered::Attempt;
use super::run::Run;
use super::wallets::wallet_stream;
use super::{
    Gate, PAYMENTS_SERVICE, PaymentService, Phase, RecoverOptions, RecoveryPoint, SagaDecision, SagaReport,
    SagaService, Service, ServiceReport, Strategy, Trigger, WALLETS_SERVICE, WalletService, WalletsReport,
};
use crate::aggregate::Repository;
use crate::error::{Error, ErrorKind, Result};
use crate::payment::Orchestrator;
use crate::store::Store;
use crate::sync::{AtomicBool, Mutex, RwLock};
use crate::types::Sequence;
use crate::wallet::Wallet;

/// Why the gate is closed while a recovery is under way.
const RECOVERING: &str = "the services are recovering";

/// Recovers the wallets and the payments of a store, and the services that are registered beside them. One recovery at a time;
/// killed at any point, it is started again.
pub struct RecoveryService {
    pub(super) store: Store,
    pub(super) wallets: Arc<WalletService>,
    pub(super) sagas: Arc<dyn SagaService>,
    /// The wallets and the sagas. They are restored together, since each rests on the other.
    pub(super) core: [Member; 2],
    registered: RwLock<Vec<Arc<Member>>>,
    pub(super) gate: Gate,
    running: Mutex<()>,
    pub(super) last_recovery_id: Mutex<Option<String>>,
    /// Whether it is on record how long the store was closed before this open, so that no deadline is put off twice.
    is_extension_on_record: AtomicBool,
}

impl fmt::Debug for RecoveryService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecoveryService").field("gate", &self.gate).finish_non_exhaustive()
    }
}

/// What a recovery is of.
struct Failed {
    /// All of it, by id, in the services' order.
    service_ids: Vec<String>,
    is_core: bool,
    registered: Vec<Arc<Member>>,
}

/// What a recovery came to.
#[derive(Default)]
struct Outcome {
    wallets: WalletsReport,
    sagas: Vec<SagaReport>,
    points: Vec<RecoveryPoint>,
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
        let wallets = Arc::new(WalletService::new(wallets));
        let core: [Arc<dyn Service>; 2] = [Arc::clone(&wallets) as Arc<dyn Service>, Arc::clone(&sagas) as _];
        let core = core.map(Member::new);
        let gate = Gate::closed();
        for member in &core {
            gate.add(member.id(), member.aggregate_type(), true);
        }
        Self {
            store,
            wallets,
            sagas,
            core,
            registered: RwLock::new(Vec::new()),
            gate,
            running: Mutex::new(()),
            last_recovery_id: Mutex::new(None),
            is_extension_on_record: AtomicBool::new(false),
        }
    }

    /// Adds a service of the caller's own, such as a projection. It is restored, validated and made ready by the recoveries from
    /// now on, after the wallets and the sagas, and has a recovery point of its own. Where it fails, with an error or a panic, it
    /// stays unready, and nobody else is stopped; it is then recovered alone.
    ///
    /// # Errors
    /// `InvalidInput`: its id is empty. `AlreadyExists`: there is a service of this id, or one that owns the same type of
    /// aggregates.
    pub fn register(&self, service: Arc<dyn Service>) -> Result<()> {
        let member = Member::new(service);
        if member.id().is_empty() {
            return Err(Error::new(ErrorKind::InvalidInput, "a service needs an id"));
        }
        let mut registered = self.registered.write();
        for known in self.core.iter().chain(registered.iter().map(Arc::as_ref)) {
            let is_same_type = member.aggregate_type().is_some() && known.aggregate_type() == member.aggregate_type();
            if known.id() == member.id() || is_same_type {
                let text = format!("service {:?} is in the way of service {:?}", known.id(), member.id());
                return Err(Error::new(ErrorKind::AlreadyExists, text));
            }
        }
        self.gate.add(member.id(), member.aggregate_type(), false);
        registered.push(Arc::new(member));
        Ok(())
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

    pub(super) fn registered(&self) -> Vec<Arc<Member>> {
        self.registered.read().clone()
    }

    /// What `look` makes of each service, in their order.
    pub(super) fn each_member<T>(&self, mut look: impl FnMut(&Member) -> T) -> Vec<T> {
        let registered = self.registered();
        self.core.iter().chain(registered.iter().map(Arc::as_ref)).map(&mut look).collect()
    }

    /// Recovers what has failed, and opens the gate. The wallets and the sagas are restored together, since each rests on the
    /// other; nobody may write to them meanwhile, which the gate, closed from here on, is for. After a health check that finds all
    /// well nothing is done.
    ///
    /// # Errors
    /// `InvalidInput`: the alert names no service. `NotReady`: another recovery is under way, or the wallets or the sagas
    /// panicked. `Corrupt`: a checkpoint is beyond the log's end. `Io`, `StorageFull`, `Poisoned`, `Closed`, `ReadOnly`: the
    /// store's. The gate stays closed then.
    pub fn recover(&self, trigger: Trigger, strategy: Strategy) -> Result<ServiceReport> {
        self.recover_with(trigger, strategy, RecoverOptions::default())
    }

    /// As [`recover`](Self::recover), with so many threads, and telling how far it is.
    ///
    /// # Errors
    /// As [`recover`](Self::recover).
    pub fn recover_with(
        &self,
        trigger: Trigger,
        strategy: Strategy,
        options: RecoverOptions<'_>,
    ) -> Result<ServiceReport> {
        self.recover_of(trigger, strategy, options, None)
    }

    /// Recovers one service, whether it is well or not, and none beside it; of the wallets and the sagas both.
    ///
    /// # Errors
    /// `InvalidInput`: there is no such service. Otherwise as [`recover`](Self::recover).
    pub fn recover_service(&self, service_id: &str, strategy: Strategy) -> Result<ServiceReport> {
        let reason = "it is to be recovered".to_owned();
        let only = BTreeSet::from([service_id.to_owned()]);
        let trigger = Trigger::Alert { service_id: service_id.to_owned(), reason };
        self.recover_of(trigger, strategy, RecoverOptions::default(), Some(&only))
    }

    /// As [`recover_with`](Self::recover_with), of none but these services, where they are given.
    pub(super) fn recover_of(
        &self,
        trigger: Trigger,
        strategy: Strategy,
        options: RecoverOptions<'_>,
        only: Option<&BTreeSet<String>>,
    ) -> Result<ServiceReport> {
        let Some(_running) = self.running.try_lock() else {
            return Err(Error::new(ErrorKind::NotReady, "another recovery is under way"));
        };
        let span = tracing::info_span!(
            target: "bitacora", "recovery",
            trigger = trigger.as_str(), strategy = strategy.as_str(), sequence = self.store.last_sequence().get(),
            restored = Empty, sagas = Empty, findings = Empty
        );
        let report = span.in_scope(|| self.recover_one(trigger, strategy, options, only))?;
        span.record("restored", report.wallets.restored);
        span.record("sagas", report.sagas.len());
        span.record("findings", report.findings.len());
        Ok(report)
    }

    /// The recovery itself, while no other one is under way.
    fn recover_one(
        &self,
        trigger: Trigger,
        strategy: Strategy,
        options: RecoverOptions<'_>,
        only: Option<&BTreeSet<String>>,
    ) -> Result<ServiceReport> {
        let mut run = Run::new(&self.store, strategy, options);
        let failed = self.identify(&trigger, only)?;
        run.done(Phase::IdentifyFailedService, failed.service_ids.len());
        if failed.service_ids.is_empty() {
            return Ok(self.report(run, trigger, failed, Outcome::default(), &[]));
        }
        let recovered = self.close(&failed);
        let points = [WALLETS_SERVICE, PAYMENTS_SERVICE].map(RecoveryPoint::beginning);
        let mut outcome = Outcome::default();
        let core_points = if failed.is_core { Some(self.points(&run, points)?) } else { None };
        let mut attempts = Vec::new();
        for member in &failed.registered {
            let [point] = self.points(&run, [RecoveryPoint::beginning(member.id())])?;
            attempts.push(Attempt::new(Arc::clone(member), point));
        }
        outcome.points.extend(core_points.iter().flatten().cloned());
        outcome.points.extend(attempts.iter().map(|attempt| attempt.point.clone()));
        let set = outcome.points.iter().filter(|point| point.last_event_sequence > Sequence::ZERO).count();
        run.done(Phase::RecoveryPoint, set);
        // Here, since a checkpoint that tells of a loss comes first, and nothing was written yet.
        self.begin(&mut run, &trigger, &failed)?;
        match &core_points {
            Some(points) => self.recover_core(&mut run, points, &mut attempts, &mut outcome)?,
            None => {
                self.restore_registered(&mut run, &mut attempts)?;
                Self::validate_registered(&mut run, &mut attempts);
                self.store.sync()?;
                let set = self.set_registered_points(&run, &attempts);
                run.done(Phase::Complete, set);
            }
        }
        record::completed(&self.store, &run, outcome.wallets.restored, &outcome.sagas);
        self.make_ready(&mut run, &recovered, core_points.is_some(), &mut attempts)?;
        *self.last_recovery_id.lock() = Some(run.recovery_id.clone());
        Ok(self.report(run, trigger, failed, outcome, &attempts))
    }

    /// Puts on record that the recovery begins, and by how much it puts off deadlines.
    fn begin(&self, run: &mut Run<'_>, trigger: &Trigger, failed: &Failed) -> Result<()> {
        if failed.is_core {
            let is_first = !self.is_extension_on_record.load(Ordering::Relaxed);
            let own = if is_first { self.store.deadline_extension() } else { Duration::ZERO };
            run.extension = Extension::find(&self.store, own)?;
        }
        let is_on_record = record::started(&self.store, run, trigger, &failed.service_ids);
        if failed.is_core && is_on_record {
            self.is_extension_on_record.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// The phases of the wallets and the sagas, and those of the registered services between them.
    fn recover_core(
        &self,
        run: &mut Run<'_>,
        points: &[RecoveryPoint; 2],
        attempts: &mut [Attempt],
        outcome: &mut Outcome,
    ) -> Result<()> {
        let [wallets_point, sagas_point] = points;
        let touched = self.events_since(run, wallets_point)?;
        let incomplete = self.incomplete(sagas_point)?;
        run.done(Phase::IncompleteSagas, incomplete.len());
        let restored = self.restore_core(run, &touched, &incomplete, points)?;
        self.restore_registered(run, attempts)?;
        outcome.sagas = self.resume_sagas(run, &incomplete)?;
        self.validate_core(run, &touched, &incomplete)?;
        Self::validate_registered(run, attempts);
        self.watch_sagas(run, &incomplete)?;
        for saga in &mut outcome.sagas {
            if run.is_quarantined(&payment_stream(&saga.saga_id)) {
                saga.decision = SagaDecision::HeldBack;
            }
        }
        outcome.wallets = WalletsReport {
            restored: restored.aggregates,
            from_snapshot: restored.from_snapshot,
            events_replayed: restored.events_replayed,
        };
        let last_snapshot_id = [&restored.last_snapshot_id, &wallets_point.last_snapshot_id];
        let last_snapshot_id = last_snapshot_id.into_iter().find(|id| !id.is_empty()).cloned().unwrap_or_default();
        let mut set = 0;
        if run.store_finding().is_none() {
            set = self.set_core_points(run.end, last_snapshot_id, &run.quarantined, incomplete)?;
            set = set.saturating_add(self.set_registered_points(run, attempts));
        }
        run.done(Phase::Complete, set);
        Ok(())
    }

    /// Lets the services serve that were recovered, unless something is wrong with the store as a whole.
    fn make_ready(
        &self,
        run: &mut Run<'_>,
        recovered: &BTreeSet<String>,
        is_core: bool,
        attempts: &mut [Attempt],
    ) -> Result<()> {
        self.gate.set_quarantined(recovered, run.quarantined.clone());
        if let Some(finding) = run.store_finding() {
            let reason = format!("the store as a whole is not right: {}", finding.detail);
            let each = |member: &Member| {
                if recovered.contains(member.id()) {
                    member.fail(&reason);
                    self.gate.close(member.id(), &reason);
                }
            };
            self.each_member(each);
            return Ok(());
        }
        if is_core {
            let [wallets, sagas] = &self.core;
            wallets.ready()?;
            run.done(Phase::WalletServiceReady, 1_u64);
            sagas.ready()?;
            self.gate.open(wallets.id());
            self.gate.open(sagas.id());
            run.done(Phase::OrchestratorReady, 1_u64);
        }
        self.ready_registered(run, attempts);
        Ok(())
    }

    /// Moves the recovery points to the log's end, so that the next recovery has little to read: before a close, and now and
    /// then. Wallets that have changed since the last ones are validated; others may write meanwhile. Registered services' points
    /// move as far as they say that they are. Returns the sequence of the new points.
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
        let mut run = Run::new(&self.store, Strategy::Incremental, RecoverOptions::default());
        let touched = self.touched(&wallets_point, run.end)?;
        let incomplete = self.incomplete(&sagas_point)?;
        run.find(self.of_wallets("validating", |wallets| wallets.validate(&touched.user_ids))?);
        for (stream, reason) in &run.quarantined {
            self.gate.quarantine(stream, reason);
        }
        // Those found bad by a recovery stay bad until a recovery says otherwise.
        let quarantined = self.gate.quarantined();
        self.set_core_points(run.end, wallets_point.last_snapshot_id, &quarantined, incomplete)?;
        self.checkpoint_registered()?;
        Ok(run.end)
    }

    fn identify(&self, trigger: &Trigger, only: Option<&BTreeSet<String>>) -> Result<Failed> {
        let known: BTreeSet<String> = self.each_member(|member| member.id().to_owned()).into_iter().collect();
        if let Trigger::Alert { service_id, reason } = trigger {
            if !known.contains(service_id) {
                return Err(Error::new(ErrorKind::InvalidInput, format!("there is no service {service_id:?}")));
            }
            self.each_member(|member| {
                if member.id() == service_id {
                    member.fail(reason);
                }
            });
        }
        let is_failed = |member: &Member| {
            let is_asked_for = only.is_none_or(|only| only.contains(member.id()));
            is_asked_for && (*trigger == Trigger::Open || !member.is_healthy())
        };
        let core = self.core.iter().filter(|member| is_failed(member)).map(|member| member.id().to_owned());
        let mut service_ids: Vec<String> = core.collect();
        let is_core = !service_ids.is_empty();
        let registered: Vec<_> = self.registered().into_iter().filter(|member| is_failed(member)).collect();
        service_ids.extend(registered.iter().map(|member| member.id().to_owned()));
        Ok(Failed { service_ids, is_core, registered })
    }

    /// Closes the gate for what is recovered, and says what that is.
    fn close(&self, failed: &Failed) -> BTreeSet<String> {
        let core = self.core.iter().filter(|_| failed.is_core).map(|member| member.id().to_owned());
        let recovered: BTreeSet<String> =
            core.chain(failed.registered.iter().map(|member| member.id().to_owned())).collect();
        for service_id in &recovered {
            self.gate.close(service_id, RECOVERING);
        }
        recovered
    }

    fn points<const COUNT: usize>(
        &self,
        run: &Run<'_>,
        mut points: [RecoveryPoint; COUNT],
    ) -> Result<[RecoveryPoint; COUNT]> {
        for point in &mut points {
            // Loaded for a full replay too: one that is beyond the log's end must be noticed.
            let loaded = RecoveryPoint::load(&self.store, &point.service_id)?;
            if run.strategy == Strategy::Incremental {
                *point = loaded;
            }
        }
        Ok(points)
    }

    fn report(
        &self,
        run: Run<'_>,
        trigger: Trigger,
        failed: Failed,
        outcome: Outcome,
        attempts: &[Attempt],
    ) -> ServiceReport {
        ServiceReport {
            elapsed_ms: run.elapsed_ms(),
            recovery_id: run.recovery_id,
            trigger,
            strategy: run.strategy,
            failed_services: failed.service_ids,
            recovery_points: outcome.points,
            phases: run.phases,
            wallets: outcome.wallets,
            services: attempts.iter().map(Attempt::report).collect(),
            sagas: outcome.sagas,
            findings: run.findings,
            last_event_sequence: run.end,
            is_ready: self.gate.is_open(),
        }
    }
}

/// The wallets among quarantined streams.
pub(super) fn bad_wallets<'a>(quarantined: impl Iterator<Item = &'a String>) -> BTreeSet<String> {
    let prefix = wallet_stream("");
    quarantined.filter_map(|stream| stream.strip_prefix(&prefix)).map(str::to_owned).collect()
}
