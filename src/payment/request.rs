//! What a payment is asked for with.

use super::event::PaymentStarted;
use crate::aggregate::Repository;
use crate::error::{Error, ErrorKind, Result};
use crate::money::Currency;
use crate::types::{Metadata, StreamId, Timestamp};
use crate::wallet::{HOLD_ID_BYTES_MAX, Wallet};

/// The aggregate type of payments: the first part of their streams' names.
pub const PAYMENT_TYPE: &str = "payment";

/// A payment that is asked for. Of the two amounts one may be zero; that part is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaymentRequest {
    /// Names the payment for ever; at most 128 bytes. The same id with the same content is the same payment.
    pub payment_id: String,
    /// Whose wallet and card.
    pub user_id: String,
    /// Of both amounts.
    pub currency: Currency,
    /// From the wallet, minor units.
    pub wallet_amount: i64,
    /// By card, minor units.
    pub card_amount: i64,
    /// What the payment's first event carries beside the facts. The correlation id becomes the payment's id.
    pub metadata: Metadata,
}

impl PaymentRequest {
    /// A payment of nothing yet; add at least one part.
    #[must_use]
    pub fn new(payment_id: impl Into<String>, user_id: impl Into<String>, currency: Currency) -> Self {
        Self {
            payment_id: payment_id.into(),
            user_id: user_id.into(),
            currency,
            wallet_amount: 0,
            card_amount: 0,
            metadata: Metadata::default(),
        }
    }

    /// The same with this part paid from the wallet, minor units.
    #[must_use]
    pub fn by_wallet(mut self, amount: i64) -> Self {
        self.wallet_amount = amount;
        self
    }

    /// The same with this part paid by card, minor units.
    #[must_use]
    pub fn by_card(mut self, amount: i64) -> Self {
        self.card_amount = amount;
        self
    }

    /// The same with this beside the facts.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }

    /// Checks it apart from any state.
    ///
    /// # Errors
    /// `InvalidInput`: an id that names nothing, a negative amount, or no amount at all.
    pub(crate) fn check(&self) -> Result<()> {
        let invalid =
            |text: &str| Err(Error::new(ErrorKind::InvalidInput, format!("payment {:?}: {text}", self.payment_id)));
        if self.payment_id.is_empty() || self.payment_id.len() > HOLD_ID_BYTES_MAX {
            return invalid("its id must have from 1 to 128 bytes");
        }
        stream_of(&self.payment_id)?;
        Repository::<Wallet>::stream(&self.user_id)?;
        if self.user_id.is_empty() {
            return invalid("it names no user");
        }
        if self.wallet_amount < 0 || self.card_amount < 0 {
            return invalid("an amount is negative");
        }
        match self.wallet_amount.checked_add(self.card_amount) {
            None => invalid("its amounts together are beyond 64 bits"),
            Some(0) => invalid("there is nothing to pay"),
            Some(_) => Ok(()),
        }
    }

    pub(crate) fn started(&self, deadline: Timestamp, settles: bool) -> PaymentStarted {
        PaymentStarted {
            payment_id: self.payment_id.clone(),
            user_id: self.user_id.clone(),
            currency: self.currency,
            wallet_amount: self.wallet_amount,
            card_amount: self.card_amount,
            deadline,
            settles: settles && self.card_amount > 0,
        }
    }

    /// Checks that a payment on record is the one asked for; its deadline, and whether it settles, are its own.
    ///
    /// # Errors
    /// `IdempotencyConflict`: it is another one.
    pub(crate) fn check_same(&self, on_record: &PaymentStarted) -> Result<()> {
        if *on_record == self.started(on_record.deadline, on_record.settles) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::IdempotencyConflict,
            format!("payment {:?} is on record with another user, currency or amount", self.payment_id),
        ))
    }
}

/// A payment's stream.
///
/// # Errors
/// `InvalidInput`: the id makes no stream's name.
pub(crate) fn stream_of(payment_id: &str) -> Result<StreamId> {
    StreamId::of(PAYMENT_TYPE, payment_id)
}
