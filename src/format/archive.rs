//! What stands in the log's folder for a segment that was moved into an archive: its stub.
//!
//! ```text
//!   0  [8]  magic "BITAARCH"
//!   8  u16  format version
//!  10  [6]  zeros
//!  16  [16] store id
//!  32  u64  first sequence
//!  40  u64  last sequence
//!  48  u64  the segment's length
//!  56  u64  the archive's length
//!  64  i64  archived, microseconds
//!  72  [32] SHA-256 of the segment's bytes
//! 104  u16  length of the folder's name
//! 106  the folder, UTF-8: absolute, or relative to the store's
//!  ..  u32  CRC of all bytes before
//! ```

use super::FORMAT_VERSION;
use super::bytes::Bytes;
use super::checksum::crc32;
use crate::types::{Sequence, StoreId, Timestamp};

const MAGIC: &[u8; 8] = b"BITAARCH";
const CHECKSUM_BYTES: usize = 4;

/// Where a segment is that was archived, and what it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stub {
    pub(crate) store_id: StoreId,
    pub(crate) first_sequence: Sequence,
    pub(crate) last_sequence: Sequence,
    pub(crate) segment_bytes: u64,
    pub(crate) archive_bytes: u64,
    pub(crate) archived: Timestamp,
    pub(crate) sha256: [u8; 32],
    pub(crate) folder: String,
}

/// Why bytes are no stub of the segment they should be of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StubDefect {
    /// They are not those that were written, or of another store or segment.
    Damaged,
    /// It was written by a newer version.
    Newer(u16),
}

/// The name of a segment's stub.
pub(crate) fn stub_name(first: Sequence) -> String {
    format!("{:020}.arc", first.get())
}

/// The name of a segment's archive. Several stores may share a folder, so it has the store's id.
pub(crate) fn archive_name(store_id: StoreId, first: Sequence) -> String {
    format!("{store_id}-{:020}.seg.zst", first.get())
}

impl Stub {
    /// The bytes; `None` where the folder's name is longer than 64 KiB.
    pub(crate) fn encode(&self) -> Option<Vec<u8>> {
        let mut bytes = Vec::with_capacity(128 + self.folder.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes.extend_from_slice(&[0; 6]);
        bytes.extend_from_slice(self.store_id.as_bytes());
        let numbers = [self.first_sequence.get(), self.last_sequence.get(), self.segment_bytes, self.archive_bytes];
        numbers.iter().for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
        bytes.extend_from_slice(&self.archived.as_micros().to_le_bytes());
        bytes.extend_from_slice(&self.sha256);
        bytes.extend_from_slice(&u16::try_from(self.folder.len()).ok()?.to_le_bytes());
        bytes.extend_from_slice(self.folder.as_bytes());
        let checksum = crc32(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        Some(bytes)
    }

    /// The stub that `bytes` are of, of the segment that its file's name says.
    pub(crate) fn decode(bytes: &[u8], store_id: StoreId, first_sequence: Sequence) -> Result<Self, StubDefect> {
        let (content, checksum) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or(StubDefect::Damaged)?;
        if crc32(content) != u32::from_le_bytes(*checksum) {
            return Err(StubDefect::Damaged);
        }
        let mut fields = Bytes::new(content);
        if fields.array::<8>().as_ref() != Some(MAGIC) {
            return Err(StubDefect::Damaged);
        }
        // A newer version keeps magic and version where they are, and the checksum at the end.
        match fields.u16() {
            Some(version) if version > FORMAT_VERSION => return Err(StubDefect::Newer(version)),
            Some(_) => {}
            None => return Err(StubDefect::Damaged),
        }
        let stub = Self::parse(fields).ok_or(StubDefect::Damaged)?;
        let is_its_own = stub.store_id == store_id
            && stub.first_sequence == first_sequence
            && stub.last_sequence >= stub.first_sequence;
        if is_its_own { Ok(stub) } else { Err(StubDefect::Damaged) }
    }

    fn parse(mut fields: Bytes<'_>) -> Option<Self> {
        fields.array::<6>().filter(|zeros| *zeros == [0; 6])?;
        let mut stub = Self {
            store_id: StoreId::from_bytes(fields.array()?),
            first_sequence: Sequence::new(fields.u64()?),
            last_sequence: Sequence::new(fields.u64()?),
            segment_bytes: fields.u64()?,
            archive_bytes: fields.u64()?,
            archived: Timestamp::from_micros(fields.i64()?),
            sha256: fields.array()?,
            folder: String::new(),
        };
        std::str::from_utf8(fields.medium()?).ok()?.clone_into(&mut stub.folder);
        fields.rest().is_empty().then_some(stub)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stub() -> Stub {
        Stub {
            store_id: StoreId::from_bytes(*b"0123456789abcdef"),
            first_sequence: Sequence::new(1001),
            last_sequence: Sequence::new(2000),
            segment_bytes: 67_108_864,
            archive_bytes: 9_000_000,
            archived: Timestamp::from_micros(1_700_000_000_000_000),
            sha256: [3; 32],
            folder: "/mnt/usb".into(),
        }
    }

    #[test]
    fn golden_bytes() {
        let bytes = stub().encode().unwrap();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, include_str!("golden/archive.hex").trim());
        assert_eq!(Stub::decode(&bytes, stub().store_id, Sequence::new(1001)), Ok(stub()));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_seen() {
        let bytes = stub().encode().unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(Stub::decode(&damaged, stub().store_id, Sequence::new(1001)).is_err(), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert!(Stub::decode(&bytes[..length], stub().store_id, Sequence::new(1001)).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn one_of_another_segment_or_store_does_not_pass_and_a_newer_one_is_told() {
        let bytes = stub().encode().unwrap();
        let [renamed, foreign] = [
            Stub::decode(&bytes, stub().store_id, Sequence::new(1002)),
            Stub::decode(&bytes, StoreId::from_bytes([1; 16]), Sequence::new(1001)),
        ];
        assert_eq!((renamed, foreign), (Err(StubDefect::Damaged), Err(StubDefect::Damaged)));
        let mut newer = bytes[..bytes.len() - 4].to_vec();
        newer[8] = 9;
        newer.extend_from_slice(&crc32(&newer).to_le_bytes());
        assert_eq!(Stub::decode(&newer, stub().store_id, Sequence::new(1001)), Err(StubDefect::Newer(9)));
        assert_eq!(Stub { folder: "x".repeat(70_000), ..stub() }.encode(), None);
    }
}
