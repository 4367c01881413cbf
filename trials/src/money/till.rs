//! A till: a store with wallets, payments and their recovery, and what its customers ask of it.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bitacora::aggregate::{ExecuteError, ExecuteOptions, Repository};
use bitacora::clock::ManualClock;
use bitacora::disk::sim::Random;
use bitacora::money::{Currency, Money};
use bitacora::payment::{
    Orchestrator, OrchestratorOptions, Outcome, PaymentGateway, PaymentRequest, Progress, RetryPolicy,
};
use bitacora::service::RecoveryService;
use bitacora::snapshot::SnapshotPolicy;
use bitacora::wallet::{Wallet, WalletCommand, WalletLimits};
use bitacora::{ErrorKind, Result, Store, Timestamp};

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

/// A movement of money that is no payment: more than zero is put in, less is taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Movement {
    /// Which of [`USERS`].
    pub user: usize,
    /// Minor units; no two movements have the same.
    pub amount: i64,
}

impl Movement {
    /// Names it for ever, so that it can be asked for again.
    #[must_use]
    pub fn command_id(&self) -> String {
        format!("movement-{}", self.amount)
    }

    fn command(&self) -> WalletCommand {
        let amount = Money::new(self.amount.abs(), euro());
        if self.amount > 0 { WalletCommand::Deposit { amount } } else { WalletCommand::Withdraw { amount } }
    }
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
    /// The movements, in the order in which they are asked for.
    pub movements: Vec<Movement>,
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
        let may_park = random.below(8) == 0;
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
        let payments = (0..payments).map(|number| payment(random, number)).collect();
        let mut movements = vec![Movement { user: 0, amount: 1_000 }, Movement { user: 1, amount: 1_001 }];
        for number in 0..random.index(5) as i64 {
            let sign = if random.below(3) == 0 { -1 } else { 1 };
            movements.push(Movement { user: user(random), amount: sign * (100 + number) });
        }
        let short = Duration::from_micros(200);
        Self {
            shape,
            temper,
            payments,
            movements,
            retry: RetryPolicy { initial: short, longest: short * 8, attempts_max, ..RetryPolicy::short() },
            may_park,
            snapshot_events: NonZeroU32::new(1 + random.below(6) as u32).unwrap_or(NonZeroU32::MIN),
        }
    }
}

/// What the customers know.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Payments that were asked for.
    pub asked: usize,
    /// Movements that were asked for.
    pub moved: usize,
    /// Movements that were answered with yes, by amount.
    pub done: BTreeSet<i64>,
    /// Movements that were refused, by amount.
    pub refused: BTreeSet<i64>,
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
        let options =
            OrchestratorOptions { retry: plan.retry, time_limit: TIME_LIMIT, ..OrchestratorOptions::default() };
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

    /// Asks for the movement of a number, for the first time or again.
    ///
    /// # Errors
    /// The store's.
    pub fn ask_movement(&self, number: usize) -> Result<()> {
        let movement = self.plan.movements[number];
        {
            let mut known = self.known.lock().expect("no panic under this lock");
            known.moved = known.moved.max(number + 1);
        }
        let command_id = movement.command_id();
        let once = ExecuteOptions { command_id: Some(&command_id), ..ExecuteOptions::default() };
        let outcome = self.wallets.execute(USERS[movement.user], &once, &movement.command());
        let mut known = self.known.lock().expect("no panic under this lock");
        match outcome {
            Ok(_) => known.done.insert(movement.amount),
            Err(ExecuteError::Refused(_)) => known.refused.insert(movement.amount),
            Err(ExecuteError::Store(error)) => return Err(error),
        };
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
    /// under the same names.
    ///
    /// # Errors
    /// The store's.
    pub fn settle_all(&self) -> Result<()> {
        let (asked, moved) = {
            let known = self.known.lock().expect("no panic under this lock");
            (known.asked, known.moved)
        };
        self.open_wallets()?;
        for number in 0..moved {
            self.ask_movement(number)?;
        }
        for number in 0..asked {
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
