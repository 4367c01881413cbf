//! The store: appending, reading, snapshots and checkpoints, opening and closing.

use std::ops::{ControlFlow, RangeBounds};
use std::path::{Path, PathBuf};
use std::sync::Arc;

mod anew;
mod archive;
mod backup;
mod chores;
mod close;
mod commit;
mod committer;
mod consumer;
mod correlation;
mod create;
mod environment;
#[cfg(feature = "futures")]
mod event_stream;
mod follow;
mod heads;
mod housekeeping;
mod ids;
mod info;
mod keep_index;
mod lead;
#[cfg(feature = "metrics")]
mod metrics;
mod observe;
mod open;
mod options;
mod pace;
mod pool;
mod presets;
mod read_count;
mod read_only;
mod reads;
mod repair;
mod reservations;
mod scrub;
mod shared;
mod space;
mod stats;
mod stats_file;
mod subscription;
#[cfg(test)]
mod tests;
mod time;
#[cfg(feature = "transfer")]
mod transfer;
mod upgrade;
mod usage;
mod verify;
mod view;
mod visit;
mod watch;

pub use archive::{
    ArchiveBackup, ArchiveBefore, ArchiveOptions, ArchivePlan, ArchiveProgress, ArchiveReport, KeptBecause,
    MovedSegment, PlannedSegment, SegmentFate, UnarchiveReport, unarchive, unarchive_in,
};
pub use backup::{
    BackupOptions, BackupPhase, BackupProgress, BackupReport, RestoreOptions, RestoreReport, backup, backup_in,
    backup_with, restore, restore_in, restore_with,
};
pub use commit::{Commit, IdempotencyKey, KeyUse, StreamAppend};
pub use consumer::{Consumer, ConsumerOptions};
pub use correlation::CorrelationEvents;
pub use environment::Environment;
#[cfg(feature = "futures")]
pub use event_stream::EventStream;
pub use info::StoreInfo;
pub use keep_index::{
    CompactReport, IndexProgress, IndexReport, compact_index, compact_index_in, rebuild_index, rebuild_index_in,
};
pub use options::{Align, DeadlinesAfterStep, Durability, Options, Preallocation};
pub use reads::{AllEvents, StreamEvents, Streams};
pub use repair::{
    EVENT_LOST, Loss, Quarantined, RepairOutcome, RepairPhase, RepairPlan, RepairProgress, SequenceRange, StreamLoss,
    TornTail, VersionRange, repair, repair_in, repair_in_with, repair_plan, repair_plan_in, repair_plan_in_with,
    repair_with,
};
pub use scrub::{ScrubOptions, ScrubProgress, ScrubReport, Scrubber, scrub, scrub_in, scrub_status};
pub use space::{DiskLevel, DiskSpace};
pub use stats::{StatsRecord, StoreStats};
pub use subscription::{SubscribeOptions, Subscription};
pub use time::ClockAccepted;
#[cfg(feature = "transfer")]
pub use transfer::{
    ExportReport, ImportReport, TransferPhase, TransferProgress, export, export_file, export_file_in, export_in,
    import, import_in,
};
pub use upgrade::{UpgradeReport, upgrade, upgrade_in};
pub use usage::{CheckpointLag, StoreUsage};
pub use verify::{
    Finding, FindingKind, VerifyPhase, VerifyProgress, VerifyReport, verify, verify_in, verify_in_with, verify_with,
};
pub use visit::EventRef;
pub(crate) use visit::{EventBuffer, Part};

use crate::disk::DiskLock;
use crate::error::Result;
use crate::index::StreamHead;
use crate::index::checkpoints::Checkpoint;
use crate::recovery::RecoveryReport;
use crate::snapshot::Snapshot;
use crate::sync::Mutex;
use crate::types::{Event, ExpectedVersion, NewEvent, Receipt, Sequence, StoreId, StreamId, Timestamp};
use shared::Shared;

/// An event store in a folder. Clones are the same store.
///
/// One process at a time may write to it; any number may read. When the last clone is dropped the store is closed, as by
/// [`close`](Self::close), whose errors are traced then.
#[derive(Clone, Debug)]
pub struct Store {
    owner: Arc<Owner>,
}

#[derive(Debug)]
struct Owner {
    shared: Arc<Shared>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
    lock: Mutex<Option<Box<dyn DiskLock>>>,
}

impl Owner {
    fn close(&self) -> Result<()> {
        // Whoever closes second waits here: the folder is free when the log is closed, and not before.
        let mut lock = self.lock.lock();
        let outcome = self.shared.close();
        let thread = self.thread.lock().take();
        // A panic in it has poisoned the store, which is where it is reported.
        let _ = thread.map(std::thread::JoinHandle::join);
        *lock = None;
        outcome
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::error!(%error, "the store could not be closed when it was dropped");
        }
    }
}

/// A commit that was submitted. It is acknowledged when [`wait`](Self::wait) returns.
#[derive(Debug)]
#[must_use = "a commit is acknowledged only when its ticket is waited for"]
pub struct Ticket {
    shared: Arc<Shared>,
    submitted: committer::Submitted,
}

impl Ticket {
    /// Waits until the commit is acknowledged.
    ///
    /// # Errors
    /// `StorageFull`: nothing of it was written. `CommitUnknown`: a write or a sync failed. `Poisoned`: one before it did.
    pub fn wait(self) -> Result<Receipt> {
        let outcome = self.shared.receipt(self.submitted);
        self.shared.files.measures.answered(&outcome);
        outcome
    }
}

impl Store {
    /// Opens the store in a folder, making both where they are not there (its parent must be), and recovers it. What
    /// recovery found and did is in [`recovery_report`](Self::recovery_report).
    ///
    /// # Errors
    /// Nothing is changed on disk by any of these but the last two. `InvalidInput`: an option is out of range. `Locked`:
    /// another process writes to it. `NotAStore`: something else is there. `UnsupportedFormat`: a newer version wrote it.
    /// `Corrupt`: something that had been durable is damaged or missing; `bitacora verify` tells what. `ReadOnly`,
    /// `NotFound`: the folder cannot be written, or its parent is not there. `StorageFull`, `Io`.
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<Self> {
        Self::open_in(&Environment::default(), resolved(path.as_ref()), options)
    }

    /// As [`open`](Self::open), standing on something else than the operating system's files.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_in(environment: &Environment, path: impl AsRef<Path>, options: Options) -> Result<Self> {
        Self::start(open::open(environment, path.as_ref(), &options, true)?)
    }

    /// As [`open`](Self::open), where there must be no store yet.
    ///
    /// # Errors
    /// As [`open`](Self::open), and `AlreadyExists`.
    pub fn create_new(path: impl AsRef<Path>, options: Options) -> Result<Self> {
        Self::start(open::open(&Environment::default(), &resolved(path.as_ref()), &options, false)?)
    }

    /// A store in memory, gone when it is dropped; for tests.
    ///
    /// # Errors
    /// `InvalidInput`: an option is out of range.
    pub fn in_memory(options: Options) -> Result<Self> {
        let options = options.preallocation(Preallocation::Grow);
        Self::open_in(&Environment::in_memory(), "/store", options)
    }

    /// Opens a store to read, whether another process writes to it or not; shows it as it is now, and
    /// [`refresh`](Self::refresh) shows what has come since. Beside a writer with
    /// [`Durability::Sync`] that is what is synced, beside another one all whole frames, and without one all that the next
    /// open would keep. Nothing on disk is changed.
    ///
    /// # Errors
    /// `NotFound`: there is no store. `NotAStore`, `UnsupportedFormat`, `Corrupt`, `Io`.
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_read_only_in(&Environment::default(), resolved(path.as_ref()))
    }

    /// As [`open_read_only`](Self::open_read_only), standing on something else than the operating system's files.
    ///
    /// # Errors
    /// As [`open_read_only`](Self::open_read_only).
    pub fn open_read_only_in(environment: &Environment, path: impl AsRef<Path>) -> Result<Self> {
        let shared = Arc::new(read_only::open(environment, path.as_ref())?);
        Ok(Self { owner: Arc::new(Owner { shared, thread: Mutex::new(None), lock: Mutex::new(None) }) })
    }

    /// Brings a store that is open to read up to what its writer has added since, by the rule of
    /// [`open_read_only`](Self::open_read_only), and returns the last sequence that reads show from now on. It takes as long as
    /// what is new, writes nothing, and holds up no writer. Writers may end and others follow; what was shown stays shown. A
    /// store that is open to write is up to date by itself.
    ///
    /// How far a writer has synced is known as soon as it has; so a reader that refreshes every 50 ms, as a
    /// [`subscription`](Self::subscribe) does, is that far behind.
    ///
    /// # Errors
    /// `Stale`: what was shown is not there any more, because the log's end was cut or another store is in its place; open it
    /// again. `Corrupt`: something that had been durable is damaged or missing. `Closed`, `UnsupportedFormat`, `Io`.
    pub fn refresh(&self) -> Result<Sequence> {
        self.shared().refresh()
    }

    fn start(opened: open::Opened) -> Result<Self> {
        let shared = Arc::new(opened.shared);
        let thread = if shared.options.background { Some(housekeeping::start(&shared)?) } else { None };
        if thread.is_none() {
            shared.chores.free();
        }
        Ok(Self { owner: Arc::new(Owner { shared, thread: Mutex::new(thread), lock: Mutex::new(Some(opened.lock)) }) })
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.owner.shared
    }

    /// Writes and syncs what was submitted, indexes it, and gives the folder free. Other clones are answered `Closed` from then
    /// on. Closing twice does nothing.
    ///
    /// # Errors
    /// `Poisoned`, `Io`: the next open recovers.
    pub fn close(&self) -> Result<()> {
        self.owner.close()
    }

    /// Appends events to a stream and waits until that is acknowledged.
    ///
    /// # Errors
    /// `InvalidInput`: no event, or past a limit. `Conflict`: the stream is not as expected. `StorageFull`: no room; the same
    /// call succeeds when there is. `CommitUnknown`: a write or a sync failed, see there. `Poisoned`, `Closed`, `ReadOnly`, `Io`.
    pub fn append(&self, stream: &StreamId, expected: ExpectedVersion, events: Vec<NewEvent>) -> Result<Receipt> {
        self.commit(self.new_commit().append(stream, expected, events))
    }

    /// An empty commit, in memory that earlier commits of this store are done with.
    #[must_use]
    pub fn new_commit(&self) -> Commit {
        Commit::in_memory_of(self.shared().pool.commit())
    }

    /// Commits events to one or many streams, all or none, and waits until that is acknowledged.
    ///
    /// # Errors
    /// As [`append`](Self::append), and `IdempotencyConflict`.
    pub fn commit(&self, commit: Commit) -> Result<Receipt> {
        self.shared().observed_commit(commit)
    }

    /// Gives a commit its place, before everything submitted later, and returns at once. It is written when a ticket is waited
    /// for, or beside the next commit, or after a moment.
    ///
    /// # Errors
    /// Those of [`commit`](Self::commit) that need no write; the others come from the ticket.
    pub fn submit(&self, commit: Commit) -> Result<Ticket> {
        let submitted = self.shared().submit(commit);
        self.shared().files.measures.answered(&submitted);
        let submitted = submitted?;
        Ok(Ticket { shared: Arc::clone(self.shared()), submitted })
    }

    /// Makes everything that was acknowledged durable, and returns the last sequence that is.
    ///
    /// # Errors
    /// `Io`: the sync failed, and the store takes no more writes. `Poisoned`, `Closed`, `ReadOnly`.
    pub fn sync(&self) -> Result<Sequence> {
        self.shared().sync()
    }

    /// Does what the housekeeping thread does, for stores that are opened without one.
    ///
    /// # Errors
    /// `Corrupt`, `StorageFull`, `Io`: a chore failed; it can be tried again.
    pub fn housekeep(&self) -> Result<()> {
        self.shared().writer()?;
        self.shared().lead_waiting();
        self.shared().do_chores()
    }

    /// Events by sequence, as far as they are acknowledged now.
    #[must_use]
    pub fn read_all(&self, range: impl RangeBounds<Sequence>) -> AllEvents {
        AllEvents::new(self.shared(), &range)
    }

    /// Shows events by sequence to `visitor` where they lie, until it breaks off: nothing is copied, every record is checked.
    ///
    /// # Errors
    /// `Corrupt`, `Io`, and what `visitor` says.
    pub fn visit(
        &self,
        range: impl RangeBounds<Sequence>,
        mut visitor: impl FnMut(EventRef<'_>) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        visit::visit(self.shared(), &range, &mut visitor)
    }

    /// Shows a part of the streams its events, as [`visit`](Self::visit) shows all: for threads that divide the streams among them.
    ///
    /// # Errors
    /// `Corrupt`, `Io`, and what the part says.
    pub(crate) fn visit_part(&self, range: impl RangeBounds<Sequence>, part: &mut impl Part) -> Result<()> {
        visit::visit_part(self.shared(), &range, part)
    }

    /// A stream's events by version, as far as they are acknowledged now; none where there is no such stream.
    #[must_use]
    pub fn read_stream(&self, stream: &StreamId, range: impl RangeBounds<crate::types::Version>) -> StreamEvents {
        StreamEvents::new(self.shared(), stream, &range)
    }

    /// The events whose metadata has this correlation id, by sequence, whatever their streams, as far as they are acknowledged
    /// now; none where no event has it. Found through the index: the log is not scanned.
    #[must_use]
    pub fn read_correlation(&self, correlation_id: &str, range: impl RangeBounds<Sequence>) -> CorrelationEvents {
        CorrelationEvents::new(self.shared(), correlation_id, &range)
    }

    /// The event of a sequence; `None` where that is not there yet.
    ///
    /// # Errors
    /// `Corrupt`, `Io`.
    pub fn event(&self, sequence: Sequence) -> Result<Option<Event>> {
        self.read_all(sequence..=sequence).next().transpose()
    }

    /// A stream's last version and sequence; `None` where there is no such stream.
    ///
    /// # Errors
    /// `Io`: the index failed.
    pub fn stream_head(&self, stream: &StreamId) -> Result<Option<StreamHead>> {
        self.shared().head(stream)
    }

    /// The heads of many streams whose names start with `prefix`; `None` where it is no dearer to ask for each.
    pub(crate) fn stream_heads(&self, prefix: &str, streams: &[StreamId]) -> Result<Option<Vec<Option<StreamHead>>>> {
        self.shared().heads(prefix, streams)
    }

    /// Streams whose name starts with `prefix`, by name.
    #[must_use]
    pub fn streams(&self, prefix: &str) -> Streams {
        Streams::new(self.shared(), prefix)
    }

    /// What an idempotency key was used for; `None` where it was not. Commits that are not acknowledged are not looked at.
    ///
    /// # Errors
    /// `Corrupt`, `Io`.
    pub fn key_use(&self, key: &str) -> Result<Option<KeyUse>> {
        let Some(entry) = self.shared().key_entry(key)? else { return Ok(None) };
        Ok(Some(KeyUse { content_hash: entry.content_hash, receipt: self.shared().receipt_at(&entry)? }))
    }

    /// The last sequence that reads show; zero where there is none.
    #[must_use]
    pub fn last_sequence(&self) -> Sequence {
        self.shared().places.sequence()
    }

    /// The last sequence that is synced.
    #[must_use]
    pub fn durable_sequence(&self) -> Sequence {
        self.shared().places.durable()
    }

    /// The store's time: the clock's, but never before the last commit's or what this gave before; and while the clock is
    /// [`Suspect`](crate::ClockState::Suspect), what the monotonic clock makes of the last time that was believed.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.shared().now()
    }

    /// The last sequence that was committed at or before a time; zero where none was.
    ///
    /// # Errors
    /// `Corrupt`, `Io`.
    pub fn sequence_at(&self, time: Timestamp) -> Result<Sequence> {
        self.shared().sequence_at(time)
    }

    /// The store's id.
    #[must_use]
    pub fn store_id(&self) -> StoreId {
        self.shared().store_id
    }

    /// What opening found and did.
    #[must_use]
    pub fn recovery_report(&self) -> &RecoveryReport {
        &self.shared().report
    }

    /// Saves a snapshot, after making the log durable as far as it rests on it. A snapshot is a cache: an error here may be
    /// ignored.
    ///
    /// # Errors
    /// `InvalidInput`: past a limit, or beyond the log. `Io`, `Closed`, `ReadOnly`, `Poisoned`.
    pub fn save_snapshot(&self, snapshot: &Snapshot) -> Result<()> {
        self.shared().make_durable("snapshot", snapshot.last_event_sequence)?;
        self.shared().snapshots.save(snapshot)
    }

    /// The readable snapshots of an aggregate that rest on nothing later than `at_most`, newest first.
    ///
    /// # Errors
    /// `Io`: the index failed.
    pub fn snapshots(&self, aggregate_type: &str, aggregate_id: &str, at_most: Sequence) -> Result<Vec<Snapshot>> {
        self.shared().snapshots.latest(aggregate_type, aggregate_id, at_most)
    }

    /// The snapshot of an aggregate's state after the event that `head` is of, if there is one that can be read.
    pub(crate) fn snapshot_at(&self, aggregate_type: &str, aggregate_id: &str, head: StreamHead) -> Option<Snapshot> {
        self.shared().snapshots.at(aggregate_type, aggregate_id, head)
    }

    /// A snapshot by its id.
    ///
    /// # Errors
    /// `Io`: the index failed.
    pub fn snapshot(&self, snapshot_id: &str) -> Result<Option<Snapshot>> {
        self.shared().snapshots.by_id(snapshot_id)
    }

    /// Snapshots of one type of aggregate made at or after `since`, newest first.
    ///
    /// # Errors
    /// `Io`: the index failed.
    pub fn snapshots_of_type(&self, aggregate_type: &str, since: Timestamp) -> Result<Vec<Snapshot>> {
        self.shared().snapshots.of_type(aggregate_type, since)
    }

    /// Snapshots made at or after `since`, newest first.
    ///
    /// # Errors
    /// `Io`: the index failed.
    pub fn recent_snapshots(&self, since: Timestamp) -> Result<Vec<Snapshot>> {
        self.shared().snapshots.recent(since)
    }

    /// Events as they come: first those that are there, from the first one after
    /// [`SubscribeOptions::after`] on, then each that is acknowledged, without a gap or a double. Any number of subscriptions may
    /// be open; they take nothing from a commit but the call that wakes those that wait. They end when the store closes. On a store that
    /// is open to read they follow its writer, see [`Subscription`].
    #[must_use]
    pub fn subscribe(&self, options: SubscribeOptions) -> Subscription {
        Subscription::new(self.shared(), options)
    }

    /// A subscription that resumes after the checkpoint of that name, and moves it on.
    ///
    /// # Errors
    /// `InvalidInput`: the name is empty, too long or has control characters. `Corrupt`: its checkpoint is beyond the log's end, so
    /// events are missing. `Io`, `Closed`, `ReadOnly`.
    pub fn consumer(&self, name: &str, options: ConsumerOptions) -> Result<Consumer> {
        Consumer::new(self.shared(), name, options)
    }

    /// A consumer's checkpoint.
    ///
    /// # Errors
    /// `Io`: the index failed.
    pub fn checkpoint(&self, name: &str) -> Result<Option<Checkpoint>> {
        self.shared().checkpoints.get(name)
    }

    /// Sets a checkpoint, after making the log durable as far as it goes. It is in the index alone, and is gone with it; that
    /// of a [`Consumer`] is in the log too.
    ///
    /// # Errors
    /// `InvalidInput`: it goes back, or beyond the log. `Io`, `Closed`, `ReadOnly`, `Poisoned`.
    pub fn set_checkpoint(&self, name: &str, checkpoint: &Checkpoint) -> Result<()> {
        self.shared().make_durable("checkpoint", checkpoint.sequence)?;
        self.shared().checkpoints.set(name, checkpoint)
    }

    /// As [`set_checkpoint`](Self::set_checkpoint), without its checks: what a log that has lost its end looks like.
    #[cfg(test)]
    pub(crate) fn set_checkpoint_unchecked(&self, name: &str, checkpoint: &Checkpoint) -> Result<()> {
        self.shared().checkpoints.set(name, checkpoint)
    }

    /// Whether it was opened with a thread of its own.
    pub(crate) fn has_background(&self) -> bool {
        self.shared().options.background
    }

    /// The time since some moment, by the store's clock: for telling how long a thing takes in what is written down.
    pub(crate) fn elapsed(&self) -> std::time::Duration {
        self.shared().options.clock.elapsed()
    }

    /// What was counted since the store was opened, in this process: commits, events, bytes, syncs, latencies. Counting takes next
    /// to nothing from a commit; what each number means, and which to watch, is in [`docs::observing`](crate::docs::observing).
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        self.shared().stats()
    }

    /// What the store takes on disk and how it is used, from its files and from its newest `sample` events, which are read, and whose
    /// reading is timed: so the estimate of a recovery is one of this machine. Counts the streams, which takes time where there are
    /// many.
    ///
    /// # Errors
    /// `Corrupt`: one of those events is damaged. `Io`, `Closed`.
    pub fn usage(&self, sample: u64) -> Result<StoreUsage> {
        self.shared().usage(sample)
    }

    /// What the store's writer kept of its [`stats`](Self::stats) last, every few seconds and when it closed; `None` where none
    /// did, or it cannot be read. So another process sees the latencies of a running writer.
    #[must_use]
    pub fn kept_stats(&self) -> Option<StatsRecord> {
        stats_file::read(self.shared().environment.disk.as_ref(), &self.shared().root)
    }

    /// How much room the disk has, how long that lasts, and whether it is time to act.
    ///
    /// # Errors
    /// `Corrupt`, `UnsupportedFormat`: a segment's header. `Io`.
    pub fn disk_space(&self) -> Result<DiskSpace> {
        self.shared().disk_space()
    }

    /// Tells the recorder of the crate `metrics` what was counted since the last time. The housekeeping thread does so every
    /// second; for stores without one, and for a scrape that wants the latest.
    #[cfg(feature = "metrics")]
    pub fn publish_metrics(&self) {
        self.shared().publish_metrics();
    }

    /// What there is, in numbers. Counts the streams, which takes time where there are many.
    ///
    /// # Errors
    /// `Io`.
    pub fn info(&self) -> Result<StoreInfo> {
        self.shared().info()
    }
}

/// The folder that a path leads to: a store may be reached through a link. What is not there yet stays as it is named.
fn resolved(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}
