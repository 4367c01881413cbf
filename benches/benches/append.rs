//! Appends of 256-byte events to 10,000 streams, each beside its floor. The ratios of the two are in the bench `ratio`, which
//! measures them in turns.

#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench may stop by panicking")]

mod common;

use std::time::Duration;

use bitacora::{Durability, Options};
use common::{BenchStore, GroupedFile, RawFile, Workload};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, SamplingMode, Throughput};

fn count(iterations: u64) -> usize {
    usize::try_from(iterations).unwrap()
}

fn group<'a>(criterion: &'a mut Criterion, name: &str, events: u64) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(events));
    group
}

/// One writer: an iteration is one commit.
fn alone(criterion: &mut Criterion, workload: &Workload, name: &str, durability: Durability, events: usize) {
    let mut group = group(criterion, name, events as u64);
    let mut floor = RawFile::new();
    let bytes = workload.frame_bytes(events);
    let is_synced = durability == Durability::Sync;
    group.bench_function("floor", |bencher| {
        bencher.iter_custom(|iterations| floor.append(count(iterations), bytes, is_synced));
    });
    let store = BenchStore::new(Options::new().durability(durability));
    group.bench_function("bitacora", |bencher| {
        bencher.iter_custom(|iterations| store.append(workload, 1, count(iterations), events));
    });
    group.finish();
}

/// Many writers: an iteration is one commit of each.
fn grouped(criterion: &mut Criterion, workload: &Workload, name: &str, writers: usize) {
    let mut group = group(criterion, name, writers as u64);
    let floor = GroupedFile::new();
    let bytes = workload.frame_bytes(1);
    group.bench_function("floor", |bencher| {
        bencher.iter_custom(|iterations| floor.append(writers, count(iterations), bytes));
    });
    let store = BenchStore::new(Options::new());
    group.bench_function("bitacora", |bencher| {
        bencher.iter_custom(|iterations| store.append(workload, writers, count(iterations), 1));
    });
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    let workload = Workload::new();
    alone(&mut criterion, &workload, "durable-1-writer", Durability::Sync, 1);
    grouped(&mut criterion, &workload, "durable-16-writers", 16);
    grouped(&mut criterion, &workload, "durable-64-writers", 64);
    alone(&mut criterion, &workload, "durable-100-events", Durability::Sync, 100);
    alone(&mut criterion, &workload, "buffered-1-event", Durability::Buffered, 1);
    criterion.final_summary();
}
