//! Polling: what is due is looked at, and nothing sleeps.

use std::time::Duration;

use super::{Saga, Watch};
use crate::error::{Error, ErrorKind, Result};
use crate::store::Store;
use crate::types::{Sequence, Timestamp};

/// What one poll did.
#[derive(Debug, Default)]
pub struct PollReport {
    /// Sagas that were looked at and wait for a later time, or for the next poll.
    pub advanced: u64,
    /// Sagas that were found over, or came to their end.
    pub ended: u64,
    /// Sagas that wait for an event from elsewhere.
    pub parked: u64,
    /// Sagas that could not be carried on. Each is tried again after a while, or when an event of it comes.
    pub failed: Vec<SagaFailure>,
    /// When the next open saga is due, in store time; not later than now where this poll's bound left some. `None`: nothing is
    /// due until an event comes.
    pub next_due: Option<Timestamp>,
}

/// A saga that could not be carried on.
#[derive(Debug)]
pub struct SagaFailure {
    /// The saga.
    pub saga_id: String,
    /// Why.
    pub error: Error,
}

/// The bounds of a poll.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PollLimits {
    /// Sagas that are looked at.
    pub(crate) sagas_max: u32,
    /// After which time one that failed is tried again.
    pub(crate) retry_after: Duration,
}

/// What came of looking at a saga.
#[derive(Debug)]
pub(crate) enum Looked {
    Ended { covered: Sequence },
    Parked { covered: Sequence },
    Waits { covered: Sequence, due: Timestamp },
}

/// Does what is due, by `look`.
///
/// # Errors
/// Of following the log: `Corrupt`, `Io`. Of `look`: `Closed`, `Poisoned`, `ReadOnly`, which stop everything; others are in the report.
pub(crate) fn poll_with<S: Saga>(
    watch: &Watch,
    store: &Store,
    limits: PollLimits,
    at_least: Timestamp,
    mut look: impl FnMut(&str, Timestamp) -> Result<Looked>,
) -> Result<PollReport> {
    let mut report = PollReport::default();
    watch.follow::<S>(store)?;
    for _ in 0..limits.sagas_max {
        let now = store.now().max(at_least);
        let Some(claimed) = watch.take_due(now, now.plus(limits.retry_after)) else { break };
        match look(claimed.saga_id(), now) {
            Ok(Looked::Ended { covered }) => {
                report.ended += 1;
                claimed.end(covered);
            }
            Ok(Looked::Parked { covered }) => {
                report.parked += 1;
                claimed.put_back(covered, None);
            }
            Ok(Looked::Waits { covered, due }) => {
                report.advanced += 1;
                claimed.put_back(covered, Some(due));
            }
            Err(error) if matches!(error.kind(), ErrorKind::Closed | ErrorKind::Poisoned | ErrorKind::ReadOnly) => {
                return Err(error);
            }
            Err(error) => {
                let saga_id = claimed.saga_id().to_owned();
                tracing::warn!(saga_type = S::SAGA_TYPE, saga_id, %error, "a saga cannot be carried on");
                report.failed.push(SagaFailure { saga_id, error });
            }
        }
    }
    // What came up meanwhile counts for the next due time.
    watch.follow::<S>(store)?;
    report.next_due = watch.next_due();
    Ok(report)
}
