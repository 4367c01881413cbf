//! Events of a wallet: decoded, encoded again, and applied.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bitacora_fuzz::wallet_event(bytes));
