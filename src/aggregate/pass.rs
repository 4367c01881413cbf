//! One pass over the log that applies the events of many aggregates, by several threads.
//!
//! The aggregates are divided among the threads by their streams' names. Each thread steps over all of the log, and checks, decodes
//! and applies the events of its own aggregates alone, in their order. That is less than to hand events from thread to thread.
//! Aggregates in the thousands do not fit a cache, so what an event needs is asked for while the ones before it are applied.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher};
use std::num::NonZeroUsize;
use std::panic::resume_unwind;

use foldhash::quality::RandomState;

use super::{Aggregate, EventContext, Loaded};
use crate::disk;
use crate::error::{Error, ErrorKind, Result};
use crate::store::{EventBuffer, EventRef, Part, Store};
use crate::types::{Event, Sequence, StreamId, Version};

/// How often a pass tells how far it has come.
const TOLD_EVERY_EVENTS: usize = 512;

/// The tag of events of this part whose aggregate is not at a place of its own.
const ELSEWHERE: u32 = u32::MAX;

/// An aggregate on its way.
pub(super) struct Slot<A> {
    pub(super) aggregate_id: String,
    /// `None` where the id makes no stream's name.
    pub(super) stream: Option<StreamId>,
    pub(super) state: Result<Loaded<A>>,
    /// The version to get to, as far as the index tells.
    pub(super) head: Version,
}

impl<A: Aggregate> Slot<A> {
    pub(super) fn events(&self, version_max: Version) -> u64 {
        self.state.as_ref().map_or(0, |loaded| self.head.min(version_max).get().saturating_sub(loaded.version.get()))
    }

    /// Whether an event of a pass is to be taken in; those that the start holds already are passed over.
    fn wants(&self, version: Version, pass: &Pass<'_, A>) -> bool {
        self.state.as_ref().is_ok_and(|loaded| version > loaded.version && version <= pass.version_max)
    }

    /// Takes in an event of a pass that is wanted.
    ///
    /// # Errors
    /// `Corrupt`: an event before it was not there. A record whose stream's name is damaged belongs to another thread, which finds
    /// that out.
    fn take(&mut self, event: &Event, pass: &Pass<'_, A>) -> Result<()> {
        let Ok(loaded) = &mut self.state else { return Ok(()) };
        let next = loaded.version.next();
        if event.version != next {
            let (sequence, stream, version) = (event.sequence, &event.stream, event.version);
            let text = format!("event {sequence} is version {version} of stream {stream}, where {next} is next");
            return Err(Error::new(ErrorKind::Corrupt, text));
        }
        match (pass.decode)(event) {
            Ok(fact) => {
                loaded.advance(&fact, &EventContext::from(event));
                loaded.events_replayed = loaded.events_replayed.saturating_add(1);
            }
            Err(error) => self.state = Err(error),
        }
        Ok(())
    }
}

/// A pass over the log.
pub(super) struct Pass<'a, A: Aggregate> {
    pub(super) store: &'a Store,
    pub(super) first: Sequence,
    pub(super) end: Sequence,
    pub(super) version_max: Version,
    pub(super) decode: &'a (dyn Fn(&Event) -> Result<A::Event> + Sync),
}

impl<A: Aggregate> Pass<'_, A> {
    /// Applies the events of these aggregates.
    pub(super) fn over(&self, slots: &mut [Slot<A>], threads: NonZeroUsize, told: &dyn Fn(Sequence)) -> Result<()> {
        if self.first > self.end {
            return Ok(());
        }
        let division = Division { hasher: RandomState::default(), threads };
        let mut divided: Vec<Vec<&mut Slot<A>>> = (0..threads.get()).map(|_| Vec::new()).collect();
        for slot in slots {
            let thread =
                slot.stream.as_ref().map_or(0, |stream| division.thread(division.hash(stream.as_str().as_bytes())));
            if let Some(part) = divided.get_mut(thread) {
                part.push(slot);
            }
        }
        let mut parts = divided.into_iter().enumerate();
        let first = parts.next();
        std::thread::scope(|scope| {
            let division = &division;
            let others: Vec<_> = parts
                .map(|(thread, slots)| scope.spawn(move || Own::new(self, division, thread, slots, |_| {}).walk()))
                .collect();
            let walked = first.map_or(Ok(()), |(thread, slots)| Own::new(self, division, thread, slots, told).walk());
            let others = others.into_iter().map(|other| other.join().unwrap_or_else(|panic| resume_unwind(panic)));
            others.fold(walked, Result::and)
        })
    }
}

/// Which thread a stream belongs to. Keyed, so that nobody can choose names that all belong to one.
struct Division {
    hasher: RandomState,
    threads: NonZeroUsize,
}

impl Division {
    #[inline]
    fn hash(&self, stream: &[u8]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(stream);
        hasher.finish()
    }

    /// By the middle bits of the hash: tables take those at its ends.
    #[inline]
    fn thread(&self, hash: u64) -> usize {
        usize::try_from((hash >> 24) & 0xffff).unwrap_or(0) % self.threads
    }
}

/// A thread's aggregates.
struct Own<'a, A: Aggregate, T> {
    pass: &'a Pass<'a, A>,
    division: &'a Division,
    thread: usize,
    slots: Vec<&'a mut Slot<A>>,
    /// By the hash of the stream's name; the name itself is compared when its event is there.
    places: HashMap<u64, u32, BuildHasherDefault<Plain>>,
    /// Aggregates whose hash is that of another. With a keyed hash of 64 bits there are none but by a rare chance.
    elsewhere: HashMap<StreamId, u32>,
    buffer: EventBuffer,
    until_told: usize,
    told: T,
}

impl<'a, A: Aggregate, T: Fn(Sequence)> Own<'a, A, T> {
    fn new(pass: &'a Pass<'a, A>, division: &'a Division, thread: usize, slots: Vec<&'a mut Slot<A>>, told: T) -> Self {
        let mut places = HashMap::with_capacity_and_hasher(slots.len(), BuildHasherDefault::default());
        let mut elsewhere = HashMap::new();
        for (place, slot) in (0..ELSEWHERE).zip(&slots) {
            let Some(stream) = &slot.stream else { continue };
            match places.entry(division.hash(stream.as_str().as_bytes())) {
                Entry::Vacant(entry) => {
                    entry.insert(place);
                }
                Entry::Occupied(_) => {
                    elsewhere.insert(stream.clone(), place);
                }
            }
        }
        let (buffer, until_told) = (EventBuffer::default(), TOLD_EVERY_EVENTS);
        Self { pass, division, thread, slots, places, elsewhere, buffer, until_told, told }
    }

    fn walk(mut self) -> Result<()> {
        self.pass.store.visit_part(self.pass.first..=self.pass.end, &mut self)
    }

    fn slot(&self, place: u32) -> Option<&Slot<A>> {
        self.slots.get(usize::try_from(place).ok()?).map(|slot| &**slot)
    }

    /// The place of a stream's aggregate, where the tag is of this stream or of one with the same hash.
    #[inline]
    fn place(&self, stream: &str, tag: u32) -> Option<usize> {
        let is_its = |slot: &Slot<A>| slot.stream.as_ref().is_some_and(|name| name.as_str() == stream);
        let place = if self.slot(tag).is_some_and(is_its) { tag } else { *self.elsewhere.get(stream)? };
        usize::try_from(place).ok()
    }
}

impl<A: Aggregate, T: Fn(Sequence)> Part for Own<'_, A, T> {
    #[inline]
    fn tag(&self, stream: &[u8]) -> Option<u32> {
        let hash = self.division.hash(stream);
        if self.division.thread(hash) != self.thread {
            return None;
        }
        Some(self.places.get(&hash).copied().unwrap_or(ELSEWHERE))
    }

    #[inline]
    fn expect(&self, tag: u32) {
        if let Some(slot) = self.slot(tag) {
            disk::prefetch_value(slot);
        }
    }

    #[inline]
    fn take(&mut self, event: EventRef<'_>, tag: u32) -> Result<()> {
        self.until_told -= 1;
        if self.until_told == 0 {
            self.until_told = TOLD_EVERY_EVENTS;
            (self.told)(event.sequence);
        }
        let place = self.place(event.stream, tag);
        let Some(slot) = place.and_then(|place| self.slots.get_mut(place)) else { return Ok(()) };
        if slot.wants(event.version, self.pass)
            && let Some(stream) = &slot.stream
        {
            let event = self.buffer.fill(&event, stream)?;
            slot.take(event, self.pass)?;
        }
        Ok(())
    }
}

/// Takes a hash for what it is.
#[derive(Default)]
struct Plain(u64);

impl Hasher for Plain {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only hashes are hashed here")
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}
