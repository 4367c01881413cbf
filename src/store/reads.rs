//! Reading: the iterators over all events, over a stream's events, and over streams.

use std::collections::{BTreeMap, VecDeque};
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use super::read_count::ReadCount;
use super::shared::Shared;
use crate::error::{Error, Result};
use crate::format::frame::HEADER_BYTES;
use crate::index::{Direction, KeyEntry, Place, StreamHead};
use crate::log::cursor::{self, FrameCursor, RecordPlace, RecordReader};
use crate::log::files::{self, LogFiles};
use crate::log::names::Names;
use crate::types::{Event, EventType, Receipt, Sequence, StreamId, StreamReceipt, Timestamp, Version};

/// Places that a stream's iterator fetches at once.
pub(super) const PLACES_AT_ONCE: usize = 256;
/// Records that are loaded while others are read: more than a memory has under way at once, and less than a cache holds.
const AHEAD_MAX: usize = 32;
/// Streams that an iterator fetches at once.
const STREAMS_AT_ONCE: usize = 1024;

/// Events in the order of their sequences. Ends at its first error.
#[derive(Debug)]
pub struct AllEvents {
    shared: Arc<Shared>,
    event_type: Option<EventType>,
    /// The range that is left, both ends included.
    first: Sequence,
    last: Sequence,
    cursor: Option<FrameCursor>,
    names: Names,
    back: VecDeque<Event>,
    count: ReadCount,
    /// What comes behind `back`, where that is damaged.
    damage: Option<Error>,
    failed: bool,
}

impl AllEvents {
    pub(crate) fn new(shared: &Arc<Shared>, range: &impl RangeBounds<Sequence>) -> Self {
        let (first, last) = bounds(range, Sequence::get);
        let last = Sequence::new(last).min(shared.places.sequence());
        Self {
            shared: Arc::clone(shared),
            event_type: None,
            first: Sequence::new(first),
            last,
            cursor: None,
            names: Names::default(),
            back: VecDeque::new(),
            count: ReadCount::new(shared),
            damage: None,
            failed: false,
        }
    }

    /// Only events of this type; the others are checked and not copied.
    #[must_use]
    pub fn of_type(mut self, event_type: &EventType) -> Self {
        self.event_type = Some(event_type.clone());
        self
    }

    /// The next event from the front that is not in `back`. One at a time: who drops each before the next has the same memory
    /// for all of them.
    fn take_front(&mut self) -> Result<Option<Event>> {
        while self.first <= self.last {
            let cursor = match &mut self.cursor {
                Some(cursor) => cursor,
                none => none.insert(FrameCursor::at(&self.shared.files, self.first)?),
            };
            let (first, event_type) = (self.first, self.event_type.as_ref());
            let (sequence, event) = cursor.event(&mut self.names, |sequence, record| {
                sequence >= first && event_type.is_none_or(|wanted| wanted.as_str() == record.event_type)
            })?;
            self.first = first.max(sequence.next());
            if event.is_some() {
                return Ok(event);
            }
        }
        Ok(None)
    }

    fn fill_back(&mut self) -> Result<()> {
        while self.back.is_empty() && self.first <= self.last {
            let wanted = |event_type: &str| self.event_type.as_ref().is_none_or(|wanted| wanted.as_str() == event_type);
            if let Some(damage) = self.damage.take() {
                return Err(damage);
            }
            let stretch = cursor::stretch_through(&self.shared.files, self.last, wanted)?;
            self.back = stretch.events.into_iter().filter(|event| event.sequence >= self.first).collect();
            self.last = stretch.start.previous();
            self.damage = stretch.damage;
        }
        Ok(())
    }
}

impl Iterator for AllEvents {
    type Item = Result<Event>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        match self.take_front() {
            Ok(Some(event)) => Some(Ok(self.count.note(event))),
            Ok(None) => self.back.pop_front().map(|event| Ok(self.count.note(event))),
            Err(error) => {
                self.failed = true;
                Some(Err(error))
            }
        }
    }
}

impl DoubleEndedIterator for AllEvents {
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        if let Err(error) = self.fill_back() {
            self.failed = true;
            return Some(Err(error));
        }
        self.back.pop_back().map(|event| Ok(self.count.note(event)))
    }
}

/// A stream's events in the order of their versions. Ends at its first error.
#[derive(Debug)]
pub struct StreamEvents {
    shared: Arc<Shared>,
    stream: StreamId,
    event_type: Option<EventType>,
    first: Version,
    last: Version,
    /// What was visible when the read began.
    through: Sequence,
    front: VecDeque<(Version, Place)>,
    back: VecDeque<(Version, Place)>,
    reader: RecordReader,
    ahead: Ahead,
    count: ReadCount,
    failed: bool,
}

/// How many records are asked for ahead: few at first, for who wants the first event alone.
#[derive(Debug)]
struct Ahead {
    /// Of those that were asked for, how many are still to be read.
    left: usize,
    next: usize,
}

impl Default for Ahead {
    fn default() -> Self {
        Self { left: 0, next: 4 }
    }
}

impl Ahead {
    /// Has the next records loaded, where none is on its way.
    fn load<'a>(&mut self, reader: &mut RecordReader, places: impl Iterator<Item = &'a Place>) -> Result<()> {
        if self.left == 0 {
            self.left = reader.prefetch(places.take(self.next).map(record_place))?;
            self.next = (2 * self.next).min(AHEAD_MAX);
        }
        self.left = self.left.saturating_sub(1);
        Ok(())
    }
}

impl StreamEvents {
    pub(crate) fn new(shared: &Arc<Shared>, stream: &StreamId, range: &impl RangeBounds<Version>) -> Self {
        let (first, last) = bounds(range, Version::get);
        Self {
            shared: Arc::clone(shared),
            stream: stream.clone(),
            event_type: None,
            first: Version::new(first),
            last: Version::new(last),
            through: shared.places.sequence(),
            front: VecDeque::new(),
            back: VecDeque::new(),
            reader: RecordReader::new(&shared.files),
            ahead: Ahead::default(),
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
        let from = match direction {
            Direction::Forwards => self.first,
            Direction::Backwards => self.last,
        };
        if self.first > self.last {
            return Ok(());
        }
        let found = self.shared.places_of(self.stream.as_str(), from, direction, PLACES_AT_ONCE)?;
        let is_end = found.len() < PLACES_AT_ONCE;
        let range = self.first..=self.last;
        for (version, place) in found {
            if !range.contains(&version) {
                continue;
            }
            match direction {
                Direction::Forwards => {
                    self.first = version.next();
                    if place.sequence <= self.through {
                        self.front.push_back((version, place));
                    }
                }
                Direction::Backwards => {
                    self.last = version.previous();
                    if place.sequence <= self.through {
                        self.back.push_front((version, place));
                    }
                }
            }
        }
        if is_end {
            self.last = Version::ZERO;
            self.first = Version::FIRST;
        }
        Ok(())
    }

    fn step(&mut self, direction: Direction) -> Option<Result<Event>> {
        while !self.failed {
            let is_empty = match direction {
                Direction::Forwards => self.front.is_empty(),
                Direction::Backwards => self.back.is_empty(),
            };
            let fetched = if is_empty { self.fetch(direction) } else { Ok(()) };
            let (reader, front, back) = (&mut self.reader, &self.front, &self.back);
            let loaded = fetched.and_then(|()| match direction {
                Direction::Forwards => self.ahead.load(reader, front.iter().map(|(_, place)| place)),
                Direction::Backwards => self.ahead.load(reader, back.iter().rev().map(|(_, place)| place)),
            });
            if let Err(error) = loaded {
                self.failed = true;
                return Some(Err(error));
            }
            let (version, place) = match direction {
                Direction::Forwards => self.front.pop_front().or_else(|| self.back.pop_front())?,
                Direction::Backwards => self.back.pop_back().or_else(|| self.front.pop_back())?,
            };
            match self.reader.event_of(record_place(&place), &self.stream, version) {
                Ok(event) if self.event_type.as_ref().is_some_and(|wanted| *wanted != event.event_type) => {}
                Ok(event) => return Some(Ok(self.count.note(event))),
                Err(error) => {
                    self.failed = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

impl Iterator for StreamEvents {
    type Item = Result<Event>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step(Direction::Forwards)
    }
}

impl DoubleEndedIterator for StreamEvents {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.step(Direction::Backwards)
    }
}

/// Streams in the order of their names' bytes, each with its head. Ends at its first error.
#[derive(Debug)]
pub struct Streams {
    shared: Arc<Shared>,
    prefix: String,
    after: Option<StreamId>,
    page: VecDeque<(StreamId, StreamHead)>,
    tail: BTreeMap<StreamId, StreamHead>,
    is_index_done: bool,
    failed: bool,
}

impl Streams {
    pub(crate) fn new(shared: &Arc<Shared>, prefix: &str) -> Self {
        let mut tail = BTreeMap::new();
        for (stream, head) in shared.view.read().streams(prefix) {
            tail.entry(stream).or_insert(head);
        }
        Self {
            shared: Arc::clone(shared),
            prefix: prefix.to_owned(),
            after: None,
            page: VecDeque::new(),
            tail,
            is_index_done: false,
            failed: false,
        }
    }

    fn fill(&mut self) -> Result<()> {
        if !self.page.is_empty() || self.is_index_done {
            return Ok(());
        }
        let after = self.after.as_ref().map(StreamId::as_str);
        let page = self.shared.index.streams(&self.prefix, after, STREAMS_AT_ONCE)?;
        self.is_index_done = page.len() < STREAMS_AT_ONCE;
        self.after = page.last().map(|(stream, _)| stream.clone());
        self.page = page.into();
        Ok(())
    }
}

impl Iterator for Streams {
    type Item = Result<(StreamId, StreamHead)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        if let Err(error) = self.fill() {
            self.failed = true;
            return Some(Err(error));
        }
        let from_tail = match (self.page.front(), self.tail.first_key_value()) {
            (Some((indexed, _)), Some((stream, _))) => stream <= indexed,
            (None, tail) => tail.is_some(),
            (Some(_), None) => false,
        };
        if !from_tail {
            return self.page.pop_front().map(Ok);
        }
        let (stream, head) = self.tail.pop_first()?;
        if self.page.front().is_some_and(|(indexed, _)| *indexed == stream) {
            self.page.pop_front();
        }
        Some(Ok((stream, head)))
    }
}

impl Shared {
    /// The places of a stream's events: from the index up to where the tails begin, and from the tails.
    pub(super) fn places_of(
        &self,
        stream: &str,
        from: Version,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<(Version, Place)>> {
        // Pinned together: what leaves the tails after this is in the index, and is passed over there.
        let (in_tail, tail_first) = {
            let view = self.view.read();
            (view.places(stream, from, direction, limit), view.first_version(stream).unwrap_or(Version::MAX))
        };
        let mut indexed = Vec::new();
        match direction {
            Direction::Forwards => {
                if from < tail_first {
                    indexed = self.index.places(stream, from, direction, limit)?;
                    indexed.retain(|(version, _)| *version < tail_first);
                }
                indexed.extend(in_tail);
            }
            Direction::Backwards => {
                let left = limit - in_tail.len();
                if left > 0 && tail_first > Version::FIRST {
                    indexed = self.index.places(stream, from.min(tail_first.previous()), direction, left)?;
                }
                indexed.splice(0..0, in_tail);
            }
        }
        indexed.truncate(limit);
        Ok(indexed)
    }

    /// The event at a place that the index or a tail gave for a stream's version.
    pub(super) fn event_at(&self, place: &Place, stream: &StreamId, version: Version) -> Result<Event> {
        RecordReader::new(&self.files).event_of(record_place(place), stream, version)
    }

    /// The event at a place that the index or a tail gave.
    pub(super) fn read_at(&self, place: &Place) -> Result<Event> {
        RecordReader::new(&self.files).event(record_place(place))
    }

    pub(crate) fn head(&self, stream: &StreamId) -> Result<Option<StreamHead>> {
        let head = self.view.read().head(stream.as_str());
        match head {
            Some(head) => Ok(Some(head)),
            None => self.index.head(stream.as_str()),
        }
    }

    pub(crate) fn key_entry(&self, key: &str) -> Result<Option<KeyEntry>> {
        let entry = self.view.read().key(key);
        match entry {
            Some(entry) => Ok(Some(entry)),
            None => self.index.key(key),
        }
    }

    /// The receipt of the commit whose frame is at the entry's place.
    pub(crate) fn receipt_at(&self, entry: &KeyEntry) -> Result<Receipt> {
        let offset = u64::from(entry.frame_offset);
        let Some(segment) = self.files.named(entry.segment) else {
            return Err(files::corrupt(
                entry.segment,
                offset,
                entry.segment,
                "a segment of the log",
                "no such segment",
            ));
        };
        let io = |source| LogFiles::io(entry.segment, "read", source);
        let damaged = |defect: crate::format::frame::FrameDefect| {
            files::corrupt(entry.segment, offset, entry.segment, "the frame of an idempotency key", defect.to_string())
        };
        let mut window = self.files.window(&segment)?;
        let bytes = window.get(offset, HEADER_BYTES).map_err(io)?;
        let header = crate::format::frame::read_header(bytes, segment.salt, offset, u64::MAX).map_err(damaged)?;
        let bytes = window.get(offset, usize::try_from(header.total_bytes()).unwrap_or(usize::MAX)).map_err(io)?;
        let frame = crate::format::frame::FrameRef::read(header, bytes, segment.salt, offset).map_err(damaged)?;
        let mut streams: Vec<StreamReceipt> = Vec::new();
        let mut known = std::collections::HashMap::new();
        for placed in frame.records().map_err(damaged)? {
            let record = placed.map_err(damaged)?.record;
            let at = *known.entry(record.stream).or_insert(streams.len());
            match streams.get_mut(at) {
                Some(receipt) => receipt.version_last = record.version,
                None => streams.push(StreamReceipt {
                    stream: StreamId::new(record.stream)?,
                    version_first: record.version,
                    version_last: record.version,
                }),
            }
        }
        Ok(Receipt {
            sequence_first: header.first_sequence,
            sequence_last: header.last_sequence(),
            timestamp: header.timestamp,
            streams,
            is_repeat: true,
        })
    }

    /// The last visible sequence that was committed at or before a time.
    pub(crate) fn sequence_at(&self, time: Timestamp) -> Result<Sequence> {
        let (mut low, mut high) = (0, self.places.sequence().get());
        // Times never run backwards, so this is a search in a sorted list: low is at or before, high + 1 is after.
        while low < high {
            let middle = high - (high - low) / 2;
            let at = cursor::commit_time(&self.files, Sequence::new(middle))?;
            if at <= time {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        Ok(Sequence::new(low))
    }
}

fn record_place(place: &Place) -> RecordPlace {
    RecordPlace {
        sequence: place.sequence,
        segment: place.segment,
        frame_offset: u64::from(place.frame_offset),
        record_offset: u64::from(place.record_offset),
    }
}

/// Both ends of a range, included; an empty range is one whose first is beyond its last.
pub(super) fn bounds<T: Copy>(range: &impl RangeBounds<T>, number: impl Fn(T) -> u64) -> (u64, u64) {
    let first = match range.start_bound() {
        Bound::Included(first) => number(*first),
        Bound::Excluded(before) => number(*before).saturating_add(1),
        Bound::Unbounded => 1,
    };
    let last = match range.end_bound() {
        Bound::Included(last) => number(*last),
        Bound::Excluded(after) => number(*after).saturating_sub(1),
        Bound::Unbounded => u64::MAX,
    };
    (first.max(1), last)
}
