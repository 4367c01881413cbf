use std::sync::atomic::AtomicU64;

use super::*;
use crate::aggregate::{Aggregate, DomainEvent};
use crate::sync::Mutex;

/// What it is to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Well,
    FailRestore,
    PanicAtRestore,
    PanicAtValidate,
    PanicAtReady,
    PanicAtHealth,
    BlamesAWallet,
}

/// A projection: what was deposited, all wallets together.
pub(super) struct Turnover {
    id: &'static str,
    store: Store,
    deposited: AtomicU64,
    through: AtomicU64,
    restores: AtomicU64,
    health: Mutex<Health>,
    mood: Mutex<Mood>,
}

impl Turnover {
    pub(super) fn new(id: &'static str, store: &Store) -> Arc<Self> {
        Arc::new(Self {
            id,
            store: store.clone(),
            deposited: AtomicU64::new(0),
            through: AtomicU64::new(0),
            restores: AtomicU64::new(0),
            health: Mutex::new(Health::Starting),
            mood: Mutex::new(Mood::Well),
        })
    }

    fn set(&self, mood: Mood) {
        *self.mood.lock() = mood;
    }

    /// As a program that sees its service fail at its own work.
    pub(super) fn break_down(&self) {
        *self.health.lock() = Health::Failed("its table is gone".into());
        self.set(Mood::FailRestore);
    }

    pub(super) fn mend(&self) {
        self.set(Mood::Well);
    }

    fn is(&self, mood: Mood) -> bool {
        *self.mood.lock() == mood
    }
}

impl Service for Turnover {
    fn id(&self) -> &str {
        self.id
    }

    fn health(&self) -> Health {
        assert!(!self.is(Mood::PanicAtHealth), "no pulse");
        self.health.lock().clone()
    }

    fn fail(&self, reason: &str) {
        *self.health.lock() = Health::Failed(reason.to_owned());
    }

    fn restore(&self, scope: &Scope<'_>) -> Result<Restored> {
        assert!(!self.is(Mood::PanicAtRestore), "no memory");
        if self.is(Mood::FailRestore) {
            return Err(Error::new(ErrorKind::Io, "its table is gone"));
        }
        self.restores.fetch_add(1, Ordering::SeqCst);
        // It keeps its numbers in memory, so it begins anew where it has none.
        let known = self.through.load(Ordering::SeqCst);
        let from = if known == 0 || scope.strategy == Strategy::Full { Sequence::ZERO } else { Sequence::new(known) };
        if from == Sequence::ZERO {
            self.deposited.store(0, Ordering::SeqCst);
        }
        let mut restored = Restored::default();
        for event in self.store.read_all(from.next()..=scope.end) {
            let event = event?;
            restored.events_replayed += 1;
            (scope.progress)(restored.events_replayed);
            if event.stream.aggregate_id(Wallet::AGGREGATE_TYPE).is_none() {
                continue;
            }
            if let Ok(WalletEvent::FundsDeposited(fact)) = WalletEvent::decode(&event) {
                self.deposited.fetch_add(u64::try_from(fact.amount.minor).unwrap(), Ordering::SeqCst);
            }
        }
        self.through.store(scope.end.get(), Ordering::SeqCst);
        restored.aggregates = 1;
        if self.is(Mood::BlamesAWallet) {
            restored.findings.push(Finding::quarantine("wallet-ana".into(), FindingKind::Behind, "it says so"));
            restored.findings.push(Finding::quarantine(String::new(), FindingKind::Behind, "and of the store"));
        }
        Ok(restored)
    }

    fn validate(&self, _: &BTreeSet<String>) -> Result<Vec<Finding>> {
        assert!(!self.is(Mood::PanicAtValidate), "no sense");
        Ok(Vec::new())
    }

    fn ready(&self) {
        assert!(!self.is(Mood::PanicAtReady), "no will");
        *self.health.lock() = Health::Healthy;
    }

    fn dealt_with(&self) -> Option<Sequence> {
        Some(Sequence::new(self.through.load(Ordering::SeqCst)))
    }
}

fn stream(name: &str) -> StreamId {
    StreamId::new(name).unwrap()
}

#[test]
fn a_registered_service_is_restored_validated_and_made_ready_after_the_wallets_and_the_orchestrator() {
    let till = Till::new();
    till.open_wallet("ana", 100);
    let turnover = Turnover::new("turnover", &till.store);
    till.recovery.register(turnover.clone()).unwrap();
    assert_eq!(till.recovery.gate().check_service("turnover").unwrap_err().kind(), ErrorKind::NotReady);
    let report = till.recover(Strategy::Incremental);
    let phases: Vec<Phase> = report.phases.iter().map(|done| done.phase).collect();
    let of_services = [Phase::RestoreServices, Phase::ValidateServices, Phase::ServicesReady];
    assert!(of_services.iter().all(|phase| phases.contains(phase)), "{phases:?}");
    assert!(phases.is_sorted() && phases.len() == ALL_PHASES.len() + of_services.len());
    assert_eq!(report.failed_services, [WALLETS_SERVICE, PAYMENTS_SERVICE, "turnover"]);
    let expected = RestoredService { service_id: "turnover".into(), restored: 1, events_replayed: 2, failure: None };
    assert_eq!(report.services, [expected]);
    assert_eq!(turnover.deposited.load(Ordering::SeqCst), 100);
    till.recovery.gate().check_service("turnover").unwrap();
    let point = RecoveryPoint::load(&till.store, "turnover").unwrap();
    assert_eq!(point.last_event_sequence, report.last_event_sequence, "it has a recovery point of its own");
}

#[test]
fn a_registered_service_fails_alone_and_is_recovered_alone() {
    let till = Till::new();
    till.open_wallet("ana", 100);
    let turnover = Turnover::new("turnover", &till.store);
    let second = Turnover::new("second", &till.store);
    till.recovery.register(turnover.clone()).unwrap();
    till.recovery.register(second.clone()).unwrap();
    for mood in [Mood::FailRestore, Mood::PanicAtRestore, Mood::PanicAtValidate, Mood::PanicAtReady] {
        turnover.set(mood);
        let report = till.recover(Strategy::Incremental);
        assert!(report.is_ready, "{mood:?}");
        let found: Vec<_> = report.findings.iter().map(|finding| (finding.stream.as_str(), finding.kind)).collect();
        assert_eq!(found, [("service/turnover", FindingKind::ServiceFailed)], "{mood:?}");
        assert!(report.services[0].failure.is_some() && report.services[1].failure.is_none(), "{mood:?}");
        let gate = till.recovery.gate();
        gate.check_stream(&stream("wallet-ana")).unwrap();
        gate.check_service("second").unwrap();
        assert_eq!(gate.check_service("turnover").unwrap_err().kind(), ErrorKind::NotReady);
        let service = &till.recovery.health().services[2];
        assert_eq!((service.service_id.as_str(), service.state), ("turnover", HealthState::Failed), "{mood:?}");
        till.deposit("ana", 1);
        // Mended, it is recovered alone: nobody else is restored, and their gates stay open.
        turnover.set(Mood::Well);
        let restores = second.restores.load(Ordering::SeqCst);
        let report = till.recovery.recover(Trigger::HealthCheck, Strategy::Incremental).unwrap();
        assert_eq!(report.failed_services, ["turnover"], "{mood:?}");
        assert!(report.is_ready && report.findings.is_empty());
        assert_eq!(second.restores.load(Ordering::SeqCst), restores);
        assert!(!report.phases.iter().any(|done| done.phase == Phase::RestoreWallets));
        gate.check_service("turnover").unwrap();
        assert!(till.recovery.health().is_well);
    }
    assert_eq!(turnover.deposited.load(Ordering::SeqCst), 104, "every deposit once, whatever came between");
}

#[test]
fn a_service_that_panics_when_it_is_asked_how_it_is_has_failed_and_stops_nobody() {
    let till = Till::new();
    let turnover = Turnover::new("turnover", &till.store);
    till.recovery.register(turnover.clone()).unwrap();
    till.recover(Strategy::Incremental);
    turnover.set(Mood::PanicAtHealth);
    let health = till.recovery.health();
    assert_eq!(health.services[2].state, HealthState::Failed);
    assert!(health.services[2].reason.as_ref().unwrap().contains("no pulse"), "{health:?}");
    assert!(health.is_ready && !health.is_well);
    turnover.set(Mood::Well);
    let report = till.recovery.recover(Trigger::HealthCheck, Strategy::Incremental).unwrap();
    assert_eq!(report.failed_services, ["turnover"]);
    assert!(till.recovery.health().is_well);
}

#[test]
fn what_a_registered_service_says_of_other_streams_quarantines_nobody() {
    let till = Till::new();
    till.open_wallet("ana", 100);
    let turnover = Turnover::new("turnover", &till.store);
    turnover.set(Mood::BlamesAWallet);
    till.recovery.register(turnover).unwrap();
    let report = till.recover(Strategy::Incremental);
    assert_eq!(report.findings.len(), 1);
    assert!(!report.findings[0].is_quarantined && report.is_ready);
    till.recovery.gate().check_stream(&stream("wallet-ana")).unwrap();
}

#[test]
fn two_services_of_one_id_or_one_type_are_refused() {
    let till = Till::new();
    till.recovery.register(Turnover::new("turnover", &till.store)).unwrap();
    for id in ["turnover", WALLETS_SERVICE, PAYMENTS_SERVICE] {
        let refused = till.recovery.register(Turnover::new(id, &till.store)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::AlreadyExists, "{id}");
    }
    let refused = till.recovery.register(Turnover::new("", &till.store)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    let wallets = Arc::new(WalletService::new(till.wallets.clone()));
    assert_eq!(till.recovery.register(wallets).unwrap_err().kind(), ErrorKind::AlreadyExists);
}

#[test]
fn one_service_is_recovered_by_its_id_whether_it_is_well_or_not() {
    let till = Till::new();
    till.open_wallet("ana", 100);
    let turnover = Turnover::new("turnover", &till.store);
    till.recovery.register(turnover.clone()).unwrap();
    till.recover(Strategy::Incremental);
    let report = till.recovery.recover_service("turnover", Strategy::Full).unwrap();
    assert_eq!((report.failed_services.as_slice(), report.is_ready), (["turnover".to_owned()].as_slice(), true));
    assert_eq!(turnover.restores.load(Ordering::SeqCst), 2);
    let report = till.recovery.recover_service(PAYMENTS_SERVICE, Strategy::Incremental).unwrap();
    assert_eq!(report.failed_services, [PAYMENTS_SERVICE]);
    assert_eq!(report.recovery_points.len(), 2, "wallets and payments rest on each other");
    let error = till.recovery.recover_service("nobody", Strategy::Full).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[test]
fn a_checkpoint_moves_a_registered_services_point_to_where_it_says_that_it_is() {
    let till = Till::new();
    till.open_wallet("ana", 100);
    let turnover = Turnover::new("turnover", &till.store);
    till.recovery.register(turnover.clone()).unwrap();
    till.recover(Strategy::Incremental);
    till.deposit("ana", 1);
    let point = || RecoveryPoint::load(&till.store, "turnover").unwrap().last_event_sequence;
    let before = point();
    till.recovery.checkpoint().unwrap();
    assert_eq!(point(), before, "it has not dealt with the deposit");
    turnover.through.store(till.store.last_sequence().get(), Ordering::SeqCst);
    till.recovery.checkpoint().unwrap();
    assert_eq!(point(), till.store.last_sequence());
    turnover.through.store(u64::MAX, Ordering::SeqCst);
    till.recovery.checkpoint().unwrap();
    assert_eq!(point(), till.store.last_sequence(), "never beyond the log");
}

#[test]
fn progress_is_told_phase_by_phase_and_within_them() {
    let till = Till::new();
    for user in 0..5 {
        till.open_wallet(&user.to_string(), 100);
    }
    till.recovery.register(Turnover::new("turnover", &till.store)).unwrap();
    let told = Mutex::new(Vec::new());
    let progress = |progress: &RecoveryProgress| told.lock().push(*progress);
    for threads in [1, 3] {
        told.lock().clear();
        let options = RecoverOptions { threads: std::num::NonZeroUsize::new(threads), progress: Some(&progress) };
        let report = till.recovery.recover_with(Trigger::Open, Strategy::Full, options).unwrap();
        let told = told.lock();
        let ends: Vec<_> = report.phases.iter().map(|done| (done.phase, done.count)).collect();
        let mut last: Vec<(Phase, u64)> = Vec::new();
        for progress in told.iter() {
            match last.last_mut() {
                Some(known) if known.0 == progress.phase => known.1 = progress.done,
                _ => last.push((progress.phase, progress.done)),
            }
            assert!(progress.done <= progress.total, "{progress:?}");
        }
        assert_eq!(last, ends);
        assert!(told.iter().filter(|progress| progress.phase == Phase::RestoreWallets).count() > 1);
    }
}

#[test]
fn a_panic_in_the_sagas_is_an_error_keeps_the_gate_closed_and_can_be_recovered_from() {
    let till = Till::new();
    till.open_wallet("ana", 100);
    till.orchestrator.start(Till::request("open", "ana")).unwrap();
    let payments = PaymentService::new(till.orchestrator.clone());
    let killed = Arc::new(Killed { payments, calls_left: AtomicUsize::new(0), panics: true });
    let recovery = RecoveryService::with_sagas(till.wallets.clone(), killed.clone());
    let error = recovery.recover(Trigger::Open, Strategy::Incremental).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotReady);
    assert!(error.to_string().contains("no courage"), "{error}");
    let health = recovery.health();
    assert_eq!((health.is_ready, health.services[1].state), (false, HealthState::Failed));
    assert!(health.services[1].reason.as_ref().unwrap().contains("no courage"), "{health:?}");
    killed.calls_left.store(usize::MAX, Ordering::SeqCst);
    let report = recovery.recover(Trigger::HealthCheck, Strategy::Incremental).unwrap();
    assert!(report.is_ready && recovery.health().is_well);
    assert_eq!(report.sagas_with(SagaDecision::Resumed).collect::<Vec<_>>(), ["open"]);
}
