//! Archiving: finished segments that nobody needs at hand are moved into a folder of archives, and reads go on through them.
//!
//! What is moved is the beginning of the log. [`plan`] decides and is pure, [`holds`] tells it who needs what; [`deed`] moves one
//! segment so that at every moment its file or its archive is whole and durable; [`back`] brings segments back.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Store;
use super::shared::Shared;
use crate::error::{Error, ErrorKind, Result};
use crate::format::frame::to_u64;
use crate::recovery::examine::{self, LOG};
use crate::types::Sequence;

mod back;
mod deed;
mod holds;
mod plan;
#[cfg(test)]
#[cfg(all(feature = "simulation", feature = "archive"))]
mod tests;

pub use back::{UnarchiveReport, unarchive, unarchive_in};
use plan::SegmentFacts;
pub use plan::{ArchiveBefore, KeptBecause, PlannedSegment, SegmentFate};

/// The folder of archives, in the store's, where no other one is named.
pub(crate) const ARCHIVE: &str = "archive";

/// Which backup holds what is archived.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ArchiveBackup {
    /// Nobody said, so nothing may go.
    #[default]
    Unnamed,
    /// The one in this folder, which is looked at: it holds a segment where it has its file, and a seal with the same digest.
    Folder(PathBuf),
    /// One that holds everything through this sequence, says the operator.
    Through(Sequence),
    /// None is needed.
    Without,
}

/// What is to be archived, and where to.
#[derive(Clone, Debug)]
pub struct ArchiveOptions {
    before: ArchiveBefore,
    to: Option<PathBuf>,
    backup: ArchiveBackup,
    past_snapshots: bool,
}

impl ArchiveOptions {
    /// Segments that lie wholly before this, into the folder `archive` of the store, as far as a backup holds them, which is to be
    /// [named](Self::backup).
    #[must_use]
    pub fn before(before: ArchiveBefore) -> Self {
        Self { before, to: None, backup: ArchiveBackup::Unnamed, past_snapshots: false }
    }

    /// Into this folder: an absolute path, or one from the store's folder. It is made where its parent is. It goes on record, so
    /// it must be found under this name by those who read later. Several stores may share it.
    #[must_use]
    pub fn to(mut self, folder: impl Into<PathBuf>) -> Self {
        self.to = Some(folder.into());
        self
    }

    /// Which backup holds them.
    #[must_use]
    pub fn backup(mut self, backup: ArchiveBackup) -> Self {
        self.backup = backup;
        self
    }

    /// Also segments with events that a load of an aggregate reads behind its newest snapshot. It reads them from the archive
    /// then, which takes longer and needs it at hand.
    #[must_use]
    pub fn past_snapshots(mut self, past: bool) -> Self {
        self.past_snapshots = past;
        self
    }

    /// The folder as it goes on record.
    fn folder(&self) -> Result<&str> {
        let folder = self.to.as_deref().unwrap_or(Path::new(ARCHIVE));
        folder.to_str().filter(|text| !text.is_empty()).ok_or_else(|| {
            let text = format!("{}: the name of a folder of archives must be UTF-8, and not empty", folder.display());
            Error::new(ErrorKind::InvalidInput, text)
        })
    }
}

/// What would be archived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchivePlan {
    /// Where to.
    pub folder: PathBuf,
    /// All segments, oldest first.
    pub segments: Vec<PlannedSegment>,
}

impl ArchivePlan {
    /// The segments that may be archived.
    fn goes(&self) -> impl Iterator<Item = &PlannedSegment> {
        self.segments.iter().filter(|segment| segment.fate == SegmentFate::Goes)
    }

    /// Bytes of the segments that may be archived.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.goes().map(|segment| segment.bytes).sum()
    }
}

/// A segment that was moved into an archive, or back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MovedSegment {
    /// Its first sequence, which names it.
    pub first: Sequence,
    /// Its last sequence.
    pub last: Sequence,
    /// The segment's length.
    pub segment_bytes: u64,
    /// The archive's length.
    pub archive_bytes: u64,
}

/// What was archived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveReport {
    /// What was planned.
    pub plan: ArchivePlan,
    /// The segments that were moved, oldest first.
    pub moved: Vec<MovedSegment>,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArchiveProgress {
    /// Bytes of segments that were read or written, and read back.
    pub done_bytes: u64,
    /// Bytes in all.
    pub total_bytes: u64,
}

/// Told how far it is, and asked whether to go on.
type Progress<'a> = &'a mut dyn FnMut(ArchiveProgress) -> ControlFlow<()>;

/// Counts what is done, and asks the caller whether to go on.
struct Meter<'a> {
    tell: Progress<'a>,
    now: ArchiveProgress,
    /// Of the open store that is worked on.
    shared: Option<&'a Shared>,
}

impl<'a> Meter<'a> {
    fn new(tell: Progress<'a>, total_bytes: u64, shared: Option<&'a Shared>) -> Self {
        Self { tell, now: ArchiveProgress { done_bytes: 0, total_bytes }, shared }
    }

    fn add(&mut self, bytes: usize) -> Result<()> {
        self.now.done_bytes += to_u64(bytes);
        self.shared.map_or(Ok(()), Shared::check_open)?;
        match (self.tell)(self.now) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => {
                let text = "broken off: the segments that were moved are moved, and the others are as they were";
                Err(Error::new(ErrorKind::Aborted, text))
            }
        }
    }
}

impl Store {
    /// What [`archive`](Self::archive) would do now, and what keeps each segment that stays. Changes nothing, and needs no
    /// writer: a store that is open to read can be asked.
    ///
    /// # Errors
    /// `InvalidInput`: the folder's name is not UTF-8, or the backup is of another store. `NotFound`: there is no such backup.
    /// `Corrupt`, `NotAStore`, `UnsupportedFormat`, `Io`, `Closed`.
    pub fn archive_plan(&self, options: &ArchiveOptions) -> Result<ArchivePlan> {
        let shared = self.shared();
        shared.check_open()?;
        let folder = shared.root.join(options.folder()?);
        let segments = plan::decide(&facts(shared)?, options.before, &holds::holds(shared, options)?);
        Ok(ArchivePlan { folder, segments })
    }

    /// Moves finished segments that lie wholly before a bound, and that everybody has passed, into archives of seekable zstd.
    /// Consumers, services, snapshots, the index and the backup are asked, and what one of them needs stays. Reads go on through
    /// the archives, here and in other processes; seals stay, so digests still chain. The program may go on writing meanwhile.
    ///
    /// Each archive is synced and read back, and must give the segment's bytes and its seal, before the segment's file is removed.
    /// Cut short at any point, every segment is there, and it can be begun again.
    ///
    /// # Errors
    /// Those of [`archive_plan`](Self::archive_plan). `Aborted`: `progress` broke it off. `AlreadyExists`: the folder has
    /// something else under the name of an archive. `Corrupt`: a segment is not what its seal says. `StorageFull`, `Io`: of the
    /// folder. What was moved by then is moved. `UnsupportedFormat`: this program was built without the feature `archive`.
    /// `ReadOnly`: the store is open to read. `Closed`: also while it is at work, which it breaks off.
    pub fn archive(
        &self,
        options: &ArchiveOptions,
        progress: &mut dyn FnMut(ArchiveProgress) -> ControlFlow<()>,
    ) -> Result<ArchiveReport> {
        let shared = self.shared();
        if !crate::log::zstd::IS_BUILT_IN {
            let text = "this program was built without the feature `archive`";
            return Err(Error::new(ErrorKind::UnsupportedFormat, text));
        }
        // Whoever closes the store waits for this.
        let _one_at_a_time = shared.archiving.lock();
        shared.writer()?;
        let plan = self.archive_plan(options)?;
        let mut meter = Meter::new(progress, plan.bytes() * deed::PASSES, Some(shared));
        let mut moved = Vec::new();
        if plan.goes().next().is_some() {
            deed::make_folder(shared.environment.disk.as_ref(), &plan.folder)?;
        }
        for segment in plan.goes() {
            moved.push(deed::archive(shared, options.folder()?, segment, &mut meter)?);
        }
        Ok(ArchiveReport { plan, moved })
    }
}

/// What is known of each segment.
fn facts(shared: &Shared) -> Result<Vec<SegmentFacts>> {
    let (disk, log) = (shared.environment.disk.as_ref(), shared.root.join(LOG));
    let archived = examine::inventory(disk, &log)?.archived;
    let segments = shared.files.all();
    let nexts = segments.iter().skip(1).map(|next| next.first.previous());
    let lasts = nexts.chain(std::iter::once(shared.places.sequence()));
    let mut facts = Vec::with_capacity(segments.len());
    for (segment, last) in segments.iter().zip(lasts) {
        let first = segment.first;
        let is_archived = archived.binary_search(&first).is_ok();
        // Of one that is archived nothing is asked of a medium that may not be at hand.
        let (bytes, sealed) = if is_archived {
            (0, None)
        } else {
            let file = shared.files.file(segment)?;
            let sealed = shared.files.read_seal(first).map(|(seal, _)| seal.time_last);
            (deed::length(file.as_ref(), first)?, sealed)
        };
        facts.push(SegmentFacts { first, last, bytes, is_archived, sealed });
    }
    Ok(facts)
}
