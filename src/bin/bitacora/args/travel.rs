//! The arguments of the verbs that look at wallets, now and in the past.

use std::path::PathBuf;

use bitacora::aggregate::AsOf;
use bitacora::{Sequence, Timestamp, Version};
use clap::Args;

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

/// Show all wallets, as they are or as they were: only those that had been opened by then.
///
/// One object a line by user id, with the fields of `wallet`. As of a sequence N means all events up to and with N, also where
/// N lies within a commit.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  bitacora wallets till-data --json\n  \
    bitacora wallets till-data --at-sequence 1000 --json")]
pub(crate) struct WalletsArgs {
    /// The store's folder.
    pub(crate) dir: PathBuf,
    #[command(flatten)]
    pub(crate) point: StorePointArgs,
}

/// List the events that made a wallet's balance, each with what it did.
///
/// {"user_id","currency","balance","locked_balance","available_balance","version","last_event_sequence","events"}, an event
/// {"sequence","version","timestamp","type","balance_change","locked_change","balance","locked_balance","correlation_id",
/// "causation_id","actor"}: the changes add up to the balance, and to what is locked. Exit 1 where there is, or was then, no
/// wallet.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  bitacora explain till-data ana --at-time 2026-03-01T12:00:00Z")]
pub(crate) struct ExplainArgs {
    /// The store's folder.
    pub(crate) dir: PathBuf,
    /// Whose wallet.
    pub(crate) user: String,
    #[command(flatten)]
    pub(crate) point: PointArgs,
}

/// Show which wallets differ between two points, and how.
///
/// One object a line by user id: {"user_id","currency","from","to","balance_change","locked_change","events"}, where "from" and
/// "to" are {"balance","locked_balance","available_balance","status","version","last_event_sequence"}. Without a second point
/// it is now. The second point may be the earlier one.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  bitacora diff till-data --from-sequence 1000 --to-sequence 2000 --json")]
pub(crate) struct DiffArgs {
    /// The store's folder.
    pub(crate) dir: PathBuf,
    /// Only this user's wallet.
    pub(crate) user: Option<String>,
    #[command(flatten)]
    pub(crate) from: FromArgs,
    #[command(flatten)]
    pub(crate) to: ToArgs,
}

/// List all events with a correlation id, in order: what a payment, or any other business, caused.
///
/// One object a line, as `events` prints it: {"sequence","stream","version","type","id","timestamp","data","metadata"}; who did
/// it and what made it stand in "metadata" as "actor" and "causation_id". All that a payment causes has its id as correlation id.
/// Exit 1 where there is none.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  bitacora trace till-data 17 --json")]
pub(crate) struct TraceArgs {
    /// The store's folder.
    pub(crate) dir: PathBuf,
    /// The correlation id, such as a payment's id.
    pub(crate) correlation_id: String,
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

impl PointArgs {
    pub(crate) fn as_of(&self) -> Option<AsOf> {
        point(self.at_sequence, self.at_time)
            .or_else(|| self.at_version.map(|version| AsOf::Version(Version::new(version))))
    }
}

/// A point in the past of all wallets; a point beyond the end is the end.
#[derive(Args, Debug)]
#[group(multiple = false)]
pub(crate) struct StorePointArgs {
    /// When this was the last sequence of the store.
    #[arg(long, value_name = "N")]
    at_sequence: Option<u64>,
    /// At this time, in store time.
    #[arg(long, value_name = "RFC3339")]
    at_time: Option<jiff::Timestamp>,
}

impl StorePointArgs {
    pub(crate) fn as_of(&self) -> Option<AsOf> {
        point(self.at_sequence, self.at_time)
    }
}

/// The first of two points.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub(crate) struct FromArgs {
    /// From when this was the last sequence of the store; 0 is before everything.
    #[arg(long, value_name = "N")]
    from_sequence: Option<u64>,
    /// From this time, in store time.
    #[arg(long, value_name = "RFC3339")]
    from_time: Option<jiff::Timestamp>,
}

impl FromArgs {
    pub(crate) fn as_of(&self) -> Option<AsOf> {
        point(self.from_sequence, self.from_time)
    }
}

/// The second of two points.
#[derive(Args, Debug)]
#[group(multiple = false)]
pub(crate) struct ToArgs {
    /// To when this was the last sequence of the store.
    #[arg(long, value_name = "N")]
    to_sequence: Option<u64>,
    /// To this time, in store time.
    #[arg(long, value_name = "RFC3339")]
    to_time: Option<jiff::Timestamp>,
}

impl ToArgs {
    pub(crate) fn as_of(&self) -> Option<AsOf> {
        point(self.to_sequence, self.to_time)
    }
}

fn point(sequence: Option<u64>, time: Option<jiff::Timestamp>) -> Option<AsOf> {
    let sequence = sequence.map(|number| AsOf::Sequence(Sequence::new(number)));
    sequence.or_else(|| time.map(|time| AsOf::Time(Timestamp::from_micros(time.as_microsecond()))))
}
