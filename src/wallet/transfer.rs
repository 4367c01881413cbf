//! Transfers: money from one wallet to another, in one commit over both streams.
//!
//! The two sides are no commands that could be carried out apart. Both are decided here, and appended together with the
//! versions that they were decided on; when another writer was faster on either, both are decided anew.

use std::sync::Arc;

use super::content::CommandContent;
use super::decide::{transfer_in, transfer_out};
use super::{Wallet, WalletEvent, WalletRefusal};
use crate::aggregate::{CommandKey, Decision, ExecuteError, ExecuteOptions, Loaded, RETRIES_MAX, Repository};
use crate::error::{ErrorKind, Result};
use crate::money::Money;
use crate::sabotage::{self, Defect};
use crate::store::Commit;
use crate::types::{Receipt, StreamId, Version};

/// Money that goes from one user's wallet to another's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Names the transfer within the wallet that it comes from, for ever. At most
    /// [`HOLD_ID_BYTES_MAX`](super::HOLD_ID_BYTES_MAX) bytes.
    pub transfer_id: String,
    /// Whose wallet it comes from.
    pub from_user_id: String,
    /// Whose wallet it goes to.
    pub to_user_id: String,
    /// How much; positive, and in the currency of both.
    pub amount: Money,
}

/// What a transfer led to.
#[derive(Clone, Debug)]
pub struct Transferred {
    /// The wallet that it came from, right after it. Where nothing was appended, as it is.
    pub from: Arc<Loaded<Wallet>>,
    /// The wallet that it went to, right after it. Where nothing was appended, as it is.
    pub to: Arc<Loaded<Wallet>>,
    /// What its commit was given; `None` where nothing was appended, since a transfer of this id and content was made before.
    /// `is_repeat` says that this very command had been carried out before.
    pub receipt: Option<Receipt>,
}

/// What follows for both wallets; nothing for either where the transfer was made before.
struct Sides {
    from: Decision<Wallet>,
    to: Option<Decision<Wallet>>,
}

/// Carries out a transfer: decides both sides, appends both in one commit, and decides anew, at most 16 times, where another
/// writer was faster.
///
/// It is safe to repeat. A command id (kept for the wallet that it comes from) gives the first outcome again, also years and
/// restarts later; a `transfer_id` that was used with the same content changes nothing. A refusal leaves both free.
///
/// # Errors
/// The refusals of a withdrawal for the wallet that it comes from, [`SameWallet`](WalletRefusal::SameWallet),
/// [`TransferExists`](WalletRefusal::TransferExists), and [`TargetRefused`](WalletRefusal::TargetRefused) with those of a
/// deposit. Of the store as [`Repository::execute`].
pub fn transfer(
    wallets: &Repository<Wallet>,
    options: &ExecuteOptions<'_>,
    transfer: &Transfer,
) -> Result<Transferred, ExecuteError<WalletRefusal>> {
    let stream = Repository::<Wallet>::stream(&transfer.from_user_id)?;
    Repository::<Wallet>::stream(&transfer.to_user_id)?;
    let content = CommandContent::of_transfer(transfer);
    let key = options.command_id.map(|command_id| CommandKey::new(&stream, command_id, &content)).transpose()?;
    let _turns = wallets.turns(&[&transfer.from_user_id, &transfer.to_user_id]);
    let mut retries = 0;
    loop {
        let sides = match decide(wallets, transfer) {
            Ok(sides) => sides,
            Err(ExecuteError::Refused(refusal)) => {
                // What refuses it may be its own first outcome.
                let first = first_outcome(wallets, transfer, key.as_ref())?;
                return first.ok_or(ExecuteError::Refused(refusal));
            }
            Err(error) => return Err(error),
        };
        let Sides { from, to: Some(to) } = sides else {
            let first = first_outcome(wallets, transfer, key.as_ref())?;
            return Ok(match first {
                Some(first) => first,
                None => Transferred {
                    from: wallets.fresh(&transfer.from_user_id)?,
                    to: wallets.fresh(&transfer.to_user_id)?,
                    receipt: None,
                },
            });
        };
        match commit(wallets, options, transfer, key.as_ref(), from, to) {
            Err(error) if error.kind() == ErrorKind::Conflict && retries < RETRIES_MAX => {
                retries += 1;
                wallets.forget(&transfer.from_user_id);
                wallets.forget(&transfer.to_user_id);
            }
            outcome => return outcome.map_err(ExecuteError::Store),
        }
    }
}

fn decide(wallets: &Repository<Wallet>, transfer: &Transfer) -> Result<Sides, ExecuteError<WalletRefusal>> {
    let from = wallets.decide_with(&transfer.from_user_id, |wallet, now| transfer_out(wallet, transfer, now))?;
    if from.events().is_empty() {
        return Ok(Sides { from, to: None });
    }
    let to = wallets.decide_with(&transfer.to_user_id, |wallet, _| transfer_in(wallet, transfer));
    match to {
        Ok(to) => Ok(Sides { from, to: Some(to) }),
        Err(ExecuteError::Refused(refusal)) => Err(ExecuteError::Refused(WalletRefusal::TargetRefused {
            user_id: transfer.to_user_id.clone(),
            refusal: Box::new(refusal),
        })),
        Err(error) => Err(error),
    }
}

fn commit(
    wallets: &Repository<Wallet>,
    options: &ExecuteOptions<'_>,
    transfer: &Transfer,
    key: Option<&CommandKey>,
    mut from: Decision<Wallet>,
    mut to: Decision<Wallet>,
) -> Result<Transferred> {
    assert!(conserves(from.events(), to.events()), "what one wallet pays the other one gets");
    let mut commit = from.add_to(Commit::new(), &options.metadata)?;
    if sabotage::has(Defect::CreditApart) {
        wallets.store().commit(options.complete(commit, key))?;
        commit = Commit::new();
    }
    let commit = to.add_to(commit, &options.metadata)?;
    let key = key.filter(|_| !sabotage::has(Defect::CreditApart));
    let receipt = wallets.store().commit(options.complete(commit, key))?;
    if receipt.is_repeat {
        return read_back(wallets, transfer, receipt);
    }
    let from = wallets.committed(from, &receipt)?;
    let to = wallets.committed(to, &receipt)?;
    Ok(Transferred { from, to, receipt: Some(receipt) })
}

fn conserves(from: &[WalletEvent], to: &[WalletEvent]) -> bool {
    let change = |events: &[WalletEvent]| events.iter().map(WalletEvent::balance_change).sum::<i128>();
    change(from) + change(to) == 0
}

fn first_outcome(
    wallets: &Repository<Wallet>,
    transfer: &Transfer,
    key: Option<&CommandKey>,
) -> Result<Option<Transferred>> {
    match wallets.first_receipt(key)? {
        Some(receipt) => read_back(wallets, transfer, receipt).map(Some),
        None => Ok(None),
    }
}

/// Both wallets as the commit left them.
fn read_back(wallets: &Repository<Wallet>, transfer: &Transfer, receipt: Receipt) -> Result<Transferred> {
    let side = |user_id: &str| -> Result<Arc<Loaded<Wallet>>> {
        let stream: StreamId = Repository::<Wallet>::stream(user_id)?;
        let part = receipt.streams.iter().find(|part| part.stream == stream);
        let version = part.map_or(Version::ZERO, |part| part.version_last);
        wallets.load_as_of(user_id, crate::aggregate::AsOf::Version(version)).map(Arc::new)
    };
    let (from, to) = (side(&transfer.from_user_id)?, side(&transfer.to_user_id)?);
    Ok(Transferred { from, to, receipt: Some(receipt) })
}
