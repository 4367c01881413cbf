//! Reads that leave the page cache as it was found: for a scrub, which reads everything once and nothing twice.

use std::fs::{File, OpenOptions};
use std::io;
use std::num::NonZeroU64;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};

use rustix::fs::{Advice, OFlags};
use rustix::io::{Errno, ReadWriteFlags};

/// What a direct read must be aligned to, in memory and in the file: no medium has larger sectors.
const SECTOR_BYTES: usize = 4096;

/// What is cached already is taken from there and left there. The rest is read without reading ahead, which would put pages into
/// the cache that nobody could tell from those of others, and is dropped from the cache at once. Pages that somebody maps, or that
/// are not written yet, stay.
pub(super) fn read_past_cache(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let length = buffer.len();
    let mut parts = [io::IoSliceMut::new(buffer)];
    // A file system that cannot say so, or has nothing of it, answers with an error: all of it is read then.
    let cached = rustix::io::preadv2(file, &mut parts, offset, ReadWriteFlags::NOWAIT).unwrap_or(0);
    let Some(rest) = buffer.get_mut(cached..).filter(|rest| !rest.is_empty()) else { return Ok(length) };
    let place = offset + u64::try_from(cached).unwrap_or(u64::MAX);
    // Advice that is not taken changes nothing but what the cache holds.
    let _ = rustix::fs::fadvise(file, 0, None, Advice::Random);
    let read = file.read_at(rest, place)?;
    if let Some(bytes) = u64::try_from(read).ok().and_then(NonZeroU64::new) {
        let _ = rustix::fs::fadvise(file, place, Some(bytes), Advice::DontNeed);
    }
    Ok(cached + read)
}

/// Reads from the medium and not from the cache, through a second opening of the file, as a direct read asks for aligned places.
pub(super) fn read_medium(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let direct = OpenOptions::new().read(true).custom_flags(OFlags::DIRECT.bits().cast_signed()).open(path)?;
    let sector = u64::try_from(SECTOR_BYTES).unwrap_or(u64::MAX);
    let before = usize::try_from(offset % sector).unwrap_or(0);
    let wanted = (before + buffer.len()).next_multiple_of(SECTOR_BYTES);
    let mut bytes = vec![0u8; wanted + SECTOR_BYTES];
    let start = bytes.as_ptr().align_offset(SECTOR_BYTES);
    let Some(aligned) = bytes.get_mut(start..start.saturating_add(wanted)) else {
        return Err(io::ErrorKind::Unsupported.into());
    };
    let read = direct.read_at(aligned, offset - offset % sector)?.saturating_sub(before).min(buffer.len());
    if let (Some(to), Some(from)) = (buffer.get_mut(..read), aligned.get(before..before + read)) {
        to.copy_from_slice(from);
    }
    Ok(read)
}

/// Whether it says that there are no direct reads here: of this file system, or because `/proc` is not there.
pub(super) fn is_unable(error: &io::Error) -> bool {
    let is_refused = [Errno::INVAL, Errno::OPNOTSUPP, Errno::NOENT, Errno::ACCESS, Errno::PERM]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()));
    is_refused || error.kind() == io::ErrorKind::Unsupported
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever the cache holds, and wherever a read begins and ends, all ways give the same bytes.
    #[test]
    fn every_way_to_read_gives_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        let bytes: Vec<u8> = (0..70_001u32).flat_map(u32::to_le_bytes).collect();
        std::fs::write(&path, &bytes).unwrap();
        let file = File::open(&path).unwrap();
        file.sync_data().unwrap();
        for (offset, length) in
            [(0, 1), (0, 4096), (8, 300_000), (4088, 16), (279_000, 4096), (280_004, 10), (65_536, 0)]
        {
            let end = (offset + length).min(bytes.len());
            for drop_first in [false, true] {
                if drop_first {
                    rustix::fs::fadvise(&file, 0, None, Advice::DontNeed).unwrap();
                }
                let mut buffer = vec![7; length];
                let read = read_past_cache(&file, &mut buffer, offset as u64).unwrap();
                assert!(buffer[..read] == bytes[offset.min(end)..end], "{offset} {length}");
                let mut buffer = vec![7; length];
                match read_medium(&file, &mut buffer, offset as u64) {
                    Ok(read) => assert!(buffer[..read] == bytes[offset.min(end)..end], "{offset} {length}"),
                    Err(error) => assert!(is_unable(&error), "{error}"),
                }
            }
        }
    }

    #[test]
    fn an_error_of_the_medium_is_no_want_of_ability() {
        assert!(!is_unable(&Errno::IO.into()));
        assert!(is_unable(&Errno::INVAL.into()));
    }
}
