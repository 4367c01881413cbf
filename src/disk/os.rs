//! The real file system.
//!
//! Every call is one system call, and no sync is ever repeated: where the standard library would go round again
//! after a signal, the raw call is made, because after a failed sync a second one proves nothing.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

#[cfg(target_os = "linux")]
use super::GrowingMapping;
use super::{DirectoryEntry, Disk, DiskFile, DiskLock, EntryKind, Mapping, OpenMode, Room, SharedWord, map};
use crate::sabotage::{self, Defect};
#[cfg(target_os = "linux")]
use crate::sync::leaf::AtomicU64;
use crate::sync::leaf::{Condvar, Mutex};

#[cfg(target_os = "linux")]
mod direct;

/// The owner alone may read and write what a store holds: it is money and names.
const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;

/// A reader that asks whether the lock is held has it for some microseconds; that must not keep a writer out.
const LOCK_ATTEMPTS: u32 = 6;
const LOCK_PAUSE: Duration = Duration::from_millis(4);

/// Zeros are written page by page: larger writes make larger units in the page cache, and each later small sync
/// would have to write a whole one.
const FILL_BYTES: usize = 4096;
static ZEROS: [u8; FILL_BYTES] = [0; FILL_BYTES];

/// The file system of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsDisk;

impl Disk for OsDisk {
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().mode(DIRECTORY_MODE).create(path)
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true);
        match mode {
            OpenMode::Read => {}
            OpenMode::ReadWrite => {
                options.write(true);
            }
            OpenMode::CreateNew => {
                options.write(true).create_new(true).mode(FILE_MODE);
            }
        }
        Ok(Arc::new(OsFile { file: options.open(path)? }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_dir(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<DirectoryEntry>> {
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(directory)? {
            let entry = entry?;
            // This does not follow links.
            let metadata = match entry.metadata() {
                Ok(metadata) => metadata,
                // Another process renamed or removed it since its name was read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let kind = kind_of(&metadata);
            let length = if kind == EntryKind::File { metadata.len() } else { 0 };
            entries.push(DirectoryEntry { name: entry.file_name().to_string_lossy().into_owned(), kind, length });
        }
        entries.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(entries)
    }

    fn kind(&self, path: &Path) -> io::Result<Option<EntryKind>> {
        match std::fs::symlink_metadata(path) {
            Ok(metadata) => Ok(Some(kind_of(&metadata))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        let directory = File::open(path)?;
        #[cfg(target_os = "linux")]
        rustix::fs::fsync(&directory)?;
        #[cfg(not(target_os = "linux"))]
        directory.sync_all()?;
        Ok(())
    }

    fn reflink(&self, from: &Path, to: &Path) -> io::Result<bool> {
        let source = File::open(from)?;
        let mut options = OpenOptions::new();
        let copy = options.read(true).write(true).create_new(true).mode(FILE_MODE).open(to)?;
        let cloned = clone_bytes(&copy, &source);
        if !matches!(cloned, Ok(true)) {
            // An empty file stands there. Should this fail too, the caller meets a name that is taken.
            let _ = std::fs::remove_file(to);
        }
        cloned
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<bool> {
        match std::fs::hard_link(from, to) {
            Ok(()) => Ok(true),
            Err(error) if cannot(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn lock(&self, path: &Path, holder: &str) -> io::Result<Option<Box<dyn DiskLock>>> {
        // The text of another holder must outlive a lock that is not granted, so nothing is cut on opening.
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(FILE_MODE).open(path)?;
        if !granted_soon(|| file.try_lock())? && !sabotage::has(Defect::OpenWithoutLock) {
            return Ok(None);
        }
        let lock = OsLock { file };
        lock.file.set_len(0)?;
        lock.file.write_all_at(holder.as_bytes(), 0)?;
        Ok(Some(Box::new(lock)))
    }

    fn is_locked(&self, path: &Path) -> io::Result<bool> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        // A shared lock, so that two who ask at once do not take each other for the holder.
        match file.try_lock_shared() {
            Ok(()) => {
                file.unlock()?;
                Ok(false)
            }
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn room(&self, path: &Path) -> io::Result<Option<Room>> {
        let system = rustix::fs::statvfs(path)?;
        let bytes = |blocks: u64| blocks.saturating_mul(system.f_frsize);
        // What is kept for the superuser is no room for a till.
        Ok(Some(Room { free_bytes: bytes(system.f_bavail), total_bytes: bytes(system.f_blocks) }))
    }
}

fn kind_of(metadata: &std::fs::Metadata) -> EntryKind {
    if metadata.is_file() {
        EntryKind::File
    } else if metadata.is_dir() {
        EntryKind::Directory
    } else {
        EntryKind::Other
    }
}

/// Whether the lock is granted, now or within some milliseconds.
fn granted_soon(mut attempt: impl FnMut() -> Result<(), TryLockError>) -> io::Result<bool> {
    let gate = Mutex::new(());
    let never = Condvar::new();
    for number in 0..LOCK_ATTEMPTS {
        if number > 0 {
            never.wait_for(&mut gate.lock(), LOCK_PAUSE);
        }
        match attempt() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(false)
}

/// The lock belongs to the open file, and nobody else is given that.
#[derive(Debug)]
struct OsLock {
    file: File,
}

impl DiskLock for OsLock {}

impl Drop for OsLock {
    fn drop(&mut self) {
        // Closing alone is not enough: a child process that another thread is just starting has a copy of the
        // descriptor until it runs its program, and would hold the lock that long. A failure changes nothing, as
        // the descriptor is closed next.
        let _ = self.file.unlock();
    }
}

/// Whether an error says that this file system, or this pair of them, has no such thing.
fn cannot(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let cannot = [Errno::XDEV, Errno::OPNOTSUPP, Errno::NOSYS, Errno::NOTTY, Errno::INVAL, Errno::PERM, Errno::MLINK];
    Errno::from_io_error(error).is_some_and(|error| cannot.contains(&error))
}

/// Has an empty file share the bytes of another one; `false` where that cannot be done here.
#[cfg(target_os = "linux")]
fn clone_bytes(copy: &File, source: &File) -> io::Result<bool> {
    match rustix::fs::ioctl_ficlone(copy, source).map_err(io::Error::from) {
        Ok(()) => Ok(true),
        Err(error) if cannot(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(not(target_os = "linux"))]
fn clone_bytes(_: &File, _: &File) -> io::Result<bool> {
    Ok(false)
}

#[derive(Debug)]
struct OsFile {
    file: File,
}

impl DiskFile for OsFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    #[cfg(target_os = "linux")]
    fn read_past_cache(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        direct::read_past_cache(&self.file, buffer, offset)
    }

    #[cfg(target_os = "linux")]
    fn read_medium(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match direct::read_medium(&self.file, buffer, offset) {
            Err(error) if direct::is_unable(&error) => direct::read_past_cache(&self.file, buffer, offset),
            read => read,
        }
    }

    #[cfg(target_os = "linux")]
    fn write_at(&self, parts: &[io::IoSlice<'_>], offset: u64) -> io::Result<usize> {
        Ok(match parts {
            // Without a list that the system would copy in first.
            [part] => rustix::io::pwrite(&self.file, part, offset)?,
            parts => rustix::io::pwritev(&self.file, parts, offset)?,
        })
    }

    #[cfg(not(target_os = "linux"))]
    fn write_at(&self, parts: &[io::IoSlice<'_>], offset: u64) -> io::Result<usize> {
        // A short write, which every caller continues.
        parts.iter().find(|part| !part.is_empty()).map_or(Ok(0), |part| self.file.write_at(part, offset))
    }

    fn sync_data(&self) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        rustix::fs::fdatasync(&self.file)?;
        #[cfg(not(target_os = "linux"))]
        self.file.sync_data()?;
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        let before = self.length()?;
        let reserved = reserve(&self.file, before, length);
        if reserved.is_err() {
            // Gives back what was reserved until then. Should this fail too, the file is longer and reads as zeros
            // there, and the first error is the one to report.
            let _ = self.file.set_len(before);
        }
        reserved
    }

    fn map(&self) -> io::Result<Mapping> {
        Mapping::of_file(&self.file)
    }

    // Elsewhere a mapping need not show what was written to the file by a call.
    #[cfg(target_os = "linux")]
    fn map_written(&self, written: &Arc<AtomicU64>) -> io::Result<Option<GrowingMapping>> {
        if self.length()? == 0 {
            return Ok(None);
        }
        GrowingMapping::of_file(&self.file, written).map(Some)
    }

    fn share_word(&self, offset: u64) -> io::Result<Box<dyn SharedWord>> {
        Ok(Box::new(map::MappedWord::new(&self.file, offset)?))
    }
}

#[cfg(target_os = "linux")]
fn reserve(file: &File, before: u64, length: u64) -> io::Result<()> {
    use rustix::io::Errno;
    if length == 0 {
        return Ok(());
    }
    match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, length) {
        Ok(()) => Ok(()),
        // The file system cannot: writing is the other way to get room.
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => fill(file, before, length),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn reserve(file: &File, before: u64, length: u64) -> io::Result<()> {
    fill(file, before, length)
}

/// Writes zeros from `from` to `to`.
fn fill(file: &File, from: u64, to: u64) -> io::Result<()> {
    if i64::try_from(to).is_err() {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let page = FILL_BYTES as u64;
    let mut place = from;
    while place < to {
        let end = (place - place % page + page).min(to);
        let zeros = usize::try_from(end - place).ok().and_then(|bytes| ZEROS.get(..bytes));
        file.write_all_at(zeros.unwrap_or(&ZEROS), place)?;
        place = end;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn mode_of(path: &Path) -> u32 {
        std::fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn what_is_created_belongs_to_its_owner_alone() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("d");
        OsDisk.create_directory(&directory).unwrap();
        OsDisk.open(&directory.join("f"), OpenMode::CreateNew).unwrap();
        let lock = OsDisk.lock(&directory.join("LOCK"), "me").unwrap();
        assert!(lock.is_some());
        assert_eq!(mode_of(&directory), 0o700);
        assert_eq!(mode_of(&directory.join("f")), 0o600);
        assert_eq!(mode_of(&directory.join("LOCK")), 0o600);
    }

    #[test]
    fn a_fill_writes_zeros_from_the_old_end_and_nothing_before_it() {
        let root = tempfile::tempdir().unwrap();
        for (before, to) in [(0usize, 1u64), (100, 4096), (4095, 4097), (4096, 20_000), (10, 10), (10, 4)] {
            let path = root.path().join(format!("{before}-{to}"));
            std::fs::write(&path, vec![7u8; before]).unwrap();
            let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
            fill(&file, before as u64, to).unwrap();
            let bytes = std::fs::read(&path).unwrap();
            assert_eq!(bytes.len() as u64, to.max(before as u64));
            assert!(bytes[..before].iter().all(|byte| *byte == 7));
            assert!(bytes[before..].iter().all(|byte| *byte == 0));
        }
    }

    #[test]
    fn a_lock_that_a_reader_probes_for_a_moment_is_still_granted() {
        // The probe is there for some attempts and then gone; one that stays is a holder.
        for probed in 0..=LOCK_ATTEMPTS {
            let mut attempts = 0;
            let granted = granted_soon(|| {
                attempts += 1;
                if attempts > probed { Ok(()) } else { Err(TryLockError::WouldBlock) }
            });
            assert_eq!(granted.unwrap(), probed < LOCK_ATTEMPTS, "probed for {probed} attempts");
        }
        let failed = granted_soon(|| Err(TryLockError::Error(io::ErrorKind::Unsupported.into())));
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::Unsupported);
    }

    #[test]
    fn a_copy_of_the_descriptor_does_not_keep_a_lock_that_was_given_back() {
        // What a child process has between fork and exec.
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("LOCK");
        let file = File::create(&path).unwrap();
        file.try_lock().unwrap();
        let lock = OsLock { file };
        let copy = lock.file.try_clone().unwrap();
        assert!(OsDisk.is_locked(&path).unwrap());
        drop(lock);
        assert!(!OsDisk.is_locked(&path).unwrap());
        drop(copy);
    }

    #[test]
    fn links_are_not_followed() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("real")).unwrap();
        std::os::unix::fs::symlink(root.path().join("real"), root.path().join("link")).unwrap();
        assert_eq!(OsDisk.kind(&root.path().join("link")).unwrap(), Some(EntryKind::Other));
        let kinds: Vec<EntryKind> = OsDisk.list(root.path()).unwrap().into_iter().map(|entry| entry.kind).collect();
        assert_eq!(kinds, [EntryKind::Other, EntryKind::Directory]);
    }

    #[test]
    fn a_mapping_follows_the_shared_word() {
        let root = tempfile::tempdir().unwrap();
        let file = OsDisk.open(&root.path().join("f"), OpenMode::CreateNew).unwrap();
        file.allocate(3 * 4096).unwrap();
        let offset = 2 * 4096 + 24;
        let word = file.share_word(offset).unwrap();
        let other = OsDisk.open(&root.path().join("f"), OpenMode::Read).unwrap();
        for value in [1, u64::MAX, 0x0102_0304_0506_0708] {
            word.store(value);
            let mut bytes = [0; 8];
            super::super::read_exact_at(other.as_ref(), &mut bytes, offset).unwrap();
            assert_eq!(u64::from_le_bytes(bytes), value);
        }
        assert!(other.share_word(0).is_err(), "a file opened to read is not stored into");
    }
}
