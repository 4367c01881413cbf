//! Where an import writes to: a new store beside its place, or the store that is there.

use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::line::Header;
use crate::disk::{Disk, EntryKind};
use crate::error::{Error, ErrorKind, Result};
use crate::recovery::examine::INDEX;
use crate::store::backup;
use crate::store::create::{self, Standing};
use crate::store::environment::Environment;
use crate::types::Sequence;

/// Where an import writes to.
pub(super) struct Target<'a> {
    root: &'a Path,
    /// Where a new store is made; `None` where there is one.
    partial: Option<PathBuf>,
}

impl<'a> Target<'a> {
    /// Looks what is at `root`, and whether the export can go there.
    ///
    /// # Errors
    /// `Conflict`: another store is there, or the export does not begin where a new store does. `NotFound`: there is no folder for it
    /// to stand in. `NotAStore`, `UnsupportedFormat`, `Corrupt`, `Io`.
    pub(super) fn look(disk: &dyn Disk, root: &'a Path, header: &Header) -> Result<Self> {
        let io = |source| Error::from_io(format!("look at {}", root.display()), source);
        if let Standing::Store(identity) = create::standing(disk, root)? {
            if identity.store_id != header.store_id {
                let text = format!(
                    "{} is the store {}, and the export is of {}: import it into a folder of its own",
                    root.display(),
                    identity.store_id,
                    header.store_id
                );
                return Err(Error::new(ErrorKind::Conflict, text));
            }
            return Ok(Self { root, partial: None });
        }
        if disk.kind(root).map_err(io)?.is_some() && !disk.list(root).map_err(io)?.is_empty() {
            let text = format!("{} is no store yet, and it is not empty", root.display());
            return Err(Error::new(ErrorKind::NotAStore, text));
        }
        if header.first_sequence != Sequence::FIRST {
            let text = format!(
                "the export begins with sequence {}, and there is no store in {} that has what is before",
                header.first_sequence,
                root.display()
            );
            return Err(Error::new(ErrorKind::Conflict, text));
        }
        if disk.kind(parent(root)).map_err(io)? != Some(EntryKind::Directory) {
            let text = format!("{}: there is no such folder for the store", parent(root).display());
            return Err(Error::new(ErrorKind::NotFound, text));
        }
        let Some(name) = root.file_name() else {
            return Err(Error::new(ErrorKind::InvalidInput, format!("{} names no folder", root.display())));
        };
        let mut name = name.to_owned();
        name.push(format!(".partial-{}", Uuid::now_v7().simple()));
        Ok(Self { root, partial: Some(root.with_file_name(name)) })
    }

    pub(super) fn is_new(&self) -> bool {
        self.partial.is_some()
    }

    /// The folder to write to.
    pub(super) fn folder(&self) -> &Path {
        self.partial.as_deref().unwrap_or(self.root)
    }

    /// Gives a new store its name, durably. It is closed.
    ///
    /// # Errors
    /// `AlreadyExists`: something was put there meanwhile. `Io`.
    pub(super) fn publish(&self, environment: &Environment) -> Result<()> {
        let Some(partial) = &self.partial else { return Ok(()) };
        let disk = environment.disk.as_ref();
        let io = |source| Error::from_io(format!("name the store {}", self.root.display()), source);
        // An empty folder was in its place; one that is not empty stays.
        if disk.kind(self.root).map_err(io)?.is_some() && disk.remove_directory(self.root).is_err() {
            let text = format!("{} was made by somebody else meanwhile", self.root.display());
            return Err(Error::new(ErrorKind::AlreadyExists, text));
        }
        disk.rename(partial, self.root).map_err(io)?;
        disk.sync_directory(parent(self.root)).map_err(io).inspect_err(|_| {
            // It is whole, but its name may not last: none was promised.
            let _ = disk.rename(self.root, partial);
        })
    }

    /// Removes a new store that is not to be.
    pub(super) fn discard(&self, environment: &Environment) {
        let Some(partial) = &self.partial else { return };
        if let Err(error) = environment.index.remove(&partial.join(INDEX)) {
            tracing::warn!(%error, "the index of an import that failed cannot be removed");
        }
        if environment.disk.kind(partial).is_ok_and(|kind| kind.is_some()) {
            backup::remove_all(environment.disk.as_ref(), partial);
        }
    }
}

/// The folder that a path stands in.
pub(super) fn parent(path: &Path) -> &Path {
    backup::parent(path)
}
