//! `bitacora health`: what a recovery would find, without carrying it out.
//!
//! As a recovery it looks at what has changed since the services' recovery points and at what is pending there, not at the
//! history; and it looks from outside, beside a writer, so it says nothing of what only the writer's process knows.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use bitacora::aggregate::Repository;
use bitacora::payment::{Orchestrator, OrchestratorOptions};
use bitacora::service::{
    Finding, PAYMENTS_SERVICE, PaymentService, PaymentSummary, RecoveryPoint, Service, WALLETS_SERVICE, WalletService,
};
use bitacora::snapshot::SnapshotPolicy;
use bitacora::wallet::Wallet;
use bitacora::{DiskLevel, DiskSpace, Store, Timestamp};
use serde::Serialize;

use super::disk_space;
use super::money::Unreachable;
use crate::args::HealthArgs;
use crate::exit::{FINE, Failure, NO, Outcome};
use crate::output::Output;
use crate::render::word;

#[derive(Serialize)]
struct Document {
    is_well: bool,
    last_sequence: u64,
    services: Vec<ServiceLine>,
    payments: PaymentsCount,
    findings: Vec<Finding>,
    disk: DiskSpace,
}

#[derive(Serialize)]
struct ServiceLine {
    service_id: &'static str,
    /// Its recovery point.
    last_event_sequence: u64,
    last_snapshot_id: String,
    events_behind: u64,
    /// What it must look at again: payments that were not over, wallets that were quarantined.
    pending: BTreeSet<String>,
}

#[derive(Default, Serialize)]
struct PaymentsCount {
    open: u64,
    in_doubt: u64,
    overdue: u64,
    parked: u64,
}

pub(crate) fn run(args: &HealthArgs, output: &mut Output) -> Outcome {
    let store = super::open_to_read(&args.dir)?;
    let wallets_point = RecoveryPoint::load(&store, WALLETS_SERVICE)?;
    let payments_point = RecoveryPoint::load(&store, PAYMENTS_SERVICE)?;
    let last_sequence = store.last_sequence();
    let wallets = Repository::<Wallet>::new(store.clone(), SnapshotPolicy::Never);
    let orchestrator = Orchestrator::new(wallets.clone(), Arc::new(Unreachable), OrchestratorOptions::default())?;
    let (user_ids, payment_ids) = changed(&store, &wallets_point, &payments_point)?;
    let mut findings = WalletService::new(wallets).validate(&user_ids)?;
    findings.extend(PaymentService::new(orchestrator.clone()).validate(&payment_ids)?);
    let is_bad = |payment_id: &str| findings.iter().any(|finding| finding.stream == format!("payment-{payment_id}"));
    let payments = count(&orchestrator, &payments_point, store.now(), is_bad)?;
    findings.sort_by(|one, other| one.stream.cmp(&other.stream));
    let service = |service_id, point: RecoveryPoint| ServiceLine {
        service_id,
        last_event_sequence: point.last_event_sequence.get(),
        last_snapshot_id: point.last_snapshot_id,
        events_behind: last_sequence.get().saturating_sub(point.last_event_sequence.get()),
        pending: point.pending,
    };
    let disk = store.disk_space()?;
    disk_space::warn(&disk);
    let document = Document {
        is_well: findings.is_empty() && payments.parked == 0 && disk.level < DiskLevel::Critical,
        last_sequence: last_sequence.get(),
        services: vec![service(WALLETS_SERVICE, wallets_point), service(PAYMENTS_SERVICE, payments_point)],
        payments,
        findings,
        disk,
    };
    print(&document, output)?;
    Ok(if document.is_well { FINE } else { NO })
}

/// The wallets and the payments that a recovery would look at: what is pending, and what has changed since.
fn changed(
    store: &Store,
    wallets_point: &RecoveryPoint,
    payments_point: &RecoveryPoint,
) -> Result<(BTreeSet<String>, BTreeSet<String>), Failure> {
    let (mut user_ids, mut payment_ids) = (wallets_point.pending.clone(), payments_point.pending.clone());
    let from = wallets_point.last_event_sequence.min(payments_point.last_event_sequence);
    store.visit(from.next().., |event| {
        if let Some(user_id) = event.stream.strip_prefix("wallet-") {
            insert(&mut user_ids, user_id);
        } else if let Some(payment_id) = event.stream.strip_prefix("payment-") {
            insert(&mut payment_ids, payment_id);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok((user_ids, payment_ids))
}

fn insert(ids: &mut BTreeSet<String>, id: &str) {
    if !ids.contains(id) {
        ids.insert(id.to_owned());
    }
}

/// Counts the payments that are not over, and can be read.
fn count(
    orchestrator: &Orchestrator,
    point: &RecoveryPoint,
    now: Timestamp,
    is_bad: impl Fn(&str) -> bool,
) -> Result<PaymentsCount, Failure> {
    let mut count = PaymentsCount::default();
    for payment_id in orchestrator.incomplete(point.last_event_sequence, &point.pending)? {
        if is_bad(&payment_id) {
            continue;
        }
        let Some(saga) = orchestrator.load(&payment_id)? else { continue };
        let payment = PaymentSummary::of(&saga, now);
        count.open += 1;
        count.in_doubt += u64::from(payment.in_doubt.is_some());
        count.overdue += u64::from(payment.is_overdue);
        count.parked += u64::from(payment.parked.is_some());
    }
    Ok(count)
}

fn print(document: &Document, output: &mut Output) -> Result<(), Failure> {
    if output.is_json() {
        return output.json(document);
    }
    let mut facts = vec![
        ("is_well", document.is_well.to_string()),
        ("last_sequence", document.last_sequence.to_string()),
        ("payments_open", document.payments.open.to_string()),
        ("payments_in_doubt", document.payments.in_doubt.to_string()),
        ("payments_overdue", document.payments.overdue.to_string()),
        ("payments_parked", document.payments.parked.to_string()),
        ("findings", document.findings.len().to_string()),
    ];
    facts.extend(disk_space::facts(&document.disk));
    output.facts(&facts)?;
    let services = document.services.iter().map(|service| {
        let (sequence, behind) = (service.last_event_sequence.to_string(), service.events_behind.to_string());
        let pending = service.pending.len().to_string();
        Ok(vec![service.service_id.to_owned(), sequence, behind, service.last_snapshot_id.clone(), pending])
    });
    let header = ["service_id", "last_event_sequence", "events_behind", "last_snapshot_id", "pending"];
    output.rows(&header, services)?;
    if document.findings.is_empty() {
        return Ok(());
    }
    let findings = document.findings.iter();
    let rows = findings.map(|finding| Ok(vec![finding.stream.clone(), word(&finding.kind), finding.detail.clone()]));
    output.rows(&["stream", "finding", "detail"], rows)
}
