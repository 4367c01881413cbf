//! The repository: the store, the states used last, and the snapshots.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use super::cache::Cache;
use super::{Aggregate, Loaded};
use crate::error::Result;
use crate::snapshot::{Snapshot, SnapshotPolicy};
use crate::store::Store;
use crate::sync::{Mutex, MutexGuard};
use crate::types::{StreamId, Version};

/// States that are kept in memory.
const STATES_MAX: usize = 8_192;

/// Locks that aggregates are spread over for taking turns: so many that two of the few dozen in use at a time rarely
/// share one, and one byte each.
const TURNS: usize = 1_024;

struct Inner<A> {
    store: Store,
    policy: SnapshotPolicy,
    cache: Cache<A>,
    turns: Vec<Mutex<()>>,
    hasher: std::hash::RandomState,
}

/// Loads aggregates of one type, carries out commands on them, and makes snapshots. Cheap to clone; clones share what they
/// keep in memory.
pub struct Repository<A: Aggregate>(Arc<Inner<A>>);

impl<A: Aggregate> Clone for Repository<A> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<A: Aggregate> std::fmt::Debug for Repository<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Repository")
            .field("aggregate_type", &A::AGGREGATE_TYPE)
            .field("policy", &self.0.policy)
            .finish_non_exhaustive()
    }
}

/// A turn at an aggregate, see [`Repository::turn`].
#[derive(Debug)]
#[must_use = "the turn ends when this is dropped"]
pub struct Turn<'a>(#[expect(dead_code, reason = "it is held, not read")] MutexGuard<'a, ()>);

impl<A: Aggregate> Repository<A> {
    /// A repository over `store` that makes snapshots by `policy`.
    #[must_use]
    pub fn new(store: Store, policy: SnapshotPolicy) -> Self {
        Self(Arc::new(Inner {
            store,
            policy,
            cache: Cache::new(STATES_MAX),
            turns: std::iter::repeat_with(|| Mutex::new(())).take(TURNS).collect(),
            hasher: std::hash::RandomState::new(),
        }))
    }

    /// The store it stands on.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// When it makes snapshots.
    #[must_use]
    pub fn policy(&self) -> SnapshotPolicy {
        self.0.policy
    }

    /// An aggregate's stream.
    ///
    /// # Errors
    /// `InvalidInput`: the id makes no stream's name.
    pub fn stream(aggregate_id: &str) -> Result<StreamId> {
        StreamId::of(A::AGGREGATE_TYPE, aggregate_id)
    }

    /// The ids of all aggregates of this type that have an event, by name.
    pub fn aggregate_ids(&self) -> impl Iterator<Item = Result<String>> + use<A> {
        let streams = self.store().streams(&format!("{}-", A::AGGREGATE_TYPE));
        streams.filter_map(|entry| match entry {
            Ok((stream, _)) => stream.aggregate_id(A::AGGREGATE_TYPE).map(|id| Ok(id.to_owned())),
            Err(error) => Some(Err(error)),
        })
    }

    /// Waits until no other thread has the turn at this aggregate, and takes it. A courtesy and no lock: it keeps threads of
    /// this process from deciding on the same version for nothing, and whoever does not ask for it is still held to the
    /// version by the append. [`execute`](Self::execute) takes it by itself; a thread that holds a turn must not call it, nor
    /// take another turn, on the same repository. [`turns`](Self::turns) takes several at once.
    pub fn turn(&self, aggregate_id: &str) -> Turn<'_> {
        self.turn_at(self.turn_index(aggregate_id))
    }

    /// The turns at several aggregates, see [`turn`](Self::turn). They are taken in an order that is the same for all threads,
    /// so that two never wait for each other; aggregates that share a turn take it once.
    pub fn turns(&self, aggregate_ids: &[&str]) -> Vec<Turn<'_>> {
        let mut indices: Vec<usize> = aggregate_ids.iter().map(|aggregate_id| self.turn_index(aggregate_id)).collect();
        indices.sort_unstable();
        indices.dedup();
        indices.into_iter().map(|index| self.turn_at(index)).collect()
    }

    fn turn_index(&self, aggregate_id: &str) -> usize {
        let mut hasher = self.0.hasher.build_hasher();
        hasher.write(aggregate_id.as_bytes());
        let turns = u64::try_from(TURNS).unwrap_or(1);
        usize::try_from(hasher.finish() % turns).unwrap_or(0)
    }

    fn turn_at(&self, index: usize) -> Turn<'_> {
        #[expect(clippy::indexing_slicing, reason = "the index is below TURNS, the length of the vector")]
        Turn(self.0.turns[index].lock())
    }

    /// The state as this process knows it: what it has in memory, which another writer may have overtaken, else as
    /// [`load`](Self::load). For deciding what is appended with an exact version, and for a quick look.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn cached(&self, aggregate_id: &str) -> Result<Arc<Loaded<A>>> {
        match self.0.cache.get(aggregate_id) {
            Some(loaded) => Ok(loaded),
            None => self.fresh(aggregate_id),
        }
    }

    /// The state as [`load`](Self::load) gives it, which is then kept in memory.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn fresh(&self, aggregate_id: &str) -> Result<Arc<Loaded<A>>> {
        let loaded = Arc::new(self.load(aggregate_id)?);
        self.keep(aggregate_id, Arc::clone(&loaded));
        Ok(loaded)
    }

    /// Forgets what is kept in memory of an aggregate, such as after a conflict.
    pub fn forget(&self, aggregate_id: &str) {
        self.0.cache.remove(aggregate_id);
    }

    /// Keeps a state in memory, unless a newer one is there.
    pub(crate) fn keep(&self, aggregate_id: &str, loaded: Arc<Loaded<A>>) {
        // A state without events is not kept: a name that was only asked about must not push out a wallet in use.
        if loaded.version != Version::ZERO {
            self.0.cache.put(aggregate_id, loaded);
        }
    }

    /// Makes a snapshot of an aggregate as it is now, whatever the policy; `None` where it has no event.
    ///
    /// # Errors
    /// As [`load`](Self::load), and of saving it: `InvalidInput` (the state is too large), `StorageFull`, `ReadOnly`,
    /// `Poisoned`.
    pub fn snapshot(&self, aggregate_id: &str) -> Result<Option<Snapshot>> {
        let mut loaded = self.load(aggregate_id)?;
        if loaded.version == Version::ZERO {
            return Ok(None);
        }
        let snapshot = self.save_snapshot(aggregate_id, &loaded)?;
        loaded.snapshot_version = loaded.version;
        self.keep(aggregate_id, Arc::new(loaded));
        Ok(Some(snapshot))
    }

    /// Makes a snapshot of every aggregate in memory that has events since its last one, for use before a close; returns how
    /// many were made. None under [`SnapshotPolicy::Never`]. Errors are traced: a snapshot is a cache.
    pub fn snapshot_changed(&self) -> u64 {
        if self.0.policy == SnapshotPolicy::Never {
            return 0;
        }
        let mut made = 0;
        for (aggregate_id, mut loaded) in self.0.cache.all() {
            if loaded.version > loaded.snapshot_version {
                made += u64::from(self.try_snapshot(&aggregate_id, Arc::make_mut(&mut loaded)));
                self.keep(&aggregate_id, loaded);
            }
        }
        made
    }

    /// Makes a snapshot if the policy says so.
    pub(super) fn snapshot_if_due(&self, aggregate_id: &str, loaded: &mut Loaded<A>) {
        if self.0.policy.is_due(loaded.snapshot_version, loaded.version) {
            self.try_snapshot(aggregate_id, loaded);
        }
    }

    /// Whether the snapshot was made. If not, the next one is due as if it had been: a state that is too large would
    /// otherwise be encoded after every event.
    fn try_snapshot(&self, aggregate_id: &str, loaded: &mut Loaded<A>) -> bool {
        let saved = self.save_snapshot(aggregate_id, loaded);
        loaded.snapshot_version = loaded.version;
        match saved {
            Ok(_) => true,
            Err(error) => {
                tracing::warn!(aggregate_type = A::AGGREGATE_TYPE, aggregate_id, %error, "a snapshot is not made");
                false
            }
        }
    }

    fn save_snapshot(&self, aggregate_id: &str, loaded: &Loaded<A>) -> Result<Snapshot> {
        assert!(loaded.version.get() > 0, "a snapshot rests on an event");
        let snapshot = Snapshot {
            snapshot_id: format!("{}-{aggregate_id}@{}", A::AGGREGATE_TYPE, loaded.version),
            aggregate_id: aggregate_id.to_owned(),
            aggregate_type: A::AGGREGATE_TYPE.to_owned(),
            timestamp: self.store().now(),
            last_event_version: loaded.version,
            last_event_sequence: loaded.last_event_sequence,
            schema_version: A::SCHEMA_VERSION,
            codec: A::CODEC,
            state: loaded.state.encode_state()?,
        };
        self.store().save_snapshot(&snapshot)?;
        Ok(snapshot)
    }
}
