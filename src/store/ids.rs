//! Ids for events that are given none: UUIDs of version 7.
//!
//! Of an id, the 48 bits of its time are the clock's when its commit was prepared. The others are drawn once, when the store is
//! opened, and count on from event to event: so ids are unique in a store by counting, between stores by 74 random bits and the
//! time, and in the order of a commit's events. To draw each commit's from the system's randomness cost a tenth of a commit.

use std::sync::Arc;

use uuid::Uuid;

use crate::clock::Clock;
use crate::sync::leaf;
use crate::sync::{AtomicU64, Ordering};
use crate::types::EventId;

/// Of the upper half of a UUID, what is no time: which version it is, and random bits.
const NO_TIME: u64 = 0xffff;
/// Of the lower half, the two bits that say which kind it is.
const VARIANT: u64 = 0b11 << 62;

/// Where the ids of one store come from.
#[derive(Debug)]
pub(crate) struct IdSource {
    upper: u64,
    /// The lower half of the next id, but for its kind.
    next: leaf::AtomicU64,
    variant: u64,
    /// Tests' own numbers.
    numbers: Option<Arc<AtomicU64>>,
}

impl IdSource {
    /// Draws what ids count on from; with `numbers`, these are the ids.
    pub(crate) fn new(numbers: Option<Arc<AtomicU64>>) -> Self {
        let (upper, lower) = Uuid::now_v7().as_u64_pair();
        Self { upper: upper & NO_TIME, next: leaf::AtomicU64::new(lower), variant: lower & VARIANT, numbers }
    }

    /// The ids of a commit of so many events.
    pub(crate) fn of_commit<'a>(&'a self, clock: &'a dyn Clock, events: usize) -> EventIds<'a> {
        EventIds { source: self, clock, events, last: None }
    }
}

/// The ids of a commit's events.
#[derive(Debug)]
pub(crate) struct EventIds<'a> {
    source: &'a IdSource,
    clock: &'a dyn Clock,
    events: usize,
    last: Option<(u64, u64)>,
}

impl EventIds<'_> {
    /// The next one.
    pub(crate) fn draw(&mut self) -> EventId {
        let source = self.source;
        let (upper, count) = match (&source.numbers, self.last) {
            (Some(numbers), _) => return id(0, numbers.fetch_add(1, Ordering::Relaxed)),
            (None, Some((upper, last))) => (upper, last.wrapping_add(1)),
            (None, None) => {
                let millis = self.clock.now().as_micros().max(0).cast_unsigned() / 1_000;
                let events = u64::try_from(self.events).unwrap_or(u64::MAX);
                ((millis << 16) | source.upper, source.next.fetch_add(events, Ordering::Relaxed))
            }
        };
        self.last = Some((upper, count));
        id(upper, source.variant | (count & !VARIANT))
    }
}

fn id(upper: u64, lower: u64) -> EventId {
    EventId::from_uuid(Uuid::from_u64_pair(upper, lower))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{ManualClock, SystemClock};
    use crate::types::Timestamp;

    fn drawn(source: &IdSource, clock: &dyn Clock, events: usize) -> Vec<Uuid> {
        let mut ids = source.of_commit(clock, events);
        (0..events).map(|_| ids.draw().as_uuid()).collect()
    }

    #[test]
    fn ids_are_unique_and_in_the_order_of_events_and_commits() {
        let source = IdSource::new(None);
        let mut ids = drawn(&source, &SystemClock, 1_000);
        ids.extend(drawn(&source, &SystemClock, 1_000));
        assert!(ids.is_sorted_by(|before, after| before < after));
        assert!(ids.iter().all(|id| id.get_version_num() == 7 && id.get_variant() == uuid::Variant::RFC4122));
        let other = drawn(&IdSource::new(None), &SystemClock, 1_000);
        assert!(other.iter().all(|id| !ids.contains(id)), "every store draws its own");
    }

    #[test]
    fn an_id_tells_the_time() {
        let clock = ManualClock::new(Timestamp::from_micros(1_700_000_000_123_456));
        let ids = drawn(&IdSource::new(None), &clock, 1);
        let time = ids[0].get_timestamp().unwrap().to_unix();
        assert_eq!((time.0, time.1 / 1_000_000), (1_700_000_000, 123));
    }

    #[test]
    fn an_id_that_cannot_count_on_keeps_its_kind() {
        let source = IdSource { upper: 0x7000, next: u64::MAX.into(), variant: 1 << 63, numbers: None };
        let lower: Vec<u64> = drawn(&source, &ManualClock::default(), 2).iter().map(|id| id.as_u64_pair().1).collect();
        assert_eq!(lower, [(1 << 63) | !VARIANT, 1 << 63]);
    }
}
