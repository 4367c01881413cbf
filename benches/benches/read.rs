//! Reads of a million events in 10,000 streams, each stream's scattered over all of them, after the store was opened anew. The
//! floors of the scan are in its group: the least that a checked scan costs, with the map kept and made anew.

#![allow(missing_docs, reason = "a bench has no callers")]

use std::path::Path;
use std::time::Duration;

use bitacora::Sequence;
use bitacora_bench::bitacora_subject::{BitacoraSubject, options};
use bitacora_bench::floor::{FrameFile, read_and_check};
use bitacora_bench::place;
use bitacora_bench::subject::{Durability, Subject};
use bitacora_bench::workload::{PAYLOAD_BYTES, STREAMS, payload, stream_of};
use criterion::{Criterion, SamplingMode, Throughput};

const EVENTS: usize = 1_000_000;
const IN_A_COMMIT: usize = 1_000;

fn fill(folder: &Path) {
    let store = BitacoraSubject::open(folder, options(Durability::Buffered));
    let payload = payload();
    for number in 0..EVENTS / IN_A_COMMIT {
        let streams: Vec<usize> = (number * IN_A_COMMIT..(number + 1) * IN_A_COMMIT).map(stream_of).collect();
        store.append(&streams, &payload);
    }
    Box::new(store).close();
}

fn scan(criterion: &mut Criterion, store: &BitacoraSubject, frames: &Path) {
    const ALL: (u64, u64) = (EVENTS as u64, (EVENTS * PAYLOAD_BYTES) as u64);
    let mut group = criterion.benchmark_group("scan");
    group.sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(EVENTS as u64));
    let map = FrameFile::map(frames);
    group.bench_function("floor", |bencher| bencher.iter(|| assert_eq!(map.scan(), ALL)));
    group.bench_function("floor-map", |bencher| {
        bencher.iter(|| assert_eq!(FrameFile::map(frames).scan(), ALL));
    });
    group.bench_function("floor-read", |bencher| bencher.iter(|| read_and_check(frames)));
    group.bench_function("visit", |bencher| bencher.iter(|| assert_eq!(store.scan(), Some(ALL))));
    group.bench_function("read_all", |bencher| bencher.iter(|| assert_eq!(store.scan_copied(), ALL)));
    group.finish();
}

fn places(criterion: &mut Criterion, store: &BitacoraSubject) {
    let mut number = 0;
    criterion.bench_function("stream-of-100-events", |bencher| {
        bencher.iter(|| {
            number += 1;
            assert_eq!(store.read_stream(number * 3_331 % STREAMS), Some((EVENTS / STREAMS) as u64));
        });
    });
    criterion.bench_function("event-by-sequence", |bencher| {
        bencher.iter(|| {
            number += 1;
            let sequence = Sequence::new((number * 7_919 % EVENTS + 1) as u64);
            assert!(store.store().event(sequence).unwrap().is_some());
        });
    });
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    let folder = place::folder();
    let frames = folder.path().join("frames");
    FrameFile::write(&frames, EVENTS, IN_A_COMMIT);
    fill(folder.path());
    let store = BitacoraSubject::open(folder.path(), options(Durability::Sync));
    scan(&mut criterion, &store, &frames);
    places(&mut criterion, &store);
    criterion.final_summary();
}
