//! Attempts: their keys, their delays, and what is never tried again.

use std::sync::Arc;
use std::time::Duration;

use super::super::*;
use super::bench::{Bench, options, policy};
use super::scripted::{Scripted, finish, types};
use crate::aggregate::DomainEvent;
use crate::clock::ManualClock;
use crate::money::Money;
use crate::sync::Mutex;
use crate::types::Timestamp;
use crate::{Options, StreamId};

fn events(bench: &Bench, payment_id: &str) -> Vec<PaymentEvent> {
    let stream = StreamId::new(format!("payment-{payment_id}")).unwrap();
    bench.store.read_stream(&stream, ..).map(|event| PaymentEvent::decode(&event.unwrap()).unwrap()).collect()
}

#[test]
fn every_attempt_has_its_own_command_id_and_all_have_one_key() {
    let bench = Bench::ticking(100);
    let gateway = Scripted::new(vec![GatewayAnswer::Unknown; 9], vec![GatewayOutcome::NotSeen; 9]);
    let orchestrator = bench.orchestrator(gateway.clone());
    orchestrator.start(bench.request("p", 0, 5)).unwrap();
    finish(&bench, &orchestrator, "p");
    let published: Vec<_> = events(&bench, "p")
        .into_iter()
        .filter_map(|event| match event {
            PaymentEvent::StepCommandPublished(fact) => Some((fact.attempt, fact.command_id, fact.idempotency_key)),
            _ => None,
        })
        .collect();
    assert_eq!(published.len(), usize::try_from(policy().attempts_max).unwrap());
    for (number, (attempt, command_id, key)) in (1..).zip(&published) {
        assert_eq!((*attempt, key.as_str()), (number, "p/authorise"));
        assert_eq!(*command_id, GatewayCommand::Authorise.command_id("p", number));
    }
}

/// Goal: the delays are those of the policy, each with its jitter, and whoever decides them decides the same.
#[test]
fn delays_are_those_of_the_policy_with_a_jitter_that_anybody_finds_again() {
    let clock = ManualClock::new(Timestamp::from_micros(1_000_000));
    let bench = Bench::with_options(100, Options::new().clock(Arc::new(clock.clone())));
    let gateway = Scripted::new(vec![GatewayAnswer::Unknown; 9], vec![GatewayOutcome::Unknown; 9]);
    let retry = RetryPolicy::default();
    let orchestrator = bench.orchestrator_with(gateway, OrchestratorOptions { retry, ..options() });
    orchestrator.start(bench.request("p", 0, 5)).unwrap();
    let mut waits = Vec::new();
    for attempt in 1..=4 {
        let Progress::WaitUntil(due) = orchestrator.advance("p", Timestamp::EPOCH).unwrap() else { panic!() };
        let delay = retry.delay(attempt);
        let jitter = retry.jitter(delay, "p", GatewayCommand::Authorise, attempt);
        assert_eq!(due.since(bench.store.now()), delay + jitter);
        waits.push(delay.as_secs());
        clock.set(due);
    }
    assert_eq!(waits, [5, 10, 20, 40]);
}

#[test]
fn up_to_the_pivot_the_deadline_caps_every_wait() {
    let clock = ManualClock::new(Timestamp::from_micros(1_000_000));
    let bench = Bench::with_options(100, Options::new().clock(Arc::new(clock.clone())));
    let gateway = Scripted::new(vec![GatewayAnswer::Unknown; 9], vec![GatewayOutcome::Unknown; 9]);
    let slow = RetryPolicy { initial: Duration::from_secs(3_600), longest: Duration::from_secs(3_600), ..policy() };
    let orchestrator = bench.orchestrator_with(gateway, OrchestratorOptions { retry: slow, ..options() });
    let deadline = orchestrator.start(bench.request("p", 0, 5)).unwrap().deadline().unwrap();
    assert_eq!(orchestrator.advance("p", Timestamp::EPOCH).unwrap(), Progress::WaitUntil(deadline));
}

#[test]
fn what_is_never_retried_is_sent_once_and_asked_about() {
    let bench = Bench::ticking(100);
    let gateway = Scripted::new(vec![GatewayAnswer::Unknown], vec![GatewayOutcome::NotSeen]);
    let never_retried = CommandSet::none().with(GatewayCommand::Authorise);
    let retry = RetryPolicy { never_retried, ..policy() };
    let orchestrator = bench.orchestrator_with(gateway.clone(), OrchestratorOptions { retry, ..options() });
    let outcome = orchestrator.run(bench.request("p", 0, 5)).unwrap();
    assert_eq!(outcome.kind, OutcomeKind::Compensated);
    // It may still be on its way, so it is voided by key.
    assert_eq!(gateway.called(), ["p/authorise", "p/authorise?", "p/void"]);
}

#[test]
fn a_refusal_for_good_is_never_followed_by_another_attempt() {
    let bench = Bench::ticking(100);
    let gateway = Scripted::new(vec![super::scripted::no()], vec![]);
    bench.orchestrator(gateway.clone()).run(bench.request("p", 0, 5)).unwrap();
    assert_eq!(gateway.called(), ["p/authorise"]);
    assert!(!types(&bench, "p").contains(&"RetryScheduled".to_owned()));
}

/// A gateway that keeps the time limit it was handed.
#[derive(Default)]
struct Limited {
    limit: Mutex<Option<Duration>>,
}

impl PaymentGateway for Limited {
    fn authorise(&self, _: &str, _: Money, _: &str) -> GatewayAnswer {
        GatewayAnswer::Unknown
    }

    fn capture(&self, _: &str, _: &str, _: Money) -> GatewayAnswer {
        GatewayAnswer::Unknown
    }

    fn void(&self, _: &str, _: &str) -> GatewayAnswer {
        GatewayAnswer::Unknown
    }

    fn refund(&self, _: &str, _: &str, _: Money) -> GatewayAnswer {
        GatewayAnswer::Unknown
    }

    fn query(&self, _: &str) -> GatewayOutcome {
        GatewayOutcome::Unknown
    }

    fn limit_attempts(&self, limit: Duration) {
        *self.limit.lock() = Some(limit);
    }
}

#[test]
fn a_gateway_is_handed_the_time_limit_of_an_attempt_before_its_first_call() {
    let bench = Bench::ticking(100);
    let gateway = Arc::new(Limited::default());
    bench.orchestrator_with(gateway.clone(), OrchestratorOptions::default());
    assert_eq!(*gateway.limit.lock(), Some(Duration::from_secs(30)));
    assert!(gateway.is_online() && !gateway.settles(), "what a gateway does not say");
    let refused = gateway.settle("p/settle", "p/capture", Money::new(1, super::bench::eur_code()));
    assert!(matches!(refused, GatewayAnswer::Declined { .. }));
}
