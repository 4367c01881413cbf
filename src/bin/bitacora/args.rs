//! The arguments: one struct a verb, each with an example.

mod archive;
mod backups;
mod keep_index;
mod keeping;
mod money;
mod observe;
mod payments;
mod service;
mod transfer;
mod travel;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use archive::{ArchiveArgs, UnarchiveArgs};
pub(crate) use backups::{BackupArgs, RestoreArgs};
pub(crate) use keep_index::{CompactIndexArgs, RebuildIndexArgs};
pub(crate) use keeping::{PresetArg, ScrubArgs};
pub(crate) use money::CommandArgs;
pub(crate) use observe::{CheckDiskArgs, StatsArgs};
pub(crate) use payments::{CancelArgs, OperatorArgs, PaymentArgs, PaymentsArgs, ResolveArgs, RetryArgs};
pub(crate) use service::{HealthArgs, RecoverArgs, SnapshotsArgs};
pub(crate) use transfer::{ExportArgs, ImportArgs, UpgradeArgs};
pub(crate) use travel::{DiffArgs, ExplainArgs, TraceArgs, WalletArgs, WalletsArgs};

use crate::demo::DemoArgs;
use crate::generate::GenerateArgs;
use crate::till::TillArgs;

/// An embedded event store for tills: one log that tells what happened.
///
/// Exit codes: 0 fine; 1 the answer is no (damage, not found, refused, a conflict); 2 usage or bad input; 3 the store
/// could not be opened; 4 corrupt; 5 full; 6 the storage failed; 130 interrupted. Errors go to standard error.
#[derive(Debug, Parser)]
#[command(name = "bitacora", version, max_term_width = 100)]
pub(crate) struct Arguments {
    /// Print one JSON document, or one a line, and nothing else.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Append(AppendArgs),
    Events(EventsArgs),
    Tail(TailArgs),
    Streams(StreamsArgs),
    Info(StoreArgs),
    Stats(StatsArgs),
    CheckDisk(CheckDiskArgs),
    Verify(VerifyArgs),
    Backup(BackupArgs),
    Restore(RestoreArgs),
    Repair(RepairArgs),
    Scrub(ScrubArgs),
    Export(ExportArgs),
    Import(ImportArgs),
    RebuildIndex(RebuildIndexArgs),
    CompactIndex(CompactIndexArgs),
    Upgrade(UpgradeArgs),
    Archive(ArchiveArgs),
    Unarchive(UnarchiveArgs),
    Command(CommandArgs),
    Wallet(WalletArgs),
    Wallets(WalletsArgs),
    Explain(ExplainArgs),
    Diff(DiffArgs),
    Trace(TraceArgs),
    Payment(PaymentArgs),
    Payments(PaymentsArgs),
    PaymentCancel(CancelArgs),
    PaymentRetry(RetryArgs),
    PaymentResolve(ResolveArgs),
    Snapshots(SnapshotsArgs),
    Recover(RecoverArgs),
    Health(HealthArgs),
    Till(TillArgs),
    Demo(DemoArgs),
    Generate(GenerateArgs),
}

/// Append events: one JSON object a line on standard input, one JSON line a commit on standard output.
///
/// In:  {"stream","type","data"} and, where wanted, "id" (a UUID), "expected_version" (a number, "any", "no_stream",
/// "exists"), "key" (makes the line safe to repeat), "metadata" (texts by name). `data` is any JSON.
///
/// Out: {"sequence","stream","version","id"}, in the order of the input, and only once the event is durable; with
/// --durability buffered once the operating system has it, so that it survives a kill but not a power cut.
///
/// A line that cannot be taken ends the command with an error that names it: exit 2 for a bad line, 1 for a conflict.
/// What stands before it is kept and printed; nothing behind it is appended.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  \
    echo '{\"stream\":\"order-1\",\"type\":\"OrderPlaced\",\"data\":{\"items\":3}}' | bitacora append till-data")]
pub(crate) struct AppendArgs {
    /// The store's folder; it is made where nothing is.
    pub(crate) dir: PathBuf,
    /// When an event is acknowledged.
    #[arg(long, value_enum, default_value_t = DurabilityArg::Sync)]
    pub(crate) durability: DurabilityArg,
    /// The kind of machine; it should be the same each time.
    #[arg(long, value_enum, default_value_t = PresetArg::Default)]
    pub(crate) preset: PresetArg,
    /// How many commits may be on their way at once. The sequences follow the input's order for every number.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub(crate) inflight: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DurabilityArg {
    /// When it is synced: it survives a power cut.
    Sync,
    /// When the operating system has it: it survives a kill, not a power cut.
    Buffered,
}

/// Print events as JSON, one a line.
///
/// {"sequence","stream","version","type","id","timestamp","data","metadata"}: amounts are integers of minor units, a
/// payload that cannot be decoded is {"codec","base64"}. Works beside a writer, and locks and writes nothing.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  bitacora events till-data --stream order-1 --reverse --limit 10")]
pub(crate) struct EventsArgs {
    /// The store's folder.
    pub(crate) dir: PathBuf,
    /// The first sequence.
    #[arg(long, value_name = "SEQ")]
    pub(crate) from: Option<u64>,
    /// The last sequence.
    #[arg(long, value_name = "SEQ")]
    pub(crate) to: Option<u64>,
    /// Only events of this stream.
    #[arg(long, value_name = "NAME")]
    pub(crate) stream: Option<String>,
    /// Only events of this type.
    #[arg(long = "type", value_name = "NAME")]
    pub(crate) event_type: Option<String>,
    /// The latest first.
    #[arg(long)]
    pub(crate) reverse: bool,
    /// At most so many.
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
}

/// Follow the log: print the events that are there, and then each as it comes, as JSON, one a line.
///
/// The lines are those of `events`. Beside a writer that syncs each commit an event is shown once it is synced, a moment
/// later at most; beside another one once it is whole. Writers may end, be killed and start again: what comes next is
/// printed behind what came before, each event once. Locks and writes nothing. Ends at Ctrl-C, between two lines, with
/// exit code 130, and without a word when its reader goes.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  bitacora tail till-data
  bitacora tail till-data --new --type PaymentCompleted
  bitacora tail till-data --from 1000 --stream wallet-ana")]
pub(crate) struct TailArgs {
    /// The store's folder.
    pub(crate) dir: PathBuf,
    /// The first sequence.
    #[arg(long, value_name = "SEQ", conflicts_with = "new")]
    pub(crate) from: Option<u64>,
    /// Only what comes from now on.
    #[arg(long)]
    pub(crate) new: bool,
    /// Only events of this stream.
    #[arg(long, value_name = "NAME")]
    pub(crate) stream: Option<String>,
    /// Only events of this type.
    #[arg(long = "type", value_name = "NAME")]
    pub(crate) event_type: Option<String>,
}

/// List the streams by name, each with its version and its last sequence.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  bitacora streams till-data --prefix wallet-")]
pub(crate) struct StreamsArgs {
    /// The store's folder.
    pub(crate) dir: PathBuf,
    /// Only streams whose names start like this.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(crate) prefix: String,
}

/// Say what the store is and holds: identity, format, sequences, segments, bytes, streams, the disk's room, the last recovery.
///
/// Warns on standard error before the disk is full.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  bitacora info till-data --json")]
pub(crate) struct StoreArgs {
    /// The store's folder.
    pub(crate) dir: PathBuf,
}

/// Check every byte: checksums, chain, digests, order, versions, the index against the log, the wallets' money.
///
/// Exit 0 if all is well, 1 if anything is found. Changes nothing.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  bitacora verify till-data --json")]
pub(crate) struct VerifyArgs {
    /// The store's folder.
    pub(crate) dir: PathBuf,
}

/// Say what is damaged, what is kept and what is lost (sequences, streams, money), and repair the store.
///
/// Also for a store that does not open. On a terminal it asks before it changes anything; elsewhere --yes must be given (exit 2
/// without). It does what --dry-run says and nothing else.
///
/// Every sound event keeps its sequence, version, id and time. Where one is lost, an event of type EventLost stands in, in its
/// stream where that is known, else in system-lost-1. Damaged files are kept in quarantine/repair-1, and the log's last event, in
/// system-repairs, says what was done. Segments from the first damaged one on are written anew beside the old ones: that needs as
/// much room. The index is made anew by the next open; snapshots go with it. A repair that was interrupted is started again.
///
/// Exit 0 if nothing is damaged or all was repaired; 1 if anything is damaged and was not repaired.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  bitacora repair till-data --dry-run --json\n  bitacora repair till-data --yes")]
pub(crate) struct RepairArgs {
    /// The store's folder.
    pub(crate) dir: PathBuf,
    /// Only say what would be done.
    #[arg(long, conflicts_with = "yes")]
    pub(crate) dry_run: bool,
    /// Do it without asking.
    #[arg(long)]
    pub(crate) yes: bool,
}
