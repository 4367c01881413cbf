//! Taking commits into a store: those that it has are compared, the others are written, many at a time.

use std::sync::Arc;

use super::content::Content;
use super::line::Taken;
use crate::error::{Error, ErrorKind, Result};
use crate::format::frame::to_u64;
use crate::format::merkle::MerkleTree;
use crate::index::checkpoints::{self, Checkpointed};
use crate::log::cursor::FrameCursor;
use crate::store::commit::Commit;
use crate::store::committer::Submitted;
use crate::store::{Store, Ticket};
use crate::types::{ExpectedVersion, NewEvent, Sequence, StreamId, Timestamp};

/// So much is on its way at once: one sync for all of it.
const COMMITS_MAX: usize = 4096;
const BYTES_MAX: usize = 4 * 1024 * 1024;

/// Takes the commits of an export in, in order.
pub(super) struct Taker<'a> {
    store: &'a Store,
    /// The last sequence that was there before.
    present: Sequence,
    cursor: Option<FrameCursor>,
    next: Sequence,
    timestamp: Timestamp,
    tickets: Vec<Ticket>,
    bytes: usize,
    pub(super) tree: MerkleTree,
    pub(super) checkpoints: Checkpointed,
    pub(super) commits: u64,
    pub(super) commits_written: u64,
    pub(super) events_written: u64,
    pub(super) events_present: u64,
}

impl<'a> Taker<'a> {
    /// # Errors
    /// `Conflict`: between the store's end and the export's beginning something is missing.
    pub(super) fn new(store: &'a Store, first: Sequence) -> Result<Self> {
        let present = store.last_sequence();
        if first > present.next() {
            let text = format!("the export begins with sequence {first}, and the store ends with {present}");
            return Err(Error::new(ErrorKind::Conflict, text));
        }
        Ok(Self {
            store,
            present,
            cursor: None,
            next: first,
            timestamp: Timestamp::EPOCH,
            tickets: Vec::new(),
            bytes: 0,
            tree: MerkleTree::default(),
            checkpoints: Checkpointed::new(),
            commits: 0,
            commits_written: 0,
            events_written: 0,
            events_present: 0,
        })
    }

    /// The sequence that comes next.
    pub(super) fn next(&self) -> Sequence {
        self.next
    }

    /// Takes the next commit in. It is durable after [`settle`](Self::settle).
    ///
    /// # Errors
    /// `InvalidInput`: it does not follow the one before. `Conflict`: the store has another one in its place. Those of a commit.
    pub(super) fn take(&mut self, taken: Taken) -> Result<()> {
        let invalid = |text: String| Err(Error::new(ErrorKind::InvalidInput, text));
        if taken.first_sequence != self.next {
            return invalid(format!("it begins with sequence {}, expected {}", taken.first_sequence, self.next));
        }
        if taken.timestamp < self.timestamp {
            return invalid("it is earlier than the commit before it".into());
        }
        let events = to_u64(taken.events.len());
        taken.content.add_leaves(&mut self.tree);
        self.note_checkpoints(&taken);
        (self.next, self.timestamp) = (self.next.plus(events), taken.timestamp);
        self.commits += 1;
        if taken.first_sequence <= self.present {
            self.compare(&taken)?;
            self.events_present += events;
            return Ok(());
        }
        self.submit(taken)?;
        self.commits_written += 1;
        self.events_written += events;
        if self.tickets.len() >= COMMITS_MAX || self.bytes >= BYTES_MAX { self.settle() } else { Ok(()) }
    }

    /// What an index is given when the log is read; here the log is written.
    fn note_checkpoints(&mut self, taken: &Taken) {
        for (sequence, (stream, _, _, event)) in (taken.first_sequence.get()..).zip(&taken.events) {
            if stream.as_str() != checkpoints::LOGGED_STREAM {
                continue;
            }
            let (event_type, schema, at) = (event.event_type.as_str(), event.schema_version, Sequence::new(sequence));
            let decoded = checkpoints::decode_logged(event_type, schema, event.codec, &event.payload, at);
            if let Some((name, sequence)) = decoded {
                checkpoints::note(&mut self.checkpoints, name, sequence);
            }
        }
    }

    fn compare(&mut self, taken: &Taken) -> Result<()> {
        let cursor = match &mut self.cursor {
            Some(cursor) => cursor,
            none => none.insert(FrameCursor::at(&self.store.shared().files, taken.first_sequence)?),
        };
        if Content::of_frame(&cursor.frame()?)? == taken.content {
            return Ok(());
        }
        let text = format!("the store has another commit at sequence {}", taken.first_sequence);
        Err(Error::new(ErrorKind::Conflict, text))
    }

    fn submit(&mut self, taken: Taken) -> Result<()> {
        if taken.timestamp < self.store.shared().places.timestamp() {
            return Err(Error::new(ErrorKind::InvalidInput, "it is earlier than the store's last commit"));
        }
        let mut commit = Commit::new().committed_at(taken.timestamp);
        if let Some((key, hash)) = taken.key {
            commit = commit.idempotency_key_for(key, hash);
        }
        let mut run: Option<(StreamId, ExpectedVersion, Vec<NewEvent>)> = None;
        let mut last = crate::types::Version::ZERO;
        for (stream, version, _, event) in taken.events {
            self.bytes += event.payload.len();
            match &mut run {
                Some((of, _, events)) if *of == stream && version == last.next() => events.push(event),
                _ => {
                    if let Some((stream, expected, events)) = run.take() {
                        commit = commit.append(&stream, expected, events);
                    }
                    run = Some((stream, ExpectedVersion::Exact(version.previous()), vec![event]));
                }
            }
            last = version;
        }
        if let Some((stream, expected, events)) = run {
            commit = commit.append(&stream, expected, events);
        }
        // That a version does not follow is a fault of the line: nobody else writes to the store.
        let ticket = self.store.submit(commit).map_err(|error| match error.kind() {
            ErrorKind::Conflict | ErrorKind::IdempotencyConflict => {
                error.wrap(ErrorKind::InvalidInput, "it does not fit")
            }
            _ => error,
        })?;
        match &ticket.submitted {
            Submitted::InGroup { receipt, .. } => {
                assert_eq!(receipt.sequence_first, taken.first_sequence, "nobody else writes to the store");
            }
            Submitted::Repeat(receipt) => {
                let text = format!("its key was used by the commit at sequence {}", receipt.sequence_first);
                return Err(Error::new(ErrorKind::InvalidInput, text));
            }
        }
        self.tickets.push(ticket);
        Ok(())
    }

    /// Waits until all that was taken in is durable.
    ///
    /// # Errors
    /// `StorageFull`, `CommitUnknown`, `Poisoned`, `Io`: what follows the commit that failed is not there.
    pub(super) fn settle(&mut self) -> Result<()> {
        self.bytes = 0;
        let mut outcome = Ok(());
        for ticket in self.tickets.drain(..) {
            let waited = ticket.wait().map(drop);
            outcome = outcome.and(waited);
        }
        outcome?;
        if self.store.has_background() { Ok(()) } else { self.store.housekeep() }
    }

    /// Puts the checkpoints that the log holds into the index, as an open does that reads the log.
    ///
    /// # Errors
    /// `StorageFull`, `Io`: the index.
    pub(super) fn restore_checkpoints(&self) -> Result<()> {
        let index = Arc::clone(&self.store.shared().index);
        checkpoints::restore(&index, &self.checkpoints)
    }
}
