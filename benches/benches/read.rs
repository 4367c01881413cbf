//! Reads of a million events in 10,000 streams, each stream's scattered over all of them, after the store was opened anew. The
//! floor of the scan is reading the same files and taking the checksum of their bytes.

#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench may stop by panicking")]

mod common;

use std::fs::File;
use std::io::Read;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use bitacora::{Options, Sequence, Store};
use common::{STREAMS, Workload, folder};
use criterion::{Criterion, SamplingMode, Throughput};

const EVENTS: usize = 1_000_000;

fn read_and_check(log: &Path) -> u32 {
    let mut checksum = crc32fast::Hasher::new();
    let mut buffer = vec![0; 256 * 1024];
    for entry in std::fs::read_dir(log).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "seg") {
            let mut file = File::open(path).unwrap();
            loop {
                let read = file.read(&mut buffer).unwrap();
                if read == 0 {
                    break;
                }
                checksum.update(&buffer[..read]);
            }
        }
    }
    checksum.finalize()
}

fn scan(criterion: &mut Criterion, store: &Store, log: &Path) {
    let mut group = criterion.benchmark_group("scan");
    group.sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(EVENTS as u64));
    group.bench_function("floor", |bencher| bencher.iter(|| read_and_check(log)));
    group.bench_function("visit", |bencher| {
        bencher.iter(|| {
            let mut payload_bytes = 0;
            let count = |event: bitacora::EventRef<'_>| {
                payload_bytes += event.payload.len();
                Ok(ControlFlow::Continue(()))
            };
            store.visit(.., count).unwrap();
            assert_eq!(payload_bytes, EVENTS * common::PAYLOAD_BYTES);
        });
    });
    group.bench_function("read_all", |bencher| {
        bencher.iter(|| assert_eq!(store.read_all(..).map(Result::unwrap).count(), EVENTS));
    });
    group.finish();
}

fn places(criterion: &mut Criterion, store: &Store, workload: &Workload) {
    let mut number = 0;
    criterion.bench_function("stream-of-100-events", |bencher| {
        bencher.iter(|| {
            number += 1;
            let events = store.read_stream(workload.stream(0, number), ..).map(Result::unwrap);
            assert_eq!(events.count(), EVENTS / STREAMS);
        });
    });
    criterion.bench_function("event-by-sequence", |bencher| {
        bencher.iter(|| {
            number += 1;
            let sequence = Sequence::new((number * 7_919 % EVENTS + 1) as u64);
            assert!(store.event(sequence).unwrap().is_some());
        });
    });
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    let workload = Workload::new();
    let folder = folder();
    let path = folder.path().join("store");
    let store = Store::create_new(&path, Options::new()).unwrap();
    workload.fill(&store, EVENTS);
    store.close().unwrap();
    let store = Store::open(&path, Options::new()).unwrap();
    scan(&mut criterion, &store, &path.join("log"));
    places(&mut criterion, &store, &workload);
    criterion.final_summary();
}
