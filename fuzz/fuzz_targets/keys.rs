//! Keys and values of the index.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bitacora_fuzz::keys(bytes));
