use super::*;
use crate::types::{NewEvent, StoreId};
use proptest::prelude::*;

fn salt() -> Salt {
    Salt::new(StoreId::from_bytes([9; 16]), Sequence::FIRST)
}

fn sample() -> NewEvent {
    let mut event = NewEvent::new(EventType::new("Sold").unwrap(), CodecId::JSON, b"{\"pence\":5}".to_vec());
    event.schema_version = 3;
    event.tags = vec!["till".into(), "north".into()];
    event.metadata = Metadata {
        correlation_id: Some("c".into()),
        causation_id: None,
        actor: Some("ana".into()),
        pairs: vec![("shift".into(), "2".into())],
    };
    event
}

fn record(event: &NewEvent, offset: u64, sequence: Sequence) -> Vec<u8> {
    let mut buffer = Vec::new();
    let stream = StreamId::new("wallet-1").unwrap();
    let mut draft = write(&mut buffer, &stream, event.into()).unwrap();
    close(&mut buffer, &mut draft, || EventId::from_bytes([1; 16]));
    complete(&mut buffer, draft, Version::new(7), salt(), offset, sequence);
    buffer
}

#[test]
fn golden_bytes() {
    let bytes = record(&sample(), 568, Sequence::new(5));
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, include_str!("golden/record.hex").trim());
}

#[test]
fn what_is_written_is_read() {
    let event = sample();
    let bytes = record(&event, 568, Sequence::new(5));
    let (read, length) = read(&bytes, salt(), 568, Sequence::new(5)).unwrap();
    assert_eq!(length, bytes.len());
    let copy = read.to_event(Sequence::new(5), Timestamp::from_micros(8)).unwrap();
    assert_eq!(copy.version, Version::new(7));
    assert_eq!((copy.tags, copy.metadata, copy.payload), (event.tags, event.metadata, event.payload));
    assert_eq!((copy.schema_version, copy.codec), (3, CodecId::JSON));
}

#[test]
fn what_an_event_held_before_is_not_in_a_copy_made_in_its_place() {
    let plain = NewEvent::new(EventType::new("Sold").unwrap(), CodecId::JSON, b"{}".to_vec());
    let sequence = Sequence::new(5);
    let fresh =
        |bytes: &[u8]| read(bytes, salt(), 568, sequence).unwrap().0.to_event(sequence, Timestamp::EPOCH).unwrap();
    let [full, plain] = [sample(), plain].map(|event| record(&event, 568, sequence));
    let mut event = fresh(&full);
    for bytes in [&plain, &plain, &full, &full, &plain] {
        let (read, _) = read(bytes, salt(), 568, sequence).unwrap();
        read.copy_to(&mut event, sequence, Timestamp::EPOCH).unwrap();
        assert_eq!(event, fresh(bytes));
    }
}

#[test]
fn every_flipped_bit_is_seen() {
    let bytes = record(&sample(), 568, Sequence::new(5));
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(read(&damaged, salt(), 568, Sequence::new(5)).is_err(), "bit {bit}");
    }
}

#[test]
fn a_record_elsewhere_does_not_pass() {
    let bytes = record(&sample(), 568, Sequence::new(5));
    for (offset, sequence) in [(576, 5), (568, 6), (0, 5)] {
        assert_eq!(read(&bytes, salt(), offset, Sequence::new(sequence)).unwrap_err(), RecordDefect::Checksum);
    }
    let other = Salt::new(StoreId::from_bytes([8; 16]), Sequence::FIRST);
    assert!(read(&bytes, other, 568, Sequence::new(5)).is_err());
}

#[test]
fn limits_hold_at_the_limit_and_one_past_it() {
    let stream = StreamId::new("s").unwrap();
    let accepts = |event: &NewEvent| write(&mut Vec::new(), &stream, event.into()).is_ok();
    let mut event = sample();
    event.payload = vec![0; limits::PAYLOAD_BYTES_MAX];
    assert!(accepts(&event));
    event.payload.push(0);
    assert!(!accepts(&event));
    let mut event = sample();
    event.tags = vec!["t".repeat(limits::TAG_BYTES_MAX); limits::TAGS_MAX];
    assert!(accepts(&event));
    event.tags.push("t".into());
    assert!(!accepts(&event));
    event.tags = vec!["t".repeat(limits::TAG_BYTES_MAX + 1)];
    assert!(!accepts(&event));
    let mut event = sample();
    event.metadata.pairs = vec![("k".into(), "v".into()); limits::METADATA_PAIRS_MAX];
    assert!(accepts(&event));
    event.metadata.pairs.push(("k".into(), "v".into()));
    assert!(!accepts(&event));
    let mut event = sample();
    // One flag byte, one count, two lengths of two bytes each stand beside the text.
    event.metadata =
        Metadata { pairs: vec![("k".into(), "v".repeat(limits::METADATA_BYTES_MAX - 7))], ..Metadata::default() };
    assert!(accepts(&event));
    event.metadata.pairs[0].1.push('v');
    assert!(!accepts(&event));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200), flags in 0u8..8) {
        let _ = read(&bytes, salt(), 0, Sequence::FIRST);
        let _ = parse_body(&bytes, flags);
        let _ = read_metadata(&bytes);
        let _ = read_tags(&bytes);
    }
}
