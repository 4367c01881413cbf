//! What a commit says, whatever segment it lies in: equal for a commit and for its import.

use crate::error::Result;
use crate::format::checksum::crc32;
use crate::format::frame::{FrameRef, to_u64};
use crate::format::merkle::MerkleTree;
use crate::format::{record, seal};
use crate::log::cursor;
use crate::types::{EventId, NewEvent, Sequence, StreamId, Timestamp, Version};

/// An event of a commit, with all that it was given.
pub(super) type Given = (StreamId, Version, EventId, NewEvent);

/// The bytes that a commit's line has the checksum of.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Content {
    first_sequence: Sequence,
    timestamp: Timestamp,
    bytes: Vec<u8>,
    /// Where each record ends.
    ends: Vec<usize>,
}

impl Content {
    fn new(first_sequence: Sequence, timestamp: Timestamp, key: Option<(&str, &[u8; 32])>) -> Self {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&first_sequence.get().to_le_bytes());
        bytes.extend_from_slice(&timestamp.as_micros().to_le_bytes());
        let (key, hash) = key.map_or((&[][..], &[][..]), |(key, hash)| (key.as_bytes(), hash.as_slice()));
        bytes.extend_from_slice(&to_u64(key.len()).to_le_bytes());
        bytes.extend_from_slice(key);
        bytes.extend_from_slice(hash);
        let ends = vec![bytes.len()];
        Self { first_sequence, timestamp, bytes, ends }
    }

    fn push(&mut self, record: &[u8]) {
        self.bytes.extend_from_slice(record);
        self.ends.push(self.bytes.len());
    }

    /// Of a commit as it lies in the log.
    ///
    /// # Errors
    /// `Corrupt`: a record of it is damaged.
    pub(super) fn of_frame(frame: &FrameRef<'_>) -> Result<Self> {
        let damaged = |defect| cursor::damaged_in(frame, defect);
        let key = frame.key().map_err(damaged)?;
        let key = key.as_ref().map(|(key, hash)| (*key, hash));
        let mut content = Self::new(frame.header.first_sequence, frame.header.timestamp, key);
        for placed in frame.records().map_err(damaged)? {
            content.push(placed.map_err(damaged)?.record.content);
        }
        Ok(content)
    }

    /// Of a commit that is to be written.
    ///
    /// # Errors
    /// `InvalidInput`: an event is past a limit.
    pub(super) fn of_events(
        first_sequence: Sequence,
        timestamp: Timestamp,
        key: Option<(&str, &[u8; 32])>,
        events: &[Given],
    ) -> Result<Self> {
        let mut content = Self::new(first_sequence, timestamp, key);
        for (stream, version, id, event) in events {
            content.push(&record::content(stream, *version, *id, event.into())?);
        }
        Ok(content)
    }

    pub(super) fn checksum(&self) -> u32 {
        crc32(&self.bytes)
    }

    /// Adds the commit's events to a tree.
    pub(super) fn add_leaves(&self, tree: &mut MerkleTree) {
        let starts_and_ends = self.ends.iter().zip(self.ends.iter().skip(1));
        for (sequence, (start, end)) in (self.first_sequence.get()..).zip(starts_and_ends) {
            let record = self.bytes.get(*start..*end).unwrap_or_default();
            seal::add_leaf(tree, Sequence::new(sequence), self.timestamp, record);
        }
    }
}
