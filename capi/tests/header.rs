//! The committed header is what the sources say.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::fs;
use std::path::Path;

/// Goal: what C programs compile against is what the library has. Method: the header is made anew by cbindgen and compared;
/// with `UPDATE_HEADER` set it is written instead (`make header`).
#[test]
fn the_header_is_what_the_sources_say() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut builder = cbindgen::Builder::new()
        .with_config(cbindgen::Config::from_file(root.join("cbindgen.toml").to_str().unwrap()).unwrap());
    for source in ["code", "values", "store", "events", "wallets"] {
        builder = builder.with_src(root.join("src").join(format!("{source}.rs")));
    }
    let mut made = Vec::new();
    builder.generate().unwrap().write(&mut made);
    let made = String::from_utf8(made).unwrap();
    let path = root.join("include/bitacora.h");
    if std::env::var_os("UPDATE_HEADER").is_some() {
        fs::write(&path, &made).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == made, "capi/include/bitacora.h is not what the sources say: run `make header`\n{made}");
}
