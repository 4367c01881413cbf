//! Reading frames and records of the log, in order or at a place; each checked as it is read.

use std::sync::Arc;

use super::files::{self, LogFiles, Segment};
use super::names::Names;
use super::scan;
use super::window::Window;
use crate::error::{Error, ErrorKind, Result};
use crate::format::frame::{self, ALIGNMENT, FrameDefect, FrameHeader, FrameRef, HEADER_BYTES, to_u64};
use crate::format::record::{self, RecordDefect, RecordRef};
use crate::types::{Event, Sequence, StreamId, Timestamp, Version};

/// Walks frames forwards from a sequence; marks are passed over.
#[derive(Debug)]
pub(crate) struct FrameCursor {
    files: Arc<LogFiles>,
    segment: Arc<Segment>,
    /// The first sequence of the segment after, once there is one.
    until: Option<Sequence>,
    window: Window,
    offset: u64,
    next: Sequence,
    /// The frame that events are taken from one by one; what is next is behind it.
    current: Option<Current>,
}

/// What is left of a frame.
#[derive(Debug)]
struct Current {
    frame_offset: u64,
    first: Sequence,
    timestamp: Timestamp,
    /// The next record, and where they end.
    sequence: Sequence,
    offset: u64,
    end: u64,
}

impl FrameCursor {
    /// A cursor whose next frame is the one that holds `sequence`, which must be in the log.
    ///
    /// # Errors
    /// `Corrupt`, `UnsupportedFormat`, `Io`.
    pub(crate) fn at(files: &Arc<LogFiles>, sequence: Sequence) -> Result<Self> {
        let mut cursor = Self::before(files, sequence)?;
        let mut passed = Vec::new();
        loop {
            match cursor.header() {
                Ok(header) if header.next_sequence() > sequence => {
                    cursor.segment.note_passed(&passed);
                    return Ok(cursor);
                }
                Ok(header) => {
                    cursor.pass(&header);
                    files::note_anchor(&mut passed, cursor.next, cursor.offset);
                }
                Err(error) if error.kind() == ErrorKind::Corrupt => cursor.pass_damage(sequence, error)?,
                Err(error) => return Err(error),
            }
        }
    }

    /// Goes on at the next sound frame: what lies before `sequence` may be damaged, and it be sound. Where that frame is beyond
    /// it, the damage holds it.
    fn pass_damage(&mut self, sequence: Sequence, damage: Error) -> Result<()> {
        let mut offset = self.offset + ALIGNMENT;
        loop {
            let first = self.segment.first;
            let bytes = self.window.get(offset, HEADER_BYTES).map_err(|source| LogFiles::io(first, "read", source))?;
            if bytes.len() < HEADER_BYTES {
                return Err(damage);
            }
            let header = scan::sound_header(bytes, self.segment.salt, offset, u64::MAX);
            if let Some(header) = header.filter(|header| header.first_sequence >= self.next) {
                if header.first_sequence > sequence {
                    return Err(damage);
                }
                (self.offset, self.next) = (offset, header.first_sequence);
                return Ok(());
            }
            offset += ALIGNMENT;
        }
    }

    /// A cursor at the last anchor at or before `sequence`.
    fn before(files: &Arc<LogFiles>, sequence: Sequence) -> Result<Self> {
        let Some((segment, until)) = files.holding(sequence) else {
            return Err(files::corrupt(sequence, 0, sequence, "a segment that holds this sequence", "none"));
        };
        let anchor = files.anchor(&segment, sequence)?;
        let window = files.window(&segment)?;
        Ok(Self {
            files: Arc::clone(files),
            segment,
            until,
            window,
            offset: u64::from(anchor.offset),
            next: anchor.sequence,
            current: None,
        })
    }

    /// The next frame that holds events, which must exist; its records are checked when they are read.
    ///
    /// # Errors
    /// `Corrupt`, `UnsupportedFormat`, `Io`.
    pub(crate) fn frame(&mut self) -> Result<FrameRef<'_>> {
        loop {
            self.cross_over()?;
            let header = self.header()?;
            if header.event_count == 0 {
                self.pass(&header);
                continue;
            }
            let offset = self.offset;
            self.pass(&header);
            return Self::body(&mut self.window, &self.segment, header, offset);
        }
    }

    /// The next record, checked, and its event if it is wanted. There must be one.
    ///
    /// # Errors
    /// `Corrupt`, `UnsupportedFormat`, `Io`.
    #[inline]
    pub(crate) fn event(
        &mut self,
        names: &mut Names,
        wanted: impl FnOnce(Sequence, &RecordRef<'_>) -> bool,
    ) -> Result<(Sequence, Option<Event>)> {
        if self.current.is_none() {
            self.current = Some(Current::of(&self.frame()?)?);
        }
        let Some(current) = &mut self.current else { unreachable!("a frame was entered") };
        let (sequence, offset, end) = (current.sequence, current.offset, current.end);
        let (segment, salt) = (self.segment.first, self.segment.salt);
        let rest = usize::try_from(end - offset).unwrap_or(usize::MAX);
        let bytes = self.window.get(offset, rest).map_err(|source| LogFiles::io(segment, "read", source))?;
        let read = record::read(bytes, salt, offset, sequence);
        let (record, length) = read.map_err(|defect| current.damaged(segment, defect))?;
        let event = if wanted(sequence, &record) {
            let malformed = |_| current.damaged(segment, RecordDefect::Malformed);
            let stream = names.stream(record.stream).map_err(malformed)?;
            let event_type = names.event_type(record.event_type).map_err(malformed)?;
            let event = record.to_event_of(stream, event_type, sequence, current.timestamp);
            Some(event.map_err(|defect| current.damaged(segment, defect))?)
        } else {
            None
        };
        (current.sequence, current.offset) = (sequence.next(), offset + to_u64(length));
        if current.sequence == self.next {
            self.current = None;
        }
        Ok((sequence, event))
    }

    fn body<'a>(window: &'a mut Window, segment: &Segment, header: FrameHeader, offset: u64) -> Result<FrameRef<'a>> {
        let total = usize::try_from(header.total_bytes()).unwrap_or(usize::MAX);
        let bytes = window.get(offset, total).map_err(|source| LogFiles::io(segment.first, "read", source))?;
        FrameRef::unchecked(header, bytes, segment.salt, offset).map_err(|defect| {
            files::corrupt(segment.first, offset, header.first_sequence, "a whole frame", defect.to_string())
        })
    }

    /// Goes to the next segment where this one's events are read.
    fn cross_over(&mut self) -> Result<()> {
        if self.until.is_none() {
            self.until = self.files.following(self.segment.first).map(|segment| segment.first);
        }
        if self.until != Some(self.next) {
            return Ok(());
        }
        let files = Arc::clone(&self.files);
        *self = Self::before(&files, self.next)?;
        Ok(())
    }

    fn header(&mut self) -> Result<FrameHeader> {
        let (first, offset, next) = (self.segment.first, self.offset, self.next);
        let bytes = self.window.get(offset, HEADER_BYTES).map_err(|source| LogFiles::io(first, "read", source))?;
        let header = frame::read_header(bytes, self.segment.salt, offset, u64::MAX)
            .map_err(|defect| files::corrupt(first, offset, next, "a frame", defect.to_string()))?;
        if header.first_sequence != next {
            let found = format!("a frame of sequence {}", header.first_sequence);
            return Err(files::corrupt(first, offset, next, "a frame of this sequence", found));
        }
        Ok(header)
    }

    fn pass(&mut self, header: &FrameHeader) {
        self.offset += header.total_bytes();
        self.next = header.next_sequence();
    }
}

impl Current {
    fn of(frame: &FrameRef<'_>) -> Result<Self> {
        let (offset, end) = frame.records_at().map_err(|defect| damaged_in(frame, defect))?;
        let (first, timestamp) = (frame.header.first_sequence, frame.header.timestamp);
        Ok(Self { frame_offset: frame.offset, first, timestamp, sequence: first, offset, end })
    }

    #[cold]
    fn damaged(&self, segment: Sequence, defect: RecordDefect) -> Error {
        let number = u32::try_from(self.sequence.get() - self.first.get()).unwrap_or(u32::MAX);
        let defect = FrameDefect::Record(number, defect).to_string();
        files::corrupt(segment, self.frame_offset, self.sequence, "a sound frame", defect)
    }
}

/// What a walk backwards takes at once.
#[derive(Debug)]
pub(crate) struct Stretch {
    /// The first sequence that was read.
    pub(crate) start: Sequence,
    /// Its events, oldest first.
    pub(crate) events: Vec<Event>,
    /// What stands before it, where that is damaged.
    pub(crate) damage: Option<Error>,
}

/// The events of the stretch that holds `sequence`, up to it. Where a frame of it is damaged it begins behind that.
///
/// # Errors
/// `Corrupt`: the frame that holds `sequence` is damaged. `UnsupportedFormat`, `Io`.
pub(crate) fn stretch_through(
    files: &Arc<LogFiles>,
    sequence: Sequence,
    wanted: impl Fn(&str) -> bool,
) -> Result<Stretch> {
    let mut cursor = FrameCursor::before(files, sequence)?;
    let mut stretch = Stretch { start: cursor.next, events: Vec::new(), damage: None };
    while cursor.next <= sequence {
        let (at, start) = (cursor.next, stretch.start);
        let taken = cursor
            .frame()
            .and_then(|frame| collect(&frame, start, sequence, &wanted, &mut |event| stretch.events.push(event)));
        let Err(error) = taken else { continue };
        if error.kind() != ErrorKind::Corrupt {
            return Err(error);
        }
        if cursor.next == at {
            cursor.pass_damage(sequence, error.clone())?;
        }
        if cursor.next > sequence {
            return Err(error);
        }
        stretch = Stretch { start: cursor.next, events: Vec::new(), damage: Some(error) };
    }
    Ok(stretch)
}

/// Gives the events of a frame that lie in a range and whose type is wanted.
///
/// # Errors
/// `Corrupt`: a record is damaged.
pub(crate) fn collect(
    frame: &FrameRef<'_>,
    from: Sequence,
    through: Sequence,
    wanted: impl Fn(&str) -> bool,
    take: &mut impl FnMut(Event),
) -> Result<()> {
    let damaged = |defect: FrameDefect| damaged_in(frame, defect);
    for placed in frame.records().map_err(damaged)? {
        let placed = placed.map_err(damaged)?;
        if placed.sequence < from || placed.sequence > through || !wanted(placed.record.event_type) {
            continue;
        }
        let event = placed.record.to_event(placed.sequence, frame.header.timestamp);
        take(event.map_err(|defect| damaged_record(frame, defect))?);
    }
    Ok(())
}

/// The error for a frame whose body is damaged.
pub(crate) fn damaged_in(frame: &FrameRef<'_>, defect: FrameDefect) -> Error {
    let sequence = match defect {
        FrameDefect::Record(number, _) => frame.header.first_sequence.plus(u64::from(number)),
        _ => frame.header.first_sequence,
    };
    files::corrupt(frame.segment(), frame.offset, sequence, "a sound frame", defect.to_string())
}

/// The error for a record that is checked and cannot be read.
pub(crate) fn damaged_record(frame: &FrameRef<'_>, defect: RecordDefect) -> Error {
    damaged_in(frame, FrameDefect::Record(0, defect))
}

/// The time of the commit that holds `sequence`, which must be in the log.
///
/// # Errors
/// `Corrupt`, `UnsupportedFormat`, `Io`.
pub(crate) fn commit_time(files: &Arc<LogFiles>, sequence: Sequence) -> Result<Timestamp> {
    Ok(FrameCursor::at(files, sequence)?.header()?.timestamp)
}

/// Where one record lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordPlace {
    pub(crate) sequence: Sequence,
    pub(crate) segment: Sequence,
    pub(crate) frame_offset: u64,
    pub(crate) record_offset: u64,
}

/// Reads single records, each at its place: the frame's header and this record are checked, the rest of the commit is not read.
///
/// Keeps what the last one took, for the next one is often in the same segment, and sometimes in the same frame. So it is for
/// events that were visible when it was made: what it has of a file is not read again.
#[derive(Debug)]
pub(crate) struct RecordReader {
    records: PlacedRecords,
    names: Names,
}

#[derive(Debug)]
struct PlacedRecords {
    files: Arc<LogFiles>,
    open: Option<(Arc<Segment>, Window)>,
    /// The last frame, in the open segment.
    frame: Option<FrameAt>,
    /// How long the last record was, as a guess at the next one's length.
    record_bytes: usize,
}

/// What a record needs of its frame, whose header was checked.
#[derive(Clone, Copy, Debug)]
struct FrameAt {
    offset: u64,
    end: u64,
    first: Sequence,
    next: Sequence,
    timestamp: Timestamp,
}

impl RecordReader {
    pub(crate) fn new(files: &Arc<LogFiles>) -> Self {
        let records = PlacedRecords { files: Arc::clone(files), open: None, frame: None, record_bytes: 256 };
        Self { records, names: Names::default() }
    }

    /// Asks for records that will be read next, as far as they are in the same segment as the first; returns of how many.
    ///
    /// # Errors
    /// `Corrupt`: there is no such segment. `Io`.
    pub(crate) fn prefetch(&mut self, places: impl Iterator<Item = RecordPlace>) -> Result<usize> {
        const BYTES_MAX: usize = 1024;
        let mut count = 0;
        let record_bytes = self.records.record_bytes.min(BYTES_MAX);
        for place in places {
            if count == 0 {
                self.records.enter(place)?;
            }
            let Some((segment, window)) = &self.records.open else { break };
            if segment.first != place.segment {
                break;
            }
            window.prefetch(place.frame_offset, HEADER_BYTES);
            window.prefetch(place.record_offset, record_bytes);
            count += 1;
        }
        Ok(count)
    }

    /// The event at a place.
    ///
    /// # Errors
    /// `Corrupt`: the place holds something else, or the record is damaged. `UnsupportedFormat`, `Io`.
    pub(crate) fn event(&mut self, place: RecordPlace) -> Result<Event> {
        let (record, timestamp) = self.records.record(place)?;
        let stream = self.names.stream(record.stream).map_err(|_| malformed(place))?;
        let event_type = self.names.event_type(record.event_type).map_err(|_| malformed(place))?;
        record.to_event_of(stream, event_type, place.sequence, timestamp).map_err(|_| malformed(place))
    }

    /// The event at a place that must be this version of this stream.
    ///
    /// # Errors
    /// As [`event`](Self::event).
    #[inline(always)]
    pub(crate) fn event_of(&mut self, place: RecordPlace, stream: &StreamId, version: Version) -> Result<Event> {
        let (record, timestamp) = self.records.record(place)?;
        if record.stream != stream.as_str() || record.version != version {
            let expected = format!("version {version} of stream {stream}, as the index says");
            let found = format!("version {} of stream {}", record.version, record.stream);
            return Err(damaged_at(place, place.record_offset, expected, found));
        }
        let event_type = self.names.event_type(record.event_type).map_err(|_| malformed(place))?;
        record.to_event_of(stream.clone(), event_type, place.sequence, timestamp).map_err(|_| malformed(place))
    }
}

impl PlacedRecords {
    /// Opens the segment of a place.
    #[inline]
    fn enter(&mut self, place: RecordPlace) -> Result<()> {
        if self.open.as_ref().is_some_and(|(segment, _)| segment.first == place.segment) {
            return Ok(());
        }
        let Some(segment) = self.files.named(place.segment) else {
            return Err(damaged_at(place, place.frame_offset, "a segment of the log", "no such segment"));
        };
        let window = Window::narrow(self.files.source(&segment)?);
        (self.open, self.frame) = (Some((segment, window)), None);
        Ok(())
    }

    /// The record at a place, and the time of its commit.
    #[inline(always)]
    fn record(&mut self, place: RecordPlace) -> Result<(RecordRef<'_>, Timestamp)> {
        self.enter(place)?;
        let Some((segment, window)) = &mut self.open else { unreachable!("the segment was entered") };
        let salt = segment.salt;
        let io = |source| LogFiles::io(place.segment, "read", source);
        let damaged = |offset, found: String| damaged_at(place, offset, "this event", found);
        let frame = match self.frame {
            Some(frame) if frame.offset == place.frame_offset => frame,
            _ => {
                let bytes = window.get(place.frame_offset, HEADER_BYTES).map_err(io)?;
                let header = frame::read_header(bytes, salt, place.frame_offset, u64::MAX)
                    .map_err(|defect| damaged(place.frame_offset, defect.to_string()))?;
                let frame = FrameAt {
                    offset: place.frame_offset,
                    end: place.frame_offset + header.total_bytes(),
                    first: header.first_sequence,
                    next: header.next_sequence(),
                    timestamp: header.timestamp,
                };
                self.frame = Some(frame);
                frame
            }
        };
        if !(frame.first..frame.next).contains(&place.sequence) {
            return Err(damaged(place.frame_offset, format!("a frame of sequence {}", frame.first)));
        }
        let offset = place.record_offset;
        let bytes = window.get(offset, record::HEADER_BYTES).map_err(io)?;
        let length = record::stated_length(bytes).filter(|length| offset + to_u64(*length) <= frame.end);
        let length = length.ok_or_else(|| damaged(offset, "a record that reaches beyond its frame".into()))?;
        self.record_bytes = length;
        let bytes = window.get(offset, length).map_err(io)?;
        match record::read(bytes, salt, offset, place.sequence) {
            Ok((record, _)) => Ok((record, frame.timestamp)),
            Err(defect) => Err(damaged(offset, FrameDefect::Record(0, defect).to_string())),
        }
    }
}

fn malformed(place: RecordPlace) -> Error {
    damaged_at(place, place.record_offset, "this event", format!("{:?}", RecordDefect::Malformed))
}

fn damaged_at(place: RecordPlace, offset: u64, expected: impl Into<String>, found: impl Into<String>) -> Error {
    files::corrupt(place.segment, offset, place.sequence, expected, found)
}
