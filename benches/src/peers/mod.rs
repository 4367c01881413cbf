//! Other stores, behind the same face: the same workload, with options that give the same durability.

use crate::subject::Open;

/// Another store.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// What it is called in the table.
    pub name: &'static str,
    /// Opens or creates one in a folder.
    pub open: Open,
    /// Whether many threads may append at once, each synced by itself or in groups.
    pub has_group_commit: bool,
    /// What of the comparison is uneven, in one sentence for the page.
    pub note: &'static str,
}

/// Every peer that was compiled in.
#[must_use]
pub fn all() -> Vec<Peer> {
    Vec::new()
}
