//! T19: every combination of evidence meets exactly one row of the recovery table. A piece is one stop of the scan.

use bitacora::internals::{PLAN_STOPS, recovery_plan};

use crate::class::{Class, Extent, Tally, Threads};

pub const CLASS: Class = Class {
    id: "T19",
    what: "combinations",
    gate: 53_248,
    release: 53_248,
    extent: Extent::Pieces { gate: PLAN_STOPS as u64, all: PLAN_STOPS as u64 },
    threads: Threads::Every,
    piece,
};

/// Silent, just short of the stop, at it, and beyond it.
const SAYS: [u64; 4] = [0, 9, 10, 99];

fn piece(seed: u64, tally: &mut Tally) {
    for bytes in [0, 1, 100, 101] {
        for number in 0..SAYS.len().pow(5) {
            let says: [u64; 5] = std::array::from_fn(|place| SAYS[number / SAYS.len().pow(place as u32) % SAYS.len()]);
            let proven = says.iter().any(|sequence| *sequence >= 10);
            let table = [
                (proven, "refuse"),
                (!proven && bytes == 0, "clean"),
                (!proven && (1..=100).contains(&bytes), "cut"),
                (!proven && bytes > 100, "refuse"),
            ];
            let rows: Vec<&str> = table.iter().filter(|(meets, _)| *meets).map(|(_, row)| *row).collect();
            assert_eq!(rows.len(), 1, "stop {seed}, {bytes} bytes, {says:?}: rows {rows:?}");
            let decided = recovery_plan(seed as usize, bytes, says).expect("a stop of this number");
            assert_eq!(decided, rows[0], "stop {seed}, {bytes} bytes, {says:?}");
            tally.one();
        }
    }
}
