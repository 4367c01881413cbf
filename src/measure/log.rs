//! What is counted of an open store.
//!
//! The counts of the commit path are made once for each group, by the caller that leads it and under the writer's lock, so
//! that they need no locked instruction; of a single commit only the time is taken when it comes.

use std::time::Instant;

use super::{Counter, Histogram};
use crate::sync::Ordering;
use crate::sync::leaf::AtomicU64;

/// Where commits are not synced one by one, the time is taken of one in so many: two looks at the clock are a twentieth of such a
/// commit.
const TIMED_ONE_IN: u64 = 16;

/// When something began, nanoseconds since the store was opened; zero where the time is not taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stopwatch(u64);

/// What is counted of an open store. Times are nanoseconds.
#[derive(Debug)]
pub(crate) struct LogMeasures {
    origin: Instant,
    /// Of these, who holds the writer's lock adds to them alone.
    pub(crate) commits: Counter,
    pub(crate) events: Counter,
    pub(crate) payload_bytes: Counter,
    /// Frames with their padding, marks included.
    pub(crate) log_bytes: Counter,
    pub(crate) padding_bytes: Counter,
    /// Written ahead of small groups; what a spare is filled with is not among them.
    pub(crate) zero_bytes: Counter,
    pub(crate) writes: Counter,
    pub(crate) commit_nanos: Histogram,
    /// Of each sync, what it made durable; a sync of nothing is not among them.
    pub(crate) sync_commits: Histogram,
    pub(crate) sync_events: Histogram,
    /// The commits and the events that the syncs so far have covered.
    covered: [AtomicU64; 2],
    /// When the last sync ended.
    synced_at: AtomicU64,
    /// Of these, anybody adds to them.
    pub(crate) rolls: Counter,
    pub(crate) sync_nanos: Histogram,
    pub(crate) sync_failures: Counter,
    pub(crate) seals: Counter,
    pub(crate) seal_nanos: Counter,
    pub(crate) ingests: Counter,
    pub(crate) ingested_events: Counter,
    pub(crate) ingest_nanos: Counter,
    /// A commit waited because the answer hung on one in flight, and because the forming group was full.
    pub(crate) waits_for_commit: Counter,
    pub(crate) waits_for_room: Counter,
    /// Heads and keys that were looked up in the index, because neither a tail nor a commit in flight knew them.
    pub(crate) index_lookups: Counter,
    pub(crate) repeats: Counter,
    pub(crate) conflicts: Counter,
    pub(crate) full_refusals: Counter,
    pub(crate) read_events: Counter,
    pub(crate) read_bytes: Counter,
    /// What a recorder of metrics was told of each histogram; empty before the first time.
    #[cfg(feature = "metrics")]
    pub(crate) told: crate::sync::leaf::Mutex<Vec<Vec<u64>>>,
}

impl Default for LogMeasures {
    fn default() -> Self {
        Self {
            origin: Instant::now(),
            commits: Counter::default(),
            events: Counter::default(),
            payload_bytes: Counter::default(),
            log_bytes: Counter::default(),
            padding_bytes: Counter::default(),
            zero_bytes: Counter::default(),
            writes: Counter::default(),
            rolls: Counter::default(),
            commit_nanos: Histogram::default(),
            sync_commits: Histogram::default(),
            sync_events: Histogram::default(),
            covered: Default::default(),
            synced_at: AtomicU64::new(0),
            sync_nanos: Histogram::default(),
            sync_failures: Counter::default(),
            seals: Counter::default(),
            seal_nanos: Counter::default(),
            ingests: Counter::default(),
            ingested_events: Counter::default(),
            ingest_nanos: Counter::default(),
            waits_for_commit: Counter::default(),
            waits_for_room: Counter::default(),
            index_lookups: Counter::default(),
            repeats: Counter::default(),
            conflicts: Counter::default(),
            full_refusals: Counter::default(),
            read_events: Counter::default(),
            read_bytes: Counter::default(),
            #[cfg(feature = "metrics")]
            told: Default::default(),
        }
    }
}

impl LogMeasures {
    /// The time now.
    #[inline]
    pub(crate) fn now(&self) -> Stopwatch {
        Stopwatch(u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// When a commit came, if its time is taken.
    #[inline]
    pub(crate) fn came(&self, is_synced: bool) -> Stopwatch {
        let is_timed = is_synced || self.commits.get().is_multiple_of(TIMED_ONE_IN);
        if is_timed { self.now() } else { Stopwatch::default() }
    }

    /// How long it has been open, nanoseconds.
    pub(crate) fn open_nanos(&self) -> u64 {
        self.now().0
    }

    /// How long something took that began then, nanoseconds.
    pub(crate) fn since(&self, began: Stopwatch) -> u64 {
        self.now().0.saturating_sub(began.0)
    }

    /// Makes a sync of the log and takes its time.
    pub(crate) fn sync<E>(&self, sync: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
        let began = self.now();
        let outcome = sync();
        let ended = self.now();
        self.synced_at.store(ended.0, Ordering::Relaxed);
        self.sync_nanos.record(ended.0.saturating_sub(began.0));
        if outcome.is_err() {
            self.sync_failures.add(1);
        }
        outcome
    }

    /// Counts a group's write: how many bytes, padding included, and how many of them are padding. Under the writer's lock.
    #[inline]
    pub(crate) fn wrote(&self, bytes: u64, padding: u64) {
        self.writes.add_alone(1);
        self.log_bytes.add_alone(bytes);
        self.padding_bytes.add_alone(padding);
    }

    /// Counts a group that went through, of which each commit is told by when it came, its events and its payloads' bytes. Under
    /// the writer's lock, behind the group's sync, whose end is the end of the commits too; where there was none, the time is
    /// taken.
    #[inline]
    pub(crate) fn committed(&self, was_synced: bool, commits: impl Iterator<Item = (Stopwatch, usize, u64)>) {
        let mut ended = was_synced.then(|| self.synced_at.load(Ordering::Relaxed));
        let (mut count, mut events, mut payload_bytes) = (0, 0, 0);
        for (began, event_count, bytes) in commits {
            count += 1;
            events += u64::try_from(event_count).unwrap_or(0);
            payload_bytes += bytes;
            if began != Stopwatch::default() {
                let ended = *ended.get_or_insert_with(|| self.now().0);
                self.commit_nanos.record_alone(ended.saturating_sub(began.0));
            }
        }
        self.commits.add_alone(count);
        self.events.add_alone(events);
        self.payload_bytes.add_alone(payload_bytes);
        if was_synced {
            self.cover();
        }
    }

    /// Notes that what was committed since the last time is durable now. Under the writer's lock.
    pub(crate) fn cover(&self) {
        let [commits, events] = &self.covered;
        let (all_commits, all_events) = (self.commits.get(), self.events.get());
        let new = all_commits.saturating_sub(commits.load(Ordering::Relaxed));
        if new == 0 {
            return;
        }
        self.sync_commits.record_alone(new);
        self.sync_events.record_alone(all_events.saturating_sub(events.load(Ordering::Relaxed)));
        commits.store(all_commits, Ordering::Relaxed);
        events.store(all_events, Ordering::Relaxed);
    }

    /// Ingests so many events into the index, and takes the time.
    pub(crate) fn ingest<E>(&self, events: usize, ingest: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
        let began = self.now();
        ingest()?;
        self.ingest_nanos.add(self.since(began));
        self.ingests.add(1);
        self.ingested_events.add(u64::try_from(events).unwrap_or(0));
        Ok(())
    }

    /// Counts a seal that was begun then.
    pub(crate) fn sealed(&self, began: Stopwatch) {
        self.seals.add(1);
        self.seal_nanos.add(self.since(began));
    }

    /// Counts an answer to a commit that was refused, or met the same commit.
    pub(crate) fn answered<T>(&self, outcome: &crate::error::Result<T>) {
        use crate::error::ErrorKind;
        match outcome.as_ref().map_err(crate::error::Error::kind) {
            Err(ErrorKind::StorageFull) => self.full_refusals.add(1),
            Err(ErrorKind::Conflict | ErrorKind::IdempotencyConflict) => self.conflicts.add(1),
            _ => {}
        }
    }

    /// Counts what a reader was given.
    pub(crate) fn read(&self, events: u64, payload_bytes: u64) {
        if events > 0 {
            self.read_events.add(events);
            self.read_bytes.add(payload_bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Error, ErrorKind};

    #[test]
    fn a_group_is_counted_once_and_its_sync_by_what_it_covered() {
        let measures = LogMeasures::default();
        let came = measures.now();
        measures.committed(false, [(came, 2, 100), (came, 1, 10)].into_iter());
        assert_eq!(measures.sync_commits.distribution().count, 0);
        assert!(measures.sync(|| Ok::<(), Error>(())).is_ok());
        measures.committed(true, [(came, 3, 7)].into_iter());
        assert_eq!((measures.commits.get(), measures.events.get(), measures.payload_bytes.get()), (3, 6, 117));
        let groups = (measures.sync_commits.distribution(), measures.sync_events.distribution());
        assert_eq!((groups.0.count, groups.0.sum, groups.1.sum), (1, 3, 6));
        measures.cover();
        assert_eq!(measures.sync_commits.distribution().count, 1, "a sync of nothing is no group");
        assert_eq!(measures.commit_nanos.distribution().count, 3);
    }

    #[test]
    fn a_failed_sync_is_counted_and_told() {
        let measures = LogMeasures::default();
        let failed = measures.sync(|| Err(Error::new(ErrorKind::Io, "no")));
        assert_eq!(failed.unwrap_err().kind(), ErrorKind::Io);
        assert_eq!((measures.sync_failures.get(), measures.sync_nanos.distribution().count), (1, 1));
    }

    #[test]
    fn refusals_are_counted_by_kind() {
        let measures = LogMeasures::default();
        for kind in [ErrorKind::StorageFull, ErrorKind::Conflict, ErrorKind::IdempotencyConflict, ErrorKind::Io] {
            measures.answered::<()>(&Err(Error::new(kind, "no")));
        }
        measures.answered(&Ok(()));
        assert_eq!((measures.full_refusals.get(), measures.conflicts.get()), (1, 2));
    }
}
