//! What a disk is like: what a sync costs, how fast it writes and reads, and which options suit it.
//!
//! The decision ([`DiskAdvice::of`]) is a pure function of what was measured; `probe` measures. Nothing here touches a store: one
//! temporary file is written beside it and removed.

mod advice;
mod medium;
mod probe;

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

pub use advice::{DiskAdvice, DiskWarning, DiskWarningKind};
pub use medium::{DiskMedium, DiskMediumKind};

use crate::error::Result;
use crate::measure::Distribution;

/// How a small write is made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SyncWay {
    /// The file grows with each write.
    Grow,
    /// The room was reserved and never written.
    Reserve,
    /// Zeros were written there before.
    ZeroFill,
    /// The same, and each write is a whole sector of its own.
    ZeroFillSector,
    /// As `ZeroFill`, in one call: the file was opened with `O_DSYNC`.
    ZeroFillDsync,
}

/// What small writes cost when each is made durable in one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct SyncCost {
    /// How.
    pub way: SyncWay,
    /// A write and its sync, nanoseconds.
    pub nanos: Distribution,
}

/// What was measured of a disk. The rates are bytes a second; zero where they could not be measured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DiskMeasurements {
    /// What it is, as far as the system says.
    pub medium: DiskMedium,
    /// Each way that was tried, in the order of [`SyncWay`].
    pub syncs: Vec<SyncCost>,
    /// Written one after another and synced at the end.
    pub write_bytes_per_second: u64,
    /// Read back. The system was asked to forget what it had in memory; where it did not, this is memory's speed.
    pub read_bytes_per_second: u64,
}

impl DiskMeasurements {
    /// What one way costs, if it was tried.
    #[must_use]
    pub fn sync(&self, way: SyncWay) -> Option<&Distribution> {
        self.syncs.iter().find(|cost| cost.way == way && cost.nanos.count > 0).map(|cost| &cost.nanos)
    }
}

/// What was measured of a disk, and what follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DiskReport {
    /// What was measured.
    pub measurements: DiskMeasurements,
    /// What follows.
    pub advice: DiskAdvice,
}

/// How far a check is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckDiskProgress {
    /// What is measured now.
    pub phase: &'static str,
    /// How many phases are done, and how many there are.
    pub done: u64,
    /// All phases.
    pub total: u64,
}

/// Measures the disk that a folder is on, for about so long, and says which options suit it. A temporary file of at most 128 MiB
/// is written in the folder, and removed whatever comes; a process that is killed meanwhile leaves it, as
/// `check-disk-<process>.tmp`. What else uses the disk meanwhile is measured too, and is slowed down. `progress` is asked before
/// each write; `Break` ends it.
///
/// # Errors
/// `InvalidInput`: `duration` is less than a second, or more than ten minutes. `NotFound`: there is no such folder. `StorageFull`:
/// less than 256 MiB are free. `Aborted`: `progress` broke it off. `ReadOnly`, `Io`.
pub fn check_disk(
    directory: impl AsRef<Path>,
    duration: Duration,
    progress: &mut dyn FnMut(CheckDiskProgress) -> ControlFlow<()>,
) -> Result<DiskReport> {
    let measurements = probe::measure(directory.as_ref(), duration, progress)?;
    Ok(DiskReport { advice: DiskAdvice::of(&measurements), measurements })
}
