//! What commits have reserved whose group is not resolved: the versions of their streams.
//!
//! There are at most two such groups, the one that is led and the one that forms, and they are resolved in order. So what their
//! commits have reserved stands in the order in which they joined, and is forgotten from the front.
//!
//! Invariants:
//! 1. There is one entry for each commit of the two groups, first those of the led one.
//! 2. The table has the last entry of each stream, of the entries that it has.

use std::collections::VecDeque;

use smallvec::SmallVec;

use crate::format::frame::to_u64;
use crate::index::names::ByHash;
use crate::types::{StreamId, Version};

/// A stream of a commit.
#[derive(Clone, Debug)]
pub(crate) struct CommitStream {
    pub(crate) id: StreamId,
    /// Of its name.
    pub(crate) hash: u64,
    /// Its last version so far.
    pub(crate) version: Option<Version>,
    /// The first version that the commit was given; `None` where it has no event in it.
    pub(crate) given: Option<Version>,
    /// Its number in the tail that was the active one when it was looked up.
    pub(crate) number: Option<u32>,
}

/// The streams of a commit, each once.
pub(crate) type CommitStreams = SmallVec<[CommitStream; 1]>;

/// What a commit has reserved.
#[derive(Debug)]
pub(crate) struct Reserved {
    pub(crate) streams: CommitStreams,
    /// Which tail their numbers are of.
    pub(crate) generation: u64,
}

/// Where a stream's last reservation stands.
#[derive(Clone, Copy, Debug, PartialEq)]
struct At {
    commit: u64,
    stream: usize,
}

/// What the commits of both groups have reserved.
#[derive(Debug, Default)]
pub(crate) struct Reservations {
    commits: VecDeque<Reserved>,
    /// How many of them are of the led group.
    led: usize,
    /// The number of the first; the others count on.
    first: u64,
    /// Those before this number are in the table. A lone writer's never are, as nobody asks while they are here.
    entered: u64,
    table: ByHash<At>,
}

/// The last reservation of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reservation {
    pub(crate) version: Version,
    /// Whether its group is the led one.
    pub(crate) is_led: bool,
}

impl Reservations {
    /// Takes in those of a commit that joins the forming group.
    pub(crate) fn push(&mut self, reserved: Reserved) {
        self.commits.push_back(reserved);
    }

    /// The forming group is taken, to be led.
    pub(crate) fn take(&mut self) {
        assert_eq!(self.led, 0, "one group is led at a time");
        self.led = self.commits.len();
    }

    /// Those of the led group, in the order in which they joined.
    pub(crate) fn led(&self) -> impl Iterator<Item = &Reserved> {
        self.commits.iter().take(self.led)
    }

    /// Readies what is here to be [found](Self::find).
    pub(crate) fn enter(&mut self) {
        if self.entered == self.end() {
            return;
        }
        for (number, reserved) in (self.first..).zip(&self.commits) {
            if number < self.entered {
                continue;
            }
            let has_events = |(_, stream): &(usize, &CommitStream)| stream.given.is_some();
            for (at, stream) in reserved.streams.iter().enumerate().filter(has_events) {
                let is_it = |at: At| at_of(&self.commits, self.first, at).is_some_and(|other| other.id == stream.id);
                self.table.put(stream.hash, At { commit: number, stream: at }, is_it);
            }
        }
        self.entered = self.end();
    }

    /// The last reservation of a stream, whose name has this hash.
    #[inline]
    pub(crate) fn find(&self, hash: u64, stream: &StreamId) -> Option<Reservation> {
        if self.commits.is_empty() { None } else { self.find_entered(hash, stream) }
    }

    fn find_entered(&self, hash: u64, stream: &StreamId) -> Option<Reservation> {
        assert_eq!(self.entered, self.end(), "all were entered");
        let is_it = |at: At| at_of(&self.commits, self.first, at).is_some_and(|other| other.id == *stream);
        let at = self.table.get(hash, is_it)?;
        let version = at_of(&self.commits, self.first, at)?.version?;
        Some(Reservation { version, is_led: at.commit - self.first < to_u64(self.led) })
    }

    /// Forgets those of the led group, which went through, where no later one stands on them. Gives back the streams of each
    /// commit.
    pub(crate) fn release(&mut self, mut give_back: impl FnMut(CommitStreams)) {
        assert!(self.led > 0, "a group has members");
        for _ in 0..self.led {
            let Some(reserved) = self.commits.pop_front() else { unreachable!("each member has reserved something") };
            if self.first < self.entered {
                for (at, stream) in reserved.streams.iter().enumerate() {
                    self.table.remove(stream.hash, At { commit: self.first, stream: at });
                }
            }
            self.first += 1;
            give_back(reserved.streams);
        }
        self.entered = self.entered.max(self.first);
        self.led = 0;
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        /// To empty a table takes as long as it is large, so one that a large commit has left is not kept.
        const KEPT: usize = 4096;
        self.first = self.end();
        self.entered = self.first;
        self.led = 0;
        self.commits.clear();
        if self.table.capacity() > KEPT {
            self.table = ByHash::default();
        }
        self.table.clear();
    }

    /// The number after the last.
    fn end(&self) -> u64 {
        self.first + to_u64(self.commits.len())
    }
}

fn at_of(commits: &VecDeque<Reserved>, first: u64, at: At) -> Option<&CommitStream> {
    let index = usize::try_from(at.commit.checked_sub(first)?).ok()?;
    commits.get(index)?.streams.get(at.stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All names have one hash, so that each look-up goes by the name.
    const HASH: u64 = 7;

    fn commit(streams: &[(&str, Option<u64>)]) -> Reserved {
        let stream = |(name, version): &(&str, Option<u64>)| CommitStream {
            id: StreamId::new(name).unwrap(),
            hash: HASH,
            version: version.map(Version::new),
            given: version.map(Version::new),
            number: None,
        };
        Reserved { streams: streams.iter().map(stream).collect(), generation: 0 }
    }

    fn found(reservations: &mut Reservations) -> [Option<(u64, bool)>; 3] {
        reservations.enter();
        let find = |name| reservations.find(HASH, &StreamId::new(name).unwrap());
        ["a", "b", "c"].map(|name| find(name).map(|found| (found.version.get(), found.is_led)))
    }

    #[test]
    fn the_last_reservation_counts_and_its_group_is_known() {
        let mut reservations = Reservations::default();
        assert_eq!(found(&mut reservations), [None; 3]);
        reservations.push(commit(&[("a", Some(1)), ("b", Some(5))]));
        reservations.push(commit(&[("a", Some(2)), ("c", None)]));
        assert_eq!(found(&mut reservations), [Some((2, false)), Some((5, false)), None]);
        reservations.take();
        assert_eq!(reservations.led().count(), 2);
        reservations.push(commit(&[("b", Some(6)), ("c", Some(1))]));
        assert_eq!(found(&mut reservations), [Some((2, true)), Some((6, false)), Some((1, false))]);
        reservations.release(drop);
        assert_eq!(found(&mut reservations), [None, Some((6, false)), Some((1, false))]);
        reservations.take();
        reservations.release(drop);
        assert_eq!(found(&mut reservations), [None; 3]);
    }

    #[test]
    fn what_nobody_asked_for_is_released_without_a_trace() {
        let mut reservations = Reservations::default();
        for version in 1..4 {
            reservations.push(commit(&[("a", Some(version))]));
            reservations.take();
            assert_eq!(reservations.led().count(), 1);
            reservations.release(drop);
        }
        assert_eq!((reservations.first, reservations.entered, reservations.led().count()), (3, 3, 0));
        assert_eq!(found(&mut reservations), [None; 3]);
        reservations.push(commit(&[("a", Some(4))]));
        assert_eq!(found(&mut reservations), [Some((4, false)), None, None]);
    }

    #[test]
    fn after_a_failure_nothing_is_reserved() {
        let mut reservations = Reservations::default();
        reservations.push(commit(&[("a", Some(1))]));
        reservations.take();
        reservations.push(commit(&[("b", Some(1))]));
        assert_eq!(found(&mut reservations), [Some((1, true)), Some((1, false)), None]);
        reservations.clear();
        assert_eq!(found(&mut reservations), [None; 3]);
        reservations.push(commit(&[("c", Some(1))]));
        reservations.take();
        assert_eq!(found(&mut reservations), [None, None, Some((1, true))]);
    }
}
