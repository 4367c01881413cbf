//! A store with what works on it. Also part of the C interface, which is why nothing else of a till stands here.

use std::sync::Arc;
use std::time::Duration;

use bitacora::aggregate::Repository;
use bitacora::payment::{Orchestrator, OrchestratorOptions, PaymentGateway, RetryPolicy};
use bitacora::service::RecoveryService;
use bitacora::snapshot::SnapshotPolicy;
use bitacora::wallet::Wallet;
use bitacora::{Result, Store};

/// The gateway of a till is next door, so its retries are short.
pub(crate) const RETRY_DELAY_MS: u64 = 5;

/// A store with what works on it.
pub(crate) struct Till {
    pub(crate) store: Store,
    pub(crate) wallets: Repository<Wallet>,
    pub(crate) orchestrator: Orchestrator,
    pub(crate) recovery: RecoveryService,
}

impl Till {
    /// The same over a store that is open, with any gateway.
    ///
    /// # Errors
    /// `InvalidInput`: the delay is zero.
    pub(crate) fn over(store: Store, gateway: Arc<dyn PaymentGateway>, retry_delay_ms: u64) -> Result<Self> {
        let delay = Duration::from_millis(retry_delay_ms);
        let retry = RetryPolicy { initial: delay, longest: delay.saturating_mul(8), ..RetryPolicy::short() };
        let wallets = Repository::new(store.clone(), SnapshotPolicy::default());
        let options = OrchestratorOptions { retry, ..OrchestratorOptions::default() };
        let orchestrator = Orchestrator::new(wallets.clone(), gateway, options)?;
        let recovery = RecoveryService::new(wallets.clone(), orchestrator.clone());
        Ok(Self { store, wallets, orchestrator, recovery })
    }

    /// Leaves little for the next recovery to do, and closes the store.
    ///
    /// # Errors
    /// As [`RecoveryService::checkpoint`] and [`Store::close`].
    pub(crate) fn close(self) -> Result<()> {
        self.wallets.snapshot_changed();
        self.recovery.checkpoint()?;
        self.store.close()
    }
}
