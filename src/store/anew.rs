//! Making a store's index anew, beside the one it has: how an open does it that was asked to.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use crate::error::Result;
use crate::index::{Direction, Index, IndexEvidence, IndexProvider, StateWrite};
use crate::log::files::LogFiles;
use crate::recovery::examine::INDEX;
use crate::recovery::rebuild::{self, Rebuilt};
use crate::recovery::walk::Start;
use crate::types::{Sequence, StoreId};

/// Where it is made. What an attempt that was killed has left there is removed by the next.
const BESIDE: &str = "index-new";

/// Entries of the state that are copied at once.
const ENTRIES: usize = 256;

/// That the index is to be made anew, who is told how far it is, and what came of it.
pub(crate) struct Anew<'a> {
    pub(crate) progress: &'a mut dyn FnMut(Sequence, Sequence) -> ControlFlow<()>,
    /// Commits with an idempotency key.
    pub(crate) keys: u64,
    pub(crate) state: KeptState,
}

/// What became of the snapshots and checkpoints that the index had.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeptState {
    pub(crate) entries: u64,
    /// Why they are lost; `None` where they are kept, or where there was no index.
    pub(crate) lost: Option<String>,
}

impl Anew<'_> {
    /// Makes it, and puts it into its place; the index, open, and the tail that it has not taken in. Until the last step the
    /// index that was there is as it was.
    ///
    /// # Errors
    /// `Aborted`, `Corrupt`, `StorageFull`, `Io`: what was made is removed.
    pub(super) fn make(
        &mut self,
        provider: &dyn IndexProvider,
        root: &Path,
        store_id: StoreId,
        files: &Arc<LogFiles>,
        last: Sequence,
    ) -> Result<(Arc<dyn Index>, Rebuilt)> {
        let (directory, beside) = (root.join(INDEX), root.join(BESIDE));
        provider.remove(&beside)?;
        let made = self.build(provider, &directory, &beside, store_id, files, last);
        let made = made.and_then(|rebuilt| provider.replace(&beside, &directory).map(|()| rebuilt));
        let rebuilt = made.inspect_err(|_| {
            if let Err(error) = provider.remove(&beside) {
                tracing::warn!(%error, "an index that was not finished cannot be removed");
            }
        })?;
        Ok((provider.open(&directory, store_id)?, rebuilt))
    }

    fn build(
        &mut self,
        provider: &dyn IndexProvider,
        directory: &Path,
        beside: &Path,
        store_id: StoreId,
        files: &Arc<LogFiles>,
        last: Sequence,
    ) -> Result<Rebuilt> {
        let segments = files.all();
        let Some(first) = segments.first() else { unreachable!("a log has a segment") };
        let start = Start::of(&files.header(first)?);
        let index = provider.open(beside, store_id)?;
        // The state first: where a checkpoint in it is damaged, what the log has of it takes its place.
        let outcome = copy_state(provider, directory, store_id, &index).and_then(|state| {
            self.state = state;
            rebuild::rebuild(files, &index, start, last, &mut |done| (self.progress)(done, last))
        });
        let outcome = outcome.inspect(|rebuilt| self.keys = rebuilt.keys);
        let closed = index.close();
        outcome.and_then(|rebuilt| closed.map(|()| rebuilt))
    }
}

impl std::fmt::Debug for Anew<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Anew").field("keys", &self.keys).field("state", &self.state).finish_non_exhaustive()
    }
}

/// Copies snapshots and checkpoints, as they are: each has a checksum of its own. An index that cannot be read keeps none.
///
/// # Errors
/// `Io`, `StorageFull`: the new index cannot be written.
fn copy_state(
    provider: &dyn IndexProvider,
    directory: &Path,
    store_id: StoreId,
    index: &Arc<dyn Index>,
) -> Result<KeptState> {
    let lost = |reason: String| KeptState { entries: 0, lost: Some(reason) };
    let sequence = match provider.evidence(directory, store_id) {
        IndexEvidence::Absent => return Ok(KeptState::default()),
        IndexEvidence::Unusable(reason) => return Ok(lost(reason)),
        IndexEvidence::Present { state_sequence, .. } => state_sequence,
    };
    let old = match provider.open_read_only(directory, store_id) {
        Ok(old) => old,
        Err(error) => return Ok(lost(error.to_string())),
    };
    let (mut entries, mut from) = (0, Vec::new());
    loop {
        let page = match old.scan_state(&[], &from, Direction::Forwards, ENTRIES) {
            Ok(page) => page,
            // What was copied so far is of use all the same.
            Err(error) => return Ok(KeptState { entries, lost: Some(error.to_string()) }),
        };
        let Some((last, _)) = page.last() else { return Ok(KeptState { entries, lost: None }) };
        from.clone_from(last);
        from.push(0);
        entries += crate::format::frame::to_u64(page.len());
        let writes: Vec<StateWrite> = page.into_iter().map(|(key, value)| StateWrite::Put(key, value)).collect();
        index.write_state(&writes, sequence)?;
    }
}
