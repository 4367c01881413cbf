//! Recovery: from whatever a crash left to *ready*, step by step, with a report.
//!
//! The order is fixed, and each step is a [`Phase`] of the report: identify the failed service, its recovery point, snapshots,
//! events since, incomplete sagas, restore the wallets, restore the orchestrator from events alone, resume or compensate each
//! incomplete saga, validate the wallets, validate the sagas, complete, wallet service ready, orchestrator ready. The [`Gate`]
//! lets no command through before the last one.
//!
//! A service's recovery point is its checkpoint in the store: a sequence, and the ids that must be looked at again whatever
//! comes after it (payments that were not over, wallets that were quarantined). So a recovery costs what lies after the
//! checkpoint and what is pending, not the history. A checkpoint is set only after everything it rests on is durable.
//!
//! Beside the wallets and the sagas services of one's own can be [registered](RecoveryService::register): each is restored,
//! validated and made ready after those, has its own recovery point and its own gate, and fails alone. A [`Supervisor`] recovers
//! what has failed, [`RecoveryService::health`] tells how all of them are, and every recovery is on record in the log
//! ([`RECOVERY_STREAM`]). [`check`] compares both ways to replay a whole store; [`wallets_as_of`], [`diff`] and [`explain`] look
//! back.
//!
//! An aggregate that cannot be read, or breaks its rules, is quarantined: named in the report, refused by the gate, and looked
//! at again by the next recovery. It stops nobody else. No step here calls a payment gateway, and killing a recovery at any
//! point leaves nothing that the next one does not find.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::num::NonZeroUsize;
use std::time::Duration;

use crate::error::Result;
use crate::snapshot::Snapshot;
use crate::types::{Sequence, Timestamp};

mod check;
mod extension;
mod flow;
mod gate;
mod health;
mod member;
mod options;
mod pass;
mod payments;
mod point;
mod record;
mod recovery;
mod registered;
mod repair;
mod report;
mod run;
mod supervisor;
#[cfg(test)]
mod tests;
mod travel;
mod wallets;

pub use check::{CheckProgress, CheckReport, CheckTold, TransferTotals, check, check_with};
pub use gate::Gate;
pub use health::{HealthReport, HealthState, ServiceHealth};
pub use options::{RecoverOptions, RecoveryProgress};
pub use payments::{PAYMENTS_SERVICE, PaymentService};
pub use point::RecoveryPoint;
pub use record::{
    RECOVERY_STREAM, RecordedDecision, RecordedPhase, RecoveryCompleted, RecoveryEvent, RecoveryFinding,
    RecoveryStarted,
};
pub use recovery::RecoveryService;
pub use repair::{RepairReport, WalletLoss, repair_plan, repair_plan_in, repair_plan_with};
pub use report::{
    Finding, FindingKind, Phase, PhaseReport, RestoredService, SagaDecision, SagaReport, ServiceReport, Strategy,
    Trigger, WalletsReport,
};
pub use supervisor::{Supervisor, SupervisorOptions, SupervisorThread};
pub use travel::{
    ExplainedEvent, Explanation, PaymentFilter, PaymentSummary, PaymentsList, SnapshotSummary, WalletDiff, WalletPoint,
    diff, explain, payments_list, snapshots, wallets_as_of,
};
pub use wallets::{WALLETS_SERVICE, WalletService};

/// How a service is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It was not made ready yet.
    Starting,
    /// It serves.
    Healthy,
    /// It does not, and why.
    Failed(String),
}

/// What a service is to restore.
#[non_exhaustive]
pub struct Scope<'a> {
    /// The aggregates of its type that have changed since its recovery point, and those that are pending there. None for a
    /// service that owns no aggregates.
    pub aggregate_ids: &'a BTreeSet<String>,
    /// From what.
    pub strategy: Strategy,
    /// Snapshots at hand, the newest of each aggregate; others are looked up.
    pub snapshots: &'a BTreeMap<String, Snapshot>,
    /// It has dealt with every event up to here: its recovery point, and zero for a full replay.
    pub from: Sequence,
    /// The last event that it has to deal with.
    pub end: Sequence,
    /// Threads it may use.
    pub threads: NonZeroUsize,
    /// To be told how many aggregates, or events, are done.
    pub progress: &'a (dyn Fn(u64) + Sync),
}

impl fmt::Debug for Scope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope")
            .field("aggregate_ids", &self.aggregate_ids.len())
            .field("strategy", &self.strategy)
            .field("from", &self.from)
            .field("end", &self.end)
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}

/// What a service restored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Aggregates.
    pub aggregates: u64,
    /// Those of them that started from a snapshot.
    pub from_snapshot: u64,
    /// Events that were applied.
    pub events_replayed: u64,
    /// The newest snapshot that was used; empty where none was.
    pub last_snapshot_id: String,
    /// Aggregates that could not be restored.
    pub findings: Vec<Finding>,
}

/// Something that can fail and be restored from the log.
pub trait Service: Send + Sync {
    /// Names it, in checkpoints and reports.
    fn id(&self) -> &str;

    /// The type of the aggregates that it owns, without `-`: commands on their streams wait for it, and it is told which of them
    /// have changed. None, the default: it owns none, as a projection does, and reads what it needs.
    fn aggregate_type(&self) -> Option<&str> {
        None
    }

    /// How it is.
    fn health(&self) -> Health;

    /// Notes that it does not serve, and why.
    fn fail(&self, reason: &str);

    /// Brings its aggregates back from the log. One that cannot be brought back is a finding.
    ///
    /// # Errors
    /// `Io`, `Closed`: the store's.
    fn restore(&self, scope: &Scope<'_>) -> Result<Restored>;

    /// Checks its aggregates. One that is wrong is a finding.
    ///
    /// # Errors
    /// `Io`, `Closed`: the store's.
    fn validate(&self, aggregate_ids: &BTreeSet<String>) -> Result<Vec<Finding>>;

    /// Lets it serve.
    fn ready(&self);

    /// How far a service that follows the log while it serves has come, durably: [`RecoveryService::checkpoint`] moves its
    /// recovery point there. None, the default: the point stays where the last recovery set it.
    fn dealt_with(&self) -> Option<Sequence> {
        None
    }
}

/// Where a saga stands, as far as a recovery needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SagaView {
    /// The user whose wallet it takes from, if it takes from one.
    pub user_id: Option<String>,
    /// Whether it has its outcome.
    pub is_over: bool,
    /// The recovery that resumed it last, if one did.
    pub recovery_id: Option<String>,
}

/// A service whose aggregates are processes that a crash may leave halfway.
pub trait SagaService: Service {
    /// Those that are not over: of `known_open` and of those begun after `from`, less those that ended after `from`.
    ///
    /// # Errors
    /// `Corrupt`, `Io`, `Closed`: the store's.
    fn incomplete(&self, from: Sequence, known_open: &BTreeSet<String>) -> Result<Vec<String>>;

    /// Where one stands; `None` where there is none.
    ///
    /// # Errors
    /// `UnknownPayload`, `Corrupt`, `Io`, `Closed`.
    fn view(&self, saga_id: &str) -> Result<Option<SagaView>>;

    /// Is told which are open, of all events up to `from`, and which of those are to be left alone, because they or their wallets are
    /// quarantined; for those who poll. Calls nobody outside. Does nothing where it is not implemented.
    ///
    /// # Errors
    /// `Corrupt`, `Io`, `Closed`: the store's.
    fn watch(&self, from: Sequence, open: &BTreeSet<String>, held_back: &BTreeSet<String>) -> Result<()> {
        let _ = (from, open, held_back);
        Ok(())
    }

    /// Puts on record that it goes on, or, past its deadline and before the point of no return, that it is undone. Does nothing
    /// outside the store. The same recovery may ask again. `extend_by` is how long nobody could work on it because the store was
    /// closed; a deadline before the point of no return is put off by it, once for each recovery.
    ///
    /// # Errors
    /// As [`view`](Self::view), and of the commit.
    fn resume(&self, saga_id: &str, recovery_id: &str, now: Timestamp, extend_by: Duration) -> Result<SagaDecision>;
}
