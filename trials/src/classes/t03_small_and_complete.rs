//! T3: every short life, cut at every point, with every choice of what is kept.
//!
//! A piece is one sequence of acts. Its last act is cut: before each operation of it that may change the disk, and once it is
//! done. The acts before are cut in the pieces of their own, shorter sequences, so every point of every life is tried once.
//! Of what is unsynced at a point every subset is kept and the rest lost, and the index in memory ends in each of the ways that
//! it may.
//!
//! What counts as one thing: a change of names, a length, a sector. The inner sectors of one large write are kept or lost
//! together, since to lose one of them is to lose the frame. The lock file and the report of the last open are not evidence;
//! their things are kept in every other image, and in all of those with an even number of other things. Where more than eight
//! things are left, the eight latest are chosen from, once with the others kept and once with the others lost.
//!
//! Images that are equal byte for byte, with the same acknowledgements, are opened once: `distinct` counts those.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bitacora::disk::sim::{OperationInfo, SimulatedDisk, Unsynced, UnsyncedPart};
use bitacora::index::{IndexProvider, MemoryIndexProvider};
use bitacora::{Align, Durability, ErrorKind, Preallocation, Store, StoreId};

use crate::class::{Class, Extent, Tally, Threads};
use crate::oracle;
use crate::workload::{Book, Known, ROOT, Shape, World, snapshot_of};

pub const CLASS: Class = Class {
    id: "T3",
    what: "images of short lives",
    gate: 847_149,
    release: 50_000_000,
    extent: Extent::Pieces { gate: UP_TO_4, all: UP_TO_6 },
    threads: Threads::Every,
    piece,
};

/// How many sequences have up to four acts, and up to six.
const UP_TO_4: u64 = 1 + 7 + 49 + 343 + 2_401;
const UP_TO_6: u64 = UP_TO_4 + 16_807 + 117_649;
/// Coprime to seven: in the order of its multiples a part of the sequences is spread over all of them.
const STRIDE: u64 = 1_000_003;
const CHOSEN_MAX: usize = 8;
/// More than what a segment has room for beside another event.
const LARGE_BYTES: usize = 3_600;
const SMALL_BYTES: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    AppendDurable,
    AppendBuffered,
    /// A buffered append that the active segment has no room for, if it has an event.
    Roll,
    Snapshot,
    Ingest,
    Close,
    /// Opens again: after a close, or else after a kill.
    Reopen,
}

use Act::{AppendBuffered, AppendDurable, Close, Ingest, Reopen, Roll};

const ACTS: [Act; 7] = [AppendDurable, AppendBuffered, Roll, Act::Snapshot, Ingest, Close, Reopen];

/// The sequence of a number: the shorter ones first.
fn sequence(mut number: u64) -> Vec<Act> {
    let mut length = 0;
    while number >= 7u64.pow(length) {
        number -= 7u64.pow(length);
        length += 1;
    }
    if length >= 5 {
        number = number * STRIDE % 7u64.pow(length);
    }
    (0..length).map(|place| ACTS[(number / 7u64.pow(place) % 7) as usize]).collect()
}

fn piece(seed: u64, tally: &mut Tally) {
    let acts = sequence(seed);
    let plain = Shape { durability: Durability::Buffered, tail_events_max: 3, ..Shape::plain() };
    let grown = Shape { preallocation: Preallocation::Grow, ..plain };
    let reserved = Shape { preallocation: Preallocation::Reserve, tail_events_max: 1000, ..plain };
    let aligned = Shape { align: Align::Sector, segment_bytes: 2 * plain.segment_bytes, tail_events_max: 1, ..plain };
    // Zeros are written ahead, and spares filled with them, only where every commit is synced.
    let synced = Shape { durability: Durability::Sync, ..plain };
    for shape in [plain, grown, reserved, aligned, synced] {
        try_life(&acts, shape, tally);
    }
}

fn try_life(acts: &[Act], shape: Shape, tally: &mut Tally) {
    let book = Arc::new(Book::of_payloads(0, &payloads(acts)));
    let mut life = ShortLife { world: World::new(&shape), shape, book: Arc::clone(&book), store: None, next: 0 };
    let watched = match acts.split_last() {
        None => {
            let watched = watch(&life);
            life.reopen();
            watched
        }
        Some((last, before)) => {
            life.reopen();
            before.iter().for_each(|act| life.act(*act));
            let watched = watch(&life);
            life.act(*last);
            watched
        }
    };
    life.world.disk.clear_observer();
    let mut cuts = std::mem::take(&mut *watched.lock().expect("no panic under this lock"));
    cuts.take(&life.world.disk, &life.world.index, book.known());
    tally.count += cuts.images;
    tally.note("distinct", cuts.distinct.len() as u64);
    tally.note("points", cuts.points);
    tally.note("points with more than 8 unsynced", cuts.crowded);
    for cut in &cuts.distinct {
        let label = || format!("{acts:?}, before operation {}, kept {}, {shape:?}", cut.operation, cut.kept);
        let (store, _) = oracle::check(&cut.world, &shape, &book, cut.known, &label);
        cut.world.abandon(store);
    }
}

/// The payloads of the appends that find the store open, bytes.
fn payloads(acts: &[Act]) -> Vec<usize> {
    let mut is_open = true;
    let mut lengths = Vec::new();
    for act in acts {
        match act {
            Close => is_open = false,
            Reopen => is_open = true,
            AppendDurable | AppendBuffered if is_open => lengths.push(SMALL_BYTES),
            Roll if is_open => lengths.push(LARGE_BYTES),
            _ => {}
        }
    }
    lengths
}

struct ShortLife {
    world: World,
    shape: Shape,
    book: Arc<Book>,
    /// `None` once closed.
    store: Option<Store>,
    next: usize,
}

impl ShortLife {
    fn act(&mut self, act: Act) {
        match act {
            AppendDurable | AppendBuffered | Roll => self.append(act == AppendDurable),
            Reopen => {
                if self.store.is_some() {
                    self.world.restart();
                }
                self.reopen();
            }
            _ => {
                let Some(store) = &self.store else { return };
                match act {
                    Ingest => store.housekeep(),
                    Close => store.close(),
                    _ => store.save_snapshot(&snapshot_of(store)),
                }
                .unwrap_or_else(|error| panic!("{act:?}: {error}"));
                self.book.acknowledge_durable(store.durable_sequence());
                if act == Close {
                    let again = store.sync();
                    assert_eq!(again.map_err(|error| error.kind()), Err(ErrorKind::Closed));
                    self.store = None;
                }
            }
        }
    }

    fn append(&mut self, durable: bool) {
        let Some(store) = &self.store else { return };
        let number = self.next;
        self.next += 1;
        let commit = self.book.commit(number);
        let commit = if durable { commit.durability(Durability::Sync) } else { commit };
        self.book.submit(number);
        store.commit(commit).unwrap_or_else(|error| panic!("commit {number}: {error}"));
        self.book.acknowledge_durable(store.durable_sequence());
        assert!(!durable || self.book.known().acknowledged == number + 1, "a durable append is durable");
    }

    fn reopen(&mut self) {
        self.store = None;
        let store = self.world.open(&self.shape).unwrap_or_else(|error| panic!("{error}"));
        self.book.acknowledge_durable(store.durable_sequence());
        self.store = Some(store);
    }
}

/// One image that is not like another.
struct Cut {
    world: World,
    known: Known,
    operation: u64,
    kept: String,
}

/// The images of all points so far.
#[derive(Default)]
struct Cuts {
    distinct: Vec<Cut>,
    seen: HashSet<(u128, u128, Known)>,
    images: u64,
    points: u64,
    crowded: u64,
}

/// Takes all images before each operation of an act, but the first one's, at which the act before was done.
fn watch(life: &ShortLife) -> Arc<Mutex<Cuts>> {
    let cuts = Arc::new(Mutex::new(Cuts::default()));
    let (book, index, kept) = (Arc::clone(&life.book), life.world.index.clone(), Arc::clone(&cuts));
    let mut is_first = true;
    life.world.disk.set_observer(Box::new(move |_: &OperationInfo, disk: &SimulatedDisk| {
        if !std::mem::take(&mut is_first) {
            kept.lock().expect("no panic under this lock").take(disk, &index, book.known());
        }
    }));
    cuts
}

impl Cuts {
    fn take(&mut self, disk: &SimulatedDisk, index: &MemoryIndexProvider, known: Known) {
        let units = Units::of(&disk.unsynced_things());
        self.points += 1;
        self.crowded += u64::from(units.is_crowded());
        for index_kept in 0..=index.unsettled() {
            let index = index.crash_choosing(index_kept);
            let evidence = index.evidence(&Path::new(ROOT).join("index"), StoreId::from_bytes([7; 16]));
            let index_digest = digest(&format!("{evidence:?}"));
            for choice in units.choices() {
                self.images += 1;
                let image = disk.crash_choosing(|thing| choice.keeps(units.of_thing[thing]));
                if self.seen.insert((image.fingerprint(), index_digest, known)) {
                    let world = World { disk: image, index: index.kill() };
                    let kept = format!("{choice:?} of {units:?}, of the index {index_kept}");
                    self.distinct.push(Cut { world, known, operation: disk.operations(), kept });
                }
            }
        }
    }
}

fn digest(text: &str) -> u128 {
    let disk = SimulatedDisk::default();
    disk.write_file(Path::new("/text"), text.as_bytes()).expect("a new file");
    disk.fingerprint()
}

/// Which things are kept or lost together.
#[derive(Debug)]
struct Units {
    /// The unit of each thing; `None` for what is no evidence.
    of_thing: Vec<Option<usize>>,
    count: usize,
}

/// A choice: the units that are chosen from are the last ones.
#[derive(Clone, Copy, Debug)]
struct Choice {
    first: usize,
    kept: u32,
    others: bool,
}

impl Choice {
    fn keeps(self, unit: Option<usize>) -> bool {
        match unit {
            None => self.kept.count_ones().is_multiple_of(2),
            Some(unit) if unit < self.first => self.others,
            Some(unit) => self.kept >> (unit - self.first) & 1 == 1,
        }
    }
}

impl Units {
    fn of(things: &[Unsynced]) -> Self {
        let mut units = Self { of_thing: Vec::with_capacity(things.len()), count: 0 };
        for (at, thing) in things.iter().enumerate() {
            if is_no_evidence(&thing.path) {
                units.of_thing.push(None);
                continue;
            }
            let is_inner = |at: usize| at >= 2 && are_neighbours(things, at - 2, at + 2);
            if !(is_inner(at) && is_inner(at - 1)) {
                units.count += 1;
            }
            units.of_thing.push(Some(units.count - 1));
        }
        units
    }

    fn is_crowded(&self) -> bool {
        self.count > CHOSEN_MAX
    }

    fn choices(&self) -> impl Iterator<Item = Choice> + use<> {
        let chosen = self.count.min(CHOSEN_MAX);
        let first = self.count - chosen;
        let others = if first > 0 { [Some(true), Some(false)] } else { [Some(true), None] };
        others
            .into_iter()
            .flatten()
            .flat_map(move |others| (0..1u32 << chosen).map(move |kept| Choice { first, kept, others }))
    }
}

fn is_no_evidence(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name == "LOCK" || name.starts_with("recovery")
}

/// Whether these are sectors of one file with nothing between them.
fn are_neighbours(things: &[Unsynced], from: usize, to: usize) -> bool {
    let (Some(first), Some(last)) = (things.get(from), things.get(to)) else { return false };
    let (UnsyncedPart::Sector(low), UnsyncedPart::Sector(high)) = (first.part, last.part) else { return false };
    first.path == last.path && high - low == (to - from) as u64
}
