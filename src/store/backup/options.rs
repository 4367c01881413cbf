//! What a backup and a restore can be told, and what they tell.

use std::path::PathBuf;

use crate::types::{Sequence, StoreId};

/// How a backup is made. The defaults are the safe ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackupOptions {
    pub(super) hard_links: bool,
    pub(super) verify_all: bool,
}

impl BackupOptions {
    /// Finished segments share their bytes with the store's where the file system can do that and keeps the two apart from then on
    /// (a reflink), and are copied elsewhere; what an earlier backup has is kept and looked at, not read again.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether finished, sealed segments are hard links to the store's files, where both are on one file system: they take no room
    /// and no time. **A flipped bit, or a medium that fails, then hits the store and the backup at once**; such a backup guards
    /// against mistakes, not against the disk. Off by default.
    #[must_use]
    pub fn hard_links(mut self, yes: bool) -> Self {
        self.hard_links = yes;
        self
    }

    /// Whether a backup that is brought up to date is read and verified as a whole before that, and the whole store with it, as if
    /// all of it were new. Off by default: what is kept is looked at by its length, its headers, its seals and the last frames of
    /// each segment.
    #[must_use]
    pub fn verify_all(mut self, yes: bool) -> Self {
        self.verify_all = yes;
        self
    }
}

/// How a store is restored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RestoreOptions {
    pub(super) replace: bool,
}

impl RestoreOptions {
    /// Into a place where nothing stands.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether a store that stands there, with the same id and nobody writing to it, is set aside: it is renamed to
    /// `TO.before-restore-N` and never deleted. Off by default.
    #[must_use]
    pub fn replace(mut self, yes: bool) -> Self {
        self.replace = yes;
        self
    }
}

/// What a backup holds, and what was done for it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackupReport {
    /// The store's id, which is the backup's too.
    pub store_id: StoreId,
    /// Segments.
    pub segments: u64,
    /// Of these, the ones that were written by this call, in whatever way; the last one is written anew whenever it has grown.
    pub segments_copied: u64,
    /// Of those that were written, the ones that share their bytes with the store's until one of the two is written to.
    pub segments_reflinked: u64,
    /// Of those that were written, the ones that are hard links to the store's files.
    pub segments_linked: u64,
    /// The ones that an earlier backup had put there.
    pub segments_kept: u64,
    /// Seals of finished segments; those that are missing are made again when the backup is opened.
    pub seals: u64,
    /// The store's files in it, bytes.
    pub bytes: u64,
    /// Of these, what was written, shared or linked by this call.
    pub bytes_copied: u64,
    /// Of these, what was there.
    pub bytes_kept: u64,
    /// Events.
    pub events: u64,
    /// The last sequence.
    pub last_sequence: Sequence,
    /// The Merkle root (RFC 9162) over all its events: equal for two backups that hold the same. `None` where a part was kept and
    /// so not read: see [`BackupOptions::verify_all`].
    pub merkle_root: Option<[u8; 32]>,
    /// The digest of its last seal, which stands on all seals before; `None` where it has no seal.
    pub seal_digest: Option<[u8; 32]>,
}

/// What was restored.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RestoreReport {
    /// The store's id, which is the backup's.
    pub store_id: StoreId,
    /// Segments.
    pub segments: u64,
    /// Seals of finished segments.
    pub seals: u64,
    /// All files, bytes.
    pub bytes: u64,
    /// Events.
    pub events: u64,
    /// The last sequence.
    pub last_sequence: Sequence,
    /// The Merkle root (RFC 9162) over all its events.
    pub merkle_root: [u8; 32],
    /// Where the store that stood there is now; `None` where none did.
    pub set_aside: Option<PathBuf>,
}

/// How far a backup or a restore has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackupProgress {
    /// What it does.
    pub phase: BackupPhase,
    /// Bytes done in this phase.
    pub done_bytes: u64,
    /// Bytes to do in this phase.
    pub total_bytes: u64,
}

/// What a backup or a restore does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BackupPhase {
    /// It reads what is to be copied and checks it.
    Check,
    /// It copies, and syncs what it copied.
    Copy,
    /// It reads the copy back and verifies it.
    Verify,
}
