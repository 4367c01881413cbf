//! Payments that are polled.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::super::*;
use super::bench::{Bench, policy};
use crate::clock::ManualClock;
use crate::saga::{self, Next, PollReport, Runner, RunnerOptions, Saga};
use crate::types::{Sequence, Timestamp};
use crate::{ErrorKind, Options};

const DEPOSITED: i64 = 1_000;

/// Polls until nothing is due any more, whatever the time.
fn poll_out(orchestrator: &Orchestrator) -> crate::Result<()> {
    let mut now = Timestamp::EPOCH;
    for _ in 0..1_000 {
        let report: PollReport = orchestrator.poll(now)?;
        assert!(report.failed.is_empty(), "{report:?}");
        let Some(due) = report.next_due else { return Ok(()) };
        now = now.max(due);
    }
    panic!("a payment has an end");
}

fn rough(seed: u64) -> GatewayProfile {
    GatewayProfile {
        decline_permille: 200,
        timeout_after_permille: 300,
        timeout_before_permille: 300,
        seed,
        ..GatewayProfile::always_approve()
    }
}

#[test]
fn polling_brings_every_payment_to_its_end_and_waits_out_nothing() {
    for seed in 0..20 {
        let bench = Bench::with_options(DEPOSITED, Options::new().clock(Arc::new(ManualClock::default())));
        let gateway = bench.gateway(rough(seed));
        let orchestrator = bench.orchestrator(gateway.clone());
        for (number, (wallet, card)) in [(7, 0), (0, 9), (5, 6), (3, 4)].into_iter().enumerate() {
            orchestrator.start(bench.request(&format!("p{number}"), wallet, card)).unwrap();
        }
        poll_out(&orchestrator).unwrap();
        bench.check_all(&orchestrator, &gateway.journal(), DEPOSITED, 4);
        assert!(orchestrator.open_payments().is_empty());
        let last = bench.store.last_sequence();
        orchestrator.poll(Timestamp::MAX).unwrap();
        assert_eq!(bench.store.last_sequence(), last, "a timer that was dealt with does nothing");
    }
}

/// Wherever a poll is cut off, the next life's polls end the payment once.
#[test]
fn polls_that_are_cut_off_at_every_point_end_each_payment_once() {
    for seed in 0..20 {
        for points in 0..20 {
            let bench = Bench::ticking(DEPOSITED);
            let gateway = bench.gateway(rough(seed));
            let orchestrator = bench.orchestrator(gateway.clone());
            orchestrator.start(bench.request("p", 5, 6)).unwrap();
            if let Err(error) = poll_out(&bench.cut_after(&orchestrator, points)) {
                assert_eq!(error.kind(), ErrorKind::Closed);
            }
            let orchestrator = bench.orchestrator(gateway.clone());
            poll_out(&orchestrator).unwrap();
            bench.check_all(&orchestrator, &gateway.journal(), DEPOSITED, 1);
        }
    }
}

#[test]
fn the_agenda_of_payments_made_again_is_the_one_that_was_kept_up() {
    let clock = ManualClock::default();
    let bench = Bench::with_options(DEPOSITED, Options::new().clock(Arc::new(clock.clone())));
    let gateway = bench.gateway(rough(3));
    let orchestrator = bench.orchestrator(gateway.clone());
    orchestrator.watch(Sequence::ZERO, &BTreeSet::new()).unwrap();
    let mut half = None;
    for number in 0..40 {
        orchestrator.start(bench.request(&format!("p{number}"), 1, 2)).unwrap();
        clock.advance(Duration::from_micros(90));
        orchestrator.poll(Timestamp::EPOCH).unwrap();
        if number == 20 {
            let from = bench.store.last_sequence();
            half = Some((from, orchestrator.incomplete(Sequence::ZERO, &BTreeSet::new()).unwrap()));
        }
    }
    let kept_up = orchestrator.open_payments();
    assert!(kept_up.values().any(Option::is_some), "some wait: {kept_up:?}");
    let (from, known_open) = half.unwrap();
    for (from, known_open) in [(Sequence::ZERO, BTreeSet::new()), (from, known_open.into_iter().collect())] {
        let again = bench.orchestrator(gateway.clone());
        assert_eq!(again.watch(from, &known_open).unwrap(), kept_up.len());
        assert_eq!(again.open_payments(), kept_up);
    }
}

#[test]
fn a_payment_past_its_deadline_is_undone_by_the_next_poll() {
    let clock = ManualClock::default();
    let bench = Bench::with_options(DEPOSITED, Options::new().clock(Arc::new(clock.clone())));
    let gateway = bench.gateway(GatewayProfile::always_approve());
    let orchestrator = bench.orchestrator(gateway.clone());
    orchestrator.start(bench.request("p", 5, 6)).unwrap();
    clock.advance(Duration::from_secs(121));
    let report = orchestrator.poll(Timestamp::EPOCH).unwrap();
    assert_eq!((report.ended, report.next_due), (1, None));
    assert_eq!(orchestrator.load("p").unwrap().unwrap().outcome().unwrap().kind, OutcomeKind::Rejected);
}

#[test]
fn a_payment_that_was_over_and_is_charged_late_is_polled_again() {
    let clock = ManualClock::default();
    let bench = Bench::with_options(DEPOSITED, Options::new().clock(Arc::new(clock.clone())));
    let gateway = bench.gateway(GatewayProfile::always_approve());
    let orchestrator = bench.orchestrator(gateway.clone());
    let saga = orchestrator.start(bench.request("p", 5, 6)).unwrap();
    clock.set(saga.started().unwrap().deadline);
    poll_out(&orchestrator).unwrap();
    assert!(orchestrator.open_payments().is_empty());
    orchestrator.report_late_success("p", "late").unwrap();
    let report = orchestrator.poll(Timestamp::EPOCH).unwrap();
    assert_eq!(report.ended + report.parked + report.advanced, 1, "{report:?}");
}

#[test]
fn what_is_held_back_or_beyond_the_bound_is_left() {
    let bench = Bench::ticking(DEPOSITED);
    let orchestrator = bench.orchestrator(bench.gateway(GatewayProfile::always_approve()));
    for payment_id in ["a", "b", "c"] {
        orchestrator.start(bench.request(payment_id, 5, 0)).unwrap();
    }
    orchestrator.watch(Sequence::ZERO, &BTreeSet::new()).unwrap();
    orchestrator.hold_back("a");
    assert_eq!(orchestrator.poll_some(Timestamp::EPOCH, 1).unwrap().ended, 1);
    assert_eq!(orchestrator.poll(Timestamp::EPOCH).unwrap().ended, 1);
    assert_eq!(orchestrator.open_payments().into_iter().collect::<Vec<_>>(), [("a".to_owned(), None)]);
    assert_eq!(orchestrator.drive("a").unwrap().kind, OutcomeKind::Completed, "whoever asks for it by name is heard");
}

#[test]
fn a_runner_carries_payments_out_as_they_come() {
    let bench = Bench::with_options(DEPOSITED, Options::new());
    let gateway = bench.gateway(rough(1));
    let orchestrator = bench.orchestrator(gateway.clone());
    let options = RunnerOptions { longest_wait: Duration::from_millis(20) };
    let runner = Runner::start(Arc::new(orchestrator.clone()), options).unwrap();
    for number in 0..10 {
        orchestrator.start(bench.request(&format!("p{number}"), 1, 2)).unwrap();
    }
    // It is joined by whoever wants to wait for the end.
    for number in 0..10 {
        orchestrator.drive(&format!("p{number}")).unwrap();
    }
    runner.stop().unwrap();
    bench.check_all(&orchestrator, &gateway.journal(), DEPOSITED, 10);
}

/// The payment as the trait sees it: at each of its events, the same state, and the command in doubt by the gateway's names.
#[test]
fn a_payment_is_a_saga() {
    let bench = Bench::ticking(DEPOSITED);
    let orchestrator = bench.orchestrator(bench.gateway(GatewayProfile::always_approve()));
    orchestrator.run(bench.request("p", 5, 6)).unwrap();
    let loaded = saga::load::<PaymentSaga>(&bench.store, "p").unwrap();
    assert_eq!(Some(&loaded.saga), orchestrator.load("p").unwrap().as_ref());
    assert!(loaded.is_over);
    assert_eq!(Saga::next(&loaded.saga, Timestamp::MAX, &policy()), Next::Done);
    assert_eq!(Saga::unanswered(&loaded.saga), None);

    orchestrator.start(bench.request("q", 5, 6)).unwrap();
    assert!(bench.cut_after(&orchestrator, 2).drive("q").is_err());
    let loaded = saga::load::<PaymentSaga>(&bench.store, "q").unwrap();
    let command = Saga::unanswered(&loaded.saga).unwrap();
    assert_eq!((command.step(), command.attempt()), ("authorise", 1));
    assert_eq!(command.idempotency_key(), GatewayCommand::Authorise.key("q"));
    assert_eq!(command.command_id(), GatewayCommand::Authorise.command_id("q", 1));
}
