//! Snapshots: an aggregate's state at a version, so that a load reads only the events since.
//!
//! A snapshot is a cache. One that is damaged, of another store or of another schema is passed over, and an older
//! one or the whole stream serves instead; nothing is lost with it but time.

mod envelope;
mod policy;
mod repository;

pub use policy::SnapshotPolicy;
pub(crate) use repository::Snapshots;

use crate::types::{CodecId, Sequence, Timestamp, Version};

/// An aggregate's state at a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// `<aggregate_type>-<aggregate_id>@<version>`: no two snapshots share it.
    pub snapshot_id: String,
    /// Whose state it is.
    pub aggregate_id: String,
    /// The type of that aggregate.
    pub aggregate_type: String,
    /// When it was made, in store time.
    pub timestamp: Timestamp,
    /// The version of the last event in the state.
    pub last_event_version: Version,
    /// The sequence of that event.
    pub last_event_sequence: Sequence,
    /// The version of the state's shape.
    pub schema_version: u16,
    /// How the state is encoded.
    pub codec: CodecId,
    /// The state.
    pub state: Vec<u8>,
}

/// Decodes a snapshot's bytes; what can be read is written again, and must then be read as the same.
#[cfg(feature = "internals")]
pub(crate) fn decode_and_encode(bytes: &[u8], store_id: crate::types::StoreId) {
    if let Ok(snapshot) = envelope::decode(bytes, store_id) {
        let written = envelope::encode(&snapshot, store_id);
        let again = written.ok().and_then(|bytes| envelope::decode(&bytes, store_id).ok());
        assert!(again == Some(snapshot), "a snapshot is written as it was read");
    }
}
