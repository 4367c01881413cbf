//! Every class of faults, a file each.

mod t01_crash_images;
mod t18_money;
mod t19_recovery_table;

use crate::class::Class;

/// All classes, by number.
pub const ALL: &[Class] = &[t01_crash_images::CLASS, t18_money::CLASS, t19_recovery_table::CLASS];

/// The class of an id, such as `T1`.
#[must_use]
pub fn find(id: &str) -> Option<&'static Class> {
    ALL.iter().find(|class| class.id.eq_ignore_ascii_case(id))
}
