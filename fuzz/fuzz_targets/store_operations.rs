//! Operations on a store, crashes among them, against a plain model.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bitacora_fuzz::store_operations(bytes));
