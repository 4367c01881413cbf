//! Who still needs what of the log.

use std::path::Path;

use super::plan::{Hold, KeptBecause};
use super::{ArchiveBackup, ArchiveOptions};
use crate::disk::Disk;
use crate::error::{Error, ErrorKind, Result};
use crate::format::segment;
use crate::index::Direction;
use crate::log::files::{LogFiles, read_whole};
use crate::recovery::examine::LOG;
use crate::store::create::{self, Standing};
use crate::store::shared::Shared;
use crate::types::{Sequence, Version};

/// What keeps a service's recovery point apart from a consumer's checkpoint: the beginning of its name.
const SERVICE: &str = "service/";

/// All that holds segments of this store.
pub(super) fn holds(shared: &Shared, options: &ArchiveOptions) -> Result<Vec<Hold>> {
    let mut holds = vec![index(shared)];
    for (name, at) in shared.checkpoints.all()? {
        let because = match name.strip_prefix(SERVICE) {
            Some(service) => KeptBecause::Service { name: service.to_owned(), at },
            None => KeptBecause::Consumer { name, at },
        };
        holds.push(Hold { because, passed: at });
    }
    if !options.past_snapshots {
        holds.extend(snapshot(shared)?);
    }
    holds.extend(match &options.backup {
        ArchiveBackup::Unnamed => Some(Hold { because: KeptBecause::NoBackup, passed: Sequence::ZERO }),
        ArchiveBackup::Without => None,
        ArchiveBackup::Through(through) => {
            Some(Hold { because: KeptBecause::Backup { through: *through }, passed: *through })
        }
        ArchiveBackup::Folder(folder) => {
            let through = backed_up(shared, folder)?;
            Some(Hold { because: KeptBecause::Backup { through }, passed: through })
        }
    });
    Ok(holds)
}

/// An open reads on from where the index ends, so the segment that lies in stays, and all behind it.
fn index(shared: &Shared) -> Hold {
    let mark = shared.index.watermark();
    let through = mark.map_or(Sequence::ZERO, |mark| mark.sequence);
    let passed = mark.map_or(Sequence::ZERO, |mark| mark.segment.previous());
    Hold { because: KeptBecause::Index { through }, passed }
}

/// Of all aggregates that have a snapshot and events behind it, the one whose first such event is the oldest.
fn snapshot(shared: &Shared) -> Result<Option<Hold>> {
    let mut oldest: Option<(Sequence, String)> = None;
    for id in shared.snapshots.newest_ids()? {
        let Some((stream, version)) = id.rsplit_once('@') else { continue };
        let Ok(version) = version.parse().map(Version::new) else { continue };
        if let Some(needs) = sequence_of(shared, stream, version.next())?
            && oldest.as_ref().is_none_or(|(known, _)| needs < *known)
        {
            oldest = Some((needs, id));
        }
    }
    Ok(oldest.map(|(needs, id)| Hold { because: KeptBecause::Snapshot { id, needs }, passed: needs.previous() }))
}

/// The sequence of a stream's event, without reading it; `None` where there is no such version.
fn sequence_of(shared: &Shared, stream: &str, version: Version) -> Result<Option<Sequence>> {
    let in_memory = {
        let view = shared.view.read();
        let is_here = view.first_version(stream).is_some_and(|first| first <= version);
        is_here.then(|| view.places(stream, version, Direction::Forwards, 1))
    };
    let places = match in_memory {
        Some(places) => places,
        None => shared.index.places(stream, version, Direction::Forwards, 1)?,
    };
    Ok(places.first().map(|(_, place)| place.sequence))
}

/// The last sequence of the sealed segments that a backup holds just as the store does: it has each one's file, and its seal has
/// the same digest, which stands on all that came before.
///
/// # Errors
/// `NotFound`: there is no store. `InvalidInput`: it is of another store. `Corrupt`, `NotAStore`, `UnsupportedFormat`, `Io`.
fn backed_up(shared: &Shared, folder: &Path) -> Result<Sequence> {
    let disk = shared.environment.disk.as_ref();
    let Standing::Store(identity) = create::standing(disk, folder)? else {
        return Err(Error::new(ErrorKind::NotFound, format!("{}: there is no backup", folder.display())));
    };
    if identity.store_id != shared.store_id {
        let text = format!("{} is a backup of store {}, and not of this one", folder.display(), identity.store_id);
        return Err(Error::new(ErrorKind::InvalidInput, text));
    }
    let mut through = Sequence::ZERO;
    for held in shared.files.all() {
        let Some((seal, digest)) = shared.files.read_seal(held.first) else { break };
        if !holds_segment(disk, &folder.join(LOG), &shared.files, held.first, (digest, seal.end_offset))? {
            break;
        }
        through = seal.last_sequence;
    }
    Ok(through)
}

/// Whether a backup's log has this segment, plain and not shorter than what the seal is of, with a seal of this digest.
fn holds_segment(
    disk: &dyn Disk,
    log: &Path,
    files: &LogFiles,
    first: Sequence,
    (digest, end_offset): (crate::format::merkle::Hash, u64),
) -> Result<bool> {
    use crate::format::seal::Seal;
    let Ok(bytes) = read_whole(disk, &log.join(segment::seal_name(first))) else { return Ok(false) };
    if Seal::decode(&bytes, files.store_id, first).is_none_or(|(_, found)| found != digest) {
        return Ok(false);
    }
    let Ok(file) = disk.open(&log.join(segment::file_name(first)), crate::disk::OpenMode::Read) else {
        return Ok(false);
    };
    let length = file.length().map_err(|source| Error::from_io(format!("look at {}", log.display()), source))?;
    Ok(length >= end_offset)
}
