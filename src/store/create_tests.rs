//! Looking at a folder while another process makes a store in it.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Standing, standing};
use crate::disk::{DirectoryEntry, Disk, DiskFile, DiskLock, EntryKind, MemoryDisk, OpenMode};
use crate::index::MemoryIndexProvider;
use crate::store::{Environment, Options, Store};

/// A disk on which a store appears in `/store` right before the folder is listed for the n-th time.
#[derive(Debug)]
struct Busy {
    disk: MemoryDisk,
    lists_before: AtomicUsize,
}

impl Busy {
    fn make_store(&self) {
        let environment = Environment::new(Arc::new(self.disk.clone()), Arc::new(MemoryIndexProvider::default()));
        let store = Store::open_in(&environment, "/store", Options::new().background(false)).unwrap();
        store.close().unwrap();
    }
}

impl Disk for Busy {
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.disk.create_directory(path)
    }
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.open(path, mode)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }
    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_directory(path)
    }
    fn list(&self, directory: &Path) -> io::Result<Vec<DirectoryEntry>> {
        if self.lists_before.fetch_sub(1, Ordering::SeqCst) == 0 {
            self.make_store();
        }
        self.disk.list(directory)
    }
    fn kind(&self, path: &Path) -> io::Result<Option<EntryKind>> {
        self.disk.kind(path)
    }
    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.disk.sync_directory(path)
    }
    fn lock(&self, path: &Path, holder: &str) -> io::Result<Option<Box<dyn DiskLock>>> {
        self.disk.lock(path, holder)
    }
    fn is_locked(&self, path: &Path) -> io::Result<bool> {
        self.disk.is_locked(path)
    }
}

/// What: a process that opened a new store while another one was making it was told `NotAStore` or `Corrupt`.
/// Why: the identity was looked for, and the folder listed after it; between the two the other process made both.
/// How found: T14, races of processes for a store that has to be made first.
#[test]
fn a_store_that_is_made_while_its_folder_is_looked_at_is_a_store() {
    for lists_before in 0..2 {
        let disk = MemoryDisk::default();
        disk.create_directory(Path::new("/store")).unwrap();
        disk.create_directory(Path::new("/store/log")).unwrap();
        let busy = Busy { disk, lists_before: AtomicUsize::new(lists_before) };
        let found = standing(&busy, Path::new("/store")).unwrap();
        assert!(matches!(found, Standing::Store(_)), "{found:?} before the list {lists_before}");
    }
}
