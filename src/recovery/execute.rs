//! Carrying a decision out: keeping what is cut, zeroing it, and making what is kept durable beyond doubt.

use std::path::Path;
use std::sync::Arc;

use super::examine::{Inventory, QUARANTINE};
use super::walk::size;
use crate::disk::{self, Disk, DiskFile, EntryKind, OpenMode};
use crate::error::{Error, Result};
use crate::format::frame::to_u64;
use crate::format::segment::{self, SegmentHeader};
use crate::log::files::LogFiles;
use crate::log::roll::{TEMPORARY, write_zeros};
use crate::sabotage::{self, Defect};
use crate::types::Sequence;

/// Copies a stretch of a segment into the quarantine folder, synced. Returns the file's name, relative to the store.
///
/// # Errors
/// `StorageFull`, `Io`: nothing of the segment was changed.
pub(crate) fn quarantine(
    disk: &dyn Disk,
    root: &Path,
    file: &dyn DiskFile,
    first: Sequence,
    from: u64,
    to: u64,
) -> Result<String> {
    if sabotage::has(Defect::CutWithoutQuarantine) {
        return Ok(format!("{QUARANTINE}/none"));
    }
    let directory = root.join(QUARANTINE);
    let io = |source| Error::from_io(format!("keep the end of {} in {QUARANTINE}/", LogFiles::label(first)), source);
    if disk.kind(&directory).map_err(io)? != Some(EntryKind::Directory) {
        disk.create_directory(&directory).map_err(io)?;
        disk.sync_directory(root).map_err(io)?;
    }
    let mut bytes = vec![0; usize::try_from(to - from).unwrap_or(usize::MAX)];
    disk::read_exact_at(file, &mut bytes, from).map_err(io)?;
    let name = unused_name(disk, &directory, first, from).map_err(io)?;
    let temporary = directory.join(format!("{name}{TEMPORARY}"));
    if disk.kind(&temporary).map_err(io)?.is_some() {
        disk.remove(&temporary).map_err(io)?;
    }
    let written = (|| {
        let copy = disk.open(&temporary, OpenMode::CreateNew)?;
        copy.allocate(size(&bytes))?;
        disk::write_all_at(copy.as_ref(), &[&bytes], 0)?;
        disk::settle(copy.as_ref())
    })();
    if let Err(source) = written {
        // The copy is of no use; that removing it fails too changes nothing.
        let _ = disk.remove(&temporary);
        return Err(io(source));
    }
    disk.rename(&temporary, &directory.join(&name)).map_err(io)?;
    disk.sync_directory(&directory).map_err(io)?;
    Ok(format!("{QUARANTINE}/{name}"))
}

fn unused_name(disk: &dyn Disk, directory: &Path, first: Sequence, from: u64) -> std::io::Result<String> {
    let base = format!("{:020}-{from:010}", first.get());
    for number in 0u32.. {
        let name = format!("{base}-{number}.bin");
        if disk.kind(&directory.join(&name))?.is_none() {
            return Ok(name);
        }
    }
    Err(std::io::ErrorKind::AlreadyExists.into())
}

/// Zeroes a stretch of a segment and syncs it, so that nothing of it comes back behind new frames.
///
/// # Errors
/// `Io`: it may be half done; the next open finds it as torn as before, and the copy is kept.
pub(crate) fn zero(file: &dyn DiskFile, first: Sequence, from: u64, to: u64) -> Result<()> {
    if sabotage::has(Defect::LeaveCutTail) {
        return Ok(());
    }
    let zeroed = write_zeros(file, from, to).and_then(|()| file.sync_data());
    zeroed.map_err(|source| LogFiles::io(first, "zero the end of", source))
}

/// Writes a stretch of a segment again and syncs it. After a failed sync the kernel may hold these bytes as clean though the
/// disk never got them; only writing them again makes them durable.
///
/// # Errors
/// `Io`: nothing of the stretch has changed.
pub(crate) fn rewrite(file: &dyn DiskFile, first: Sequence, from: u64, to: u64) -> Result<u64> {
    const CHUNK_BYTES: u64 = 1024 * 1024;
    let io = |source| LogFiles::io(first, "write again the end of", source);
    if sabotage::has(Defect::SkipWritingAgain) {
        return Ok(0);
    }
    let mut offset = from;
    while offset < to {
        let count = (to - offset).min(CHUNK_BYTES);
        let mut bytes = vec![0; usize::try_from(count).unwrap_or_default()];
        disk::read_exact_at(file, &mut bytes, offset).map_err(io)?;
        disk::write_all_at(file, &[&bytes], offset).map_err(io)?;
        offset += count;
    }
    if !sabotage::has(Defect::SkipSyncOfWritingAgain) {
        file.sync_data().map_err(io)?;
    }
    Ok(to.saturating_sub(from))
}

/// Replaces a segment by a synced copy of itself, with another header where one is given: where the medium may not be trusted
/// to rewrite a sector, and where the header itself has to change.
///
/// # Errors
/// `StorageFull`, `Io`: the segment is as it was.
pub(crate) fn replace_by_copy(
    disk: &dyn Disk,
    directory: &Path,
    file: &dyn DiskFile,
    first: Sequence,
    end: u64,
    header: Option<&SegmentHeader>,
) -> Result<(Arc<dyn DiskFile>, u64)> {
    const CHUNK_BYTES: u64 = 1024 * 1024;
    let io = |source| LogFiles::io(first, "copy", source);
    let name = segment::file_name(first);
    let temporary = directory.join(format!("{name}-copy{TEMPORARY}"));
    if disk.kind(&temporary).map_err(io)?.is_some() {
        disk.remove(&temporary).map_err(io)?;
    }
    let copy = disk.open(&temporary, OpenMode::CreateNew).map_err(io)?;
    copy.allocate(file.length().map_err(io)?).map_err(io)?;
    let mut offset = 0;
    while offset < end {
        let count = (end - offset).min(CHUNK_BYTES);
        let mut bytes = vec![0; usize::try_from(count).unwrap_or_default()];
        disk::read_exact_at(file, &mut bytes, offset).map_err(io)?;
        disk::write_all_at(copy.as_ref(), &[&bytes], offset).map_err(io)?;
        offset += count;
    }
    if let Some(header) = header {
        disk::write_all_at(copy.as_ref(), &[&header.encode()], 0).map_err(io)?;
    }
    // What it replaces is gone afterwards.
    disk::settle(copy.as_ref()).map_err(io)?;
    disk.rename(&temporary, &directory.join(&name)).map_err(io)?;
    disk.sync_directory(directory).map_err(io)?;
    Ok((copy, end))
}

/// Removes files that never became what they were for.
///
/// # Errors
/// `Io`.
pub(crate) fn remove_temporary(disk: &dyn Disk, directory: &Path, names: &[String]) -> Result<u64> {
    for name in names {
        disk.remove(&directory.join(name)).map_err(|source| Error::from_io(format!("remove log/{name}"), source))?;
    }
    Ok(to_u64(names.len()))
}

/// Files that have no name any more. Their room is free when this is dropped, which takes as long as they are large.
pub(crate) type Unnamed = Vec<Arc<dyn DiskFile>>;

/// As [`remove_temporary`], but for the room of files that are large: a spare segment that a killed writer leaves behind is full of
/// zeros, and to free it takes as long as a third of an open. Where the disk has not as much room beside it, it is freed at once: the
/// first commit may need it.
///
/// # Errors
/// As [`remove_temporary`].
pub(crate) fn unname_temporary(disk: &dyn Disk, directory: &Path, found: &Inventory) -> Result<(u64, Unnamed)> {
    const LARGE_BYTES: u64 = 4 * 1024 * 1024;
    let is_room_enough =
        || disk.room(directory).is_ok_and(|room| room.is_none_or(|room| room.free_bytes >= found.temporary_bytes));
    let mut unnamed = Unnamed::new();
    if found.temporary_bytes >= LARGE_BYTES && is_room_enough() {
        // What cannot be opened is freed at once.
        unnamed.extend(found.temporary.iter().flat_map(|name| disk.open(&directory.join(name), OpenMode::Read)));
    }
    Ok((remove_temporary(disk, directory, &found.temporary)?, unnamed))
}
