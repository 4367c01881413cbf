//! The payload codec on an event of a wallet. The floor is copying as many bytes to memory of their own.

#![allow(missing_docs, reason = "a bench has no callers")]

use std::hint::black_box;

use bitacora::codec;
use bitacora::money::{Currency, Money};
use bitacora::wallet::FundsDeposited;
use criterion::{Criterion, Throughput};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let currency = Currency::from_code("EUR").unwrap();
    let event = FundsDeposited { amount: Money { minor: 123_456, currency } };
    let bytes = codec::encode(&event).unwrap();
    let mut group = criterion.benchmark_group("codec");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("floor", |bencher| bencher.iter(|| black_box(&bytes).clone()));
    group.bench_function("encode", |bencher| bencher.iter(|| codec::encode(black_box(&event)).unwrap()));
    group.bench_function("decode", |bencher| {
        bencher.iter(|| codec::decode::<FundsDeposited>(black_box(&bytes)).unwrap());
    });
    group.finish();
    criterion.final_summary();
}
