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
    /// Threads that sleep, or are about to: where there are none, waking costs no system call.
    #[cfg(target_os = "linux")]
    waiters: AtomicU32,
    #[cfg(not(target_os = "linux"))]
    gate: Mutex<()>,
    #[cfg(not(target_os = "linux"))]
    changed: Condvar,
}

impl WaitWord {
    pub(crate) fn new(value: u32) -> Self {
        Self {
            value: AtomicU32::new(value),
            #[cfg(target_os = "linux")]
            waiters: AtomicU32::new(0),
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
        self.value.store(value, Ordering::SeqCst);
    }

    /// Changes `from` to `to`; whether it was `from`.
    pub(crate) fn change(&self, from: u32, to: u32) -> bool {
        self.value.compare_exchange(from, to, Ordering::SeqCst, Ordering::Acquire).is_ok()
    }
}

#[cfg(target_os = "linux")]
impl WaitWord {
    /// Sleeps while the word is `value`. May return early; the caller looks again.
    pub(crate) fn wait_while(&self, value: u32) {
        // A waiter is counted before the system looks at the word, and who changes the word looks at the count afterwards:
        // in the one order that all threads see, one of the two finds the other.
        self.waiters.fetch_add(1, Ordering::SeqCst);
        if self.value.load(Ordering::SeqCst) == value {
            // Every failure means "look again": the word has changed, or a signal came.
            let _ = rustix::thread::futex::wait(&self.value, rustix::thread::futex::Flags::PRIVATE, value, None);
        }
        self.waiters.fetch_sub(1, Ordering::Release);
    }

    pub(crate) fn wake_one(&self) {
        self.wake(1);
    }

    pub(crate) fn wake_all(&self) {
        self.wake(i32::MAX.cast_unsigned());
    }

    fn wake(&self, count: u32) {
        if self.waiters.load(Ordering::SeqCst) > 0 {
            let _ = rustix::thread::futex::wake(&self.value, rustix::thread::futex::Flags::PRIVATE, count);
        }
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
