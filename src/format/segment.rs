//! A segment file's name and header.
//!
//! ```text
//!   0  [8]  magic "BITACORA"
//!   8  u16  format version
//!  10  u16  zero
//!  12  u32  offset of the first frame: 512, or 4096 where groups are aligned to sectors
//!  16  [16] store id
//!  32  u64  first sequence
//!  40  u64  ordinal: how many segments came before
//!  48  u64  first sequence of the segment before; zero where there is none
//!  56  u32  chain: the checksum of the last frame of the segment before
//!  60  u32  zero
//!  64  i64  created, microseconds
//!  72  u64  cut bound: how many bytes at the end may be unsynced
//!  80       zeros
//! 508  u32  checksum of bytes 0..508, salted
//! ```
//! Zeros follow up to the first frame.

use super::FORMAT_VERSION;
use super::bytes::{Bytes, is_zero};
use super::checksum::{Salt, crc32};
use super::record::set;
use crate::types::{Sequence, StoreId, Timestamp};

/// The header, bytes.
pub(crate) const HEADER_BYTES: usize = 512;
/// Where frames start if groups are aligned to sectors.
pub(crate) const SECTOR_BYTES: u64 = 4096;

const MAGIC: &[u8; 8] = b"BITACORA";
const CHECKSUM_OFFSET: usize = 508;

/// What a segment says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) frames_offset: u32,
    pub(crate) store_id: StoreId,
    pub(crate) first_sequence: Sequence,
    pub(crate) ordinal: u64,
    pub(crate) previous: Sequence,
    pub(crate) chain: u32,
    pub(crate) created: Timestamp,
    pub(crate) cut_bound: u64,
}

/// Why bytes are no header of the segment they should be of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderDefect {
    /// It ends early, or its magic is another's.
    NoSegment,
    /// It was written by a newer version.
    Newer(u16),
    /// The checksum is of other bytes, another store or another segment.
    Checksum,
    /// The checksum is right, and the fields make no sense.
    Fields,
}

/// The name of a segment's file.
pub(crate) fn file_name(first: Sequence) -> String {
    format!("{:020}.seg", first.get())
}

/// The name of a segment's seal.
pub(crate) fn seal_name(first: Sequence) -> String {
    format!("{:020}.seal", first.get())
}

/// The segment that a file name names.
pub(crate) fn parse_name(name: &str, extension: &str) -> Option<Sequence> {
    let digits = name.strip_suffix(extension)?;
    if digits.len() != 20 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().filter(|number| *number > 0).map(Sequence::new)
}

impl SegmentHeader {
    pub(crate) fn salt(&self) -> Salt {
        Salt::new(self.store_id, self.first_sequence)
    }

    /// The bytes up to the first frame.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(self.frames_offset).unwrap_or(HEADER_BYTES)];
        set(&mut bytes, 0, MAGIC);
        set(&mut bytes, 8, &FORMAT_VERSION.to_le_bytes());
        set(&mut bytes, 12, &self.frames_offset.to_le_bytes());
        set(&mut bytes, 16, self.store_id.as_bytes());
        set(&mut bytes, 32, &self.first_sequence.get().to_le_bytes());
        set(&mut bytes, 40, &self.ordinal.to_le_bytes());
        set(&mut bytes, 48, &self.previous.get().to_le_bytes());
        set(&mut bytes, 56, &self.chain.to_le_bytes());
        set(&mut bytes, 64, &self.created.as_micros().to_le_bytes());
        set(&mut bytes, 72, &self.cut_bound.to_le_bytes());
        let checksum = crc32(bytes.get(..CHECKSUM_OFFSET).unwrap_or_default()) ^ self.salt().at(0);
        set(&mut bytes, CHECKSUM_OFFSET, &checksum.to_le_bytes());
        bytes
    }

    /// The header at the start of `bytes`, of the segment that its file's name says.
    pub(crate) fn decode(bytes: &[u8], store_id: StoreId, first_sequence: Sequence) -> Result<Self, HeaderDefect> {
        let bytes = bytes.get(..HEADER_BYTES).ok_or(HeaderDefect::NoSegment)?;
        let mut fields = Bytes::new(bytes);
        if fields.array::<8>().as_ref() != Some(MAGIC) {
            return Err(HeaderDefect::NoSegment);
        }
        let version = fields.u16().ok_or(HeaderDefect::NoSegment)?;
        let salt = Salt::new(store_id, first_sequence);
        let stored = bytes.get(CHECKSUM_OFFSET..).and_then(|bytes| Bytes::new(bytes).u32());
        let content = bytes.get(..CHECKSUM_OFFSET).unwrap_or_default();
        if stored != Some(crc32(content) ^ salt.at(0)) {
            return Err(HeaderDefect::Checksum);
        }
        // A newer version keeps magic, version and checksum where they are.
        if version > FORMAT_VERSION {
            return Err(HeaderDefect::Newer(version));
        }
        Self::parse(fields)
            .filter(|header| header.store_id == store_id && header.first_sequence == first_sequence)
            .ok_or(HeaderDefect::Fields)
    }

    fn parse(mut fields: Bytes<'_>) -> Option<Self> {
        fields.u16()?;
        let header = Self {
            frames_offset: fields.u32()?,
            store_id: StoreId::from_bytes(fields.array()?),
            first_sequence: Sequence::new(fields.u64()?),
            ordinal: fields.u64()?,
            previous: Sequence::new(fields.u64()?),
            chain: fields.u32()?,
            created: {
                fields.u32()?;
                Timestamp::from_micros(fields.i64()?)
            },
            cut_bound: fields.u64()?,
        };
        let offset = u64::from(header.frames_offset);
        let offset_is_known = offset == SECTOR_BYTES || usize::try_from(offset) == Ok(HEADER_BYTES);
        let rest = fields.take(CHECKSUM_OFFSET - 80)?;
        (offset_is_known && is_zero(rest)).then_some(header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> SegmentHeader {
        SegmentHeader {
            frames_offset: 512,
            store_id: StoreId::from_bytes(*b"0123456789abcdef"),
            first_sequence: Sequence::new(1001),
            ordinal: 1,
            previous: Sequence::FIRST,
            chain: 0xdead_beef,
            created: Timestamp::from_micros(1_700_000_000_000_000),
            cut_bound: 4096,
        }
    }

    #[test]
    fn golden_bytes() {
        let bytes = header().encode();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, include_str!("golden/segment.hex").trim());
        assert_eq!(SegmentHeader::decode(&bytes, header().store_id, Sequence::new(1001)), Ok(header()));
    }

    #[test]
    fn every_flipped_bit_is_seen() {
        let bytes = header().encode();
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(SegmentHeader::decode(&damaged, header().store_id, Sequence::new(1001)).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_segment_under_another_name_does_not_pass() {
        let bytes = header().encode();
        let renamed = SegmentHeader::decode(&bytes, header().store_id, Sequence::new(1002));
        assert_eq!(renamed, Err(HeaderDefect::Checksum));
        let foreign = SegmentHeader::decode(&bytes, StoreId::from_bytes([1; 16]), Sequence::new(1001));
        assert_eq!(foreign, Err(HeaderDefect::Checksum));
    }

    #[test]
    fn a_newer_version_is_told_from_damage() {
        let mut bytes = header().encode();
        bytes[8..10].copy_from_slice(&2u16.to_le_bytes());
        let checksum = crc32(&bytes[..508]) ^ header().salt().at(0);
        bytes[508..].copy_from_slice(&checksum.to_le_bytes());
        assert_eq!(SegmentHeader::decode(&bytes, header().store_id, Sequence::new(1001)), Err(HeaderDefect::Newer(2)));
    }

    #[test]
    fn names_are_parsed_strictly() {
        assert_eq!(parse_name(&file_name(Sequence::new(7)), ".seg"), Some(Sequence::new(7)));
        for name in [
            "7.seg",
            "00000000000000000000.seg",
            "0000000000000000000x.seg",
            "00000000000000000007.tmp",
            "99999999999999999999.seg",
        ] {
            assert_eq!(parse_name(name, ".seg"), None, "{name}");
        }
    }
}
