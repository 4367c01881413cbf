//! Bringing archived segments back.
//!
//! The newest of them first, so that what is archived stays the beginning of the log. A segment's file is made beside its name,
//! synced, read back and compared; it gets its name, and counts from then on; then the archive goes, if it is the store's own,
//! and then the stub.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{ARCHIVE, ArchiveProgress, Meter, MovedSegment, deed};
use crate::disk::{self, Disk, DiskFile, OpenMode};
use crate::error::{Error, ErrorKind, Result};
use crate::format::archive::{Stub, stub_name};
use crate::format::segment::file_name;
use crate::log::archived::{self, ArchivedFile};
use crate::log::files::{self, LogFiles};
use crate::log::roll::TEMPORARY;
use crate::recovery::examine::{self, LOG};
use crate::store::create::{self, Standing};
use crate::store::environment::Environment;
use crate::types::{Sequence, StoreId};

/// What was brought back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnarchiveReport {
    /// The segments, oldest first.
    pub moved: Vec<MovedSegment>,
    /// Archives outside of the store's folder, which are left where they are and not needed any more.
    pub left: Vec<PathBuf>,
}

/// Brings the archived segments of the store in a folder back that have events from `from` on: all of them from
/// [`Sequence::ZERO`]. Nobody may have it open to write; it need not be one that opens. Archives in the store's own folder
/// `archive` are removed, others are left.
///
/// Cut short at any point, every segment is there, and it can be begun again.
///
/// # Errors
/// `NotFound`: there is no store. `Locked`: it is being written to. `Aborted`: `progress` broke it off. `Corrupt`: an archive is
/// damaged. `StorageFull`: there is no room. `Io`: an archive is not at hand. What was brought back by then is. `NotAStore`,
/// `UnsupportedFormat`, `ReadOnly`.
pub fn unarchive(
    path: impl AsRef<Path>,
    from: Sequence,
    progress: &mut dyn FnMut(ArchiveProgress) -> ControlFlow<()>,
) -> Result<UnarchiveReport> {
    unarchive_in(&Environment::default(), crate::store::resolved(path.as_ref()), from, progress)
}

/// As [`unarchive`], of a store that stands on something else than the operating system's files.
///
/// # Errors
/// As [`unarchive`].
pub fn unarchive_in(
    environment: &Environment,
    path: impl AsRef<Path>,
    from: Sequence,
    progress: &mut dyn FnMut(ArchiveProgress) -> ControlFlow<()>,
) -> Result<UnarchiveReport> {
    let (disk, root) = (environment.disk.as_ref(), path.as_ref());
    // Looked at first: a lock makes a folder.
    let store_id = identity(disk, root)?;
    let _lock = create::lock(disk, root)?;
    let log = root.join(LOG);
    let inventory = examine::inventory(disk, &log)?;
    let mut stubs = Vec::new();
    for first in inventory.stubs.iter().rev() {
        let Some(stub) = archived::read_stub(disk, &log, store_id, *first)? else { continue };
        if stub.last_sequence >= from {
            stubs.push(stub);
        }
    }
    let is_away = |stub: &&Stub| inventory.archived.binary_search(&stub.first_sequence).is_ok();
    let total_bytes = stubs.iter().filter(is_away).map(|stub| stub.segment_bytes * deed::PASSES).sum();
    let mut meter = Meter::new(progress, total_bytes, None);
    let mut report = UnarchiveReport::default();
    for stub in &stubs {
        if is_away(&stub) {
            bring_back(disk, &log, stub, &mut meter)?;
            let Stub { first_sequence: first, last_sequence: last, segment_bytes, archive_bytes, .. } = *stub;
            report.moved.push(MovedSegment { first, last, segment_bytes, archive_bytes });
        }
        let path = archived::path_of(&log, stub);
        if stub.folder == ARCHIVE {
            remove(disk, &root.join(ARCHIVE), &path)?;
        } else {
            report.left.push(path);
        }
        remove(disk, &log, &log.join(stub_name(stub.first_sequence)))?;
    }
    report.moved.reverse();
    report.left.reverse();
    Ok(report)
}

fn identity(disk: &dyn Disk, root: &Path) -> Result<StoreId> {
    match create::standing(disk, root)? {
        Standing::Store(identity) => Ok(identity.store_id),
        _ => Err(Error::new(ErrorKind::NotFound, format!("{}: there is no store", root.display()))),
    }
}

/// Makes a segment's file of its archive.
fn bring_back(disk: &dyn Disk, log: &Path, stub: &Stub, meter: &mut Meter<'_>) -> Result<()> {
    let archive = ArchivedFile::open_alone(disk, &archived::path_of(log, stub), stub.clone())?;
    let name = file_name(stub.first_sequence);
    let temporary = log.join(format!("{name}-unarchive{TEMPORARY}"));
    let io = |source| LogFiles::io(stub.first_sequence, "bring back", source);
    let made = write(disk, &temporary, &archive, stub, meter)
        .and_then(|file| {
            let found = deed::digest(file.as_ref(), stub, &mut |bytes| meter.add(bytes))?;
            if found == stub.sha256 {
                return Ok(());
            }
            let first = stub.first_sequence;
            Err(files::corrupt(first, 0, first, "the bytes that were archived", "others, from its archive"))
        })
        .and_then(|()| disk.rename(&temporary, &log.join(&name)).map_err(io));
    // It is of no use; where removing it fails too, the next open does.
    made.inspect_err(|_| drop(disk.remove(&temporary)))?;
    disk.sync_directory(log).map_err(io)
}

/// Decompresses an archive into a file, synced twice.
fn write(
    disk: &dyn Disk,
    path: &Path,
    archive: &ArchivedFile,
    stub: &Stub,
    meter: &mut Meter<'_>,
) -> Result<Arc<dyn DiskFile>> {
    let io = |source| LogFiles::io(stub.first_sequence, "bring back", source);
    if disk.kind(path).map_err(io)?.is_some() {
        disk.remove(path).map_err(io)?;
    }
    let file = disk.open(path, OpenMode::CreateNew).map_err(io)?;
    // Room first: what is under way of the store's own is not to meet a full disk halfway.
    file.allocate(stub.segment_bytes).map_err(io)?;
    let mut offset = 0;
    deed::pieces(archive, stub, &mut |bytes| {
        disk::write_all_at(file.as_ref(), &[bytes], offset).map_err(io)?;
        offset += crate::format::frame::to_u64(bytes.len());
        meter.add(bytes.len())
    })?;
    disk::settle(file.as_ref()).map_err(io)?;
    disk.open(path, OpenMode::Read).map_err(io)
}

/// Removes a file, durably; one that is gone already was removed by an attempt that was cut short.
fn remove(disk: &dyn Disk, folder: &Path, path: &Path) -> Result<()> {
    let io = |source| Error::from_io(format!("remove {}", path.display()), source);
    if disk.kind(path).map_err(io)?.is_some() {
        disk.remove(path).map_err(io)?;
        disk.sync_directory(folder).map_err(io)?;
    }
    Ok(())
}
