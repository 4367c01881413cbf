//! Keeping what is removed: copies in the quarantine, with their digests.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::Quarantined;
use crate::disk::{self, Disk, DiskFile, EntryKind, OpenMode};
use crate::error::{Error, Result};
use crate::format::frame::to_u64;
use crate::log::roll::TEMPORARY;
use crate::recovery::examine::QUARANTINE;

/// What is read at once, and what is given up at once where the medium does not give it.
const CHUNK_BYTES: usize = 1024 * 1024;
const SECTOR_BYTES: usize = 4096;

/// A new folder in the quarantine, and the name it gets when the repair is done.
pub(super) struct Folder {
    path: PathBuf,
    pub(super) name: String,
}

/// The folder `name` of the quarantine, as it is called until the repair is done.
pub(super) fn temporary(root: &Path, name: &str) -> PathBuf {
    root.join(QUARANTINE).join(format!("{name}{TEMPORARY}"))
}

/// Removes folders of repairs that were not finished.
pub(super) fn remove_unfinished(disk: &dyn Disk, root: &Path) -> io::Result<()> {
    let quarantine = root.join(QUARANTINE);
    if disk.kind(&quarantine)?.is_none() {
        return Ok(());
    }
    for entry in disk.list(&quarantine)? {
        if entry.kind == EntryKind::Directory && entry.name.ends_with(TEMPORARY) {
            let folder = quarantine.join(entry.name);
            disk.list(&folder)?.iter().try_for_each(|file| disk.remove(&folder.join(&file.name)))?;
            disk.remove_directory(&folder)?;
        }
    }
    Ok(())
}

impl Folder {
    /// Makes it; what an attempt before left is removed.
    pub(super) fn make(disk: &dyn Disk, root: &Path) -> io::Result<Self> {
        let quarantine = root.join(QUARANTINE);
        if disk.kind(&quarantine)?.is_none() {
            disk.create_directory(&quarantine)?;
            disk.sync_directory(root)?;
        }
        remove_unfinished(disk, root)?;
        let mut number = 1u64;
        while disk.kind(&quarantine.join(format!("repair-{number}")))?.is_some() {
            number += 1;
        }
        let name = format!("repair-{number}");
        let path = temporary(root, &name);
        disk.create_directory(&path)?;
        Ok(Self { path, name })
    }

    /// Copies a file of the store; `None` where it is not there.
    pub(super) fn keep(&self, disk: &dyn Disk, root: &Path, file: &str) -> Result<Option<Quarantined>> {
        let io = |source| Error::from_io(format!("keep {file} in {QUARANTINE}/"), source);
        let name = file.rsplit('/').next().unwrap_or(file);
        let path = root.join(file);
        if disk.kind(&path).map_err(io)? != Some(EntryKind::File) {
            return Ok(None);
        }
        let copied = copy(disk, &path, &self.path.join(name)).map_err(io)?;
        let (bytes, unreadable_bytes, sha256) = copied;
        let kept_as = format!("{QUARANTINE}/{}/{name}", self.name);
        Ok(Some(Quarantined { file: file.to_owned(), kept_as, bytes, unreadable_bytes, sha256 }))
    }

    /// Makes it durable.
    pub(super) fn sync(&self, disk: &dyn Disk) -> io::Result<()> {
        disk.sync_directory(&self.path)?;
        self.path.parent().map_or(Ok(()), |parent| disk.sync_directory(parent))
    }
}

/// Copies all that the medium still gives; zeros stand for the rest. How many bytes, how many of them zeros, and the copy's digest.
fn copy(disk: &dyn Disk, from: &Path, to: &Path) -> io::Result<(u64, u64, [u8; 32])> {
    let source = disk.open(from, OpenMode::Read)?;
    let copy = disk.open(to, OpenMode::CreateNew)?;
    let length = source.length()?;
    let (mut hasher, mut offset, mut unreadable) = (Sha256::new(), 0, 0);
    while offset < length {
        let count = usize::try_from(length - offset).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
        let mut bytes = vec![0; count];
        if disk::read_exact_at(source.as_ref(), &mut bytes, offset).is_err() {
            unreadable += read_sectors(&source, &mut bytes, offset);
        }
        disk::write_all_at(copy.as_ref(), &[&bytes], offset)?;
        hasher.update(&bytes);
        offset += to_u64(count);
    }
    disk::settle(copy.as_ref())?;
    Ok((length, unreadable, hasher.finalize().into()))
}

fn read_sectors(source: &Arc<dyn DiskFile>, bytes: &mut [u8], offset: u64) -> u64 {
    let mut unreadable = 0;
    for (sector, place) in bytes.chunks_mut(SECTOR_BYTES).zip((offset..).step_by(SECTOR_BYTES)) {
        if disk::read_exact_at(source.as_ref(), sector, place).is_err() {
            sector.fill(0);
            unreadable += to_u64(sector.len());
        }
    }
    unreadable
}
