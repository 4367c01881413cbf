//! The arguments of the verbs on snapshots, recovery and health.

use std::path::PathBuf;

use clap::Args;

use super::PresetArg;

/// List the snapshots, by aggregate, each one's newest first.
///
/// One object a line: {"snapshot_id","aggregate_type","aggregate_id","timestamp","last_event_version","last_event_sequence",
/// "schema_version","codec","bytes"}. Works beside a writer, and writes nothing.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  bitacora snapshots till-data ana --json")]
pub(crate) struct SnapshotsArgs {
    /// The store's folder.
    pub(crate) dir: PathBuf,
    /// Only those of this user's wallet.
    pub(crate) user: Option<String>,
}

/// Open the store, bring its wallets and payments back to ready, and print the report of both.
///
/// Payments that a crash left halfway are put back on their way, or, past their deadline, to be undone; `till` and `command`
/// carry them out. Calls no gateway. Exit 1 if anything is wrong with a wallet or a payment.
///
/// {"ok","store","services"}; with --check {"ok","last_event_sequence","wallets","wallets_from_snapshot","payments",
/// "payments_open","events_replayed","findings","elapsed_ms","wallets_per_second","payments_per_second",
/// "events_per_second"}. How far it is is shown on standard error, if that is a terminal.
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
    /// Recover only this service: wallets or payments, which are recovered together, since each rests on the other.
    #[arg(long, value_name = "ID", conflicts_with = "check")]
    pub(crate) service: Option<String>,
    /// The kind of machine; it should be the same each time.
    #[arg(long, value_enum, default_value_t = PresetArg::Default)]
    pub(crate) preset: PresetArg,
}

/// Say whether the wallets and the payments of a store are well: what a recovery would find, without carrying it out.
///
/// {"is_well","last_sequence","services": [{"service_id","last_event_sequence","last_snapshot_id","events_behind","pending"}],
/// "payments": {"open","in_doubt","overdue","parked"},"findings","disk"}. Works beside a writer, and locks and writes nothing. Exit 1
/// where it is not well: where there are findings, a payment is parked for review, or the disk is about to be full.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  bitacora health till-data --json")]
pub(crate) struct HealthArgs {
    /// The store's folder.
    pub(crate) dir: PathBuf,
}
