//! Loading: a saga is made of all its events, and of nothing else.

use super::{Saga, TypeMeaning};
use crate::aggregate::{DomainEvent, EventContext};
use crate::error::Result;
use crate::store::Store;
use crate::types::{Sequence, StreamId, Timestamp, Version};

/// A saga's state, and how far it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadedSaga<S> {
    /// The state.
    pub saga: S,
    /// The version of the last event in it; zero where there is no such saga.
    pub version: Version,
    /// The sequence of that event; zero where there is none.
    pub last_event_sequence: Sequence,
    /// When that event was committed, in store time.
    pub last_event_time: Timestamp,
    /// Whether the last event that tells says that it is over.
    pub is_over: bool,
}

impl<S: Saga> LoadedSaga<S> {
    /// Before the first event.
    pub(super) fn beginning(saga_id: &str) -> Self {
        Self {
            saga: S::new(saga_id),
            version: Version::ZERO,
            last_event_sequence: Sequence::ZERO,
            last_event_time: Timestamp::EPOCH,
            is_over: false,
        }
    }

    /// Takes in the next event.
    pub(super) fn advance(&mut self, event: &S::Event, sequence: Sequence, timestamp: Timestamp) {
        let version = self.version.next();
        self.saga.apply(event, &EventContext { sequence, version, timestamp });
        self.version = version;
        self.last_event_sequence = sequence;
        self.last_event_time = timestamp;
        match S::type_meaning(event.event_type()) {
            TypeMeaning::Begins => self.is_over = false,
            TypeMeaning::Ends => self.is_over = true,
            TypeMeaning::Neither => {}
        }
    }
}

/// A saga as it is on record; at version zero if there is none with this id.
///
/// # Errors
/// `InvalidInput`: the id makes no stream's name. `UnknownPayload`: an event is of a type or schema version that this program
/// does not know, which the text names, or its payload is not of such an event. `Corrupt`, `Io`, `Closed`: the store's.
pub fn load<S: Saga>(store: &Store, saga_id: &str) -> Result<LoadedSaga<S>> {
    let mut loaded = LoadedSaga::beginning(saga_id);
    for event in store.read_stream(&stream_of::<S>(saga_id)?, ..) {
        let event = event?;
        assert_eq!(event.version, loaded.version.next(), "a stream is read without gaps");
        loaded.advance(&S::Event::decode(&event)?, event.sequence, event.timestamp);
    }
    Ok(loaded)
}

/// A saga's stream.
///
/// # Errors
/// `InvalidInput`: the id makes no stream's name.
pub(crate) fn stream_of<S: Saga>(saga_id: &str) -> Result<StreamId> {
    StreamId::of(S::SAGA_TYPE, saga_id)
}
