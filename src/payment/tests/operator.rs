//! What an operator may ask of a payment.

use std::sync::Arc;
use std::time::Duration;

use super::super::*;
use super::bench::{Bench, options};
use super::scripted::{Scripted, commits, finish, no, types, yes};
use crate::ErrorKind;
use crate::aggregate::{ExecuteError, ExecuteOptions};
use crate::sync::Mutex;
use crate::types::Sequence;
use crate::wallet::WalletCommand;

fn refusal<T: std::fmt::Debug>(result: Result<T, ExecuteError<PaymentRefusal>>) -> PaymentRefusal {
    match result {
        Err(ExecuteError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

/// A payment whose capture was refused: parked past the pivot, with its hold.
fn parked_past_the_pivot(bench: &Bench) -> (Orchestrator, Arc<Scripted>) {
    let gateway = Scripted::new(vec![yes(), no()], vec![]);
    let orchestrator = bench.orchestrator(gateway.clone());
    orchestrator.start(bench.request("p", 5, 6)).unwrap();
    assert!(matches!(finish(bench, &orchestrator, "p"), Progress::Parked(_)));
    (orchestrator, gateway)
}

/// A payment whose void was refused: parked while it is undone.
fn parked_while_undone(bench: &Bench) -> (Orchestrator, Arc<Scripted>) {
    let gateway = Scripted::new(vec![no()], vec![]);
    let orchestrator = bench.orchestrator(gateway.clone());
    orchestrator.start(bench.request("p", 5, 6)).unwrap();
    assert!(bench.cut_after(&orchestrator, 2).drive("p").is_err(), "published, and cut off before it is sent");
    let late = bench.store.now().plus(Duration::from_secs(3_600));
    assert!(matches!(orchestrator.advance("p", late).unwrap(), Progress::Parked(_)));
    (orchestrator, gateway)
}

#[test]
fn a_payment_with_nothing_done_is_cancelled_by_rejection_under_the_operators_name() {
    let bench = Bench::ticking(100);
    let orchestrator = bench.orchestrator(Scripted::new(vec![], vec![]));
    orchestrator.start(bench.request("p", 5, 6)).unwrap();
    let saga = orchestrator.cancel("p", "ana", "the customer left").unwrap();
    assert_eq!(saga.state(), PaymentState::Rejected);
    assert_eq!(saga.outcome().unwrap().reason, "cancelled: the customer left");
    assert_eq!(commits(&bench).last().unwrap(), "OperatorCancelled PaymentRejected", "in one commit");
    let last = bench.store.event(bench.store.last_sequence()).unwrap().unwrap();
    assert_eq!(last.metadata.actor.as_deref(), Some("ana"));
    assert_eq!(last.metadata.correlation_id.as_deref(), Some("p"));
    let outcome = OutcomeKind::Rejected;
    assert_eq!(refusal(orchestrator.cancel("p", "ana", "")), PaymentRefusal::AlreadyOver { outcome });
}

#[test]
fn a_payment_under_way_is_cancelled_by_undoing_it() {
    let bench = Bench::ticking(100);
    let gateway = Scripted::new(vec![], vec![]);
    let orchestrator = bench.orchestrator(gateway.clone());
    orchestrator.start(bench.request("p", 5, 6)).unwrap();
    assert!(bench.cut_after(&orchestrator, 2).drive("p").is_err(), "published, and cut off before it is sent");
    let saga = orchestrator.cancel("p", "ana", "wrong till").unwrap();
    assert_eq!(saga.compensation(), Some(CompensationReason::Cancelled));
    let again = refusal(orchestrator.cancel("p", "ana", ""));
    assert_eq!(again, PaymentRefusal::BeingUndone { reason: CompensationReason::Cancelled });
    assert_eq!(orchestrator.drive("p").unwrap().kind, OutcomeKind::Compensated);
    assert_eq!(gateway.called(), ["p/void"]);
    assert_eq!((bench.wallet().balance(), bench.wallet().locked_balance()), (100, 0));
}

#[test]
fn past_the_pivot_nothing_is_cancelled() {
    let bench = Bench::ticking(100);
    let (orchestrator, _) = parked_past_the_pivot(&bench);
    let last = bench.store.last_sequence();
    assert_eq!(refusal(orchestrator.cancel("p", "ana", "")), PaymentRefusal::PastPivot);
    assert_eq!(bench.store.last_sequence(), last, "a refusal writes nothing");
    let text = crate::Error::from(orchestrator.cancel("p", "ana", "").unwrap_err());
    assert_eq!(text.kind(), ErrorKind::Refused);
}

#[test]
fn a_retry_begins_a_new_group_of_attempts_under_the_same_key() {
    let bench = Bench::ticking(100);
    let (orchestrator, gateway) = parked_past_the_pivot(&bench);
    let saga = orchestrator.retry("p", "ana", "the acquirer mended it").unwrap();
    assert_eq!(saga.parked(), None);
    assert_eq!(refusal(orchestrator.retry("p", "ana", "")), PaymentRefusal::NotParked);
    assert_eq!(orchestrator.drive("p").unwrap().kind, OutcomeKind::Completed);
    assert_eq!(gateway.called(), ["p/authorise", "p/capture", "p/capture"]);
    assert_eq!((bench.wallet().balance(), bench.wallet().locked_balance()), (95, 0));
}

/// Goal: attempts are counted anew, so that a retry has as many as a payment has, and ids of commands stay apart.
#[test]
fn a_retry_has_all_attempts_and_is_parked_again_when_they_are_used_up() {
    let bench = Bench::ticking(100);
    let gateway =
        Scripted::new([vec![yes()], vec![GatewayAnswer::Unknown; 8]].concat(), vec![GatewayOutcome::Unknown; 8]);
    let orchestrator = bench.orchestrator(gateway.clone());
    orchestrator.start(bench.request("p", 0, 6)).unwrap();
    for times in 1..=2 {
        assert!(matches!(finish(&bench, &orchestrator, "p"), Progress::Parked(_)));
        let captures = gateway.called().iter().filter(|key| *key == "p/capture").count();
        assert_eq!(captures, 4 * times, "as many as the policy has");
        orchestrator.retry("p", "ana", "again").unwrap();
    }
    assert!(matches!(finish(&bench, &orchestrator, "p"), Progress::Final(_)));
}

#[test]
fn a_retry_of_what_is_undone_voids_and_releases_again() {
    let bench = Bench::ticking(100);
    let (orchestrator, gateway) = parked_while_undone(&bench);
    assert_eq!(bench.wallet().locked_balance(), 0, "a failed step keeps no other from being undone");
    orchestrator.retry("p", "ana", "again").unwrap();
    assert_eq!(orchestrator.drive("p").unwrap().kind, OutcomeKind::Compensated);
    assert_eq!(gateway.called(), ["p/void", "p/void"]);
}

#[test]
fn a_parked_payment_is_resolved_as_completed_with_its_hold_in_one_commit() {
    let bench = Bench::ticking(100);
    let (orchestrator, gateway) = parked_past_the_pivot(&bench);
    let calls = gateway.called().len();
    let saga = orchestrator.resolve("p", Resolution::Completed, "ana", "the acquirer says it is captured").unwrap();
    assert_eq!(saga.state(), PaymentState::Completed);
    assert_eq!(
        commits(&bench).last().unwrap(),
        "OperatorResolved HoldCaptured StepSucceeded PaymentCompleted",
        "the wallet's part and the outcome are one commit"
    );
    assert_eq!((bench.wallet().balance(), bench.wallet().locked_balance()), (95, 0));
    assert_eq!(gateway.called().len(), calls, "nobody is called");
    let outcome = OutcomeKind::Completed;
    let other = orchestrator.resolve("p", Resolution::Compensated, "bo", "no");
    assert_eq!(refusal(other), PaymentRefusal::AlreadyOver { outcome });
    assert!(orchestrator.incomplete(Sequence::ZERO, &Default::default()).unwrap().is_empty());
}

#[test]
fn a_parked_payment_is_resolved_as_compensated_with_its_hold_in_one_commit() {
    let bench = Bench::ticking(100);
    let (orchestrator, _) = parked_past_the_pivot(&bench);
    let saga = orchestrator.resolve("p", Resolution::Compensated, "ana", "it was never captured").unwrap();
    assert_eq!(saga.outcome().unwrap().reason, "resolved: it was never captured");
    assert_eq!(
        commits(&bench).last().unwrap(),
        "OperatorResolved HoldReleased CompensationStepSucceeded PaymentCompensated"
    );
    assert_eq!((bench.wallet().balance(), bench.wallet().locked_balance()), (100, 0));
}

#[test]
fn what_was_let_go_is_not_completed_and_what_was_taken_is_not_let_go() {
    let bench = Bench::ticking(100);
    let (orchestrator, _) = parked_while_undone(&bench);
    let completed = orchestrator.resolve("p", Resolution::Completed, "ana", "");
    assert!(matches!(refusal(completed), PaymentRefusal::WalletPart { .. }));
    orchestrator.resolve("p", Resolution::Compensated, "ana", "voided by telephone").unwrap();

    let gateway = Scripted::settling(vec![yes(), yes(), no()], vec![]);
    let orchestrator = bench.orchestrator(gateway);
    orchestrator.start(bench.request("q", 5, 6)).unwrap();
    assert!(matches!(finish(&bench, &orchestrator, "q"), Progress::Parked(_)));
    let undone = orchestrator.resolve("q", Resolution::Compensated, "ana", "");
    assert!(matches!(refusal(undone), PaymentRefusal::WalletPart { .. }));
    orchestrator.resolve("q", Resolution::Completed, "ana", "settled by hand").unwrap();
    assert_eq!((bench.wallet().balance(), bench.wallet().locked_balance()), (95, 0));
}

/// Goal: a wallet that somebody else changed by hand keeps no operator from ending the payment.
#[test]
fn a_hold_that_is_gone_already_need_not_be_let_go_again() {
    let bench = Bench::ticking(100);
    let (orchestrator, _) = parked_past_the_pivot(&bench);
    let release = WalletCommand::Release { hold_id: "p".into() };
    bench.wallets.execute("u1", &ExecuteOptions::default(), &release).unwrap();
    let completed = orchestrator.resolve("p", Resolution::Completed, "ana", "");
    assert!(matches!(refusal(completed), PaymentRefusal::WalletPart { .. }));
    let saga = orchestrator.resolve("p", Resolution::Compensated, "ana", "released by hand").unwrap();
    assert_eq!(saga.state(), PaymentState::Compensated);
    assert_eq!((bench.wallet().balance(), bench.wallet().locked_balance()), (100, 0));
}

#[test]
fn a_release_that_the_wallet_refused_is_retried() {
    let bench = Bench::ticking(100);
    let gateway = Scripted::new(vec![], vec![]);
    let orchestrator = bench.orchestrator(gateway);
    orchestrator.start(bench.request("p", 5, 6)).unwrap();
    assert!(bench.cut_after(&orchestrator, 2).drive("p").is_err());
    let release = WalletCommand::Release { hold_id: "p".into() };
    bench.wallets.execute("u1", &ExecuteOptions::default(), &release).unwrap();
    orchestrator.cancel("p", "ana", "").unwrap();
    let Progress::Parked(reason) = finish(&bench, &orchestrator, "p") else { panic!("it is parked") };
    assert!(reason.contains("the release failed"), "{reason}");
    assert!(types(&bench, "p").contains(&"CompensationStepFailed".to_owned()), "each step is on record");
    orchestrator.retry("p", "ana", "").unwrap();
    assert!(matches!(finish(&bench, &orchestrator, "p"), Progress::Parked(_)), "it is still gone");
    orchestrator.resolve("p", Resolution::Compensated, "ana", "").unwrap();
}

#[test]
fn only_parked_payments_are_retried_and_resolved_and_operators_have_names() {
    let bench = Bench::ticking(100);
    let orchestrator = bench.orchestrator(Scripted::new(vec![], vec![]));
    orchestrator.start(bench.request("p", 5, 6)).unwrap();
    assert_eq!(refusal(orchestrator.retry("p", "ana", "")), PaymentRefusal::NotParked);
    assert_eq!(refusal(orchestrator.resolve("p", Resolution::Completed, "ana", "")), PaymentRefusal::NotParked);
    for (id, operator, reason, kind) in [
        ("p", "", "", ErrorKind::InvalidInput),
        ("p", "ana", "x".repeat(1_025).as_str(), ErrorKind::InvalidInput),
        ("nobody", "ana", "", ErrorKind::NotFound),
    ] {
        match orchestrator.cancel(id, operator, reason) {
            Err(ExecuteError::Store(error)) => assert_eq!(error.kind(), kind),
            other => panic!("{other:?}"),
        }
    }
}

/// Goal: of operators who ask for different things at the same time one is first, and the payment has one outcome.
#[test]
fn operators_and_workers_at_the_same_time_end_a_payment_once() {
    for round in 0..20 {
        let bench = Bench::ticking(100);
        let (orchestrator, _) = parked_past_the_pivot(&bench);
        std::thread::scope(|scope| {
            for resolution in [Resolution::Completed, Resolution::Compensated] {
                let orchestrator = orchestrator.clone();
                scope.spawn(move || drop(orchestrator.resolve("p", resolution, "ana", "mine")));
            }
            let orchestrator = orchestrator.clone();
            scope.spawn(move || drop(orchestrator.retry("p", "bo", "again").map(|_| orchestrator.drive("p"))));
        });
        finish(&bench, &orchestrator, "p");
        let ends = types(&bench, "p")
            .into_iter()
            .filter(|name| name.starts_with("PaymentCompl") || name.starts_with("PaymentCompe"));
        assert_eq!(ends.count(), 1, "round {round}");
        let outcome = orchestrator.load("p").unwrap().unwrap().outcome().unwrap().kind;
        let balance = if outcome == OutcomeKind::Completed { 95 } else { 100 };
        assert_eq!((bench.wallet().balance(), bench.wallet().locked_balance()), (balance, 0));
    }
}

/// Goal: a person hears of a parked payment once, after it is on record, and may act on it at once.
#[test]
fn an_alert_tells_of_a_parked_payment_once_and_its_hearer_may_act() {
    let bench = Bench::ticking(100);
    let heard: Arc<Mutex<Vec<Alert>>> = Arc::default();
    let kept = Arc::clone(&heard);
    let by_hand = bench.orchestrator(Scripted::new(vec![], vec![]));
    let on_alert: AlertHandler = Arc::new(move |alert: &Alert| {
        kept.lock().push(alert.clone());
        by_hand.resolve(&alert.payment_id, Resolution::Compensated, "ana", "at once").unwrap();
    });
    let gateway = Scripted::new(vec![yes(), no()], vec![]);
    let orchestrator = bench.orchestrator_with(gateway, OrchestratorOptions { on_alert: Some(on_alert), ..options() });
    let error = orchestrator.run(bench.request("p", 5, 6)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotReady);
    assert_eq!(orchestrator.drive("p").unwrap().kind, OutcomeKind::Compensated);
    let heard = heard.lock();
    let [alert] = &heard[..] else { panic!("{heard:?}") };
    assert_eq!((alert.payment_id.as_str(), alert.kind), ("p", AlertKind::ParkedForReview));
    assert!(alert.reason.starts_with("the capture failed"), "{}", alert.reason);
}
