//! Making copies: every file written or shared, synced twice, and its folder synced.

use std::io;
use std::path::Path;

use super::source::{Source, for_each_chunk};
use super::{BackupPhase, BackupProgress, Watch};
use crate::disk::{self, Disk, OpenMode};
use crate::error::{Error, Result};
use crate::format::control::{self, CleanClose};
use crate::format::frame::to_u64;
use crate::format::segment;
use crate::log::files::{self, LogFiles};
use crate::log::scan::Position;
use crate::recovery::examine::{CONTROL, IDENTITY, LOG};
use crate::types::{Sequence, StoreId};

/// What was put into a copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Copied {
    /// Segments, in whatever way.
    pub(super) segments: u64,
    /// Of these, those that share their bytes.
    pub(super) reflinked: u64,
    /// Of these, those that are second names.
    pub(super) linked: u64,
    /// Of all files, bytes.
    pub(super) bytes: u64,
}

/// How a segment came to be in the copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Bytes,
    Reflink,
    Link,
}

impl Copied {
    fn take(&mut self, way: Way, bytes: u64) {
        self.segments += 1;
        self.reflinked += u64::from(way == Way::Reflink);
        self.linked += u64::from(way == Way::Link);
        self.bytes += bytes;
    }
}

/// Copies segments, and tells how far that is.
pub(super) struct Copier<'a> {
    pub(super) disk: &'a dyn Disk,
    pub(super) source: &'a Source,
    /// Bytes of segments, of all that are to be copied.
    pub(super) total_bytes: u64,
    pub(super) done_bytes: u64,
    pub(super) copied: Copied,
}

impl<'a> Copier<'a> {
    /// Of the segments from the one of this number on, among those that were read.
    pub(super) fn new(disk: &'a dyn Disk, source: &'a Source, from: usize) -> Self {
        let total_bytes = source.segments.iter().skip(from).map(|(_, end)| end.offset).sum();
        Self { disk, source, total_bytes, done_bytes: 0, copied: Copied::default() }
    }

    pub(super) fn tell(&self, watch: &mut Watch<'_>) -> Result<()> {
        let (done_bytes, total_bytes) = (self.done_bytes, self.total_bytes);
        watch(BackupProgress { phase: BackupPhase::Copy, done_bytes, total_bytes })
    }

    /// Puts a copy of a segment up to `end` at `path`, where nothing stands, and syncs it. Of a finished one all of it is shared,
    /// where that can be done; it has but zeros behind its end.
    ///
    /// # Errors
    /// `StorageFull`, `Io`, `Corrupt`: it is gone; and what `watch` says.
    pub(super) fn segment(
        &mut self,
        first: Sequence,
        end: u64,
        path: &Path,
        may_link: bool,
        watch: &mut Watch<'_>,
    ) -> Result<()> {
        let io = |source| Error::from_io(format!("write {}", path.display()), source);
        let from = self.source.files.path(first);
        if self.source.is_finished(first) {
            let may_link = may_link && self.source.has_seal(first);
            let is_linked = may_link && is_shared(self.disk.hard_link(&from, path)).map_err(io)?;
            if is_linked || is_shared(self.disk.reflink(&from, path)).map_err(io)? {
                let mode = if is_linked { OpenMode::Read } else { OpenMode::ReadWrite };
                let copy = self.disk.open(path, mode).map_err(io)?;
                if !is_linked {
                    disk::settle(copy.as_ref()).map_err(io)?;
                }
                let way = if is_linked { Way::Link } else { Way::Reflink };
                self.copied.take(way, copy.length().map_err(io)?);
                self.done_bytes += end;
                return self.tell(watch);
            }
        }
        let copy = self.disk.open(path, OpenMode::CreateNew).map_err(io)?;
        let file = self.source.files.open(first)?;
        for_each_chunk(file.as_ref(), first, 0, end, &mut |offset, chunk| {
            disk::write_all_at(copy.as_ref(), &[chunk], offset).map_err(io)?;
            self.done_bytes += to_u64(chunk.len());
            self.tell(watch)
        })?;
        disk::settle(copy.as_ref()).map_err(io)?;
        self.copied.take(Way::Bytes, end);
        Ok(())
    }

    /// Writes the store's seal of a segment to `path`.
    ///
    /// # Errors
    /// `StorageFull`, `Io`.
    pub(super) fn seal(&mut self, first: Sequence, path: &Path) -> Result<()> {
        let seal = files::read_whole(self.disk, &self.source.files.directory.join(segment::seal_name(first)));
        let seal = seal.map_err(|source| LogFiles::io(first, "read the seal of", source))?;
        self.write(path, &seal)
    }

    /// Writes a small file.
    ///
    /// # Errors
    /// `StorageFull`, `Io`.
    pub(super) fn write(&mut self, path: &Path, bytes: &[u8]) -> Result<()> {
        let io = |source| Error::from_io(format!("write {}", path.display()), source);
        let file = self.disk.open(path, OpenMode::CreateNew).map_err(io)?;
        disk::write_all_at(file.as_ref(), &[bytes], 0).map_err(io)?;
        disk::settle(file.as_ref()).map_err(io)?;
        self.copied.bytes += to_u64(bytes.len());
        Ok(())
    }
}

/// Whether bytes were shared. Those of a segment that was archived lie elsewhere, and are read through its archive.
fn is_shared(outcome: io::Result<bool>) -> io::Result<bool> {
    outcome.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(false) } else { Err(error) })
}

/// Copies all of a source into the folder `partial`, which is made.
///
/// # Errors
/// `StorageFull`, `Io`, `Corrupt`: a file of the source is gone; and what `watch` says.
pub(super) fn make(
    disk: &dyn Disk,
    partial: &Path,
    source: &Source,
    session: u64,
    hard_links: bool,
    watch: &mut Watch<'_>,
) -> Result<Copied> {
    let log = partial.join(LOG);
    let io = |source| Error::from_io(format!("make the folder {}", partial.display()), source);
    disk.create_directory(partial).map_err(io)?;
    disk.create_directory(&log).map_err(io)?;
    let mut copier = Copier::new(disk, source, 0);
    for (first, end) in &source.segments {
        copier.segment(*first, end.offset, &log.join(segment::file_name(*first)), hard_links, watch)?;
    }
    for (first, _) in &source.seals {
        copier.seal(*first, &log.join(segment::seal_name(*first)))?;
    }
    copier.write(&partial.join(CONTROL), &control(source.identity.store_id, source.position, session))?;
    copier.write(&partial.join(IDENTITY), &source.identity.encode())?;
    for folder in [&log, partial] {
        disk.sync_directory(folder)
            .map_err(|source| Error::from_io(format!("sync the folder {}", folder.display()), source))?;
    }
    Ok(copier.copied)
}

/// A copy is a store that was closed: its end is known, so that one that loses its end later is noticed.
pub(super) fn control(store_id: StoreId, position: Position, session: u64) -> Vec<u8> {
    let last = position.next.previous();
    let clean = CleanClose { last, session, offset: position.offset, chain: position.chain };
    let mut bytes = vec![0; control::BYTES];
    let start = control::encode_start(last, true, session);
    let parts = [(0, start), (control::CLEAN_OFFSET, control::encode_clean(store_id, &clean))];
    for (offset, part) in parts {
        let offset = usize::try_from(offset).unwrap_or(control::BYTES);
        for (byte, value) in bytes.iter_mut().skip(offset).zip(part) {
            *byte = value;
        }
    }
    bytes
}
