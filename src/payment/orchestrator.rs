//! Carries payments out: does what [`next`] says, and puts on record what came of it.
//!
//! Events are gathered until something must not happen before they are on record: a command to the gateway (durably, whatever
//! the store's mode), an end, a wait, a second effect on a wallet. A payment by card takes three commits, one from a wallet two.
//!
//! Every commit names the versions that it was decided on, so of two threads or two recoveries that work on one payment only
//! one publishes a command; the other one decides anew. Where that finds the command published and not answered,
//! it asks the gateway, under the same key. So nothing here needs a lock on a payment.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::alert::AlertHandler;
use super::draft::Draft;
use super::event::{PaymentEvent, PaymentParkedForReview};
use super::gateway::{GatewayAnswer, GatewayCommand, PaymentGateway};
use super::kinds::Step;
use super::next::{Action, next};
use super::offline::{OfflineCounters, OfflinePolicy};
use super::outcome::Outcome;
use super::record;
use super::request::PaymentRequest;
use super::retry::RetryPolicy;
use super::state::PaymentSaga;
use crate::aggregate::{ExecuteError, Repository, Turn};
use crate::error::{Error, ErrorKind, Result};
use crate::money::Money;
use crate::sabotage::{self, Defect};
use crate::saga::Watch;
use crate::store::{Durability, Store};
use crate::sync::{Condvar, Mutex};
use crate::types::Timestamp;
use crate::wallet::{Wallet, WalletCommand};

/// How often a payment is decided anew because another writer was faster. Threads of one process take turns at a wallet, so
/// more than this means a writer that does not.
const CONFLICTS_MAX: u32 = 64;

/// How payments are carried out.
#[derive(Clone)]
pub struct OrchestratorOptions {
    /// When commands to the gateway are sent again. Default: 5, 10, 20, 40 s, 5 attempts of 30 s.
    pub retry: RetryPolicy,
    /// How long a payment may take until its capture is published. Default two minutes.
    pub time_limit: Duration,
    /// Asks for more than the store's durability for all commits. What must be durable before a command is sent is in any case.
    /// Default: the store's.
    pub durability: Option<Durability>,
    /// What may be taken on trust while there is no network. Default: nothing.
    pub offline: OfflinePolicy,
    /// Called where a person has to hear of something, beside an error in the traces. Default: nobody.
    pub on_alert: Option<AlertHandler>,
}

impl fmt::Debug for OrchestratorOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrchestratorOptions")
            .field("retry", &self.retry)
            .field("time_limit", &self.time_limit)
            .field("durability", &self.durability)
            .field("offline", &self.offline)
            .finish_non_exhaustive()
    }
}

impl Default for OrchestratorOptions {
    fn default() -> Self {
        Self {
            retry: RetryPolicy::default(),
            time_limit: Duration::from_secs(120),
            durability: None,
            offline: OfflinePolicy::default(),
            on_alert: None,
        }
    }
}

/// How far a payment came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It has its outcome.
    Final(Outcome),
    /// There is nothing to do before this time.
    WaitUntil(Timestamp),
    /// A person has to decide; this is why.
    Parked(String),
}

pub(super) struct Inner {
    pub(super) wallets: Repository<Wallet>,
    pub(super) gateway: Arc<dyn PaymentGateway>,
    pub(super) options: OrchestratorOptions,
    pub(super) offline: OfflineCounters,
    pub(super) watch: Watch,
    #[cfg(test)]
    pub(super) cuts: Option<Arc<super::tests::Cuts>>,
}

/// Carries payments out. Clones share everything; any number of threads may use them, on the same payment too. Several over one
/// store are safe as well, but each counts what it takes on trust without a network by itself.
#[derive(Clone)]
pub struct Orchestrator {
    pub(super) inner: Arc<Inner>,
}

impl fmt::Debug for Orchestrator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Orchestrator").field("options", &self.inner.options).finish_non_exhaustive()
    }
}

impl Orchestrator {
    /// An orchestrator over the store that `wallets` stands on.
    ///
    /// # Errors
    /// `InvalidInput`: the options are not in their ranges.
    pub fn new(
        wallets: Repository<Wallet>,
        gateway: Arc<dyn PaymentGateway>,
        options: OrchestratorOptions,
    ) -> Result<Self> {
        options.retry.check()?;
        options.offline.check()?;
        if options.time_limit.is_zero() {
            return Err(Error::new(ErrorKind::InvalidInput, "the time limit of payments is 0"));
        }
        gateway.limit_attempts(options.retry.attempt_time_limit);
        let inner = Inner {
            wallets,
            gateway,
            options,
            offline: OfflineCounters::default(),
            watch: Watch::default(),
            #[cfg(test)]
            cuts: None,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    pub(super) fn store(&self) -> &Store {
        self.inner.wallets.store()
    }

    /// The payment as it is on record; `None` if there is none with this id.
    ///
    /// # Errors
    /// `InvalidInput`: the id makes no stream's name. `UnknownPayload`: an event cannot be read by this program. `Corrupt`,
    /// `Io`, `Closed`: the store's.
    pub fn load(&self, payment_id: &str) -> Result<Option<PaymentSaga>> {
        let draft = Draft::load(self.store(), payment_id)?;
        Ok(draft.saga.started().is_some().then_some(draft.saga))
    }

    /// Puts the payment on record, and nothing more. One that is there already, with the same content, is given as it is.
    ///
    /// # Errors
    /// `InvalidInput`: the request breaks a rule. `IdempotencyConflict`: another payment is on record under this id. As
    /// [`load`](Self::load), and of the commit: `StorageFull`, `Poisoned`, `CommitUnknown`, `ReadOnly`.
    pub fn start(&self, request: PaymentRequest) -> Result<PaymentSaga> {
        let mut draft = self.begin(request)?;
        match self.flush(&mut draft) {
            // Only the same payment, put on record by another thread meanwhile, can be in the way.
            Err(error) if error.kind() == ErrorKind::Conflict => draft.reload(self.store())?,
            result => result?,
        }
        self.inner.watch.ring();
        Ok(draft.saga)
    }

    /// Puts the payment on record and carries it out, to its end. It may be under way, or over, already.
    ///
    /// # Errors
    /// As [`start`](Self::start) and [`drive`](Self::drive).
    pub fn run(&self, request: PaymentRequest) -> Result<Outcome> {
        let mut draft = self.begin(request)?;
        self.drive_draft(&mut draft)
    }

    /// Carries a payment on to its end, waiting where it has to be waited.
    ///
    /// # Errors
    /// `NotFound`: there is no such payment. `NotReady`: it is parked for review, or was taken on trust and waits for a
    /// network. `Conflict`: other writers were faster every time. As [`load`](Self::load), and of the commits: `StorageFull`, `Poisoned`, `CommitUnknown`, `ReadOnly`. After
    /// any of them the payment can be gone on with.
    pub fn drive(&self, payment_id: &str) -> Result<Outcome> {
        let mut draft = Draft::load(self.store(), payment_id)?;
        self.drive_draft(&mut draft)
    }

    /// Carries a payment on until it ends or has to wait; one that is over, until a charge that came late is given back. `now` counts where it is later than the store's time.
    ///
    /// # Errors
    /// As [`drive`](Self::drive), without `NotReady`.
    pub fn advance(&self, payment_id: &str, now: Timestamp) -> Result<Progress> {
        let _hold = self.inner.watch.hold(payment_id);
        let mut draft = Draft::load(self.store(), payment_id)?;
        self.work(&mut draft, now)
    }

    fn begin(&self, request: PaymentRequest) -> Result<Draft> {
        request.check()?;
        let deadline = self.store().now().plus(self.inner.options.time_limit);
        Draft::begin(self.store(), request, deadline, self.inner.gateway.settles())
    }

    fn drive_draft(&self, draft: &mut Draft) -> Result<Outcome> {
        let _hold = self.inner.watch.hold(draft.saga.payment_id());
        let mut now = Timestamp::EPOCH;
        loop {
            match self.work(draft, now)? {
                Progress::Final(outcome) => return Ok(outcome),
                Progress::Parked(reason) => {
                    let payment_id = draft.saga.payment_id();
                    let text = format!("payment {payment_id:?} is parked for review: {reason}");
                    return Err(Error::new(ErrorKind::NotReady, text));
                }
                Progress::WaitUntil(_) if draft.on_record().is_stored_offline() => {
                    let payment_id = draft.saga.payment_id();
                    let text = format!("payment {payment_id:?} was taken on trust and waits for a network");
                    return Err(Error::new(ErrorKind::NotReady, text));
                }
                Progress::WaitUntil(due) => {
                    // What was waited out counts as passed, also where the store's clock stands still.
                    wait(due.since(self.store().now()));
                    now = due;
                }
            }
        }
    }

    pub(super) fn work(&self, draft: &mut Draft, at_least: Timestamp) -> Result<Progress> {
        let result = self.work_through_conflicts(draft, at_least);
        // No turn at a wallet is held here, so whoever hears of it may go on with the payment.
        draft.take_alerts().iter().for_each(|alert| alert.raise(self.inner.options.on_alert.as_ref()));
        result
    }

    fn work_through_conflicts(&self, draft: &mut Draft, at_least: Timestamp) -> Result<Progress> {
        let mut conflicts = 0;
        loop {
            match self.work_until_conflict(draft, at_least) {
                Err(error) if error.kind() == ErrorKind::Conflict && conflicts < CONFLICTS_MAX => {
                    conflicts += 1;
                    self.decide_anew(draft, &error)?;
                }
                result => return result,
            }
        }
    }

    /// After a conflict: on the wallet alone, what does not rest on the wallet is kept.
    fn decide_anew(&self, draft: &mut Draft, error: &Error) -> Result<()> {
        let user_id = user_id(&draft.saga)?;
        self.inner.wallets.forget(&user_id);
        let wallet_stream = Repository::<Wallet>::stream(&user_id)?;
        if error.as_conflict().is_some_and(|conflict| conflict.stream == wallet_stream) {
            draft.drop_effect();
            return Ok(());
        }
        draft.reload(self.store())
    }

    fn work_until_conflict(&self, draft: &mut Draft, at_least: Timestamp) -> Result<Progress> {
        // Kept from the decision on a wallet to its commit, and never while the gateway is called.
        let mut turn: Option<Turn<'_>> = None;
        loop {
            let now = self.store().now().max(at_least);
            match next(&draft.saga, now, &self.inner.options.retry) {
                Action::NotStarted => {
                    let text = format!("there is no payment {:?}", draft.saga.payment_id());
                    return Err(Error::new(ErrorKind::NotFound, text));
                }
                Action::Done => {
                    self.flush(draft)?;
                    let outcome = draft.outcome().cloned();
                    return outcome.map(Progress::Final).ok_or_else(|| broken("an outcome that is not on record"));
                }
                Action::Parked => {
                    self.flush(draft)?;
                    return Ok(Progress::Parked(draft.saga.parked().unwrap_or_default().to_owned()));
                }
                Action::WaitUntil(due) => {
                    self.flush(draft)?;
                    return Ok(Progress::WaitUntil(due));
                }
                action @ (Action::Hold | Action::TakeHold | Action::ReleaseHold) => {
                    if draft.has_effect() {
                        self.flush(draft)?;
                    }
                    if turn.is_none() {
                        turn = Some(self.inner.wallets.turn(&user_id(&draft.saga)?));
                    }
                    self.wallet_step(draft, &action, now)?;
                }
                Action::Publish { command, .. } | Action::Query(command) if self.is_offline(&draft.saga, command) => {
                    self.flush(draft)?;
                    return Ok(Progress::WaitUntil(self.next_look_for_network(&draft.saga, command, now)));
                }
                Action::Publish { command, attempt } => {
                    draft.push(record::published(&draft.saga, command, attempt));
                    if !sabotage::has(Defect::SendBeforeIntent) {
                        self.flush_with(draft, Some(Durability::Sync))?;
                    }
                    turn = None;
                    self.send(draft, command, now)?;
                }
                Action::Query(command) => {
                    if draft.has_effect() {
                        self.flush(draft)?;
                    }
                    turn = None;
                    self.query(draft, command)?;
                }
                action => put(draft, action),
            }
        }
    }

    /// Decides a step in the wallet; it takes effect with the next commit.
    fn wallet_step(&self, draft: &mut Draft, action: &Action, now: Timestamp) -> Result<()> {
        let saga = &draft.saga;
        let user_id = user_id(saga)?;
        let (hold_id, amount) = (saga.payment_id().to_owned(), saga.wallet_part());
        let amount = amount.ok_or_else(|| broken("a step in the wallet without an amount"))?;
        let command = match action {
            Action::Hold => WalletCommand::Hold {
                payment_id: Some(hold_id.clone()),
                hold_id,
                amount,
                time_to_live: saga.deadline().map(|deadline| deadline.since(now)),
            },
            Action::TakeHold => WalletCommand::Capture { hold_id, amount, is_final: true },
            _ => WalletCommand::Release { hold_id },
        };
        let refusal = match self.inner.wallets.decide(&user_id, &command) {
            Ok(decision) if decision.events().is_empty() => {
                "the wallet has that hold already, and it is not this payment's".to_owned()
            }
            Ok(decision) => {
                let events = match action {
                    Action::Hold => vec![record::held(saga)],
                    Action::TakeHold => record::hold_taken(saga),
                    _ => record::released(saga),
                };
                draft.push_effect(decision, events);
                return Ok(());
            }
            Err(ExecuteError::Refused(refusal)) => refusal.to_string(),
            Err(ExecuteError::Store(error)) => return Err(error),
        };
        draft.push(match action {
            Action::Hold => record::wallet_refused(Step::Reserve, &refusal),
            Action::TakeHold if saga.is_past_pivot() => {
                PaymentParkedForReview { reason: format!("the wallet refused the capture: {refusal}") }.into()
            }
            Action::TakeHold => record::wallet_refused(Step::Capture, &refusal),
            _ => record::release_refused(&refusal),
        });
        Ok(())
    }

    /// Whether there is still no network, of a command that was not sent for want of one. A refund is not even begun then.
    fn is_offline(&self, saga: &PaymentSaga, command: GatewayCommand) -> bool {
        (saga.call(command).is_offline || command == GatewayCommand::Refund) && !self.inner.gateway.is_online()
    }

    /// When a network is looked for again. Nothing of it is on record: waiting writes nothing.
    fn next_look_for_network(&self, saga: &PaymentSaga, command: GatewayCommand, now: Timestamp) -> Timestamp {
        let due = now.plus(self.inner.options.retry.delay(saga.call(command).attempts_of_group()));
        let binds = saga.outcome().is_none() && saga.compensation().is_none() && !saga.is_past_pivot();
        saga.deadline().filter(|_| binds).map_or(due, |deadline| due.min(deadline))
    }

    /// Sends what was published, and adds what came of it.
    fn send(&self, draft: &mut Draft, command: GatewayCommand, now: Timestamp) -> Result<()> {
        let answer = self.call_gateway(&draft.saga, command)?;
        if command == GatewayCommand::Authorise && self.is_for_offline_policy(&draft.saga, &answer) {
            return self.decide_offline(draft, now);
        }
        draft.push(record::answered(&draft.saga, command, &answer));
        Ok(())
    }

    fn call_gateway(&self, saga: &PaymentSaga, command: GatewayCommand) -> Result<GatewayAnswer> {
        let payment_id = saga.payment_id();
        let mut key = command.key(payment_id);
        let is_fresh = sabotage::has(Defect::FreshKeyForRefund) && command == GatewayCommand::Refund;
        if is_fresh || sabotage::has(Defect::FreshKeyForEachAttempt) {
            key = format!("{}/{key}", saga.version().get());
        }
        let authorise_key = GatewayCommand::Authorise.key(payment_id);
        let capture_key = GatewayCommand::Capture.key(payment_id);
        let gateway = &self.inner.gateway;
        let amount = || card_part(saga).map(|part| Money::new(record::amount_of(saga, command), part.currency));
        self.cut_point()?;
        let answer = match command {
            GatewayCommand::Authorise => gateway.authorise(&key, amount()?, &user_id(saga)?),
            GatewayCommand::Capture => gateway.capture(&key, &authorise_key, amount()?),
            GatewayCommand::Void => gateway.void(&key, &authorise_key),
            GatewayCommand::Refund => gateway.refund(&key, &capture_key, amount()?),
            GatewayCommand::Settle => gateway.settle(&key, &capture_key, amount()?),
        };
        self.cut_point()?;
        Ok(answer)
    }

    fn query(&self, draft: &mut Draft, command: GatewayCommand) -> Result<()> {
        let outcome = self.inner.gateway.query(&command.key(draft.saga.payment_id()));
        self.cut_point()?;
        let events = record::queried(&draft.saga, command, &outcome);
        draft.push_all(events);
        Ok(())
    }

    pub(super) fn flush(&self, draft: &mut Draft) -> Result<()> {
        self.flush_with(draft, self.inner.options.durability)
    }

    fn flush_with(&self, draft: &mut Draft, durability: Option<Durability>) -> Result<()> {
        self.cut_point()?;
        draft.flush(&self.inner.wallets, durability)?;
        self.inner.offline.note(draft.on_record());
        self.cut_point()
    }

    /// Where a test cuts the work off, as a crash would.
    pub(super) fn cut_point(&self) -> Result<()> {
        #[cfg(test)]
        if let Some(cuts) = &self.inner.cuts {
            return cuts.pass();
        }
        Ok(())
    }
}

/// Adds what an action without a call puts on record.
fn put(draft: &mut Draft, action: Action) {
    let saga = &draft.saga;
    let events: Vec<PaymentEvent> = match action {
        Action::ScheduleRetry { command, due } => vec![record::retry_scheduled(saga, command, due)],
        Action::Complete => vec![record::completed(saga)],
        Action::Compensate { reason, detail } => record::compensation(saga, reason, detail),
        Action::GiveUpVoid => vec![record::void_given_up(saga)],
        Action::GiveUpRefund(reason) => vec![record::refund_given_up(saga, &reason)],
        Action::ConcludeCompensation => vec![record::compensated(saga)],
        Action::Reject { reason, detail } => record::rejected(saga, reason, detail),
        Action::Park(reason) => vec![PaymentParkedForReview { reason }.into()],
        other => unreachable!("{other:?} is carried out elsewhere"),
    };
    draft.push_all(events);
}

fn user_id(saga: &PaymentSaga) -> Result<String> {
    saga.started().map(|started| started.user_id.clone()).ok_or_else(|| broken("a step of a payment that never began"))
}

fn card_part(saga: &PaymentSaga) -> Result<Money> {
    saga.card_part().ok_or_else(|| broken("a command to the gateway without an amount"))
}

/// A state that no decision leads to: a log that another program wrote.
fn broken(what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, format!("a payment's stream contradicts itself: {what}"))
}

/// Waits this long. Nobody wakes it; retries are short where this is used.
fn wait(duration: Duration) {
    let (gate, never) = (Mutex::new(()), Condvar::new());
    let end = Instant::now() + duration;
    let mut gate = gate.lock();
    while Instant::now() < end {
        never.wait_until(&mut gate, end);
    }
}
