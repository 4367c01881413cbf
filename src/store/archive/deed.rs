//! Moving one segment into an archive.
//!
//! The archive is made beside its name, synced, read back and compared with the segment's bytes and with its seal; then it gets its
//! name, then the log's folder a stub that leads to it, and only when that is durable the segment's file goes.

use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::plan::PlannedSegment;
use super::{Meter, MovedSegment};
use crate::disk::{self, Disk, DiskFile, EntryKind, OpenMode};
use crate::error::{Error, ErrorKind, Result};
use crate::format::archive::{Stub, archive_name, stub_name};
use crate::format::bytes::length_u32;
use crate::format::frame::to_u64;
use crate::format::seekable;
use crate::format::{merkle, segment};
use crate::limits::ARCHIVE_FRAME_BYTES;
use crate::log::archived::ArchivedFile;
use crate::log::files::{self, LogFiles};
use crate::log::roll::TEMPORARY;
use crate::log::{sealing, zstd};
use crate::store::repair::write_durably;
use crate::store::shared::Shared;
use crate::types::Sequence;

/// How often the bytes of a segment are counted: when they are read, and when the archive is read back.
pub(super) const PASSES: u64 = 2;

/// Makes the folder of archives where there is none.
pub(super) fn make_folder(disk: &dyn Disk, folder: &Path) -> Result<()> {
    let io = |source| Error::from_io(format!("make the folder {}", folder.display()), source);
    if disk.kind(folder).map_err(io)? != Some(EntryKind::Directory) {
        disk.create_directory(folder).map_err(io)?;
    }
    // Also where it was there: whoever made it may have been killed before this.
    disk.sync_directory(folder.parent().unwrap_or(Path::new("."))).map_err(io)
}

pub(super) fn length(file: &dyn DiskFile, first: Sequence) -> Result<u64> {
    file.length().map_err(|source| LogFiles::io(first, "look at", source))
}

/// Moves a segment into an archive.
pub(super) fn archive(
    shared: &Shared,
    folder: &str,
    planned: &PlannedSegment,
    meter: &mut Meter<'_>,
) -> Result<MovedSegment> {
    let (disk, first) = (shared.environment.disk.as_ref(), planned.first);
    let path = shared.root.join(folder).join(archive_name(shared.store_id, first));
    let io = |source| Error::from_io(format!("write {}", path.display()), source);
    let source = shared.files.open(first)?;
    let mut stub = Stub {
        store_id: shared.store_id,
        first_sequence: first,
        last_sequence: planned.last,
        segment_bytes: length(source.as_ref(), first)?,
        archive_bytes: 0,
        archived: shared.now(),
        sha256: [0; 32],
        folder: folder.to_owned(),
    };
    if disk.kind(&path).map_err(io)?.is_some() {
        // One that was made before and cut short, or after which the segment came back.
        stub.sha256 = digest(source.as_ref(), &stub, &mut |bytes| meter.add(bytes))?;
        stub.archive_bytes = disk.open(&path, OpenMode::Read).and_then(|file| file.length()).map_err(io)?;
        let checked = check(shared, &path, &stub, meter);
        checked.map_err(|error| if error.kind() == ErrorKind::Corrupt { taken(&path, error) } else { error })?;
    } else {
        let temporary = path.with_extension(format!("zst{TEMPORARY}"));
        let made = write(disk, &temporary, source.as_ref(), &mut stub, meter)
            .and_then(|()| check(shared, &temporary, &stub, meter))
            .and_then(|()| disk.rename(&temporary, &path).map_err(io));
        // It is of no use; where removing it fails too, the next attempt does.
        made.inspect_err(|_| drop(disk.remove(&temporary)))?;
    }
    disk.sync_directory(&shared.root.join(folder)).map_err(io)?;
    put_stub(disk, &shared.files.directory, &stub)?;
    remove_segment(disk, &shared.files, first)?;
    tracing::info!(segment = %first, archive = %path.display(), bytes = stub.archive_bytes, "segment archived");
    let Stub { segment_bytes, archive_bytes, .. } = stub;
    Ok(MovedSegment { first, last: planned.last, segment_bytes, archive_bytes })
}

fn taken(path: &Path, error: Error) -> Error {
    let text = format!("{} exists, and is not the archive of this segment; choose another folder", path.display());
    error.wrap(ErrorKind::AlreadyExists, text)
}

/// Compresses a segment into a file, synced twice; the stub gets the digest of what was read and the length of what was written.
fn write(disk: &dyn Disk, path: &Path, source: &dyn DiskFile, stub: &mut Stub, meter: &mut Meter<'_>) -> Result<()> {
    let io = |source| Error::from_io(format!("write {}", path.display()), source);
    if disk.kind(path).map_err(io)?.is_some() {
        disk.remove(path).map_err(io)?;
    }
    let file = disk.open(path, OpenMode::CreateNew).map_err(io)?;
    let (mut hasher, mut frames, mut end) = (Sha256::new(), Vec::new(), 0);
    let mut put = |bytes: &[u8]| -> Result<()> {
        disk::write_all_at(file.as_ref(), &[bytes], end).map_err(io)?;
        end += to_u64(bytes.len());
        Ok(())
    };
    pieces(source, stub, &mut |bytes| {
        hasher.update(bytes);
        let compressed = zstd::compress(bytes).map_err(io)?;
        frames.push((length_u32(compressed.len()), length_u32(bytes.len())));
        put(&compressed)?;
        meter.add(bytes.len())
    })?;
    put(&seekable::encode(&frames))?;
    disk::settle(file.as_ref()).map_err(io)?;
    (stub.sha256, stub.archive_bytes) = (hasher.finalize().into(), end);
    Ok(())
}

/// Gives the bytes of a segment, a frame's worth at a time.
pub(super) fn pieces(source: &dyn DiskFile, stub: &Stub, take: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let mut buffer = Vec::new();
    let mut offset = 0;
    while offset < stub.segment_bytes {
        let count = (stub.segment_bytes - offset).min(to_u64(ARCHIVE_FRAME_BYTES));
        buffer.resize(usize::try_from(count).unwrap_or_default(), 0);
        disk::read_exact_at(source, &mut buffer, offset)
            .map_err(|source| LogFiles::io(stub.first_sequence, "read", source))?;
        take(&buffer)?;
        offset += count;
    }
    Ok(())
}

/// SHA-256 of a segment's bytes.
pub(super) fn digest(
    source: &dyn DiskFile,
    stub: &Stub,
    passed: &mut dyn FnMut(usize) -> Result<()>,
) -> Result<merkle::Hash> {
    let mut hasher = Sha256::new();
    pieces(source, stub, &mut |bytes| {
        hasher.update(bytes);
        passed(bytes.len())
    })?;
    Ok(hasher.finalize().into())
}

/// Reads an archive back: it must give the bytes that the stub says, and these the seal that the segment has.
fn check(shared: &Shared, path: &Path, stub: &Stub, meter: &mut Meter<'_>) -> Result<()> {
    let (disk, first) = (shared.environment.disk.as_ref(), stub.first_sequence);
    let file = Arc::new(ArchivedFile::open_alone(disk, path, stub.clone())?);
    let found = digest(file.as_ref(), stub, &mut |bytes| meter.add(bytes))?;
    if found != stub.sha256 {
        return Err(files::corrupt(first, 0, first, "the archive to give the segment's bytes", "others"));
    }
    let (Some(segment), Some((seal, _))) = (shared.files.named(first), shared.files.read_seal(first)) else {
        return Err(files::missing(first));
    };
    if sealing::make_from(&shared.files, &segment, file, seal.previous)? != seal {
        let expected = format!("what {} says of it", segment::seal_name(first));
        return Err(files::corrupt(first, 0, first, expected, "another seal"));
    }
    Ok(())
}

/// Puts the stub into the log's folder, durably.
fn put_stub(disk: &dyn Disk, log: &Path, stub: &Stub) -> Result<()> {
    let name = stub_name(stub.first_sequence);
    let io = |source| Error::from_io(format!("write log/{name}"), source);
    let bytes = stub.encode().ok_or_else(|| {
        Error::new(ErrorKind::InvalidInput, "the name of the folder of archives is longer than 64 KiB")
    })?;
    let temporary = log.join(format!("{name}{TEMPORARY}"));
    write_durably(disk, &temporary, &[&bytes]).map_err(io)?;
    disk.rename(&temporary, &log.join(&name)).map_err(io)?;
    disk.sync_directory(log).map_err(io)
}

/// Removes a segment's file, whose archive is durable and has its stub.
fn remove_segment(disk: &dyn Disk, files: &LogFiles, first: Sequence) -> Result<()> {
    let io = |source| LogFiles::io(first, "remove", source);
    disk.remove(&files.path(first)).map_err(io)?;
    files.forget_mapping(first);
    disk.sync_directory(&files.directory).map_err(io)
}
