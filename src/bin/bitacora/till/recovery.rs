//! What has to happen before a till works again: payments that a kill cut off are finished or undone.

use std::time::Instant;

use bitacora::payment::OutcomeKind;
use bitacora::service::{SagaDecision, ServiceReport, Strategy, Trigger};
use bitacora::{ErrorKind, Result};

use super::Till;

/// What a recovery found and did.
#[derive(Debug)]
pub(crate) struct Recovered {
    /// The recovery service's own report.
    pub(crate) report: ServiceReport,
    /// Payments with a command to the gateway whose answer nobody knew.
    pub(crate) in_doubt: u64,
    /// Payments that were under way, by what became of them.
    pub(crate) completed: u64,
    pub(crate) compensated: u64,
    pub(crate) rejected: u64,
    /// Payments that a person has to look at.
    pub(crate) parked: u64,
    /// When commands were let through, and the payments that were under way could be worked on.
    pub(crate) ready_at: Instant,
}

/// Makes the services ready, then finishes or undoes every payment that was under way.
///
/// # Errors
/// As [`recover`](bitacora::service::RecoveryService::recover) and [`drive`](bitacora::payment::Orchestrator::drive).
pub(crate) fn recover(till: &Till) -> Result<Recovered> {
    let report = till.recovery.recover(Trigger::Open, Strategy::Incremental)?;
    let mut recovered = Recovered {
        report,
        in_doubt: 0,
        completed: 0,
        compensated: 0,
        rejected: 0,
        parked: 0,
        ready_at: Instant::now(),
    };
    let under_way: Vec<String> = [SagaDecision::Resumed, SagaDecision::Compensating]
        .into_iter()
        .flat_map(|decision| recovered.report.sagas_with(decision))
        .map(str::to_owned)
        .collect();
    for payment_id in under_way {
        let payment = till.orchestrator.load(&payment_id)?;
        let is_in_doubt = payment.is_some_and(|payment| payment.in_doubt().is_some());
        recovered.in_doubt = recovered.in_doubt.saturating_add(u64::from(is_in_doubt));
        let counter = match till.orchestrator.drive(&payment_id) {
            Ok(outcome) => match outcome.kind {
                OutcomeKind::Completed => &mut recovered.completed,
                OutcomeKind::Compensated => &mut recovered.compensated,
                OutcomeKind::Rejected => &mut recovered.rejected,
            },
            Err(error) if error.kind() == ErrorKind::NotReady => &mut recovered.parked,
            Err(error) => return Err(error.context(format_args!("payment {payment_id:?}"))),
        };
        *counter = counter.saturating_add(1);
    }
    Ok(recovered)
}

impl Recovered {
    /// What it found and did, a line each; nothing where there was nothing to do.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if !self.report.sagas.is_empty() {
            lines.push(format!(
                "recovered {} payments that were under way, {} of them in doubt: {} completed, {} compensated, {} rejected, \
                 {} left to a person",
                self.report.sagas.len(),
                self.in_doubt,
                self.completed,
                self.compensated,
                self.rejected,
                self.parked,
            ));
        }
        let findings = self.report.findings.iter();
        lines.extend(
            findings
                .map(|finding| format!("recovery found {:?} in {}: {}", finding.kind, finding.stream, finding.detail)),
        );
        lines
    }
}
