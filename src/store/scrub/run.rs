//! One pass of a scrub, from where it stands to the end of the log.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::bucket::Bucket;
use super::file::{Origin, ScrubFile};
use super::position::{self, Position};
use super::{FINDINGS_MAX, ScrubOptions, ScrubProgress, ScrubReport};
use crate::disk::{Disk, DiskFile, EntryKind};
use crate::error::{Error, ErrorKind, Result};
use crate::format::control::{self, CleanClose, Control};
use crate::format::segment;
use crate::log::files::{self, LogFiles, Segment};
use crate::recovery::examine::{self, CONTROL, LOG};
use crate::store::environment::Environment;
use crate::store::follow::has_writer;
use crate::store::verify::segments::{Joint, LogCheck};
use crate::store::verify::{self, FindingKind, VerifyReport};
use crate::sync::{Condvar, Mutex};
use crate::types::{Sequence, StoreId, Timestamp};

/// The longest wait before a scrub looks again whether it is to end.
const SLICE: Duration = Duration::from_millis(50);

/// How often it is noted how far it came.
const KEEP_EVERY: Duration = Duration::from_secs(1);

/// How often a segment is read where what is found may be what a writer is just doing. What is found the last time counts.
const LOOKS: usize = 3;

/// Where a scrub runs: beside nothing, or within a store that may be closed.
pub(in crate::store) trait Host {
    /// # Errors
    /// `Closed`, `Aborted`: the scrub is to end.
    fn check(&self) -> Result<()>;

    /// The time since some moment, which only counts.
    fn elapsed(&self) -> Duration;

    /// Waits for so long at most.
    fn wait(&self, at_most: Duration);

    /// Has something written into the store's folder, unless that may be another's by now.
    fn keep(&self, write: &mut dyn FnMut());
}

/// A scrub of a folder that nobody has opened here.
#[derive(Debug)]
pub(super) struct Alone {
    started: Instant,
    gate: Mutex<()>,
    never: Condvar,
}

impl Default for Alone {
    fn default() -> Self {
        Self { started: Instant::now(), gate: Mutex::new(()), never: Condvar::new() }
    }
}

impl Host for Alone {
    fn check(&self) -> Result<()> {
        Ok(())
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn wait(&self, at_most: Duration) {
        self.never.wait_for(&mut self.gate.lock(), at_most);
    }

    fn keep(&self, write: &mut dyn FnMut()) {
        write();
    }
}

/// What the store says before a segment is read.
struct Look {
    has_writer: bool,
    control: Control,
    files: Arc<LogFiles>,
}

impl Look {
    /// The lock first, then what the writer says, then the segments: so the log holds what was said.
    fn at(disk: &Arc<dyn Disk>, root: &Path, store_id: StoreId) -> Result<Self> {
        Ok(Self {
            has_writer: has_writer(disk.as_ref(), root)?,
            control: examine::read_control(disk.as_ref(), root, store_id)?,
            files: verify::open_log(disk, root, store_id)?,
        })
    }

    /// How far the segment that is written to is to be read.
    fn bound(&self) -> Sequence {
        if self.has_writer && self.control.shows_synced_only { self.control.durable } else { Sequence::MAX }
    }

    /// How the log ends, where it was closed and nobody has written since.
    fn closed(&self) -> Option<CleanClose> {
        self.control.clean.filter(|clean| !self.has_writer && clean.session == self.control.session)
    }

    /// The segment after the last one that was read, and whether it is the last of all.
    fn next(&self, read: Option<Sequence>) -> Option<(Arc<Segment>, bool)> {
        let mut rest = self.files.all().into_iter().filter(|segment| read.is_none_or(|read| segment.first > read));
        let segment = rest.next()?;
        Some((segment, rest.next().is_none()))
    }
}

/// What came of one segment.
struct Checked {
    found: VerifyReport,
    joint: Joint,
    seal: Option<crate::format::merkle::Hash>,
    bytes: u64,
    repeated: u64,
    /// It was there, with a header.
    was_opened: bool,
}

/// A pass.
pub(super) struct Run<'a> {
    host: &'a dyn Host,
    disk: Arc<dyn Disk>,
    root: &'a Path,
    store_id: StoreId,
    progress: &'a mut dyn FnMut(ScrubProgress) -> ControlFlow<()>,
    place: PathBuf,
    position: Position,
    was_resumed: bool,
    keeps_position: bool,
    kept_at: Option<Duration>,
    bucket: Bucket,
    /// The last segment when this run began. What came behind it is for the next pass: a writer may be faster than the scrub.
    last: Option<Sequence>,
    /// Bytes read of the segment that is being read.
    segment_bytes: u64,
    total_bytes: u64,
}

impl<'a> Run<'a> {
    /// Finds out where to go on.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn start(
        host: &'a dyn Host,
        environment: &Environment,
        root: &'a Path,
        store_id: StoreId,
        options: &ScrubOptions,
        progress: &'a mut dyn FnMut(ScrubProgress) -> ControlFlow<()>,
    ) -> Result<Self> {
        let disk = Arc::clone(&environment.disk);
        let place = position::path(root, options.position_folder.as_deref(), store_id);
        let now = options.clock.now();
        let kept = position::load(disk.as_ref(), &place, store_id);
        let look = Look::at(&disk, root, store_id)?;
        let (position, was_resumed) = match kept {
            None => (Position::first(store_id, now), false),
            Some(kept) if options.restarts || kept.is_done || !fits(&look, &kept) => (kept.next(now), false),
            Some(kept) => {
                let was_resumed = kept.read.is_some();
                (kept, was_resumed)
            }
        };
        let total_bytes = log_bytes(disk.as_ref(), root)?;
        let bucket = Bucket::new(Some(options.rate_bytes), host.elapsed());
        Ok(Self {
            host,
            disk,
            root,
            store_id,
            progress,
            place,
            position,
            was_resumed,
            keeps_position: true,
            kept_at: None,
            bucket,
            last: look.files.last().map(|segment| segment.first),
            segment_bytes: 0,
            total_bytes,
        })
    }

    /// Reads to the end of the log. However it ends, it is noted how far it came.
    ///
    /// # Errors
    /// `Aborted`, `Closed`, `UnsupportedFormat`, `Io`: the log cannot be listed.
    pub(super) fn finish(mut self) -> Result<ScrubReport> {
        let outcome = self.read_all();
        self.keep();
        outcome?;
        tracing::info!(
            pass = self.position.pass,
            findings = self.position.findings.len(),
            "a scrub has come to the end of the log"
        );
        let unread_since = self.position.started;
        let Self { was_resumed, keeps_position, .. } = self;
        Ok(ScrubReport { was_resumed, keeps_position, ..ScrubReport::of(self.position, unread_since) })
    }

    fn read_all(&mut self) -> Result<()> {
        while self.read_segment()? {
            if self.kept_at.is_none_or(|kept| self.host.elapsed().saturating_sub(kept) >= KEEP_EVERY) {
                self.keep();
            }
        }
        let mut found = VerifyReport::default();
        self.check_count(&mut found)?;
        self.check_control(&mut found)?;
        self.note_findings(found);
        self.position.is_done = true;
        Ok(())
    }

    /// Reads the next segment, if there is one.
    fn read_segment(&mut self) -> Result<bool> {
        let mut looks = 1;
        loop {
            let is_over = self.position.read.is_some() && self.position.read >= self.last;
            let look = Look::at(&self.disk, self.root, self.store_id)?;
            let Some((segment, is_last)) = look.next(self.position.read).filter(|_| !is_over) else {
                self.check_empty(&look);
                return Ok(false);
            };
            self.host.check()?;
            self.tell(segment.first)?;
            let checked = self.check(&look, &segment, is_last)?;
            // Of the last one a writer may be just writing what was read; another one may have got another place since.
            let may_move = is_last || !checked.was_opened;
            if checked.found.is_ok() || !may_move || looks == LOOKS {
                self.note(segment.first, checked);
                return Ok(true);
            }
            looks += 1;
        }
    }

    fn check(&mut self, look: &Look, segment: &Segment, is_last: bool) -> Result<Checked> {
        let (first, bound) = (segment.first, if is_last { look.bound() } else { Sequence::MAX });
        let mut log = LogCheck::resuming(bound, self.position.joint(), self.position.seal);
        let mut found = VerifyReport::default();
        self.segment_bytes = 0;
        let origin = if is_last { Origin::Cache } else { Origin::Medium };
        let file = look.files.open(first).and_then(|file| {
            ScrubFile::new(file, origin).map(Arc::new).map_err(|source| LogFiles::io(first, "look at", source))
        });
        let mut ended = None;
        let outcome = file.as_ref().map_err(Clone::clone).and_then(|file| {
            let mut pace = |read| {
                self.pace(first, read).map_err(|error| {
                    ended = Some(error);
                    std::io::Error::other("the scrub ends")
                })
            };
            let file = Arc::clone(file) as Arc<dyn DiskFile>;
            log.segment(&look.files, segment, file, is_last, &mut pace, &mut found)
        });
        if let Some(error) = ended {
            return Err(error);
        }
        let was_opened = outcome.is_ok();
        if let Err(error) = outcome {
            (log.joint, log.seal) = (None, None);
            match error.kind() {
                ErrorKind::Io => {
                    found.find(FindingKind::Read, LogFiles::label(first), None, first, error.to_string());
                }
                _ => found.take(FindingKind::Header, error)?,
            }
        }
        if let Ok(file) = &file {
            find_bad(file, first, &mut found);
        }
        if is_last {
            self.check_end(look, &log, &mut found);
        }
        let repeated = file.map_or(0, |file| file.repeated());
        let (bytes, joint, seal) = (self.segment_bytes, log.joint, log.seal);
        Ok(Checked { found, joint, seal, bytes, repeated, was_opened })
    }

    /// What is known to have been durable is there.
    fn check_end(&self, look: &Look, log: &LogCheck, found: &mut VerifyReport) {
        let reached = self.position.last_sequence.max(found.last_sequence);
        let synced = match (look.has_writer, look.bound()) {
            (true, Sequence::MAX) => Sequence::ZERO,
            (true, bound) => bound,
            (false, _) => log.promised,
        };
        let proven = look.control.clean_sequence().max(synced);
        // What cannot be read is told already.
        let is_read = !found.findings.iter().any(|finding| finding.kind == FindingKind::Read);
        if reached < proven && is_read {
            let detail = format!("events through sequence {proven} were durable, and the log ends at {reached}");
            found.find(FindingKind::Missing, LOG, None, reached.next(), detail);
        }
        // Behind the last event is the mark of the close, which can be damaged while no event is; an open refuses that, too.
        if let (Some(clean), Some((segment, end))) = (look.closed(), log.joint)
            && found.is_ok()
            && (clean.last, clean.offset, clean.chain) != (end.next.previous(), end.offset, end.chain)
        {
            let detail = format!("expected the log to end at offset {}, as it was closed", clean.offset);
            found.find(FindingKind::Frame, LogFiles::label(segment), Some(end.offset), end.next, detail);
        }
    }

    /// Where there is no segment at all, nothing must have been durable.
    fn check_empty(&mut self, look: &Look) {
        let clean = look.control.clean_sequence();
        if look.files.count() == 0 && clean > Sequence::ZERO {
            let mut found = VerifyReport::default();
            let detail = format!("events through sequence {clean} were durable, and there is no segment");
            found.find(FindingKind::Missing, LOG, None, Sequence::FIRST, detail);
            self.note_findings(found);
        }
    }

    /// No segment is missing between the first and the last.
    fn check_count(&self, found: &mut VerifyReport) -> Result<()> {
        let mut looks = 1;
        loop {
            let log = verify::open_log(&self.disk, self.root, self.store_id)?;
            let Err(error) = verify::check_count(&log) else { return Ok(()) };
            // A folder is not listed at one moment, and a segment may have been made in it.
            let again = verify::open_log(&self.disk, self.root, self.store_id)?;
            let names = |log: &LogFiles| log.all().iter().map(|segment| segment.first).collect::<Vec<_>>();
            if names(&log) == names(&again) || looks == LOOKS {
                return found.take(FindingKind::Segments, error);
            }
            looks += 1;
        }
    }

    /// The control file's mark of a clean close, which is looked at again: a writer may be just writing it.
    fn check_control(&self, found: &mut VerifyReport) -> Result<()> {
        for look in 1..=LOOKS {
            let bytes = match files::read_whole(self.disk.as_ref(), &self.root.join(CONTROL)) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
                Err(error) => {
                    found.find(FindingKind::Read, CONTROL, None, Sequence::ZERO, error.to_string());
                    return Ok(());
                }
            };
            let Some(damage) = control::damage(&bytes, self.store_id) else { return Ok(()) };
            if look == LOOKS {
                let detail = format!("expected the control file of this store, found {damage}");
                found.find(FindingKind::Control, CONTROL, None, Sequence::ZERO, detail);
            }
        }
        Ok(())
    }

    fn note(&mut self, first: Sequence, checked: Checked) {
        let position = &mut self.position;
        position.read = Some(first);
        position.set_joint(checked.joint);
        position.seal = checked.seal;
        position.segments += 1;
        position.events += checked.found.events;
        position.bytes += checked.bytes;
        position.last_sequence = position.last_sequence.max(checked.found.last_sequence);
        position.reads_repeated += checked.repeated;
        self.segment_bytes = 0;
        self.note_findings(checked.found);
    }

    fn note_findings(&mut self, found: VerifyReport) {
        for finding in found.findings {
            tracing::error!(file = %finding.segment, offset = ?finding.offset, detail = %finding.detail, "a scrub found damage");
            if self.position.findings.len() < FINDINGS_MAX {
                self.position.findings.push(finding);
            } else {
                self.position.findings_left_off += 1;
            }
        }
    }

    /// Notes that so many bytes of the segment have been read, and waits as long as the rate asks for.
    fn pace(&mut self, segment: Sequence, read: u64) -> Result<()> {
        let new = read.saturating_sub(self.segment_bytes);
        if new == 0 {
            return Ok(());
        }
        self.segment_bytes = read;
        self.bucket.spend(new, self.host.elapsed());
        loop {
            self.host.check()?;
            self.tell(segment)?;
            let wait = self.bucket.wait(self.host.elapsed());
            if wait.is_zero() {
                return Ok(());
            }
            self.host.wait(wait.min(SLICE));
        }
    }

    fn tell(&mut self, segment: Sequence) -> Result<()> {
        let done_bytes = self.position.bytes + self.segment_bytes;
        let findings = crate::format::frame::to_u64(self.position.findings.len()) + self.position.findings_left_off;
        let total_bytes = self.total_bytes.max(done_bytes);
        match (self.progress)(ScrubProgress { segment, done_bytes, total_bytes, findings }) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => {
                let text = "the scrub was broken off; the next one goes on with the segment that it was reading";
                Err(Error::new(ErrorKind::Aborted, text))
            }
        }
    }

    fn keep(&mut self) {
        let (disk, place, position) = (self.disk.as_ref(), &self.place, &self.position);
        let mut outcome = Ok(());
        self.host.keep(&mut || outcome = position::save(disk, place, position));
        if let Err(error) = outcome.as_ref()
            && self.keeps_position
        {
            tracing::warn!(%error, place = %self.place.display(), "how far a scrub came cannot be noted");
        }
        self.keeps_position = outcome.is_ok();
        self.kept_at = Some(self.host.elapsed());
    }
}

/// Whether the log goes on where the position says that it does. Where it does not, it is another one than was read.
fn fits(look: &Look, position: &Position) -> bool {
    let (Some((segment, end)), Some((next, _))) = (position.joint(), look.next(position.read)) else { return true };
    // A header that cannot be read is for the check to find.
    look.files
        .header(&next)
        .map_or(true, |header| (header.previous, header.first_sequence, header.chain) == (segment, end.next, end.chain))
}

/// What cannot be read, with the sequence that stands there where the check found that out.
fn find_bad(file: &ScrubFile, first: Sequence, found: &mut VerifyReport) {
    for bad in file.bad() {
        let before = found.findings.iter().rfind(|finding| finding.offset.is_some_and(|offset| offset <= bad.offset));
        let sequence = before.and_then(|finding| finding.sequence).unwrap_or_default();
        let detail = format!("{} bytes cannot be read: {}", bad.bytes, bad.error);
        found.find(FindingKind::Read, LogFiles::label(first), Some(bad.offset), sequence, detail);
    }
}

/// The lengths of all segments.
fn log_bytes(disk: &dyn Disk, root: &Path) -> Result<u64> {
    let entries = disk.list(&root.join(LOG)).map_err(|source| Error::from_io("list log/", source))?;
    let segments = entries
        .iter()
        .filter(|entry| entry.kind == EntryKind::File && segment::parse_name(&entry.name, ".seg").is_some());
    Ok(segments.map(|entry| entry.length).sum())
}

/// See [`ScrubReport::unread_since`].
///
/// # Errors
/// `Io`.
pub(super) fn unread_since(
    environment: &Environment,
    root: &Path,
    store_id: StoreId,
    position: &Position,
) -> Result<Timestamp> {
    if position.is_done {
        return Ok(position.started);
    }
    if let Some(previous) = position.previous {
        return Ok(previous);
    }
    let look = Look::at(&environment.disk, root, store_id)?;
    let next = look.next(position.read).and_then(|(segment, _)| look.files.header(&segment).ok());
    Ok(next.map_or(position.started, |header| header.created))
}
