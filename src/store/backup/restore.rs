//! Making a store of a backup.
//!
//! It is a copy like a backup's, made the other way: in a folder of its own, verified, and then named. A store that stands in
//! the place is set aside by a rename, and never deleted.
//!
//! The store's id stays, since it is the same store at an earlier time. Its session is one that neither the backup nor the store that
//! stood there has had: who has read that one, and goes on reading, sees that another writer was there.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::{BackupProgress, RestoreOptions, RestoreReport, Watch, make, parent, partial_of, publish, remove_all};
use super::{place_of, rename_durably, source, store_at, watching};
use crate::disk::{Disk, DiskLock, EntryKind};
use crate::error::{Error, ErrorKind, Result};
use crate::format::frame::to_u64;
use crate::format::identity::Identity;
use crate::recovery::examine;
use crate::store::create::{self, Standing};
use crate::store::environment::Environment;
use crate::store::resolved;

/// Restores the backup in the folder `backup` into the folder `to`, where nothing may stand. The backup is verified first, and the
/// copy is read back before it gets its name; the backup stays as it is, and can be restored again. What was restored is a store that
/// opens and goes on, as one that was closed when the backup was made; its first open makes the index.
///
/// It has the store's id, and what was written since the backup is not in it. What that means for payments and for whoever follows the
/// log is in [durability](crate::docs::durability).
///
/// # Errors
/// `NotFound`: there is no backup, or no folder for `to` to stand in. `AlreadyExists`: something stands at `to`. `Corrupt`: the backup
/// is damaged, or what was read back. `NotAStore`, `UnsupportedFormat`, `InvalidInput`: `to` lies inside the backup. `StorageFull`,
/// `Io`. After each of them `to` is as it was, and what was copied is removed.
pub fn restore(backup: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<RestoreReport> {
    restore_with(backup, to, &RestoreOptions::new(), &mut |_| ControlFlow::Continue(()))
}

/// As [`restore`], with options, telling how far it is; `Break` ends it.
///
/// # Errors
/// As [`restore`]. `Aborted`: `progress` said `Break`. Where a store is replaced: `Locked`: somebody writes to it. `Refused`: it is
/// another store. Then a power cut between the two renames leaves nothing at `to`, and the store that stood there at
/// `TO.before-restore-N`; the restore can be begun again.
pub fn restore_with(
    backup: impl AsRef<Path>,
    to: impl AsRef<Path>,
    options: &RestoreOptions,
    progress: &mut dyn FnMut(BackupProgress) -> ControlFlow<()>,
) -> Result<RestoreReport> {
    let (backup, to) = (resolved(backup.as_ref()), place_of(to.as_ref()));
    restore_in(&Environment::default(), backup, to, options, progress)
}

/// As [`restore_with`], on something else than the operating system's files.
///
/// # Errors
/// As [`restore_with`].
pub fn restore_in(
    environment: &Environment,
    backup: impl AsRef<Path>,
    to: impl AsRef<Path>,
    options: &RestoreOptions,
    progress: &mut dyn FnMut(BackupProgress) -> ControlFlow<()>,
) -> Result<RestoreReport> {
    let (backup, to) = (backup.as_ref(), to.as_ref());
    let disk = environment.disk.as_ref();
    let identity = store_at(disk, backup)?;
    let partial = partial_of(disk, backup, to)?;
    let replaced = Replaced::find(disk, backup, to, identity, options)?;
    let watch: &mut Watch<'_> = &mut watching("the restore", progress);
    let source = source::read(environment, backup, identity, None, watch)?;
    let before = replaced.as_ref().map_or(0, |replaced| replaced.session);
    let session = source.session.max(before).saturating_add(1);
    let restored = make(environment, &partial, &source, session, false, watch)
        .and_then(|copied| Ok((copied, put_in_place(disk, &partial, to, replaced.as_ref())?)));
    let (copied, set_aside) = restored.inspect_err(|_| remove_all(disk, &partial))?;
    let last_sequence = source.position.next.previous();
    let Some(merkle_root) = source.root else { unreachable!("all of the backup was read") };
    Ok(RestoreReport {
        store_id: identity.store_id,
        segments: copied.segments,
        seals: to_u64(source.seals.len()),
        bytes: copied.bytes,
        events: last_sequence.get(),
        last_sequence,
        merkle_root,
        set_aside,
    })
}

/// The store that stands where one is restored.
struct Replaced {
    session: u64,
    /// So that nobody begins to write to it.
    _lock: Box<dyn DiskLock>,
}

impl Replaced {
    fn find(
        disk: &dyn Disk,
        backup: &Path,
        to: &Path,
        identity: Identity,
        options: &RestoreOptions,
    ) -> Result<Option<Self>> {
        let refuse = |kind, text: &str| Err(Error::new(kind, format!("{} {text}", to.display())));
        let kind = disk.kind(to).map_err(|source| Error::from_io(format!("look at {}", to.display()), source))?;
        match kind {
            None => return Ok(None),
            Some(EntryKind::Directory) if options.replace => {}
            Some(_) => return refuse(ErrorKind::AlreadyExists, "exists; a store is restored into a new place"),
        }
        if backup.starts_with(to) {
            return refuse(ErrorKind::InvalidInput, "has the backup inside it; restore into another place");
        }
        match create::standing(disk, to) {
            Ok(Standing::Store(found)) if found.store_id == identity.store_id => {}
            Ok(Standing::Store(_)) => return refuse(ErrorKind::Refused, "is another store; it is not replaced"),
            Ok(_) => return refuse(ErrorKind::AlreadyExists, "is no store; it is not replaced"),
            // That it is damaged may be why it is restored.
            Err(error) if error.is_corruption() => {}
            Err(error) => return Err(error),
        }
        let lock = create::lock(disk, to)?;
        // One that cannot be read says nothing.
        let session = examine::read_control(disk, to, identity.store_id).map_or(0, |control| control.session);
        Ok(Some(Self { session, _lock: lock }))
    }
}

/// Names the store that was made; where the one that stood there is now. It is set aside durably before its name is taken: two
/// renames may reach the disk in any order, and the later one alone would take its name from it.
fn put_in_place(disk: &dyn Disk, partial: &Path, to: &Path, replaced: Option<&Replaced>) -> Result<Option<PathBuf>> {
    if replaced.is_none() {
        return publish(disk, partial, to).map(|()| None);
    }
    let aside = free_name(disk, to)?;
    let io = |source| Error::from_io(format!("set {} aside as {}", to.display(), aside.display()), source);
    rename_durably(disk, to, &aside).map_err(io)?;
    publish(disk, partial, to).inspect_err(|_| {
        if let Err(error) = rename_durably(disk, &aside, to) {
            tracing::warn!(%error, aside = %aside.display(), "a store that was set aside cannot be put back");
        }
    })?;
    Ok(Some(aside))
}

fn free_name(disk: &dyn Disk, to: &Path) -> Result<PathBuf> {
    let mut number = 1u64;
    loop {
        let mut name = to.file_name().unwrap_or_default().to_owned();
        name.push(format!(".before-restore-{number}"));
        let path = parent(to).join(name);
        let kind = disk.kind(&path).map_err(|source| Error::from_io(format!("look at {}", path.display()), source))?;
        if kind.is_none() {
            return Ok(path);
        }
        number += 1;
    }
}
