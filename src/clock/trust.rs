//! How far the wall's clock is to be believed while a store is open.
//!
//! The wall's clock may be set, by a time server, an operator, or a fault; the monotonic one only counts. Both start from an
//! anchor when a store is opened. From then on the wall is believed until it is more than a bound ahead of what the monotonic
//! clock makes of the anchor; then it is suspect, and time goes on by the monotonic clock alone.
//!
//! The anchor does not simply move to each time that was believed: a clock that jumps by a little less than the bound, again and
//! again, would be followed anywhere. It follows the wall by a thousandth of the time that passed, no more: enough for a quartz
//! that a time server sets right once a day for a year, and too little for a jump to hide in.

use std::time::Duration;

use super::{Clock, store_time};
use crate::sync::Ordering;
use crate::sync::leaf::{AtomicI64, Mutex};
use crate::types::Timestamp;

/// How often the anchor follows the wall.
const FOLLOW_AFTER: Duration = Duration::from_secs(3_600);

/// The anchor follows by one part in so many of the time since it was set: ten times what a bad quartz goes wrong by.
const FOLLOW_DIVISOR: u32 = 1_000;

/// Whether the wall's clock is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockState {
    /// It is. Store time is the wall's, or stands still while the wall is behind it.
    Trusted,
    /// It jumped ahead by more than [`Options::clock_step_max`](crate::Options::clock_step_max). Store time goes on by the
    /// monotonic clock, until the wall comes back or
    /// [`Store::accept_clock`](crate::Store::accept_clock) is called.
    Suspect {
        /// How far the wall is ahead of store time now.
        ahead_by: Duration,
        /// The store time at which that was first seen.
        since: Timestamp,
    },
}

/// What both clocks show at one moment. The wall is read first: a thread that is held up in between makes it seem late, which
/// does no harm, and never early.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    pub(super) wall: Timestamp,
    pub(super) elapsed: Duration,
}

impl Reading {
    fn of(clock: &dyn Clock) -> Self {
        let wall = clock.now();
        Self { wall, elapsed: clock.elapsed() }
    }
}

#[derive(Clone, Copy, Debug)]
struct Suspicion {
    /// Store time when it began.
    since: Timestamp,
    /// The monotonic time then.
    elapsed: Duration,
}

/// The decision what time it is, without the clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trust {
    step_max: Duration,
    anchor: Reading,
    suspicion: Option<Suspicion>,
}

impl Trust {
    /// Begins at an anchor; a wall that is further than `step_max` ahead of what follows from it is not believed.
    pub(super) fn start(anchor: Reading, step_max: Duration) -> Self {
        Self { step_max, anchor, suspicion: None }
    }

    /// What the wall would show if nobody had set it since the anchor.
    fn expected(&self, elapsed: Duration) -> Timestamp {
        self.anchor.wall.plus(elapsed.saturating_sub(self.anchor.elapsed))
    }

    /// The time that is believed. `given` is the latest that was given before.
    pub(super) fn read(&mut self, reading: Reading, given: Timestamp) -> Timestamp {
        let expected = self.expected(reading.elapsed);
        if reading.wall <= expected.plus(self.step_max) {
            self.suspicion = None;
            self.follow(reading, expected);
            return reading.wall;
        }
        // Time goes on from what was given already, which may be a little ahead of the anchor.
        let begun = Suspicion { since: expected.max(given), elapsed: reading.elapsed };
        let suspicion = *self.suspicion.get_or_insert(begun);
        expected.max(suspicion.since.plus(reading.elapsed.saturating_sub(suspicion.elapsed)))
    }

    /// Moves the anchor towards a wall that is believed, by a little.
    fn follow(&mut self, reading: Reading, expected: Timestamp) {
        let passed = reading.elapsed.saturating_sub(self.anchor.elapsed);
        if passed < FOLLOW_AFTER {
            return;
        }
        let most = micros(passed / FOLLOW_DIVISOR);
        let off_by = reading.wall.as_micros().saturating_sub(expected.as_micros());
        // A wall far behind is no better to go by than one far ahead; store time stands still meanwhile.
        let is_far_behind = expected.since(reading.wall) > self.step_max;
        let moved = if is_far_behind { 0 } else { off_by.clamp(-most, most) };
        let wall = Timestamp::from_micros(expected.as_micros().saturating_add(moved));
        self.anchor = Reading { wall, elapsed: reading.elapsed };
    }

    /// Believes the wall from now on. `time` is the store's, which the anchor never falls behind.
    pub(super) fn accept(&mut self, reading: Reading, time: Timestamp) {
        self.anchor = Reading { wall: reading.wall.max(time), elapsed: reading.elapsed };
        self.suspicion = None;
    }

    /// The latest wall time less the monotonic time, microseconds, that is believed without asking; and until which monotonic
    /// time that is so.
    fn easy(&self) -> (i64, i64) {
        if self.suspicion.is_some() {
            return (i64::MIN, i64::MIN);
        }
        if self.step_max == Duration::MAX {
            return (i64::MAX, i64::MAX);
        }
        let ahead = self.anchor.wall.plus(self.step_max).as_micros().saturating_sub(micros(self.anchor.elapsed));
        (ahead, micros(self.anchor.elapsed.saturating_add(FOLLOW_AFTER)))
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// A store's time: what is believed of a clock, and never less than was given before.
///
/// It is looked at for every command and every commit, so the usual answer takes two loads and a comparison beside reading the
/// clocks. The lock is a leaf: under it nothing is waited for.
#[derive(Debug)]
pub(crate) struct StoreClock {
    /// See [`Trust::easy`].
    easy_ahead: AtomicI64,
    easy_until: AtomicI64,
    /// The latest time that was given.
    given: AtomicI64,
    trust: Mutex<Trust>,
}

impl StoreClock {
    /// Begins with the wall's time, or the last commit's where the wall is behind it.
    pub(crate) fn start(clock: &dyn Clock, last_commit: Timestamp, step_max: Duration) -> Self {
        let reading = Reading::of(clock);
        let anchor = Reading { wall: reading.wall.max(last_commit), elapsed: reading.elapsed };
        let trust = Trust::start(anchor, step_max);
        let (ahead, until) = trust.easy();
        Self { easy_ahead: ahead.into(), easy_until: until.into(), given: i64::MIN.into(), trust: Mutex::new(trust) }
    }

    /// The time now, not before `last_commit`.
    pub(crate) fn now(&self, clock: &dyn Clock, last_commit: Timestamp) -> Timestamp {
        let reading = Reading::of(clock);
        let elapsed = micros(reading.elapsed);
        let is_easy = elapsed < self.easy_until.load(Ordering::Acquire)
            && reading.wall.as_micros().saturating_sub(elapsed) <= self.easy_ahead.load(Ordering::Acquire);
        if is_easy {
            return self.give(store_time(reading.wall, last_commit));
        }
        let mut trust = self.trust.lock();
        // Looked at again: others may have had the lock for long.
        let believed = self.read(&mut trust, Reading::of(clock));
        self.give(store_time(believed, last_commit))
    }

    /// Whether the clock is believed now.
    pub(crate) fn state(&self, clock: &dyn Clock, last_commit: Timestamp) -> ClockState {
        let mut trust = self.trust.lock();
        let reading = Reading::of(clock);
        let time = self.read(&mut trust, reading);
        let time = self.give(store_time(time, last_commit));
        match trust.suspicion {
            None => ClockState::Trusted,
            Some(suspicion) => ClockState::Suspect { ahead_by: reading.wall.since(time), since: suspicion.since },
        }
    }

    /// Believes the clock from now on; how far store time moves ahead by that.
    pub(crate) fn accept(&self, clock: &dyn Clock, last_commit: Timestamp) -> Duration {
        let mut trust = self.trust.lock();
        let reading = Reading::of(clock);
        let before = self.read(&mut trust, reading);
        let before = self.give(store_time(before, last_commit));
        trust.accept(reading, before);
        self.publish(&trust);
        self.give(reading.wall).since(before)
    }

    fn read(&self, trust: &mut Trust, reading: Reading) -> Timestamp {
        let was_suspect = trust.suspicion.is_some();
        let time = trust.read(reading, Timestamp::from_micros(self.given.load(Ordering::Acquire)));
        self.publish(trust);
        match (was_suspect, trust.suspicion) {
            (false, Some(_)) => {
                tracing::warn!(
                    ahead_seconds = reading.wall.since(time).as_secs(),
                    "the clock jumped ahead and is not followed until it comes back or is accepted"
                );
            }
            (true, None) => tracing::info!("the clock came back and is believed again"),
            _ => {}
        }
        time
    }

    /// A thread that sees one of the two old and one new takes an answer that was right a moment ago.
    fn publish(&self, trust: &Trust) {
        let (ahead, until) = trust.easy();
        self.easy_ahead.store(ahead, Ordering::Release);
        self.easy_until.store(until, Ordering::Release);
    }

    fn give(&self, time: Timestamp) -> Timestamp {
        let before = self.given.fetch_max(time.as_micros(), Ordering::AcqRel);
        time.max(Timestamp::from_micros(before))
    }
}
