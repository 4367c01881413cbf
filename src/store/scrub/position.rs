//! Where a scrub was, in a small file: checksummed, disposable, and evidence of nothing.
//!
//! ```text
//! 0  [8]  magic "BITASCRB"
//! 8  u16  version, 1
//! 10 [..] the position, encoded as payloads are
//! .. u32  CRC-32 of all before it
//! ```
//! It is written beside and renamed, and not synced: what a power cut leaves of it is the old one, the new one, or nothing that
//! passes its checksum, and then the scrub begins anew.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::codec;
use crate::disk::{self, Disk, OpenMode};
use crate::format::checksum::crc32;
use crate::format::merkle::Hash;
use crate::log::files;
use crate::log::roll::TEMPORARY;
use crate::log::scan;
use crate::store::verify::Finding;
use crate::store::verify::segments::Joint;
use crate::types::{Sequence, StoreId, Timestamp};

/// The file's name in the store's folder.
pub(super) const NAME: &str = "scrub";
const MAGIC: &[u8; 8] = b"BITASCRB";
const VERSION: u16 = 1;
const CHECKSUM_BYTES: usize = 4;

/// A pass over the log, as far as it has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    store_id: [u8; 16],
    /// Its number, from 1.
    pub(super) pass: u64,
    pub(super) started: Timestamp,
    /// When the pass before began, all of which was read to its end.
    pub(super) previous: Option<Timestamp>,
    pub(super) is_done: bool,
    /// The last segment that was read.
    pub(super) read: Option<Sequence>,
    joint: Option<SavedJoint>,
    pub(super) seal: Option<Hash>,
    pub(super) segments: u64,
    pub(super) events: u64,
    pub(super) bytes: u64,
    pub(super) last_sequence: Sequence,
    pub(super) reads_repeated: u64,
    pub(super) findings: Vec<Finding>,
    pub(super) findings_left_off: u64,
}

/// Where a segment ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SavedJoint {
    segment: Sequence,
    offset: u64,
    next: Sequence,
    chain: u32,
    timestamp: Timestamp,
    previous_frame: Option<u32>,
}

impl Position {
    /// The beginning of the first pass over a store.
    pub(super) fn first(store_id: StoreId, now: Timestamp) -> Self {
        Self { store_id: *store_id.as_bytes(), pass: 1, started: now, ..Self::default() }
    }

    /// The beginning of the pass after this one.
    pub(super) fn next(&self, now: Timestamp) -> Self {
        let previous = if self.is_done { Some(self.started) } else { self.previous };
        Self { store_id: self.store_id, pass: self.pass + 1, started: now, previous, ..Self::default() }
    }

    pub(super) fn joint(&self) -> Joint {
        let joint = self.joint.as_ref()?;
        let SavedJoint { offset, next, chain, timestamp, previous_frame, .. } = *joint;
        Some((joint.segment, scan::Position { offset, next, chain, timestamp, previous_frame }))
    }

    pub(super) fn set_joint(&mut self, joint: Joint) {
        self.joint = joint.map(|(segment, position)| {
            let scan::Position { offset, next, chain, timestamp, previous_frame } = position;
            SavedJoint { segment, offset, next, chain, timestamp, previous_frame }
        });
    }

    fn encode(&self) -> crate::Result<Vec<u8>> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&codec::encode(self)?);
        let checksum = crc32(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        Ok(bytes)
    }

    /// `None`: another file, another version, damaged, or of another store.
    fn decode(bytes: &[u8], store_id: StoreId) -> Option<Self> {
        let (checked, checksum) = bytes.split_last_chunk::<CHECKSUM_BYTES>()?;
        let body = checked.strip_prefix(MAGIC)?.strip_prefix(&VERSION.to_le_bytes())?;
        if u32::from_le_bytes(*checksum) != crc32(checked) {
            return None;
        }
        codec::decode::<Self>(body).ok().filter(|position| position.store_id == *store_id.as_bytes())
    }
}

/// Where the position of a store is kept: in its folder, or in a folder for those of many stores.
pub(super) fn path(root: &Path, folder: Option<&Path>, store_id: StoreId) -> PathBuf {
    folder.map_or_else(|| root.join(NAME), |folder| folder.join(format!("{NAME}-{store_id}")))
}

/// The position that was kept; `None` where there is none that can be read.
pub(super) fn load(disk: &dyn Disk, path: &Path, store_id: StoreId) -> Option<Position> {
    Position::decode(&files::read_whole(disk, path).ok()?, store_id)
}

/// Keeps a position, in place of the one before.
///
/// # Errors
/// The operating system's: then it is not kept, and the one before is.
pub(super) fn save(disk: &dyn Disk, path: &Path, position: &Position) -> std::io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(TEMPORARY);
    let temporary = Path::new(&temporary);
    let bytes = position.encode().map_err(std::io::Error::other)?;
    if disk.kind(temporary)?.is_some() {
        disk.remove(temporary)?;
    }
    let file = disk.open(temporary, OpenMode::CreateNew)?;
    disk::write_all_at(file.as_ref(), &[&bytes], 0)?;
    disk.rename(temporary, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::FindingKind;

    const STORE: StoreId = StoreId::from_bytes([5; 16]);

    fn position() -> Position {
        let mut position = Position::first(STORE, Timestamp::from_micros(7)).next(Timestamp::from_micros(9));
        position.read = Some(Sequence::new(3));
        position.set_joint(Some((
            Sequence::new(3),
            scan::Position {
                offset: 4_000,
                next: Sequence::new(9),
                chain: 77,
                timestamp: Timestamp::from_micros(5),
                previous_frame: Some(3_000),
            },
        )));
        position.seal = Some([9; 32]);
        position.findings.push(Finding {
            segment: "log/x".into(),
            offset: Some(1),
            sequence: None,
            kind: FindingKind::Read,
            detail: "gone".into(),
        });
        position
    }

    #[test]
    fn what_is_kept_is_read_and_nothing_else_is() {
        let bytes = position().encode().unwrap();
        assert_eq!(Position::decode(&bytes, STORE), Some(position()));
        assert_eq!(Position::decode(&bytes, StoreId::from_bytes([6; 16])), None);
        for byte in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[byte] ^= 1;
            assert_eq!(Position::decode(&damaged, STORE), None, "byte {byte}");
            assert_eq!(Position::decode(&bytes[..byte], STORE), None, "{byte} bytes");
        }
    }

    #[test]
    fn golden_bytes() {
        let bytes = Position::first(StoreId::from_bytes([1; 16]), Timestamp::from_micros(1)).encode().unwrap();
        let golden: Vec<u8> = [&b"BITASCRB\x01\x00"[..], &[1; 16], &[1, 2], &[0; 12]].concat();
        assert_eq!(bytes[..bytes.len() - 4], golden);
    }

    #[test]
    fn a_pass_that_was_not_ended_does_not_count_as_the_one_before() {
        let mut first = Position::first(STORE, Timestamp::from_micros(1));
        assert_eq!(first.next(Timestamp::from_micros(5)).previous, None);
        first.is_done = true;
        let second = first.next(Timestamp::from_micros(5));
        assert_eq!((second.pass, second.previous), (2, Some(Timestamp::from_micros(1))));
        assert_eq!(second.next(Timestamp::from_micros(8)).previous, Some(Timestamp::from_micros(1)));
    }
}
