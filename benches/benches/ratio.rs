//! How close appends come to the floor: raw files of the same bytes, in rounds that take turns.
//!
//! On a machine that does other work too, only what is measured in the same moments can be compared. So each round measures
//! floor and store one right after the other, and the ratio is the median of the rounds' own ratios.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a bench may stop by panicking, and shows what it measured"
)]

mod common;

use std::time::Duration;

use bitacora::{Durability, Options};
use common::{BenchStore, GroupedFile, RawFile, Workload};

const ROUNDS: usize = 5;

struct Case {
    name: &'static str,
    durability: Durability,
    writers: usize,
    /// Of each writer, in each round.
    commits: usize,
    /// In each commit.
    events: usize,
}

const CASES: &[Case] = &[
    Case { name: "durable-1-writer", durability: Durability::Sync, writers: 1, commits: 10_000, events: 1 },
    Case { name: "durable-16-writers", durability: Durability::Sync, writers: 16, commits: 2_500, events: 1 },
    Case { name: "durable-64-writers", durability: Durability::Sync, writers: 64, commits: 1_250, events: 1 },
    Case { name: "durable-100-events", durability: Durability::Sync, writers: 1, commits: 1_000, events: 100 },
    Case { name: "buffered-1-event", durability: Durability::Buffered, writers: 1, commits: 100_000, events: 1 },
];

enum Floor {
    Alone(RawFile, bool),
    Grouped(GroupedFile),
}

impl Floor {
    fn of(case: &Case) -> Self {
        match case.writers {
            1 => Self::Alone(RawFile::new(), case.durability == Durability::Sync),
            _ => Self::Grouped(GroupedFile::new()),
        }
    }

    fn append(&mut self, case: &Case, commits: usize, bytes: usize) -> Duration {
        match self {
            Self::Alone(file, is_synced) => file.append(commits, bytes, *is_synced),
            Self::Grouped(file) => file.append(case.writers, commits, bytes),
        }
    }
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

/// The medians over all rounds: events a second of the floor, of the store, and the ratio.
fn measure(case: &Case, workload: &Workload) -> (f64, f64, f64) {
    let bytes = workload.frame_bytes(case.events);
    let mut floor = Floor::of(case);
    let store = BenchStore::new(Options::new().durability(case.durability));
    let rate = |commits: usize, took: Duration| (case.writers * commits * case.events) as f64 / took.as_secs_f64();
    let (mut floors, mut stores, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    // The first round warms both up and does not count.
    for round in 0..=ROUNDS {
        let commits = if round == 0 { case.commits / 10 } else { case.commits };
        let (of_floor, of_store);
        if round % 2 == 0 {
            of_floor = rate(commits, floor.append(case, commits, bytes));
            of_store = rate(commits, store.append(workload, case.writers, commits, case.events));
        } else {
            of_store = rate(commits, store.append(workload, case.writers, commits, case.events));
            of_floor = rate(commits, floor.append(case, commits, bytes));
        }
        if round > 0 {
            floors.push(of_floor);
            stores.push(of_store);
            ratios.push(of_store / of_floor);
        }
    }
    (median(floors), median(stores), median(ratios))
}

fn main() {
    // `cargo bench -- <text>` chooses cases, as it does for the other benches.
    let chosen: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let workload = Workload::new();
    println!("Events a second, medians of {ROUNDS} rounds in which floor and store take turns.\n");
    println!("| case | floor | bitacora | ratio |\n|---|---:|---:|---:|");
    let mut rates = Vec::new();
    for case in CASES {
        if chosen.is_empty() || chosen.iter().any(|text| case.name.contains(text.as_str())) {
            let (floor, store, ratio) = measure(case, &workload);
            println!("| {} | {floor:.0} | {store:.0} | {ratio:.2} |", case.name);
            rates.push((case.writers, case.events, case.durability, store));
        }
    }
    let of = |writers| {
        rates.iter().find(|rate| (rate.0, rate.1, rate.2) == (writers, 1, Durability::Sync)).map(|rate| rate.3)
    };
    if let (Some(one), Some(many)) = (of(1), of(64)) {
        println!("\n64 writers append {:.1} times as much as one.", many / one);
    }
}
