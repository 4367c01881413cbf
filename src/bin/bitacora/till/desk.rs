//! Where the reader of a ledger leaves lines and workers fetch them: the [`Scheduler`] under a lock.
//!
//! Nobody waits for ever: whoever fails, by an error or a panic, stops the desk, and then everybody is sent home.

use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use super::scheduler::Scheduler;

#[derive(Debug)]
struct State<T> {
    scheduler: Scheduler<T>,
    /// Nothing more will be put.
    is_closed: bool,
    /// Nothing more will be taken.
    is_stopped: bool,
}

/// A bounded number of lines that wait for a worker.
#[derive(Debug)]
pub(crate) struct Desk<T> {
    state: Mutex<State<T>>,
    /// There may be something to take, or nothing ever again.
    work: Condvar,
    /// There may be room to put something.
    room: Condvar,
    pending_max: usize,
}

impl<T> Desk<T> {
    /// A desk that holds at most `pending_max` items, those that are being worked on included.
    pub(crate) fn new(pending_max: usize) -> Self {
        assert!(pending_max > 0, "a desk without room would wait for ever");
        let state = State { scheduler: Scheduler::new(), is_closed: false, is_stopped: false };
        Self { state: Mutex::new(state), work: Condvar::new(), room: Condvar::new(), pending_max }
    }

    /// Leaves an item for `user`, waiting for room. Whether it was taken in: not after a stop.
    pub(crate) fn put(&self, user: &str, item: T) -> bool {
        let mut state = self.state.lock();
        while !state.is_stopped && state.scheduler.pending() >= self.pending_max {
            self.room.wait(&mut state);
        }
        if state.is_stopped {
            return false;
        }
        state.scheduler.push(user, item);
        drop(state);
        self.work.notify_one();
        true
    }

    /// Says that nothing more will be put.
    pub(crate) fn close(&self) {
        self.state.lock().is_closed = true;
        self.work.notify_all();
    }

    /// The next item; `None` when all is done, or after a stop. The user has to be [finished](Self::finish) afterwards.
    pub(crate) fn take(&self) -> Option<(Arc<str>, T)> {
        let mut state = self.state.lock();
        loop {
            if state.is_stopped {
                return None;
            }
            if let Some(taken) = state.scheduler.take() {
                return Some(taken);
            }
            if state.is_closed && state.scheduler.pending() == 0 {
                return None;
            }
            self.work.wait(&mut state);
        }
    }

    /// Says that the item of `user` that was taken has its outcome.
    pub(crate) fn finish(&self, user: &Arc<str>) {
        let mut state = self.state.lock();
        state.scheduler.finish(user);
        let is_done = state.is_closed && state.scheduler.pending() == 0;
        drop(state);
        self.room.notify_one();
        if is_done {
            self.work.notify_all();
        } else {
            self.work.notify_one();
        }
    }

    /// Sends everybody home; what was put and not taken stays undone.
    pub(crate) fn stop(&self) {
        self.state.lock().is_stopped = true;
        self.work.notify_all();
        self.room.notify_all();
    }

    /// A guard that stops the desk when its holder ends by a panic.
    pub(crate) fn stop_on_panic(&self) -> StopOnPanic<'_, T> {
        StopOnPanic(self)
    }
}

/// See [`Desk::stop_on_panic`].
#[derive(Debug)]
pub(crate) struct StopOnPanic<'a, T>(&'a Desk<T>);

impl<T> Drop for StopOnPanic<'_, T> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    /// Goal: with real threads no user's items overlap or change order, and everybody goes home. Method: a desk that is far
    /// smaller than the work, four workers, and a note per user of what was done.
    #[test]
    fn workers_do_all_of_it_in_each_users_order_and_go_home() {
        let desk = Desk::new(5);
        let done: Mutex<HashMap<String, Vec<u32>>> = Mutex::new(HashMap::new());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while let Some((user, item)) = desk.take() {
                        done.lock().entry(user.to_string()).or_default().push(item);
                        desk.finish(&user);
                    }
                });
            }
            for item in 0..1_000 {
                assert!(desk.put(["a", "b", "c"][(item % 3) as usize], item));
            }
            desk.close();
        });
        let done = done.into_inner();
        assert_eq!(done.values().map(Vec::len).sum::<usize>(), 1_000);
        assert!(done.values().all(|items| items.is_sorted()));
    }

    #[test]
    fn a_worker_that_panics_sends_everybody_home() {
        let desk = Desk::new(1);
        std::thread::scope(|scope| {
            let worker = scope.spawn(|| {
                let _guard = desk.stop_on_panic();
                let taken = desk.take();
                assert!(taken.is_none(), "this worker fails on its first item");
            });
            assert!(desk.put("a", 1));
            // The desk is full, so this waits for a stop.
            assert!(!desk.put("a", 2));
            assert!(worker.join().is_err());
        });
        assert!(desk.take().is_none());
    }
}
