//! Operations on a store, crashes among them, against a plain model: those of the class T16, from a fuzzer's bytes.

use bitacora_trials::model::{Plan, run};

/// The bytes are a plan, whatever they are.
pub fn store_operations(bytes: &[u8]) {
    run(&Plan::decode(bytes));
}
