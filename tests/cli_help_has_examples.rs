//! Every verb's help explains it and has an example.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

mod command;

use command::{bitacora, verbs};

#[test]
fn every_verb_has_an_example_and_says_what_it_is_for() {
    let verbs = verbs();
    for verb in [
        "append",
        "command",
        "events",
        "tail",
        "streams",
        "info",
        "stats",
        "check-disk",
        "verify",
        "scrub",
        "backup",
        "restore",
        "export",
        "import",
        "repair",
        "rebuild-index",
        "compact-index",
        "upgrade",
        "wallet",
        "wallets",
        "explain",
        "diff",
        "trace",
        "payment",
        "payments",
        "payment-cancel",
        "payment-retry",
        "payment-resolve",
        "snapshots",
        "recover",
        "health",
        "till",
        "demo",
    ] {
        assert!(verbs.iter().any(|known| known == verb), "{verb} is not among {verbs:?}");
    }
    for verb in verbs {
        let assert = bitacora([verb.as_str(), "--help"]).assert().success();
        let help = String::from_utf8(assert.get_output().stdout.clone()).unwrap();
        assert!(help.contains("Example") && help.contains(&format!("bitacora {verb} ")), "{verb}: {help}");
        let mut examples = help.lines().skip_while(|line| !line.starts_with("Example")).skip(1);
        assert!(examples.all(|line| line.starts_with("  ") && !line.starts_with("   ")), "{verb}: {help}");
        assert!(help.contains("--json"), "{verb} prints JSON on demand");
    }
}
