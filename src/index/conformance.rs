//! What every index must do, run over all there are.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::error::ErrorKind;
use crate::limits::{METADATA_BYTES_MAX, POSTING_EVENTS_MAX};

pub(super) const STORE: StoreId = StoreId::from_bytes([1; 16]);
const OTHER: StoreId = StoreId::from_bytes([2; 16]);

pub(super) fn place(sequence: u64) -> Place {
    let offset = u32::try_from(sequence % 1_000).unwrap() * 64;
    Place {
        sequence: Sequence::new(sequence),
        segment: Sequence::new(sequence / 1_000 * 1_000 + 1),
        frame_offset: offset,
        record_offset: offset + 40,
    }
}

pub(super) fn watermark(sequence: u64) -> Watermark {
    Watermark {
        store_id: STORE,
        sequence: Sequence::new(sequence),
        segment: Sequence::FIRST,
        offset: sequence * 64,
        chain: 7,
        timestamp: Timestamp::from_micros(9),
        previous_frame: None,
    }
}

pub(super) fn entry(number: u8) -> KeyEntry {
    KeyEntry { content_hash: [number; 32], segment: Sequence::FIRST, frame_offset: u32::from(number) }
}

/// Makes batches of a log: each takes the next sequences and the next versions of its streams.
#[derive(Default)]
pub(super) struct Log {
    sequence: u64,
    versions: BTreeMap<String, u64>,
    events: Vec<(String, u64, u64)>,
    correlated: Vec<(String, u64)>,
}

impl Log {
    /// A batch of one event for each of `streams`, in that order.
    pub(super) fn batch(&mut self, streams: &[&str], keys: &[(&str, u8)]) -> IndexBatch {
        let events: Vec<_> = streams.iter().map(|name| (*name, None)).collect();
        self.batch_of(&events, keys)
    }

    /// A batch of events, each of a stream and with a correlation id or none.
    pub(super) fn batch_of(&mut self, events: &[(&str, Option<&str>)], keys: &[(&str, u8)]) -> IndexBatch {
        let mut tail = tail::Tail::default();
        for (name, correlation_id) in events {
            self.sequence += 1;
            let version = self.versions.entry((*name).to_owned()).or_default();
            *version += 1;
            self.events.push(((*name).to_owned(), *version, self.sequence));
            let event = (Version::new(*version), segmented(self.sequence), *correlation_id);
            tail.record_named(&StreamId::new(name).unwrap(), [event]);
            if let Some(id) = correlation_id {
                self.correlated.push(((*id).to_owned(), self.sequence));
            }
        }
        for (key, number) in keys {
            tail.record_key((*key).to_owned(), entry(*number));
        }
        tail.set_end(watermark(self.sequence));
        tail.to_batch().unwrap()
    }

    fn correlated(&self, correlation_id: &str) -> Vec<Place> {
        let with_id = self.correlated.iter().filter(|(id, _)| id == correlation_id);
        with_id.map(|(_, sequence)| segmented(*sequence)).collect()
    }

    fn places(&self, stream: &str) -> Vec<(Version, Place)> {
        let of_stream = self.events.iter().filter(|(name, ..)| name == stream);
        of_stream.map(|(_, version, sequence)| (Version::new(*version), segmented(*sequence))).collect()
    }
}

/// A place in segments that begin at 1, 1,001, and so on.
fn segmented(sequence: u64) -> Place {
    let segment = (sequence - 1) / 1_000 * 1_000 + 1;
    let offset = u32::try_from(sequence - segment).unwrap() * 64;
    Place { segment: Sequence::new(segment), frame_offset: offset, record_offset: offset + 40, ..place(sequence) }
}

fn names(found: &[(StreamId, StreamHead)]) -> Vec<&str> {
    found.iter().map(|(name, _)| name.as_str()).collect()
}

pub(super) fn put(key: &str, value: &str) -> StateWrite {
    StateWrite::Put(key.as_bytes().to_vec(), value.as_bytes().to_vec())
}

fn open(provider: &dyn IndexProvider, directory: &Path) -> Arc<dyn Index> {
    provider.open(directory, STORE).unwrap()
}

fn present(sequence: Option<u64>, state_sequence: u64) -> IndexEvidence {
    let state_sequence = Sequence::new(state_sequence);
    IndexEvidence::Present { watermark: sequence.map(watermark), state_sequence }
}

fn a_new_index_is_empty(provider: &dyn IndexProvider, directory: &Path) {
    assert_eq!(provider.evidence(directory, STORE), IndexEvidence::Absent);
    assert_eq!(provider.open_read_only(directory, STORE).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(provider.evidence(directory, STORE), IndexEvidence::Absent, "looking makes nothing");
    let index = open(provider, directory);
    assert_eq!(index.watermark(), None);
    assert_eq!(index.head("a").unwrap(), None);
    assert_eq!(index.key("k").unwrap(), None);
    assert_eq!(index.places("a", Version::FIRST, Direction::Forwards, 9).unwrap(), []);
    assert_eq!(index.places("a", Version::MAX, Direction::Backwards, 9).unwrap(), []);
    assert_eq!(index.correlated("c", Sequence::FIRST, Direction::Forwards, 9).unwrap(), []);
    assert_eq!(index.correlated("c", Sequence::MAX, Direction::Backwards, 9).unwrap(), []);
    assert_eq!(index.streams("", None, 9).unwrap(), []);
    assert_eq!(index.state(b"k").unwrap(), None);
    assert_eq!(
        index.scan_state(b"", b"", Direction::Forwards, 9).unwrap(),
        [],
        "what the index keeps for itself is not shown"
    );
    index.close().unwrap();
}

fn heads_and_keys_are_those_of_the_last_batch(provider: &dyn IndexProvider, directory: &Path) {
    let mut log = Log::default();
    let index = open(provider, directory);
    index.ingest(&log.batch(&["a", "b", "a"], &[("k1", 1)])).unwrap();
    index.ingest(&log.batch(&["b", "c"], &[("k2", 2), ("", 3)])).unwrap();
    let head = |version, sequence| StreamHead { version: Version::new(version), sequence: Sequence::new(sequence) };
    assert_eq!(index.head("a").unwrap(), Some(head(2, 3)));
    assert_eq!(index.head("b").unwrap(), Some(head(2, 4)));
    assert_eq!(index.head("c").unwrap(), Some(head(1, 5)));
    for stream in ["", "aa", "d"] {
        assert_eq!(index.head(stream).unwrap(), None, "{stream}");
    }
    for (key, number) in [("k1", 1), ("k2", 2), ("", 3)] {
        assert_eq!(index.key(key).unwrap(), Some(entry(number)), "{key}");
    }
    assert_eq!(index.key("k").unwrap(), None);
    assert_eq!(index.watermark(), Some(watermark(5)));
    index.close().unwrap();
}

fn places_go_both_ways_across_postings_and_batches(provider: &dyn IndexProvider, directory: &Path) {
    let mut log = Log::default();
    let index = open(provider, directory);
    let many = vec!["a"; POSTING_EVENTS_MAX + 476];
    for streams in [&["a", "b", "a"][..], &["ab", "b"], &many, &["a", "a/", "b", "a"]] {
        index.ingest(&log.batch(streams, &[])).unwrap();
    }
    let all = log.places("a");
    assert_eq!(all.len(), 1_504);
    let numbers = [0, 1, 2, 3, 4, 1_025, 1_026, 1_027, 1_028, 1_502, 1_503, 1_504, 1_505, u64::MAX];
    for from in numbers.map(Version::new) {
        for limit in [0, 1, 2, 3, 1_024, 1_025, 1_504, usize::MAX] {
            let forwards: Vec<_> = all.iter().filter(|(version, _)| *version >= from).take(limit).copied().collect();
            let backwards: Vec<_> =
                all.iter().rev().filter(|(version, _)| *version <= from).take(limit).copied().collect();
            assert_eq!(index.places("a", from, Direction::Forwards, limit).unwrap(), forwards, "{from} {limit}");
            assert_eq!(index.places("a", from, Direction::Backwards, limit).unwrap(), backwards, "{from} {limit}");
        }
    }
    assert_eq!(index.places("b", Version::FIRST, Direction::Forwards, 9).unwrap(), log.places("b"));
    assert_eq!(index.places("ab", Version::FIRST, Direction::Forwards, 9).unwrap(), log.places("ab"));
    assert_eq!(index.places("c", Version::FIRST, Direction::Forwards, 9).unwrap(), []);
    index.close().unwrap();
}

fn correlated_places_go_both_ways_across_postings_batches_and_streams(provider: &dyn IndexProvider, directory: &Path) {
    let mut log = Log::default();
    let index = open(provider, directory);
    let many = vec![("a", Some("p")); POSTING_EVENTS_MAX + 476];
    for events in [
        &[("a", Some("p")), ("b", Some("q")), ("b", None), ("c", Some("p"))][..],
        &[("b", None), ("c", Some("q"))],
        &many,
        &[("b", Some("p")), ("c", Some("pp")), ("a", Some("p")), ("a", None)],
    ] {
        index.ingest(&log.batch_of(events, &[])).unwrap();
    }
    let all = log.correlated("p");
    assert_eq!(all.len(), 1_504);
    let numbers = [0, 1, 2, 3, 4, 5, 6, 7, 8, 1_029, 1_030, 1_031, 1_506, 1_507, 1_508, 1_509, 1_510, u64::MAX];
    for from in numbers.map(Sequence::new) {
        for limit in [0, 1, 2, 3, 1_024, 1_025, 1_504, usize::MAX] {
            let forwards: Vec<_> = all.iter().filter(|place| place.sequence >= from).take(limit).copied().collect();
            let backwards: Vec<_> =
                all.iter().rev().filter(|place| place.sequence <= from).take(limit).copied().collect();
            assert_eq!(index.correlated("p", from, Direction::Forwards, limit).unwrap(), forwards, "{from} {limit}");
            assert_eq!(index.correlated("p", from, Direction::Backwards, limit).unwrap(), backwards, "{from} {limit}");
        }
    }
    for id in ["q", "pp", "r", ""] {
        assert_eq!(index.correlated(id, Sequence::FIRST, Direction::Forwards, 9).unwrap(), log.correlated(id), "{id}");
    }
    index.close().unwrap();
}

fn any_text_is_a_correlation_id_and_none_meets_another(provider: &dyn IndexProvider, directory: &Path) {
    let mut log = Log::default();
    let index = open(provider, directory);
    let longest = "x".repeat(METADATA_BYTES_MAX);
    let ids = ["", "\0", "a", "a\0", "a\0\0\0\0\0\0\0\u{1}", "b", "aa", "\u{f1}", "\u{7f}\u{7f}", &longest];
    let events: Vec<_> = ids.iter().chain(ids.iter().rev()).map(|id| ("s", Some(*id))).collect();
    index.ingest(&log.batch_of(&events, &[])).unwrap();
    index.ingest(&log.batch_of(&events, &[])).unwrap();
    for id in ids {
        let found = index.correlated(id, Sequence::FIRST, Direction::Forwards, 9).unwrap();
        assert_eq!((found.len(), &found), (4, &log.correlated(id)), "{}", id.len());
    }
    let longer = "x".repeat(100_000);
    assert_eq!(index.correlated(&longer, Sequence::FIRST, Direction::Forwards, 9).unwrap(), []);
    index.close().unwrap();
}

fn streams_are_listed_by_prefix_a_page_at_a_time(provider: &dyn IndexProvider, directory: &Path) {
    let mut log = Log::default();
    let index = open(provider, directory);
    index.ingest(&log.batch(&["wallet-2", "payment-1", "walleta", "\u{f1}and\u{fa}"], &[("wallet-9", 1)])).unwrap();
    index.ingest(&log.batch(&["wallet-10", "wallet-2", "wallet-1"], &[])).unwrap();
    let streams = |prefix, after, limit| index.streams(prefix, after, limit).unwrap();
    assert_eq!(names(&streams("wallet-", None, 9)), ["wallet-1", "wallet-10", "wallet-2"]);
    assert_eq!(names(&streams("wallet-", None, 2)), ["wallet-1", "wallet-10"]);
    assert_eq!(names(&streams("wallet-", Some("wallet-10"), 2)), ["wallet-2"]);
    assert_eq!(names(&streams("wallet-", Some("wallet-100"), 2)), ["wallet-2"], "after a name that is not there");
    assert_eq!(names(&streams("wallet-", Some("a"), 1)), ["wallet-1"], "after a name before the prefix");
    assert_eq!(names(&streams("wallet-", Some("x"), 9)), [""; 0], "after a name behind the prefix");
    assert_eq!(names(&streams("", None, 0)), [""; 0]);
    assert_eq!(names(&streams("", Some("wallet-2"), 9)), ["walleta", "\u{f1}and\u{fa}"]);
    assert_eq!(streams("wallet-2", None, 9)[0].1, StreamHead { version: Version::new(2), sequence: Sequence::new(6) });
    index.close().unwrap();
}

fn state_is_scanned_both_ways_by_prefix_and_from_anywhere(provider: &dyn IndexProvider, directory: &Path) {
    let index = open(provider, directory);
    let writes = ["a", "p/", "p/1", "p/2", "p/\u{7f}", "p0", "z"].map(|key| put(key, key));
    index.write_state(&writes, Sequence::ZERO).unwrap();
    let scan = |prefix: &str, from: &str, direction, limit| {
        let found = index.scan_state(prefix.as_bytes(), from.as_bytes(), direction, limit).unwrap();
        assert!(found.iter().all(|(key, value)| key == value));
        found.into_iter().map(|(key, _)| String::from_utf8(key).unwrap()).collect::<Vec<_>>()
    };
    use Direction::{Backwards, Forwards};
    assert_eq!(scan("", "", Forwards, 99), ["a", "p/", "p/1", "p/2", "p/\u{7f}", "p0", "z"]);
    assert_eq!(scan("", "", Backwards, 2), ["z", "p0"]);
    assert_eq!(scan("p/", "", Forwards, 99), ["p/", "p/1", "p/2", "p/\u{7f}"]);
    assert_eq!(scan("p/", "", Backwards, 99), ["p/\u{7f}", "p/2", "p/1", "p/"]);
    assert_eq!(scan("p/", "p/1", Forwards, 2), ["p/1", "p/2"]);
    assert_eq!(scan("p/", "p/1", Backwards, 99), ["p/1", "p/"]);
    assert_eq!(scan("p/", "p/10", Forwards, 1), ["p/2"]);
    assert_eq!(scan("p/", "p/10", Backwards, 1), ["p/1"]);
    assert_eq!(scan("p/", "a", Forwards, 1), ["p/"], "from before the prefix");
    assert_eq!(scan("p/", "a", Backwards, 1), [""; 0]);
    assert_eq!(scan("p/", "z", Forwards, 1), [""; 0], "from behind the prefix");
    assert_eq!(scan("p/", "z", Backwards, 1), ["p/\u{7f}"]);
    assert_eq!(scan("q", "", Forwards, 9), [""; 0]);
    assert_eq!(scan("", "", Forwards, 0), [""; 0]);
    let beyond = StateWrite::Put(vec![0xff, 0xff], Vec::new());
    index.write_state(&[beyond], Sequence::ZERO).unwrap();
    assert_eq!(index.scan_state(&[0xff], b"", Backwards, 9).unwrap(), [(vec![0xff, 0xff], Vec::new())]);
    index.close().unwrap();
}

fn state_is_put_replaced_and_deleted_in_one_write(provider: &dyn IndexProvider, directory: &Path) {
    let index = open(provider, directory);
    index.write_state(&[put("a", "1"), put("b", "2"), put("a", "3")], Sequence::new(4)).unwrap();
    assert_eq!(index.state(b"a").unwrap().as_deref(), Some(&b"3"[..]));
    index
        .write_state(
            &[StateWrite::Delete(b"a".to_vec()), StateWrite::Delete(b"x".to_vec()), put("b", "")],
            Sequence::ZERO,
        )
        .unwrap();
    assert_eq!(index.state(b"a").unwrap(), None);
    assert_eq!(index.state(b"b").unwrap().as_deref(), Some(&b""[..]));
    assert_eq!(index.watermark(), None, "the state is beside the index");
    index.close().unwrap();
}

fn everything_is_there_again_after_closing(provider: &dyn IndexProvider, directory: &Path) {
    let mut log = Log::default();
    let index = open(provider, directory);
    index.write_state(&[put("a", "1")], Sequence::new(2)).unwrap();
    index.ingest(&log.batch_of(&[("a", Some("p")), ("b", None), ("a", Some("p"))], &[("k", 5)])).unwrap();
    index.write_state(&[put("b", "2")], Sequence::new(1)).unwrap();
    index.close().unwrap();
    drop(index);
    assert_eq!(provider.evidence(directory, STORE), present(Some(3), 2));
    let index = open(provider, directory);
    assert_eq!(index.watermark(), Some(watermark(3)));
    assert_eq!(index.head("a").unwrap().unwrap().version, Version::new(2));
    assert_eq!(index.key("k").unwrap(), Some(entry(5)));
    assert_eq!(index.places("a", Version::FIRST, Direction::Forwards, 9).unwrap(), log.places("a"));
    assert_eq!(index.correlated("p", Sequence::FIRST, Direction::Forwards, 9).unwrap(), log.correlated("p"));
    assert_eq!(index.scan_state(b"", b"", Direction::Forwards, 9).unwrap().len(), 2);
    index.ingest(&log.batch(&["a"], &[])).unwrap();
    assert_eq!(index.places("a", Version::FIRST, Direction::Forwards, 9).unwrap(), log.places("a"));
    assert!(index.bytes().unwrap() > 0);
    index.close().unwrap();
}

fn evidence_tells_how_far_index_and_state_go(provider: &dyn IndexProvider, directory: &Path) {
    let mut log = Log::default();
    let index = open(provider, directory);
    index.write_state(&[put("a", "1")], Sequence::new(7)).unwrap();
    index.write_state(&[put("a", "2")], Sequence::new(5)).unwrap();
    index.close().unwrap();
    assert_eq!(provider.evidence(directory, STORE), present(None, 7), "the highest counts, not the last");
    let index = open(provider, directory);
    index.ingest(&log.batch(&["a"], &[])).unwrap();
    index.write_state(&[], Sequence::new(6)).unwrap();
    index.close().unwrap();
    assert_eq!(provider.evidence(directory, STORE), present(Some(1), 7));
}

fn an_index_of_another_store_is_refused(provider: &dyn IndexProvider, directory: &Path) {
    for with_events in [false, true] {
        let index = open(provider, directory);
        if with_events {
            index.ingest(&Log::default().batch(&["a"], &[])).unwrap();
        }
        index.close().unwrap();
        let IndexEvidence::Unusable(why) = provider.evidence(directory, OTHER) else { panic!("of another store") };
        assert!(why.contains(&STORE.to_string()), "{why}");
        assert_eq!(provider.open(directory, OTHER).unwrap_err().kind(), ErrorKind::Io);
        assert_eq!(provider.open_read_only(directory, OTHER).unwrap_err().kind(), ErrorKind::Io);
        assert!(matches!(provider.evidence(directory, STORE), IndexEvidence::Present { .. }), "and stays as it was");
    }
}

fn a_removed_index_is_made_anew(provider: &dyn IndexProvider, directory: &Path) {
    provider.remove(directory).unwrap();
    let index = open(provider, directory);
    index.ingest(&Log::default().batch(&["a"], &[])).unwrap();
    index.write_state(&[put("a", "1")], Sequence::new(1)).unwrap();
    index.close().unwrap();
    provider.remove(directory).unwrap();
    assert_eq!(provider.evidence(directory, STORE), IndexEvidence::Absent);
    let index = provider.open(directory, OTHER).unwrap();
    assert_eq!((index.watermark(), index.head("a").unwrap(), index.state(b"a").unwrap()), (None, None, None));
    index.close().unwrap();
}

fn a_batch_that_breaks_a_rule_changes_nothing(provider: &dyn IndexProvider, directory: &Path) {
    let mut log = Log::default();
    let index = open(provider, directory);
    index.ingest(&log.batch(&["a", "b"], &[("k", 1)])).unwrap();
    let good = log.batch_of(&[("a", Some("p")), ("b", Some("q")), ("c", None)], &[("l", 1), ("m", 2)]);
    let mut unsorted_correlations = good.clone();
    unsorted_correlations.correlations.swap(0, 1);
    let mut unsorted_heads = good.clone();
    unsorted_heads.heads.swap(0, 1);
    let mut double_key = good.clone();
    double_key.keys[1].0 = "l".into();
    let mut unsorted_postings = good.clone();
    unsorted_postings.postings.swap(1, 2);
    let mut foreign = good.clone();
    foreign.watermark.store_id = OTHER;
    let mut going_back = good.clone();
    going_back.watermark.sequence = Sequence::FIRST;
    for bad in [unsorted_correlations, unsorted_heads, double_key, unsorted_postings, foreign, going_back] {
        assert_eq!(index.ingest(&bad).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(index.watermark(), Some(watermark(2)));
        assert_eq!(index.head("a").unwrap().unwrap().version, Version::FIRST);
        assert_eq!((index.key("l").unwrap(), index.head("c").unwrap()), (None, None));
        assert_eq!(index.correlated("p", Sequence::FIRST, Direction::Forwards, 9).unwrap(), []);
        assert_eq!(index.places("b", Version::FIRST, Direction::Forwards, 9).unwrap().len(), 1);
    }
    index.ingest(&good).unwrap();
    assert_eq!(index.watermark(), Some(watermark(5)));
    assert_eq!(index.correlated("p", Sequence::FIRST, Direction::Forwards, 9).unwrap(), log.correlated("p"));
    index.close().unwrap();
}

fn a_batch_without_events_moves_the_watermark(provider: &dyn IndexProvider, directory: &Path) {
    let mut log = Log::default();
    let index = open(provider, directory);
    index.ingest(&log.batch(&["a"], &[])).unwrap();
    let mut empty = log.batch(&[], &[]);
    empty.watermark.offset += 512;
    index.ingest(&empty).unwrap();
    assert_eq!(index.watermark(), Some(empty.watermark));
    index.close().unwrap();
    let IndexEvidence::Present { watermark, .. } = provider.evidence(directory, STORE) else { panic!("present") };
    assert_eq!(watermark, Some(empty.watermark));
}

fn a_closed_index_answers_closed(provider: &dyn IndexProvider, directory: &Path) {
    let mut log = Log::default();
    let index = open(provider, directory);
    index.ingest(&log.batch(&["a"], &[])).unwrap();
    index.close().unwrap();
    index.close().unwrap();
    let closed = |result: Result<()>| assert_eq!(result.unwrap_err().kind(), ErrorKind::Closed);
    closed(index.ingest(&log.batch(&["a"], &[])));
    closed(index.write_state(&[put("a", "1")], Sequence::FIRST));
    closed(index.head("a").map(drop));
    closed(index.key("a").map(drop));
    closed(index.places("a", Version::FIRST, Direction::Forwards, 1).map(drop));
    closed(index.correlated("a", Sequence::FIRST, Direction::Forwards, 1).map(drop));
    closed(index.streams("", None, 1).map(drop));
    closed(index.state(b"a").map(drop));
    closed(index.scan_state(b"", b"", Direction::Forwards, 1).map(drop));
    assert_eq!(index.watermark(), Some(watermark(1)));
    let again = open(provider, directory);
    assert_eq!(again.watermark(), Some(watermark(1)), "what was closed does not stand in the way");
    again.close().unwrap();
}

fn a_reader_beside_a_writer_sees_what_was_written_once_it_catches_up(provider: &dyn IndexProvider, directory: &Path) {
    let mut log = Log::default();
    let writer = open(provider, directory);
    writer.ingest(&log.batch(&["a"], &[("k", 1)])).unwrap();
    writer.write_state(&[put("a", "1")], Sequence::FIRST).unwrap();
    let reader = provider.open_read_only(directory, STORE).unwrap();
    assert_eq!(reader.watermark(), Some(watermark(1)));
    assert_eq!(reader.key("k").unwrap(), Some(entry(1)));
    assert_eq!(reader.state(b"a").unwrap().as_deref(), Some(&b"1"[..]));
    for _ in 0..12 {
        writer.ingest(&log.batch(&["b", "a"], &[])).unwrap();
        writer.write_state(&[put("a", &log.sequence.to_string())], Sequence::FIRST).unwrap();
    }
    assert_eq!(reader.watermark(), Some(watermark(1)), "not before it catches up");
    reader.catch_up().unwrap();
    writer.catch_up().unwrap();
    assert_eq!(reader.watermark(), Some(watermark(25)));
    assert_eq!(reader.places("a", Version::FIRST, Direction::Forwards, 99).unwrap(), log.places("a"));
    assert_eq!(reader.head("b").unwrap().unwrap().version, Version::new(12));
    assert_eq!(reader.state(b"a").unwrap().as_deref(), Some(&b"25"[..]));
    let batch = log.batch(&["a"], &[]);
    assert_eq!(reader.ingest(&batch).unwrap_err().kind(), ErrorKind::ReadOnly);
    assert_eq!(reader.write_state(&[], Sequence::FIRST).unwrap_err().kind(), ErrorKind::ReadOnly);
    writer.ingest(&batch).unwrap();
    writer.close().unwrap();
    reader.catch_up().unwrap();
    assert_eq!(reader.watermark(), Some(watermark(26)), "also after the writer has gone");
    reader.close().unwrap();
    assert_eq!(reader.head("a").unwrap_err().kind(), ErrorKind::Closed);
}

/// Goal: a look-up never sees half a batch. Method: each batch adds an event to each of two streams; readers compare
/// them, and the watermark taken before with what they find, while batches go in.
fn readers_see_whole_batches(provider: &dyn IndexProvider, directory: &Path) {
    let mut log = Log::default();
    let index = open(provider, directory);
    let batches: Vec<_> = (0..40).map(|_| log.batch(&["a", "b"], &[])).collect();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let covered = index.watermark().map_or(0, |watermark| watermark.sequence.get() / 2);
                    let found = index.streams("", None, 9).unwrap();
                    let versions: Vec<_> = found.iter().map(|(_, head)| head.version.get()).collect();
                    assert!(versions.is_empty() || versions == [versions[0]; 2], "{versions:?}");
                    assert!(versions.first().copied().unwrap_or(0) >= covered);
                    let places = index.places("b", Version::MAX, Direction::Backwards, usize::MAX).unwrap();
                    assert!(places.len() as u64 >= covered);
                    if covered == 40 {
                        break;
                    }
                }
            });
        }
        for batch in &batches {
            index.ingest(batch).unwrap();
        }
    });
    index.close().unwrap();
}

macro_rules! suite {
    ($module:ident, $provider:expr, $($behaviour:ident),+ $(,)?) => {
        mod $module {
            $(#[test]
            fn $behaviour() {
                let folder = tempfile::tempdir().unwrap();
                super::$behaviour(&$provider, &folder.path().join("index"));
            })+
        }
    };
}

macro_rules! suites {
    ($($behaviour:ident),+ $(,)?) => {
        suite!(memory, crate::index::MemoryIndexProvider::default(), $($behaviour),+);
        #[cfg(feature = "rocksdb")]
        suite!(rocks, crate::index::RocksIndexProvider::default(), $($behaviour),+);
    };
}

suites! {
    a_new_index_is_empty,
    heads_and_keys_are_those_of_the_last_batch,
    places_go_both_ways_across_postings_and_batches,
    correlated_places_go_both_ways_across_postings_batches_and_streams,
    any_text_is_a_correlation_id_and_none_meets_another,
    streams_are_listed_by_prefix_a_page_at_a_time,
    state_is_scanned_both_ways_by_prefix_and_from_anywhere,
    state_is_put_replaced_and_deleted_in_one_write,
    everything_is_there_again_after_closing,
    evidence_tells_how_far_index_and_state_go,
    an_index_of_another_store_is_refused,
    a_removed_index_is_made_anew,
    a_batch_that_breaks_a_rule_changes_nothing,
    a_batch_without_events_moves_the_watermark,
    a_closed_index_answers_closed,
    a_reader_beside_a_writer_sees_what_was_written_once_it_catches_up,
    readers_see_whole_batches,
}
