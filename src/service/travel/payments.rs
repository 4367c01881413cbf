//! Payments, by where they stand.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use crate::aggregate::{DomainEvent, EventContext};
use crate::error::Result;
use crate::payment::{GatewayCommand, PAYMENT_TYPE, PaymentEvent, PaymentSaga, TypeMeaning, type_meaning};
use crate::service::{PAYMENTS_SERVICE, RecoveryPoint};
use crate::store::Store;
use crate::types::{Sequence, StreamId, Timestamp, Version};

/// Which payments are asked for: those that everything here is true of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PaymentFilter {
    /// Those in this state, by its name, such as `charging`; see [`PaymentState`](crate::payment::PaymentState).
    pub state: Option<String>,
    /// Those with a command to the gateway whose outcome nothing on record tells.
    pub in_doubt: bool,
    /// Those that are not over, and whose deadline is.
    pub overdue: bool,
}

impl PaymentFilter {
    /// Whether nothing that is over can be meant.
    fn is_of_open_ones(&self) -> bool {
        let is_final = |state: &String| matches!(state.as_str(), "completed" | "compensated" | "rejected");
        self.in_doubt || self.overdue || self.state.as_ref().is_some_and(|state| !is_final(state))
    }

    fn fits(&self, payment: &PaymentSummary) -> bool {
        self.state.as_ref().is_none_or(|state| *state == payment.state)
            && (!self.in_doubt || payment.in_doubt.is_some())
            && (!self.overdue || payment.is_overdue)
    }
}

/// Where a payment stands. Amounts are minor units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PaymentSummary {
    /// The payment.
    pub payment_id: String,
    /// Where it stands, such as `charging`.
    pub state: &'static str,
    /// How it ended: `completed`, `compensated` or `rejected`; `None` while it is open.
    pub outcome: Option<&'static str>,
    /// Whose.
    pub user_id: Option<String>,
    /// Of all amounts.
    pub currency: Option<&'static str>,
    /// What is to be paid.
    pub amount: Option<i64>,
    /// From the wallet.
    pub wallet_amount: Option<i64>,
    /// By card.
    pub card_amount: Option<i64>,
    /// Until when its capture must have been published, in store time; microseconds since 1970 where it is serialised.
    pub deadline: Option<Timestamp>,
    /// The command to the gateway whose outcome nothing on record tells.
    pub in_doubt: Option<&'static str>,
    /// Whether it is open past its deadline.
    pub is_overdue: bool,
    /// Why a person has to decide, if so.
    pub parked: Option<String>,
    /// Its version.
    pub version: Version,
    /// The sequence of its last event.
    pub last_event_sequence: Sequence,
}

impl PaymentSummary {
    /// Where a payment stands at the time `now`.
    #[must_use]
    pub fn of(saga: &PaymentSaga, now: Timestamp) -> Self {
        let started = saga.started();
        let deadline = started.map(|started| started.deadline);
        Self {
            payment_id: saga.payment_id().to_owned(),
            state: saga.state().as_str(),
            outcome: saga.outcome().map(|outcome| outcome.kind.as_str()),
            user_id: started.map(|started| started.user_id.clone()),
            currency: started.map(|started| started.currency.code()),
            amount: started.map(|started| started.wallet_amount.saturating_add(started.card_amount)),
            wallet_amount: started.map(|started| started.wallet_amount),
            card_amount: started.map(|started| started.card_amount),
            deadline,
            in_doubt: saga.in_doubt().map(GatewayCommand::as_str),
            is_overdue: saga.outcome().is_none() && deadline.is_some_and(|deadline| now >= deadline),
            parked: saga.parked().map(str::to_owned),
            version: saga.version(),
            last_event_sequence: saga.last_event_sequence(),
        }
    }
}

/// Payments by id, one at a time. Ends at its first error.
pub struct PaymentsList {
    store: Store,
    filter: PaymentFilter,
    now: Timestamp,
    streams: Box<dyn Iterator<Item = Result<StreamId>> + Send>,
    failed: bool,
}

impl fmt::Debug for PaymentsList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PaymentsList").field("filter", &self.filter).finish_non_exhaustive()
    }
}

impl PaymentsList {
    fn look(&self, stream: &StreamId) -> Result<Option<PaymentSummary>> {
        let Some(payment_id) = stream.aggregate_id(PAYMENT_TYPE) else { return Ok(None) };
        let saga = replay(&self.store, stream, payment_id, Sequence::MAX)?;
        let summary = PaymentSummary::of(&saga, self.now);
        Ok((saga.version() > Version::ZERO && self.filter.fits(&summary)).then_some(summary))
    }
}

impl Iterator for PaymentsList {
    type Item = Result<PaymentSummary>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.failed {
            let looked = match self.streams.next()? {
                Ok(stream) => self.look(&stream),
                Err(error) => Err(error),
            };
            self.failed = looked.is_err();
            if let Some(payment) = looked.transpose() {
                return Some(payment);
            }
        }
        None
    }
}

/// The payments that fit, by id, each as it is when it is come to. Where only open ones can fit, no other is read: they are known
/// from the recovery point of the payments and the events since.
///
/// # Errors
/// `Corrupt`: the recovery point is beyond the log's end. `Io`, `Closed`: the store's. The list itself gives these, and
/// `UnknownPayload` for a payment that this program cannot read.
pub fn payments_list(store: &Store, filter: PaymentFilter) -> Result<PaymentsList> {
    let streams: Box<dyn Iterator<Item = Result<StreamId>> + Send> = if filter.is_of_open_ones() {
        let open = open_payments(store, store.last_sequence())?;
        Box::new(open.into_iter().map(|payment_id| StreamId::of(PAYMENT_TYPE, &payment_id)))
    } else {
        let streams = store.streams(&format!("{PAYMENT_TYPE}-"));
        Box::new(streams.map(|entry| entry.map(|(stream, _)| stream)))
    };
    Ok(PaymentsList { store: store.clone(), filter, now: store.now(), streams, failed: false })
}

/// A payment, from its events up to `end`.
pub(in crate::service) fn replay(
    store: &Store,
    stream: &StreamId,
    payment_id: &str,
    end: Sequence,
) -> Result<PaymentSaga> {
    let mut saga = PaymentSaga::new(payment_id);
    for event in store.read_stream(stream, ..) {
        let event = event?;
        if event.sequence > end {
            break;
        }
        saga.apply(&PaymentEvent::decode(&event)?, &EventContext::from(&event));
    }
    Ok(saga)
}

/// The payments that a recovery would take for open, as of `end`: by the recovery point, and by the types of the events since.
///
/// # Errors
/// `Corrupt`: the recovery point is beyond the log's end. `Io`, `Closed`: the store's.
pub(in crate::service) fn open_payments(store: &Store, end: Sequence) -> Result<BTreeSet<String>> {
    let RecoveryPoint { last_event_sequence: from, pending: mut open, .. } =
        RecoveryPoint::load(store, PAYMENTS_SERVICE)?;
    if from >= end {
        return Ok(open);
    }
    let prefix = format!("{PAYMENT_TYPE}-");
    store.visit(from.next()..=end, |event| {
        if let Some(payment_id) = event.stream.strip_prefix(&prefix) {
            match type_meaning(event.event_type) {
                TypeMeaning::Begins => drop(open.insert(payment_id.to_owned())),
                TypeMeaning::Ends => drop(open.remove(payment_id)),
                TypeMeaning::Neither => {}
            }
        }
        Ok(std::ops::ControlFlow::Continue(()))
    })?;
    Ok(open)
}
