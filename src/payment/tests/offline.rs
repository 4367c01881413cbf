//! Payments without a network.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::super::*;
use super::bench::{Bench, eur_code, options};
use super::scripted::{Scripted, commits, finish, no, types, yes};
use crate::ErrorKind;
use crate::aggregate::{DomainEvent, EventContext};
use crate::money::Money;
use crate::types::{Sequence, Timestamp};

fn policy() -> OfflinePolicy {
    OfflinePolicy { floor_limit: 20, payments_max: 3, sum_max: 45, ..OfflinePolicy::default() }
}

fn trusting(bench: &Bench, gateway: Arc<dyn PaymentGateway>) -> Orchestrator {
    bench.orchestrator_with(gateway, OrchestratorOptions { offline: policy(), ..options() })
}

fn is_waiting(orchestrator: &Orchestrator, payment_id: &str) -> bool {
    matches!(orchestrator.advance(payment_id, Timestamp::EPOCH).unwrap(), Progress::WaitUntil(_))
}

fn state(orchestrator: &Orchestrator, payment_id: &str) -> PaymentState {
    orchestrator.load(payment_id).unwrap().unwrap().state()
}

#[test]
fn without_a_policy_a_payment_waits_for_a_network_up_to_its_deadline_and_writes_nothing_meanwhile() {
    let bench = Bench::ticking(100);
    let gateway = bench.gateway(GatewayProfile::always_approve());
    gateway.set_online(false);
    let orchestrator = bench.orchestrator(gateway.clone());
    let deadline = orchestrator.start(bench.request("p", 5, 6)).unwrap().deadline().unwrap();
    assert!(is_waiting(&orchestrator, "p"));
    assert_eq!(state(&orchestrator, "p"), PaymentState::AwaitingConnectivity);
    let last = bench.store.last_sequence();
    let mut now = bench.store.now();
    for _ in 0..100 {
        let Progress::WaitUntil(due) = orchestrator.advance("p", now).unwrap() else { panic!("it waits") };
        assert!(due > now && due <= deadline);
        now = due;
    }
    assert_eq!(bench.store.last_sequence(), last);
    let Progress::Final(outcome) = orchestrator.advance("p", deadline).unwrap() else { panic!("it is over") };
    assert_eq!(outcome.kind, OutcomeKind::Compensated);
    assert_eq!(bench.wallet().locked_balance(), 0, "nothing was sent, so nothing has to be voided before");
    gateway.set_online(true);
    assert_eq!(gateway.journal().calls, 0);
}

#[test]
fn with_a_network_again_a_waiting_payment_goes_on_and_no_attempt_was_used_up() {
    let bench = Bench::ticking(100);
    let offline = vec![GatewayAnswer::Offline; 20];
    let gateway = Scripted::new(offline, vec![]);
    let orchestrator = bench.orchestrator(gateway.clone());
    orchestrator.start(bench.request("p", 0, 6)).unwrap();
    let Progress::Final(outcome) = finish(&bench, &orchestrator, "p") else { panic!("it is over") };
    assert_eq!(outcome.kind, OutcomeKind::Completed);
    let authorised = gateway.called().iter().filter(|key| *key == "p/authorise").count();
    assert_eq!(authorised, 21, "far more than attempts are allowed, under one key");
}

#[test]
fn a_payment_within_the_limits_is_taken_on_trust_and_uploaded_under_the_same_key() {
    let bench = Bench::ticking(100);
    let gateway = bench.gateway(GatewayProfile::always_approve());
    gateway.set_online(false);
    let orchestrator = trusting(&bench, gateway.clone());
    let started = bench.store.now();
    let error = orchestrator.run(bench.request("p", 5, 20)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotReady, "who waits is told");
    assert_eq!(
        commits(&bench),
        ["PaymentStarted FundsHeld StepSucceeded StepCommandPublished", "StepFailed OfflineAccepted", "RetryScheduled"]
    );
    let saga = orchestrator.load("p").unwrap().unwrap();
    assert_eq!(saga.state(), PaymentState::AwaitingConnectivity);
    let accepted = saga.offline().unwrap();
    assert_eq!((accepted.amount, saga.deadline()), (20, Some(accepted.upload_by)));
    assert!(accepted.upload_by >= started.plus(Duration::from_secs(24 * 60 * 60)), "a day to upload");
    let stored = orchestrator.offline_stored().unwrap();
    assert_eq!(stored, OfflineStored { payments: 1, sums: vec![Money::new(20, eur_code())] });
    gateway.set_online(true);
    assert!(matches!(finish(&bench, &orchestrator, "p"), Progress::Final(_)));
    assert_eq!(orchestrator.offline_stored().unwrap(), OfflineStored::default());
    bench.check_all(&orchestrator, &gateway.journal(), 100, 1);
    let keys: BTreeSet<String> = bench
        .store
        .read_all(..)
        .filter_map(|event| match PaymentEvent::decode(&event.unwrap()) {
            Ok(PaymentEvent::StepCommandPublished(fact)) if fact.step == Step::Charge => Some(fact.idempotency_key),
            _ => None,
        })
        .collect();
    assert_eq!(keys, BTreeSet::from(["p/authorise".to_owned()]));
}

#[test]
fn over_a_limit_a_payment_is_refused_with_the_reason() {
    let bench = Bench::ticking(100);
    let gateway = bench.gateway(GatewayProfile::always_approve());
    gateway.set_online(false);
    let orchestrator = trusting(&bench, gateway);
    let run = |id: &str, card: i64| orchestrator.run(bench.request(id, 1, card));
    let over_floor = run("floor", 21).unwrap();
    assert_eq!(over_floor.kind, OutcomeKind::Compensated);
    assert_eq!(over_floor.reason, "there is no network, and 21 is over the floor limit of 20");
    assert_eq!(run("a", 20).unwrap_err().kind(), ErrorKind::NotReady);
    assert_eq!(run("b", 20).unwrap_err().kind(), ErrorKind::NotReady);
    assert_eq!(run("sum", 6).unwrap().reason, "there is no network, and 6 on top of 40 that are stored is over 45");
    assert_eq!(run("c", 5).unwrap_err().kind(), ErrorKind::NotReady);
    assert_eq!(run("count", 1).unwrap().reason, "there is no network, and 3 payments are stored, at most 3 may be");
    assert_eq!(orchestrator.offline_stored().unwrap().payments, 3);
    assert_eq!(bench.wallet().locked_balance(), 3, "the holds of what is stored alone");
    // A place is free again when one is called off.
    orchestrator.cancel("c", "ana", "").unwrap();
    finish(&bench, &orchestrator, "c");
    assert_eq!(run("d", 5).unwrap_err().kind(), ErrorKind::NotReady);
}

#[test]
fn a_card_that_declines_late_is_compensated_and_what_was_never_uploaded_expires() {
    let bench = Bench::ticking(100);
    let gateway = Scripted::new(vec![GatewayAnswer::Offline, no()], vec![]);
    let orchestrator = trusting(&bench, gateway);
    orchestrator.start(bench.request("declined", 5, 6)).unwrap();
    let Progress::Final(outcome) = finish(&bench, &orchestrator, "declined") else { panic!("it is over") };
    assert_eq!((outcome.kind, outcome.reason.as_str()), (OutcomeKind::Compensated, "no"));
    let gateway = bench.gateway(GatewayProfile::always_approve());
    gateway.set_online(false);
    let orchestrator = trusting(&bench, gateway);
    assert!(orchestrator.run(bench.request("lost", 5, 6)).is_err());
    let upload_by = orchestrator.load("lost").unwrap().unwrap().deadline().unwrap();
    let Progress::Final(outcome) = orchestrator.advance("lost", upload_by).unwrap() else { panic!("it is over") };
    assert_eq!(outcome.kind, OutcomeKind::Compensated);
    assert_eq!(orchestrator.offline_stored().unwrap(), OfflineStored::default());
    assert_eq!(bench.wallet().locked_balance(), 0);
}

/// Goal: a charge that may have arrived is neither refused nor taken on trust when the network goes: that would leave it locked on
/// the card, or count it as never sent.
#[test]
fn a_charge_that_may_have_arrived_waits_and_is_voided_past_the_deadline() {
    let bench = Bench::ticking(100);
    let gateway = Scripted::new(
        vec![GatewayAnswer::Unknown, GatewayAnswer::Offline],
        vec![GatewayOutcome::NotSeen, GatewayOutcome::Offline],
    );
    let orchestrator = trusting(&bench, gateway.clone());
    let deadline = orchestrator.start(bench.request("p", 5, 6)).unwrap().deadline().unwrap();
    assert!(is_waiting(&orchestrator, "p"));
    let saga = orchestrator.load("p").unwrap().unwrap();
    assert!(saga.offline().is_none());
    assert_eq!(saga.in_doubt(), Some(GatewayCommand::Authorise));
    assert_eq!(saga.state(), PaymentState::AwaitingConnectivity);
    assert!(matches!(orchestrator.advance("p", deadline).unwrap(), Progress::Final(_)));
    assert_eq!(gateway.called(), ["p/authorise", "p/authorise?", "p/authorise", "p/void"]);
}

#[test]
fn past_the_pivot_and_while_it_is_undone_a_payment_waits_for_a_network_as_long_as_it_takes() {
    for gateway in [
        Scripted::new([vec![yes()], vec![GatewayAnswer::Offline; 30]].concat(), vec![]),
        Scripted::new(
            [vec![GatewayAnswer::Unknown], vec![GatewayAnswer::Offline; 30]].concat(),
            vec![GatewayOutcome::Unknown],
        ),
    ] {
        let bench = Bench::ticking(100);
        let orchestrator = bench.orchestrator(gateway.clone());
        let deadline = orchestrator.start(bench.request("p", 5, 6)).unwrap().deadline().unwrap();
        assert!(is_waiting(&orchestrator, "p"));
        let mut now = deadline;
        while let Progress::WaitUntil(due) = orchestrator.advance("p", now).unwrap() {
            now = due;
        }
        assert!(orchestrator.load("p").unwrap().unwrap().outcome().is_some(), "nothing was given up");
        assert!(gateway.called().len() > 30);
    }
}

#[test]
fn a_question_that_found_no_network_is_asked_again_before_anything_is_sent_again() {
    let bench = Bench::ticking(100);
    let gateway = Scripted::new(vec![GatewayAnswer::Unknown], vec![GatewayOutcome::Offline; 3]);
    let orchestrator = bench.orchestrator(gateway.clone());
    orchestrator.start(bench.request("p", 0, 6)).unwrap();
    finish(&bench, &orchestrator, "p");
    let question = "p/authorise?";
    assert_eq!(gateway.called(), ["p/authorise", question, question, question, question, "p/capture"]);
}

#[test]
fn nothing_is_refunded_without_a_network() {
    let bench = Bench::ticking(100);
    let gateway = Scripted::new(vec![no()], vec![]);
    let orchestrator = bench.orchestrator(gateway.clone());
    orchestrator.run(bench.request("p", 0, 6)).unwrap();
    gateway.set_online(false);
    orchestrator.report_late_success("p", "charge-17").unwrap();
    assert!(is_waiting(&orchestrator, "p"));
    assert_eq!(types(&bench, "p").last().unwrap(), "LateSuccessDetected", "not even its intent is on record");
    gateway.set_online(true);
    finish(&bench, &orchestrator, "p");
    assert_eq!(gateway.called(), ["p/authorise", "p/refund"]);
}

/// What is stored after each event, most of all at once: (payments, sum).
fn most_stored(bench: &Bench) -> (usize, i64) {
    let mut sagas: BTreeMap<String, PaymentSaga> = BTreeMap::new();
    let mut most = (0, 0);
    for event in bench.store.read_all(..) {
        let event = event.unwrap();
        let Some(id) = event.stream.aggregate_id(PAYMENT_TYPE) else { continue };
        let saga = sagas.entry(id.to_owned()).or_insert_with(|| PaymentSaga::new(id));
        saga.apply(&PaymentEvent::decode(&event).unwrap(), &EventContext::from(&event));
        let stored: Vec<_> = sagas.values().filter(|saga| saga.is_stored_offline()).collect();
        let sum = stored.iter().map(|saga| saga.card_part().unwrap().minor).sum();
        most = (most.0.max(stored.len()), most.1.max(sum));
    }
    most
}

/// Goal: whatever threads do, what is stored is never more than the policy says, and the counters are what the log tells.
/// Method: sixteen threads ask for payments while the network comes and goes; the log is added up event by event, and counted
/// anew as after a restart.
#[test]
fn counters_are_never_over_the_policy_and_are_rebuilt_from_the_log() {
    const THREADS: i64 = 16;
    const PAYMENTS: i64 = 10;
    let bench = Bench::ticking(10_000);
    let gateway = bench.gateway(GatewayProfile::always_approve());
    gateway.set_online(false);
    let orchestrator = trusting(&bench, gateway.clone());
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (bench, orchestrator, gateway) = (&bench, &orchestrator, &gateway);
            scope.spawn(move || {
                for n in 0..PAYMENTS {
                    let id = format!("p{thread}-{n}");
                    orchestrator.start(bench.request(&id, 1, 10 + (thread + n) % 8)).unwrap();
                    orchestrator.advance(&id, Timestamp::EPOCH).unwrap();
                    gateway.set_online(thread == 0 && n % 3 == 0);
                    orchestrator.advance(&id, bench.store.now().plus(Duration::from_secs(1))).unwrap();
                }
            });
        }
    });
    gateway.set_online(false);
    let (payments, sum) = most_stored(&bench);
    assert!(payments <= 3 && sum <= 45, "{payments} with {sum}");
    assert!(payments >= 2, "something was stored: {payments}");
    let counted = orchestrator.offline_stored().unwrap();
    let restarted = trusting(&bench, gateway.clone());
    assert_eq!(restarted.offline_stored().unwrap(), counted, "counted by the whole log");
    let recovered = trusting(&bench, gateway.clone());
    recovered.rebuild_offline(&recovered.incomplete(Sequence::ZERO, &BTreeSet::new()).unwrap()).unwrap();
    assert_eq!(recovered.offline_stored().unwrap(), counted, "counted by what is not over");
    gateway.set_online(true);
    for id in recovered.incomplete(Sequence::ZERO, &BTreeSet::new()).unwrap() {
        finish(&bench, &recovered, &id);
    }
    assert_eq!(recovered.offline_stored().unwrap(), OfflineStored::default());
    bench.check_all(&recovered, &gateway.journal(), 10_000, usize::try_from(THREADS * PAYMENTS).unwrap());
}

#[test]
fn a_policy_out_of_its_ranges_is_refused() {
    let bench = Bench::ticking(100);
    let gateway = bench.gateway(GatewayProfile::always_approve());
    for offline in [
        OfflinePolicy { floor_limit: -1, ..policy() },
        OfflinePolicy { sum_max: -1, ..policy() },
        OfflinePolicy { upload_within: Duration::ZERO, ..policy() },
    ] {
        let with = OrchestratorOptions { offline, ..options() };
        let refused = Orchestrator::new(bench.wallets.clone(), gateway.clone(), with);
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidInput);
    }
    assert!(!OfflinePolicy::default().is_any(), "nothing is taken on trust unless somebody says so");
}
