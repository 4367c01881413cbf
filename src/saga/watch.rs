//! The agenda kept up by following the log: whoever begins, moves or ends a saga, the log tells.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use super::agenda::{Agenda, Taken};
use super::runner::Bell;
use super::{LoadedSaga, Next, Saga};
use crate::error::Result;
use crate::store::Store;
use crate::sync::{AtomicBool, Mutex, Ordering};
use crate::types::{Sequence, Timestamp};

#[derive(Debug, Default)]
struct State {
    agenda: Agenda,
    /// Events up to here are in the agenda.
    seen: Sequence,
    /// The sagas that polls look at just now. An agenda that is made anew does not know them.
    claimed: BTreeSet<String>,
}

impl State {
    fn follow<S: Saga>(&mut self, store: &Store) -> Result<Sequence> {
        let Self { agenda, seen, .. } = self;
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
    /// Whether there is an agenda at all. Where nobody polls, nothing here costs anything.
    is_seeded: AtomicBool,
    /// The sagas that threads carry on by themselves. Locked after `state`, where both are.
    held: Mutex<BTreeMap<String, Held>>,
    bell: Bell,
}

/// A saga in the hands of threads that carry it on by themselves.
#[derive(Debug, Default)]
struct Held {
    threads: u32,
    /// It was due meanwhile, and left to them.
    was_due: bool,
}

impl Watch {
    pub(crate) fn is_seeded(&self) -> bool {
        self.is_seeded.load(Ordering::Acquire)
    }

    /// Begins anew: open are `known_open`, which are due at once, and what the events after `from` say. What a poll looks at just now
    /// stays in its hands.
    pub(crate) fn seed<'a>(&self, from: Sequence, known_open: impl IntoIterator<Item = &'a String>) {
        let mut state = self.state.lock();
        let mut agenda = Agenda::default();
        for saga_id in known_open {
            agenda.add(saga_id, Sequence::ZERO, Timestamp::EPOCH);
        }
        (state.agenda, state.seen) = (agenda, from);
        self.is_seeded.store(true, Ordering::Release);
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
        let mut state = self.state.lock();
        loop {
            let taken = state.agenda.take_due(now)?;
            match self.held.lock().get_mut(&taken.saga_id) {
                Some(held) => held.was_due = true,
                // Whoever looks at it gives it back, and with it what came meanwhile.
                None if state.claimed.contains(&taken.saga_id) => {}
                None => {
                    state.claimed.insert(taken.saga_id.clone());
                    let outcome = Outcome::Open { covered: Sequence::ZERO, due: Some(retry_at) };
                    return Some(Claimed { watch: self, taken, outcome });
                }
            }
            state.agenda.put_back(&taken, Sequence::ZERO, None);
        }
    }

    /// Keeps a poll from a saga that the caller carries on, so that it does not ask about a command that is just being sent. A
    /// courtesy and no lock; without an agenda it is nothing.
    pub(crate) fn hold(&self, saga_id: &str) -> Option<Hold<'_>> {
        if !self.is_seeded() {
            return None;
        }
        self.held.lock().entry(saga_id.to_owned()).or_default().threads += 1;
        Some(Hold { watch: self, saga_id: saga_id.to_owned() })
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

    pub(crate) fn bell(&self) -> &Bell {
        &self.bell
    }

    /// There may be work.
    pub(crate) fn ring(&self) {
        self.bell.ring();
    }
}

/// See [`Watch::hold`]. Ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Hold<'a> {
    watch: &'a Watch,
    saga_id: String,
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        let was_due = {
            let mut held = self.watch.held.lock();
            let Some(by) = held.get_mut(&self.saga_id) else { return };
            by.threads -= 1;
            if by.threads > 0 {
                return;
            }
            held.remove(&self.saga_id).is_some_and(|held| held.was_due)
        };
        if was_due {
            self.watch.state.lock().agenda.set(&self.saga_id, Sequence::ZERO, Some(Timestamp::EPOCH));
            self.watch.ring();
        }
    }
}

/// The sagas that are not over, by id: those of `known_open`, and those begun after `from`, less those that ended after `from`.
/// Reads types alone, no payloads.
///
/// # Errors
/// `Corrupt`, `Io`, `Closed`: the store's.
pub(crate) fn open_since<S: Saga>(
    store: &Store,
    from: Sequence,
    known_open: &BTreeSet<String>,
) -> Result<BTreeSet<String>> {
    let watch = Watch::default();
    watch.seed(from, known_open);
    watch.follow::<S>(store)?;
    Ok(watch.open().into_keys().collect())
}

/// The id of the saga whose stream this is.
pub(crate) fn saga_id_of<S: Saga>(stream: &str) -> Option<&str> {
    stream.strip_prefix(S::SAGA_TYPE)?.strip_prefix('-')
}

#[derive(Debug)]
enum Outcome {
    Over { covered: Sequence },
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

    /// It was over with the event `covered`.
    pub(crate) fn end(mut self, covered: Sequence) {
        self.outcome = Outcome::Over { covered };
    }

    /// It was looked at with the event `covered`, and is to be looked at again at `due`, or when an event comes.
    pub(crate) fn put_back(mut self, covered: Sequence, due: Option<Timestamp>) {
        self.outcome = Outcome::Open { covered, due };
    }
}

impl Drop for Claimed<'_> {
    fn drop(&mut self) {
        let State { agenda, claimed, .. } = &mut *self.watch.state.lock();
        claimed.remove(&self.taken.saga_id);
        match self.outcome {
            Outcome::Over { covered } => agenda.end(&self.taken, covered),
            Outcome::Open { covered, due } => agenda.put_back(&self.taken, covered, due),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // What: two polls looked at one saga, and one asked about a command that the other was just sending.
    // Why: threads whose first polls met each made the agenda, and the later one did not know what the earlier poll had taken.
    // How found: `sixteen_threads_that_poll_one_driver_end_each_saga_once`, 8 of 300 runs on a busy machine.
    #[test]
    fn what_a_poll_looks_at_stays_in_its_hands_when_the_agenda_is_made_anew() {
        let (watch, open) = (Watch::default(), BTreeSet::from(["a".to_owned(), "b".to_owned()]));
        let take = || watch.take_due(Timestamp::EPOCH, Timestamp::EPOCH);
        watch.seed(Sequence::ZERO, &open);
        let first = take().unwrap();
        assert_eq!(first.saga_id(), "a");
        watch.seed(Sequence::ZERO, &open);
        let second = take().unwrap();
        assert_eq!(second.saga_id(), "b");
        assert!(take().is_none(), "both are in somebody's hands");
        first.put_back(Sequence::FIRST, Some(Timestamp::EPOCH));
        second.end(Sequence::FIRST);
        assert_eq!(take().unwrap().saga_id(), "a");
        assert_eq!(watch.open().len(), 1);
    }
}
