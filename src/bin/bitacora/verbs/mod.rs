//! The verbs, one a file.

pub(crate) mod append;
pub(crate) mod backup;
pub(crate) mod events;
pub(crate) mod info;
pub(crate) mod payment;
pub(crate) mod recover;
pub(crate) mod repair;
mod store_report;
pub(crate) mod streams;
pub(crate) mod verify;
pub(crate) mod wallet;

use std::path::Path;

use bitacora::Store;

use crate::exit::Failure;

/// Opens a store to read, beside its writer if it has one; changes nothing.
fn open_to_read(dir: &Path) -> Result<Store, Failure> {
    Store::open_read_only(dir).map_err(|error| Failure::opening(&error))
}
