//! Tests of the parts together.

mod bench;
mod crash;
mod crash_of_the_rest;
mod deadlines;
mod events;
#[cfg(feature = "simulation")]
mod full;
mod gateways;
mod late;
mod offline;
mod operator;
mod operator_command;
mod orchestrator;
mod poll;
mod retries;
mod scripted;
mod settle;
mod states;
mod table;

use crate::error::{Error, ErrorKind, Result};
use crate::sync::{AtomicU64, Ordering};

/// Cuts the work of an orchestrator off at one of its cut points: before or after a commit, or a call to the gateway.
#[derive(Debug)]
pub(super) struct Cuts {
    left: AtomicU64,
}

impl Cuts {
    /// Lets this many points pass.
    fn after(points: u64) -> Self {
        Self { left: AtomicU64::new(points) }
    }

    /// An error where the work is cut off; from then on, always.
    pub(super) fn pass(&self) -> Result<()> {
        match self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)) {
            Ok(_) => Ok(()),
            Err(_) => Err(Error::new(ErrorKind::Closed, "cut off by the test")),
        }
    }
}
