//! A commit's bytes.
//!
//! ```text
//!  0  u32  checksum: CRC of bytes 4..56, salted with the offset
//!  4  u16  magic
//!  6  u8   kind: 1 commit, 2 sync mark, 3 close mark
//!  7  u8   flags: 1 idempotency key
//!  8  u64  first sequence (of a mark: the next one)
//! 16  u32  event count
//! 20  u32  body length, without padding
//! 24  u32  padding length, zeros after the body
//! 28  u32  body checksum: CRC of the key block and of the records' checksums
//! 32  u64  durable-through: the last sequence that was synced when this frame was built
//! 40  i64  commit time, microseconds
//! 48  u32  chain: the checksum of the frame before
//! 52  u32  zero
//! 56  body: key block (u8 length, key, 32 bytes content hash), records; then padding to 8 bytes or a sector
//! ```
//!
//! The header's own checksum comes first, so that no length is trusted before it. The body checksum covers the records'
//! checksums and not their bytes: each byte is read once, and the chain from frame to frame covers all of it.

use super::bytes::{Bytes, index, is_zero};
use super::checksum::{Gathering, Salt, crc32};
pub(crate) use super::draft::{Draft, FramePlace, mark};
use super::record::{self, Outline, RecordDefect, RecordRef};
use crate::error::Result;
use crate::limits;
use crate::sabotage::{self, Defect};
use crate::types::{Sequence, Timestamp};

/// The header, bytes.
pub(crate) const HEADER_BYTES: usize = 56;
/// Every frame starts at a multiple of this.
pub(crate) const ALIGNMENT: u64 = 8;

/// The largest frame: the largest commit, padded to a sector.
const BYTES_MAX: u64 = limits::COMMIT_BYTES_MAX as u64 + 4096;

pub(super) const MAGIC: u16 = 0xB17A;
pub(super) const FLAG_KEY: u8 = 1;
pub(super) const HASH_BYTES: usize = 32;

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameKind {
    /// Events.
    Commit,
    /// It says how far the log was durable, and holds nothing.
    SyncMark,
    /// As a sync mark, at the end of a clean close.
    CloseMark,
}

/// A frame's header, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) kind: FrameKind,
    pub(crate) has_key: bool,
    pub(crate) first_sequence: Sequence,
    pub(crate) event_count: u32,
    pub(crate) body_bytes: u32,
    pub(crate) padding_bytes: u32,
    pub(crate) body_checksum: u32,
    pub(crate) durable_through: Sequence,
    pub(crate) timestamp: Timestamp,
    pub(crate) chain: u32,
    pub(crate) checksum: u32,
}

/// Why bytes are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameDefect {
    /// They end before the frame does.
    Overrun,
    /// The header's checksum is of other bytes, or of another place.
    HeaderChecksum,
    /// The header's checksum is right, and its fields make no sense.
    HeaderFields,
    /// The body's checksum does not fit its records.
    BodyChecksum,
    /// The body does not hold what the header says.
    BodyFields,
    /// The padding is not zeros.
    Padding,
    /// A record, counted from zero, is damaged.
    Record(u32, RecordDefect),
}

impl std::fmt::Display for FrameDefect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Overrun => f.write_str("a frame that ends beyond its segment"),
            Self::HeaderChecksum => f.write_str("no frame header: its checksum fails"),
            Self::HeaderFields => f.write_str("a frame header with fields out of range"),
            Self::BodyChecksum => f.write_str("a frame whose body checksum fails"),
            Self::BodyFields => f.write_str("a frame whose body is not what its header says"),
            Self::Padding => f.write_str("a frame whose padding is not zero"),
            Self::Record(number, RecordDefect::Checksum) => {
                write!(f, "record {number} of the frame with a failing checksum")
            }
            Self::Record(number, defect) => write!(f, "record {number} of the frame malformed ({defect:?})"),
        }
    }
}

impl FrameHeader {
    /// All bytes of the frame.
    pub(crate) fn total_bytes(&self) -> u64 {
        u64::try_from(HEADER_BYTES).unwrap_or(0) + u64::from(self.body_bytes) + u64::from(self.padding_bytes)
    }

    /// The sequence that follows this frame.
    pub(crate) fn next_sequence(&self) -> Sequence {
        self.first_sequence.plus(u64::from(self.event_count))
    }

    /// The last sequence in it; of a mark, the one before it.
    pub(crate) fn last_sequence(&self) -> Sequence {
        self.next_sequence().previous()
    }
}

/// A frame that lies in its segment: a checked header and the bytes of its body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameRef<'a> {
    pub(crate) header: FrameHeader,
    pub(crate) offset: u64,
    body: &'a [u8],
    salt: Salt,
}

/// Whether these bytes may start a header at all: cheap, for looking ahead.
pub(crate) fn may_start(bytes: &[u8]) -> bool {
    bytes.get(4..6) == Some(&MAGIC.to_le_bytes())
}

/// The header at the start of `bytes`, checked; `remaining` is how many bytes of the segment are left from there.
pub(crate) fn read_header(bytes: &[u8], salt: Salt, offset: u64, remaining: u64) -> Result<FrameHeader, FrameDefect> {
    let bytes = bytes.get(..HEADER_BYTES).ok_or(FrameDefect::Overrun)?;
    let mut fields = Bytes::new(bytes);
    let checksum = fields.u32().ok_or(FrameDefect::Overrun)?;
    if crc32(fields.rest()) ^ salt.at(offset) != checksum && !sabotage::has(Defect::HeaderOutsideChecksum) {
        return Err(FrameDefect::HeaderChecksum);
    }
    let header = parse_header(fields, checksum).ok_or(FrameDefect::HeaderFields)?;
    if header.total_bytes() > remaining {
        return Err(FrameDefect::Overrun);
    }
    Ok(header)
}

fn parse_header(mut fields: Bytes<'_>, checksum: u32) -> Option<FrameHeader> {
    if fields.u16()? != MAGIC {
        return None;
    }
    let kind = match fields.u8()? {
        1 => FrameKind::Commit,
        2 => FrameKind::SyncMark,
        3 => FrameKind::CloseMark,
        _ => return None,
    };
    let flags = fields.u8()?;
    let header = FrameHeader {
        kind,
        has_key: flags & FLAG_KEY != 0,
        first_sequence: Sequence::new(fields.u64()?),
        event_count: fields.u32()?,
        body_bytes: fields.u32()?,
        padding_bytes: fields.u32()?,
        body_checksum: fields.u32()?,
        durable_through: Sequence::new(fields.u64()?),
        timestamp: Timestamp::from_micros(fields.i64()?),
        chain: fields.u32()?,
        checksum,
    };
    let is_commit = kind == FrameKind::Commit;
    let sound = flags & !FLAG_KEY == 0
        && fields.u32()? == 0
        && header.first_sequence != Sequence::ZERO
        && is_commit == (header.event_count > 0)
        && (is_commit || header.body_bytes == 0)
        && header.total_bytes() <= BYTES_MAX
        && header.total_bytes().is_multiple_of(ALIGNMENT);
    sound.then_some(header)
}

impl<'a> FrameRef<'a> {
    /// The first sequence of its segment.
    pub(crate) fn segment(&self) -> Sequence {
        self.salt.segment()
    }

    /// The frame at the start of `bytes`, whose header was read from there; checks its body.
    pub(crate) fn read(header: FrameHeader, bytes: &'a [u8], salt: Salt, offset: u64) -> Result<Self, FrameDefect> {
        let frame = Self::unchecked(header, bytes, salt, offset)?;
        let padding = bytes.get(HEADER_BYTES + frame.body.len()..).ok_or(FrameDefect::Overrun)?;
        let padding = padding.get(..index(header.padding_bytes)).ok_or(FrameDefect::Overrun)?;
        if !is_zero(padding) {
            return Err(FrameDefect::Padding);
        }
        let mut checksum = Gathering::after(frame.key_block()?);
        let mut records = frame.records()?;
        for record in records.by_ref() {
            checksum.push(record?.record.checksum);
        }
        frame.check_body(records.rest, checksum)?;
        Ok(frame)
    }

    /// That the records end where the body does, and that their checksums are those that it was written with.
    fn check_body(&self, rest: &[u8], checksum: Gathering) -> Result<(), FrameDefect> {
        if !rest.is_empty() {
            return Err(FrameDefect::BodyFields);
        }
        if checksum.finish() != self.header.body_checksum && !sabotage::has(Defect::BodyOutsideChecksum) {
            return Err(FrameDefect::BodyChecksum);
        }
        Ok(())
    }

    /// The same without checking the body: each record is checked when it is read.
    pub(crate) fn unchecked(
        header: FrameHeader,
        bytes: &'a [u8],
        salt: Salt,
        offset: u64,
    ) -> Result<Self, FrameDefect> {
        let body = bytes.get(HEADER_BYTES..HEADER_BYTES + index(header.body_bytes)).ok_or(FrameDefect::Overrun)?;
        Ok(Self { header, offset, body, salt })
    }

    /// The idempotency key and the hash of the content it stands for.
    pub(crate) fn key(&self) -> Result<Option<(&'a str, [u8; HASH_BYTES])>, FrameDefect> {
        if !self.header.has_key {
            return Ok(None);
        }
        let mut fields = Bytes::new(self.body);
        let key = fields.short().and_then(|key| std::str::from_utf8(key).ok());
        match (key, fields.array()) {
            (Some(key), Some(hash)) => Ok(Some((key, hash))),
            _ => Err(FrameDefect::BodyFields),
        }
    }

    fn key_block(&self) -> Result<&'a [u8], FrameDefect> {
        if !self.header.has_key {
            return Ok(&[]);
        }
        let length = self.body.first().map_or(0, |length| 1 + usize::from(*length) + HASH_BYTES);
        self.body.get(..length).filter(|block| !block.is_empty()).ok_or(FrameDefect::BodyFields)
    }

    /// Where its records begin and end in the segment.
    pub(crate) fn records_at(&self) -> Result<(u64, u64), FrameDefect> {
        let body = self.offset + to_u64(HEADER_BYTES);
        Ok((body + to_u64(self.key_block()?.len()), body + to_u64(self.body.len())))
    }

    /// Its records once more, after [`read`](Self::read) has checked them all: the bytes are those that were checked.
    pub(crate) fn checked_records(&self) -> impl Iterator<Item = PlacedRecord<'a>> {
        let key_bytes = self.key_block().map_or(0, <[u8]>::len);
        let mut rest = self.body.get(key_bytes..).unwrap_or_default();
        let mut offset = self.offset + to_u64(HEADER_BYTES + key_bytes);
        (0..self.header.event_count).map(move |number| {
            let (record, length) =
                record::read_again(rest).unwrap_or_else(|| unreachable!("a record that was checked can be read"));
            let sequence = self.header.first_sequence.plus(u64::from(number));
            let placed = PlacedRecord { record, sequence, offset };
            rest = rest.get(length..).unwrap_or_default();
            offset += to_u64(length);
            placed
        })
    }

    /// The outlines of its records, each with its sequence and its offset in the segment, after [`read`](Self::read) has checked
    /// them all.
    #[inline]
    pub(crate) fn outlines(&self) -> impl Iterator<Item = (Outline<'a>, Sequence, u64)> {
        let key_bytes = self.key_block().map_or(0, <[u8]>::len);
        let mut rest = self.body.get(key_bytes..).unwrap_or_default();
        let mut offset = self.offset + to_u64(HEADER_BYTES + key_bytes);
        (0..self.header.event_count).map(move |number| {
            let outline = record::outline(rest)
                .unwrap_or_else(|| unreachable!("a record that was checked has what it was checked for"));
            let outlined = (outline, self.header.first_sequence.plus(u64::from(number)), offset);
            rest = rest.get(outline.length..).unwrap_or_default();
            offset += to_u64(outline.length);
            outlined
        })
    }

    /// Picks out the records whose stream's name is given a tag, as their bytes say. That every record begins where the frame was written
    /// with one is checked, by the checksum over their checksums; what is picked is to be checked when it is read, and the others
    /// are not.
    ///
    /// # Errors
    /// The body is not what the header says.
    pub(crate) fn pick(&self, tag: impl Fn(&[u8]) -> Option<u32>, picked: &mut Vec<Picked>) -> Result<(), FrameDefect> {
        picked.clear();
        let key_block = self.key_block()?;
        let mut checksum = Gathering::after(key_block);
        let mut offset = key_block.len();
        for number in 0..self.header.event_count {
            let rest = self.body.get(offset..).unwrap_or_default();
            let (stored, stream, length) =
                record::peek(rest).ok_or(FrameDefect::Record(number, RecordDefect::Overrun))?;
            checksum.push(stored);
            if let Some(tag) = tag(stream) {
                picked.push(Picked { number, offset, tag });
            }
            offset += length;
        }
        self.check_body(self.body.get(offset..).unwrap_or_default(), checksum)
    }

    /// A record that was picked out of this frame, checked.
    ///
    /// # Errors
    /// It is damaged.
    #[inline]
    pub(crate) fn read_picked(&self, picked: Picked) -> Result<PlacedRecord<'a>, FrameDefect> {
        let Picked { number, offset, .. } = picked;
        let sequence = self.header.first_sequence.plus(u64::from(number));
        let bytes = self.body.get(offset..).unwrap_or_default();
        let offset = self.offset + to_u64(HEADER_BYTES + offset);
        let read = record::read(bytes, self.salt, offset, sequence);
        let (record, _) = read.map_err(|defect| FrameDefect::Record(number, defect))?;
        Ok(PlacedRecord { record, sequence, offset })
    }

    /// Its records, each checked when it is met.
    pub(crate) fn records(&self) -> Result<Records<'a>, FrameDefect> {
        let key_bytes = self.key_block()?.len();
        let rest = self.body.get(key_bytes..).ok_or(FrameDefect::BodyFields)?;
        Ok(Records {
            rest,
            salt: self.salt,
            offset: self.offset + to_u64(HEADER_BYTES + key_bytes),
            header: self.header,
            number: 0,
        })
    }
}

/// A record that was picked out of a frame, by its number and its offset in the body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Picked {
    number: u32,
    offset: usize,
    pub(crate) tag: u32,
}

/// A record and where it lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlacedRecord<'a> {
    pub(crate) record: RecordRef<'a>,
    pub(crate) sequence: Sequence,
    /// In the segment.
    pub(crate) offset: u64,
}

/// The records of a frame.
#[derive(Debug)]
pub(crate) struct Records<'a> {
    rest: &'a [u8],
    salt: Salt,
    offset: u64,
    header: FrameHeader,
    number: u32,
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<PlacedRecord<'a>, FrameDefect>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        if self.number == self.header.event_count {
            return None;
        }
        let sequence = self.header.first_sequence.plus(u64::from(self.number));
        match record::read(self.rest, self.salt, self.offset, sequence) {
            Ok((record, length)) => {
                let placed = PlacedRecord { record, sequence, offset: self.offset };
                self.rest = self.rest.get(length..).unwrap_or_default();
                self.offset += to_u64(length);
                self.number += 1;
                Some(Ok(placed))
            }
            Err(defect) => {
                let number = std::mem::replace(&mut self.number, self.header.event_count);
                Some(Err(FrameDefect::Record(number, defect)))
            }
        }
    }
}

pub(crate) fn to_u64(length: usize) -> u64 {
    u64::try_from(length).unwrap_or_else(|_| unreachable!("a length fits 64 bits"))
}

const _: () = assert!(HEADER_BYTES.is_multiple_of(8));

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
