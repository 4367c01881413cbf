//! Whether the end of a segment is felt: the longest commit in the second around each roll.
//!
//! A percentile over millions of commits would hide twenty rolls, so each roll's own maximum is shown. Commits of ten events
//! fill a segment in a second or two on a disk that syncs in 75 microseconds: the seconds around two rolls do not overlap, and
//! what follows a roll (the seal, the postings that are handed to the index, the next segment's zeros) falls into its second. The
//! floor's maxima are those of a raw file of the same bytes, around each end of a file: what the disk and the machine do by
//! themselves.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::bitacora_subject::{BitacoraSubject, options};
use crate::cases::Scale;
use crate::floor::{FILE_BYTES, FloorSubject, Medium, Syncing};
use crate::measure::median;
use crate::place;
use crate::subject::{Durability, Subject};
use crate::workload::{frame_bytes, payload, stream_of};

/// In a commit.
const EVENTS: usize = 10;

/// Appends until a store, and then a raw file, have rolled so many times.
///
/// # Panics
/// A subject fails.
pub fn print(scale: Scale) {
    let rolls = match scale {
        Scale::Tiny => 1,
        Scale::Short => 5,
        Scale::Full => 20,
    };
    let folder = place::folder();
    println!("{}; one writer, durable, {EVENTS} events a commit.\n", place::machine(folder.path()));
    println!(
        "| subject | rolls | longest commit around each, ms | their median | the longest |\n|---|---:|---|---:|---:|"
    );
    let commits_max = (rolls + 1) * FILE_BYTES / frame_bytes(EVENTS);
    let floor = {
        let bytes = commits_max * frame_bytes(EVENTS);
        let at = folder.path().join("floor");
        std::fs::create_dir_all(&at).unwrap();
        FloorSubject::new(&at, Medium::ZeroFilled, Syncing::DataSync, false, EVENTS, bytes)
    };
    place::settle(folder.path());
    let ends = ends_of_commits(&floor, commits_max);
    let in_a_file = FILE_BYTES / frame_bytes(EVENTS);
    let rolled: Vec<Duration> = ends.iter().skip(in_a_file).step_by(in_a_file).copied().collect();
    show("floor", &ends, &rolled);

    let store = BitacoraSubject::open(folder.path(), options(Durability::Sync));
    let (stop, stopped) = mpsc::channel();
    let log = folder.path().join("store").join("log");
    let started = Instant::now();
    let watcher = std::thread::spawn(move || watch(&log, started, &stopped));
    let offset = started.elapsed();
    let ends = ends_of_commits(&store, commits_max);
    drop(stop);
    let rolled: Vec<Duration> =
        watcher.join().unwrap().into_iter().map(|rolled| rolled.saturating_sub(offset)).collect();
    show("Bitacora", &ends, &rolled);
    Box::new(store).close();
}

/// When each commit ended.
fn ends_of_commits(subject: &dyn Subject, commits: usize) -> Vec<Duration> {
    let payload = payload();
    let mut ends = Vec::with_capacity(commits);
    let started = Instant::now();
    for number in 0..commits {
        let streams: [usize; EVENTS] = std::array::from_fn(|part| stream_of(number * EVENTS + part));
        subject.append(&streams, &payload);
        ends.push(started.elapsed());
    }
    ends
}

/// When each further segment got its name.
fn watch(log: &Path, started: Instant, stopped: &mpsc::Receiver<()>) -> Vec<Duration> {
    let segments = || -> BTreeSet<PathBuf> {
        let paths = std::fs::read_dir(log).unwrap().filter_map(|entry| entry.ok().map(|entry| entry.path()));
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "seg")).collect()
    };
    let (mut known, mut rolled) = (segments(), Vec::new());
    while stopped.recv_timeout(Duration::from_millis(5)) == Err(mpsc::RecvTimeoutError::Timeout) {
        let found = segments();
        rolled.extend(found.difference(&known).map(|_| started.elapsed()));
        known = found;
    }
    rolled
}

fn show(subject: &str, ends: &[Duration], rolled: &[Duration]) {
    const HALF_A_SECOND: Duration = Duration::from_millis(500);
    let longest = |roll: &Duration| {
        let begins = std::iter::once(&Duration::ZERO).chain(ends);
        let around =
            begins.zip(ends).filter(|(begin, end)| **end + HALF_A_SECOND >= *roll && **begin <= *roll + HALF_A_SECOND);
        around.map(|(begin, end)| (*end - *begin).as_secs_f64() * 1_000.0).fold(0.0, f64::max)
    };
    let maxima: Vec<f64> = rolled.iter().map(longest).collect();
    if maxima.is_empty() {
        println!("| {subject} | 0 | | | |");
        return;
    }
    let each: Vec<String> = maxima.iter().map(|longest| format!("{longest:.1}")).collect();
    let most = maxima.iter().copied().fold(0.0, f64::max);
    println!("| {subject} | {} | {} | {:.1} | {most:.1} |", maxima.len(), each.join(", "), median(maxima));
}
