//! A whole segment, opened and verified as the only one of a store.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bitacora_fuzz::segment(bytes));
