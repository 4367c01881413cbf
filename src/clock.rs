//! Where time comes from.
//!
//! A [`Clock`] gives the wall's time, which may jump either way. The store's time never runs backwards: it is
//! the later of the last commit's time and the clock's, see [`store_time`].

use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use crate::sync::Ordering;
use crate::sync::leaf::AtomicU64;
use crate::types::Timestamp;

/// A source of wall-clock time.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The time on the wall now.
    fn now(&self) -> Timestamp;

    /// The time since some moment, to tell how long a thing takes. The wall's time will not do, for it may be set.
    fn elapsed(&self) -> Duration {
        static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);
        STARTED.elapsed()
    }
}

/// The operating system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the system's clock")]
    fn now(&self) -> Timestamp {
        // A wall clock before 1970 is a dead battery; store time then continues from the last event.
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp::EPOCH.plus(since)
    }
}

/// A clock that stands until it is set, for tests and simulations. Clones share the time.
#[derive(Clone, Debug, Default)]
pub struct ManualClock {
    micros: Arc<AtomicU64>,
}

impl ManualClock {
    /// A clock that shows `start`.
    #[must_use]
    pub fn new(start: Timestamp) -> Self {
        let clock = Self::default();
        clock.set(start);
        clock
    }

    /// Sets the time, forwards or backwards.
    pub fn set(&self, time: Timestamp) {
        self.micros.store(time.as_micros().cast_unsigned(), Ordering::SeqCst);
    }

    /// Moves the time forwards.
    pub fn advance(&self, duration: Duration) {
        self.set(self.now().plus(duration));
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.micros.load(Ordering::SeqCst).cast_signed())
    }

    /// Its own time, so that what a simulation writes down is the same each time.
    fn elapsed(&self) -> Duration {
        Duration::from_micros(self.micros.load(Ordering::SeqCst))
    }
}

/// The store's time: the wall's, but never before the last commit's.
#[must_use]
pub fn store_time(wall: Timestamp, last_commit: Timestamp) -> Timestamp {
    wall.max(last_commit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn store_time_stands_still_while_the_clock_is_behind() {
        let last = Timestamp::from_micros(1_000);
        assert_eq!(store_time(Timestamp::from_micros(10), last), last);
        assert_eq!(store_time(Timestamp::from_micros(2_000), last), Timestamp::from_micros(2_000));
    }
}
