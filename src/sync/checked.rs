//! A model checker's locks and atomics, with the faces of those they stand in for.
//!
//! Both checkers copy the standard library's locks; the store is written for `parking_lot`'s. A lock that a panic left is taken
//! as it is, as there. Time does not pass under a checker: a wait with a time gives the lock away once and has then timed out,
//! which its caller must be ready for; so a checker reports no deadlock where only time would have gone on.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{PoisonError, TryLockError};
use std::time::{Duration, Instant};

#[cfg(bitacora_loom)]
use loom as checker;
#[cfg(bitacora_shuttle)]
use shuttle as checker;

pub(crate) use checker::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};

use super::Ordering;

#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(checker::sync::Mutex<T>);

/// Empty only while its condition is waited for.
pub(crate) struct MutexGuard<'a, T> {
    mutex: &'a Mutex<T>,
    guard: Option<checker::sync::MutexGuard<'a, T>>,
}

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(checker::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard { mutex: self, guard: Some(self.0.lock().unwrap_or_else(PoisonError::into_inner)) }
    }

    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        let guard = match self.0.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        Some(MutexGuard { mutex: self, guard: Some(guard) })
    }
}

impl<T> MutexGuard<'_, T> {
    /// Does something without the lock.
    pub(crate) fn unlocked<U>(this: &mut Self, action: impl FnOnce() -> U) -> U {
        drop(this.guard.take());
        let outcome = action();
        this.guard = this.mutex.lock().guard;
        outcome
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.guard.as_deref().unwrap_or_else(|| unreachable!("the lock is held"))
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.guard.as_deref_mut().unwrap_or_else(|| unreachable!("the lock is held"))
    }
}

impl<T: fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(formatter)
    }
}

#[derive(Debug, Default)]
pub(crate) struct RwLock<T>(checker::sync::RwLock<T>);

impl<T> RwLock<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(checker::sync::RwLock::new(value))
    }

    pub(crate) fn read(&self) -> checker::sync::RwLockReadGuard<'_, T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> checker::sync::RwLockWriteGuard<'_, T> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Condvar(checker::sync::Condvar);

impl Condvar {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        let held = guard.guard.take().unwrap_or_else(|| unreachable!("the lock is held"));
        guard.guard = Some(self.0.wait(held).unwrap_or_else(PoisonError::into_inner));
    }

    #[expect(clippy::unused_self, reason = "as the one it stands in for")]
    pub(crate) fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, _: Duration) {
        MutexGuard::unlocked(guard, checker::thread::yield_now);
    }

    pub(crate) fn wait_until<T>(&self, guard: &mut MutexGuard<'_, T>, _: Instant) {
        self.wait_for(guard, Duration::ZERO);
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}

/// The standard library's, with a turn for the checker before each access: it may let others run in between, and a reader
/// sees the value only where the orderings around it say so.
#[derive(Debug)]
pub(crate) struct OnceLock<T> {
    value: std::sync::OnceLock<T>,
    is_set: AtomicBool,
}

impl<T> OnceLock<T> {
    pub(crate) fn new() -> Self {
        Self { value: std::sync::OnceLock::new(), is_set: AtomicBool::new(false) }
    }

    pub(crate) fn get(&self) -> Option<&T> {
        if self.is_set.load(Ordering::Acquire) { self.value.get() } else { None }
    }

    pub(crate) fn set(&self, value: T) -> Result<(), T> {
        let outcome = self.value.set(value);
        self.is_set.store(true, Ordering::Release);
        outcome
    }
}

/// The system's futex: it looks at the word and goes to sleep as one step, as far as those that wake can see.
#[cfg(all(target_os = "linux", bitacora_shuttle))]
#[derive(Debug, Default)]
pub(crate) struct Futex {
    gate: Mutex<()>,
    woken: Condvar,
}

#[cfg(all(target_os = "linux", bitacora_shuttle))]
impl Futex {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn wait(&self, word: &AtomicU32, value: u32) {
        let mut gate = self.gate.lock();
        if word.load(Ordering::SeqCst) == value {
            self.woken.wait(&mut gate);
        }
    }

    pub(crate) fn wake(&self, _: &AtomicU32, count: u32) {
        drop(self.gate.lock());
        if count == 1 {
            self.woken.notify_one();
        } else {
            self.woken.notify_all();
        }
    }
}
