//! T23: mixed load for a long time, with random restarts: memory, open files and disk stay bounded, and the end verifies.
//!
//! A piece is one store at work for a minute, in lives of some seconds that end with a kill or a close. What the process
//! takes is looked at ten times a second; what lies on disk is held against what the events are when the piece is over.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use bitacora::Store;
use bitacora::disk::sim::Random;

use crate::class::{Class, Extent, Tally, Threads};
use crate::real::day::{self, From};
use crate::real::folder;
use crate::real::oracle::{self, Known};
use crate::real::plan::{Against, Plan};
use crate::real::process::Process;

pub const CLASS: Class = Class {
    id: "T23",
    what: "seconds of mixed load",
    gate: 120,
    release: 12 * 3600,
    extent: Extent::Endless,
    threads: Threads::One,
    piece,
};

const PIECE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(100);
const MIB: u64 = 1024 * 1024;

/// What a process may take. The index has few files after a minute, and 8 MiB of blocks in memory; the rest is for two
/// segments of events that wait for the index, wallets and payments. Half of either is what is seen.
const HANDLES_MAX: u64 = 64;
const MEMORY_BYTES_MAX: u64 = 64 * MIB;

/// What an event takes in the log beside its payload.
const EVENT_BYTES_MAX: u64 = 256;
/// Segments that are not full: the active one, the next one, the reserve, and one that is being made.
const SEGMENTS_AHEAD: u64 = 4;
const SEGMENT_BYTES_MAX: u64 = 4 * MIB;
/// What an event takes in the index, keys and heads included, and what the index takes without any.
const INDEX_BYTES_MAX: u64 = 64;
const INDEX_ROOM_BYTES: u64 = 16 * MIB;

/// The most that was seen.
#[derive(Clone, Copy, Debug, Default)]
struct Peak {
    handles: u64,
    memory_bytes: u64,
}

impl Peak {
    /// Looks at a process that runs; one that has ended takes nothing.
    fn look(&mut self, process: u32) {
        let place = format!("/proc/{process}");
        let handles = fs::read_dir(format!("{place}/fd")).map_or(0, |entries| entries.count() as u64);
        let status = fs::read_to_string(format!("{place}/status")).unwrap_or_default();
        let anonymous = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kib = anonymous.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0);
        self.handles = self.handles.max(handles);
        self.memory_bytes = self.memory_bytes.max(kib * 1024);
    }
}

fn piece(seed: u64, tally: &mut Tally) {
    if !Path::new("/proc/self/fd").exists() {
        tally.skip("there is no /proc");
        return;
    }
    let place = folder::temporary();
    let plan = Plan { seed, against: Against::Hours };
    let mut random = Random::new(seed ^ 0x736f_616b);
    let (mut known, mut from, mut peak) = (Known::default(), From::default(), Peak::default());
    let started = Instant::now();
    let (mut kills, mut closes) = (0, 0);
    while started.elapsed() < PIECE {
        let left = PIECE - started.elapsed().min(PIECE);
        let life = Duration::from_millis(1_000 + random.below(14_000)).min(left);
        let label = format!("life {} of {life:?}, {:?}", kills + closes, plan.options());
        known.begun = from.commits;
        let mut process = Process::start(&day::words(place.path(), plan, &from));
        let lines = work(&mut process, life, &mut peak);
        let failure = known.take(&lines);
        assert_eq!(failure, None, "{label}");
        let lines = if random.below(2) == 0 {
            kills += 1;
            process.kill()
        } else {
            closes += 1;
            let (status, lines) = process.finish();
            assert!(status.success(), "{label}: ended with {status}");
            lines
        };
        let failure = known.take(&lines);
        assert_eq!(failure, None, "{label}");
        from = oracle::check(place.path(), plan, &known, started.elapsed() >= PIECE, &label);
    }
    bounded(place.path(), plan, peak);
    tally.count += PIECE.as_secs();
    tally.note("kills", kills);
    tally.note("closes", closes);
    tally.note("commits acknowledged", known.commits.len() as u64);
    tally.note("payments acknowledged", known.payments.len() as u64);
    tally.note("lost", 0);
}

/// Lets a child work and looks at what it takes.
fn work(process: &mut Process, life: Duration, peak: &mut Peak) -> Vec<String> {
    let end = Instant::now() + life;
    let mut lines = Vec::new();
    while Instant::now() < end {
        lines.extend(process.lines_for(LOOK));
        peak.look(process.id());
    }
    lines
}

/// What the process took, and what lies on disk now that the store is closed.
fn bounded(place: &Path, plan: Plan, peak: Peak) {
    let label = format!("{:?}", plan.options());
    assert!(peak.handles > 0 && peak.handles <= HANDLES_MAX, "{label}: {} open files", peak.handles);
    assert!(peak.memory_bytes <= MEMORY_BYTES_MAX, "{label}: {} bytes of memory", peak.memory_bytes);
    let store = Store::open_read_only(day::store_in(place)).unwrap_or_else(|error| panic!("{label}: {error}"));
    let (mut events, mut payload_bytes) = (0, 0);
    let visited = store.visit(.., |event| {
        events += 1;
        payload_bytes += event.payload.len() as u64;
        Ok(ControlFlow::Continue(()))
    });
    visited.unwrap_or_else(|error| panic!("{label}: {error}"));
    let store = day::store_in(place);
    let (log, index) = (folder::bytes_on_disk(&store.join("log")), folder::bytes_on_disk(&store.join("index")));
    let log_max = payload_bytes + EVENT_BYTES_MAX * events + SEGMENTS_AHEAD * SEGMENT_BYTES_MAX;
    assert!(log <= log_max, "{label}: a log of {log} bytes for {events} events of {payload_bytes} bytes");
    let index_max = INDEX_BYTES_MAX * events + INDEX_ROOM_BYTES;
    assert!(index <= index_max, "{label}: an index of {index} bytes for {events} events");
    let all = folder::bytes_on_disk(&store);
    assert!(all <= log + index + MIB, "{label}: {all} bytes, of which the log is {log} and the index {index}");
}
