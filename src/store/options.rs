//! What a store can be told when it is opened.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, SystemClock};
use crate::error::{Error, ErrorKind, Result};
use crate::format::segment::SECTOR_BYTES;
use crate::index::IndexBounds;
use crate::limits;
use crate::sync::AtomicU64;
use crate::types::StoreId;

/// When an append is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// When it is synced: it survives a power cut. The default.
    Sync,
    /// When the operating system has it; a sync follows at most this much later. A power cut loses what was
    /// acknowledged since the last sync; a kill loses nothing.
    Interval(Duration),
    /// When the operating system has it, which syncs when it likes: survives a kill, not a power cut. Beside the writers a sync
    /// is made for every 8 MiB, so that a segment's end need not wait for all of it.
    Buffered,
}

/// How a segment's room is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preallocation {
    /// The file grows with each write: least space, slowest syncs, and a full disk can strike a commit halfway, which
    /// then is `CommitUnknown`.
    Grow,
    /// The room is reserved at once: a full disk is met before any byte of a commit.
    Reserve,
    /// As `Reserve`, and under `Durability::Sync` zeros are written before small groups of commits, below 16 KiB: ahead of them,
    /// and to the segment that is prepared beside the writers. Fastest and steadiest syncs, at the price of writing bytes twice.
    /// Larger groups are written once, as with `Reserve`.
    ZeroFill,
}

/// Where each group of commits starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Right after the one before: small commits share sectors, which is safe on a medium with powersafe overwrite.
    Packed,
    /// On a fresh sector of 4,096 bytes: nothing acknowledged is ever rewritten. Costs space.
    Sector,
}

/// What becomes of deadlines that lie before the point of no return when the clock has moved far while the store was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadlinesAfterStep {
    /// They are put off by the step, so that what was begun before a power cut has as much time left as it had. The default.
    Extend,
    /// They stay: what passed while the store was closed counts, and what is overdue is undone at once.
    Expire,
}

/// How a store is opened. The defaults are the safe ones.
#[derive(Clone, Debug)]
pub struct Options {
    pub(crate) durability: Durability,
    pub(crate) segment_bytes: u64,
    pub(crate) preallocation: Preallocation,
    pub(crate) align: Align,
    /// `None`: as the segments' size asks for.
    pub(crate) reserve_bytes: Option<u64>,
    pub(crate) tail_events_max: usize,
    pub(crate) mapped_segments_max: usize,
    pub(crate) index: IndexBounds,
    pub(crate) idle_mark_after: Duration,
    pub(crate) background: bool,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) clock_step_max: Duration,
    pub(crate) open_step_report_min: Duration,
    pub(crate) deadlines_after_step: DeadlinesAfterStep,
    pub(crate) store_id: Option<StoreId>,
    /// The next id of an event that is given none; `None`: they are drawn.
    pub(crate) event_ids: Option<Arc<AtomicU64>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            durability: Durability::Sync,
            segment_bytes: limits::SEGMENT_BYTES_DEFAULT,
            preallocation: Preallocation::ZeroFill,
            align: Align::Packed,
            reserve_bytes: None,
            tail_events_max: limits::TAIL_EVENTS_MAX,
            mapped_segments_max: limits::MAPS_MAX,
            index: IndexBounds::default(),
            idle_mark_after: Duration::from_millis(50),
            background: true,
            clock: Arc::new(SystemClock),
            clock_step_max: limits::CLOCK_STEP_DEFAULT,
            open_step_report_min: Duration::from_secs(3_600),
            deadlines_after_step: DeadlinesAfterStep::Extend,
            store_id: None,
            event_ids: None,
        }
    }
}

impl Options {
    /// The defaults: synced, 64 MiB segments.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// When an append is acknowledged. Default [`Durability::Sync`].
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// The size of a segment file, bytes. Default 64 MiB, from 1 MiB to 2 GiB. Larger ones make fewer files and a longer
    /// recovery.
    #[must_use]
    pub fn segment_bytes(mut self, bytes: u64) -> Self {
        self.segment_bytes = bytes;
        self
    }

    /// How a segment's room is taken. Default [`Preallocation::ZeroFill`].
    #[must_use]
    pub fn preallocation(mut self, preallocation: Preallocation) -> Self {
        self.preallocation = preallocation;
        self
    }

    /// Where each group of commits starts. Default [`Align::Packed`].
    #[must_use]
    pub fn align(mut self, align: Align) -> Self {
        self.align = align;
        self
    }

    /// How much room is kept for what must still be written when the disk is full, see
    /// [`Commit::may_use_reserve`](crate::Commit::may_use_reserve). Default 1 MiB, or a segment's size where that is smaller;
    /// from 256 KiB to 2 GiB, or 0 for none. With [`Preallocation::Grow`] there is none.
    #[must_use]
    pub fn reserve_bytes(mut self, bytes: u64) -> Self {
        self.reserve_bytes = Some(bytes);
        self
    }

    /// The reserve that is kept, bytes; zero for none.
    pub(crate) fn reserve(&self) -> u64 {
        if self.preallocation == Preallocation::Grow {
            // A file that grows meets a full disk inside a write, where no room can be handed to it.
            return 0;
        }
        let bytes = self
            .reserve_bytes
            .unwrap_or_else(|| self.segment_bytes.clamp(limits::RESERVE_BYTES_MIN, limits::RESERVE_BYTES_DEFAULT));
        // A later open knows a segment that was made of the reserve by its length, so that must be another than a segment's.
        if bytes > 0 && bytes == self.segment_bytes { bytes + SECTOR_BYTES } else { bytes }
    }

    /// Events in memory before they are moved into the index though their segment is not finished. Default 1,000,000.
    #[must_use]
    pub fn tail_events_max(mut self, events: usize) -> Self {
        self.tail_events_max = events;
        self
    }

    /// Finished segments that are kept mapped into memory, at least 1. Default 64. Their pages are the system's, which takes them
    /// back when it wants to: this bounds addresses, which are few on 32 bits (so many times the size of a segment), and a
    /// thousandth of those segments that is kept to find places in them. Fewer cost reads all over the log a system call more
    /// often.
    #[must_use]
    pub fn mapped_segments_max(mut self, segments: usize) -> Self {
        self.mapped_segments_max = segments;
        self
    }

    /// What the index on disk may take in memory, bytes: its cache and its write buffers. Default 20 MiB, at least 2 MiB. With less,
    /// streams that were not met lately are read from disk more often, and the state's write-ahead log is written out sooner.
    /// What it takes beside that, while tables are merged, becomes smaller too. A reader has the default.
    #[must_use]
    pub fn index_memory_bytes(mut self, bytes: u64) -> Self {
        self.index.memory_bytes = bytes;
        self
    }

    /// Files that the index on disk keeps open. Default 128, from 32 to 1,048,576. There is one for each 8 MiB of the index, and one for
    /// each segment that was not merged yet; with fewer open ones, a look-up opens a file more often. A reader keeps all of
    /// them open, because a writer may remove any of them.
    #[must_use]
    pub fn index_open_files_max(mut self, files: u32) -> Self {
        self.index.open_files_max = files;
        self
    }

    /// How long the store is idle before it notes in the log how far it was synced. Default 50 ms.
    #[must_use]
    pub fn idle_mark_after(mut self, duration: Duration) -> Self {
        self.idle_mark_after = duration;
        self
    }

    /// Without the housekeeping thread, its work is done by [`Store::housekeep`](crate::Store::housekeep) and on close. Default
    /// on; off for simulations, which must not depend on a scheduler.
    #[must_use]
    pub fn background(mut self, background: bool) -> Self {
        self.background = background;
        self
    }

    /// Where time comes from. Default the system's clock.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// How far the clock may be set ahead, against a monotonic clock, while the store is open; at least a second. Default 5
    /// minutes: more than time servers and quartzes are ever off by, less than a wrong time zone. What is further ahead is not
    /// followed: the clock is [`Suspect`](crate::ClockState::Suspect), and store time goes on by the monotonic clock until it
    /// comes back or is [accepted](crate::Store::accept_clock). A longer bound lets a wrong clock end more payments at once; a
    /// shorter one asks the operator more often. `Duration::MAX`: the clock is followed wherever it goes, and one wrong reading
    /// can let every deadline pass.
    #[must_use]
    pub fn clock_step_max(mut self, bound: Duration) -> Self {
        self.clock_step_max = bound;
        self
    }

    /// How far the clock must be from the last commit when the store is opened for that to be
    /// [reported](crate::RecoveryReport::clock_step), and for deadlines to be put off by it. Default an hour. A shorter one
    /// puts deadlines off after any restart; a longer one lets those of a short power cut pass.
    #[must_use]
    pub fn open_step_report_min(mut self, step: Duration) -> Self {
        self.open_step_report_min = step;
        self
    }

    /// What becomes of deadlines after such a step. Default [`DeadlinesAfterStep::Extend`]: a payment that was under way is not
    /// undone because the till was off, and takes as much longer. With `Expire` it is undone.
    #[must_use]
    pub fn deadlines_after_step(mut self, policy: DeadlinesAfterStep) -> Self {
        self.deadlines_after_step = policy;
        self
    }

    /// The id of a store that is made, instead of one that is drawn, so that a simulation's bytes are the same each time.
    #[cfg(any(test, feature = "simulation"))]
    #[must_use]
    pub fn store_id(mut self, store_id: StoreId) -> Self {
        self.store_id = Some(store_id);
        self
    }

    /// The ids of events that are given none, instead of drawn ones: numbers from here on, so that a simulation's bytes are
    /// the same each time.
    #[cfg(any(test, feature = "simulation"))]
    #[must_use]
    pub fn event_ids_from(mut self, first: u64) -> Self {
        self.event_ids = Some(Arc::new(AtomicU64::new(first)));
        self
    }

    /// Checks every option.
    ///
    /// # Errors
    /// `InvalidInput`, naming the option and its range.
    pub(crate) fn check(&self) -> Result<()> {
        let invalid = |text: String| Err(Error::new(ErrorKind::InvalidInput, text));
        if !(limits::SEGMENT_BYTES_MIN..=limits::SEGMENT_BYTES_MAX).contains(&self.segment_bytes) {
            return invalid(format!(
                "segment_bytes is {}, must be from {} to {}",
                self.segment_bytes,
                limits::SEGMENT_BYTES_MIN,
                limits::SEGMENT_BYTES_MAX
            ));
        }
        let reserve = self.reserve_bytes.unwrap_or(0);
        if reserve > 0 && !(limits::RESERVE_BYTES_MIN..=limits::RESERVE_BYTES_MAX).contains(&reserve) {
            return invalid(format!(
                "reserve_bytes is {reserve}, must be 0 or from {} to {}",
                limits::RESERVE_BYTES_MIN,
                limits::RESERVE_BYTES_MAX
            ));
        }
        if self.tail_events_max == 0 {
            return invalid("tail_events_max is 0, must be at least 1".into());
        }
        if self.mapped_segments_max == 0 {
            return invalid("mapped_segments_max is 0, must be at least 1".into());
        }
        if self.index.memory_bytes < limits::INDEX_MEMORY_BYTES_MIN {
            return invalid(format!(
                "index_memory_bytes is {}, must be at least {}",
                self.index.memory_bytes,
                limits::INDEX_MEMORY_BYTES_MIN
            ));
        }
        let open_files = limits::INDEX_OPEN_FILES_MIN..=limits::INDEX_OPEN_FILES_MAX;
        if !open_files.contains(&self.index.open_files_max) {
            return invalid(format!(
                "index_open_files_max is {}, must be from {} to {}",
                self.index.open_files_max,
                limits::INDEX_OPEN_FILES_MIN,
                limits::INDEX_OPEN_FILES_MAX
            ));
        }
        if self.clock_step_max < limits::CLOCK_STEP_MIN {
            return invalid(format!(
                "clock_step_max is {:?}, must be at least {:?}",
                self.clock_step_max,
                limits::CLOCK_STEP_MIN
            ));
        }
        if self.durability == Durability::Interval(Duration::ZERO) {
            return invalid("the sync interval is 0; use Durability::Sync to sync each commit".into());
        }
        Ok(())
    }
}
