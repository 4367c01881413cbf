//! The services of a till.

#[path = "../../src/bin/bitacora/till/services.rs"]
mod services;

pub(crate) use services::{RETRY_DELAY_MS, Till};
