//! The tail index: what the log has and the index does not have yet, in memory.
//!
//! It is updated on the commit path, under a lock, so a record costs one probe of a hash map and no more. A place
//! takes twelve bytes: the segment is kept once per run of places in it, and the sequence as its distance from it. A
//! correlation id takes sixteen bytes an event, and an event without one nothing.
//!
//! Invariants:
//! 1. The versions of a stream are consecutive; the first of them is where the index leaves off.
//! 2. Sequences increase over all records, and segments follow them.
//! 3. A stream has at least one place and its runs cover all of them, in order.

use std::collections::HashMap;

use crate::limits::POSTING_EVENTS_MAX;
use crate::sabotage::{self, Defect};
use crate::types::{Sequence, StreamId, Version};

use super::checkpoints::{self, Checkpointed};
use super::{CorrelationPosting, Direction, IndexBatch, KeyEntry, Place, Posting, StreamHead, Watermark};

/// What a stream, a key or a correlation id takes beside its text and its places: the entry in the map, at the map's usual load, and
/// the headers of the allocations.
const STREAM_BYTES: usize = 192;
const KEY_BYTES: usize = 128;
const CORRELATION_BYTES: usize = 112;

#[derive(Clone, Copy, Debug)]
struct CompactPlace {
    /// The sequence less the segment's first.
    sequence_in_segment: u32,
    frame_offset: u32,
    record_offset: u32,
}

/// The places from `start` on, up to the next run's, lie in `segment`.
#[derive(Clone, Copy, Debug)]
struct Run {
    start: usize,
    segment: Sequence,
}

/// Places in the order of their sequences.
#[derive(Debug, Default)]
struct Places {
    places: Vec<CompactPlace>,
    runs: Vec<Run>,
}

impl Places {
    fn len(&self) -> usize {
        self.places.len()
    }

    fn push(&mut self, place: Place) {
        if self.runs.last().is_none_or(|run| run.segment != place.segment) {
            self.runs.push(Run { start: self.places.len(), segment: place.segment });
        }
        self.places.push(compact(place));
    }

    fn get(&self, index: usize) -> Option<Place> {
        let compact = self.places.get(index)?;
        let run = self.runs.partition_point(|run| run.start <= index).checked_sub(1);
        let run = run.and_then(|run| self.runs.get(run));
        debug_assert!(run.is_some(), "the runs cover all places");
        Some(expanded(*compact, run.map_or(Sequence::ZERO, |run| run.segment)))
    }
}

/// The places of events with a correlation id. They are kept once for all ids: most ids have few events, and an allocation for
/// each of two lists would cost more than what is in it.
#[derive(Debug, Default)]
struct Correlations {
    places: Places,
    /// Of each id, which of the places are its.
    ids: HashMap<Box<str>, Vec<u32>>,
    text_bytes: usize,
}

impl Correlations {
    fn record(&mut self, correlation_id: &str, place: Place) {
        let number = u32::try_from(self.places.len()).unwrap_or_else(|_| unreachable!("a tail has fewer events"));
        self.places.push(place);
        if let Some(numbers) = self.ids.get_mut(correlation_id) {
            numbers.push(number);
        } else {
            self.text_bytes += correlation_id.len();
            self.ids.insert(correlation_id.into(), vec![number]);
        }
    }

    fn numbers(&self, correlation_id: &str) -> &[u32] {
        self.ids.get(correlation_id).map_or(&[], Vec::as_slice)
    }

    fn place(&self, number: u32) -> Place {
        let place = self.places.get(index(number));
        place.unwrap_or_else(|| unreachable!("a number is given with its place"))
    }

    /// Sorted as an index takes them in.
    fn postings(&self) -> Vec<CorrelationPosting> {
        let mut ids: Vec<_> = self.ids.iter().collect();
        ids.sort_unstable_by_key(|(id, _)| (id.len(), *id));
        let postings = ids.into_iter().flat_map(|(id, numbers)| {
            numbers.chunks(POSTING_EVENTS_MAX).map(|numbers| CorrelationPosting {
                correlation_id: id.to_string(),
                places: numbers.iter().map(|number| self.place(*number)).collect(),
            })
        });
        postings.collect()
    }

    fn bytes(&self) -> usize {
        let event_bytes = size_of::<CompactPlace>() + size_of::<u32>();
        self.text_bytes + self.ids.len() * CORRELATION_BYTES + self.places.len() * event_bytes
    }
}

#[derive(Debug)]
struct StreamTail {
    version_first: Version,
    head: StreamHead,
    places: Places,
}

impl StreamTail {
    fn new(version: Version, place: Place) -> Self {
        let head = StreamHead { version, sequence: place.sequence };
        Self { version_first: version, head, places: Places::default() }
    }

    fn push(&mut self, version: Version, place: Place) {
        self.places.push(place);
        self.head = StreamHead { version, sequence: place.sequence };
    }

    /// The places from index `start` on, at most `limit`, each with its version.
    fn range(&self, start: usize, limit: usize) -> impl DoubleEndedIterator<Item = (Version, Place)> {
        let end = start.saturating_add(limit).min(self.places.len());
        (start.min(end)..end)
            .filter_map(|index| self.places.get(index).map(|place| (self.version_first.plus(index as u64), place)))
    }
}

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn compact(place: Place) -> CompactPlace {
    assert!(place.sequence >= place.segment, "an event is not before its segment");
    let distance = place.sequence.get() - place.segment.get();
    let sequence_in_segment = u32::try_from(distance).unwrap_or(u32::MAX);
    assert!(
        u64::from(sequence_in_segment) == distance,
        "a segment's bytes are counted in 32 bits, and so are its events"
    );
    CompactPlace { sequence_in_segment, frame_offset: place.frame_offset, record_offset: place.record_offset }
}

fn expanded(compact: CompactPlace, segment: Sequence) -> Place {
    Place {
        sequence: segment.plus(u64::from(compact.sequence_in_segment)),
        segment,
        frame_offset: compact.frame_offset,
        record_offset: compact.record_offset,
    }
}

/// The index of the log's end.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    streams: HashMap<StreamId, StreamTail>,
    keys: HashMap<String, KeyEntry>,
    correlations: Correlations,
    /// What a walk of the log met.
    checkpoints: Checkpointed,
    events: usize,
    text_bytes: usize,
    last: Option<(Sequence, Sequence)>,
    end: Option<Watermark>,
}

impl Tail {
    /// Takes in an event. Panics if it does not follow the one before it, in the stream or in the log: the caller
    /// gave out the version and the sequence, so that would be a defect.
    pub(crate) fn record(&mut self, stream: &StreamId, version: Version, place: Place) {
        if let Some((sequence, segment)) = self.last {
            assert!(place.sequence > sequence, "sequences increase: {} after {sequence}", place.sequence);
            assert!(place.segment >= segment, "segments follow: {} after {segment}", place.segment);
        }
        let entry = self.streams.entry(stream.clone());
        let known = match entry {
            std::collections::hash_map::Entry::Occupied(entry) => {
                let known = entry.into_mut();
                let next = known.head.version.next();
                assert!(version == next, "versions of {stream} are consecutive: {version} where {next} is next");
                known
            }
            std::collections::hash_map::Entry::Vacant(entry) => {
                assert!(version > Version::ZERO, "the first version is one");
                self.text_bytes += stream.as_str().len();
                entry.insert(StreamTail::new(version, place))
            }
        };
        known.push(version, place);
        self.last = Some((place.sequence, place.segment));
        self.events += 1;
    }

    /// Takes in the correlation id of the event that was taken in last. One that has none costs nothing.
    pub(crate) fn record_correlation(&mut self, correlation_id: &str, place: Place) {
        assert!(self.last == Some((place.sequence, place.segment)), "a correlation id is of the last event");
        self.correlations.record(correlation_id, place);
    }

    /// Takes in a commit's idempotency key, which is in it at most once.
    pub(crate) fn record_key(&mut self, key: String, entry: KeyEntry) {
        self.text_bytes += key.len();
        let previous = self.keys.insert(key, entry);
        assert!(previous.is_none(), "an idempotency key is used by one commit");
    }

    /// Takes in a checkpoint that an event holds.
    pub(crate) fn note_checkpoint(&mut self, name: String, sequence: Sequence) {
        checkpoints::note(&mut self.checkpoints, name, sequence);
    }

    /// The checkpoints that were noted, for the index's state. They are no part of a batch.
    pub(crate) fn take_checkpoints(&mut self) -> Checkpointed {
        std::mem::take(&mut self.checkpoints)
    }

    pub(crate) fn head(&self, stream: &str) -> Option<StreamHead> {
        self.streams.get(stream).map(|known| known.head)
    }

    /// The first version of a stream that is here; the earlier ones are in the index.
    pub(crate) fn first_version(&self, stream: &str) -> Option<Version> {
        self.streams.get(stream).map(|known| known.version_first)
    }

    pub(crate) fn key(&self, key: &str) -> Option<KeyEntry> {
        self.keys.get(key).copied()
    }

    /// The places of a stream's events that are here, at most `limit`: forwards from version `from` on, backwards from
    /// `from` down, inclusive.
    pub(crate) fn places(
        &self,
        stream: &str,
        from: Version,
        direction: Direction,
        limit: usize,
    ) -> Vec<(Version, Place)> {
        let Some(known) = self.streams.get(stream) else { return Vec::new() };
        let index_of = |version: Version| {
            let index = version.get().saturating_sub(known.version_first.get());
            usize::try_from(index).unwrap_or(usize::MAX)
        };
        match direction {
            Direction::Forwards => known.range(index_of(from), limit).collect(),
            Direction::Backwards if from < known.version_first => Vec::new(),
            Direction::Backwards => {
                let end = index_of(from).saturating_add(1).min(known.places.len());
                let start = end.saturating_sub(limit);
                known.range(start, end - start).rev().collect()
            }
        }
    }

    /// The sequence of the first event with a correlation id that is here; the earlier ones are in the index.
    pub(crate) fn first_correlated(&self, correlation_id: &str) -> Option<Sequence> {
        let first = self.correlations.numbers(correlation_id).first()?;
        Some(self.correlations.place(*first).sequence)
    }

    /// The places of the events with a correlation id that are here, at most `limit`: forwards from sequence `from` on,
    /// backwards from `from` down, inclusive.
    pub(crate) fn correlated(
        &self,
        correlation_id: &str,
        from: Sequence,
        direction: Direction,
        limit: usize,
    ) -> Vec<Place> {
        let numbers = self.correlations.numbers(correlation_id);
        let place = |number: &u32| self.correlations.place(*number);
        match direction {
            Direction::Forwards => {
                let start = numbers.partition_point(|number| place(number).sequence < from);
                numbers.iter().skip(start).take(limit).map(place).collect()
            }
            Direction::Backwards => {
                let end = numbers.partition_point(|number| place(number).sequence <= from);
                numbers.iter().take(end).rev().take(limit).map(place).collect()
            }
        }
    }

    /// The streams that are here and whose name starts with `prefix`, in the order of their bytes. Looks at all.
    pub(crate) fn streams(&self, prefix: &str) -> Vec<(StreamId, StreamHead)> {
        let matching = self.streams.iter().filter(|(stream, _)| stream.as_str().starts_with(prefix));
        let mut found: Vec<_> = matching.map(|(stream, known)| (stream.clone(), known.head)).collect();
        found.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
        found
    }

    /// How many events are here.
    pub(crate) fn events(&self) -> usize {
        self.events
    }

    /// Roughly what it takes in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.text_bytes
            + self.streams.len() * (STREAM_BYTES + size_of::<StreamTail>())
            + self.keys.len() * (KEY_BYTES + size_of::<KeyEntry>())
            + self.events * size_of::<CompactPlace>()
            + self.correlations.bytes()
    }

    /// Says up to where the log is in here.
    pub(crate) fn set_end(&mut self, end: Watermark) {
        self.end = Some(end);
    }

    #[cfg(test)]
    pub(crate) fn end(&self) -> Option<Watermark> {
        self.end
    }

    /// Everything here, sorted, as an index takes it in; `None` where no end was set.
    pub(crate) fn to_batch(&self) -> Option<IndexBatch> {
        let watermark = self.end?;
        if let Some((sequence, _)) = self.last {
            assert!(watermark.sequence >= sequence, "the end is not before the last event");
        }
        let mut streams: Vec<_> = self.streams.iter().collect();
        streams.sort_unstable_by_key(|(stream, _)| *stream);
        let keys = if sabotage::has(Defect::ForgetKeysInTail) { &HashMap::new() } else { &self.keys };
        let mut keys: Vec<_> = keys.iter().map(|(key, entry)| (key.clone(), *entry)).collect();
        keys.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
        let heads = streams.iter().map(|(stream, known)| ((*stream).clone(), known.head)).collect();
        let postings = streams.iter().flat_map(|(stream, known)| postings(stream, known)).collect();
        Some(IndexBatch { correlations: self.correlations.postings(), heads, keys, postings, watermark })
    }
}

/// How many places a posting takes.
fn posting_events(known: &StreamTail) -> usize {
    let forgets = sabotage::has(Defect::ForgetLastPosting) && known.places.len() > 1;
    if forgets { known.places.len().min(POSTING_EVENTS_MAX) - 1 } else { POSTING_EVENTS_MAX }
}

fn postings<'a>(stream: &'a StreamId, known: &'a StreamTail) -> impl Iterator<Item = Posting> + 'a {
    (0..known.places.len()).step_by(POSTING_EVENTS_MAX).map(|start| Posting {
        stream: stream.clone(),
        version_first: known.version_first.plus(start as u64),
        places: known.range(start, posting_events(known)).map(|(_, place)| place).collect(),
    })
}

#[cfg(test)]
mod tests {
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
                tail.record(&stream(name), Version::new(version), place(sequence, 101 + (sequence - 101) / 6 * 6));
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
            tail.record(&stream(name), Version::FIRST, place(sequence, 1));
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
            tail.record(&stream("b"), Version::new(version), place(version, 1));
        }
        tail.record(&stream("a"), Version::new(7), place(events + 1, 1));
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
            tail.record(&stream("a"), Version::new(sequence), place);
            let id = if sequence % 2 == 1 { Some("p") } else { (sequence % 4 == 0).then_some("qq") };
            if let Some(id) = id {
                tail.record_correlation(id, place);
            }
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
            tail.record(&stream("a"), Version::new(version), place(version, 1));
            let id = ["z", "aa", "b"][usize::try_from(version.saturating_sub(events)).unwrap()];
            tail.record_correlation(id, place(version, 1));
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
            without.record(&stream("a"), Version::new(sequence), place(sequence, 1 + (sequence - 1) / 6 * 6));
        }
        assert_eq!(with.bytes() - without.bytes(), 3 + 2 * CORRELATION_BYTES + 15 * 16);
    }

    #[test]
    #[should_panic(expected = "a correlation id is of the last event")]
    fn a_correlation_id_of_an_event_that_is_not_the_last_is_a_defect() {
        correlated().record_correlation("p", place(19, 19));
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
        tail.record(&stream("a"), Version::FIRST, place(1, 1));
        let with_stream = tail.bytes();
        tail.record(&stream("a"), Version::new(2), place(2, 1));
        assert_eq!(tail.bytes(), with_stream + 12);
        tail.record_key("key".into(), KeyEntry { content_hash: [0; 32], segment: Sequence::FIRST, frame_offset: 0 });
        assert!(tail.bytes() > with_stream + 12 + 3);
    }

    #[test]
    #[should_panic(expected = "versions of a are consecutive: 16 where 15 is next")]
    fn a_gap_in_a_stream_is_a_defect() {
        tail().record(&stream("a"), Version::new(16), place(200, 199));
    }

    #[test]
    #[should_panic(expected = "sequences increase: 120 after 120")]
    fn a_sequence_given_out_twice_is_a_defect() {
        tail().record(&stream("c"), Version::FIRST, place(120, 119));
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
}
