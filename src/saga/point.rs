//! The agenda's durable form: which sagas were open at a sequence, as a checkpoint in the store.
//!
//! Due times are not in it: a saga's own events say when it is due, and each open saga is loaded after an open in any case.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Saga;
use crate::codec;
use crate::error::Result;
use crate::index::Checkpoint;
use crate::store::Store;
use crate::types::Sequence;

/// The version of what a checkpoint carries. Another one is passed over, and the log is read from its beginning.
const DATA_VERSION: u16 = 1;

#[derive(Serialize, Deserialize)]
struct Data {
    version: u16,
    open: BTreeSet<String>,
}

/// What was open at a sequence.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OpenPoint {
    pub(super) sequence: Sequence,
    pub(super) open: BTreeSet<String>,
}

fn name<S: Saga>() -> String {
    format!("saga/{}", S::SAGA_TYPE)
}

impl OpenPoint {
    /// The checkpoint of sagas of this type; none: the beginning.
    ///
    /// # Errors
    /// `Corrupt`: it is beyond the log's end, so events are missing. `Io`, `Closed`: the store's.
    pub(super) fn load<S: Saga>(store: &Store) -> Result<Self> {
        let beginning = Self { sequence: Sequence::ZERO, open: BTreeSet::new() };
        let Some(checkpoint) = store.checkpoint(&name::<S>())? else { return Ok(beginning) };
        checkpoint.check_within(store.last_sequence(), &format!("{} sagas", S::SAGA_TYPE))?;
        match codec::decode::<Data>(&checkpoint.data) {
            Ok(Data { version: DATA_VERSION, open }) => Ok(Self { sequence: checkpoint.sequence, open }),
            // Without what was open the sequence is worth nothing: an old open saga would never be found.
            _ => {
                tracing::warn!(saga_type = S::SAGA_TYPE, "a checkpoint of another version is passed over");
                Ok(beginning)
            }
        }
    }

    /// # Errors
    /// `InvalidInput`: too much is open, or the checkpoint would go back. `Io`, `StorageFull`, `ReadOnly`, `Closed`: the
    /// store's.
    pub(super) fn save<S: Saga>(self, store: &Store) -> Result<()> {
        let data = codec::encode(&Data { version: DATA_VERSION, open: self.open })?;
        store.set_checkpoint(&name::<S>(), &Checkpoint { sequence: self.sequence, data })
    }
}
