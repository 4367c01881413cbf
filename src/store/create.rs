//! Finding out what a folder is, and making it a store.

use std::io;
use std::path::Path;

use uuid::Uuid;

use super::options::Options;
use crate::disk::{self, Disk, DiskLock, EntryKind, OpenMode};
use crate::error::{Corruption, Error, ErrorKind, Result};
use crate::format::FORMAT_VERSION;
use crate::format::identity::{Identity, IdentityDefect};
use crate::format::segment;
use crate::log::files;
use crate::log::roll::TEMPORARY;
use crate::recovery::examine::{IDENTITY, LOG};
use crate::types::StoreId;

/// The file whose lock says who writes.
pub(crate) const LOCK: &str = "LOCK";
/// The report of the last open.
pub(crate) const REPORT: &str = "recovery";

/// What a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nothing is there.
    Absent,
    /// An empty folder, or what a creation that was killed leaves.
    Unfinished,
    /// A store.
    Store(Identity),
}

/// Looks what stands at a path. Changes nothing.
///
/// # Errors
/// `NotAStore`, `UnsupportedFormat`, `Corrupt`, `Io`.
pub(crate) fn standing(disk: &dyn Disk, root: &Path) -> Result<Standing> {
    let io = |source| Error::from_io(format!("look at {}", root.display()), source);
    let not_a_store =
        |why: &str| Err(Error::new(ErrorKind::NotAStore, format!("{} is no store: {why}", root.display())));
    match disk.kind(root).map_err(io)? {
        None => return Ok(Standing::Absent),
        Some(EntryKind::Directory) => {}
        Some(_) => return not_a_store("it is not a folder"),
    }
    super::repair::check_none(disk, root)?;
    let look = || match files::read_whole(disk, &root.join(IDENTITY)) {
        Ok(bytes) => identity(root, &bytes).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::from_io(format!("read {}", root.join(IDENTITY).display()), error)),
    };
    if let Some(identity) = look()? {
        return Ok(Standing::Store(identity));
    }
    // Another process may have made the store since: what it made is nothing foreign, and an identity stays once it is there.
    unfinished(disk, root).or_else(|error| look()?.map(Standing::Store).ok_or(error))
}

fn identity(root: &Path, bytes: &[u8]) -> Result<Identity> {
    Identity::decode(bytes).map_err(|defect| match defect {
        IdentityDefect::Newer(version) => Error::new(
            ErrorKind::UnsupportedFormat,
            format!(
                "{} has format {version}, this program knows up to {FORMAT_VERSION}: use a newer one",
                root.display()
            ),
        ),
        IdentityDefect::NoStore | IdentityDefect::Damaged => Error::corrupt(Corruption {
            file: IDENTITY.into(),
            offset: Some(0),
            sequence: None,
            expected: "the identity of a store".into(),
            found: if defect == IdentityDefect::NoStore { "something else" } else { "one whose checksum fails" }.into(),
        }),
    })
}

/// Without an identity: is this the beginning of a store, or something else?
fn unfinished(disk: &dyn Disk, root: &Path) -> Result<Standing> {
    let entries = disk.list(root).map_err(|source| Error::from_io(format!("list {}", root.display()), source))?;
    let ours = [LOCK.to_owned(), LOG.to_owned(), format!("{IDENTITY}{TEMPORARY}")];
    let foreign = entries.iter().find(|entry| !ours.contains(&entry.name));
    let has_segments = entries.iter().any(|entry| entry.name == LOG && entry.kind == EntryKind::Directory)
        && disk
            .list(&root.join(LOG))
            .map_err(|source| Error::from_io(format!("list {}", root.join(LOG).display()), source))?
            .iter()
            .any(|entry| segment::parse_name(&entry.name, ".seg").is_some());
    if has_segments {
        return Err(Error::corrupt(Corruption {
            file: IDENTITY.into(),
            offset: None,
            sequence: None,
            expected: "the identity of the store whose log is here".into(),
            found: "no such file".into(),
        }));
    }
    match foreign {
        Some(entry) => {
            let text = format!("{} is no store, and it is not empty: it has {:?}", root.display(), entry.name);
            Err(Error::new(ErrorKind::NotAStore, text))
        }
        None => Ok(Standing::Unfinished),
    }
}

/// Takes the lock of a store's folder, making the folder where there is none.
///
/// # Errors
/// `Locked`, naming the holder. `NotFound`: its parent is not there. `ReadOnly`, `Io`.
pub(crate) fn lock(disk: &dyn Disk, root: &Path) -> Result<Box<dyn DiskLock>> {
    let read_only = |what: String, source: io::Error| match source.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            Error::with_source(ErrorKind::ReadOnly, what, source)
        }
        io::ErrorKind::NotFound => Error::with_source(ErrorKind::NotFound, what, source),
        _ => Error::from_io(what, source),
    };
    if disk.kind(root).map_err(|source| Error::from_io(format!("look at {}", root.display()), source))?.is_none() {
        match disk.create_directory(root) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(read_only(format!("create {}", root.display()), error));
            }
            _ => {}
        }
    }
    let path = root.join(LOCK);
    let holder = format!("process {}", std::process::id());
    let taken = disk.lock(&path, &holder).map_err(|source| read_only(format!("lock {}", path.display()), source))?;
    taken.ok_or_else(|| {
        let holder = files::read_whole(disk, &path).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let holder = holder.filter(|text| !text.is_empty()).unwrap_or_else(|| "another process".into());
        Error::new(ErrorKind::Locked, format!("{} is being written to by {holder}", root.display()))
    })
}

/// Finishes a creation, or starts one: the log's folder, then the identity, which makes it a store.
///
/// # Errors
/// `StorageFull`, `Io`: it is unfinished, and the next open goes on.
pub(crate) fn create(disk: &dyn Disk, root: &Path, options: &Options) -> Result<Identity> {
    let io = |source| Error::from_io(format!("create the store {}", root.display()), source);
    let log = root.join(LOG);
    if disk.kind(&log).map_err(io)?.is_none() {
        disk.create_directory(&log).map_err(io)?;
    }
    let identity = Identity {
        store_id: options.store_id.unwrap_or_else(|| StoreId::from_uuid(Uuid::now_v7())),
        created: options.clock.now(),
    };
    let temporary = root.join(format!("{IDENTITY}{TEMPORARY}"));
    if disk.kind(&temporary).map_err(io)?.is_some() {
        disk.remove(&temporary).map_err(io)?;
    }
    let file = disk.open(&temporary, OpenMode::CreateNew).map_err(io)?;
    disk::write_all_at(file.as_ref(), &[&identity.encode()], 0).map_err(io)?;
    disk::settle(file.as_ref()).map_err(io)?;
    disk.sync_directory(root).map_err(io)?;
    sync_parent(disk, root).map_err(io)?;
    disk.rename(&temporary, &root.join(IDENTITY)).map_err(io)?;
    disk.sync_directory(root).map_err(io)?;
    Ok(identity)
}

/// Makes the folder's own name durable before an identity makes it a store. Not only where this open made the folder: the one that
/// did may have been killed before it came here.
fn sync_parent(disk: &dyn Disk, root: &Path) -> io::Result<()> {
    let Some(parent) = root.parent() else { return Ok(()) };
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    match disk.sync_directory(parent) {
        // A parent that may not be read is somebody else's, who made the folder.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        result => result,
    }
}

#[cfg(test)]
#[path = "create_tests.rs"]
mod tests;
