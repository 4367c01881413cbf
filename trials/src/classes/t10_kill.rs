//! T10: a parent kills a child at any moment.
//!
//! A piece is a store that lives through ten kills, or two of them side by side. The child has four writers, two payers and one
//! that moves checkpoints on, over the real index and a gateway with a journal. After every second kill the parent only reads,
//! so that the next child recovers, and is killed while it does.

use std::time::Duration;

use bitacora::disk::sim::Random;

use crate::class::{Class, Extent, Tally, Threads};
use crate::real::day::{self, From};
use crate::real::oracle::{self, Known};
use crate::real::plan::{Against, Plan};
use crate::real::process::Process;
use crate::real::{folder, side_by_side};

pub const CLASS: Class = Class {
    id: "T10",
    what: "kills",
    gate: 200,
    release: 10_000,
    extent: Extent::Endless,
    threads: Threads::One,
    piece,
};

const KILLS: u64 = 10;

fn piece(seed: u64, tally: &mut Tally) {
    side_by_side(tally, &[2 * seed, 2 * seed + 1], one_store);
}

fn one_store(seed: u64, tally: &mut Tally) {
    let place = folder::temporary();
    let plan = Plan { seed, against: Against::Kill };
    let mut random = Random::new(seed ^ 0x716b_696c);
    let (mut known, mut from) = (Known::default(), From::default());
    for kill in 0..KILLS {
        let after = Duration::from_micros(random.below(200_000));
        let label = format!("kill {kill} after {after:?}, {:?}", plan.options());
        known.begun = from.commits;
        let mut process = Process::start(&day::words(place.path(), plan, &from));
        let mut lines = process.lines_for(after);
        lines.extend(process.kill());
        let failure = known.take(&lines);
        assert_eq!(failure, None, "{label}");
        let opens_to_write = !day::has_log(place.path()) || kill % 2 == 1;
        from = oracle::check(place.path(), plan, &known, opens_to_write, &label);
        tally.one();
        tally.note("before the store was open", (!lines.iter().any(|line| line.starts_with("open"))).into());
    }
    tally.note("commits acknowledged", known.commits.len() as u64);
    tally.note("payments acknowledged", known.payments.len() as u64);
    tally.note("lost", 0);
}
