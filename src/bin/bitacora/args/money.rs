//! The arguments of `command`.

use std::path::PathBuf;

use clap::Args;

use super::PresetArg;

/// Carry out commands on wallets and payments: JSON lines in, JSON lines out, durable when printed.
///
/// In: {"command","command_id", its fields} and, where wanted, "metadata", an object of texts
/// ("correlation_id", "causation_id", "actor" and any others). Amounts are integers of minor units.
/// Those on one wallet, each with "user_id":
///
///   open           "currency", "overdraft_limit"?, "limits"?: {"per_transaction"?, "per_day"?,
///                  "balance_max"?}
///   deposit        "amount", "currency"; so does withdraw
///   hold           "hold_id", "amount", "currency", "payment_id"?, "time_to_live_ms"?
///   increase_hold  "hold_id", "amount", "currency"
///   extend_hold    "hold_id", "time_to_live_ms"
///   capture        "hold_id", "amount", "currency", "final"? (true unless given)
///   release        "hold_id"; so does expire
///   refund         "hold_id", "amount", "currency"
///   adjust         "amount", "currency", "reason", "operator"
///   set_overdraft  "overdraft_limit"
///   set_limits     "limits", which replaces all of them
///   freeze         "debits_only"?
///   unfreeze, close
///
/// Others:
///
///   transfer       "transfer_id", "from_user_id", "to_user_id", "amount", "currency"
///   pay            "payment_id", "user_id", "currency", "wallet_amount"?, "card_amount"?
///   cancel         "payment_id", "operator", "reason"; so does retry
///   resolve        "payment_id", "as" (completed or compensated), "operator", "reason"
///
/// Out, in the order of the input: {"command_id","ok":true,"repeat","events","version","sequence"}
/// and of a wallet "user_id","currency","balance","locked_balance","available_balance","status", of a
/// transfer those of the paying wallet and "to" with the other one, of a payment "payment_id","state",
/// "outcome","reason". An event is {"type","stream","version","sequence","data"}.
///
/// Or, refused: {"command_id","ok":false,"refusal","message"} and the refusal's numbers. A refusal is
/// an outcome: the next line is taken, and the exit code is 1 at the end.
///
/// The same command_id with the same content is answered with the first outcome and "repeat":true,
/// also years later; with other content it is refused with IdempotencyConflict. A line that is no
/// command ends everything with exit 2 and its number; what stands before it is done and kept.
///
/// The store is recovered first, and payments that were under way are gone on with; what needs a card
/// gateway waits for --gateway.
#[derive(Args, Debug)]
#[command(
    verbatim_doc_comment,
    after_help = "Example:\n  echo '{\"command\":\"open\",\"command_id\":\"1\",\"user_id\":\"ana\",\"currency\":\"EUR\"}' \
    | bitacora command till-data --json"
)]
pub(crate) struct CommandArgs {
    /// The store's folder; it is made where nothing is.
    pub(crate) dir: PathBuf,
    /// The card gateway's folder; without one no payment by card is taken.
    #[arg(long, value_name = "DIR")]
    pub(crate) gateway: Option<PathBuf>,
    /// The kind of machine; it should be the same each time.
    #[arg(long, value_enum, default_value_t = PresetArg::Default)]
    pub(crate) preset: PresetArg,
}
