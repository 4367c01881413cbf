//! T20: a store of each format, byte for byte.
//!
//! The fixture is a store of two segments, a seal, identity and control, written from fixed commits, ids and times. It must open,
//! read and verify as what was submitted, with an index and without; and the same commits must give the same bytes today. A change
//! of the format shows here first; it wants a new fixture beside the old one, never in its place.
//!
//! The fixture is text: a line with the path and length of each file, then its bytes in lines of 32, by offset, without those that
//! are zeros. `BITACORA_WRITE_FIXTURE=1 ... replay T20 0` writes it, where there is none.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use crate::class::{Class, Extent, Tally, Threads};
use crate::oracle;
use crate::workload::{Book, Known, Shape, Sizes, World, snapshot_of};

pub const CLASS: Class = Class {
    id: "T20",
    what: "files of stores of known formats",
    gate: 10,
    release: 10,
    extent: Extent::Pieces { gate: 1, all: 1 },
    threads: Threads::One,
    piece,
};

const COMMITS: usize = 14;
const FIXTURE: &str = "fixtures/format-1.txt";
const ROW_BYTES: usize = 32;

fn book() -> Book {
    Book::new(20, COMMITS, Sizes { events_max: 3, payload_bytes_max: 300 })
}

/// The store that the fixture is of, as it is written today.
fn written() -> World {
    let (shape, book) = (Shape::plain(), book());
    let world = World::new(&shape);
    for commits in [0..COMMITS - 2, COMMITS - 2..COMMITS] {
        let store = world.open(&shape).expect("a store");
        for number in commits {
            store.commit(book.commit(number)).expect("a commit");
        }
        store.save_snapshot(&snapshot_of(&store)).expect("a snapshot");
        store.housekeep().expect("housekeeping");
        store.close().expect("a store is closed");
    }
    world
}

/// The files whose bytes are the format: the report of an open is not, and a reserve is zeros.
fn files(world: &World) -> Vec<(PathBuf, Vec<u8>)> {
    let is_format = |path: &Path| !path.ends_with("recovery") && !path.ends_with("reserve");
    world.contents().into_iter().filter(|(path, _)| is_format(path)).collect()
}

fn text(files: &[(PathBuf, Vec<u8>)]) -> String {
    let mut text = String::new();
    for (path, bytes) in files {
        writeln!(text, "{} {}", path.display(), bytes.len()).expect("text grows");
        for (number, row) in bytes.chunks(ROW_BYTES).enumerate() {
            if row.iter().any(|byte| *byte != 0) {
                let hex: String = row.iter().map(|byte| format!("{byte:02x}")).collect();
                writeln!(text, "  {:06} {hex}", number * ROW_BYTES).expect("text grows");
            }
        }
    }
    text
}

fn parsed(text: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<(PathBuf, Vec<u8>)> = Vec::new();
    for line in text.lines() {
        let (first, second) = line.trim_start().split_once(' ').expect("two words");
        if line.starts_with(' ') {
            let (_, bytes) = files.last_mut().expect("a file before its bytes");
            let offset: usize = first.parse().expect("an offset");
            for at in 0..second.len() / 2 {
                bytes[offset + at] = u8::from_str_radix(&second[2 * at..2 * at + 2], 16).expect("hexadecimal digits");
            }
        } else {
            files.push((first.into(), vec![0; second.parse().expect("a length")]));
        }
    }
    files
}

fn piece(_: u64, tally: &mut Tally) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(FIXTURE);
    let today = files(&written());
    if std::env::var_os("BITACORA_WRITE_FIXTURE").is_some() && !path.exists() {
        std::fs::write(&path, text(&today)).expect("the fixture is written");
    }
    let fixture = parsed(&std::fs::read_to_string(&path).expect("the fixture"));
    assert_eq!(parsed(&text(&fixture)), fixture, "the fixture is read as it is written");
    for ((path, bytes), (other, expected)) in today.iter().zip(&fixture) {
        assert_eq!(path, other, "the same files");
        let place = bytes.iter().zip(expected).position(|(one, other)| one != other);
        assert!(bytes == expected, "{} differs from the fixture at byte {place:?}", path.display());
        tally.one();
    }
    assert_eq!(today.len(), fixture.len(), "as many files");
    let index = written().index;
    for index in [index, Default::default()] {
        let world = World { disk: Shape::plain().disk(), index };
        for (path, bytes) in &fixture {
            create_folders(&world, path);
            world.disk.write_file(path, bytes).expect("a file of the fixture");
            tally.one();
        }
        let known = Known { acknowledged: COMMITS, submitted: COMMITS };
        oracle::check(&world, &Shape::plain(), &book(), known, &|| FIXTURE.to_owned());
    }
}

fn create_folders(world: &World, path: &Path) {
    use bitacora::disk::Disk;
    let folders: Vec<&Path> = path.ancestors().skip(1).filter(|folder| folder.parent().is_some()).collect();
    for folder in folders.into_iter().rev() {
        if world.disk.kind(folder).expect("a look").is_none() {
            world.disk.create_directory(folder).expect("a folder");
        }
    }
}
