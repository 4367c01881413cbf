//! Reading by correlation id: one thing that happened, over all the streams that it touched.

use std::collections::VecDeque;
use std::ops::RangeBounds;
use std::sync::Arc;

use super::read_count::ReadCount;
use super::reads::{PLACES_AT_ONCE, bounds};
use super::shared::Shared;
use crate::error::Result;
use crate::index::{Direction, Place};
use crate::log::files;
use crate::types::{Event, EventType, Sequence};

/// Events with one correlation id in the order of their sequences. Ends at its first error.
#[derive(Debug)]
pub struct CorrelationEvents {
    shared: Arc<Shared>,
    correlation_id: String,
    event_type: Option<EventType>,
    /// The range that is left to be fetched, both ends included; what was visible when the read began bounds it.
    first: Sequence,
    last: Sequence,
    front: VecDeque<Place>,
    back: VecDeque<Place>,
    count: ReadCount,
    failed: bool,
}

impl CorrelationEvents {
    pub(crate) fn new(shared: &Arc<Shared>, correlation_id: &str, range: &impl RangeBounds<Sequence>) -> Self {
        let (first, last) = bounds(range, Sequence::get);
        Self {
            shared: Arc::clone(shared),
            correlation_id: correlation_id.to_owned(),
            event_type: None,
            first: Sequence::new(first),
            last: Sequence::new(last).min(shared.places.sequence()),
            front: VecDeque::new(),
            back: VecDeque::new(),
            count: ReadCount::new(shared),
            failed: false,
        }
    }

    /// Only events of this type.
    #[must_use]
    pub fn of_type(mut self, event_type: &EventType) -> Self {
        self.event_type = Some(event_type.clone());
        self
    }

    fn fetch(&mut self, direction: Direction) -> Result<()> {
        let range = self.first..=self.last;
        if range.is_empty() {
            return Ok(());
        }
        let from = match direction {
            Direction::Forwards => self.first,
            Direction::Backwards => self.last,
        };
        let found = self.shared.correlated(&self.correlation_id, from, direction, PLACES_AT_ONCE)?;
        let is_end = found.len() < PLACES_AT_ONCE || found.last().is_some_and(|place| !range.contains(&place.sequence));
        let within = found.into_iter().filter(|place| range.contains(&place.sequence));
        match direction {
            Direction::Forwards => self.front.extend(within),
            Direction::Backwards => within.for_each(|place| self.back.push_front(place)),
        }
        if is_end {
            (self.first, self.last) = (Sequence::FIRST, Sequence::ZERO);
        } else {
            match (direction, self.front.back(), self.back.front()) {
                (Direction::Forwards, Some(place), _) => self.first = place.sequence.next(),
                (Direction::Backwards, _, Some(place)) => self.last = place.sequence.previous(),
                _ => {}
            }
        }
        Ok(())
    }

    fn step(&mut self, direction: Direction) -> Result<Option<Event>> {
        loop {
            let is_empty = match direction {
                Direction::Forwards => self.front.is_empty(),
                Direction::Backwards => self.back.is_empty(),
            };
            if is_empty {
                self.fetch(direction)?;
            }
            let place = match direction {
                Direction::Forwards => self.front.pop_front().or_else(|| self.back.pop_front()),
                Direction::Backwards => self.back.pop_back().or_else(|| self.front.pop_back()),
            };
            let Some(place) = place else { return Ok(None) };
            let event = self.shared.correlated_event(&place, &self.correlation_id)?;
            if self.event_type.as_ref().is_none_or(|wanted| *wanted == event.event_type) {
                return Ok(Some(self.count.note(event)));
            }
        }
    }

    fn step_until_error(&mut self, direction: Direction) -> Option<Result<Event>> {
        if self.failed {
            return None;
        }
        let step = self.step(direction);
        self.failed = step.is_err();
        step.transpose()
    }
}

impl Iterator for CorrelationEvents {
    type Item = Result<Event>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step_until_error(Direction::Forwards)
    }
}

impl DoubleEndedIterator for CorrelationEvents {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.step_until_error(Direction::Backwards)
    }
}

impl Shared {
    /// The places of the events with a correlation id: from the index up to where the tails begin, and from the tails.
    pub(super) fn correlated(
        &self,
        id: &str,
        from: Sequence,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Place>> {
        // Pinned together: what leaves the tails after this is in the index, and is passed over there.
        let (in_tail, tail_first) = {
            let view = self.view.read();
            (view.correlated(id, from, direction, limit), view.first_correlated(id).unwrap_or(Sequence::MAX))
        };
        let mut found;
        match direction {
            Direction::Forwards => {
                found = if from < tail_first { self.index.correlated(id, from, direction, limit)? } else { Vec::new() };
                found.retain(|place| place.sequence < tail_first);
                found.extend(in_tail);
            }
            Direction::Backwards => {
                found = in_tail;
                let left = limit - found.len();
                if left > 0 && tail_first > Sequence::FIRST {
                    found.extend(self.index.correlated(id, from.min(tail_first.previous()), direction, left)?);
                }
            }
        }
        found.truncate(limit);
        Ok(found)
    }

    pub(super) fn correlated_event(&self, place: &Place, id: &str) -> Result<Event> {
        let event = self.read_at(place)?;
        if event.metadata.correlation_id.as_deref() != Some(id) {
            let expected = format!("an event with correlation id {id:?}, as the index says");
            let found = format!("one with {:?}", event.metadata.correlation_id);
            let offset = u64::from(place.record_offset);
            return Err(files::corrupt(place.segment, offset, place.sequence, expected, found));
        }
        Ok(event)
    }
}
