//! One latch in front of the device: after the first failed write or sync nothing more is written.
//!
//! After such a failure nobody knows what the disk holds, and every further write would build on that. The latch is
//! tripped before the error is returned, so that whoever hears of the failure, and whoever is woken because of it,
//! finds it tripped. A call that had passed the latch when it was tripped may still run to its end.
//!
//! A failed allocation, a failed read and an interrupted write leave nothing in doubt and do not trip it; nor does a
//! short write, which the caller continues. An interrupted sync is a failed sync.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::{DirectoryEntry, Disk, DiskFile, DiskLock, EntryKind, GrowingMapping, Mapping, OpenMode, Room, SharedWord};
use crate::sabotage::{self, Defect};
use crate::sync::leaf::AtomicU64;
use crate::sync::{AtomicBool, Mutex, Ordering};

/// The latch; clones are the same one. It is never released: the store is opened again with a new one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Latch {
    tripped: Arc<AtomicBool>,
    /// The order of two calls that change names matters, and loom sees no device.
    #[cfg(bitacora_loom)]
    names: Arc<crate::sync::AtomicU64>,
}

impl Latch {
    /// Refuses all writing from here on.
    pub(crate) fn trip(&self) {
        if sabotage::has(Defect::RetryFailedSync) || sabotage::has(Defect::WriteAfterFailure) {
            return;
        }
        self.tripped.store(true, Ordering::Release);
    }

    /// Whether writing is refused.
    pub(crate) fn is_tripped(&self) -> bool {
        self.tripped.load(Ordering::Acquire)
    }

    /// The same file behind this latch.
    pub(crate) fn wrap(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(LatchedFile { file, latch: self.clone(), syncing: Mutex::default() })
    }

    /// The same file system behind this latch, with every file that is opened through it.
    pub(crate) fn wrap_disk(&self, disk: Arc<dyn Disk>) -> Arc<dyn Disk> {
        Arc::new(LatchedDisk { disk, latch: self.clone() })
    }

    fn check(&self) -> io::Result<()> {
        if self.is_tripped() {
            return Err(io::Error::other("refused, because an earlier write or sync failed"));
        }
        Ok(())
    }

    /// As [`check`](Self::check), for a call that changes names.
    fn check_names(&self) -> io::Result<()> {
        #[cfg(bitacora_loom)]
        self.names.fetch_add(1, Ordering::SeqCst);
        self.check()
    }

    /// Trips where the call failed, before anybody hears of it.
    fn watch<T>(&self, result: io::Result<T>) -> io::Result<T> {
        if result.is_err() {
            self.trip();
        }
        result
    }
}

#[derive(Debug)]
struct LatchedFile {
    file: Arc<dyn DiskFile>,
    latch: Latch,
    /// Held through a sync. Of two that are under way at once the system tells one of a failed write; the other one would go
    /// through, and what it was to cover would count as durable.
    syncing: Mutex<()>,
}

impl DiskFile for LatchedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    fn read_past_cache(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_past_cache(buffer, offset)
    }

    fn read_medium(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_medium(buffer, offset)
    }

    fn write_at(&self, parts: &[io::IoSlice<'_>], offset: u64) -> io::Result<usize> {
        self.latch.check()?;
        match self.file.write_at(parts, offset) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            // A device that takes nothing would never be done with it.
            Ok(0) if parts.iter().any(|part| !part.is_empty()) => {
                self.latch.watch(Err(io::ErrorKind::WriteZero.into()))
            }
            result => self.latch.watch(result),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        let _one_at_a_time = self.syncing.lock();
        self.latch.check()?;
        self.latch.watch(self.file.sync_data())
    }

    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        self.latch.check()?;
        self.file.allocate(length)
    }

    fn map(&self) -> io::Result<Mapping> {
        self.file.map()
    }

    fn map_written(&self, written: &Arc<AtomicU64>) -> io::Result<Option<GrowingMapping>> {
        self.file.map_written(written)
    }

    fn share_word(&self, offset: u64) -> io::Result<Box<dyn SharedWord>> {
        self.file.share_word(offset)
    }
}

#[derive(Debug)]
struct LatchedDisk {
    disk: Arc<dyn Disk>,
    latch: Latch,
}

impl Disk for LatchedDisk {
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.latch.check_names()?;
        self.disk.create_directory(path)
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        if mode == OpenMode::CreateNew {
            self.latch.check_names()?;
        }
        Ok(self.latch.wrap(self.disk.open(path, mode)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.latch.check_names()?;
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.latch.check_names()?;
        self.disk.remove(path)
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        self.latch.check_names()?;
        self.disk.remove_directory(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<DirectoryEntry>> {
        self.disk.list(directory)
    }

    fn kind(&self, path: &Path) -> io::Result<Option<EntryKind>> {
        self.disk.kind(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.latch.check()?;
        self.latch.watch(self.disk.sync_directory(path))
    }

    fn reflink(&self, from: &Path, to: &Path) -> io::Result<bool> {
        self.latch.check_names()?;
        self.disk.reflink(from, to)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<bool> {
        self.latch.check_names()?;
        self.disk.hard_link(from, to)
    }

    fn lock(&self, path: &Path, holder: &str) -> io::Result<Option<Box<dyn DiskLock>>> {
        self.disk.lock(path, holder)
    }

    fn is_locked(&self, path: &Path) -> io::Result<bool> {
        self.disk.is_locked(path)
    }

    fn room(&self, path: &Path) -> io::Result<Option<Room>> {
        self.disk.room(path)
    }
}

#[cfg(test)]
mod tests {
    use super::super::MemoryDisk;
    use super::*;
    use std::collections::VecDeque;
    use std::io::IoSlice;

    /// A file that answers as it is told.
    #[derive(Debug, Default)]
    struct ScriptedFile {
        answers: Mutex<VecDeque<io::Result<usize>>>,
        calls: Mutex<usize>,
    }

    impl ScriptedFile {
        fn answering(answer: io::Result<usize>) -> Arc<Self> {
            let file = Self::default();
            file.answers.lock().push_back(answer);
            Arc::new(file)
        }

        fn answer(&self) -> io::Result<usize> {
            *self.calls.lock() += 1;
            self.answers.lock().pop_front().unwrap_or(Ok(1))
        }
    }

    impl DiskFile for ScriptedFile {
        fn read_at(&self, _: &mut [u8], _: u64) -> io::Result<usize> {
            self.answer()
        }
        fn write_at(&self, _: &[IoSlice<'_>], _: u64) -> io::Result<usize> {
            self.answer()
        }
        fn sync_data(&self) -> io::Result<()> {
            self.answer().map(drop)
        }
        fn length(&self) -> io::Result<u64> {
            self.answer().map(|length| length as u64)
        }
        fn allocate(&self, _: u64) -> io::Result<()> {
            self.answer().map(drop)
        }
        fn map(&self) -> io::Result<Mapping> {
            Ok(Mapping::from(Vec::new()))
        }
        fn share_word(&self, _: u64) -> io::Result<Box<dyn SharedWord>> {
            Err(io::ErrorKind::Unsupported.into())
        }
    }

    fn failure(kind: io::ErrorKind) -> io::Result<usize> {
        Err(kind.into())
    }

    fn write(file: &dyn DiskFile) -> io::Result<usize> {
        file.write_at(&[IoSlice::new(b"ab")], 0)
    }

    #[test]
    fn after_a_failed_write_or_sync_the_device_is_not_written_again() {
        type Call = fn(&dyn DiskFile) -> io::Result<()>;
        let writes: Call = |file| write(file).map(drop);
        let syncs: Call = |file| file.sync_data();
        for (call, answer) in [
            (writes, failure(io::ErrorKind::Other)),
            (writes, failure(io::ErrorKind::StorageFull)),
            (writes, Ok(0)),
            (syncs, failure(io::ErrorKind::Other)),
            (syncs, failure(io::ErrorKind::Interrupted)),
        ] {
            let inner = ScriptedFile::answering(answer);
            let latch = Latch::default();
            let file = latch.wrap(inner.clone());
            let other = latch.wrap(Arc::new(ScriptedFile::default()));
            assert!(!latch.is_tripped());
            assert!(call(file.as_ref()).is_err());
            assert!(latch.is_tripped());
            for refused in [write(file.as_ref()).map(drop), file.sync_data(), file.allocate(1), other.sync_data()] {
                assert!(refused.unwrap_err().to_string().contains("an earlier write or sync failed"));
            }
            assert_eq!(*inner.calls.lock(), 1, "the device must not hear of refused calls");
            assert_eq!(file.read_at(&mut [0], 0).unwrap(), 1, "reads go on");
        }
    }

    /// A file whose first sync fails, once another one has been asked for or has waited for a while.
    #[derive(Debug, Default)]
    struct SlowToFail {
        asked: std::sync::Mutex<u32>,
        changed: std::sync::Condvar,
    }

    impl DiskFile for SlowToFail {
        fn read_at(&self, _: &mut [u8], _: u64) -> io::Result<usize> {
            Ok(0)
        }
        fn write_at(&self, _: &[IoSlice<'_>], _: u64) -> io::Result<usize> {
            Ok(0)
        }
        fn sync_data(&self) -> io::Result<()> {
            let mut asked = self.asked.lock().unwrap();
            *asked += 1;
            self.changed.notify_all();
            if *asked > 1 {
                return Ok(());
            }
            let patience = std::time::Duration::from_millis(50);
            drop(self.changed.wait_timeout_while(asked, patience, |asked| *asked < 2).unwrap());
            Err(io::ErrorKind::Other.into())
        }
        fn length(&self) -> io::Result<u64> {
            Ok(0)
        }
        fn allocate(&self, _: u64) -> io::Result<()> {
            Ok(())
        }
        fn map(&self) -> io::Result<Mapping> {
            Ok(Mapping::from(Vec::new()))
        }
        fn share_word(&self, _: u64) -> io::Result<Box<dyn SharedWord>> {
            Err(io::ErrorKind::Unsupported.into())
        }
    }

    /// What: `Store::sync` said that events were durable, and a power cut took them.
    /// Why: a sync beside the writer, and one of the writer, were under way at once in one file; the system told one of them that
    /// a write had failed, and the other one went through before the store had stopped.
    /// How found: T15, the 189,500th schedule of the soak.
    #[test]
    fn a_sync_does_not_go_through_beside_one_that_fails() {
        let inner = Arc::new(SlowToFail::default());
        let file = Latch::default().wrap(inner.clone());
        std::thread::scope(|scope| {
            let first = scope.spawn(|| file.sync_data());
            let asked = inner.changed.wait_while(inner.asked.lock().unwrap(), |asked| *asked == 0).unwrap();
            drop(asked);
            assert!(file.sync_data().is_err(), "what the failed sync was to write is not there");
            assert!(first.join().unwrap().is_err());
        });
    }

    #[test]
    fn what_leaves_nothing_in_doubt_does_not_trip() {
        type Call = fn(&dyn DiskFile) -> io::Result<usize>;
        let reads: Call = |file| file.read_at(&mut [0], 0);
        let allocates: Call = |file| file.allocate(1).map(|()| 0);
        let writes_nothing: Call = |file| file.write_at(&[IoSlice::new(b"")], 0);
        for (call, answer) in [
            (reads, failure(io::ErrorKind::Other)),
            (allocates, failure(io::ErrorKind::StorageFull)),
            (write as Call, failure(io::ErrorKind::Interrupted)),
            (write, Ok(1)),
            (writes_nothing, Ok(0)),
        ] {
            let expected = answer.as_ref().map_err(io::Error::kind).copied();
            let latch = Latch::default();
            let file = latch.wrap(ScriptedFile::answering(answer));
            let seen = call(file.as_ref()).map_err(|error| error.kind());
            assert_eq!(seen.is_err(), expected.is_err());
            assert_eq!(seen.err(), expected.err());
            assert!(!latch.is_tripped());
            assert!(write(file.as_ref()).is_ok());
        }
    }

    #[test]
    fn a_tripped_disk_changes_no_names_and_is_still_read() {
        let memory = MemoryDisk::default();
        let latch = Latch::default();
        let disk = latch.wrap_disk(Arc::new(memory.clone()));
        let path = Path::new("/a");
        let file = disk.open(path, OpenMode::CreateNew).unwrap();
        assert_eq!(write(file.as_ref()).unwrap(), 2);
        latch.trip();
        assert!(disk.open(Path::new("/b"), OpenMode::CreateNew).is_err());
        assert!(disk.create_directory(Path::new("/d")).is_err());
        assert!(disk.rename(path, Path::new("/b")).is_err());
        assert!(disk.remove(path).is_err());
        assert!(disk.reflink(path, Path::new("/b")).is_err());
        assert!(disk.hard_link(path, Path::new("/b")).is_err());
        assert!(disk.sync_directory(Path::new("/")).is_err());
        assert!(write(file.as_ref()).is_err());
        assert_eq!(memory.list(Path::new("/")).unwrap().len(), 1);
        assert_eq!(disk.open(path, OpenMode::Read).unwrap().length().unwrap(), 2);
        assert!(write(disk.open(path, OpenMode::ReadWrite).unwrap().as_ref()).is_err());
    }

    #[test]
    fn a_failed_directory_sync_trips() {
        let latch = Latch::default();
        let disk = latch.wrap_disk(Arc::new(MemoryDisk::default()));
        assert!(disk.rename(Path::new("/none"), Path::new("/b")).is_err());
        assert!(!latch.is_tripped(), "a name that could not be changed leaves nothing in doubt");
        assert!(disk.sync_directory(Path::new("/none")).is_err());
        assert!(latch.is_tripped());
    }
}
