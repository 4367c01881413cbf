//! Locks, atomics and the word that a group of waiting committers sleeps on.
//!
//! Everything that blocks comes from here, so that a model checker can stand in for it.

pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard, RwLock};
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// A word that threads wait on until it changes.
///
/// One word per group of commits: a finished group wakes its own members, and nobody contends for a lock
/// on the way out. On Linux it is a futex; elsewhere a lock and a condition.
#[derive(Debug)]
pub(crate) struct WaitWord {
    value: AtomicU32,
    #[cfg(not(target_os = "linux"))]
    gate: Mutex<()>,
    #[cfg(not(target_os = "linux"))]
    changed: Condvar,
}

impl WaitWord {
    pub(crate) fn new(value: u32) -> Self {
        Self {
            value: AtomicU32::new(value),
            #[cfg(not(target_os = "linux"))]
            gate: Mutex::new(()),
            #[cfg(not(target_os = "linux"))]
            changed: Condvar::new(),
        }
    }

    pub(crate) fn load(&self) -> u32 {
        self.value.load(Ordering::Acquire)
    }

    pub(crate) fn store(&self, value: u32) {
        self.value.store(value, Ordering::Release);
    }

    /// Changes `from` to `to`; whether it was `from`.
    pub(crate) fn change(&self, from: u32, to: u32) -> bool {
        self.value.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

#[cfg(target_os = "linux")]
impl WaitWord {
    /// Sleeps while the word is `value`. May return early; the caller looks again.
    pub(crate) fn wait_while(&self, value: u32) {
        // Every failure means "look again": the word has changed, or a signal came.
        let _ = rustix::thread::futex::wait(&self.value, rustix::thread::futex::Flags::PRIVATE, value, None);
    }

    pub(crate) fn wake_one(&self) {
        let _ = rustix::thread::futex::wake(&self.value, rustix::thread::futex::Flags::PRIVATE, 1);
    }

    pub(crate) fn wake_all(&self) {
        let _ =
            rustix::thread::futex::wake(&self.value, rustix::thread::futex::Flags::PRIVATE, i32::MAX.cast_unsigned());
    }
}

#[cfg(not(target_os = "linux"))]
impl WaitWord {
    /// Sleeps while the word is `value`. May return early; the caller looks again.
    pub(crate) fn wait_while(&self, value: u32) {
        let mut gate = self.gate.lock();
        if self.load() == value {
            self.changed.wait(&mut gate);
        }
    }

    pub(crate) fn wake_one(&self) {
        drop(self.gate.lock());
        self.changed.notify_one();
    }

    pub(crate) fn wake_all(&self) {
        drop(self.gate.lock());
        self.changed.notify_all();
    }
}
