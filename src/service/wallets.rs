//! The wallet service: the wallets' repository, to be restored and validated.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use super::{Finding, FindingKind, Health, Restored, Scope, Service, Strategy};
use crate::aggregate::{Aggregate, Loaded, LoadedFrom, Repository, RestoreOptions};
use crate::error::{Error, ErrorKind, Result};
use crate::snapshot::Snapshot;
use crate::sync::Mutex;
use crate::types::{Sequence, Timestamp, Version};
use crate::wallet::{HoldOutcome, Wallet};

/// The id of the wallet service.
pub const WALLETS_SERVICE: &str = "wallets";

/// The wallets.
pub struct WalletService {
    wallets: Repository<Wallet>,
    health: Mutex<Health>,
    /// What was seen of each wallet when it was restored, until the service is ready: there may be more wallets than states are
    /// kept in memory, and none is to be read twice.
    looks: Mutex<HashMap<String, Look>>,
}

/// What validation needs to know of a wallet.
#[derive(Clone, Debug)]
struct Look {
    version: Version,
    /// The rule that it breaks.
    broken: Option<String>,
    /// The payments that its open holds are for.
    payments: Vec<String>,
}

impl Look {
    fn at(loaded: &Loaded<Wallet>) -> Self {
        Self {
            version: loaded.version,
            broken: loaded.state.check_invariants().err(),
            payments: loaded.state.holds().values().filter_map(|hold| hold.payment_id.clone()).collect(),
        }
    }
}

impl fmt::Debug for WalletService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WalletService").field("health", &self.health()).finish_non_exhaustive()
    }
}

/// A wallet's stream, as text for a report.
pub(super) fn wallet_stream(user_id: &str) -> String {
    format!("{}-{user_id}", Wallet::AGGREGATE_TYPE)
}

/// Whether an error is about one aggregate's events, and not about the store.
pub(super) fn is_about_one_aggregate(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::UnknownPayload | ErrorKind::Corrupt)
}

impl WalletService {
    /// The service over these wallets; it starts unready.
    #[must_use]
    pub fn new(wallets: Repository<Wallet>) -> Self {
        Self { wallets, health: Mutex::new(Health::Starting), looks: Mutex::default() }
    }

    /// The wallets.
    #[must_use]
    pub fn repository(&self) -> &Repository<Wallet> {
        &self.wallets
    }

    /// The newest snapshot of each wallet among those made since `since`.
    ///
    /// # Errors
    /// `Io`, `Closed`: the store's.
    pub(super) fn snapshots_since(&self, since: Timestamp) -> Result<BTreeMap<String, Snapshot>> {
        let mut newest: BTreeMap<String, Snapshot> = BTreeMap::new();
        for snapshot in self.wallets.store().recent_snapshots(since)? {
            if snapshot.aggregate_type != Wallet::AGGREGATE_TYPE {
                continue;
            }
            // By sequence, not by the order they come in or the time they were made at: an older one must never win.
            let known = newest.get(&snapshot.aggregate_id).map(|known| known.last_event_sequence);
            if known.is_none_or(|known| known < snapshot.last_event_sequence) {
                newest.insert(snapshot.aggregate_id.clone(), snapshot);
            }
        }
        Ok(newest)
    }

    /// How a hold of a user's wallet ended.
    ///
    /// # Errors
    /// As [`Repository::load`].
    pub(super) fn hold_outcome(&self, user_id: &str, hold_id: &str) -> Result<Option<HoldOutcome>> {
        Ok(self.wallets.cached(user_id)?.state.hold_outcome(hold_id))
    }

    /// The payments that open holds of these wallets are for, each with the wallet's user.
    ///
    /// # Errors
    /// `Io`, `Closed`: the store's.
    pub(super) fn payments_held_for(&self, user_ids: &BTreeSet<String>) -> Result<BTreeSet<(String, String)>> {
        let mut held = BTreeSet::new();
        for user_id in user_ids {
            let look = match self.look(user_id) {
                Ok((look, _)) => look,
                Err(error) if is_about_one_aggregate(&error) => continue,
                Err(error) => return Err(error),
            };
            held.extend(look.payments.into_iter().map(|payment_id| (payment_id, user_id.clone())));
        }
        Ok(held)
    }

    /// A wallet as it is now, and the version of its stream.
    fn look(&self, user_id: &str) -> Result<(Look, Version)> {
        let head = self.wallets.store().stream_head(&Repository::<Wallet>::stream(user_id)?)?;
        let head = head.map_or(Version::ZERO, |head| head.version);
        if let Some(look) = self.looks.lock().get(user_id).filter(|look| look.version == head) {
            return Ok((look.clone(), head));
        }
        let mut loaded = self.wallets.cached(user_id)?;
        if loaded.version < head {
            loaded = self.wallets.fresh(user_id)?;
        }
        Ok((Look::at(&loaded), head))
    }

    fn validate_one(&self, user_id: &str) -> Result<Option<(FindingKind, String)>> {
        let (look, head) = self.look(user_id)?;
        if look.version < head {
            let detail = format!("the state is of version {}, the stream at {head}", look.version);
            return Ok(Some((FindingKind::Behind, detail)));
        }
        Ok(look.broken.map(|detail| (FindingKind::InvariantBroken, detail)))
    }
}

impl Service for WalletService {
    fn id(&self) -> &str {
        WALLETS_SERVICE
    }

    fn aggregate_type(&self) -> Option<&str> {
        Some(Wallet::AGGREGATE_TYPE)
    }

    fn health(&self) -> Health {
        self.health.lock().clone()
    }

    fn fail(&self, reason: &str) {
        *self.health.lock() = Health::Failed(reason.to_owned());
    }

    fn restore(&self, scope: &Scope<'_>) -> Result<Restored> {
        let mut restored = Restored::default();
        let mut last_snapshot = Version::ZERO;
        for user_id in scope.aggregate_ids {
            // What was in memory is what may be wrong.
            self.wallets.forget(user_id);
        }
        self.looks.lock().clear();
        let options = RestoreOptions {
            use_snapshots: scope.strategy == Strategy::Incremental,
            snapshots: Some(scope.snapshots),
            threads: scope.threads,
            progress: Some(scope.progress),
            ..RestoreOptions::new(self.wallets.store())
        };
        let user_ids = scope.aggregate_ids.iter().cloned().map(Ok);
        self.wallets.restore_each(user_ids, &options, &mut |user_id, loaded| {
            let loaded = match loaded {
                Ok(loaded) => loaded,
                Err(error) if is_about_one_aggregate(&error) => {
                    let (stream, kind) = (wallet_stream(user_id), FindingKind::Unreadable);
                    restored.findings.push(Finding::quarantine(stream, kind, error.to_string()));
                    return Ok(());
                }
                Err(error) => return Err(error.context(format_args!("restore {}", wallet_stream(user_id)))),
            };
            restored.aggregates += 1;
            restored.events_replayed = restored.events_replayed.saturating_add(loaded.events_replayed);
            if let LoadedFrom::Snapshot(snapshot_id) = &loaded.loaded_from {
                restored.from_snapshot += 1;
                if loaded.snapshot_version >= last_snapshot {
                    last_snapshot = loaded.snapshot_version;
                    restored.last_snapshot_id.clone_from(snapshot_id);
                }
            }
            self.looks.lock().insert(user_id.to_owned(), Look::at(&loaded));
            self.wallets.keep(user_id, Arc::new(loaded));
            Ok(())
        })?;
        Ok(restored)
    }

    fn validate(&self, aggregate_ids: &BTreeSet<String>) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        for user_id in aggregate_ids {
            let found = match self.validate_one(user_id) {
                Ok(found) => found,
                Err(error) if is_about_one_aggregate(&error) => Some((FindingKind::Unreadable, error.to_string())),
                Err(error) => return Err(error.context(format_args!("validate {}", wallet_stream(user_id)))),
            };
            if let Some((kind, detail)) = found {
                findings.push(Finding::quarantine(wallet_stream(user_id), kind, detail));
            }
        }
        Ok(findings)
    }

    fn ready(&self) {
        self.looks.lock().clear();
        *self.health.lock() = Health::Healthy;
    }
}

/// Events after `from`, up to and with `to`.
pub(super) fn distance(from: Sequence, to: Sequence) -> u64 {
    to.get().saturating_sub(from.get())
}
