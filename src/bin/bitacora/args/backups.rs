//! The arguments of what copies whole stores.

use std::path::PathBuf;

use clap::Args;

/// Copy the store into a folder that is a store: checked, synced, read back and verified. Works while it is written to.
///
/// Beside a writer the copy ends with what is synced when the backup begins, without one with what the next open would
/// keep. Where nothing stands at TO, it is made in TO.partial-... and named TO when it is whole; an attempt that is killed
/// leaves that folder, which can be deleted, and no TO. Where an earlier backup of this store stands there, it is brought up
/// to date: finished segments that it has are kept, and it is a whole store at every moment. Ctrl-C ends either in
/// order (exit 130).
///
/// Not in it: the index, which the first open makes anew, and with it snapshots and consumers' checkpoints. Damage in
/// the store or in the backup is an error with its place (exit 4). Refused (exit 1): a TO that is something else, or a backup that
/// was opened to write, or that holds what the store does not.
///
/// {"store_id","segments","segments_copied","segments_reflinked","segments_linked","segments_kept","seals","bytes",
/// "bytes_copied","bytes_kept","events","last_sequence","merkle_root","seal_digest"}: two backups with the same root hold
/// the same events; it is null where a part was kept and not read.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  bitacora backup till-data /mnt/usb/till
  bitacora backup till-data /mnt/usb/till --verify-all")]
pub(crate) struct BackupArgs {
    /// The store's folder.
    pub(crate) dir: PathBuf,
    /// The backup's folder: a new one, whose parent must exist, or an earlier backup of this store.
    pub(crate) to: PathBuf,
    /// Make finished segments hard links to the store's files, where both are on one file system. They take no room, and
    /// a flipped bit or a failing medium then hits the store and the backup at once.
    #[arg(long)]
    pub(crate) hard_links: bool,
    /// Read all of the store and of an earlier backup again, and not only what is new and the ends of what is kept.
    #[arg(long)]
    pub(crate) verify_all: bool,
}

/// Make a store of a backup: verified, copied, read back, and only then named. The backup stays as it is.
///
/// The store has the id it had, and ends where the backup ends: what was written since is not in it. Payments that were under
/// way then are asked about at their gateways by the next recovery; of those that were begun later the store knows nothing.
/// The first open makes the index. With --replace a store of the same id that stands at TO, to which nobody writes, is
/// renamed to TO.before-restore-1 (2, 3, ...) and never deleted. An attempt that is killed leaves TO.partial-..., which can
/// be deleted; Ctrl-C leaves nothing (exit 130).
///
/// Refused (exit 1): a TO that exists, without --replace or where it is no such store. Exit 3: there is no backup, or TO is being
/// written to; 4: the backup is damaged.
///
/// {"store_id","segments","seals","bytes","events","last_sequence","merkle_root","set_aside"}
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  bitacora restore /mnt/usb/till till-data
  bitacora restore /mnt/usb/till till-data --replace")]
pub(crate) struct RestoreArgs {
    /// The backup's folder.
    pub(crate) backup: PathBuf,
    /// The folder for the store, which must not exist; its parent must.
    pub(crate) to: PathBuf,
    /// Set a store that stands there aside.
    #[arg(long)]
    pub(crate) replace: bool,
}
