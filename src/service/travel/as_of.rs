//! All wallets as they were.

use std::ops::ControlFlow;

use crate::aggregate::{AsOf, Loaded, Repository, RestoreOptions};
use crate::error::{Error, Result};
use crate::snapshot::SnapshotPolicy;
use crate::store::Store;
use crate::types::{Sequence, Version};
use crate::wallet::Wallet;

/// The last sequence and the last version that count as of a point.
pub(super) fn bounds(store: &Store, as_of: AsOf) -> Result<(Sequence, Version)> {
    Ok(match as_of {
        AsOf::Sequence(sequence) => (sequence, Version::MAX),
        AsOf::Version(version) => (Sequence::MAX, version),
        AsOf::Time(time) => (store.sequence_at(time)?, Version::MAX),
    })
}

/// An error that says which wallet it is about.
pub(super) fn of_wallet(user_id: &str, error: Error) -> Error {
    error.context(format_args!("the wallet of user {user_id}"))
}

/// Shows every wallet that had been opened by a point, as it was then, by user id, until `visitor` breaks off. A point within a
/// commit counts the events up to and with it. As of a version each wallet is shown at that version, or at its last one where
/// it has fewer. Each is read by itself, or all in one pass over the log, whichever costs less; memory is bounded either way.
/// Returns how many were shown.
///
/// # Errors
/// What `visitor` says. `UnknownPayload`, `Corrupt`: a wallet cannot be read, and the text names it. `Io`, `Closed`: the
/// store's.
pub fn wallets_as_of(
    store: &Store,
    as_of: AsOf,
    mut visitor: impl FnMut(&Loaded<Wallet>) -> Result<ControlFlow<()>>,
) -> Result<u64> {
    let (sequence_max, version_max) = bounds(store, as_of)?;
    let wallets = Repository::<Wallet>::new(store.clone(), SnapshotPolicy::Never);
    let options = RestoreOptions { sequence_max, version_max, ..RestoreOptions::new(store) };
    let (mut shown, mut is_over) = (0, false);
    // The next round of reading begins only when it is asked for, so breaking off ends the reading.
    let mut ids = wallets.aggregate_ids();
    while !is_over {
        let round: Vec<Result<String>> = ids.by_ref().take(options.states_max).collect();
        if round.is_empty() {
            break;
        }
        wallets.restore_each(round, &options, &mut |user_id, loaded| {
            let loaded = loaded.map_err(|error| of_wallet(user_id, error))?;
            if !is_over && loaded.state.is_opened() {
                shown += 1;
                is_over = visitor(&loaded)?.is_break();
            }
            Ok(())
        })?;
    }
    Ok(shown)
}
