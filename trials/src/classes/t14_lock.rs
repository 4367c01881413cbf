//! T14: many processes and threads open one store at once, and exactly one of them gets it.
//!
//! A piece is a fleet of processes, told by pipe which store to open, and a row of races. The winner appends an event and
//! is then told to close, or killed with the store open; the next race is for the same store, or for one that must be made
//! first. The lock is the store's on the real disk; the index is in memory.

use bitacora::disk::sim::Random;

use crate::class::{Class, Extent, Tally, Threads};
use crate::real::process::Process;
use crate::real::{fleet, folder, side_by_side};

pub const CLASS: Class = Class {
    id: "T14",
    what: "races for the lock",
    gate: 1_000,
    release: 10_000,
    extent: Extent::Endless,
    threads: Threads::One,
    piece,
};

const PROCESSES: usize = 3;
const RACES: u64 = 50;

fn piece(seed: u64, tally: &mut Tally) {
    let seeds: Vec<u64> = (4 * seed..4 * seed + 4).collect();
    side_by_side(tally, &seeds, races);
}

fn races(seed: u64, tally: &mut Tally) {
    let place = folder::temporary();
    let start = || Process::start(&fleet::words(place.path()));
    let mut fleet: Vec<Process> = (0..PROCESSES).map(|_| start()).collect();
    let mut random = Random::new(seed);
    let (mut store, mut events) = (0, 0);
    for race in 0..RACES {
        if random.below(3) == 0 {
            (store, events) = (store + 1, 0);
        }
        let label = format!("race {race}, store {store} with {events} events");
        let winner = winner_of(&mut fleet, store, events + 1, &label);
        events += 1;
        if random.below(10) == 0 {
            fleet.swap_remove(winner).kill();
            // Nobody told it to close: the lock goes with the process.
            winner_of(&mut fleet, store, events + 1, &format!("{label}, its winner killed"));
            events += 1;
            release(&mut fleet, &label);
            fleet.push(start());
            tally.one();
            tally.note("after a kill", 1);
        } else {
            release(&mut fleet, &label);
        }
        tally.one();
    }
}

/// Starts a race and returns which process has won it.
fn winner_of(fleet: &mut [Process], store: u64, sequence: u64, label: &str) -> usize {
    for process in fleet.iter_mut() {
        process.tell(&format!("try {store}"));
    }
    let mut winners = Vec::new();
    for (number, process) in fleet.iter_mut().enumerate() {
        for _ in 0..fleet::THREADS {
            let line = process.line().unwrap_or_else(|| panic!("{label}: a process ended"));
            match line.split_once(' ') {
                Some((_, "locked")) => {}
                Some((_, won)) if won == format!("won {sequence}") => winners.push(number),
                _ => panic!("{label}: a process said {line:?}, the next event is {sequence}"),
            }
        }
    }
    assert_eq!(winners.len(), 1, "{label}: one wins, and these did: {winners:?}");
    winners[0]
}

fn release(fleet: &mut [Process], label: &str) {
    for process in fleet {
        process.tell("release");
        assert_eq!(process.line().as_deref(), Some("released"), "{label}");
    }
}
