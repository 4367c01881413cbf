//! Keeping the index: making it anew, and putting it in order. Both need the store for themselves.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use super::anew::{Anew, KeptState};
use super::create::{self, Standing};
use super::environment::Environment;
use super::options::Options;
use super::{Store, open, resolved};
use crate::error::{Error, ErrorKind, Result};
use crate::format::identity::Identity;
use crate::index::IndexEvidence;
use crate::recovery::examine::INDEX;
use crate::types::{Sequence, StoreId};

/// What an index that was made anew holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexReport {
    /// The store's id.
    pub store_id: StoreId,
    /// Events.
    pub events: u64,
    /// Streams.
    pub streams: u64,
    /// Idempotency keys.
    pub keys: u64,
    /// Snapshots and checkpoints that were kept: entries of the index's state.
    pub state_entries: u64,
    /// Why snapshots, and checkpoints as far as the log has none, are lost; `None` where all were kept, or where there was no
    /// index.
    pub state_lost: Option<String>,
    /// How long it took, opening included.
    pub elapsed: Duration,
    /// What the index takes on disk, bytes.
    pub index_bytes: u64,
}

/// How far an index that is being made anew is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexProgress {
    /// Events that were taken in.
    pub done_events: u64,
    /// Events that there are.
    pub total_events: u64,
}

/// What became of an index that was put in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompactReport {
    /// What it took on disk before, bytes.
    pub bytes_before: u64,
    /// What it takes now.
    pub bytes_after: u64,
    /// How long it took.
    pub elapsed: Duration,
}

/// Makes the index of the store in a folder anew out of its log. It is made beside the one that is there, and takes its place when
/// it is whole: cut short before, by a kill too, the old one is as it was; cut short in that very moment, there is none, and the
/// next open makes it. Snapshots and checkpoints are not in the log (of consumers' checkpoints it has one every few seconds): they
/// are copied, as far as the old index can be read. Opening recovers the log first, as ever.
///
/// # Errors
/// `NotFound`: there is no store. `Aborted`: `progress` broke it off; nothing was changed. `Locked`: the store is being written to.
/// `Corrupt`: the log is damaged. `NotAStore`, `UnsupportedFormat`, `ReadOnly`, `StorageFull`, `Io`.
pub fn rebuild_index(
    path: impl AsRef<Path>,
    progress: &mut dyn FnMut(IndexProgress) -> ControlFlow<()>,
) -> Result<IndexReport> {
    rebuild_index_in(&Environment::default(), resolved(path.as_ref()), Options::new(), progress)
}

/// As [`rebuild_index`], of a store that stands on something else than the operating system's files and is opened with `options`.
///
/// # Errors
/// As [`rebuild_index`].
pub fn rebuild_index_in(
    environment: &Environment,
    path: impl AsRef<Path>,
    options: Options,
    progress: &mut dyn FnMut(IndexProgress) -> ControlFlow<()>,
) -> Result<IndexReport> {
    let root = path.as_ref();
    let identity = existing(environment, root)?;
    let started = options.clock.elapsed();
    let mut tell = |done: Sequence, total: Sequence| {
        progress(IndexProgress { done_events: done.get(), total_events: total.get() })
    };
    let mut anew = Anew { progress: &mut tell, keys: 0, state: KeptState::default() };
    let store = Store::start(open::open_with(environment, root, &options, true, Some(&mut anew))?)?;
    let (keys, state) = (anew.keys, anew.state);
    let info = store.info()?;
    // The last segment's events are in memory until then.
    store.close()?;
    Ok(IndexReport {
        store_id: identity.store_id,
        events: info.last_sequence.get(),
        streams: info.streams,
        keys,
        state_entries: state.entries,
        state_lost: state.lost,
        elapsed: options.clock.elapsed().saturating_sub(started),
        index_bytes: store.shared().index.bytes()?,
    })
}

/// Puts the index of the store in a folder in order, so that it takes no more room and no more look-ups than it must. What it says
/// stays the same. Needs room for a second copy of it meanwhile. It is not broken off halfway; a kill leaves the index as sound as it
/// was.
///
/// # Errors
/// `NotFound`: there is no store. `Locked`: the store is being written to. `Refused`: it has no index, or one that cannot be read and
/// is to be made anew. `NotAStore`, `UnsupportedFormat`, `Corrupt`, `ReadOnly`, `StorageFull`, `Io`.
pub fn compact_index(path: impl AsRef<Path>) -> Result<CompactReport> {
    compact_index_in(&Environment::default(), resolved(path.as_ref()))
}

/// As [`compact_index`], of a store that stands on something else than the operating system's files.
///
/// # Errors
/// As [`compact_index`].
pub fn compact_index_in(environment: &Environment, path: impl AsRef<Path>) -> Result<CompactReport> {
    use crate::clock::{Clock, SystemClock};
    let root = path.as_ref();
    let identity = existing(environment, root)?;
    let _lock = create::lock(environment.disk.as_ref(), root)?;
    let directory = root.join(INDEX);
    match environment.index.evidence(&directory, identity.store_id) {
        IndexEvidence::Present { .. } => {}
        IndexEvidence::Absent => {
            let text = format!("{}: there is no index; the next open makes it", root.display());
            return Err(Error::new(ErrorKind::Refused, text));
        }
        IndexEvidence::Unusable(reason) => {
            let text = format!("{}: the index cannot be read and is to be made anew: {reason}", root.display());
            return Err(Error::new(ErrorKind::Refused, text));
        }
    }
    let started = SystemClock.elapsed();
    let index = environment.index.open(&directory, identity.store_id)?;
    let compacted = index.bytes().and_then(|before| index.compact().map(|()| before));
    let closed = index.close();
    let bytes_before = compacted?;
    closed?;
    let bytes_after = index.bytes()?;
    Ok(CompactReport { bytes_before, bytes_after, elapsed: SystemClock.elapsed().saturating_sub(started) })
}

/// The store that must be there: nothing here makes one.
pub(super) fn existing(environment: &Environment, root: &Path) -> Result<Identity> {
    match create::standing(environment.disk.as_ref(), root)? {
        Standing::Store(identity) => Ok(identity),
        Standing::Absent | Standing::Unfinished => {
            Err(Error::new(ErrorKind::NotFound, format!("{}: there is no store", root.display())))
        }
    }
}
