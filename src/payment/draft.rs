//! A payment being worked on: what is on record, and what is to be put on record with the next commit.
//!
//! Invariants: `saga` is `base` with all pending events applied; every commit names the version of `base`; a commit holds at
//! most one effect on a wallet, with the version of the wallet that it was decided on. What stands before that effect
//! does not rest on the wallet's state, so it outlives a conflict on the wallet.

use super::alert::Alert;
use super::event::PaymentEvent;
use super::outcome::Outcome;
use super::request::{PaymentRequest, stream_of};
use super::state::PaymentSaga;
use crate::aggregate::{Decision, EventContext, Repository, new_events};
use crate::error::Result;
use crate::saga;
use crate::store::{Commit, Durability, Store};
use crate::types::{ExpectedVersion, Metadata, NewEvent, Receipt, Sequence, Timestamp};
use crate::wallet::Wallet;

/// See the module.
#[derive(Debug)]
pub(crate) struct Draft {
    /// What was asked for, if it was by whoever works on it.
    request: Option<PaymentRequest>,
    base: PaymentSaga,
    pub(crate) saga: PaymentSaga,
    before: Vec<PaymentEvent>,
    wallet: Option<Decision<Wallet>>,
    after: Vec<PaymentEvent>,
    /// Who asked for it, if a person did.
    actor: Option<String>,
    /// The command that it was asked for with, if it has an id.
    causation_id: Option<String>,
    /// What was put on record that a person has to hear of, and did not yet.
    alerts: Vec<Alert>,
}

impl Draft {
    /// A payment as it is on record; one that is not has no event.
    ///
    /// # Errors
    /// `InvalidInput`: the id makes no stream's name. `UnknownPayload`: an event cannot be read by this program. `Corrupt`,
    /// `Io`, `Closed`: the store's.
    pub(crate) fn load(store: &Store, payment_id: &str) -> Result<Self> {
        let base = saga::load::<PaymentSaga>(store, payment_id)?.saga;
        let saga = base.clone();
        Ok(Self {
            request: None,
            base,
            saga,
            before: Vec::new(),
            wallet: None,
            after: Vec::new(),
            actor: None,
            causation_id: None,
            alerts: Vec::new(),
        })
    }

    /// The payment asked for: as it is on record, else about to begin.
    ///
    /// # Errors
    /// As [`load`](Self::load). `IdempotencyConflict`: another one is on record under its id.
    pub(crate) fn begin(store: &Store, request: PaymentRequest, deadline: Timestamp, settles: bool) -> Result<Self> {
        let mut draft = Self::load(store, &request.payment_id)?;
        match draft.base.started() {
            Some(on_record) => request.check_same(on_record)?,
            None => draft.push(request.started(deadline, settles).into()),
        }
        draft.request = Some(request);
        Ok(draft)
    }

    /// Adds an event to the next commit.
    pub(crate) fn push(&mut self, event: PaymentEvent) {
        self.apply_pending(&event);
        if self.wallet.is_some() {
            self.after.push(event);
        } else {
            self.before.push(event);
        }
    }

    /// Adds events to the next commit, in their order.
    pub(crate) fn push_all(&mut self, events: impl IntoIterator<Item = PaymentEvent>) {
        events.into_iter().for_each(|event| self.push(event));
    }

    /// Names the person whose word the next commit is.
    pub(crate) fn set_actor(&mut self, actor: Option<&str>) {
        self.actor = actor.map(str::to_owned);
    }

    /// Names the command that the next commit is carried out for.
    pub(crate) fn set_causation(&mut self, command_id: Option<&str>) {
        self.causation_id = command_id.map(str::to_owned);
    }

    /// The payment as it is on record.
    pub(crate) fn on_record(&self) -> &PaymentSaga {
        &self.base
    }

    /// What was put on record that a person has to hear of, each once.
    pub(crate) fn take_alerts(&mut self) -> Vec<Alert> {
        std::mem::take(&mut self.alerts)
    }

    /// Adds what follows for the wallet, and for the payment with it, to the next commit.
    pub(crate) fn push_effect(&mut self, decision: Decision<Wallet>, events: Vec<PaymentEvent>) {
        assert!(self.wallet.is_none(), "a commit holds at most one effect on a wallet");
        assert!(!decision.events().is_empty(), "an effect on a wallet has an event");
        self.wallet = Some(decision);
        self.push_all(events);
    }

    /// Whether the next commit has an effect on a wallet.
    pub(crate) fn has_effect(&self) -> bool {
        self.wallet.is_some()
    }

    /// The outcome on record.
    pub(crate) fn outcome(&self) -> Option<&Outcome> {
        self.base.outcome()
    }

    /// Puts on record what is pending.
    ///
    /// # Errors
    /// As [`Store::commit`]; after a `Conflict` what is pending is still there.
    pub(crate) fn flush(&mut self, wallets: &Repository<Wallet>, durability: Option<Durability>) -> Result<()> {
        if self.before.is_empty() && self.wallet.is_none() && self.after.is_empty() {
            return Ok(());
        }
        let receipt = wallets.store().commit(self.commit(durability)?)?;
        assert!(!receipt.is_repeat, "a commit without an idempotency key is never a repeat");
        let before = Alert::standing(&self.base);
        self.put_on_record(&receipt);
        self.alerts.extend(Alert::since(before, &self.base));
        if let Some(decision) = self.wallet.take() {
            wallets.committed(decision, &receipt)?;
        }
        Ok(())
    }

    /// Drops what a conflict on the wallet made void.
    pub(crate) fn drop_effect(&mut self) {
        self.wallet = None;
        self.after.clear();
        self.saga.clone_from(&self.base);
        for event in std::mem::take(&mut self.before) {
            self.push(event);
        }
    }

    /// Starts again from what is on record.
    ///
    /// # Errors
    /// As [`load`](Self::load) and [`begin`](Self::begin).
    pub(crate) fn reload(&mut self, store: &Store) -> Result<()> {
        let fresh = match (self.request.take(), self.saga.started()) {
            (Some(request), Some(started)) => Self::begin(store, request, started.deadline, started.settles)?,
            _ => Self::load(store, self.saga.payment_id())?,
        };
        let (actor, causation_id) = (self.actor.take(), self.causation_id.take());
        *self = Self { alerts: self.take_alerts(), actor, causation_id, ..fresh };
        Ok(())
    }

    fn commit(&mut self, durability: Option<Durability>) -> Result<Commit> {
        let stream = stream_of(self.base.payment_id())?;
        let metadata = self.metadata();
        let mut version = self.base.version();
        let mut commit = Commit::new();
        if !self.before.is_empty() {
            let mut events = new_events(&self.before, &metadata)?;
            self.add_request_metadata(&mut events, &metadata);
            commit = commit.append(&stream, ExpectedVersion::Exact(version), events);
            version = version.plus(count(self.before.len()));
        }
        if let Some(decision) = &mut self.wallet {
            commit = decision.add_to(commit, &metadata)?;
        }
        if !self.after.is_empty() {
            let events = new_events(&self.after, &metadata)?;
            commit = commit.append(&stream, ExpectedVersion::Exact(version), events);
        }
        if self.base.started().is_some() {
            // What goes on with a payment that is on record brings it to its end; on a full disk only new ones are refused.
            commit = commit.may_use_reserve();
        }
        Ok(match durability {
            Some(durability) => commit.durability(durability),
            None => commit,
        })
    }

    /// Everything that a payment causes is found by its id.
    fn metadata(&self) -> Metadata {
        let correlation_id = Some(self.base.payment_id().to_owned());
        let (actor, causation_id) = (self.actor.clone(), self.causation_id.clone());
        Metadata { correlation_id, causation_id, actor, ..Metadata::default() }
    }

    /// The first event carries what the request brought.
    fn add_request_metadata(&self, events: &mut [NewEvent], metadata: &Metadata) {
        if self.base.started().is_none()
            && let (Some(first), Some(request)) = (events.first_mut(), &self.request)
        {
            first.metadata = Metadata { correlation_id: metadata.correlation_id.clone(), ..request.metadata.clone() };
        }
    }

    fn put_on_record(&mut self, receipt: &Receipt) {
        let wallet_events = self.wallet.as_ref().map_or(0, |decision| count(decision.events().len()));
        let mut sequence = receipt.sequence_first;
        for event in std::mem::take(&mut self.before) {
            self.record(&event, sequence, receipt.timestamp);
            sequence = sequence.next();
        }
        sequence = sequence.plus(wallet_events);
        for event in std::mem::take(&mut self.after) {
            self.record(&event, sequence, receipt.timestamp);
            sequence = sequence.next();
        }
        assert!(sequence == receipt.sequence_last.next(), "every event of the commit is accounted for");
        self.saga.clone_from(&self.base);
    }

    fn record(&mut self, event: &PaymentEvent, sequence: Sequence, timestamp: Timestamp) {
        let context = EventContext { sequence, version: self.base.version().next(), timestamp };
        self.base.apply(event, &context);
    }

    /// Its sequence is not known yet; what rests on it is read from `base` after the commit.
    fn apply_pending(&mut self, event: &PaymentEvent) {
        let version = self.saga.version().next();
        let context = EventContext { sequence: Sequence::MAX, version, timestamp: Timestamp::MAX };
        self.saga.apply(event, &context);
    }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
