//! Appends of 256-byte events to 10,000 streams, each beside its floor in the same group. The floors are those of the table, which
//! measures floor and store in turns; see `cases`.

#![allow(missing_docs, reason = "a bench has no callers")]

use std::time::{Duration, Instant};

use bitacora_bench::bitacora_subject::{BitacoraSubject, options};
use bitacora_bench::cases::Appends;
use bitacora_bench::child::drive;
use bitacora_bench::floor::{FloorSubject, Medium, Syncing};
use bitacora_bench::place;
use bitacora_bench::subject::{Durability, Subject};
use bitacora_bench::workload::frame_bytes;
use criterion::{Criterion, SamplingMode, Throughput};

struct Shape {
    name: &'static str,
    durability: Durability,
    writers: usize,
    events: usize,
}

const fn shape(name: &'static str, durability: Durability, writers: usize, events: usize) -> Shape {
    Shape { name, durability, writers, events }
}

const SHAPES: &[Shape] = &[
    shape("durable-1-writer", Durability::Sync, 1, 1),
    shape("durable-16-writers", Durability::Sync, 16, 1),
    shape("durable-64-writers", Durability::Sync, 64, 1),
    shape("durable-100-events", Durability::Sync, 1, 100),
    shape("durable-1000-events", Durability::Sync, 1, 1_000),
    shape("buffered-1-event", Durability::Buffered, 1, 1),
    shape("buffered-100-events", Durability::Buffered, 1, 100),
];

/// An iteration is one commit of each writer.
fn append(subject: &dyn Subject, shape: &Shape, iterations: u64) -> Duration {
    let appends = Appends {
        durability: shape.durability,
        writers: shape.writers,
        commits: (0, 0),
        events: shape.events,
        is_one_stream: false,
    };
    let commits = usize::try_from(iterations).unwrap();
    Duration::from_secs_f64(drive(subject, &appends, 0, commits, Duration::MAX).seconds)
}

/// On files of its own, made before the time begins: a raw file that is written again and again is no log.
fn floor(shape: &Shape, iterations: u64) -> Duration {
    let folder = place::folder();
    let (medium, syncing) = match shape.durability {
        Durability::Buffered => (Medium::Fallocated, Syncing::None),
        Durability::Sync if shape.events >= 1_000 => (Medium::Fallocated, Syncing::DataSync),
        Durability::Sync => (Medium::ZeroFilled, Syncing::DataSync),
    };
    let bytes = usize::try_from(iterations).unwrap() * shape.writers * frame_bytes(shape.events);
    let floor = FloorSubject::new(folder.path(), medium, syncing, shape.writers > 1, shape.events, bytes);
    append(&floor, shape, iterations)
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    for shape in SHAPES {
        let mut group = criterion.benchmark_group(shape.name);
        let events = (shape.writers * shape.events) as u64;
        group.sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(events));
        group.bench_function("floor", |bencher| bencher.iter_custom(|iterations| floor(shape, iterations)));
        let folder = place::folder();
        let store = BitacoraSubject::open(folder.path(), options(shape.durability));
        group.bench_function("bitacora", |bencher| {
            bencher.iter_custom(|iterations| append(&store, shape, iterations));
        });
        group.finish();
        Box::new(store).close();
    }
    clock(&mut criterion);
    criterion.final_summary();
}

/// What the benches themselves cost a commit: one reading of the clock.
fn clock(criterion: &mut Criterion) {
    let started = Instant::now();
    criterion.bench_function("reading-of-the-clock", |bencher| bencher.iter(|| started.elapsed()));
}
