//! T1: a power cut before every operation that may change the disk.
//!
//! A piece is one workload under one shape of store and disk, with several images before each operation. Every image is
//! opened and held against the oracle, and takes one more commit.

use bitacora::disk::sim::Random;

use crate::class::{Class, Extent, Tally, Threads};
use crate::images::{self, Image, Run};
use crate::oracle;
use crate::workload::Shape;

pub const CLASS: Class = Class {
    id: "T1",
    what: "crash images",
    gate: 1_000_000,
    release: 300_000_000,
    extent: Extent::Endless,
    threads: Threads::Every,
    piece,
};

const COMMITS: usize = 24;
const IMAGES_EACH: usize = 3;

fn piece(seed: u64, tally: &mut Tally) {
    let shape = Shape::drawn(&mut Random::new(seed));
    let run = images::run(seed, shape, COMMITS, IMAGES_EACH);
    for image in &run.images {
        check(&run, image);
        tally.one();
    }
    tally.note("lost", 0);
}

fn check(run: &Run, image: &Image) {
    let label = || format!("before operation {}, {:?}", image.operation, run.shape);
    let (store, commits) = oracle::check(&image.world, &run.shape, &run.book, image.known, &label);
    if commits < run.book.commits() {
        let receipt = store.commit(run.book.commit(commits)).unwrap_or_else(|error| panic!("{}: {error}", label()));
        assert_eq!(receipt.sequence_last, run.book.sequence(commits + 1), "{}: the store goes on", label());
    }
}
