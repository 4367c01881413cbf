//! One event's bytes.
//!
//! ```text
//!  0  u32  checksum: CRC of bytes 4..20 and of the body's CRC, salted with offset and sequence
//!  4  u32  body length
//!  8  u64  version in the stream
//! 16  u8   flags: 1 metadata, 2 tags
//! 17  u8   codec id
//! 18  u16  schema version
//! 20  body: event id (16), stream (u8 length), type (u8 length), tags, metadata, payload (the rest)
//! ```

use super::bytes::{Bytes, index, length_u32};
use super::checksum::{Salt, crc32, crc32_of_words};
use crate::error::{Error, ErrorKind, Result};
use crate::limits;
use crate::sabotage::{self, Defect};
use crate::types::{CodecId, Event, EventId, EventType, Metadata, NewEventRef, Sequence, StreamId, Timestamp, Version};

/// The fixed part of a record, bytes.
pub(crate) const HEADER_BYTES: usize = 20;

const FLAG_METADATA: u8 = 1;
const FLAG_TAGS: u8 = 2;
const FLAGS_KNOWN: u8 = FLAG_METADATA | FLAG_TAGS;

const HAS_CORRELATION: u8 = 1;
const HAS_CAUSATION: u8 = 2;
const HAS_ACTOR: u8 = 4;

/// A record in a buffer whose version and place are not known yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DraftRecord {
    /// Its offset in the buffer.
    pub(crate) offset: usize,
    /// The CRC of its body, once it has its id.
    pub(crate) body_crc: u32,
    /// Whether its id is there.
    pub(crate) has_id: bool,
    /// Whether it has metadata, in which a correlation id may be.
    pub(crate) has_metadata: bool,
}

/// Why bytes are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecordDefect {
    /// They end before the record does.
    Overrun,
    /// The checksum is of other bytes, or of another place.
    Checksum,
    /// The checksum is right, and the content is not what a record has.
    Malformed,
}

/// A record as it lies in its segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordRef<'a> {
    pub(crate) version: Version,
    pub(crate) codec: CodecId,
    pub(crate) schema_version: u16,
    pub(crate) id: EventId,
    pub(crate) stream: &'a str,
    pub(crate) event_type: &'a str,
    pub(crate) payload: &'a [u8],
    tags: &'a [u8],
    metadata: &'a [u8],
    /// Without its checksum: what a proof of this event is about.
    pub(crate) content: &'a [u8],
    pub(crate) checksum: u32,
}

/// How many bytes an event's record takes, tags and metadata aside: room for it is taken at once.
pub(crate) fn bytes_about(stream: &StreamId, event: NewEventRef<'_>) -> usize {
    let names = 1 + stream.as_str().len() + 1 + event.event_type.as_str().len();
    HEADER_BYTES + size_of::<EventId>() + names + event.payload.len()
}

/// Checks an event against the limits and appends its record to `buffer`, with version and checksum left open, and the id where it
/// has none. It is to be [closed](close).
///
/// # Errors
/// `InvalidInput`: past a limit.
pub(crate) fn write(buffer: &mut Vec<u8>, stream: &StreamId, event: NewEventRef<'_>) -> Result<DraftRecord> {
    const STREAM: usize = HEADER_BYTES + size_of::<EventId>();
    check(event)?;
    let offset = buffer.len();
    let (has_metadata, has_tags) = (!event.metadata.is_empty(), !event.tags.is_empty());
    let bytes = bytes_about(stream, event);
    buffer.reserve(bytes);
    // At once, for each part that is added by itself costs as much as its bytes.
    let mut start = [0; STREAM + 1];
    start[4..8].copy_from_slice(&length_u32(bytes - HEADER_BYTES).to_le_bytes());
    start[16] = if has_metadata { FLAG_METADATA } else { 0 } | if has_tags { FLAG_TAGS } else { 0 };
    start[17] = event.codec.0;
    start[18..HEADER_BYTES].copy_from_slice(&event.schema_version.to_le_bytes());
    if let Some(id) = event.id {
        start[HEADER_BYTES..STREAM].copy_from_slice(id.as_bytes());
    }
    start[STREAM] = length_u8(stream.as_str().len());
    buffer.extend_from_slice(&start);
    buffer.extend_from_slice(stream.as_str().as_bytes());
    write_short(buffer, event.event_type.as_str());
    if has_tags {
        buffer.push(length_u8(event.tags.len()));
        event.tags.iter().for_each(|tag| write_short(buffer, tag));
    }
    if has_metadata {
        write_metadata(buffer, event.metadata)?;
    }
    buffer.extend_from_slice(event.payload);
    if has_metadata || has_tags {
        let length = length_u32(buffer.len() - offset - HEADER_BYTES);
        set(buffer, offset + 4, &length.to_le_bytes());
    }
    Ok(DraftRecord { offset, body_crc: 0, has_id: event.id.is_some(), has_metadata })
}

/// Gives a record the id that `draw` gives, where it has none, and takes the CRC of its body.
pub(crate) fn close(buffer: &mut [u8], draft: &mut DraftRecord, draw: impl FnOnce() -> EventId) {
    if !draft.has_id {
        set(buffer, draft.offset + HEADER_BYTES, draw().as_bytes());
        draft.has_id = true;
    }
    let Some(parts) = buffer.get(draft.offset..).and_then(parts) else { unreachable!("a record was drafted there") };
    draft.body_crc = crc32(parts.body);
}

/// Completes a record: its version, and the checksum of the place `offset` in its segment. Returns the checksum.
pub(crate) fn complete(
    buffer: &mut [u8],
    draft: DraftRecord,
    version: Version,
    salt: Salt,
    offset: u64,
    sequence: Sequence,
) -> u32 {
    let header = buffer.get_mut(draft.offset..).and_then(|rest| rest.first_chunk_mut::<HEADER_BYTES>());
    let Some(header) = header else { unreachable!("a record was drafted there") };
    header[8..16].copy_from_slice(&version.get().to_le_bytes());
    let fixed = header.last_chunk().copied().unwrap_or_default();
    let checksum = checksum(&fixed, draft.body_crc) ^ salt.of(offset, sequence);
    header[..4].copy_from_slice(&checksum.to_le_bytes());
    checksum
}

/// The content of an event's record, which says nothing of where that lies: all but the checksum.
///
/// # Errors
/// `InvalidInput`: past a limit.
#[cfg(feature = "transfer")]
pub(crate) fn content(stream: &StreamId, version: Version, id: EventId, event: NewEventRef<'_>) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(bytes_about(stream, event));
    write(&mut bytes, stream, NewEventRef { id: Some(id), ..event })?;
    set(&mut bytes, 8, &version.get().to_le_bytes());
    Ok(bytes.split_off(4))
}

/// The parts of a record's bytes.
struct Parts<'a> {
    checksum: u32,
    /// The fixed part without the checksum.
    fixed: &'a [u8; HEADER_BYTES - 4],
    body: &'a [u8],
    /// All but the checksum.
    content: &'a [u8],
}

/// The record at the start of `bytes`, checked, and how many bytes it takes.
#[inline(always)]
pub(crate) fn read(
    bytes: &[u8],
    salt: Salt,
    offset: u64,
    sequence: Sequence,
) -> Result<(RecordRef<'_>, usize), RecordDefect> {
    let parts = parts(bytes).ok_or(RecordDefect::Overrun)?;
    let is_sound = checksum(parts.fixed, crc32(parts.body)) ^ salt.of(offset, sequence) == parts.checksum;
    if !is_sound && !sabotage::has(Defect::RecordOutsideChecksum) {
        return Err(RecordDefect::Checksum);
    }
    parse(&parts).ok_or(RecordDefect::Malformed)
}

/// The record at the start of `bytes`, which was checked where it stands, and how many bytes it takes.
pub(crate) fn read_again(bytes: &[u8]) -> Option<(RecordRef<'_>, usize)> {
    parse(&parts(bytes)?)
}

#[inline(always)]
fn parts(bytes: &[u8]) -> Option<Parts<'_>> {
    let (header, rest) = bytes.split_first_chunk::<HEADER_BYTES>()?;
    let (checksum, fixed) = header.split_first_chunk()?;
    let (fixed, _) = fixed.split_first_chunk()?;
    let (length, _) = fixed.split_first_chunk()?;
    let body = rest.get(..index(u32::from_le_bytes(*length)))?;
    let content = bytes.get(4..HEADER_BYTES + body.len())?;
    Some(Parts { checksum: u32::from_le_bytes(*checksum), fixed, body, content })
}

#[inline(always)]
fn parse<'a>(parts: &Parts<'a>) -> Option<(RecordRef<'a>, usize)> {
    let [_, _, _, _, v0, v1, v2, v3, v4, v5, v6, v7, flags, codec, shape @ ..] = *parts.fixed;
    let Body { id, stream, event_type, tags, metadata, payload } = parse_body(parts.body, flags)?;
    let record = RecordRef {
        version: Version::new(u64::from_le_bytes([v0, v1, v2, v3, v4, v5, v6, v7])),
        codec: CodecId(codec),
        schema_version: u16::from_le_bytes(shape),
        id,
        stream,
        event_type,
        payload,
        tags,
        metadata,
        content: parts.content,
        checksum: parts.checksum,
    };
    Some((record, HEADER_BYTES + parts.body.len()))
}

/// Of a record that was checked where it stands, what an index takes in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outline<'a> {
    pub(crate) version: Version,
    /// Which is UTF-8: it was checked.
    pub(crate) stream: &'a [u8],
    pub(crate) correlation_id: Option<&'a str>,
    /// Of the whole record.
    pub(crate) length: usize,
}

/// The outline of the record at the start of `bytes`, which was checked where it stands: a fraction of reading it again.
#[inline(always)]
pub(crate) fn outline(bytes: &[u8]) -> Option<Outline<'_>> {
    let parts = parts(bytes)?;
    let [_, _, _, _, v0, v1, v2, v3, v4, v5, v6, v7, flags, ..] = *parts.fixed;
    let (_, rest) = parts.body.split_first_chunk::<16>()?;
    Some(Outline {
        version: Version::new(u64::from_le_bytes([v0, v1, v2, v3, v4, v5, v6, v7])),
        stream: Bytes::new(rest).short()?,
        correlation_id: if flags & FLAG_METADATA == 0 { None } else { correlation_id_in(bytes) },
        length: HEADER_BYTES + parts.body.len(),
    })
}

/// What the record at the start of `bytes` says without being checked: its checksum, its stream's name and its length. For who
/// looks for the records of some streams.
#[inline]
pub(crate) fn peek(bytes: &[u8]) -> Option<(u32, &[u8], usize)> {
    let parts = parts(bytes)?;
    let (_, rest) = parts.body.split_first_chunk::<16>()?;
    let stream = Bytes::new(rest).short()?;
    Some((parts.checksum, stream, HEADER_BYTES + parts.body.len()))
}

/// How long the record at the start of `bytes` says it is, unchecked; for a reader that then fetches and checks it.
pub(crate) fn stated_length(bytes: &[u8]) -> Option<usize> {
    let mut fields = Bytes::new(bytes);
    fields.u32()?;
    Some(HEADER_BYTES + index(fields.u32()?))
}

/// The correlation id of a record that was written to `bytes` here, or was checked there.
pub(crate) fn correlation_id_in(bytes: &[u8]) -> Option<&str> {
    let mut fields = Bytes::new(bytes);
    fields.take(16)?;
    let flags = fields.u8()?;
    if flags & FLAG_METADATA == 0 {
        return None;
    }
    fields.take(3 + 16)?;
    fields.short()?;
    fields.short()?;
    if flags & FLAG_TAGS != 0 {
        take_tags(&mut fields)?;
    }
    correlation_id(fields.medium()?)
}

fn correlation_id(metadata: &[u8]) -> Option<&str> {
    let mut fields = Bytes::new(metadata);
    if fields.u8()? & HAS_CORRELATION == 0 {
        return None;
    }
    std::str::from_utf8(fields.medium()?).ok()
}

impl<'a> RecordRef<'a> {
    /// Its correlation id.
    pub(crate) fn correlation_id(&self) -> Option<&'a str> {
        correlation_id(self.metadata)
    }
}

impl RecordRef<'_> {
    /// Whether all of it can be read: whether [`to_event`](Self::to_event) succeeds, without the copy.
    pub(crate) fn is_well_formed(self) -> bool {
        EventType::new(self.event_type).is_ok()
            && read_tags(self.tags).is_some()
            && read_metadata(self.metadata).is_some()
            && StreamId::new(self.stream).is_ok()
    }

    /// A copy that owns its bytes.
    ///
    /// # Errors
    /// `Malformed`: a name that no store of this version writes.
    pub(crate) fn to_event(self, sequence: Sequence, timestamp: Timestamp) -> Result<Event, RecordDefect> {
        let stream = StreamId::new(self.stream).map_err(|_| RecordDefect::Malformed)?;
        let event_type = EventType::new(self.event_type).map_err(|_| RecordDefect::Malformed)?;
        self.to_event_of(stream, event_type, sequence, timestamp)
    }

    /// Makes `event` a copy of it, but for its names, which are there already. What it holds serves again.
    ///
    /// # Errors
    /// `Malformed`: tags or metadata that no store of this version writes.
    pub(crate) fn copy_to(
        self,
        event: &mut Event,
        sequence: Sequence,
        timestamp: Timestamp,
    ) -> Result<(), RecordDefect> {
        (event.sequence, event.timestamp) = (sequence, timestamp);
        (event.version, event.id) = (self.version, self.id);
        (event.schema_version, event.codec) = (self.schema_version, self.codec);
        // Most events have neither, as the one before had neither.
        if !self.tags.is_empty() || !event.tags.is_empty() {
            event.tags = read_tags(self.tags).ok_or(RecordDefect::Malformed)?;
        }
        if !self.metadata.is_empty() || !event.metadata.is_empty() {
            event.metadata = read_metadata(self.metadata).ok_or(RecordDefect::Malformed)?;
        }
        event.payload.clear();
        event.payload.extend_from_slice(self.payload);
        Ok(())
    }

    /// A copy that owns its bytes, its names at hand.
    ///
    /// # Errors
    /// `Malformed`: tags or metadata that no store of this version writes.
    #[inline(always)]
    pub(crate) fn to_event_of(
        self,
        stream: StreamId,
        event_type: EventType,
        sequence: Sequence,
        timestamp: Timestamp,
    ) -> Result<Event, RecordDefect> {
        Ok(Event {
            sequence,
            stream,
            version: self.version,
            id: self.id,
            event_type,
            schema_version: self.schema_version,
            codec: self.codec,
            timestamp,
            tags: read_tags(self.tags).ok_or(RecordDefect::Malformed)?,
            metadata: read_metadata(self.metadata).ok_or(RecordDefect::Malformed)?,
            payload: self.payload.to_vec(),
        })
    }
}

/// The checksum of a record, place aside: of its fixed part without the checksum itself, and of its body's CRC.
#[inline(always)]
fn checksum(fixed: &[u8; HEADER_BYTES - 4], body_crc: u32) -> u32 {
    let [l0, l1, l2, l3, v0, v1, v2, v3, v4, v5, v6, v7, shape @ ..] = *fixed;
    let (length, version) = ([l0, l1, l2, l3], [v0, v1, v2, v3, v4, v5, v6, v7]);
    crc32_of_words(u32::from_le_bytes(length), u64::from_le_bytes(version), u32::from_le_bytes(shape), body_crc)
}

/// What a body holds.
struct Body<'a> {
    id: EventId,
    stream: &'a str,
    event_type: &'a str,
    tags: &'a [u8],
    metadata: &'a [u8],
    payload: &'a [u8],
}

#[inline(always)]
fn parse_body(body: &[u8], flags: u8) -> Option<Body<'_>> {
    if flags & !FLAGS_KNOWN != 0 {
        return None;
    }
    let mut fields = Bytes::new(body);
    let id = EventId::from_bytes(fields.array()?);
    let (stream, event_type) = names(&mut fields)?;
    let tags = if flags & FLAG_TAGS == 0 { &[][..] } else { take_tags(&mut fields)? };
    let metadata = if flags & FLAG_METADATA == 0 { &[][..] } else { fields.medium()? };
    Some(Body { id, stream, event_type, tags, metadata, payload: fields.rest() })
}

/// The names of the stream and of the type. They are looked at together, as far as the length between them is a character too, since
/// what a call costs does not grow much with so few bytes.
#[inline(always)]
fn names<'a>(fields: &mut Bytes<'a>) -> Option<(&'a str, &'a str)> {
    let stream_bytes = usize::from(fields.u8()?);
    let both = fields.rest();
    let type_bytes = *both.get(stream_bytes)?;
    let both = fields.take(stream_bytes + 1 + usize::from(type_bytes))?;
    if type_bytes.is_ascii() {
        let (stream, rest) = std::str::from_utf8(both).ok()?.split_at_checked(stream_bytes)?;
        return Some((stream, rest.split_at_checked(1)?.1));
    }
    let (stream, rest) = both.split_at_checked(stream_bytes)?;
    let (_, event_type) = rest.split_first()?;
    Some((std::str::from_utf8(stream).ok()?, std::str::from_utf8(event_type).ok()?))
}

fn take_tags<'a>(fields: &mut Bytes<'a>) -> Option<&'a [u8]> {
    let start = fields.rest();
    let count = fields.u8()?;
    for _ in 0..count {
        fields.short()?;
    }
    start.get(..start.len() - fields.rest().len())
}

#[inline]
fn read_tags(bytes: &[u8]) -> Option<Vec<String>> {
    if bytes.is_empty() { Some(Vec::new()) } else { read_some_tags(bytes) }
}

fn read_some_tags(bytes: &[u8]) -> Option<Vec<String>> {
    let mut fields = Bytes::new(bytes);
    (0..fields.u8()?).map(|_| text(fields.short()?)).collect()
}

fn write_metadata(buffer: &mut Vec<u8>, metadata: &Metadata) -> Result<()> {
    let start = buffer.len();
    buffer.extend_from_slice(&[0, 0]);
    let mut flags = 0;
    for (text, flag) in [
        (&metadata.correlation_id, HAS_CORRELATION),
        (&metadata.causation_id, HAS_CAUSATION),
        (&metadata.actor, HAS_ACTOR),
    ] {
        flags |= if text.is_some() { flag } else { 0 };
    }
    buffer.push(flags);
    for text in [&metadata.correlation_id, &metadata.causation_id, &metadata.actor].into_iter().flatten() {
        write_medium(buffer, text)?;
    }
    buffer.push(length_u8(metadata.pairs.len()));
    for (key, value) in &metadata.pairs {
        write_medium(buffer, key)?;
        write_medium(buffer, value)?;
    }
    let length = buffer.len() - start - 2;
    if length > limits::METADATA_BYTES_MAX {
        return Err(past_limit("metadata", length, limits::METADATA_BYTES_MAX, "bytes"));
    }
    set(buffer, start, &length_u16(length).to_le_bytes());
    Ok(())
}

#[inline]
fn read_metadata(bytes: &[u8]) -> Option<Metadata> {
    if bytes.is_empty() { Some(Metadata::default()) } else { read_some_metadata(bytes) }
}

fn read_some_metadata(bytes: &[u8]) -> Option<Metadata> {
    let mut metadata = Metadata::default();
    let mut fields = Bytes::new(bytes);
    let flags = fields.u8()?;
    let mut optional = |flag: u8| -> Option<Option<String>> {
        if flags & flag == 0 { Some(None) } else { Some(Some(text(fields.medium()?)?)) }
    };
    metadata.correlation_id = optional(HAS_CORRELATION)?;
    metadata.causation_id = optional(HAS_CAUSATION)?;
    metadata.actor = optional(HAS_ACTOR)?;
    for _ in 0..fields.u8()? {
        metadata.pairs.push((text(fields.medium()?)?, text(fields.medium()?)?));
    }
    fields.rest().is_empty().then_some(metadata)
}

fn check(event: NewEventRef<'_>) -> Result<()> {
    if event.payload.len() > limits::PAYLOAD_BYTES_MAX {
        return Err(past_limit("payload", event.payload.len(), limits::PAYLOAD_BYTES_MAX, "bytes"));
    }
    if event.tags.len() > limits::TAGS_MAX {
        return Err(past_limit("event", event.tags.len(), limits::TAGS_MAX, "tags"));
    }
    if let Some(tag) = event.tags.iter().find(|tag| tag.len() > limits::TAG_BYTES_MAX) {
        return Err(past_limit("tag", tag.len(), limits::TAG_BYTES_MAX, "bytes"));
    }
    if event.metadata.pairs.len() > limits::METADATA_PAIRS_MAX {
        return Err(past_limit("metadata", event.metadata.pairs.len(), limits::METADATA_PAIRS_MAX, "pairs"));
    }
    Ok(())
}

fn past_limit(what: &str, actual: usize, max: usize, unit: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, format!("{what} has {actual} {unit}, at most {max} are allowed"))
}

fn text(bytes: &[u8]) -> Option<String> {
    std::str::from_utf8(bytes).ok().map(str::to_owned)
}

fn write_short(buffer: &mut Vec<u8>, text: &str) {
    buffer.push(length_u8(text.len()));
    buffer.extend_from_slice(text.as_bytes());
}

fn write_medium(buffer: &mut Vec<u8>, text: &str) -> Result<()> {
    if text.len() > limits::METADATA_BYTES_MAX {
        return Err(past_limit("metadata", text.len(), limits::METADATA_BYTES_MAX, "bytes"));
    }
    buffer.extend_from_slice(&length_u16(text.len()).to_le_bytes());
    buffer.extend_from_slice(text.as_bytes());
    Ok(())
}

fn length_u8(length: usize) -> u8 {
    u8::try_from(length).unwrap_or_else(|_| unreachable!("a length past its limit: {length}"))
}

fn length_u16(length: usize) -> u16 {
    u16::try_from(length).unwrap_or_else(|_| unreachable!("a length past its limit: {length}"))
}

/// Writes `bytes` into `buffer` at a place that the caller has made room for.
pub(crate) fn set(buffer: &mut [u8], offset: usize, bytes: &[u8]) {
    match buffer.get_mut(offset..offset + bytes.len()) {
        Some(place) => place.copy_from_slice(bytes),
        None => unreachable!("no room was made for {} bytes at {offset}", bytes.len()),
    }
}

const _: () = assert!(limits::STREAM_NAME_BYTES_MAX <= 255);
const _: () = assert!(limits::EVENT_TYPE_BYTES_MAX <= 255);
const _: () = assert!(limits::TAG_BYTES_MAX <= 255 && limits::TAGS_MAX <= 255 && limits::METADATA_PAIRS_MAX <= 255);
const _: () = assert!(limits::METADATA_BYTES_MAX <= 65_535);

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
