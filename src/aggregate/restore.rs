//! Restoring many aggregates at once: each by a read of its own, or all in one pass over the log, whichever costs less.
//!
//! Memory is bounded by [`RestoreOptions::states_max`]: so many states are held at a time; where there are more aggregates,
//! the next ones follow in another round, which chooses anew. The states are the same either way, and with any number of
//! threads, and they are shown in the order that the ids came in.

use std::fmt;
use std::num::NonZeroUsize;
use std::panic::resume_unwind;

use super::pass::{Pass, Slot};
use super::{Aggregate, Loaded, Repository};
use crate::error::{ErrorKind, Result};
use crate::index::StreamHead;
use crate::snapshot::Snapshot;
use crate::store::Store;
use crate::sync::{AtomicU64, Ordering};
use crate::types::{Event, Sequence, Version};

/// States that are held at a time unless it is chosen otherwise. A wallet with a thousand resolved holds is 50 KB, one with few a
/// KB or two.
const STATES_MAX: usize = 16_384;

/// Threads beyond which a disk of a till gives nothing more.
const THREADS_MAX: usize = 4;

/// What an aggregate's own read costs before its first event: its head and its places in the index. Nanoseconds, as the other
/// three. All are rounded from what the table of the benches measured over 10,000 wallets of 100 events each, warm in memory. What
/// decides is how they compare.
const AGGREGATE_NANOS: u64 = 8_000;

/// What an event costs in a read of its stream, beside decoding and applying it.
const EVENT_NANOS: u64 = 250;

/// What an event costs that a pass walks over, its own or another's.
const WALKED_NANOS: u64 = 100;

/// What decoding and applying an event costs, which both ways have to do.
const APPLIED_NANOS: u64 = 300;

/// How many aggregates are restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestoreWay {
    /// A read of its stream for each.
    EachByItself,
    /// One walk over the log, in the order of the events.
    OnePass,
}

/// What decides between the two ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestoreCost {
    /// Aggregates that have events to be applied.
    pub aggregates: u64,
    /// These events: by the heads of their streams, less what snapshots hold.
    pub events: u64,
    /// Events that a pass would walk over: from the first of these to the log's end.
    pub log_events: u64,
    /// Threads that reads can be spread over. The walk of a pass each does for itself.
    pub threads: u64,
}

impl RestoreCost {
    /// The cheaper way. Pure.
    #[must_use]
    pub const fn way(&self) -> RestoreWay {
        let threads = if self.threads == 0 { 1 } else { self.threads };
        let applied = self.events.saturating_mul(APPLIED_NANOS);
        let each = self.aggregates.saturating_mul(AGGREGATE_NANOS);
        let each = each.saturating_add(self.events.saturating_mul(EVENT_NANOS)).saturating_add(applied);
        // A machine of n cores reads no n times as fast: half of each further one counts.
        let each = each.saturating_mul(2) / threads.saturating_add(1);
        // Each thread walks over all of it, and applies its part.
        let pass = self.log_events.saturating_mul(WALKED_NANOS).saturating_add(applied / threads);
        if pass < each { RestoreWay::OnePass } else { RestoreWay::EachByItself }
    }
}

/// How many aggregates are restored.
#[derive(Clone, Copy)]
pub struct RestoreOptions<'a> {
    /// Whether to start from snapshots. Otherwise all events are read.
    pub use_snapshots: bool,
    /// Snapshots at hand, of the aggregates that the keys name; others are looked up.
    pub snapshots: Option<&'a std::collections::BTreeMap<String, Snapshot>>,
    /// The last event that counts.
    pub sequence_max: Sequence,
    /// The last version of each aggregate that counts.
    pub version_max: Version,
    /// Threads to use, the caller's among them.
    pub threads: NonZeroUsize,
    /// States that are held at a time; at least one.
    pub states_max: usize,
    /// The way, where it is not to be chosen.
    pub way: Option<RestoreWay>,
    /// Is told how many aggregates are done. Within a pass, which does all at once, as far as the pass has come.
    pub progress: Option<&'a (dyn Fn(u64) + Sync)>,
}

impl fmt::Debug for RestoreOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RestoreOptions")
            .field("use_snapshots", &self.use_snapshots)
            .field("sequence_max", &self.sequence_max)
            .field("version_max", &self.version_max)
            .field("threads", &self.threads)
            .field("states_max", &self.states_max)
            .field("way", &self.way)
            .finish_non_exhaustive()
    }
}

impl RestoreOptions<'_> {
    /// All of it, from snapshots, with the threads that [`restore_threads`] says.
    #[must_use]
    pub fn new(store: &Store) -> Self {
        Self {
            use_snapshots: true,
            snapshots: None,
            sequence_max: Sequence::MAX,
            version_max: Version::MAX,
            threads: restore_threads(store),
            states_max: STATES_MAX,
            way: None,
            progress: None,
        }
    }
}

/// Threads to restore with: as many as there are cores, at most four. One for a store that was opened without a thread of its
/// own, since whoever does so wants to see everything happen in one order.
#[must_use]
pub fn restore_threads(store: &Store) -> NonZeroUsize {
    const { assert!(THREADS_MAX > 0) };
    if !store.has_background() {
        return NonZeroUsize::MIN;
    }
    let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    cores.min(NonZeroUsize::new(THREADS_MAX).unwrap_or(NonZeroUsize::MIN))
}

/// Is shown each aggregate that is restored, by id: its state, or why it has none.
pub type RestoreVisitor<'a, A> = dyn FnMut(&str, Result<Loaded<A>>) -> Result<()> + 'a;

/// How aggregates were restored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RestoreStats {
    /// Aggregates, those that could not be restored among them.
    pub aggregates: u64,
    /// Rounds that read each by itself.
    pub rounds_each: u64,
    /// Rounds that were one pass over the log.
    pub rounds_in_one_pass: u64,
}

impl<A: Aggregate> Repository<A> {
    /// Restores the aggregates with these ids and shows each to `visit`, in the order of the ids: its state, or why it has none
    /// (`InvalidInput`, `UnknownPayload`, `Corrupt`, `Io`, as of [`load`](Self::load)). States are not kept in memory.
    ///
    /// # Errors
    /// What `ids` and `visit` say. `Io`, `Closed`: the store's.
    pub fn restore_each(
        &self,
        ids: impl IntoIterator<Item = Result<String>>,
        options: &RestoreOptions<'_>,
        visit: &mut RestoreVisitor<'_, A>,
    ) -> Result<RestoreStats> {
        let mut ids = ids.into_iter();
        let mut stats = RestoreStats::default();
        loop {
            let round = ids.by_ref().take(options.states_max.max(1)).collect::<Result<Vec<String>>>()?;
            if round.is_empty() {
                return Ok(stats);
            }
            let done_before = stats.aggregates;
            let progress = |done: u64| {
                if let Some(progress) = options.progress {
                    progress(done_before.saturating_add(done));
                }
            };
            let (slots, way) = self.restore_round(round, options, &progress)?;
            stats.aggregates = stats.aggregates.saturating_add(count(slots.len()));
            match way {
                RestoreWay::EachByItself => stats.rounds_each += 1,
                RestoreWay::OnePass => stats.rounds_in_one_pass += 1,
            }
            for slot in slots {
                visit(&slot.aggregate_id, slot.state)?;
            }
        }
    }

    fn restore_round(
        &self,
        ids: Vec<String>,
        options: &RestoreOptions<'_>,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<(Vec<Slot<A>>, RestoreWay)> {
        let end = options.sequence_max.min(self.store().last_sequence());
        let mut slots = self.start_all(ids, options)?;
        let behind = slots.iter().filter(|slot| slot.events(options.version_max) > 0);
        let first = behind.clone().filter_map(|slot| slot.state.as_ref().ok()).map(|loaded| loaded.last_event_sequence);
        let first = first.min().map_or(end, |before| before.min(end));
        let cost = RestoreCost {
            aggregates: count(behind.clone().count()),
            events: behind.map(|slot| slot.events(options.version_max)).fold(0, u64::saturating_add),
            log_events: end.get().saturating_sub(first.get()),
            threads: count(options.threads.get()),
        };
        let way = options.way.unwrap_or_else(|| cost.way());
        if way == RestoreWay::OnePass {
            let walked = self.walk(&mut slots, first.next(), end, options, progress);
            match walked {
                Ok(()) => return Ok((slots, way)),
                // Damage in the log is the affair of those whose events it hit; a read of its own tells whose.
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    tracing::warn!(%error, "a pass over the log met damage; each aggregate is read by itself");
                    let ids = slots.into_iter().map(|slot| slot.aggregate_id).collect();
                    slots = self.start_all(ids, options)?;
                }
                Err(error) => return Err(error),
            }
        }
        let done = AtomicU64::new(0);
        let slots = spread(options.threads, slots, |slot| {
            let Slot { aggregate_id, stream, state, head } = slot;
            let state = state.and_then(|loaded| self.replay_onto(loaded, &aggregate_id, end, options.version_max));
            progress(done.fetch_add(1, Ordering::Relaxed) + 1);
            Slot { aggregate_id, stream, state, head }
        });
        Ok((slots, RestoreWay::EachByItself))
    }

    /// Where the restoring of each starts.
    fn start_all(&self, ids: Vec<String>, options: &RestoreOptions<'_>) -> Result<Vec<Slot<A>>> {
        let streams: Result<Vec<_>> = ids.iter().map(|id| Self::stream(id)).collect();
        let prefix = format!("{}-", A::AGGREGATE_TYPE);
        // Where an id makes no stream's name, each is looked at by itself.
        let heads = streams.map_or(Ok(None), |streams| self.store().stream_heads(&prefix, &streams))?;
        let heads = heads.unwrap_or_default().into_iter().map(Some).chain(std::iter::repeat(None));
        let asked: Vec<_> = ids.into_iter().zip(heads).collect();
        spread(options.threads, asked, |(id, head)| self.start(id, head, options)).into_iter().collect()
    }

    /// Where an aggregate's restoring starts. Its stream's head is looked up where it is not at hand.
    fn start(
        &self,
        aggregate_id: String,
        head: Option<Option<StreamHead>>,
        options: &RestoreOptions<'_>,
    ) -> Result<Slot<A>> {
        let stream = match Self::stream(&aggregate_id) {
            Ok(stream) => stream,
            Err(error) => return Ok(Slot { aggregate_id, stream: None, state: Err(error), head: Version::ZERO }),
        };
        let head = head.map_or_else(|| self.store().stream_head(&stream), Ok)?;
        let head = head.map_or(Version::ZERO, |head| head.version);
        let loaded = if options.use_snapshots {
            let at_hand = options.snapshots.and_then(|snapshots| snapshots.get(&aggregate_id));
            self.start_from(at_hand, &aggregate_id, options.sequence_max, options.version_max)
        } else {
            Loaded::beginning(&aggregate_id)
        };
        Ok(Slot { aggregate_id, stream: Some(stream), state: Ok(loaded), head })
    }

    /// One pass over the log, from `first` to `end`.
    fn walk(
        &self,
        slots: &mut [Slot<A>],
        first: Sequence,
        end: Sequence,
        options: &RestoreOptions<'_>,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<()> {
        let total = count(slots.len());
        let length = end.get().saturating_sub(first.get()).saturating_add(1);
        let version_max = options.version_max;
        let decode = |event: &Event| self.decode_event(event);
        let pass = Pass { store: self.store(), first, end, version_max, decode: &decode };
        let told = |sequence: Sequence| {
            let walked = sequence.get().saturating_sub(first.get());
            let done = u128::from(total) * u128::from(walked) / u128::from(length.max(1));
            progress(u64::try_from(done).unwrap_or(total));
        };
        pass.over(slots, options.threads, &told)?;
        progress(total);
        Ok(())
    }
}

/// Does `work` on each item, spread over the threads; the results are in the order of the items.
fn spread<T: Send, R: Send>(threads: NonZeroUsize, items: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    let part = items.len().div_ceil(threads.get()).max(1);
    if part >= items.len() {
        return items.into_iter().map(work).collect();
    }
    let mut items = items.into_iter();
    let parts: Vec<Vec<T>> = std::iter::from_fn(|| {
        let next: Vec<T> = items.by_ref().take(part).collect();
        (!next.is_empty()).then_some(next)
    })
    .collect();
    std::thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> =
            parts.into_iter().map(|part| scope.spawn(move || part.into_iter().map(work).collect::<Vec<R>>())).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    })
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
