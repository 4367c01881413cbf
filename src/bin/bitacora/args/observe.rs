//! The arguments of the verbs that watch a store and its disk.

use std::path::PathBuf;

use clap::Args;

/// Say what the store takes and costs: bytes, amplification, latencies, how far consumers are behind, how long a recovery takes.
///
/// What the files tell is from the newest events (--sample), which are read, and whose reading is timed for the estimate of a
/// recovery. What only the writer's process knows (syncs, latencies, refusals) it keeps in the file `stats` every few seconds and
/// when it closes the store: `writer`, with its age; null where there is none. Works beside a writer, and locks and writes nothing.
///
/// {"store_id","events","streams","segments","log_bytes","index_bytes","last_event_at","last_event_age_seconds","sample",
/// "checkpoints","snapshots","recovery","writer","disk"}
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  bitacora stats till-data --json")]
pub(crate) struct StatsArgs {
    /// The store's folder.
    pub(crate) dir: PathBuf,
    /// Look at so many of the newest events; 0 for none.
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    pub(crate) sample: u64,
}

/// Measure what a sync costs on this disk, how fast it writes and reads, and say which options suit it and what to beware of.
///
/// A temporary file of at most 128 MiB is written in the folder and removed, after Ctrl-C too (exit 130); only a kill leaves it, as
/// check-disk-....tmp. Whatever else uses the disk meanwhile is slowed down, a till too. The store is not touched.
///
/// {"measurements": {"medium","syncs": [{"way","nanos"}],"write_bytes_per_second","read_bytes_per_second"},"advice":
/// {"preallocation","preallocation_reason","align","align_reason","warnings": [{"kind","text"}]}}. Exit 1 where a sync is too fast
/// to be true, or the folder is in memory: what is acknowledged there may be lost.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  bitacora check-disk till-data --seconds 10")]
pub(crate) struct CheckDiskArgs {
    /// A folder, or a store's.
    pub(crate) dir: PathBuf,
    /// How long to measure.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub(crate) seconds: u64,
}
