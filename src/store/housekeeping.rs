//! What is done beside the writers: ingesting tails, sealing segments, preparing the next one, interval syncs and idle marks.
//!
//! One thread, never on the commit path. Everything it does can be put off without loss; where a chore fails for want of
//! room it is tried again later, and where a write or a sync of the log fails the store is poisoned as by any writer.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::options::Durability;
use super::shared::Shared;
use super::stats_file::{Keep, StatsFile};
use crate::error::{Error, ErrorKind, Result};
use crate::format::frame::FrameKind;
use crate::log::roll::Room;
use crate::log::sealing;
use crate::log::writer::WriteError;
use crate::sabotage::{self, Defect};
use crate::types::Sequence;

/// How long a commit that nobody waits for may lie before it is written.
const TICK: Duration = Duration::from_millis(20);

/// How often what is counted is told to the metrics facade.
#[cfg(feature = "metrics")]
const PUBLISH_EVERY: Duration = Duration::from_secs(1);

/// What the thread remembers from one round to the next.
#[derive(Debug)]
pub(crate) struct Housekeeper {
    last_seen: Sequence,
    idle_since: Instant,
    synced_at: Instant,
    /// A chore failed; it is not tried again before this.
    rest_until: Option<Instant>,
    stats: StatsFile,
    #[cfg(feature = "metrics")]
    published_at: Instant,
}

impl Default for Housekeeper {
    fn default() -> Self {
        let now = Instant::now();
        Self {
            last_seen: Sequence::ZERO,
            idle_since: now,
            synced_at: now,
            rest_until: None,
            stats: StatsFile::default(),
            #[cfg(feature = "metrics")]
            published_at: now,
        }
    }
}

/// Starts the thread.
///
/// # Errors
/// `Io`: the system gives no thread.
pub(crate) fn start(shared: &Arc<Shared>) -> Result<std::thread::JoinHandle<()>> {
    let weak = Arc::downgrade(shared);
    std::thread::Builder::new()
        .name("bitacora".into())
        .spawn(move || run(&weak))
        .map_err(|source| Error::from_io("start the housekeeping thread", source))
}

fn run(weak: &Weak<Shared>) {
    let mut keeper = Housekeeper::default();
    // Before a spare takes room.
    weak.upgrade().into_iter().for_each(|shared| shared.chores.free());
    loop {
        let Some(shared) = weak.upgrade() else { return };
        let guard = PanicGuard { shared: &shared };
        let next = keeper.round(&shared);
        std::mem::forget(guard);
        if !shared.chores.sleep(next) {
            keeper.stats.keep(&shared, Keep::Last);
            #[cfg(feature = "metrics")]
            shared.publish_metrics();
            return;
        }
    }
}

/// A panic in the thread must not leave writers waiting for it.
struct PanicGuard<'a> {
    shared: &'a Shared,
}

impl Drop for PanicGuard<'_> {
    fn drop(&mut self) {
        self.shared.poison(&Error::new(ErrorKind::Io, "the housekeeping thread panicked"));
    }
}

impl Housekeeper {
    /// Does what is due; returns when to come again, `None` when something happens.
    pub(crate) fn round(&mut self, shared: &Shared) -> Option<Duration> {
        if shared.latch.is_tripped() {
            return None;
        }
        shared.lead_waiting();
        let now = Instant::now();
        if self.rest_until.is_none_or(|until| until <= now) {
            self.rest_until = None;
            if let Err(error) = shared.do_chores() {
                tracing::warn!(%error, "a housekeeping chore failed and will be tried again");
                self.rest_until = Some(now + Duration::from_secs(1));
            }
        }
        self.sync_interval(shared, now);
        shared.flush_ahead();
        self.stats.keep(shared, Keep::IfDue(now));
        #[cfg(feature = "metrics")]
        if now - self.published_at >= PUBLISH_EVERY {
            shared.publish_metrics();
            self.published_at = now;
        }
        self.mark_idle(shared, now)
    }

    fn sync_interval(&mut self, shared: &Shared, now: Instant) {
        if let Durability::Interval(interval) = shared.options.durability
            && now - self.synced_at >= interval
        {
            // A failure has poisoned the store, which is all that can be done.
            let _ = shared.sync_beside();
            self.synced_at = now;
        }
    }

    /// Once the store has been idle for long enough, notes in the log how far it is durable.
    fn mark_idle(&mut self, shared: &Shared, now: Instant) -> Option<Duration> {
        let shown = shared.places.sequence();
        if shown != self.last_seen {
            self.last_seen = shown;
            self.idle_since = now;
        }
        let interval = match shared.options.durability {
            Durability::Interval(interval) if shared.places.durable() < shown => Some(interval.min(TICK)),
            _ => None,
        };
        let idle_for = now - self.idle_since;
        if idle_for < shared.options.idle_mark_after {
            let left = (shared.options.idle_mark_after - idle_for).max(Duration::from_millis(1));
            return Some(interval.map_or(left, |interval| interval.min(left)).min(TICK));
        }
        shared.write_idle_mark();
        interval.or(self.rest_until.map(|until| until.saturating_duration_since(now)))
    }
}

impl Shared {
    /// Ingests, seals and prepares what is to be ingested, sealed and prepared.
    pub(crate) fn do_chores(&self) -> Result<()> {
        let is_over = self.keeping.lock();
        if *is_over {
            return Ok(());
        }
        let ingested = self.ingest_waiting();
        let sealed = self.seal_finished();
        // Before the spare: what must be written goes before what may be.
        let reserved = self.prepare_reserve();
        let prepared = self.prepare_spare();
        ingested.and(sealed).and(reserved).and(prepared)
    }

    /// Moves the frozen tails into the index. Nothing enters it after the store is poisoned.
    pub(crate) fn ingest_waiting(&self) -> Result<()> {
        let _one_at_a_time = self.ingestion.lock();
        loop {
            // The lock on the view is given back here: ingesting takes it again.
            let oldest = self.view.read().oldest();
            let Some(tail) = oldest else { return Ok(()) };
            if self.latch.is_tripped() {
                return Ok(());
            }
            let Some(batch) = tail.to_batch() else { unreachable!("a frozen tail has its end") };
            let is_durable = batch.watermark.sequence <= self.places.durable();
            assert!(is_durable || sabotage::has(Defect::IndexBeforeSync), "only what is durable enters the index");
            let through = batch.watermark.sequence.get();
            let span = tracing::debug_span!(target: "bitacora", "ingest", through, events = tail.events());
            span.in_scope(|| self.files.measures.ingest(tail.events(), || self.index.ingest(&batch)))?;
            self.view.write().ingested();
        }
    }

    /// The same where nobody hears an error: a failed ingestion leaves the tails where they are.
    pub(crate) fn ingest_all(&self) {
        if let Err(error) = self.ingest_waiting() {
            tracing::warn!(%error, "the index could not be brought up to date");
        }
    }

    /// Seals every finished segment that has no seal, oldest first, for each names the one before.
    fn seal_finished(&self) -> Result<()> {
        loop {
            let Some(first) = self.files.next_unsealed() else { return Ok(()) };
            let Some(segment) = self.files.named(first) else { return Ok(()) };
            let previous = match self.files.header(&segment)?.previous {
                Sequence::ZERO => [0; 32],
                previous => match self.files.read_seal(previous) {
                    Some((_, digest)) => digest,
                    None => {
                        self.files.unseal(previous);
                        continue;
                    }
                },
            };
            let _span = tracing::debug_span!(target: "bitacora", "seal", segment = first.get()).entered();
            let began = self.files.measures.now();
            let seal = sealing::make(&self.files, &segment, previous).inspect_err(|_| self.files.skip_seal(first))?;
            sealing::write(&self.files, &seal)?;
            self.files.sealed(first);
            self.files.measures.sealed(began);
            tracing::debug!(segment = %first, "sealed");
        }
    }

    /// Makes the reserve again where it was spent and there is room.
    fn prepare_reserve(&self) -> Result<()> {
        if self.writer.is_none() || self.latch.is_tripped() {
            return Ok(());
        }
        self.reserve.make(self.files.disk.as_ref(), &self.files.directory)
    }

    /// Takes room for the next segment once the active one is half full.
    fn prepare_spare(&self) -> Result<()> {
        let Some(writer) = &self.writer else { return Ok(()) };
        let filling = {
            let writer = writer.lock();
            if !writer.wants_spare() {
                return Ok(());
            }
            writer.spare_filling()
        };
        let (disk, directory) = (self.files.disk.as_ref(), &self.files.directory);
        let room = Room::take(disk, directory, "spare", self.options.segment_bytes, filling)?;
        self.spare.put(room);
        Ok(())
    }

    /// Syncs beside the writer, which goes on meanwhile. Returns how far the log is durable.
    ///
    /// # Errors
    /// `Io`: the sync failed, and the store is poisoned.
    pub(crate) fn sync_beside(&self) -> Result<Sequence> {
        let writer = self.writer()?;
        let ticket = {
            let writer = writer.lock();
            // Who has synced and then failed did not note it.
            self.note_durable(writer.durable());
            writer.sync_ticket()
        };
        if let Some(ticket) = ticket {
            if let Err(error) = self.files.measures.sync(|| ticket.sync()) {
                self.poison(&error);
                return Err(error);
            }
            let mut writer = writer.lock();
            writer.synced(&ticket);
            self.files.measures.cover();
            self.note_durable(writer.durable());
        }
        Ok(self.places.durable())
    }

    /// Syncs beside the writer where much is unsynced. Only where commits are not synced anyway is there ever so much.
    fn flush_ahead(&self) {
        let wants_flush = self.writer.as_ref().is_some_and(|writer| writer.lock().wants_flush());
        if wants_flush {
            // A failure has poisoned the store, which is all that can be done.
            let _ = self.sync_beside();
        }
    }

    fn write_idle_mark(&self) {
        let Some(writer) = &self.writer else { return };
        let mut writer = writer.lock();
        if !writer.wants_mark() || self.latch.is_tripped() {
            return;
        }
        if let Err(WriteError::Clean(error) | WriteError::Fatal(error)) = writer.mark(FrameKind::SyncMark) {
            drop(writer);
            self.poison(&error);
        }
    }
}
