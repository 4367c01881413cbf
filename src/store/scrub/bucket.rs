//! How fast a scrub may read: a token bucket, as a pure decision over a clock that only counts.

use std::time::Duration;

/// What may be read at once after a pause: a window of a scan.
pub(super) const BURST_BYTES: u64 = 256 * 1024;

/// Says how long to wait for what was read. What is read at once may be more than was saved up; it is waited for afterwards.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    /// Bytes a second; `None` for no bound.
    rate: Option<u64>,
    /// When all that was read so far is paid for.
    paid: Duration,
}

impl Bucket {
    /// A bucket that is full at `now`.
    pub(super) fn new(rate: Option<u64>, now: Duration) -> Self {
        Self { rate: rate.filter(|rate| *rate > 0), paid: now.saturating_sub(cost(BURST_BYTES, rate.unwrap_or(0))) }
    }

    /// Notes that so many bytes were read.
    pub(super) fn spend(&mut self, bytes: u64, now: Duration) {
        let Some(rate) = self.rate else { return };
        // What was not used in a pause is saved up to one burst, and no further.
        let floor = now.saturating_sub(cost(BURST_BYTES, rate));
        self.paid = self.paid.max(floor) + cost(bytes, rate);
    }

    /// How long to wait at `now` before more is read, in whole microseconds: no clock tells less.
    pub(super) fn wait(&self, now: Duration) -> Duration {
        let left = if self.rate.is_none() { Duration::ZERO } else { self.paid.saturating_sub(now) };
        Duration::from_micros(u64::try_from(left.as_micros()).unwrap_or(u64::MAX))
    }
}

/// How long so many bytes take at a rate.
fn cost(bytes: u64, rate: u64) -> Duration {
    let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(rate.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, ManualClock};

    const MIB: u64 = 1024 * 1024;

    /// Reads so many pieces as fast as it may; how long that takes by the clock.
    fn read(bucket: &mut Bucket, clock: &ManualClock, pieces: u64, piece: u64) -> Duration {
        let start = clock.elapsed();
        for _ in 0..pieces {
            bucket.spend(piece, clock.elapsed());
            clock.advance(bucket.wait(clock.elapsed()));
        }
        clock.elapsed() - start
    }

    fn seconds(rate: Option<u64>, pieces: u64, piece: u64) -> f64 {
        let clock = ManualClock::default();
        clock.advance(Duration::from_secs(1_000));
        let mut bucket = Bucket::new(rate, clock.elapsed());
        read(&mut bucket, &clock, pieces, piece).as_secs_f64()
    }

    #[test]
    fn what_is_read_takes_as_long_as_the_rate_says_whatever_the_pieces() {
        for piece in [4096, 64 * 1024, 256 * 1024, MIB] {
            let took = seconds(Some(2 * MIB), 64 * MIB / piece, piece);
            // All but the first burst is waited for.
            assert!((31.5..=32.0).contains(&took), "{took} s in pieces of {piece}");
        }
        assert!(seconds(None, 1_000, MIB) == 0.0 && seconds(Some(0), 1_000, MIB) == 0.0);
    }

    #[test]
    fn a_pause_saves_up_one_burst_and_no_more() {
        let clock = ManualClock::default();
        let mut bucket = Bucket::new(Some(MIB), clock.elapsed());
        read(&mut bucket, &clock, 10, MIB);
        clock.advance(Duration::from_secs(3_600));
        let took = read(&mut bucket, &clock, 10, MIB).as_secs_f64();
        assert!((9.7..=9.8).contains(&took), "{took} s after an hour's pause");
    }

    #[test]
    fn a_slow_reader_is_not_made_slower() {
        let clock = ManualClock::default();
        let mut bucket = Bucket::new(Some(MIB), clock.elapsed());
        for _ in 0..100 {
            clock.advance(Duration::from_secs(2));
            bucket.spend(MIB, clock.elapsed());
            assert!(bucket.wait(clock.elapsed()) <= Duration::from_secs(1));
        }
    }

    #[test]
    fn no_number_is_too_large() {
        let mut bucket = Bucket::new(Some(1), Duration::ZERO);
        bucket.spend(u64::MAX, Duration::ZERO);
        assert!(bucket.wait(Duration::ZERO) > Duration::from_secs(1_000_000));
        bucket.spend(u64::MAX, Duration::from_secs(1));
    }
}
