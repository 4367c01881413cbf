//! What a repair would find, with the money in it.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::aggregate::{Aggregate, DomainEvent};
use crate::error::Result;
use crate::money::Currency;
use crate::store::{self, Environment, RepairPlan, RepairProgress};
use crate::types::{Event, StreamId, Version};
use crate::wallet::{Wallet, WalletEvent};

/// The plan of a repair, and the wallets that it hits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepairReport {
    /// The plan.
    pub plan: RepairPlan,
    /// Wallets whose streams have lost events, by user; none where the repair [was begun](RepairPlan::is_begun) before.
    pub wallets: Vec<WalletLoss>,
}

/// A wallet that has lost events. Amounts are minor units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WalletLoss {
    /// Whose.
    pub user_id: String,
    /// Its currency; `None` where the event that told it is lost.
    pub currency: Option<Currency>,
    /// Events that are lost.
    pub events_lost: u64,
    /// The version up to which it is whole.
    pub whole_through: Version,
    /// Its balance then.
    pub balance_whole: i64,
    /// What the sound events behind the loss moved.
    pub moved_behind: i64,
    /// Its balance as far as known: both together, without what is lost.
    pub balance_known: i64,
}

/// Plans the repair of the store in a folder, and says which wallets it hits; changes nothing.
///
/// # Errors
/// As [`crate::repair_plan`].
pub fn repair_plan(path: impl AsRef<Path>) -> Result<RepairReport> {
    repair_plan_with(path, &mut |_| ControlFlow::Continue(()))
}

/// As [`repair_plan`], telling how far it is; `Break` breaks it off.
///
/// # Errors
/// As [`crate::repair_plan`]. `Aborted`: `progress` said so.
pub fn repair_plan_with(
    path: impl AsRef<Path>,
    progress: &mut dyn FnMut(RepairProgress) -> ControlFlow<()>,
) -> Result<RepairReport> {
    let path = path.as_ref();
    let resolved = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    plan_in(&Environment::default(), &resolved, progress)
}

/// As [`repair_plan`], of a store that stands on something else than the operating system's files.
///
/// # Errors
/// As [`repair_plan`].
pub fn repair_plan_in(environment: &Environment, path: impl AsRef<Path>) -> Result<RepairReport> {
    plan_in(environment, path.as_ref(), &mut |_| ControlFlow::Continue(()))
}

fn plan_in(
    environment: &Environment,
    path: &Path,
    progress: &mut dyn FnMut(RepairProgress) -> ControlFlow<()>,
) -> Result<RepairReport> {
    let mut folds: BTreeMap<StreamId, Fold> = BTreeMap::new();
    let mut take = |event: &Event| {
        if event.stream.aggregate_id(Wallet::AGGREGATE_TYPE).is_some() {
            folds.entry(event.stream.clone()).or_default().take(event);
        }
    };
    let plan = store::repair_plan_in_with(environment, path, &mut take, progress)?;
    // Of a repair that was cut short the events were not read again.
    let streams = if plan.is_begun { &[][..] } else { &plan.streams };
    let wallets = streams.iter().filter_map(|loss| {
        let user_id = loss.stream.aggregate_id(Wallet::AGGREGATE_TYPE)?.to_owned();
        let fold = folds.remove(&loss.stream).unwrap_or_default();
        Some(WalletLoss {
            user_id,
            currency: fold.currency,
            events_lost: loss.events_lost,
            whole_through: fold.version,
            balance_whole: fold.whole,
            moved_behind: fold.behind,
            balance_known: fold.whole.saturating_add(fold.behind),
        })
    });
    let wallets = wallets.collect();
    Ok(RepairReport { plan, wallets })
}

/// A wallet's money, added up from the events that are there.
#[derive(Debug, Default)]
struct Fold {
    version: Version,
    currency: Option<Currency>,
    whole: i64,
    behind: i64,
}

impl Fold {
    fn take(&mut self, event: &Event) {
        let is_whole = event.version == self.version.next();
        if is_whole {
            self.version = event.version;
        }
        // An event that this program cannot read moves what nobody here can tell; the plan is of what can be told.
        let Ok(fact) = WalletEvent::decode(event) else { return };
        if let WalletEvent::WalletOpened(fact) = &fact {
            self.currency = Some(fact.currency);
        }
        let sum = if is_whole { &mut self.whole } else { &mut self.behind };
        *sum = sum.saturating_add(i64::try_from(fact.balance_change()).unwrap_or(i64::MAX));
    }
}

#[cfg(test)]
#[cfg(feature = "simulation")]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;

    use super::*;
    use crate::aggregate::{ExecuteOptions, Repository};
    use crate::disk::sim::SimulatedDisk;
    use crate::index::MemoryIndexProvider;
    use crate::money::Money;
    use crate::snapshot::SnapshotPolicy;
    use crate::wallet::{WalletCommand, WalletLimits};
    use crate::{Options, Store};

    fn euro() -> Currency {
        Currency::from_code("EUR").unwrap()
    }

    /// Two wallets, deposits of 1, 2, 3 ... in turn; the disk, and where each segment lies.
    fn store() -> (SimulatedDisk, MemoryIndexProvider) {
        let (disk, index) = (SimulatedDisk::default(), MemoryIndexProvider::default());
        let environment = Environment::new(Arc::new(disk.clone()), Arc::new(index.clone()));
        let options = Options::new().segment_bytes(4096).background(false);
        let store = Store::open_in(&environment, "/till", options).unwrap();
        let wallets = Repository::<Wallet>::new(store.clone(), SnapshotPolicy::Never);
        let execute = |user: &str, command: WalletCommand| {
            wallets.execute(user, &ExecuteOptions::default(), &command).unwrap();
        };
        for user in ["ana", "bo"] {
            execute(
                user,
                WalletCommand::Open { currency: euro(), overdraft_limit: 0, limits: WalletLimits::default() },
            );
        }
        for number in 1..=120 {
            let user = if number % 2 == 0 { "ana" } else { "bo" };
            execute(user, WalletCommand::Deposit { amount: Money::new(number, euro()) });
        }
        store.close().unwrap();
        (disk, index)
    }

    fn segments(disk: &SimulatedDisk) -> Vec<PathBuf> {
        disk.files().into_iter().filter(|path| path.extension().is_some_and(|end| end == "seg")).collect()
    }

    #[test]
    fn a_lost_segment_tells_what_is_known_of_each_wallet() {
        let (disk, index) = store();
        let environment = Environment::new(Arc::new(disk.clone()), Arc::new(index));
        let sound = repair_plan_in(&environment, "/till").unwrap();
        assert!(!sound.plan.is_damaged() && sound.wallets.is_empty(), "{sound:?}");
        let segments = segments(&disk);
        assert!(segments.len() >= 3);
        disk.remove_file(&segments[1]).unwrap();
        let report = repair_plan_in(&environment, "/till").unwrap();
        let lost = report.plan.lost[0].first.get()..=report.plan.lost[0].last.get();
        // Sequences 1 and 2 open the wallets; sequence n is the deposit of n - 2.
        for (wallet, parity) in report.wallets.iter().zip([0, 1]) {
            let of_this = |sequence: &u64| sequence % 2 == parity && *sequence > 2;
            let sum = |range: std::ops::Range<u64>| range.filter(of_this).map(|n| n.cast_signed() - 2).sum::<i64>();
            assert_eq!(wallet.balance_whole, sum(1..*lost.start()), "{wallet:?}");
            assert_eq!(wallet.moved_behind, sum(*lost.end() + 1..123), "{wallet:?}");
            assert_eq!(wallet.events_lost, lost.clone().filter(of_this).count() as u64);
            assert_eq!(wallet.currency, Some(euro()));
        }
        let users: Vec<_> = report.wallets.iter().map(|wallet| wallet.user_id.as_str()).collect();
        assert_eq!(users, ["ana", "bo"]);
        assert_eq!(report.plan.events_of_unknown_streams, 0);
    }

    #[test]
    fn a_wallet_that_is_gone_at_the_end_is_known_from_the_index_alone() {
        let (disk, index) = store();
        let segments = segments(&disk);
        let last = segments.last().unwrap();
        disk.remove_file(last).unwrap();
        let with = Environment::new(Arc::new(disk.clone()), Arc::new(index));
        let report = repair_plan_in(&with, "/till").unwrap();
        assert_eq!(report.wallets.iter().map(|wallet| wallet.events_lost).sum::<u64>(), report.plan.events_lost);
        assert!(report.wallets.iter().all(|wallet| wallet.moved_behind == 0));
        // Without an index the close mark still tells that they are gone, and not whose they were.
        let without = Environment::new(Arc::new(disk.clone()), Arc::new(MemoryIndexProvider::default()));
        let blind = repair_plan_in(&without, "/till").unwrap();
        assert_eq!(blind.plan.lost, report.plan.lost);
        assert_eq!((blind.wallets.len(), blind.plan.events_of_unknown_streams), (0, report.plan.events_lost));
    }
}
