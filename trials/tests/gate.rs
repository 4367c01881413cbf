//! What every run of the checks tries, a test a class. Each prints what it counted, and fails where that is too little.

#![cfg(not(any(bitacora_loom, bitacora_shuttle)))]

use bitacora_trials::{classes, runner};

macro_rules! gate {
    ($($(#[$attribute:meta])* $test:ident: $id:literal,)*) => {
        $($(#[$attribute])* #[test]
        fn $test() {
            runner::gate(classes::find($id).expect("the class"));
        })*

        #[test]
        fn every_class_is_in_the_gate() {
            let here = [$($(#[$attribute])* $id),*];
            let missing: Vec<_> = classes::ALL.iter().map(|class| class.id).filter(|id| !here.contains(id)).collect();
            assert!(missing.is_empty(), "{missing:?}");
        }
    };
}

gate! {
    t01_crash_images: "T1",
    t02_cuts_within_recovery: "T2",
    t03_small_and_complete: "T3",
    t04_torn_tails: "T4",
    t05_bit_rot: "T5",
    t06_sector_faults: "T6",
    t07_failing_calls: "T7",
    t08_failed_syncs: "T8",
    #[cfg(feature = "rocksdb")]
    t09_disk_full: "T9",
    #[cfg(feature = "rocksdb")]
    t10_kill: "T10",
    #[cfg(feature = "rocksdb")]
    t11_system_calls: "T11",
    #[cfg(feature = "rocksdb")]
    t12_power_loss: "T12",
    #[cfg(feature = "rocksdb")]
    t13_index_skew: "T13",
    #[cfg(feature = "rocksdb")]
    t14_lock: "T14",
    t16_model: "T16",
    t18_money: "T18",
    t19_recovery_table: "T19",
    t20_format: "T20",
    t21_determinism: "T21",
    #[cfg(feature = "rocksdb")]
    t23_soak: "T23",
    t24_backup_under_load: "T24",
}
