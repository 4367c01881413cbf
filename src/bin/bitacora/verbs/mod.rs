//! The verbs, one a file.

pub(crate) mod append;
pub(crate) mod archive;
pub(crate) mod backup;
pub(crate) mod check_disk;
pub(crate) mod command;
pub(crate) mod diff;
mod disk_space;
pub(crate) mod events;
pub(crate) mod explain;
pub(crate) mod export;
mod findings;
pub(crate) mod health;
pub(crate) mod import;
pub(crate) mod info;
mod input;
pub(crate) mod keep_index;
mod money;
pub(crate) mod operate;
pub(crate) mod payment;
mod payment_steps;
pub(crate) mod payments;
pub(crate) mod recover;
pub(crate) mod repair;
pub(crate) mod restore;
pub(crate) mod scrub;
pub(crate) mod snapshots;
pub(crate) mod stats;
mod store_report;
pub(crate) mod streams;
pub(crate) mod tail;
pub(crate) mod trace;
pub(crate) mod verify;
pub(crate) mod wallet;
mod wallet_document;
pub(crate) mod wallets;

use std::path::Path;

use bitacora::Store;

use crate::exit::Failure;

/// Opens a store to read, beside its writer if it has one; changes nothing.
fn open_to_read(dir: &Path) -> Result<Store, Failure> {
    Store::open_read_only(dir).map_err(|error| Failure::opening(&error))
}
