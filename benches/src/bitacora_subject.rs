//! Bitacora behind the face of a subject.

use std::ops::ControlFlow;
use std::path::Path;

use bitacora::{Commit, ExpectedVersion, NewEvent, Options, Store, StreamId};

use crate::subject::{Durability, Subject};
use crate::workload::{STREAMS, empty_event, stream_id};

/// A store, opened with its default options but for the durability.
#[derive(Debug)]
pub struct BitacoraSubject {
    store: Store,
    streams: Vec<StreamId>,
    event: NewEvent,
}

impl BitacoraSubject {
    /// Opens or creates one in a folder.
    ///
    /// # Panics
    /// It cannot be opened.
    #[must_use]
    pub fn open(folder: &Path, options: Options) -> Self {
        Self::with_streams(folder, options, STREAMS)
    }

    /// As [`open`](Self::open), with another number of streams.
    ///
    /// # Panics
    /// It cannot be opened.
    #[must_use]
    pub fn with_streams(folder: &Path, options: Options, streams: usize) -> Self {
        let store = Store::open(folder.join("store"), options).unwrap();
        Self { store, streams: (0..streams).map(stream_id).collect(), event: empty_event() }
    }

    /// The store itself.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// As [`Subject::scan`], with each event copied.
    ///
    /// # Panics
    /// An event cannot be read.
    #[must_use]
    pub fn scan_copied(&self) -> (u64, u64) {
        self.store
            .read_all(..)
            .map(Result::unwrap)
            .fold((0, 0), |(events, bytes), event| (events + 1, bytes + event.payload.len() as u64))
    }

    fn events(&self, count: usize, payload: &[u8]) -> Vec<NewEvent> {
        // The event's payload is empty, so that cloning it takes no memory of its own.
        (0..count).map(|_| NewEvent { payload: payload.to_vec(), ..self.event.clone() }).collect()
    }
}

/// The options of a durability; all others are the defaults.
#[must_use]
pub fn options(durability: Durability) -> Options {
    Options::new().durability(match durability {
        Durability::Sync => bitacora::Durability::Sync,
        Durability::Buffered => bitacora::Durability::Buffered,
    })
}

impl Subject for BitacoraSubject {
    fn append(&self, streams: &[usize], payload: &[u8]) {
        let runs = streams.chunk_by(|a, b| a == b);
        if let Some(first) = streams.first()
            && streams.iter().all(|stream| stream == first)
        {
            let events = self.events(streams.len(), payload);
            self.store.append(&self.streams[*first], ExpectedVersion::Any, events).unwrap();
            return;
        }
        let commit = runs.fold(Commit::new(), |commit, run| {
            commit.append(&self.streams[run[0]], ExpectedVersion::Any, self.events(run.len(), payload))
        });
        self.store.commit(commit).unwrap();
    }

    fn scan(&self) -> Option<(u64, u64)> {
        let mut seen = (0, 0);
        let count = |event: bitacora::EventRef<'_>| {
            seen.0 += 1;
            seen.1 += event.payload.len() as u64;
            Ok(ControlFlow::Continue(()))
        };
        self.store.visit(.., count).unwrap();
        Some(seen)
    }

    fn read_stream(&self, stream: usize) -> Option<u64> {
        Some(self.store.read_stream(&self.streams[stream], ..).map(Result::unwrap).count() as u64)
    }

    fn close(self: Box<Self>) {
        self.store.close().unwrap();
    }
}
