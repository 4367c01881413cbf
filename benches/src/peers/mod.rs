//! Other stores under the same workload: 256-byte events in 10,000 streams, in the order of their commits, each stream
//! readable by an index where the store has one. Each is used as someone who knows it would use it for events, with the
//! options that give the durability that is measured.
//!
//! None compresses: a commit repeats one payload, which would be free. Their events carry neither an id nor a time, and,
//! but for the event stores, no type; and nothing compares an expected version, though each version is counted.

mod commit_log;
mod fjall;
mod lmdb;
mod okay;
mod positions;
mod raft;
mod redb;
mod rocks;
mod sqlite;
mod tephra;
mod uma;

use crate::subject::{Durability, Open};

/// What each store that has a cache of its own may fill with pages or blocks.
const CACHE_BYTES: usize = 128 << 20;

/// Another store.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// What it is called in the table.
    pub name: &'static str,
    /// Opens or creates one in a folder.
    pub open: Open,
    /// Which durabilities it has; opened with another it panics.
    pub durabilities: &'static [Durability],
    /// Whether many threads may append at once, each synced by itself or in groups. Without it they queue for a mutex.
    pub has_group_commit: bool,
    /// What of the comparison is uneven, in one sentence for the page.
    pub note: &'static str,
}

const BOTH: &[Durability] = &[Durability::Sync, Durability::Buffered];
const SYNC: &[Durability] = &[Durability::Sync];
const BUFFERED: &[Durability] = &[Durability::Buffered];

/// Every peer that was compiled in.
#[must_use]
pub fn all() -> Vec<Peer> {
    vec![
        rocks::PEER,
        sqlite::PEER,
        redb::PEER,
        fjall::PEER,
        lmdb::PEER,
        raft::PEER,
        okay::PEER,
        tephra::PEER,
        uma::PEER,
        commit_log::PEER,
    ]
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::subject::Subject;

    const PAYLOAD: [u8; 256] = [7; 256];

    /// Commits of one and of many events, several of them to one stream: 241 events, 3 of stream 42.
    fn append_some(subject: &dyn Subject) {
        subject.append(&[42], &PAYLOAD);
        for commit in 0..3 {
            let streams: Vec<usize> = (0..79).map(|place| 100 + commit * 100 + place).collect();
            subject.append(&streams, &PAYLOAD);
        }
        subject.append(&[7, 42, 42], &PAYLOAD);
    }

    fn assert_holds(subject: &dyn Subject, peer: &Peer, times: u64) {
        let total = times * 241;
        if let Some(scanned) = subject.scan() {
            assert_eq!(scanned, (total, total * 256), "{}", peer.name);
        }
        for (stream, events) in [(42, 3), (7, 1), (178, 1), (9_999, 0)] {
            if let Some(read) = subject.read_stream(stream) {
                assert_eq!(read, times * events, "{} of stream {stream}", peer.name);
            }
        }
    }

    fn each(mut check: impl FnMut(&Peer, Durability, &Path)) {
        for peer in all() {
            for &durability in peer.durabilities {
                let folder = tempfile::tempdir().unwrap();
                check(&peer, durability, folder.path());
            }
        }
    }

    #[test]
    fn every_peer_holds_what_was_appended_after_a_clean_close_and_goes_on() {
        each(|peer, durability, folder| {
            for times in 1..=3 {
                let subject = (peer.open)(folder, durability);
                assert_holds(&*subject, peer, times - 1);
                append_some(&*subject);
                assert_holds(&*subject, peer, times);
                subject.close();
            }
        });
    }

    #[test]
    fn every_peer_takes_the_commits_of_many_threads() {
        each(|peer, durability, folder| {
            let subject = (peer.open)(folder, durability);
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| append_some(&*subject));
                }
            });
            assert_holds(&*subject, peer, 4);
            subject.close();
        });
    }
}
