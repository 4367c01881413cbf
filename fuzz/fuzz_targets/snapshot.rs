//! Snapshots in their envelope.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bitacora_fuzz::snapshot(bytes));
