//! Locks, atomics and the word that a group of waiting committers sleeps on.
//!
//! Everything that blocks comes from here, so that a model checker can stand in for it. Built with
//! `RUSTFLAGS="--cfg bitacora_loom"` or `"--cfg bitacora_shuttle"`, all of this but [`leaf`] and [`Arc`](std::sync::Arc) is the
//! checker's (`checked.rs`), and a store works only within an execution of that checker. Everything else of the store is the same
//! code as ever.
//!
//! The word is the one thing with two forms. Shuttle runs the one for Linux, where only the system call is replaced; loom the
//! one for other systems, as it does not know the one order of all `SeqCst` accesses that the first form needs.

#[cfg(any(bitacora_loom, bitacora_shuttle))]
mod checked;

#[cfg(any(bitacora_loom, bitacora_shuttle))]
pub(crate) use checked::{AtomicBool, AtomicU32, AtomicU64, Condvar, Mutex, MutexGuard, OnceLock, RwLock};
#[cfg(not(any(bitacora_loom, bitacora_shuttle)))]
pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard, RwLock};
pub(crate) use std::sync::atomic::Ordering;
#[cfg(not(any(bitacora_loom, bitacora_shuttle)))]
pub(crate) use std::sync::{
    OnceLock,
    atomic::{AtomicBool, AtomicU32, AtomicU64},
};

/// Locks and atomics that are never a checker's: those of counters, by which nothing is decided, and those of simulated disks,
/// memory and clocks, which stand for a device. While
/// such a lock is held nothing else is locked or waited for, so a checker need not see it, and an image of a disk can be
/// looked at outside of an execution.
pub(crate) mod leaf {
    pub(crate) use parking_lot::{Condvar, Mutex, RwLock};
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64};
}

#[cfg(all(target_os = "linux", bitacora_shuttle))]
use checked::Futex;

/// A word that threads wait on until it changes.
///
/// One word per group of commits: a finished group wakes its own members, and nobody contends for a lock
/// on the way out. On Linux it is a futex; elsewhere a lock and a condition.
#[derive(Debug)]
pub(crate) struct WaitWord {
    value: AtomicU32,
    /// Threads that sleep, or are about to: where there are none, waking costs no system call.
    #[cfg(all(target_os = "linux", not(bitacora_loom)))]
    waiters: AtomicU32,
    #[cfg(all(target_os = "linux", not(bitacora_loom)))]
    futex: Futex,
    #[cfg(any(not(target_os = "linux"), bitacora_loom))]
    gate: Mutex<()>,
    #[cfg(any(not(target_os = "linux"), bitacora_loom))]
    changed: Condvar,
}

impl WaitWord {
    pub(crate) fn new(value: u32) -> Self {
        Self {
            value: AtomicU32::new(value),
            #[cfg(all(target_os = "linux", not(bitacora_loom)))]
            waiters: AtomicU32::new(0),
            #[cfg(all(target_os = "linux", not(bitacora_loom)))]
            futex: Futex::new(),
            #[cfg(any(not(target_os = "linux"), bitacora_loom))]
            gate: Mutex::new(()),
            #[cfg(any(not(target_os = "linux"), bitacora_loom))]
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

/// The system calls behind the word.
#[cfg(all(target_os = "linux", not(bitacora_loom), not(bitacora_shuttle)))]
#[derive(Debug, Default)]
struct Futex;

#[cfg(all(target_os = "linux", not(bitacora_loom), not(bitacora_shuttle)))]
impl Futex {
    fn new() -> Self {
        Self
    }

    /// Sleeps if the word is `value`, until it is woken. Every failure means "look again": the word has changed, or a signal
    /// came.
    fn wait(&self, word: &AtomicU32, value: u32) {
        let _ = rustix::thread::futex::wait(word, rustix::thread::futex::Flags::PRIVATE, value, None);
    }

    /// Wakes so many of those that sleep.
    fn wake(&self, word: &AtomicU32, count: u32) {
        let _ = rustix::thread::futex::wake(word, rustix::thread::futex::Flags::PRIVATE, count);
    }
}

#[cfg(all(target_os = "linux", not(bitacora_loom)))]
impl WaitWord {
    /// Sleeps while the word is `value`. May return early; the caller looks again.
    pub(crate) fn wait_while(&self, value: u32) {
        // A waiter is counted before the system looks at the word, and who changes the word looks at the count afterwards:
        // in the one order that all threads see, one of the two finds the other.
        self.waiters.fetch_add(1, Ordering::SeqCst);
        if self.value.load(Ordering::SeqCst) == value {
            self.futex.wait(&self.value, value);
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
            self.futex.wake(&self.value, count);
        }
    }
}

#[cfg(any(not(target_os = "linux"), bitacora_loom))]
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
