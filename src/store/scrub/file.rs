//! A segment as a scrub reads it: past the page cache, and with a hole where a sector cannot be read.
//!
//! A read that fails is made again sector by sector. A sector that fails then too reads as zeros here and is noted, so that the
//! check goes on behind it: the frame that stood there is found missing, with its sequence.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use crate::disk::{DiskFile, Mapping, SharedWord};
use crate::format::frame::to_u64;
use crate::sync::Ordering;
use crate::sync::leaf::{AtomicU64, Mutex};

const SECTOR_BYTES: usize = 4096;

/// Sectors of one segment that may fail before it is given up: a device that is gone is not asked for each of its sectors.
const BAD_SECTORS_MAX: usize = 256;

/// Where a segment's bytes are taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The medium: it is not written to any more.
    Medium,
    /// The page cache where they are in it: direct reads would hold up its writer.
    Cache,
}

/// A stretch that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BadStretch {
    pub(super) offset: u64,
    pub(super) bytes: u64,
    pub(super) error: String,
}

#[derive(Debug)]
pub(super) struct ScrubFile {
    file: Arc<dyn DiskFile>,
    origin: Origin,
    length: u64,
    /// By offset.
    bad: Mutex<BTreeMap<u64, (u64, String)>>,
    repeated: AtomicU64,
}

impl ScrubFile {
    /// # Errors
    /// The operating system's.
    pub(super) fn new(file: Arc<dyn DiskFile>, origin: Origin) -> io::Result<Self> {
        let length = file.length()?;
        Ok(Self { file, origin, length, bad: Mutex::default(), repeated: AtomicU64::default() })
    }

    /// Reads that failed and went through when they were made again.
    pub(super) fn repeated(&self) -> u64 {
        self.repeated.load(Ordering::Relaxed)
    }

    /// What could not be read, in order.
    pub(super) fn bad(&self) -> Vec<BadStretch> {
        let mut stretches: Vec<BadStretch> = Vec::new();
        for (offset, (bytes, error)) in self.bad.lock().iter() {
            match stretches.last_mut().filter(|last| last.offset + last.bytes == *offset) {
                Some(last) => last.bytes += bytes,
                None => stretches.push(BadStretch { offset: *offset, bytes: *bytes, error: error.clone() }),
            }
        }
        stretches
    }

    fn read(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match self.origin {
            Origin::Medium => self.file.read_medium(buffer, offset),
            Origin::Cache => self.file.read_past_cache(buffer, offset),
        }
    }

    /// Reads sector by sector.
    ///
    /// # Errors
    /// The last one's, where too many fail.
    fn read_sectors(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let wanted = buffer.len().min(usize::try_from(self.length.saturating_sub(offset)).unwrap_or(usize::MAX));
        let (mut done, mut has_failed) = (0usize, false);
        while done < wanted {
            let place = offset + to_u64(done);
            let sector_end = (place / to_u64(SECTOR_BYTES) + 1) * to_u64(SECTOR_BYTES);
            let end = wanted.min(done + usize::try_from(sector_end - place).unwrap_or(SECTOR_BYTES));
            let Some(piece) = buffer.get_mut(done..end) else { break };
            if let Err(error) = self.read_piece(piece, place) {
                has_failed = true;
                piece.fill(0);
                let mut bad = self.bad.lock();
                // The whole sector, wherever in it the read began.
                let start = sector_end - to_u64(SECTOR_BYTES);
                bad.insert(start, (sector_end.min(self.length) - start, error.to_string()));
                if bad.len() > BAD_SECTORS_MAX {
                    return Err(error);
                }
            }
            done = end;
        }
        if !has_failed {
            self.repeated.fetch_add(1, Ordering::Relaxed);
        }
        Ok(done)
    }

    /// Reads a piece whole.
    ///
    /// # Errors
    /// The operating system's; `UnexpectedEof` where the file ends in it.
    fn read_piece(&self, piece: &mut [u8], offset: u64) -> io::Result<()> {
        let mut done = 0usize;
        while let Some(rest) = piece.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match self.read(rest, offset + to_u64(done)) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => done += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl DiskFile for ScrubFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match self.read(buffer, offset) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                tracing::warn!(%error, offset, "a read failed, and is made again sector by sector");
                self.read_sectors(buffer, offset)
            }
            read => read,
        }
    }

    fn write_at(&self, _: &[io::IoSlice<'_>], _: u64) -> io::Result<usize> {
        Err(read_only())
    }

    fn sync_data(&self) -> io::Result<()> {
        Err(read_only())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.length)
    }

    fn allocate(&self, _: u64) -> io::Result<()> {
        Err(read_only())
    }

    fn map(&self) -> io::Result<Mapping> {
        Err(read_only())
    }

    fn share_word(&self, _: u64) -> io::Result<Box<dyn SharedWord>> {
        Err(read_only())
    }
}

fn read_only() -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, "a scrub only reads")
}
