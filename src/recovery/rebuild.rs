//! Making the index anew from the whole log.

use std::sync::Arc;

use super::fill;
use super::walk::{self, Start};
use crate::error::Result;
use crate::index::tail::Tail;
use crate::index::{Index, checkpoints};
use crate::log::files::LogFiles;
use crate::types::Sequence;

/// Ingests every finished segment into an empty index, one batch each, and returns the tail that is left: the events of the
/// last segment. Consumers' checkpoints go back to their last place in the log. The log was walked and found whole before.
///
/// # Errors
/// `Corrupt`, `UnsupportedFormat`, `Io`, `StorageFull`.
pub(crate) fn rebuild(files: &Arc<LogFiles>, index: &Arc<dyn Index>, start: Start, through: Sequence) -> Result<Tail> {
    // The two callbacks of the walk take turns with the tail, one frame at a time.
    let tail = std::cell::RefCell::new(Tail::default());
    walk::walk(
        files,
        start,
        through,
        &mut |frame| fill::take_into(&mut tail.borrow_mut(), frame),
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
    Ok(tail.into_inner())
}
