//! Recoveries on record: events of the system stream `system-recovery`, so that the log itself tells when the services were
//! recovered, why, and what was found. At most one commit when a recovery begins and one when it is over. Every payload is the
//! bincode of its struct, schema version 1; what is a word in a report is that word here.
//!
//! The record is for people, and for deadlines that a recovery was about to put off when it was killed. One that cannot be
//! written, on a full disk say, is traced, and the recovery goes on.

use serde::{Deserialize, Serialize};

use super::run::Run;
use super::{Finding, SagaReport, Trigger};
use crate::aggregate::{DomainEvent, FieldValue, FlatFields, decode_payload, new_events, unknown_event};
use crate::codec;
use crate::error::Result;
use crate::store::{Commit, Store};
use crate::types::{Event, ExpectedVersion, Metadata, StreamId};

/// The stream that recoveries are on record in.
pub const RECOVERY_STREAM: &str = "system-recovery";

/// Findings of one recovery that are put on record; the number of all of them is in any case.
const FINDINGS_MAX: usize = 1_000;

/// A recovery began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryStarted {
    /// Names the recovery.
    pub recovery_id: String,
    /// Why: `open`, `health_check` or `alert`.
    pub trigger: String,
    /// What an alert said; empty otherwise.
    pub reason: String,
    /// What states are made from: `full` or `incremental`.
    pub strategy: String,
    /// The services that are recovered.
    pub services: Vec<String>,
    /// By how much it puts off the deadlines of payments before the pivot, microseconds: the time that passed while the store was
    /// closed.
    pub deadlines_extended_by_micros: u64,
}

/// A recovery found something wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryFinding {
    /// The recovery.
    pub recovery_id: String,
    /// The aggregate's stream; empty: it is about the store as a whole.
    pub stream: String,
    /// What is wrong, such as `unreadable`; see [`FindingKind`](super::FindingKind).
    pub kind: String,
    /// With its numbers.
    pub detail: String,
    /// Whether commands on it are refused from then on.
    pub is_quarantined: bool,
}

/// A step of a recovery on record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedPhase {
    /// Which, such as `restore_wallets`; see [`Phase`](super::Phase).
    pub phase: String,
    /// How many; of what, the phase says.
    pub count: u64,
    /// How long it took, milliseconds.
    pub elapsed_ms: u64,
}

/// Sagas by what was decided on them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedDecision {
    /// What, such as `resumed`; see [`SagaDecision`](super::SagaDecision).
    pub decision: String,
    /// How many.
    pub sagas: u64,
}

/// A recovery is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryCompleted {
    /// The recovery.
    pub recovery_id: String,
    /// The steps, in order, up to the setting of the recovery points.
    pub phases: Vec<RecordedPhase>,
    /// Wallets that were restored.
    pub restored: u64,
    /// Incomplete sagas by what was decided, those decisions alone that were taken.
    pub sagas: Vec<RecordedDecision>,
    /// How much was found wrong.
    pub findings: u64,
    /// Whether the services get ready now.
    pub is_ready: bool,
}

/// What is on record of recoveries.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecoveryEvent {
    /// One began.
    RecoveryStarted(RecoveryStarted),
    /// It found something wrong.
    RecoveryFinding(RecoveryFinding),
    /// It is over.
    RecoveryCompleted(RecoveryCompleted),
}

impl DomainEvent for RecoveryEvent {
    fn event_type(&self) -> &'static str {
        match self {
            Self::RecoveryStarted(_) => "RecoveryStarted",
            Self::RecoveryFinding(_) => "RecoveryFinding",
            Self::RecoveryCompleted(_) => "RecoveryCompleted",
        }
    }

    fn encode(&self) -> Result<Vec<u8>> {
        match self {
            Self::RecoveryStarted(fact) => codec::encode(fact),
            Self::RecoveryFinding(fact) => codec::encode(fact),
            Self::RecoveryCompleted(fact) => codec::encode(fact),
        }
    }

    fn decode(event: &Event) -> Result<Self> {
        match event.event_type.as_str() {
            "RecoveryStarted" => decode_payload(event, 1).map(Self::RecoveryStarted),
            "RecoveryFinding" => decode_payload(event, 1).map(Self::RecoveryFinding),
            "RecoveryCompleted" => decode_payload(event, 1).map(Self::RecoveryCompleted),
            _ => Err(unknown_event(event)),
        }
    }
}

impl FlatFields for RecoveryEvent {
    fn fields(&self) -> Vec<(&'static str, FieldValue)> {
        match self {
            Self::RecoveryStarted(fact) => vec![
                ("recovery_id", fact.recovery_id.as_str().into()),
                ("trigger", fact.trigger.as_str().into()),
                ("reason", fact.reason.as_str().into()),
                ("strategy", fact.strategy.as_str().into()),
                ("services", fact.services.join(",").as_str().into()),
                ("deadlines_extended_by_micros", fact.deadlines_extended_by_micros.into()),
            ],
            Self::RecoveryFinding(fact) => vec![
                ("recovery_id", fact.recovery_id.as_str().into()),
                ("stream", fact.stream.as_str().into()),
                ("kind", fact.kind.as_str().into()),
                ("detail", fact.detail.as_str().into()),
                ("is_quarantined", fact.is_quarantined.into()),
            ],
            Self::RecoveryCompleted(fact) => {
                let phase = |step: &RecordedPhase| format!("{}={} in {} ms", step.phase, step.count, step.elapsed_ms);
                let decision = |sagas: &RecordedDecision| format!("{}={}", sagas.decision, sagas.sagas);
                let phases: Vec<String> = fact.phases.iter().map(phase).collect();
                let sagas: Vec<String> = fact.sagas.iter().map(decision).collect();
                vec![
                    ("recovery_id", fact.recovery_id.as_str().into()),
                    ("phases", phases.join(", ").as_str().into()),
                    ("restored", fact.restored.into()),
                    ("sagas", sagas.join(", ").as_str().into()),
                    ("findings", fact.findings.into()),
                    ("is_ready", fact.is_ready.into()),
                ]
            }
        }
    }
}

/// Puts on record that a recovery begins; whether it is there.
pub(super) fn started(store: &Store, run: &Run<'_>, trigger: &Trigger, services: &[String]) -> bool {
    let reason = match trigger {
        Trigger::Alert { reason, .. } => reason.clone(),
        Trigger::Open | Trigger::HealthCheck => String::new(),
    };
    let fact = RecoveryStarted {
        recovery_id: run.recovery_id.clone(),
        trigger: trigger.as_str().to_owned(),
        reason,
        strategy: run.strategy.as_str().to_owned(),
        services: services.to_vec(),
        deadlines_extended_by_micros: u64::try_from(run.extension.own().as_micros()).unwrap_or(u64::MAX),
    };
    put(store, run, &[RecoveryEvent::RecoveryStarted(fact)])
}

/// Puts on record what a recovery found, and that it is over.
pub(super) fn completed(store: &Store, run: &Run<'_>, restored: u64, sagas: &[SagaReport]) {
    let mut events: Vec<RecoveryEvent> =
        run.findings.iter().take(FINDINGS_MAX).map(|finding| found(&run.recovery_id, finding)).collect();
    let mut decisions: Vec<RecordedDecision> = Vec::new();
    for saga in sagas {
        let decision = saga.decision.as_str();
        match decisions.iter_mut().find(|known| known.decision == decision) {
            Some(known) => known.sagas = known.sagas.saturating_add(1),
            None => decisions.push(RecordedDecision { decision: decision.to_owned(), sagas: 1 }),
        }
    }
    decisions.sort_by(|a, b| a.decision.cmp(&b.decision));
    let phase = |step: &super::PhaseReport| RecordedPhase {
        phase: step.phase.as_str().to_owned(),
        count: step.count,
        elapsed_ms: step.elapsed_ms,
    };
    events.push(RecoveryEvent::RecoveryCompleted(RecoveryCompleted {
        recovery_id: run.recovery_id.clone(),
        phases: run.phases.iter().map(phase).collect(),
        restored,
        sagas: decisions,
        findings: u64::try_from(run.findings.len()).unwrap_or(u64::MAX),
        is_ready: run.store_finding().is_none(),
    }));
    put(store, run, &events);
}

fn found(recovery_id: &str, finding: &Finding) -> RecoveryEvent {
    RecoveryEvent::RecoveryFinding(RecoveryFinding {
        recovery_id: recovery_id.to_owned(),
        stream: finding.stream.clone(),
        kind: finding.kind.as_str().to_owned(),
        detail: finding.detail.clone(),
        is_quarantined: finding.is_quarantined,
    })
}

fn put(store: &Store, run: &Run<'_>, events: &[RecoveryEvent]) -> bool {
    // What is wrong with the store itself the recovery meets by itself, and says in its own words.
    try_put(store, run, events)
        .inspect_err(|error| {
            tracing::warn!(recovery_id = run.recovery_id, %error, "a recovery is not put on record");
        })
        .is_ok()
}

fn try_put(store: &Store, run: &Run<'_>, events: &[RecoveryEvent]) -> Result<()> {
    let metadata = Metadata { correlation_id: Some(run.recovery_id.clone()), ..Metadata::default() };
    let stream = StreamId::new(RECOVERY_STREAM)?;
    store.commit(Commit::new().append(&stream, ExpectedVersion::Any, new_events(events, &metadata)?))?;
    Ok(())
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
