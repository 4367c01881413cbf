//! Aggregates: state that is made of a stream's events, and commands that are decided on it.
//!
//! An [`Aggregate`] is pure: [`decide`](Aggregate::decide) looks at the state and a command and answers with events or a
//! refusal; [`apply`](Aggregate::apply) takes an event into the state and never fails. Everything that reads or writes
//! is the [`Repository`]'s: it loads a state (from a snapshot and the events since, or from all of them), appends what
//! was decided with the version it was decided on, decides anew when another writer was faster, and makes snapshots.
//!
//! The stream of an aggregate is named `<aggregate_type>-<aggregate_id>`.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec;
use crate::error::{Error, ErrorKind, Result};
use crate::types::{CodecId, Event, EventType, Metadata, NewEvent, Sequence, Timestamp, Version};

mod cache;
mod execute;
mod fields;
mod load;
mod pass;
mod repository;
mod restore;
#[cfg(test)]
mod tests;
mod upcast;
#[cfg(test)]
mod upcast_tests;

pub(crate) use execute::{CommandKey, RETRIES_MAX};
pub use execute::{Decision, ExecuteError, ExecuteOptions, Executed, command_hash};
pub use fields::{FieldValue, FlatFields};
pub use load::{AsOf, Loaded, LoadedFrom};
pub use repository::{Repository, Turn};
pub use restore::{RestoreCost, RestoreOptions, RestoreStats, RestoreVisitor, RestoreWay, restore_threads};
pub use upcast::{OnUnknown, UpcastPayload, Upcasters, UpcastersBuilder, upcast_events, upcast_with};

/// State that is made of the events of one stream.
pub trait Aggregate: Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Names the kind of aggregate; the first part of its streams' names. Without `-`, so that the name is told from the id.
    const AGGREGATE_TYPE: &'static str;
    /// The version of the state's shape. Snapshots of another one are passed over.
    const SCHEMA_VERSION: u16;
    /// How the state is encoded in a snapshot; snapshots in another codec are passed over.
    const CODEC: CodecId = CodecId::BINCODE;

    /// What can be asked of it. Its encoding by [`crate::codec`] is the content that a repeated command id is compared by.
    type Command: Serialize;
    /// What can have happened to it.
    type Event: DomainEvent;
    /// Why a command is not followed.
    type Refusal: std::error::Error + Send + Sync + 'static;

    /// The state before the first event.
    fn new(aggregate_id: &str) -> Self;

    /// What follows from `command` in this state at the time `now`; no events where all that is asked for is the case already.
    /// Pure: the same state, command and time give the same answer.
    ///
    /// # Errors
    /// The rule that says no.
    fn decide(&self, command: &Self::Command, now: Timestamp) -> Result<Vec<Self::Event>, Self::Refusal>;

    /// Takes in an event. Never fails: what is in the log has happened.
    fn apply(&mut self, event: &Self::Event, context: &EventContext);

    /// The state's bytes for a snapshot, in [`CODEC`](Self::CODEC).
    ///
    /// # Errors
    /// `InvalidInput`: it is too large.
    fn encode_state(&self) -> Result<Vec<u8>> {
        codec::encode(self)
    }

    /// The state that a snapshot's bytes are of.
    ///
    /// # Errors
    /// `UnknownPayload`: they are not the bytes of such a state.
    fn decode_state(bytes: &[u8]) -> Result<Self> {
        codec::decode(bytes)
    }
}

/// Where and when an event stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventContext {
    /// Its global place.
    pub sequence: Sequence,
    /// Its place in its stream.
    pub version: Version,
    /// When it was committed, in store time.
    pub timestamp: Timestamp,
}

impl From<&Event> for EventContext {
    fn from(event: &Event) -> Self {
        Self { sequence: event.sequence, version: event.version, timestamp: event.timestamp }
    }
}

/// A fact of an aggregate, and how it is written.
pub trait DomainEvent: Sized + Clone + Send + Sync + 'static {
    /// What kind of fact it is, such as `FundsDeposited`.
    fn event_type(&self) -> &'static str;

    /// The version of its payload's shape.
    fn schema_version(&self) -> u16 {
        1
    }

    /// How its payload is encoded.
    fn codec(&self) -> CodecId {
        CodecId::BINCODE
    }

    /// Its payload.
    ///
    /// # Errors
    /// `InvalidInput`: it is too large.
    fn encode(&self) -> Result<Vec<u8>>;

    /// The fact that was appended.
    ///
    /// # Errors
    /// `UnknownPayload`: of a type, schema version or codec that this program does not know (the text names them), or not the
    /// bytes of such a fact.
    fn decode(event: &Event) -> Result<Self>;
}

/// The error for an event whose type, schema version or codec its reader does not know.
#[must_use]
pub fn unknown_event(event: &Event) -> Error {
    Error::new(
        ErrorKind::UnknownPayload,
        format!(
            "event {} of stream {}: type {}, schema version {}, codec {} is not known to this program",
            event.sequence, event.stream, event.event_type, event.schema_version, event.codec.0
        ),
    )
}

/// The payload of an event of schema version `schema_version` in bincode.
///
/// # Errors
/// `UnknownPayload`: the event is of another schema version or codec, or its payload is not of a `T`.
pub fn decode_payload<T: DeserializeOwned>(event: &Event, schema_version: u16) -> Result<T> {
    if event.schema_version != schema_version || event.codec != CodecId::BINCODE {
        return Err(unknown_event(event));
    }
    codec::decode(&event.payload).map_err(|error| {
        error.context(format_args!("event {} of stream {}, {}", event.sequence, event.stream, event.event_type))
    })
}

/// Facts as they are given to a store, each with `metadata`.
///
/// # Errors
/// `InvalidInput`: an event is too large, or its type is no name.
pub fn new_events<E: DomainEvent>(events: &[E], metadata: &Metadata) -> Result<Vec<NewEvent>> {
    events
        .iter()
        .map(|event| {
            let event_type = EventType::new(event.event_type())?;
            Ok(NewEvent::new(event_type, event.codec(), event.encode()?)
                .with_schema_version(event.schema_version())
                .with_metadata(metadata.clone()))
        })
        .collect()
}
