//! Loading: a snapshot and the events since, or all events.

use std::fmt;

use super::{Aggregate, EventContext, Repository};
use crate::error::Result;
use crate::snapshot::Snapshot;
use crate::types::{Event, Sequence, Timestamp, Version};

/// What a state was made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadedFrom {
    /// The snapshot with this id, and the events since.
    Snapshot(String),
    /// All events.
    Beginning,
}

/// The snapshot's id, or `beginning`.
impl fmt::Display for LoadedFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Snapshot(snapshot_id) => f.write_str(snapshot_id),
            Self::Beginning => f.write_str("beginning"),
        }
    }
}

/// A point in the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AsOf {
    /// When this was the last sequence of the store.
    Sequence(Sequence),
    /// When the aggregate was at this version.
    Version(Version),
    /// At this time.
    Time(Timestamp),
}

/// An aggregate's state, and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded<A> {
    /// The state.
    pub state: A,
    /// The version of the last event in it; zero where it has none.
    pub version: Version,
    /// The sequence of that event; zero where it has none.
    pub last_event_sequence: Sequence,
    /// What it was made from.
    pub loaded_from: LoadedFrom,
    /// Events that were read and applied to make it.
    pub events_replayed: u64,
    /// The version of the newest snapshot that was made or used for it; zero where there is none.
    pub snapshot_version: Version,
}

impl<A: Aggregate> Loaded<A> {
    pub(super) fn beginning(aggregate_id: &str) -> Self {
        Self {
            state: A::new(aggregate_id),
            version: Version::ZERO,
            last_event_sequence: Sequence::ZERO,
            loaded_from: LoadedFrom::Beginning,
            events_replayed: 0,
            snapshot_version: Version::ZERO,
        }
    }

    /// The state in `snapshot`, if this program can read it.
    pub(super) fn from_snapshot(snapshot: &Snapshot) -> Option<Self> {
        let passed_over = |reason: &str| {
            tracing::warn!(snapshot_id = snapshot.snapshot_id, reason, "a snapshot is passed over");
            None
        };
        if snapshot.schema_version != A::SCHEMA_VERSION || snapshot.codec != A::CODEC {
            return passed_over("it is of another schema version or codec");
        }
        match A::decode_state(&snapshot.state) {
            Ok(state) => Some(Self {
                state,
                version: snapshot.last_event_version,
                last_event_sequence: snapshot.last_event_sequence,
                loaded_from: LoadedFrom::Snapshot(snapshot.snapshot_id.clone()),
                events_replayed: 0,
                snapshot_version: snapshot.last_event_version,
            }),
            Err(error) => passed_over(&error.to_string()),
        }
    }

    /// Takes in an event that was read.
    fn replay(&mut self, event: &Event, fact: &A::Event) {
        assert_eq!(event.version, self.version.next(), "a stream is read without gaps");
        self.advance(fact, &EventContext::from(event));
        self.events_replayed = self.events_replayed.saturating_add(1);
    }

    pub(super) fn advance(&mut self, fact: &A::Event, context: &EventContext) {
        assert!(context.sequence > self.last_event_sequence, "a stream's sequences increase");
        self.state.apply(fact, context);
        self.version = context.version;
        self.last_event_sequence = context.sequence;
    }
}

impl<A: Aggregate> Repository<A> {
    /// The state now: the newest readable snapshot and the events since, else all events. An aggregate that has no event is
    /// given in its first state, at version zero.
    ///
    /// # Errors
    /// `InvalidInput`: the id makes no stream's name. `UnknownPayload`: an event cannot be read by this program. `Corrupt`,
    /// `Io`, `Closed`: the store's.
    pub fn load(&self, aggregate_id: &str) -> Result<Loaded<A>> {
        let stream = Self::stream(aggregate_id)?;
        // Where a snapshot is of the stream's very end, two look-ups are all: no pointer to it is searched for, and no event.
        let head = self.store().stream_head(&stream)?;
        let last = head.and_then(|head| self.store().snapshot_at(A::AGGREGATE_TYPE, aggregate_id, head));
        if let Some(loaded) = last.as_ref().and_then(Loaded::from_snapshot) {
            return Ok(loaded);
        }
        self.load_within(aggregate_id, Sequence::MAX, Version::MAX)
    }

    /// The state now, made from all events; snapshots are not looked at.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_full(&self, aggregate_id: &str) -> Result<Loaded<A>> {
        self.replay_onto(Loaded::beginning(aggregate_id), aggregate_id, Sequence::MAX, Version::MAX)
    }

    /// The state as it was at a point in the past, made of the events up to and with that point, also where it lies within a
    /// commit. A point beyond the end is the end.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_as_of(&self, aggregate_id: &str, as_of: AsOf) -> Result<Loaded<A>> {
        match as_of {
            AsOf::Sequence(sequence) => self.load_within(aggregate_id, sequence, Version::MAX),
            AsOf::Version(version) => self.load_within(aggregate_id, Sequence::MAX, version),
            AsOf::Time(time) => self.load_within(aggregate_id, self.store().sequence_at(time)?, Version::MAX),
        }
    }

    /// As [`load_as_of`](Self::load_as_of), made from all events up to there; snapshots are not looked at.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_full_as_of(&self, aggregate_id: &str, as_of: AsOf) -> Result<Loaded<A>> {
        let (sequence, version) = match as_of {
            AsOf::Sequence(sequence) => (sequence, Version::MAX),
            AsOf::Version(version) => (Sequence::MAX, version),
            AsOf::Time(time) => (self.store().sequence_at(time)?, Version::MAX),
        };
        self.replay_onto(Loaded::beginning(aggregate_id), aggregate_id, sequence, version)
    }

    /// The state now, from this snapshot and the events since; as [`load`](Self::load) where it cannot be used.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_from(&self, aggregate_id: &str, snapshot: &Snapshot) -> Result<Loaded<A>> {
        let start = self.start_from(Some(snapshot), aggregate_id, Sequence::MAX, Version::MAX);
        self.replay_onto(start, aggregate_id, Sequence::MAX, Version::MAX)
    }

    fn load_within(&self, aggregate_id: &str, sequence_max: Sequence, version_max: Version) -> Result<Loaded<A>> {
        let start = self.start_from(None, aggregate_id, sequence_max, version_max);
        self.replay_onto(start, aggregate_id, sequence_max, version_max)
    }

    /// The state that later events are to be applied to: of the snapshot at hand if it can be used, else of the newest one that
    /// can, else the first state.
    pub(super) fn start_from(
        &self,
        at_hand: Option<&Snapshot>,
        aggregate_id: &str,
        sequence_max: Sequence,
        version_max: Version,
    ) -> Loaded<A> {
        let is_usable = |snapshot: &&Snapshot| {
            snapshot.last_event_sequence <= sequence_max && snapshot.last_event_version <= version_max
        };
        let is_of_it = |snapshot: &&Snapshot| {
            snapshot.aggregate_type == A::AGGREGATE_TYPE && snapshot.aggregate_id == aggregate_id
        };
        if let Some(start) = at_hand.filter(is_usable).filter(is_of_it).and_then(Loaded::from_snapshot) {
            return start;
        }
        // A snapshot is a cache, so one that cannot be looked up costs time and nothing else.
        let snapshots = self.store().snapshots(A::AGGREGATE_TYPE, aggregate_id, sequence_max).unwrap_or_else(|error| {
            tracing::warn!(aggregate_type = A::AGGREGATE_TYPE, aggregate_id, %error, "snapshots cannot be read");
            Vec::new()
        });
        let usable = snapshots.iter().filter(is_usable).find_map(Loaded::from_snapshot);
        usable.unwrap_or_else(|| Loaded::beginning(aggregate_id))
    }

    pub(super) fn replay_onto(
        &self,
        mut loaded: Loaded<A>,
        aggregate_id: &str,
        sequence_max: Sequence,
        version_max: Version,
    ) -> Result<Loaded<A>> {
        if loaded.version >= version_max {
            return Ok(loaded);
        }
        let stream = Self::stream(aggregate_id)?;
        for event in self.store().read_stream(&stream, loaded.version.next()..=version_max) {
            let event = event?;
            if event.sequence > sequence_max {
                break;
            }
            loaded.replay(&event, &self.decode_event(&event)?);
        }
        Ok(loaded)
    }
}
