//! Reading all that is sound in a damaged log: behind each damaged place the next sound frame is looked for.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::{Loss, SequenceRange, TornTail, VersionRange, label};
use crate::disk::{self, Disk, OpenMode};
use crate::error::{ErrorKind, Result};
use crate::format::frame::FrameRef;
use crate::format::segment::{self, HEADER_BYTES, SegmentHeader};
use crate::log::files::{LogFiles, Segment};
use crate::log::scan::{Position, Scanner, Step};
use crate::log::window::{Source, Window};
use crate::recovery::examine;
use crate::types::{Event, Sequence, StoreId, StreamId, Timestamp, Version};

/// What a damaged log still says.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) kept: Vec<SequenceRange>,
    pub(super) lost: Vec<Loss>,
    pub(super) streams: BTreeMap<StreamId, StreamFacts>,
    pub(super) torn_tail: Option<TornTail>,
}

/// What is left of one stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct StreamFacts {
    /// The last version that is there.
    pub(super) version: Version,
    /// Versions before it that are not.
    pub(super) lost: Vec<VersionRange>,
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
/// `UnsupportedFormat`. A place that cannot be read is lost.
pub(super) fn read(
    files: &Arc<LogFiles>,
    proven: Sequence,
    bound: Sequence,
    visitor: &mut dyn FnMut(&Event),
) -> Result<Facts> {
    let mut salvage = Salvage { facts: Facts::default(), next: Sequence::FIRST, promised: proven, bound, visitor };
    let segments = files.all();
    let mut end = (String::from("log"), 0);
    for (number, segment) in segments.iter().enumerate() {
        // What a missing segment held, or the end of the one before.
        salvage.miss(segment.first, &end.0, end.1);
        end = salvage.segment(files, segment, number + 1 == segments.len())?;
        if salvage.next > bound {
            return Ok(salvage.facts);
        }
    }
    let through = salvage.promised.min(bound);
    if through < Sequence::MAX {
        salvage.miss(through.next(), &end.0, end.1);
    }
    Ok(salvage.facts)
}

struct Salvage<'a> {
    facts: Facts,
    /// The sequence that comes next.
    next: Sequence,
    /// The last sequence that is known to have been durable.
    promised: Sequence,
    bound: Sequence,
    visitor: &'a mut dyn FnMut(&Event),
}

impl Salvage<'_> {
    /// Whatever stands before `found` and was not met is lost.
    fn miss(&mut self, found: Sequence, file: &str, offset: u64) {
        if found > self.next {
            let (first, last) = (self.next, found.previous());
            self.facts.lost.push(Loss { first, last, file: file.to_owned(), offset });
            self.next = found;
        }
    }

    /// Reads one segment; where its last sound frame ends.
    fn segment(&mut self, files: &Arc<LogFiles>, segment: &Segment, is_last: bool) -> Result<(String, u64)> {
        let file_label = label(segment.first);
        let Ok(file) = files.open(segment.first) else { return Ok((file_label, 0)) };
        let Ok(length) = file.length() else { return Ok((file_label, 0)) };
        let mut start =
            Position { offset: 0, next: segment.first, chain: 0, timestamp: Timestamp::EPOCH, previous_frame: None };
        let is_sound = match files.header(segment) {
            Ok(header) => {
                start = Position { offset: u64::from(header.frames_offset), chain: header.chain, ..start };
                true
            }
            Err(error) if error.kind() == ErrorKind::UnsupportedFormat => return Err(error),
            Err(_) => false,
        };
        let mut scanner = Scanner::new(Window::new(Source::File(file)), segment.salt, length, start);
        let mut end = start.offset;
        if !is_sound && !Self::go_on(&mut scanner, 0) {
            return Ok((file_label, end));
        }
        loop {
            let walked = self.frames(&mut scanner, &file_label, end);
            end = walked.max(end);
            if self.next > self.bound {
                return Ok((file_label, end));
            }
            let Ok(ahead) = scanner.look_ahead() else { return Ok((file_label, end)) };
            if ahead.content_end <= scanner.position().offset {
                return Ok((file_label, end));
            }
            self.promised = self.promised.max(ahead.promise.map_or(Sequence::ZERO, |(_, through)| through));
            if is_last && self.promised < self.next {
                let offset = scanner.position().offset;
                self.facts.torn_tail =
                    Some(TornTail { file: file_label.clone(), offset, bytes: ahead.content_end - offset });
                return Ok((file_label, end));
            }
            let offset = scanner.position().offset;
            if !Self::go_on(&mut scanner, offset) {
                return Ok((file_label, end));
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
    fn frames(&mut self, scanner: &mut Scanner, file: &str, end: u64) -> u64 {
        let mut end = end;
        loop {
            if self.next > self.bound {
                return end;
            }
            let frame: io::Result<Step<'_>> = scanner.step();
            let Ok(Step::Frame(frame)) = frame else { return end };
            self.take(&frame, file, end);
            end = frame.offset + frame.header.total_bytes();
        }
    }

    fn take(&mut self, frame: &FrameRef<'_>, file: &str, end: u64) {
        self.promised = self.promised.max(frame.header.durable_through);
        // One that is there for a second time says nothing new.
        if frame.header.event_count == 0 || frame.header.first_sequence < self.next {
            return;
        }
        self.miss(frame.header.first_sequence, file, end);
        // The scanner has checked every record of the frame.
        for placed in frame.records().into_iter().flatten().flatten() {
            if let Ok(event) = placed.record.to_event(placed.sequence, frame.header.timestamp) {
                self.note(&event);
                (self.visitor)(&event);
            }
        }
        self.next = frame.header.next_sequence();
        let range = SequenceRange { first: frame.header.first_sequence, last: frame.header.last_sequence() };
        match self.facts.kept.last_mut().filter(|kept| kept.last.next() == range.first) {
            Some(kept) => kept.last = range.last,
            None => self.facts.kept.push(range),
        }
    }

    fn note(&mut self, event: &Event) {
        let facts = self.facts.streams.entry(event.stream.clone()).or_default();
        let expected = facts.version.next();
        if event.version > expected {
            facts.lost.push(VersionRange { first: expected, last: event.version.previous() });
        }
        facts.events_behind += u64::from(!facts.lost.is_empty());
        facts.version = facts.version.max(event.version);
    }
}
