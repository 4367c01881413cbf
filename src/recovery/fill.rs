//! Filling the tail index from the frames that a walk has checked.
//!
//! An open fills it beside its walk: checking a full segment takes about as long as taking in its events. The walk goes on to read
//! and check while another thread takes in what was checked; that thread touches nothing but the tail. A short walk needs none.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use crate::error::{Error, ErrorKind, Result};
use crate::format::frame::{FrameRef, PlacedRecord};
use crate::index::checkpoints;
use crate::index::tail::{Misfit, Tail};
use crate::index::{KeyEntry, Place};
use crate::log::scan::offset_u32;
use crate::log::{cursor, files};
use crate::types::{Sequence, Version};

/// What is handed over at once, and how much of it may wait: half a megabyte in all.
const BATCH_ENTRIES: usize = 1024;
const WAITING_BATCHES: usize = 4;

/// Takes a frame that a scan has checked into the tail index.
///
/// # Errors
/// `Corrupt`: its versions do not follow those before, or it has a key for a second time.
pub(crate) fn take_into(tail: &mut Tail, frame: &FrameRef<'_>) -> Result<()> {
    let mut batch = Batch::default();
    batch.collect(frame)?;
    batch.apply(tail)
}

/// Something that the tail takes in. Its texts are in the batch, one after another.
#[derive(Debug)]
enum Entry {
    Event { stream_bytes: usize, correlation_bytes: Option<usize>, version: Version, place: Place },
    Key { key_bytes: usize, entry: KeyEntry, first_sequence: Sequence },
    Checkpoint { name: String, sequence: Sequence },
}

/// What is in frames, in their order.
#[derive(Debug, Default)]
struct Batch {
    text: String,
    entries: Vec<Entry>,
}

impl Batch {
    fn collect(&mut self, frame: &FrameRef<'_>) -> Result<()> {
        for placed in frame.checked_records() {
            let record = &placed.record;
            let correlation_id = record.correlation_id();
            self.text.push_str(record.stream);
            self.text.push_str(correlation_id.unwrap_or_default());
            self.entries.push(Entry::Event {
                stream_bytes: record.stream.len(),
                correlation_bytes: correlation_id.map(str::len),
                version: record.version,
                place: Place {
                    sequence: placed.sequence,
                    segment: frame.segment(),
                    frame_offset: offset_u32(frame.offset),
                    record_offset: offset_u32(placed.offset),
                },
            });
            if record.stream == checkpoints::LOGGED_STREAM {
                self.collect_checkpoint(&placed);
            }
        }
        if let Some((key, content_hash)) = frame.key().map_err(|defect| cursor::damaged_in(frame, defect))? {
            self.text.push_str(key);
            self.entries.push(Entry::Key {
                key_bytes: key.len(),
                entry: KeyEntry { content_hash, segment: frame.segment(), frame_offset: offset_u32(frame.offset) },
                first_sequence: frame.header.first_sequence,
            });
        }
        Ok(())
    }

    fn collect_checkpoint(&mut self, placed: &PlacedRecord<'_>) {
        let record = &placed.record;
        let (event_type, schema_version, codec) = (record.event_type, record.schema_version, record.codec);
        match checkpoints::decode_logged(event_type, schema_version, codec, record.payload, placed.sequence) {
            Some((name, sequence)) => self.entries.push(Entry::Checkpoint { name, sequence }),
            None => {
                tracing::warn!(sequence = %placed.sequence, event_type, "an event holds no checkpoint that can be read")
            }
        }
    }

    fn apply(self, tail: &mut Tail) -> Result<()> {
        let mut rest = self.text.as_str();
        let mut text = |bytes: usize| {
            let (text, after) =
                rest.split_at_checked(bytes).unwrap_or_else(|| unreachable!("an entry comes with its texts"));
            rest = after;
            text
        };
        for entry in self.entries {
            match entry {
                Entry::Event { stream_bytes, correlation_bytes, version, place } => {
                    let (stream, correlation_id) = (text(stream_bytes), correlation_bytes.map(&mut text));
                    tail.record_read(stream, version, place, correlation_id)
                        .map_err(|misfit| misfitting(misfit, stream, version, place))?;
                }
                Entry::Key { key_bytes, entry, first_sequence } => {
                    take_key(tail, text(key_bytes), entry, first_sequence)?;
                }
                Entry::Checkpoint { name, sequence } => tail.note_checkpoint(name, sequence),
            }
        }
        Ok(())
    }
}

fn misfitting(misfit: Misfit, stream: &str, version: Version, place: Place) -> Error {
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

/// Fills a tail beside a walk.
#[derive(Debug)]
pub(crate) struct Filler {
    batch: Batch,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Nothing was handed over yet.
    Here(Box<Tail>),
    Beside(SyncSender<Batch>, JoinHandle<Result<Tail>>),
}

impl Default for Filler {
    fn default() -> Self {
        Self { batch: Batch::default(), state: State::Here(Box::default()) }
    }
}

impl Filler {
    /// Takes in a frame that a scan has checked.
    ///
    /// # Errors
    /// What was taken in does not fit: [`finish`](Self::finish) says how.
    pub(crate) fn take(&mut self, frame: &FrameRef<'_>) -> Result<()> {
        self.batch.collect(frame)?;
        if self.batch.entries.len() < BATCH_ENTRIES { Ok(()) } else { self.hand_over() }
    }

    fn hand_over(&mut self) -> Result<()> {
        let room =
            Batch { text: String::with_capacity(self.batch.text.len()), entries: Vec::with_capacity(BATCH_ENTRIES) };
        let batch = std::mem::replace(&mut self.batch, room);
        if let State::Here(tail) = &mut self.state {
            let (sender, receiver) = sync_channel(WAITING_BATCHES);
            let mut handed = std::mem::take(&mut **tail);
            let thread = std::thread::Builder::new()
                .name("bitacora-open".into())
                .spawn(move || fill(&mut handed, &receiver).map(|()| handed))
                .map_err(|source| Error::from_io("start a thread that fills the tail index", source))?;
            self.state = State::Beside(sender, thread);
        }
        let State::Beside(sender, _) = &self.state else { unreachable!("the thread was started") };
        sender.send(batch).map_err(|_| Error::new(ErrorKind::Corrupt, "the log does not fit the tail index"))
    }

    /// The tail, with all that was taken in.
    ///
    /// # Errors
    /// As [`take_into`], of the first frame that does not fit.
    pub(crate) fn finish(mut self) -> Result<Tail> {
        if matches!(self.state, State::Beside(..)) {
            // That it cannot be handed over is said by the thread.
            let _ = self.hand_over();
        }
        match self.state {
            State::Here(mut tail) => self.batch.apply(&mut tail).map(|()| *tail),
            State::Beside(sender, thread) => {
                drop(sender);
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            }
        }
    }
}

fn fill(tail: &mut Tail, batches: &Receiver<Batch>) -> Result<()> {
    batches.iter().try_for_each(|batch| batch.apply(tail))
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

    fn take(filler: &mut Filler, version: u64, events: u64, key: Option<&str>) -> Result<()> {
        let (bytes, place) = (frame(version, events, key), place(version));
        let header = frame::read_header(&bytes, place.salt, place.offset, to_u64(bytes.len())).unwrap();
        filler.take(&FrameRef::read(header, &bytes, place.salt, place.offset).unwrap())
    }

    fn is_beside(filler: &Filler) -> bool {
        matches!(filler.state, State::Beside(..))
    }

    #[test]
    fn a_short_walk_needs_no_thread_and_a_long_one_fills_the_same() {
        for (frames, needs_thread) in [(3, false), (400, true)] {
            let mut filler = Filler::default();
            for number in 0..frames {
                take(&mut filler, 1 + 5 * number, 5, Some(&format!("key-{number}"))).unwrap();
            }
            assert_eq!(is_beside(&filler), needs_thread);
            let tail = filler.finish().unwrap();
            let places = tail.places("a", Version::ZERO, Direction::Forwards, usize::MAX);
            assert!(places.iter().map(|(version, _)| version.get()).eq(1..=5 * frames));
            assert!(places.iter().map(|(_, place)| place.sequence.get()).eq(1..=5 * frames));
            assert!((0..frames).all(|number| tail.key(&format!("key-{number}")).is_some()));
        }
    }

    #[test]
    fn what_does_not_fit_is_told_however_much_follows() {
        for (before, after) in [(0, 0), (0, 4000), (4000, 0), (4000, 4000)] {
            let mut filler = Filler::default();
            let frames = (0..before / 5).map(|number| 1 + 5 * number).chain([before + 2]);
            let frames = frames.chain((0..after / 5).map(|number| before + 7 + 5 * number));
            // A walk stops where it is told to.
            let _ = frames.map(|version| take(&mut filler, version, 5, None)).find(Result::is_err);
            let outcome = filler.finish();
            if before == 0 {
                // A tail does not know what came before.
                outcome.unwrap();
                continue;
            }
            let found = outcome.unwrap_err().to_string();
            assert!(found.contains(&format!("version {} of stream a", before + 2)), "{found}");
        }
    }

    #[test]
    fn a_key_for_a_second_time_is_told() {
        let mut filler = Filler::default();
        take(&mut filler, 1, 5, Some("key")).unwrap();
        take(&mut filler, 6, 1500, None).unwrap();
        let _ = take(&mut filler, 1506, 1500, Some("key"));
        let found = filler.finish().unwrap_err().to_string();
        assert!(found.contains("for a second time"), "{found}");
    }
}
