//! What archived segments keep a repair from.

use super::salvage::Facts;
use crate::log::files::LogFiles;
use crate::types::Sequence;

/// Why a damaged store with these archived segments cannot be repaired as it is; `None` where they are in nobody's way.
///
/// A repair would write anew whatever it cannot read, and fill it with stand-ins. An archive that is not at hand is no loss, and of
/// one that is damaged there may be a copy; so both are to be seen to first.
pub(super) fn obstacle(files: &LogFiles, archived: &[Sequence], facts: &Facts) -> Option<String> {
    let unharmed = super::deed::unharmed(facts);
    for first in archived {
        let unread = files.open(*first).err().map(|error| error.to_string());
        let is_unharmed = facts.segments.iter().take(unharmed).any(|facts| facts.first == *first);
        let why = match (unread, is_unharmed) {
            (None, true) => continue,
            (Some(error), _) => error,
            (None, false) => format!("the archived segment of sequence {first} is damaged, or stands behind damage"),
        };
        return Some(format!(
            "{why}. Bring the archives back, or copies of them, and the segments with `bitacora unarchive`; then plan again"
        ));
    }
    None
}
