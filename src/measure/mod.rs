//! Counters and histograms that cost next to nothing to count in.
//!
//! Nothing is decided by them and nothing waits for them, so they are never a model checker's: each would be one more place for
//! a checker to switch threads at, and none of the orders it tried would differ in what the store does. All accesses are
//! relaxed; who reads several of them at once may see one of two counts that belong together.

mod histogram;
mod log;

use std::time::Duration;

use crate::sync::Ordering;
use crate::sync::leaf::AtomicU64;

pub use histogram::Distribution;
pub(crate) use histogram::Histogram;
#[cfg(feature = "metrics")]
pub(crate) use histogram::value_of;
pub(crate) use log::{LogMeasures, Stopwatch};

/// A count that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter {
    count: AtomicU64,
}

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        self.count.fetch_add(count, Ordering::Relaxed);
    }

    /// The same where a lock sees to it that nobody else adds to it: without a locked instruction.
    #[inline]
    pub(crate) fn add_alone(&self, count: u64) {
        self.count.store(self.count.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}

/// How many in a second, where so many took so long; `None` where no time passed.
pub(crate) fn per_second(count: u64, spent: Duration) -> Option<u64> {
    let rate = (u128::from(count) * 1_000_000_000).checked_div(spent.as_nanos());
    rate.and_then(|rate| u64::try_from(rate).ok())
}
