//! Reading a whole store in the background, slowly, so that rot is found while there is still a backup.
//!
//! A scrub reads what [`verify`](crate::verify()) reads of the log, with the same checks: segments, seals, identity, control. It
//! does not look at the index, which can be made again, and not at versions of streams, for which all streams would have to be
//! kept in memory; its memory does not grow with the store. It takes no lock that a writer could feel, and reads past the page
//! cache: finished segments from the medium itself, for a page in memory is no proof of what the medium holds.
//!
//! It goes segment by segment, and remembers behind which one it is: a seal's root can be compared only by who has read the
//! segment whole.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::Store;
use super::create::{self, Standing};
use super::environment::Environment;
use super::verify::Finding;
use crate::clock::{Clock, SystemClock};
use crate::error::{Error, ErrorKind, Result};
use crate::types::{Sequence, StoreId, Timestamp};

mod background;
mod bucket;
mod file;
mod position;
mod run;
#[cfg(test)]
#[cfg(feature = "simulation")]
mod tests;

pub use background::Scrubber;
pub(super) use background::StoreHost;
use position::Position;
use run::{Alone, Run};

/// What a scrub reads in a second where nothing else is said, bytes: a tenth of what an SD card gives.
const RATE_BYTES_DEFAULT: u64 = 10_000_000;

/// Findings that are kept with a position; those beyond are counted.
const FINDINGS_MAX: usize = 1_000;

/// How a store is scrubbed.
#[derive(Clone, Debug)]
pub struct ScrubOptions {
    rate_bytes: u64,
    restarts: bool,
    position_folder: Option<PathBuf>,
    clock: Arc<dyn Clock>,
}

impl Default for ScrubOptions {
    fn default() -> Self {
        Self { rate_bytes: RATE_BYTES_DEFAULT, restarts: false, position_folder: None, clock: Arc::new(SystemClock) }
    }
}

impl ScrubOptions {
    /// The defaults: 10 MB a second, going on where the last scrub was.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How much is read in a second, bytes; zero for as fast as it goes. Default 10,000,000. A faster one takes the disk from the
    /// till; a slower one finds rot later.
    #[must_use]
    pub fn rate_bytes(mut self, bytes: u64) -> Self {
        self.rate_bytes = bytes;
        self
    }

    /// Whether to begin at the first segment, wherever the last scrub was, and to forget what it had found. Default no.
    #[must_use]
    pub fn restart(mut self, restarts: bool) -> Self {
        self.restarts = restarts;
        self
    }

    /// Where it is remembered how far it came, for a store whose folder may not be written: a file `scrub-<store id>` in this
    /// folder. Default the file `scrub` in the store's folder.
    #[must_use]
    pub fn position_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.position_folder = Some(folder.into());
        self
    }

    /// Where the time comes from that a pass is said to have begun at. Default the system's clock; that of an open store where
    /// one is scrubbed.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }
}

/// How far a scrub has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScrubProgress {
    /// The segment that is read, by its first sequence.
    pub segment: Sequence,
    /// Bytes of the log read in this pass, what an earlier scrub read of it included.
    pub done_bytes: u64,
    /// Bytes of the log in all, room that is not written yet included.
    pub total_bytes: u64,
    /// What was found in this pass.
    pub findings: u64,
}

/// What a pass over a store has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScrubReport {
    /// The number of the pass, from 1.
    pub pass: u64,
    /// When it began.
    pub started_at: Timestamp,
    /// Whether it came to the end of the log.
    pub is_complete: bool,
    /// Whether this scrub went on where an earlier one was.
    pub was_resumed: bool,
    /// Segments read in this pass.
    pub segments: u64,
    /// Events found sound.
    pub events: u64,
    /// Bytes read.
    pub bytes: u64,
    /// The last sequence found.
    pub last_sequence: Sequence,
    /// Reads that failed and went through when they were made again: a medium that begins to fail.
    pub reads_repeated: u64,
    /// What has waited longest to be read has waited no longer than since then: since it was last read or, if it never was, since
    /// it was written.
    pub unread_since: Timestamp,
    /// Whether it is remembered how far it came. If not, the next scrub begins anew: the folder cannot be written, see
    /// [`ScrubOptions::position_folder`].
    pub keeps_position: bool,
    /// What is wrong, the first 1,000 of it; nothing where the store is sound.
    pub findings: Vec<Finding>,
    /// How many findings there are beyond those.
    pub findings_left_off: u64,
}

impl ScrubReport {
    /// Whether nothing is wrong with what was read.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.findings.is_empty()
    }

    fn of(position: Position, unread_since: Timestamp) -> Self {
        Self {
            pass: position.pass,
            started_at: position.started,
            is_complete: position.is_done,
            was_resumed: false,
            segments: position.segments,
            events: position.events,
            bytes: position.bytes,
            last_sequence: position.last_sequence,
            reads_repeated: position.reads_repeated,
            unread_since,
            keeps_position: true,
            findings: position.findings,
            findings_left_off: position.findings_left_off,
        }
    }
}

/// Scrubs the store in a folder, beside a writer too: goes on where the last scrub was, to the end of the log, and reports the
/// whole pass. Where that had come to its end, a new pass begins. Writes nothing but the file that says how far it came.
///
/// # Errors
/// `Aborted`: `progress` broke it off; the next scrub goes on there. `NotFound`: there is no store. `Corrupt`: its identity is
/// damaged, without which nothing can be checked. `NotAStore`, `UnsupportedFormat`, `Io`. Damage, and bytes that cannot be read,
/// are no errors but findings.
pub fn scrub(
    path: impl AsRef<Path>,
    options: &ScrubOptions,
    progress: &mut dyn FnMut(ScrubProgress) -> ControlFlow<()>,
) -> Result<ScrubReport> {
    scrub_in(&Environment::default(), super::resolved(path.as_ref()), options, progress)
}

/// As [`scrub`], of a store that stands on something else than the operating system's files.
///
/// # Errors
/// As [`scrub`].
pub fn scrub_in(
    environment: &Environment,
    path: impl AsRef<Path>,
    options: &ScrubOptions,
    progress: &mut dyn FnMut(ScrubProgress) -> ControlFlow<()>,
) -> Result<ScrubReport> {
    scrub_on(&Alone::default(), environment, path.as_ref(), options, progress)
}

/// What the last scrub of a store came to, whole or not, without reading any of the log; `None` where none is remembered.
///
/// # Errors
/// As [`scrub`], but `Aborted`.
pub fn scrub_status(path: impl AsRef<Path>, options: &ScrubOptions) -> Result<Option<ScrubReport>> {
    let (environment, root) = (Environment::default(), super::resolved(path.as_ref()));
    let store_id = identity(&environment, &root)?;
    let place = position::path(&root, options.position_folder.as_deref(), store_id);
    let Some(position) = position::load(environment.disk.as_ref(), &place, store_id) else { return Ok(None) };
    let unread_since = run::unread_since(&environment, &root, store_id, &position)?;
    Ok(Some(ScrubReport::of(position, unread_since)))
}

/// The scrub, in a place where it may be told to end.
pub(super) fn scrub_on(
    host: &dyn run::Host,
    environment: &Environment,
    root: &Path,
    options: &ScrubOptions,
    progress: &mut dyn FnMut(ScrubProgress) -> ControlFlow<()>,
) -> Result<ScrubReport> {
    let store_id = identity(environment, root)?;
    Run::start(host, environment, root, store_id, options, progress)?.finish()
}

fn identity(environment: &Environment, root: &Path) -> Result<StoreId> {
    match create::standing(environment.disk.as_ref(), root)? {
        Standing::Store(identity) => Ok(identity.store_id),
        Standing::Absent | Standing::Unfinished => {
            Err(Error::new(ErrorKind::NotFound, format!("{}: there is no store", root.display())))
        }
    }
}

impl Store {
    /// Scrubs this store, on this thread, as [`scrub`](crate::scrub()) does: reads all of its log, goes on where the last scrub
    /// was, and takes no lock that a commit could feel.
    ///
    /// # Errors
    /// `Aborted`: `progress` broke it off. `Closed`: the store was closed meanwhile. In both cases the next scrub goes on there.
    /// `Corrupt`: the store's identity is damaged. `UnsupportedFormat`, `Io`.
    pub fn scrub(
        &self,
        options: &ScrubOptions,
        progress: &mut dyn FnMut(ScrubProgress) -> ControlFlow<()>,
    ) -> Result<ScrubReport> {
        let shared = self.shared();
        shared.check_open()?;
        let options = options.clone().clock(Arc::clone(&shared.options.clock));
        scrub_on(&StoreHost::new(shared), &shared.environment, &shared.root, &options, progress)
    }

    /// Scrubs this store by a thread of its own, a pass each time that so much has passed since the last one began, and tells
    /// `report` what each came to; findings are traced as errors at once. The thread stops with the store, or when the scrubber
    /// is dropped, and goes on where it was when the store is opened again and scrubbed.
    ///
    /// # Errors
    /// `InvalidInput`: `every` is 0. `Closed`. `Io`: no thread can be started.
    pub fn scrub_in_background(
        &self,
        options: ScrubOptions,
        every: Duration,
        report: impl FnMut(Result<ScrubReport>) + Send + 'static,
    ) -> Result<Scrubber> {
        let shared = self.shared();
        shared.check_open()?;
        if every.is_zero() {
            return Err(Error::new(ErrorKind::InvalidInput, "the time between two scrubs is 0"));
        }
        Scrubber::start(self, options.clock(Arc::clone(&shared.options.clock)), every, report)
    }
}
