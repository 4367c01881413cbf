//! `bitacora wallet`: a wallet, as it is or as it was.

use bitacora::Version;
use bitacora::aggregate::{Loaded, Repository};
use bitacora::snapshot::SnapshotPolicy;
use bitacora::wallet::Wallet;

use super::wallet_document::WalletDocument;
use crate::args::WalletArgs;
use crate::exit::{FINE, Failure, Outcome};
use crate::output::Output;

pub(crate) fn run(args: &WalletArgs, output: &mut Output) -> Outcome {
    let store = super::open_to_read(&args.dir)?;
    let wallets = Repository::<Wallet>::new(store, SnapshotPolicy::Never);
    let loaded = match (args.point.as_of(), args.full) {
        (None, false) => wallets.load(&args.user),
        (None, true) => wallets.load_full(&args.user),
        (Some(point), false) => wallets.load_as_of(&args.user, point),
        (Some(point), true) => wallets.load_full_as_of(&args.user, point),
    }?;
    if loaded.version == Version::ZERO {
        let then = if args.point.as_of().is_some() { " at that point" } else { "" };
        return Err(Failure::no(format!("there is no wallet of user {}{then}", args.user))
            .with_hint("`bitacora wallets DIR` lists those that there are"));
    }
    print(&loaded, output)?;
    Ok(FINE)
}

fn print(loaded: &Loaded<Wallet>, output: &mut Output) -> Result<(), Failure> {
    let document = WalletDocument::new(loaded);
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
        let (amount, captured) = (hold.amount.to_string(), hold.captured.to_string());
        Ok(vec![hold.hold_id.to_owned(), amount, captured, payment_id, expires_at])
    });
    output.rows(&["hold_id", "amount", "captured", "payment_id", "expires_at"], rows)
}
