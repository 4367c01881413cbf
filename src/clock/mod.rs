//! Where time comes from.
//!
//! A [`Clock`] gives the wall's time, which may jump either way. The store's time never runs backwards: it is
//! the later of the last commit's time and the clock's, see [`store_time`]. Nor does it follow every jump ahead, see
//! [`ClockState`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::sync::Ordering;
use crate::sync::leaf::AtomicU64;
use crate::types::Timestamp;

#[cfg(test)]
mod tests;
mod trust;

pub use trust::ClockState;
pub(crate) use trust::StoreClock;

/// A source of wall-clock time.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The time on the wall now.
    fn now(&self) -> Timestamp;

    /// The time since some moment, which only counts: to tell how long a thing takes, and whether the wall's time jumped. By
    /// default the system's; a clock that is moved by hand must give its own, or each move looks like a jump.
    fn elapsed(&self) -> Duration {
        system_elapsed()
    }
}

/// The time since the machine was started, with what it slept: after a night's sleep the wall has not jumped.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn system_elapsed() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// The time since this was asked first.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn system_elapsed() -> Duration {
    static STARTED: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
    STARTED.elapsed()
}

/// The operating system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    // The standard library's way takes twice as many instructions, and each commit asks twice.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn now(&self) -> Timestamp {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
        // A wall clock before 1970 is a dead battery; store time then continues from the last event.
        let micros = i64::from(u32::try_from(time.tv_nsec).unwrap_or(0) / 1_000);
        Timestamp::from_micros(time.tv_sec.max(0).saturating_mul(1_000_000).saturating_add(micros))
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the system's clock")]
    fn now(&self) -> Timestamp {
        // As above.
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp::EPOCH.plus(since)
    }
}

/// A clock that stands until it is set, for tests and simulations. Clones share the time.
///
/// It has a monotonic time of its own, which goes on as far as the clock is moved forwards, except by [`jump`](Self::jump).
#[derive(Clone, Debug, Default)]
pub struct ManualClock {
    micros: Arc<AtomicU64>,
    elapsed_micros: Arc<AtomicU64>,
}

impl ManualClock {
    /// A clock that shows `start`.
    #[must_use]
    pub fn new(start: Timestamp) -> Self {
        let clock = Self::default();
        clock.jump(start);
        clock
    }

    /// Sets the time, forwards or backwards: forwards as if so much time had passed.
    pub fn set(&self, time: Timestamp) {
        let passed = time.since(self.now());
        self.jump(time);
        self.pass(passed);
    }

    /// Moves the time forwards.
    pub fn advance(&self, duration: Duration) {
        self.set(self.now().plus(duration));
    }

    /// Sets the time as a hand sets a clock on the wall: no time has passed.
    pub fn jump(&self, time: Timestamp) {
        self.micros.store(time.as_micros().cast_unsigned(), Ordering::SeqCst);
    }

    /// Lets time pass that the wall does not show, as with a clock that stands.
    pub fn pass(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.elapsed_micros.fetch_add(micros, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.micros.load(Ordering::SeqCst).cast_signed())
    }

    /// Its own time, so that what a simulation writes down is the same each time.
    fn elapsed(&self) -> Duration {
        Duration::from_micros(self.elapsed_micros.load(Ordering::SeqCst))
    }
}

/// How far the wall's clock was from the last commit when a store was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClockStep {
    /// It was so much later: the machine was off for so long, or nothing was committed for so long, or the clock was set.
    Ahead(Duration),
    /// It was so much earlier: the clock was set back, or its battery is dead. Store time stands still until it is set right.
    Behind(Duration),
}

impl ClockStep {
    /// The step from the last commit to the wall; `None` where it is less than `at_least`.
    pub(crate) fn between(last_commit: Timestamp, wall: Timestamp, at_least: Duration) -> Option<Self> {
        let (ahead, behind) = (wall.since(last_commit), last_commit.since(wall));
        if ahead.max(behind) < at_least || ahead == behind {
            None
        } else if ahead > behind {
            Some(Self::Ahead(ahead))
        } else {
            Some(Self::Behind(behind))
        }
    }
}

/// The store's time: the wall's, but never before the last commit's.
#[must_use]
pub fn store_time(wall: Timestamp, last_commit: Timestamp) -> Timestamp {
    wall.max(last_commit)
}
