//! T11: a kill at a chosen system call, over a run of 500 operations with the real index.
//!
//! The run is counted once; then a child is killed when it is about to make a call of one kind for the n-th time. Kinds take turns, so
//! that the rare ones are met too; within a kind the numbers come in an order drawn once, so that going on tries every one.

use std::collections::BTreeMap;
use std::sync::Mutex;

use bitacora::disk::sim::Random;

use crate::class::{Class, Extent, Tally, Threads};
use crate::real::oracle::{self, Known};
use crate::real::process::Process;
use crate::real::{folder, operations, side_by_side, strace};

pub const CLASS: Class = Class {
    id: "T11",
    what: "kills at system calls",
    gate: 100,
    release: 5_000,
    extent: Extent::Endless,
    threads: Threads::One,
    piece,
};

const OPERATIONS: u64 = 500;
const EACH: u64 = 4;

/// A call and its number.
type Point = (String, u64);

/// The points of a workload, in the order they are tried; counted once a process.
static POINTS: Mutex<BTreeMap<u64, Vec<Point>>> = Mutex::new(BTreeMap::new());

fn points(seed: u64) -> Vec<Point> {
    let mut known = POINTS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let points = known.entry(seed).or_insert_with(|| {
        let place = folder::temporary();
        let counts = strace::count(&operations::words(place.path(), seed, OPERATIONS), place.path());
        let mut random = Random::new(seed);
        let mut kinds: Vec<Vec<Point>> = counts
            .into_iter()
            .map(|(call, count)| {
                let mut numbers: Vec<u64> = (1..=count).collect();
                for last in (1..numbers.len()).rev() {
                    numbers.swap(last, random.index(last + 1));
                }
                numbers.into_iter().map(|number| (call.clone(), number)).collect()
            })
            .collect();
        let mut order = Vec::new();
        while kinds.iter().any(|kind| !kind.is_empty()) {
            order.extend(kinds.iter_mut().filter_map(Vec::pop));
        }
        order
    });
    points.clone()
}

fn piece(seed: u64, tally: &mut Tally) {
    if !strace::is_there() {
        tally.skip("strace is not there");
        return;
    }
    let (mut at, mut workload) = (seed * EACH, 0);
    let mut order = points(workload);
    while at >= order.len() as u64 {
        at -= order.len() as u64;
        workload += 1;
        order = points(workload);
    }
    let rest = usize::try_from(at).expect("below the length");
    let chosen: Vec<Point> = order.into_iter().skip(rest).take(EACH as usize).collect();
    let numbers: Vec<u64> = (0..chosen.len() as u64).collect();
    side_by_side(tally, &numbers, |number, tally| kill(workload, &chosen[number as usize], tally));
}

fn kill(workload: u64, (call, number): &Point, tally: &mut Tally) {
    let place = folder::temporary();
    let words = operations::words(place.path(), workload, OPERATIONS);
    let label = format!("workload {workload}, killed at {call} number {number}");
    let (status, lines) = Process::of(strace::killed_at(&words, call, *number)).finish();
    let mut known = Known::default();
    assert_eq!(known.take(&lines), None, "{label}");
    if status.success() {
        // Threads of the index do not make the same calls in every run.
        tally.note("ran through", 1);
    } else {
        tally.one();
    }
    let plan = operations::plan(workload);
    oracle::check_plain(place.path(), plan, &known, &label);
    tally.note("commits acknowledged", known.commits.len() as u64);
    tally.note("lost", 0);
}
