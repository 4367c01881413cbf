//! Joining two tails of which the second continues the first: each was filled by a thread of its own.

use super::{Correlated, Places, Run, StreamTail, Tail};
use crate::index::checkpoints;
use crate::index::names::{Found, Named, Names, number};

impl Tail {
    /// Takes in all of a tail of what came right after this one, if that fits: the versions of each stream follow, and no key is
    /// here already. Otherwise nothing has changed.
    #[must_use]
    pub(crate) fn join(&mut self, later: Self) -> bool {
        let Some(streams) = self.find_streams(&later.streams) else { return false };
        if later.keys.iter().any(|key| self.keys.get(key.name()).is_some()) {
            return false;
        }
        if let (Some((last, _)), Some(first)) = (self.last, later.places.first()) {
            assert!(first.sequence > last, "sequences increase: {} after {last}", first.sequence);
        }
        let before = number(self.places.len());
        self.places.join(later.places);
        for (entry, found) in later.streams.into_entries().zip(streams) {
            take_stream(&mut self.streams, entry, found, before);
        }
        for entry in later.correlations.into_entries() {
            take_correlated(&mut self.correlations, entry, before);
        }
        for key in later.keys.into_entries() {
            self.keys.insert(self.keys.find(key.name()), key);
        }
        for (name, sequence) in later.checkpoints {
            checkpoints::note(&mut self.checkpoints, name, sequence);
        }
        self.last = later.last.or(self.last);
        self.end = later.end;
        true
    }

    /// Where each of these streams is here, of which all that are go on with the next version.
    fn find_streams(&self, later: &Names<StreamTail>) -> Option<Vec<Found>> {
        let mut all = Vec::with_capacity(later.len());
        for entry in later.iter() {
            let found = self.streams.find(entry.name());
            if found.number.is_some_and(|known| self.streams.at(known).version_last().next() != entry.version_first) {
                return None;
            }
            all.push(found);
        }
        Some(all)
    }
}

impl Places {
    fn first(&self) -> Option<super::Place> {
        (self.len() > 0).then(|| self.get(0))
    }

    fn join(&mut self, later: Self) {
        let before = self.len();
        let last = self.runs.last().map(|run| run.segment);
        let runs = later.runs.into_iter().filter(|run| run.start > 0 || Some(run.segment) != last);
        self.runs.extend(runs.map(|run| Run { start: before + run.start, ..run }));
        later.places.into_iter().for_each(|place| self.places.push(place));
    }
}

fn take_stream(streams: &mut Names<StreamTail>, mut entry: StreamTail, found: Found, before: u32) {
    match found.number {
        Some(known) => streams.at_mut(known).numbers.append(&entry.numbers, before),
        None => {
            entry.numbers.raise(before);
            streams.insert(found, entry);
        }
    }
}

fn take_correlated(correlations: &mut Names<Correlated>, mut entry: Correlated, before: u32) {
    let found = correlations.find(entry.name());
    match found.number {
        Some(known) => correlations.at_mut(known).numbers.append(&entry.numbers, before),
        None => {
            entry.numbers.raise(before);
            correlations.insert(found, entry);
        }
    }
}
