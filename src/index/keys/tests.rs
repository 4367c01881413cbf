use proptest::prelude::*;

use super::*;

fn place(sequence: u64, segment: u64, frame_offset: u32, record_offset: u32) -> Place {
    Place { sequence: Sequence::new(sequence), segment: Sequence::new(segment), frame_offset, record_offset }
}

fn watermark() -> Watermark {
    Watermark {
        store_id: StoreId::from_bytes([7; 16]),
        sequence: Sequence::new(300),
        segment: Sequence::new(201),
        offset: 4096,
        chain: 0xdead_beef,
        timestamp: Timestamp::from_micros(-2),
        previous_frame: Some(3968),
    }
}

fn decoded(bytes: &[u8]) -> Result<Vec<Place>> {
    let mut places = Vec::new();
    decode_posting(bytes, &mut places).map(|()| places)
}

#[test]
fn golden_bytes_of_keys() {
    assert_eq!(head_key("a-1"), b"ha-1");
    assert_eq!(idempotency_key("order 7"), b"korder 7");
    assert_eq!(posting_key("a-1", Version::new(258)), b"pa-1\0\0\0\0\0\0\0\x01\x02");
    assert_eq!(posting_prefix("a-1"), b"pa-1\0");
    assert_eq!(correlation_key("p-1", Sequence::new(259)), b"c\0\x03p-1\0\0\0\0\0\0\x01\x03");
    assert_eq!(correlation_prefix("p-1"), b"c\0\x03p-1");
    assert_eq!(WATERMARK_KEY, b"w");
    assert_eq!(state_key(b"c/x"), b"uc/x");
    assert_eq!(IDENTITY_KEY, b"i");
    assert_eq!(STATE_SEQUENCE_KEY, b"e");
}

#[test]
fn golden_bytes_of_a_head() {
    let head = StreamHead { version: Version::new(2), sequence: Sequence::new(259) };
    let golden = [2, 2, 0, 0, 0, 0, 0, 0, 0, 3, 1, 0, 0, 0, 0, 0, 0];
    assert_eq!(encode_head(head), golden);
    assert_eq!(decode_head(&golden).unwrap(), head);
}

#[test]
fn golden_bytes_of_an_idempotency_key() {
    let entry = KeyEntry { content_hash: [9; 32], segment: Sequence::new(5), frame_offset: 0x0102_0304 };
    let mut golden = vec![2];
    golden.extend_from_slice(&[9; 32]);
    golden.extend_from_slice(&[5, 0, 0, 0, 0, 0, 0, 0, 4, 3, 2, 1]);
    assert_eq!(encode_key_entry(&entry), golden);
    assert_eq!(decode_key_entry(&golden).unwrap(), entry);
}

#[test]
fn golden_bytes_of_a_watermark() {
    let mut golden = vec![2];
    golden.extend_from_slice(&[7; 16]);
    golden.extend_from_slice(&[0x2c, 1, 0, 0, 0, 0, 0, 0]);
    golden.extend_from_slice(&[0xc9, 0, 0, 0, 0, 0, 0, 0]);
    golden.extend_from_slice(&[0, 0x10, 0, 0, 0, 0, 0, 0]);
    golden.extend_from_slice(&[0xef, 0xbe, 0xad, 0xde]);
    golden.extend_from_slice(&[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    golden.extend_from_slice(&[0x80, 15, 0, 0]);
    let mut older = golden.clone();
    golden.extend_from_slice(&[133, 244, 68, 254]);
    assert_eq!(encode_watermark(&watermark()), golden);
    assert_eq!(decode_watermark(&golden).unwrap(), watermark());
    older[0] = 1;
    older.extend_from_slice(&[41, 130, 187, 215]);
    let refused = decode_watermark(&older).unwrap_err().to_string();
    assert!(refused.contains("format 1, where this version makes 2"), "an older index is made anew: {refused}");
}

#[test]
fn golden_bytes_of_the_state_family() {
    let store_id = StoreId::from_bytes([3; 16]);
    let mut golden = vec![2];
    golden.extend_from_slice(&[3; 16]);
    assert_eq!(encode_identity(store_id), golden);
    assert_eq!(decode_identity(&golden).unwrap(), store_id);
    let golden = [2, 8, 0, 0, 0, 0, 0, 0, 0, 157, 39, 26, 27];
    assert_eq!(encode_state_sequence(Sequence::new(8)), golden);
    assert_eq!(decode_state_sequence(&golden).unwrap(), Sequence::new(8));
}

#[test]
fn golden_bytes_of_a_posting() {
    // Two events of one commit, one of a later commit, one in a later segment.
    let places = [place(300, 1, 64, 104), place(301, 1, 64, 144), place(310, 1, 464, 504), place(520, 500, 64, 104)];
    let golden = [
        2, 4, // format, count
        0xac, 2, 1, 64, 40, // absolute
        0, 0, 80, // the next sequence, the same frame
        16, 0x90, 3, 40, // eight sequences between, 400 bytes on
        0xa3, 3, 0xf2, 3, 64, 40, // 209 sequences between, another segment
    ];
    assert_eq!(encode_posting(&places), golden);
    assert_eq!(decoded(&golden).unwrap(), places);
}

#[test]
fn integers_of_every_length_are_read_and_no_part_of_one() {
    for bit in 0..64u32 {
        for number in [(1u64 << bit) - 1, 1 << bit, (1 << bit) + 1] {
            let mut bytes = vec![FORMAT];
            put_varint(&mut bytes, number);
            let mut reader = Reader::new("integer", &bytes).unwrap();
            assert_eq!(reader.varint().unwrap(), number);
            reader.end().unwrap();
            for length in 1..bytes.len() {
                assert!(Reader::new("integer", &bytes[..length]).unwrap().varint().is_err(), "{number}");
            }
        }
    }
}

#[test]
fn a_scattered_event_takes_five_to_eight_bytes() {
    // Goal: the size that the index was dimensioned with. Method: every hundredth and every ten-thousandth commit of
    // a log with commits of 256 bytes is of the stream; where the segment changes, it takes a few more.
    for (every, event_bytes) in [(100u32, 6), (10_000, 8)] {
        let places: Vec<_> = (0..800u32)
            .map(|i| {
                let event = i * every;
                let segment = event / 250_000;
                let offset = (event % 250_000) * 256 + 128;
                place(u64::from(event) + 1, u64::from(segment) * 250_000 + 1, offset, offset + 56)
            })
            .collect();
        let segments = usize::try_from(800 * every / 250_000 + 1).unwrap();
        let bytes = encode_posting(&places).len();
        assert!(bytes <= 800 * event_bytes + segments * 5, "every {every}: {bytes} bytes");
    }
}

#[test]
fn a_flipped_bit_in_a_watermark_is_found() {
    let bytes = encode_watermark(&watermark());
    for bit in 0..bytes.len() * 8 {
        let mut bytes = bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(decode_watermark(&bytes).unwrap_err().kind(), ErrorKind::Io, "bit {bit}");
    }
}

#[test]
fn values_of_another_format_or_length_are_refused() {
    let head = encode_head(StreamHead { version: Version::FIRST, sequence: Sequence::FIRST });
    let mut other = head.clone();
    other[0] = 1;
    assert!(decode_head(&other).unwrap_err().to_string().contains("format 1, where this version makes 2"));
    for length in 0..head.len() {
        assert!(decode_head(&head[..length]).is_err());
    }
    let longer = [head.as_slice(), &[0]].concat();
    assert!(decode_head(&longer).unwrap_err().to_string().contains("left over"));
    assert!(decoded(&[2, 0]).is_err(), "no places");
    assert!(decoded(&[2, 0x81, 8]).is_err(), "1,025 places");
    let endless = [2, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 1, 1, 1];
    assert!(decoded(&endless).unwrap_err().to_string().contains("64 bits"));
}

#[test]
fn a_full_posting_is_taken_and_one_place_more_is_not() {
    let full: Vec<_> = (0..1_024u32).map(|i| place(u64::from(i) + 1, 1, i * 8, i * 8 + 4)).collect();
    assert_eq!(decoded(&encode_posting(&full)).unwrap(), full);
    let more: Vec<_> = (0..1_025u32).map(|i| place(u64::from(i) + 1, 1, i * 8, i * 8 + 4)).collect();
    assert!(std::panic::catch_unwind(|| encode_posting(&more)).is_err());
}

#[test]
fn postings_of_correlation_ids_lie_by_length_so_that_none_lies_between_anothers() {
    let mut keys = [
        correlation_key("b", Sequence::FIRST),
        correlation_key("a\0", Sequence::FIRST),
        correlation_key("a", Sequence::MAX),
        correlation_key("a", Sequence::FIRST),
        correlation_key("", Sequence::MAX),
    ];
    keys.sort();
    assert_eq!(keys[4], correlation_key("a\0", Sequence::FIRST));
    let of_a: Vec<_> = keys.iter().filter(|key| key.starts_with(&correlation_prefix("a"))).collect();
    assert_eq!(of_a.len(), 2);
    assert!(correlation_key("a", Sequence::MAX) < correlation_key("b", Sequence::ZERO));
    assert!(correlation_key("b", Sequence::MAX) < correlation_key("a\0", Sequence::ZERO));
}

#[test]
fn postings_of_streams_with_a_common_beginning_do_not_mix() {
    // The separator sorts before every character that a name may have, so "a" ends before "a-1" and "a " begin.
    let mut keys = [
        posting_key("a", Version::MAX),
        posting_key("a", Version::FIRST),
        posting_key("a ", Version::FIRST),
        posting_key("a-1", Version::FIRST),
        posting_key("a-1", Version::new(256)),
        posting_key("a-12", Version::FIRST),
    ];
    keys.sort();
    let of_a: Vec<_> = keys.iter().take_while(|key| key.starts_with(&posting_prefix("a"))).collect();
    assert_eq!(of_a.len(), 2);
    assert_eq!(keys[4], posting_key("a-1", Version::new(256)));
}

/// Places as a log makes them: sequences increase, segments follow, offsets increase within one.
fn places() -> impl Strategy<Value = Vec<Place>> {
    let step = (1u64..1 << 40, any::<bool>(), 0u32..1 << 20, 0u32..1 << 16);
    (1u64..1 << 50, 0u64..1 << 40, proptest::collection::vec(step, 1..200)).prop_map(|(start, segment, steps)| {
        let mut places: Vec<Place> = Vec::new();
        for (step, is_other_segment, frame, record) in steps {
            let next = match places.last() {
                None => place(start, segment, frame, frame + record),
                Some(last) => {
                    let sequence = last.sequence.get() + step;
                    let (segment, frame) = if is_other_segment {
                        (last.segment.get() + step, frame)
                    } else {
                        (last.segment.get(), last.frame_offset + frame)
                    };
                    place(sequence, segment, frame, frame + record)
                }
            };
            places.push(next);
        }
        places
    })
}

proptest! {
    #[test]
    fn a_posting_reads_back(places in places()) {
        prop_assert_eq!(decoded(&encode_posting(&places)).unwrap(), places);
    }

    #[test]
    fn heads_entries_and_watermarks_read_back(
        version: u64, sequence: u64, segment: u64, offset: u64, chain: u32, micros: i64, hash: [u8; 32], id: [u8; 16],
    ) {
        let head = StreamHead { version: Version::new(version), sequence: Sequence::new(sequence) };
        prop_assert_eq!(decode_head(&encode_head(head)).unwrap(), head);
        let entry = KeyEntry { content_hash: hash, segment: Sequence::new(segment), frame_offset: chain };
        prop_assert_eq!(decode_key_entry(&encode_key_entry(&entry)).unwrap(), entry);
        let watermark = Watermark {
            store_id: StoreId::from_bytes(id),
            sequence: Sequence::new(sequence),
            segment: Sequence::new(segment),
            offset,
            chain,
            timestamp: Timestamp::from_micros(micros),
            previous_frame: Some(chain).filter(|offset| *offset > 0),
        };
        prop_assert_eq!(decode_watermark(&encode_watermark(&watermark)).unwrap(), watermark);
        prop_assert_eq!(decode_state_sequence(&encode_state_sequence(head.sequence)).unwrap(), head.sequence);
    }

    #[test]
    fn any_bytes_decode_or_are_refused_without_a_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..96)) {
        for format in [None, Some(FORMAT)] {
            if let (Some(format), Some(first)) = (format, bytes.first_mut()) {
                *first = format;
            }
            let _ = decode_head(&bytes);
            let _ = decode_key_entry(&bytes);
            let _ = decode_watermark(&bytes);
            let _ = decode_identity(&bytes);
            let _ = decode_state_sequence(&bytes);
            let _ = stream_of_head_key(&bytes);
            let _ = version_of_posting_key(&bytes);
            if let Ok(places) = decoded(&bytes) {
                // What was accepted is a posting, so it can be written again, though not always in the same bytes.
                prop_assert_eq!(decoded(&encode_posting(&places)).unwrap(), places);
            }
        }
    }
}
