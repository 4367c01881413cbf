//! Recovery points: where a service resumes, and what it must look at again.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::codec;
use crate::error::Result;
use crate::index::Checkpoint;
use crate::store::Store;
use crate::types::Sequence;

/// The version of what a checkpoint carries. Another one is passed over, and the service resumes from the beginning.
const DATA_VERSION: u16 = 1;

/// What a checkpoint carries beside its sequence.
#[derive(Serialize, Deserialize)]
struct Data {
    version: u16,
    last_snapshot_id: String,
    pending: BTreeSet<String>,
}

/// Where a service resumes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RecoveryPoint {
    /// The service.
    pub service_id: String,
    /// It has dealt with every event up to here; zero: with none.
    pub last_event_sequence: Sequence,
    /// The newest snapshot that it had used by then; empty: none.
    pub last_snapshot_id: String,
    /// What it must look at again whatever comes after: payments that were not over, wallets that were quarantined.
    pub pending: BTreeSet<String>,
}

impl RecoveryPoint {
    /// Before the first event.
    #[must_use]
    pub fn beginning(service_id: &str) -> Self {
        Self {
            service_id: service_id.to_owned(),
            last_event_sequence: Sequence::ZERO,
            last_snapshot_id: String::new(),
            pending: BTreeSet::new(),
        }
    }

    /// The service's checkpoint; none: the beginning.
    ///
    /// # Errors
    /// `Corrupt`: it is beyond the log's end, so events are missing. `Io`, `Closed`: the store's.
    pub fn load(store: &Store, service_id: &str) -> Result<Self> {
        let Some(checkpoint) = store.checkpoint(&checkpoint_name(service_id))? else {
            return Ok(Self::beginning(service_id));
        };
        checkpoint.check_within(store.last_sequence(), &format!("the service {service_id}"))?;
        match codec::decode::<Data>(&checkpoint.data) {
            Ok(Data { version: DATA_VERSION, last_snapshot_id, pending }) => Ok(Self {
                service_id: service_id.to_owned(),
                last_event_sequence: checkpoint.sequence,
                last_snapshot_id,
                pending,
            }),
            // Without what is pending the sequence is worth nothing: an old open payment would never be found.
            _ => {
                tracing::warn!(service_id, "a checkpoint of another version is passed over");
                Ok(Self::beginning(service_id))
            }
        }
    }

    /// Sets the service's checkpoint. Whatever told what is pending must be durable by now.
    ///
    /// # Errors
    /// `InvalidInput`: too much is pending, or the checkpoint would go back. `Io`, `StorageFull`, `ReadOnly`, `Closed`: the
    /// store's.
    pub(super) fn save(&self, store: &Store) -> Result<()> {
        let data = Data {
            version: DATA_VERSION,
            last_snapshot_id: self.last_snapshot_id.clone(),
            pending: self.pending.clone(),
        };
        let checkpoint = Checkpoint { sequence: self.last_event_sequence, data: codec::encode(&data)? };
        store.set_checkpoint(&checkpoint_name(&self.service_id), &checkpoint)
    }
}

fn checkpoint_name(service_id: &str) -> String {
    format!("service/{service_id}")
}
