//! Reading all that is sound in a damaged log: behind each damaged place the next sound frame is looked for.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::{Loss, SequenceRange, TornTail, VersionRange, label};
use crate::disk::{self, Disk, DiskFile, OpenMode};
use crate::error::{ErrorKind, Result};
use crate::format::frame::FrameRef;
use crate::format::segment::{self, HEADER_BYTES, SegmentHeader};
use crate::log::files::{LogFiles, Segment};
use crate::log::scan::{Position, Scanner, Step};
use crate::log::window::{Source, Window};
use crate::recovery::examine;
use crate::store::pace::Pace;
use crate::types::{Event, Sequence, StoreId, StreamId, Timestamp, Version};

/// What a damaged log still says.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    pub(super) kept: Vec<SequenceRange>,
    pub(super) lost: Vec<Loss>,
    pub(super) streams: BTreeMap<StreamId, StreamFacts>,
    pub(super) torn_tail: Option<TornTail>,
    pub(super) segments: Vec<SegmentFacts>,
    /// The sequence that comes after all that is kept or lost.
    pub(super) end: Sequence,
    /// Versions of a stream that do not follow one another where no event is lost between them: no rot does that.
    pub(super) misfit: Option<String>,
}

/// What was found of one segment.
#[derive(Clone, Debug)]
pub(super) struct SegmentFacts {
    pub(super) first: Sequence,
    pub(super) header: Option<SegmentHeader>,
    /// Every byte of it is a part of what is kept.
    pub(super) is_whole: bool,
    /// It continues the one before.
    pub(super) is_joined: bool,
    /// Where its last sound frame ends.
    pub(super) end: Position,
}

/// What is met, in order.
pub(super) enum Found<'a> {
    /// A segment begins.
    Segment(Sequence),
    /// A sound commit, with its events.
    Commit(&'a FrameRef<'a>, &'a [Event]),
    /// Sequences that are lost.
    Lost(SequenceRange),
}

/// Versions of a stream that are lost, and the sequences between which they stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) versions: VersionRange,
    /// The last event of the stream before them; zero where there is none.
    pub(super) after: Sequence,
    /// The first one behind them; the last of all sequences where there is none.
    pub(super) before: Sequence,
}

/// What is left of one stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct StreamFacts {
    /// The last version that is there, and its sequence.
    pub(super) version: Version,
    pub(super) sequence: Sequence,
    /// Versions before it that are not.
    pub(super) lost: Vec<Gap>,
    /// Events behind the first of those.
    pub(super) events_behind: u64,
}

/// The id that the log's headers give, where the identity is damaged: of the first segment whose header is sound under it.
pub(super) fn store_id(disk: &dyn Disk, directory: &Path) -> Option<StoreId> {
    let inventory = examine::inventory(disk, directory).ok()?;
    inventory.segments.iter().find_map(|first| {
        let file = disk.open(&directory.join(segment::file_name(*first)), OpenMode::Read).ok()?;
        let mut bytes = vec![0; HEADER_BYTES];
        disk::read_exact_at(file.as_ref(), &mut bytes, 0).ok()?;
        let stated = StoreId::from_bytes(bytes.get(16..32)?.try_into().ok()?);
        SegmentHeader::decode(&bytes, stated, *first).ok().map(|header| header.store_id)
    })
}

/// Reads the whole log. `proven` is the last sequence that something outside of it says was durable; beyond `bound` nothing is
/// looked at.
///
/// # Errors
/// `UnsupportedFormat`. `Aborted`: who keeps the `pace` broke off. A place that cannot be read is lost.
pub(super) fn read(
    files: &Arc<LogFiles>,
    proven: Sequence,
    bound: Sequence,
    pace: &mut Pace<'_>,
    visitor: &mut dyn FnMut(Found<'_>) -> Result<()>,
) -> Result<Facts> {
    let mut salvage =
        Salvage { facts: Facts::default(), next: Sequence::FIRST, promised: proven, bound, visitor, pace };
    let segments = files.all();
    let mut end = (String::from("log"), 0);
    for (number, segment) in segments.iter().enumerate() {
        // What a missing segment held, or the end of the one before.
        salvage.miss(segment.first, &end.0, end.1)?;
        (salvage.visitor)(Found::Segment(segment.first))?;
        end = salvage.segment(files, segment, number + 1 == segments.len())?;
        if salvage.next > bound {
            return Ok(salvage.facts);
        }
    }
    let through = salvage.promised.min(bound);
    if through < Sequence::MAX {
        salvage.miss(through.next(), &end.0, end.1)?;
    }
    salvage.facts.end = salvage.next;
    Ok(salvage.facts)
}

struct Salvage<'a, 'p> {
    facts: Facts,
    /// The sequence that comes next.
    next: Sequence,
    /// The last sequence that is known to have been durable.
    promised: Sequence,
    bound: Sequence,
    visitor: &'a mut dyn FnMut(Found<'_>) -> Result<()>,
    pace: &'a mut Pace<'p>,
}

impl Salvage<'_, '_> {
    /// Whatever stands before `found` and was not met is lost.
    fn miss(&mut self, found: Sequence, file: &str, offset: u64) -> Result<()> {
        if found > self.next {
            let (first, last) = (self.next, found.previous());
            self.facts.lost.push(Loss { first, last, file: file.to_owned(), offset });
            self.next = found;
            (self.visitor)(Found::Lost(SequenceRange { first, last }))?;
        }
        Ok(())
    }

    /// Reads one segment; where its last sound frame ends.
    fn segment(&mut self, files: &Arc<LogFiles>, segment: &Segment, is_last: bool) -> Result<(String, u64)> {
        let mut start =
            Position { offset: 0, next: segment.first, chain: 0, timestamp: Timestamp::EPOCH, previous_frame: None };
        let header = match files.header(segment) {
            Ok(header) => {
                start = Position { offset: u64::from(header.frames_offset), chain: header.chain, ..start };
                Some(header)
            }
            Err(error) if error.kind() == ErrorKind::UnsupportedFormat => return Err(error),
            Err(_) => None,
        };
        let is_joined = header.is_some_and(|header| self.continues(&header));
        let is_whole = header.is_some() && self.next == segment.first;
        let facts = SegmentFacts { first: segment.first, header, is_whole, is_joined, end: start };
        self.facts.segments.push(facts);
        let file_label = label(segment.first);
        let end = self.frames_of(files, segment, is_last, start, &file_label)?;
        Ok((file_label, end))
    }

    /// Whether a segment is what the one before says comes next.
    fn continues(&self, header: &SegmentHeader) -> bool {
        match self.facts.segments.last() {
            None => header.ordinal == 0 && header.previous == Sequence::ZERO && header.chain == 0,
            Some(before) => {
                before.is_joined
                    && before.header.is_some_and(|before| before.ordinal.checked_add(1) == Some(header.ordinal))
                    && (before.first, before.end.chain) == (header.previous, header.chain)
            }
        }
    }

    /// Something of the segment is not kept.
    fn note_damage(&mut self) {
        if let Some(facts) = self.facts.segments.last_mut() {
            facts.is_whole = false;
        }
    }

    fn frames_of(
        &mut self,
        files: &Arc<LogFiles>,
        segment: &Segment,
        is_last: bool,
        start: Position,
        file_label: &str,
    ) -> Result<u64> {
        let length = files.open(segment.first).and_then(|file| {
            let length = file.length().map_err(|source| LogFiles::io(segment.first, "look at", source))?;
            Ok((file, length))
        });
        let Ok((file, length)) = length else {
            self.note_damage();
            return Ok(0);
        };
        let end = self.frames_in(file, length, segment, is_last, (start, file_label))?;
        self.pace.end_part(length)?;
        Ok(end)
    }

    fn frames_in(
        &mut self,
        file: Arc<dyn DiskFile>,
        length: u64,
        segment: &Segment,
        is_last: bool,
        (start, file_label): (Position, &str),
    ) -> Result<u64> {
        let mut scanner = Scanner::new(Window::new(Source::File(file)), segment.salt, length, start);
        let mut end = start.offset;
        if start.offset == 0 && !Self::go_on(&mut scanner, 0) {
            return Ok(end);
        }
        loop {
            let walked = self.frames(&mut scanner, file_label, end)?;
            end = walked.max(end);
            if let Some(facts) = self.facts.segments.last_mut() {
                facts.end = scanner.position();
            }
            if self.next > self.bound {
                return Ok(end);
            }
            let Ok(ahead) = scanner.look_ahead() else {
                self.note_damage();
                return Ok(end);
            };
            if ahead.content_end <= scanner.position().offset {
                return Ok(end);
            }
            self.note_damage();
            self.promised = self.promised.max(ahead.promise.map_or(Sequence::ZERO, |(_, through)| through));
            let offset = scanner.position().offset;
            if is_last && self.promised < self.next {
                let bytes = ahead.content_end - offset;
                self.facts.torn_tail = Some(TornTail { file: file_label.to_owned(), offset, bytes });
                return Ok(end);
            }
            if !Self::go_on(&mut scanner, offset) {
                return Ok(end);
            }
        }
    }

    /// Sets the scan on the next sound header behind `offset`; whether there is one.
    fn go_on(scanner: &mut Scanner, offset: u64) -> bool {
        match scanner.next_sound(offset) {
            Ok(Some(position)) => {
                scanner.resume(position);
                true
            }
            Ok(None) | Err(_) => false,
        }
    }

    /// Takes frames as long as they follow one another; where the last one ends.
    fn frames(&mut self, scanner: &mut Scanner, file: &str, end: u64) -> Result<u64> {
        let mut end = end;
        loop {
            if self.next > self.bound {
                return Ok(end);
            }
            let frame: io::Result<Step<'_>> = scanner.step();
            let Ok(Step::Frame(frame)) = frame else { return Ok(end) };
            self.pace.at(frame.offset)?;
            self.take(&frame, file, end)?;
            end = frame.offset + frame.header.total_bytes();
        }
    }

    fn take(&mut self, frame: &FrameRef<'_>, file: &str, end: u64) -> Result<()> {
        self.promised = self.promised.max(frame.header.durable_through);
        if frame.header.event_count == 0 {
            return Ok(());
        }
        // One that is there for a second time says nothing new; one that no store of this version writes says nothing.
        let events = if frame.header.first_sequence < self.next { None } else { events(frame) };
        let Some(events) = events else {
            self.note_damage();
            return Ok(());
        };
        self.miss(frame.header.first_sequence, file, end)?;
        events.iter().for_each(|event| self.note(event));
        (self.visitor)(Found::Commit(frame, &events))?;
        self.next = frame.header.next_sequence();
        let range = SequenceRange { first: frame.header.first_sequence, last: frame.header.last_sequence() };
        match self.facts.kept.last_mut().filter(|kept| kept.last.next() == range.first) {
            Some(kept) => kept.last = range.last,
            None => self.facts.kept.push(range),
        }
        Ok(())
    }

    fn note(&mut self, event: &Event) {
        let has_losses = !self.facts.lost.is_empty();
        let facts = self.facts.streams.entry(event.stream.clone()).or_default();
        let expected = facts.version.next();
        if event.version > expected {
            let versions = VersionRange { first: expected, last: event.version.previous() };
            facts.lost.push(Gap { versions, after: facts.sequence, before: event.sequence });
        }
        if event.version < expected || (event.version > expected && !has_losses) {
            let (stream, version, sequence) = (&event.stream, event.version, event.sequence);
            self.facts.misfit.get_or_insert_with(|| {
                format!("version {version} of stream {stream} at sequence {sequence} does not follow the ones before, and nothing is lost between them")
            });
        }
        facts.events_behind += u64::from(!facts.lost.is_empty());
        facts.version = facts.version.max(event.version);
        facts.sequence = event.sequence;
    }
}

/// The events of a frame whose every record the scanner has checked.
fn events(frame: &FrameRef<'_>) -> Option<Vec<Event>> {
    frame.checked_records().map(|placed| placed.record.to_event(placed.sequence, frame.header.timestamp).ok()).collect()
}
