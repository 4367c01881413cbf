//! Making a commit's bytes: a frame that is encoded before its place is known, and completed for it.

use smallvec::SmallVec;

use super::bytes::{index, length_u32};
use super::checksum::{Gathering, Salt, crc32, crc32_and_word};
use super::frame::{ALIGNMENT, FLAG_KEY, FrameHeader, FrameKind, HASH_BYTES, HEADER_BYTES, MAGIC, to_u64};
use super::record::{self, DraftRecord, RecordRef};
use crate::error::{Error, ErrorKind, Result};
use crate::limits;
use crate::types::{EventId, NewEvent, NewEventRef, Sequence, StreamId, Timestamp, Version};

/// What a frame is padded to, for lengths in memory.
const PADDED_BYTES: usize = 8;

/// Where a frame will stand, and what it is to say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FramePlace {
    pub(crate) salt: Salt,
    pub(crate) offset: u64,
    pub(crate) first_sequence: Sequence,
    pub(crate) durable_through: Sequence,
    pub(crate) timestamp: Timestamp,
    pub(crate) chain: u32,
    /// The frame is padded so that it ends at a multiple of this.
    pub(crate) alignment: u64,
}

/// A commit that is encoded but for what depends on its place.
///
/// Its events are added one by one; then it is [closed](Self::close), and may be [completed](Self::complete) for one place after
/// another.
#[derive(Clone, Debug, Default)]
pub(crate) struct Draft {
    bytes: Vec<u8>,
    key_bytes: usize,
    body_bytes: usize,
    records: SmallVec<[DraftRecord; 1]>,
    is_closed: bool,
}

impl Draft {
    /// A commit of these events.
    ///
    /// # Errors
    /// `InvalidInput`: the key is empty or too long, or an event past a limit.
    pub(crate) fn of<'a>(
        key: Option<(&str, &[u8; HASH_BYTES])>,
        events: impl IntoIterator<Item = (&'a StreamId, EventId, &'a NewEvent)>,
    ) -> Result<Self> {
        let mut draft = Self::default();
        for (stream, id, event) in events {
            draft.push(stream, NewEventRef { id: Some(id), ..event.into() })?;
        }
        draft.close(key, || unreachable!("each has its id"))?;
        Ok(draft)
    }

    /// Makes it an empty one in the same memory.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.records.clear();
        (self.key_bytes, self.body_bytes, self.is_closed) = (0, 0, false);
    }

    /// Makes room for so many events, whose records take so many bytes.
    pub(crate) fn reserve(&mut self, events: usize, record_bytes: usize) {
        self.bytes.reserve((HEADER_BYTES + record_bytes).next_multiple_of(PADDED_BYTES));
        self.records.reserve(events);
    }

    /// What it takes in memory, roughly.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.bytes.capacity() + self.records.capacity() * size_of::<DraftRecord>()
    }

    /// Adds an event.
    ///
    /// # Errors
    /// `InvalidInput`: past a limit.
    pub(crate) fn push(&mut self, stream: &StreamId, event: NewEventRef<'_>) -> Result<()> {
        assert!(!self.is_closed, "nothing is added to what is closed");
        if self.bytes.is_empty() {
            self.bytes.resize(HEADER_BYTES, 0);
        }
        let draft = record::write(&mut self.bytes, stream, event)?;
        self.records.push(draft);
        self.body_bytes = self.bytes.len() - HEADER_BYTES;
        Ok(())
    }

    /// Gives it its idempotency key and content hash, and the events that have none an id each, in their order.
    ///
    /// # Errors
    /// `InvalidInput`: the key is empty or too long.
    pub(crate) fn close(
        &mut self,
        key: Option<(&str, &[u8; HASH_BYTES])>,
        mut draw: impl FnMut() -> EventId,
    ) -> Result<()> {
        assert!(!self.is_closed && !self.records.is_empty(), "a commit has an event, and is closed once");
        self.is_closed = true;
        if let Some((key, hash)) = key {
            let length =
                u8::try_from(key.len()).ok().filter(|_| (1..=limits::IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len()));
            let length = length.ok_or_else(|| {
                Error::new(
                    ErrorKind::InvalidInput,
                    format!(
                        "idempotency key has {} bytes, from 1 to {} are allowed",
                        key.len(),
                        limits::IDEMPOTENCY_KEY_BYTES_MAX
                    ),
                )
            })?;
            let block = [&[length], key.as_bytes(), hash].concat();
            self.key_bytes = block.len();
            self.body_bytes += block.len();
            self.bytes.splice(HEADER_BYTES..HEADER_BYTES, block);
        }
        for record in &mut self.records {
            record.offset += self.key_bytes;
            record::close(&mut self.bytes, record, &mut draw);
        }
        Ok(())
    }

    /// What its records hold, in their order.
    pub(crate) fn contents(&self) -> impl Iterator<Item = RecordRef<'_>> {
        self.records.iter().map(|record| {
            let written = self.bytes.get(record.offset..).and_then(record::read_again);
            written.unwrap_or_else(|| unreachable!("what was written here can be read")).0
        })
    }

    /// The bytes as they were completed last.
    pub(crate) fn completed(&self) -> &[u8] {
        &self.bytes
    }

    #[inline]
    pub(crate) fn event_count(&self) -> usize {
        self.records.len()
    }

    /// The zeros behind the body, as it was completed last.
    pub(crate) fn padding_bytes(&self) -> u64 {
        to_u64(self.bytes.len() - HEADER_BYTES - self.body_bytes)
    }

    /// How long it will be at most, padding to 8 included.
    #[inline]
    pub(crate) fn bytes_max(&self) -> u64 {
        to_u64(HEADER_BYTES + self.body_bytes).next_multiple_of(ALIGNMENT)
    }

    /// Where each record lies from the start of the frame.
    #[inline]
    pub(crate) fn record_offsets(&self) -> impl Iterator<Item = u32> + '_ {
        self.records.iter().map(|record| length_u32(record.offset))
    }

    /// The correlation id of each event, `None` where it has none.
    #[inline]
    pub(crate) fn correlation_ids(&self) -> impl Iterator<Item = Option<&str>> {
        let correlation_id = |record: &DraftRecord| record::correlation_id_in(self.bytes.get(record.offset..)?);
        self.records.iter().map(move |record| if record.has_metadata { correlation_id(record) } else { None })
    }

    /// Completes the frame for its place; `versions` has one for each event. Returns the bytes and their checksum. May be
    /// called again for another place.
    pub(crate) fn complete(&mut self, place: FramePlace, versions: impl Iterator<Item = Version>) -> (&[u8], u32) {
        /// So few checksums cost less one by one than what is gathered costs to begin with.
        const FEW: usize = 8;
        assert!(self.is_closed, "only what is closed is completed");
        let key_block = self.bytes.get(HEADER_BYTES..HEADER_BYTES + self.key_bytes).unwrap_or_default();
        let body_checksum = if self.records.len() <= FEW {
            let mut crc = crc32(key_block);
            self.complete_records(place, versions, |checksum| crc = crc32_and_word(crc, checksum));
            crc
        } else {
            let mut gathering = Gathering::after(key_block);
            self.complete_records(place, versions, |checksum| gathering.push(checksum));
            gathering.finish()
        };
        let content = to_u64(HEADER_BYTES + self.body_bytes);
        let total = (place.offset + content).next_multiple_of(place.alignment) - place.offset;
        let padding = u32::try_from(total - content).unwrap_or_else(|_| unreachable!("padding is below a sector"));
        let header = FrameHeader {
            kind: FrameKind::Commit,
            has_key: self.key_bytes > 0,
            first_sequence: place.first_sequence,
            event_count: length_u32(self.records.len()),
            body_bytes: length_u32(self.body_bytes),
            padding_bytes: padding,
            body_checksum,
            durable_through: place.durable_through,
            timestamp: place.timestamp,
            chain: place.chain,
            checksum: 0,
        };
        self.bytes.truncate(HEADER_BYTES + self.body_bytes);
        self.bytes.resize(HEADER_BYTES + self.body_bytes + index(padding), 0);
        let checksum = write_header(&mut self.bytes, &header, place.salt, place.offset);
        (&self.bytes, checksum)
    }

    /// Completes the records, and tells the checksum of each.
    #[inline]
    fn complete_records(
        &mut self,
        place: FramePlace,
        versions: impl Iterator<Item = Version>,
        mut tell: impl FnMut(u32),
    ) {
        let mut sequence = place.first_sequence;
        for (draft, version) in self.records.iter().zip(versions) {
            let offset = place.offset + to_u64(draft.offset);
            tell(record::complete(&mut self.bytes, *draft, version, place.salt, offset, sequence));
            sequence = sequence.next();
        }
        let completed = sequence.get() - place.first_sequence.get();
        assert_eq!(completed, to_u64(self.records.len()), "there is a version for each event");
    }
}

/// A mark: a frame without a body. Returns its bytes and their checksum.
pub(crate) fn mark(kind: FrameKind, place: FramePlace) -> (Vec<u8>, u32) {
    assert_ne!(kind, FrameKind::Commit, "a mark holds no events");
    let header_bytes = to_u64(HEADER_BYTES);
    let total = (place.offset + header_bytes).next_multiple_of(place.alignment) - place.offset;
    let padding = u32::try_from(total - header_bytes).unwrap_or_else(|_| unreachable!("padding is below a sector"));
    let header = FrameHeader {
        kind,
        has_key: false,
        first_sequence: place.first_sequence,
        event_count: 0,
        body_bytes: 0,
        padding_bytes: padding,
        body_checksum: crc32(&[]),
        durable_through: place.durable_through,
        timestamp: place.timestamp,
        chain: place.chain,
        checksum: 0,
    };
    let mut bytes = vec![0; HEADER_BYTES + index(padding)];
    let checksum = write_header(&mut bytes, &header, place.salt, place.offset);
    (bytes, checksum)
}

pub(super) fn write_header(bytes: &mut [u8], header: &FrameHeader, salt: Salt, offset: u64) -> u32 {
    assert!(offset.is_multiple_of(ALIGNMENT), "frames are aligned");
    let kind = match header.kind {
        FrameKind::Commit => 1,
        FrameKind::SyncMark => 2,
        FrameKind::CloseMark => 3,
    };
    let Some(place) = bytes.first_chunk_mut::<HEADER_BYTES>() else { unreachable!("a frame has room for its header") };
    place[4..6].copy_from_slice(&MAGIC.to_le_bytes());
    (place[6], place[7]) = (kind, if header.has_key { FLAG_KEY } else { 0 });
    place[8..16].copy_from_slice(&header.first_sequence.get().to_le_bytes());
    place[16..20].copy_from_slice(&header.event_count.to_le_bytes());
    place[20..24].copy_from_slice(&header.body_bytes.to_le_bytes());
    place[24..28].copy_from_slice(&header.padding_bytes.to_le_bytes());
    place[28..32].copy_from_slice(&header.body_checksum.to_le_bytes());
    place[32..40].copy_from_slice(&header.durable_through.get().to_le_bytes());
    place[40..48].copy_from_slice(&header.timestamp.as_micros().to_le_bytes());
    place[48..52].copy_from_slice(&header.chain.to_le_bytes());
    place[52..].copy_from_slice(&[0; 4]);
    let checksum = crc32(&place[4..]) ^ salt.at(offset);
    place[..4].copy_from_slice(&checksum.to_le_bytes());
    checksum
}
