//! Opening a store to read, beside a writer or without one. Changes nothing and takes no lock that a writer could feel.

use std::path::Path;
use std::sync::Arc;

use super::chores::Chores;
use super::consumer::Acknowledged;
use super::create;
use super::environment::Environment;
use super::follow::{Follower, has_writer};
use super::ids::IdSource;
use super::open::{kept_report, start_of_walk};
use super::options::Options;
use super::pool::Pool;
use super::shared::{CommitState, Shared, Visible};
use super::view::View;
use super::watch::Watch;
use crate::clock::StoreClock;
use crate::disk::{Disk, Latch, OpenMode};
use crate::error::{Error, ErrorKind, Result};
use crate::format::control::Control;
use crate::format::identity::Identity;
use crate::index::checkpoints::Checkpoints;
use crate::index::tail::Tail;
use crate::index::{Index, IndexProvider, MemoryIndexProvider};
use crate::limits;
use crate::log::files::{self, LogFiles};
use crate::log::reserve::Reserve;
use crate::log::roll::Spare;
use crate::recovery::RecoveryReport;
use crate::recovery::examine::{self, INDEX, LOG};
use crate::recovery::halves;
use crate::recovery::plan::{self, Decision, Evidence, Witnesses};
use crate::recovery::walk::{self, Walk};
use crate::snapshot::Snapshots;
use crate::sync::{Mutex, RwLock};
use crate::types::{Sequence, StoreId};

/// How often an open looks again because writers came or went meanwhile.
const ATTEMPTS: usize = 8;

/// Opens a store to read.
///
/// # Errors
/// See [`Store::open_read_only`](super::Store::open_read_only).
pub(crate) fn open(environment: &Environment, root: &Path) -> Result<Shared> {
    let disk = environment.disk.as_ref();
    let store_id = identity(disk, root)?.store_id;
    for _ in 1..ATTEMPTS {
        let before = Standing::of(disk, root, store_id)?;
        match open_beside(environment, root, store_id, &before) {
            Err(error) if error.kind() != ErrorKind::Corrupt => return Err(error),
            outcome if before.holds(&Standing::of(disk, root, store_id)?, outcome.is_err()) => return outcome,
            _ => {}
        }
    }
    open_beside(environment, root, store_id, &Standing::of(disk, root, store_id)?)
}

/// What an open to read goes by: all of it is looked at before the log is, and again afterwards.
#[derive(Debug)]
struct Standing {
    has_writer: bool,
    control: Control,
    segments: Vec<Sequence>,
}

impl Standing {
    /// The lock is looked at first: what a writer that then ends has written is a whole log.
    fn of(disk: &dyn Disk, root: &Path, store_id: StoreId) -> Result<Self> {
        Ok(Self {
            has_writer: has_writer(disk, root)?,
            control: examine::read_control(disk, root, store_id)?,
            segments: examine::inventory(disk, &root.join(LOG))?.segments,
        })
    }

    /// Whether what was read holds: no other writer may have written or be writing what nothing bounded. For an error, also
    /// the list of segments must be what it was: it is not read at one moment.
    fn holds(&self, after: &Self, is_error: bool) -> bool {
        self.control.session == after.control.session
            && (self.has_writer || !after.has_writer)
            && (!is_error || self.segments == after.segments)
    }
}

fn open_beside(environment: &Environment, root: &Path, store_id: StoreId, standing: &Standing) -> Result<Shared> {
    let disk = Arc::clone(&environment.disk);
    let (has_writer, control) = (standing.has_writer, standing.control);
    let index = open_index(environment, root, store_id)?;
    // After the index: it may have the events of segments that are new.
    let inventory = examine::inventory(disk.as_ref(), &root.join(LOG))?;
    if inventory.segments.is_empty() {
        return Err(Error::new(ErrorKind::NotFound, format!("{}: there is no log yet", root.display())));
    }
    let log_files = Arc::new(LogFiles::new(Arc::clone(&disk), root.join(LOG), store_id, &inventory.segments));
    let last = examine::open_last(&log_files, OpenMode::Read)?;
    if !has_writer {
        last.file.sync_data().map_err(|source| LogFiles::io(last.header.first_sequence, "sync", source))?;
    }
    let shows_durable_only = has_writer && control.shows_synced_only;
    let bound = if shows_durable_only { control.durable } else { Sequence::MAX };
    let watermark = index.watermark();
    let start = start_of_walk(&log_files, watermark.as_ref())?;
    let is_closed = !has_writer && watermark.is_some_and(|mark| control.is_covered_by(mark.log_end()));
    let is_whole = is_closed && walk::ends_at(&log_files, start)?;
    let (walked, mut tail) = if is_whole {
        (Walk::of_nothing(start), Tail::default())
    } else {
        halves::walk(&log_files, start, bound, true)?
    };
    walked.check_start(&log_files, start, watermark.as_ref())?;
    let witnesses = Witnesses {
        index: watermark.map_or(Sequence::ZERO, |mark| mark.sequence),
        clean_close: control.clean_sequence(),
        frame_before: if shows_durable_only { bound.min(walked.promised) } else { walked.promised },
        frame_ahead: walked.ahead.promise.map_or(Sequence::ZERO, |(_, through)| through),
        state: Sequence::ZERO,
    };
    check_end(&walked, has_writer, bound, &last.header, witnesses, &control)?;
    let sequence = walked.position.next.previous();
    log_files.last().into_iter().for_each(|segment| segment.start(Arc::clone(&last.file)));
    let options = Options::new();
    let time = StoreClock::start(options.clock.as_ref(), walked.position.timestamp, options.clock_step_max);
    Ok(Shared {
        root: root.to_owned(),
        environment: environment.clone(),
        options,
        store_id,
        session: control.session,
        snapshots: Snapshots::new(Arc::clone(&index), store_id),
        checkpoints: Checkpoints::with_logged(Arc::clone(&index), tail.take_checkpoints()),
        files: log_files,
        index,
        latch: Latch::default(),
        writer: None,
        commits: no_commits(walked.position.next),
        keyed: tail.keyed().clone(),
        view: RwLock::new(View::new(tail)),
        ids: IdSource::new(None),
        pool: Pool::default(),
        places: Visible::new(sequence, sequence, walked.position.timestamp),
        word: None,
        follower: Some(Mutex::new(Follower::new(control.session, walked.end()))),
        spare: Arc::new(Spare::default()),
        reserve: Arc::new(Reserve::default()),
        chores: Chores::default(),
        watch: Watch::new(),
        acknowledged: Acknowledged::default(),
        keeping: Default::default(),
        archiving: Default::default(),
        ingestion: Default::default(),
        is_closed: false.into(),
        report: report(&walked, kept_report(disk.as_ref(), root)),
        time,
    })
}

/// What the last open to write kept, with what this one read.
fn report(walked: &Walk, kept: Option<RecoveryReport>) -> RecoveryReport {
    RecoveryReport {
        segments_read: walked.segments_read,
        bytes_read: walked.bytes_read,
        events_replayed: walked.events,
        last_sequence: walked.position.next.previous(),
        ..kept.unwrap_or_default()
    }
}

fn identity(disk: &dyn Disk, root: &Path) -> Result<Identity> {
    let not_found = |what| Err(Error::new(ErrorKind::NotFound, format!("{}: there is no store{what}", root.display())));
    match create::standing(disk, root)? {
        create::Standing::Store(identity) => Ok(identity),
        create::Standing::Absent => not_found(""),
        create::Standing::Unfinished => not_found(" yet"),
    }
}

fn no_commits(next: Sequence) -> Mutex<CommitState> {
    Mutex::new(CommitState::new(next, crate::format::frame::to_u64(limits::GROUP_BYTES_MAX), 0))
}

/// Without a writer, what would make the next open refuse is an error here too: a log that is cut short is not shown as
/// whole. Beside a writer, what it says is synced must be there.
fn check_end(
    walked: &Walk,
    has_writer: bool,
    bound: Sequence,
    header: &crate::format::segment::SegmentHeader,
    witnesses: Witnesses,
    control: &Control,
) -> Result<()> {
    let position = walked.position;
    let corrupt = |expected: String, found: String| {
        Err(files::corrupt(walked.segment, position.offset, position.next, expected, found))
    };
    if has_writer {
        let reached = position.next.previous();
        if bound != Sequence::MAX && reached < bound {
            return corrupt(
                format!("events through sequence {}, which the writer has synced", control.durable),
                walked.stop.to_string(),
            );
        }
        return Ok(());
    }
    let evidence = Evidence {
        expected: position.next,
        stop: walked.stop,
        offset: position.offset,
        content_end: walked.ahead.content_end,
        cut_bound: header.cut_bound,
        witnesses,
    };
    match plan::decide(&evidence) {
        Decision::Clean | Decision::Cut { .. } => Ok(()),
        Decision::Refuse { expected, found } => corrupt(expected, found),
    }
}

/// The store's index; where it has none that can be read, an empty one in memory, so that the whole log is walked.
fn open_index(environment: &Environment, root: &Path, store_id: StoreId) -> Result<Arc<dyn Index>> {
    match environment.index.open_read_only(&root.join(INDEX), store_id) {
        Ok(index) => Ok(index),
        Err(error) => {
            tracing::warn!(%error, "the index cannot be read; the whole log is");
            MemoryIndexProvider::default().open(root, store_id)
        }
    }
}
