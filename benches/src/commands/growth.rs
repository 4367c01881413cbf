//! How the cost grows: appends, reads of a stream, opening and memory, with more events and with more streams.
//!
//! Each line is a store of its own, filled durably in commits of 100 by a process that ends without closing; another process
//! opens it, appends, and ends likewise; a third reads streams. The memory is the peak of the process that fills, without the maps of
//! the log; what the bench itself holds is in it, which with a million streams is their names.

use std::path::Path;

use crate::cases::Scale;
use crate::child::{self, Job, Report, Task};
use crate::parts::Part;
use crate::place;

/// Events and streams of each line.
const LINES: &[(usize, usize)] =
    &[(100_000, 10_000), (1_000_000, 10_000), (10_000_000, 10_000), (1_000_000, 100), (1_000_000, 1_000_000)];

/// Measures and prints.
///
/// # Panics
/// A child fails.
pub fn print(scale: Scale) {
    let head = place::folder();
    println!("{}\n", place::machine(head.path()));
    println!(
        "| events | streams | durable appends, 100 a commit, k/s | p99 ms | CPU us/event | peak memory MiB | index B/event | \
         open to first append, ms | memory of that, MiB | one stream, p50 us | events in it | us/event |"
    );
    println!("|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    for (events, streams) in LINES.iter().copied() {
        let events = if scale == Scale::Tiny { events / 50 } else { events };
        if scale != Scale::Full && events > 1_000_000 {
            continue;
        }
        let folder = place::folder();
        let filled = run(folder.path(), Part::Fill { events, streams });
        place::settle(folder.path());
        let opened = run(folder.path(), Part::Open);
        let reads = (1_000_000 * streams / events).clamp(20, 4_000);
        let read = run(folder.path(), Part::Streams { reads, streams });
        let mebibytes = |bytes: u64| bytes as f64 / f64::from(1024 * 1024);
        let each = read.events as f64 / reads as f64;
        println!(
            "| {events} | {streams} | {:.0} | {:.2} | {:.2} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} | {each:.0} | {:.2} |",
            filled.events as f64 / filled.seconds / 1e3,
            filled.p99_micros / 1e3,
            filled.cpu_micros as f64 / filled.events as f64,
            mebibytes(filled.peak_anonymous_bytes),
            filled.index_bytes as f64 / filled.events as f64,
            opened.seconds * 1e3,
            mebibytes(opened.peak_anonymous_bytes),
            read.p50_micros,
            read.p50_micros / each.max(1.0),
        );
    }
}

fn run(folder: &Path, part: Part) -> Report {
    let job =
        Job { task: Task::Part(part), subject: "bitacora".to_owned(), folder: folder.to_owned(), scale: Scale::Full };
    child::run(&job).unwrap().unwrap()
}
