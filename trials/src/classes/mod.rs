//! Every class of faults, a file each.

mod t01_crash_images;
#[cfg(feature = "rocksdb")]
mod t10_kill;
#[cfg(feature = "rocksdb")]
mod t11_system_calls;
#[cfg(feature = "rocksdb")]
mod t14_lock;

use crate::class::Class;

/// All classes, by number.
pub const ALL: &[Class] = &[
    t01_crash_images::CLASS,
    #[cfg(feature = "rocksdb")]
    t10_kill::CLASS,
    #[cfg(feature = "rocksdb")]
    t11_system_calls::CLASS,
    #[cfg(feature = "rocksdb")]
    t14_lock::CLASS,
];

/// The class of an id, such as `T1`.
#[must_use]
pub fn find(id: &str) -> Option<&'static Class> {
    ALL.iter().find(|class| class.id.eq_ignore_ascii_case(id))
}
