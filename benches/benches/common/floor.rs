//! The floor: what the same bytes cost when nothing is done but writing and syncing them.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::thread::futex;

use super::{folder, in_parallel};

/// As large as a segment; written round and round, so that it is never anything but a file that was filled before.
const FILE_BYTES: usize = 64 * 1024 * 1024;

/// A file that was filled with zeros in writes of 4 KiB.
#[derive(Debug)]
pub(crate) struct RawFile {
    file: File,
    offset: usize,
    _folder: tempfile::TempDir,
}

impl RawFile {
    pub(crate) fn new() -> Self {
        let folder = folder();
        let file = File::create_new(folder.path().join("floor")).unwrap();
        for offset in (0..FILE_BYTES).step_by(4096) {
            file.write_all_at(&[0; 4096], offset as u64).unwrap();
        }
        file.sync_all().unwrap();
        Self { file, offset: 0, _folder: folder }
    }

    fn write(&mut self, bytes: &[u8], is_synced: bool) {
        if self.offset + bytes.len() > FILE_BYTES {
            self.offset = 0;
        }
        self.file.write_all_at(bytes, self.offset as u64).unwrap();
        self.offset += bytes.len();
        if is_synced {
            rustix::fs::fdatasync(&self.file).unwrap();
        }
    }

    /// Writes `commits` times `bytes` bytes one after another; how long that took.
    pub(crate) fn append(&mut self, commits: usize, bytes: usize, is_synced: bool) -> Duration {
        let frame = vec![0xA5; bytes];
        let started = Instant::now();
        for _ in 0..commits {
            self.write(&frame, is_synced);
        }
        started.elapsed()
    }
}

const FORMING: u32 = 0;
const LEAD: u32 = 1;
const LED: u32 = 2;
const DONE: u32 = 3;

/// A raw file behind group commit and nothing else: one of the waiting callers writes for all of them, and each group has a
/// word of its own to wait on.
#[derive(Debug)]
pub(crate) struct GroupedFile {
    forming: Mutex<Forming>,
    file: Mutex<RawFile>,
}

#[derive(Debug)]
struct Forming {
    bytes: Vec<u8>,
    word: Arc<AtomicU32>,
}

impl GroupedFile {
    pub(crate) fn new() -> Self {
        let forming = Forming { bytes: Vec::new(), word: Arc::new(AtomicU32::new(LEAD)) };
        Self { forming: Mutex::new(forming), file: Mutex::new(RawFile::new()) }
    }

    /// `writers` threads that append `commits` times `bytes` bytes each; how long they took.
    pub(crate) fn append(&self, writers: usize, commits: usize, bytes: usize) -> Duration {
        in_parallel(writers, |_| {
            let frame = vec![0xA5; bytes];
            for _ in 0..commits {
                self.commit(&frame);
            }
        })
    }

    fn commit(&self, frame: &[u8]) {
        let word = {
            let mut forming = self.forming.lock();
            forming.bytes.extend_from_slice(frame);
            Arc::clone(&forming.word)
        };
        loop {
            match word.load(Ordering::Acquire) {
                DONE => return,
                LEAD => {
                    if word.compare_exchange(LEAD, LED, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                        self.lead();
                    }
                }
                waiting => {
                    // Every failure means to look again.
                    let _ = futex::wait(&word, futex::Flags::PRIVATE, waiting, None);
                }
            }
        }
    }

    fn lead(&self) {
        let mut file = self.file.lock();
        let taken = {
            let next = Forming { bytes: Vec::new(), word: Arc::new(AtomicU32::new(FORMING)) };
            std::mem::replace(&mut *self.forming.lock(), next)
        };
        file.write(&taken.bytes, true);
        drop(file);
        let next = Arc::clone(&self.forming.lock().word);
        next.store(LEAD, Ordering::Release);
        let _ = futex::wake(&next, futex::Flags::PRIVATE, 1);
        taken.word.store(DONE, Ordering::Release);
        let _ = futex::wake(&taken.word, futex::Flags::PRIVATE, i32::MAX as u32);
    }
}
