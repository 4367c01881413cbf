//! T21: the same seed twice makes the same calls and leaves the same bytes.
//!
//! Without this no failure of the other classes could be tried again. A piece lives one life twice, and its power cuts and
//! recoveries with it.

use bitacora::disk::sim::{OperationInfo, Random};

use crate::class::{Class, Extent, Tally, Threads};
use crate::workload::{Book, Life, Shape, Sizes, Step, World, script};

pub const CLASS: Class = Class {
    id: "T21",
    what: "lives lived twice",
    gate: 1_000,
    release: 100_000,
    extent: Extent::Endless,
    threads: Threads::Every,
    piece,
};

const COMMITS: usize = 24;
const CUTS: u64 = 3;

/// What a life leaves, to the byte.
struct Trace {
    /// The calls between two kills, and those of each recovery.
    calls: Vec<Vec<OperationInfo>>,
    contents: Vec<(std::path::PathBuf, Vec<u8>)>,
    /// Of the world after each step.
    fingerprints: Vec<u128>,
}

fn piece(seed: u64, tally: &mut Tally) {
    let (first, second) = (trace(seed), trace(seed));
    for (number, (one, other)) in first.calls.iter().zip(&second.calls).enumerate() {
        let differing = one.iter().zip(other).find(|(one, other)| one != other);
        assert!(differing.is_none(), "stretch {number}: {differing:?}");
        assert_eq!(one.len(), other.len(), "calls of stretch {number}");
    }
    assert_eq!(first.calls.len(), second.calls.len(), "stretches of calls");
    for ((path, one), (other_path, other)) in first.contents.iter().zip(&second.contents) {
        assert_eq!(path, other_path, "files");
        let place = one.iter().zip(other).position(|(one, other)| one != other);
        assert!(place.is_none() && one.len() == other.len(), "{} differs at byte {place:?}", path.display());
    }
    assert_eq!(first.contents.len(), second.contents.len(), "files");
    let differing = first.fingerprints.iter().zip(&second.fingerprints).position(|(one, other)| one != other);
    assert!(differing.is_none() && first.fingerprints.len() == second.fingerprints.len(), "after step {differing:?}");
    tally.one();
    tally.note("calls", first.calls.iter().map(|calls| calls.len() as u64).sum());
}

fn trace(seed: u64) -> Trace {
    let mut random = Random::new(seed);
    let shape = Shape::drawn(&mut random);
    let book = Book::new(seed, COMMITS, Sizes::default());
    let world = World::new(&shape);
    let mut life = Life::start(&world, shape, &book).unwrap_or_else(|error| panic!("{error}"));
    let mut trace = Trace { calls: Vec::new(), contents: Vec::new(), fingerprints: Vec::new() };
    for step in script(&mut random, COMMITS) {
        if step == Step::Kill {
            trace.calls.push(life.world().disk.operation_log());
        }
        life.step(step).unwrap_or_else(|error| panic!("{step:?}: {error}"));
        trace.fingerprints.push(life.world().disk.fingerprint());
    }
    let world = life.world().clone();
    let cuts: Vec<World> = (0..CUTS).map(|cut| world.crash(seed + cut, shape.crash)).collect();
    life.close().unwrap_or_else(|error| panic!("{error}"));
    for world in std::iter::once(world).chain(cuts) {
        let store = world.open(&shape).unwrap_or_else(|error| panic!("{error}"));
        store.close().unwrap_or_else(|error| panic!("{error}"));
        trace.calls.push(world.disk.operation_log());
        trace.contents.extend(world.contents());
    }
    trace
}
