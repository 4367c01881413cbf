//! The arguments: one struct a verb, each with an example.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::demo::DemoArgs;
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
    Streams(StreamsArgs),
    Info(StoreArgs),
    Verify(VerifyArgs),
    Backup(BackupArgs),
    Repair(RepairArgs),
    Wallet(WalletArgs),
    Payment(PaymentArgs),
    Recover(RecoverArgs),
    Till(TillArgs),
    Demo(DemoArgs),
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

/// Say what the store is and holds: identity, format, sequences, segments, bytes, streams, the last recovery.
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

/// Copy the store into a new folder that is a store: checked, synced, read back and verified. Works while it is written to.
///
/// Beside a writer the copy ends with what is synced when the backup begins, without one with what the next open would
/// keep. It is made in TO.partial-... and named TO when it is whole; an attempt that is interrupted leaves that folder,
/// which can be deleted, and no TO. Not in it: the index, which the first open makes anew, and with it snapshots and
/// consumers' checkpoints. Damage in the store is an error with its place (exit 4); TO must not exist (exit 1).
///
/// {"store_id","segments","seals","bytes","events","last_sequence","merkle_root","seal_digest"}: two backups with the
/// same root hold the same events.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  bitacora backup till-data /mnt/usb/till-2026-03-01")]
pub(crate) struct BackupArgs {
    /// The store's folder.
    pub(crate) dir: PathBuf,
    /// The backup's folder, which must not exist; its parent must.
    pub(crate) to: PathBuf,
}

/// Say what is damaged, what a repair would keep, and what it would lose: sequences, streams, money. Changes nothing.
///
/// Also for a store that does not open. Exit 0 if nothing is damaged, 1 if anything is. Only the plan is made; nothing
/// carries it out yet, so --dry-run must be given.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  bitacora repair till-data --dry-run --json")]
pub(crate) struct RepairArgs {
    /// The store's folder.
    pub(crate) dir: PathBuf,
    /// Only say what would be done.
    #[arg(long, required = true)]
    pub(crate) dry_run: bool,
}

/// Show a wallet, as it is or as it was.
///
/// {"user_id","currency","balance","locked_balance","available_balance","version","last_event_sequence","status","holds",
/// "loaded_from","events_replayed"}: amounts are integers of minor units. Exit 1 where there is, or was then, no wallet.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  bitacora wallet till-data 00001\n  \
    bitacora wallet till-data 00001 --at-time 2026-03-01T12:00:00Z")]
pub(crate) struct WalletArgs {
    /// The store's folder.
    pub(crate) dir: PathBuf,
    /// Whose wallet.
    pub(crate) user: String,
    #[command(flatten)]
    pub(crate) point: PointArgs,
    /// Replay all its events instead of starting from a snapshot.
    #[arg(long)]
    pub(crate) full: bool,
}

/// A point in the past; a point beyond the end is the end.
#[derive(Args, Debug)]
#[group(multiple = false)]
pub(crate) struct PointArgs {
    /// When this was the last sequence of the store.
    #[arg(long, value_name = "N")]
    pub(crate) at_sequence: Option<u64>,
    /// When it was at this version.
    #[arg(long, value_name = "N")]
    pub(crate) at_version: Option<u64>,
    /// At this time, in store time.
    #[arg(long, value_name = "RFC3339")]
    pub(crate) at_time: Option<jiff::Timestamp>,
}

/// Show a payment: where it stands, how it ended, and its events.
///
/// Exit 1 where there is no such payment.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  bitacora payment till-data 17 --json")]
pub(crate) struct PaymentArgs {
    /// The store's folder.
    pub(crate) dir: PathBuf,
    /// The payment's id.
    pub(crate) payment_id: String,
}

/// Open the store, bring its wallets and payments back to ready, and print the report of both.
///
/// Payments that a crash left halfway are put back on their way, or, past their deadline, to be undone; `till` carries
/// them out. Calls no gateway. Exit 1 if anything is wrong with a wallet or a payment.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  bitacora recover till-data\n  bitacora recover till-data --check --json")]
pub(crate) struct RecoverArgs {
    /// The store's folder.
    pub(crate) dir: PathBuf,
    /// Replay all events, whatever snapshots and checkpoints there are.
    #[arg(long, conflicts_with = "check")]
    pub(crate) full: bool,
    /// Only compare full and incremental replay over the whole store; locks and writes nothing.
    #[arg(long)]
    pub(crate) check: bool,
}
