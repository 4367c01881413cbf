//! Sagas: processes of several steps, each with an effect, that end as a whole or are undone as a whole.
//!
//! A [`Saga`] is pure. Its state is made of its own stream's events alone, and [`next`](Saga::next) says what is to be done in
//! that state at that time. A [`SagaHandler`] carries an action out; the [`SagaDriver`] does everything that must not be
//! done wrong:
//!
//! - *Write the intent, then act.* A command to the outside is on record, durably and at the version that it was decided on,
//!   before the handler gets to send it: it is given a [`Published`], which only the driver can make. What came of it is put
//!   on record too. Published and not answered is a state of the log ([`unanswered`](Saga::unanswered)): the log is the outbox.
//!   After a crash the handler is asked what became of the command, under the same idempotency key.
//! - What is inside the store needs no intent: the saga's events and those of other streams are one commit.
//! - Every commit names the versions it rests on. Two that work on one saga, threads or recoveries, cannot both publish; the
//!   slower one decides anew.
//! - Timers are events, or follow from events; nothing sleeps in memory. The [`Agenda`] of open sagas and due times is a list
//!   that the log makes again. Whatever is due is looked at with `next`, so that a deadline that was dealt with does nothing.
//!
//! [`SagaDriver::poll`] does what is due and never sleeps; a [`Runner`] is a thread that polls.

use crate::aggregate::{DomainEvent, EventContext};
use crate::types::Timestamp;

mod agenda;
mod command;
mod draft;
mod driver;
mod load;
mod point;
mod poll;
mod runner;
#[cfg(test)]
mod tests;
mod watch;
mod work;

pub use agenda::Agenda;
pub use command::{Command, Published};
pub use driver::{SagaDriver, SagaHandler, SagaOptions, SagaProgress};
pub use load::{LoadedSaga, load};
pub(crate) use poll::{Looked, PollLimits, poll_with};
pub use poll::{PollReport, SagaFailure};
pub use runner::{Bell, Poller, Runner, RunnerOptions};
pub(crate) use watch::{Watch, open_since};
pub use work::Work;

/// A process, as its own stream tells it. Its stream is named `<SAGA_TYPE>-<saga_id>`.
///
/// All of it is pure. A state that is made of the same events is the same, on any machine and at any time.
pub trait Saga: Clone + Send + Sync + 'static {
    /// Names the kind of saga; the first part of its streams' names. Without `-`, so that the name is told from the id.
    const SAGA_TYPE: &'static str;

    /// What can happen to it.
    type Event: DomainEvent;
    /// What can be to do.
    type Action;
    /// What is decided by beside the state, such as retries and limits.
    type Policy: Send + Sync + 'static;

    /// The state before the first event.
    fn new(saga_id: &str) -> Self;

    /// Takes in an event. Never fails: what is in the log has happened. Of an event that is not on record yet the sequence in
    /// `context` is the greatest there is, and the time that of the decision. An answer that comes twice, or late, must change
    /// nothing that is settled.
    fn apply(&mut self, event: &Self::Event, context: &EventContext);

    /// What is to be done in this state at the time `now`. Not asked before the first event, nor while a command is
    /// [unanswered](Self::unanswered).
    fn next(&self, now: Timestamp, policy: &Self::Policy) -> Next<Self::Action>;

    /// The command that is on record as published while nothing on record says what came of it, not even that nobody knows.
    /// At most one at a time.
    fn unanswered(&self) -> Option<Command>;

    /// What an event of this type says about whether its saga is over. It must need no payload: the agenda is made by
    /// looking at types alone.
    fn type_meaning(event_type: &str) -> TypeMeaning;
}

/// What is to be done next with a saga.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next<A> {
    /// Nothing: it is over, and an event that [ends](TypeMeaning::Ends) it is on record.
    Done,
    /// Nothing until an event comes from elsewhere, such as a person's decision; this is why.
    Parked(String),
    /// Nothing before this time, which is later than now.
    WaitUntil(Timestamp),
    /// This.
    Act(A),
}

/// What a type of event says about whether its saga is over, without its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TypeMeaning {
    /// It is open from here on: its first event, or one that finds something left to do in a saga that was over.
    Begins,
    /// It is over, as far as is known.
    Ends,
    /// It says nothing about that.
    Neither,
}
