//! T15: the order in which threads meet in one store: queue, rolls, readers, syncs, tickets, closes, failures.
//!
//! A piece is a plan and a hundred schedules of it, in a build with `RUSTFLAGS="--cfg bitacora_shuttle"` (`make
//! interleavings`). What can be explored in full stands in `tests/interleavings.rs`.

use crate::class::{Class, Extent, Tally, Threads};

pub const CLASS: Class = Class {
    id: "T15",
    what: "schedules",
    gate: 100_000,
    release: 10_000_000,
    extent: Extent::Endless,
    threads: Threads::Every,
    piece,
};

#[cfg(bitacora_shuttle)]
fn piece(seed: u64, tally: &mut Tally) {
    const SCHEDULES: usize = 100;
    crate::crowd::run(seed, SCHEDULES);
    tally.count += SCHEDULES as u64;
}

#[cfg(not(bitacora_shuttle))]
fn piece(_: u64, _: &mut Tally) {
    panic!("schedules are chosen by a checker: build with RUSTFLAGS=\"--cfg bitacora_shuttle\"");
}
