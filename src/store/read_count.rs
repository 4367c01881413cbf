//! Counts what a reader was given, now and then: many readers that counted each event at once would wait for each other.

use std::sync::Arc;

use super::shared::Shared;
use crate::format::frame::to_u64;
use crate::log::files::LogFiles;
use crate::types::Event;

/// Events are told to the store's counters so many at a time.
const AT_ONCE: u64 = 256;

/// What one reader was given and the store's counters do not have yet; they have it when this is dropped.
#[derive(Debug)]
pub(super) struct ReadCount {
    files: Arc<LogFiles>,
    events: u64,
    payload_bytes: u64,
}

impl ReadCount {
    pub(super) fn new(shared: &Shared) -> Self {
        Self { files: Arc::clone(&shared.files), events: 0, payload_bytes: 0 }
    }

    /// Counts an event, which is handed on.
    #[inline]
    pub(super) fn note(&mut self, event: Event) -> Event {
        self.add(&event.payload);
        event
    }

    #[inline]
    pub(super) fn add(&mut self, payload: &[u8]) {
        self.events += 1;
        self.payload_bytes += to_u64(payload.len());
        if self.events == AT_ONCE {
            self.tell();
        }
    }

    fn tell(&mut self) {
        self.files.measures.read(std::mem::take(&mut self.events), std::mem::take(&mut self.payload_bytes));
    }
}

impl Drop for ReadCount {
    fn drop(&mut self) {
        self.tell();
    }
}
