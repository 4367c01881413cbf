//! T1: a power cut before every operation that may change the disk.
//!
//! A piece is one workload under one shape of store and disk, with several images before each operation. Every image is
//! opened and held against the oracle.

use bitacora::disk::sim::{CrashOptions, Random};
use bitacora::{Align, Durability, ErrorKind};

use crate::class::{Class, Extent, Tally, Threads};
use crate::images::{self, Image, Run};
use crate::oracle;
use crate::workload::{Known, Shape};

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
    if seed % 32 == 31 {
        return without_powersafe_overwrite(seed, shape, tally);
    }
    let run = images::run(seed, shape, COMMITS, IMAGES_EACH);
    for image in &run.images {
        check(&run, image);
        tally.one();
    }
    tally.note("lost", 0);
}

/// Every image is opened and read. One in four also goes on: it takes a commit, is killed, and is opened again, which must
/// find nothing left of the first cut.
fn check(run: &Run, image: &Image) {
    let label = || format!("before operation {}, {:?}", image.operation, run.shape);
    let (store, commits) = oracle::check(&image.world, &run.shape, &run.book, image.known, &label);
    if !image.operation.is_multiple_of(4) || commits == run.book.commits() {
        return;
    }
    let receipt = store.commit(run.book.commit(commits)).unwrap_or_else(|error| panic!("{}: {error}", label()));
    assert_eq!(receipt.sequence_last, run.book.sequence(commits + 1), "{}: the store goes on", label());
    let label = || format!("killed after it went on from before operation {}, {:?}", image.operation, run.shape);
    let known = Known { acknowledged: commits + 1, submitted: commits + 1 };
    let (again, _) = oracle::check(&image.world.kill(), &run.shape, &run.book, known, &label);
    assert_eq!(again.recovery_report().cut, None, "{}: what was cut is gone", label());
}

/// What a medium costs that may damage what shares a sector with a write, where commits are packed: no promise is made here, and
/// what is lost is counted.
fn without_powersafe_overwrite(seed: u64, shape: Shape, tally: &mut Tally) {
    let crash = CrashOptions { powersafe: false, ..shape.crash };
    let shape = Shape { durability: Durability::Sync, align: Align::Packed, crash, ..shape };
    let run = images::run(seed, shape, COMMITS, IMAGES_EACH);
    for image in &run.images {
        tally.note("without powersafe overwrite", 1);
        match image.world.open(&shape) {
            Ok(store) => {
                let is_lost = store.last_sequence() < run.book.sequence(image.known.acknowledged);
                tally.note("of those lost", is_lost.into());
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
                tally.note("of those refused", 1);
            }
        }
    }
}
