//! Every class of faults, a file each.

mod t01_crash_images;
mod t02_cuts_within_recovery;
mod t03_small_and_complete;
mod t07_failing_calls;
mod t08_failed_syncs;
mod t15_interleavings;
mod t21_determinism;

use crate::class::Class;

/// All classes of an ordinary build, by number.
pub const ALL: &[Class] = &[
    t01_crash_images::CLASS,
    t02_cuts_within_recovery::CLASS,
    t03_small_and_complete::CLASS,
    t07_failing_calls::CLASS,
    t08_failed_syncs::CLASS,
    t21_determinism::CLASS,
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
