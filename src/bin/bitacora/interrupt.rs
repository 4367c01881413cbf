//! Ctrl-C, for a verb that has to end in its own way.

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
}

impl Interrupt {
    /// From now on an interrupt is told here and does not end the process.
    pub(crate) fn catch() -> Result<Self, Failure> {
        let came = Arc::new(AtomicBool::new(false));
        // In this order: the one that ends the process sees the flag as it was before this interrupt.
        flag::register_conditional_shutdown(SIGINT, INTERRUPTED.into(), Arc::clone(&came))
            .and_then(|_| flag::register(SIGINT, Arc::clone(&came)))
            .map_err(|error| Failure::of_stream("take interrupts", &error))?;
        Ok(Self { came })
    }

    pub(crate) fn came(&self) -> bool {
        self.came.load(Ordering::Relaxed)
    }
}
