//! A whole store's folder with damaged, missing and foreign files.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bitacora_fuzz::directory(bytes));
