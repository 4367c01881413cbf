//! Walking the log and filling the tail index from it, in two halves at once where there is much to read.
//!
//! Where a frame begins, a walk of its own can begin: the header's checksum is salted with the store, the segment and the offset, so
//! nothing else passes there. A second thread walks from such a place near the middle and fills a tail of its own. The first half
//! counts as it is. The second counts only where the first one ends just where the second began, with the frame that the second continues, and
//! where its tail continues the first one's; then one walk would have met the same. In every other case it is as if it had not
//! been: the first walk goes on. So what is found, and every error, is that of one walk.

use std::sync::Arc;
use std::thread::{self, Builder};

use super::fill;
use super::walk::{self, Bound, Start, Walk};
use crate::disk::{self, DiskFile};
use crate::error::Result;
use crate::format::bytes::is_zero;
use crate::format::frame::{ALIGNMENT, FrameRef};
use crate::index::tail::Tail;
use crate::log::files::LogFiles;
use crate::log::scan::{Position, Scanner};
use crate::log::window::{Source, Window};
use crate::types::{Sequence, Timestamp};

/// What is read by one thread: less than that is read before another one is there.
const BYTES_MIN: u64 = 2 * 1024 * 1024;

/// Walks as [`walk`](walk::walk) does, and takes all that it meets into a tail, or into none.
///
/// # Errors
/// As [`walk`](walk::walk) and [`take_into`](fill::take_into), the first in the log's order.
pub(crate) fn walk(files: &Arc<LogFiles>, start: Start, through: Sequence, keeps_tail: bool) -> Result<(Walk, Tail)> {
    walk_with(files, start, through, keeps_tail, BYTES_MIN)
}

fn walk_with(
    files: &Arc<LogFiles>,
    start: Start,
    through: Sequence,
    keeps_tail: bool,
    bytes_min: u64,
) -> Result<(Walk, Tail)> {
    let tail = keeps_tail.then(Tail::default);
    // A model checker knows no threads but its own.
    let is_checked = cfg!(any(bitacora_loom, bitacora_shuttle));
    match if is_checked { None } else { middle(files, start, through, bytes_min) } {
        Some(middle) => in_halves(files, start, through, tail, middle, &mut false),
        None => half(files, start, Bound { through, before: None }, tail),
    }
}

/// One walk, which fills a tail where there is one.
fn half(files: &Arc<LogFiles>, start: Start, bound: Bound, mut tail: Option<Tail>) -> Result<(Walk, Tail)> {
    let take = &mut |frame: &FrameRef<'_>| tail.as_mut().map_or(Ok(()), |tail| fill::take_into(tail, frame));
    let walked = walk::walk_to(files, start, bound, take, &mut |_, _| Ok(()))?;
    Ok((walked, tail.unwrap_or_default()))
}

/// Two walks at once, which meet in the middle; `has_counted` is told whether the second one counted.
fn in_halves(
    files: &Arc<LogFiles>,
    start: Start,
    through: Sequence,
    tail: Option<Tail>,
    middle: Start,
    has_counted: &mut bool,
) -> Result<(Walk, Tail)> {
    let keeps_tail = tail.is_some();
    let to_end = Bound { through, before: None };
    let to_middle = Bound { through, before: Some((middle.segment, middle.position.offset)) };
    let (first, second) = thread::scope(|scope| {
        let (second_tail, span) = (tail.as_ref().map(Tail::successor), tracing::Span::current());
        let second = Builder::new().name("bitacora-open".into()).spawn_scoped(scope, move || {
            let _entered = span.enter();
            half(files, middle, to_end, second_tail)
        });
        let first = half(files, start, to_middle, tail);
        // Without a thread it is as if it had not counted.
        let second = second.ok().map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        (first, second)
    });
    let (walked, mut tail) = first?;
    let end = walked.position;
    if to_end.is_reached(walked.segment, &end) || !to_middle.is_reached(walked.segment, &end) {
        return Ok((walked, tail));
    }
    if let Some(Ok((rest, rest_tail))) = second
        && continues(&walked, middle, &rest)
        && tail.join(rest_tail)
    {
        *has_counted = true;
        return Ok((walked.join(rest), tail));
    }
    let (rest, tail) = half(files, walked.end(), to_end, keeps_tail.then_some(tail))?;
    Ok((walked.join(rest), tail))
}

/// Whether one walk that had come to where `walked` ended would have gone on as `rest` did, which began in the middle.
fn continues(walked: &Walk, middle: Start, rest: &Walk) -> bool {
    let Position { offset, next, chain, timestamp, previous_frame: _ } = middle.position;
    let end = walked.position;
    walked.segment == middle.segment
        && (end.offset, end.next, end.chain) == (offset, next, chain)
        && end.timestamp <= timestamp
        // Where it met nothing, it does not know which frame came before.
        && (rest.segment != middle.segment || rest.position.offset > offset)
}

/// A frame near the middle of what is to be walked, where there is that much; what cannot be read is met by the walk.
fn middle(files: &LogFiles, start: Start, through: Sequence, bytes_min: u64) -> Option<Start> {
    let mut stretches = Vec::new();
    for segment in files.all().into_iter().filter(|segment| segment.first >= start.segment) {
        let file = files.open(segment.first).ok()?;
        let from = if segment.first == start.segment { start.position.offset } else { 0 };
        stretches.push((segment, from, file.length().ok()?.max(from), file));
    }
    if let Some((_, from, to, file)) = stretches.last_mut() {
        *to = content_end(file.as_ref(), *from, *to)?;
    }
    let bytes = stretches.iter().map(|(_, from, to, _)| to - from).sum::<u64>();
    let mut before = bytes / 2;
    if before < bytes_min {
        return None;
    }
    for (segment, from, to, file) in stretches {
        if before >= to - from {
            before -= to - from;
            continue;
        }
        let offset = (from + before) / ALIGNMENT * ALIGNMENT;
        let (timestamp, length) = (Timestamp::from_micros(i64::MAX), file.length().ok()?);
        let anywhere = Position { offset, next: Sequence::FIRST, chain: 0, timestamp, previous_frame: None };
        let mut scanner = Scanner::new(Window::new(Source::File(file)), segment.salt, length, anywhere);
        let position = scanner.next_sound(offset).ok()??;
        return (position.next <= through).then_some(Start { segment: segment.first, position });
    }
    None
}

/// About where what was written to a segment ends, before so much was set aside for it: as far as it matters here.
fn content_end(file: &dyn DiskFile, from: u64, length: u64) -> Option<u64> {
    const NEAR_BYTES: u64 = 512 * 1024;
    let mut probe = [0; 4096];
    let (mut written, mut end) = (from, length);
    while end - written > NEAR_BYTES {
        let place = written + (end - written) / 2;
        let read = disk::read_up_to(file, &mut probe, place).ok()?;
        if is_zero(probe.get(..read)?) { end = place } else { written = place }
    }
    Some(end)
}

#[cfg(test)]
#[path = "halves_tests.rs"]
mod tests;
