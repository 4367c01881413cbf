//! Entries of an index <-> bytes. Pure.
//!
//! ```text
//! family `index`                              value, after one byte of format
//! c length(u16, big-endian) correlation id    count, then the places as variable-length integers
//!   sequence_first(u64, big-endian)
//! h stream                                    version u64, sequence u64
//! k idempotency key                           content hash 32, segment u64, frame offset u32
//! p stream 00 version_first(u64, big-endian)  count, then the places as variable-length integers
//! w                                           store id 16, sequence u64, segment u64, offset u64, chain u32,
//!                                             timestamp i64, crc32 of all before it
//!
//! family `state`
//! i                                           store id 16
//! e                                           sequence u64, crc32 of all before it
//! u key                                       what the caller put there, without a byte of format
//! ```
//!
//! A posting's first place is: sequence, segment, frame offset, record offset less frame offset. Each further one:
//! twice the sequence's step less one, plus one where the segment changes; then, in the same segment, the frame
//! offset's step, in another the segment's step less one and the frame offset; then the record offset less the
//! frame offset. An event of a scattered stream takes five to eight bytes so.
//!
//! Invariants: keys order as RocksDB compares them, byte by byte, so integers in them are big-endian; integers in
//! values are little-endian. A stream's name has no control character, so the zero byte after it ends it, and no
//! stream's postings lie between another's; a correlation id may have any character, so its length stands before it. Decoding takes any bytes and never panics.

use crate::error::{Error, ErrorKind, Result};
use crate::limits::{METADATA_BYTES_MAX, POSTING_EVENTS_MAX};
use crate::types::{Sequence, StoreId, StreamId, Timestamp, Version};

use super::{KeyEntry, Place, StreamHead, Watermark};

/// 1: without postings of correlation ids. An index of another format is refused by its identity and its watermark, and is
/// made anew by the open that finds it, for nothing in it could tell an id without events from one that was never indexed.
const FORMAT: u8 = 2;

const CORRELATION: u8 = b'c';
const HEAD: u8 = b'h';
const KEY: u8 = b'k';
const POSTING: u8 = b'p';
const WATERMARK: u8 = b'w';

/// The watermark's key, the last of the family `index`.
pub(crate) const WATERMARK_KEY: &[u8] = &[WATERMARK];
/// The store id's key in the family `state`.
#[cfg_attr(not(feature = "rocksdb"), allow(dead_code, reason = "only an index on disk has an identity"))]
pub(crate) const IDENTITY_KEY: &[u8] = b"i";
/// The key, in the family `state`, of the highest sequence that the state rests on.
pub(crate) const STATE_SEQUENCE_KEY: &[u8] = b"e";
/// What precedes the callers' keys in the family `state`, so that none of them meets the two above.
pub(crate) const STATE_PREFIX: u8 = b'u';

/// What precedes every head's key.
pub(crate) const HEADS: &[u8] = &[HEAD];

const _: () = assert!(METADATA_BYTES_MAX < u16::MAX as usize, "a correlation id's length has 16 bits");
const _: () = assert!(CORRELATION < HEAD, "sections are ingested in this order");
const _: () = assert!(HEAD < KEY && KEY < POSTING && POSTING < WATERMARK, "sections are ingested in this order");

fn joined(first: u8, rest: &[&[u8]]) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + rest.iter().map(|part| part.len()).sum::<usize>());
    key.push(first);
    for part in rest {
        key.extend_from_slice(part);
    }
    key
}

pub(crate) fn head_key(stream: &str) -> Vec<u8> {
    joined(HEAD, &[stream.as_bytes()])
}

pub(crate) fn idempotency_key(key: &str) -> Vec<u8> {
    joined(KEY, &[key.as_bytes()])
}

pub(crate) fn posting_key(stream: &str, version_first: Version) -> Vec<u8> {
    joined(POSTING, &[stream.as_bytes(), &[0], &version_first.get().to_be_bytes()])
}

/// What precedes the keys of all postings of a stream, and of no other's.
pub(crate) fn posting_prefix(stream: &str) -> Vec<u8> {
    joined(POSTING, &[stream.as_bytes(), &[0]])
}

/// What precedes the keys of all postings of a correlation id, and of no other's.
pub(crate) fn correlation_prefix(correlation_id: &str) -> Vec<u8> {
    joined(CORRELATION, &[&correlation_length(correlation_id), correlation_id.as_bytes()])
}

pub(crate) fn correlation_key(correlation_id: &str, sequence_first: Sequence) -> Vec<u8> {
    let sequence_first = sequence_first.get().to_be_bytes();
    joined(CORRELATION, &[&correlation_length(correlation_id), correlation_id.as_bytes(), &sequence_first])
}

/// Of an id that is longer than any event's, the longest length: it has no postings.
fn correlation_length(correlation_id: &str) -> [u8; 2] {
    u16::try_from(correlation_id.len()).unwrap_or(u16::MAX).to_be_bytes()
}

pub(crate) fn state_key(key: &[u8]) -> Vec<u8> {
    joined(STATE_PREFIX, &[key])
}

fn damaged(what: &str, why: &str) -> Error {
    Error::new(ErrorKind::Io, format!("the index is damaged: {what}: {why}"))
}

/// The stream of a head's key.
pub(crate) fn stream_of_head_key(key: &[u8]) -> Result<StreamId> {
    let name = key.strip_prefix(HEADS).ok_or_else(|| damaged("head", "its key is of another kind"))?;
    let name = std::str::from_utf8(name).map_err(|_| damaged("head", "its stream is not UTF-8"))?;
    StreamId::new(name).map_err(|source| source.wrap(ErrorKind::Io, "the index is damaged: head"))
}

/// The first version of a posting, from what follows [`posting_prefix`] in its key.
pub(crate) fn version_of_posting_key(rest: &[u8]) -> Result<Version> {
    let version = <[u8; 8]>::try_from(rest).map_err(|_| damaged("posting", "its key has another length"))?;
    Ok(Version::new(u64::from_be_bytes(version)))
}

/// Takes values apart from the front.
struct Reader<'a> {
    what: &'static str,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Begins after the byte of format, which must be the known one.
    fn new(what: &'static str, bytes: &'a [u8]) -> Result<Self> {
        match bytes.split_first() {
            Some((&FORMAT, rest)) => Ok(Self { what, rest }),
            Some((format, _)) => Err(damaged(what, &format!("format {format}, where this version makes {FORMAT}"))),
            None => Err(damaged(what, "empty")),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (array, rest) = self.rest.split_first_chunk::<N>().ok_or_else(|| damaged(self.what, "too short"))?;
        self.rest = rest;
        Ok(*array)
    }

    fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// Seven bits a byte, the lowest first, the highest bit set on all but the last.
    #[inline]
    fn varint(&mut self) -> Result<u64> {
        // Most have few bytes.
        let low = |byte: u8| u64::from(byte & 0x7f);
        let (value, rest) = match self.rest {
            [a, rest @ ..] if *a < 0x80 => (u64::from(*a), rest),
            [a, b, rest @ ..] if *b < 0x80 => (low(*a) | u64::from(*b) << 7, rest),
            [a, b, c, rest @ ..] if *c < 0x80 => (low(*a) | low(*b) << 7 | u64::from(*c) << 14, rest),
            [a, b, c, d, rest @ ..] if *d < 0x80 => {
                (low(*a) | low(*b) << 7 | low(*c) << 14 | u64::from(*d) << 21, rest)
            }
            _ => return self.long_varint(),
        };
        self.rest = rest;
        Ok(value)
    }

    fn long_varint(&mut self) -> Result<u64> {
        let mut value = 0u64;
        let mut shift = 0;
        let mut rest = self.rest;
        while let Some((byte, behind)) = rest.split_first() {
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            rest = behind;
            if byte & 0x80 == 0 {
                self.rest = rest;
                return Ok(value);
            }
            shift += 7;
            if shift > 63 {
                break;
            }
        }
        let is_short = shift <= 63 && rest.is_empty();
        Err(damaged(self.what, if is_short { "too short" } else { "an integer has more than 64 bits" }))
    }

    fn varint_u32(&mut self) -> Result<u32> {
        u32::try_from(self.varint()?).map_err(|_| damaged(self.what, "an offset has more than 32 bits"))
    }

    fn end(self) -> Result<()> {
        if self.rest.is_empty() { Ok(()) } else { Err(damaged(self.what, "bytes are left over")) }
    }
}

fn put_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        let [low, ..] = value.to_le_bytes();
        bytes.push(low | 0x80);
        value >>= 7;
    }
    let [low, ..] = value.to_le_bytes();
    bytes.push(low);
}

pub(crate) fn encode_head(head: StreamHead) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(17);
    bytes.push(FORMAT);
    bytes.extend_from_slice(&head.version.get().to_le_bytes());
    bytes.extend_from_slice(&head.sequence.get().to_le_bytes());
    bytes
}

pub(crate) fn decode_head(bytes: &[u8]) -> Result<StreamHead> {
    let mut reader = Reader::new("head", bytes)?;
    let head = StreamHead { version: Version::new(reader.u64()?), sequence: Sequence::new(reader.u64()?) };
    reader.end()?;
    Ok(head)
}

pub(crate) fn encode_key_entry(entry: &KeyEntry) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(45);
    bytes.push(FORMAT);
    bytes.extend_from_slice(&entry.content_hash);
    bytes.extend_from_slice(&entry.segment.get().to_le_bytes());
    bytes.extend_from_slice(&entry.frame_offset.to_le_bytes());
    bytes
}

pub(crate) fn decode_key_entry(bytes: &[u8]) -> Result<KeyEntry> {
    let mut reader = Reader::new("idempotency key", bytes)?;
    let entry =
        KeyEntry { content_hash: reader.array()?, segment: Sequence::new(reader.u64()?), frame_offset: reader.u32()? };
    reader.end()?;
    Ok(entry)
}

pub(crate) fn encode_watermark(watermark: &Watermark) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(61);
    bytes.push(FORMAT);
    bytes.extend_from_slice(watermark.store_id.as_bytes());
    bytes.extend_from_slice(&watermark.sequence.get().to_le_bytes());
    bytes.extend_from_slice(&watermark.segment.get().to_le_bytes());
    bytes.extend_from_slice(&watermark.offset.to_le_bytes());
    bytes.extend_from_slice(&watermark.chain.to_le_bytes());
    bytes.extend_from_slice(&watermark.timestamp.as_micros().to_le_bytes());
    // No frame starts a segment: its header does.
    bytes.extend_from_slice(&watermark.previous_frame.unwrap_or(0).to_le_bytes());
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
    bytes
}

pub(crate) fn decode_watermark(bytes: &[u8]) -> Result<Watermark> {
    let mut reader = Reader::new("watermark", checked("watermark", bytes)?)?;
    let watermark = Watermark {
        store_id: StoreId::from_bytes(reader.array()?),
        sequence: Sequence::new(reader.u64()?),
        segment: Sequence::new(reader.u64()?),
        offset: reader.u64()?,
        chain: reader.u32()?,
        timestamp: Timestamp::from_micros(i64::from_le_bytes(reader.array()?)),
        previous_frame: Some(reader.u32()?).filter(|offset| *offset > 0),
    };
    reader.end()?;
    Ok(watermark)
}

/// The bytes before the checksum that ends them.
fn checked<'a>(what: &str, bytes: &'a [u8]) -> Result<&'a [u8]> {
    let (content, crc) = bytes.split_last_chunk::<4>().ok_or_else(|| damaged(what, "too short"))?;
    if crc32fast::hash(content) == u32::from_le_bytes(*crc) { Ok(content) } else { Err(damaged(what, "checksum")) }
}

#[cfg_attr(not(feature = "rocksdb"), allow(dead_code, reason = "only an index on disk has an identity"))]
pub(crate) fn encode_identity(store_id: StoreId) -> Vec<u8> {
    joined(FORMAT, &[store_id.as_bytes()])
}

#[cfg_attr(not(feature = "rocksdb"), allow(dead_code, reason = "only an index on disk has an identity"))]
pub(crate) fn decode_identity(bytes: &[u8]) -> Result<StoreId> {
    let mut reader = Reader::new("identity", bytes)?;
    let store_id = StoreId::from_bytes(reader.array()?);
    reader.end()?;
    Ok(store_id)
}

pub(crate) fn encode_state_sequence(sequence: Sequence) -> Vec<u8> {
    let mut bytes = joined(FORMAT, &[&sequence.get().to_le_bytes()]);
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
    bytes
}

pub(crate) fn decode_state_sequence(bytes: &[u8]) -> Result<Sequence> {
    let mut reader = Reader::new("state sequence", checked("state sequence", bytes)?)?;
    let sequence = Sequence::new(reader.u64()?);
    reader.end()?;
    Ok(sequence)
}

/// The value of a posting.
pub(crate) fn encode_posting(places: &[Place]) -> Vec<u8> {
    assert!(!places.is_empty(), "a posting holds at least one place");
    assert!(places.len() <= POSTING_EVENTS_MAX, "a posting is bounded");
    let mut bytes = Vec::with_capacity(2 + 8 * (places.len() + 1));
    bytes.push(FORMAT);
    put_varint(&mut bytes, places.len() as u64);
    let mut previous: Option<&Place> = None;
    for place in places {
        put_place(&mut bytes, previous, place);
        previous = Some(place);
    }
    bytes
}

fn put_place(bytes: &mut Vec<u8>, previous: Option<&Place>, place: &Place) {
    assert!(place.record_offset >= place.frame_offset, "a record lies in its frame");
    match previous {
        None => {
            put_varint(bytes, place.sequence.get());
            put_varint(bytes, place.segment.get());
            put_varint(bytes, u64::from(place.frame_offset));
        }
        Some(previous) => {
            assert!(place.sequence > previous.sequence, "a posting's sequences increase");
            assert!(place.segment >= previous.segment, "segments follow their sequences");
            let step = place.sequence.get() - previous.sequence.get() - 1;
            assert!(step < 1 << 63, "no store has that many events");
            if place.segment == previous.segment {
                assert!(place.frame_offset >= previous.frame_offset, "frames follow their sequences");
                put_varint(bytes, step << 1);
                put_varint(bytes, u64::from(place.frame_offset - previous.frame_offset));
            } else {
                put_varint(bytes, step << 1 | 1);
                put_varint(bytes, place.segment.get() - previous.segment.get() - 1);
                put_varint(bytes, u64::from(place.frame_offset));
            }
        }
    }
    put_varint(bytes, u64::from(place.record_offset - place.frame_offset));
}

/// Puts the places of a posting's value into `places`, in the place of what is there.
pub(crate) fn decode_posting(bytes: &[u8], places: &mut Vec<Place>) -> Result<()> {
    places.clear();
    let mut reader = Reader::new("posting", bytes)?;
    let count = usize::try_from(reader.varint()?).unwrap_or(usize::MAX);
    if count == 0 || count > POSTING_EVENTS_MAX {
        return Err(damaged("posting", &format!("{count} places, at most {POSTING_EVENTS_MAX} are possible")));
    }
    let mut previous: Option<Place> = None;
    for _ in 0..count {
        let place = take_place(&mut reader, previous)?;
        places.push(place);
        previous = Some(place);
    }
    reader.end()
}

fn take_place(reader: &mut Reader<'_>, previous: Option<Place>) -> Result<Place> {
    let overflow = || damaged("posting", "a place is beyond all that can be");
    let (sequence, segment, frame_offset) = match previous {
        None => (reader.varint()?, reader.varint()?, reader.varint_u32()?),
        Some(previous) => {
            let step = reader.varint()?;
            let sequence = previous.sequence.get().checked_add(step >> 1).and_then(|sequence| sequence.checked_add(1));
            let (segment, frame_offset) = if step & 1 == 0 {
                let step = reader.varint_u32()?;
                (Some(previous.segment.get()), previous.frame_offset.checked_add(step))
            } else {
                let step = reader.varint()?;
                let segment = previous.segment.get().checked_add(step).and_then(|segment| segment.checked_add(1));
                (segment, Some(reader.varint_u32()?))
            };
            (sequence.ok_or_else(overflow)?, segment.ok_or_else(overflow)?, frame_offset.ok_or_else(overflow)?)
        }
    };
    let record_offset = frame_offset.checked_add(reader.varint_u32()?).ok_or_else(overflow)?;
    Ok(Place { sequence: Sequence::new(sequence), segment: Sequence::new(segment), frame_offset, record_offset })
}

#[cfg(test)]
mod tests;
