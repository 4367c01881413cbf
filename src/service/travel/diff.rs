//! What changed between two points.

use std::collections::BTreeSet;

use serde::Serialize;

use super::as_of::{bounds, of_wallet};
use crate::aggregate::{Aggregate, AsOf, Loaded, Repository, RestoreOptions};
use crate::error::Result;
use crate::service::flow::add_touched;
use crate::snapshot::SnapshotPolicy;
use crate::store::Store;
use crate::types::{Sequence, Version};
use crate::wallet::Wallet;

/// A wallet at a point. Amounts are minor units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WalletPoint {
    /// All that was in it.
    pub balance: i64,
    /// What open holds kept.
    pub locked_balance: i64,
    /// The balance less what was locked.
    pub available_balance: i64,
    /// What it could be used for: `unopened`, `open`, `frozen_debits`, `frozen`, `closed`.
    pub status: &'static str,
    /// Its version; zero before it was opened.
    pub version: Version,
    /// The sequence of the last event in it; zero before it was opened.
    pub last_event_sequence: Sequence,
}

impl WalletPoint {
    fn of(loaded: &Loaded<Wallet>) -> Self {
        Self {
            balance: loaded.state.balance(),
            locked_balance: loaded.state.locked_balance(),
            available_balance: loaded.state.available(),
            status: loaded.state.status().as_str(),
            version: loaded.version,
            last_event_sequence: loaded.last_event_sequence,
        }
    }
}

/// What became of a wallet between two points. Amounts are minor units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WalletDiff {
    /// Whose.
    pub user_id: String,
    /// Its currency; `None` where it was opened at neither point.
    pub currency: Option<&'static str>,
    /// At the first point.
    pub from: WalletPoint,
    /// At the second one.
    pub to: WalletPoint,
    /// How much more is in it at the second point; negative: less.
    pub balance_change: i128,
    /// How much more is locked; negative: less.
    pub locked_change: i128,
    /// Events between the two points; negative where the second one is the earlier.
    pub events: i128,
}

impl WalletDiff {
    fn new(user_id: &str, from: &Loaded<Wallet>, to: &Loaded<Wallet>) -> Self {
        let currency = to.state.currency().or(from.state.currency()).map(crate::money::Currency::code);
        let (from, to) = (WalletPoint::of(from), WalletPoint::of(to));
        Self {
            user_id: user_id.to_owned(),
            currency,
            balance_change: i128::from(to.balance) - i128::from(from.balance),
            locked_change: i128::from(to.locked_balance) - i128::from(from.locked_balance),
            events: i128::from(to.version.get()) - i128::from(from.version.get()),
            from,
            to,
        }
    }
}

/// The wallets that are not the same at two points, by user id; of one user alone where one is given. Of the log only what lies
/// between the points tells which wallets to look at, so a diff of two late points costs little. The second point may be the
/// earlier one.
///
/// # Errors
/// `UnknownPayload`, `Corrupt`: a wallet cannot be read, and the text names it. `InvalidInput`: the id makes no stream's name.
/// `Io`, `Closed`: the store's.
pub fn diff(store: &Store, from: AsOf, to: AsOf, user_id: Option<&str>) -> Result<Vec<WalletDiff>> {
    let wallets = Repository::<Wallet>::new(store.clone(), SnapshotPolicy::Never);
    let (from, to) = (bounds(store, from)?, bounds(store, to)?);
    let user_ids: Vec<String> = match user_id {
        Some(user_id) => vec![user_id.to_owned()],
        None => candidates(store, &wallets, from, to)?,
    };
    let mut diffs = Vec::new();
    // A chunk at a time: as many states twice.
    for chunk in user_ids.chunks(RestoreOptions::new(store).states_max) {
        let mut before = Vec::with_capacity(chunk.len());
        restore(&wallets, chunk, from, &mut |_, loaded| before.push(loaded))?;
        let mut before = before.into_iter();
        restore(&wallets, chunk, to, &mut |user_id, after| {
            if let Some(before) = before.next()
                && before.version != after.version
            {
                diffs.push(WalletDiff::new(user_id, &before, &after));
            }
        })?;
    }
    Ok(diffs)
}

type Bounds = (Sequence, Version);

/// The wallets that may differ.
fn candidates(store: &Store, wallets: &Repository<Wallet>, from: Bounds, to: Bounds) -> Result<Vec<String>> {
    if from.1 != Version::MAX || to.1 != Version::MAX {
        // A version is another point in each stream.
        return wallets.aggregate_ids().collect();
    }
    let end = store.last_sequence();
    let mut touched = BTreeSet::new();
    let (earlier, later) = (from.0.min(to.0).min(end), from.0.max(to.0).min(end));
    add_touched(store, Wallet::AGGREGATE_TYPE, earlier, later, &mut touched)?;
    Ok(touched.into_iter().collect())
}

fn restore(
    wallets: &Repository<Wallet>,
    user_ids: &[String],
    (sequence_max, version_max): Bounds,
    take: &mut dyn FnMut(&str, Loaded<Wallet>),
) -> Result<()> {
    let options = RestoreOptions { sequence_max, version_max, ..RestoreOptions::new(wallets.store()) };
    wallets.restore_each(user_ids.iter().cloned().map(Ok), &options, &mut |user_id, loaded| {
        take(user_id, loaded.map_err(|error| of_wallet(user_id, error))?);
        Ok(())
    })?;
    Ok(())
}
