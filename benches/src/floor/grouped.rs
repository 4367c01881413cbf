//! Group commit and nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;
use rustix::thread::futex;

use super::RawLog;

const FORMING: u32 = 0;
const LEAD: u32 = 1;
const LED: u32 = 2;
const DONE: u32 = 3;

/// A raw file behind group commit: one of the waiting callers writes for all of them, and each group has a word of its own to
/// wait on.
#[derive(Debug)]
pub struct GroupedFile {
    forming: Mutex<Forming>,
    log: Mutex<RawLog>,
}

#[derive(Debug)]
struct Forming {
    bytes: Vec<u8>,
    word: Arc<AtomicU32>,
}

impl GroupedFile {
    /// Over this log.
    #[must_use]
    pub fn new(log: RawLog) -> Self {
        let forming = Forming { bytes: Vec::new(), word: Arc::new(AtomicU32::new(LEAD)) };
        Self { forming: Mutex::new(forming), log: Mutex::new(log) }
    }

    /// Writes a frame together with those of whoever writes at the same time; returns when it is durable.
    ///
    /// # Panics
    /// The disk fails.
    pub fn commit(&self, frame: &[u8]) {
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
        let mut log = self.log.lock();
        let taken = {
            let next = Forming { bytes: Vec::new(), word: Arc::new(AtomicU32::new(FORMING)) };
            std::mem::replace(&mut *self.forming.lock(), next)
        };
        log.write(&taken.bytes);
        drop(log);
        let next = Arc::clone(&self.forming.lock().word);
        next.store(LEAD, Ordering::Release);
        let _ = futex::wake(&next, futex::Flags::PRIVATE, 1);
        taken.word.store(DONE, Ordering::Release);
        let _ = futex::wake(&taken.word, futex::Flags::PRIVATE, i32::MAX as u32);
    }
}
