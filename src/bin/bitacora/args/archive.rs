//! The arguments of the verbs that move segments into archives and back.

use std::path::PathBuf;
use std::str::FromStr;

use bitacora::{ArchiveBackup, ArchiveBefore, Sequence, Timestamp};
use clap::Args;

/// Move old segments that everybody has passed into archives of seekable zstd; reads go on through them.
///
/// A segment goes if it lies wholly before the bound, is sealed, and if no consumer, service or snapshot, nor the index needs it
/// and the backup holds it. The last two stay. For each that stays the report says what keeps it. Each archive is synced, read back
/// and compared before the segment's file goes; interrupted, it can be begun again. `bitacora unarchive` brings segments back.
///
/// {"dry_run","folder","segments":[{"first","last","state","because","segment_bytes","archive_bytes"}],"moved","segment_bytes",
/// "archive_bytes"}: "state" is "archived", "goes", "moved" or "kept". Exit 0, also where nothing may go.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  bitacora archive till-data --before 2026-01-01T00:00:00Z --backup /mnt/usb/till-2026-03-01 --dry-run
  bitacora archive till-data --before 100000 --to /mnt/usb/archive --without-backup")]
pub(crate) struct ArchiveArgs {
    /// The store's folder.
    pub(crate) dir: PathBuf,
    /// What lies wholly before this sequence, or this time.
    #[arg(long, value_name = "SEQ|RFC3339")]
    pub(crate) before: Before,
    /// The folder of archives, which is made; it goes on record, so it must be found under this name later. Without it: DIR/archive.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) to: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) backup: BackedUpArgs,
    /// Also what a load of an aggregate reads behind its newest snapshot; it reads that from the archive then.
    #[arg(long)]
    pub(crate) past_snapshots: bool,
    /// Only say what would be done. Works beside a writer.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Which backup holds what goes.
#[derive(Args, Debug)]
#[group(multiple = false)]
pub(crate) struct BackedUpArgs {
    /// A backup of this store, which is looked at: what it holds with the same digests may go.
    #[arg(long, value_name = "FOLDER")]
    backup: Option<PathBuf>,
    /// There is a backup that holds everything through this sequence.
    #[arg(long, value_name = "SEQ")]
    backed_up_through: Option<u64>,
    /// No backup is needed.
    #[arg(long)]
    without_backup: bool,
}

impl BackedUpArgs {
    pub(crate) fn named(&self) -> ArchiveBackup {
        match (&self.backup, self.backed_up_through, self.without_backup) {
            (Some(folder), ..) => ArchiveBackup::Folder(folder.clone()),
            (None, Some(through), _) => ArchiveBackup::Through(Sequence::new(through)),
            (None, None, true) => ArchiveBackup::Without,
            (None, None, false) => ArchiveBackup::Unnamed,
        }
    }
}

/// A sequence, or a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Before(pub(crate) ArchiveBefore);

impl FromStr for Before {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(number) = text.parse() {
            return Ok(Self(ArchiveBefore::Sequence(Sequence::new(number))));
        }
        let time: jiff::Timestamp = text
            .parse()
            .map_err(|error| format!("neither a sequence nor a time such as 2026-01-01T00:00:00Z: {error}"))?;
        Ok(Self(ArchiveBefore::Time(Timestamp::from_micros(time.as_microsecond()))))
    }
}

/// Bring archived segments back into the log.
///
/// The newest first. Archives in DIR/archive are removed, those elsewhere are left. Works on a store that does not open, too.
/// Interrupted, it can be begun again.
///
/// {"segments":[{"first","last","segment_bytes","archive_bytes"}],"moved","segment_bytes","archive_bytes","left"}: "left" are the
/// archives that are not needed any more.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  bitacora unarchive till-data --from 50000")]
pub(crate) struct UnarchiveArgs {
    /// The store's folder.
    pub(crate) dir: PathBuf,
    /// Only segments with events from this sequence on.
    #[arg(long, value_name = "SEQ", default_value_t = 0, hide_default_value = true)]
    pub(crate) from: u64,
}
