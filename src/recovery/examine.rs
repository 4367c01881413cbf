//! Looking at a store's files before anything is decided. Nothing is changed here.

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::disk::{Disk, DiskFile, EntryKind, OpenMode};
use crate::error::{Corruption, Error, Result};
use crate::format::control::{self, Control};
use crate::format::segment::{self, SegmentHeader};
use crate::log::files::{self, LogFiles};
use crate::log::roll::TEMPORARY;
use crate::sabotage::{self, Defect};
use crate::types::{Sequence, StoreId};

/// Names of a store's files and folders.
pub(crate) const LOG: &str = "log";
/// See [`LOG`].
pub(crate) const INDEX: &str = "index";
/// See [`LOG`].
pub(crate) const QUARANTINE: &str = "quarantine";
/// See [`LOG`].
pub(crate) const CONTROL: &str = "control";
/// See [`LOG`].
pub(crate) const IDENTITY: &str = "identity";

/// What is in the log's folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Inventory {
    /// The segments, in order, those that are archived included.
    pub(crate) segments: Vec<Sequence>,
    /// Those that are in an archive only, in order.
    pub(crate) archived: Vec<Sequence>,
    /// All that have a stub: one that was cut short when it was archived or brought back has a file beside it, which counts.
    pub(crate) stubs: Vec<Sequence>,
    /// The seals, in order.
    pub(crate) seals: Vec<Sequence>,
    /// Files that never became what they were for.
    pub(crate) temporary: Vec<String>,
    /// How long these are together.
    pub(crate) temporary_bytes: u64,
}

/// Lists the log's folder.
///
/// # Errors
/// `Io`: it cannot be listed.
pub(crate) fn inventory(disk: &dyn Disk, directory: &Path) -> Result<Inventory> {
    let entries = disk.list(directory).map_err(|source| Error::from_io("list log/", source))?;
    let mut inventory = Inventory::default();
    for entry in entries.iter().filter(|entry| entry.kind == EntryKind::File) {
        if let Some(first) = segment::parse_name(&entry.name, ".seg") {
            inventory.segments.push(first);
        } else if let Some(first) = segment::parse_name(&entry.name, ".seal") {
            inventory.seals.push(first);
        } else if let Some(first) = segment::parse_name(&entry.name, ".arc") {
            inventory.stubs.push(first);
        } else if entry.name.ends_with(TEMPORARY) {
            inventory.temporary.push(entry.name.clone());
            inventory.temporary_bytes += entry.length;
        }
    }
    inventory.segments.sort_unstable();
    inventory.seals.sort_unstable();
    inventory.stubs.sort_unstable();
    let stubs = inventory.stubs.iter().copied();
    inventory.archived = stubs.filter(|first| inventory.segments.binary_search(first).is_err()).collect();
    inventory.segments.extend(&inventory.archived);
    inventory.segments.sort_unstable();
    Ok(inventory)
}

/// The control file's words; a missing or foreign file says nothing.
///
/// # Errors
/// `Io`: it is there and cannot be read.
pub(crate) fn read_control(disk: &dyn Disk, root: &Path, store_id: StoreId) -> Result<Control> {
    match files::read_whole(disk, &root.join(CONTROL)) {
        Ok(bytes) => Ok(control::decode(&bytes, store_id)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Control::default()),
        Err(error) => Err(Error::from_io("read control", error)),
    }
}

/// The last segment, opened, and whether all the segments that came before it are there.
#[derive(Debug)]
pub(crate) struct LastSegment {
    pub(crate) header: SegmentHeader,
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) length: u64,
}

/// Opens the last segment and checks by its ordinal that none before it is missing.
///
/// # Errors
/// `Corrupt`: its header is damaged, or a segment is missing, which is named. `UnsupportedFormat`, `Io`.
pub(crate) fn open_last(files: &LogFiles, mode: OpenMode) -> Result<LastSegment> {
    let segments = files.all();
    let last = segments.last().unwrap_or_else(|| unreachable!("only a log with segments is examined"));
    let io = |source: io::Error| match source.kind() {
        // It is never archived.
        io::ErrorKind::NotFound => files::missing(last.first),
        _ => LogFiles::io(last.first, "open", source),
    };
    let file = files.disk.open(&files.path(last.first), mode).map_err(io)?;
    let header = files.header(last)?;
    let length = file.length().map_err(io)?;
    // Ordinals start at zero. The header's may be any number.
    let is_whole = header.ordinal == crate::format::frame::to_u64(segments.len() - 1);
    if !is_whole && !sabotage::has(Defect::IgnoreGapInSegments) {
        return Err(find_gap(files)?);
    }
    Ok(LastSegment { header, file, length })
}

/// Names the segment whose absence, or whose presence, breaks the chain of headers.
fn find_gap(files: &LogFiles) -> Result<Error> {
    let mut previous = Sequence::ZERO;
    for (segment, ordinal) in files.all().iter().zip(0u64..) {
        let header = files.header(segment)?;
        if header.previous != previous || header.ordinal != ordinal {
            let corruption = Corruption {
                file: LogFiles::label(segment.first),
                offset: None,
                sequence: Some(previous),
                expected: format!("segment number {ordinal}, after the one of sequence {previous}"),
                found: format!(
                    "segment number {}, after the one of sequence {}: a file is missing or too many",
                    header.ordinal, header.previous
                ),
            };
            return Ok(Error::corrupt(corruption));
        }
        previous = segment.first;
    }
    unreachable!("the last ordinal does not fit the number of files, so some header does not either")
}

/// Syncs what a failed process may have left unsynced, before it is read: what is in the page cache and not on the disk would
/// look durable and vanish with the next power cut. A segment is synced before its successor is made, so the last two and
/// the folders are enough. They are never archived.
///
/// # Errors
/// `Io`: the sync failed. `Corrupt`: one of them is archived, so those behind it are missing.
pub(crate) fn sync_before_reading(disk: &dyn Disk, root: &Path, directory: &Path, segments: &[Sequence]) -> Result<()> {
    if sabotage::has(Defect::SkipSyncBeforeReading) {
        return Ok(());
    }
    for first in segments.iter().rev().take(2) {
        let path = directory.join(segment::file_name(*first));
        disk.open(&path, OpenMode::ReadWrite).and_then(|file| file.sync_data()).map_err(|source| {
            match source.kind() {
                io::ErrorKind::NotFound => files::missing(*first),
                _ => LogFiles::io(*first, "sync", source),
            }
        })?;
    }
    for folder in [directory, root] {
        disk.sync_directory(folder)
            .map_err(|source| Error::from_io(format!("sync the folder {}", folder.display()), source))?;
    }
    Ok(())
}
