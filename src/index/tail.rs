//! The tail index: what the log has and the index does not have yet, in memory.
//!
//! It is updated on the commit path, under a lock, so the events of a commit in one stream cost one probe of a hash table, and
//! none an allocation of its own. A place takes twelve bytes and is kept once, in the order of the log: the segment is kept once per
//! run of places in it, and the sequence as its distance from it. Streams and correlation ids have the numbers of their places,
//! four bytes an event; an event without a correlation id costs nothing for it.
//!
//! Invariants:
//! 1. The versions of a stream are consecutive; the first of them is where the index leaves off.
//! 2. Sequences increase over all records, and segments follow them.
//! 3. A stream has at least one place; runs cover all places, in order.

use crate::limits::POSTING_EVENTS_MAX;
use crate::sabotage::{self, Defect};
use crate::types::{Sequence, StreamId, Version};

use super::checkpoints::{self, Checkpointed};
use super::names::{Chunks, Found, Keyed, Named, Names, Numbers, index, number};
use super::{CorrelationPosting, Direction, IndexBatch, KeyEntry, Place, Posting, StreamHead, Watermark};

/// What a stream, a key or a correlation id takes beside its text, its entry and its places: its part of the table, at the table's
/// usual load, and the header of the text's allocation.
const NAME_BYTES: usize = 64;

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
    places: Chunks<CompactPlace>,
    runs: Vec<Run>,
}

impl Places {
    fn len(&self) -> usize {
        self.places.len()
    }

    #[inline]
    fn push(&mut self, place: Place) {
        if self.runs.last().is_none_or(|run| run.segment != place.segment) {
            self.runs.push(Run { start: self.places.len(), segment: place.segment });
        }
        self.places.push(compact(place));
    }

    /// The place with a number that was given here.
    fn get(&self, number: u32) -> Place {
        let index = index(number);
        let compact = self.places.get(index).unwrap_or_else(|| unreachable!("a number is given with its place"));
        let run = self.runs.partition_point(|run| run.start <= index).checked_sub(1);
        let run = run.and_then(|run| self.runs.get(run));
        debug_assert!(run.is_some(), "the runs cover all places");
        expanded(*compact, run.map_or(Sequence::ZERO, |run| run.segment))
    }
}

#[derive(Debug)]
struct StreamTail {
    stream: StreamId,
    version_first: Version,
    numbers: Numbers,
}

impl StreamTail {
    #[inline]
    fn version_last(&self) -> Version {
        self.version_first.plus(self.numbers.len() as u64 - 1)
    }
}

impl Named for StreamTail {
    fn name(&self) -> &str {
        self.stream.as_str()
    }
}

#[derive(Debug)]
struct Correlated {
    correlation_id: Box<str>,
    numbers: Numbers,
}

impl Named for Correlated {
    fn name(&self) -> &str {
        &self.correlation_id
    }
}

#[derive(Debug)]
struct Key {
    key: String,
    entry: KeyEntry,
}

impl Named for Key {
    fn name(&self) -> &str {
        &self.key
    }
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

/// Why an event that was read from the log is not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misfit {
    /// Its stream has no name that a stream may have.
    Name,
    /// Its version is not the one that its stream comes to next.
    Version,
}

/// The index of the log's end.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    places: Places,
    streams: Names<StreamTail>,
    keys: Names<Key>,
    correlations: Names<Correlated>,
    /// What a walk of the log met.
    checkpoints: Checkpointed,
    last: Option<(Sequence, Sequence)>,
    end: Option<Watermark>,
}

impl Tail {
    /// An empty one for what follows, with room for as many names: what came up to here says what is to come, and a table
    /// that grows holds up a commit.
    pub(crate) fn successor(&self) -> Self {
        Self {
            streams: self.streams.with_same_room(),
            keys: self.keys.with_same_room(),
            correlations: self.correlations.with_same_room(),
            ..Self::default()
        }
    }

    /// How the names of streams are hashed, here and in its successors.
    pub(crate) fn keyed(&self) -> &Keyed {
        self.streams.keyed()
    }

    /// The number and the last version of a stream that is here, whose name has this hash.
    #[inline]
    pub(crate) fn known(&self, hash: u64, stream: &str) -> Option<(u32, Version)> {
        debug_assert_eq!(hash, self.keyed().hash(stream), "the hash is that of the name");
        self.streams.known(hash, stream).map(|(number, known)| (number, known.version_last()))
    }

    /// Takes in the events of a commit in one stream, each with its correlation id if it has one. Panics if one does not follow the
    /// one before it, in the stream or in the log: the caller gave out the version and the sequence, so that would be a defect. The
    /// stream's number is known where it was looked up here before.
    pub(crate) fn record<'a>(
        &mut self,
        stream: &StreamId,
        hash: u64,
        number: Option<u32>,
        events: impl IntoIterator<Item = (Version, Place, Option<&'a str>)>,
    ) {
        let mut known = number.or_else(|| self.known(hash, stream.as_str()).map(|(number, _)| number));
        debug_assert!(known.is_none_or(|known| self.streams.at(known).stream == *stream), "a number is of its stream");
        for (version, place, correlation_id) in events {
            let event = self.record_place(place);
            match known {
                Some(known) => {
                    let known = self.streams.at_mut(known);
                    let next = known.version_last().next();
                    assert!(version == next, "versions of {stream} are consecutive: {version} where {next} is next");
                    known.numbers.push(event);
                }
                None => {
                    assert!(version > Version::ZERO, "the first version is one");
                    let numbers = Numbers::of(event);
                    let entry = StreamTail { stream: stream.clone(), version_first: version, numbers };
                    known = Some(self.streams.insert(Found::none(hash), entry));
                }
            }
            if let Some(correlation_id) = correlation_id {
                self.record_correlation(correlation_id, event);
            }
        }
    }

    /// As [`record`](Self::record), of a stream that was not looked up before.
    #[cfg(test)]
    pub(super) fn record_named<'a>(
        &mut self,
        stream: &StreamId,
        events: impl IntoIterator<Item = (Version, Place, Option<&'a str>)>,
    ) {
        self.record(stream, self.keyed().hash(stream.as_str()), None, events);
    }

    /// Takes in an event that was read from the log, if it fits what was taken in of its stream.
    pub(crate) fn record_read(
        &mut self,
        stream: &[u8],
        version: Version,
        place: Place,
        correlation_id: Option<&str>,
    ) -> Result<(), Misfit> {
        let found = self.streams.find_bytes(stream);
        let event = number(self.places.len());
        match found.number {
            Some(known) => {
                let known = self.streams.at_mut(known);
                if version != known.version_last().next() {
                    return Err(Misfit::Version);
                }
                known.numbers.push(event);
            }
            None => {
                let stream = str::from_utf8(stream).map_err(|_| Misfit::Name)?;
                let stream = StreamId::new(stream).map_err(|_| Misfit::Name)?;
                if version == Version::ZERO {
                    return Err(Misfit::Version);
                }
                let entry = StreamTail { stream, version_first: version, numbers: Numbers::of(event) };
                self.streams.insert(found, entry);
            }
        }
        self.record_place(place);
        if let Some(correlation_id) = correlation_id {
            self.record_correlation(correlation_id, event);
        }
        Ok(())
    }

    /// Takes in where an event lies. Returns its number.
    #[inline]
    fn record_place(&mut self, place: Place) -> u32 {
        if let Some((sequence, segment)) = self.last {
            assert!(place.sequence > sequence, "sequences increase: {} after {sequence}", place.sequence);
            assert!(place.segment >= segment, "segments follow: {} after {segment}", place.segment);
        }
        self.last = Some((place.sequence, place.segment));
        let number = number(self.places.len());
        self.places.push(place);
        number
    }

    fn record_correlation(&mut self, correlation_id: &str, event: u32) {
        let found = self.correlations.find(correlation_id);
        match found.number {
            Some(known) => self.correlations.at_mut(known).numbers.push(event),
            None => {
                let entry = Correlated { correlation_id: correlation_id.into(), numbers: Numbers::of(event) };
                self.correlations.insert(found, entry);
            }
        }
    }

    /// Takes in a commit's idempotency key, which is in it at most once.
    pub(crate) fn record_key(&mut self, key: String, entry: KeyEntry) {
        let found = self.keys.find(&key);
        assert!(found.number.is_none(), "an idempotency key is used by one commit");
        self.keys.insert(found, Key { key, entry });
    }

    /// Takes in a checkpoint that an event holds.
    pub(crate) fn note_checkpoint(&mut self, name: String, sequence: Sequence) {
        checkpoints::note(&mut self.checkpoints, name, sequence);
    }

    /// The checkpoints that were noted, for the index's state. They are no part of a batch.
    pub(crate) fn take_checkpoints(&mut self) -> Checkpointed {
        std::mem::take(&mut self.checkpoints)
    }

    fn head_of(&self, known: &StreamTail) -> StreamHead {
        StreamHead { version: known.version_last(), sequence: self.places.get(known.numbers.last()).sequence }
    }

    pub(crate) fn head(&self, stream: &str) -> Option<StreamHead> {
        self.streams.get(stream).map(|known| self.head_of(known))
    }

    /// The first version of a stream that is here; the earlier ones are in the index.
    pub(crate) fn first_version(&self, stream: &str) -> Option<Version> {
        self.streams.get(stream).map(|known| known.version_first)
    }

    pub(crate) fn key(&self, key: &str) -> Option<KeyEntry> {
        self.keys.get(key).map(|key| key.entry)
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
            Direction::Forwards => self.range(known, index_of(from), limit).collect(),
            Direction::Backwards if from < known.version_first => Vec::new(),
            Direction::Backwards => {
                let end = index_of(from).saturating_add(1).min(known.numbers.len());
                let start = end.saturating_sub(limit);
                self.range(known, start, end - start).rev().collect()
            }
        }
    }

    /// A stream's places from its `start`th on, at most `limit`, each with its version.
    fn range(
        &self,
        known: &StreamTail,
        start: usize,
        limit: usize,
    ) -> impl DoubleEndedIterator<Item = (Version, Place)> {
        let end = start.saturating_add(limit).min(known.numbers.len());
        (start..end).filter_map(move |index| {
            let number = known.numbers.get(index)?;
            Some((known.version_first.plus(index as u64), self.places.get(number)))
        })
    }

    /// The sequence of the first event with a correlation id that is here; the earlier ones are in the index.
    pub(crate) fn first_correlated(&self, correlation_id: &str) -> Option<Sequence> {
        let known = self.correlations.get(correlation_id)?;
        Some(self.places.get(known.numbers.first()).sequence)
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
        let Some(Correlated { numbers, .. }) = self.correlations.get(correlation_id) else { return Vec::new() };
        let place = |number| self.places.get(number);
        match direction {
            Direction::Forwards => {
                let start = numbers.partition_point(|number| place(number).sequence < from);
                numbers.range(start, start.saturating_add(limit)).map(place).collect()
            }
            Direction::Backwards => {
                let end = numbers.partition_point(|number| place(number).sequence <= from);
                numbers.range(end.saturating_sub(limit), end).rev().map(place).collect()
            }
        }
    }

    /// The streams that are here and whose name starts with `prefix`, in the order of their bytes. Looks at all.
    pub(crate) fn streams(&self, prefix: &str) -> Vec<(StreamId, StreamHead)> {
        let matching = self.streams.iter().filter(|known| known.name().starts_with(prefix));
        let mut found: Vec<_> = matching.map(|known| (known.stream.clone(), self.head_of(known))).collect();
        found.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
        found
    }

    /// How many events are here.
    pub(crate) fn events(&self) -> usize {
        self.places.len()
    }

    /// Roughly what it takes in memory.
    pub(crate) fn bytes(&self) -> usize {
        let events = self.places.len() * (size_of::<CompactPlace>() + size_of::<u32>());
        let correlated: usize = self.correlations.iter().map(|known| known.numbers.len() * size_of::<u32>()).sum();
        let size = |text_bytes, names, entry_bytes| text_bytes + names * (NAME_BYTES + entry_bytes);
        events
            + correlated
            + size(self.streams.text_bytes(), self.streams.len(), size_of::<StreamTail>())
            + size(self.keys.text_bytes(), self.keys.len(), size_of::<Key>())
            + size(self.correlations.text_bytes(), self.correlations.len(), size_of::<Correlated>())
    }

    /// Says up to where the log is in here.
    pub(crate) fn set_end(&mut self, end: Watermark) {
        self.end = Some(end);
    }

    /// Up to where the log is in here, once that was said.
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
        streams.sort_unstable_by_key(|known| known.name());
        let mut keys: Vec<_> = self.keys.iter().map(|key| (key.key.clone(), key.entry)).collect();
        if sabotage::has(Defect::ForgetKeysInTail) {
            keys.clear();
        }
        keys.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
        let heads = streams.iter().map(|known| (known.stream.clone(), self.head_of(known))).collect();
        let postings = streams.iter().flat_map(|known| self.postings(known)).collect();
        Some(IndexBatch { correlations: self.correlation_postings(), heads, keys, postings, watermark })
    }

    fn postings<'a>(&'a self, known: &'a StreamTail) -> impl Iterator<Item = Posting> + 'a {
        (0..known.numbers.len()).step_by(POSTING_EVENTS_MAX).map(move |start| Posting {
            stream: known.stream.clone(),
            version_first: known.version_first.plus(start as u64),
            places: self.range(known, start, posting_events(known)).map(|(_, place)| place).collect(),
        })
    }

    /// Sorted as an index takes them in.
    fn correlation_postings(&self) -> Vec<CorrelationPosting> {
        let mut ids: Vec<_> = self.correlations.iter().collect();
        ids.sort_unstable_by_key(|known| (known.name().len(), known.name()));
        let postings = ids.into_iter().flat_map(|known| {
            (0..known.numbers.len()).step_by(POSTING_EVENTS_MAX).map(move |start| CorrelationPosting {
                correlation_id: known.name().to_owned(),
                places: known.numbers.range(start, start + POSTING_EVENTS_MAX).map(|n| self.places.get(n)).collect(),
            })
        });
        postings.collect()
    }
}

/// How many places a posting takes.
fn posting_events(known: &StreamTail) -> usize {
    let events = known.numbers.len();
    let forgets = sabotage::has(Defect::ForgetLastPosting) && events > 1;
    if forgets { events.min(POSTING_EVENTS_MAX) - 1 } else { POSTING_EVENTS_MAX }
}

mod join;
#[cfg(test)]
mod tests;
