//! Every class of faults, a file each.

mod t01_crash_images;
mod t02_cuts_within_recovery;
mod t03_small_and_complete;
mod t04_torn_tails;
mod t05_bit_rot;
mod t06_sector_faults;
mod t07_failing_calls;
mod t08_failed_syncs;
mod t18_money;
mod t19_recovery_table;
mod t20_format;
mod t21_determinism;
mod t24_backup_under_load;

use crate::class::Class;

/// All classes, by number.
pub const ALL: &[Class] = &[
    t01_crash_images::CLASS,
    t02_cuts_within_recovery::CLASS,
    t03_small_and_complete::CLASS,
    t04_torn_tails::CLASS,
    t05_bit_rot::CLASS,
    t06_sector_faults::CLASS,
    t07_failing_calls::CLASS,
    t08_failed_syncs::CLASS,
    t18_money::CLASS,
    t19_recovery_table::CLASS,
    t20_format::CLASS,
    t21_determinism::CLASS,
    t24_backup_under_load::CLASS,
];

/// The class of an id, such as `T1`.
#[must_use]
pub fn find(id: &str) -> Option<&'static Class> {
    ALL.iter().find(|class| class.id.eq_ignore_ascii_case(id))
}
