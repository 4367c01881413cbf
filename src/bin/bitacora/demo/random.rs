//! Repeatable numbers: the same seed makes the same day and draws the same moments.

/// SplitMix64: small, and good enough to make up a day's business.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from zero to one less than `end`, which is at least one.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        debug_assert!(end > 0, "nothing can be drawn from an empty range");
        // The bias of a remainder is below 2^-40 for the ranges that are drawn from here.
        self.next().checked_rem(end).unwrap_or(0)
    }

    /// A number from `first` to `last`, both included.
    pub(crate) fn between(&mut self, first: u64, last: u64) -> u64 {
        debug_assert!(first <= last, "a range has its ends in order");
        first.saturating_add(self.below(last.saturating_sub(first).saturating_add(1)))
    }

    /// One of `choices`, which are not empty.
    pub(crate) fn one_of<'a, T>(&mut self, choices: &'a [T]) -> Option<&'a T> {
        let count = u64::try_from(choices.len()).unwrap_or(u64::MAX).max(1);
        choices.get(usize::try_from(self.below(count)).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_numbers_within_their_range() {
        let draw = |seed| {
            let mut random = Random::new(seed);
            (0..100).map(|_| random.between(3, 9)).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert!(draw(7).iter().all(|number| (3..=9).contains(number)));
        assert!(draw(7).contains(&3) && draw(7).contains(&9));
    }
}
