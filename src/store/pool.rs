//! Memory that commits are done with, kept for those that follow, so that a commit need not ask for its own.

use super::shared::InFlight;
use crate::log::queue::Members;
use crate::sync::leaf::Mutex;

/// So much is kept at most.
const KEPT_BYTES_MAX: usize = 1024 * 1024;
/// And so many commits: as many as may be in flight at once, of small ones.
const KEPT_COMMITS_MAX: usize = 128;

/// The memory that is kept.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// Empty ones, each with what it takes.
    commits: Vec<(Box<InFlight>, usize)>,
    bytes: usize,
}

impl Pool {
    /// An empty commit.
    pub(crate) fn commit(&self) -> Box<InFlight> {
        let mut kept = self.kept.lock();
        match kept.commits.pop() {
            Some((commit, bytes)) => {
                kept.bytes -= bytes;
                commit
            }
            None => {
                drop(kept);
                Box::default()
            }
        }
    }

    /// Takes back the memory of commits that are done with.
    pub(crate) fn give_back(&self, mut commits: Members<Box<InFlight>>) {
        // Not under the lock: here is dropped what they had.
        commits.iter_mut().for_each(|commit| commit.clear());
        let mut kept = self.kept.lock();
        for commit in commits {
            let bytes = commit.memory_bytes();
            if kept.bytes + bytes <= KEPT_BYTES_MAX && kept.commits.len() < KEPT_COMMITS_MAX {
                kept.bytes += bytes;
                kept.commits.push((commit, bytes));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use smallvec::smallvec;

    use super::*;
    use crate::error::{Error, ErrorKind};
    use crate::store::commit::{Commit, IdempotencyKey};
    use crate::types::{CodecId, EventType, ExpectedVersion, NewEvent, StreamId};

    #[test]
    fn what_is_given_back_is_handed_out_again_up_to_a_bound() {
        let pool = Pool::default();
        let nothing = pool.commit().memory_bytes();
        let half = || {
            let mut commit = Box::<InFlight>::default();
            commit.pending.draft.reserve(1, KEPT_BYTES_MAX / 2 - 4096);
            commit
        };
        pool.give_back(smallvec![half(), half(), half()]);
        let bytes = [(); 3].map(|()| pool.commit().memory_bytes());
        assert!(bytes[0] >= KEPT_BYTES_MAX / 2 - 4096 && bytes[0] == bytes[1], "two are kept");
        assert_eq!(bytes[2], nothing, "a third one would be too much");
        pool.give_back((0..KEPT_COMMITS_MAX + 1).map(|_| Box::default()).collect());
        assert_eq!(pool.kept.lock().commits.len(), KEPT_COMMITS_MAX);
    }

    #[test]
    fn what_is_handed_out_has_nothing_of_the_commit_before() {
        let pool = Pool::default();
        let event = NewEvent::new(EventType::new("Sold").unwrap(), CodecId::RAW, vec![7; 300]);
        let stream = StreamId::new("a").unwrap();
        let mut commit = Commit::new()
            .append(&stream, ExpectedVersion::NoStream, vec![event.clone(), event])
            .idempotency_key_for("key", [7; 32])
            .may_use_reserve()
            .durability(crate::Durability::Sync)
            .content;
        let key: Option<IdempotencyKey> = commit.idempotency.clone();
        commit.key = key.map(|key| (key.key, [7; 32]));
        commit.refusal = Some(Error::new(ErrorKind::InvalidInput, "refused"));
        commit.pending.committed_at = Some(crate::types::Timestamp::EPOCH);
        pool.give_back(smallvec![commit]);
        let again = pool.commit();
        assert!(again.memory_bytes() > Box::<InFlight>::default().memory_bytes() + 600, "its memory is there");
        let new = Commit::new().content;
        assert_eq!(format!("{again:?}"), format!("{new:?}"));
    }
}
