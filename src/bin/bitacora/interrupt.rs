//! Ctrl-C, for a verb that has to end in its own way.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::SIGINT;
use signal_hook::flag;

use crate::exit::{Failure, INTERRUPTED};

/// Tells whether Ctrl-C was pressed. A second one ends the process at once: the first may not be seen by a verb that waits for its
/// reader.
#[derive(Debug)]
pub(crate) struct Interrupt {
    came: Arc<AtomicBool>,
    /// The process is to end at the first one.
    is_waiting: Arc<AtomicBool>,
}

impl Interrupt {
    /// From now on an interrupt is told here and does not end the process.
    pub(crate) fn catch() -> Result<Self, Failure> {
        let (came, is_waiting) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        // In this order: the one that ends the process sees the flag as it was before this interrupt.
        flag::register_conditional_shutdown(SIGINT, INTERRUPTED.into(), Arc::clone(&came))
            .and_then(|_| flag::register_conditional_shutdown(SIGINT, INTERRUPTED.into(), Arc::clone(&is_waiting)))
            .and_then(|_| flag::register(SIGINT, Arc::clone(&came)))
            .map_err(|error| Failure::of_stream("take interrupts", &error))?;
        Ok(Self { came, is_waiting })
    }

    /// Waits for a person: an interrupt ends the process at once, because nothing is under way.
    pub(crate) fn while_waiting<T>(&self, wait: impl FnOnce() -> T) -> T {
        self.is_waiting.store(true, Ordering::Relaxed);
        let waited = wait();
        self.is_waiting.store(false, Ordering::Relaxed);
        waited
    }

    pub(crate) fn came(&self) -> bool {
        self.came.load(Ordering::Relaxed)
    }
    /// What a long operation of the library is told: to go on, or to break off.
    pub(crate) fn flow(&self) -> ControlFlow<()> {
        if self.came() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
