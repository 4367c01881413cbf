//! A store as JSON lines: all that its log says, to read with other tools and to make the same store of again.
//!
//! The first line says whose log follows and from where to where; then there is a line for each commit; the last line says how many
//! there were, with the Merkle root over their events. So a file that was cut, or in which anything was changed, is noticed. What the
//! lines hold is in the book's page on the format.
//!
//! An import makes the same log again: sequences, versions, ids, times, keys and the bounds of commits are those of the export, and
//! so is the Merkle root. It goes the way of every commit, apart from the time, which is not now.

use std::ops::ControlFlow;

use crate::error::{Error, ErrorKind, Result};
use crate::types::{Sequence, StoreId};

mod content;
mod export;
mod import;
mod line;
mod lines;
mod publish;
mod taken;

pub use export::{export, export_file, export_file_in, export_in};
pub use import::{import, import_in};

/// What an export holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportReport {
    /// The store's id.
    pub store_id: StoreId,
    /// The first sequence.
    pub first_sequence: Sequence,
    /// The last sequence; the one before the first where there is no event.
    pub last_sequence: Sequence,
    /// Commits.
    pub commits: u64,
    /// Events.
    pub events: u64,
    /// What was written, bytes.
    pub bytes: u64,
    /// The Merkle root (RFC 9162) over the events: of a whole store the one that its backup has.
    pub merkle_root: [u8; 32],
}

/// What an import did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportReport {
    /// The store's id, which is that of the store that was exported.
    pub store_id: StoreId,
    /// Whether the store was made.
    pub is_new: bool,
    /// The first sequence of the export.
    pub first_sequence: Sequence,
    /// The last sequence of the export.
    pub last_sequence: Sequence,
    /// Commits that were written.
    pub commits_written: u64,
    /// Events that were written.
    pub events_written: u64,
    /// Events that were there already, and are the same.
    pub events_present: u64,
    /// The Merkle root over the export's events, which is that of what was read back.
    pub merkle_root: [u8; 32],
}

/// How far an export or an import has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransferProgress {
    /// What it does.
    pub phase: TransferPhase,
    /// Events done in this phase.
    pub done_events: u64,
    /// Events to do in this phase.
    pub total_events: u64,
}

/// What an export or an import does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferPhase {
    /// It reads the log and writes lines.
    Export,
    /// It reads lines and writes commits.
    Import,
    /// It reads the imported events back.
    Verify,
}

/// Who is told how far it is, and may break it off.
type Progress<'a> = dyn FnMut(TransferProgress) -> ControlFlow<()> + 'a;

fn tell(progress: &mut Progress<'_>, phase: TransferPhase, done_events: u64, total_events: u64) -> Result<()> {
    match progress(TransferProgress { phase, done_events, total_events }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::new(ErrorKind::Aborted, "it was broken off")),
    }
}

/// How many events there are from one sequence to another, both included.
fn count(first: Sequence, last: Sequence) -> u64 {
    last.next().get().saturating_sub(first.get())
}
