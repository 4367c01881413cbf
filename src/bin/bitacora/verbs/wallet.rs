//! `bitacora wallet`: a wallet, as it is or as it was.

use bitacora::aggregate::{AsOf, Loaded, LoadedFrom, Repository};
use bitacora::snapshot::SnapshotPolicy;
use bitacora::wallet::Wallet;
use bitacora::{Sequence, Timestamp, Version};
use serde::Serialize;

use crate::args::{PointArgs, WalletArgs};
use crate::exit::{FINE, Failure, Outcome};
use crate::output::Output;
use crate::render;

#[derive(Serialize)]
struct Document<'a> {
    user_id: &'a str,
    currency: Option<&'a str>,
    balance: i64,
    locked_balance: i64,
    available_balance: i64,
    version: u64,
    last_event_sequence: u64,
    status: &'a str,
    holds: Vec<Hold<'a>>,
    /// `beginning`, or the id of a snapshot.
    loaded_from: &'a str,
    events_replayed: u64,
}

#[derive(Serialize)]
struct Hold<'a> {
    hold_id: &'a str,
    amount: i64,
    payment_id: Option<&'a str>,
    expires_at: Option<String>,
}

pub(crate) fn run(args: &WalletArgs, output: &mut Output) -> Outcome {
    let store = super::open_to_read(&args.dir)?;
    let wallets = Repository::<Wallet>::new(store, SnapshotPolicy::Never);
    let loaded = match (as_of(&args.point), args.full) {
        (None, false) => wallets.load(&args.user),
        (None, true) => wallets.load_full(&args.user),
        (Some(point), false) => wallets.load_as_of(&args.user, point),
        (Some(point), true) => wallets.load_full_as_of(&args.user, point),
    }?;
    if loaded.version == Version::ZERO {
        let then = if as_of(&args.point).is_some() { " at that point" } else { "" };
        return Err(Failure::no(format!("there is no wallet of user {}{then}", args.user)));
    }
    print(&loaded, output)?;
    Ok(FINE)
}

fn as_of(point: &PointArgs) -> Option<AsOf> {
    let sequence = point.at_sequence.map(|number| AsOf::Sequence(Sequence::new(number)));
    let version = point.at_version.map(|number| AsOf::Version(Version::new(number)));
    let time = point.at_time.map(|time| AsOf::Time(Timestamp::from_micros(time.as_microsecond())));
    sequence.or(version).or(time)
}

fn print(loaded: &Loaded<Wallet>, output: &mut Output) -> Result<(), Failure> {
    let wallet = &loaded.state;
    let holds = wallet.holds().iter().map(|(hold_id, hold)| Hold {
        hold_id,
        amount: hold.amount,
        payment_id: hold.payment_id.as_deref(),
        expires_at: hold.expires_at.map(render::time),
    });
    let document = Document {
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
    };
    if output.is_json() {
        return output.json(&document);
    }
    output.facts(&[
        ("user_id", document.user_id.to_owned()),
        ("currency", document.currency.unwrap_or_default().to_owned()),
        ("balance", document.balance.to_string()),
        ("locked_balance", document.locked_balance.to_string()),
        ("available_balance", document.available_balance.to_string()),
        ("version", document.version.to_string()),
        ("last_event_sequence", document.last_event_sequence.to_string()),
        ("status", document.status.to_owned()),
        ("loaded_from", document.loaded_from.to_owned()),
        ("events_replayed", document.events_replayed.to_string()),
        ("holds", document.holds.len().to_string()),
    ])?;
    if document.holds.is_empty() {
        return Ok(());
    }
    let rows = document.holds.iter().map(|hold| {
        let expires_at = hold.expires_at.clone().unwrap_or_default();
        let payment_id = hold.payment_id.unwrap_or_default().to_owned();
        Ok(vec![hold.hold_id.to_owned(), hold.amount.to_string(), payment_id, expires_at])
    });
    output.rows(&["hold_id", "amount", "payment_id", "expires_at"], rows)
}
