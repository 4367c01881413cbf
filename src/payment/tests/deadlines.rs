//! Deadlines: they are on record, can be moved, and fire once.

use std::sync::Arc;
use std::time::Duration;

use super::super::*;
use super::bench::Bench;
use super::scripted::{Scripted, commits, types, yes};
use crate::aggregate::ExecuteError;
use crate::clock::ManualClock;
use crate::types::Timestamp;
use crate::{ErrorKind, Options};

const LIMIT: Duration = Duration::from_secs(120);

fn bench() -> (Bench, ManualClock) {
    let clock = ManualClock::new(Timestamp::from_micros(1_000_000));
    (Bench::with_options(100, Options::new().clock(Arc::new(clock.clone()))), clock)
}

fn refusal<T: std::fmt::Debug>(result: Result<T, ExecuteError<PaymentRefusal>>) -> PaymentRefusal {
    match result {
        Err(ExecuteError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_deadline_that_was_moved_counts_and_the_one_before_does_nothing() {
    let (bench, clock) = bench();
    let silent = Scripted::new(vec![GatewayAnswer::Unknown], vec![GatewayOutcome::Unknown]);
    let orchestrator = bench.orchestrator(silent);
    let first = orchestrator.start(bench.request("p", 5, 5)).unwrap().deadline().unwrap();
    let second = first.plus(LIMIT);
    let saga = orchestrator.extend_deadline("p", second, "the customer asked for it").unwrap();
    assert_eq!(saga.deadline(), Some(second));
    assert_eq!(saga.started().unwrap().deadline, first, "what was asked for stays on record");
    let earlier = orchestrator.extend_deadline("p", second, "again");
    assert_eq!(refusal(earlier), PaymentRefusal::DeadlineNotLater { deadline: second });

    clock.set(first);
    assert!(matches!(orchestrator.advance("p", first).unwrap(), Progress::WaitUntil(_)), "a stale deadline");
    let before = types(&bench, "p");
    assert!(!before.iter().any(|name| name == "DeadlineReached" || name == "CompensationInitiated"), "{before:?}");
    clock.set(second);
    assert!(matches!(orchestrator.advance("p", second).unwrap(), Progress::Final(_)));
    let after = types(&bench, "p");
    assert_eq!(after.iter().filter(|name| *name == "DeadlineReached").count(), 1, "it fires once");
    let at = after.iter().position(|name| name == "DeadlineReached").unwrap();
    assert_eq!(after[at + 1], "CompensationInitiated", "and stands right before what follows from it");
}

#[test]
fn a_deadline_that_ends_a_payment_with_nothing_to_undo_is_on_record_too() {
    let (bench, _) = bench();
    let orchestrator = bench.orchestrator(Scripted::new(vec![], vec![]));
    let deadline = orchestrator.start(bench.request("p", 5, 5)).unwrap().deadline().unwrap();
    let Progress::Final(outcome) = orchestrator.advance("p", deadline).unwrap() else { panic!("it is over") };
    assert_eq!(outcome.kind, OutcomeKind::Rejected);
    assert_eq!(types(&bench, "p")[1..], ["DeadlineReached", "PaymentRejected"]);
}

#[test]
fn past_the_pivot_and_while_it_is_undone_no_deadline_is_moved() {
    let (bench, _) = bench();
    let silent = vec![GatewayOutcome::Unknown; 9];
    let captured = bench.orchestrator(Scripted::new(vec![yes(), GatewayAnswer::Unknown], silent.clone()));
    let deadline = captured.start(bench.request("captured", 0, 5)).unwrap().deadline().unwrap();
    captured.advance("captured", Timestamp::EPOCH).unwrap();
    let later = deadline.plus(LIMIT);
    assert_eq!(refusal(captured.extend_deadline("captured", later, "")), PaymentRefusal::PastPivot);
    let undone = bench.orchestrator(Scripted::new(vec![GatewayAnswer::Unknown; 9], silent));
    undone.start(bench.request("undone", 0, 5)).unwrap();
    undone.advance("undone", Timestamp::EPOCH).unwrap();
    undone.advance("undone", deadline).unwrap();
    let reason = CompensationReason::Timeout;
    assert_eq!(refusal(undone.extend_deadline("undone", later, "")), PaymentRefusal::BeingUndone { reason });
    let nobody = undone.extend_deadline("nobody", later, "");
    assert!(matches!(nobody, Err(ExecuteError::Store(error)) if error.kind() == ErrorKind::NotFound));
    // The deadline passes after the capture was published: nothing of it is on record.
    assert!(!types(&bench, "captured").iter().any(|name| name.starts_with("Deadline")));
}

/// Goal: a clock that jumped, or a long power cut, does not expire what nobody could work on. Method: the same recovery twice,
/// then another one, each with the step it found; and the other policy, which passes zero.
#[test]
fn a_recovery_extends_a_deadline_by_the_step_of_time_once() {
    let (bench, _) = bench();
    let orchestrator = bench.orchestrator(Scripted::new(vec![], vec![]));
    let deadline = orchestrator.start(bench.request("p", 5, 0)).unwrap().deadline().unwrap();
    let step = Duration::from_secs(24 * 60 * 60);
    let now = bench.store.now().plus(step);
    for _ in 0..2 {
        assert_eq!(orchestrator.resume("p", "r1", now, step).unwrap(), ResumeDecision::Resumed);
        assert_eq!(orchestrator.load("p").unwrap().unwrap().deadline(), Some(deadline.plus(step)));
    }
    assert_eq!(commits(&bench)[0], "PaymentStarted PaymentResumed DeadlineScheduled", "the clock stands still here");
    orchestrator.resume("p", "r2", now, step).unwrap();
    assert_eq!(orchestrator.load("p").unwrap().unwrap().deadline(), Some(deadline.plus(step).plus(step)));

    orchestrator.start(bench.request("expires", 0, 5)).unwrap();
    let cut = bench.cut_after(&orchestrator, 1);
    assert!(cut.drive("expires").is_err());
    let decision = orchestrator.resume("expires", "r1", now, Duration::ZERO).unwrap();
    assert_eq!(decision, ResumeDecision::Compensating);
    // What is being undone, or past the pivot, is not extended by anybody.
    orchestrator.resume("expires", "r2", now, step).unwrap();
    assert_eq!(orchestrator.load("expires").unwrap().unwrap().deadline(), Some(deadline));
}
