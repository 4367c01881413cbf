//! Walking the log from where the index ends, and collecting what the tail index and the plan need.

use std::collections::VecDeque;
use std::sync::Arc;

use super::plan::{Evidence, Witnesses};
use crate::disk::DiskFile;
use crate::error::{Error, Result};
use crate::format::frame::{FrameRef, to_u64};
use crate::format::segment::SegmentHeader;
use crate::index::Watermark;
use crate::log::files::{self, LogFiles, Segment};
use crate::log::scan::{Ahead, Position, Scanner, Step, Stop};
use crate::log::window::{Source, Window};
use crate::sabotage::{self, Defect};
use crate::types::{Sequence, Timestamp};

/// A place in the log to walk from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Start {
    pub(crate) segment: Sequence,
    pub(crate) position: Position,
}

impl Start {
    /// Where a watermark says the log goes on.
    pub(crate) fn after(watermark: &Watermark) -> Self {
        Self {
            segment: watermark.segment,
            position: Position {
                offset: watermark.offset,
                next: watermark.sequence.next(),
                chain: watermark.chain,
                timestamp: watermark.timestamp,
                previous_frame: watermark.previous_frame,
            },
        }
    }

    /// The start of a segment.
    pub(crate) fn of(header: &SegmentHeader) -> Self {
        Self {
            segment: header.first_sequence,
            position: Position {
                offset: u64::from(header.frames_offset),
                next: header.first_sequence,
                chain: header.chain,
                timestamp: Timestamp::EPOCH,
                previous_frame: None,
            },
        }
    }
}

/// That the log holds the last frame that the index covers. To be asked where nothing follows that: what follows would continue
/// it. An index proves what was durable; where the log ends before, or is another, it must not stand for what is not there.
///
/// # Errors
/// `Corrupt`: that frame, or its segment, is not there. `UnsupportedFormat`, `Io`.
pub(crate) fn check_last_covered(files: &Arc<LogFiles>, watermark: &Watermark) -> Result<()> {
    let start = Start::after(watermark);
    if sabotage::has(Defect::TrustWatermark) {
        return Ok(());
    }
    let segment = files.named(start.segment).ok_or_else(|| gone(start))?;
    let Some(previous) = watermark.previous_frame else {
        let first = Start::of(&files.header(&segment)?).position;
        let found = Position { timestamp: watermark.timestamp, ..first };
        return if found == start.position { Ok(()) } else { Err(not_there(start, found.offset, "another segment")) };
    };
    let io = |source| LogFiles::io(segment.first, "read", source);
    let file = files.open(segment.first)?;
    let length = file.length().map_err(io)?;
    let found = Scanner::frame_at(Window::narrow(Source::File(file)), segment.salt, length, previous.into());
    match found.map_err(io)? {
        Ok(found) if found == start.position => Ok(()),
        Ok(_) => Err(not_there(start, previous.into(), "another frame")),
        Err(stop) => Err(not_there(start, previous.into(), &stop.to_string())),
    }
}

fn not_there(start: Start, offset: u64, found: &str) -> Error {
    let covered = start.position.next.previous();
    files::corrupt(
        start.segment,
        offset,
        covered,
        format!("the frame that ends with sequence {covered}, which the index proves was durable"),
        found,
    )
}

/// Where a walk ended, and what it saw.
#[derive(Debug)]
pub(crate) struct Walk {
    /// The segment it ended in, which is the last.
    pub(crate) segment: Sequence,
    pub(crate) position: Position,
    pub(crate) stop: Stop,
    pub(crate) ahead: Ahead,
    /// The last sequence that a frame promises was durable.
    pub(crate) promised: Sequence,
    /// The frames that are written again, because they are not settled.
    pub(crate) unsettled: UnsettledFrames,
    pub(crate) segments_read: u64,
    pub(crate) bytes_read: u64,
    pub(crate) events: u64,
    /// The promise before the last one.
    settled: Sequence,
}

impl Walk {
    /// Whether it had to start where an index told it to: where it found nothing there, nothing has said so yet.
    ///
    /// # Errors
    /// As [`check_last_covered`].
    pub(crate) fn check_start(&self, files: &Arc<LogFiles>, start: Start, watermark: Option<&Watermark>) -> Result<()> {
        watermark.filter(|_| self.end() == start).map_or(Ok(()), |mark| check_last_covered(files, mark))
    }

    /// What is known about the place where it ended.
    pub(crate) fn evidence(&self, cut_bound: u64, witnesses: Witnesses) -> Evidence {
        Evidence {
            expected: self.position.next,
            stop: self.stop,
            offset: self.position.offset,
            content_end: self.ahead.content_end,
            cut_bound,
            witnesses,
        }
    }

    /// That it came to the end of `through`: one that ends in the last segment is no error by itself.
    ///
    /// # Errors
    /// `Corrupt`: it did not.
    pub(crate) fn check_reached(&self, through: Sequence) -> Result<()> {
        let Position { offset, next, .. } = self.position;
        if next > through {
            return Ok(());
        }
        let expected = format!("events through sequence {through}");
        Err(files::corrupt(self.segment, offset, next, expected, self.stop.to_string()))
    }

    /// Where it ended.
    pub(crate) fn end(&self) -> Start {
        Start { segment: self.segment, position: self.position }
    }

    /// The walk of a log of which everything is known.
    pub(crate) fn of_nothing(end: Start) -> Self {
        Self {
            segment: end.segment,
            position: end.position,
            stop: Stop::Zeros,
            ahead: Ahead { content_end: end.position.offset, promise: None },
            promised: end.position.next.previous(),
            unsettled: UnsettledFrames::default(),
            segments_read: 0,
            bytes_read: 0,
            events: 0,
            settled: Sequence::ZERO,
        }
    }

    /// What one walk would have seen that began where this one did and ended where `later` did, which began where this one ended.
    pub(crate) fn join(self, later: Self) -> Self {
        let (promised, settled) = if later.promised > self.promised {
            // Of what `later` takes for settled, only what is above all that was promised before is news.
            (later.promised, later.settled.max(self.promised))
        } else {
            (self.promised, self.settled)
        };
        let mut unsettled = later.unsettled;
        if later.segment == self.segment {
            unsettled.follow(self.unsettled);
        }
        unsettled.settle_before_last(settled);
        Self {
            promised,
            settled,
            unsettled,
            segments_read: self.segments_read + later.segments_read - 1,
            bytes_read: self.bytes_read + later.bytes_read,
            events: self.events + later.events,
            ..later
        }
    }
}

/// Frames of the last segment that are not settled: durable beyond doubt.
///
/// What the last promise covers is not settled yet. It rests on one sync that said it went through, and there are file
/// systems (ext4 with its data in the journal) where a sync reports a failed write one sync late; so a frame is settled
/// when the log was synced, and synced once more.
#[derive(Debug, Default)]
pub(crate) struct UnsettledFrames {
    frames: VecDeque<(u64, Sequence)>,
}

impl UnsettledFrames {
    fn push(&mut self, offset: u64, last: Sequence) {
        self.frames.push_back((offset, last));
    }

    /// Forgets the frames through `sequence`.
    pub(crate) fn settle(&mut self, sequence: Sequence) {
        while self.frames.front().is_some_and(|(_, last)| *last <= sequence) {
            self.frames.pop_front();
        }
    }

    /// The same, but for the last frame: a promise settles what stands before the frame that makes it.
    fn settle_before_last(&mut self, sequence: Sequence) {
        let last = self.frames.pop_back();
        self.settle(sequence);
        self.frames.extend(last);
    }

    /// Puts `earlier` before them.
    fn follow(&mut self, mut earlier: Self) {
        earlier.frames.append(&mut self.frames);
        self.frames = earlier.frames;
    }

    /// Where the first of them starts.
    pub(crate) fn start(&self) -> Option<u64> {
        self.frames.front().map(|(offset, _)| *offset)
    }
}

/// Where a walk ends at the latest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    /// Behind the frame that holds this sequence.
    pub(crate) through: Sequence,
    /// At the first frame that does not begin before this offset in this segment.
    pub(crate) before: Option<(Sequence, u64)>,
}

impl Bound {
    /// Whether a walk that stands there has come to it.
    pub(crate) fn is_reached(&self, segment: Sequence, position: &Position) -> bool {
        let is_there = |(last, offset)| segment > last || (segment == last && position.offset >= offset);
        position.next > self.through || self.before.is_some_and(is_there)
    }
}

/// Walks to the end of the log, or to the end of the frame that holds `bound`. Each frame is given to `visit`, and each finished
/// segment's end to `finished`.
///
/// # Errors
/// `Corrupt`: a finished segment does not hold what the next one continues. What `visit` says. `UnsupportedFormat`, `Io`.
pub(crate) fn walk(
    files: &Arc<LogFiles>,
    start: Start,
    bound: Sequence,
    visit: &mut dyn FnMut(&FrameRef<'_>) -> Result<()>,
    finished: &mut dyn FnMut(Sequence, Position) -> Result<()>,
) -> Result<Walk> {
    walk_to(files, start, Bound { through: bound, before: None }, visit, finished)
}

/// The same, to any bound.
///
/// # Errors
/// As [`walk`].
pub(crate) fn walk_to(
    files: &Arc<LogFiles>,
    start: Start,
    bound: Bound,
    visit: &mut dyn FnMut(&FrameRef<'_>) -> Result<()>,
    finished: &mut dyn FnMut(Sequence, Position) -> Result<()>,
) -> Result<Walk> {
    let mut totals = Totals::default();
    let mut start = start;
    loop {
        let segment = files.named(start.segment).ok_or_else(|| gone(start))?;
        let following = files.following(segment.first);
        let file = files.open(segment.first)?;
        let mut unsettled = UnsettledFrames::default();
        let mut scanner = scanner(&segment, &file, start.position)?;
        let stop = scan(&mut scanner, &segment, bound, &mut totals, &mut unsettled, visit)?;
        let end = scanner.position();
        let is_bounded = bound.is_reached(segment.first, &end);
        totals.segments_read += 1;
        if let Some(following) = following.filter(|_| !is_bounded) {
            totals.bytes_read += scanner.bytes_read();
            let header = files.header(&following)?;
            check_join(&segment, end, stop, &header)?;
            finished(segment.first, end)?;
            start = Start {
                segment: following.first,
                position: Position { offset: u64::from(header.frames_offset), previous_frame: None, ..end },
            };
            continue;
        }
        let io = |source| LogFiles::io(segment.first, "read", source);
        let ahead = if is_bounded {
            Ahead { content_end: end.offset, promise: None }
        } else {
            scanner.look_ahead().map_err(io)?
        };
        return Ok(Walk {
            segment: segment.first,
            position: end,
            stop,
            ahead,
            promised: totals.promised,
            unsettled,
            segments_read: totals.segments_read,
            bytes_read: totals.bytes_read + scanner.bytes_read(),
            events: totals.events,
            settled: totals.settled,
        });
    }
}

/// Whether the log ends at `start`, as its bytes say: in the last segment, and nothing is written there. What the control file
/// says of that is not enough: a session number that was damaged, or never reached the disk, would drop what came after.
///
/// # Errors
/// `Corrupt`: the segment is not there. `Io`.
pub(crate) fn ends_at(files: &Arc<LogFiles>, start: Start) -> Result<bool> {
    let segment = files.named(start.segment).ok_or_else(|| gone(start))?;
    if files.following(segment.first).is_some() {
        return Ok(false);
    }
    let io = |source| LogFiles::io(segment.first, "read", source);
    let file = files.open(segment.first)?;
    let length = file.length().map_err(io)?;
    let mut scanner = Scanner::new(Window::narrow(Source::File(file)), segment.salt, length, start.position);
    Ok(matches!(scanner.step().map_err(io)?, Step::Stop(Stop::Zeros | Stop::Full)))
}

/// How far [`follow`] has come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Followed {
    /// Behind the last frame that was passed, marks included.
    pub(crate) end: Start,
    /// Behind the last frame with events; `None` where there was none.
    pub(crate) events_end: Option<Start>,
    /// What stands there; `None` for a frame of events beyond the bound.
    pub(crate) stop: Option<Stop>,
}

impl Followed {
    pub(crate) fn from(start: Start) -> Self {
        Self { end: start, events_end: None, stop: None }
    }

    /// Whether something stands there, whatever it is.
    pub(crate) fn has_more(&self) -> bool {
        !matches!(self.stop, Some(Stop::Zeros | Stop::Full))
    }
}

/// Walks on from where a walk ended, in a log that another process may write to, through the frames up to `bound`. Segments that
/// are new are found by their names. As long as what is new; nothing is looked for beyond the end. After an error `followed` says
/// how far it came.
///
/// # Errors
/// As [`walk`].
pub(crate) fn follow(
    files: &Arc<LogFiles>,
    followed: &mut Followed,
    bound: Sequence,
    visit: &mut dyn FnMut(&FrameRef<'_>) -> Result<()>,
) -> Result<()> {
    loop {
        let segment = files.named(followed.end.segment).ok_or_else(|| gone(followed.end))?;
        // Before the segment is read: what is read of a segment that has a successor is all of it.
        let following = files.following(segment.first);
        pass(files, &segment, bound, followed, visit)?;
        let (end, Some(stop)) = (followed.end.position, followed.stop) else { return Ok(()) };
        match following {
            Some(following) => {
                let header = files.header(&following)?;
                check_join(&segment, end, stop, &header)?;
                let position = Position { offset: u64::from(header.frames_offset), previous_frame: None, ..end };
                followed.end = Start { segment: following.first, position };
            }
            // A segment without events has no successor. Once there is one, what was written before it was made is read again.
            None if end.next > segment.first && files.find_successor(end.next)? => {}
            None => return Ok(()),
        }
    }
}

/// Passes the frames of one segment; marks beyond the bound too, which show nothing.
fn pass(
    files: &LogFiles,
    segment: &Segment,
    bound: Sequence,
    followed: &mut Followed,
    visit: &mut dyn FnMut(&FrameRef<'_>) -> Result<()>,
) -> Result<()> {
    let file = files.file(segment)?;
    let mut scanner = scanner(segment, &file, followed.end.position)?;
    loop {
        let frame = match scanner.step().map_err(|source| LogFiles::io(segment.first, "read", source))? {
            Step::Frame(frame) => frame,
            Step::Stop(stop) => {
                followed.stop = Some(stop);
                return Ok(());
            }
        };
        let has_events = frame.header.event_count > 0;
        if has_events && frame.header.first_sequence > bound {
            followed.stop = None;
            return Ok(());
        }
        visit(&frame)?;
        followed.end.position = scanner.position();
        if has_events {
            followed.events_end = Some(followed.end);
        }
    }
}

#[derive(Debug, Default)]
struct Totals {
    promised: Sequence,
    /// The promise before that one.
    settled: Sequence,
    segments_read: u64,
    bytes_read: u64,
    events: u64,
}

fn scanner(segment: &Segment, file: &Arc<dyn DiskFile>, position: Position) -> Result<Scanner> {
    let length = file.length().map_err(|source| LogFiles::io(segment.first, "look at", source))?;
    Ok(Scanner::new(Window::new(Source::File(Arc::clone(file))), segment.salt, length, position))
}

fn scan(
    scanner: &mut Scanner,
    segment: &Segment,
    bound: Bound,
    totals: &mut Totals,
    unsettled: &mut UnsettledFrames,
    visit: &mut dyn FnMut(&FrameRef<'_>) -> Result<()>,
) -> Result<Stop> {
    loop {
        if bound.is_reached(segment.first, &scanner.position()) {
            return Ok(Stop::Full);
        }
        let frame = match scanner.step().map_err(|source| LogFiles::io(segment.first, "read", source))? {
            Step::Frame(frame) => frame,
            Step::Stop(stop) => return Ok(stop),
        };
        if frame.header.durable_through > totals.promised {
            totals.settled = totals.promised;
            totals.promised = frame.header.durable_through;
        }
        totals.events += u64::from(frame.header.event_count);
        unsettled.settle(totals.settled);
        unsettled.push(frame.offset, frame.header.last_sequence());
        visit(&frame)?;
    }
}

/// A finished segment ends where its successor begins, in sequence and in chain.
fn check_join(segment: &Segment, end: Position, stop: Stop, following: &SegmentHeader) -> Result<()> {
    let is_joined =
        end.next == following.first_sequence && end.chain == following.chain && segment.first == following.previous;
    if is_joined {
        return Ok(());
    }
    let expected =
        format!("events through sequence {}, which the next segment continues", following.first_sequence.previous());
    Err(files::corrupt(segment.first, end.offset, end.next, expected, stop.to_string()))
}

fn gone(start: Start) -> Error {
    files::corrupt(
        start.segment,
        start.position.offset,
        start.position.next,
        "the segment where the index ends",
        "no such file",
    )
}

/// Where the index will stand when it has taken in all through this position.
pub(crate) fn watermark(files: &LogFiles, segment: Sequence, position: Position) -> Watermark {
    Watermark {
        store_id: files.store_id,
        sequence: position.next.previous(),
        segment,
        offset: position.offset,
        chain: position.chain,
        timestamp: position.timestamp,
        previous_frame: position.previous_frame,
    }
}

/// The length of a slice as a size in reports.
pub(crate) fn size(bytes: &[u8]) -> u64 {
    to_u64(bytes.len())
}
