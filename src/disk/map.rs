//! Memory that stands for a file: the one module with `unsafe`.
//!
//! Three things are mapped: a whole file, to read; the written part of a file that grows, to read; and one word, to
//! store into. The first is sound because of what the store does with mapped files (they are finished, and nothing
//! shortens or rewrites them while the mapping lives) and of the lock that keeps other stores out; a foreign program
//! that rewrites a finished segment could break it, as it could for any program that maps files. The second is sound
//! for the same reason, as far as the file is written: what lies behind that changes, and no slice reaches there.
//! Nothing here checks bytes: readers check every record.
//!
//! A device that fails while a mapped page is loaded ends the process with a signal. Whoever must survive that
//! reads with `read_at`.

#![expect(unsafe_code, reason = "mapping a file cannot be expressed otherwise; the arguments stand beside each use")]

use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Deref;
use std::sync::Arc;

use memmap2::{MmapOptions, MmapRaw};

use super::SharedWord;
use crate::sync::Ordering;
use crate::sync::leaf::AtomicU64;

const WORD_BYTES: u64 = 8;
/// What the processor loads at once.
#[cfg(target_arch = "x86_64")]
const CACHE_LINE_BYTES: usize = 64;

/// The bytes of a file as they were when it was mapped; cheap to clone.
#[derive(Clone)]
pub struct Mapping {
    bytes: Bytes,
}

#[derive(Clone)]
enum Bytes {
    Mapped(Arc<MmapRaw>),
    Copied(Arc<[u8]>),
}

impl Mapping {
    /// Maps a file over its present length.
    pub(super) fn of_file(file: &File) -> io::Result<Self> {
        if file.metadata()?.len() == 0 {
            return Ok(Self::from(Vec::new()));
        }
        Ok(Self { bytes: Bytes::Mapped(Arc::new(MmapOptions::new().map_raw_read_only(file)?)) })
    }
}

/// A copy, for a disk without files to map.
impl From<Vec<u8>> for Mapping {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes: Bytes::Copied(bytes.into()) }
    }
}

impl Deref for Mapping {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.bytes {
            // SAFETY: the mapping is valid for its length as long as it lives. Who made it (`DiskFile::map`,
            // `GrowingMapping::finished`) promised that the file is neither shortened nor rewritten meanwhile, so the bytes
            // behind the shared slice do not change and all of its pages stay backed.
            Bytes::Mapped(mapped) => unsafe { std::slice::from_raw_parts(mapped.as_ptr(), mapped.len()) },
            Bytes::Copied(copied) => copied,
        }
    }
}

/// The written part of a file that grows; cheap to clone.
#[derive(Clone)]
pub struct GrowingMapping {
    memory: Arc<MmapRaw>,
    written: Arc<AtomicU64>,
}

impl GrowingMapping {
    /// Maps a file over its present length.
    pub(super) fn of_file(file: &File, written: &Arc<AtomicU64>) -> io::Result<Self> {
        let memory = Arc::new(MmapOptions::new().map_raw_read_only(file)?);
        Ok(Self { memory, written: Arc::clone(written) })
    }

    /// The bytes at `offset`; `None` where they are not all written, or lie beyond what was mapped.
    #[must_use]
    pub fn get(&self, offset: u64, length: usize) -> Option<&[u8]> {
        let start = usize::try_from(offset).ok()?;
        let end = start.checked_add(length)?;
        // Acquire: whoever stored this had written the bytes before.
        let is_written = u64::try_from(end).ok()? <= self.written.load(Ordering::Acquire);
        if !is_written || end > self.memory.len() {
            return None;
        }
        // SAFETY: the bytes lie inside of the mapping, which lives as long as `self`. The caller of
        // `DiskFile::map_written` promises that what is written is not rewritten, and the file not shortened, so the
        // bytes behind the shared slice do not change and all of its pages stay backed. No slice reaches further.
        Some(unsafe { std::slice::from_raw_parts(self.memory.as_ptr().add(start), length) })
    }

    /// The whole mapping, now that nothing is written to the file any more; `None` where the file has outgrown it.
    #[must_use]
    pub fn finished(self) -> Option<Mapping> {
        let written = usize::try_from(self.written.load(Ordering::Acquire)).ok()?;
        (written <= self.memory.len()).then_some(Mapping { bytes: Bytes::Mapped(self.memory) })
    }
}

impl fmt::Debug for GrowingMapping {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "GrowingMapping({} bytes, {:?} written)", self.memory.len(), self.written)
    }
}

/// Asks the processor to load bytes that will be read soon; a hint, which reads nothing by itself.
pub(crate) fn prefetch(bytes: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    // The last byte too: what does not start with a line reaches into one more.
    for byte in bytes.chunks(CACHE_LINE_BYTES).filter_map(<[u8]>::first).chain(bytes.last()) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: every x86-64 has the instruction, and it faults at no address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(byte).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = bytes;
}

/// Asks the processor to load a value that will be used soon, without what it points to; a hint, which reads nothing by itself.
pub(crate) fn prefetch_value<T>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    for line in (0..size_of::<T>()).step_by(CACHE_LINE_BYTES) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: every x86-64 has the instruction, and it faults at no address; this one is inside of the value.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(value).cast::<i8>().add(line)) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}

impl fmt::Debug for Mapping {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = match self.bytes {
            Bytes::Mapped(_) => "mapped",
            Bytes::Copied(_) => "copied",
        };
        write!(formatter, "Mapping({} bytes, {way})", self.len())
    }
}

/// Whether an aligned word at `offset` lies inside a file of `length` bytes.
pub(super) fn check_word(offset: u64, length: u64) -> io::Result<()> {
    if !offset.is_multiple_of(WORD_BYTES) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the word is not aligned to 8 bytes"));
    }
    if offset.checked_add(WORD_BYTES).is_none_or(|end| end > length) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the word is not inside the file"));
    }
    Ok(())
}

/// A word of a file in shared memory. The blocks under it must have been written: a store into a hole of a full
/// file system ends the process.
#[derive(Debug)]
pub(super) struct MappedWord {
    /// Only the page that holds the word, and its start is the word.
    memory: MmapRaw,
}

impl MappedWord {
    pub(super) fn new(file: &File, offset: u64) -> io::Result<Self> {
        check_word(offset, file.metadata()?.len())?;
        // The operating system maps whole pages; the option takes care of the part before the word.
        let memory = MmapOptions::new().offset(offset).len(size_of::<u64>()).map_raw(file)?;
        assert!(memory.as_ptr().cast::<u64>().is_aligned(), "a page starts at a multiple of 8, and so does the word");
        Ok(Self { memory })
    }
}

impl SharedWord for MappedWord {
    fn store(&self, value: u64) {
        // SAFETY: the pointer is valid for 8 bytes as long as `memory` lives, which `self` owns, and the file is
        // never shortened; `new` has checked that it is aligned. This process reaches these bytes through no
        // reference but this one; other processes read them, one aligned word at a time.
        let word = unsafe { AtomicU64::from_ptr(self.memory.as_mut_ptr().cast()) };
        word.store(value.to_le(), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_must_be_aligned_and_inside() {
        assert!(check_word(0, 8).is_ok());
        assert!(check_word(8, 16).is_ok());
        for (offset, length) in [(0, 0), (0, 7), (4, 16), (8, 15), (16, 16), (u64::MAX - 7, u64::MAX)] {
            let error = check_word(offset, length).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{offset} in {length}");
        }
    }

    #[test]
    fn a_mapping_shows_its_length_and_never_its_bytes() {
        let copied = Mapping::from(vec![65, 66, 67]);
        assert_eq!(format!("{copied:?}"), "Mapping(3 bytes, copied)");
        assert_eq!(&*copied.clone(), &[65, 66, 67]);
    }

    #[test]
    fn of_a_growing_file_only_what_is_written_is_shown() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("f");
        std::fs::write(&path, vec![0u8; 8192]).unwrap();
        let file = std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let written = Arc::new(AtomicU64::new(0));
        let growing = GrowingMapping::of_file(&file, &written).unwrap();
        assert!(growing.get(0, 1).is_none());
        for (offset, byte) in [(0, 7u8), (4000, 8), (8000, 9)] {
            std::os::unix::fs::FileExt::write_all_at(&file, &[byte; 100], offset).unwrap();
            assert!(growing.get(offset, 100).is_none(), "it is not said to be written");
            written.store(offset + 100, Ordering::Release);
            assert_eq!(growing.get(offset, 100), Some(&[byte; 100][..]));
            assert!(growing.get(offset + 1, 100).is_none() && growing.get(u64::MAX, 100).is_none());
        }
        assert_eq!(growing.clone().finished().unwrap().len(), 8192);
        written.store(8193, Ordering::Release);
        assert!(growing.get(8100, 93).is_none(), "the file has outgrown the mapping");
        assert!(growing.finished().is_none());
    }

    #[test]
    fn a_file_is_mapped_whole_and_an_empty_one_too() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("f");
        for content in [Vec::new(), vec![1u8], vec![9u8; 10_000]] {
            std::fs::write(&path, &content).unwrap();
            let mapping = Mapping::of_file(&File::open(&path).unwrap()).unwrap();
            assert_eq!(&*mapping, content.as_slice());
        }
    }
}
