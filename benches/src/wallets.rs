//! Wallets: one from its snapshot or from its events, and all of them in one go.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use bitacora::aggregate::{Repository, RestoreOptions, new_events};
use bitacora::money::{Currency, Money};
use bitacora::snapshot::SnapshotPolicy;
use bitacora::wallet::{FundsDeposited, Wallet, WalletCommand, WalletEvent, WalletLimits};
use bitacora::{Commit, ExpectedVersion, Metadata, Store, StreamId};

use crate::bitacora_subject::options;
use crate::child::{Job, Report, latencies, timed};
use crate::subject::Durability;

/// How many there are.
pub const WALLETS: usize = 10_000;

const IN_A_COMMIT: usize = 100;

/// A user's id.
#[must_use]
pub fn user_id(number: usize) -> String {
    format!("user-{number:05}")
}

fn each(events: usize) -> usize {
    (events / WALLETS).max(2)
}

fn store(job: &Job) -> Store {
    Store::open(job.folder.join("store"), options(Durability::Buffered)).unwrap()
}

fn repository(store: &Store) -> Repository<Wallet> {
    Repository::new(store.clone(), SnapshotPolicy::Never)
}

/// Makes all wallets, each opened and then paid into, their events scattered over all; and a snapshot of each at its end.
///
/// # Panics
/// The store fails.
pub fn prepare(job: &Job, events: usize) {
    let store = store(job);
    let wallets = repository(&store);
    let currency = Currency::from_code("EUR").unwrap();
    let open = WalletCommand::Open { currency, overdraft_limit: 0, limits: WalletLimits::default() };
    let opened = wallets.decide(&user_id(0), &open).unwrap().events().first().unwrap().clone();
    let deposited = WalletEvent::from(FundsDeposited { amount: Money::new(5, currency) });
    let streams: Vec<StreamId> =
        (0..WALLETS).map(|number| Repository::<Wallet>::stream(&user_id(number)).unwrap()).collect();
    for round in 0..each(events) {
        let event = if round == 0 { &opened } else { &deposited };
        let events = new_events(std::slice::from_ref(event), &Metadata::default()).unwrap();
        for streams in streams.chunks(IN_A_COMMIT) {
            let commit = streams
                .iter()
                .fold(Commit::new(), |commit, stream| commit.append(stream, ExpectedVersion::Any, events.clone()));
            store.commit(commit).unwrap();
        }
    }
    for number in 0..WALLETS {
        wallets.snapshot(&user_id(number)).unwrap();
    }
    store.close().unwrap();
}

/// Loads one wallet after another, each once.
///
/// # Panics
/// The store fails.
#[must_use]
pub fn load_one(job: &Job, events: usize, from_snapshot: bool) -> Report {
    const READS: usize = 4_000;
    let store = store(job);
    let wallets = repository(&store);
    let balance = 5 * (each(events) as i64 - 1);
    let mut nanos = Vec::with_capacity(READS);
    for number in 0..READS + READS / 10 {
        let user_id = user_id(number * 3_331 % WALLETS);
        let started = Instant::now();
        let loaded = if from_snapshot { wallets.load(&user_id) } else { wallets.load_full(&user_id) };
        let took = started.elapsed();
        assert_eq!(loaded.unwrap().state.balance(), balance);
        // The first ones warm up.
        if number >= READS / 10 {
            nanos.push(u32::try_from(took.as_nanos()).unwrap_or(u32::MAX));
        }
    }
    store.close().unwrap();
    let seconds = nanos.iter().map(|nanos| Duration::from_nanos(u64::from(*nanos))).sum::<Duration>().as_secs_f64();
    nanos.sort_unstable();
    Report { events: READS as u64, seconds, ..latencies(&nanos) }
}

/// All wallets from all of their events; of the floor, the scan of the same store.
///
/// # Panics
/// The store fails.
#[must_use]
pub fn load_all(job: &Job, events: usize) -> Option<Report> {
    let store = store(job);
    let events = each(events) * WALLETS;
    let report = if job.subject == "floor" {
        timed(events, || {
            let mut seen = 0;
            let count = |_: bitacora::EventRef<'_>| {
                seen += 1;
                Ok(ControlFlow::Continue(()))
            };
            store.visit(.., count).unwrap();
            assert_eq!(seen, events);
        })
    } else {
        timed(events, || {
            // As a process has it that has just begun.
            let wallets = repository(&store);
            let threads = if job.subject == "bitacora-1-thread" { Some(NonZeroUsize::MIN) } else { None };
            let defaults = RestoreOptions::new(&store);
            let options =
                RestoreOptions { use_snapshots: false, threads: threads.unwrap_or(defaults.threads), ..defaults };
            let mut restored = 0;
            wallets
                .restore_each(wallets.aggregate_ids(), &options, &mut |_, loaded| {
                    assert!(loaded.unwrap().state.is_opened());
                    restored += 1;
                    Ok(())
                })
                .unwrap();
            assert_eq!(restored, WALLETS);
        })
    };
    store.close().unwrap();
    report
}
