//! The folder of an index on disk, apart from what RocksDB does in it.

use std::io::ErrorKind as IoErrorKind;
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};

/// The file that RocksDB makes last and cannot open without: where it is not, there is no database.
pub(super) const CURRENT: &str = "CURRENT";

/// The file that a batch is built in before it is ingested. RocksDB ignores its name.
const INGEST: &str = "ingest.tmp";

/// The file that says that a database was found damaged while it was open, and how.
const DAMAGED: &str = "DAMAGED";

/// Free bytes below which a failed write counts as one for want of room.
const ROOM_BYTES_MIN: u64 = 4 * 1024 * 1024;

/// Whether there is a database.
pub(super) fn has_database(directory: &Path) -> Result<bool> {
    let current = directory.join(CURRENT);
    match std::fs::metadata(&current) {
        Ok(metadata) => Ok(metadata.is_file()),
        Err(error) if error.kind() == IoErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::from_io(format!("look at {}", current.display()), error)),
    }
}

/// Says for the next open that the database must be made anew. It could be read when it was opened, so nothing else would tell.
pub(super) fn note_damage(directory: &Path, error: &Error) {
    let Some(rocksdb::ErrorKind::Corruption) = rocksdb_kind(error) else { return };
    if let Err(failure) = std::fs::write(directory.join(DAMAGED), error.to_string()) {
        tracing::warn!(%failure, %error, "a damaged index could not be marked");
    }
}

fn rocksdb_kind(error: &Error) -> Option<rocksdb::ErrorKind> {
    let source = std::error::Error::source(error)?;
    source.downcast_ref::<rocksdb::Error>().map(rocksdb::Error::kind)
}

/// What was noted of a damaged database.
pub(super) fn damage(directory: &Path) -> Option<String> {
    std::fs::read_to_string(directory.join(DAMAGED)).ok()
}

/// Makes the folder, for its owner alone.
pub(super) fn make(directory: &Path) -> Result<()> {
    builder()
        .recursive(true)
        .create(directory)
        .map_err(|error| Error::from_io(format!("make {}", directory.display()), error))
}

fn builder() -> std::fs::DirBuilder {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
}

/// Removes the folder. A kill on the way leaves no database, or one that cannot be opened, but never part of one that
/// can: what says that there is one goes first.
pub(super) fn remove(directory: &Path) -> Result<()> {
    remove_file(&directory.join(CURRENT))?;
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != IoErrorKind::NotFound => {
            Err(Error::from_io(format!("remove {}", directory.display()), error))
        }
        _ => Ok(()),
    }
}

/// Puts the folder `from` into the place of `to`, durably.
pub(super) fn replace(from: &Path, to: &Path) -> Result<()> {
    remove(to)?;
    let failed = |error| Error::from_io(format!("name {} {}", from.display(), to.display()), error);
    std::fs::rename(from, to).map_err(failed)?;
    let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // A folder cannot be opened as a file everywhere, and there its names are durable by themselves.
    match std::fs::File::open(parent) {
        Ok(folder) => folder.sync_all().map_err(failed),
        Err(_) if cfg!(not(unix)) => Ok(()),
        Err(error) => Err(failed(error)),
    }
}

fn remove_file(file: &Path) -> Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != IoErrorKind::NotFound => {
            Err(Error::from_io(format!("remove {}", file.display()), error))
        }
        _ => Ok(()),
    }
}

/// The path of the file that a batch is built in, which does not exist afterwards.
///
/// A kill between ingesting and the end of it leaves that file as a second name of a table that is in use. It must be
/// removed, and never be truncated: that would empty the table.
pub(super) fn fresh_ingest_file(directory: &Path) -> Result<PathBuf> {
    let file = directory.join(INGEST);
    remove_file(&file)?;
    Ok(file)
}

/// Bytes that the files in the folder take.
pub(super) fn bytes(directory: &Path) -> Result<u64> {
    let failed = |error| Error::from_io(format!("list {}", directory.display()), error);
    let mut bytes = 0;
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        match entry.map_err(failed)?.metadata() {
            Ok(metadata) => bytes += metadata.len(),
            // RocksDB removes files meanwhile.
            Err(error) if error.kind() == IoErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(bytes)
}

/// The error of RocksDB, met while doing `what`.
///
/// The binding passes on RocksDB's text and its main code alone, and the text is no interface; so whether a write failed
/// for want of room is asked of the file system.
pub(super) fn failed(what: &str, directory: &Path, error: rocksdb::Error) -> Error {
    let kind = kind_of(&error.kind(), free_bytes(directory));
    let what_to_do = match error.kind() {
        rocksdb::ErrorKind::Corruption => " (it is damaged, and made anew when the store is opened again)",
        _ => "",
    };
    Error::with_source(kind, format!("the index in {}: {what}{what_to_do}", directory.display()), error)
}

fn kind_of(kind: &rocksdb::ErrorKind, free_bytes: Option<u64>) -> ErrorKind {
    match (kind, free_bytes) {
        (rocksdb::ErrorKind::IOError, Some(free)) if free < ROOM_BYTES_MIN => ErrorKind::StorageFull,
        _ => ErrorKind::Io,
    }
}

#[cfg(unix)]
fn free_bytes(directory: &Path) -> Option<u64> {
    let status = rustix::fs::statvfs(directory).ok()?;
    Some(status.f_bavail.saturating_mul(status.f_frsize))
}

#[cfg(not(unix))]
fn free_bytes(_directory: &Path) -> Option<u64> {
    None
}

/// A folder of this process alone, which goes when this does.
#[derive(Debug)]
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn new() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("bitacora-index-{}", uuid::Uuid::now_v7()));
        // Fails where something has that name, so nobody else's folder is ever used.
        builder().create(&path).map_err(|error| Error::from_io(format!("make {}", path.display()), error))?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(folder = %self.0.display(), %error, "a temporary folder is left behind");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_is_for_want_of_room_where_there_is_none() {
        let io = rocksdb::ErrorKind::IOError;
        assert_eq!(kind_of(&io, Some(0)), ErrorKind::StorageFull);
        assert_eq!(kind_of(&io, Some(ROOM_BYTES_MIN - 1)), ErrorKind::StorageFull);
        assert_eq!(kind_of(&io, Some(ROOM_BYTES_MIN)), ErrorKind::Io);
        assert_eq!(kind_of(&io, None), ErrorKind::Io);
        assert_eq!(kind_of(&rocksdb::ErrorKind::Corruption, Some(0)), ErrorKind::Io);
    }

    #[test]
    fn the_room_of_a_folder_can_be_told() {
        assert!(free_bytes(&std::env::temp_dir()).unwrap() > 0);
        assert_eq!(free_bytes(Path::new("/nowhere/at/all")), None);
    }

    #[test]
    fn removing_what_is_not_there_is_no_error() {
        let folder = tempfile::tempdir().unwrap();
        remove(&folder.path().join("index")).unwrap();
        assert!(!has_database(&folder.path().join("index")).unwrap());
    }

    #[test]
    fn a_file_in_the_place_of_the_folder_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("index");
        std::fs::write(&file, b"").unwrap();
        assert_eq!(has_database(&file).unwrap_err().kind(), ErrorKind::Io);
        assert_eq!(make(&file).unwrap_err().kind(), ErrorKind::Io);
    }
}
