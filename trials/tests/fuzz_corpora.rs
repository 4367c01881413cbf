//! Every fuzz target runs its committed corpus, on any toolchain.

#![cfg(not(any(bitacora_loom, bitacora_shuttle)))]
#![allow(dead_code, reason = "the targets' code is that of a library")]

#[path = "../../fuzz/src/lib.rs"]
mod targets;

use std::path::Path;

use bitacora::disk::sim::Random;

fn run(target: &str, body: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let mut inputs: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    inputs.sort();
    assert!(inputs.len() >= 3, "{} has {} files", folder.display(), inputs.len());
    for input in inputs {
        let bytes = std::fs::read(&input).unwrap();
        let outcome = std::panic::catch_unwind(|| body(&bytes));
        assert!(outcome.is_ok(), "{}", input.display());
    }
}

/// Bytes that were drawn, for where nobody fuzzes; the same each time.
fn run_drawn(target: &str, body: fn(&[u8])) {
    const INPUTS: usize = 2_000;
    const BYTES_MAX: usize = 64;
    let mut random = Random::new(17);
    for number in 0..INPUTS {
        let mut bytes = vec![0; random.index(BYTES_MAX)];
        random.fill(&mut bytes);
        let outcome = std::panic::catch_unwind(|| body(&bytes));
        assert!(outcome.is_ok(), "{target}, input {number}: {bytes:?}");
    }
}

macro_rules! corpora {
    ($($test:ident: $target:ident,)*) => {
        #[test]
        fn drawn_bytes_do_no_harm() {
            $(run_drawn(stringify!($target), targets::$target);)*
        }

        $(#[test]
        fn $test() {
            run(stringify!($target), targets::$target);
        })*
    };
}

corpora! {
    frames_of_the_corpus_are_read_without_panic: frame,
    segments_of_the_corpus_open_or_are_refused: segment,
    directories_of_the_corpus_open_or_are_refused: directory,
    snapshots_of_the_corpus_are_read_without_panic: snapshot,
    index_entries_of_the_corpus_are_read_without_panic: keys,
    wallet_events_of_the_corpus_apply: wallet_event,
    payment_events_of_the_corpus_apply: payment_event,
    store_operations_of_the_corpus_agree_with_the_model: store_operations,
}
