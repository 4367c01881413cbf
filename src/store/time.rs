//! The store's time: whether its clock is believed, who accepted it, and what became of deadlines while the store was closed.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::options::DeadlinesAfterStep;
use super::{Commit, Store};
use crate::clock::{ClockState, ClockStep};
use crate::codec;
use crate::error::{Error, ErrorKind, Result};
use crate::types::{CodecId, Event, EventType, ExpectedVersion, Metadata, NewEvent, StreamId, Timestamp};

/// On record in the stream [`STREAM`](Self::STREAM) when an operator has a clock believed that had jumped ahead. The operator
/// is the event's actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockAccepted {
    /// Store time before.
    pub from: Timestamp,
    /// What the clock showed.
    pub to: Timestamp,
}

impl ClockAccepted {
    /// The stream's name.
    pub const STREAM: &str = "system-clock";
    /// The event's type.
    pub const EVENT_TYPE: &str = "ClockAccepted";

    /// The fact in an event.
    ///
    /// # Errors
    /// `UnknownPayload`: of another type, schema version or codec.
    pub fn decode(event: &Event) -> Result<Self> {
        let is_known = event.event_type.as_str() == Self::EVENT_TYPE && event.schema_version == 1;
        if !is_known || event.codec != CodecId::BINCODE {
            let text = format!("{} of schema version {}", event.event_type, event.schema_version);
            return Err(Error::new(ErrorKind::UnknownPayload, text));
        }
        codec::decode(&event.payload)
    }

    fn into_event(self, operator: &str) -> Result<NewEvent> {
        let metadata = Metadata { actor: Some(operator.to_owned()), ..Metadata::default() };
        let event = NewEvent::new(EventType::new(Self::EVENT_TYPE)?, CodecId::BINCODE, codec::encode(&self)?);
        Ok(event.with_metadata(metadata))
    }
}

impl Store {
    /// Whether the clock is believed now. Looks at the clock, so that a jump is seen here too, with no commit since.
    #[must_use]
    pub fn clock_state(&self) -> ClockState {
        let shared = self.shared();
        shared.time.state(shared.options.clock.as_ref(), shared.places.timestamp())
    }

    /// Has a clock believed that is [`Suspect`](ClockState::Suspect), after somebody has looked at it: store time goes on by what
    /// it shows now. Returns how far store time moved ahead, which is what deadlines are to be put off by where
    /// [`DeadlinesAfterStep::Extend`] is wanted. Nothing is done where the clock is believed already.
    ///
    /// The operator is put on record by a [`ClockAccepted`] event, durable before store time moves. Store time never goes back:
    /// a clock that was accepted and is wrong after all makes it stand still when it is set right.
    ///
    /// # Errors
    /// `InvalidInput`: no operator is named, or the name is too long. Those of [`commit`](Store::commit); the clock stays
    /// suspect then.
    pub fn accept_clock(&self, operator: &str) -> Result<Duration> {
        if operator.trim().is_empty() {
            return Err(Error::new(ErrorKind::InvalidInput, "whoever accepts a clock must be named"));
        }
        let ClockState::Suspect { ahead_by, .. } = self.clock_state() else { return Ok(Duration::ZERO) };
        let shared = self.shared();
        let from = self.now();
        let accepted = ClockAccepted { from, to: from.plus(ahead_by) };
        let stream = StreamId::new(ClockAccepted::STREAM)?;
        let commit = Commit::new().append(&stream, ExpectedVersion::Any, vec![accepted.into_event(operator)?]);
        self.commit(commit.durability(super::Durability::Sync).may_use_reserve())?;
        let moved = shared.time.accept(shared.options.clock.as_ref(), shared.places.timestamp());
        tracing::warn!(operator, seconds = moved.as_secs(), "the clock was accepted");
        Ok(moved)
    }

    /// By how much deadlines that lie before the point of no return are to be put off, because the clock had moved so far since
    /// the last commit when the store was opened. Zero where that was less than
    /// [`Options::open_step_report_min`](crate::Options::open_step_report_min), where the clock was behind, under
    /// [`DeadlinesAfterStep::Expire`], and in a store that is open to read.
    #[must_use]
    pub fn deadline_extension(&self) -> Duration {
        let shared = self.shared();
        match (shared.options.deadlines_after_step, shared.report.clock_step) {
            (DeadlinesAfterStep::Extend, Some(ClockStep::Ahead(step))) if shared.writer.is_some() => step,
            _ => Duration::ZERO,
        }
    }
}
