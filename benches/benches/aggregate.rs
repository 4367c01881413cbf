//! A wallet: loaded from its latest snapshot and from its 100 events, and commands carried out on it.
//!
//! Commands are buffered, so that the disk's sync does not hide what they cost. Their floor is the append of the same event to
//! the same stream without any state.

#![allow(missing_docs, reason = "a bench has no callers")]

use std::time::Duration;

use bitacora::aggregate::{ExecuteOptions, Repository, new_events};
use bitacora::money::{Currency, Money};
use bitacora::snapshot::SnapshotPolicy;
use bitacora::wallet::{FundsDeposited, Wallet, WalletCommand, WalletEvent, WalletLimits};
use bitacora::{Durability, ExpectedVersion, Metadata, Options, Store};
use bitacora_bench::place;
use criterion::Criterion;

const WALLETS: usize = 1_000;
const EVENTS: usize = 100;

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    let folder = place::folder();
    let options = Options::new().durability(Durability::Buffered);
    let store = Store::create_new(folder.path().join("store"), options).unwrap();
    let wallets: Repository<Wallet> = Repository::new(store.clone(), SnapshotPolicy::Never);
    let currency = Currency::from_code("EUR").unwrap();
    let users: Vec<String> = (0..WALLETS).map(|number| format!("{number:05}")).collect();
    let execute = |user: &str, command: &WalletCommand| {
        wallets.execute(user, &ExecuteOptions::default(), command).unwrap();
    };
    let open = WalletCommand::Open { currency, overdraft_limit: 0, limits: WalletLimits::default() };
    let deposit = WalletCommand::Deposit { amount: Money { minor: 5, currency } };
    users.iter().for_each(|user| execute(user, &open));
    (1..EVENTS).for_each(|_| users.iter().for_each(|user| execute(user, &deposit)));
    let mut number = 0;
    let mut next = || {
        number += 1;
        users[number * 7 % WALLETS].as_str()
    };
    let mut group = criterion.benchmark_group("wallet");
    group.bench_function("replay-of-100-events", |bencher| {
        bencher.iter(|| assert_eq!(wallets.load_full(next()).unwrap().state.balance(), 495));
    });
    for user in &users {
        wallets.snapshot(user).unwrap();
    }
    group.bench_function("from-its-snapshot", |bencher| {
        bencher.iter(|| assert_eq!(wallets.load(next()).unwrap().state.balance(), 495));
    });
    group.finish();
    let mut group = criterion.benchmark_group("wallet-execute");
    let event = WalletEvent::from(FundsDeposited { amount: Money { minor: 5, currency } });
    let events = new_events(std::slice::from_ref(&event), &Metadata::default()).unwrap();
    let streams: Vec<_> = users.iter().map(|user| Repository::<Wallet>::stream(user).unwrap()).collect();
    let mut turn = 0;
    group.bench_function("execute-a-deposit", |bencher| bencher.iter(|| execute(next(), &deposit)));
    group.bench_function("floor-append-of-its-event", |bencher| {
        bencher.iter(|| {
            turn += 1;
            store.append(&streams[turn * 7 % WALLETS], ExpectedVersion::Any, events.clone()).unwrap();
        });
    });
    group.finish();
    criterion.final_summary();
}
