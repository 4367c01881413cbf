//! A gateway that does as it is told, and what a store says of it.

use std::sync::Arc;

use super::super::*;
use super::bench::Bench;
use crate::money::Money;
use crate::sync::{AtomicBool, Mutex, Ordering};
use crate::types::{Sequence, Timestamp};

/// A gateway that gives the answers it is told, in order, and then approves.
#[derive(Debug, Default)]
pub(super) struct Scripted {
    answers: Mutex<Vec<GatewayAnswer>>,
    outcomes: Mutex<Vec<GatewayOutcome>>,
    pub(super) calls: Mutex<Vec<String>>,
    settles: AtomicBool,
    is_offline: AtomicBool,
}

impl Scripted {
    pub(super) fn new(answers: Vec<GatewayAnswer>, outcomes: Vec<GatewayOutcome>) -> Arc<Self> {
        let (answers, outcomes) = (Mutex::new(answers), Mutex::new(outcomes));
        Arc::new(Self { answers, outcomes, ..Self::default() })
    }

    /// The same, and captures have to be settled.
    pub(super) fn settling(answers: Vec<GatewayAnswer>, outcomes: Vec<GatewayOutcome>) -> Arc<Self> {
        let gateway = Self::new(answers, outcomes);
        gateway.settles.store(true, Ordering::SeqCst);
        gateway
    }

    /// Says of itself that it has a network or none; what it answers is what it was told.
    pub(super) fn set_online(&self, is_online: bool) {
        self.is_offline.store(!is_online, Ordering::SeqCst);
    }

    pub(super) fn called(&self) -> Vec<String> {
        self.calls.lock().clone()
    }

    fn answer(&self, key: &str) -> GatewayAnswer {
        self.calls.lock().push(key.to_owned());
        let mut answers = self.answers.lock();
        if answers.is_empty() {
            return GatewayAnswer::Approved { reference: "r".into() };
        }
        answers.remove(0)
    }
}

impl PaymentGateway for Scripted {
    fn authorise(&self, key: &str, _: Money, _: &str) -> GatewayAnswer {
        self.answer(key)
    }

    fn capture(&self, key: &str, _: &str, _: Money) -> GatewayAnswer {
        self.answer(key)
    }

    fn void(&self, key: &str, _: &str) -> GatewayAnswer {
        self.answer(key)
    }

    fn refund(&self, key: &str, _: &str, _: Money) -> GatewayAnswer {
        self.answer(key)
    }

    fn settles(&self) -> bool {
        self.settles.load(Ordering::SeqCst)
    }

    fn settle(&self, key: &str, _: &str, _: Money) -> GatewayAnswer {
        self.answer(key)
    }

    fn is_online(&self) -> bool {
        !self.is_offline.load(Ordering::SeqCst)
    }

    fn query(&self, key: &str) -> GatewayOutcome {
        self.calls.lock().push(format!("{key}?"));
        let mut outcomes = self.outcomes.lock();
        if outcomes.is_empty() {
            return GatewayOutcome::Approved { reference: "r".into() };
        }
        outcomes.remove(0)
    }
}

pub(super) fn yes() -> GatewayAnswer {
    GatewayAnswer::Approved { reference: "r".into() }
}

pub(super) fn no() -> GatewayAnswer {
    GatewayAnswer::Declined { reason: "no".into() }
}

/// The types of all events of the store after the wallet's first two, one text per commit.
pub(super) fn commits(bench: &Bench) -> Vec<String> {
    let mut commits: Vec<(Timestamp, String)> = Vec::new();
    for event in bench.store.read_all(Sequence::new(3)..) {
        let event = event.unwrap();
        match commits.last_mut() {
            Some((time, text)) if *time == event.timestamp => {
                text.push(' ');
                text.push_str(event.event_type.as_str());
            }
            _ => commits.push((event.timestamp, event.event_type.to_string())),
        }
    }
    commits.into_iter().map(|(_, text)| text).collect()
}

/// The types of all events of a payment.
pub(super) fn types(bench: &Bench, payment_id: &str) -> Vec<String> {
    let stream = crate::StreamId::new(format!("payment-{payment_id}")).unwrap();
    bench.store.read_stream(&stream, ..).map(|event| event.unwrap().event_type.to_string()).collect()
}

/// Works on a payment, with the time that it asks for, until it is over or parked.
pub(super) fn finish(bench: &Bench, orchestrator: &Orchestrator, payment_id: &str) -> Progress {
    let mut now = bench.store.now();
    for _ in 0..1_000 {
        match orchestrator.advance(payment_id, now).unwrap() {
            Progress::WaitUntil(due) => now = due,
            progress => return progress,
        }
    }
    panic!("it does not end: {:?}", orchestrator.load(payment_id).unwrap());
}
