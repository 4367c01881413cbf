//! The steps of a payment, from its events: each with its attempts, their times and what came of them.

use bitacora::Event;
use bitacora::payment::{FailureKind, PaymentEvent, Step};
use serde::Serialize;

use crate::render;

/// A step, the undoing of one, or the refund of a charge that came late.
#[derive(Serialize)]
pub(crate) struct StepLine {
    /// `reserve`, `charge`, `capture` or `settle`.
    pub(crate) step: &'static str,
    /// `step`, `compensation` or `refund`.
    pub(crate) kind: &'static str,
    /// That of its last attempt.
    pub(crate) outcome: &'static str,
    amount: Option<i64>,
    /// The gateway's name for it.
    reference: Option<String>,
    pub(crate) started_at: String,
    /// When its last attempt was answered; `None` while it is not.
    pub(crate) ended_at: Option<String>,
    pub(crate) attempts: Vec<AttemptLine>,
}

#[derive(Serialize)]
pub(crate) struct AttemptLine {
    attempt: u32,
    /// A wallet's step has neither: it is a part of the commit that says it is done.
    command_id: Option<String>,
    published_at: Option<String>,
    answered_at: Option<String>,
    /// `succeeded`, or `retryable`, `permanent`, `unknown` or `offline` where it failed; `published` while it is not answered.
    outcome: &'static str,
    pub(crate) reason: Option<String>,
}

impl AttemptLine {
    /// Whether it was sent and what became of it is not settled. A query may settle what was not known.
    fn may_be_answered(&self) -> bool {
        self.command_id.is_some() && self.outcome != SUCCEEDED && self.outcome != FailureKind::Permanent.as_str()
    }
}

const PUBLISHED: &str = "published";
const SUCCEEDED: &str = "succeeded";

/// What a step is of.
type Place = (Step, &'static str);

const STEP: &str = "step";
const COMPENSATION: &str = "compensation";
const REFUND: &str = "refund";

/// The steps that a payment's events tell of, in the order in which they were begun.
pub(crate) fn steps(events: &[(Event, PaymentEvent)]) -> Vec<StepLine> {
    let mut steps = Steps(Vec::new());
    for (event, fact) in events {
        steps.apply(&render::time(event.timestamp), fact);
    }
    steps.0
}

struct Steps(Vec<StepLine>);

impl Steps {
    fn apply(&mut self, time: &str, fact: &PaymentEvent) {
        match fact {
            PaymentEvent::StepCommandPublished(fact) => {
                self.published((fact.step, STEP), fact.attempt, &fact.command_id, Some(fact.amount), time);
            }
            PaymentEvent::CompensationStepPublished(fact) => {
                self.published((fact.step, COMPENSATION), fact.attempt, &fact.command_id, None, time);
            }
            PaymentEvent::RefundPublished(fact) => {
                self.published((Step::Charge, REFUND), fact.attempt, &fact.command_id, Some(fact.amount), time);
            }
            PaymentEvent::StepSucceeded(fact) => {
                let step = self.answered((fact.step, STEP), fact.attempt, SUCCEEDED, None, time);
                step.amount.get_or_insert(fact.amount);
                if fact.reference.is_some() {
                    step.reference.clone_from(&fact.reference);
                }
            }
            PaymentEvent::CompensationStepSucceeded(fact) => {
                self.answered((fact.step, COMPENSATION), fact.attempt, SUCCEEDED, None, time);
            }
            PaymentEvent::RefundSucceeded(fact) => {
                let step = self.answered((Step::Charge, REFUND), fact.attempt, SUCCEEDED, None, time);
                step.reference = Some(fact.reference.clone());
            }
            PaymentEvent::StepFailed(fact) => {
                self.failed((fact.step, STEP), fact.attempt, fact.kind, &fact.reason, time);
            }
            PaymentEvent::CompensationStepFailed(fact) => {
                self.failed((fact.step, COMPENSATION), fact.attempt, fact.kind, &fact.reason, time);
            }
            PaymentEvent::RefundFailed(fact) => {
                self.failed((Step::Charge, REFUND), fact.attempt, fact.kind, &fact.reason, time);
            }
            _ => {}
        }
    }

    fn published(&mut self, place: Place, attempt: u32, command_id: &impl ToString, amount: Option<i64>, time: &str) {
        let step = self.step(place, time);
        step.outcome = PUBLISHED;
        step.amount = amount;
        step.ended_at = None;
        step.attempts.push(AttemptLine {
            attempt,
            command_id: Some(command_id.to_string()),
            published_at: Some(time.to_owned()),
            answered_at: None,
            outcome: PUBLISHED,
            reason: None,
        });
    }

    fn failed(&mut self, place: Place, attempt: u32, kind: FailureKind, reason: &str, time: &str) {
        self.answered(place, attempt, kind.as_str(), Some(reason), time);
    }

    /// An answer belongs to the last attempt of its number that may still get one: an operator has attempts counted anew, and
    /// what the wallet adds to what the gateway did, or did not do, is none of its attempts.
    fn answered(
        &mut self,
        place: Place,
        attempt: u32,
        outcome: &'static str,
        reason: Option<&str>,
        time: &str,
    ) -> &mut StepLine {
        let step = self.step(place, time);
        let (answered_at, reason) = (Some(time.to_owned()), reason.map(str::to_owned));
        step.outcome = outcome;
        step.ended_at.clone_from(&answered_at);
        let waits = |line: &&mut AttemptLine| line.attempt == attempt && line.may_be_answered();
        match step.attempts.iter_mut().rev().find(waits) {
            Some(line) => (line.answered_at, line.outcome, line.reason) = (answered_at, outcome, reason),
            None => step.attempts.push(AttemptLine {
                attempt,
                command_id: None,
                published_at: None,
                answered_at,
                outcome,
                reason,
            }),
        }
        step
    }

    fn step(&mut self, (step, kind): Place, time: &str) -> &mut StepLine {
        let step = step.as_str();
        let index = self.0.iter().position(|line| line.step == step && line.kind == kind).unwrap_or_else(|| {
            let (started_at, ended_at) = (time.to_owned(), None);
            let outcome = PUBLISHED;
            self.0.push(StepLine {
                step,
                kind,
                outcome,
                amount: None,
                reference: None,
                started_at,
                ended_at,
                attempts: Vec::new(),
            });
            self.0.len() - 1
        });
        #[expect(clippy::indexing_slicing, reason = "the index was found, or is that of the line just pushed")]
        &mut self.0[index]
    }
}
