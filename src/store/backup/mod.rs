//! A backup: a copy of a store that is a store, plain and whole.
//!
//! What is copied is a prefix of the log: beside a writer that syncs each commit, what is synced when the backup begins;
//! without a writer, all that the next open would keep. It is made in a folder of its own, `TO.partial-...`: every file
//! is synced, and read back and verified like any store; only then does the folder get its name. So `TO` is not there, or
//! is a whole backup. A source with damage in it is refused, with its place.

use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::create::{self, Standing};
use super::environment::Environment;
use super::verify::{FindingKind, VerifyReport, verify_in};
use crate::disk::{Disk, EntryKind};
use crate::error::{Corruption, Error, ErrorKind, Result};
use crate::types::{Sequence, StoreId};

mod copy;
mod source;

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupReport {
    /// The store's id, which is the backup's too.
    pub store_id: StoreId,
    /// Segments.
    pub segments: u64,
    /// Seals of finished segments; those that are missing are made again when the backup is opened.
    pub seals: u64,
    /// All files, bytes.
    pub bytes: u64,
    /// Events.
    pub events: u64,
    /// The last sequence.
    pub last_sequence: Sequence,
    /// The Merkle root (RFC 9162) over all its events: equal for two backups that hold the same.
    pub merkle_root: [u8; 32],
    /// The digest of its last seal, which stands on all seals before; `None` where it has no seal.
    pub seal_digest: Option<[u8; 32]>,
}

/// How far a backup has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackupProgress {
    /// What it does.
    pub phase: BackupPhase,
    /// Bytes done in this phase.
    pub done_bytes: u64,
    /// Bytes to do in this phase.
    pub total_bytes: u64,
}

/// What a backup does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackupPhase {
    /// It reads the source and checks it.
    Check,
    /// It copies, and syncs what it copied.
    Copy,
    /// It reads the copy back and verifies it. This is one step, with no progress in between.
    Verify,
}

/// Backs the store in the folder `path` up into the folder `to`, which must not be there. A program may be writing to the store
/// meanwhile. The backup is a store: it can be verified, opened, and backed up. It has no index (the first open makes it) and so no
/// snapshots, and consumers' checkpoints as the log has them.
///
/// # Errors
/// `NotFound`: there is no store, or no folder for `to` to stand in. `AlreadyExists`: there is something at `to`. `Corrupt`: the
/// source is damaged, or what was read back is. `NotAStore`, `UnsupportedFormat`, `StorageFull`, `Io`. After each of them `to` is not
/// there, and what was copied is removed.
pub fn backup(path: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<BackupReport> {
    backup_with(path, to, &mut |_| {})
}

/// As [`backup`], telling how far it is.
///
/// # Errors
/// As [`backup`].
pub fn backup_with(
    path: impl AsRef<Path>,
    to: impl AsRef<Path>,
    progress: &mut dyn FnMut(BackupProgress),
) -> Result<BackupReport> {
    let (root, to) = (super::resolved(path.as_ref()), to.as_ref());
    // Where it will stand, so that a place inside the store is seen as one.
    let to = match (parent(to).unwrap_or(Path::new(".")).canonicalize(), to.file_name()) {
        (Ok(parent), Some(name)) => parent.join(name),
        _ => to.to_owned(),
    };
    backup_in(&Environment::default(), root, to, progress)
}

/// As [`backup_with`], of a store that stands on something else than the operating system's files.
///
/// # Errors
/// As [`backup`].
pub fn backup_in(
    environment: &Environment,
    path: impl AsRef<Path>,
    to: impl AsRef<Path>,
    progress: &mut dyn FnMut(BackupProgress),
) -> Result<BackupReport> {
    let (root, to) = (path.as_ref(), to.as_ref());
    let disk = environment.disk.as_ref();
    let identity = match create::standing(disk, root)? {
        Standing::Store(identity) => identity,
        _ => return Err(Error::new(ErrorKind::NotFound, format!("{}: there is no store", root.display()))),
    };
    let partial = check_target(disk, root, to)?;
    let source = source::read(environment, root, identity, progress)?;
    let made = copy::make(disk, root, &partial, &source, progress).and_then(|bytes| {
        progress(BackupProgress { phase: BackupPhase::Verify, done_bytes: 0, total_bytes: bytes });
        check_copy(environment, &partial, &source)?;
        publish(disk, &partial, to)?;
        Ok(bytes)
    });
    let bytes = made.inspect_err(|_| remove_all(disk, &partial))?;
    Ok(BackupReport {
        store_id: identity.store_id,
        segments: crate::format::frame::to_u64(source.segments.len()),
        seals: crate::format::frame::to_u64(source.seals.len()),
        bytes,
        events: source.events,
        last_sequence: source.position.next.previous(),
        merkle_root: source.root,
        seal_digest: source.seals.last().map(|(_, digest)| *digest),
    })
}

/// Where the copy is made, until it is whole.
fn check_target(disk: &dyn Disk, root: &Path, to: &Path) -> Result<PathBuf> {
    let io = |source| Error::from_io(format!("look at {}", to.display()), source);
    if disk.kind(to).map_err(io)?.is_some() {
        return Err(Error::new(
            ErrorKind::AlreadyExists,
            format!("{} exists; a backup needs a new name", to.display()),
        ));
    }
    let Some(name) = to.file_name() else {
        return Err(Error::new(ErrorKind::InvalidInput, format!("{} names no folder", to.display())));
    };
    if to.starts_with(root) {
        let text = format!("{} lies inside the store; a backup needs a place of its own", to.display());
        return Err(Error::new(ErrorKind::InvalidInput, text));
    }
    if let Some(parent) = parent(to)
        && disk.kind(parent).map_err(io)? != Some(EntryKind::Directory)
    {
        let text = format!("{}: there is no such folder for the backup", parent.display());
        return Err(Error::new(ErrorKind::NotFound, text));
    }
    let mut name = name.to_owned();
    name.push(format!(".partial-{}", Uuid::now_v7().simple()));
    Ok(to.with_file_name(name))
}

pub(super) fn parent(path: &Path) -> Option<&Path> {
    path.parent().filter(|parent| !parent.as_os_str().is_empty())
}

/// The copy is verified as any store is, and must hold what was read.
fn check_copy(environment: &Environment, partial: &Path, source: &source::Source) -> Result<()> {
    let report: VerifyReport = verify_in(environment, partial)?;
    let last = source.position.next.previous();
    if let Some(finding) = report.findings.first() {
        if finding.kind == FindingKind::Read {
            return Err(Error::new(ErrorKind::Io, format!("the copy cannot be read back: {}", finding.detail)));
        }
        return Err(Error::corrupt(Corruption {
            file: finding.segment.clone(),
            offset: finding.offset,
            sequence: finding.sequence,
            expected: "what was copied, as it is read back, to be sound".into(),
            found: finding.detail.clone(),
        }));
    }
    if (report.events, report.last_sequence) != (source.events, last) {
        let text = format!(
            "the copy holds {} events through sequence {}, and {} through {last} were copied",
            report.events, report.last_sequence, source.events
        );
        return Err(Error::new(ErrorKind::Io, text));
    }
    Ok(())
}

/// Gives the copy its name, durably. Every file and folder in it is synced.
fn publish(disk: &dyn Disk, partial: &Path, to: &Path) -> Result<()> {
    let io = |source| Error::from_io(format!("name the backup {}", to.display()), source);
    if disk.kind(to).map_err(io)?.is_some() {
        return Err(Error::new(
            ErrorKind::AlreadyExists,
            format!("{} was made by somebody else meanwhile", to.display()),
        ));
    }
    disk.rename(partial, to).map_err(io)?;
    let synced = disk.sync_directory(parent(to).unwrap_or(Path::new(".")));
    if let Err(source) = synced {
        // It is whole, but its name may not last: no backup was promised.
        let _ = disk.rename(to, partial);
        return Err(io(source));
    }
    Ok(())
}

/// Removes what an attempt has made, as far as that can be done: an attempt that was killed leaves it too.
pub(super) fn remove_all(disk: &dyn Disk, folder: &Path) {
    for entry in disk.list(folder).unwrap_or_default() {
        let path = folder.join(&entry.name);
        let removed = if entry.kind == EntryKind::Directory {
            remove_all(disk, &path);
            Ok(())
        } else {
            disk.remove(&path)
        };
        if let Err(error) = removed {
            tracing::warn!(%error, path = %path.display(), "a part of what failed cannot be removed");
        }
    }
    if let Err(error) = disk.remove_directory(folder) {
        tracing::warn!(%error, folder = %folder.display(), "what failed cannot be removed");
    }
}
