//! The agenda: which sagas are open, and when each is to be looked at.
//!
//! A heap of due times and a map of open sagas. What the heap says counts only where the map says the same, so an entry that was
//! overtaken does nothing. Invariants: an open saga with a due time that nobody works on has an entry in the heap; the first
//! entry of the heap is never an overtaken one; the heap is at most a few times as large as the map.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::TypeMeaning;
use crate::types::{Sequence, Timestamp};

/// Overtaken entries that are let be, beside as many as there are open sagas.
const STALE_MAX: usize = 64;

/// An open saga.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// When it is to be looked at; `None`: when an event comes.
    due: Option<Timestamp>,
    /// The number of the heap's entry that counts.
    number: u64,
    /// Somebody works on it.
    is_taken: bool,
    /// The last event that it was looked at with.
    covered: Sequence,
    /// The last event that was seen of it, and when that was committed.
    noted: (Sequence, Timestamp),
}

/// A saga that is due, taken by whoever is to look at it.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) saga_id: String,
    /// The last event that was seen of it by then: whoever loads it now finds it.
    noted: Sequence,
}

/// Open sagas and their due times. Made by the log alone: the same events give the same agenda.
#[derive(Debug, Default)]
pub struct Agenda {
    open: BTreeMap<String, Entry>,
    heap: BinaryHeap<Reverse<(Timestamp, u64, String)>>,
    numbers: u64,
}

impl Agenda {
    /// Open sagas.
    #[must_use]
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether no saga is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// The open sagas by id, each with the time at which it is to be looked at; `None`: when an event comes.
    pub fn open(&self) -> impl Iterator<Item = (&str, Option<Timestamp>)> {
        self.open.iter().map(|(saga_id, entry)| (saga_id.as_str(), entry.due))
    }

    /// The earliest due time of a saga that nobody works on.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        self.heap.peek().map(|Reverse((due, _, _))| *due)
    }

    #[cfg(test)]
    pub(super) fn heap_len(&self) -> usize {
        self.heap.len()
    }

    /// Takes note of an event of a saga. One that was looked at with this event, or a later one, stays as it is.
    pub(super) fn note(&mut self, saga_id: &str, meaning: TypeMeaning, sequence: Sequence, timestamp: Timestamp) {
        match meaning {
            TypeMeaning::Ends => return self.remove(saga_id),
            TypeMeaning::Begins if !self.open.contains_key(saga_id) => self.add(saga_id, sequence, timestamp),
            TypeMeaning::Begins | TypeMeaning::Neither => {}
        }
        let Some(entry) = self.open.get_mut(saga_id) else { return };
        if sequence <= entry.covered {
            return;
        }
        entry.noted = (sequence, timestamp);
        if !entry.is_taken {
            self.set_due(saga_id, Some(timestamp));
        }
    }

    /// Adds an open saga, to be looked at at once.
    pub(super) fn add(&mut self, saga_id: &str, sequence: Sequence, timestamp: Timestamp) {
        let noted = (sequence, timestamp);
        let entry = Entry { due: None, number: 0, is_taken: false, covered: Sequence::ZERO, noted };
        self.open.insert(saga_id.to_owned(), entry);
        self.set_due(saga_id, Some(timestamp));
    }

    /// Takes the saga that has been due the longest; `None`: nothing is due at `now`.
    pub(super) fn take_due(&mut self, now: Timestamp) -> Option<Taken> {
        let due = self.next_due()?;
        if due > now {
            return None;
        }
        let Reverse((_, _, saga_id)) = self.heap.pop()?;
        let entry = self.open.get_mut(&saga_id);
        debug_assert!(entry.is_some(), "the first entry of the heap counts");
        let entry = entry?;
        entry.is_taken = true;
        let noted = entry.noted.0;
        self.drop_overtaken();
        Some(Taken { saga_id, noted })
    }

    /// Gives a saga back that was over with the event `covered`. Where a later event was seen meanwhile it is looked at again.
    pub(super) fn end(&mut self, taken: &Taken, covered: Sequence) {
        let last = covered.max(taken.noted);
        if self.open.get(&taken.saga_id).is_some_and(|entry| entry.noted.0 > last) {
            self.put_back(taken, covered, None);
        } else {
            self.remove(&taken.saga_id);
        }
    }

    /// Gives a saga back that was looked at with the event `covered`, to be looked at again at `due`; at once where a later event
    /// was seen meanwhile. One that is over by now stays so.
    pub(super) fn put_back(&mut self, taken: &Taken, covered: Sequence, due: Option<Timestamp>) {
        let Some(entry) = self.open.get_mut(&taken.saga_id) else { return };
        entry.is_taken = false;
        entry.covered = entry.covered.max(covered).max(taken.noted);
        let (noted, noted_at) = entry.noted;
        let due = if noted > entry.covered { Some(noted_at) } else { due };
        self.set_due(&taken.saga_id, due);
    }

    /// Sets when an open saga that nobody works on is looked at next, having been looked at with the event `covered`.
    pub(super) fn set(&mut self, saga_id: &str, covered: Sequence, due: Option<Timestamp>) {
        if self.open.get(saga_id).is_some_and(|entry| !entry.is_taken) {
            self.put_back(&Taken { saga_id: saga_id.to_owned(), noted: Sequence::ZERO }, covered, due);
        }
    }

    fn remove(&mut self, saga_id: &str) {
        self.open.remove(saga_id);
        self.drop_overtaken();
    }

    fn set_due(&mut self, saga_id: &str, due: Option<Timestamp>) {
        self.numbers += 1;
        let Some(entry) = self.open.get_mut(saga_id) else { return };
        entry.due = due;
        entry.number = self.numbers;
        if let Some(due) = due {
            self.heap.push(Reverse((due, self.numbers, saga_id.to_owned())));
        }
        if self.heap.len() > 2 * self.open.len() + STALE_MAX {
            let open = &self.open;
            self.heap.retain(|Reverse((_, number, id))| is_current(open, id, *number));
        }
        self.drop_overtaken();
    }

    fn drop_overtaken(&mut self) {
        while let Some(Reverse((_, number, saga_id))) = self.heap.peek()
            && !is_current(&self.open, saga_id, *number)
        {
            self.heap.pop();
        }
    }
}

fn is_current(open: &BTreeMap<String, Entry>, saga_id: &str, number: u64) -> bool {
    open.get(saga_id).is_some_and(|entry| entry.number == number && !entry.is_taken)
}
