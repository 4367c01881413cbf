//! What an action comes to: events, effects on other streams, and at most one command to the outside.

use std::fmt;

use super::Command;
use crate::aggregate::{Aggregate, Decision, Repository};
use crate::error::Result;
use crate::store::{Commit, StreamAppend};
use crate::types::{ExpectedVersion, Metadata, NewEvent, Receipt, StreamId};

/// An effect on an aggregate of the same store, decided and not yet committed.
pub(super) trait Effect: Send {
    fn stream(&self) -> &StreamId;

    /// # Errors
    /// `InvalidInput`: an event is too large.
    fn add_to(&mut self, commit: Commit, metadata: &Metadata) -> Result<Commit>;

    /// # Errors
    /// Those of loading it.
    fn committed(self: Box<Self>, receipt: &Receipt) -> Result<()>;

    /// It was decided on something that is past.
    fn forget(&self);
}

struct Decided<A: Aggregate> {
    repository: Repository<A>,
    decision: Decision<A>,
}

impl<A: Aggregate> Effect for Decided<A> {
    fn stream(&self) -> &StreamId {
        self.decision.stream()
    }

    fn add_to(&mut self, commit: Commit, metadata: &Metadata) -> Result<Commit> {
        self.decision.add_to(commit, metadata)
    }

    fn committed(self: Box<Self>, receipt: &Receipt) -> Result<()> {
        self.repository.committed(self.decision, receipt).map(drop)
    }

    fn forget(&self) {
        self.repository.forget(self.decision.aggregate_id());
    }
}

/// What an action comes to; all of it is one commit, or is not. At least one event of the saga must be in it.
#[must_use = "work does nothing until a driver carries it out"]
pub struct Work<E> {
    pub(super) events: Vec<E>,
    pub(super) appends: Vec<StreamAppend>,
    pub(super) effects: Vec<Box<dyn Effect>>,
    pub(super) command: Option<Command>,
}

impl<E: fmt::Debug> fmt::Debug for Work<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let streams: Vec<&StreamId> = self.effects.iter().map(|effect| effect.stream()).collect();
        f.debug_struct("Work")
            .field("events", &self.events)
            .field("appends", &self.appends)
            .field("effects", &streams)
            .field("command", &self.command)
            .finish()
    }
}

impl<E> Default for Work<E> {
    fn default() -> Self {
        Self { events: Vec::new(), appends: Vec::new(), effects: Vec::new(), command: None }
    }
}

impl<E> Work<E> {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with this event of the saga after those before it.
    pub fn event(mut self, event: E) -> Self {
        self.events.push(event);
        self
    }

    /// The same with these events of another stream, which must be like `expected`.
    pub fn append(mut self, stream: &StreamId, expected: ExpectedVersion, events: Vec<NewEvent>) -> Self {
        self.appends.push(StreamAppend { stream: stream.clone(), expected, events });
        self
    }

    /// The same with what was decided for an aggregate. Where the aggregate has moved on meanwhile, the action is decided anew.
    pub fn effect<A: Aggregate>(mut self, repository: &Repository<A>, decision: Decision<A>) -> Self {
        self.effects.push(Box::new(Decided { repository: repository.clone(), decision }));
        self
    }

    /// The same with a command to the outside. `intent` is the event that makes the saga
    /// [name it as unanswered](super::Saga::unanswered); it is durable before the command is sent. The last one counts.
    pub fn publish(mut self, command: Command, intent: E) -> Self {
        self.events.push(intent);
        self.command = Some(command);
        self
    }

    /// Whether it can wait for the next commit.
    pub(super) fn is_events_only(&self) -> bool {
        self.command.is_none() && self.effects.is_empty() && self.appends.is_empty()
    }
}
