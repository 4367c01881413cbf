//! Every class of faults, a file each.

mod t01_crash_images;
mod t02_cuts_within_recovery;
mod t03_small_and_complete;
mod t04_torn_tails;
mod t05_bit_rot;
mod t06_sector_faults;
mod t07_failing_calls;
mod t08_failed_syncs;
#[cfg(feature = "rocksdb")]
mod t09_disk_full;
#[cfg(feature = "rocksdb")]
mod t10_kill;
#[cfg(feature = "rocksdb")]
mod t11_system_calls;
#[cfg(feature = "rocksdb")]
mod t12_power_loss;
#[cfg(feature = "rocksdb")]
mod t13_index_skew;
#[cfg(feature = "rocksdb")]
mod t14_lock;
mod t15_interleavings;
mod t16_model;
mod t18_money;
mod t19_recovery_table;
mod t20_format;
mod t21_determinism;
#[cfg(feature = "rocksdb")]
mod t23_soak;
mod t24_backup_under_load;

use crate::class::Class;

/// All classes of an ordinary build, by number.
pub const ALL: &[Class] = &[
    t01_crash_images::CLASS,
    t02_cuts_within_recovery::CLASS,
    t03_small_and_complete::CLASS,
    t04_torn_tails::CLASS,
    t05_bit_rot::CLASS,
    t06_sector_faults::CLASS,
    t07_failing_calls::CLASS,
    t08_failed_syncs::CLASS,
    #[cfg(feature = "rocksdb")]
    t09_disk_full::CLASS,
    #[cfg(feature = "rocksdb")]
    t10_kill::CLASS,
    #[cfg(feature = "rocksdb")]
    t11_system_calls::CLASS,
    #[cfg(feature = "rocksdb")]
    t12_power_loss::CLASS,
    #[cfg(feature = "rocksdb")]
    t13_index_skew::CLASS,
    #[cfg(feature = "rocksdb")]
    t14_lock::CLASS,
    t16_model::CLASS,
    t18_money::CLASS,
    t19_recovery_table::CLASS,
    t20_format::CLASS,
    t21_determinism::CLASS,
    #[cfg(feature = "rocksdb")]
    t23_soak::CLASS,
    t24_backup_under_load::CLASS,
];

/// Those of a checker's build, where a store works only under the checker. Their soak writes to the same log.
pub const CHECKED: &[Class] = &[t15_interleavings::CLASS];

/// Those that this build can try.
#[must_use]
pub fn here() -> &'static [Class] {
    if cfg!(any(bitacora_loom, bitacora_shuttle)) { CHECKED } else { ALL }
}

/// The class of an id, such as `T1`.
#[must_use]
pub fn find(id: &str) -> Option<&'static Class> {
    here().iter().find(|class| class.id.eq_ignore_ascii_case(id))
}

/// How a piece of this class is tried within the process that was started for it, for those that mount file systems.
#[cfg(feature = "rocksdb")]
pub(crate) fn apart(id: &str) -> Option<fn(u64, &mut crate::class::Tally)> {
    match id {
        "T9" => Some(t09_disk_full::piece_apart),
        "T12" => Some(t12_power_loss::piece_apart),
        _ => None,
    }
}
