//! Making the index anew from the whole log.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::fill;
use super::walk::{self, Start};
use crate::error::{Error, ErrorKind, Result};
use crate::index::tail::Tail;
use crate::index::{Index, checkpoints};
use crate::log::files::LogFiles;
use crate::types::Sequence;

/// What is left to do when an index was made anew, and what went into it.
#[derive(Debug)]
pub(crate) struct Rebuilt {
    /// The events of the last segment, which are not ingested.
    pub(crate) tail: Tail,
    /// Commits with an idempotency key.
    pub(crate) keys: u64,
}

/// Ingests every finished segment into an empty index, one batch each, and returns the tail that is left: the events of the
/// last segment. Consumers' checkpoints go back to their last place in the log.
/// `progress` is told the last sequence taken in.
///
/// # Errors
/// `Corrupt`, `UnsupportedFormat`, `Io`, `StorageFull`. `Aborted`: `progress` broke it off.
pub(crate) fn rebuild(
    files: &Arc<LogFiles>,
    index: &Arc<dyn Index>,
    start: Start,
    through: Sequence,
    progress: &mut dyn FnMut(Sequence) -> ControlFlow<()>,
) -> Result<Rebuilt> {
    // The two callbacks of the walk take turns with the tail, one frame at a time.
    let tail = RefCell::new(Tail::default());
    let mut keys = 0;
    let walked = walk::walk(
        files,
        start,
        through,
        &mut |frame| {
            keys += u64::from(frame.header.has_key);
            fill::take_into(&mut tail.borrow_mut(), frame)?;
            match progress(frame.header.next_sequence().previous()) {
                ControlFlow::Continue(()) => Ok(()),
                ControlFlow::Break(()) => Err(Error::new(ErrorKind::Aborted, "the index is as it was")),
            }
        },
        &mut |segment, position| {
            let mut finished = tail.take();
            finished.set_end(walk::watermark(files, segment, position));
            match finished.to_batch() {
                Some(batch) => index.ingest(&batch)?,
                None => return Ok(()),
            }
            checkpoints::restore(index, &finished.take_checkpoints())
        },
    )?;
    // A log that an index covers is not read by an open: damage in its last segment is met here first.
    walked.check_reached(through)?;
    Ok(Rebuilt { tail: tail.into_inner(), keys })
}
