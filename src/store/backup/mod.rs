//! A backup: a copy of a store that is a store, plain and whole.
//!
//! What is copied is a prefix of the log: beside a writer that syncs each commit, what is synced when the backup begins;
//! without a writer, all that the next open would keep. The first one is made in a folder of its own, `TO.partial-...`: every
//! file is synced, and read back and verified like any store; only then does the folder get its name. So `TO` is not there, or
//! is a whole backup. A later one into the same `TO` brings it up to date ([`update`]), and a restore ([`restore`]) is the first one
//! the other way. A source with damage in it is refused, with its place.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::create::{self, Standing};
use super::environment::Environment;
use super::verify::{FindingKind, VerifyReport, verify_watched};
use crate::disk::{Disk, EntryKind};
use crate::error::{Corruption, Error, ErrorKind, Result};
use crate::format::frame::to_u64;
use crate::format::identity::Identity;
use copy::Copied;
use source::Source;

mod check;
mod copy;
mod options;
mod restore;
mod source;
mod target;
mod update;

pub use options::{BackupOptions, BackupPhase, BackupProgress, BackupReport, RestoreOptions, RestoreReport};
pub use restore::{restore, restore_in, restore_with};

/// Told how far it is; an error ends it.
type Watch<'a> = dyn FnMut(BackupProgress) -> Result<()> + 'a;

/// Backs the store in the folder `path` up into the folder `to`. A program may be writing to the store meanwhile. The backup is a
/// store: it can be verified, opened, restored, and backed up. It has no index (the first open makes it) and so no snapshots, and
/// consumers' checkpoints as the log has them.
///
/// Where nothing stands at `to`, it is made. Where an earlier backup of the same store stands there, which nobody has opened to
/// write, it is brought up to date: finished segments that it has are kept, the others are copied, the last one anew. It is a whole
/// store at every moment of that, also after a kill or a power cut.
///
/// # Errors
/// `NotFound`: there is no store, or no folder for `to` to stand in. `AlreadyExists`: what stands at `to` is no backup of this store.
/// `Refused`: it is one that was opened to write, or that holds what the store does not. `Locked`: somebody writes to it.
/// `Corrupt`: the source is damaged, or the backup that is there, or what was read back. `NotAStore`, `UnsupportedFormat`,
/// `ReadOnly`, `InvalidInput`: `to` lies inside the store. `StorageFull`, `Io`. After each of them `to` is as it was (not there, where
/// it was not), or is a whole backup that holds more than before; and what was copied beside is removed.
pub fn backup(path: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<BackupReport> {
    backup_with(path, to, &BackupOptions::new(), &mut |_| ControlFlow::Continue(()))
}

/// As [`backup`], with options, telling how far it is; `Break` ends it.
///
/// # Errors
/// As [`backup`]. `Aborted`: `progress` said `Break`; with `to` as after each other error.
pub fn backup_with(
    path: impl AsRef<Path>,
    to: impl AsRef<Path>,
    options: &BackupOptions,
    progress: &mut dyn FnMut(BackupProgress) -> ControlFlow<()>,
) -> Result<BackupReport> {
    let (root, to) = (super::resolved(path.as_ref()), place_of(to.as_ref()));
    backup_in(&Environment::default(), root, to, options, progress)
}

/// As [`backup_with`], of a store that stands on something else than the operating system's files.
///
/// # Errors
/// As [`backup_with`].
pub fn backup_in(
    environment: &Environment,
    path: impl AsRef<Path>,
    to: impl AsRef<Path>,
    options: &BackupOptions,
    progress: &mut dyn FnMut(BackupProgress) -> ControlFlow<()>,
) -> Result<BackupReport> {
    let (root, to) = (path.as_ref(), to.as_ref());
    let disk = environment.disk.as_ref();
    let identity = store_at(disk, root)?;
    let watch = &mut watching("the backup", progress);
    if is_backup(disk, root, to, &identity)? {
        return update::update(environment, root, to, identity, options, watch);
    }
    let partial = partial_of(disk, root, to)?;
    let source = source::read(environment, root, identity, None, watch)?;
    let copied = make(environment, &partial, &source, source.session, options.hard_links, watch)
        .and_then(|copied| publish(disk, &partial, to).map(|()| copied))
        .inspect_err(|_| remove_all(disk, &partial))?;
    Ok(report(&source, copied, 0, copied.bytes))
}

/// Breaking off is an error, as far as the work is concerned.
fn watching<'a>(
    what: &'a str,
    progress: &'a mut dyn FnMut(BackupProgress) -> ControlFlow<()>,
) -> impl FnMut(BackupProgress) -> Result<()> + 'a {
    move |now| match progress(now) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::new(ErrorKind::Aborted, format!("{what} was broken off"))),
    }
}

/// Where it stands or will stand, links followed, so that a place inside the store is seen as one.
fn place_of(to: &Path) -> PathBuf {
    match (to.canonicalize(), parent(to).canonicalize(), to.file_name()) {
        (Ok(to), ..) => to,
        (Err(_), Ok(parent), Some(name)) => parent.join(name),
        _ => to.to_owned(),
    }
}

pub(super) fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn store_at(disk: &dyn Disk, root: &Path) -> Result<Identity> {
    match create::standing(disk, root)? {
        Standing::Store(identity) => Ok(identity),
        _ => Err(Error::new(ErrorKind::NotFound, format!("{}: there is no store", root.display()))),
    }
}

/// Whether a backup of this store stands at `to`; an error where something else does.
fn is_backup(disk: &dyn Disk, root: &Path, to: &Path, identity: &Identity) -> Result<bool> {
    let taken = |why: &str| {
        let text =
            format!("{} exists and {why}; a backup needs a new name, or an earlier backup of this store", to.display());
        Err(Error::new(ErrorKind::AlreadyExists, text))
    };
    let kind = disk.kind(to).map_err(|source| Error::from_io(format!("look at {}", to.display()), source))?;
    if kind.is_none() {
        return Ok(false);
    }
    if to == root {
        return taken("is the store itself");
    }
    match create::standing(disk, to) {
        Ok(Standing::Store(found)) if found.store_id == identity.store_id => Ok(true),
        Ok(Standing::Store(found)) => taken(&format!("is another store, {}", found.store_id)),
        Ok(_) => taken("is no backup"),
        Err(error) if error.kind() == ErrorKind::NotAStore => taken("is no backup"),
        Err(error) => Err(in_backup(to, error)),
    }
}

/// Where a copy that will stand at `to`, where nothing stands now, is made until it is whole.
fn partial_of(disk: &dyn Disk, from: &Path, to: &Path) -> Result<PathBuf> {
    let Some(name) = to.file_name() else {
        return Err(Error::new(ErrorKind::InvalidInput, format!("{} names no folder", to.display())));
    };
    if to.starts_with(from) {
        let text = format!("{} lies inside {}; a copy needs a place of its own", to.display(), from.display());
        return Err(Error::new(ErrorKind::InvalidInput, text));
    }
    let folder = parent(to);
    let kind = disk.kind(folder).map_err(|source| Error::from_io(format!("look at {}", to.display()), source))?;
    if kind != Some(EntryKind::Directory) {
        let text = format!("{}: there is no such folder for {} to stand in", folder.display(), to.display());
        return Err(Error::new(ErrorKind::NotFound, text));
    }
    let mut name = name.to_owned();
    name.push(format!(".partial-{}", Uuid::now_v7().simple()));
    Ok(to.with_file_name(name))
}

/// Makes the copy in the folder `partial`, and reads it back.
fn make(
    environment: &Environment,
    partial: &Path,
    source: &Source,
    session: u64,
    hard_links: bool,
    watch: &mut Watch<'_>,
) -> Result<Copied> {
    let copied = copy::make(environment.disk.as_ref(), partial, source, session, hard_links, watch)?;
    let verified = verify_whole(environment, partial, copied.bytes, watch)?;
    let last = source.position.next.previous();
    if (verified.events, verified.last_sequence) != (last.get(), last) {
        let text = format!(
            "the copy holds {} events through sequence {}, and {last} were copied",
            verified.events, verified.last_sequence
        );
        return Err(Error::new(ErrorKind::Io, text));
    }
    Ok(copied)
}

/// Verifies the copy in a folder as any store is. Nothing may be wrong with it.
fn verify_whole(
    environment: &Environment,
    folder: &Path,
    total_bytes: u64,
    watch: &mut Watch<'_>,
) -> Result<VerifyReport> {
    let report = verify_watched(environment, folder, &mut |read| {
        watch(BackupProgress { phase: BackupPhase::Verify, done_bytes: read.min(total_bytes), total_bytes })
    })?;
    match report.findings.first() {
        None => Ok(report),
        Some(finding) if finding.kind == FindingKind::Read => {
            Err(Error::new(ErrorKind::Io, format!("{} cannot be read: {}", folder.display(), finding.detail)))
        }
        Some(finding) => Err(Error::corrupt(Corruption {
            file: finding.segment.clone(),
            offset: finding.offset,
            sequence: finding.sequence,
            expected: "what was copied, as it is read back, to be sound".into(),
            found: finding.detail.clone(),
        })),
    }
}

/// What a copy comes to, of which `segments_kept` segments were there and all of which has `bytes`.
fn report(source: &Source, copied: Copied, segments_kept: u64, bytes: u64) -> BackupReport {
    let last_sequence = source.position.next.previous();
    BackupReport {
        store_id: source.identity.store_id,
        segments: segments_kept + copied.segments,
        segments_copied: copied.segments,
        segments_reflinked: copied.reflinked,
        segments_linked: copied.linked,
        segments_kept,
        seals: to_u64(source.seals.len()),
        bytes,
        bytes_copied: copied.bytes,
        bytes_kept: bytes.saturating_sub(copied.bytes),
        events: last_sequence.get(),
        last_sequence,
        merkle_root: source.root,
        seal_digest: source.seals.last().map(|(_, digest)| *digest),
    }
}

/// Of an error about the backup, and not about the store: that it is, and where.
fn in_backup(to: &Path, error: Error) -> Error {
    match error.corruption() {
        Some(corruption) => {
            let file = to.join(&corruption.file).display().to_string();
            Error::corrupt(Corruption { file, ..corruption.clone() })
        }
        None => error.context(format!("the backup {}", to.display())),
    }
}

/// Gives the copy its name, durably. Every file and folder in it is synced.
fn publish(disk: &dyn Disk, partial: &Path, to: &Path) -> Result<()> {
    let io = |source| Error::from_io(format!("name the copy {}", to.display()), source);
    if disk.kind(to).map_err(io)?.is_some() {
        return Err(Error::new(
            ErrorKind::AlreadyExists,
            format!("{} was made by somebody else meanwhile", to.display()),
        ));
    }
    rename_durably(disk, partial, to).map_err(io)
}

/// Renames a folder within its parent. Where that could not be made durable, it is undone: nothing was promised.
fn rename_durably(disk: &dyn Disk, from: &Path, to: &Path) -> std::io::Result<()> {
    disk.rename(from, to)?;
    disk.sync_directory(parent(to)).inspect_err(|_| {
        let _ = disk.rename(to, from);
    })
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
