use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use super::*;
use crate::aggregate::{ExecuteOptions, Repository, new_events};
use crate::clock::ManualClock;
use crate::error::{Error, ErrorKind};
use crate::index::Checkpoint;
use crate::money::{Currency, Money};
use crate::payment::{
    GatewayProfile, MemoryGateway, Orchestrator, OrchestratorOptions, OutcomeKind, PaymentEvent, PaymentRequest, Step,
    StepSucceeded,
};
use crate::snapshot::SnapshotPolicy;
use crate::store::{Options, Store};
use crate::types::{CodecId, EventType, ExpectedVersion, Metadata, NewEvent, StreamId, Version};
use crate::wallet::{FundsWithdrawn, Wallet, WalletCommand, WalletEvent, WalletLimits};

mod checks;
mod extension;
mod faults;
mod health;
mod registered;
mod room;
mod watch;

fn usd() -> Currency {
    Currency::from_code("USD").unwrap()
}

/// A till over one store: wallets, payments, recovery. `restarted` is what a new process has.
struct Till {
    store: Store,
    clock: ManualClock,
    gateway: MemoryGateway,
    wallets: Repository<Wallet>,
    orchestrator: Orchestrator,
    recovery: RecoveryService,
}

impl Till {
    fn new() -> Self {
        let clock = ManualClock::new(Timestamp::from_micros(1_000_000));
        let store = Store::in_memory(Options::new().clock(Arc::new(clock.clone()))).unwrap();
        Self::over(store, clock, MemoryGateway::new(GatewayProfile::always_approve()))
    }

    fn over(store: Store, clock: ManualClock, gateway: MemoryGateway) -> Self {
        let policy = SnapshotPolicy::EveryEvents(NonZeroU32::new(4).unwrap());
        let wallets = Repository::new(store.clone(), policy);
        let card = Arc::new(gateway.clone());
        let orchestrator = Orchestrator::new(wallets.clone(), card, OrchestratorOptions::default()).unwrap();
        let recovery = RecoveryService::new(wallets.clone(), orchestrator.clone());
        Self { store, clock, gateway, wallets, orchestrator, recovery }
    }

    fn restarted(&self) -> Self {
        Self::over(self.store.clone(), self.clock.clone(), self.gateway.clone())
    }

    fn execute(&self, user_id: &str, command: &WalletCommand) {
        self.wallets.execute(user_id, &ExecuteOptions::default(), command).unwrap();
    }

    fn deposit(&self, user_id: &str, minor: i64) {
        self.execute(user_id, &WalletCommand::Deposit { amount: Money::new(minor, usd()) });
    }

    fn open_wallet(&self, user_id: &str, minor: i64) {
        self.execute(
            user_id,
            &WalletCommand::Open { currency: usd(), overdraft_limit: 0, limits: WalletLimits::default() },
        );
        self.deposit(user_id, minor);
    }

    fn request(payment_id: &str, user_id: &str) -> PaymentRequest {
        PaymentRequest::new(payment_id, user_id, usd()).by_wallet(10)
    }

    fn recover(&self, strategy: Strategy) -> ServiceReport {
        self.recovery.recover(Trigger::Open, strategy).unwrap()
    }

    /// Appends an event to a wallet that no program of this version can read.
    fn damage(&self, user_id: &str) {
        let event = NewEvent::new(EventType::new("FundsBurned").unwrap(), CodecId::BINCODE, vec![1]);
        let stream = StreamId::of("wallet", user_id).unwrap();
        self.store.append(&stream, ExpectedVersion::Any, vec![event]).unwrap();
    }

    fn events_of_type(&self, event_type: &str) -> usize {
        self.store.read_all(..).of_type(&EventType::new(event_type).unwrap()).count()
    }
}

fn count(report: &ServiceReport, phase: Phase) -> u64 {
    report.phases.iter().find(|done| done.phase == phase).unwrap().count
}

fn decisions(report: &ServiceReport) -> Vec<(&str, SagaDecision)> {
    report.sagas.iter().map(|saga| (saga.saga_id.as_str(), saga.decision)).collect()
}

const ALL_PHASES: [Phase; 13] = [
    Phase::IdentifyFailedService,
    Phase::RecoveryPoint,
    Phase::LoadSnapshots,
    Phase::EventsSince,
    Phase::IncompleteSagas,
    Phase::RestoreWallets,
    Phase::RestoreOrchestrator,
    Phase::ResumeSagas,
    Phase::ValidateWallets,
    Phase::ValidateSagas,
    Phase::Complete,
    Phase::WalletServiceReady,
    Phase::OrchestratorReady,
];

#[test]
fn an_empty_store_recovers_from_the_beginning_through_every_phase_in_order() {
    let till = Till::new();
    let gate = till.recovery.gate().clone();
    assert_eq!(gate.check().unwrap_err().kind(), ErrorKind::NotReady);
    assert!(gate.check().unwrap_err().is_retryable());
    let report = till.recover(Strategy::Incremental);
    gate.check().unwrap();
    assert!(report.is_ready && report.findings.is_empty() && report.sagas.is_empty());
    assert_eq!(report.phases.iter().map(|done| done.phase).collect::<Vec<_>>(), ALL_PHASES);
    assert_eq!(report.failed_services, [WALLETS_SERVICE, PAYMENTS_SERVICE]);
    assert_eq!(report.recovery_points, [WALLETS_SERVICE, PAYMENTS_SERVICE].map(RecoveryPoint::beginning));
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["trigger"], "open");
    assert_eq!(json["phases"][4]["phase"], "incomplete_sagas");
    let point = serde_json::json!({
        "service_id": "wallets", "last_event_sequence": 0, "last_snapshot_id": "", "pending": [],
    });
    assert_eq!(json["recovery_points"][0], point);
}

#[test]
fn an_unfinished_payment_is_found_resumed_on_record_and_driven_to_its_one_outcome() {
    let till = Till::new();
    till.recover(Strategy::Incremental);
    till.open_wallet("ana", 100);
    till.orchestrator.run(Till::request("over", "ana")).unwrap();
    till.orchestrator.start(Till::request("open", "ana")).unwrap();
    let till = till.restarted();
    let report = till.recover(Strategy::Incremental);
    assert_eq!(decisions(&report), [("open", SagaDecision::Resumed)]);
    assert_eq!(report.sagas_with(SagaDecision::Resumed).collect::<Vec<_>>(), ["open"]);
    assert_eq!((report.wallets.restored, count(&report, Phase::IncompleteSagas)), (1, 1));
    let saga = till.orchestrator.load("open").unwrap().unwrap();
    assert_eq!(saga.version(), Version::new(2), "the resumption is on record");
    // The same again, as after a kill right after it: found again.
    let till = till.restarted();
    assert_eq!(decisions(&till.recover(Strategy::Incremental)), [("open", SagaDecision::Resumed)]);
    assert_eq!(till.orchestrator.drive("open").unwrap().kind, OutcomeKind::Completed);
    let till = till.restarted();
    assert!(till.recover(Strategy::Incremental).sagas.is_empty());
    assert_eq!(till.wallets.load("ana").unwrap().state.balance(), 80);
    assert!(check(&till.store).unwrap().is_ok);
}

#[test]
fn a_payment_past_its_deadline_and_before_the_pivot_is_compensated() {
    let till = Till::new();
    till.open_wallet("ana", 100);
    till.orchestrator.start(Till::request("bare", "ana")).unwrap();
    till.orchestrator.start(Till::request("held", "ana")).unwrap();
    // The hold and its place in the saga, as if the process had been killed right after their commit.
    let (hold_id, amount) = ("held".to_owned(), Money::new(10, usd()));
    let payment_id = Some(hold_id.clone());
    till.execute("ana", &WalletCommand::Hold { hold_id, amount, payment_id, time_to_live: None });
    let succeeded = StepSucceeded { step: Step::Reserve, attempt: 1, amount: 10, reference: None };
    let events = new_events(&[PaymentEvent::from(succeeded)], &Metadata::default()).unwrap();
    till.store.append(&StreamId::new("payment-held").unwrap(), ExpectedVersion::Any, events).unwrap();

    till.clock.advance(Duration::from_secs(3_600));
    let till = till.restarted();
    let report = till.recover(Strategy::Incremental);
    let expected = [("bare", SagaDecision::Resumed), ("held", SagaDecision::Compensating)];
    assert_eq!(decisions(&report), expected, "of the first there is nothing to undo");
    assert_eq!(till.events_of_type("CompensationInitiated"), 1);
    // Once more, as after a kill: it is not initiated twice.
    till.restarted().recover(Strategy::Incremental);
    assert_eq!(till.events_of_type("CompensationInitiated"), 1);
    assert_eq!(till.orchestrator.drive("held").unwrap().kind, OutcomeKind::Compensated);
    assert_eq!(till.orchestrator.drive("bare").unwrap().kind, OutcomeKind::Rejected);
    let wallet = till.wallets.load("ana").unwrap().state;
    assert_eq!((wallet.balance(), wallet.locked_balance()), (100, 0));
}

#[test]
fn a_recovery_reads_what_lies_after_the_checkpoint_and_finds_older_open_payments_by_it() {
    let till = Till::new();
    till.recover(Strategy::Incremental);
    till.open_wallet("ana", 100);
    till.open_wallet("bea", 100);
    till.orchestrator.start(Till::request("old", "ana")).unwrap();
    for _ in 0..10 {
        till.deposit("bea", 1);
    }
    assert_eq!(till.recovery.checkpoint().unwrap(), till.store.last_sequence());
    let till = till.restarted();
    let report = till.recover(Strategy::Incremental);
    assert_eq!(report.recovery_points[0].last_event_sequence, report.last_event_sequence);
    assert_eq!((count(&report, Phase::EventsSince), report.wallets.restored), (0, 0));
    assert_eq!(count(&report, Phase::RecoveryPoint), 2);
    assert_eq!(decisions(&report), [("old", SagaDecision::Resumed)]);
    // The new point covers what the recovery saw, so only its beginning, the resumption, its end and the deposit lie beyond it.
    till.deposit("bea", 1);
    let till = till.restarted();
    let report = till.recover(Strategy::Incremental);
    assert_eq!((count(&report, Phase::EventsSince), report.wallets.restored), (4, 1));
    assert_eq!((report.wallets.from_snapshot, report.wallets.events_replayed), (1, 1), "13 events, a snapshot at 12");
    let full = till.restarted().recover(Strategy::Full);
    assert_eq!(full.recovery_points[0], RecoveryPoint::beginning(WALLETS_SERVICE));
    assert_eq!((full.wallets.restored, full.wallets.from_snapshot, full.wallets.events_replayed), (2, 0, 15));
    assert_eq!(full.sagas.len(), 1);
}

#[test]
fn both_strategies_end_in_the_same_state() {
    let till = Till::new();
    for user in 0..5 {
        let user_id = format!("user {user}");
        till.open_wallet(&user_id, 1_000);
        for payment in 0..user * 3 {
            till.orchestrator.run(Till::request(&format!("{user}-{payment}"), &user_id)).unwrap();
        }
    }
    let [full, incremental] = [Strategy::Full, Strategy::Incremental].map(|strategy| {
        let till = till.restarted();
        till.recover(strategy);
        [0, 1, 2, 3, 4].map(|user| till.wallets.cached(&format!("user {user}")).unwrap().state.clone())
    });
    assert_eq!(full, incremental);
    let report = check(&till.store).unwrap();
    assert!(report.is_ok, "{report:?}");
    assert_eq!((report.wallets, report.payments, report.payments_open), (5, 30, 0));
    assert!(report.wallets_from_snapshot > 0);
}

#[test]
fn snapshots_are_fetched_ahead_once_much_has_changed_and_the_newest_one_counts() {
    let till = Till::new();
    till.open_wallet("ana", 100);
    till.open_wallet("bea", 100);
    for _ in 0..10 {
        till.deposit("ana", 1);
    }
    let stream = StreamId::new("elsewhere").unwrap();
    let event = || NewEvent::new(EventType::new("Noted").unwrap(), CodecId::RAW, Vec::new());
    till.store.append(&stream, ExpectedVersion::Any, (0..10_000).map(|_| event()).collect()).unwrap();
    let report = till.restarted().recover(Strategy::Incremental);
    assert_eq!(count(&report, Phase::LoadSnapshots), 1, "bea has none yet");
    assert_eq!((report.wallets.restored, report.wallets.from_snapshot, report.wallets.events_replayed), (2, 1, 2));
    let report = till.restarted().recover(Strategy::Full);
    assert_eq!((count(&report, Phase::LoadSnapshots), report.wallets.from_snapshot), (0, 0));
    // More than 24 hours later it is looked up by itself.
    till.clock.advance(Duration::from_secs(25 * 3_600));
    till.deposit("ana", 1);
    let report = till.restarted().recover(Strategy::Incremental);
    assert_eq!((count(&report, Phase::LoadSnapshots), report.wallets.from_snapshot), (0, 1));
    assert_eq!(report.wallets.events_replayed, 1, "13 events, a snapshot at 12");
}

#[test]
fn a_bad_wallet_is_quarantined_named_and_stops_nobody_else() {
    let till = Till::new();
    for user_id in ["ana", "bad", "off"] {
        till.open_wallet(user_id, 100);
        till.orchestrator.start(Till::request(&format!("of {user_id}"), user_id)).unwrap();
    }
    till.damage("bad");
    // A withdrawal that nobody decided: the stream can be read, the wallet's rules are broken.
    let withdrawn = FundsWithdrawn { amount: Money::new(101, usd()) };
    let events = new_events(&[WalletEvent::from(withdrawn)], &Metadata::default()).unwrap();
    till.store.append(&StreamId::new("wallet-off").unwrap(), ExpectedVersion::Any, events).unwrap();

    for round in 0..3 {
        let till = till.restarted();
        let report = till.recover(if round == 1 { Strategy::Full } else { Strategy::Incremental });
        assert!(report.is_ready);
        let found: Vec<_> = report.findings.iter().map(|finding| (finding.stream.as_str(), finding.kind)).collect();
        let expected = [
            ("wallet-bad", FindingKind::Unreadable),
            ("payment-of bad", FindingKind::WalletQuarantined),
            ("wallet-off", FindingKind::InvariantBroken),
            ("payment-of off", FindingKind::WalletQuarantined),
        ];
        assert_eq!(found, expected, "also when nothing lies after the checkpoint, round {round}");
        let held_back = SagaDecision::HeldBack;
        let expected = [("of ana", SagaDecision::Resumed), ("of bad", held_back), ("of off", held_back)];
        assert_eq!(decisions(&report), expected);
        let gate = till.recovery.gate();
        gate.check().unwrap();
        let stream = |name: &str| StreamId::new(name).unwrap();
        gate.check_stream(&stream("wallet-ana")).unwrap();
        for name in ["wallet-bad", "wallet-off", "payment-of bad", "payment-of off"] {
            let error = gate.check_stream(&stream(name)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotReady);
            assert!(error.to_string().contains("quarantined"), "{error}");
        }
        till.recovery.checkpoint().unwrap();
    }
    let report = check(&till.store).unwrap();
    assert!(!report.is_ok);
    let kinds: Vec<_> = report.findings.iter().map(|finding| (finding.stream.as_str(), finding.kind)).collect();
    assert_eq!(kinds, [("wallet-bad", FindingKind::Unreadable), ("wallet-off", FindingKind::InvariantBroken)]);
}

#[test]
fn a_payment_that_cannot_be_read_is_quarantined_and_found_again() {
    let till = Till::new();
    till.open_wallet("ana", 100);
    till.orchestrator.start(Till::request("odd", "ana")).unwrap();
    till.orchestrator.start(Till::request("well", "ana")).unwrap();
    let event = NewEvent::new(EventType::new("PaymentVanished").unwrap(), CodecId::BINCODE, vec![1]);
    till.store.append(&StreamId::new("payment-odd").unwrap(), ExpectedVersion::Any, vec![event]).unwrap();
    for _ in 0..2 {
        let report = till.restarted().recover(Strategy::Incremental);
        assert_eq!(decisions(&report), [("odd", SagaDecision::HeldBack), ("well", SagaDecision::Resumed)]);
        assert_eq!(report.findings.len(), 1);
        assert_eq!(report.findings[0].kind, FindingKind::Unreadable);
    }
}

#[test]
fn wallets_and_payments_that_contradict_each_other_are_found() {
    let till = Till::new();
    till.open_wallet("ana", 100);
    till.orchestrator.run(Till::request("over", "ana")).unwrap();
    till.orchestrator.start(Till::request("open", "ana")).unwrap();
    let hold = |hold_id: &str, payment_id: &str| WalletCommand::Hold {
        hold_id: hold_id.into(),
        amount: Money::new(5, usd()),
        payment_id: Some(payment_id.into()),
        time_to_live: None,
    };
    // For a payment that is over; for one that is nobody's here; and a capture that left its payment open.
    till.execute("ana", &hold("left", "over"));
    till.execute("ana", &hold("own", "of somebody else"));
    till.execute("ana", &hold("open", "open"));
    let amount = Money::new(5, usd());
    till.execute("ana", &WalletCommand::Capture { hold_id: "open".into(), amount, is_final: true });
    let till = till.restarted();
    let report = till.recover(Strategy::Incremental);
    let found: Vec<_> =
        report.findings.iter().map(|finding| (finding.stream.as_str(), finding.kind, finding.is_quarantined)).collect();
    let expected = [
        ("wallet-ana", FindingKind::HoldOutlivesPayment, false),
        ("payment-open", FindingKind::CapturedBeforeOutcome, true),
    ];
    assert_eq!(found, expected);
    assert_eq!(decisions(&report), [("open", SagaDecision::HeldBack)]);
    till.recovery.gate().check_stream(&StreamId::new("wallet-ana").unwrap()).unwrap();
    assert_eq!(check(&till.store).unwrap().findings.len(), 1, "the hold that was left");
}

#[test]
fn the_check_finds_a_snapshot_that_is_wrong_and_a_list_of_open_payments_that_is_wrong_and_writes_nothing() {
    let till = Till::new();
    till.open_wallet("ana", 100);
    till.deposit("ana", 1);
    till.deposit("ana", 1);
    till.orchestrator.start(Till::request("lost", "ana")).unwrap();
    till.recover(Strategy::Incremental);
    till.recovery.checkpoint().unwrap();
    assert!(check(&till.store).unwrap().is_ok);

    let mut snapshot = till.store.snapshots("wallet", "ana", Sequence::MAX).unwrap().remove(0);
    let other = Repository::<Wallet>::new(Store::in_memory(Options::new()).unwrap(), SnapshotPolicy::Never);
    let open = WalletCommand::Open { currency: usd(), overdraft_limit: 0, limits: WalletLimits::default() };
    other.execute("ana", &ExecuteOptions::default(), &open).unwrap();
    snapshot.state = other.snapshot("ana").unwrap().unwrap().state;
    till.deposit("ana", 1);
    snapshot.snapshot_id = "wallet-ana@5".into();
    snapshot.last_event_version = Version::new(5);
    snapshot.last_event_sequence = till.store.last_sequence();
    till.store.save_snapshot(&snapshot).unwrap();
    let point = RecoveryPoint::load(&till.store, PAYMENTS_SERVICE).unwrap();
    RecoveryPoint { pending: BTreeSet::new(), ..point }.save(&till.store).unwrap();

    let (end, snapshots) = (till.store.last_sequence(), till.store.snapshots("wallet", "ana", Sequence::MAX).unwrap());
    let report = check(&till.store).unwrap();
    assert!(!report.is_ok);
    let found: Vec<_> = report.findings.iter().map(|finding| (finding.stream.as_str(), finding.kind)).collect();
    let expected = [("wallet-ana", FindingKind::ReplaysDiffer), ("payment-lost", FindingKind::OpenPaymentsDiffer)];
    assert_eq!(found, expected);
    assert_eq!(till.store.last_sequence(), end);
    assert_eq!(till.store.snapshots("wallet", "ana", Sequence::MAX).unwrap(), snapshots);
    // A full replay looks at neither, and is right.
    let till = till.restarted();
    assert_eq!(till.recover(Strategy::Full).sagas.len(), 1);
    assert_eq!(till.wallets.cached("ana").unwrap().state.balance(), 103);
}

#[test]
fn a_checkpoint_beyond_the_logs_end_is_evidence_of_loss_and_never_followed() {
    let till = Till::new();
    till.open_wallet("ana", 100);
    for service_id in [WALLETS_SERVICE, PAYMENTS_SERVICE] {
        let till = Till::new();
        let checkpoint = Checkpoint { sequence: Sequence::new(99), data: Vec::new() };
        till.store.set_checkpoint_unchecked(&format!("service/{service_id}"), &checkpoint).unwrap();
        for strategy in [Strategy::Incremental, Strategy::Full] {
            let error = till.recovery.recover(Trigger::Open, strategy).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt);
            assert_eq!(error.corruption().unwrap().sequence, Some(Sequence::FIRST));
        }
        assert!(!till.recovery.gate().is_open());
    }
}

#[test]
fn a_checkpoint_of_another_version_is_passed_over() {
    let till = Till::new();
    till.open_wallet("ana", 100);
    till.orchestrator.start(Till::request("open", "ana")).unwrap();
    for data in [vec![], vec![2, 0, 0], vec![1, 0, 0, 0], vec![255; 9]] {
        let checkpoint = Checkpoint { sequence: till.store.last_sequence(), data };
        till.store.set_checkpoint("service/payments", &checkpoint).unwrap();
        let point = RecoveryPoint::load(&till.store, PAYMENTS_SERVICE).unwrap();
        assert_eq!(point, RecoveryPoint::beginning(PAYMENTS_SERVICE));
    }
    assert_eq!(till.recover(Strategy::Incremental).sagas.len(), 1);
}

#[test]
fn golden_bytes_of_a_checkpoint() {
    let till = Till::new();
    till.open_wallet("ana", 100);
    let pending = BTreeSet::from(["p2".to_owned(), "p1".to_owned()]);
    let point = RecoveryPoint {
        service_id: PAYMENTS_SERVICE.into(),
        last_event_sequence: Sequence::new(2),
        last_snapshot_id: "s".into(),
        pending,
    };
    point.save(&till.store).unwrap();
    let checkpoint = till.store.checkpoint("service/payments").unwrap().unwrap();
    assert_eq!(checkpoint.data, [1, 1, b's', 2, 2, b'p', b'1', 2, b'p', b'2']);
    assert_eq!(RecoveryPoint::load(&till.store, PAYMENTS_SERVICE).unwrap(), point);
}

#[test]
fn a_health_check_recovers_what_is_not_well_and_nothing_else() {
    let till = Till::new();
    let well = |report: &ServiceReport| report.failed_services.is_empty();
    let report = till.recovery.recover(Trigger::HealthCheck, Strategy::Incremental).unwrap();
    assert!(!well(&report) && report.is_ready, "it was not ready yet");
    let report = till.recovery.recover(Trigger::HealthCheck, Strategy::Incremental).unwrap();
    assert!(well(&report) && report.is_ready);
    assert_eq!(report.phases.len(), 1);
    till.recovery.sagas().fail("it panicked");
    let report = till.recovery.recover(Trigger::HealthCheck, Strategy::Incremental).unwrap();
    assert_eq!(report.failed_services, [PAYMENTS_SERVICE]);
    assert_eq!(till.recovery.sagas().health(), Health::Healthy);
    let alert = |service_id: &str| Trigger::Alert { service_id: service_id.into(), reason: "it is odd".into() };
    let report = till.recovery.recover(alert(WALLETS_SERVICE), Strategy::Incremental).unwrap();
    assert_eq!(report.failed_services, [WALLETS_SERVICE]);
    assert_eq!(report.phases.len(), ALL_PHASES.len());
    let error = till.recovery.recover(alert("nobody"), Strategy::Incremental).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(till.recovery.gate().is_open(), "an alert about nobody stops nobody");
}

#[test]
fn a_checkpoint_needs_a_recovery_first() {
    let till = Till::new();
    assert_eq!(till.recovery.checkpoint().unwrap_err().kind(), ErrorKind::NotReady);
}

/// Payments whose resumption fails from the nth call on, as if the process had been killed there.
struct Killed {
    payments: PaymentService,
    calls_left: AtomicUsize,
    /// Whether it panics there instead.
    panics: bool,
}

impl Service for Killed {
    fn id(&self) -> &str {
        self.payments.id()
    }
    fn health(&self) -> Health {
        self.payments.health()
    }
    fn fail(&self, reason: &str) {
        self.payments.fail(reason);
    }
    fn restore(&self, scope: &Scope<'_>) -> Result<Restored> {
        self.payments.restore(scope)
    }
    fn validate(&self, aggregate_ids: &BTreeSet<String>) -> Result<Vec<Finding>> {
        self.payments.validate(aggregate_ids)
    }
    fn ready(&self) {
        self.payments.ready();
    }
}

impl SagaService for Killed {
    fn incomplete(&self, from: Sequence, known_open: &BTreeSet<String>) -> Result<Vec<String>> {
        self.payments.incomplete(from, known_open)
    }
    fn view(&self, saga_id: &str) -> Result<Option<SagaView>> {
        self.payments.view(saga_id)
    }
    fn resume(&self, saga_id: &str, recovery_id: &str, now: Timestamp, extend_by: Duration) -> Result<SagaDecision> {
        let left = self.calls_left.load(Ordering::SeqCst);
        if left == 0 {
            assert!(!self.panics, "no courage");
            return Err(Error::new(ErrorKind::Io, "killed"));
        }
        self.calls_left.store(left - 1, Ordering::SeqCst);
        self.payments.resume(saga_id, recovery_id, now, extend_by)
    }
}

/// Goal: a recovery that is stopped between any two sagas leaves nothing that the next one does not find.
/// Method: stop it after 0, 1, 2 ... resumptions; then recover again, drive all, and check the whole store.
#[test]
fn a_recovery_that_was_stopped_halfway_is_started_again() {
    const PAYMENTS: usize = 4;
    for stop_after in 0..PAYMENTS {
        let till = Till::new();
        till.open_wallet("ana", 100);
        for payment in 0..PAYMENTS {
            till.orchestrator.start(Till::request(&payment.to_string(), "ana")).unwrap();
        }
        let payments = PaymentService::new(till.orchestrator.clone());
        let killed = Killed { payments, calls_left: AtomicUsize::new(stop_after), panics: false };
        let recovery = RecoveryService::with_sagas(till.wallets.clone(), Arc::new(killed));
        let error = recovery.recover(Trigger::Open, Strategy::Incremental).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
        assert_eq!(recovery.gate().check().unwrap_err().kind(), ErrorKind::NotReady);
        assert_eq!(till.events_of_type("PaymentResumed"), stop_after);

        let till = till.restarted();
        let report = till.recover(Strategy::Incremental);
        assert_eq!(report.sagas_with(SagaDecision::Resumed).count(), PAYMENTS);
        for payment in 0..PAYMENTS {
            assert_eq!(till.orchestrator.drive(&payment.to_string()).unwrap().kind, OutcomeKind::Completed);
        }
        assert!(till.restarted().recover(Strategy::Incremental).sagas.is_empty());
        assert!(check(&till.store).unwrap().is_ok);
        assert_eq!(till.wallets.load("ana").unwrap().state.balance(), 60);
    }
}

/// Goal: checkpoints taken while payments run never lose an open one.
/// Method: threads run payments, some of which they leave unfinished; another thread sets checkpoints all the time. In the end
/// a recovery finds exactly what was left unfinished, and the list is what all events tell.
#[test]
fn checkpoints_beside_running_payments_lose_no_open_payment() {
    const THREADS: usize = 4;
    const PAYMENTS: usize = 30;
    let till = Till::new();
    till.recover(Strategy::Incremental);
    for thread in 0..THREADS {
        till.open_wallet(&thread.to_string(), 10_000);
    }
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS)
            .map(|thread| {
                let till = &till;
                scope.spawn(move || {
                    for payment in 0..PAYMENTS {
                        let request = Till::request(&format!("{thread}-{payment}"), &thread.to_string());
                        if payment % 5 == 0 {
                            till.orchestrator.start(request).unwrap();
                        } else {
                            till.orchestrator.run(request).unwrap();
                        }
                    }
                })
            })
            .collect();
        let checkpoints = scope.spawn(|| {
            while !is_over.load(Ordering::SeqCst) {
                till.recovery.checkpoint().unwrap();
                assert!(check(&till.store).unwrap().is_ok, "beside the writers, too");
            }
        });
        workers.into_iter().for_each(|worker| worker.join().unwrap());
        is_over.store(true, Ordering::SeqCst);
        checkpoints.join().unwrap();
    });
    let report = till.restarted().recover(Strategy::Incremental);
    assert_eq!(report.sagas.len(), THREADS * PAYMENTS / 5);
    assert!(report.sagas.iter().all(|saga| saga.decision == SagaDecision::Resumed));
    let report = check(&till.store).unwrap();
    assert!(report.is_ok, "{report:?}");
    assert_eq!(report.payments_open, (THREADS * PAYMENTS / 5) as u64);
}
