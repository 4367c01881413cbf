//! Makes a plan that fails as small as it can.

use std::cell::Cell;
use std::sync::Once;

use super::operation::{Batch, Change, Expected, Fact, Operation, Plan};
use super::run::{Met, attempt};
use crate::workload::Shape;

/// Plans that are tried at most: some seconds.
const ATTEMPTS_MAX: u32 = 4_000;

/// The smallest plan that was found to fail, and what its failure says.
#[derive(Clone, Debug)]
pub struct Smallest {
    /// The plan.
    pub plan: Plan,
    /// Its failure.
    pub text: String,
    /// How many plans were tried.
    pub attempts: u32,
}

/// Tries a plan; where it fails, one that is as small as possible and fails too.
#[must_use]
pub fn shrink(plan: &Plan) -> Option<Smallest> {
    let text = quietly(|| failure(plan))?;
    let mut smallest = Smallest { plan: plan.clone(), text, attempts: 1 };
    loop {
        let before = smallest.plan.clone();
        smallest.leave_out();
        smallest.simplify();
        if smallest.plan == before || smallest.attempts >= ATTEMPTS_MAX {
            return Some(smallest);
        }
    }
}

impl Smallest {
    /// Takes a plan for the smallest one, if it fails.
    fn take(&mut self, plan: Plan) -> bool {
        if self.attempts >= ATTEMPTS_MAX {
            return false;
        }
        self.attempts += 1;
        let Some(text) = quietly(|| failure(&plan)) else { return false };
        (self.plan, self.text) = (plan, text);
        true
    }

    /// Leaves out operations: halves, quarters, and so on down to single ones.
    fn leave_out(&mut self) {
        let mut length = self.plan.operations.len();
        while length > 0 {
            let mut at = 0;
            while at < self.plan.operations.len() {
                let mut plan = self.plan.clone();
                plan.operations.drain(at..(at + length).min(plan.operations.len()));
                if !self.take(plan) {
                    at += length;
                }
            }
            length /= 2;
        }
    }

    /// Puts a plainer store and plainer operations in the place of those there are.
    fn simplify(&mut self) {
        let plain = Shape::plain();
        let plainer: [fn(&mut Shape, Shape); 7] = [
            |shape, plain| *shape = plain,
            |shape, plain| shape.durability = plain.durability,
            |shape, plain| (shape.align, shape.crash) = (plain.align, plain.crash),
            |shape, plain| shape.preallocation = plain.preallocation,
            |shape, plain| shape.segment_bytes = plain.segment_bytes,
            |shape, plain| shape.tail_events_max = plain.tail_events_max,
            |shape, plain| shape.sector = plain.sector,
        ];
        for change in plainer {
            let mut plan = self.plan.clone();
            change(&mut plan.shape, plain);
            if plan != self.plan {
                self.take(plan);
            }
        }
        for at in 0..self.plan.operations.len() {
            while self.plan.operations[at].simpler().into_iter().any(|simpler| {
                let mut plan = self.plan.clone();
                plan.operations[at] = simpler;
                self.take(plan)
            }) {}
        }
    }
}

/// Tries a plan; `None` where it fails, of which nothing is printed.
#[must_use]
pub fn quiet_attempt(plan: &Plan) -> Option<Met> {
    quietly(|| attempt(plan)).ok()
}

fn failure(plan: &Plan) -> Option<String> {
    let panic = attempt(plan).err()?;
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    Some(text.unwrap_or_else(|| "a panic without words".to_owned()))
}

thread_local! {
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs something whose panics are no news.
fn quietly<T>(run: impl FnOnce() -> T) -> T {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let known = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !IS_QUIET.get() {
                known(panic);
            }
        }));
    });
    IS_QUIET.set(true);
    let outcome = run();
    IS_QUIET.set(false);
    outcome
}

/// The values below one that are tried in its place.
fn smaller(value: u8) -> impl Iterator<Item = u8> {
    let mut values = vec![0, value / 2, value.saturating_sub(1)];
    values.dedup();
    values.into_iter().filter(move |smaller| *smaller < value)
}

impl Operation {
    /// What may stand in its place, simplest first. Each is smaller in some way, so that this ends.
    fn simpler(&self) -> Vec<Self> {
        match self {
            Self::Commit(batch) => batch.simpler().into_iter().map(Self::Commit).collect(),
            Self::Submit(batch) => {
                let simpler = batch.simpler().into_iter().map(Self::Submit);
                std::iter::once(Self::Commit(batch.clone())).chain(simpler).collect()
            }
            Self::Again { which, change, submit } => {
                let same = |which| Self::Again { which, change: *change, submit: *submit };
                let mut simpler: Vec<Self> = smaller(*which).map(same).collect();
                if *submit {
                    simpler.push(Self::Again { which: *which, change: *change, submit: false });
                }
                if *change != Change::Nothing {
                    simpler.push(Self::Again { which: *which, change: Change::Nothing, submit: *submit });
                }
                simpler
            }
            Self::Wait { which } => smaller(*which).map(|which| Self::Wait { which }).collect(),
            Self::Drop { which } => smaller(*which).map(|which| Self::Drop { which }).collect(),
            Self::Resume { events } => smaller(*events).map(|events| Self::Resume { events }).collect(),
            Self::Look { number } => smaller(*number).map(|number| Self::Look { number }).collect(),
            Self::Full { spare } => smaller(*spare).map(|spare| Self::Full { spare }).collect(),
            Self::PowerCut { seed } => smaller(*seed).map(|seed| Self::PowerCut { seed }).collect(),
            Self::Snapshot { stream, version } => {
                smaller(*version).map(|version| Self::Snapshot { stream: *stream, version }).collect()
            }
            Self::Checkpoint { consumer, sequence } => {
                smaller(*sequence).map(|sequence| Self::Checkpoint { consumer: *consumer, sequence }).collect()
            }
            Self::Cut { calls, seed, kill } => {
                let of_calls = smaller(*calls).map(|calls| Self::Cut { calls, seed: *seed, kill: *kill });
                of_calls.chain(smaller(*seed).map(|seed| Self::Cut { calls: *calls, seed, kill: *kill })).collect()
            }
            Self::Reopen { verify, lose_index } if *verify || *lose_index => {
                vec![Self::Reopen { verify: false, lose_index: false }]
            }
            _ => Vec::new(),
        }
    }
}

impl Batch {
    fn simpler(&self) -> Vec<Self> {
        let mut simpler = Vec::new();
        let mut push = |change: &dyn Fn(&mut Self)| {
            let mut batch = self.clone();
            change(&mut batch);
            if batch != *self {
                simpler.push(batch);
            }
        };
        for at in 0..self.parts.len() {
            if self.parts.len() > 1 {
                push(&|batch| drop(batch.parts.remove(at)));
            }
            if self.parts[at].facts.len() > 1 {
                push(&|batch| batch.parts[at].facts.truncate(1));
            }
            push(&|batch| batch.parts[at].expected = Expected::Any);
            for fact in 0..self.parts[at].facts.len() {
                let known = self.parts[at].facts[fact];
                push(&|batch| batch.parts[at].facts[fact] = Fact::default());
                push(&|batch| {
                    batch.parts[at].facts[fact] = Fact { payload_bytes: known.payload_bytes, ..Fact::default() };
                });
                push(&|batch| batch.parts[at].facts[fact] = known.half());
            }
        }
        push(&|batch| batch.key = None);
        push(&|batch| batch.durable = false);
        push(&|batch| batch.reserve = false);
        simpler
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_that_holds_is_not_shrunk() {
        assert!(shrink(&Plan::decode(&[0, 9, 0, 0, 0, 0, 0, 20, 5])).is_none());
    }

    #[test]
    fn what_may_stand_in_the_place_of_an_operation_is_another_one_and_ends() {
        let mut bytes = vec![0; 4_000];
        bitacora::disk::sim::Random::new(2).fill(&mut bytes);
        for operation in Plan::decode(&bytes).operations {
            let (mut operation, mut steps) = (operation, 0);
            while let Some(simpler) = operation.simpler().into_iter().next() {
                assert_ne!(simpler, operation);
                (operation, steps) = (simpler, steps + 1);
                assert!(steps < 1_000, "{operation:?}");
            }
        }
    }
}
