//! What every run of the checks tries, a test a class. Each prints what it counted, and fails where that is too little.

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
    #[cfg(feature = "rocksdb")]
    t10_kill: "T10",
    #[cfg(feature = "rocksdb")]
    t11_system_calls: "T11",
    #[cfg(feature = "rocksdb")]
    t14_lock: "T14",
}
