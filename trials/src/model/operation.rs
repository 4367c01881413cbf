//! What is done with a store, and its bytes.
//!
//! Any bytes are a plan, and every value has bytes of its own, so that a plan that was written by hand or shrunk can be kept as a
//! fuzzer's input. What a plan says is small numbers; what they stand for depends on what there is when it is carried out.

use std::fmt;
use std::time::Duration;

use bitacora::disk::sim::{CrashOptions, Sector};
use bitacora::{Align, Durability, Preallocation};

use crate::workload::Shape;

/// More would only take longer to shrink.
pub const OPERATIONS_MAX: usize = 64;
/// The streams there are. One name begins as another one does.
pub const STREAMS: [&str; 4] = ["a-1", "a-10", "b-1", "a-2"];
/// The idempotency keys there are.
pub const KEYS: u8 = 12;
/// Keys that a commit may use with a content that it states, rather than with what it holds.
const KEYS_STATED: u8 = 4;
/// The types of events.
pub const KINDS: [&str; 3] = ["Opened", "Moved", "Closed"];
/// Numbers in a range, and elsewhere, are below this.
const NUMBERS: u8 = 64;

/// A store, and what is done with it.
#[derive(Clone, PartialEq, Eq)]
pub struct Plan {
    /// How it is opened.
    pub shape: Shape,
    /// What is done, in order.
    pub operations: Vec<Operation>,
}

/// One thing that is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A commit, which is waited for.
    Commit(Batch),
    /// A commit whose ticket is kept.
    Submit(Batch),
    /// A commit with a key again: `which` counts back from the latest.
    Again { which: u8, change: Change, submit: bool },
    /// Waits for one of the tickets.
    Wait { which: u8 },
    /// Drops one of the tickets.
    Drop { which: u8 },
    /// Syncs.
    Sync,
    /// What the housekeeping thread does.
    Housekeep,
    /// Moves the clock, forwards or backwards.
    Clock { micros: i8 },
    /// Reads by sequence.
    ReadAll(Selection),
    /// Reads a stream.
    ReadStream { stream: u8, selection: Selection },
    /// Begins to read, all or a stream, and keeps the reader.
    Hold { stream: Option<u8>, selection: Selection },
    /// Goes on with a reader that is kept.
    Resume { events: u8 },
    /// Looks at one event, a time, the heads, the keys and the names of streams.
    Look { number: u8 },
    /// Saves a snapshot of a stream at one of its versions, or beyond the log.
    Snapshot { stream: u8, version: u8 },
    /// Sets a consumer's checkpoint.
    Checkpoint { consumer: u8, sequence: u8 },
    /// A consumer reads on from its checkpoint and sets it.
    Consume { consumer: u8, events: u8 },
    /// Opens the store a second time, to read and to write.
    Beside,
    /// Closes the store, tries what a closed one refuses, maybe loses the index, and opens it.
    Reopen { verify: bool, lose_index: bool },
    /// The process dies.
    Kill,
    /// The power fails.
    PowerCut { seed: u8 },
    /// The process dies or the power fails before so many changes of the disk from here on, within another operation.
    Cut { calls: u8, seed: u8, kill: bool },
    /// The disk takes so much more, and then no more.
    Full { spare: u8 },
    /// There is room again.
    Room,
}

/// A commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Events for one stream each.
    pub parts: Vec<Part>,
    /// What makes it safe to repeat.
    pub key: Option<Key>,
    /// Whether it asks for a sync.
    pub durable: bool,
    /// Whether it may use the reserve.
    pub reserve: bool,
}

/// An idempotency key, and the content where it is stated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// Which.
    pub number: u8,
    /// What it is said to stand for.
    pub stated: Option<u8>,
}

/// Events for one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Which of [`STREAMS`].
    pub stream: u8,
    /// What it must be like.
    pub expected: Expected,
    /// The events.
    pub facts: Vec<Fact>,
}

/// What a stream must be like, seen from where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    Any,
    /// At its version.
    Current,
    NoStream,
    Exists,
    /// One version further than it is.
    Ahead,
    /// One version before.
    Behind,
}

/// An event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fact {
    /// Which of [`KINDS`].
    pub kind: u8,
    /// The codec's number.
    pub codec: u8,
    /// Whether its schema is the second one.
    pub second_schema: bool,
    /// How many tags.
    pub tags: u8,
    /// How much metadata.
    pub metadata: u8,
    /// The payload's length.
    pub payload_bytes: u16,
    /// Its bytes.
    pub fill: u8,
}

/// How a commit that is made again differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Nothing,
    /// Expected versions, ids and metadata, which are no content.
    Circumstances,
    /// A payload.
    Payload,
    /// A stream.
    Stream,
}

/// What is read, and from which end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Selection {
    /// The bounds' numbers.
    pub from: u8,
    /// See there.
    pub to: u8,
    /// Whether each is unbounded, included or excluded: `0..9`.
    pub bounds: u8,
    /// The ends that events are taken from, a bit each, in turn: 1 is the back.
    pub ends: u8,
    /// Only one of [`KINDS`].
    pub kind: Option<u8>,
}

/// One operation a line, and the bytes.
impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Plan {{\n    shape: {:?},\n    operations: vec![", self.shape)?;
        for operation in &self.operations {
            writeln!(f, "        {operation:?},")?;
        }
        write!(f, "    ],\n}}\n// As the input of a fuzz target: ")?;
        self.encode().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The length that a byte stands for: mostly short, some that fill a segment.
fn payload_bytes(byte: u8) -> u16 {
    match byte {
        0..128 => u16::from(byte),
        128..240 => u16::from(byte - 128) * 16 + 128,
        _ => u16::from(byte - 240) * 256 + 2048,
    }
}

/// The byte that stands for a length, or for the next shorter one.
fn payload_byte(length: u16) -> u8 {
    (0..=u8::MAX).rev().find(|byte| payload_bytes(*byte) <= length).unwrap_or(0)
}

impl Fact {
    /// A length about half of this, among those that there are.
    pub(super) fn half(self) -> Self {
        Self { payload_bytes: payload_bytes(payload_byte(self.payload_bytes / 2)), ..self }
    }
}

/// Bytes that are read one after another; behind their end there are zeros.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn byte(&mut self) -> u8 {
        self.next().unwrap_or(0)
    }

    fn below(&mut self, limit: u8) -> u8 {
        self.byte() % limit
    }
}

impl Plan {
    /// The plan that bytes are.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Self {
        let mut bytes = Bytes(bytes);
        let shape = read_shape(bytes.byte(), bytes.byte());
        let operations = std::iter::from_fn(|| Operation::read(&mut bytes)).take(OPERATIONS_MAX).collect();
        Self { shape, operations }
    }

    /// Bytes that are this plan.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = write_shape(&self.shape).to_vec();
        self.operations.iter().for_each(|operation| operation.write(&mut bytes));
        bytes
    }
}

const INTERVAL: Durability = Durability::Interval(Duration::from_secs(3600));
const DURABILITIES: [Durability; 4] = [Durability::Sync, Durability::Sync, Durability::Buffered, INTERVAL];
const ALIGNS: [Align; 2] = [Align::Packed, Align::Sector];
const PREALLOCATIONS: [Preallocation; 3] = [Preallocation::ZeroFill, Preallocation::Reserve, Preallocation::Grow];
const SEGMENTS_BYTES: [u64; 3] = [4096, 8192, 16 * 1024];
const TAILS: [usize; 4] = [7, 1, 3, 1000];

fn read_shape(first: u8, second: u8) -> Shape {
    let (first, second) = (usize::from(first), usize::from(second));
    let align = ALIGNS[first / 4 % 2];
    Shape {
        durability: DURABILITIES[first % 4],
        align,
        preallocation: PREALLOCATIONS[first / 8 % 3],
        sector: if first / 24 % 2 == 0 { Sector::Bytes512 } else { Sector::Bytes4096 },
        segment_bytes: SEGMENTS_BYTES[second % 3],
        tail_events_max: TAILS[second / 3 % 4],
        // Only with whole sectors nothing is lost where a sector that is rewritten may become garbage.
        crash: CrashOptions {
            powersafe: align == Align::Packed || second / 12 % 2 == 0,
            stale_allocation: second / 24 % 4 == 3,
        },
    }
}

fn write_shape(shape: &Shape) -> [u8; 2] {
    let all = (0..=u8::MAX).flat_map(|second| (0..=u8::MAX).map(move |first| [first, second]));
    all.into_iter().find(|[first, second]| read_shape(*first, *second) == *shape).unwrap_or([0, 0])
}

/// How many of 64 numbers stand for each operation.
const WEIGHTS: [u8; 23] = [17, 4, 6, 3, 1, 1, 4, 2, 3, 3, 2, 2, 2, 2, 2, 1, 1, 2, 1, 1, 2, 1, 1];

fn kind_of(byte: u8) -> usize {
    let mut left = byte % 64;
    let is_it = |weight: &u8| {
        let is_it = left < *weight;
        left = left.saturating_sub(*weight);
        is_it
    };
    WEIGHTS.iter().position(is_it).unwrap_or(0)
}

impl Operation {
    fn read(bytes: &mut Bytes<'_>) -> Option<Self> {
        let kind = kind_of(bytes.next()?);
        Some(match kind {
            0 => Self::Commit(Batch::read(bytes)),
            1 => Self::Submit(Batch::read(bytes)),
            2 => {
                let flags = bytes.byte();
                let change = [Change::Nothing, Change::Circumstances, Change::Payload, Change::Stream];
                Self::Again {
                    change: change[usize::from(flags % 4)],
                    submit: flags / 4 % 4 == 3,
                    which: bytes.below(NUMBERS),
                }
            }
            3 => Self::Wait { which: bytes.below(NUMBERS) },
            4 => Self::Drop { which: bytes.below(NUMBERS) },
            5 => Self::Sync,
            6 => Self::Housekeep,
            7 => Self::Clock { micros: bytes.byte().cast_signed() },
            8 => Self::ReadAll(Selection::read(bytes)),
            9 => Self::ReadStream { stream: read_stream(bytes), selection: Selection::read(bytes) },
            10 => {
                let stream = bytes.below(5).checked_sub(1);
                Self::Hold { stream, selection: Selection::read(bytes) }
            }
            11 => Self::Resume { events: bytes.below(NUMBERS) },
            12 => Self::Look { number: bytes.below(NUMBERS) },
            13 => Self::Snapshot { stream: read_stream(bytes), version: bytes.below(NUMBERS) },
            14 => Self::Checkpoint { consumer: bytes.below(2), sequence: bytes.below(NUMBERS) },
            15 => Self::Consume { consumer: bytes.below(2), events: bytes.below(NUMBERS) },
            16 => Self::Beside,
            17 => {
                let flags = bytes.byte();
                Self::Reopen { verify: flags % 4 == 3, lose_index: flags / 4 % 4 == 3 }
            }
            18 => Self::Kill,
            19 => Self::PowerCut { seed: bytes.byte() },
            20 => {
                let calls = bytes.byte();
                Self::Cut { calls: calls % 32, kill: calls / 32 % 4 == 3, seed: bytes.byte() }
            }
            21 => Self::Full { spare: bytes.byte() },
            _ => Self::Room,
        })
    }

    fn kind(&self) -> usize {
        match self {
            Self::Commit(_) => 0,
            Self::Submit(_) => 1,
            Self::Again { .. } => 2,
            Self::Wait { .. } => 3,
            Self::Drop { .. } => 4,
            Self::Sync => 5,
            Self::Housekeep => 6,
            Self::Clock { .. } => 7,
            Self::ReadAll(_) => 8,
            Self::ReadStream { .. } => 9,
            Self::Hold { .. } => 10,
            Self::Resume { .. } => 11,
            Self::Look { .. } => 12,
            Self::Snapshot { .. } => 13,
            Self::Checkpoint { .. } => 14,
            Self::Consume { .. } => 15,
            Self::Beside => 16,
            Self::Reopen { .. } => 17,
            Self::Kill => 18,
            Self::PowerCut { .. } => 19,
            Self::Cut { .. } => 20,
            Self::Full { .. } => 21,
            Self::Room => 22,
        }
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.push(WEIGHTS[..self.kind()].iter().sum());
        match self {
            Self::Commit(batch) | Self::Submit(batch) => batch.write(bytes),
            Self::Again { which, change, submit } => bytes.extend([*change as u8 + 12 * u8::from(*submit), *which]),
            Self::Wait { which } | Self::Drop { which } => bytes.push(*which),
            Self::Sync | Self::Housekeep | Self::Beside | Self::Kill | Self::Room => {}
            Self::Clock { micros } => bytes.push(micros.cast_unsigned()),
            Self::ReadAll(selection) => selection.write(bytes),
            Self::ReadStream { stream, selection } => {
                bytes.push(*stream);
                selection.write(bytes);
            }
            Self::Hold { stream, selection } => {
                bytes.push(stream.map_or(0, |stream| stream + 1));
                selection.write(bytes);
            }
            Self::Resume { events } => bytes.push(*events),
            Self::Look { number } => bytes.push(*number),
            Self::Snapshot { stream, version } => bytes.extend([*stream, *version]),
            Self::Checkpoint { consumer, sequence } => bytes.extend([*consumer, *sequence]),
            Self::Consume { consumer, events } => bytes.extend([*consumer, *events]),
            Self::Reopen { verify, lose_index } => bytes.push(u8::from(*verify) * 3 + u8::from(*lose_index) * 12),
            Self::PowerCut { seed: number } | Self::Full { spare: number } => bytes.push(*number),
            Self::Cut { calls, seed, kill } => bytes.extend([calls + 96 * u8::from(*kill), *seed]),
        }
    }
}

fn read_stream(bytes: &mut Bytes<'_>) -> u8 {
    bytes.byte() % STREAMS.len() as u8
}

const PARTS: [u8; 6] = [1, 2, 3, 1, 1, 2];

impl Batch {
    fn read(bytes: &mut Bytes<'_>) -> Self {
        let shape = bytes.byte();
        let key = match bytes.byte() {
            // Half of the commits have a key.
            byte if byte % 2 == 0 => None,
            byte if byte % 8 == 7 => {
                Some(Key { number: byte / 8 % KEYS_STATED, stated: Some(byte / 8 / KEYS_STATED % 2) })
            }
            byte => Some(Key { number: byte / 8 % KEYS, stated: None }),
        };
        Self {
            parts: (0..PARTS[usize::from(shape % 6)]).map(|_| Part::read(bytes)).collect(),
            key,
            durable: shape / 6 % 4 == 3,
            reserve: shape / 24 % 4 == 3,
        }
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        let parts = PARTS.iter().position(|parts| usize::from(*parts) == self.parts.len()).unwrap_or(0);
        bytes.push(parts as u8 + 18 * u8::from(self.durable) + 72 * u8::from(self.reserve));
        bytes.push(match self.key {
            None => 0,
            Some(Key { number, stated: Some(stated) }) => 7 + 8 * (number + KEYS_STATED * stated),
            Some(Key { number, stated: None }) => 1 + 8 * number,
        });
        self.parts.iter().for_each(|part| part.write(bytes));
    }
}

const EXPECTED: [Expected; 16] = {
    use Expected::{Ahead, Any, Behind, Current, Exists, NoStream};
    [Any, Current, NoStream, Exists, Ahead, Behind, Any, Current, Any, Current, Any, Current, Any, Current, Any, Exists]
};
const FACTS: [u8; 16] = [1, 2, 3, 0, 4, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 3];

impl Part {
    fn read(bytes: &mut Bytes<'_>) -> Self {
        let first = bytes.byte();
        let facts = FACTS[usize::from(bytes.byte() % 16)];
        Self {
            stream: first % 4,
            expected: EXPECTED[usize::from(first / 4 % 16)],
            facts: (0..facts).map(|_| Fact::read(bytes)).collect(),
        }
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        let facts = FACTS.iter().position(|facts| usize::from(*facts) == self.facts.len()).unwrap_or(0);
        bytes.extend([self.stream + 4 * self.expected as u8, facts as u8]);
        self.facts.iter().for_each(|fact| fact.write(bytes));
    }
}

impl Fact {
    fn read(bytes: &mut Bytes<'_>) -> Self {
        let traits = bytes.byte();
        Self {
            kind: traits % 3,
            codec: traits / 3 % 3,
            second_schema: traits / 9 % 2 == 1,
            tags: traits / 18 % 3,
            metadata: traits / 54 % 4,
            payload_bytes: payload_bytes(bytes.byte()),
            fill: bytes.byte(),
        }
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        let traits =
            self.kind + 3 * self.codec + 9 * u8::from(self.second_schema) + 18 * self.tags + 54 * self.metadata;
        bytes.extend([traits, payload_byte(self.payload_bytes), self.fill]);
    }
}

impl Selection {
    fn read(bytes: &mut Bytes<'_>) -> Self {
        let shape = bytes.byte();
        Self {
            bounds: shape % 9,
            kind: (shape / 9 % 9).checked_sub(6),
            from: bytes.below(NUMBERS),
            to: bytes.below(NUMBERS),
            ends: bytes.byte(),
        }
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.push(self.bounds + 9 * self.kind.map_or(0, |kind| kind + 6));
        bytes.extend([self.from, self.to, self.ends]);
    }
}

#[cfg(test)]
mod tests {
    use bitacora::disk::sim::Random;

    use super::*;

    #[test]
    fn a_plan_is_written_as_it_was_read() {
        let mut random = Random::new(1);
        for _ in 0..2_000 {
            let mut bytes = vec![0; random.index(600)];
            random.fill(&mut bytes);
            let plan = Plan::decode(&bytes);
            assert_eq!(Plan::decode(&plan.encode()), plan);
        }
    }

    #[test]
    fn every_operation_is_drawn() {
        assert_eq!(WEIGHTS.iter().sum::<u8>(), 64);
        let mut kinds: Vec<usize> = (0..64).map(kind_of).collect();
        kinds.dedup();
        assert!(kinds.into_iter().eq(0..WEIGHTS.len()));
    }
}
