//! How a recovery is carried out.

use std::fmt;
use std::num::NonZeroUsize;

use serde::Serialize;

use super::Phase;

/// How far a recovery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RecoveryProgress {
    /// The step it is at.
    pub phase: Phase,
    /// What is done of it; of what, the phase says.
    pub done: u64,
    /// Of how many.
    pub total: u64,
}

/// How a recovery is carried out. What it comes to is the same with any.
#[derive(Clone, Copy, Default)]
pub struct RecoverOptions<'a> {
    /// Threads to restore with. Default: [`restore_threads`](crate::aggregate::restore_threads).
    pub threads: Option<NonZeroUsize>,
    /// Is told after each step how far the recovery is, and within the long ones now and then, from any of its threads.
    pub progress: Option<&'a (dyn Fn(&RecoveryProgress) + Sync)>,
}

impl fmt::Debug for RecoverOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecoverOptions").field("threads", &self.threads).finish_non_exhaustive()
    }
}

impl RecoverOptions<'_> {
    pub(super) fn tell(&self, phase: Phase, done: u64, total: u64) {
        if let Some(progress) = self.progress {
            progress(&RecoveryProgress { phase, done, total });
        }
    }
}
