//! What the command line carries out, as far as this library does too.

pub(crate) mod command;
#[path = "../../src/bin/bitacora/verbs/input.rs"]
#[allow(dead_code, reason = "lines are read by the command line alone")]
mod input;
#[path = "../../src/bin/bitacora/verbs/money.rs"]
#[allow(dead_code, reason = "the store is opened and closed by this library")]
pub(crate) mod money;
#[path = "../../src/bin/bitacora/verbs/store_report.rs"]
#[allow(dead_code, reason = "the line for people is printed by the command line alone")]
pub(crate) mod store_report;
