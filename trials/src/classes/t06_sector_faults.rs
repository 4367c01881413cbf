//! T6: sectors that are zeroed, old, swapped or written elsewhere; files that are missing, empty, duplicated or renamed; in pairs.
//!
//! The store was closed, so everything in it is proven. Then nothing may be cut: it is refused and unchanged, or all events are
//! there but those that every read refuses as damaged, and `verify` knows of it.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use bitacora::index::MemoryIndexProvider;

use crate::class::{Class, Extent, Tally, Threads};
use crate::damage::{self, Answer, bytes_of};
use crate::workload::{Book, ROOT, Shape, Sizes, World};

pub const CLASS: Class = Class {
    id: "T6",
    what: "sector and file faults",
    gate: 10_000,
    release: 10_000,
    extent: Extent::Pieces { gate: PIECES, all: PIECES },
    threads: Threads::Every,
    piece,
};

const PIECES: u64 = 256;
const SECTOR_BYTES: usize = 512;
const COMMITS: usize = 60;

#[derive(Clone, Debug)]
enum Fault {
    Zeroed(Sector),
    /// As it was after so many commits.
    Old(Sector, usize),
    Swapped(Sector, Sector),
    /// What was meant for the first lies in the second too.
    Misdirected(Sector, Sector),
    Missing(PathBuf),
    Empty(PathBuf),
    /// The first stands under the second's name too.
    Duplicated(PathBuf, PathBuf),
    Renamed(PathBuf, PathBuf),
    /// One bit of the control file.
    Flipped(u64, u32),
}

#[derive(Clone, Debug)]
struct Sector {
    file: PathBuf,
    number: usize,
}

struct Base {
    world: World,
    shape: Shape,
    book: Book,
    /// The world after so many commits.
    earlier: Vec<(usize, World)>,
    cases: Vec<Vec<Fault>>,
    /// The same commits in a store that was closed and opened on the way, and killed at its end.
    killed: World,
}

fn base() -> &'static Base {
    static BASE: OnceLock<Base> = OnceLock::new();
    BASE.get_or_init(|| {
        let shape = Shape { segment_bytes: 8192, tail_events_max: 1000, ..Shape::plain() };
        let world = World::new(&shape);
        let book = Book::new(6, COMMITS, Sizes { events_max: 3, payload_bytes_max: 300 });
        let store = world.open(&shape).expect("a new store");
        let mut earlier = Vec::new();
        for number in 0..COMMITS {
            store.commit(book.commit(number)).expect("a commit");
            store.housekeep().expect("housekeeping");
            if number % 7 == 3 {
                earlier.push((number + 1, world.kill()));
            }
        }
        store.close().expect("a store is closed");
        let cases = cases(&world, &earlier);
        let killed = killed(&shape, &book);
        Base { world: world.kill(), shape, book, earlier, cases, killed }
    })
}

/// Opened five times: the session that was killed differs in one bit from the one that was closed last.
fn killed(shape: &Shape, book: &Book) -> World {
    const SESSIONS: usize = 5;
    let world = World::new(shape);
    for session in 1..=SESSIONS {
        let store = world.open(shape).expect("a store");
        for number in COMMITS * (session - 1) / SESSIONS..COMMITS * session / SESSIONS {
            store.commit(book.commit(number)).expect("a commit");
        }
        if session == SESSIONS {
            return world.kill();
        }
        store.close().expect("a store is closed");
    }
    unreachable!("the last session is killed")
}

fn sectors(world: &World) -> Vec<Sector> {
    let mut sectors = Vec::new();
    for file in world.segments() {
        let count = bytes_of(world, &file).len().div_ceil(SECTOR_BYTES);
        sectors.extend((0..count).map(|number| Sector { file: file.clone(), number }));
    }
    sectors
}

/// The files that make a store up, the index apart.
fn files(world: &World) -> Vec<PathBuf> {
    let is_part = |path: &PathBuf| !path.ends_with("LOCK") && !path.ends_with("recovery");
    world.disk.files().into_iter().filter(is_part).collect()
}

fn cases(world: &World, earlier: &[(usize, World)]) -> Vec<Vec<Fault>> {
    let (sectors, files) = (sectors(world), files(world));
    let mut cases: Vec<Vec<Fault>> = Vec::new();
    for sector in &sectors {
        cases.push(vec![Fault::Zeroed(sector.clone())]);
        cases.extend(earlier.iter().map(|(commits, _)| vec![Fault::Old(sector.clone(), *commits)]));
    }
    for (at, first) in sectors.iter().enumerate() {
        for second in &sectors[at + 1..] {
            cases.push(vec![Fault::Swapped(first.clone(), second.clone())]);
            cases.push(vec![Fault::Misdirected(first.clone(), second.clone())]);
            cases.push(vec![Fault::Misdirected(second.clone(), first.clone())]);
            cases.push(vec![Fault::Zeroed(first.clone()), Fault::Zeroed(second.clone())]);
        }
    }
    let elsewhere = Path::new(ROOT).join("log/00000000000000009999.seg");
    let mut singles = Vec::new();
    for (at, file) in files.iter().enumerate() {
        singles.push(Fault::Missing(file.clone()));
        singles.push(Fault::Empty(file.clone()));
        singles.push(Fault::Renamed(file.clone(), elsewhere.clone()));
        singles.push(Fault::Duplicated(file.clone(), elsewhere.clone()));
        let next = &files[(at + 1) % files.len()];
        singles.push(Fault::Duplicated(file.clone(), next.clone()));
        singles.push(Fault::Renamed(file.clone(), next.clone()));
    }
    cases.extend(singles.iter().map(|fault| vec![fault.clone()]));
    for (at, first) in singles.iter().enumerate() {
        cases.extend(singles[at + 1..].iter().map(|second| vec![first.clone(), second.clone()]));
    }
    cases
}

fn sector_bytes(world: &World, sector: &Sector) -> Vec<u8> {
    let bytes = world.disk.read_file(&sector.file).unwrap_or_default();
    let start = sector.number * SECTOR_BYTES;
    let mut found = bytes.get(start..).unwrap_or_default().to_vec();
    found.resize(SECTOR_BYTES, 0);
    found
}

fn overwrite(world: &World, sector: &Sector, bytes: &[u8]) {
    let offset = (sector.number * SECTOR_BYTES) as u64;
    world.disk.overwrite(&sector.file, offset, bytes).expect("a sector of a segment");
}

/// Does it to a world. A file that an earlier fault of the pair took away stays away.
fn inflict(base: &Base, world: &World, fault: &Fault) {
    match fault {
        Fault::Zeroed(sector) => overwrite(world, sector, &[0; SECTOR_BYTES]),
        Fault::Old(sector, commits) => {
            let (_, old) = base.earlier.iter().find(|(number, _)| number == commits).expect("a world of that time");
            overwrite(world, sector, &sector_bytes(old, sector));
        }
        Fault::Swapped(first, second) => {
            let (one, two) = (sector_bytes(world, first), sector_bytes(world, second));
            overwrite(world, first, &two);
            overwrite(world, second, &one);
        }
        Fault::Misdirected(from, to) => overwrite(world, to, &sector_bytes(world, from)),
        Fault::Missing(file) => drop(world.disk.remove_file(file)),
        Fault::Empty(file) => drop(world.disk.read_file(file).and_then(|_| world.disk.write_file(file, &[]))),
        Fault::Duplicated(from, to) => {
            drop(world.disk.read_file(from).and_then(|bytes| world.disk.write_file(to, &bytes)));
        }
        Fault::Flipped(offset, bit) => {
            let control = Path::new(ROOT).join("control");
            world.disk.flip_bit(&control, *offset, *bit).expect("a byte of the control file");
        }
        Fault::Renamed(from, to) => {
            drop(world.disk.read_file(from).and_then(|bytes| {
                world.disk.write_file(to, &bytes)?;
                world.disk.remove_file(from)
            }));
        }
    }
}

fn piece(seed: u64, tally: &mut Tally) {
    let base = base();
    for case in base.cases.iter().skip(seed as usize).step_by(PIECES as usize) {
        let world = base.world.kill();
        let answer = try_one(base, &world, case, tally);
        let is_missing =
            |fault: &Fault| matches!(fault, Fault::Missing(file) if file.extension().is_some_and(|e| e == "seg"));
        let is_refused = answer == Answer::Refused || !case.iter().any(is_missing);
        assert!(is_refused, "{case:?}: a segment is missing, and the store opens");
        if let [_] = case[..] {
            // Without its index, the whole log is read at open.
            try_one(base, &World { index: MemoryIndexProvider::default(), ..base.world.kill() }, case, tally);
        }
    }
    // What the control file says of the last close is no evidence that nothing came after it.
    let control = Path::new(ROOT).join("control");
    let bits = bytes_of(&base.killed, &control).len() as u64 * 8;
    for bit in (0..bits).skip(seed as usize).step_by(PIECES as usize) {
        let fault = Fault::Flipped(bit / 8, (bit % 8) as u32);
        try_one(base, &base.killed.kill(), &[fault], tally);
    }
}

fn try_one(base: &Base, world: &World, case: &[Fault], tally: &mut Tally) -> Answer {
    case.iter().for_each(|fault| inflict(base, world, fault));
    let answer = damage::check(world, &base.shape, &base.book, COMMITS, &|| format!("{case:?}"));
    tally.one();
    match answer {
        Answer::Refused => tally.note("refused", 1),
        Answer::Reads(0) => tally.note("all readable", 1),
        Answer::Reads(_) => tally.note("damage refused by reads", 1),
        Answer::Cut => panic!("{case:?}: proven commits are gone, and nobody is told"),
    }
    answer
}
