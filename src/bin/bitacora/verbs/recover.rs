//! `bitacora recover`: bring wallets and payments back to ready, or only compare both ways to.

use std::sync::{Arc, Mutex, PoisonError};

use bitacora::Store;
use bitacora::aggregate::Repository;
use bitacora::payment::{Orchestrator, OrchestratorOptions};
use bitacora::service::{
    self, CheckProgress, CheckReport, Finding, RecoverOptions, RecoveryProgress, RecoveryService, ServiceReport,
    Strategy, Trigger,
};
use bitacora::snapshot::SnapshotPolicy;
use bitacora::wallet::Wallet;
use serde::Serialize;

use super::money::Unreachable;
use super::store_report::StoreReport;
use crate::args::RecoverArgs;
use crate::exit::{FINE, Failure, NO, Outcome};
use crate::interrupt::Interrupt;
use crate::output::Output;
use crate::progress::{Progress, Unit};
use crate::render::word;

#[derive(Serialize)]
struct Document<'a> {
    ok: bool,
    store: &'a StoreReport<'a>,
    services: &'a ServiceReport,
}

#[derive(Serialize)]
struct CheckDocument<'a> {
    ok: bool,
    last_event_sequence: u64,
    wallets: u64,
    wallets_from_snapshot: u64,
    payments: u64,
    payments_open: u64,
    events_replayed: u64,
    findings: &'a [Finding],
    elapsed_ms: u64,
    wallets_per_second: u64,
    payments_per_second: u64,
    /// Of the log's events, each looked at once.
    events_per_second: u64,
}

pub(crate) fn run(args: &RecoverArgs, output: &mut Output) -> Outcome {
    if args.check {
        let report = checked(&super::open_to_read(&args.dir)?)?;
        print_check(&report, output)?;
        return Ok(if report.is_ok { FINE } else { NO });
    }
    let strategy = if args.full { Strategy::Full } else { Strategy::Incremental };
    // A recovery puts what is there in order; it begins nothing, a store the least.
    drop(super::open_to_read(&args.dir)?);
    let store = Store::open(&args.dir, args.preset.options()).map_err(|error| Failure::opening(&error))?;
    let wallets = Repository::<Wallet>::new(store.clone(), SnapshotPolicy::default());
    let orchestrator = Orchestrator::new(wallets.clone(), Arc::new(Unreachable), OrchestratorOptions::default())?;
    let recovery = RecoveryService::new(wallets, orchestrator);
    let report = match &args.service {
        Some(service_id) => recovery.recover_service(service_id, strategy)?,
        None => {
            let progress = Mutex::new(Progress::new("recover", Unit::Count));
            let tell = |now: &RecoveryProgress| {
                let mut progress = progress.lock().unwrap_or_else(PoisonError::into_inner);
                progress.tell(&word(&now.phase), now.done, now.total);
            };
            let options = RecoverOptions { progress: Some(&tell), ..RecoverOptions::default() };
            recovery.recover_with(Trigger::Open, strategy, options)?
        }
    };
    let ok = report.is_ready && report.findings.is_empty();
    let store_report = StoreReport::new(store.recovery_report());
    if output.is_json() {
        output.json(&Document { ok, store: &store_report, services: &report })?;
    } else {
        print(ok, &store_report, &report, output)?;
    }
    store.close()?;
    Ok(if ok { FINE } else { NO })
}

/// Compares both ways to restore, and says how far that is.
fn checked(store: &Store) -> Result<CheckReport, Failure> {
    let interrupt = Interrupt::catch()?;
    let progress = Mutex::new(Progress::new("recover", Unit::Count));
    let report = service::check_with(store, &|now: CheckProgress| {
        let mut progress = progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.tell("comparing, events", now.done_events, now.total_events);
        interrupt.flow()
    })?;
    Ok(report)
}

fn print(ok: bool, store: &StoreReport<'_>, report: &ServiceReport, output: &mut Output) -> Result<(), Failure> {
    output.facts(&[
        ("ok", ok.to_string()),
        ("ready", report.is_ready.to_string()),
        ("recovery_id", report.recovery_id.clone()),
        ("strategy", word(&report.strategy)),
        ("store", store.line()),
        ("wallets", report.wallets.restored.to_string()),
        ("from_snapshot", report.wallets.from_snapshot.to_string()),
        ("events_replayed", report.wallets.events_replayed.to_string()),
        ("last_event_sequence", report.last_event_sequence.to_string()),
        ("elapsed_ms", report.elapsed_ms.to_string()),
    ])?;
    let phases = report.phases.iter().map(|phase| {
        let elapsed_ms = phase.elapsed_ms.to_string();
        Ok(vec![word(&phase.phase), phase.count.to_string(), elapsed_ms])
    });
    output.rows(&["phase", "count", "ms"], phases)?;
    if !report.sagas.is_empty() {
        let sagas = report.sagas.iter().map(|saga| Ok(vec![saga.saga_id.clone(), word(&saga.decision)]));
        output.rows(&["payment", "decision"], sagas)?;
    }
    print_findings(&report.findings, output)
}

fn print_check(report: &CheckReport, output: &mut Output) -> Result<(), Failure> {
    let document = CheckDocument {
        ok: report.is_ok,
        last_event_sequence: report.last_event_sequence.get(),
        wallets: report.wallets,
        wallets_from_snapshot: report.wallets_from_snapshot,
        payments: report.payments,
        payments_open: report.payments_open,
        events_replayed: report.events_replayed,
        findings: &report.findings,
        elapsed_ms: report.elapsed_ms,
        wallets_per_second: report.wallets_per_second,
        payments_per_second: report.payments_per_second,
        events_per_second: report.events_per_second,
    };
    if output.is_json() {
        return output.json(&document);
    }
    output.facts(&[
        ("ok", document.ok.to_string()),
        ("last_event_sequence", document.last_event_sequence.to_string()),
        ("wallets", document.wallets.to_string()),
        ("wallets_from_snapshot", document.wallets_from_snapshot.to_string()),
        ("payments", document.payments.to_string()),
        ("payments_open", document.payments_open.to_string()),
        ("events_replayed", document.events_replayed.to_string()),
        ("findings", document.findings.len().to_string()),
        ("elapsed_ms", document.elapsed_ms.to_string()),
        ("wallets_per_second", document.wallets_per_second.to_string()),
        ("payments_per_second", document.payments_per_second.to_string()),
        ("events_per_second", document.events_per_second.to_string()),
    ])?;
    print_findings(document.findings, output)
}

fn print_findings(findings: &[Finding], output: &mut Output) -> Result<(), Failure> {
    if findings.is_empty() {
        return Ok(());
    }
    let rows = findings.iter().map(|finding| {
        let quarantined = finding.is_quarantined.to_string();
        Ok(vec![finding.stream.clone(), word(&finding.kind), quarantined, finding.detail.clone()])
    });
    output.rows(&["stream", "kind", "quarantined", "detail"], rows)
}
