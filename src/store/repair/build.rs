//! Segments that are written anew, beside those that they will replace.
//!
//! A commit keeps its sequences, its time, its key and its records; what depends on its place (checksums, chain) is made again. Each
//! file is synced and read back before anything else is done.

use std::path::Path;
use std::sync::Arc;

use super::salvage::SegmentFacts;
use crate::disk::{self, Disk, DiskFile, OpenMode};
use crate::error::{Error, ErrorKind, Result};
use crate::format::frame::{ALIGNMENT, Draft, FramePlace, to_u64};
use crate::format::segment::{self, SegmentHeader};
use crate::limits;
use crate::log::files::LogFiles;
use crate::log::roll::TEMPORARY;
use crate::log::scan::{Position, Scanner, Step, Stop};
use crate::log::window::{Source, Window};
use crate::types::{EventId, NewEvent, Sequence, StoreId, StreamId, Timestamp, Version};

/// What a new segment's file is called until it gets its name.
pub(super) fn temporary_name(first: Sequence) -> String {
    format!("{}-repair{TEMPORARY}", segment::file_name(first))
}

/// A commit to be written.
pub(super) struct Built<'a> {
    pub(super) key: Option<(&'a str, &'a [u8; 32])>,
    pub(super) durable_through: Sequence,
    pub(super) timestamp: Timestamp,
    pub(super) events: Vec<(StreamId, Version, EventId, NewEvent)>,
}

/// Writes segments that continue a log.
pub(super) struct Builder<'a> {
    pub(super) disk: &'a dyn Disk,
    pub(super) directory: &'a Path,
    pub(super) store_id: StoreId,
    pub(super) position: Position,
    /// The segment before, and how many there are.
    pub(super) previous: Sequence,
    pub(super) ordinal: u64,
    /// The header of the segment that the next one stands in for.
    pub(super) source: Option<SegmentHeader>,
    pub(super) current: Option<Current>,
    pub(super) made: Vec<Sequence>,
    pub(super) cut_bound: u64,
}

/// A segment that is being written.
pub(super) struct Current {
    header: SegmentHeader,
    file: Arc<dyn DiskFile>,
    buffer: Vec<u8>,
    written: u64,
}

impl Builder<'_> {
    /// The next commit starts a segment, made like `source`.
    pub(super) fn start(&mut self, source: Option<&SegmentFacts>) -> Result<()> {
        self.finish()?;
        self.source = source.and_then(|facts| facts.header);
        Ok(())
    }

    pub(super) fn push(&mut self, commit: Built<'_>) -> Result<()> {
        let events = commit.events.iter().map(|(stream, _, id, event)| (stream, *id, event));
        let mut draft = Draft::of(commit.key, events)?;
        let is_full = self.position.offset + draft.bytes_max() > limits::SEGMENT_BYTES_MAX;
        if is_full && self.current.is_some() {
            self.finish()?;
        }
        if self.current.is_none() {
            self.open()?;
        }
        let Some(current) = &mut self.current else { unreachable!("a segment was opened") };
        let timestamp = commit.timestamp.max(self.position.timestamp);
        let place = FramePlace {
            salt: current.header.salt(),
            offset: self.position.offset,
            first_sequence: self.position.next,
            durable_through: commit.durable_through,
            timestamp,
            chain: self.position.chain,
            alignment: ALIGNMENT,
        };
        let (bytes, checksum) = draft.complete(place, commit.events.iter().map(|(_, version, ..)| *version));
        current.buffer.extend_from_slice(bytes);
        self.position.offset += to_u64(bytes.len());
        self.position.next = self.position.next.plus(to_u64(commit.events.len()));
        self.position.chain = checksum;
        self.position.timestamp = timestamp;
        current.flush(1024 * 1024)
    }

    fn open(&mut self) -> Result<()> {
        let first = self.position.next;
        let frames_offset = self.source.map_or(512, |source| source.frames_offset);
        let header = SegmentHeader {
            frames_offset,
            store_id: self.store_id,
            first_sequence: first,
            ordinal: self.ordinal,
            previous: self.previous,
            chain: self.position.chain,
            created: self.source.map_or(self.position.timestamp, |source| source.created),
            cut_bound: self.source.map_or(self.cut_bound, |source| source.cut_bound),
        };
        let path = self.directory.join(temporary_name(first));
        let file = self.disk.open(&path, OpenMode::CreateNew);
        let file = file.map_err(|source| LogFiles::io(first, "write anew", source))?;
        self.position.offset = u64::from(frames_offset);
        self.made.push(first);
        self.current = Some(Current { header, file, buffer: header.encode(), written: 0 });
        Ok(())
    }

    /// Ends the segment that is being written: it is synced, and read back.
    pub(super) fn finish(&mut self) -> Result<()> {
        let Some(mut current) = self.current.take() else { return Ok(()) };
        current.flush(0)?;
        let first = current.header.first_sequence;
        disk::settle(current.file.as_ref()).map_err(|source| LogFiles::io(first, "sync the new", source))?;
        let length = current.file.length().map_err(|source| LogFiles::io(first, "look at the new", source))?;
        let start = Position {
            offset: u64::from(current.header.frames_offset),
            next: first,
            chain: current.header.chain,
            timestamp: Timestamp::EPOCH,
            previous_frame: None,
        };
        let window = Window::new(Source::File(current.file));
        let mut scanner = Scanner::new(window, current.header.salt(), length, start);
        let stop = loop {
            match scanner.step().map_err(|source| LogFiles::io(first, "read back the new", source))? {
                Step::Frame(_) => {}
                Step::Stop(stop) => break stop,
            }
        };
        let end = scanner.position();
        if stop != Stop::Full || (end.next, end.chain) != (self.position.next, self.position.chain) {
            let text = format!("{}, written anew, cannot be read back: {stop}", LogFiles::label(first));
            return Err(Error::new(ErrorKind::Io, text));
        }
        (self.previous, self.ordinal) = (first, self.ordinal + 1);
        Ok(())
    }
}

impl Current {
    fn flush(&mut self, above: usize) -> Result<()> {
        if self.buffer.len() <= above {
            return Ok(());
        }
        disk::write_all_at(self.file.as_ref(), &[&self.buffer], self.written)
            .map_err(|source| LogFiles::io(self.header.first_sequence, "write anew", source))?;
        self.written += to_u64(self.buffer.len());
        self.buffer.clear();
        Ok(())
    }
}
