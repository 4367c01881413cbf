//! A saga being worked on: what is on record, and what is put on record with the next commit.
//!
//! Invariants: `ahead` is `base` with all of `pending` applied; every commit names the version of `base`.

use super::load::stream_of;
use super::work::Effect;
use super::{Command, LoadedSaga, Saga, Work, load};
use crate::aggregate::{DomainEvent, new_events};
use crate::error::{Error, ErrorKind, Result};
use crate::store::{Commit, Durability, Store};
use crate::types::{ExpectedVersion, Metadata, Receipt, Sequence, StreamId, Timestamp};

/// See the module.
pub(super) struct Draft<S: Saga> {
    saga_id: String,
    pub(super) base: LoadedSaga<S>,
    pub(super) ahead: LoadedSaga<S>,
    pending: Vec<S::Event>,
    /// The command that this draft has published and not sent yet.
    pub(super) to_send: Option<Command>,
}

impl<S: Saga> Draft<S> {
    /// # Errors
    /// As [`load`].
    pub(super) fn load(store: &Store, saga_id: &str) -> Result<Self> {
        let base = load::<S>(store, saga_id)?;
        let ahead = base.clone();
        Ok(Self { saga_id: saga_id.to_owned(), base, ahead, pending: Vec::new(), to_send: None })
    }

    /// Starts again from what is on record.
    ///
    /// # Errors
    /// As [`load`].
    pub(super) fn reload(&mut self, store: &Store) -> Result<()> {
        *self = Self::load(store, &self.saga_id)?;
        Ok(())
    }

    pub(super) fn stream(&self) -> Result<StreamId> {
        stream_of::<S>(&self.saga_id)
    }

    /// Adds events to the next commit.
    pub(super) fn push(&mut self, events: Vec<S::Event>, now: Timestamp) {
        for event in events {
            self.ahead.advance(&event, Sequence::MAX, now);
            self.pending.push(event);
        }
    }

    pub(super) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// The saga with these events after what is pending.
    pub(super) fn after(&self, events: &[S::Event], now: Timestamp) -> LoadedSaga<S> {
        let mut after = self.ahead.clone();
        for event in events {
            after.advance(event, Sequence::MAX, now);
        }
        after
    }

    /// Puts on record what is pending, and `work` with it. After an error what was pending still is.
    ///
    /// # Errors
    /// As [`Store::commit`]; `InvalidInput`: the work appends to the saga's own stream beside its events.
    pub(super) fn commit(
        &mut self,
        store: &Store,
        mut work: Work<S::Event>,
        durability: Option<Durability>,
    ) -> Result<()> {
        let stream = self.stream()?;
        let own = work.appends.iter().any(|append| append.stream == stream)
            || work.effects.iter().any(|effect| *effect.stream() == stream);
        if own {
            let text = format!("{stream}: events of the saga itself are added as such, not as another stream's");
            return Err(Error::new(ErrorKind::InvalidInput, text));
        }
        // Everything that a saga causes is found by its id.
        let metadata = Metadata { correlation_id: Some(self.saga_id.clone()), ..Metadata::default() };
        let events: Vec<S::Event> = self.pending.iter().cloned().chain(std::mem::take(&mut work.events)).collect();
        assert!(!events.is_empty(), "whoever commits has something to put on record");
        let expected = ExpectedVersion::Exact(self.base.version);
        let mut commit = Commit::new().append(&stream, expected, new_events(&events, &metadata)?);
        for append in std::mem::take(&mut work.appends) {
            commit = commit.append(&append.stream, append.expected, append.events);
        }
        for effect in &mut work.effects {
            commit = effect.add_to(commit, &metadata)?;
        }
        // What goes on with a saga that is on record brings it to its end; on a full disk only new ones are refused.
        commit = commit.may_use_reserve();
        if let Some(durability) = durability {
            commit = commit.durability(durability);
        }
        match store.commit(commit) {
            Ok(receipt) => self.committed(events, work.effects, &receipt),
            Err(error) => {
                work.effects.iter().for_each(|effect| effect.forget());
                Err(error)
            }
        }
    }

    fn committed(&mut self, events: Vec<S::Event>, effects: Vec<Box<dyn Effect>>, receipt: &Receipt) -> Result<()> {
        assert!(!receipt.is_repeat, "a commit without an idempotency key is never a repeat");
        let mut sequence = receipt.sequence_first;
        for event in &events {
            self.base.advance(event, sequence, receipt.timestamp);
            sequence = sequence.next();
        }
        self.ahead.clone_from(&self.base);
        self.pending.clear();
        effects.into_iter().try_for_each(|effect| effect.committed(receipt))
    }
}

/// Whether two lists of events say the same.
///
/// # Errors
/// `InvalidInput`: an event is too large.
pub(super) fn are_same<E: DomainEvent>(some: &[E], others: &[E]) -> Result<bool> {
    if some.len() != others.len() {
        return Ok(false);
    }
    for (one, other) in some.iter().zip(others) {
        if one.event_type() != other.event_type() || one.encode()? != other.encode()? {
            return Ok(false);
        }
    }
    Ok(true)
}
