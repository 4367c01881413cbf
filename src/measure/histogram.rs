//! A histogram with log-linear buckets: exact for small values, and within a sixteenth for all others.

use serde::{Deserialize, Serialize};

use crate::sync::Ordering;
use crate::sync::leaf::AtomicU64;

/// Each power of two has so many buckets, as a power of two.
const STEP_BITS: u32 = 4;
/// Values of that many bits and more are all in the last bucket: as nanoseconds, half an hour.
const VALUE_BITS: u32 = 41;
const STEPS: usize = 1 << STEP_BITS;

/// How many buckets there are.
const BUCKETS: usize = STEPS * (VALUE_BITS - STEP_BITS + 1) as usize;

/// How often which value was met. 5 KiB.
#[derive(Debug)]
pub(crate) struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    sum: AtomicU64,
    max: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: [const { AtomicU64::new(0) }; BUCKETS], sum: AtomicU64::new(0), max: AtomicU64::new(0) }
    }
}

/// The bucket that a value is in.
#[inline]
fn bucket_of(value: u64) -> usize {
    let value = value.min((1 << VALUE_BITS) - 1);
    // A value below two steps' worth has no bits to lose.
    let shift = (63 - STEP_BITS).saturating_sub((value | 1).leading_zeros());
    let bucket = (u64::from(shift) << STEP_BITS) + (value >> shift);
    usize::try_from(bucket).unwrap_or(0)
}

/// The middle of a bucket.
pub(crate) fn value_of(bucket: usize) -> u64 {
    let bucket = u64::try_from(bucket).unwrap_or(0);
    let steps = 1 << STEP_BITS;
    let shift = (bucket >> STEP_BITS).saturating_sub(1);
    let lowest = (bucket - shift * steps) << shift;
    lowest + ((1 << shift) >> 1)
}

impl Histogram {
    #[inline]
    pub(crate) fn record(&self, value: u64) {
        if let Some(bucket) = self.buckets.get(bucket_of(value)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.note(value);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// The same where a lock sees to it that nobody else records in it: without a locked instruction.
    #[inline]
    pub(crate) fn record_alone(&self, value: u64) {
        let add =
            |cell: &AtomicU64, more| cell.store(cell.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
        if let Some(bucket) = self.buckets.get(bucket_of(value)) {
            add(bucket, 1);
        }
        self.note(value);
        add(&self.sum, value);
    }

    #[inline]
    fn note(&self, value: u64) {
        if value > self.max.load(Ordering::Relaxed) {
            self.max.fetch_max(value, Ordering::Relaxed);
        }
    }

    /// How often each bucket was met.
    pub(crate) fn counts(&self) -> Vec<u64> {
        self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect()
    }

    pub(crate) fn distribution(&self) -> Distribution {
        let (counts, max) = (self.counts(), self.max.load(Ordering::Relaxed));
        Distribution::of(&counts, self.sum.load(Ordering::Relaxed), max)
    }
}

/// Many values in short. A percentile is within a sixteenth of the true one; `max` and `sum` are exact. All are zero where nothing
/// was met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Distribution {
    /// How many there were.
    pub count: u64,
    /// All of them together.
    pub sum: u64,
    /// Half are at most this.
    pub p50: u64,
    /// Nine in ten are at most this.
    pub p90: u64,
    /// 99 in a hundred are at most this.
    pub p99: u64,
    /// The largest.
    pub max: u64,
}

impl Distribution {
    fn of(counts: &[u64], sum: u64, max: u64) -> Self {
        let count: u64 = counts.iter().sum();
        let at = |hundredths: u64| {
            let wanted = (u128::from(count) * u128::from(hundredths)).div_ceil(100);
            let mut met = 0u128;
            let bucket = counts.iter().position(|count| {
                met += u128::from(*count);
                met >= wanted.max(1)
            });
            bucket.map_or(0, |bucket| value_of(bucket).min(max))
        };
        Self { count, sum, p50: at(50), p90: at(90), p99: at(99), max }
    }

    /// The distribution of these values.
    pub(crate) fn of_values(values: impl IntoIterator<Item = u64>) -> Self {
        let histogram = Histogram::default();
        values.into_iter().for_each(|value| histogram.record_alone(value));
        histogram.distribution()
    }

    /// The mean; zero where nothing was met.
    #[must_use]
    pub fn mean(&self) -> u64 {
        self.sum.checked_div(self.count).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_values_have_buckets_of_their_own() {
        for value in 0..32 {
            assert_eq!(value_of(bucket_of(value)), value);
        }
    }

    #[test]
    fn every_value_is_within_a_sixteenth_of_its_bucket_and_buckets_are_in_order() {
        let mut values: Vec<u64> = (0..10_000).collect();
        for bits in 5..VALUE_BITS {
            values.extend([(1 << bits) - 1, 1 << bits, (1 << bits) + 1, (1 << bits) + (1 << (bits - 1))]);
        }
        values.sort_unstable();
        let mut before = 0;
        for value in values {
            let bucket = bucket_of(value);
            assert!(bucket >= before && bucket < BUCKETS, "{value}");
            assert!(value_of(bucket).abs_diff(value) * 16 <= value, "{value} is shown as {}", value_of(bucket));
            before = bucket;
        }
        assert_eq!(bucket_of((1 << VALUE_BITS) - 1), BUCKETS - 1);
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn a_distribution_tells_percentiles_sum_and_maximum() {
        let distribution = Distribution::of_values(1..=1_000);
        assert_eq!((distribution.count, distribution.sum, distribution.max), (1_000, 500_500, 1_000));
        assert_eq!(distribution.mean(), 500);
        for (told, truly) in [(distribution.p50, 500u64), (distribution.p90, 900), (distribution.p99, 990)] {
            assert!(told.abs_diff(truly) * 16 <= truly, "{told} for {truly}");
        }
        assert_eq!(Distribution::of_values([]), Distribution::default());
        let one = Distribution::of_values([7]);
        assert_eq!((one.p50, one.p90, one.p99, one.max, one.count), (7, 7, 7, 7, 1));
    }

    #[test]
    fn a_percentile_is_never_above_the_maximum() {
        let distribution = Distribution::of_values([1_000_001, 1_000_001]);
        assert!(distribution.p99 <= distribution.max);
        assert_eq!(distribution.max, 1_000_001);
    }

    #[test]
    fn what_many_threads_record_is_all_there() {
        let histogram = Histogram::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1_000).for_each(|value| histogram.record(value)));
            }
        });
        let distribution = histogram.distribution();
        assert_eq!((distribution.count, distribution.sum, distribution.max), (4_000, 4 * 499_500, 999));
    }
}
