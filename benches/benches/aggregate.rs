//! Loading a wallet: from its latest snapshot, and from its 100 events.

#![allow(missing_docs, clippy::unwrap_used, reason = "a bench may stop by panicking")]

mod common;

use std::time::Duration;

use bitacora::aggregate::{ExecuteOptions, Repository};
use bitacora::money::{Currency, Money};
use bitacora::snapshot::SnapshotPolicy;
use bitacora::wallet::{Wallet, WalletCommand, WalletLimits};
use bitacora::{Durability, Options};
use common::BenchStore;
use criterion::Criterion;

const WALLETS: usize = 1_000;
const EVENTS: usize = 100;

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    let bench = BenchStore::new(Options::new().durability(Durability::Buffered));
    let wallets: Repository<Wallet> = Repository::new(bench.store.clone(), SnapshotPolicy::Never);
    let currency = Currency::from_code("EUR").unwrap();
    let users: Vec<String> = (0..WALLETS).map(|number| format!("{number:05}")).collect();
    let execute = |command: &WalletCommand| {
        for user in &users {
            wallets.execute(user, &ExecuteOptions::default(), command).unwrap();
        }
    };
    execute(&WalletCommand::Open { currency, overdraft_limit: 0, limits: WalletLimits::default() });
    for _ in 1..EVENTS {
        execute(&WalletCommand::Deposit { amount: Money { minor: 5, currency } });
    }
    let mut number = 0;
    let mut next = || {
        number += 1;
        users.get(number * 7 % WALLETS).map_or("", String::as_str)
    };
    let mut group = criterion.benchmark_group("wallet");
    group.bench_function("from-100-events", |bencher| {
        bencher.iter(|| assert_eq!(wallets.load_full(next()).unwrap().state.balance(), 495));
    });
    for user in &users {
        wallets.snapshot(user).unwrap();
    }
    group.bench_function("from-its-snapshot", |bencher| {
        bencher.iter(|| assert_eq!(wallets.load(next()).unwrap().state.balance(), 495));
    });
    group.finish();
    criterion.final_summary();
}
