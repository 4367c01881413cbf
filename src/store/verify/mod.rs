//! Verifying a store: every byte read with positioned reads, nothing changed.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::create::{self, Standing};
use super::environment::Environment;
use super::pace::{Pace, Tell};
use crate::disk::{Disk, OpenMode};
use crate::error::{Error, ErrorKind, Result};
use crate::format::frame::to_u64;
use crate::log::files::{LogFiles, Segment};
use crate::recovery::examine::{self, INDEX, LOG};
use crate::recovery::walk;
use crate::types::{Sequence, StoreId};

mod index;
pub(super) mod segments;

/// What kind of damage a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FindingKind {
    /// A segment that is missing, or too many.
    Segments,
    /// A segment's header.
    Header,
    /// A frame or a record: its bytes are not what was written.
    Frame,
    /// Sound frames that do not continue one another.
    Chain,
    /// Bytes where there should be zeros.
    Padding,
    /// A seal that does not fit its segment.
    Seal,
    /// Versions of a stream that do not follow one another.
    Version,
    /// Events that had been durable and are not there.
    Missing,
    /// The index does not say what the log says. It can be rebuilt.
    Index,
    /// Aggregates that do not add up.
    Conservation,
    /// The storage failed to give the bytes.
    Read,
    /// The control file: the mark of a clean close in it is damaged. Nothing is lost; the next open reads more.
    Control,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The file, relative to the store.
    pub segment: String,
    /// Where in it.
    pub offset: Option<u64>,
    /// The sequence that stands, or should stand, there.
    pub sequence: Option<Sequence>,
    /// What kind it is.
    pub kind: FindingKind,
    /// What was expected and what was found.
    pub detail: String,
}

/// How far a verification is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifyProgress {
    /// What it does.
    pub phase: VerifyPhase,
    /// What is done of this phase.
    pub done: u64,
    /// What there is to do in this phase.
    pub total: u64,
}

/// What a verification does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum VerifyPhase {
    /// It reads the log; counted in bytes.
    Log,
    /// It compares the index with the log; counted in streams.
    Index,
}

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyReport {
    /// Segments read.
    pub segments: u64,
    /// Events found sound.
    pub events: u64,
    /// Bytes read.
    pub bytes: u64,
    /// The last sequence found.
    pub last_sequence: Sequence,
    /// What is wrong; nothing where the store is sound.
    pub findings: Vec<Finding>,
}

impl VerifyReport {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.findings.is_empty()
    }

    pub(super) fn find(
        &mut self,
        kind: FindingKind,
        segment: impl Into<String>,
        offset: Option<u64>,
        sequence: Sequence,
        detail: impl Into<String>,
    ) {
        let sequence = Some(sequence).filter(|sequence| *sequence != Sequence::ZERO);
        self.findings.push(Finding { segment: segment.into(), offset, sequence, kind, detail: detail.into() });
    }

    /// Takes an error of damage as a finding; others are given back.
    pub(super) fn take(&mut self, kind: FindingKind, error: Error) -> Result<()> {
        let (kind, corruption) = match (error.kind(), error.corruption()) {
            (ErrorKind::Corrupt, Some(corruption)) => (kind, corruption.clone()),
            (ErrorKind::Io, _) => {
                self.find(FindingKind::Read, LOG, None, Sequence::ZERO, error.to_string());
                return Ok(());
            }
            _ => return Err(error),
        };
        let detail = format!("expected {}, found {}", corruption.expected, corruption.found);
        self.find(kind, corruption.file, corruption.offset, corruption.sequence.unwrap_or_default(), detail);
        Ok(())
    }
}

/// Verifies the store in a folder: checksums, chain, seals, order, versions, and the index against the log. Works beside a
/// writer too, as far as that has synced. Changes nothing.
///
/// # Errors
/// `NotFound`: there is no store. `NotAStore`, `UnsupportedFormat`, `Io`. Damage is no error but a finding.
pub fn verify(path: impl AsRef<Path>) -> Result<VerifyReport> {
    verify_with(path, &mut |_| ControlFlow::Continue(()))
}

/// As [`verify`], telling how far it is, once a mebibyte; `Break` breaks it off.
///
/// # Errors
/// As [`verify`]. `Aborted`: `progress` said so.
pub fn verify_with(
    path: impl AsRef<Path>,
    progress: &mut dyn FnMut(VerifyProgress) -> ControlFlow<()>,
) -> Result<VerifyReport> {
    verify_in_with(&Environment::default(), super::resolved(path.as_ref()), progress)
}

/// As [`verify`], of a store that stands on something else than the operating system's files.
///
/// # Errors
/// As [`verify`].
pub fn verify_in(environment: &Environment, path: impl AsRef<Path>) -> Result<VerifyReport> {
    verify_in_with(environment, path, &mut |_| ControlFlow::Continue(()))
}

/// As [`verify_with`], of a store that stands on something else than the operating system's files.
///
/// # Errors
/// As [`verify_with`].
pub fn verify_in_with(
    environment: &Environment,
    path: impl AsRef<Path>,
    progress: &mut dyn FnMut(VerifyProgress) -> ControlFlow<()>,
) -> Result<VerifyReport> {
    let root = path.as_ref();
    let mut report = VerifyReport::default();
    match create::standing(environment.disk.as_ref(), root) {
        Ok(Standing::Store(identity)) => {
            check_store(environment, root, identity.store_id, &mut report, progress)?;
        }
        Ok(_) => return Err(Error::new(ErrorKind::NotFound, format!("{}: there is no store", root.display()))),
        Err(error) => report.take(FindingKind::Header, error)?,
    }
    Ok(report)
}

/// As [`verify_in`], telling how many bytes of the log it has read.
///
/// # Errors
/// As [`verify_in`], and what `watch` says.
pub(super) fn verify_watched(
    environment: &Environment,
    root: &Path,
    watch: &mut dyn FnMut(u64) -> Result<()>,
) -> Result<VerifyReport> {
    let mut ended = None;
    let report = verify_in_with(environment, root, &mut |now| match now.phase {
        VerifyPhase::Log => watch(now.done).map_or_else(
            |error| {
                ended = Some(error);
                ControlFlow::Break(())
            },
            ControlFlow::Continue,
        ),
        VerifyPhase::Index => ControlFlow::Continue(()),
    });
    ended.map_or(report, Err)
}

/// So much is read between two words on how far it is.
pub(super) const STEP_BYTES: u64 = if cfg!(test) { 1024 } else { 1024 * 1024 };

/// Checks the log of this id, and the index.
///
/// # Errors
/// `UnsupportedFormat`, `Io`. `Aborted`: `progress` said so.
pub(super) fn check_store(
    environment: &Environment,
    root: &Path,
    store_id: StoreId,
    report: &mut VerifyReport,
    progress: &mut dyn FnMut(VerifyProgress) -> ControlFlow<()>,
) -> Result<()> {
    let disk = Arc::clone(&environment.disk);
    let has_writer =
        disk.is_locked(&root.join(create::LOCK)).map_err(|source| Error::from_io("look at LOCK", source))?;
    let control = examine::read_control(disk.as_ref(), root, store_id)?;
    // The index is opened before the log is read, so that all it covers is in the log that is read.
    let index = environment.index.open_read_only(&root.join(INDEX), store_id);
    let files = open_log(&disk, root, store_id)?;
    report.segments = to_u64(files.count());
    let bound = if has_writer && control.shows_synced_only { control.durable } else { Sequence::MAX };
    if let Err(error) = check_count(&files) {
        report.take(FindingKind::Segments, error)?;
    }
    let mut log = segments::LogCheck::new(bound);
    let mut tell = |done, total| progress(VerifyProgress { phase: VerifyPhase::Log, done, total });
    let mut pace = Pace::new(WHAT, log_bytes(&files), STEP_BYTES, &mut tell)?;
    log.run(&files, report, &mut |read| pace.at(read))?;
    let clean = control.clean_sequence();
    let watermark = index.as_ref().ok().and_then(|index| index.watermark());
    let covered = watermark.map_or(Sequence::ZERO, |mark| mark.sequence);
    let proven = clean.max(covered).max(if has_writer { Sequence::ZERO } else { log.promised });
    if report.last_sequence < proven.min(bound) {
        let detail =
            format!("events through sequence {proven} were durable, and the log ends at {}", report.last_sequence);
        report.find(FindingKind::Missing, LOG, None, report.last_sequence.next(), detail);
    }
    if !has_writer
        && report.is_ok()
        && let Some(mark) = watermark.filter(|mark| !log.goes_beyond(mark))
        && let Err(error) = walk::check_last_covered(&files, &mark)
    {
        // Behind the last event is a mark, which can be missing while no event is; an open refuses that, too.
        report.take(FindingKind::Frame, error)?;
    }
    match index {
        Ok(index) => {
            if !has_writer {
                index::check_opening(environment, root, store_id, index.as_ref(), report);
            }
            let mut tell = |done, total| progress(VerifyProgress { phase: VerifyPhase::Index, done, total });
            index::check(index.as_ref(), &log, report, &mut tell)?;
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => report.find(FindingKind::Index, INDEX, None, Sequence::ZERO, error.to_string()),
    }
    Ok(())
}

/// The log as it is now, to be read.
///
/// # Errors
/// `Io`: its folder cannot be listed.
pub(super) fn open_log(disk: &Arc<dyn Disk>, root: &Path, store_id: StoreId) -> Result<Arc<LogFiles>> {
    let inventory = examine::inventory(disk.as_ref(), &root.join(LOG))?;
    Ok(Arc::new(LogFiles::new(Arc::clone(disk), root.join(LOG), store_id, &inventory.segments)))
}

/// What is broken off, where it is.
const WHAT: &str = "the verification";

/// The length of the log, as far as it can be told: for an estimate.
pub(super) fn log_bytes(files: &LogFiles) -> u64 {
    let length = |segment: &Arc<Segment>| files.open(segment.first).ok()?.length().ok();
    files.all().iter().filter_map(length).fold(0, u64::saturating_add)
}

/// No segment is missing between the first and the last.
pub(super) fn check_count(files: &LogFiles) -> Result<()> {
    if files.count() == 0 {
        return Ok(());
    }
    examine::open_last(files, OpenMode::Read).map(drop)
}
