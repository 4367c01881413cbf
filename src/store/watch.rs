//! Where subscriptions wait for what is shown next.
//!
//! A commit pays one load here while nobody waits. Who waits is counted before it looks at what is shown, and who shows
//! something looks at the count afterwards: in the one order that all threads see, one of the two finds the other. Loom does not
//! know that order, so under it the lock is always taken.

use std::time::Instant;

use crate::sync::{AtomicU32, Condvar, Mutex, Ordering};

/// Its lock is taken last, and nothing is locked or waited for while it is held.
#[derive(Debug)]
pub(crate) struct Watch {
    waiting: AtomicU32,
    gate: Mutex<()>,
    changed: Condvar,
}

impl Watch {
    pub(crate) fn new() -> Self {
        Self { waiting: AtomicU32::new(0), gate: Mutex::new(()), changed: Condvar::new() }
    }

    /// Something was shown.
    pub(crate) fn announce(&self) {
        if cfg!(bitacora_loom) || self.waiting.load(Ordering::SeqCst) > 0 {
            self.wake();
        }
    }

    /// Something ended; whether anybody waits or not.
    pub(crate) fn wake(&self) {
        // Who has looked, and does not sleep yet, holds the gate.
        drop(self.gate.lock());
        self.changed.notify_all();
    }

    /// Waits until `is_over`, which takes no lock, or until the deadline.
    pub(crate) fn wait(&self, deadline: Option<Instant>, is_over: impl Fn() -> bool) {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let mut gate = self.gate.lock();
        while !is_over() {
            match deadline {
                None => self.changed.wait(&mut gate),
                Some(deadline) if deadline <= Instant::now() => break,
                Some(deadline) => drop(self.changed.wait_until(&mut gate, deadline)),
            }
        }
        drop(gate);
        self.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}
