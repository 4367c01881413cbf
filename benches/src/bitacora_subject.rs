//! Bitacora behind the face of a subject.

use std::ops::ControlFlow;
use std::path::Path;

use bitacora::{ExpectedVersion, NewEvent, NewEventRef, Options, Store, StreamId};

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
        let mut commit = self.store.new_commit();
        let event = NewEventRef { payload, ..NewEventRef::from(&self.event) };
        streams.iter().for_each(|stream| commit.add(&self.streams[*stream], ExpectedVersion::Any, event));
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
