//! Opening is recovering: look at what is there, decide by evidence, carry the decision out, report.
//!
//! The order never changes: everything that may be unsynced is synced before it is read; everything is read before
//! anything is decided; everything is decided before anything is changed. So a refused store is as it was, to the byte
//! (but for the times of its files), and a recovery that is killed can start again from its beginning.

pub(crate) mod examine;
pub(crate) mod execute;
pub(crate) mod fill;
pub(crate) mod halves;
pub(crate) mod plan;
pub(crate) mod rebuild;
pub(crate) mod report;
pub(crate) mod walk;

pub use report::{CutReport, IndexUse, PhaseReport, RecoveryReport};
