//! A segment's bytes, wherever they come from: a mapping, or a window that positioned reads fill.

use std::io;
use std::sync::Arc;

use crate::disk::{self, DiskFile, GrowingMapping, Mapping};
use crate::format::frame::to_u64;

/// What is read at once from a file: little at first, for who looks at one place, and more with each read that follows.
const CHUNK_BYTES_MIN: usize = 16 * 1024;
const CHUNK_BYTES_MAX: usize = 256 * 1024;

/// Where a segment's bytes come from.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// Positioned reads: a bad sector is an error, and the file may grow.
    File(Arc<dyn DiskFile>),
    /// A mapping of a finished segment.
    Map(Mapping),
    /// A mapping of the segment that is written to, and its file for what that does not show.
    Growing(GrowingMapping, Arc<dyn DiskFile>),
}

/// A view of a source that hands out slices.
#[derive(Debug)]
pub(crate) struct Window {
    source: Source,
    buffer: Vec<u8>,
    start: u64,
    bytes_read: u64,
    chunk_bytes: usize,
    chunk_bytes_max: usize,
}

impl Window {
    pub(crate) fn new(source: Source) -> Self {
        let (chunk_bytes, chunk_bytes_max) = (CHUNK_BYTES_MIN, CHUNK_BYTES_MAX);
        Self { source, buffer: Vec::new(), start: 0, bytes_read: 0, chunk_bytes, chunk_bytes_max }
    }

    /// A window that reads no more ahead than asked, for looking at one record.
    pub(crate) fn narrow(source: Source) -> Self {
        Self { chunk_bytes: 1024, chunk_bytes_max: 1024, ..Self::new(source) }
    }

    /// The bytes at `offset`, as many of `length` as there are.
    ///
    /// # Errors
    /// The operating system's.
    #[inline]
    pub(crate) fn get(&mut self, offset: u64, length: usize) -> io::Result<&[u8]> {
        if self.in_memory(offset, length).is_some() {
            return Ok(self.in_memory(offset, length).unwrap_or_default());
        }
        self.read(offset, length)
    }

    /// The bytes at `offset`, as many of `length` as there are, where they are mapped.
    #[inline]
    fn in_memory(&self, offset: u64, length: usize) -> Option<&[u8]> {
        match &self.source {
            Source::Map(mapping) => {
                let bytes: &[u8] = mapping;
                let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                let end = start.saturating_add(length).min(bytes.len());
                bytes.get(start..end)
            }
            Source::Growing(mapping, _) => mapping.get(offset, length),
            Source::File(_) => None,
        }
    }

    fn read(&mut self, offset: u64, length: usize) -> io::Result<&[u8]> {
        let (Source::File(file) | Source::Growing(_, file)) = &self.source else { return Ok(&[]) };
        if self.covered(offset) < length {
            self.buffer.resize(length.max(self.chunk_bytes), 0);
            let read = disk::read_up_to(file.as_ref(), &mut self.buffer, offset)?;
            self.buffer.truncate(read);
            self.start = offset;
            self.bytes_read += to_u64(read);
            self.chunk_bytes = self.chunk_bytes.saturating_mul(2).min(self.chunk_bytes_max);
        }
        let start = usize::try_from(offset - self.start).unwrap_or(usize::MAX);
        let rest = self.buffer.get(start..).unwrap_or_default();
        Ok(rest.get(..length).unwrap_or(rest))
    }

    /// Asks for bytes that will be read soon, where that costs nothing.
    pub(crate) fn prefetch(&self, offset: u64, length: usize) {
        disk::prefetch(self.in_memory(offset, length).unwrap_or_default());
    }

    /// How many bytes were read from the file so far.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// How many buffered bytes there are from `offset` on.
    fn covered(&self, offset: u64) -> usize {
        match offset.checked_sub(self.start).map(usize::try_from) {
            Some(Ok(skip)) => self.buffer.len().saturating_sub(skip),
            _ => 0,
        }
    }
}
