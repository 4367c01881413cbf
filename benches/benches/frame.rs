//! A commit's frame, encoded and checked, without any I/O. The floors are what no checksummed format can do without: copying the
//! payloads, and one checksum of all bytes.

#![allow(missing_docs, reason = "a bench has no callers")]

use std::hint::black_box;

use bitacora::NewEvent;
use bitacora::internals::{check_frame, encode_frame};
use bitacora_bench::workload::{empty_event, frame_bytes, payload, stream_id};
use criterion::{Criterion, Throughput};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let stream = stream_id(0);
    for count in [1usize, 100] {
        let events: Vec<NewEvent> = (0..count).map(|_| NewEvent { payload: payload(), ..empty_event() }).collect();
        let mut bytes = Vec::new();
        encode_frame(&stream, &events, &mut |frame| bytes = frame.to_vec());
        assert_eq!(bytes.len(), frame_bytes(count), "the floors of the benches are of the format's size");
        let mut group = criterion.benchmark_group(format!("frame-{count}"));
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function("floor-copy-and-checksum", |bencher| {
            bencher.iter(|| {
                let mut copy = Vec::with_capacity(bytes.len());
                events.iter().for_each(|event| copy.extend_from_slice(black_box(&event.payload)));
                crc32fast::hash(&copy)
            });
        });
        group.bench_function("encode", |bencher| {
            bencher.iter(|| {
                encode_frame(&stream, black_box(&events), &mut |frame| {
                    black_box(frame);
                })
            });
        });
        group.bench_function("floor-checksum", |bencher| bencher.iter(|| crc32fast::hash(black_box(&bytes))));
        group.bench_function("check", |bencher| bencher.iter(|| check_frame(black_box(&bytes)).unwrap()));
        group.finish();
    }
    criterion.final_summary();
}
