//! The counters that an application on a store without events of its own keeps: the next sequence, and each stream's next
//! version.

use std::sync::Mutex;

use crate::workload::STREAMS;

/// Where one event lies: in the order of all, and in its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) sequence: u64,
    pub(super) stream: u32,
    pub(super) version: u32,
}

impl Position {
    /// The event's key.
    pub(super) fn key(self) -> [u8; 8] {
        self.sequence.to_be_bytes()
    }

    /// The key of the event's entry in the index: in order of versions under its stream.
    pub(super) fn index_key(self) -> [u8; 8] {
        index_key(self.stream, self.version)
    }

    /// What is stored under the event's key: an event tells of which stream it is and which version.
    pub(super) fn write_event(self, payload: &[u8], buffer: &mut Vec<u8>) {
        buffer.clear();
        buffer.extend_from_slice(&self.index_key());
        buffer.extend_from_slice(payload);
    }
}

/// How many bytes stand before the payload in a stored event.
pub(super) const EVENT_HEADER: usize = 8;

/// The key of an entry in the index.
pub(super) fn index_key(stream: u32, version: u32) -> [u8; 8] {
    let mut key = [0; 8];
    key[..4].copy_from_slice(&stream.to_be_bytes());
    key[4..].copy_from_slice(&version.to_be_bytes());
    key
}

/// The version in an entry's key, if it is one of that stream.
pub(super) fn version_of(key: &[u8], stream: u32) -> Option<u32> {
    let (prefix, version) = key.split_first_chunk::<4>()?;
    (u32::from_be_bytes(*prefix) == stream).then(|| big_endian_u32(version))
}

/// Four bytes as a number.
pub(super) fn big_endian_u32(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes.try_into().expect("four bytes"))
}

/// Eight bytes as a number.
pub(super) fn big_endian_u64(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(bytes.try_into().expect("eight bytes"))
}

/// The number of a stream as it is stored.
pub(super) fn stream_number(stream: usize) -> u32 {
    u32::try_from(stream).expect("streams are numbered below 10,000")
}

/// Looks at a payload, so that a read of it cannot be left out: its first and its last byte are loaded.
pub(super) fn look_at(payload: &[u8]) -> u64 {
    std::hint::black_box((payload.first().copied(), payload.last().copied()));
    payload.len() as u64
}

/// The counters. The sequence is loaded on open, a stream's version when it is first needed.
#[derive(Debug)]
pub(super) struct Counters {
    next_sequence: u64,
    /// None: not yet looked up.
    next_versions: Vec<Option<u32>>,
}

impl Counters {
    /// Of a store that holds so many events.
    pub(super) fn of(events: u64) -> Counters {
        let known = (events == 0).then_some(0);
        Counters { next_sequence: events, next_versions: vec![known; STREAMS] }
    }

    /// Gives each event of a commit its place. `last_version` looks up a stream's last version in the store.
    pub(super) fn assign(
        &mut self,
        streams: &[usize],
        mut last_version: impl FnMut(u32) -> Option<u32>,
    ) -> Vec<Position> {
        let place = |&stream: &usize| {
            let number = stream_number(stream);
            let version =
                self.next_versions[stream].unwrap_or_else(|| last_version(number).map_or(0, |version| version + 1));
            self.next_versions[stream] = Some(version + 1);
            let sequence = self.next_sequence;
            self.next_sequence += 1;
            Position { sequence, stream: number, version }
        };
        streams.iter().map(place).collect()
    }
}

/// Counters for a store that many threads write to at once.
#[derive(Debug)]
pub(super) struct SharedCounters(Mutex<Counters>);

impl SharedCounters {
    /// Of a store that holds so many events.
    pub(super) fn of(events: u64) -> SharedCounters {
        SharedCounters(Mutex::new(Counters::of(events)))
    }

    /// See [`Counters::assign`].
    pub(super) fn assign(&self, streams: &[usize], last_version: impl FnMut(u32) -> Option<u32>) -> Vec<Position> {
        self.0.lock().expect("no thread panicked").assign(streams, last_version)
    }
}
