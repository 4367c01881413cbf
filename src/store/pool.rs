//! Memory that commits are done with, kept for those that follow, so that a commit need not ask for its own.

use super::shared::InFlight;
use crate::format::frame::Draft;
use crate::sync::leaf::Mutex;

/// So much is kept at most.
const KEPT_BYTES_MAX: usize = 1024 * 1024;
/// And so many drafts: as many as may be in flight at once, of small ones.
const KEPT_DRAFTS_MAX: usize = 128;

/// The memory that is kept.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    drafts: Vec<Draft>,
    draft_bytes: usize,
    /// An empty list with room for a group.
    group: Vec<InFlight>,
}

impl Pool {
    /// A draft whose content is of no use any more.
    pub(crate) fn draft(&self) -> Draft {
        let mut kept = self.kept.lock();
        let Some(draft) = kept.drafts.pop() else { return Draft::default() };
        kept.draft_bytes -= draft.memory_bytes();
        draft
    }

    /// An empty list.
    pub(crate) fn group(&self) -> Vec<InFlight> {
        std::mem::take(&mut self.kept.lock().group)
    }

    /// Takes back the memory of a group that is done with.
    pub(crate) fn give_back(&self, mut group: Vec<InFlight>) {
        let mut kept = self.kept.lock();
        let kept = &mut *kept;
        for commit in group.drain(..) {
            let draft = commit.pending.draft;
            let bytes = draft.memory_bytes();
            if kept.draft_bytes + bytes <= KEPT_BYTES_MAX && kept.drafts.len() < KEPT_DRAFTS_MAX {
                kept.draft_bytes += bytes;
                kept.drafts.push(draft);
            }
        }
        if group.capacity() > kept.group.capacity() {
            kept.group = group;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::writer::Pending;
    use crate::measure::Stopwatch;
    use crate::types::Sequence;

    fn commit(draft: Draft) -> InFlight {
        let pending = Pending {
            draft,
            first_sequence: Sequence::FIRST,
            runs: Default::default(),
            may_use_reserve: false,
            committed_at: None,
            place: None,
        };
        let (came, payload_bytes) = (Stopwatch::default(), 0);
        InFlight { pending, key: None, wants_sync: false, came, payload_bytes }
    }

    #[test]
    fn what_is_given_back_is_handed_out_again_up_to_a_bound() {
        let pool = Pool::default();
        let nothing = Draft::default().memory_bytes();
        assert_eq!((pool.draft().memory_bytes(), pool.group().capacity()), (nothing, 0));
        let half = || {
            let mut draft = Draft::default();
            draft.reserve(1, KEPT_BYTES_MAX / 2 - 4096);
            draft
        };
        pool.give_back((0..3).map(|_| commit(half())).collect());
        assert!(pool.group().capacity() >= 3);
        let bytes = [(); 3].map(|()| pool.draft().memory_bytes());
        assert!(bytes[0] >= KEPT_BYTES_MAX / 2 - 4096 && bytes[0] == bytes[1], "two are kept");
        assert_eq!(bytes[2], nothing, "a third one would be too much");
    }

    #[test]
    fn a_longer_list_is_kept_in_place_of_a_shorter_one() {
        let pool = Pool::default();
        pool.give_back(Vec::with_capacity(2));
        pool.give_back(Vec::with_capacity(5));
        pool.give_back(Vec::with_capacity(3));
        assert_eq!((pool.group().capacity(), pool.group().capacity()), (5, 0));
    }
}
