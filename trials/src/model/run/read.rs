//! Reads, at once and in pieces.

use std::ops::{Bound, RangeBounds};

use bitacora::{AllEvents, Event, EventType, Result, Sequence, StreamEvents, Version};

use super::{Left, Run};
use crate::model::operation::{KINDS, STREAMS, Selection};
use crate::workload::stream;

/// A reader, and what it has still to show: what there was when it was made.
pub(super) struct Held {
    reader: Reader,
    left: Left,
    ends: u8,
}

enum Reader {
    All(AllEvents),
    Stream(StreamEvents),
}

impl Reader {
    fn take(&mut self, from_back: bool) -> Option<Result<Event>> {
        match (self, from_back) {
            (Self::All(events), false) => events.next(),
            (Self::All(events), true) => events.next_back(),
            (Self::Stream(events), false) => events.next(),
            (Self::Stream(events), true) => events.next_back(),
        }
    }
}

impl Held {
    /// Takes so many events, or all and a look behind the last.
    fn take(&mut self, count: usize) {
        for _ in 0..count {
            let from_back = self.ends & 1 == 1;
            self.ends = self.ends.rotate_right(1);
            let expected = if from_back { self.left.pop_back() } else { self.left.pop_front() };
            let found = self.reader.take(from_back).transpose();
            let found = found.unwrap_or_else(|error| panic!("a read: {error}"));
            let is_end = expected.is_none();
            assert_eq!(found, expected, "an event from the {}", if from_back { "back" } else { "front" });
            if is_end {
                break;
            }
        }
    }
}

fn range<T: Copy>(selection: &Selection, number: impl Fn(u64) -> T) -> (Bound<T>, Bound<T>) {
    let bound = |kind: u8, at: u8| match kind % 3 {
        0 => Bound::Unbounded,
        1 => Bound::Included(number(u64::from(at))),
        _ => Bound::Excluded(number(u64::from(at))),
    };
    (bound(selection.bounds, selection.from), bound(selection.bounds / 3, selection.to))
}

fn kind(selection: &Selection) -> Option<EventType> {
    selection.kind.map(|kind| EventType::new(KINDS[usize::from(kind)]).expect("a type's name"))
}

impl Run {
    fn all(&self, selection: &Selection) -> Held {
        let (range, kind) = (range(selection, Sequence::new), kind(selection));
        let is_asked = |event: &&Event| {
            range.contains(&event.sequence) && kind.as_ref().is_none_or(|kind| *kind == event.event_type)
        };
        let left = self.model.events().filter(is_asked).cloned().collect();
        let reader = self.store().read_all(range);
        let reader = Reader::All(kind.iter().fold(reader, AllEvents::of_type));
        Held { reader, left, ends: selection.ends }
    }

    fn of_stream(&self, number: u8, selection: &Selection) -> Held {
        let (range, kind) = (range(selection, Version::new), kind(selection));
        let is_asked = |event: &&Event| {
            range.contains(&event.version) && kind.as_ref().is_none_or(|kind| *kind == event.event_type)
        };
        let left = self.model.events_of(number).filter(is_asked).cloned().collect();
        let reader = self.store().read_stream(&stream(STREAMS[usize::from(number)]), range);
        let reader = Reader::Stream(kind.iter().fold(reader, StreamEvents::of_type));
        Held { reader, left, ends: selection.ends }
    }

    pub(super) fn read_all(&self, selection: &Selection) {
        self.all(selection).take(usize::MAX);
    }

    pub(super) fn read_stream(&self, number: u8, selection: &Selection) {
        self.of_stream(number, selection).take(usize::MAX);
    }

    pub(super) fn hold(&self, number: Option<u8>, selection: &Selection) -> Held {
        match number {
            None => self.all(selection),
            Some(number) => self.of_stream(number, selection),
        }
    }

    /// Goes on with the reader that is kept longest, whatever happened meanwhile.
    pub(super) fn resume(&mut self, events: u8) {
        if let Some(mut held) = self.held.pop_front() {
            held.take(usize::from(events));
            self.held.push_back(held);
        }
    }
}
