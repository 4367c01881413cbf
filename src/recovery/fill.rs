//! Filling the tail index from the frames that a walk has checked.

use crate::error::{Error, Result};
use crate::format::frame::{FrameRef, PlacedRecord};
use crate::index::checkpoints;
use crate::index::tail::{Misfit, Tail};
use crate::index::{KeyEntry, Place};
use crate::log::scan::offset_u32;
use crate::log::{cursor, files};
use crate::types::{Sequence, Version};

/// Takes a frame that a scan has checked into the tail index.
///
/// # Errors
/// `Corrupt`: its versions do not follow those before, or it has a key for a second time.
pub(crate) fn take_into(tail: &mut Tail, frame: &FrameRef<'_>) -> Result<()> {
    let key = frame.key().map_err(|defect| cursor::damaged_in(frame, defect))?;
    let (segment, frame_offset) = (frame.segment(), offset_u32(frame.offset));
    let mut has_checkpoints = false;
    for (record, sequence, offset) in frame.outlines() {
        let place = Place { sequence, segment, frame_offset, record_offset: offset_u32(offset) };
        tail.record_read(record.stream, record.version, place, record.correlation_id)
            .map_err(|misfit| misfitting(misfit, record.stream, record.version, place))?;
        has_checkpoints |= record.stream == checkpoints::LOGGED_STREAM.as_bytes();
    }
    if has_checkpoints {
        let records = frame.checked_records().filter(|placed| placed.record.stream == checkpoints::LOGGED_STREAM);
        records.for_each(|placed| take_checkpoint(tail, &placed));
    }
    let Some((key, content_hash)) = key else { return Ok(()) };
    let entry = KeyEntry { content_hash, segment, frame_offset };
    take_key(tail, key, entry, frame.header.first_sequence)
}

fn take_checkpoint(tail: &mut Tail, placed: &PlacedRecord<'_>) {
    let record = &placed.record;
    let (event_type, schema_version, codec) = (record.event_type, record.schema_version, record.codec);
    match checkpoints::decode_logged(event_type, schema_version, codec, record.payload, placed.sequence) {
        Some((name, sequence)) => tail.note_checkpoint(name, sequence),
        None => {
            tracing::warn!(sequence = %placed.sequence, event_type, "an event holds no checkpoint that can be read")
        }
    }
}

fn misfitting(misfit: Misfit, stream: &[u8], version: Version, place: Place) -> Error {
    let stream = String::from_utf8_lossy(stream);
    let (expected, found) = match misfit {
        Misfit::Name => ("a stream's name", "something else".to_owned()),
        Misfit::Version => ("the next version of its stream", format!("version {version} of stream {stream}")),
    };
    files::corrupt(place.segment, place.record_offset.into(), place.sequence, expected, found)
}

fn take_key(tail: &mut Tail, key: &str, entry: KeyEntry, first_sequence: Sequence) -> Result<()> {
    if tail.key(key).is_some() {
        let found = format!("idempotency key {key:?} for a second time");
        return Err(files::corrupt(entry.segment, entry.frame_offset.into(), first_sequence, "each key once", found));
    }
    tail.record_key(key.to_owned(), entry);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::checksum::Salt;
    use crate::format::frame::{self, ALIGNMENT, Draft, FramePlace, to_u64};
    use crate::index::Direction;
    use crate::types::{CodecId, EventId, EventType, NewEvent, StoreId, StreamId, Timestamp};

    /// A frame of events of stream `a`, the first of them of `version`.
    fn frame(version: u64, events: u64, key: Option<&str>) -> Vec<u8> {
        let event = NewEvent::new(EventType::new("Sold").unwrap(), CodecId::RAW, vec![7; 3]);
        let stream = StreamId::new("a").unwrap();
        let all = (0..events).map(|_| (&stream, EventId::from_bytes([1; 16]), &event));
        let mut draft = Draft::of(key.map(|key| (key, &[6; 32])), all).unwrap();
        let versions: Vec<_> = (version..version + events).map(Version::new).collect();
        draft.complete(place(version), versions.iter().copied()).0.to_vec()
    }

    fn place(version: u64) -> FramePlace {
        FramePlace {
            salt: Salt::new(StoreId::from_bytes([9; 16]), Sequence::FIRST),
            offset: 512 + 8 * version,
            first_sequence: Sequence::new(version),
            durable_through: Sequence::ZERO,
            timestamp: Timestamp::EPOCH,
            chain: 0,
            alignment: ALIGNMENT,
        }
    }

    fn take(tail: &mut Tail, version: u64, events: u64, key: Option<&str>) -> Result<()> {
        let (bytes, place) = (frame(version, events, key), place(version));
        let header = frame::read_header(&bytes, place.salt, place.offset, to_u64(bytes.len())).unwrap();
        take_into(tail, &FrameRef::read(header, &bytes, place.salt, place.offset).unwrap())
    }

    #[test]
    fn what_fits_is_found_where_it_lies() {
        let mut tail = Tail::default();
        for number in 0..40 {
            take(&mut tail, 1 + 5 * number, 5, Some(&format!("key-{number}"))).unwrap();
        }
        let places = tail.places("a", Version::ZERO, Direction::Forwards, usize::MAX);
        assert!(places.iter().map(|(version, _)| version.get()).eq(1..=200));
        assert!(places.iter().map(|(_, place)| place.sequence.get()).eq(1..=200));
        assert!((0..40).all(|number| tail.key(&format!("key-{number}")).is_some()));
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let mut tail = Tail::default();
        // A tail does not know what came before.
        take(&mut tail, 2, 5, None).unwrap();
        let found = take(&mut tail, 8, 5, None).unwrap_err().to_string();
        assert!(found.contains("version 8 of stream a"), "{found}");
    }

    #[test]
    fn a_key_for_a_second_time_is_told() {
        let mut tail = Tail::default();
        take(&mut tail, 1, 5, Some("key")).unwrap();
        take(&mut tail, 6, 1500, None).unwrap();
        let found = take(&mut tail, 1506, 1500, Some("key")).unwrap_err().to_string();
        assert!(found.contains("for a second time"), "{found}");
    }
}
