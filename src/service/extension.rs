//! By how much the deadlines of open payments are put off because of the time that passed while the store was closed.
//!
//! How long that was, the store tells at open by the time of its last commit. A recovery commits, too: one that is killed halfway
//! makes the last commit recent, and the payments that it did not come to would lose what is theirs. So each recovery puts on
//! record by how much it extends, and what is on record of recoveries that did not come to their end counts as well, for those
//! payments that they did not resume.

use std::collections::BTreeSet;
use std::time::Duration;

use super::PAYMENTS_SERVICE;
use super::record::{RECOVERY_STREAM, RecoveryEvent};
use crate::aggregate::DomainEvent;
use crate::error::Result;
use crate::store::Store;
use crate::types::{Event, StreamId};

/// A recovery that did not come to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Unfinished {
    recovery_id: String,
    extended_by: Duration,
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Extension {
    /// What this recovery extends by.
    own: Duration,
    /// The newest first.
    unfinished: Vec<Unfinished>,
}

impl Extension {
    /// What a recovery that is about to begin has to extend by: `own`, and what earlier ones did not come to.
    ///
    /// # Errors
    /// `Corrupt`, `Io`, `Closed`: the store's.
    pub(super) fn find(store: &Store, own: Duration) -> Result<Self> {
        let events = store.read_stream(&StreamId::new(RECOVERY_STREAM)?, ..).rev();
        Ok(Self { own, unfinished: unfinished(events)? })
    }

    /// What this recovery extends by, to be put on record.
    pub(super) fn own(&self) -> Duration {
        self.own
    }

    /// What the deadline of a payment is put off by that this recovery resumed last, if one did.
    pub(super) fn of(&self, resumed_by: Option<&str>) -> Duration {
        let missed = self.unfinished.iter().take_while(|recovery| Some(recovery.recovery_id.as_str()) != resumed_by);
        missed.fold(self.own, |sum, recovery| sum.saturating_add(recovery.extended_by))
    }
}

/// The recoveries of the payments since the last one that came to its end, from the events of recoveries, the newest first.
fn unfinished(events: impl Iterator<Item = Result<Event>>) -> Result<Vec<Unfinished>> {
    let (mut completed, mut unfinished) = (BTreeSet::new(), Vec::new());
    for event in events {
        let event = event?;
        // What a newer program put on record says nothing to this one; deadlines are then extended by less.
        match RecoveryEvent::decode(&event) {
            Ok(RecoveryEvent::RecoveryCompleted(fact)) => drop(completed.insert(fact.recovery_id)),
            Ok(RecoveryEvent::RecoveryStarted(fact)) if fact.services.iter().any(|id| id == PAYMENTS_SERVICE) => {
                if completed.contains(&fact.recovery_id) {
                    break;
                }
                let extended_by = Duration::from_micros(fact.deadlines_extended_by_micros);
                unfinished.push(Unfinished { recovery_id: fact.recovery_id, extended_by });
            }
            Ok(RecoveryEvent::RecoveryStarted(_) | RecoveryEvent::RecoveryFinding(_)) | Err(_) => {}
        }
    }
    Ok(unfinished)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extension(own: u64, unfinished: &[(&str, u64)]) -> Extension {
        let unfinished = unfinished.iter().map(|(id, seconds)| Unfinished {
            recovery_id: (*id).to_owned(),
            extended_by: Duration::from_secs(*seconds),
        });
        Extension { own: Duration::from_secs(own), unfinished: unfinished.collect() }
    }

    #[test]
    fn a_payment_gets_what_the_recoveries_gave_that_did_not_come_to_it() {
        let extension = extension(1, &[("r3", 10), ("r2", 200), ("r1", 4_000)]);
        let seconds = |resumed_by| extension.of(resumed_by).as_secs();
        assert_eq!(seconds(Some("r3")), 1);
        assert_eq!(seconds(Some("r2")), 11);
        assert_eq!(seconds(Some("r1")), 211);
        assert_eq!(seconds(None), 4_211);
        assert_eq!(seconds(Some("long ago")), 4_211);
    }
}
