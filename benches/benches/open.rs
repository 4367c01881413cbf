//! From opening a store whose process was killed to its first durable append, with the active segment nearly full and nothing of
//! it in the index. Beside the times it prints what the recovery report says was read. The floor checks a raw file of as many
//! events, and appends.
//!
//! A child process opens and measures, each time a copy of what the kill left, in the page cache.

#![allow(missing_docs, reason = "a bench has no callers")]

use std::time::Duration;

use bitacora_bench::cases::{Prepared, Scale};
use bitacora_bench::child::{self, Job, Task};
use bitacora_bench::{opening, place};
use criterion::{Criterion, SamplingMode};

const EVENTS: usize = 1_000_000;
/// The case of the table that is measured here.
const CASE: &str = "open-1m";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, job] = arguments.as_slice()
        && word == "child"
    {
        let job: Job = serde_json::from_str(job).unwrap();
        println!("{}", serde_json::to_string(&child::work(&job)).unwrap());
        return;
    }
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(1))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    let mut group = criterion.benchmark_group("open-after-a-kill");
    group.sampling_mode(SamplingMode::Flat);
    for subject in ["floor", "bitacora"] {
        let folder = place::folder();
        let (left, turn) = (folder.path().join("left"), folder.path().join("turn"));
        std::fs::create_dir_all(&left).unwrap();
        let job = |task, folder: &std::path::Path| Job {
            task,
            subject: subject.to_owned(),
            folder: folder.to_owned(),
            scale: Scale::Short,
        };
        child::run(&job(Task::Prepare(Prepared::Killed(EVENTS)), &left)).unwrap();
        let once = || {
            opening::copy_store(&left, &turn).unwrap();
            place::settle(folder.path());
            let report = child::run(&job(Task::Case(CASE.to_owned()), &turn)).unwrap().unwrap();
            std::fs::remove_dir_all(&turn).unwrap();
            report.seconds
        };
        group.bench_function(format!("{EVENTS}-events/{subject}"), |bencher| {
            bencher.iter_custom(|iterations| Duration::from_secs_f64((0..iterations).map(|_| once()).sum()));
        });
    }
    group.finish();
    criterion.final_summary();
}
