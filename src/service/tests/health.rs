use super::registered::Turnover;
use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn options() -> SupervisorOptions {
    SupervisorOptions { restarts_max: 3, window: SECOND * 600, ..SupervisorOptions::default() }
}

/// A till that is up, with a projection beside, and its supervisor.
fn supervised() -> (Till, Arc<Turnover>, Supervisor) {
    let till = Till::new();
    till.open_wallet("ana", 100);
    let turnover = Turnover::new("turnover", &till.store);
    let recovery = RecoveryService::new(till.wallets.clone(), till.orchestrator.clone());
    recovery.register(turnover.clone()).unwrap();
    let supervisor = Supervisor::new(Arc::new(recovery), options()).unwrap();
    (till, turnover, supervisor)
}

#[test]
fn a_supervisor_brings_everything_up_and_then_only_looks() {
    let (till, _, supervisor) = supervised();
    let now = till.store.now();
    assert_eq!(supervisor.poll(now), Some(now.plus(SECOND)));
    let health = supervisor.recovery().health();
    assert!(health.is_ready && health.is_well, "{health:?}");
    assert_eq!(health.restarts, 0, "the first time is no restart");
    let end = till.store.last_sequence();
    assert_eq!(supervisor.poll(now.plus(SECOND)), Some(now.plus(SECOND * 2)));
    assert_eq!(till.store.last_sequence(), end, "a health check that finds all well is not on record");
}

#[test]
fn a_supervisor_recovers_what_failed_while_commands_on_the_others_go_on() {
    let (till, turnover, supervisor) = supervised();
    let now = till.store.now();
    supervisor.poll(now);
    turnover.break_down();
    let gate = supervisor.recovery().gate().clone();
    let wallet = StreamId::new("wallet-ana").unwrap();
    // It fails again and again: at once, after one second, after two more.
    let mut at = now.plus(SECOND);
    for restarts in 1..=2 {
        supervisor.poll(at);
        gate.check_stream(&wallet).unwrap();
        till.deposit("ana", 1);
        assert_eq!(gate.check_service("turnover").unwrap_err().kind(), ErrorKind::NotReady);
        let due = at.plus(SECOND * 2_u32.pow(restarts - 1));
        let before = due.plus(Duration::ZERO).since(at).min(Duration::from_micros(1));
        assert_eq!(supervisor.poll(at.plus(before)), Some(due.min(at.plus(before).plus(SECOND))));
        at = due;
    }
    // Mended, it comes back with the next restart.
    turnover.mend();
    supervisor.poll(at);
    gate.check_service("turnover").unwrap();
    let health = supervisor.recovery().health();
    assert!(health.is_well, "{health:?}");
    assert_eq!((health.services[2].restarts, health.services[0].restarts), (1, 0));
}

#[test]
fn a_service_that_keeps_failing_is_given_up_with_the_reason_until_it_is_taken_back() {
    let (till, turnover, supervisor) = supervised();
    let mut now = till.store.now();
    supervisor.poll(now);
    turnover.break_down();
    for _ in 0..10 {
        now = now.plus(SECOND * 30);
        supervisor.poll(now);
    }
    let health = supervisor.recovery().health();
    assert_eq!(health.services[2].state, HealthState::GivenUp);
    let reason = health.services[2].reason.clone().unwrap();
    assert!(reason.contains("given up after 3 restarts within 600 s") && reason.contains("table is gone"), "{reason}");
    assert!(health.is_ready && !health.is_well, "the wallets serve");
    let told = supervisor.recovery().gate().check_service("turnover").unwrap_err().to_string();
    assert!(told.contains("given up"), "{told}");
    let json = serde_json::to_value(&health).unwrap();
    assert_eq!(json["services"][2]["state"], "given_up");
    assert_eq!(json["services"][0]["state"], "healthy");
    // Nothing is tried any more, not even beyond the window.
    let end = till.store.last_sequence();
    supervisor.poll(now.plus(SECOND * 3_600));
    assert_eq!(till.store.last_sequence(), end);
    turnover.mend();
    supervisor.take_back("turnover");
    supervisor.poll(now.plus(SECOND * 3_600));
    assert!(supervisor.recovery().health().is_well);
}

#[test]
fn a_supervisors_thread_recovers_and_ends_with_its_handle() {
    let (_till, turnover, supervisor) = supervised();
    let options = SupervisorOptions { check_every: Duration::from_millis(1), ..options() };
    let supervisor = Arc::new(Supervisor::new(Arc::clone(supervisor.recovery()), options).unwrap());
    let thread = supervisor.start().unwrap();
    let until = |is_so: &dyn Fn(&HealthReport) -> bool| {
        let started = std::time::Instant::now();
        while !is_so(&supervisor.recovery().health()) {
            assert!(started.elapsed() < Duration::from_secs(60), "{:?}", supervisor.recovery().health());
            std::thread::yield_now();
        }
    };
    until(&|health| health.is_well);
    turnover.break_down();
    turnover.mend();
    until(&|health| health.is_well && health.restarts == 1);
    drop(thread);
    assert_eq!(Arc::strong_count(&supervisor), 1, "the thread has ended");
}

#[test]
fn a_health_report_names_services_quarantine_and_the_last_recovery() {
    let till = Till::new();
    till.open_wallet("ana", 100);
    let health = till.recovery.health();
    assert!(!health.is_ready && health.last_recovery_id.is_none());
    assert!(health.services.iter().all(|service| service.state == HealthState::Starting && !service.is_open));
    till.damage("ana");
    let report = till.recover(Strategy::Incremental);
    let health = till.recovery.health();
    assert_eq!(health.last_recovery_id.as_ref(), Some(&report.recovery_id));
    assert!(health.is_ready && !health.is_well);
    assert_eq!(health.quarantined.keys().collect::<Vec<_>>(), ["wallet-ana"]);
    let json = serde_json::to_value(&health).unwrap();
    let fields: Vec<&String> = json.as_object().unwrap().keys().collect();
    for name in ["is_ready", "is_well", "services", "quarantined", "last_recovery_id", "restarts"] {
        assert!(fields.iter().any(|field| *field == name), "{name} in {fields:?}");
    }
    let names: Vec<&String> = json["services"][0].as_object().unwrap().keys().collect();
    assert_eq!(names.len(), 5, "{names:?}");
}

#[test]
fn a_recovery_is_on_record_once_begun_and_once_over_with_what_it_found() {
    let till = Till::new();
    till.open_wallet("ana", 100);
    till.damage("ana");
    till.orchestrator.start(Till::request("held", "ana")).unwrap();
    let report = till.recover(Strategy::Incremental);
    let stream = StreamId::new(RECOVERY_STREAM).unwrap();
    let events: Vec<_> = till.store.read_stream(&stream, ..).map(|event| event.unwrap()).collect();
    let facts: Vec<RecoveryEvent> =
        events.iter().map(|event| crate::aggregate::DomainEvent::decode(event).unwrap()).collect();
    assert!(events.iter().all(|event| event.metadata.correlation_id.as_ref() == Some(&report.recovery_id)));
    let RecoveryEvent::RecoveryStarted(started) = &facts[0] else { panic!("{facts:?}") };
    assert_eq!((started.trigger.as_str(), started.strategy.as_str()), ("open", "incremental"));
    assert_eq!(started.services, [WALLETS_SERVICE, PAYMENTS_SERVICE]);
    assert_eq!(facts.len(), 2 + report.findings.len());
    let RecoveryEvent::RecoveryFinding(finding) = &facts[1] else { panic!("{facts:?}") };
    assert_eq!((finding.stream.as_str(), finding.kind.as_str()), ("wallet-ana", "unreadable"));
    let RecoveryEvent::RecoveryCompleted(completed) = &facts[facts.len() - 1] else { panic!("{facts:?}") };
    assert_eq!(completed.findings, 2);
    assert_eq!(completed.sagas, [RecordedDecision { decision: "held_back".into(), sagas: 1 }]);
    let recorded: Vec<_> = completed.phases.iter().map(|step| step.phase.as_str()).collect();
    let reported: Vec<_> = report.phases.iter().map(|step| step.phase.as_str()).collect();
    assert_eq!(recorded, reported[..recorded.len()]);
    assert_eq!(recorded.last(), Some(&"complete"));
    // Words on record are those of JSON.
    for step in &report.phases {
        assert_eq!(serde_json::to_value(step.phase).unwrap(), step.phase.as_str());
    }
    for finding in &report.findings {
        assert_eq!(serde_json::to_value(finding.kind).unwrap(), finding.kind.as_str());
    }
}

#[test]
fn the_recovery_id_is_the_same_for_a_given_log_and_another_one_once_a_recovery_is_on_record() {
    let till = Till::new();
    till.open_wallet("ana", 100);
    let end = till.store.last_sequence();
    let first = till.recover(Strategy::Incremental);
    assert_eq!(first.recovery_id, format!("recovery-{end}"));
    let second = till.restarted().recover(Strategy::Incremental);
    assert_ne!(second.recovery_id, first.recovery_id);
}
