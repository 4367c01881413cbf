//! How a simulated disk behaves, and how hard a power cut hits it.

/// The unit that a power cut keeps, loses or tears.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sector {
    /// 512 bytes.
    #[default]
    Bytes512,
    /// 4,096 bytes.
    Bytes4096,
}

impl Sector {
    /// The size in bytes.
    #[must_use]
    pub fn bytes(self) -> u64 {
        match self {
            Self::Bytes512 => 512,
            Self::Bytes4096 => 4096,
        }
    }
}

/// What a sync of a file that fails does to what was not synced. In every case but `CleanOld` a later power cut may
/// keep or lose each sector of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AfterFailedSync {
    /// It stays unsynced, and the next sync writes it.
    Dirty,
    /// Readers see it, and no later sync writes it, unless it is written again (ext4, XFS).
    #[default]
    CleanNew,
    /// Readers see the durable bytes again; the length stays (Btrfs).
    CleanOld,
    /// As `CleanNew`; the call itself reports success, and the next sync of that file fails (ext4, `data=journal`).
    ReportedLate,
}

/// How a simulated disk behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SimulationOptions {
    /// The size of its sectors.
    pub sector: Sector,
    /// What a failed sync of a file leaves.
    pub after_failed_sync: AfterFailedSync,
    /// Whether every sync reports success and does nothing. No store survives this; it is here to show that a test
    /// notices.
    pub lies_about_sync: bool,
    /// How many bytes all files together may have; `None` for no bound.
    pub capacity_bytes: Option<u64>,
    /// Whether two files may share their bytes until one of them is written to ([`Disk::reflink`](crate::disk::Disk::reflink)).
    pub reflinks: bool,
}

/// How hard a power cut hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrashOptions {
    /// Whether bytes that are the same before and after a write survive it, as `SQLite` calls powersafe overwrite.
    /// Where not, a sector that was being written may be garbage as a whole.
    pub powersafe: bool,
    /// Whether the part of a file that was added and neither written nor synced may hold old bytes instead of zeros.
    pub stale_allocation: bool,
}

impl Default for CrashOptions {
    fn default() -> Self {
        Self { powersafe: true, stale_allocation: false }
    }
}
