//! Reading the source of a backup: what is to be copied, checked as an open would check it, and more.

use std::path::Path;
use std::sync::Arc;

use super::{BackupPhase, BackupProgress, Watch};
use crate::disk::{self, Disk, DiskFile, OpenMode};
use crate::error::{Corruption, Error, ErrorKind, Result};
use crate::format::bytes::end_of_content;
use crate::format::control::Control;
use crate::format::frame::to_u64;
use crate::format::identity::Identity;
use crate::format::merkle::{Hash, MerkleTree};
use crate::format::seal::{self, Seal};
use crate::format::segment;
use crate::index::IndexEvidence;
use crate::log::cursor;
use crate::log::files::{self, LogFiles};
use crate::log::scan::{Position, Stop};
use crate::recovery::examine::{self, INDEX, LOG, LastSegment};
use crate::recovery::plan::{self, Decision, Evidence, Witnesses};
use crate::recovery::walk::{self, Start, Walk};
use crate::store::create;
use crate::store::environment::Environment;
use crate::types::{Sequence, StoreId};

/// What is to be copied.
pub(super) struct Source {
    pub(super) identity: Identity,
    pub(super) session: u64,
    /// The segments before those that were read, oldest first: none where all of them were.
    pub(super) before: Vec<Sequence>,
    /// Each segment that was read with where its last frame ends, oldest first.
    pub(super) segments: Vec<(Sequence, Position)>,
    /// The seals of finished segments, with their digests.
    pub(super) seals: Vec<(Sequence, Hash)>,
    /// The end of the last frame.
    pub(super) position: Position,
    /// Over all events; `None` where not all were read.
    pub(super) root: Option<Hash>,
    pub(super) files: Arc<LogFiles>,
}

impl Source {
    /// Whether another segment follows, in what is to be copied.
    pub(super) fn is_finished(&self, first: Sequence) -> bool {
        self.segments.last().is_some_and(|(last, _)| first < *last)
    }

    pub(super) fn has_seal(&self, first: Sequence) -> bool {
        self.seals.binary_search_by_key(&first, |(first, _)| *first).is_ok()
    }
}

/// Who writes, as it was looked at before the log was read.
struct Writer {
    is_there: bool,
    control: Control,
}

impl Writer {
    /// The lock first, then what the writer says; the log is read later, so it holds what is said.
    fn look(disk: &dyn Disk, root: &Path, store_id: StoreId) -> Result<Self> {
        let is_there =
            disk.is_locked(&root.join(create::LOCK)).map_err(|source| Error::from_io("look at LOCK", source))?;
        Ok(Self { is_there, control: examine::read_control(disk, root, store_id)? })
    }
}

/// Reads the log from the segment `from`, or from its first frame, to its last, or to what a writer has synced by now.
///
/// # Errors
/// `Corrupt`, with the place. `NotFound`: there is no log yet. `Refused`: it has no segment of that name. `UnsupportedFormat`, `Io`,
/// and what `watch` says.
pub(super) fn read(
    environment: &Environment,
    root: &Path,
    identity: Identity,
    from: Option<Sequence>,
    watch: &mut Watch<'_>,
) -> Result<Source> {
    /// Writers that come and go while the log is read: so many in a row are no accident.
    const ATTEMPTS_MAX: usize = 8;
    let (disk, store_id) = (environment.disk.as_ref(), identity.store_id);
    let mut writer = Writer::look(disk, root, store_id)?;
    for _ in 1..ATTEMPTS_MAX {
        match read_once(environment, root, identity, &writer, from, watch) {
            Err(error) if error.is_corruption() => {
                // What is being written is no damage: it counts if nobody has begun to write since.
                let now = Writer::look(disk, root, store_id)?;
                if (now.is_there, now.control.session) == (writer.is_there, writer.control.session) {
                    return Err(error);
                }
                writer = now;
            }
            outcome => return outcome,
        }
    }
    read_once(environment, root, identity, &writer, from, watch)
}

fn read_once(
    environment: &Environment,
    root: &Path,
    identity: Identity,
    writer: &Writer,
    from: Option<Sequence>,
    watch: &mut Watch<'_>,
) -> Result<Source> {
    let disk = Arc::clone(&environment.disk);
    let store_id = identity.store_id;
    let Writer { is_there: has_writer, control } = *writer;
    let index =
        if has_writer { IndexEvidence::Absent } else { environment.index.evidence(&root.join(INDEX), store_id) };
    let inventory = examine::inventory(disk.as_ref(), &root.join(LOG))?;
    let Some(oldest) = inventory.segments.first().copied() else {
        return Err(Error::new(ErrorKind::NotFound, format!("{}: there is no log yet", root.display())));
    };
    let first = from.unwrap_or(oldest);
    let files = Arc::new(LogFiles::new(Arc::clone(&disk), root.join(LOG), store_id, &inventory.segments));
    let last = examine::open_last(&files, OpenMode::Read)?;
    if !has_writer {
        last.file.sync_data().map_err(|source| LogFiles::io(last.header.first_sequence, "sync", source))?;
    }
    let shows_durable_only = has_writer && control.shows_synced_only;
    let bound = if shows_durable_only { control.durable } else { Sequence::MAX };
    let (before, read): (Vec<_>, Vec<_>) = inventory.segments.iter().partition(|other| **other < first);
    let sizes: u64 = read.iter().map(|first| length_of(&files, *first)).sum::<Result<u64>>()?;
    let mut segments = Vec::new();
    let mut content = Content::default();
    let start = match files.named(first) {
        Some(segment) => Start::of(&files.header(&segment)?),
        None => {
            let text = format!(
                "the backup holds what the store does not: segment {first}, and the store has none of that name; make a new backup beside it"
            );
            return Err(Error::new(ErrorKind::Refused, text));
        }
    };
    let mut visit = |frame: &crate::format::frame::FrameRef<'_>| {
        content.take(frame)?;
        let done_bytes = content.bytes.min(sizes);
        watch(BackupProgress { phase: BackupPhase::Check, done_bytes, total_bytes: sizes })
    };
    let walked = walk::walk(&files, start, bound, &mut visit, &mut |segment, position| {
        segments.push((segment, position));
        Ok(())
    })?;
    check_end(&walked, &last, &control, has_writer, bound, &index)?;
    for (first, end) in &segments {
        check_rest(&files, *first, end.offset)?;
    }
    let finished = before.iter().copied().chain(segments.iter().map(|(first, _)| *first));
    let seals = seals(&files, finished, &inventory.seals)?;
    segments.push((walked.segment, walked.position));
    let root = before.is_empty().then(|| content.tree.root());
    let session = control.session;
    Ok(Source { identity, session, before, segments, seals, position: walked.position, root, files })
}

/// What the events come to.
#[derive(Default)]
struct Content {
    tree: MerkleTree,
    bytes: u64,
}

impl Content {
    fn take(&mut self, frame: &crate::format::frame::FrameRef<'_>) -> Result<()> {
        for placed in frame.records().map_err(|defect| cursor::damaged_in(frame, defect))? {
            let placed = placed.map_err(|defect| cursor::damaged_in(frame, defect))?;
            seal::add_leaf(&mut self.tree, placed.sequence, frame.header.timestamp, placed.record.content);
        }
        self.bytes += frame.header.total_bytes();
        Ok(())
    }
}

fn length_of(files: &LogFiles, first: Sequence) -> Result<u64> {
    files.open(first)?.length().map_err(|source| LogFiles::io(first, "look at", source))
}

/// Beside a writer that syncs each commit, what it has synced must be there; without a writer, what an open would refuse is
/// refused.
fn check_end(
    walked: &Walk,
    last: &LastSegment,
    control: &Control,
    has_writer: bool,
    bound: Sequence,
    index: &IndexEvidence,
) -> Result<()> {
    let position = walked.position;
    let refuse = |expected: String, found: String| {
        Err(files::corrupt(walked.segment, position.offset, position.next, expected, found))
    };
    if has_writer {
        if bound != Sequence::MAX && position.next <= bound {
            let expected = format!("events through sequence {bound}, which the writer has synced");
            return refuse(expected, walked.stop.to_string());
        }
        return Ok(());
    }
    let (watermark, state) = match index {
        IndexEvidence::Present { watermark, state_sequence } => {
            (watermark.map_or(Sequence::ZERO, |mark| mark.sequence), *state_sequence)
        }
        IndexEvidence::Absent | IndexEvidence::Unusable(_) => (Sequence::ZERO, Sequence::ZERO),
    };
    let evidence = Evidence {
        expected: position.next,
        stop: walked.stop,
        offset: position.offset,
        content_end: walked.ahead.content_end,
        cut_bound: last.header.cut_bound,
        witnesses: Witnesses {
            frame_before: walked.promised,
            frame_ahead: walked.ahead.promise.map_or(Sequence::ZERO, |(_, through)| through),
            index: watermark,
            state,
            clean_close: control.clean_sequence(),
        },
    };
    match plan::decide(&evidence) {
        Decision::Clean | Decision::Cut { .. } => Ok(()),
        Decision::Refuse { expected, found } => refuse(expected, found),
    }
}

/// Behind the last frame of a finished segment there is nothing, and so nothing is left out of the copy.
fn check_rest(files: &LogFiles, first: Sequence, end: u64) -> Result<()> {
    let file = files.open(first)?;
    for_each_chunk(
        file.as_ref(),
        first,
        end,
        length_of(files, first)?,
        &mut |offset, bytes| match end_of_content(bytes) {
            0 => Ok(()),
            place => {
                let offset = offset + to_u64(place - 1);
                Err(files::corrupt(
                    first,
                    offset,
                    Sequence::ZERO,
                    "zeros behind the last frame",
                    Stop::Full.to_string(),
                ))
            }
        },
    )
}

/// Reads a stretch of a segment, piece by piece.
pub(super) fn for_each_chunk(
    file: &dyn DiskFile,
    first: Sequence,
    from: u64,
    to: u64,
    take: &mut dyn FnMut(u64, &[u8]) -> Result<()>,
) -> Result<()> {
    const CHUNK_BYTES: u64 = 1024 * 1024;
    let mut offset = from;
    let mut buffer = Vec::new();
    while offset < to {
        let count = (to - offset).min(CHUNK_BYTES);
        buffer.resize(usize::try_from(count).unwrap_or_default(), 0);
        disk::read_exact_at(file, &mut buffer, offset).map_err(|source| LogFiles::io(first, "read", source))?;
        take(offset, &buffer)?;
        offset += count;
    }
    Ok(())
}

/// The seals that are there, of the segments that are finished in the copy. A seal that is there and damaged is damage.
fn seals(
    files: &LogFiles,
    finished: impl Iterator<Item = Sequence>,
    found: &[Sequence],
) -> Result<Vec<(Sequence, Hash)>> {
    let sealed = finished.filter(|first| found.binary_search(first).is_ok());
    sealed.map(|first| Ok((first, read_seal(files, first)?.1))).collect()
}

/// A segment's seal and its digest.
///
/// # Errors
/// `Corrupt`: it is damaged. `Io`: it is not there, or cannot be read.
pub(super) fn read_seal(files: &LogFiles, first: Sequence) -> Result<(Seal, Hash)> {
    let bytes = files::read_whole(files.disk.as_ref(), &files.directory.join(segment::seal_name(first)))
        .map_err(|source| LogFiles::io(first, "read the seal of", source))?;
    Seal::decode(&bytes, files.store_id, first).ok_or_else(|| {
        Error::corrupt(Corruption {
            file: format!("{LOG}/{}", segment::seal_name(first)),
            offset: None,
            sequence: Some(first),
            expected: "a seal, or none".into(),
            found: "one whose digest fails".into(),
        })
    })
}
