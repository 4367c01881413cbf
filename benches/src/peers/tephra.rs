//! tephra: an event store with tags; a stream is a tag.

use std::path::Path;

use tephra::{
    Event, EventType, Position, Query, QueryItem, SegmentConfig, SegmentSet, Tag, Tags, WriteCoordinator, WriteHandle,
    WriterConfig,
};

use super::positions::{look_at, stream_number};
use super::{Peer, SYNC};
use crate::subject::{Durability, Subject};

/// The size that its own documentation uses.
const SEGMENT_BYTES: usize = 256 << 20;

struct Tephra {
    coordinator: WriteCoordinator,
    handle: WriteHandle,
    event_type: EventType,
}

/// What the benches know of it.
pub(super) const PEER: Peer = Peer {
    name: "tephra",
    open,
    durabilities: SYNC,
    has_group_commit: true,
    note: "an event store: a stream is a tag, appended without a condition, and streams have no versions; \
           checksums are checked on reads; a commit is handed to a thread that writes; segments of 256 MiB are \
           allocated ahead",
};

pub(super) fn open(folder: &Path, durability: Durability) -> Box<dyn Subject> {
    assert_eq!(durability, Durability::Sync, "tephra syncs every commit");
    let segments = SegmentSet::open(folder, SegmentConfig::new(SEGMENT_BYTES)).expect("tephra opens");
    let (coordinator, handle) = WriteCoordinator::start(segments, WriterConfig::default()).expect("tephra starts");
    Box::new(Tephra { coordinator, handle, event_type: EventType::new("Measured").expect("a name") })
}

fn tags(stream: usize) -> Tags {
    let tag = Tag::new(format!("stream:{}", stream_number(stream))).expect("a name");
    Tags::new([tag]).expect("one tag")
}

impl Tephra {
    fn read(&self, query: &Query) -> (u64, u64) {
        let mut events = self.handle.read(query, Position::ZERO, None);
        let (mut count, mut bytes) = (0, 0);
        while let Some(event) = events.next() {
            count += 1;
            bytes += look_at(event.expect("tephra reads").event.data());
        }
        (count, bytes)
    }
}

impl Subject for Tephra {
    fn append(&self, streams: &[usize], payload: &[u8]) {
        let event = |&stream: &usize| Event::new(&self.event_type, &tags(stream), payload).expect("tephra encodes");
        self.handle.append(streams.iter().map(event).collect(), None).expect("tephra commits");
    }

    fn scan(&self) -> Option<(u64, u64)> {
        Some(self.read(&Query::all()))
    }

    fn read_stream(&self, stream: usize) -> Option<u64> {
        Some(self.read(&Query::item(QueryItem::with_tags(tags(stream)))).0)
    }

    fn close(self: Box<Self>) {
        drop(self.coordinator.shutdown());
    }
}
