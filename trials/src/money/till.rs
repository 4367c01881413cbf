//! A till: a store with wallets, payments and their recovery, and what its customers ask of it.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bitacora::aggregate::{ExecuteError, ExecuteOptions, Repository};
use bitacora::clock::ManualClock;
use bitacora::disk::sim::Random;
use bitacora::money::Currency;
use bitacora::payment::{
    OfflinePolicy, Orchestrator, OrchestratorOptions, Outcome, PaymentGateway, PaymentRequest, Progress, RetryPolicy,
};
use bitacora::service::RecoveryService;
use bitacora::snapshot::SnapshotPolicy;
use bitacora::wallet::{Wallet, WalletCommand, WalletLimits};
use bitacora::{ErrorKind, Result, Sequence, Store, Timestamp};

use super::deeds::{Deed, command_id};
use super::road::{Road, Temper};
use crate::workload::{ROOT, Shape, World};

/// Whose wallets there are.
pub const USERS: [&str; 2] = ["ana", "bo"];

/// A payment may take so long until its capture is published.
pub const TIME_LIMIT: Duration = Duration::from_secs(120);

/// More answers than a road and a gateway withhold, and crashes take, so that no payment ends with a person.
const ATTEMPTS_ENOUGH: u32 = 12;
/// So few that some do.
const ATTEMPTS_FEW: u32 = 2;

/// The currency of everything.
#[must_use]
pub fn euro() -> Currency {
    Currency::from_code("EUR").expect("a currency of ISO 4217")
}

/// All that is asked of a till, and how it behaves; drawn from a seed.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The store's shape.
    pub shape: Shape,
    /// The road to the gateway.
    pub temper: Temper,
    /// The payments, in the order in which they are asked for.
    pub payments: Vec<PaymentRequest>,
    /// What is asked of the wallets beside them, in the order in which it is.
    pub deeds: Vec<Deed>,
    /// What may be taken on trust without a network.
    pub offline: OfflinePolicy,
    /// How commands to the gateway are repeated.
    pub retry: RetryPolicy,
    /// Whether attempts may be used up, and a payment be left to a person.
    pub may_park: bool,
    /// Events between snapshots of a wallet.
    pub snapshot_events: NonZeroU32,
}

impl Plan {
    /// The plan of a seed.
    #[must_use]
    pub fn drawn(random: &mut Random, payments: usize) -> Self {
        let shape = Shape::drawn(random);
        let temper = Temper::drawn(random);
        let may_park = random.below(4) == 0;
        let attempts_max = if may_park { ATTEMPTS_FEW } else { ATTEMPTS_ENOUGH };
        let user = |random: &mut Random| if random.below(3) == 0 { 1 } else { 0 };
        let payment = |random: &mut Random, number: usize| {
            // Some are more than the wallet has.
            let from_wallet = 1 + random.below(900) as i64;
            let by_card = 1 + random.below(900) as i64;
            let request = PaymentRequest::new(format!("p{number}"), USERS[user(random)], euro());
            match random.below(4) {
                0 => request.by_wallet(from_wallet),
                1 => request.by_card(by_card),
                _ => request.by_wallet(from_wallet).by_card(by_card),
            }
        };
        let deeds = Deed::list(random, payments);
        let payments = (0..payments).map(|number| payment(random, number)).collect();
        let offline = offline_policy(random);
        let short = Duration::from_micros(200);
        Self {
            shape,
            temper,
            payments,
            deeds,
            offline,
            retry: RetryPolicy { initial: short, longest: short * 8, attempts_max, ..RetryPolicy::short() },
            may_park,
            snapshot_events: NonZeroU32::new(1 + random.below(6) as u32).unwrap_or(NonZeroU32::MIN),
        }
    }
}

fn offline_policy(random: &mut Random) -> OfflinePolicy {
    if random.below(2) == 0 {
        return OfflinePolicy::default();
    }
    OfflinePolicy {
        floor_limit: [300, 600, 1_000][random.index(3)],
        payments_max: 1 + random.below(3) as u32,
        sum_max: [600, 1_200][random.index(2)],
        upload_within: Duration::from_secs([3_600, 86_400][random.index(2)]),
    }
}

/// What the customers know.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Payments that were asked for.
    pub asked: usize,
    /// Deeds that were asked for.
    pub dared: usize,
    /// Deeds that something followed from, by command id: where that stands.
    pub done: BTreeMap<String, Sequence>,
    /// What operators and the gateway said and was acknowledged: of which payment, and what.
    pub words: BTreeSet<(String, &'static str)>,
    /// Payments whose outcome was told.
    pub over: BTreeMap<String, Outcome>,
    /// Payments that were left to a person.
    pub parked: BTreeSet<String>,
}

/// A till that is open.
pub struct Till {
    /// The plan.
    pub plan: Arc<Plan>,
    /// The store.
    pub store: Store,
    /// Its time.
    pub clock: ManualClock,
    /// The wallets.
    pub wallets: Repository<Wallet>,
    /// The payments.
    pub orchestrator: Orchestrator,
    /// Their recovery.
    pub recovery: RecoveryService,
    /// The way to the gateway.
    pub road: Arc<Road>,
    /// What the customers know, which outlives the till.
    pub known: Arc<Mutex<Known>>,
}

impl Till {
    /// Opens the store and what stands on it. Nothing is recovered but the store.
    ///
    /// # Errors
    /// As `Store::open`.
    pub fn open(
        plan: &Arc<Plan>,
        world: &World,
        road: &Arc<Road>,
        known: &Arc<Mutex<Known>>,
        now: Timestamp,
    ) -> Result<Self> {
        let clock = ManualClock::new(now);
        let options = plan.shape.options().clock(Arc::new(clock.clone())).event_ids_from(1);
        let store = Store::open_in(&world.environment(), ROOT, options)?;
        let wallets = Repository::new(store.clone(), SnapshotPolicy::EveryEvents(plan.snapshot_events));
        let gateway: Arc<dyn PaymentGateway> = Arc::clone(road) as Arc<dyn PaymentGateway>;
        let options = OrchestratorOptions {
            retry: plan.retry,
            time_limit: TIME_LIMIT,
            offline: plan.offline,
            ..OrchestratorOptions::default()
        };
        let orchestrator = Orchestrator::new(wallets.clone(), gateway, options)?;
        let recovery = RecoveryService::new(wallets.clone(), orchestrator.clone());
        Ok(Self {
            plan: Arc::clone(plan),
            store,
            clock,
            wallets,
            orchestrator,
            recovery,
            road: Arc::clone(road),
            known: Arc::clone(known),
        })
    }

    /// Opens the wallets, as far as they are not.
    ///
    /// # Errors
    /// The store's.
    pub fn open_wallets(&self) -> Result<()> {
        for (number, user) in USERS.iter().enumerate() {
            // The second one may be overdrawn.
            let open = WalletCommand::Open {
                currency: euro(),
                overdraft_limit: 50 * number as i64,
                limits: WalletLimits::default(),
            };
            let once = ExecuteOptions { command_id: Some("open"), ..ExecuteOptions::default() };
            self.wallets.execute(user, &once, &open)?;
        }
        Ok(())
    }

    /// Asks for the deed of a number, for the first time or again: then the first outcome comes back.
    ///
    /// # Errors
    /// The store's.
    ///
    /// # Panics
    /// Where another outcome comes back, or a refusal that cannot be.
    pub fn ask_deed(&self, number: usize) -> Result<()> {
        let deed = &self.plan.deeds[number];
        let command_id = command_id(number);
        let known_before = {
            let mut known = self.known.lock().expect("no panic under this lock");
            known.dared = known.dared.max(number + 1);
            known.done.get(&command_id).copied()
        };
        match deed.ask(&self.wallets, number) {
            Ok(Some(sequence)) => {
                assert_eq!(sequence, known_before.unwrap_or(sequence), "{command_id}: another outcome was told before");
                self.known.lock().expect("no panic under this lock").done.insert(command_id, sequence);
            }
            Ok(None) => assert!(known_before.is_none(), "{command_id}: nothing follows any more: {deed:?}"),
            Err(ExecuteError::Refused(refusal)) => {
                assert!(known_before.is_none(), "{command_id}: its first outcome is gone: {refusal}: {deed:?}");
                assert!(deed.may_be_refused(refusal.name()), "{command_id}: {refusal}: {deed:?}");
            }
            Err(ExecuteError::Store(error)) => return Err(error),
        }
        Ok(())
    }

    /// Asks for the payment of a number, for the first time or again.
    ///
    /// # Errors
    /// The store's.
    pub fn ask_payment(&self, number: usize) -> Result<()> {
        {
            let mut known = self.known.lock().expect("no panic under this lock");
            known.asked = known.asked.max(number + 1);
        }
        self.orchestrator.start(self.plan.payments[number].clone()).map(drop)
    }

    /// Works on a payment until it ends or has to wait; then, until when.
    ///
    /// # Errors
    /// The store's.
    pub fn advance(&self, payment_id: &str, now: Timestamp) -> Result<Option<Timestamp>> {
        let progress = self.orchestrator.advance(payment_id, now)?;
        let mut known = self.known.lock().expect("no panic under this lock");
        match progress {
            Progress::WaitUntil(due) => return Ok(Some(due)),
            Progress::Parked(_) => drop(known.parked.insert(payment_id.to_owned())),
            Progress::Final(outcome) => {
                let told = known.over.entry(payment_id.to_owned()).or_insert_with(|| outcome.clone());
                assert_eq!(*told, outcome, "{payment_id}: it was told another outcome before");
                known.parked.remove(payment_id);
            }
        }
        Ok(None)
    }

    /// Works on a payment until it ends, or a person has to decide; time passes as it has to.
    ///
    /// # Errors
    /// The store's.
    ///
    /// # Panics
    /// Where it does not end.
    pub fn finish(&self, payment_id: &str) -> Result<()> {
        for _ in 0..200 {
            match self.advance(payment_id, self.store.now())? {
                Some(due) => self.clock.set(due),
                None => return Ok(()),
            }
        }
        panic!("{payment_id}: it does not end: {:?}", self.orchestrator.load(payment_id)?.map(|saga| saga.state()));
    }

    /// Whether the payment of a number was told to be over.
    #[must_use]
    pub fn is_over(&self, number: usize) -> bool {
        let known = self.known.lock().expect("no panic under this lock");
        let payment_id = &self.plan.payments[number].payment_id;
        known.over.contains_key(payment_id) || known.parked.contains(payment_id)
    }

    /// The customers' whole list is brought to its end: what was asked for and is not known to be done is asked for again,
    /// under the same names; of what is known to be done, one.
    ///
    /// # Errors
    /// The store's.
    pub fn settle_all(&self, random: &mut Random) -> Result<()> {
        let known = self.known.lock().expect("no panic under this lock").clone();
        self.open_wallets()?;
        let is_done = |number: &usize| known.done.contains_key(&command_id(*number));
        let done: Vec<usize> = (0..known.dared).filter(is_done).collect();
        let again = done.get(random.index(done.len().max(1))).copied();
        for number in (0..known.dared).filter(|number| !is_done(number)).chain(again) {
            self.ask_deed(number)?;
        }
        if let Some(number) = again.filter(|_| random.below(3) == 0) {
            self.plan.deeds[number].ask_other(&self.wallets, number);
        }
        for number in 0..known.asked {
            let payment_id = &self.plan.payments[number].payment_id;
            if self.orchestrator.load(payment_id)?.is_none() {
                self.ask_payment(number)?;
            }
            self.finish(payment_id)?;
        }
        Ok(())
    }
}

/// Whether an error only says that this life is over.
#[must_use]
pub fn is_end_of_life(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Poisoned | ErrorKind::CommitUnknown | ErrorKind::Closed | ErrorKind::Io)
}
