//! raft-engine: a log of many logs, so each stream is a Raft group, and a stream's version is the entry's index.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use protobuf::well_known_types::Any;
use raft_engine::{Config, Engine, LogBatch, MessageExt, ReadableSize};

use super::positions::{look_at, stream_number};
use super::{BOTH, Peer};
use crate::subject::{Durability, Subject};
use crate::workload::STREAMS;

/// Sequence and version stand before the payload.
const HEADER: usize = 16;

/// An event as an entry. The engine wants a protobuf message that knows its index; this one of protobuf's own holds bytes.
struct Event;

impl MessageExt for Event {
    type Entry = Any;

    fn index(event: &Any) -> u64 {
        u64::from_be_bytes(event.value[8..HEADER].try_into().expect("eight bytes"))
    }
}

struct Raft {
    engine: Engine,
    next_sequence: AtomicU64,
    /// Each stream's next version. Held while the stream's events are written: the engine wants a group's entries in order.
    streams: Vec<Mutex<u64>>,
    sync: bool,
}

/// What the benches know of it.
pub(super) const PEER: Peer = Peer {
    name: "raft-engine",
    open,
    durabilities: BOTH,
    has_group_commit: true,
    note: "each stream is a Raft group, whose index is in memory and made again on open; there is no order over \
           groups, so no scan; an event is read with the whole commit that wrote it; LZ4 is off, as one payload \
           repeats",
};

pub(super) fn open(folder: &Path, durability: Durability) -> Box<dyn Subject> {
    let dir = folder.to_str().expect("the folder's name is text").to_owned();
    // No compression: a commit repeats one payload, which would be free.
    let config = Config { dir, batch_compression_threshold: ReadableSize::kb(0), ..Config::default() };
    let engine = Engine::open(config).expect("raft-engine opens");
    // What every group's last index tells; the engine has it in memory.
    let next: Vec<u64> = (0..STREAMS).map(|stream| next_version(&engine, stream)).collect();
    Box::new(Raft {
        next_sequence: AtomicU64::new(next.iter().sum()),
        streams: next.into_iter().map(Mutex::new).collect(),
        engine,
        sync: durability == Durability::Sync,
    })
}

/// The number of a stream's group: 0 is taken by the engine.
fn group(stream: usize) -> u64 {
    u64::from(stream_number(stream)) + 1
}

fn next_version(engine: &Engine, stream: usize) -> u64 {
    engine.last_index(group(stream)).map_or(0, |version| version + 1)
}

fn event(sequence: u64, version: u64, payload: &[u8]) -> Any {
    let mut value = Vec::with_capacity(HEADER + payload.len());
    value.extend_from_slice(&sequence.to_be_bytes());
    value.extend_from_slice(&version.to_be_bytes());
    value.extend_from_slice(payload);
    Any { value, ..Any::default() }
}

impl Subject for Raft {
    fn append(&self, streams: &[usize], payload: &[u8]) {
        let mut order = streams.to_vec();
        order.sort_unstable();
        // In order of their numbers, so that two commits cannot wait for each other.
        let mut groups: Vec<(usize, usize, MutexGuard<'_, u64>)> = Vec::new();
        for same in order.chunk_by(|one, other| one == other) {
            groups.push((same[0], same.len(), self.streams[same[0]].lock().expect("no thread panicked")));
        }
        let mut sequence = self.next_sequence.fetch_add(streams.len() as u64, Ordering::Relaxed);
        let mut batch = LogBatch::with_capacity(groups.len());
        for (stream, count, next) in &mut groups {
            let events: Vec<Any> =
                (0..*count as u64).map(|place| event(sequence + place, **next + place, payload)).collect();
            batch.add_entries::<Event>(group(*stream), &events).expect("raft-engine takes a batch");
            sequence += *count as u64;
            **next += *count as u64;
        }
        self.engine.write(&mut batch, self.sync).expect("raft-engine writes");
    }

    fn scan(&self) -> Option<(u64, u64)> {
        None
    }

    fn read_stream(&self, stream: usize) -> Option<u64> {
        let (first, last) = (self.engine.first_index(group(stream)), self.engine.last_index(group(stream)));
        let (Some(first), Some(last)) = (first, last) else { return Some(0) };
        let mut events = Vec::new();
        self.engine
            .fetch_entries_to::<Event>(group(stream), first, last + 1, None, &mut events)
            .expect("raft-engine reads");
        for event in &events {
            look_at(&event.value[HEADER..]);
        }
        Some(events.len() as u64)
    }

    fn close(self: Box<Self>) {
        self.engine.sync().expect("raft-engine syncs");
    }
}
