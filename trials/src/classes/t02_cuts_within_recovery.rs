//! T2: a power cut before every operation of a recovery, of that one's recovery, and of the recovery after that.
//!
//! A piece is one workload. A sample of its images is opened, watched as the workload itself was; what the watch took is opened
//! in the same way, to depth 3. One in four of the cuts, at any depth, is a kill: the next recovery then stands on what was
//! never synced, and a power cut within it may take that away. Beside the cuts within a recovery there is one behind it: the store has served what it
//! recovered, took one more commit, and lost power. All of that, and no more, is there the next time.

use std::sync::Arc;

use bitacora::disk::sim::Random;
use bitacora::{Durability, Store};

use crate::class::{Class, Extent, Tally, Threads};
use crate::images::{self, Image, Watch};
use crate::oracle;
use crate::workload::{Book, Known, Shape, World};

pub const CLASS: Class = Class {
    id: "T2",
    what: "images of cut recoveries",
    gate: 100_000,
    release: 10_000_000,
    extent: Extent::Endless,
    threads: Threads::Every,
    piece,
};

const COMMITS: usize = 10;
const WATCH: Watch = Watch { each: 1, kills: true };
const DEPTH_MAX: usize = 3;
/// One in so many images of the workload is gone into.
const SAMPLED: u64 = 4;
/// How many images of one recovery are gone into, at depth 2 and at depth 3: as many at each depth, roughly.
const GONE_INTO: [usize; DEPTH_MAX] = [usize::MAX, 2, 1];
const NOTES: [&str; DEPTH_MAX] = ["depth 1", "depth 2", "depth 3"];

struct Nest<'a> {
    shape: Shape,
    book: &'a Arc<Book>,
    random: Random,
    tally: &'a mut Tally,
}

fn piece(seed: u64, tally: &mut Tally) {
    let mut random = Random::new(seed ^ 0x0002_0000);
    let shape = Shape::drawn(&mut random);
    let run = images::run_watched(seed, shape, COMMITS, WATCH);
    let mut nest = Nest { shape, book: &run.book, random, tally };
    for image in &run.images {
        if nest.random.below(SAMPLED) == 0 {
            // An index that has to be made anew makes for a longer recovery.
            let without_index = nest.random.below(4) == 0;
            let index = if without_index { Default::default() } else { image.world.index.clone() };
            let world = World { disk: image.world.disk.clone(), index };
            nest.go_into(&world, image.known, &format!("seed {seed}, operation {}", image.operation), 0);
        }
    }
}

impl Nest<'_> {
    /// Opens what a cut has left, at `depth` cuts within recoveries, and goes into the cuts of that.
    fn go_into(&mut self, world: &World, known: Known, label: &str, depth: usize) {
        let full = |label: &str| format!("{label}, {:?}", self.shape);
        if depth == DEPTH_MAX {
            let (store, _) = oracle::check(world, &self.shape, self.book, known, &|| full(label));
            return world.abandon(store);
        }
        let watch = images::watch(world, self.book, self.shape, self.random.next_u64(), WATCH);
        let store = world.open(&self.shape).unwrap_or_else(|error| panic!("{}: {error}", full(label)));
        let mut images = images::take(world, &watch);
        for image in &mut images {
            image.known = known;
        }
        let commits = oracle::check_events(&store, self.book, known, &|| full(label));
        oracle::check_index(&store, self.book, commits, &|| full(label));
        images.push(self.behind(world, &store, commits, label));
        world.abandon(store);
        let wanted = GONE_INTO[depth].min(images.len());
        for _ in 0..wanted {
            let at = if wanted == images.len() { images.len() - 1 } else { self.random.index(images.len()) };
            let image = images.swap_remove(at);
            self.tally.one();
            self.tally.note(NOTES[depth], 1);
            self.go_into(&image.world, image.known, &format!("{label}, then {}", image.operation), depth + 1);
        }
    }

    /// A cut after the recovery: what was served is there for good, and so is what was cut gone.
    fn behind(&mut self, world: &World, store: &Store, commits: usize, label: &str) -> Image {
        let mut known = Known { acknowledged: commits, submitted: commits };
        if commits < self.book.commits() && self.random.below(2) == 0 {
            let commit = self.book.commit(commits).durability(Durability::Sync);
            store.commit(commit).unwrap_or_else(|error| panic!("{label}, {:?}: {error}", self.shape));
            known = Known { acknowledged: commits + 1, submitted: commits + 1 };
        }
        let operation = world.disk.operations() + 1;
        Image { world: world.crash(self.random.next_u64(), self.shape.crash), known, operation }
    }
}
