//! The arguments of the verbs that keep the index.

use std::path::PathBuf;

use clap::Args;

/// Make the index anew out of the log.
///
/// It is made beside the one that is there, which stays until the new one is whole: after Ctrl-C it is as it was. Snapshots and
/// checkpoints are copied as far as the old index can be read; `state_lost` says why where they were not. Consumers' checkpoints then
/// go back to their last place in the log, and wallets and payments are restored from all their events once. Needs the store for
/// itself (exit 3 beside a writer).
///
/// {"store_id","events","streams","keys","state_entries","state_lost","elapsed_ms","index_bytes"}
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  bitacora rebuild-index till-data")]
pub(crate) struct RebuildIndexArgs {
    /// The store's folder.
    pub(crate) dir: PathBuf,
}

/// Put the index in order, so that it takes no more room and no more look-ups than it must. What it says stays the same.
///
/// Needs the store for itself (exit 3 beside a writer), and room for a second copy of the index meanwhile. Ctrl-C ends it, and leaves
/// the index as sound as it was. Without an index, or with one that cannot be read: exit 1.
///
/// {"bytes_before","bytes_after","elapsed_ms"}
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  bitacora compact-index till-data")]
pub(crate) struct CompactIndexArgs {
    /// The store's folder.
    pub(crate) dir: PathBuf,
}
