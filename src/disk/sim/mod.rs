//! A disk that crashes, tears, fills up, fails and lies, all as a seed says.
//!
//! # The fault model
//!
//! What readers see is one thing, what the device holds another; between the two lies what was not synced.
//! [`SimulatedDisk::crash`] makes a second disk: what a power cut at this moment could leave. The first one runs on.
//!
//! - **Sectors.** Of each sector that was written since its file was synced, the device holds the durable bytes, or
//!   those after any of its last four writes, or a mixture of two successive ones: the first part new and the rest
//!   old, or garbage where the two differ (everywhere, without [`CrashOptions::powersafe`]). Each sector for itself,
//!   whatever the order of writes was.
//! - **Length.** It is apart from the bytes: the durable one or one the file had since. Bytes beyond it are lost. What
//!   was added and not written reads as zeros, or as old bytes with [`CrashOptions::stale_allocation`], until it is
//!   synced.
//! - **Names.** Each creation, rename and removal is kept or lost, until its folder is synced. A rename is kept or
//!   lost as one; between two folders only as long as neither is synced: then the other half may still be lost.
//! - **Links.** A second name of a file is a change of names as others are; what is written under one name is seen under both. A
//!   file that shares another one's bytes ([`SimulationOptions::reflinks`]) is as one that was written as a whole and not synced.
//! - A sync of a file says nothing of its name, nor of any other file, and a sync of a folder nothing of the files in
//!   it.
//! - **Errors.** Any call can be made to fail, once or for good ([`Fault`]). A sync that fails leaves what
//!   [`AfterFailedSync`] says.
//! - **Space.** [`SimulationOptions::capacity_bytes`] bounds the files' lengths: a write does what fits, then fails.
//! - **Lies.** [`SimulationOptions::lies_about_sync`].
//! - **Rot.** [`SimulatedDisk::flip_bit`], [`SimulatedDisk::overwrite`], [`SimulatedDisk::write_file`] and
//!   [`SimulatedDisk::remove_file`] change what was durable.
//!
//! # What is not injected
//!
//! - No read returns wrong bytes, and no write goes elsewhere, but by the helpers of the last point.
//! - A call that fails with an error has done nothing, except a sync of a file. A failed sync of a folder can be
//!   repeated.
//! - What was synced stays: a sector that was not written since is never touched by a crash.
//! - Nothing takes time, and threads meet as the scheduler has it: a run is repeatable as far as its caller is.
//! - The text in a lock file is never torn; its name is as any other. Symbolic links, permissions and other programs
//!   are not there.
//! - RocksDB does not go through here.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;

use super::{DirectoryEntry, Disk, DiskFile, DiskLock, EntryKind, Mapping, OpenMode, Room, SharedWord, map};
use crate::sync::leaf::Mutex;

mod crash;
mod file;
mod image;
mod operations;
mod options;
mod outcomes;
mod random;
#[cfg(test)]
mod tests;
mod volume;

pub use operations::{Failure, Fault, OperationInfo, OperationKind};
pub use options::{AfterFailedSync, CrashOptions, Sector, SimulationOptions};
pub use outcomes::{Unsynced, UnsyncedPart};
pub use random::Random;

use operations::Operations;
use volume::{NodeId, Volume};

/// Sees a disk before each call that may change what a crash leaves.
pub type Observer = Box<dyn FnMut(&OperationInfo, &SimulatedDisk) + Send>;

/// A simulated disk; clones are the same one. It starts with an empty root folder, `/`.
#[derive(Clone)]
pub struct SimulatedDisk {
    shared: Arc<Shared>,
}

struct Shared {
    volume: Mutex<Volume>,
    operations: Mutex<Operations>,
    /// Locked while it runs, and before the others.
    observer: Mutex<Option<Observer>>,
}

impl Default for SimulatedDisk {
    fn default() -> Self {
        Self::new(SimulationOptions::default())
    }
}

impl fmt::Debug for SimulatedDisk {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SimulatedDisk").finish_non_exhaustive()
    }
}

impl SimulatedDisk {
    /// An empty disk.
    #[must_use]
    pub fn new(options: SimulationOptions) -> Self {
        Self::of(Volume::new(options))
    }

    fn of(volume: Volume) -> Self {
        let shared = Shared { volume: Mutex::new(volume), operations: Mutex::default(), observer: Mutex::new(None) };
        Self { shared: Arc::new(shared) }
    }

    /// What a power cut now could leave, as a seed decides: another disk, on which all is durable, no lock is held and
    /// no fault is planned. The same seed gives the same image of the same state.
    #[must_use]
    pub fn crash(&self, seed: u64, options: CrashOptions) -> Self {
        let volume = self.shared.volume.lock();
        let stale = if options.stale_allocation { volume.durable_images() } else { Vec::new() };
        Self::of(volume.crash(&mut crash::Drawn::new(seed, options, stale)))
    }

    /// What a power cut now leaves that keeps or loses each thing as a whole: `keep` is asked with the numbers from 0
    /// up to [`SimulatedDisk::unsynced`], each once and in that order.
    #[must_use]
    pub fn crash_choosing(&self, keep: impl FnMut(usize) -> bool) -> Self {
        Self::of(self.shared.volume.lock().crash(&mut crash::Chosen::new(keep)))
    }

    /// How many things a power cut now may keep or lose: changes of names, lengths and sectors.
    #[must_use]
    pub fn unsynced(&self) -> usize {
        let mut count = 0;
        let counted = self.crash_choosing(|_| {
            count += 1;
            false
        });
        drop(counted);
        count
    }

    /// What the death of the process now leaves: another disk with all that was written, synced or not as it is here,
    /// on which no lock is held and no fault is planned.
    #[must_use]
    pub fn kill(&self) -> Self {
        Self::of(self.shared.volume.lock().kill())
    }

    /// Plans a failure, beside those that are planned already.
    pub fn inject(&self, fault: Fault) {
        self.shared.operations.lock().faults.push(fault);
    }

    /// Forgets all failures that are planned.
    pub fn clear_faults(&self) {
        self.shared.operations.lock().faults.clear();
    }

    /// How many calls were made to fail so far.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.shared.operations.lock().failures
    }

    /// How many calls were made so far.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.shared.operations.lock().log.len() as u64
    }

    /// All calls so far.
    #[must_use]
    pub fn operation_log(&self) -> Vec<OperationInfo> {
        self.shared.operations.lock().log.clone()
    }

    /// Has `observer` called before each call that may change what a crash leaves is carried out; one at a time. It
    /// may make images of the disk and look at its files and its log. It must make no mutating call to it.
    pub fn set_observer(&self, observer: Observer) {
        *self.shared.observer.lock() = Some(observer);
    }

    /// Calls no observer any more.
    pub fn clear_observer(&self) {
        *self.shared.observer.lock() = None;
    }

    /// How the disk behaves.
    #[must_use]
    pub fn options(&self) -> SimulationOptions {
        self.shared.volume.lock().options
    }

    /// Changes how the disk behaves from here on.
    ///
    /// # Panics
    /// Where the sector size would change.
    pub fn set_options(&self, options: SimulationOptions) {
        let mut volume = self.shared.volume.lock();
        assert_eq!(volume.options.sector, options.sector, "a disk keeps its sectors");
        volume.options = options;
    }

    /// The paths of all files, sorted.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        self.shared.volume.lock().files().into_iter().map(|(path, _)| path).collect()
    }

    /// What readers see in a file. This is no call: it is not counted and does not fail on demand.
    ///
    /// # Errors
    /// `NotFound`, `IsADirectory`, `NotADirectory`.
    pub fn read_file(&self, path: &Path) -> io::Result<Vec<u8>> {
        let volume = self.shared.volume.lock();
        Ok(volume.file(volume.find_file(path)?)?.cache().to_vec())
    }

    /// Puts a file where there may be one, as if it had always been there: durable, with its name and the other names
    /// of its folder. This is no call.
    ///
    /// # Errors
    /// `NotFound` where the folder is missing, `IsADirectory`, `NotADirectory`.
    pub fn write_file(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut volume = self.shared.volume.lock();
        let node = match volume.find_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => volume.create_file(path)?,
            found => found?,
        };
        volume.put_file(node, bytes)?;
        volume.settle_names(path)
    }

    /// Takes a file away as if it had never been there, durably. This is no call.
    ///
    /// # Errors
    /// `NotFound`, `IsADirectory`, `NotADirectory`.
    pub fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut volume = self.shared.volume.lock();
        volume.remove(path)?;
        volume.settle_names(path)
    }

    /// Changes bytes of a file that readers see and that the device holds, up to its end: rot, or a write that was
    /// meant for another place. This is no call.
    ///
    /// # Errors
    /// `NotFound`, `IsADirectory`, `NotADirectory`.
    pub fn overwrite(&self, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut volume = self.shared.volume.lock();
        let sector_bytes = volume.sector_bytes();
        let node = volume.find_file(path)?;
        volume.file_mut(node)?.rot(bytes, offset, sector_bytes);
        Ok(())
    }

    /// Flips one bit, 0 to 7, of the byte at `offset`. This is no call.
    ///
    /// # Errors
    /// `NotFound`, `IsADirectory`, `NotADirectory`; `InvalidInput` where there is no such bit.
    pub fn flip_bit(&self, path: &Path, offset: u64, bit: u32) -> io::Result<()> {
        let mut volume = self.shared.volume.lock();
        let sector_bytes = volume.sector_bytes();
        let node = volume.find_file(path)?;
        let file = volume.file_mut(node)?;
        let mut byte = [0];
        let mask = 1u8.checked_shl(bit).filter(|_| bit < u8::BITS).ok_or(io::ErrorKind::InvalidInput)?;
        if file.cache().read(&mut byte, offset) == 0 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        file.rot(&byte.map(|byte| byte ^ mask), offset, sector_bytes);
        Ok(())
    }

    /// Takes a call down, shows the disk to the observer and says how the call fails, before anything is changed.
    fn begin(&self, call: OperationInfo) -> Option<Failure> {
        let info = self.shared.operations.lock().begin(call);
        if info.kind.is_mutating()
            && let Some(observer) = self.shared.observer.lock().as_mut()
        {
            observer(&info, self);
        }
        info.failure
    }

    /// As `begin`, for calls that know nothing but success and failure.
    fn begin_plain(&self, call: OperationInfo) -> io::Result<()> {
        self.begin(call).and_then(Failure::error).map_or(Ok(()), Err)
    }

    fn begin_path(&self, kind: OperationKind, path: &Path) -> io::Result<()> {
        self.begin_plain(call(kind, path.into()))
    }
}

/// A call that is not numbered yet.
fn call(kind: OperationKind, path: Arc<Path>) -> OperationInfo {
    OperationInfo { number: 0, kind, path, target: None, offset: 0, length: 0, failure: None }
}

impl Disk for SimulatedDisk {
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.begin_path(OperationKind::CreateDirectory, path)?;
        self.shared.volume.lock().create_directory(path)
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let node = if mode == OpenMode::CreateNew {
            self.begin_path(OperationKind::Create, path)?;
            self.shared.volume.lock().create_file(path)?
        } else {
            self.begin_path(OperationKind::Open, path)?;
            self.shared.volume.lock().find_file(path)?
        };
        let writable = mode != OpenMode::Read;
        Ok(Arc::new(SimulatedFile { disk: self.clone(), node, path: path.into(), writable }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.begin_plain(OperationInfo { target: Some(to.into()), ..call(OperationKind::Rename, from.into()) })?;
        self.shared.volume.lock().rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.begin_path(OperationKind::Remove, path)?;
        self.shared.volume.lock().remove(path)
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        self.begin_path(OperationKind::Remove, path)?;
        self.shared.volume.lock().remove_directory(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<DirectoryEntry>> {
        self.begin_path(OperationKind::List, directory)?;
        self.shared.volume.lock().list(directory)
    }

    fn kind(&self, path: &Path) -> io::Result<Option<EntryKind>> {
        self.begin_path(OperationKind::Kind, path)?;
        self.shared.volume.lock().kind(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.begin_path(OperationKind::SyncDirectory, path)?;
        self.shared.volume.lock().sync_directory(path)
    }

    fn reflink(&self, from: &Path, to: &Path) -> io::Result<bool> {
        self.begin_plain(OperationInfo { target: Some(to.into()), ..call(OperationKind::Reflink, from.into()) })?;
        self.shared.volume.lock().reflink(from, to)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<bool> {
        self.begin_plain(OperationInfo { target: Some(to.into()), ..call(OperationKind::HardLink, from.into()) })?;
        self.shared.volume.lock().hard_link(from, to).map(|()| true)
    }

    fn lock(&self, path: &Path, holder: &str) -> io::Result<Option<Box<dyn DiskLock>>> {
        self.begin_path(OperationKind::Lock, path)?;
        let mut volume = self.shared.volume.lock();
        let node = match volume.find_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => volume.create_file(path)?,
            found => found?,
        };
        if std::mem::replace(&mut volume.file_mut(node)?.locked, true) {
            return Ok(None);
        }
        volume.put_file(node, holder.as_bytes())?;
        Ok(Some(Box::new(SimulatedLock { disk: self.clone(), node })))
    }

    fn is_locked(&self, path: &Path) -> io::Result<bool> {
        self.begin_path(OperationKind::IsLocked, path)?;
        let volume = self.shared.volume.lock();
        match volume.find_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            found => Ok(volume.file(found?)?.locked),
        }
    }

    /// No operation of a store's: nothing that is written depends on it, so it is neither counted nor made to fail.
    fn room(&self, _path: &Path) -> io::Result<Option<Room>> {
        let total_bytes = self.options().capacity_bytes;
        let free_bytes = self.shared.volume.lock().room();
        Ok(total_bytes.map(|total_bytes| Room { free_bytes, total_bytes }))
    }
}

#[derive(Debug)]
struct SimulatedLock {
    disk: SimulatedDisk,
    node: NodeId,
}

impl DiskLock for SimulatedLock {}

impl Drop for SimulatedLock {
    fn drop(&mut self) {
        if let Ok(file) = self.disk.shared.volume.lock().file_mut(self.node) {
            file.locked = false;
        }
    }
}

#[derive(Debug)]
struct SimulatedFile {
    disk: SimulatedDisk,
    node: NodeId,
    path: Arc<Path>,
    writable: bool,
}

impl SimulatedFile {
    fn call(&self, kind: OperationKind) -> OperationInfo {
        call(kind, self.path.clone())
    }

    fn check_writable(&self) -> io::Result<()> {
        if self.writable { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
    }
}

/// Half of a transfer, and at least a byte of it.
fn half(count: usize) -> usize {
    count.div_ceil(2)
}

impl DiskFile for SimulatedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let length = buffer.len() as u64;
        let failure = self.disk.begin(OperationInfo { offset, length, ..self.call(OperationKind::Read) });
        let wanted = match failure {
            Some(Failure::Short) => half(buffer.len()),
            other => other.and_then(Failure::error).map_or(Ok(buffer.len()), Err)?,
        };
        let buffer = buffer.get_mut(..wanted).unwrap_or_default();
        Ok(self.disk.shared.volume.lock().file(self.node)?.cache().read(buffer, offset))
    }

    fn write_at(&self, parts: &[io::IoSlice<'_>], offset: u64) -> io::Result<usize> {
        self.check_writable()?;
        let mut bytes = Vec::with_capacity(parts.iter().map(|part| part.len()).sum());
        parts.iter().for_each(|part| bytes.extend_from_slice(part));
        let length = bytes.len() as u64;
        let failure = self.disk.begin(OperationInfo { offset, length, ..self.call(OperationKind::Write) });
        let taken = match failure {
            Some(Failure::Short) => half(bytes.len()),
            Some(Failure::Zero) => 0,
            other => other.and_then(Failure::error).map_or(Ok(bytes.len()), Err)?,
        };
        let bytes = bytes.get(..taken).unwrap_or_default();
        self.disk.shared.volume.lock().write(self.node, bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        let failure = self.disk.begin(self.call(OperationKind::Sync)).and_then(Failure::error);
        let mut volume = self.disk.shared.volume.lock();
        let (options, sector_bytes) = (volume.options, volume.sector_bytes());
        let file = volume.file_mut(self.node)?;
        if file.take_late_error() {
            file.fail_sync(AfterFailedSync::CleanNew, sector_bytes);
            return Err(failure.unwrap_or_else(|| Errno::IO.into()));
        }
        match failure {
            Some(error) => {
                file.fail_sync(options.after_failed_sync, sector_bytes);
                if options.after_failed_sync == AfterFailedSync::ReportedLate { Ok(()) } else { Err(error) }
            }
            None => {
                if !options.lies_about_sync {
                    file.sync(sector_bytes);
                }
                Ok(())
            }
        }
    }

    fn length(&self) -> io::Result<u64> {
        self.disk.begin_plain(self.call(OperationKind::Length))?;
        Ok(self.disk.shared.volume.lock().file(self.node)?.cache().length())
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        self.check_writable()?;
        self.disk.begin_plain(OperationInfo { length, ..self.call(OperationKind::Allocate) })?;
        self.disk.shared.volume.lock().allocate(self.node, length)
    }

    fn map(&self) -> io::Result<Mapping> {
        self.disk.begin_plain(self.call(OperationKind::Map))?;
        Ok(Mapping::from(self.disk.shared.volume.lock().file(self.node)?.cache().to_vec()))
    }

    fn share_word(&self, offset: u64) -> io::Result<Box<dyn SharedWord>> {
        self.check_writable()?;
        self.disk.begin_plain(OperationInfo { offset, length: 8, ..self.call(OperationKind::ShareWord) })?;
        let length = self.disk.shared.volume.lock().file(self.node)?.cache().length();
        map::check_word(offset, length)?;
        Ok(Box::new(SimulatedWord { disk: self.disk.clone(), node: self.node, offset }))
    }
}

/// A store into it is a write that was not synced, as of a page that was written to in memory.
#[derive(Debug)]
struct SimulatedWord {
    disk: SimulatedDisk,
    node: NodeId,
    offset: u64,
}

impl SharedWord for SimulatedWord {
    fn store(&self, value: u64) {
        // The word lies inside the file, so there is room for it and nothing fails.
        let stored = self.disk.shared.volume.lock().write(self.node, &value.to_le_bytes(), self.offset);
        assert!(stored.is_ok(), "a shared word lies inside its file");
    }
}
