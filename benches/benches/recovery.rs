//! How long services take to come back: 1,000,000 events over 10,000 wallets, restored in full, incrementally, one alone, and as of
//! a past time, against the scan of the same log in the same run.
//!
//! A table, since each line is a whole recovery and no inner loop. `cargo bench -p bitacora-bench --bench recovery`; a first argument that is a
//! number is the events, in place of 1,000,000. The last table is where the constants of `src/aggregate/restore.rs` come from.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a bench may stop by panicking, and shows what it measured"
)]

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bitacora::aggregate::{AsOf, Repository, RestoreOptions, RestoreWay, new_events};
use bitacora::money::{Currency, Money};
use bitacora::payment::{FileGateway, GatewayProfile, Orchestrator, OrchestratorOptions};
use bitacora::service::{self, RecoverOptions, RecoveryService, Strategy, Trigger};
use bitacora::snapshot::SnapshotPolicy;
use bitacora::wallet::{FundsDeposited, Wallet, WalletCommand, WalletEvent, WalletLimits};
use bitacora::{Commit, Durability, ExpectedVersion, Metadata, Options, Sequence, Store, StreamId};
use bitacora_bench::place::folder;

const WALLETS: usize = 10_000;
const EVENTS: usize = 1_000_000;
/// Of each wallet's events, those after its snapshot and after the checkpoint.
const EVENTS_SINCE: usize = 5;
const IN_A_COMMIT: usize = 100;
const ROUNDS: usize = 3;

struct Till {
    store: Store,
    wallets: Repository<Wallet>,
    streams: Vec<StreamId>,
    _folder: tempfile::TempDir,
    orchestrator: Orchestrator,
}

fn user_id(number: usize) -> String {
    format!("user-{number:05}")
}

impl Till {
    fn new() -> Self {
        let folder = folder();
        let options = Options::new().durability(Durability::Buffered);
        let store = Store::create_new(folder.path().join("store"), options).unwrap();
        let wallets: Repository<Wallet> = Repository::new(store.clone(), SnapshotPolicy::Never);
        let card = FileGateway::open_with(folder.path().join("gateway"), GatewayProfile::always_approve()).unwrap();
        let options = OrchestratorOptions::default();
        let orchestrator = Orchestrator::new(wallets.clone(), Arc::new(card), options).unwrap();
        let streams = (0..WALLETS).map(|number| Repository::<Wallet>::stream(&user_id(number)).unwrap()).collect();
        Self { store, wallets, streams, _folder: folder, orchestrator }
    }

    fn store(&self) -> &Store {
        &self.store
    }

    /// Appends the same event to every wallet, in commits of many.
    fn append(&self, event: &WalletEvent) {
        let events = new_events(std::slice::from_ref(event), &Metadata::default()).unwrap();
        for streams in self.streams.chunks(IN_A_COMMIT) {
            let mut commit = Commit::new();
            for stream in streams {
                commit = commit.append(stream, ExpectedVersion::Any, events.clone());
            }
            self.store().commit(commit).unwrap();
        }
    }

    fn fill(&self, rounds: usize, currency: Currency) {
        let deposited = WalletEvent::from(FundsDeposited { amount: Money::new(5, currency) });
        (0..rounds).for_each(|_| self.append(&deposited));
    }

    /// What opening a wallet leads to.
    fn opened(&self, currency: Currency) -> WalletEvent {
        let open = WalletCommand::Open { currency, overdraft_limit: 0, limits: WalletLimits::default() };
        self.wallets.decide(&user_id(0), &open).unwrap().events().first().unwrap().clone()
    }

    /// As a new process has it.
    fn recovery(&self) -> RecoveryService {
        let wallets = Repository::new(self.store().clone(), SnapshotPolicy::Never);
        RecoveryService::new(wallets, self.orchestrator.clone())
    }

    fn restore(&self, options: &RestoreOptions<'_>) -> usize {
        let mut restored = 0;
        self.wallets
            .restore_each(self.wallets.aggregate_ids(), options, &mut |_, loaded| {
                assert!(loaded.unwrap().state.is_opened());
                restored += 1;
                Ok(())
            })
            .unwrap();
        restored
    }
}

/// The median of a few rounds.
fn timed(mut work: impl FnMut()) -> Duration {
    let mut took: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let started = Instant::now();
            work();
            started.elapsed()
        })
        .collect();
    took.sort();
    *took.get(ROUNDS / 2).unwrap()
}

fn line(name: &str, took: Duration, events: usize, scan: Duration) {
    let rate = events as f64 / took.as_secs_f64();
    let ratio = took.as_secs_f64() / scan.as_secs_f64();
    println!("| {name} | {:.1} | {rate:.0} | {ratio:.2} |", took.as_secs_f64() * 1_000.0);
}

fn main() {
    let asked = std::env::args().skip(1).find_map(|argument| argument.parse().ok());
    let events: usize = asked.unwrap_or(EVENTS);
    let each = (events / WALLETS).max(2 * EVENTS_SINCE);
    let events = each * WALLETS;
    let currency = Currency::from_code("EUR").unwrap();
    let till = Till::new();
    till.append(&till.opened(currency));
    till.fill(each - EVENTS_SINCE - 1, currency);
    let past = till.store().last_sequence();
    for number in 0..WALLETS {
        till.wallets.snapshot(&user_id(number)).unwrap();
    }
    till.recovery().recover(Trigger::Open, Strategy::Incremental).unwrap();
    till.fill(EVENTS_SINCE, currency);
    till.store().sync().unwrap();
    till.store().housekeep().unwrap();

    println!("{events} events over {WALLETS} wallets, {EVENTS_SINCE} of each since its snapshot and the checkpoint.");
    println!("Medians of {ROUNDS}; a whole recovery from its checkpoint can be made once.\n");
    println!("| what | ms | events a second | times the scan |\n|---|---:|---:|---:|");
    // Before the others, since it moves the checkpoint; and after one scan, so that the page cache is warm for all.
    let scan_once = || {
        let mut seen = 0;
        till.store()
            .visit(.., |_| {
                seen += 1;
                Ok(ControlFlow::Continue(()))
            })
            .unwrap();
        assert!(seen >= events);
    };
    scan_once();
    let started = Instant::now();
    let incremental = till.recovery().recover(Trigger::Open, Strategy::Incremental).unwrap();
    let incremental_took = started.elapsed();
    assert_eq!(incremental.wallets.restored, WALLETS as u64);
    assert_eq!(incremental.wallets.events_replayed, (EVENTS_SINCE * WALLETS) as u64);

    let visit = timed(scan_once);
    let scan = timed(|| assert!(till.store().read_all(..).filter(Result::is_ok).count() >= events));
    line("scan, events looked at where they lie (`visit`)", visit, events, scan);
    line("scan, events copied (`read_all`)", scan, events, scan);
    for threads in [1, 2, 4] {
        let options = RecoverOptions { threads: NonZeroUsize::new(threads), progress: None };
        let took = timed(|| {
            let report = till.recovery().recover_with(Trigger::Open, Strategy::Full, options).unwrap();
            assert_eq!(report.wallets.events_replayed, events as u64);
        });
        line(&format!("recovery in full, {threads} threads"), took, events, scan);
    }
    line("recovery from checkpoint and snapshots", incremental_took, EVENTS_SINCE * WALLETS, scan);
    let took = timed(|| {
        let recovery = till.recovery();
        recovery.recover(Trigger::Open, Strategy::Incremental).unwrap();
    });
    line("recovery with nothing since the checkpoint", took, 0, scan);
    one_wallet(&till, each, scan);
    as_of(&till, past, scan);
    let took = timed(|| assert!(service::check(till.store()).unwrap().is_ok));
    line("check of the whole store, both strategies", took, events, scan);
    costs(&till, events, scan);
}

fn one_wallet(till: &Till, each: usize, scan: Duration) {
    const TIMES: usize = 1_000;
    let mut number = 0;
    let mut next = || {
        number = (number + 7_919) % WALLETS;
        user_id(number)
    };
    let full = timed(|| (0..TIMES).for_each(|_| drop(till.wallets.load_full(&next()).unwrap())));
    line("one wallet in full", full / 1_000, each, scan);
    let took = timed(|| (0..TIMES).for_each(|_| drop(till.wallets.load(&next()).unwrap())));
    line("one wallet from its snapshot", took / 1_000, EVENTS_SINCE, scan);
}

fn as_of(till: &Till, past: Sequence, scan: Duration) {
    let half = Sequence::new(past.get() / 2);
    let time = till.store().event(half).unwrap().unwrap().timestamp;
    let took = timed(|| {
        let shown = service::wallets_as_of(till.store(), AsOf::Time(time), |_| Ok(ControlFlow::Continue(()))).unwrap();
        assert_eq!(shown, WALLETS as u64);
    });
    line("all wallets as of a past time, half of the log", took, usize::try_from(half.get()).unwrap(), scan);
}

/// The constants of the choice between a pass and a read of each.
fn costs(till: &Till, events: usize, scan: Duration) {
    let by = |way, version_max| {
        let options = RestoreOptions {
            use_snapshots: false,
            version_max: bitacora::Version::new(version_max),
            threads: NonZeroUsize::MIN,
            way: Some(way),
            ..RestoreOptions::new(till.store())
        };
        timed(|| assert_eq!(till.restore(&options), WALLETS))
    };
    let (all, one) = (by(RestoreWay::EachByItself, u64::MAX), by(RestoreWay::EachByItself, 1));
    let pass = by(RestoreWay::OnePass, u64::MAX);
    let nanos = |took: Duration, count: usize| took.as_nanos() as f64 / count as f64;
    let walked = nanos(scan, events);
    let applied = nanos(pass.saturating_sub(scan), events);
    let event = nanos(all.saturating_sub(one), events - WALLETS) - applied;
    let aggregate = nanos(one, WALLETS) - event - applied;
    println!("\n| all wallets, one thread | ms |\n|---|---:|");
    println!("| each by itself | {:.1} |\n| in one pass | {:.1} |", all.as_secs_f64() * 1e3, pass.as_secs_f64() * 1e3);
    println!("\n| constant of the choice | nanoseconds |\n|---|---:|");
    println!(
        "| `AGGREGATE_NANOS` | {aggregate:.0} |\n| `EVENT_NANOS` | {event:.0} |\n| `WALKED_NANOS` | {walked:.0} |"
    );
    println!("| `APPLIED_NANOS` | {applied:.0} |");
}
