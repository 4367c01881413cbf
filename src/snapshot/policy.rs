//! When a snapshot is made.

use std::num::NonZeroU32;

use crate::types::Version;

/// When a snapshot of an aggregate is made by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotPolicy {
    /// After this many events since the last one.
    EveryEvents(NonZeroU32),
    /// Only when asked for.
    Never,
}

impl SnapshotPolicy {
    /// Whether an aggregate at `version` whose last snapshot is of `last_snapshot_version` (zero: it has none) is due.
    #[must_use]
    pub fn is_due(self, last_snapshot_version: Version, version: Version) -> bool {
        match self {
            Self::EveryEvents(events) => {
                version.get().saturating_sub(last_snapshot_version.get()) >= u64::from(events.get())
            }
            Self::Never => false,
        }
    }
}

impl Default for SnapshotPolicy {
    /// Every 100 events: a load then replays fewer than 100, about as long as one durable append takes.
    fn default() -> Self {
        Self::EveryEvents(const { NonZeroU32::new(100).unwrap() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_due_after_that_many_events_since_the_last() {
        let policy = SnapshotPolicy::EveryEvents(NonZeroU32::new(10).unwrap());
        let is_due = |last, version| policy.is_due(Version::new(last), Version::new(version));
        assert!(!is_due(0, 9));
        assert!(is_due(0, 10));
        assert!(is_due(0, 25), "one commit may go past it");
        assert!(!is_due(25, 34));
        assert!(is_due(25, 35));
        assert!(!is_due(35, 25), "a snapshot of a later version than what was loaded");
        assert!(!SnapshotPolicy::Never.is_due(Version::ZERO, Version::MAX));
    }
}
