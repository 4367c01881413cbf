//! Instructions an event, counted by `valgrind --tool=callgrind`: a figure that no other work on the machine can touch.
//!
//! Two runs of different length are subtracted, so that start-up does not count. All threads count, the one that ingests and
//! prepares segments too, but for the appends, which end without closing, so that what is put into the index only then is a line of
//! its own. The kernel's part does not count, nor does what waits. Other processors and C libraries choose other code for copies and
//! checksums: the committed figures are of one machine. The result is compared with the committed file
//! `benches/instructions.txt`: more than five hundredths above it fails.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cases::Scale;
use crate::child::{self, Job, Task};
use crate::parts::Part;
use crate::place;
use crate::workload::STREAMS;

/// How far above the committed figure is a failure.
const SLACK: f64 = 1.05;
/// Of the store that is read.
const EVENTS: usize = 40_000;

/// What is counted, the smaller and the larger run with their events, and whether they read what is there.
type Counted = (&'static str, [(Part, usize); 2], bool);

fn buffered(commits: usize, events: usize, is_closed: bool) -> Part {
    Part::Append { is_durable: false, writers: 1, commits, events, is_closed }
}

/// Counts, prints and compares; with `is_kept` the file is written instead. Returns whether nothing is too far above.
///
/// # Panics
/// There is no `valgrind`, or the file cannot be read or written.
#[must_use]
pub fn print(is_kept: bool) -> bool {
    let folder = place::folder();
    let loaded = folder.path().join("loaded");
    std::fs::create_dir_all(&loaded).unwrap();
    let job = Job {
        task: Task::Part(buffered(EVENTS / 100, 100, true)),
        subject: "bitacora".to_owned(),
        folder: loaded.clone(),
        scale: Scale::Short,
    };
    child::run(&job).unwrap();
    let of_stream = EVENTS / STREAMS;
    let streams = |reads| Part::Streams { reads, streams: STREAMS };
    // Every stream has an event before the smaller run of appends ends, so that it is the known stream that is counted.
    let ones = |events| (buffered(events, 1, false), events);
    let hundreds = |events| (buffered(events / 100, 100, false), events);
    let closed = |events| (buffered(events / 100, 100, true), events);
    let cases: [Counted; 5] = [
        ("append-buffered-1", [ones(12_000), ones(24_000)], false),
        ("append-buffered-100", [hundreds(20_000), hundreds(60_000)], false),
        ("append-buffered-100-and-index", [closed(20_000), closed(60_000)], false),
        ("scan", [(Part::Scan { times: 1 }, EVENTS), (Part::Scan { times: 3 }, EVENTS * 3)], true),
        ("stream-read", [(streams(1_000), 1_000 * of_stream), (streams(3_000), 3_000 * of_stream)], true),
    ];
    let committed = committed();
    println!("| case | instructions an event | committed | of it |\n|---|---:|---:|---:|");
    let (mut is_well, mut found) = (true, BTreeMap::new());
    for (name, [small, large], reads) in cases {
        let count = |part: Part| {
            let fresh = folder.path().join("fresh");
            let at = if reads { loaded.clone() } else { fresh.clone() };
            std::fs::create_dir_all(&at).unwrap();
            let count = count(folder.path(), at, part);
            let _ = std::fs::remove_dir_all(fresh);
            count
        };
        let each = (count(large.0) - count(small.0)) / (large.1 - small.1) as f64;
        let before = committed.get(name).copied();
        let ratio = before.map(|before| each / before);
        let show = |number: Option<f64>, digits: usize| number.map(|number| format!("{number:.digits$}"));
        println!(
            "| {name} | {each:.0} | {} | {} |",
            show(before, 0).unwrap_or_default(),
            show(ratio, 3).unwrap_or_default()
        );
        is_well &= ratio.is_some_and(|ratio| ratio <= SLACK);
        found.insert(name, each);
    }
    if is_kept {
        let lines: Vec<String> = found.iter().map(|(name, each)| format!("{name} {each:.0}\n")).collect();
        std::fs::write(path(), lines.concat()).unwrap();
        return true;
    }
    is_well
}

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("instructions.txt")
}

fn committed() -> BTreeMap<String, f64> {
    let text = std::fs::read_to_string(path()).unwrap_or_default();
    let line = |line: &str| {
        let (name, count) = line.split_once(' ')?;
        Some((name.to_owned(), count.trim().parse().ok()?))
    };
    text.lines().filter_map(line).collect()
}

fn count(folder: &Path, at: PathBuf, part: Part) -> f64 {
    let job = Job { task: Task::Part(part), subject: "bitacora".to_owned(), folder: at, scale: Scale::Short };
    let log = folder.join("callgrind.log");
    let status = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(format!("--log-file={}", log.display()))
        .arg(std::env::current_exe().unwrap())
        .args(["child", &serde_json::to_string(&job).unwrap()])
        .stdout(std::process::Stdio::null())
        .status()
        .expect("valgrind is needed");
    let said = std::fs::read_to_string(&log).unwrap_or_default();
    assert!(status.success(), "{part:?}: {status}\n{said}");
    let collected = said.lines().find_map(|line| line.split_once("Collected :")).map(|(_, count)| count.trim());
    collected.and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("{part:?}: {said}"))
}
