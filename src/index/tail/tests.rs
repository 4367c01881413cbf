//! Tests of the tail index.

use super::*;
use crate::types::{StoreId, Timestamp};

fn stream(name: &str) -> StreamId {
    StreamId::new(name).unwrap()
}

fn place(sequence: u64, segment: u64) -> Place {
    let offset = u32::try_from(sequence - segment).unwrap() * 256 + 64;
    Place {
        sequence: Sequence::new(sequence),
        segment: Sequence::new(segment),
        frame_offset: offset,
        record_offset: offset + 40,
    }
}

fn end(sequence: u64) -> Watermark {
    Watermark {
        store_id: StoreId::from_bytes([1; 16]),
        sequence: Sequence::new(sequence),
        segment: Sequence::FIRST,
        offset: 64,
        chain: 0,
        timestamp: Timestamp::EPOCH,
        previous_frame: None,
    }
}

/// Ten events of `a`, from version 5 on, with one of `b` after each, in segments of six events.
fn tail() -> Tail {
    let mut tail = Tail::default();
    for i in 0..10u64 {
        for (offset, name, version) in [(0, "a", 5 + i), (1, "b", 1 + i)] {
            let sequence = 101 + 2 * i + offset;
            tail.record_named(
                &stream(name),
                [(Version::new(version), place(sequence, 101 + (sequence - 101) / 6 * 6), None)],
            );
        }
    }
    tail
}

fn versions(places: &[(Version, Place)]) -> Vec<u64> {
    places.iter().map(|(version, _)| version.get()).collect()
}

#[test]
fn heads_and_first_versions_are_those_recorded() {
    let tail = tail();
    let head = tail.head("a").unwrap();
    assert_eq!((head.version, head.sequence), (Version::new(14), Sequence::new(119)));
    assert_eq!(tail.first_version("a"), Some(Version::new(5)));
    assert_eq!((tail.head("c"), tail.first_version("c")), (None, None));
    assert_eq!(tail.events(), 20);
}

#[test]
fn places_read_back_as_they_were_recorded_across_segments() {
    let tail = tail();
    let places = tail.places("a", Version::ZERO, Direction::Forwards, usize::MAX);
    assert_eq!(versions(&places), (5..=14).collect::<Vec<_>>());
    for (i, (_, found)) in places.iter().enumerate() {
        let sequence = 101 + 2 * i as u64;
        assert_eq!(*found, place(sequence, 101 + (sequence - 101) / 6 * 6));
    }
}

#[test]
fn places_go_both_ways_from_anywhere_with_a_limit() {
    let tail = tail();
    let places = |from, direction, limit| versions(&tail.places("a", Version::new(from), direction, limit));
    assert_eq!(places(7, Direction::Forwards, 3), [7, 8, 9]);
    assert_eq!(places(13, Direction::Forwards, 9), [13, 14]);
    assert_eq!(places(15, Direction::Forwards, 9), [0; 0]);
    assert_eq!(places(u64::MAX, Direction::Forwards, 9), [0; 0]);
    assert_eq!(places(7, Direction::Backwards, 2), [7, 6]);
    assert_eq!(places(6, Direction::Backwards, 9), [6, 5]);
    assert_eq!(places(u64::MAX, Direction::Backwards, 2), [14, 13]);
    assert_eq!(places(4, Direction::Backwards, 9), [0; 0]);
    assert_eq!(places(7, Direction::Forwards, 0), [0; 0]);
    assert_eq!(places(7, Direction::Backwards, 0), [0; 0]);
}

#[test]
fn streams_are_sorted_and_chosen_by_prefix() {
    let mut tail = Tail::default();
    for (sequence, name) in [(1, "wallet-2"), (2, "payment-1"), (3, "wallet-10"), (4, "walleta")] {
        tail.record_named(&stream(name), [(Version::FIRST, place(sequence, 1), None)]);
    }
    let names = |prefix| tail.streams(prefix).into_iter().map(|(name, _)| name.to_string()).collect::<Vec<_>>();
    assert_eq!(names("wallet-"), ["wallet-10", "wallet-2"]);
    assert_eq!(names("").len(), 4);
    assert_eq!(names("x"), [""; 0]);
}

#[test]
fn a_batch_is_sorted_and_its_postings_are_split_at_the_bound() {
    let mut tail = Tail::default();
    let events = POSTING_EVENTS_MAX as u64 + 1;
    for version in 1..=events {
        tail.record_named(&stream("b"), [(Version::new(version), place(version, 1), None)]);
    }
    tail.record_named(&stream("a"), [(Version::new(7), place(events + 1, 1), None)]);
    let entry = KeyEntry { content_hash: [0; 32], segment: Sequence::FIRST, frame_offset: 64 };
    tail.record_key("z".into(), entry);
    tail.record_key("y".into(), entry);
    tail.set_end(end(events + 1));

    let batch = tail.to_batch().unwrap();
    let heads: Vec<_> = batch.heads.iter().map(|(name, head)| (name.as_str(), head.version.get())).collect();
    assert_eq!(heads, [("a", 7), ("b", events)]);
    assert_eq!(batch.keys.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["y", "z"]);
    let postings = batch.postings.iter().map(|p| (p.stream.as_str(), p.version_first.get(), p.places.len()));
    assert_eq!(postings.collect::<Vec<_>>(), [("a", 7, 1), ("b", 1, 1024), ("b", 1025, 1)]);
    assert_eq!(batch.postings[2].places, [place(events, 1)]);
    assert_eq!(batch.watermark, end(events + 1));
}

/// Events of one stream, the odd ones of payment `p`, every fourth of `qq`, in segments of six events.
fn correlated() -> Tail {
    let mut tail = Tail::default();
    for sequence in 1..=20u64 {
        let place = place(sequence, 1 + (sequence - 1) / 6 * 6);
        let id = if sequence % 2 == 1 { Some("p") } else { (sequence % 4 == 0).then_some("qq") };
        tail.record_named(&stream("a"), [(Version::new(sequence), place, id)]);
    }
    tail
}

#[test]
fn correlated_places_go_both_ways_from_anywhere_with_a_limit() {
    let tail = correlated();
    let sequences = |id, from, direction, limit| {
        let found = tail.correlated(id, Sequence::new(from), direction, limit);
        assert!(found.iter().all(|found| *found == place(found.sequence.get(), found.segment.get())));
        found.iter().map(|place| place.sequence.get()).collect::<Vec<_>>()
    };
    assert_eq!(sequences("p", 0, Direction::Forwards, 99), [1, 3, 5, 7, 9, 11, 13, 15, 17, 19]);
    assert_eq!(sequences("p", 4, Direction::Forwards, 2), [5, 7]);
    assert_eq!(sequences("p", 4, Direction::Backwards, 9), [3, 1]);
    assert_eq!(sequences("p", u64::MAX, Direction::Backwards, 2), [19, 17]);
    assert_eq!(sequences("qq", 4, Direction::Forwards, 99), [4, 8, 12, 16, 20]);
    assert_eq!(sequences("q", 1, Direction::Forwards, 99), [0; 0]);
    assert_eq!(tail.first_correlated("qq"), Some(Sequence::new(4)));
    assert_eq!(tail.first_correlated("q"), None);
}

#[test]
fn correlations_are_sorted_by_length_and_split_at_the_bound() {
    let mut tail = Tail::default();
    let events = POSTING_EVENTS_MAX as u64 + 1;
    for version in 1..=events + 2 {
        let id = ["z", "aa", "b"][usize::try_from(version.saturating_sub(events)).unwrap()];
        tail.record_named(&stream("a"), [(Version::new(version), place(version, 1), Some(id))]);
    }
    tail.set_end(end(events + 2));
    let batch = tail.to_batch().unwrap();
    let found = batch
        .correlations
        .iter()
        .map(|posting| (posting.correlation_id.as_str(), posting.places[0].sequence.get(), posting.places.len()));
    assert_eq!(
        found.collect::<Vec<_>>(),
        [("b", events + 2, 1), ("z", 1, POSTING_EVENTS_MAX), ("z", events, 1), ("aa", events + 1, 1)]
    );
}

#[test]
fn an_event_without_a_correlation_id_takes_nothing_for_it_and_one_with_it_little() {
    let (with, mut without) = (correlated(), Tail::default());
    for sequence in 1..=20u64 {
        without
            .record_named(&stream("a"), [(Version::new(sequence), place(sequence, 1 + (sequence - 1) / 6 * 6), None)]);
    }
    assert_eq!(with.bytes() - without.bytes(), 3 + 2 * (NAME_BYTES + size_of::<Correlated>()) + 15 * 4);
}

#[test]
fn a_tail_without_an_end_makes_no_batch() {
    let mut tail = tail();
    assert!(tail.to_batch().is_none());
    tail.set_end(end(120));
    assert_eq!(tail.end(), Some(end(120)));
    assert!(tail.to_batch().is_some());
}

#[test]
fn its_size_grows_with_events_streams_and_keys() {
    let mut tail = Tail::default();
    assert_eq!(tail.bytes(), 0);
    tail.record_named(&stream("a"), [(Version::FIRST, place(1, 1), None)]);
    let with_stream = tail.bytes();
    tail.record_named(&stream("a"), [(Version::new(2), place(2, 1), None)]);
    assert_eq!(tail.bytes(), with_stream + 16);
    tail.record_key("key".into(), KeyEntry { content_hash: [0; 32], segment: Sequence::FIRST, frame_offset: 0 });
    assert!(tail.bytes() > with_stream + 16 + 3);
}

#[test]
#[should_panic(expected = "versions of a are consecutive: 16 where 15 is next")]
fn a_gap_in_a_stream_is_a_defect() {
    tail().record_named(&stream("a"), [(Version::new(16), place(200, 199), None)]);
}

#[test]
#[should_panic(expected = "sequences increase: 120 after 120")]
fn a_sequence_given_out_twice_is_a_defect() {
    tail().record_named(&stream("c"), [(Version::FIRST, place(120, 119), None)]);
}

#[test]
#[should_panic(expected = "used by one commit")]
fn a_key_recorded_twice_is_a_defect() {
    let mut tail = tail();
    let entry = KeyEntry { content_hash: [0; 32], segment: Sequence::FIRST, frame_offset: 0 };
    tail.record_key("key".into(), entry);
    tail.record_key("key".into(), entry);
}

#[test]
#[should_panic(expected = "the end is not before the last event")]
fn an_end_before_the_last_event_is_a_defect() {
    let mut tail = tail();
    tail.set_end(end(119));
    let _ = tail.to_batch();
}

#[test]
fn events_of_a_commit_are_recorded_as_one_by_one() {
    let (mut together, mut one_by_one) = (Tail::default(), Tail::default());
    let events = [(5, 1, None), (6, 2, Some("p")), (7, 3, Some("p"))];
    let events = events.map(|(version, sequence, id)| (Version::new(version), place(sequence, 1), id));
    together.record_named(&stream("a"), events);
    for event in events {
        one_by_one.record_named(&stream("a"), [event]);
    }
    let read = |tail: &Tail| {
        let places = tail.places("a", Version::ZERO, Direction::Forwards, 9);
        (places, tail.correlated("p", Sequence::ZERO, Direction::Forwards, 9), tail.head("a"), tail.events())
    };
    assert_eq!(read(&together), read(&one_by_one));
    assert_eq!(versions(&read(&together).0), [5, 6, 7]);
}

#[test]
fn a_commit_without_events_in_a_stream_does_not_make_it_known() {
    let mut tail = Tail::default();
    tail.record_named(&stream("a"), []);
    assert_eq!((tail.head("a"), tail.events(), tail.bytes()), (None, 0, 0));
}

#[test]
fn what_was_read_is_taken_in_as_what_was_written() {
    let (mut read, mut written) = (Tail::default(), Tail::default());
    for (version, sequence, id) in [(5, 1, None), (6, 2, Some("p"))] {
        read.record_read(b"a", Version::new(version), place(sequence, 1), id).unwrap();
        written.record_named(&stream("a"), [(Version::new(version), place(sequence, 1), id)]);
    }
    read.set_end(end(2));
    written.set_end(end(2));
    let (read, written) = (read.to_batch().unwrap(), written.to_batch().unwrap());
    assert_eq!((read.heads, read.postings, read.correlations), (written.heads, written.postings, written.correlations));
}

#[test]
fn what_was_read_and_does_not_fit_is_not_taken_in() {
    let mut tail = Tail::default();
    tail.record_read(b"a", Version::new(5), place(1, 1), None).unwrap();
    let mut misfit =
        |name: &str, version| tail.record_read(name.as_bytes(), Version::new(version), place(2, 1), None).unwrap_err();
    assert_eq!(misfit("a", 5), Misfit::Version);
    assert_eq!(misfit("a", 7), Misfit::Version);
    assert_eq!(misfit("b", 0), Misfit::Version);
    assert_eq!(misfit("a\nb", 1), Misfit::Name);
    assert_eq!((tail.events(), tail.head("b"), tail.head("a").unwrap().version), (1, None, Version::new(5)));
}

#[test]
fn a_successor_is_empty_and_takes_in_what_follows() {
    let mut next = tail().successor();
    assert_eq!((next.events(), next.bytes(), next.head("a"), next.end()), (0, 0, None, None));
    next.record_named(&stream("a"), [(Version::new(15), place(200, 199), None)]);
    assert_eq!(next.first_version("a"), Some(Version::new(15)));
}

/// Events of streams `a` and `b`, and from the hundredth on `c`, each with a key and every third with a correlation id, as a walk
/// meets them.
fn walked(tail: &mut Tail, sequences: impl IntoIterator<Item = u64>) {
    let stream_of = |sequence: u64| if sequence > 100 { sequence % 3 } else { sequence % 2 };
    for sequence in sequences {
        let id = sequence.is_multiple_of(3).then(|| format!("c-{}", sequence % 4));
        let name = match stream_of(sequence) {
            0 => b"a",
            1 => b"b",
            _ => b"c",
        };
        let version = (1..=sequence).filter(|other| stream_of(*other) == stream_of(sequence)).count() as u64;
        let segment = 1 + (sequence - 1) / 60 * 60;
        tail.record_read(name, Version::new(version), place(sequence, segment), id.as_deref()).unwrap();
        let entry = KeyEntry { content_hash: [1; 32], segment: Sequence::new(segment), frame_offset: 64 };
        tail.record_key(format!("key-{sequence}"), entry);
        tail.note_checkpoint(format!("name-{}", sequence % 5), Sequence::new(sequence));
    }
}

#[test]
fn two_tails_that_are_joined_anywhere_are_one() {
    let told = |tail: &mut Tail| {
        tail.set_end(end(200));
        format!("{:?} {:?} {} {}", tail.to_batch(), tail.take_checkpoints(), tail.bytes(), tail.events())
    };
    let mut whole = Tail::default();
    walked(&mut whole, 1..=200);
    let whole = told(&mut whole);
    for cut in [0, 1, 59, 60, 61, 99, 100, 101, 150, 199, 200] {
        let mut first = Tail::default();
        let mut second = first.successor();
        walked(&mut first, 1..=cut);
        walked(&mut second, cut + 1..=200);
        assert!(first.join(second));
        assert_eq!(told(&mut first), whole, "{cut}");
    }
}

#[test]
fn a_tail_that_does_not_follow_is_not_taken_in() {
    let later = |record: &dyn Fn(&mut Tail)| {
        let (mut first, mut second) = (Tail::default(), Tail::default());
        walked(&mut first, 1..=50);
        let before = format!("{first:?}");
        second.record_read(b"d", Version::new(9), place(51, 1), None).unwrap();
        record(&mut second);
        let joined = first.join(second);
        assert!(joined || format!("{first:?}") == before, "nothing has changed");
        joined.then(|| first.head("a").unwrap().version.get())
    };
    assert_eq!(later(&|_| ()), Some(25));
    for (version, expected) in [(25, None), (26, Some(26)), (27, None)] {
        let record = |tail: &mut Tail| tail.record_read(b"a", Version::new(version), place(52, 1), None).unwrap();
        assert_eq!(later(&record), expected);
    }
    let entry = KeyEntry { content_hash: [1; 32], segment: Sequence::FIRST, frame_offset: 64 };
    assert_eq!(later(&|tail| tail.record_key("key-7".into(), entry)), None);
    assert_eq!(later(&|tail| tail.record_key("key-51".into(), entry)), Some(25));
}
