//! The seam to the file system, at the grain of a system call.
//!
//! Everything durable but the RocksDB folder goes through [`Disk`]. Nothing here decides anything: a call does what
//! the operating system's call of that name does, once, and reports its error. Continuing a short write, latching
//! after a failure and syncing folders are the callers' business, so that a simulated disk sees every step.
//!
//! What a caller may rely on is what a disk that honours flush gives: bytes written and not synced may be kept,
//! lost or torn by a power cut, sector by sector, in any order; a name created, renamed or removed may be kept or
//! lost until its folder is synced; a sync of one file says nothing of another.

use crate::sabotage::{self, Defect};
use crate::sync::leaf::AtomicU64;
use smallvec::SmallVec;
use std::fmt;
use std::io;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

mod latch;
mod map;
mod memory;
mod os;
#[cfg(feature = "simulation")]
pub mod sim;
#[cfg(test)]
mod tests;

pub(crate) use latch::Latch;
pub use map::{GrowingMapping, Mapping};
pub(crate) use map::{prefetch, prefetch_value};
pub use memory::MemoryDisk;
pub use os::OsDisk;

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// To read; it must exist.
    Read,
    /// To read and write; it must exist.
    ReadWrite,
    /// To read and write; it must not exist, and is created with mode 0600.
    CreateNew,
}

/// What stands at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A folder.
    Directory,
    /// Anything else.
    Other,
}

/// One name in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// The name; one that is not UTF-8 is shown with replacement characters and is none of ours.
    pub name: String,
    /// What it is.
    pub kind: EntryKind,
    /// The length in bytes, of a file.
    pub length: u64,
}

/// A file system.
pub trait Disk: Send + Sync + fmt::Debug {
    /// Creates a folder with mode 0700; its parent must exist, and it must not.
    ///
    /// # Errors
    /// The operating system's.
    fn create_directory(&self, path: &Path) -> io::Result<()>;

    /// Opens a file.
    ///
    /// # Errors
    /// The operating system's.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>>;

    /// Gives a file another name in the same file system, replacing what has it; or a folder one that nothing has.
    ///
    /// # Errors
    /// The operating system's.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file's name.
    ///
    /// # Errors
    /// The operating system's.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Removes a folder, which must be empty.
    ///
    /// # Errors
    /// The operating system's; `DirectoryNotEmpty`.
    fn remove_directory(&self, path: &Path) -> io::Result<()>;

    /// The names in a folder, sorted.
    ///
    /// # Errors
    /// The operating system's.
    fn list(&self, directory: &Path) -> io::Result<Vec<DirectoryEntry>>;

    /// What stands at `path`; `None` where nothing does.
    ///
    /// # Errors
    /// The operating system's, except that nothing is there.
    fn kind(&self, path: &Path) -> io::Result<Option<EntryKind>>;

    /// Makes a folder's names durable.
    ///
    /// # Errors
    /// The operating system's.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;

    /// Makes `to`, where nothing may stand, a file of its own with the bytes of the file `from`, that shares their room on the device
    /// until one of the two is written to. `false` where the file system cannot, and then nothing is made. To be synced like
    /// what was written.
    ///
    /// # Errors
    /// The operating system's.
    fn reflink(&self, from: &Path, to: &Path) -> io::Result<bool> {
        let _ = (from, to);
        Ok(false)
    }

    /// Gives the file `from` another name beside the one it has; nothing may stand there. `false` where the file system cannot, and
    /// then nothing is made. What is written under one name shows under both.
    ///
    /// # Errors
    /// The operating system's.
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<bool> {
        let _ = (from, to);
        Ok(false)
    }

    /// Takes the exclusive lock on a file, creating it, and writes `holder` into it; `None` where another has it.
    /// Dropping the lock gives it back, and so does the end of the process.
    ///
    /// # Errors
    /// The operating system's.
    fn lock(&self, path: &Path, holder: &str) -> io::Result<Option<Box<dyn DiskLock>>>;

    /// Whether somebody holds the exclusive lock on that file. Creates nothing.
    ///
    /// # Errors
    /// The operating system's.
    fn is_locked(&self, path: &Path) -> io::Result<bool>;

    /// The room of the file system that a path is in; `None` where that has no bound, or does not tell.
    ///
    /// # Errors
    /// The operating system's.
    fn room(&self, path: &Path) -> io::Result<Option<Room>> {
        let _ = path;
        Ok(None)
    }
}

/// The room of a file system, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// What this process may still take.
    pub free_bytes: u64,
    /// All there is.
    pub total_bytes: u64,
}

/// An exclusive lock that is held.
pub trait DiskLock: Send + Sync + fmt::Debug {}

/// An open file. All access is positioned; nothing moves a cursor.
pub trait DiskFile: Send + Sync + fmt::Debug {
    /// Reads up to `buffer.len()` bytes at `offset`; fewer at the end of the file, or for no reason.
    ///
    /// # Errors
    /// The operating system's.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// As [`read_at`](Self::read_at), for bytes that nobody will ask for again soon: what was not in the system's page cache before
    /// does not stay there, so that a long read does not drive out what others use. Where the system cannot do that, and in
    /// memory, it is `read_at`.
    ///
    /// # Errors
    /// As [`read_at`](Self::read_at).
    fn read_past_cache(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.read_at(buffer, offset)
    }

    /// As [`read_past_cache`](Self::read_past_cache), from the medium itself where the system can do that: a page that is cached is
    /// no proof of what the medium holds. Not for a file that is being written: writers would wait for the read.
    ///
    /// # Errors
    /// As [`read_at`](Self::read_at).
    fn read_medium(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.read_past_cache(buffer, offset)
    }

    /// Writes the parts one after another at `offset`, growing the file where they reach beyond it; returns how
    /// many bytes were taken, which may be fewer than given.
    ///
    /// # Errors
    /// The operating system's.
    fn write_at(&self, parts: &[io::IoSlice<'_>], offset: u64) -> io::Result<usize>;

    /// Makes the file's bytes and its length durable.
    ///
    /// # Errors
    /// The operating system's. After one, what was written since the last sync is in doubt for good.
    fn sync_data(&self) -> io::Result<()>;

    /// The length in bytes.
    ///
    /// # Errors
    /// The operating system's.
    fn length(&self) -> io::Result<u64>;

    /// Makes the file at least `length` bytes long with room for all of them; new bytes read as zeros.
    ///
    /// # Errors
    /// The operating system's; `StorageFull` where there is no room, and then nothing a reader sees has changed.
    fn allocate(&self, length: u64) -> io::Result<()>;

    /// The whole file, mapped to read. The file must not be shortened or rewritten while the mapping lives.
    ///
    /// # Errors
    /// The operating system's.
    fn map(&self) -> io::Result<Mapping>;

    /// The file as far as it is written, mapped to read while more is written behind that. The bytes before `written`, which
    /// only grows, must not be rewritten, nor the file be shortened, while the mapping lives. `None` where this file cannot
    /// be mapped so, and is read with calls.
    ///
    /// # Errors
    /// The operating system's.
    fn map_written(&self, written: &Arc<AtomicU64>) -> io::Result<Option<GrowingMapping>> {
        let _ = written;
        Ok(None)
    }

    /// An aligned word of the file that this process stores into and other processes read, without a call.
    ///
    /// # Errors
    /// The operating system's; `InvalidInput` where the word is not inside the file or not aligned to 8 bytes.
    fn share_word(&self, offset: u64) -> io::Result<Box<dyn SharedWord>>;
}

/// A word of a file that is stored into without a call; it becomes durable whenever the system likes.
pub trait SharedWord: Send + Sync + fmt::Debug {
    /// Stores the number, little-endian.
    fn store(&self, value: u64);
}

/// Reads exactly `buffer.len()` bytes.
///
/// # Errors
/// The operating system's; `UnexpectedEof` where the file ends before.
pub(crate) fn read_exact_at(file: &dyn DiskFile, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    let wanted = buffer.len();
    let read = read_up_to(file, buffer, offset)?;
    if read < wanted {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            format!("the file ends {} bytes early", wanted - read),
        ));
    }
    Ok(())
}

/// Reads until the buffer is full or the file ends; returns how many bytes that was.
///
/// # Errors
/// The operating system's.
pub(crate) fn read_up_to(file: &dyn DiskFile, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0usize;
    while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
        let place = offset + u64::try_from(done).unwrap_or(u64::MAX);
        match file.read_at(rest, place) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Syncs a file twice: there are file systems that report a failed write one sync late. For what is not written again later.
///
/// # Errors
/// The operating system's.
pub(crate) fn settle(file: &dyn DiskFile) -> io::Result<()> {
    file.sync_data()?;
    if sabotage::has(Defect::SkipSecondSync) {
        return Ok(());
    }
    file.sync_data()
}

/// Writes all parts, continuing after a short write.
///
/// # Errors
/// The operating system's; `WriteZero` where it takes nothing.
pub(crate) fn write_all_at(file: &dyn DiskFile, parts: &[&[u8]], offset: u64) -> io::Result<()> {
    /// What one vectored write may have, on every system we know of.
    const PARTS_MAX: usize = 1024;
    let mut place = offset;
    let mut skip = 0usize;
    let mut rest = parts;
    loop {
        while let Some((first, others)) = rest.split_first() {
            if skip < first.len() {
                break;
            }
            skip -= first.len();
            rest = others;
        }
        let written = match rest {
            [] => {
                assert_eq!(skip, 0, "more was written than given");
                return Ok(());
            }
            [part] => file.write_at(&[io::IoSlice::new(part.get(skip..).unwrap_or_default())], place),
            [first, others @ ..] => {
                let mut slices: SmallVec<[io::IoSlice<'_>; 16]> = SmallVec::with_capacity(rest.len().min(PARTS_MAX));
                slices.push(io::IoSlice::new(first.get(skip..).unwrap_or_default()));
                slices.extend(others.iter().take(PARTS_MAX - 1).map(|part| io::IoSlice::new(part)));
                file.write_at(&slices, place)
            }
        };
        match written {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(_) if sabotage::has(Defect::BelieveShortWrites) => return Ok(()),
            Ok(written) => {
                skip += written;
                place += u64::try_from(written).unwrap_or(u64::MAX);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// A file's bytes as a slice, whether mapped or copied.
impl AsRef<[u8]> for Mapping {
    fn as_ref(&self) -> &[u8] {
        self.deref()
    }
}
