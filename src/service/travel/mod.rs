//! Looking back: the wallets as they were, what changed between two points, what made a balance, and lists of payments and
//! snapshots. Everything here reads, writes nothing, and may run beside a writer.

mod as_of;
mod diff;
mod explain;
mod payments;
mod snapshots;
#[cfg(test)]
mod tests;

pub use as_of::wallets_as_of;
pub use diff::{WalletDiff, WalletPoint, diff};
pub use explain::{ExplainedEvent, Explanation, explain};
pub use payments::{PaymentFilter, PaymentSummary, PaymentsList, payments_list};
pub use snapshots::{SnapshotSummary, snapshots};

pub(super) use payments::{open_payments, replay};
