//! Opens the store of a till that was killed, brings it back, and says what that took.

use std::path::Path;
use std::time::Instant;

use bitacora::Result;
use bitacora::service::SagaDecision;
use serde::Serialize;

use crate::till::{Till, TillOptions, recovery};

/// What a recovery found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Recovery {
    /// Events that are in the store.
    pub(crate) events: u64,
    /// Of those, read again because the index did not cover them.
    pub(crate) events_replayed: u64,
    /// Bytes at the log's end that nothing proved durable, and that were no whole frame: they are in quarantine.
    pub(crate) bytes_cut: u64,
    /// Payments with a command to the gateway whose answer nobody knew.
    pub(crate) in_doubt: u64,
    /// Payments that were under way, and were gone on with.
    pub(crate) resumed: u64,
    /// Payments that were being undone.
    pub(crate) undoing: u64,
    /// What became of both.
    pub(crate) completed: u64,
    pub(crate) compensated: u64,
    pub(crate) rejected: u64,
    pub(crate) parked: u64,
    /// What is wrong, in words.
    pub(crate) findings: Vec<String>,
    /// From opening the store to letting commands through.
    pub(crate) ready_ms: u64,
}

/// Recovers the store in `dir`.
///
/// # Errors
/// As opening it, its gateway, and working on both.
pub(crate) fn recover(dir: &Path, gateway: &Path) -> Result<Recovery> {
    let start = Instant::now();
    let till = Till::open(dir, Some(gateway), TillOptions::default())?;
    let opened = till.store.recovery_report().clone();
    let recovered = recovery::recover(&till)?;
    till.close()?;
    let with = |decision| u64::try_from(recovered.report.sagas_with(decision).count()).unwrap_or(u64::MAX);
    let findings = recovered.report.findings.iter();
    Ok(Recovery {
        events: opened.last_sequence.get(),
        events_replayed: opened.events_replayed,
        bytes_cut: opened.cut.map_or(0, |cut| cut.bytes),
        in_doubt: recovered.in_doubt,
        resumed: with(SagaDecision::Resumed),
        undoing: with(SagaDecision::Compensating),
        completed: recovered.completed,
        compensated: recovered.compensated,
        rejected: recovered.rejected,
        parked: recovered.parked,
        findings: findings.map(|finding| format!("{}: {}", finding.stream, finding.detail)).collect(),
        ready_ms: u64::try_from(recovered.ready_at.duration_since(start).as_millis()).unwrap_or(u64::MAX),
    })
}
