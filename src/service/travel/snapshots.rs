//! The snapshots that there are.

use serde::Serialize;

use crate::error::Result;
use crate::snapshot::Snapshot;
use crate::store::Store;
use crate::types::{Sequence, Timestamp, Version};

/// A snapshot, without its state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SnapshotSummary {
    /// Its id.
    pub snapshot_id: String,
    /// The type of its aggregate, such as `wallet`.
    pub aggregate_type: String,
    /// Its aggregate's id.
    pub aggregate_id: String,
    /// When it was made, in store time; microseconds since 1970 where it is serialised.
    pub timestamp: Timestamp,
    /// The version of the last event in it.
    pub last_event_version: Version,
    /// The sequence of that event.
    pub last_event_sequence: Sequence,
    /// The version of the state's shape.
    pub schema_version: u16,
    /// How the state is encoded.
    pub codec: u8,
    /// The state's length, bytes.
    pub bytes: usize,
}

impl From<&Snapshot> for SnapshotSummary {
    fn from(snapshot: &Snapshot) -> Self {
        Self {
            snapshot_id: snapshot.snapshot_id.clone(),
            aggregate_type: snapshot.aggregate_type.clone(),
            aggregate_id: snapshot.aggregate_id.clone(),
            timestamp: snapshot.timestamp,
            last_event_version: snapshot.last_event_version,
            last_event_sequence: snapshot.last_event_sequence,
            schema_version: snapshot.schema_version,
            codec: snapshot.codec.0,
            bytes: snapshot.state.len(),
        }
    }
}

/// The readable snapshots of all aggregates of a type, by aggregate, each one's newest first. One aggregate's are read at a time,
/// so any number of them takes no more memory.
pub fn snapshots(store: &Store, aggregate_type: &str) -> impl Iterator<Item = Result<SnapshotSummary>> + use<> {
    let (store, aggregate_type) = (store.clone(), aggregate_type.to_owned());
    store.streams(&format!("{aggregate_type}-")).flat_map(move |entry| {
        let of_one = entry.and_then(|(stream, _)| match stream.aggregate_id(&aggregate_type) {
            Some(aggregate_id) => store.snapshots(&aggregate_type, aggregate_id, Sequence::MAX),
            None => Ok(Vec::new()),
        });
        let (found, error) = match of_one {
            Ok(found) => (found, None),
            Err(error) => (Vec::new(), Some(Err(error))),
        };
        let summaries: Vec<Result<SnapshotSummary>> = found.iter().map(|snapshot| Ok(snapshot.into())).collect();
        summaries.into_iter().chain(error)
    })
}
