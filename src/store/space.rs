//! Whether the disk will be full, before it is.

use std::path::Path;

use serde::Serialize;

use super::shared::Shared;
use crate::disk::{DirectoryEntry, Disk, EntryKind, Room};
use crate::error::{Error, Result};
use crate::format::segment;
use crate::log::reserve;
use crate::recovery::examine::LOG;

/// Below so many segments' room it is time to make some.
const SEGMENTS_LOW: u64 = 8;
/// Below so many the next segments may not be had: the one that is being prepared, and as much for the index.
const SEGMENTS_CRITICAL: u64 = 2;
/// The same as the time that the room lasts, days.
const DAYS_LOW: u64 = 14;
const DAYS_CRITICAL: u64 = 2;
/// A rate is told from at least so much time, or a busy hour would look like the rule.
const WINDOW_MICROS_MIN: u64 = MICROS_PER_DAY;
const MICROS_PER_DAY: u64 = 24 * 3_600 * 1_000_000;
/// And from the newest segments, no more than so many.
const SEGMENTS_LOOKED_AT: usize = 32;

/// How it stands with the room on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DiskLevel {
    /// There is enough.
    Ok,
    /// Less than eight segments, or than two weeks at the recent rate: make room soon.
    Low,
    /// Less than two segments, or than two days at the recent rate, or the reserve for a full disk is spent and the room is low:
    /// make room now.
    Critical,
}

/// The room on a store's disk. Sizes are bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DiskSpace {
    /// Whether it is time to act.
    pub level: DiskLevel,
    /// What the store may still take; `None` where the file system does not tell.
    pub free_bytes: Option<u64>,
    /// All that the file system has.
    pub total_bytes: Option<u64>,
    /// What a segment takes.
    pub segment_bytes: u64,
    /// How many more fit.
    pub segments_left: Option<u64>,
    /// What the log and the index grow by in a day, from when the newest segments were begun; `None` where those are fewer than
    /// two, or span less than a day.
    pub bytes_per_day: Option<u64>,
    /// How long the room lasts at that rate.
    pub days_left: Option<u64>,
    /// What is kept for a full disk and is there.
    pub reserve_bytes: u64,
    /// Whether that should be there and is not: it was spent, or there was no room for it.
    pub is_reserve_missing: bool,
}

/// What is known of a disk and of what a store takes of it.
#[derive(Clone, Copy, Debug)]
struct Evidence {
    room: Option<Room>,
    segment_bytes: u64,
    bytes_per_day: Option<u64>,
    reserve_bytes: u64,
    is_reserve_missing: bool,
}

impl DiskSpace {
    fn of(evidence: &Evidence) -> Self {
        let Evidence { room, segment_bytes, bytes_per_day, reserve_bytes, is_reserve_missing } = *evidence;
        let free_bytes = room.map(|room| room.free_bytes);
        let segments_left = free_bytes.and_then(|free| free.checked_div(segment_bytes));
        let days_left = free_bytes.zip(bytes_per_day).and_then(|(free, a_day)| free.checked_div(a_day));
        let below = |left: Option<u64>, bound| left.is_some_and(|left| left < bound);
        let is_low = below(segments_left, SEGMENTS_LOW) || below(days_left, DAYS_LOW);
        let is_out = below(segments_left, SEGMENTS_CRITICAL) || below(days_left, DAYS_CRITICAL);
        let level = match (is_low, is_out || is_reserve_missing) {
            (false, _) => DiskLevel::Ok,
            (true, false) => DiskLevel::Low,
            (true, true) => DiskLevel::Critical,
        };
        Self {
            level,
            free_bytes,
            total_bytes: room.map(|room| room.total_bytes),
            segment_bytes,
            segments_left,
            bytes_per_day,
            days_left,
            reserve_bytes,
            is_reserve_missing,
        }
    }
}

/// What the log grows by in a day, where it grew by `bytes` in so many microseconds.
fn per_day(bytes: u64, micros: u64) -> Option<u64> {
    if micros < WINDOW_MICROS_MIN {
        return None;
    }
    u64::try_from(u128::from(bytes) * u128::from(MICROS_PER_DAY) / u128::from(micros)).ok()
}

/// The files in the log's folder.
///
/// # Errors
/// `Io`.
pub(super) fn log_entries(disk: &dyn Disk, root: &Path) -> Result<Vec<DirectoryEntry>> {
    let mut entries = disk.list(&root.join(LOG)).map_err(|source| Error::from_io("list log/", source))?;
    entries.retain(|entry| entry.kind == EntryKind::File);
    Ok(entries)
}

impl Shared {
    pub(crate) fn disk_space(&self) -> Result<DiskSpace> {
        let disk = self.environment.disk.as_ref();
        let log = self.root.join(LOG);
        let room = disk.room(&self.root).map_err(|source| Error::from_io("look at the file system's room", source))?;
        let entries = log_entries(disk, &self.root)?;
        let segments: Vec<u64> = (entries.iter())
            .filter(|entry| segment::parse_name(&entry.name, ".seg").is_some())
            .map(|entry| entry.length)
            .collect();
        let reserve_bytes =
            reserve::length(disk, &log).map_err(|source| Error::from_io("look at log/reserve", source))?;
        let is_writer = self.writer.is_some();
        // Who reads has not been told what the writer keeps, and goes by the largest segment and by the last open.
        let largest = segments.iter().copied().max().unwrap_or(0);
        let segment_bytes = if is_writer || largest == 0 { self.options.segment_bytes } else { largest };
        let is_kept = self.report.reserve_bytes > 0 || self.report.reserve_was_missing;
        let is_reserve_missing = if is_writer { self.reserve.is_missing() } else { is_kept && reserve_bytes == 0 };
        Ok(DiskSpace::of(&Evidence {
            room,
            segment_bytes,
            bytes_per_day: self.growth_per_day(&segments)?,
            reserve_bytes,
            is_reserve_missing,
        }))
    }

    /// From when the newest segments were begun, with the index's share. `lengths` are those of all segments, oldest first.
    fn growth_per_day(&self, lengths: &[u64]) -> Result<Option<u64>> {
        let segments = self.files.all();
        let newest = segments.len().saturating_sub(SEGMENTS_LOOKED_AT);
        let (Some(first), Some(last)) = (segments.get(newest), segments.last()) else { return Ok(None) };
        // The last one is not full yet.
        let full = lengths.get(newest..segments.len().saturating_sub(1)).unwrap_or_default();
        let began = self.files.header(first)?.created;
        let micros = self.files.header(last)?.created.since(began).as_micros();
        let Some(log) = per_day(full.iter().sum(), u64::try_from(micros).unwrap_or(u64::MAX)) else { return Ok(None) };
        let log_bytes: u64 = lengths.iter().sum();
        let with_index = u128::from(log_bytes) + u128::from(self.index.bytes().unwrap_or(0));
        let all = (u128::from(log) * with_index).checked_div(u128::from(log_bytes));
        Ok(all.and_then(|all| u64::try_from(all).ok()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEGMENT: u64 = 64 << 20;

    fn level(segments_left: u64, days: Option<u64>, is_reserve_missing: bool) -> DiskLevel {
        let free_bytes = segments_left * SEGMENT;
        DiskSpace::of(&Evidence {
            room: Some(Room { free_bytes, total_bytes: 1 << 40 }),
            segment_bytes: SEGMENT,
            bytes_per_day: days.map(|days| free_bytes / days),
            reserve_bytes: if is_reserve_missing { 0 } else { SEGMENT },
            is_reserve_missing,
        })
        .level
    }

    #[test]
    fn the_level_follows_the_segments_and_the_days_that_are_left() {
        use DiskLevel::{Critical, Low, Ok};
        let cases = [
            // A large disk, and nobody knows the rate.
            (1_000, None, false, Ok),
            // The same, and the reserve was never made, or spent a moment ago: it will be made again.
            (1_000, None, true, Ok),
            (8, None, false, Ok),
            (7, None, false, Low),
            (2, None, false, Low),
            (1, None, false, Critical),
            (0, None, false, Critical),
            // Low, and what was kept for this is gone.
            (7, None, true, Critical),
            // A busy till on a large disk.
            (1_000, Some(14), false, Ok),
            (1_000, Some(13), false, Low),
            (1_000, Some(2), false, Low),
            (1_000, Some(1), false, Critical),
            (1_000, Some(13), true, Critical),
        ];
        for (segments, days, is_missing, expected) in cases {
            assert_eq!(level(segments, days, is_missing), expected, "{segments} segments, {days:?} days, {is_missing}");
        }
    }

    #[test]
    fn where_the_file_system_does_not_tell_nothing_is_claimed() {
        let space = DiskSpace::of(&Evidence {
            room: None,
            segment_bytes: SEGMENT,
            bytes_per_day: Some(1),
            reserve_bytes: 0,
            is_reserve_missing: true,
        });
        assert_eq!(
            (space.level, space.free_bytes, space.segments_left, space.days_left),
            (DiskLevel::Ok, None, None, None)
        );
    }

    #[test]
    fn a_rate_needs_a_day() {
        assert_eq!(per_day(1_000, MICROS_PER_DAY - 1), None);
        assert_eq!(per_day(1_000, MICROS_PER_DAY), Some(1_000));
        assert_eq!(per_day(1_000, 10 * MICROS_PER_DAY), Some(100));
        assert_eq!(per_day(u64::MAX, MICROS_PER_DAY), Some(u64::MAX));
    }
}
