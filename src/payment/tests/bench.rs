//! A store in memory with one open wallet, and the checks that every run has to pass.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use super::super::*;
use super::Cuts;
use crate::aggregate::{DomainEvent, ExecuteOptions, Repository};
use crate::clock::Clock;
use crate::money::{Currency, Money};
use crate::snapshot::SnapshotPolicy;
use crate::sync::{AtomicU64, Ordering};
use crate::types::{Sequence, Timestamp};
use crate::wallet::{Wallet, WalletCommand, WalletEvent, WalletLimits};
use crate::{Options, Store};

const USER: &str = "u1";

pub(super) fn eur_code() -> Currency {
    Currency::from_code("EUR").unwrap()
}

pub(super) fn policy() -> RetryPolicy {
    RetryPolicy {
        initial: Duration::from_micros(200),
        longest: Duration::from_millis(1),
        attempts_max: 4,
        jitter_percent: 0,
        ..RetryPolicy::default()
    }
}

pub(super) fn options() -> OrchestratorOptions {
    OrchestratorOptions { retry: policy(), ..OrchestratorOptions::default() }
}

/// Each look at it finds a microsecond gone, so that commits are told apart by their times.
#[derive(Debug, Default)]
struct Ticking(AtomicU64);

impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.fetch_add(1, Ordering::SeqCst).cast_signed())
    }
}

#[derive(Clone)]
pub(super) struct Bench {
    pub(super) store: Store,
    pub(super) wallets: Repository<Wallet>,
}

impl Bench {
    /// A wallet with this balance, put in by the first two events.
    pub(super) fn ticking(balance: i64) -> Self {
        Self::with_options(balance, Options::new().clock(Arc::new(Ticking::default())))
    }

    pub(super) fn with_options(balance: i64, options: Options) -> Self {
        Self::on(Store::in_memory(options).unwrap(), balance)
    }

    /// The same over a store without events.
    pub(super) fn on(store: Store, balance: i64) -> Self {
        let wallets = Repository::new(store.clone(), SnapshotPolicy::EveryEvents(NonZeroU32::new(100).unwrap()));
        let open = WalletCommand::Open { currency: eur_code(), overdraft_limit: 0, limits: WalletLimits::default() };
        wallets.execute(USER, &ExecuteOptions::default(), &open).unwrap();
        let bench = Self { store, wallets };
        bench.deposit(balance);
        bench
    }

    pub(super) fn deposit(&self, amount: i64) {
        let deposit = WalletCommand::Deposit { amount: Money::new(amount, eur_code()) };
        self.wallets.execute(USER, &ExecuteOptions::default(), &deposit).unwrap();
    }

    pub(super) fn gateway(&self, profile: GatewayProfile) -> Arc<MemoryGateway> {
        Arc::new(MemoryGateway::new(profile))
    }

    /// As after a restart: nothing in memory but the store.
    pub(super) fn orchestrator(&self, gateway: Arc<dyn PaymentGateway>) -> Orchestrator {
        self.orchestrator_with(gateway, options())
    }

    pub(super) fn orchestrator_with(
        &self,
        gateway: Arc<dyn PaymentGateway>,
        options: OrchestratorOptions,
    ) -> Orchestrator {
        let wallets = Repository::new(self.store.clone(), self.wallets.policy());
        Orchestrator::new(wallets, gateway, options).unwrap()
    }

    /// The same, cut off after this many cut points.
    pub(super) fn cut_after(&self, orchestrator: &Orchestrator, points: u64) -> Orchestrator {
        let (gateway, options) = (Arc::clone(&orchestrator.inner.gateway), orchestrator.inner.options.clone());
        let fresh = self.orchestrator_with(gateway, options);
        let mut inner = Arc::into_inner(fresh.inner).unwrap();
        inner.cuts = Some(Arc::new(Cuts::after(points)));
        Orchestrator { inner: Arc::new(inner) }
    }

    pub(super) fn request(&self, payment_id: &str, wallet_amount: i64, card_amount: i64) -> PaymentRequest {
        PaymentRequest::new(payment_id, USER, eur_code()).by_wallet(wallet_amount).by_card(card_amount)
    }

    pub(super) fn wallet(&self) -> Wallet {
        self.wallets.load(USER).unwrap().state
    }

    /// One outcome each, and money conserved: added up from the events of both sides apart from any state.
    pub(super) fn check_all(&self, orchestrator: &Orchestrator, journal: &Journal, deposited: i64, payments: usize) {
        let mut outcomes: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        let (mut wallet_paid, mut captured) = (BTreeMap::<String, i64>::new(), BTreeMap::<String, i64>::new());
        let mut card_paid: BTreeMap<String, i64> = BTreeMap::new();
        for event in self.store.read_all(Sequence::FIRST..) {
            let event = event.unwrap();
            if let Some(id) = event.stream.aggregate_id("payment") {
                match PaymentEvent::decode(&event).unwrap() {
                    PaymentEvent::PaymentCompleted(fact) => {
                        outcomes.entry(id.to_owned()).or_default().push("completed");
                        wallet_paid.insert(id.to_owned(), fact.wallet_amount);
                        card_paid.insert(id.to_owned(), fact.card_amount);
                    }
                    PaymentEvent::PaymentCompensated(_) => {
                        outcomes.entry(id.to_owned()).or_default().push("compensated");
                    }
                    PaymentEvent::PaymentRejected(_) => outcomes.entry(id.to_owned()).or_default().push("rejected"),
                    _ => {}
                }
            } else if event.stream.aggregate_id("wallet").is_some()
                && let WalletEvent::HoldCaptured(fact) = WalletEvent::decode(&event).unwrap()
            {
                assert!(captured.insert(fact.hold_id, fact.amount.minor).is_none(), "captured twice");
            }
        }
        assert_eq!(outcomes.len(), payments, "every payment ends");
        assert!(outcomes.values().all(|kinds| kinds.len() == 1), "with one outcome: {outcomes:?}");
        wallet_paid.retain(|_, amount| *amount > 0);
        assert_eq!(captured, wallet_paid, "what left the wallet is what completed payments say");
        let wallet = self.wallet();
        assert_eq!(wallet.locked_balance(), 0, "nothing stays locked");
        assert_eq!(wallet.balance(), deposited - captured.values().sum::<i64>(), "no cent is made or lost");
        for (id, charge) in &journal.charges {
            assert!(!charge.is_double(), "{id}: {charge:?}");
            assert_eq!(charge.open(), 0, "nothing stays locked on a card: {id}: {charge:?}");
            assert_eq!(charge.net(), card_paid.get(id).copied().unwrap_or(0), "{id}: {charge:?}");
        }
        for (id, amount) in card_paid.iter().filter(|(_, amount)| **amount > 0) {
            assert_eq!(journal.charges[id].net(), *amount, "{id}");
        }
        assert!(orchestrator.incomplete(Sequence::ZERO, &Default::default()).unwrap().is_empty());
    }
}
