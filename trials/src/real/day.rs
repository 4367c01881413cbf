//! A child that works: writers of plain events, and payers with wallets and a card gateway.
//!
//! What it says, a line each: `open SEQUENCE`, `commit WRITER NUMBER FIRST LAST`, `deposit PAYER NUMBER SEQUENCE`,
//! `payment PAYER NUMBER KIND SEQUENCE`, `failed WHAT`, `closed`. A line is said after the acknowledgement it is of. It ends when its
//! standard input does.

use std::collections::VecDeque;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bitacora::aggregate::{ExecuteOptions, Repository};
use bitacora::disk::sim::Random;
use bitacora::payment::{FileGateway, Orchestrator};
use bitacora::service::{RecoveryService, SagaDecision, Strategy, Trigger};
use bitacora::wallet::{Wallet, WalletCommand, WalletLimits};
use bitacora::{Checkpoint, Result, Sequence, Store, StreamId, Version};

use super::STORE_FAILED;
use super::plan::{Against, Deed, PAYERS, Plan, USERS, WRITERS, deed_id, euro};

/// Where each thread goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct From {
    /// The next commit of each writer.
    pub commits: [u64; WRITERS],
    /// The next deed of each payer.
    pub deeds: [u64; PAYERS],
}

/// The words that start such a child.
#[must_use]
pub fn words(folder: &Path, plan: Plan, from: &From) -> Vec<String> {
    let head = ["day".to_owned(), folder.display().to_string(), plan.seed.to_string(), plan.against.word().to_owned()];
    let from = from.commits.iter().chain(&from.deeds).map(u64::to_string);
    head.into_iter().chain(from).collect()
}

/// The store's folder.
#[must_use]
pub fn store_in(folder: &Path) -> PathBuf {
    folder.join("store")
}

/// Whether the store has a log, so that it can be opened to read.
#[must_use]
pub fn has_log(folder: &Path) -> bool {
    let entries = std::fs::read_dir(store_in(folder).join("log"));
    let mut names = entries.into_iter().flatten().filter_map(std::result::Result::ok).map(|entry| entry.file_name());
    names.any(|name| Path::new(&name).extension().is_some_and(|extension| extension == "seg"))
}

/// The gateway's folder.
#[must_use]
pub fn gateway_in(folder: &Path) -> PathBuf {
    folder.join("gateway")
}

/// One line in one write, so that a kill leaves whole lines and at most one torn one.
pub(super) fn say(line: &str) {
    let text = format!("{line}\n");
    // Nobody listens any more: the parent is gone, and this process soon is.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    let _ = std::io::stdout().lock().flush();
}

/// Runs such a child.
///
/// # Errors
/// The words are not those of one.
pub(super) fn child(words: &[String]) -> std::result::Result<ExitCode, String> {
    let [folder, seed, against, from @ ..] = words else { return Err("day FOLDER SEED AGAINST FROM ...".to_owned()) };
    let number = |word: &String| word.parse::<u64>().map_err(|_| format!("{word} is no number"));
    let plan = Plan { seed: number(seed)?, against: Against::parse(against)? };
    let from = from.iter().map(number).collect::<std::result::Result<Vec<_>, _>>()?;
    let (commits, deeds) = from.split_at_checked(WRITERS).ok_or("too few numbers")?;
    let from = From {
        commits: commits.try_into().map_err(|_| "too few numbers")?,
        deeds: deeds.try_into().map_err(|_| "not as many numbers as threads")?,
    };
    Ok(match live(Path::new(folder), plan, &from) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("failed {:?} {error}", error.kind()));
            ExitCode::from(STORE_FAILED)
        }
    })
}

fn live(folder: &Path, plan: Plan, from: &From) -> Result<()> {
    let store = Store::open(store_in(folder), plan.options())?;
    say(&format!("open {}", store.last_sequence()));
    let wallets = plan.wallets(&store);
    let gateway = Arc::new(FileGateway::open_with(gateway_in(folder), plan.gateway())?);
    let payments = Orchestrator::new(wallets.clone(), gateway, plan.payments())?;
    let recovery = recover(&wallets, &payments)?;
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| -> Result<()> {
        for (writer, first) in from.commits.into_iter().enumerate() {
            let (store, stop) = (&store, &stop);
            scope.spawn(move || tell_failure(write(store, plan, writer, first, stop)));
        }
        for (payer, first) in from.deeds.into_iter().enumerate() {
            let (wallets, payments, stop) = (&wallets, &payments, &stop);
            scope.spawn(move || tell_failure(pay(wallets, payments, plan, payer, first, stop)));
        }
        scope.spawn(|| tell_failure(keep(&store, &recovery, &stop)));
        if plan.against == Against::Hours {
            scope.spawn(|| tell_failure(look(&store, plan.seed, &stop)));
        }
        // Until the parent closes its end, or dies.
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        stop.store(true, Ordering::SeqCst);
        Ok(())
    })?;
    store.close()?;
    say("closed");
    Ok(())
}

fn tell_failure(outcome: Result<()>) {
    if let Err(error) = outcome {
        say(&format!("failed {:?} {error}", error.kind()));
    }
}

/// Recovers wallets and payments and carries on what was not over.
///
/// # Errors
/// The store's.
///
/// # Panics
/// Where the recovery finds something wrong, or a payment is neither resumed nor undone.
pub fn recover(wallets: &Repository<Wallet>, payments: &Orchestrator) -> Result<RecoveryService> {
    let recovery = RecoveryService::new(wallets.clone(), payments.clone());
    let report = recovery.recover(Trigger::Open, Strategy::Incremental)?;
    assert!(report.findings.is_empty() && report.is_ready, "a recovery found {:?}", report.findings);
    for saga in &report.sagas {
        let is_legal = !matches!(saga.decision, SagaDecision::Parked | SagaDecision::HeldBack);
        assert!(is_legal, "a recovery left {saga:?}");
        payments.drive(&saga.saga_id)?;
    }
    Ok(recovery)
}

fn write(store: &Store, plan: Plan, writer: usize, first: u64, stop: &AtomicBool) -> Result<()> {
    let mut tickets = VecDeque::new();
    for number in first.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        tickets.push_back((number, store.submit(plan.commit(writer, number))?));
        if tickets.len() as u64 >= plan.in_flight(writer) {
            acknowledge(writer, tickets.pop_front())?;
        }
    }
    while !tickets.is_empty() {
        acknowledge(writer, tickets.pop_front())?;
    }
    Ok(())
}

fn acknowledge(writer: usize, ticket: Option<(u64, bitacora::Ticket)>) -> Result<()> {
    let Some((number, ticket)) = ticket else { return Ok(()) };
    let receipt = ticket.wait()?;
    say(&format!("commit {writer} {number} {} {}", receipt.sequence_first, receipt.sequence_last));
    Ok(())
}

fn pay(
    wallets: &Repository<Wallet>,
    payments: &Orchestrator,
    plan: Plan,
    payer: usize,
    first: u64,
    stop: &AtomicBool,
) -> Result<()> {
    if payer == 0 {
        for user in 0..USERS {
            let open = WalletCommand::Open { currency: euro(), overdraft_limit: 0, limits: WalletLimits::default() };
            let once = ExecuteOptions { command_id: Some("open"), ..ExecuteOptions::default() };
            wallets.execute(&format!("user-{user}"), &once, &open)?;
        }
    }
    for number in first.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        match plan.deed(payer, number) {
            Deed::Deposit { user, amount } => {
                let id = deed_id(payer, number);
                let options = ExecuteOptions { command_id: Some(&id), ..ExecuteOptions::default() };
                match wallets.execute(&user, &options, &WalletCommand::Deposit { amount }) {
                    Ok(done) => {
                        let receipt = done.receipt.expect("a deposit is an event");
                        say(&format!("deposit {payer} {number} {}", receipt.sequence_last));
                    }
                    // The wallet is not open yet; the other payer opens it.
                    Err(bitacora::aggregate::ExecuteError::Refused(_)) => {}
                    Err(bitacora::aggregate::ExecuteError::Store(error)) => return Err(error),
                }
            }
            Deed::Pay(request) => {
                let outcome = payments.run(request)?;
                say(&format!("payment {payer} {number} {} {}", outcome.kind.as_str(), outcome.sequence));
            }
        }
    }
    Ok(())
}

/// Reads here and there, old events as well as new ones.
fn look(store: &Store, seed: u64, stop: &AtomicBool) -> Result<()> {
    const EVENTS: usize = 50;
    let mut random = Random::new(seed);
    while !stop.load(Ordering::SeqCst) {
        let from = 1 + random.below(store.last_sequence().get().max(1));
        for event in store.read_all(Sequence::new(from)..).take(EVENTS) {
            let _ = event?;
        }
        let name = format!("writer-{}-{}", random.index(WRITERS), random.below(5));
        let name = StreamId::new(&name).expect("a stream's name");
        let Some(head) = store.stream_head(&name)? else { continue };
        let from = Version::new(1 + random.below(head.version.get()));
        for event in store.read_stream(&name, from..).take(EVENTS) {
            let _ = event?;
        }
        std::thread::park_timeout(std::time::Duration::from_millis(1));
    }
    Ok(())
}

/// Moves recovery points and a consumer's checkpoint on, as often as it can.
fn keep(store: &Store, recovery: &RecoveryService, stop: &AtomicBool) -> Result<()> {
    while !stop.load(Ordering::SeqCst) {
        let sequence = recovery.checkpoint()?;
        store.set_checkpoint("consumer", &Checkpoint { sequence, data: sequence.get().to_le_bytes().to_vec() })?;
        std::thread::park_timeout(std::time::Duration::from_millis(10));
    }
    Ok(())
}
