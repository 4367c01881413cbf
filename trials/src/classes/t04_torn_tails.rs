//! T4: the active segment cut at every byte, with something else behind the cut.
//!
//! A 64 KiB segment is kept up to each byte and continued with the end of the file, zeros, random bytes, frames of the segment
//! before it, or frames that an older generation of another store left in the same place. What is expected is exact: the frames
//! that are still whole, no others; what stood behind them in quarantine, byte for byte; zeros in its place; and nothing changed
//! where the header itself is hit.

use std::sync::OnceLock;

use bitacora::disk::sim::Random;
use bitacora::{ErrorKind, Sequence, verify_in};

use crate::class::{Class, Extent, Tally, Threads};
use crate::damage::{self, Answer, TwoSegments, bytes_of};
use crate::oracle;
use crate::workload::{Known, ROOT};

pub const CLASS: Class = Class {
    id: "T4",
    what: "torn tails",
    gate: 327_680,
    release: 327_680,
    extent: Extent::Pieces { gate: PIECES, all: PIECES },
    threads: Threads::Every,
    piece,
};

const SEGMENT_BYTES: u64 = 64 * 1024;
const BLOCK_BYTES: u64 = 128;
const PIECES: u64 = SEGMENT_BYTES / BLOCK_BYTES;
const HEADER_BYTES: u64 = 512;
/// How often the index and `verify` are held against the log too.
const WHOLE_EVERY_BYTES: u64 = 61;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behind {
    EndOfFile,
    Zeros,
    Random,
    FramesOfAnotherSegment,
    OlderGeneration,
}

const ALL_BEHIND: [Behind; 5] =
    [Behind::EndOfFile, Behind::Zeros, Behind::Random, Behind::FramesOfAnotherSegment, Behind::OlderGeneration];

struct Base {
    store: TwoSegments,
    active: Vec<u8>,
    sealed: Vec<u8>,
    older: Vec<u8>,
}

fn base() -> &'static Base {
    static BASE: OnceLock<Base> = OnceLock::new();
    BASE.get_or_init(|| {
        let store = TwoSegments::new(4, SEGMENT_BYTES, SEGMENT_BYTES);
        let other = TwoSegments::new(5, SEGMENT_BYTES, SEGMENT_BYTES);
        let (active, sealed) = (bytes_of(&store.world, &store.active), bytes_of(&store.world, &store.sealed));
        let older = bytes_of(&other.world, &other.active);
        Base { store, active, sealed, older }
    })
}

fn piece(seed: u64, tally: &mut Tally) {
    let base = base();
    let mut random = Random::new(seed);
    for cut in seed * BLOCK_BYTES..(seed + 1) * BLOCK_BYTES {
        for behind in ALL_BEHIND {
            try_one(base, cut, behind, &mut random, tally);
            tally.one();
        }
    }
}

fn torn(base: &Base, cut: usize, behind: Behind, random: &mut Random) -> Vec<u8> {
    let mut bytes = base.active[..cut].to_vec();
    match behind {
        Behind::EndOfFile => {}
        Behind::Zeros => bytes.resize(base.active.len(), 0),
        Behind::Random => {
            bytes.resize(base.active.len(), 0);
            random.fill(&mut bytes[cut..]);
        }
        Behind::FramesOfAnotherSegment => bytes.extend_from_slice(&base.sealed[cut..]),
        Behind::OlderGeneration => bytes.extend_from_slice(&base.older[cut..]),
    }
    bytes
}

fn try_one(base: &Base, cut: u64, behind: Behind, random: &mut Random, tally: &mut Tally) {
    let label = || format!("cut at {cut}, then {behind:?}");
    let bytes = torn(base, cut as usize, behind, random);
    let world = base.store.world.kill();
    world.disk.write_file(&base.store.active, &bytes).expect("a segment");
    let header = HEADER_BYTES as usize;
    if bytes.get(..header) != base.active.get(..header) {
        let before = world.contents();
        let error = world.open(&base.store.shape).expect_err("a damaged header");
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{}: {error}", label());
        assert!(world.contents() == before, "{}: a refused open changed the store", label());
        tally.note("refused", 1);
        return;
    }
    // A frame is whole where all its bytes are what they were, wherever they came from.
    let is_whole = |end: &&u64| bytes.get(..**end as usize) == base.active.get(..**end as usize);
    let whole = base.store.ends.iter().skip(1).take_while(is_whole).count();
    let end = base.store.ends[whole] as usize;
    let commits = base.store.sealed_commits + whole;
    let indexed = base.store.indexed_commits;
    if commits < indexed {
        // The index proves these. Reads refuse them, where open does not.
        let answer = damage::check(&world, &base.store.shape, &base.store.book, indexed, &label);
        // Padding is part of no event: where that alone is hit, only `verify` refuses.
        let is_seen = match answer {
            Answer::Refused | Answer::Reads(1..) => true,
            Answer::Reads(0) => verify_in(&world.environment(), ROOT).is_ok_and(|report| !report.is_ok()),
            Answer::Cut => false,
        };
        assert!(is_seen, "{}: {answer:?} where the index proves {indexed} commits", label());
        tally.note("refused", 1);
        return;
    }
    let known = Known { acknowledged: commits, submitted: commits };
    let (shape, book) = (&base.store.shape, &base.store.book);
    let store = if cut.is_multiple_of(WHOLE_EVERY_BYTES) {
        oracle::check(&world, shape, book, known, &label).0
    } else {
        oracle::check_log(&world, shape, book, known, &label)
    };
    let rest = bytes.get(end..).unwrap_or_default();
    let content = rest.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let report = store.recovery_report();
    if content == 0 {
        assert_eq!(report.cut, None, "{}", label());
        tally.note("with nothing to cut", 1);
        return;
    }
    let found = report.cut.as_ref().unwrap_or_else(|| panic!("{}: nothing was cut", label()));
    let next = Sequence::new(store.last_sequence().get() + 1);
    assert_eq!((found.offset, found.bytes, found.sequence), (end as u64, content as u64, next), "{}", label());
    let kept = bytes_of(&world, &std::path::Path::new(ROOT).join(&found.quarantine));
    assert!(kept == rest[..content], "{}: what is in quarantine is not what was cut", label());
    let left = bytes_of(&world, &base.store.active);
    assert!(left[end..].iter().all(|byte| *byte == 0), "{}: something of it is left", label());
    tally.note("cut and kept", 1);
}
