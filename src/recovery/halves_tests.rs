//! Tests of walks in halves: each is held against one walk over the same log.

use std::path::{Path, PathBuf};

use super::*;
use crate::disk::{Disk, MemoryDisk, OpenMode};
use crate::format::checksum::Salt;
use crate::format::frame::{Draft, FrameKind, FramePlace, mark, to_u64};
use crate::format::segment::{SegmentHeader, file_name};
use crate::types::{CodecId, EventId, EventType, Metadata, NewEvent, StoreId, StreamId, Version};

const STORE: StoreId = StoreId::from_bytes([9; 16]);
const FRAMES_OFFSET: u64 = 512;
const SEGMENT_BYTES: u64 = 24 * 1024;
const STREAMS: usize = 7;

/// What is wrong with a log that its checksums do not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Nothing,
    /// From this frame's first event on, versions of its stream are too high.
    Versions(u64),
    /// This frame has the first one's key.
    Key(u64),
}

/// Writes a log of three segments, as a writer does it that syncs now and then.
struct Log {
    disk: MemoryDisk,
    directory: PathBuf,
    firsts: Vec<Sequence>,
    /// Each frame's segment, and the place before it.
    frames: Vec<Start>,
    bytes: Vec<u8>,
    at: Start,
    durable: Sequence,
    versions: [u64; STREAMS],
    random: u64,
}

impl Log {
    fn new(fault: Fault) -> Self {
        let disk = MemoryDisk::default();
        let directory = PathBuf::from("/log");
        disk.create_directory(&directory).unwrap();
        let position = Position {
            offset: FRAMES_OFFSET,
            next: Sequence::FIRST,
            chain: 0,
            timestamp: Timestamp::EPOCH,
            previous_frame: None,
        };
        let at = Start { segment: Sequence::FIRST, position };
        let mut log = Self {
            disk,
            directory,
            firsts: Vec::new(),
            frames: Vec::new(),
            bytes: Vec::new(),
            at,
            durable: Sequence::ZERO,
            versions: [0; STREAMS],
            random: 7,
        };
        log.begin(Sequence::ZERO);
        for number in 0..200 {
            log.frame(number, fault);
        }
        log.end();
        log
    }

    fn draw(&mut self, below: u64) -> u64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) % below
    }

    fn begin(&mut self, previous: Sequence) {
        let Position { next, chain, timestamp, .. } = self.at.position;
        let header = SegmentHeader {
            frames_offset: u32::try_from(FRAMES_OFFSET).unwrap(),
            store_id: STORE,
            first_sequence: next,
            ordinal: to_u64(self.firsts.len()),
            previous,
            chain,
            created: timestamp,
            cut_bound: u64::MAX,
        };
        self.bytes = header.encode().to_vec();
        self.bytes.resize(usize::try_from(FRAMES_OFFSET).unwrap(), 0);
        self.at = Start {
            segment: next,
            position: Position { offset: FRAMES_OFFSET, previous_frame: None, ..self.at.position },
        };
        self.firsts.push(next);
    }

    fn end(&mut self) {
        self.bytes.resize(usize::try_from(SEGMENT_BYTES).unwrap(), 0);
        let path = self.directory.join(file_name(self.at.segment));
        let file = self.disk.open(&path, OpenMode::CreateNew).unwrap();
        disk::write_all_at(file.as_ref(), &[&self.bytes], 0).unwrap();
    }

    fn place(&self) -> FramePlace {
        FramePlace {
            salt: Salt::new(STORE, self.at.segment),
            offset: self.at.position.offset,
            first_sequence: self.at.position.next,
            durable_through: self.durable,
            timestamp: self.at.position.timestamp,
            chain: self.at.position.chain,
            alignment: ALIGNMENT,
        }
    }

    fn frame(&mut self, number: u64, fault: Fault) {
        if self.draw(3) == 0 {
            self.durable = self.at.position.next.previous();
        }
        if self.draw(5) == 0 {
            let (bytes, checksum) = mark(FrameKind::SyncMark, self.place());
            self.push(&bytes, checksum, 0);
        }
        let events = 1 + self.draw(4);
        let streams: Vec<usize> = (0..events).map(|_| usize::try_from(self.draw(to_u64(STREAMS))).unwrap()).collect();
        let names: Vec<StreamId> = streams.iter().map(|stream| StreamId::new(format!("s-{stream}")).unwrap()).collect();
        let correlated = Metadata { correlation_id: Some(format!("c-{}", self.draw(9))), ..Metadata::default() };
        let plain = NewEvent::new(EventType::new("Sold").unwrap(), CodecId::RAW, vec![7; 30]);
        let event = if number.is_multiple_of(2) { plain.with_metadata(correlated) } else { plain };
        let mut versions = Vec::new();
        for (place, stream) in streams.into_iter().enumerate() {
            self.versions[stream] += 1 + u64::from(place == 0 && fault == Fault::Versions(number));
            versions.push(Version::new(self.versions[stream]));
        }
        let key = if fault == Fault::Key(number) { "key-0".to_owned() } else { format!("key-{number}") };
        let key = (number.is_multiple_of(3) || fault == Fault::Key(number)).then_some((key.as_str(), &[6; 32]));
        let all = names.iter().map(|name| (name, EventId::from_bytes([1; 16]), &event));
        let mut draft = Draft::of(key, all).unwrap();
        if self.at.position.offset + draft.bytes_max() > SEGMENT_BYTES - FRAMES_OFFSET {
            self.end();
            self.begin(self.at.segment);
        }
        let (bytes, checksum) = draft.complete(self.place(), versions.into_iter());
        self.push(bytes, checksum, events);
    }

    fn push(&mut self, bytes: &[u8], checksum: u32, events: u64) {
        self.frames.push(self.at);
        self.bytes.extend_from_slice(bytes);
        let position = &mut self.at.position;
        *position = Position {
            offset: position.offset + to_u64(bytes.len()),
            next: position.next.plus(events),
            chain: checksum,
            timestamp: Timestamp::from_micros(position.timestamp.as_micros() + 1),
            previous_frame: Some(u32::try_from(position.offset).unwrap()),
        };
    }

    fn files(&self) -> Arc<LogFiles> {
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        Arc::new(LogFiles::new(disk, self.directory.clone(), STORE, &self.firsts))
    }

    fn flip(&self, segment: Sequence, offset: u64) {
        let file = self.disk.open(&Path::new("/log").join(file_name(segment)), OpenMode::ReadWrite).unwrap();
        let mut byte = [0];
        disk::read_exact_at(file.as_ref(), &mut byte, offset).unwrap();
        disk::write_all_at(file.as_ref(), &[&[byte[0] ^ 16]], offset).unwrap();
    }
}

/// All that a walk comes to; how much it read of its windows aside.
fn told(files: &LogFiles, outcome: Result<(Walk, Tail)>) -> String {
    let (mut walked, mut tail) = match outcome {
        Ok(walked) => walked,
        Err(error) => return format!("{error} {:?}", error.corruption()),
    };
    walked.bytes_read = 0;
    tail.set_end(walk::watermark(files, walked.segment, walked.position));
    let (batch, checkpoints) = (tail.to_batch(), tail.take_checkpoints());
    format!("{walked:?} {batch:?} {checkpoints:?} {}", tail.bytes())
}

/// Walks in halves that meet there, and at once. Whether the second half counted.
fn compare(files: &Arc<LogFiles>, start: Start, through: Sequence, middle: Start, what: &str) -> bool {
    let at_once = told(files, half(files, start, Bound { through, before: None }, Some(Tail::default())));
    let mut has_counted = false;
    let halves = in_halves(files, start, through, Some(Tail::default()), middle, &mut has_counted);
    assert_eq!(told(files, halves), at_once, "{what}");
    has_counted
}

#[test]
fn halves_that_meet_at_any_frame_are_one_walk() {
    let log = Log::new(Fault::Nothing);
    let files = log.files();
    assert_eq!(log.firsts.len(), 3);
    let ends = [Sequence::MAX, log.at.position.next, Sequence::new(log.at.position.next.get() / 2)];
    for start in [log.frames[0], log.frames[5], log.frames[120]] {
        for through in ends {
            for middle in log.frames.iter().filter(|middle| middle.position.next > start.position.next) {
                let middle = Start { position: Position { previous_frame: None, ..middle.position }, ..*middle };
                let has_counted = compare(&files, start, through, middle, &format!("{start:?} {middle:?} {through}"));
                assert_eq!(has_counted, middle.position.next <= through);
            }
        }
    }
}

#[test]
fn a_middle_is_found_and_is_a_frame() {
    let log = Log::new(Fault::Nothing);
    for start in [log.frames[0], log.frames[5], log.frames[120]] {
        let found = middle(&log.files(), start, Sequence::MAX, 1024).unwrap();
        let frame = log
            .frames
            .iter()
            .find(|frame| (frame.segment, frame.position.offset) == (found.segment, found.position.offset));
        let frame = frame.unwrap().position;
        assert_eq!((found.position.next, found.position.chain), (frame.next, frame.chain));
        assert_eq!(middle(&log.files(), start, Sequence::MAX, 1024 * 1024), None);
        let (walked, tail) = walk_with(&log.files(), start, Sequence::MAX, false, 1024).unwrap();
        assert_eq!((walked.position.next, tail.events()), (log.at.position.next, 0));
    }
}

#[test]
fn damage_anywhere_is_told_as_one_walk_tells_it() {
    let log = Log::new(Fault::Nothing);
    let mut counted = 0;
    for (number, middle) in log.frames.iter().enumerate().skip(1).step_by(41) {
        for damaged in log.frames.iter().step_by(3) {
            // In the header, and in the body.
            for within in [20, 90] {
                let offset = damaged.position.offset + within;
                log.flip(damaged.segment, offset);
                let what = format!("frame {number}, damage at {offset}");
                counted += usize::from(compare(&log.files(), log.frames[0], Sequence::MAX, *middle, &what));
                log.flip(damaged.segment, offset);
            }
        }
    }
    assert!(counted > 20, "{counted}");
}

#[test]
fn what_does_not_fit_is_told_as_one_walk_tells_it() {
    for fault in [Fault::Versions(20), Fault::Versions(100), Fault::Versions(199), Fault::Key(20), Fault::Key(150)] {
        let log = Log::new(fault);
        for middle in log.frames.iter().skip(1).step_by(7) {
            assert!(!compare(&log.files(), log.frames[0], Sequence::MAX, *middle, &format!("{fault:?}")));
        }
    }
}

#[test]
fn a_middle_that_is_none_does_not_count() {
    let log = Log::new(Fault::Nothing);
    let right = log.frames[90];
    let Position { offset, next, chain, timestamp, .. } = right.position;
    let earlier = Timestamp::EPOCH;
    let wrong = [
        Position { offset: offset + 8, ..right.position },
        Position { next: next.next(), ..right.position },
        Position { chain: chain ^ 1, ..right.position },
        Position { timestamp: earlier, ..right.position },
    ];
    assert!(timestamp > earlier);
    for position in wrong {
        let middle = Start { position, ..right };
        assert!(!compare(&log.files(), log.frames[0], Sequence::MAX, middle, &format!("{position:?}")));
    }
}
