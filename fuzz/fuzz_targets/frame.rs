//! Frames, records, headers of segments, seals, the identity and the control file.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bitacora_fuzz::frame(bytes));
