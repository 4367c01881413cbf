//! What the clones of a store, its tickets and its housekeeping thread share.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use foldhash::quality::RandomState;
use smallvec::SmallVec;

use super::chores::Chores;
use super::commit::IdempotencyKey;
use super::consumer::Acknowledged;
use super::environment::Environment;
use super::follow::Follower;
use super::ids::IdSource;
use super::options::{Durability, Options};
use super::pool::Pool;
use super::reservations::{CommitStream, CommitStreams, Reservations};
use super::view::View;
use super::watch::Watch;
use crate::clock::StoreClock;
use crate::disk::{Latch, SharedWord};
use crate::error::{Error, ErrorKind, Result};
use crate::index::Index;
use crate::index::checkpoints::Checkpoints;
use crate::index::names::Keyed;
use crate::log::files::LogFiles;
use crate::log::queue::{Group, Queue};
use crate::log::reserve::Reserve;
use crate::log::roll::Spare;
use crate::log::writer::{LogWriter, Pending, Run};
use crate::measure::Stopwatch;
use crate::recovery::RecoveryReport;
use crate::sabotage::{self, Defect};
use crate::snapshot::Snapshots;
use crate::sync::{AtomicBool, AtomicU64, Mutex, Ordering, RwLock};
use crate::types::{ExpectedVersion, Sequence, StoreId, StreamId, Timestamp};

/// Locks are taken in this order: `archiving`, `keeping`, `writer`, `ingestion`, `commits`, `view`.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) root: PathBuf,
    pub(crate) environment: Environment,
    pub(crate) options: Options,
    pub(crate) store_id: StoreId,
    /// How often the store was opened to write, this time included.
    pub(crate) session: u64,
    pub(crate) files: Arc<LogFiles>,
    pub(crate) index: Arc<dyn Index>,
    pub(crate) snapshots: Snapshots,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) latch: Latch,
    /// `None` where the store is open to read.
    pub(crate) writer: Option<Mutex<LogWriter>>,
    pub(crate) commits: Mutex<CommitState>,
    pub(crate) view: RwLock<View>,
    /// How the view's tails hash the names of streams.
    pub(crate) keyed: Keyed,
    pub(crate) places: Visible,
    pub(crate) ids: IdSource,
    pub(crate) pool: Pool,
    pub(crate) word: Option<Box<dyn SharedWord>>,
    /// Where it stands in another's log; `None` where the store is open to write. Locked before the view.
    pub(crate) follower: Option<Mutex<Follower>>,
    pub(crate) spare: Arc<Spare>,
    pub(crate) reserve: Arc<Reserve>,
    pub(crate) chores: Chores,
    /// Where subscriptions wait.
    pub(crate) watch: Watch,
    pub(crate) acknowledged: Acknowledged,
    /// Held while house is kept: two who prepare a segment would take each other's file. Whether that is over, because the
    /// log is closed and the folder may soon be another's.
    pub(crate) keeping: Mutex<bool>,
    /// Held while segments are archived.
    pub(crate) archiving: Mutex<()>,
    /// Held while a tail is ingested.
    pub(crate) ingestion: Mutex<()>,
    pub(crate) is_closed: AtomicBool,
    pub(crate) report: RecoveryReport,
    pub(crate) time: StoreClock,
}

/// A commit, from its first event until its group is done with. It stays where it is in memory, which serves again.
#[derive(Clone, Debug, Default)]
pub(crate) struct InFlight {
    pub(crate) pending: Pending,
    /// What is to be added, in order. There is a run of each.
    pub(crate) appends: SmallVec<[Append; 1]>,
    /// The streams of those, once it is prepared; while it is in a group they stand in the reservations.
    pub(crate) streams: CommitStreams,
    /// Where each of them is found while it is prepared.
    pub(crate) slots: Vec<u32>,
    /// Which tail the streams' numbers are of.
    pub(crate) generation: u64,
    /// Why it cannot be made; what is added then is counted and not kept.
    pub(crate) refusal: Option<Error>,
    pub(crate) idempotency: Option<IdempotencyKey>,
    /// The key and the hash of its content, once it is prepared.
    pub(crate) key: Option<(String, [u8; 32])>,
    pub(crate) durability: Option<Durability>,
    /// When it came, and how many bytes its payloads have: for the counters.
    pub(crate) came: Stopwatch,
    pub(crate) payload_bytes: u64,
}

/// Events for one stream of a commit, one after another.
#[derive(Clone, Debug)]
pub(crate) struct Append {
    /// Until it is prepared.
    pub(crate) stream: Option<StreamId>,
    pub(crate) expected: ExpectedVersion,
    pub(crate) events: usize,
}

impl InFlight {
    /// What the counters take of it.
    pub(crate) fn measured(&self) -> (Stopwatch, usize, u64) {
        (self.came, self.pending.draft.event_count(), self.payload_bytes)
    }

    pub(crate) fn wants_sync(&self) -> bool {
        self.durability == Some(Durability::Sync)
    }

    /// Makes it an empty one in the same memory.
    pub(crate) fn clear(&mut self) {
        self.pending.clear();
        self.appends.clear();
        self.streams.clear();
        (self.refusal, self.idempotency, self.key, self.durability) = (None, None, None, None);
        self.payload_bytes = 0;
    }

    /// What it takes in memory, roughly.
    pub(crate) fn memory_bytes(&self) -> usize {
        size_of::<Self>()
            + self.pending.draft.memory_bytes()
            + self.pending.runs.capacity() * size_of::<Run>()
            + self.appends.capacity() * size_of::<Append>()
            + self.streams.capacity() * size_of::<CommitStream>()
            + self.slots.capacity() * size_of::<u32>()
    }
}

impl AsRef<Pending> for Box<InFlight> {
    fn as_ref(&self) -> &Pending {
        &self.pending
    }
}

impl AsMut<Pending> for Box<InFlight> {
    fn as_mut(&mut self) -> &mut Pending {
        &mut self.pending
    }
}

/// A map of names in commits. There are as many as commits in flight, so that names that were chosen to fall together delay those
/// who chose them.
pub(crate) type Names<K, V> = HashMap<K, V, RandomState>;

/// What is checked and changed under the commit lock.
#[derive(Debug)]
pub(crate) struct CommitState {
    pub(crate) queue: Queue<Box<InFlight>>,
    /// The next sequence to give out.
    pub(crate) next: Sequence,
    /// Streams' versions as reserved by commits whose group is not resolved.
    pub(crate) reserved: Reservations,
    /// Idempotency keys of such commits.
    pub(crate) keys: Names<String, Arc<Group>>,
    /// How many commits that may use the reserve wait for one of their own group: others join none meanwhile.
    pub(crate) ahead: u64,
    /// How many events the active tail has.
    pub(crate) tail_events: usize,
    pub(crate) is_closed: bool,
}

impl CommitState {
    pub(crate) fn new(next: Sequence, bytes_max: u64, tail_events: usize) -> Self {
        let (reserved, keys) = (Reservations::default(), Names::default());
        Self { queue: Queue::new(bytes_max), next, reserved, keys, ahead: 0, tail_events, is_closed: false }
    }

    /// The group of the last commit in flight that has reserved versions of a stream.
    pub(crate) fn holder(&self, stream: &CommitStream) -> Option<Arc<Group>> {
        let reserved = self.reserved.find(stream.hash, &stream.id)?;
        if reserved.is_led { self.queue.leading().cloned() } else { Some(Arc::clone(self.queue.forming())) }
    }

    /// Forgets what commits in flight have reserved, of which there are none any more.
    pub(crate) fn forget_reservations(&mut self) {
        self.reserved.clear();
        self.keys.clear();
    }
}

/// How far the log goes, for readers that take no lock.
#[derive(Debug)]
pub(crate) struct Visible {
    sequence: AtomicU64,
    durable: AtomicU64,
    timestamp: AtomicU64,
}

impl Visible {
    pub(crate) fn new(sequence: Sequence, durable: Sequence, timestamp: Timestamp) -> Self {
        Self {
            sequence: AtomicU64::new(sequence.get()),
            durable: AtomicU64::new(durable.get()),
            timestamp: AtomicU64::new(timestamp.as_micros().cast_unsigned()),
        }
    }

    /// The last sequence that readers see.
    pub(crate) fn sequence(&self) -> Sequence {
        Sequence::new(self.sequence.load(Ordering::Acquire))
    }

    /// The same, in the one order of [`show`](Self::show) and the count of those that wait.
    pub(crate) fn sequence_in_order(&self) -> Sequence {
        Sequence::new(self.sequence.load(Ordering::SeqCst))
    }

    /// The last sequence that is known to be synced.
    pub(crate) fn durable(&self) -> Sequence {
        Sequence::new(self.durable.load(Ordering::Acquire))
    }

    /// The time of the last commit that readers see.
    pub(crate) fn timestamp(&self) -> Timestamp {
        Timestamp::from_micros(self.timestamp.load(Ordering::Acquire).cast_signed())
    }

    pub(crate) fn show(&self, sequence: Sequence, timestamp: Timestamp) {
        self.timestamp.store(timestamp.as_micros().cast_unsigned(), Ordering::Release);
        let before = self.sequence.swap(sequence.get(), Ordering::SeqCst);
        assert!(before <= sequence.get(), "what was shown stays shown");
    }

    /// Whether it is more than was known.
    pub(crate) fn set_durable(&self, durable: Sequence) -> bool {
        self.durable.load(Ordering::Relaxed) < durable.get()
            && self.durable.fetch_max(durable.get(), Ordering::AcqRel) < durable.get()
    }
}

impl Shared {
    /// The writer.
    ///
    /// # Errors
    /// `ReadOnly`: the store is open to read. `Closed`.
    pub(crate) fn writer(&self) -> Result<&Mutex<LogWriter>> {
        self.check_open()?;
        self.writer.as_ref().ok_or_else(|| Error::new(ErrorKind::ReadOnly, "the store was opened to read"))
    }

    /// # Errors
    /// `Closed`.
    pub(crate) fn check_open(&self) -> Result<()> {
        if self.is_closed.load(Ordering::Acquire) {
            return Err(Error::new(ErrorKind::Closed, "the store was closed"));
        }
        Ok(())
    }

    /// The store's time now.
    pub(crate) fn now(&self) -> Timestamp {
        if sabotage::has(Defect::TimeRunsBackwards) {
            return self.options.clock.now();
        }
        self.time.now(self.options.clock.as_ref(), self.places.timestamp())
    }

    /// Notes how far the log is synced, for readers here and in other processes.
    pub(crate) fn note_durable(&self, durable: Sequence) {
        // Where nothing is new the word stays: after a close the folder may be another's.
        if self.places.set_durable(durable)
            && let Some(word) = &self.word
        {
            word.store(self.places.durable().get());
        }
    }

    /// Whether every commit is synced before it is acknowledged.
    pub(crate) fn syncs_each(&self) -> bool {
        self.options.durability == Durability::Sync
    }

    /// Stops all writing: what was being written is in doubt, what waited was never written. Nobody is woken before the latch
    /// is tripped.
    pub(crate) fn poison(&self, cause: &Error) {
        use crate::log::queue::GroupResult;
        self.latch.trip();
        tracing::error!(error = %cause, "the store stops accepting writes");
        let poisoned = Error::with_source(
            ErrorKind::Poisoned,
            "an earlier failure stopped this store; open it again",
            cause.clone(),
        );
        let unknown = Error::with_source(
            ErrorKind::CommitUnknown,
            "the commit may be durable or not; open the store again and repeat it with the same idempotency key",
            cause.clone(),
        );
        let (led, forming) = self.commits.lock().queue.poison(poisoned.clone());
        let failed = |failure| GroupResult { completed: 0, failure: Some(failure), timestamp: Timestamp::EPOCH };
        if let Some(led) = led {
            led.resolve(failed(unknown));
        }
        forming.resolve(failed(poisoned));
        self.chores.wake();
        self.watch.wake();
    }
}
