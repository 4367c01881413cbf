//! Looking at events where they lie in the log: at all of a range, or, by several threads, at those of a part of the streams each.

use std::fmt;
use std::ops::{ControlFlow, RangeBounds, RangeInclusive};

use super::read_count::ReadCount;
use super::reads::bounds;
use super::shared::Shared;
use crate::error::{Error, ErrorKind, Result};
use crate::format::frame::{FrameRef, PlacedRecord};
use crate::format::record::RecordRef;
use crate::log::cursor::{self, FrameCursor};
use crate::log::names::Names;
use crate::types::{CodecId, Event, EventId, Sequence, StreamId, Timestamp, Version};

/// An event where it lies in the log, borrowed for as long as it is looked at.
#[derive(Clone, Copy)]
pub struct EventRef<'a> {
    /// Its global place.
    pub sequence: Sequence,
    /// Its stream.
    pub stream: &'a str,
    /// Its place in its stream.
    pub version: Version,
    /// Its id.
    pub id: EventId,
    /// What kind of fact it is.
    pub event_type: &'a str,
    /// The version of its payload's shape.
    pub schema_version: u16,
    /// How its payload is encoded.
    pub codec: CodecId,
    /// The store's time when it was committed.
    pub timestamp: Timestamp,
    /// The fact itself.
    pub payload: &'a [u8],
    record: &'a RecordRef<'a>,
}

impl<'a> EventRef<'a> {
    #[inline(always)]
    fn of(placed: &'a PlacedRecord<'a>, timestamp: Timestamp) -> Self {
        let record = &placed.record;
        Self {
            sequence: placed.sequence,
            stream: record.stream,
            version: record.version,
            id: record.id,
            event_type: record.event_type,
            schema_version: record.schema_version,
            codec: record.codec,
            timestamp,
            payload: record.payload,
            record,
        }
    }

    /// A copy that owns its bytes, with tags and metadata.
    ///
    /// # Errors
    /// `Corrupt`: a name, tags or metadata that no store of this version writes.
    pub fn to_event(&self) -> Result<Event> {
        self.record.to_event(self.sequence, self.timestamp).map_err(|defect| malformed(self.sequence, &defect))
    }
}

fn malformed(sequence: Sequence, defect: &dyn fmt::Debug) -> Error {
    let text = format!("event {sequence} is malformed under a checksum that is right ({defect:?})");
    Error::new(ErrorKind::Corrupt, text)
}

/// Prints the payload's length, not the payload: logs are no place for customers' data.
impl fmt::Debug for EventRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventRef")
            .field("sequence", &self.sequence)
            .field("stream", &self.stream)
            .field("version", &self.version)
            .field("event_type", &self.event_type)
            .field("payload_bytes", &self.payload.len())
            .finish_non_exhaustive()
    }
}

/// An event that is copied over and over: its memory and its names serve again.
#[derive(Debug, Default)]
pub(crate) struct EventBuffer {
    event: Option<Event>,
    names: Names,
}

impl EventBuffer {
    /// A copy of an event of `stream`.
    ///
    /// # Errors
    /// As [`EventRef::to_event`].
    pub(crate) fn fill(&mut self, from: &EventRef<'_>, stream: &StreamId) -> Result<&Event> {
        debug_assert_eq!(from.stream, stream.as_str(), "the name is the event's");
        let event = match &mut self.event {
            none @ None => return Ok(none.insert(from.to_event()?)),
            Some(event) => event,
        };
        if event.stream != *stream {
            event.stream.clone_from(stream);
        }
        if event.event_type.as_str() != from.event_type {
            let known = self.names.event_type(from.event_type);
            event.event_type = known.map_err(|error| malformed(from.sequence, &error))?;
        }
        let copied = from.record.copy_to(event, from.sequence, from.timestamp);
        copied.map_err(|defect| malformed(from.sequence, &defect))?;
        Ok(event)
    }
}

/// What looks at the events of some streams, while others look at the rest.
pub(crate) trait Part {
    /// A tag for the events of the stream with this name; `None` where it is another's.
    fn tag(&self, stream: &[u8]) -> Option<u32>;

    /// An event with this tag comes soon.
    fn expect(&self, tag: u32);

    /// An event with its tag, checked.
    ///
    /// # Errors
    /// What ends the walk.
    fn take(&mut self, event: EventRef<'_>, tag: u32) -> Result<()>;
}

/// How many events ahead a part hears of one.
const EXPECTED_AHEAD: usize = 8;

/// Shows each event of a range to `visitor`, until it breaks off.
///
/// # Errors
/// `Corrupt`, `Io`, and what `visitor` says.
pub(crate) fn visit(
    shared: &Shared,
    range: &impl RangeBounds<Sequence>,
    visitor: &mut impl FnMut(EventRef<'_>) -> Result<ControlFlow<()>>,
) -> Result<()> {
    let mut count = ReadCount::new(shared);
    each_frame(shared, range, &mut |frame, range| {
        let damaged = |defect| cursor::damaged_in(frame, defect);
        for placed in frame.records().map_err(damaged)? {
            let placed = placed.map_err(damaged)?;
            if !range.contains(&placed.sequence) {
                continue;
            }
            count.add(placed.record.payload);
            if visitor(EventRef::of(&placed, frame.header.timestamp))?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    })
}

/// Shows a part its events of a range. Those of other streams are stepped over: that each record begins where its frame was written
/// with one is checked, and their bytes are not. Parts that leave no stream out check all records between them.
///
/// # Errors
/// `Corrupt`, `Io`, and what the part says.
pub(crate) fn visit_part(shared: &Shared, range: &impl RangeBounds<Sequence>, part: &mut impl Part) -> Result<()> {
    let (mut picked, mut count) = (Vec::new(), ReadCount::new(shared));
    each_frame(shared, range, &mut |frame, range| {
        let damaged = |defect| cursor::damaged_in(frame, defect);
        frame.pick(|name| part.tag(name), &mut picked).map_err(damaged)?;
        picked.iter().take(EXPECTED_AHEAD).for_each(|picked| part.expect(picked.tag));
        for (number, &this) in picked.iter().enumerate() {
            if let Some(later) = picked.get(number + EXPECTED_AHEAD) {
                part.expect(later.tag);
            }
            let placed = frame.read_picked(this).map_err(damaged)?;
            if range.contains(&placed.sequence) {
                count.add(placed.record.payload);
                part.take(EventRef::of(&placed, frame.header.timestamp), this.tag)?;
            }
        }
        Ok(ControlFlow::Continue(()))
    })
}

/// Gives the frames that hold the visible events of a range, and that range.
#[inline]
fn each_frame(
    shared: &Shared,
    range: &impl RangeBounds<Sequence>,
    show: &mut impl FnMut(&FrameRef<'_>, &RangeInclusive<Sequence>) -> Result<ControlFlow<()>>,
) -> Result<()> {
    let (first, last) = bounds(range, Sequence::get);
    let (mut next, last) = (Sequence::new(first), Sequence::new(last).min(shared.places.sequence()));
    if next > last {
        return Ok(());
    }
    let range = next..=last;
    let mut cursor = FrameCursor::at(&shared.files, next)?;
    while next <= last {
        let frame = cursor.frame()?;
        if show(&frame, &range)?.is_break() {
            return Ok(());
        }
        next = frame.header.next_sequence();
    }
    Ok(())
}
