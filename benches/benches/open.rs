//! From opening a store whose process was killed to its first durable append. Beside the times it prints what the recovery
//! report says was read: that is bounded by the segment, whatever the size of the log.
//!
//! A child process opens the store and measures; it is killed, so that the next one finds what this one found.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a bench may stop by panicking, and shows what it measured"
)]

mod common;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bitacora::{ExpectedVersion, Options, Store};
use common::{Workload, folder};
use criterion::{Criterion, SamplingMode};

/// Names the folder to a child, which then is no bench but a till that is about to be killed.
const CHILD: &str = "BITACORA_BENCH_CHILD";
/// How many events the child appends first.
const FILL: &str = "BITACORA_BENCH_FILL";

fn child(path: &Path) {
    let workload = Workload::new();
    let events: usize = std::env::var(FILL).unwrap().parse().unwrap();
    let started = Instant::now();
    let store = Store::open(path, Options::new()).unwrap();
    let opened = started.elapsed();
    store.append(workload.stream(0, 0), ExpectedVersion::Any, workload.events(1)).unwrap();
    let appended = started.elapsed();
    workload.fill(&store, events);
    let report = store.recovery_report();
    println!(
        "{} {} {} {} {} {}",
        opened.as_nanos(),
        appended.as_nanos(),
        report.segments,
        report.segments_read,
        report.bytes_read,
        report.events_replayed
    );
    // Until it is killed.
    let _ = std::io::stdin().lines().next();
}

/// Runs a child on the store and kills it; what it measured.
fn killed(path: &Path, events: usize) -> Vec<u64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .env(CHILD, path)
        .env(FILL, events.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    line.split_whitespace().map(|number| number.parse().unwrap()).collect()
}

fn main() {
    if let Some(path) = std::env::var_os(CHILD) {
        return child(Path::new(&path));
    }
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(1))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    for events in [100_000, 1_000_000] {
        let folder = folder();
        let path = folder.path().join("store");
        killed(&path, events);
        let mut group = criterion.benchmark_group("open-after-a-kill");
        group.sampling_mode(SamplingMode::Flat);
        for (name, at) in [("opened", 0), ("first-append", 1)] {
            let mut last = Vec::new();
            group.bench_function(format!("{events}-events/{name}"), |bencher| {
                bencher.iter_custom(|iterations| {
                    let nanoseconds = (0..iterations).map(|_| {
                        last = killed(&path, 0);
                        last.get(at).copied().unwrap()
                    });
                    Duration::from_nanos(nanoseconds.sum())
                });
            });
            if let [_, _, segments, segments_read, bytes_read, replayed] = last.as_slice() {
                eprintln!("read {segments_read} of {segments} segments, {bytes_read} bytes, {replayed} events");
            }
        }
        group.finish();
    }
    criterion.final_summary();
}
