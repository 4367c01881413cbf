//! T5: every single bit of a finished and of an active segment.
//!
//! The finished segment is not read at open: the store opens, whatever reads or verifies the damage refuses it and names segment
//! and sequence, every other event stays readable. The active one is read: a bit in a frame that a later one proves is refused and
//! nothing is changed; a bit in the last frame, which nothing proves yet, is cut and kept; so is one behind the last frame.
//!
//! For every bit: the open, `verify`, a read of all in order, and the events around the damage one by one. For every bit of each
//! 61st byte also every event and every stream.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::OnceLock;

use bitacora::{ErrorKind, Sequence, Store, verify_in};

use crate::class::{Class, Extent, Tally, Threads};
use crate::damage::{self, TwoSegments, bytes_of, content_end, is_equal};
use crate::oracle;
use crate::workload::{Known, ROOT, STREAMS, World};

pub const CLASS: Class = Class {
    id: "T5",
    what: "flipped bits",
    gate: 1_048_576,
    release: 1_048_576,
    extent: Extent::Pieces { gate: 2 * PIECES, all: 2 * PIECES },
    threads: Threads::Every,
    piece,
};

const SEGMENT_BYTES: u64 = 64 * 1024;
const BLOCK_BYTES: u64 = 64;
const PIECES: u64 = SEGMENT_BYTES / BLOCK_BYTES;
const HEADER_BYTES: u64 = 512;
const WHOLE_EVERY_BYTES: u64 = 61;

/// One whose finished segment is damaged, and one whose active segment is.
fn bases() -> &'static [TwoSegments; 2] {
    static BASES: OnceLock<[TwoSegments; 2]> = OnceLock::new();
    BASES.get_or_init(|| [TwoSegments::new(7, SEGMENT_BYTES, SEGMENT_BYTES), TwoSegments::new(6, SEGMENT_BYTES, 4096)])
}

/// Odd pieces are of the finished segment, even ones of the active.
fn piece(seed: u64, tally: &mut Tally) {
    let base = &bases()[seed as usize % 2];
    let first = seed / 2 * BLOCK_BYTES;
    for offset in first..first + BLOCK_BYTES {
        for bit in 0..8 {
            let is_indexed = (HEADER_BYTES..base.ends[base.indexed_commits - base.sealed_commits]).contains(&offset);
            match (seed.is_multiple_of(2), is_indexed) {
                (true, false) => active(base, offset, bit, tally),
                (true, true) => unread(base, &base.active, offset, bit, tally),
                (false, _) => unread(base, &base.sealed, offset, bit, tally),
            }
            tally.one();
        }
    }
}

fn flipped(base: &TwoSegments, path: &Path, offset: u64, bit: u32) -> World {
    let world = base.world.kill();
    world.disk.flip_bit(path, offset, bit).expect("a byte of the segment");
    world
}

/// In what an open does not read, for it is finished, or the index covers it.
fn unread(base: &TwoSegments, path: &Path, offset: u64, bit: u32, tally: &mut Tally) {
    let label = || format!("bit {bit} of byte {offset} of {}", path.display());
    let world = flipped(base, path, offset, bit);
    let store = world.open(&base.shape).unwrap_or_else(|error| panic!("{}: {error}", label()));
    let report = verify_in(&world.environment(), ROOT).unwrap_or_else(|error| panic!("{}: {error}", label()));
    let name = path.file_name().and_then(|name| name.to_str()).expect("a segment's name");
    let finding = report.findings.iter().find(|finding| finding.segment.ends_with(name));
    let finding = finding.unwrap_or_else(|| panic!("{}: verify finds {:?}", label(), report.findings));
    let planned = base.book.events(base.commits);
    let first_refused = read_in_order(&store, planned, &label);
    let is_header = offset < HEADER_BYTES;
    let refused = if is_header || offset.is_multiple_of(WHOLE_EVERY_BYTES) {
        let refused = damage::read_each(&store, planned, &label);
        damage::read_streams(&store, planned, &refused, &label);
        refused
    } else {
        read_around(&store, planned, first_refused, &label)
    };
    assert_eq!(first_refused.is_none(), refused.is_empty(), "{}: {first_refused:?}, alone {refused:?}", label());
    if let Some(sequence) = first_refused {
        assert!(finding.offset.is_some() && finding.sequence.is_some(), "{}: {finding:?}", label());
        // A commit is refused as a whole where its frame is hit; its neighbours never are.
        let commit = (0..base.commits).find(|commit| base.sequences(*commit).contains(&Sequence::new(sequence)));
        let commit = commit.unwrap_or_else(|| panic!("{}: sequence {sequence} is of no commit", label()));
        let is_of_commit = |refused: &u64| base.sequences(commit).contains(&Sequence::new(*refused));
        assert!(is_header || refused.iter().all(is_of_commit), "{}: refused {refused:?}", label());
        assert!(
            finding.sequence.is_some_and(|found| is_header || is_of_commit(&found.get())),
            "{}: {finding:?}",
            label()
        );
        tally.note("not read at open: refused by reads", 1);
    } else {
        tally.note("not read at open: behind the frames, found by verify", 1);
    }
}

/// Reads all in order; returns the sequence that was refused.
fn read_in_order(store: &Store, planned: &[crate::workload::Planned], label: &dyn Fn() -> String) -> Option<u64> {
    let mut found = 0;
    let outcome = store.visit(.., |event| {
        let expected = &planned[found];
        let is_it = event.sequence.get() == found as u64 + 1
            && event.stream == STREAMS[expected.stream]
            && event.version.get() == expected.version
            && event.id == expected.id
            && event.payload == expected.payload;
        assert!(is_it, "{}: {event:?} where sequence {} is next", label(), found + 1);
        found += 1;
        Ok(ControlFlow::Continue(()))
    });
    match outcome {
        Ok(()) => {
            assert_eq!(found, planned.len(), "{}", label());
            None
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{}: {error}", label());
            let sequence = error.corruption().and_then(|corruption| corruption.sequence);
            assert!(sequence.is_some(), "{}: {error} names no sequence", label());
            Some(found as u64 + 1)
        }
    }
}

/// The events around the one that was refused, one by one.
fn read_around(
    store: &Store,
    planned: &[crate::workload::Planned],
    refused: Option<u64>,
    label: &dyn Fn() -> String,
) -> Vec<u64> {
    let Some(sequence) = refused else { return Vec::new() };
    let mut found = Vec::new();
    for sequence in sequence.saturating_sub(2).max(1)..=(sequence + 4).min(planned.len() as u64) {
        match store.event(Sequence::new(sequence)) {
            Ok(Some(event)) => {
                assert!(is_equal(&event, &planned[sequence as usize - 1]), "{}: {event:?}", label());
            }
            Ok(None) => panic!("{}: sequence {sequence} is passed over", label()),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Corrupt, "{}: {error}", label());
                found.push(sequence);
            }
        }
    }
    found
}

fn active(base: &TwoSegments, offset: u64, bit: u32, tally: &mut Tally) {
    let label = || format!("bit {bit} of byte {offset} of the active segment");
    let world = flipped(base, &base.active, offset, bit);
    let after = base.ends.partition_point(|end| *end <= offset);
    let in_commit = after.checked_sub(1).filter(|commit| commit + 1 < base.ends.len());
    let is_last = in_commit.is_some_and(|commit| base.sealed_commits + commit + 1 == base.commits);
    if offset < HEADER_BYTES || (in_commit.is_some() && !is_last) {
        let before = world.contents();
        let error = world.open(&base.shape).map(drop).expect_err(&label());
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{}: {error}", label());
        let sequence = error.corruption().and_then(|corruption| corruption.sequence);
        let expected = in_commit.map(|commit| base.sequences(base.sealed_commits + commit));
        let is_named = expected.is_none_or(|expected| sequence.is_some_and(|found| expected.contains(&found)));
        assert!(is_named, "{}: {error} names {sequence:?}", label());
        assert!(world.contents() == before, "{}: a refused open changed the store", label());
        tally.note("active: proven, refused", 1);
        return;
    }
    let commits = base.commits - usize::from(is_last);
    let known = Known { acknowledged: commits, submitted: commits };
    let store = if offset.is_multiple_of(WHOLE_EVERY_BYTES) {
        oracle::check(&world, &base.shape, &base.book, known, &label).0
    } else {
        oracle::check_log(&world, &base.shape, &base.book, known, &label)
    };
    let cut = store.recovery_report().cut.clone().unwrap_or_else(|| panic!("{}: nothing was cut", label()));
    let end = base.ends[commits - base.sealed_commits];
    let damaged = bytes_of(&flipped(base, &base.active, offset, bit), &base.active);
    let content = damaged.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let kept = bytes_of(&world, &Path::new(ROOT).join(&cut.quarantine));
    assert!(kept == damaged[end as usize..content], "{}: what is in quarantine is not what was cut", label());
    assert!(content_end(&bytes_of(&world, &base.active)) <= end, "{}: something of it is left", label());
    tally.note(if is_last { "active: unproven, cut and kept" } else { "active: behind the frames, cut and kept" }, 1);
}
