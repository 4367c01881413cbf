//! Writing a store's log as lines.

use std::io::{self, BufWriter, Write};
use std::ops::{Bound, ControlFlow, RangeBounds};
use std::path::Path;
use std::sync::Arc;

use uuid::Uuid;

use super::content::Content;
use super::line::{self, CommitLine, Header, Line, Trailer, VERSION};
use super::{ExportReport, TransferPhase, TransferProgress, count, tell};
use crate::disk::{self, DiskFile, OpenMode};
use crate::error::{Error, ErrorKind, Result};
use crate::format::frame::{FrameRef, to_u64};
use crate::format::merkle::MerkleTree;
use crate::log::cursor::{self, FrameCursor};
use crate::log::files::{self, LogFiles};
use crate::recovery::walk::{self, Start};
use crate::store::environment::Environment;
use crate::store::{read_only, resolved};
use crate::types::{Event, Sequence};

/// What is gathered before it is handed on.
const BUFFER_BYTES: usize = 256 * 1024;

/// Writes the log of the store in a folder as JSON lines to `to`: the commits that hold an event of `range`, each whole, as far as the
/// log goes. A program may be writing to the store meanwhile; it is not locked, and nothing in it is changed. A range that begins
/// right behind the log's end gives an export without events, so that what is new can be exported again and again.
///
/// Events of the store's own streams are among them, as consumers' checkpoints and repairs. Not in it: snapshots, which are made
/// again, and what the index alone holds.
///
/// # Errors
/// `NotFound`: there is no store. `InvalidInput`: the range begins beyond the log's end, or ends before it begins. `Corrupt`: the log
/// is damaged. `Aborted`: `progress` broke it off. `StorageFull`, `Io`: also where `to` cannot be written. `NotAStore`,
/// `UnsupportedFormat`. After an error, what was written has no last line, and no import takes it for whole.
pub fn export(
    path: impl AsRef<Path>,
    range: impl RangeBounds<Sequence>,
    to: &mut dyn Write,
    progress: &mut dyn FnMut(TransferProgress) -> ControlFlow<()>,
) -> Result<ExportReport> {
    export_in(&Environment::default(), resolved(path.as_ref()), range, to, progress)
}

/// As [`export`], of a store that stands on something else than the operating system's files.
///
/// # Errors
/// As [`export`].
pub fn export_in(
    environment: &Environment,
    path: impl AsRef<Path>,
    range: impl RangeBounds<Sequence>,
    to: &mut dyn Write,
    progress: &mut dyn FnMut(TransferProgress) -> ControlFlow<()>,
) -> Result<ExportReport> {
    let shared = read_only::open(environment, path.as_ref())?;
    let (first, last) = bounds(&shared.files, &range, shared.places.sequence())?;
    let header = Header { version: VERSION, store_id: shared.store_id, first_sequence: first, last_sequence: last };
    let mut out = Out { to: BufWriter::with_capacity(BUFFER_BYTES, to), line: Vec::new(), bytes: 0 };
    out.put(&Line::Export(header))?;
    let (mut tree, mut commits) = (MerkleTree::default(), 0);
    let total = count(first, last);
    each_commit(&shared.files, first, last, &mut |frame| {
        let content = Content::of_frame(frame)?;
        put_commit(&mut out, frame, &content)?;
        content.add_leaves(&mut tree);
        commits += 1;
        tell(progress, TransferPhase::Export, count(first, frame.header.last_sequence()), total)
    })?;
    let merkle_root = tree.root();
    let trailer = Trailer { commits, events: total, last_sequence: last, merkle_root: line::hex(&merkle_root) };
    out.put(&Line::End(trailer))?;
    out.to.flush().map_err(unwritten)?;
    Ok(ExportReport {
        store_id: shared.store_id,
        first_sequence: first,
        last_sequence: last,
        commits,
        events: total,
        bytes: out.bytes,
        merkle_root,
    })
}

/// As [`export`], into the file `to`, which must not be there. It is written beside under another name, synced, and named when it is
/// whole.
///
/// # Errors
/// As [`export`], and `AlreadyExists`. After each of them `to` is not there, and what was written is removed.
pub fn export_file(
    path: impl AsRef<Path>,
    range: impl RangeBounds<Sequence>,
    to: impl AsRef<Path>,
    progress: &mut dyn FnMut(TransferProgress) -> ControlFlow<()>,
) -> Result<ExportReport> {
    export_file_in(&Environment::default(), resolved(path.as_ref()), range, to, progress)
}

/// As [`export_file`], of a store, and to a file, that stand on something else than the operating system's files.
///
/// # Errors
/// As [`export_file`].
pub fn export_file_in(
    environment: &Environment,
    path: impl AsRef<Path>,
    range: impl RangeBounds<Sequence>,
    to: impl AsRef<Path>,
    progress: &mut dyn FnMut(TransferProgress) -> ControlFlow<()>,
) -> Result<ExportReport> {
    let (disk, to) = (environment.disk.as_ref(), to.as_ref());
    let io = |source| Error::from_io(format!("write {}", to.display()), source);
    let is_free = || match disk.kind(to).map_err(io)? {
        None => Ok(()),
        Some(_) => {
            let text = format!("{} exists; an export needs a new name", to.display());
            Err(Error::new(ErrorKind::AlreadyExists, text))
        }
    };
    is_free()?;
    let Some(name) = to.file_name() else {
        return Err(Error::new(ErrorKind::InvalidInput, format!("{} names no file", to.display())));
    };
    let mut name = name.to_owned();
    name.push(format!(".partial-{}", Uuid::now_v7().simple()));
    let partial = to.with_file_name(name);
    let file = disk.open(&partial, OpenMode::CreateNew).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => {
            Error::with_source(ErrorKind::NotFound, format!("there is no folder for {}", to.display()), source)
        }
        _ => io(source),
    })?;
    let mut writer = FileWriter { file: Arc::clone(&file), offset: 0 };
    let made = export_in(environment, path, range, &mut writer, progress).and_then(|report| {
        disk::settle(file.as_ref()).map_err(io)?;
        is_free()?;
        disk.rename(&partial, to).map_err(io)?;
        disk.sync_directory(super::publish::parent(to)).map_err(io).inspect_err(|_| {
            // It is whole, but its name may not last: none was promised.
            let _ = disk.rename(to, &partial);
        })?;
        Ok(report)
    });
    made.inspect_err(|_| {
        if let Err(error) = disk.remove(&partial) {
            tracing::warn!(%error, file = %partial.display(), "an export that failed cannot be removed");
        }
    })
}

/// Writes to a file, piece after piece.
struct FileWriter {
    file: Arc<dyn DiskFile>,
    offset: u64,
}

impl Write for FileWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        disk::write_all_at(self.file.as_ref(), &[bytes], self.offset)?;
        self.offset += to_u64(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Out<'a> {
    to: BufWriter<&'a mut dyn Write>,
    line: Vec<u8>,
    bytes: u64,
}

impl Out<'_> {
    fn put(&mut self, line: &Line<'_>) -> Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, line).map_err(|error| unwritten(error.into()))?;
        self.line.push(b'\n');
        self.to.write_all(&self.line).map_err(unwritten)?;
        self.bytes += to_u64(self.line.len());
        Ok(())
    }
}

fn unwritten(source: io::Error) -> Error {
    Error::from_io("write the export", source)
}

fn put_commit(out: &mut Out<'_>, frame: &FrameRef<'_>, content: &Content) -> Result<()> {
    let mut events: Vec<Event> = Vec::new();
    cursor::collect(frame, Sequence::ZERO, Sequence::MAX, |_| true, &mut |event| events.push(event))?;
    let key = frame.key().map_err(|defect| cursor::damaged_in(frame, defect))?;
    let key = key.as_ref().map(|(key, hash)| (*key, hash));
    match CommitLine::new(content, key, &events) {
        Some(line) => out.put(&Line::Commit(line)),
        None => unreachable!("a commit has an event"),
    }
}

/// The first and the last sequence of the commits that hold an event of a range; the last is the one before the first where there is
/// none.
fn bounds(files: &Arc<LogFiles>, range: &impl RangeBounds<Sequence>, end: Sequence) -> Result<(Sequence, Sequence)> {
    let first = match range.start_bound() {
        Bound::Included(first) => *first,
        Bound::Excluded(before) => before.next(),
        Bound::Unbounded => Sequence::FIRST,
    };
    let last = match range.end_bound() {
        Bound::Included(last) => *last,
        Bound::Excluded(behind) => behind.previous(),
        Bound::Unbounded => Sequence::MAX,
    };
    let (first, last) = (first.max(Sequence::FIRST), last);
    if first > end.next() {
        let text = format!("sequence {first} is beyond the log's end, which is {end}");
        return Err(Error::new(ErrorKind::InvalidInput, text));
    }
    if last < first && last != first.previous() {
        return Err(Error::new(ErrorKind::InvalidInput, format!("from {first} to {last} there is nothing")));
    }
    let last = last.min(end);
    if last < first {
        return Ok((first, first.previous()));
    }
    let first = FrameCursor::at(files, first)?.frame()?.header.first_sequence;
    let last = FrameCursor::at(files, last)?.frame()?.header.last_sequence();
    Ok((first, last))
}

/// Shows the commits from the one that begins with `first` to the one that ends with `last`, every byte checked.
///
/// # Errors
/// `Corrupt`: one of them is not there, or not sound. What `visit` says. `UnsupportedFormat`, `Io`.
pub(super) fn each_commit(
    files: &Arc<LogFiles>,
    first: Sequence,
    last: Sequence,
    visit: &mut dyn FnMut(&FrameRef<'_>) -> Result<()>,
) -> Result<()> {
    if last < first {
        return Ok(());
    }
    let Some((segment, _)) = files.holding(first) else {
        return Err(files::corrupt(first, 0, first, "a segment that holds this sequence", "none"));
    };
    let start = Start::of(&files.header(&segment)?);
    let mut wanted = |frame: &FrameRef<'_>| {
        let is_wanted = frame.header.event_count > 0 && frame.header.first_sequence >= first;
        if is_wanted { visit(frame) } else { Ok(()) }
    };
    walk::walk(files, start, last, &mut wanted, &mut |_, _| Ok(()))?.check_reached(last)
}
