//! Where the processor's time goes, by `perf record -e cpu-clock`: the functions that most of each case is spent in.
//!
//! A whole child is looked at: opening and closing are in it, and what other threads do. Waiting is not: what is durable waits most
//! of the time.

use std::process::Command;

use crate::table::{Files, Run, chosen, job_of};
use crate::{child, place};

/// Functions of each case.
const SHOWN: usize = 12;

/// Looks and prints.
///
/// # Panics
/// There is no `perf`, or a child fails.
pub fn print(run: &Run) {
    let files = Files::new();
    println!("{}\n", place::machine(files.folder()));
    println!("| case | of the time | function |\n|---|---:|---|");
    for case in chosen(run) {
        let Some(job) = job_of(run, &files, case, "bitacora") else { continue };
        let data = files.folder().join("perf.data");
        let recorder = ["perf", "record", "-q", "-e", "cpu-clock", "-F", "1999", "-o"].map(str::to_owned);
        let recorder: Vec<String> = recorder.into_iter().chain([data.display().to_string(), "--".to_owned()]).collect();
        child::run_under(&recorder, &job).unwrap();
        files.clear();
        let report = Command::new("perf")
            .args(["report", "--stdio", "--no-children", "--sort", "symbol", "-i"])
            .arg(&data)
            .output()
            .expect("perf is needed");
        let report = String::from_utf8_lossy(&report.stdout).into_owned();
        let lines = report.lines().filter_map(|line| line.trim().split_once('%'));
        for (percent, function) in lines.filter(|(percent, _)| percent.parse::<f64>().is_ok()).take(SHOWN) {
            // Padded, and followed by columns that this event does not have.
            let function = function.trim().split("  ").next().unwrap_or_default().replace('|', "/");
            println!("| {} | {percent} % | `{function}` |", case.name);
        }
    }
}
