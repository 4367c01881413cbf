//! Opening a store, which is recovering it.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::anew::Anew;
use super::chores::Chores;
use super::consumer::Acknowledged;
use super::create::{self, REPORT, Standing};
use super::environment::Environment;
use super::ids::IdSource;
use super::observe;
use super::options::{Align, Durability, Options, Preallocation};
use super::pool::Pool;
use super::shared::{CommitState, Shared, Visible};
use super::view::View;
use super::watch::Watch;
use crate::clock::{ClockStep, StoreClock};
use crate::disk::{self, Disk, DiskFile, DiskLock, Latch, OpenMode};
use crate::error::{Corruption, Error, ErrorKind, Result};
use crate::format::control::{self, Control};
use crate::format::frame::{ALIGNMENT, to_u64};
use crate::format::segment::{self, SECTOR_BYTES, SegmentHeader};
use crate::index::checkpoints::{self, Checkpoints};
use crate::index::tail::Tail;
use crate::index::{Index, IndexEvidence, Watermark};
use crate::limits;
use crate::log::files::{self, LogFiles};
use crate::log::reserve::{self, Reserve};
use crate::log::roll::{Filling, Room, Spare, TEMPORARY};
use crate::log::scan::Position;
use crate::log::writer::{self, LogEnd, LogWriter, WriterOptions};
use crate::recovery::examine::{self, CONTROL, INDEX, LOG, LastSegment};
use crate::recovery::execute::Unnamed;
use crate::recovery::halves;
use crate::recovery::plan::{self, Decision, Witnesses};
use crate::recovery::report::PhaseTimer;
use crate::recovery::walk::{self, Start, Walk};
use crate::recovery::{CutReport, IndexUse, RecoveryReport, execute, rebuild};
use crate::sabotage::{self, Defect};
use crate::snapshot::Snapshots;
use crate::sync::{Mutex, RwLock};
use crate::types::{Sequence, StoreId, Timestamp};

/// A store that is open to write, and the lock that keeps others out.
pub(crate) struct Opened {
    pub(crate) shared: Shared,
    pub(crate) lock: Box<dyn DiskLock>,
}

/// What the phases of an open hand on.
struct Opening<'a, 'b> {
    environment: &'a Environment,
    /// That the index is to be made anew, whatever it is like.
    anew: Option<&'a mut Anew<'b>>,
    options: &'a Options,
    root: &'a Path,
    directory: PathBuf,
    /// Behind the latch.
    disk: Arc<dyn Disk>,
    store_id: StoreId,
    session: u64,
    timer: PhaseTimer,
    report: RecoveryReport,
    /// Freed beside the store's first commits, or as soon as there may be need of their room.
    unnamed: Unnamed,
}

/// What the index says, and where the walk of the log starts because of it.
struct IndexStanding {
    watermark: Option<Watermark>,
    state: Sequence,
    /// Why it must be made anew, if it must.
    rebuild: Option<String>,
}

/// The log as the open leaves it.
struct RecoveredLog {
    files: Arc<LogFiles>,
    last: LastSegment,
    position: Position,
    promised: Sequence,
    tail: Tail,
}

/// Opens a store to write, making it where there is none.
///
/// # Errors
/// See [`Store::open`](super::Store::open).
pub(crate) fn open(environment: &Environment, root: &Path, options: &Options, may_exist: bool) -> Result<Opened> {
    open_with(environment, root, options, may_exist, None)
}

/// As [`open`]; where `anew` is given, the index is made anew.
///
/// # Errors
/// As [`open`], and `Aborted`.
pub(crate) fn open_with(
    environment: &Environment,
    root: &Path,
    options: &Options,
    may_exist: bool,
    anew: Option<&mut Anew<'_>>,
) -> Result<Opened> {
    options.check()?;
    let span = observe::open_span(root);
    let _entered = span.enter();
    let standing = create::standing(environment.disk.as_ref(), root)?;
    if !may_exist && matches!(standing, Standing::Store(_)) {
        return Err(Error::new(ErrorKind::AlreadyExists, format!("{} is a store", root.display())));
    }
    let lock = create::lock(environment.disk.as_ref(), root)?;
    let latch = Latch::default();
    let disk = latch.wrap_disk(Arc::clone(&environment.disk));
    // Looked at again, under the lock.
    let (identity, was_created) = match create::standing(environment.disk.as_ref(), root)? {
        Standing::Store(identity) => (identity, false),
        Standing::Absent | Standing::Unfinished => (create::create(disk.as_ref(), root, options)?, true),
    };
    let environment = environment.bounded(options.index);
    let mut opening = Opening {
        environment: &environment,
        anew,
        options,
        root,
        directory: root.join(LOG),
        disk,
        store_id: identity.store_id,
        session: 1,
        timer: PhaseTimer::start(Arc::clone(&options.clock)),
        report: RecoveryReport { opened_at: options.clock.now(), was_created, ..RecoveryReport::default() },
        unnamed: Unnamed::new(),
    };
    let shared = opening.run(latch)?;
    observe::opened(&span, &shared.report);
    tracing::info!(
        root = %root.display(), sequence = %shared.places.sequence(), replayed = shared.report.events_replayed, "store opened"
    );
    Ok(Opened { shared, lock })
}

impl Opening<'_, '_> {
    fn run(&mut self, latch: Latch) -> Result<Shared> {
        let inventory = examine::inventory(self.disk.as_ref(), &self.directory)?;
        examine::sync_before_reading(self.disk.as_ref(), self.root, &self.directory, &inventory.segments)?;
        let control = examine::read_control(self.disk.as_ref(), self.root, self.store_id)?;
        self.session = control.session.saturating_add(1);
        let index = self.look_at_index(&control, inventory.segments.is_empty())?;
        self.timer.end("examine");
        let log = if inventory.segments.is_empty() {
            self.start_log(&inventory.temporary)?
        } else {
            self.recover_log(&inventory, &control, &index)?
        };
        log.files.note_seals(&inventory.seals);
        log.files.bound_maps(self.options.mapped_segments_max);
        let (index, tail) = self.open_index(index, &log)?;
        self.finish(latch, log, index, tail)
    }

    /// What the index says, without changing it.
    fn look_at_index(&mut self, control: &Control, is_log_empty: bool) -> Result<IndexStanding> {
        let evidence = self.environment.index.evidence(&self.root.join(INDEX), self.store_id);
        let standing = match evidence {
            IndexEvidence::Absent => {
                IndexStanding { watermark: None, state: Sequence::ZERO, rebuild: Some("there was none".into()) }
            }
            IndexEvidence::Unusable(reason) => {
                IndexStanding { watermark: None, state: Sequence::ZERO, rebuild: Some(reason) }
            }
            IndexEvidence::Present { watermark, state_sequence } => {
                IndexStanding { watermark, state: state_sequence, rebuild: None }
            }
        };
        let claimed = standing.watermark.map_or(Sequence::ZERO, |mark| mark.sequence).max(standing.state);
        let claimed = claimed.max(control.clean_sequence());
        if is_log_empty && claimed > Sequence::ZERO {
            return Err(Error::corrupt(Corruption {
                file: LOG.into(),
                offset: None,
                sequence: Some(Sequence::FIRST),
                expected: format!(
                    "events through sequence {claimed}, which the index or the last close proves were durable"
                ),
                found: "no segment at all".into(),
            }));
        }
        Ok(standing)
    }

    fn alignment(&self) -> u64 {
        match self.options.align {
            Align::Packed => ALIGNMENT,
            Align::Sector => SECTOR_BYTES,
        }
    }

    fn writer_options(&self) -> WriterOptions {
        /// Beside a group there may be a mark, and padding to a sector on both.
        const SLACK_BYTES: u64 = 64 * 1024;
        let in_flight = to_u64(limits::GROUP_BYTES_MAX.max(limits::COMMIT_BYTES_MAX)) + SLACK_BYTES;
        WriterOptions {
            segment_bytes: self.options.segment_bytes,
            alignment: self.alignment(),
            filling: match self.options.preallocation {
                Preallocation::Grow => Filling::None,
                Preallocation::Reserve | Preallocation::ZeroFill => Filling::Reserved,
            },
            cut_bound: if self.options.durability == Durability::Sync { in_flight } else { u64::MAX },
            zeroes_ahead: self.options.durability == Durability::Sync
                && self.options.preallocation == Preallocation::ZeroFill,
        }
    }

    /// A log without segments gets its first.
    fn start_log(&mut self, temporary: &[String]) -> Result<RecoveredLog> {
        self.report.temporary_files_removed =
            execute::remove_temporary(self.disk.as_ref(), &self.directory, temporary)?;
        let options = self.writer_options();
        let room = Room::take(self.disk.as_ref(), &self.directory, "first", options.segment_bytes, options.filling)?;
        let header = SegmentHeader {
            frames_offset: writer::frames_offset(options.alignment),
            store_id: self.store_id,
            first_sequence: Sequence::FIRST,
            ordinal: 0,
            previous: Sequence::ZERO,
            chain: 0,
            created: self.options.clock.now(),
            cut_bound: options.cut_bound,
        };
        let file = room.into_segment(self.disk.as_ref(), &self.directory, &header)?;
        let length = file.length().map_err(|source| LogFiles::io(Sequence::FIRST, "look at", source))?;
        let files =
            Arc::new(LogFiles::new(Arc::clone(&self.disk), self.directory.clone(), self.store_id, &[Sequence::FIRST]));
        let position = Start::of(&header).position;
        self.timer.end("create");
        let last = LastSegment { header, file, length };
        Ok(RecoveredLog { files, last, position, promised: Sequence::ZERO, tail: Tail::default() })
    }

    fn recover_log(
        &mut self,
        inventory: &examine::Inventory,
        control: &Control,
        index: &IndexStanding,
    ) -> Result<RecoveredLog> {
        let files = LogFiles::new(Arc::clone(&self.disk), self.directory.clone(), self.store_id, &inventory.segments);
        let files = Arc::new(files);
        let mut last = examine::open_last(&files, OpenMode::ReadWrite)?;
        let start = start_of_walk(&files, index.watermark.as_ref())?;
        let keeps_tail = index.rebuild.is_none() || files.count() == 1;
        let keeps_tail = keeps_tail && !sabotage::has(Defect::ForgetTailOfWalk);
        let is_closed = index.watermark.is_some_and(|mark| control.is_covered_by(mark.log_end()));
        let is_whole = is_closed && (sabotage::has(Defect::TrustCloseMark) || walk::ends_at(&files, start)?);
        let (mut walked, tail) = if is_whole {
            // The last writer closed the log, and the index covers all of it: there is nothing to read.
            (Walk::of_nothing(start), Tail::default())
        } else {
            halves::walk(&files, start, Sequence::MAX, keeps_tail)?
        };
        walked.check_start(&files, start, index.watermark.as_ref())?;
        self.timer.end("walk");
        let witnesses = Witnesses {
            frame_before: walked.promised,
            frame_ahead: walked.ahead.promise.map_or(Sequence::ZERO, |(_, through)| through),
            index: index.watermark.map_or(Sequence::ZERO, |mark| mark.sequence),
            state: index.state,
            clean_close: control.clean_sequence(),
        };
        let decision = plan::decide(&walked.evidence(last.header.cut_bound, witnesses));
        // A clean close made two syncs; the second covered the first.
        walked.unsettled.settle(witnesses.clean_close);
        self.note_walk(&files, &walked, &witnesses, index, control.clean.map(|clean| clean.last));
        self.timer.end("decide");
        self.carry_out(&files, &mut last, &mut walked, decision, inventory)?;
        Ok(RecoveredLog { files, last, position: walked.position, promised: walked.promised, tail })
    }

    fn note_walk(
        &mut self,
        files: &LogFiles,
        walked: &Walk,
        witnesses: &Witnesses,
        index: &IndexStanding,
        clean: Option<Sequence>,
    ) {
        let report = &mut self.report;
        report.segments = to_u64(files.count());
        report.segments_read = walked.segments_read;
        report.bytes_read = walked.bytes_read;
        report.events_replayed = walked.events;
        report.last_sequence = walked.position.next.previous();
        report.proven_sequence = witnesses.strongest().0;
        report.was_closed_cleanly = clean == Some(report.last_sequence);
        report.index_sequence = index.watermark.map_or(Sequence::ZERO, |mark| mark.sequence);
    }

    /// Keeps what is cut, zeroes it, and writes again what nothing proves durable. The first thing that changes the disk.
    fn carry_out(
        &mut self,
        files: &LogFiles,
        last: &mut LastSegment,
        walked: &mut Walk,
        decision: Decision,
        found: &examine::Inventory,
    ) -> Result<()> {
        let (disk, first) = (Arc::clone(&self.disk), walked.segment);
        if let Decision::Refuse { expected, found } = decision {
            return Err(files::corrupt(first, walked.position.offset, walked.position.next, expected, found));
        }
        // Before anything is written: they are in the way on a full disk.
        let (removed, unnamed) = execute::unname_temporary(disk.as_ref(), &self.directory, found)?;
        self.report.temporary_files_removed = removed;
        let takes_no_room = decision == Decision::Clean && self.options.align == Align::Packed;
        self.unnamed = if takes_no_room { unnamed } else { Unnamed::new() };
        match decision {
            Decision::Clean | Decision::Refuse { .. } => {}
            Decision::Cut { from, to } => {
                let keep = || execute::quarantine(disk.as_ref(), self.root, last.file.as_ref(), first, from, to);
                let mut kept = keep();
                if is_full(&kept) && self.give_up_reserve()? {
                    kept = keep();
                }
                let quarantine = kept?;
                execute::zero(last.file.as_ref(), first, from, to)?;
                tracing::warn!(segment = %first, offset = from, bytes = to - from, %quarantine, "cut an unfinished write off the log");
                self.report.cut = Some(CutReport {
                    file: LogFiles::label(first),
                    offset: from,
                    bytes: to - from,
                    sequence: walked.position.next,
                    found: walked.stop.to_string(),
                    quarantine,
                });
            }
        }
        if let Some(from) = walked.unsettled.start() {
            let end = walked.position.offset;
            self.report.rewritten_bytes = match self.options.align {
                Align::Packed => execute::rewrite(last.file.as_ref(), first, from, end)?,
                Align::Sector => {
                    let (file, bytes) = execute::replace_by_copy(
                        disk.as_ref(),
                        &files.directory,
                        last.file.as_ref(),
                        first,
                        end,
                        None,
                    )?;
                    last.file = file;
                    bytes
                }
            };
        }
        self.widen_cut_bound(files, last, walked)?;
        self.timer.end("make durable");
        Ok(())
    }

    /// What this open has to write goes before what may have to be written later.
    fn give_up_reserve(&mut self) -> Result<bool> {
        let removed = reserve::remove(self.disk.as_ref(), &self.directory)
            .map_err(|source| Error::from_io("give up log/reserve", source))?;
        self.report.reserve_was_given_up |= removed;
        let has_freed = !self.unnamed.is_empty();
        self.unnamed.clear();
        Ok(removed || has_freed)
    }

    /// Finds the reserve, or makes it; that there is no room for it is no reason to refuse service.
    fn find_reserve(&mut self) -> Arc<Reserve> {
        let disk = self.disk.as_ref();
        let reserve = Reserve::find(disk, &self.directory, self.options.reserve());
        self.report.reserve_was_missing = !self.report.was_created && reserve.is_missing();
        if reserve.is_missing() {
            self.unnamed.clear();
        }
        if let Err(error) = reserve.make(disk, &self.directory) {
            tracing::warn!(%error, "there is no reserve for a full disk");
        }
        self.report.reserve_bytes = if reserve.is_missing() { 0 } else { reserve.bytes() };
        Arc::new(reserve)
    }

    /// A segment says how much of its end may be unsynced. Where this writer leaves more than the last one did, it goes on in a
    /// new segment; but one without events cannot have a successor, and gets a new header.
    fn widen_cut_bound(&mut self, files: &LogFiles, last: &mut LastSegment, walked: &Walk) -> Result<()> {
        let first = last.header.first_sequence;
        let cut_bound = self.writer_options().cut_bound;
        if walked.position.next != first || last.header.cut_bound >= cut_bound {
            return Ok(());
        }
        last.header.cut_bound = cut_bound;
        self.unnamed.clear();
        let (directory, end) = (&files.directory, walked.position.offset);
        let (file, _) = execute::replace_by_copy(
            self.disk.as_ref(),
            directory,
            last.file.as_ref(),
            first,
            end,
            Some(&last.header),
        )?;
        last.file = file;
        Ok(())
    }

    /// Opens the index to write, and makes it anew where it must be.
    fn open_index(&mut self, standing: IndexStanding, log: &RecoveredLog) -> Result<(Arc<dyn Index>, Option<Tail>)> {
        let directory = self.root.join(INDEX);
        let provider = &self.environment.index;
        if let Some(anew) = &mut self.anew {
            self.unnamed.clear();
            let last = log.position.next.previous();
            let (index, rebuilt) = anew.make(provider.as_ref(), self.root, self.store_id, &log.files, last)?;
            self.report.index = IndexUse::Rebuilt { reason: "it was asked for".into() };
            self.timer.end("index");
            return Ok((index, Some(rebuilt.tail)));
        }
        let mut reason = standing.rebuild;
        let mut index = None;
        if reason.is_none() {
            let mut opened = provider.open(&directory, self.store_id);
            if is_full(&opened) && self.give_up_reserve()? {
                opened = provider.open(&directory, self.store_id);
            }
            match opened {
                Ok(opened) => index = Some(opened),
                // That there is no room says nothing against the index: what it holds beside the log is not thrown away.
                Err(error) if error.kind() == ErrorKind::StorageFull => return Err(error),
                Err(error) => reason = Some(error.to_string()),
            }
        }
        let is_log_empty = log.position.next == Sequence::FIRST;
        let index = match index {
            Some(index) => index,
            None => {
                self.unnamed.clear();
                provider.remove(&directory)?;
                provider.open(&directory, self.store_id)?
            }
        };
        let mut tail = None;
        self.report.index = match reason {
            None => IndexUse::Used,
            Some(_) if is_log_empty => IndexUse::Created,
            Some(reason) => {
                if log.files.count() > 1 || standing.watermark.is_some() {
                    tail = Some(self.rebuild(log, &index)?);
                }
                IndexUse::Rebuilt { reason }
            }
        };
        self.timer.end("index");
        Ok((index, tail))
    }

    fn rebuild(&mut self, log: &RecoveredLog, index: &Arc<dyn Index>) -> Result<Tail> {
        let segments = log.files.all();
        let Some(first) = segments.first() else { unreachable!("a log has a segment") };
        let start = Start::of(&log.files.header(first)?);
        let last = log.position.next.previous();
        rebuild::rebuild(&log.files, index, start, last, &mut |_| ControlFlow::Continue(())).map(|rebuilt| rebuilt.tail)
    }

    fn finish(
        &mut self,
        latch: Latch,
        log: RecoveredLog,
        index: Arc<dyn Index>,
        rebuilt: Option<Tail>,
    ) -> Result<Shared> {
        let last_sequence = log.position.next.previous();
        self.report.segments = to_u64(log.files.count());
        self.report.last_sequence = last_sequence;
        let mut tail = rebuilt.unwrap_or(log.tail);
        checkpoints::restore(&index, &tail.take_checkpoints())?;
        let word = self.start_control(last_sequence)?;
        let spare = Arc::new(Spare::default());
        let LastSegment { header, file, length } = log.last;
        let end = LogEnd { file, header, length, position: log.position, promised: log.promised };
        let reserve = self.find_reserve();
        let writer = LogWriter::resume(
            Arc::clone(&log.files),
            Arc::clone(&spare),
            Arc::clone(&reserve),
            self.writer_options(),
            end,
        );
        self.timer.end("start");
        let time = self.start_clock(last_sequence, log.position.timestamp);
        let mut report = std::mem::take(&mut self.report);
        report.phases = self.timer.take();
        // Not behind the latch: a report that cannot be written is no failure of the log.
        keep_report(self.environment.disk.as_ref(), self.root, &report);
        Ok(Shared {
            root: self.root.to_owned(),
            environment: self.environment.clone(),
            options: self.options.clone(),
            store_id: self.store_id,
            session: self.session,
            snapshots: Snapshots::new(Arc::clone(&index), self.store_id),
            checkpoints: Checkpoints::new(Arc::clone(&index)),
            files: log.files,
            index,
            latch,
            writer: Some(Mutex::new(writer)),
            commits: Mutex::new(CommitState::new(log.position.next, to_u64(limits::GROUP_BYTES_MAX), tail.events())),
            keyed: tail.keyed().clone(),
            view: RwLock::new(View::new(tail)),
            ids: IdSource::new(self.options.event_ids.clone()),
            pool: Pool::default(),
            places: Visible::new(last_sequence, last_sequence, log.position.timestamp),
            word: Some(word),
            follower: None,
            spare,
            reserve,
            chores: Chores::freeing(std::mem::take(&mut self.unnamed)),
            watch: Watch::new(),
            acknowledged: Acknowledged::default(),
            keeping: Default::default(),
            archiving: Default::default(),
            ingestion: Default::default(),
            is_closed: false.into(),
            report,
            time,
        })
    }

    /// Notes how far the clock is from the last commit, and believes it as it is now: nothing tells a clock that was set from
    /// a machine that was off.
    fn start_clock(&mut self, last_sequence: Sequence, last_commit: Timestamp) -> StoreClock {
        let clock = self.options.clock.as_ref();
        if last_sequence > Sequence::ZERO {
            self.report.clock_step = ClockStep::between(last_commit, clock.now(), self.options.open_step_report_min);
        }
        if let Some(step) = self.report.clock_step {
            tracing::warn!(?step, "the clock is far from the last commit");
        }
        StoreClock::start(clock, last_commit, self.options.clock_step_max)
    }

    /// Tells readers in other processes how far the log is durable.
    fn start_control(&self, durable: Sequence) -> Result<Box<dyn disk::SharedWord>> {
        let path = self.root.join(CONTROL);
        let io = |source| Error::from_io("write control", source);
        let is_there = self.disk.kind(&path).map_err(io)?.is_some();
        let mode = if is_there { OpenMode::ReadWrite } else { OpenMode::CreateNew };
        let file = self.disk.open(&path, mode).map_err(io)?;
        file.allocate(to_u64(control::BYTES)).map_err(io)?;
        let start = control::encode_start(durable, self.options.durability == Durability::Sync, self.session);
        disk::write_all_at(file.as_ref(), &[&start], 0).map_err(io)?;
        file.sync_data().map_err(io)?;
        if !is_there {
            self.disk.sync_directory(self.root).map_err(io)?;
        }
        file.share_word(control::DURABLE_OFFSET).map_err(io)
    }
}

fn is_full<T>(result: &Result<T>) -> bool {
    result.as_ref().is_err_and(|error| error.kind() == ErrorKind::StorageFull)
}

/// Where the walk starts: where the index ends, or at the beginning.
pub(super) fn start_of_walk(files: &LogFiles, watermark: Option<&Watermark>) -> Result<Start> {
    if let Some(mark) = watermark {
        return Ok(Start::after(mark));
    }
    let segments = files.all();
    let Some(first) = segments.first() else { unreachable!("a log has a segment") };
    Ok(Start::of(&files.header(first)?))
}

/// Keeps the report for `bitacora info`. That it could not be kept is no reason to refuse service.
fn keep_report(disk: &dyn Disk, root: &Path, report: &RecoveryReport) {
    let temporary = root.join(format!("{REPORT}{TEMPORARY}"));
    let written = report.encode().map_err(std::io::Error::other).and_then(|bytes| {
        if disk.kind(&temporary)?.is_some() {
            disk.remove(&temporary)?;
        }
        let file: Arc<dyn DiskFile> = disk.open(&temporary, OpenMode::CreateNew)?;
        disk::write_all_at(file.as_ref(), &[&bytes], 0)?;
        disk.rename(&temporary, &root.join(REPORT))
    });
    if let Err(error) = written {
        tracing::warn!(%error, "the recovery report could not be kept");
    }
}

/// The report that the last open kept.
pub(crate) fn kept_report(disk: &dyn Disk, root: &Path) -> Option<RecoveryReport> {
    RecoveryReport::decode(&files::read_whole(disk, &root.join(REPORT)).ok()?).ok()
}

const _: () = assert!(segment::HEADER_BYTES < 4096);
