//! When the housekeeping thread works: it is woken by what happens, and sleeps when there is nothing to do.

use std::time::Duration;

use crate::recovery::execute::Unnamed;
use crate::sync::{AtomicBool, Condvar, Mutex, Ordering};

/// The signals between the store and its housekeeping thread.
#[derive(Debug, Default)]
pub(crate) struct Chores {
    state: Mutex<State>,
    changed: Condvar,
    /// Whether the thread sleeps until it is woken.
    is_parked: AtomicBool,
    /// What the open has left to be freed.
    unnamed: Mutex<Unnamed>,
}

#[derive(Debug, Default)]
struct State {
    is_woken: bool,
    is_stopping: bool,
}

impl Chores {
    /// With files whose room is to be freed first.
    pub(crate) fn freeing(unnamed: Unnamed) -> Self {
        Self { unnamed: Mutex::new(unnamed), ..Self::default() }
    }

    /// Frees what the open has left.
    pub(crate) fn free(&self) {
        let unnamed = std::mem::take(&mut *self.unnamed.lock());
        drop(unnamed);
    }

    /// Called by every commit: wakes the thread if it has gone to sleep for good. One load where it has not.
    pub(crate) fn note_activity(&self) {
        if self.is_parked.load(Ordering::Relaxed) && self.is_parked.swap(false, Ordering::AcqRel) {
            self.wake();
        }
    }

    /// There is work.
    pub(crate) fn wake(&self) {
        self.state.lock().is_woken = true;
        self.changed.notify_all();
    }

    /// The thread is to end.
    pub(crate) fn stop(&self) {
        self.state.lock().is_stopping = true;
        self.changed.notify_all();
    }

    /// Sleeps until there is work or, with a time, that long; whether the thread is to go on.
    pub(crate) fn sleep(&self, at_most: Option<Duration>) -> bool {
        let mut state = self.state.lock();
        if !state.is_woken && !state.is_stopping {
            match at_most {
                Some(duration) => {
                    self.changed.wait_for(&mut state, duration);
                }
                None => {
                    // An activity between this store and the wait is seen within the bound.
                    self.is_parked.store(true, Ordering::Release);
                    self.changed.wait_for(&mut state, Duration::from_secs(1));
                    self.is_parked.store(false, Ordering::Release);
                }
            }
        }
        state.is_woken = false;
        !state.is_stopping
    }
}
