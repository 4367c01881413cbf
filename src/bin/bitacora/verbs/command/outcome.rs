//! What is answered to a command: done, with what followed, or refused, with why.

use std::ops::RangeInclusive;

use bitacora::aggregate::Loaded;
use bitacora::payment::PaymentSaga;
use bitacora::wallet::Wallet;
use bitacora::{Event, Receipt, Store, StreamId, Version};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::refusal::Refusal;
use crate::render::Data;

/// The answer to one command.
#[derive(Debug)]
pub(crate) enum Outcome {
    Wallet { is_repeat: bool, events: Vec<EventLine>, wallet: Box<WalletFields>, to: Option<Box<WalletFields>> },
    Payment { is_repeat: bool, events: Vec<EventLine>, payment: PaymentFields },
    Refused { refusal: Refusal, payment: Option<PaymentFields> },
}

/// An event that followed.
#[derive(Serialize)]
pub(crate) struct EventLine {
    #[serde(rename = "type")]
    event_type: String,
    stream: String,
    version: u64,
    sequence: u64,
    data: Data,
}

impl std::fmt::Debug for EventLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventLine").field("event_type", &self.event_type).finish_non_exhaustive()
    }
}

impl EventLine {
    pub(crate) fn new(event: &Event) -> Self {
        Self {
            event_type: event.event_type.as_str().to_owned(),
            stream: event.stream.as_str().to_owned(),
            version: event.version.get(),
            sequence: event.sequence.get(),
            data: Data::of(event),
        }
    }
}

/// A wallet right after a command.
#[derive(Debug, Serialize)]
pub(crate) struct WalletFields {
    version: u64,
    sequence: u64,
    user_id: String,
    currency: Option<&'static str>,
    balance: i64,
    locked_balance: i64,
    available_balance: i64,
    status: &'static str,
}

impl WalletFields {
    pub(crate) fn new(loaded: &Loaded<Wallet>) -> Self {
        let wallet = &loaded.state;
        Self {
            version: loaded.version.get(),
            sequence: loaded.last_event_sequence.get(),
            user_id: wallet.user_id().to_owned(),
            currency: wallet.currency().map(bitacora::money::Currency::code),
            balance: wallet.balance(),
            locked_balance: wallet.locked_balance(),
            available_balance: wallet.available(),
            status: wallet.status().as_str(),
        }
    }
}

/// A payment after a command.
#[derive(Debug, Serialize)]
pub(crate) struct PaymentFields {
    pub(crate) version: u64,
    sequence: u64,
    payment_id: String,
    pub(crate) state: &'static str,
    pub(crate) outcome: Option<&'static str>,
    pub(crate) reason: Option<String>,
}

impl PaymentFields {
    pub(crate) fn new(saga: &PaymentSaga) -> Self {
        let reason = saga.outcome().map(|outcome| outcome.reason.as_str()).or(saga.parked());
        Self {
            version: saga.version().get(),
            sequence: saga.last_event_sequence().get(),
            payment_id: saga.payment_id().to_owned(),
            state: saga.state().as_str(),
            outcome: saga.outcome().map(|outcome| outcome.kind.as_str()),
            reason: reason.filter(|reason| !reason.is_empty()).map(str::to_owned),
        }
    }
}

impl Outcome {
    pub(crate) fn refused(refusal: impl Into<Refusal>) -> Self {
        Self::Refused { refusal: refusal.into(), payment: None }
    }

    pub(crate) fn is_refused(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }
}

/// An answer with what names the command.
pub(crate) struct Answer<'a> {
    /// `command_id` or, where there is none, `payment_id`, and its value.
    pub(crate) name: (&'static str, &'a str),
    pub(crate) outcome: &'a Outcome,
}

impl Serialize for Answer<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry(self.name.0, self.name.1)?;
        match self.outcome {
            Outcome::Wallet { is_repeat, events, wallet, to } => {
                done(&mut map, *is_repeat, events)?;
                wallet_entries(&mut map, wallet)?;
                if let Some(to) = to {
                    map.serialize_entry("to", to)?;
                }
            }
            Outcome::Payment { is_repeat, events, payment } => {
                done(&mut map, *is_repeat, events)?;
                payment_entries(&mut map, payment, self.name.0)?;
            }
            Outcome::Refused { refusal, payment } => {
                map.serialize_entry("ok", &false)?;
                map.serialize_entry("refusal", refusal.name)?;
                map.serialize_entry("message", &refusal.message)?;
                for (name, value) in &refusal.details {
                    map.serialize_entry(name, value)?;
                }
                if let Some(payment) = payment {
                    payment_entries(&mut map, payment, self.name.0)?;
                }
            }
        }
        map.end()
    }
}

fn done<M: SerializeMap>(map: &mut M, is_repeat: bool, events: &[EventLine]) -> Result<(), M::Error> {
    map.serialize_entry("ok", &true)?;
    map.serialize_entry("repeat", &is_repeat)?;
    map.serialize_entry("events", events)
}

fn wallet_entries<M: SerializeMap>(map: &mut M, wallet: &WalletFields) -> Result<(), M::Error> {
    map.serialize_entry("version", &wallet.version)?;
    map.serialize_entry("sequence", &wallet.sequence)?;
    map.serialize_entry("user_id", &wallet.user_id)?;
    map.serialize_entry("currency", &wallet.currency)?;
    map.serialize_entry("balance", &wallet.balance)?;
    map.serialize_entry("locked_balance", &wallet.locked_balance)?;
    map.serialize_entry("available_balance", &wallet.available_balance)?;
    map.serialize_entry("status", wallet.status)
}

fn payment_entries<M: SerializeMap>(map: &mut M, payment: &PaymentFields, named_by: &str) -> Result<(), M::Error> {
    map.serialize_entry("version", &payment.version)?;
    map.serialize_entry("sequence", &payment.sequence)?;
    if named_by != "payment_id" {
        map.serialize_entry("payment_id", &payment.payment_id)?;
    }
    map.serialize_entry("state", payment.state)?;
    map.serialize_entry("outcome", &payment.outcome)?;
    map.serialize_entry("reason", &payment.reason)
}

/// The events of a commit, by sequence.
pub(crate) fn events_of(store: &Store, receipt: &Receipt) -> bitacora::Result<Vec<EventLine>> {
    let mut events = Vec::new();
    for event in store.read_all(receipt.sequence_first..=receipt.sequence_last) {
        events.push(EventLine::new(&event?));
    }
    Ok(events)
}

/// Some events of a stream.
pub(crate) fn events_in(
    store: &Store,
    stream: &StreamId,
    versions: RangeInclusive<Version>,
) -> bitacora::Result<Vec<EventLine>> {
    store.read_stream(stream, versions).map(|event| Ok(EventLine::new(&event?))).collect()
}
