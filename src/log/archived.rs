//! Segments that were moved into an archive, read as if they were files of the log.
//!
//! An archive is zstd frames and a table of them (`format::seekable`), so a read decompresses the frames that it touches and no
//! others. A few decompressed frames are kept, and a few archives open.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::files::read_whole;
use super::recent::Recent;
use super::zstd;
use crate::disk::{self, Disk, DiskFile, Mapping, OpenMode, SharedWord};
use crate::error::{Corruption, Error, ErrorKind, Result};
use crate::format::FORMAT_VERSION;
use crate::format::archive::{self, Stub, StubDefect};
use crate::format::bytes::index;
use crate::format::frame::to_u64;
use crate::format::seekable::{self, FramePlace, SeekTable};
use crate::limits::{ARCHIVE_FRAMES_MAX, ARCHIVES_OPEN_MAX};
use crate::sync::Mutex;
use crate::types::{Sequence, StoreId};

/// The frames that were decompressed last, by segment and number.
type Frames = Mutex<Recent<(Sequence, u32), Arc<[u8]>>>;

/// The archives of a log.
#[derive(Debug)]
pub(crate) struct Archives {
    open: Mutex<Recent<Sequence, Arc<ArchivedFile>>>,
    frames: Arc<Frames>,
}

impl Default for Archives {
    fn default() -> Self {
        Self {
            open: Mutex::new(Recent::new(ARCHIVES_OPEN_MAX)),
            frames: Arc::new(Mutex::new(Recent::new(ARCHIVE_FRAMES_MAX))),
        }
    }
}

impl Archives {
    /// The archive of a segment, if it is open.
    pub(crate) fn known(&self, first: Sequence) -> Option<Arc<ArchivedFile>> {
        self.open.lock().get(&first)
    }

    /// The archive of a segment, opened; `None` where the log's folder `log` has no stub of it.
    ///
    /// # Errors
    /// `Corrupt`: the stub, or the archive, is damaged. `UnsupportedFormat`: a newer version wrote it, or this program was built
    /// without archives. `Io`: the archive is not there, or cannot be read.
    pub(crate) fn find(
        &self,
        disk: &dyn Disk,
        log: &Path,
        store_id: StoreId,
        first: Sequence,
    ) -> Result<Option<Arc<ArchivedFile>>> {
        if let Some(known) = self.known(first) {
            return Ok(Some(known));
        }
        let Some(stub) = read_stub(disk, log, store_id, first)? else { return Ok(None) };
        let path = path_of(log, &stub);
        let file = Arc::new(ArchivedFile::open(disk, &path, stub, Arc::clone(&self.frames))?);
        self.open.lock().put(first, Arc::clone(&file));
        Ok(Some(file))
    }
}

/// A segment's stub; `None` where there is none.
///
/// # Errors
/// `Corrupt`, `UnsupportedFormat`, `Io`.
pub(crate) fn read_stub(disk: &dyn Disk, log: &Path, store_id: StoreId, first: Sequence) -> Result<Option<Stub>> {
    let name = archive::stub_name(first);
    let bytes = match read_whole(disk, &log.join(&name)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::from_io(format!("read log/{name}"), error)),
    };
    Stub::decode(&bytes, store_id, first).map(Some).map_err(|defect| match defect {
        StubDefect::Newer(version) => {
            let text = format!("log/{name} has format {version}, this program knows up to {FORMAT_VERSION}");
            Error::new(ErrorKind::UnsupportedFormat, text)
        }
        StubDefect::Damaged => Error::corrupt(Corruption {
            file: format!("log/{name}"),
            offset: None,
            sequence: Some(first),
            expected: "where the archive of this segment of this store is".into(),
            found: "something else".into(),
        }),
    })
}

/// Where a segment's archive is.
pub(crate) fn path_of(log: &Path, stub: &Stub) -> PathBuf {
    let root = log.parent().unwrap_or(Path::new("."));
    root.join(&stub.folder).join(archive::archive_name(stub.store_id, stub.first_sequence))
}

/// A segment in an archive. It can be read, and nothing else.
#[derive(Debug)]
pub(crate) struct ArchivedFile {
    path: PathBuf,
    stub: Stub,
    table: SeekTable,
    file: Arc<dyn DiskFile>,
    frames: Arc<Frames>,
}

impl ArchivedFile {
    /// Opens an archive for itself, with frames that it shares with nobody.
    ///
    /// # Errors
    /// As [`Archives::find`].
    pub(crate) fn open_alone(disk: &dyn Disk, path: &Path, stub: Stub) -> Result<Self> {
        Self::open(disk, path, stub, Arc::new(Mutex::new(Recent::new(1))))
    }

    fn open(disk: &dyn Disk, path: &Path, stub: Stub, frames: Arc<Frames>) -> Result<Self> {
        let first = stub.first_sequence;
        if !zstd::IS_BUILT_IN {
            let text = format!(
                "the segment of sequence {first} is archived; this program was built without the feature `archive`"
            );
            return Err(Error::new(ErrorKind::UnsupportedFormat, text));
        }
        let file = disk.open(path, OpenMode::Read).map_err(|source| {
            let text = format!(
                "the segment of sequence {first} is archived in {}, which is not at hand; bring that folder back",
                path.display()
            );
            Error::with_source(ErrorKind::Io, text, source)
        })?;
        let io = |source| Error::from_io(format!("read {}", path.display()), source);
        let archive_bytes = file.length().map_err(io)?;
        let table = read_table(file.as_ref(), archive_bytes, stub.segment_bytes).map_err(io)?;
        let table = table.filter(|_| archive_bytes == stub.archive_bytes).ok_or_else(|| {
            let expected = format!("an archive of {} bytes with a table of its frames", stub.archive_bytes);
            let found = format!("{archive_bytes} bytes and no such table");
            damaged(path, archive_bytes.saturating_sub(to_u64(seekable::FOOTER_BYTES)), first, expected, found)
        })?;
        Ok(Self { path: path.to_owned(), stub, table, file, frames })
    }

    fn frame(&self, number: u32, place: FramePlace) -> io::Result<Arc<[u8]>> {
        let key = (self.stub.first_sequence, number);
        if let Some(known) = self.frames.lock().get(&key) {
            return Ok(known);
        }
        let mut compressed = vec![0; index(place.compressed_bytes)];
        disk::read_exact_at(self.file.as_ref(), &mut compressed, place.offset)?;
        let bytes = zstd::decompress(&compressed, index(place.bytes)).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => {
                let expected = format!("frame {number} of the archive");
                let first = self.stub.first_sequence;
                io::Error::other(damaged(&self.path, place.offset, first, expected, error.to_string()))
            }
            _ => error,
        })?;
        let bytes: Arc<[u8]> = bytes.into();
        self.frames.lock().put(key, Arc::clone(&bytes));
        Ok(bytes)
    }
}

/// The table at an archive's end; `None` where there is none.
fn read_table(file: &dyn DiskFile, archive_bytes: u64, segment_bytes: u64) -> io::Result<Option<SeekTable>> {
    let mut footer = [0; seekable::FOOTER_BYTES];
    let Some(at) = archive_bytes.checked_sub(to_u64(footer.len())) else { return Ok(None) };
    disk::read_exact_at(file, &mut footer, at)?;
    let length = seekable::table_bytes(&footer).filter(|length| to_u64(*length) <= archive_bytes);
    let Some(length) = length else { return Ok(None) };
    let mut bytes = vec![0; length];
    disk::read_exact_at(file, &mut bytes, archive_bytes - to_u64(length))?;
    Ok(SeekTable::decode(&bytes, archive_bytes, segment_bytes))
}

fn damaged(path: &Path, offset: u64, first: Sequence, expected: String, found: String) -> Error {
    let (offset, sequence) = (Some(offset), Some(first));
    Error::corrupt(Corruption { file: path.display().to_string(), offset, sequence, expected, found })
}

fn read_only<T>() -> io::Result<T> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "an archived segment can only be read"))
}

impl DiskFile for ArchivedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let Some((number, place)) = self.table.holding(offset) else { return Ok(0) };
        let frame = self.frame(number, place)?;
        let from = usize::try_from(offset - place.start).unwrap_or(usize::MAX);
        let bytes = frame.get(from..).unwrap_or_default();
        let count = bytes.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), bytes.get(..count)) {
            to.copy_from_slice(from);
        }
        Ok(count)
    }

    fn write_at(&self, _: &[io::IoSlice<'_>], _: u64) -> io::Result<usize> {
        read_only()
    }

    /// It was durable before the segment's file was removed.
    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.stub.segment_bytes)
    }

    fn allocate(&self, _: u64) -> io::Result<()> {
        read_only()
    }

    fn map(&self) -> io::Result<Mapping> {
        read_only()
    }

    fn share_word(&self, _: u64) -> io::Result<Box<dyn SharedWord>> {
        read_only()
    }
}
