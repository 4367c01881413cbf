//! How long to wait before a command is sent again, and how often.

use std::time::Duration;

use super::gateway::GatewayCommand;
use crate::error::{Error, ErrorKind, Result};

/// A longer wait than this is no retry: nobody stands at a till for a day.
const LONGEST_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// An attempt that takes longer than this is none either.
const ATTEMPT_TIME_LIMIT_MAX: Duration = LONGEST_MAX;

/// Commands to the gateway, as a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CommandSet(u8);

impl CommandSet {
    /// Nothing.
    #[must_use]
    pub const fn none() -> Self {
        Self(0)
    }

    /// The same, and this command.
    #[must_use]
    pub const fn with(self, command: GatewayCommand) -> Self {
        Self(self.0 | Self::bit(command))
    }

    /// Whether a command is in it.
    #[must_use]
    pub const fn contains(self, command: GatewayCommand) -> bool {
        self.0 & Self::bit(command) != 0
    }

    const fn bit(command: GatewayCommand) -> u8 {
        match command {
            GatewayCommand::Authorise => 1,
            GatewayCommand::Capture => 1 << 1,
            GatewayCommand::Void => 1 << 2,
            GatewayCommand::Refund => 1 << 3,
            GatewayCommand::Settle => 1 << 4,
        }
    }
}

/// Attempts of one command to the gateway, and the delays between them.
///
/// The first time that the gateway did not answer it is asked at once, and where it says that it has not seen the command, the
/// command is sent again at once; these delays begin when that fails. An answer that refuses for good is never followed by
/// another attempt, and one that was not sent for want of a network does not count as an attempt. Up to the pivot the
/// payment's deadline ends every wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// After the first attempt.
    pub initial: Duration,
    /// Each delay is this many times the one before.
    pub factor: u32,
    /// No delay is longer, but for its jitter. At most a day.
    pub longest: Duration,
    /// Attempts of one command, the first one included. An operator's retry begins anew.
    pub attempts_max: u32,
    /// What is added to a delay at most, per cent of it: drawn from the payment's id, the command and the attempt, so that the
    /// payments of one power cut do not come back all at once, and each comes back at the same time whoever decides it. At
    /// most 100.
    pub jitter_percent: u32,
    /// How long one call to the gateway may take: from one millisecond to a day. It is handed to the gateway, which keeps it
    /// ([`limit_attempts`](super::PaymentGateway::limit_attempts)).
    pub attempt_time_limit: Duration,
    /// Commands that are sent once for each operator's decision: if no answer comes they are asked about, and given up if that
    /// leads to nothing.
    pub never_retried: CommandSet,
}

impl Default for RetryPolicy {
    /// 5, 10, 20, 40 seconds, each up to a tenth longer; 5 attempts of at most 30 seconds.
    fn default() -> Self {
        Self {
            initial: Duration::from_secs(5),
            longest: Duration::from_secs(40),
            attempt_time_limit: Duration::from_secs(30),
            ..Self::short()
        }
    }
}

impl RetryPolicy {
    /// For a gateway next door: 5, 10, 20, 40 milliseconds, each up to a tenth longer; 5 attempts of at most a second.
    #[must_use]
    pub const fn short() -> Self {
        Self {
            initial: Duration::from_millis(5),
            factor: 2,
            longest: Duration::from_millis(40),
            attempts_max: 5,
            jitter_percent: 10,
            attempt_time_limit: Duration::from_secs(1),
            never_retried: CommandSet::none(),
        }
    }

    /// How long to wait after this attempt (from 1) before the next, without its jitter.
    #[must_use]
    pub fn delay(&self, attempt: u32) -> Duration {
        let times = self.factor.checked_pow(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
        self.initial.saturating_mul(times).min(self.longest)
    }

    /// What comes on top of `delay` after this attempt of a command for a payment. The same for the same.
    #[must_use]
    pub fn jitter(&self, delay: Duration, payment_id: &str, command: GatewayCommand, attempt: u32) -> Duration {
        let most = u64::try_from(delay.as_micros()).unwrap_or(u64::MAX) / 100;
        let most = most.saturating_mul(self.jitter_percent.into());
        // The command's id is a hash of just these three.
        let (_, drawn) = command.command_id(payment_id, attempt).as_u64_pair();
        Duration::from_micros(drawn % most.saturating_add(1))
    }

    /// Attempts of a command that lead to nothing before it is given up.
    pub(crate) fn attempts_max_of(&self, command: GatewayCommand) -> u32 {
        if self.never_retried.contains(command) { 1 } else { self.attempts_max }
    }

    /// Checks every field.
    ///
    /// # Errors
    /// `InvalidInput`: no attempt is allowed, delays would shrink, or be longer than a day, a jitter is more than what it is of,
    /// or an attempt has no time, or more than a day.
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
        if self.jitter_percent > 100 {
            return invalid("retries: jitter_percent is more than 100");
        }
        if self.attempt_time_limit < Duration::from_millis(1) || self.attempt_time_limit > ATTEMPT_TIME_LIMIT_MAX {
            return invalid("retries: attempt_time_limit must be from a millisecond to a day");
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
    fn jitter_is_within_its_share_the_same_for_the_same_and_differs_between_payments() {
        let policy = RetryPolicy::default();
        let delay = policy.delay(1);
        let of =
            |payment: u32, attempt| policy.jitter(delay, &format!("p{payment}"), GatewayCommand::Authorise, attempt);
        let drawn: std::collections::BTreeSet<Duration> = (0..200).map(|payment| of(payment, 1)).collect();
        assert!(drawn.iter().all(|jitter| *jitter <= delay / 10), "at most ten per cent");
        assert!(drawn.len() > 190, "spread: {}", drawn.len());
        assert!(drawn.last().unwrap() > &(delay / 12), "over the whole share");
        assert_eq!(of(7, 1), of(7, 1));
        assert_ne!(of(7, 1), of(7, 2));
        assert_ne!(of(7, 1), policy.jitter(delay, "p7", GatewayCommand::Void, 1));
        let still = RetryPolicy { jitter_percent: 0, ..policy };
        assert_eq!(still.jitter(delay, "p7", GatewayCommand::Void, 1), Duration::ZERO);
    }

    #[test]
    fn a_set_of_commands_holds_what_was_put_in() {
        let set = CommandSet::none().with(GatewayCommand::Void).with(GatewayCommand::Settle);
        let held: Vec<_> = GatewayCommand::ALL.into_iter().filter(|command| set.contains(*command)).collect();
        assert_eq!(held, [GatewayCommand::Void, GatewayCommand::Settle]);
        let policy = RetryPolicy { never_retried: set, ..RetryPolicy::default() };
        assert_eq!(
            (policy.attempts_max_of(GatewayCommand::Void), policy.attempts_max_of(GatewayCommand::Capture)),
            (1, 5)
        );
    }

    #[test]
    fn a_policy_without_attempts_or_with_shrinking_or_endless_delays_is_refused() {
        assert!(RetryPolicy::default().check().is_ok());
        assert!(RetryPolicy::short().check().is_ok());
        let none = RetryPolicy { attempts_max: 0, ..RetryPolicy::default() };
        let shrinking = RetryPolicy { factor: 0, ..RetryPolicy::default() };
        let endless = RetryPolicy { longest: LONGEST_MAX + Duration::from_nanos(1), ..RetryPolicy::default() };
        assert!(RetryPolicy { longest: LONGEST_MAX, ..RetryPolicy::default() }.check().is_ok(), "at the limit");
        let shaken = RetryPolicy { jitter_percent: 101, ..RetryPolicy::default() };
        let hasty = RetryPolicy { attempt_time_limit: Duration::ZERO, ..RetryPolicy::default() };
        for policy in [none, shrinking, endless, shaken, hasty] {
            assert_eq!(policy.check().unwrap_err().kind(), ErrorKind::InvalidInput);
        }
    }
}
