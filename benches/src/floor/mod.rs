//! The floor: what the same bytes cost when nothing is done but writing, syncing and checking them.

mod frames;
mod grouped;
mod raw;

use std::path::Path;

pub use frames::{FrameFile, read_and_check};
pub use grouped::GroupedFile;
use parking_lot::Mutex;
pub use raw::{FILE_BYTES, Medium, RawLog, Syncing};

use crate::subject::Subject;
use crate::workload::frame_bytes;

/// A raw file behind the face of a subject: one writer at a time, or many that share their syncs.
#[derive(Debug)]
pub struct FloorSubject {
    file: File,
    frame: Vec<u8>,
}

#[derive(Debug)]
enum File {
    Alone(Mutex<RawLog>),
    Grouped(GroupedFile),
}

impl FloorSubject {
    /// A raw log in a folder, for commits of at most `events_max` events and `bytes` bytes in all.
    #[must_use]
    pub fn new(
        folder: &Path,
        medium: Medium,
        syncing: Syncing,
        is_grouped: bool,
        events_max: usize,
        bytes: usize,
    ) -> Self {
        let log = RawLog::new(folder, medium, syncing, bytes);
        let file = if is_grouped { File::Grouped(GroupedFile::new(log)) } else { File::Alone(Mutex::new(log)) };
        Self { file, frame: vec![0xA5; frame_bytes(events_max)] }
    }
}

impl Subject for FloorSubject {
    fn append(&self, streams: &[usize], _payload: &[u8]) {
        let frame = &self.frame[..frame_bytes(streams.len())];
        match &self.file {
            File::Alone(log) => log.lock().write(frame),
            File::Grouped(log) => log.commit(frame),
        }
    }

    fn scan(&self) -> Option<(u64, u64)> {
        None
    }

    fn read_stream(&self, _stream: usize) -> Option<u64> {
        None
    }

    fn close(self: Box<Self>) {}
}
