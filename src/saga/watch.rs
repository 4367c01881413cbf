//! The agenda kept up by following the log: whoever begins, moves or ends a saga, the log tells.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use super::agenda::{Agenda, Taken};
use super::runner::Bell;
use super::{LoadedSaga, Next, Saga};
use crate::error::Result;
use crate::store::Store;
use crate::sync::Mutex;
use crate::types::{Sequence, Timestamp};

#[derive(Debug, Default)]
struct State {
    agenda: Agenda,
    /// Events up to here are in the agenda; `None`: it was not begun.
    seen: Option<Sequence>,
}

impl State {
    fn follow<S: Saga>(&mut self, store: &Store) -> Result<Sequence> {
        let Self { agenda, seen } = self;
        let seen = seen.get_or_insert(Sequence::ZERO);
        let end = store.last_sequence();
        if *seen < end {
            store.visit(seen.next()..=end, |event| {
                if let Some(saga_id) = saga_id_of::<S>(event.stream) {
                    agenda.note(saga_id, S::type_meaning(event.event_type), event.sequence, event.timestamp);
                }
                *seen = event.sequence;
                Ok(ControlFlow::Continue(()))
            })?;
        }
        Ok(*seen)
    }
}

/// An agenda that is shared by threads.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    state: Mutex<State>,
    pub(super) bell: Bell,
}

impl Watch {
    pub(crate) fn is_seeded(&self) -> bool {
        self.state.lock().seen.is_some()
    }

    /// Begins anew: open are `known_open`, which are due at once, and what the events after `from` say.
    pub(crate) fn seed<'a>(&self, from: Sequence, known_open: impl IntoIterator<Item = &'a String>) {
        let mut state = self.state.lock();
        let mut agenda = Agenda::default();
        for saga_id in known_open {
            agenda.add(saga_id, Sequence::ZERO, Timestamp::EPOCH);
        }
        *state = State { agenda, seen: Some(from) };
    }

    /// Takes note of all events that it has not seen. Looks at types alone. One thread at a time.
    ///
    /// # Errors
    /// `Corrupt`, `Io`: the store's. What was seen by then is kept.
    pub(crate) fn follow<S: Saga>(&self, store: &Store) -> Result<Sequence> {
        self.state.lock().follow::<S>(store)
    }

    /// As [`follow`](Self::follow), with the sagas that are open then.
    ///
    /// # Errors
    /// As [`follow`](Self::follow).
    pub(super) fn follow_and_list<S: Saga>(&self, store: &Store) -> Result<(Sequence, BTreeSet<String>)> {
        let mut state = self.state.lock();
        let seen = state.follow::<S>(store)?;
        Ok((seen, state.agenda.open().map(|(saga_id, _)| saga_id.to_owned()).collect()))
    }

    /// Takes the saga that has been due the longest. Where it is not given back it is due again at `retry_at`.
    pub(crate) fn take_due(&self, now: Timestamp, retry_at: Timestamp) -> Option<Claimed<'_>> {
        let taken = self.state.lock().agenda.take_due(now)?;
        Some(Claimed { watch: self, taken, outcome: Outcome::Open { covered: Sequence::ZERO, due: Some(retry_at) } })
    }

    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.state.lock().agenda.next_due()
    }

    /// The open sagas, each with its due time.
    pub(crate) fn open(&self) -> BTreeMap<String, Option<Timestamp>> {
        self.state.lock().agenda.open().map(|(saga_id, due)| (saga_id.to_owned(), due)).collect()
    }

    /// Leaves a saga alone until an event of it comes.
    pub(crate) fn hold_back(&self, saga_id: &str) {
        self.state.lock().agenda.set(saga_id, Sequence::ZERO, None);
    }

    /// Sets the due time of an open saga by what its state says.
    pub(crate) fn appraise<S: Saga>(&self, saga_id: &str, loaded: &LoadedSaga<S>, next: &Next<S::Action>) {
        let due = match next {
            Next::Parked(_) => None,
            Next::WaitUntil(due) => Some(*due),
            Next::Done | Next::Act(_) => Some(loaded.last_event_time),
        };
        self.state.lock().agenda.set(saga_id, loaded.last_event_sequence, due);
    }

    /// There may be work.
    pub(crate) fn ring(&self) {
        self.bell.ring();
    }
}

/// The id of the saga whose stream this is.
pub(crate) fn saga_id_of<S: Saga>(stream: &str) -> Option<&str> {
    stream.strip_prefix(S::SAGA_TYPE)?.strip_prefix('-')
}

#[derive(Debug)]
enum Outcome {
    Over,
    Open { covered: Sequence, due: Option<Timestamp> },
}

/// A saga in one thread's hands, given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Claimed<'a> {
    watch: &'a Watch,
    taken: Taken,
    outcome: Outcome,
}

impl Claimed<'_> {
    pub(crate) fn saga_id(&self) -> &str {
        &self.taken.saga_id
    }

    /// It is over.
    pub(crate) fn end(mut self) {
        self.outcome = Outcome::Over;
    }

    /// It was looked at with the event `covered`, and is to be looked at again at `due`, or when an event comes.
    pub(crate) fn put_back(mut self, covered: Sequence, due: Option<Timestamp>) {
        self.outcome = Outcome::Open { covered, due };
    }
}

impl Drop for Claimed<'_> {
    fn drop(&mut self) {
        let agenda = &mut self.watch.state.lock().agenda;
        match self.outcome {
            Outcome::Over => agenda.end(&self.taken),
            Outcome::Open { covered, due } => agenda.put_back(&self.taken, covered, due),
        }
    }
}
