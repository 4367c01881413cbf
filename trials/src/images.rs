//! One run of a workload, and an image of what a power cut leaves before each of its operations.

use std::sync::{Arc, Mutex};

use bitacora::disk::sim::{OperationInfo, Random, SimulatedDisk};

use crate::workload::{Book, Known, Life, Shape, Sizes, World, script};

/// What a power cut left.
#[derive(Debug)]
pub struct Image {
    /// The disk and the index.
    pub world: World,
    /// How far the workload had come.
    pub known: Known,
    /// Before which operation.
    pub operation: u64,
}

/// A workload that was run, with its images.
#[derive(Debug)]
pub struct Run {
    /// How the store was opened.
    pub shape: Shape,
    /// What was committed.
    pub book: Arc<Book>,
    /// What power cuts left.
    pub images: Vec<Image>,
}

/// How a life is watched.
#[derive(Clone, Copy, Debug)]
pub struct Watch {
    /// So many images are taken before every operation that may change the disk, fewer where fewer differ.
    pub each: usize,
    /// Whether one in four images is what a kill leaves, on a machine that runs on.
    pub kills: bool,
}

/// Watches a world.
pub fn watch(world: &World, book: &Arc<Book>, shape: Shape, seed: u64, watch: Watch) -> Arc<Mutex<Vec<Image>>> {
    let images = Arc::new(Mutex::new(Vec::new()));
    let (index, book, kept) = (world.index.clone(), Arc::clone(book), Arc::clone(&images));
    let mut random = Random::new(seed);
    world.disk.set_observer(Box::new(move |operation: &OperationInfo, disk: &SimulatedDisk| {
        // Where nothing is unsynced a power cut has one outcome.
        let count = if disk.unsynced() == 0 { 1 } else { watch.each };
        for _ in 0..count {
            let seed = random.next_u64();
            let world = if watch.kills && seed.is_multiple_of(4) {
                World { disk: disk.kill(), index: index.kill() }
            } else {
                World { disk: disk.crash(seed, shape.crash), index: index.crash(seed) }
            };
            let image = Image { world, known: book.known(), operation: operation.number };
            kept.lock().expect("no panic under this lock").push(image);
        }
    }));
    images
}

/// Ends a watch. What is still open on that world may go on; no more images are taken of it.
#[must_use]
pub fn take(world: &World, images: &Arc<Mutex<Vec<Image>>>) -> Vec<Image> {
    world.disk.clear_observer();
    std::mem::take(&mut *images.lock().expect("no panic under this lock"))
}

/// Runs a workload of `commits` commits with up to `each` images before every operation.
///
/// # Panics
/// Where the store fails without a fault.
#[must_use]
pub fn run(seed: u64, shape: Shape, commits: usize, each: usize) -> Run {
    run_watched(seed, shape, commits, Watch { each, kills: false })
}

/// As [`run`], watched in another way.
///
/// # Panics
/// Where the store fails without a fault.
#[must_use]
pub fn run_watched(seed: u64, shape: Shape, commits: usize, how: Watch) -> Run {
    let world = World::new(&shape);
    let book = Arc::new(Book::new(seed, commits, Sizes::default()));
    let images = watch(&world, &book, shape, seed, how);
    let mut random = Random::new(seed);
    let mut life = Life::start(&world, shape, &book).expect("a new store");
    for step in script(&mut random, commits) {
        life.step(step).unwrap_or_else(|error| panic!("seed {seed}, {step:?}: {error}"));
    }
    life.close().expect("a store is closed");
    Run { shape, book, images: take(&world, &images) }
}
