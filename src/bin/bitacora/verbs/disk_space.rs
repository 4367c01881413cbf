//! What `info`, `health` and `stats` say of the room on the disk.

use bitacora::{DiskLevel, DiskSpace};

use crate::ending::warning_line;
use crate::render::word;

/// A number, or nothing where nobody knows.
pub(super) fn number(number: Option<u64>) -> String {
    number.map_or_else(String::new, |number| number.to_string())
}

/// For people.
pub(super) fn facts(space: &DiskSpace) -> [(&'static str, String); 4] {
    [
        ("disk_level", word(&space.level)),
        ("disk_free_bytes", number(space.free_bytes)),
        ("disk_segments_left", number(space.segments_left)),
        ("disk_days_left", number(space.days_left)),
    ]
}

/// Says on standard error what there is to do about it, where there is.
pub(super) fn warn(space: &DiskSpace) {
    if let Some(text) = warning(space) {
        warning_line(&text);
    }
}

fn warning(space: &DiskSpace) -> Option<String> {
    let urgency = match space.level {
        DiskLevel::Ok => return None,
        DiskLevel::Low => "make room soon",
        DiskLevel::Critical => "make room now",
    };
    let days = space.days_left.map_or_else(String::new, |days| format!(", {days} days at the recent rate"));
    let reserve = if space.is_reserve_missing { "; the reserve for a full disk is spent" } else { "" };
    Some(format!(
        "the disk is filling up: {} bytes are free, {} segments{days}{reserve}: {urgency}",
        number(space.free_bytes),
        number(space.segments_left)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space(level: DiskLevel, days_left: Option<u64>, is_reserve_missing: bool) -> DiskSpace {
        DiskSpace {
            level,
            free_bytes: Some(1_000),
            total_bytes: Some(5_000),
            segment_bytes: 500,
            segments_left: Some(2),
            bytes_per_day: None,
            days_left,
            reserve_bytes: 0,
            is_reserve_missing,
        }
    }

    #[test]
    fn a_warning_says_how_much_is_left_and_what_to_do() {
        assert_eq!(warning(&space(DiskLevel::Ok, None, true)), None);
        assert_eq!(
            warning(&space(DiskLevel::Low, Some(9), false)).unwrap(),
            "the disk is filling up: 1000 bytes are free, 2 segments, 9 days at the recent rate: make room soon"
        );
        assert_eq!(
            warning(&space(DiskLevel::Critical, None, true)).unwrap(),
            "the disk is filling up: 1000 bytes are free, 2 segments; the reserve for a full disk is spent: make room now"
        );
    }
}
