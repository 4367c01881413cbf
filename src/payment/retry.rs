//! How long to wait before a command is sent again, and how often.

use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};

/// A longer wait than this is no retry: nobody stands at a till for a day.
const LONGEST_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Delays between attempts of one command to the gateway.
///
/// The first time that the gateway did not answer it is asked at once, and where it says that it has not seen the command, the
/// command is sent again at once; these delays begin when that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// After the first attempt.
    pub initial: Duration,
    /// Each delay is this many times the one before.
    pub factor: u32,
    /// No delay is longer. At most a day.
    pub longest: Duration,
    /// Attempts of one command, the first one included.
    pub attempts_max: u32,
}

impl Default for RetryPolicy {
    /// 5, 10, 20, 40 seconds; 5 attempts.
    fn default() -> Self {
        Self { initial: Duration::from_secs(5), factor: 2, longest: Duration::from_secs(40), attempts_max: 5 }
    }
}

impl RetryPolicy {
    /// For a gateway next door: 5, 10, 20, 40 milliseconds; 5 attempts.
    #[must_use]
    pub const fn short() -> Self {
        Self { initial: Duration::from_millis(5), factor: 2, longest: Duration::from_millis(40), attempts_max: 5 }
    }

    /// How long to wait after this attempt (from 1) before the next.
    #[must_use]
    pub fn delay(&self, attempt: u32) -> Duration {
        let times = self.factor.checked_pow(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
        self.initial.saturating_mul(times).min(self.longest)
    }

    /// Checks every field.
    ///
    /// # Errors
    /// `InvalidInput`: no attempt is allowed, delays would shrink, or be longer than a day.
    pub fn check(&self) -> Result<()> {
        let invalid = |text: &str| Err(Error::new(ErrorKind::InvalidInput, text));
        if self.attempts_max == 0 {
            return invalid("retries: attempts_max is 0, must be at least 1");
        }
        if self.factor == 0 {
            return invalid("retries: factor is 0, must be at least 1");
        }
        if self.longest > LONGEST_MAX {
            return invalid("retries: longest is more than a day");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_by_the_factor_up_to_the_longest() {
        let policy = RetryPolicy::default();
        let seconds: Vec<u64> = (1..=6).map(|attempt| policy.delay(attempt).as_secs()).collect();
        assert_eq!(seconds, [5, 10, 20, 40, 40, 40]);
        assert_eq!(policy.delay(u32::MAX), policy.longest);
        assert_eq!(policy.delay(0), policy.initial);
    }

    #[test]
    fn a_policy_without_attempts_or_with_shrinking_or_endless_delays_is_refused() {
        assert!(RetryPolicy::default().check().is_ok());
        assert!(RetryPolicy::short().check().is_ok());
        let none = RetryPolicy { attempts_max: 0, ..RetryPolicy::default() };
        let shrinking = RetryPolicy { factor: 0, ..RetryPolicy::default() };
        let endless = RetryPolicy { longest: LONGEST_MAX + Duration::from_nanos(1), ..RetryPolicy::default() };
        assert!(RetryPolicy { longest: LONGEST_MAX, ..RetryPolicy::default() }.check().is_ok(), "at the limit");
        for policy in [none, shrinking, endless] {
            assert_eq!(policy.check().unwrap_err().kind(), ErrorKind::InvalidInput);
        }
    }
}
