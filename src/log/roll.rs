//! Making segment files: the first one, the next one, and the spare that is prepared beside the writers.
//!
//! A segment comes to be in this order, in every durability mode: its room is taken under a temporary name that is never
//! evidence; the segment before is synced; the header is written and synced; it gets its name; the folder is synced. Only
//! then is a frame written to it. So a file with a segment's name always has a sound header, and proves that every
//! segment before it was durable.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracing::span::EnteredSpan;

use super::scan::Position;
use crate::disk::{self, Disk, DiskFile, OpenMode};
use crate::error::{Error, ErrorKind, Result};
use crate::format::frame::to_u64;
use crate::format::segment::{self, SegmentHeader};
use crate::sabotage::{self, Defect};
use crate::sync::Mutex;

/// The ending of every file that is not yet what it will be. Such files are removed when a store is opened.
pub(crate) const TEMPORARY: &str = ".tmp";

/// A file with room for a segment, all zeros, not named as one.
#[derive(Debug)]
pub(crate) struct Room {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    length: u64,
    is_filled: bool,
}

/// How room is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filling {
    /// The file grows with each write.
    None,
    /// The room is reserved.
    Reserved,
    /// The room is reserved and filled with zeros.
    Zeros,
}

impl Room {
    /// Takes room for a segment of `length` bytes under a temporary name.
    ///
    /// # Errors
    /// `StorageFull`: there is none, and nothing is left behind. `Io`.
    pub(crate) fn take(disk: &dyn Disk, directory: &Path, name: &str, length: u64, filling: Filling) -> Result<Self> {
        let path = match name.strip_suffix("-next") {
            Some(segment) if sabotage::has(Defect::TakeSpareForSegment) => directory.join(segment),
            _ => directory.join(format!("{name}{TEMPORARY}")),
        };
        let context = |what: &str| format!("{what} log/{name}{TEMPORARY}");
        if disk.kind(&path).map_err(|source| Error::from_io(context("look for"), source))?.is_some() {
            disk.remove(&path).map_err(|source| Error::from_io(context("remove"), source))?;
        }
        let file = disk.open(&path, OpenMode::CreateNew).map_err(|source| Error::from_io(context("create"), source))?;
        let filled = match filling {
            Filling::None => Ok(()),
            Filling::Reserved => file.allocate(length),
            Filling::Zeros => file.allocate(length).and_then(|()| fill_with_zeros(file.as_ref(), length)),
        };
        match filled {
            Ok(()) => Ok(Self { file, path, length, is_filled: filling == Filling::Zeros }),
            Err(source) => {
                // What was taken is given back; that this fails too changes nothing for the caller, and an open removes it.
                let _ = disk.remove(&path);
                Err(Error::from_io(context("take room for"), source))
            }
        }
    }

    /// As [`take`](Self::take), and kept from one opening to the next: synced, under a name that no open removes.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub(crate) fn take_kept(disk: &dyn Disk, directory: &Path, name: &str, length: u64) -> Result<Self> {
        let room = Self::take(disk, directory, name, length, Filling::Reserved)?;
        let path = directory.join(name);
        let kept = room
            .file
            .sync_data()
            .and_then(|()| disk.rename(&room.path, &path))
            .and_then(|()| disk.sync_directory(directory));
        if let Err(source) = kept {
            // Where it has its name already, this does nothing, and the next open looks at it.
            room.give_up(disk);
            return Err(Error::from_io(format!("keep log/{name}"), source));
        }
        Ok(Self { path, ..room })
    }

    /// Room that an earlier opening took and kept.
    pub(crate) fn kept(file: Arc<dyn DiskFile>, path: PathBuf, length: u64) -> Self {
        Self { file, path, length, is_filled: false }
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Gives the room back to the file system; whether that worked. Where it did not, the next open removes the file.
    pub(crate) fn give_up(self, disk: &dyn Disk) -> bool {
        let Self { file, path, .. } = self;
        drop(file);
        disk.remove(&path).is_ok()
    }

    /// Whether zeros were written to all of it.
    pub(crate) fn is_filled(&self) -> bool {
        self.is_filled
    }

    /// Makes it a segment: header, sync, name, sync of the folder. The segment before must be synced.
    ///
    /// # Errors
    /// There was no room for the name, or some of it may have happened.
    pub(crate) fn into_segment(
        self,
        disk: &dyn Disk,
        directory: &Path,
        header: &SegmentHeader,
    ) -> Result<Arc<dyn DiskFile>, Unnamed> {
        let name = segment::file_name(header.first_sequence);
        let path = directory.join(&name);
        let io = |what: &str, source| Error::from_io(format!("{what} log/{name}"), source);
        let is_named = sabotage::has(Defect::NameSegmentBeforeHeader);
        if is_named {
            disk.rename(&self.path, &path).map_err(|source| Unnamed::Failed(io("name", source)))?;
        }
        disk::write_all_at(self.file.as_ref(), &[&header.encode()], 0)
            .and_then(|()| disk::settle(self.file.as_ref()))
            .map_err(|source| Unnamed::Failed(io("write the header of", source)))?;
        if !is_named && let Err(source) = disk.rename(&self.path, &path) {
            let error = io("name", source);
            if error.kind() != ErrorKind::StorageFull {
                return Err(Unnamed::Failed(error));
            }
            // A folder grows by a block with its names, and there may be none.
            self.give_up(disk);
            return Err(Unnamed::NoRoom(error));
        }
        if !sabotage::has(Defect::SkipDirectorySyncAtRoll) {
            disk.sync_directory(directory).map_err(|source| Unnamed::Failed(io("sync the folder of", source)))?;
        }
        Ok(self.file)
    }
}

/// Why room did not become a segment.
#[derive(Debug)]
pub(crate) enum Unnamed {
    /// The folder had no room for its name. It was given up, and nothing else has happened.
    NoRoom(Error),
    /// Some of it may have happened; nothing may be written to the log any more.
    Failed(Error),
}

impl From<Unnamed> for Error {
    fn from(unnamed: Unnamed) -> Self {
        match unnamed {
            Unnamed::NoRoom(error) | Unnamed::Failed(error) => error,
        }
    }
}

/// In small synced steps, for one sync of everything would hold up a commit for as long as it takes.
fn fill_with_zeros(file: &dyn DiskFile, length: u64) -> std::io::Result<()> {
    const STEP_BYTES: u64 = 256 * 1024;
    let mut offset = 0;
    while offset < length {
        let end = (offset + STEP_BYTES).min(length);
        write_zeros(file, offset, end)?;
        file.sync_data()?;
        offset = end;
    }
    Ok(())
}

/// Writes zeros a page at a time: one large write makes large folios, which slow small syncs down.
///
/// # Errors
/// The operating system's.
pub(crate) fn write_zeros(file: &dyn DiskFile, from: u64, to: u64) -> std::io::Result<()> {
    const PAGE: [u8; 4096] = [0; 4096];
    let mut offset = from;
    while offset < to {
        let end = (offset + 1).next_multiple_of(to_u64(PAGE.len())).min(to);
        let count = usize::try_from(end - offset).unwrap_or(PAGE.len());
        disk::write_all_at(file, &[PAGE.get(..count).unwrap_or_default()], offset)?;
        offset = end;
    }
    Ok(())
}

/// The span of a roll, from the end of the segment before on.
pub(crate) fn span(end: &Position) -> EnteredSpan {
    tracing::debug_span!(target: "bitacora", "roll", sequence = end.next.get(), bytes = end.offset).entered()
}

/// The room that is kept ready for the next segment.
#[derive(Debug, Default)]
pub(crate) struct Spare {
    room: Mutex<Option<Room>>,
}

impl Spare {
    /// Takes it, if it has that much room.
    pub(crate) fn take(&self, length: u64) -> Option<Room> {
        let mut room = self.room.lock();
        if room.as_ref().is_some_and(|room| room.length() >= length) { room.take() } else { None }
    }

    pub(crate) fn put(&self, room: Room) {
        *self.room.lock() = Some(room);
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.room.lock().is_some()
    }

    /// Removes it; whether there was one.
    pub(crate) fn give_up(&self, disk: &dyn Disk) -> bool {
        self.room.lock().take().is_some_and(|room| room.give_up(disk))
    }
}
