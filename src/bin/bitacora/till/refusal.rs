//! The record of a line that the rules of the business refused.

use bitacora::{CodecId, Error, ErrorKind, Event, EventType, NewEvent, Result};
use serde::{Deserialize, Serialize};

use super::ledger::{Kind, LedgerLine};
use super::names::LedgerName;

/// Why a line was not booked. Kept as JSON, so that every reader of the store can show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LineRefused {
    pub(crate) line: u64,
    pub(crate) id: String,
    pub(crate) user_id: String,
    pub(crate) kind: String,
    /// Minor units.
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) reason: String,
}

impl LineRefused {
    pub(crate) const TYPE: &'static str = "LineRefused";

    pub(crate) fn new(line: &LedgerLine, reason: &str) -> Self {
        let kind = match line.kind {
            Kind::Deposit => "deposit",
            Kind::Withdrawal => "withdrawal",
            Kind::Payment => "payment",
        };
        Self {
            line: line.number,
            id: line.id.clone(),
            user_id: line.user_id.clone(),
            kind: kind.to_owned(),
            amount: line.amount.minor,
            currency: line.amount.currency.code().to_owned(),
            reason: reason.to_owned(),
        }
    }

    /// The event that puts it on record.
    ///
    /// # Errors
    /// `InvalidInput`: it cannot be written.
    pub(crate) fn event(&self, name: &LedgerName, line: &LedgerLine) -> Result<NewEvent> {
        let payload = serde_json::to_vec(self)
            .map_err(|error| Error::with_source(ErrorKind::InvalidInput, "write a refused line", error))?;
        let metadata = name.metadata(line, None);
        Ok(NewEvent::new(EventType::new(Self::TYPE)?, CodecId::JSON, payload).with_metadata(metadata))
    }

    /// The record in an event.
    ///
    /// # Errors
    /// `UnknownPayload`: it is no such record.
    pub(crate) fn decode(event: &Event) -> Result<Self> {
        serde_json::from_slice(&event.payload).map_err(|error| {
            let text = format!("event {}: no {} that this program knows", event.sequence, Self::TYPE);
            Error::with_source(ErrorKind::UnknownPayload, text, error)
        })
    }
}
