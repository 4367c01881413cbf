//! A wallet as it is printed.

use bitacora::aggregate::{Loaded, LoadedFrom};
use bitacora::wallet::Wallet;
use serde::Serialize;

use crate::render;

#[derive(Serialize)]
pub(crate) struct WalletDocument<'a> {
    pub(crate) user_id: &'a str,
    pub(crate) currency: Option<&'a str>,
    pub(crate) balance: i64,
    pub(crate) locked_balance: i64,
    pub(crate) available_balance: i64,
    pub(crate) version: u64,
    pub(crate) last_event_sequence: u64,
    pub(crate) status: &'a str,
    pub(crate) holds: Vec<Hold<'a>>,
    /// `beginning`, or the id of a snapshot.
    pub(crate) loaded_from: &'a str,
    pub(crate) events_replayed: u64,
}

#[derive(Serialize)]
pub(crate) struct Hold<'a> {
    pub(crate) hold_id: &'a str,
    pub(crate) amount: i64,
    pub(crate) captured: i64,
    pub(crate) payment_id: Option<&'a str>,
    pub(crate) expires_at: Option<String>,
}

impl<'a> WalletDocument<'a> {
    pub(crate) fn new(loaded: &'a Loaded<Wallet>) -> Self {
        let wallet = &loaded.state;
        let holds = wallet.holds().iter().map(|(hold_id, hold)| Hold {
            hold_id,
            amount: hold.amount,
            captured: hold.captured,
            payment_id: hold.payment_id.as_deref(),
            expires_at: hold.expires_at.map(render::time),
        });
        Self {
            user_id: wallet.user_id(),
            currency: wallet.currency().map(bitacora::money::Currency::code),
            balance: wallet.balance(),
            locked_balance: wallet.locked_balance(),
            available_balance: wallet.available(),
            version: loaded.version.get(),
            last_event_sequence: loaded.last_event_sequence.get(),
            status: wallet.status().as_str(),
            holds: holds.collect(),
            loaded_from: match &loaded.loaded_from {
                LoadedFrom::Beginning => "beginning",
                LoadedFrom::Snapshot(snapshot_id) => snapshot_id,
            },
            events_replayed: loaded.events_replayed,
        }
    }
    /// The columns of a list.
    pub(crate) const HEADER: [&'static str; 8] = [
        "user_id",
        "currency",
        "balance",
        "locked_balance",
        "available_balance",
        "version",
        "last_event_sequence",
        "status",
    ];

    /// As a row of a list.
    pub(crate) fn row(&self) -> Vec<String> {
        vec![
            self.user_id.to_owned(),
            self.currency.unwrap_or_default().to_owned(),
            self.balance.to_string(),
            self.locked_balance.to_string(),
            self.available_balance.to_string(),
            self.version.to_string(),
            self.last_event_sequence.to_string(),
            self.status.to_owned(),
        ]
    }
}
