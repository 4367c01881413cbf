//! Looking at single segments of a copy: whether they hold what they should.

use std::sync::Arc;

use super::source::read_seal;
use crate::disk::DiskFile;
use crate::error::{Error, Result};
use crate::format::checksum::Salt;
use crate::format::segment::SegmentHeader;
use crate::log::files::{self, LogFiles};
use crate::log::scan::{Position, Scanner, Step, Stop};
use crate::log::window::{Source, Window};
use crate::recovery::walk::Start;
use crate::types::Sequence;

/// Where a segment must end: what comes next, the checksum of its last frame and, where it is known, the offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) next: Sequence,
    pub(super) chain: u32,
    pub(super) offset: Option<u64>,
}

impl From<Position> for End {
    fn from(position: Position) -> Self {
        Self { next: position.next, chain: position.chain, offset: Some(position.offset) }
    }
}

/// Reads all of a copy of a segment: it must have this header and frames up to that end, which continue one another and are sound,
/// and nothing behind it.
///
/// # Errors
/// `Corrupt`: it is not so. `Io`, and what `watch` says.
pub(super) fn whole(
    file: Arc<dyn DiskFile>,
    header: &SegmentHeader,
    end: End,
    watch: &mut dyn FnMut() -> Result<()>,
) -> Result<()> {
    let found = files::read_header(file.as_ref(), header.store_id, header.first_sequence)?;
    if found != *header {
        let expected = "the header of the segment that was copied";
        return Err(files::corrupt(header.first_sequence, 0, header.first_sequence, expected, "another one"));
    }
    to_the_end(file, header, Start::of(header).position, end, watch)
}

/// Looks at a finished segment that a backup has: where it has a seal, at its frames from the last that the seal names on, and else
/// at all of them. `next` is the header of the segment that follows.
///
/// # Errors
/// `Corrupt`: it does not hold what the next one continues. `Io`.
pub(super) fn finished(files: &LogFiles, header: &SegmentHeader, next: &SegmentHeader, has_seal: bool) -> Result<()> {
    let first = header.first_sequence;
    let file = files.open(first)?;
    let end = End { next: next.first_sequence, chain: next.chain, offset: None };
    let none = &mut || Ok(());
    if !has_seal {
        return whole(file, header, end, none);
    }
    let (seal, _) = read_seal(files, first)?;
    let end = End { offset: Some(seal.end_offset), ..end };
    let Some(anchor) = seal.anchors.last() else { return whole(file, header, end, none) };
    let io = |source| LogFiles::io(first, "read", source);
    let (length, salt) = (file.length().map_err(io)?, Salt::new(files.store_id, first));
    let window = Window::narrow(Source::File(Arc::clone(&file)));
    match Scanner::frame_at(window, salt, length, u64::from(anchor.offset)).map_err(io)? {
        Ok(position) => to_the_end(file, header, position, end, none),
        Err(stop) => Err(wrong(first, u64::from(anchor.offset), anchor.sequence, end, stop)),
    }
}

fn to_the_end(
    file: Arc<dyn DiskFile>,
    header: &SegmentHeader,
    start: Position,
    end: End,
    watch: &mut dyn FnMut() -> Result<()>,
) -> Result<()> {
    let first = header.first_sequence;
    let io = |source| LogFiles::io(first, "read", source);
    let length = file.length().map_err(io)?;
    let mut scanner = Scanner::new(Window::new(Source::File(file)), header.salt(), length, start);
    let stop = loop {
        watch()?;
        match scanner.step().map_err(io)? {
            Step::Frame(_) => {}
            Step::Stop(stop) => break stop,
        }
    };
    let position = scanner.position();
    let offset = end.offset.unwrap_or(position.offset);
    let is_there = (position.next, position.chain, position.offset) == (end.next, end.chain, offset);
    if !is_there || scanner.look_ahead().map_err(io)?.content_end > position.offset {
        return Err(wrong(first, position.offset, position.next, end, stop));
    }
    Ok(())
}

fn wrong(first: Sequence, offset: u64, sequence: Sequence, end: End, stop: Stop) -> Error {
    let expected = format!("events through sequence {}, and nothing behind them", end.next.previous());
    files::corrupt(first, offset, sequence, expected, stop.to_string())
}
