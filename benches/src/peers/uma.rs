//! UmaDB, in the process: its storage, its writer thread and its options as its server runs them, without the network.

use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::sync::{mpsc, oneshot, watch};
use umadb_core::db::UmaDb;
use umadb_core::mvcc::{Mvcc, StorageOptions};
use umadb_core::writer_thread_blocking::writer_thread_blocking;
use umadb_core::writer_thread_request::WriterThreadRequest;
use umadb_dcb::{DcbEvent, DcbEventStoreSync, DcbQuery, DcbQueryItem};

use super::positions::{look_at, stream_number};
use super::{CACHE_BYTES, Peer, SYNC};
use crate::subject::{Durability, Subject};

/// The server's own limit of a group, and the largest batch that it reads at once.
const GROUP_EVENTS: usize = 2_000;
const READ_EVENTS: u32 = 5_000;

struct Uma {
    db: UmaDb,
    requests: mpsc::Sender<WriterThreadRequest>,
    writer: JoinHandle<()>,
}

/// What the benches know of it.
pub(super) const PEER: Peer = Peer {
    name: "UmaDB",
    open,
    durabilities: SYNC,
    has_group_commit: true,
    note: "an event store, in the process, with its server's thread that writes but without the network: a stream \
           is a tag, appended without a condition, and streams have no versions; a commit waits for the disk \
           twice; pages are checked when they are read from the file, cache of 128 MiB",
};

pub(super) fn open(folder: &Path, durability: Durability) -> Box<dyn Subject> {
    assert_eq!(durability, Durability::Sync, "UmaDB syncs every commit");
    let options =
        StorageOptions::default().db_path(folder.join("events.uma")).page_cache_max_mb(CACHE_BYTES / 1_000_000);
    let storage = Arc::new(Mvcc::new(false, options).expect("UmaDB opens"));
    let db = UmaDb::from_arc(Arc::clone(&storage));
    let (requests, received) = mpsc::channel(GROUP_EVENTS);
    let (head, _) = watch::channel(None);
    let writer = thread::spawn(move || writer_thread_blocking(storage, received, head, GROUP_EVENTS));
    Box::new(Uma { db, requests, writer })
}

fn tag(stream: usize) -> String {
    format!("stream:{}", stream_number(stream))
}

impl Uma {
    fn read(&self, query: Option<DcbQuery>) -> (u64, u64) {
        let (mut count, mut bytes) = (0, 0);
        let mut start = None;
        loop {
            let read = self.db.read_with_head(query.clone(), start, false, Some(READ_EVENTS));
            let (events, _) = read.expect("UmaDB reads");
            let Some(last) = events.last() else { return (count, bytes) };
            start = Some(last.position + 1);
            count += events.len() as u64;
            bytes += events.iter().map(|event| look_at(&event.event.data)).sum::<u64>();
            if events.len() < READ_EVENTS as usize {
                return (count, bytes);
            }
        }
    }
}

impl Subject for Uma {
    fn append(&self, streams: &[usize], payload: &[u8]) {
        let event = |&stream: &usize| DcbEvent {
            event_type: "Measured".to_owned(),
            tags: vec![tag(stream)],
            data: payload.to_vec(),
            ..DcbEvent::default()
        };
        let (response_tx, response) = oneshot::channel();
        let request = WriterThreadRequest::Append {
            events: streams.iter().map(event).collect(),
            condition: None,
            tracking_info: None,
            response_tx,
            cancel: None,
        };
        assert!(self.requests.blocking_send(request).is_ok(), "UmaDB's writer runs");
        response.blocking_recv().expect("UmaDB's writer answers").expect("UmaDB commits");
    }

    fn scan(&self) -> Option<(u64, u64)> {
        Some(self.read(None))
    }

    fn read_stream(&self, stream: usize) -> Option<u64> {
        let query = DcbQuery::new().item(DcbQueryItem::new().tags([tag(stream)]));
        Some(self.read(Some(query)).0)
    }

    fn close(self: Box<Self>) {
        let Uma { requests, writer, db } = *self;
        assert!(requests.blocking_send(WriterThreadRequest::Shutdown).is_ok(), "UmaDB's writer runs");
        writer.join().expect("UmaDB's writer stops");
        drop(db);
    }
}
