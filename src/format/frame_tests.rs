use super::*;
use crate::format::bytes::length_u32;
use crate::format::draft::write_header;
use crate::types::{CodecId, EventId, EventType, NewEvent, NewEventRef, StoreId, StreamId, Version};
use proptest::prelude::*;

fn place() -> FramePlace {
    FramePlace {
        salt: Salt::new(StoreId::from_bytes([9; 16]), Sequence::FIRST),
        offset: 512,
        first_sequence: Sequence::new(5),
        durable_through: Sequence::new(3),
        timestamp: Timestamp::from_micros(1_700_000_000_000_000),
        chain: 0x1234_5678,
        alignment: ALIGNMENT,
    }
}

fn draft(events: usize, key: Option<&str>) -> Draft {
    try_draft(events, key).unwrap()
}

fn try_draft(events: usize, key: Option<&str>) -> Result<Draft> {
    let (hash, stream) = ([6; 32], StreamId::new("wallet-1").unwrap());
    let event = |number| NewEvent::new(EventType::new("Sold").unwrap(), CodecId::RAW, vec![7; number * 3]);
    let all: Vec<NewEvent> = (0..events).map(event).collect();
    let ids = (0..).map(|number| EventId::from_bytes([number; 16]));
    Draft::of(key.map(|key| (key, &hash)), ids.zip(&all).map(|(id, event)| (&stream, id, event)))
}

fn bytes(events: usize, key: Option<&str>, place: FramePlace) -> Vec<u8> {
    let versions: Vec<Version> = (1..=events as u64).map(Version::new).collect();
    draft(events, key).complete(place, versions.iter().copied()).0.to_vec()
}

fn read<'a>(bytes: &'a [u8], place: FramePlace) -> Result<FrameRef<'a>, FrameDefect> {
    let header = read_header(bytes, place.salt, place.offset, to_u64(bytes.len()))?;
    FrameRef::read(header, bytes, place.salt, place.offset)
}

#[test]
fn golden_bytes() {
    let hex: String = bytes(2, Some("key"), place()).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, include_str!("golden/frame.hex").trim());
    let hex: String = mark(FrameKind::SyncMark, place()).0.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, include_str!("golden/mark.hex").trim());
}

#[test]
fn what_is_written_is_read() {
    for (events, key) in [(1, None), (1, Some("k")), (5, Some("key"))] {
        for alignment in [8, 4096] {
            let place = FramePlace { alignment, ..place() };
            let bytes = bytes(events, key, place);
            assert_eq!((place.offset + to_u64(bytes.len())) % alignment, 0);
            let frame = read(&bytes, place).unwrap();
            assert_eq!(frame.header.total_bytes(), to_u64(bytes.len()));
            assert_eq!(frame.header.last_sequence(), Sequence::new(4 + events as u64));
            assert_eq!(frame.key().unwrap(), key.map(|key| (key, [6; 32])));
            let records: Vec<_> = frame.records().unwrap().map(Result::unwrap).collect();
            assert_eq!(records.len(), events);
            assert_eq!(records[events - 1].record.payload.len(), (events - 1) * 3);
            assert_eq!(records[events - 1].record.version, Version::new(events as u64));
            let again: Vec<_> = frame.checked_records().collect();
            assert_eq!(format!("{again:?}"), format!("{records:?}"));
        }
    }
}

#[test]
fn a_draft_may_be_completed_for_another_place() {
    let mut draft = draft(2, Some("key"));
    let versions = [Version::new(1), Version::new(2)];
    draft.complete(FramePlace { offset: 4096, alignment: 4096, ..place() }, versions.iter().copied());
    let again = draft.complete(place(), versions.iter().copied()).0.to_vec();
    assert_eq!(again, bytes(2, Some("key"), place()));
}

#[test]
fn every_flipped_bit_is_seen() {
    for place in [place(), FramePlace { alignment: 1024, ..place() }] {
        let bytes = bytes(3, Some("key"), place);
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&damaged, place).is_err(), "bit {bit}");
        }
    }
    let (bytes, _) = mark(FrameKind::CloseMark, place());
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(read(&damaged, place()).is_err(), "bit {bit}");
    }
}

/// A frame of events of two streams in turn.
fn of_two_streams(events: usize) -> Vec<u8> {
    let drafted: Vec<_> = (0..events)
        .map(|number| {
            let stream = StreamId::new(if number % 2 == 0 { "bb" } else { "ab" }).unwrap();
            let event = NewEvent::new(EventType::new("Sold").unwrap(), CodecId::RAW, vec![7; number]);
            (stream, EventId::from_bytes([u8::try_from(number).unwrap(); 16]), event)
        })
        .collect();
    let all = drafted.iter().map(|(stream, id, event)| (stream, *id, event));
    let mut draft = Draft::of(Some(("key", &[6; 32])), all).unwrap();
    let versions: Vec<Version> = (0..events as u64).map(|number| Version::new(1 + number / 2)).collect();
    draft.complete(place(), versions.iter().copied()).0.to_vec()
}

/// What the reader of one of two parts of the streams sees, which are divided by their names' bytes.
fn picked(bytes: &[u8], part: u32) -> Result<Vec<(u64, u64)>, FrameDefect> {
    let header = read_header(bytes, place().salt, place().offset, to_u64(bytes.len()))?;
    let frame = FrameRef::unchecked(header, bytes, place().salt, place().offset)?;
    let mut picked = Vec::new();
    let part_of = |name: &[u8]| name.iter().map(|byte| u32::from(*byte)).sum::<u32>() % 2;
    frame.pick(|name| (part_of(name) == part).then_some(7), &mut picked)?;
    assert!(picked.iter().all(|picked| picked.tag == 7));
    let records = picked.iter().map(|picked| frame.read_picked(*picked));
    records.map(|placed| placed.map(|placed| (placed.sequence.get(), placed.record.version.get()))).collect()
}

#[test]
fn the_records_of_a_part_are_picked_out_and_every_flipped_bit_is_seen_by_one_of_the_parts() {
    let sound = of_two_streams(5);
    assert_eq!(picked(&sound, 0), Ok(vec![(5, 1), (7, 2), (9, 3)]));
    assert_eq!(picked(&sound, 1), Ok(vec![(6, 1), (8, 2)]));
    let content = read(&sound, place()).unwrap().records_at().unwrap().1 - place().offset;
    for bit in 0..usize::try_from(content).unwrap() * 8 {
        let mut damaged = sound.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let seen = (picked(&damaged, 0), picked(&damaged, 1));
        assert!(seen.0.is_err() || seen.1.is_err(), "bit {bit}: {seen:?}");
    }
}

#[test]
fn a_frame_elsewhere_does_not_pass() {
    let bytes = bytes(1, None, place());
    let moved = FramePlace { offset: 520, ..place() };
    assert_eq!(read(&bytes, moved).unwrap_err(), FrameDefect::HeaderChecksum);
    let foreign = FramePlace { salt: Salt::new(StoreId::from_bytes([9; 16]), Sequence::new(2)), ..place() };
    assert_eq!(read(&bytes, foreign).unwrap_err(), FrameDefect::HeaderChecksum);
}

#[test]
fn a_length_beyond_the_segment_is_an_overrun_and_not_followed() {
    let bytes = bytes(1, None, place());
    let header = read_header(&bytes, place().salt, 512, to_u64(bytes.len()) - 8);
    assert_eq!(header, Err(FrameDefect::Overrun));
}

#[test]
fn keys_hold_at_the_limit_and_not_one_past_it() {
    assert!(try_draft(1, Some(&"k".repeat(limits::IDEMPOTENCY_KEY_BYTES_MAX))).is_ok());
    assert!(try_draft(1, Some(&"k".repeat(limits::IDEMPOTENCY_KEY_BYTES_MAX + 1))).is_err());
    assert!(try_draft(1, Some("")).is_err());
}

#[test]
fn ids_are_drawn_for_those_that_have_none_and_a_key_moves_nothing_else() {
    let stream = StreamId::new("wallet-1").unwrap();
    let event = NewEvent::new(EventType::new("Sold").unwrap(), CodecId::RAW, vec![7; 3]);
    let [one, two, three] = [1, 2, 3].map(|byte| EventId::from_bytes([byte; 16]));
    for key in [None, Some(("key", &[6; 32]))] {
        let mut open = Draft::default();
        for id in [None, Some(two), None] {
            open.push(&stream, NewEventRef { id, ..(&event).into() }).unwrap();
        }
        let mut drawn = [one, three].into_iter();
        open.close(key, || drawn.next().unwrap()).unwrap();
        let mut whole = Draft::of(key, [one, two, three].map(|id| (&stream, id, &event))).unwrap();
        let versions = [1, 2, 3].map(Version::new);
        let bytes = open.complete(place(), versions.into_iter()).0;
        assert_eq!(bytes, whole.complete(place(), versions.into_iter()).0);
    }
}

#[test]
fn a_draft_in_the_memory_of_another_has_nothing_of_it() {
    let versions = || [1, 2].into_iter().map(Version::new);
    let mut again = draft(5, Some("key"));
    again.clear();
    assert_eq!((again.event_count(), again.bytes_max()), (0, to_u64(HEADER_BYTES)));
    let stream = StreamId::new("wallet-1").unwrap();
    for number in 0..2u8 {
        let event = NewEvent::new(EventType::new("Sold").unwrap(), CodecId::RAW, vec![7; usize::from(number) * 3]);
        let id = Some(EventId::from_bytes([number; 16]));
        again.push(&stream, NewEventRef { id, ..(&event).into() }).unwrap();
    }
    again.close(None, || unreachable!()).unwrap();
    assert_eq!(again.complete(place(), versions()).0, draft(2, None).complete(place(), versions()).0);
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&bytes, place());
    }

    /// As a crafted file would be: a sound header over a body of anything.
    #[test]
    fn any_body_under_a_sound_header_is_read_or_refused(body in proptest::collection::vec(any::<u8>(), 0..200), has_key: bool) {
        let mut bytes = vec![0; HEADER_BYTES];
        bytes.extend_from_slice(&body);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        let header = FrameHeader {
            kind: FrameKind::Commit, has_key, first_sequence: Sequence::new(1), event_count: 3,
            body_bytes: length_u32(body.len()), padding_bytes: length_u32(bytes.len() - HEADER_BYTES - body.len()),
            body_checksum: 0, durable_through: Sequence::ZERO, timestamp: Timestamp::EPOCH, chain: 0, checksum: 0,
        };
        write_header(&mut bytes, &header, place().salt, 512);
        let header = read_header(&bytes, place().salt, 512, to_u64(bytes.len())).unwrap();
        prop_assert!(FrameRef::read(header, &bytes, place().salt, 512).is_err());
        let frame = FrameRef::unchecked(header, &bytes, place().salt, 512).unwrap();
        let _ = frame.key();
        if let Ok(records) = frame.records() { records.for_each(drop); }
    }
}
