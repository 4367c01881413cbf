//! The file `repair`: a repair that is ready to be carried out, and is carried out to its end by whoever finds it.
//!
//! Until it is there the store is as before. From then on nothing opens the store but a repair, and every step of that can be made
//! again. It is removed when the store is repaired.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{RepairOutcome, RepairPlan};
use crate::codec;
use crate::disk::{self, Disk, OpenMode};
use crate::error::{Corruption, Error, Result};
use crate::format::checksum::crc32;
use crate::log::files;
use crate::log::roll::TEMPORARY;

/// The file's name.
pub(crate) const REPAIR: &str = "repair";

/// What is to be done, and what is then told of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Intent {
    pub(super) plan: RepairPlan,
    pub(super) outcome: RepairOutcome,
    /// New segments that get their names, each by its first sequence.
    pub(super) segments: Vec<u64>,
    /// Files in the log's folder that have no place any more.
    pub(super) removed: Vec<String>,
    /// The store gets a new identity.
    pub(super) has_identity: bool,
    /// The folder in `quarantine/` that the removed bytes are in.
    pub(super) quarantine: String,
}

/// Refuses a store whose repair was begun and is not finished.
///
/// # Errors
/// `Corrupt`, `Io`.
pub(crate) fn check_none(disk: &dyn Disk, root: &Path) -> Result<()> {
    let path = root.join(REPAIR);
    match disk.kind(&path).map_err(|source| Error::from_io(format!("look at {}", path.display()), source))? {
        None => Ok(()),
        Some(_) => Err(Error::corrupt(Corruption {
            file: REPAIR.into(),
            offset: None,
            sequence: None,
            expected: "a store that is not being repaired".into(),
            found: "a repair that was begun and is not finished; repair it again to finish that".into(),
        })),
    }
}

impl Intent {
    /// The one that is there.
    ///
    /// # Errors
    /// `Corrupt`: it is damaged. `Io`.
    pub(super) fn read(disk: &dyn Disk, root: &Path) -> Result<Option<Self>> {
        let bytes = match files::read_whole(disk, &root.join(REPAIR)) {
            Ok(bytes) => bytes,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(Error::from_io("read repair", error)),
        };
        let content = bytes.split_first_chunk::<4>().filter(|(sum, rest)| crc32(rest).to_le_bytes() == **sum);
        content.and_then(|(_, rest)| codec::decode(rest).ok()).map(Some).ok_or_else(|| {
            Error::corrupt(Corruption {
                file: REPAIR.into(),
                offset: Some(0),
                sequence: None,
                expected: "a repair that was begun".into(),
                found: "something else".into(),
            })
        })
    }

    /// Makes it be there, whole, after a power cut too.
    ///
    /// # Errors
    /// `StorageFull`, `Io`: it may be there.
    pub(super) fn write(&self, disk: &dyn Disk, root: &Path) -> Result<()> {
        let content = codec::encode(self)?;
        let name = format!("{REPAIR}{TEMPORARY}");
        write_durably(disk, &root.join(&name), &[&crc32(&content).to_le_bytes(), &content])
            .and_then(|()| disk.sync_directory(root))
            .and_then(|()| disk.rename(&root.join(&name), &root.join(REPAIR)))
            .and_then(|()| disk.sync_directory(root))
            .map_err(|source| Error::from_io("write repair", source))
    }
}

/// Writes a file of its own, in place of one that is there, and syncs it.
pub(crate) fn write_durably(disk: &dyn Disk, path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    if disk.kind(path)?.is_some() {
        disk.remove(path)?;
    }
    let file = disk.open(path, OpenMode::CreateNew)?;
    disk::write_all_at(file.as_ref(), parts, 0)?;
    disk::settle(file.as_ref())
}
