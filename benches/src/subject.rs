//! What is measured, as the benches see it.

use std::path::Path;

/// How a subject is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Each commit is synced before it returns.
    Sync,
    /// Handed to the operating system.
    Buffered,
}

/// A store as the benches see it: 256-byte events in 10,000 streams, in the order of their appends.
/// The bench may stop by panicking, so nothing returns an error.
pub trait Subject: Send + Sync {
    /// Appends one commit: `streams.len()` events, event i to the stream of number `streams[i]` (`0..10_000`), each of
    /// `payload`.
    fn append(&self, streams: &[usize], payload: &[u8]);
    /// Reads every event in order, with whatever checksum check it has; events and payload bytes seen. `None`: it has no such
    /// read.
    fn scan(&self) -> Option<(u64, u64)>;
    /// Reads one stream's events by its index; how many. `None`: it has no index of streams.
    fn read_stream(&self, stream: usize) -> Option<u64>;
    /// Closes cleanly (drop without it is like a crash of the program as far as possible).
    fn close(self: Box<Self>);
}

/// Opens or creates one in a folder.
pub type Open = fn(&Path, Durability) -> Box<dyn Subject>;
