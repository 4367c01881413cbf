//! The decoders of what lies on disk, for fuzzing; no part of what this crate promises.
//!
//! Each function takes any bytes and must not panic. A checksum would turn nearly all of them away at the door, so each
//! looks at them twice: as they are, and with the checksums made to fit, which is what a defect that lies behind them needs.
//! What is decoded is encoded again where that is defined, and must come out the same.

use crate::format::bytes::{Bytes, index};
use crate::format::checksum::{Salt, crc32};
use crate::format::frame::{self, ALIGNMENT, Draft, FramePlace, FrameRef, HEADER_BYTES, to_u64};
use crate::format::record::{self, DraftRecord};
use crate::format::seal::Seal;
use crate::format::segment::{self, SegmentHeader};
use crate::format::{control as control_file, identity as identity_file};
use crate::index::keys;
use crate::recovery::examine::{IDENTITY, LOG};
use crate::types::{EventId, NewEvent, Sequence, StoreId, StreamId, Timestamp, Version};

/// The store that all bytes are taken to be of.
const STORE: StoreId = StoreId::from_bytes([7; 16]);
const SEGMENT: Sequence = Sequence::FIRST;
/// Where a frame is taken to stand.
const OFFSET: u64 = 512;

/// A frame, its records and the events that they are.
pub fn frame(bytes: &[u8]) {
    read_frame(bytes);
    repaired(bytes, |repaired| {
        repair_frame(repaired, OFFSET, None);
        read_frame(repaired);
    });
}

/// A commit of these events to one stream, encoded and completed as for its place in a segment, and shown to `taker`: for
/// measuring.
///
/// # Panics
/// An event is past a limit.
pub fn encode_frame(stream: &StreamId, events: &[NewEvent], taker: &mut dyn FnMut(&[u8])) {
    let all = events.iter().map(|event| (stream, EventId::from_bytes([7; 16]), event));
    let draft = Draft::of(None, all);
    assert!(draft.is_ok(), "the events are within the limits");
    let mut draft = draft.unwrap_or_default();
    let place = FramePlace {
        salt: Salt::new(STORE, SEGMENT),
        offset: OFFSET,
        first_sequence: SEGMENT,
        durable_through: Sequence::ZERO,
        timestamp: Timestamp::EPOCH,
        chain: 0,
        alignment: ALIGNMENT,
    };
    let versions: Vec<Version> = (1..).take(events.len()).map(Version::new).collect();
    taker(draft.complete(place, versions.iter().copied()).0);
}

/// How many events a frame of [`encode_frame`] has, everything checked; `None` where it is none: for measuring.
#[must_use]
pub fn check_frame(bytes: &[u8]) -> Option<u32> {
    let salt = Salt::new(STORE, SEGMENT);
    let header = frame::read_header(bytes, salt, OFFSET, to_u64(bytes.len())).ok()?;
    FrameRef::read(header, bytes, salt, OFFSET).ok().map(|frame| frame.header.event_count)
}

/// Calls `run` with a copy of `bytes`; a fuzzer's millions of cases share the room for it.
fn repaired(bytes: &[u8], run: impl FnOnce(&mut [u8])) {
    thread_local! {
        static ROOM: std::cell::RefCell<Vec<u8>> = const { std::cell::RefCell::new(Vec::new()) };
    }
    ROOM.with_borrow_mut(|room| {
        room.clear();
        room.extend_from_slice(bytes);
        run(room);
    });
}

fn read_frame(bytes: &[u8]) {
    let salt = Salt::new(STORE, SEGMENT);
    let Ok(header) = frame::read_header(bytes, salt, OFFSET, to_u64(bytes.len())) else { return };
    // What a reader does whose records are checked one by one.
    if let Ok(frame) = FrameRef::unchecked(header, bytes, salt, OFFSET)
        && let Ok(records) = frame.records()
    {
        records.for_each(drop);
    }
    let Ok(frame) = FrameRef::read(header, bytes, salt, OFFSET) else { return };
    let _ = frame.key();
    assert!(header.next_sequence() >= header.first_sequence, "sequences go on");
    let Ok(records) = frame.records() else { unreachable!("a frame that was read has records") };
    let mut count = 0;
    for placed in records {
        let Ok(placed) = placed else { unreachable!("each record was read before") };
        let _ = placed.record.to_event(placed.sequence, header.timestamp);
        count += 1;
    }
    assert_eq!(count, header.event_count, "a frame has as many records as it says");
}

/// A record, and the event that it is.
pub fn record(bytes: &[u8]) {
    read_record(bytes);
    repaired(bytes, |repaired| {
        if repair_record(repaired, 0, OFFSET, SEGMENT).is_some() {
            read_record(repaired);
        }
    });
}

fn read_record(bytes: &[u8]) {
    if let Ok((record, length)) = record::read(bytes, Salt::new(STORE, SEGMENT), OFFSET, SEGMENT) {
        assert_eq!(record::stated_length(bytes), Some(length), "a record is as long as it says");
        let _ = record.to_event(SEGMENT, Timestamp::EPOCH);
    }
}

/// The header of a segment.
pub fn segment_header(bytes: &[u8]) {
    let mut repaired = bytes.to_vec();
    repair_segment_header(&mut repaired);
    for bytes in [bytes, &repaired] {
        if let Ok(header) = SegmentHeader::decode(bytes, STORE, SEGMENT) {
            let again = SegmentHeader::decode(&header.encode(), STORE, SEGMENT);
            assert_eq!(again, Ok(header), "a header is written as it was read");
        }
    }
}

/// A seal.
pub fn seal(bytes: &[u8]) {
    use sha2::{Digest, Sha256};
    let mut repaired = bytes.to_vec();
    let digest: [u8; 32] = Sha256::digest(bytes).into();
    repaired.extend_from_slice(&digest);
    for bytes in [bytes, &repaired] {
        if let Some((seal, digest)) = Seal::decode(bytes, STORE, SEGMENT) {
            let (again, same) = seal.encode();
            assert_eq!((again.as_slice(), same), (bytes, digest), "a seal is written as it was read");
        }
    }
}

/// The identity file.
pub fn identity(bytes: &[u8]) {
    let mut repaired = bytes.to_vec();
    let checksum = crc32(bytes.get(..40).unwrap_or_default());
    put(&mut repaired, 40, &checksum.to_le_bytes());
    for bytes in [bytes, &repaired] {
        if let Ok(identity) = identity_file::Identity::decode(bytes) {
            assert_eq!(
                identity_file::Identity::decode(&identity.encode()),
                Ok(identity),
                "it is written as it was read"
            );
        }
    }
}

/// The control file.
pub fn control(bytes: &[u8]) {
    const CHECKED_BYTES: usize = 44;
    let start = usize::try_from(control_file::CLEAN_OFFSET).unwrap_or(512);
    let mut repaired = bytes.to_vec();
    put(&mut repaired, start, STORE.as_bytes());
    let checksum = crc32(repaired.get(start..start + CHECKED_BYTES).unwrap_or_default());
    put(&mut repaired, start + CHECKED_BYTES, &checksum.to_le_bytes());
    for bytes in [bytes, &repaired] {
        if let Some(clean) = control_file::decode(bytes, STORE).clean {
            let written = control_file::encode_clean(STORE, &clean);
            assert_eq!(
                bytes.get(start..start + written.len()),
                Some(written.as_slice()),
                "it is written as it was read"
            );
        }
    }
}

/// Keys and values of the index: the first byte says which.
pub fn index_keys(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    let mut repaired = bytes.to_vec();
    repaired.extend_from_slice(&crc32(bytes).to_le_bytes());
    for bytes in [bytes, &repaired] {
        match kind % 8 {
            0 => {
                let _ =
                    keys::stream_of_head_key(bytes).map(|stream| assert_eq!(keys::head_key(stream.as_str()), bytes));
            }
            1 => {
                let _ = keys::version_of_posting_key(bytes);
            }
            2 => {
                let _ = keys::decode_head(bytes).map(|head| assert_eq!(keys::encode_head(head), bytes));
            }
            3 => {
                let _ = keys::decode_key_entry(bytes).map(|entry| assert_eq!(keys::encode_key_entry(&entry), bytes));
            }
            4 => {
                let _ = keys::decode_watermark(bytes).map(|mark| assert_eq!(keys::encode_watermark(&mark), bytes));
            }
            5 => {
                let _ = keys::decode_identity(bytes).map(|store_id| assert_eq!(keys::encode_identity(store_id), bytes));
            }
            6 => {
                let _ = keys::decode_state_sequence(bytes)
                    .map(|sequence| assert_eq!(keys::encode_state_sequence(sequence), bytes));
            }
            _ => posting(bytes),
        }
    }
}

fn posting(bytes: &[u8]) {
    let (mut places, mut again) = (Vec::new(), Vec::new());
    if keys::decode_posting(bytes, &mut places).is_ok() {
        let written = keys::encode_posting(&places);
        assert!(keys::decode_posting(&written, &mut again).is_ok(), "what was written is read");
        assert_eq!(places, again, "a posting is written as it was read");
    }
}

/// A snapshot in its envelope.
pub fn snapshot(bytes: &[u8]) {
    const CHECKSUM_OFFSET: usize = 30;
    let mut repaired = bytes.to_vec();
    put(&mut repaired, 6, STORE.as_bytes());
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(repaired.get(..CHECKSUM_OFFSET).unwrap_or_default());
    checksum.update(repaired.get(CHECKSUM_OFFSET + 4..).unwrap_or_default());
    put(&mut repaired, CHECKSUM_OFFSET, &checksum.finalize().to_le_bytes());
    for bytes in [bytes, &repaired] {
        crate::snapshot::decode_and_encode(bytes, STORE);
    }
}

/// The files of a store that has this segment as its only one: their paths from the store's folder, and their bytes.
#[must_use]
pub fn store_of_segment(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let identity = identity_file::Identity { store_id: STORE, created: Timestamp::EPOCH };
    vec![(IDENTITY.to_owned(), identity.encode()), (format!("{LOG}/{}", segment::file_name(SEGMENT)), bytes.to_vec())]
}

/// Makes the checksums of a segment fit: of its header, and of each frame as far as the lengths make sense, each continuing the
/// one before.
pub fn repair_segment(bytes: &mut [u8]) {
    repair_segment_header(bytes);
    let mut offset = bytes.get(12..16).and_then(|field| Bytes::new(field).u32()).map_or(HEADER_BYTES, index);
    let mut chain = 0;
    while let Some(rest) = bytes.get_mut(offset..)
        && let Some((length, checksum)) = repair_frame(rest, to_u64(offset), Some(chain))
    {
        offset += length;
        chain = checksum;
    }
}

fn repair_segment_header(bytes: &mut [u8]) {
    const CHECKSUM_OFFSET: usize = 508;
    put(bytes, 16, STORE.as_bytes());
    put(bytes, 32, &SEGMENT.get().to_le_bytes());
    let checksum = crc32(bytes.get(..CHECKSUM_OFFSET).unwrap_or_default()) ^ Salt::new(STORE, SEGMENT).at(0);
    put(bytes, CHECKSUM_OFFSET, &checksum.to_le_bytes());
}

/// Makes the checksums of the frame at the start of `bytes` fit; returns its length and checksum, where it ends within them.
fn repair_frame(bytes: &mut [u8], offset: u64, chain: Option<u32>) -> Option<(usize, u32)> {
    const FLAG_KEY: u8 = 1;
    const HASH_BYTES: usize = 32;
    if !frame::may_start(bytes) {
        return None;
    }
    let mut fields = Bytes::new(bytes.get(7..HEADER_BYTES)?);
    let has_key = fields.u8()? & FLAG_KEY != 0;
    let first_sequence = Sequence::new(fields.u64()?);
    let (event_count, body_bytes, padding_bytes) = (fields.u32()?, index(fields.u32()?), index(fields.u32()?));
    let end = HEADER_BYTES.checked_add(body_bytes)?;
    let total = end.checked_add(padding_bytes).filter(|total| to_u64(*total).is_multiple_of(ALIGNMENT));
    if let Some(body) = bytes.get_mut(..end) {
        let key_bytes = body.get(HEADER_BYTES).map_or(0, |length| 1 + usize::from(*length) + HASH_BYTES);
        let mut place = HEADER_BYTES + if has_key { key_bytes } else { 0 };
        let mut checksum = crc32fast::Hasher::new();
        checksum.update(body.get(HEADER_BYTES..place).unwrap_or_default());
        for number in 0..u64::from(event_count) {
            let Some(sequence) = first_sequence.get().checked_add(number).map(Sequence::new) else { break };
            let Some((length, crc)) = repair_record(body, place, offset + to_u64(place), sequence) else { break };
            checksum.update(&crc.to_le_bytes());
            place += length;
        }
        put(bytes, 28, &checksum.finalize().to_le_bytes());
    }
    if let Some(chain) = chain {
        put(bytes, 48, &chain.to_le_bytes());
    }
    let checksum = crc32(bytes.get(4..HEADER_BYTES)?) ^ Salt::new(STORE, SEGMENT).at(offset);
    put(bytes, 0, &checksum.to_le_bytes());
    total.filter(|total| *total <= bytes.len()).map(|total| (total, checksum))
}

/// Makes the checksum of the record at `start` fit; returns its length and checksum, where it ends within the bytes.
fn repair_record(bytes: &mut [u8], start: usize, offset: u64, sequence: Sequence) -> Option<(usize, u32)> {
    let record = bytes.get(start..)?;
    let length = record::stated_length(record).filter(|length| *length <= record.len())?;
    let body_crc = crc32(record.get(record::HEADER_BYTES..length)?);
    let version = Version::new(Bytes::new(record.get(8..16)?).u64()?);
    let draft = DraftRecord { offset: start, body_crc, has_id: true, has_metadata: false };
    Some((length, record::complete(bytes, draft, version, Salt::new(STORE, SEGMENT), offset, sequence)))
}

/// Overwrites what there is room for.
fn put(bytes: &mut [u8], offset: usize, new: &[u8]) {
    if let Some(place) = bytes.get_mut(offset..offset + new.len()) {
        place.copy_from_slice(new);
    }
}

/// How many kinds of stop [`recovery_plan`] knows.
pub const PLAN_STOPS: usize = 13;

/// What the recovery decides where its scan of the last segment stopped on the stop of this number, with sequence 10 expected next,
/// so many bytes in the way, 100 of them allowed, and what each witness says was durable: `clean`, `cut` or `refuse`.
///
/// `None` where there is no such stop.
#[must_use]
pub fn recovery_plan(stop: usize, bytes: u64, says: [u64; 5]) -> Option<&'static str> {
    use crate::format::frame::FrameDefect;
    use crate::format::record::RecordDefect;
    use crate::log::scan::Stop;
    use crate::recovery::plan::{Decision, Evidence, Witnesses, decide};
    const STOPS: [Stop; PLAN_STOPS] = [
        Stop::Full,
        Stop::Zeros,
        Stop::Time,
        Stop::Chain { expected: 1, found: 2 },
        Stop::Sequence { found: Sequence::MAX },
        Stop::Defect(FrameDefect::Overrun),
        Stop::Defect(FrameDefect::HeaderChecksum),
        Stop::Defect(FrameDefect::HeaderFields),
        Stop::Defect(FrameDefect::BodyChecksum),
        Stop::Defect(FrameDefect::BodyFields),
        Stop::Defect(FrameDefect::Padding),
        Stop::Defect(FrameDefect::Record(0, RecordDefect::Checksum)),
        Stop::Defect(FrameDefect::Record(1, RecordDefect::Malformed)),
    ];
    let [frame_before, frame_ahead, index, state, clean_close] = says.map(Sequence::new);
    let witnesses = Witnesses { frame_before, frame_ahead, index, state, clean_close };
    let (expected, offset) = (Sequence::new(10), OFFSET);
    let evidence =
        Evidence { expected, stop: *STOPS.get(stop)?, offset, content_end: offset + bytes, cut_bound: 100, witnesses };
    Some(match decide(&evidence) {
        Decision::Clean => "clean",
        Decision::Cut { from, to } => {
            assert_eq!((from, to), (offset, offset + bytes), "what is cut is what is in the way");
            "cut"
        }
        Decision::Refuse { .. } => "refuse",
    })
}
