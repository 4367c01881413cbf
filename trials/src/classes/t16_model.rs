//! T16: generated operations against a plain model, crashes and reopenings among them.
//!
//! What nobody thought of is tried here: every call of the store's public face, in any order. A piece is one plan of at most 64
//! operations, drawn as bytes. Where a plan fails the smallest one that fails too is printed.

use bitacora::disk::sim::Random;

use crate::class::{Class, Extent, Tally, Threads};
use crate::model::{Plan, shrink};

pub const CLASS: Class = Class {
    id: "T16",
    what: "sequences",
    gate: 20_000,
    release: 2_000_000,
    extent: Extent::Endless,
    threads: Threads::Every,
    piece,
};

/// More than the longest plan needs.
const BYTES: usize = 64 * 16;

fn piece(seed: u64, tally: &mut Tally) {
    let mut bytes = vec![0; BYTES];
    Random::new(seed ^ 0x0160_0000).fill(&mut bytes);
    let plan = Plan::decode(&bytes);
    let Some(met) = shrink::quiet_attempt(&plan) else {
        let smallest = shrink::shrink(&plan).unwrap_or_else(|| panic!("{plan:?}\nfailed once, and did not again"));
        panic!("{}\nafter {} attempts, of seed {seed}:\n{:?}", smallest.text, smallest.attempts, smallest.plan);
    };
    tally.one();
    tally.note("operations", plan.operations.len() as u64);
    tally.note("commits", met.commits);
    tally.note("refused", met.refused);
    tally.note("repeats", met.repeats);
    tally.note("crashes", met.crashes);
    tally.note("within an operation", met.within);
    tally.note("refused by a full disk", met.full);
    tally.note("left in doubt by it", met.in_doubt);
}
