//! What readers see of the log's end: the tail indices that are not in RocksDB yet.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::index::tail::Tail;
use crate::index::{Direction, KeyEntry, Place, StreamHead, Watermark};
use crate::types::{Sequence, Version};

/// The tail that grows, and those that wait to be ingested.
///
/// Invariants: the frozen ones are older than the active one, oldest first, without a gap between them; a frozen tail is
/// removed only after the index has it; everything in a frozen tail is durable in the log.
#[derive(Debug, Default)]
pub(crate) struct View {
    pub(crate) active: Tail,
    frozen: VecDeque<Arc<Tail>>,
    /// Counts the tails that were ingested: a look-up in the index that was made before is old.
    epoch: u64,
    /// Counts the tails that were frozen: a number in the active tail that was given before is another's.
    generation: u64,
}

/// What the tails know of a stream.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Warm {
    /// Its last version.
    pub(crate) version: Option<Version>,
    /// Its number in the active tail.
    pub(crate) number: Option<u32>,
}

impl View {
    pub(crate) fn new(active: Tail) -> Self {
        Self { active, ..Self::default() }
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Which of the tails is the active one.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// How many tails wait.
    pub(crate) fn pending(&self) -> usize {
        self.frozen.len()
    }

    /// Events that are here, and roughly the bytes they take.
    pub(crate) fn size(&self) -> (usize, usize) {
        self.tails().fold((0, 0), |(events, bytes), tail| (events + tail.events(), bytes + tail.bytes()))
    }

    /// From now on the active tail waits to be ingested, and a new one grows.
    pub(crate) fn freeze(&mut self, end: Watermark) {
        if self.active.events() == 0 {
            return;
        }
        self.active.set_end(end);
        self.generation += 1;
        let next = self.active.successor();
        self.frozen.push_back(Arc::new(std::mem::replace(&mut self.active, next)));
    }

    /// The tail that is to be ingested next.
    pub(crate) fn oldest(&self) -> Option<Arc<Tail>> {
        self.frozen.front().cloned()
    }

    /// Forgets the tail that was ingested.
    pub(crate) fn ingested(&mut self) {
        assert!(self.frozen.pop_front().is_some(), "only a waiting tail is ingested");
        self.epoch += 1;
    }

    /// Forgets the waiting tails that an index covers which another process fills.
    pub(crate) fn forget_through(&mut self, covered: Sequence) {
        while self.frozen.front().and_then(|tail| tail.end()).is_some_and(|end| end.sequence <= covered) {
            self.ingested();
        }
    }

    /// Newest first.
    fn tails(&self) -> impl DoubleEndedIterator<Item = &Tail> {
        let frozen = self.frozen.iter().map(Arc::as_ref);
        frozen.chain(std::iter::once(&self.active)).rev()
    }

    pub(crate) fn head(&self, stream: &str) -> Option<StreamHead> {
        self.tails().find_map(|tail| tail.head(stream))
    }

    /// What is known of a stream, whose name has this hash. Costs less than its head: where its last event lies is not looked at.
    pub(crate) fn warm(&self, hash: u64, stream: &str) -> Warm {
        if let Some((number, version)) = self.active.known(hash, stream) {
            return Warm { version: Some(version), number: Some(number) };
        }
        let found = self.frozen.iter().rev().find_map(|tail| tail.known(hash, stream));
        Warm { version: found.map(|(_, version)| version), number: None }
    }

    pub(crate) fn key(&self, key: &str) -> Option<KeyEntry> {
        self.tails().find_map(|tail| tail.key(key))
    }

    /// The first version of a stream that is here: those before are in the index.
    pub(crate) fn first_version(&self, stream: &str) -> Option<Version> {
        self.tails().rev().find_map(|tail| tail.first_version(stream))
    }

    /// The places that are here, as an index gives them.
    pub(crate) fn places(
        &self,
        stream: &str,
        from: Version,
        direction: Direction,
        limit: usize,
    ) -> Vec<(Version, Place)> {
        let mut found = Vec::new();
        let mut take = |tail: &Tail| {
            let left = limit - found.len();
            found.extend(tail.places(stream, from, direction, left));
        };
        match direction {
            Direction::Forwards => self.tails().rev().for_each(&mut take),
            Direction::Backwards => self.tails().for_each(&mut take),
        }
        found
    }

    /// The sequence of the first event with a correlation id that is here: those before are in the index.
    pub(crate) fn first_correlated(&self, correlation_id: &str) -> Option<Sequence> {
        self.tails().rev().find_map(|tail| tail.first_correlated(correlation_id))
    }

    /// The places of events with a correlation id that are here, as an index gives them.
    pub(crate) fn correlated(
        &self,
        correlation_id: &str,
        from: Sequence,
        direction: Direction,
        limit: usize,
    ) -> Vec<Place> {
        let mut found = Vec::new();
        let mut take = |tail: &Tail| {
            let left = limit - found.len();
            found.extend(tail.correlated(correlation_id, from, direction, left));
        };
        match direction {
            Direction::Forwards => self.tails().rev().for_each(&mut take),
            Direction::Backwards => self.tails().for_each(&mut take),
        }
        found
    }

    /// All streams that are here with their heads, newest first: the first of a name counts.
    pub(crate) fn streams(&self, prefix: &str) -> Vec<(crate::types::StreamId, StreamHead)> {
        self.tails().flat_map(|tail| tail.streams(prefix)).collect()
    }
}
