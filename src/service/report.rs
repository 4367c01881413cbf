//! What a recovery found and did.

use serde::Serialize;

use super::RecoveryPoint;
use crate::types::Sequence;

/// Why a recovery was started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// The store was opened.
    Open,
    /// The services are asked how they are; those that are not well are recovered.
    HealthCheck,
    /// Somebody says that a service does not serve.
    Alert {
        /// The service.
        service_id: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Trigger {
    /// Its word, as in JSON and on record.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::HealthCheck => "health_check",
            Self::Alert { .. } => "alert",
        }
    }
}

/// What states are made from. Both give the same states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// All events of all aggregates, whatever checkpoints and snapshots there are. Slow.
    Full,
    /// What has changed since the checkpoint, from snapshots and the events since.
    Incremental,
}

impl Strategy {
    /// Its word, as in JSON and on record.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Incremental => "incremental",
        }
    }
}

/// A step of a recovery, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Which services are to be recovered. Counts services.
    IdentifyFailedService,
    /// Where they resume. Counts those that have a checkpoint.
    RecoveryPoint,
    /// Snapshots of the last 24 hours, where so much has changed that one look-up an aggregate would cost more. Counts
    /// snapshots.
    LoadSnapshots,
    /// What came after the recovery point. Counts events.
    EventsSince,
    /// Sagas that are not over. Counts them.
    IncompleteSagas,
    /// Counts wallets.
    RestoreWallets,
    /// From events alone. Counts sagas.
    RestoreOrchestrator,
    /// Services that were registered beside the two built in, if there are such. Counts what they restored.
    RestoreServices,
    /// Resume or compensate. Counts sagas.
    ResumeSagas,
    /// Counts wallets.
    ValidateWallets,
    /// Counts sagas.
    ValidateSagas,
    /// Services that were registered, if there are such. Counts those that were validated.
    ValidateServices,
    /// The new recovery points are set. Counts them.
    Complete,
    /// Counts one.
    WalletServiceReady,
    /// Counts one; commands are let through from here on.
    OrchestratorReady,
    /// Services that were registered, if there are such. Counts those that are ready.
    ServicesReady,
}

impl Phase {
    /// Its word, as in JSON and on record.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::IdentifyFailedService => "identify_failed_service",
            Self::RecoveryPoint => "recovery_point",
            Self::LoadSnapshots => "load_snapshots",
            Self::EventsSince => "events_since",
            Self::IncompleteSagas => "incomplete_sagas",
            Self::RestoreWallets => "restore_wallets",
            Self::RestoreOrchestrator => "restore_orchestrator",
            Self::RestoreServices => "restore_services",
            Self::ResumeSagas => "resume_sagas",
            Self::ValidateWallets => "validate_wallets",
            Self::ValidateSagas => "validate_sagas",
            Self::ValidateServices => "validate_services",
            Self::Complete => "complete",
            Self::WalletServiceReady => "wallet_service_ready",
            Self::OrchestratorReady => "orchestrator_ready",
            Self::ServicesReady => "services_ready",
        }
    }
}

/// A step, and what it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PhaseReport {
    /// Which.
    pub phase: Phase,
    /// How many; of what, the phase says.
    pub count: u64,
    /// How long it took, milliseconds.
    pub elapsed_ms: u64,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// An event of it cannot be read by this program, or is damaged.
    Unreadable,
    /// It breaks a rule of its own.
    InvariantBroken,
    /// Its state is behind its stream.
    Behind,
    /// It is not over, and its wallet is quarantined.
    WalletQuarantined,
    /// A hold is open, and the payment that it is for is over.
    HoldOutlivesPayment,
    /// A hold was captured, and the payment that it is for is not over.
    CapturedBeforeOutcome,
    /// Full and incremental replay give different states.
    ReplaysDiffer,
    /// The payments that are not over, as the checkpoint and the events since tell, are not those that all events tell.
    OpenPaymentsDiffer,
    /// A service could not be restored, or panicked. The stream is `service/` and its id.
    ServiceFailed,
    /// What transfers took from wallets is not what they gave to wallets. Of the store as a whole.
    TransfersDiffer,
    /// A payment's outcome and what became of its hold contradict each other.
    HoldDisagrees,
}

impl FindingKind {
    /// Its word, as in JSON and on record.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::InvariantBroken => "invariant_broken",
            Self::Behind => "behind",
            Self::WalletQuarantined => "wallet_quarantined",
            Self::HoldOutlivesPayment => "hold_outlives_payment",
            Self::CapturedBeforeOutcome => "captured_before_outcome",
            Self::ReplaysDiffer => "replays_differ",
            Self::OpenPaymentsDiffer => "open_payments_differ",
            Self::ServiceFailed => "service_failed",
            Self::TransfersDiffer => "transfers_differ",
            Self::HoldDisagrees => "hold_disagrees",
        }
    }
}

/// Something that is wrong, with one aggregate or with the store as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The aggregate's stream; empty: it is about the store as a whole.
    pub stream: String,
    /// What is wrong.
    pub kind: FindingKind,
    /// With its numbers.
    pub detail: String,
    /// Whether commands on it are refused from now on.
    pub is_quarantined: bool,
}

impl Finding {
    /// Whether it is about the store as a whole: such a finding keeps the services from getting ready.
    #[must_use]
    pub fn is_about_the_store(&self) -> bool {
        self.stream.is_empty()
    }

    /// A finding that quarantines its aggregate.
    pub(super) fn quarantine(stream: String, kind: FindingKind, detail: impl Into<String>) -> Self {
        Self { stream, kind, detail: detail.into(), is_quarantined: true }
    }

    /// A finding that leaves its aggregate in use.
    pub(super) fn notice(stream: String, kind: FindingKind, detail: impl Into<String>) -> Self {
        Self { stream, kind, detail: detail.into(), is_quarantined: false }
    }
}

/// What a recovery decided on an incomplete saga.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SagaDecision {
    /// It goes on from where it was.
    Resumed,
    /// It is being undone.
    Compensating,
    /// It was over.
    AlreadyFinal,
    /// It waits for a person.
    Parked,
    /// It is left alone: it, or its wallet, is quarantined.
    HeldBack,
}

impl SagaDecision {
    /// Its word, as in JSON and on record.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Resumed => "resumed",
            Self::Compensating => "compensating",
            Self::AlreadyFinal => "already_final",
            Self::Parked => "parked",
            Self::HeldBack => "held_back",
        }
    }
}

/// An incomplete saga.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SagaReport {
    /// Its id; of a payment, the payment's.
    pub saga_id: String,
    /// What was decided.
    pub decision: SagaDecision,
}

/// How wallets were restored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct WalletsReport {
    /// Wallets.
    pub restored: u64,
    /// Those of them that started from a snapshot.
    pub from_snapshot: u64,
    /// Events that were applied.
    pub events_replayed: u64,
}

/// How a service that was registered was restored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RestoredService {
    /// The service.
    pub service_id: String,
    /// What it restored: aggregates, or what it says instead.
    pub restored: u64,
    /// Events that were applied.
    pub events_replayed: u64,
    /// Why it does not serve, where it does not.
    pub failure: Option<String>,
}

/// What a recovery found and did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServiceReport {
    /// Names it in the events of what it resumed.
    pub recovery_id: String,
    /// Why it was started.
    pub trigger: Trigger,
    /// What states were made from.
    pub strategy: Strategy,
    /// The services that were recovered; empty after a health check that found all well.
    pub failed_services: Vec<String>,
    /// Where each of them resumed.
    pub recovery_points: Vec<RecoveryPoint>,
    /// The steps, in order.
    pub phases: Vec<PhaseReport>,
    /// How wallets were restored.
    pub wallets: WalletsReport,
    /// How services that were registered beside the two built in were restored.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<RestoredService>,
    /// The incomplete sagas, by id.
    pub sagas: Vec<SagaReport>,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// The last event that it covers.
    pub last_event_sequence: Sequence,
    /// All of it, milliseconds.
    pub elapsed_ms: u64,
    /// Whether commands are let through now.
    pub is_ready: bool,
}

impl ServiceReport {
    /// The sagas with this decision.
    pub fn sagas_with(&self, decision: SagaDecision) -> impl Iterator<Item = &str> {
        self.sagas.iter().filter(move |saga| saga.decision == decision).map(|saga| saga.saga_id.as_str())
    }
}
