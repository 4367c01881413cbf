//! What an operator asks under a command id is done once.

use super::super::*;
use super::bench::Bench;
use super::scripted::{Scripted, finish, no, yes};
use crate::ErrorKind;
use crate::aggregate::ExecuteError;
use crate::types::Version;

#[test]
fn a_cancellation_is_answered_with_its_first_outcome_also_after_a_restart() {
    let bench = Bench::ticking(100);
    let orchestrator = bench.orchestrator(Scripted::new(vec![], vec![]));
    orchestrator.start(bench.request("p", 5, 6)).unwrap();
    let first = orchestrator.for_command("x").cancel("p", "ana", "gone").unwrap();
    assert_eq!((first.version, first.is_repeat), (Version::new(2), false));
    let last = bench.store.last_sequence();
    let restarted = bench.orchestrator(Scripted::new(vec![], vec![]));
    let again = restarted.for_command("x").cancel("p", "ana", "gone").unwrap();
    assert_eq!((again.version, again.is_repeat), (first.version, true));
    assert_eq!(again.saga, first.saga);
    assert_eq!(bench.store.last_sequence(), last, "nothing was written");
    let over = restarted.for_command("y").cancel("p", "ana", "gone");
    assert!(matches!(over, Err(ExecuteError::Refused(PaymentRefusal::AlreadyOver { .. }))), "{over:?}");
}

#[test]
fn another_content_under_the_same_id_is_a_conflict() {
    let bench = Bench::ticking(100);
    let orchestrator = bench.orchestrator(Scripted::new(vec![], vec![]));
    orchestrator.start(bench.request("p", 5, 6)).unwrap();
    let command = orchestrator.for_command("x");
    command.cancel("p", "ana", "gone").unwrap();
    for conflict in [command.cancel("p", "ana", "another"), command.retry("p", "ana", "gone")] {
        match conflict {
            Err(ExecuteError::Store(error)) => assert_eq!(error.kind(), ErrorKind::IdempotencyConflict),
            other => panic!("{other:?}"),
        }
    }
}

/// Goal: two retries for the same reason are two, and each of them is done once. Method: a payment that is given up twice.
#[test]
fn a_retry_is_repeated_by_its_id_and_not_by_its_words() {
    let bench = Bench::ticking(100);
    let orchestrator = bench.orchestrator(Scripted::new(vec![yes(), no(), no()], vec![]));
    orchestrator.start(bench.request("p", 5, 6)).unwrap();
    finish(&bench, &orchestrator, "p");
    assert!(!orchestrator.for_command("r1").retry("p", "ana", "again").unwrap().is_repeat);
    finish(&bench, &orchestrator, "p");
    let parked = orchestrator.load("p").unwrap().unwrap();
    assert!(parked.parked().is_some(), "the second attempt is refused as well");
    assert!(orchestrator.for_command("r1").retry("p", "ana", "again").unwrap().is_repeat);
    assert!(orchestrator.load("p").unwrap().unwrap().parked().is_some(), "a repeat does nothing");
    assert!(!orchestrator.for_command("r2").retry("p", "ana", "again").unwrap().is_repeat);
    assert!(matches!(finish(&bench, &orchestrator, "p"), Progress::Final(_)));
}
