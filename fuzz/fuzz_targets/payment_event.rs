//! Events of a payment: decoded, encoded again, and applied.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bitacora_fuzz::payment_event(bytes));
