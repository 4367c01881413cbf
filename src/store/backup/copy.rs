//! Making the copy: every file written, synced twice, and its folder synced.

use std::io;
use std::path::Path;

use super::source::{Source, for_each_chunk};
use super::{BackupPhase, BackupProgress};
use crate::disk::{self, Disk, OpenMode};
use crate::error::{Error, Result};
use crate::format::control::{self, CleanClose};
use crate::format::frame::to_u64;
use crate::format::segment;
use crate::log::files::{self, LogFiles};
use crate::recovery::examine::{CONTROL, IDENTITY, LOG};

/// Copies into the folder `partial`, which is made; how many bytes that was.
///
/// # Errors
/// `StorageFull`, `Io`, `Corrupt`: a file of the source is gone.
pub(super) fn make(
    disk: &dyn Disk,
    root: &Path,
    partial: &Path,
    source: &Source,
    progress: &mut dyn FnMut(BackupProgress),
) -> Result<u64> {
    let log = partial.join(LOG);
    let io = |source| Error::from_io(format!("make the folder {}", partial.display()), source);
    disk.create_directory(partial).map_err(io)?;
    disk.create_directory(&log).map_err(io)?;
    let total_bytes = source.segments.iter().map(|(_, end)| end).sum();
    let mut bytes = 0;
    for (first, end) in &source.segments {
        let name = segment::file_name(*first);
        let io = |source| Error::from_io(format!("write {}", log.join(&name).display()), source);
        let copy = disk.open(&log.join(&name), OpenMode::CreateNew).map_err(io)?;
        let file = source.files.open(*first)?;
        for_each_chunk(file.as_ref(), *first, 0, *end, &mut |offset, chunk| {
            disk::write_all_at(copy.as_ref(), &[chunk], offset).map_err(io)?;
            bytes += to_u64(chunk.len());
            progress(BackupProgress { phase: BackupPhase::Copy, done_bytes: bytes, total_bytes });
            Ok(())
        })?;
        sync(copy.as_ref()).map_err(io)?;
    }
    for (first, _) in &source.seals {
        let name = segment::seal_name(*first);
        let seal = files::read_whole(disk, &root.join(LOG).join(&name));
        let seal = seal.map_err(|source| LogFiles::io(*first, "read the seal of", source))?;
        bytes += write(disk, &log.join(&name), &seal)?;
    }
    bytes += write(disk, &partial.join(CONTROL), &control(source))?;
    bytes += write(disk, &partial.join(IDENTITY), &source.identity.encode())?;
    for folder in [&log, partial] {
        disk.sync_directory(folder)
            .map_err(|source| Error::from_io(format!("sync the folder {}", folder.display()), source))?;
    }
    Ok(bytes)
}

/// A backup is a store that was closed: its end is known, so that one that loses its end later is noticed.
fn control(source: &Source) -> Vec<u8> {
    let position = source.position;
    let last = position.next.previous();
    let clean = CleanClose { last, session: source.session, offset: position.offset, chain: position.chain };
    let mut bytes = vec![0; control::BYTES];
    let start = control::encode_start(last, true, source.session);
    let parts = [(0, start), (control::CLEAN_OFFSET, control::encode_clean(source.identity.store_id, &clean))];
    for (offset, part) in parts {
        let offset = usize::try_from(offset).unwrap_or(control::BYTES);
        for (byte, value) in bytes.iter_mut().skip(offset).zip(part) {
            *byte = value;
        }
    }
    bytes
}

fn write(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<u64> {
    let io = |source| Error::from_io(format!("write {}", path.display()), source);
    let file = disk.open(path, OpenMode::CreateNew).map_err(io)?;
    disk::write_all_at(file.as_ref(), &[bytes], 0).map_err(io)?;
    sync(file.as_ref()).map_err(io)?;
    Ok(to_u64(bytes.len()))
}

/// Twice, for a file system that reports a failed write one sync late.
fn sync(file: &dyn disk::DiskFile) -> io::Result<()> {
    file.sync_data()?;
    file.sync_data()
}
