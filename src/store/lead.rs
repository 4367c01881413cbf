//! The commit path from the group on: one caller writes it, syncs it, shows it to readers, and wakes its members.

use std::sync::Arc;

use super::shared::{CommitState, InFlight, Shared};
use crate::error::{Error, ErrorKind};
use crate::format::frame::to_u64;
use crate::index::{KeyEntry, Place};
use crate::limits;
use crate::log::queue::{Group, GroupResult};
use crate::log::scan::offset_u32;
use crate::log::writer::{LogWriter, Pending, WriteError};
use crate::recovery::walk::watermark;
use crate::sabotage::{self, Defect};
use crate::types::StreamId;

/// What is needed of a commit once it is written.
struct Record {
    streams: Vec<StreamId>,
    parts: Vec<(usize, usize)>,
    key: Option<(String, [u8; 32])>,
}

/// Poisons the store if whoever leads does not come to the end, so that nobody waits for ever.
struct LeadGuard<'a> {
    shared: &'a Shared,
    is_armed: bool,
}

impl Drop for LeadGuard<'_> {
    fn drop(&mut self) {
        if self.is_armed {
            self.shared.poison(&Error::new(ErrorKind::Io, "a thread panicked while it wrote a group of commits"));
        }
    }
}

impl Shared {
    /// Writes the forming group, whose lead token the caller has.
    pub(crate) fn lead(&self) {
        let mut guard = LeadGuard { shared: self, is_armed: true };
        let Some(writer) = &self.writer else { unreachable!("nothing joins where there is no writer") };
        let mut writer = writer.lock();
        let (group, commits) = {
            let mut state = self.commits.lock();
            if state.queue.poisoned().is_some() {
                // Who poisoned it has answered everybody.
                guard.is_armed = false;
                return;
            }
            state.queue.take()
        };
        let wants_sync = self.syncs_each() || commits.iter().any(|commit| commit.wants_sync);
        let (mut pending, records): (Vec<Pending>, Vec<Record>) = commits.into_iter().map(split).unzip();
        let rolls = writer.rolls();
        let (done, outcome) = writer.write(&mut pending, self.now(), &|| self.make_way());
        // The index may only take in what is durable, so what is about to be handed to it is synced first.
        if sabotage::has(Defect::ShowBeforeSync) {
            self.places.show(writer.position().next.previous(), writer.position().timestamp);
        }
        let is_tail_full = writer.rolls() > rolls || self.is_tail_full(&pending);
        let outcome = match outcome {
            Err(WriteError::Fatal(error)) => Err(WriteError::Fatal(error)),
            outcome if is_tail_full && !sabotage::has(Defect::IndexBeforeSync) => writer.settle().and(outcome),
            outcome if wants_sync => writer.sync().and(outcome),
            outcome => outcome,
        };
        let failure = match outcome {
            Ok(()) => None,
            Err(WriteError::Clean(error)) => Some(error),
            Err(WriteError::Fatal(error)) if sabotage::has(Defect::WriteAfterFailure) => Some(error),
            Err(WriteError::Fatal(error)) => {
                guard.is_armed = false;
                drop(writer);
                self.poison(&error);
                return;
            }
        };
        self.conclude(&writer, group, done, pending, records, failure, is_tail_full);
        guard.is_armed = false;
    }

    /// Before a new segment is started: the index must not fall more than a few segments behind.
    fn make_way(&self) {
        // Not left to the housekeeping thread: that may be waiting for the writer, which is held here. Where it ingests already,
        // this waits for it.
        let is_behind = self.view.read().pending() >= limits::SEGMENTS_PENDING_MAX;
        if is_behind {
            self.ingest_all();
        }
    }

    fn is_tail_full(&self, pending: &[Pending]) -> bool {
        let new: usize = pending.iter().map(|commit| commit.versions.len()).sum();
        self.view.read().active.events() + new >= self.options.tail_events_max
    }

    /// Shows what was written, passes the token on, and wakes the members.
    #[expect(clippy::too_many_arguments, reason = "the parts of one group, taken apart for the writer")]
    fn conclude(
        &self,
        writer: &LogWriter,
        group: Arc<Group>,
        done: usize,
        pending: Vec<Pending>,
        records: Vec<Record>,
        failure: Option<Error>,
        is_tail_full: bool,
    ) {
        let timestamp = writer.position().timestamp;
        let mut state = self.commits.lock();
        if state.queue.poisoned().is_some() {
            // Another thread's sync failed meanwhile, and it has answered everybody.
            return;
        }
        self.show(writer, &pending, &records, done, is_tail_full);
        let abandoned = failure.as_ref().map(|_| {
            state.reserved.clear();
            state.keys.clear();
            state.next = writer.position().next;
            state.queue.abandon_forming().0
        });
        if abandoned.is_none() {
            release(&mut state, &group, &records);
        }
        let next = state.queue.finish();
        let has_members = state.queue.is_waiting();
        drop(state);
        if has_members {
            next.word.wake_one();
        }
        if let Some(abandoned) = abandoned {
            abandoned.resolve(GroupResult { completed: 0, failure: failure.clone(), timestamp });
        }
        group.resolve(GroupResult { completed: done, failure, timestamp });
        self.watch.announce();
        if is_tail_full {
            self.chores.wake();
        }
    }

    /// Takes the first `done` commits into the tail, and lets readers see them.
    fn show(&self, writer: &LogWriter, pending: &[Pending], records: &[Record], done: usize, is_tail_full: bool) {
        // A tail that waits to be ingested is known to be durable.
        self.note_durable(writer.durable());
        let mut view = self.view.write();
        for (commit, record) in pending.iter().zip(records).take(done) {
            let Some(place) = commit.place else { unreachable!("a written commit has a place") };
            let records = commit.draft.record_offsets().zip(commit.draft.correlation_ids());
            let mut events = records.zip(&commit.versions).zip(0u64..);
            for (at, count) in &record.parts {
                let Some(stream) = record.streams.get(*at) else { unreachable!("a part names a stream") };
                let events = events.by_ref().take(*count);
                let events = events.map(|(((offset, correlation_id), version), number)| {
                    let place = Place {
                        sequence: commit.first_sequence.plus(number),
                        segment: place.segment,
                        frame_offset: offset_u32(place.offset),
                        record_offset: offset_u32(place.offset + u64::from(offset)),
                    };
                    (*version, place, correlation_id)
                });
                view.active.record(stream, events);
            }
            if let Some((key, content_hash)) = &record.key {
                let entry = KeyEntry {
                    content_hash: *content_hash,
                    segment: place.segment,
                    frame_offset: offset_u32(place.offset),
                };
                view.active.record_key(key.clone(), entry);
            }
        }
        if is_tail_full {
            view.freeze(watermark(&self.files, writer.segment(), writer.position()));
        }
        drop(view);
        let position = writer.position();
        let shown = if done > 0 { position.next.previous() } else { self.places.sequence() };
        assert!(!self.syncs_each() || shown <= writer.durable(), "nothing is shown before it is synced");
        self.places.show(shown, position.timestamp);
    }
}

fn split(commit: InFlight) -> (Pending, Record) {
    (commit.pending, Record { streams: commit.streams, parts: commit.parts, key: commit.key })
}

/// Forgets the reservations of a group that went through, where no later one stands on them.
fn release(state: &mut CommitState, group: &Arc<Group>, records: &[Record]) {
    for record in records {
        for stream in &record.streams {
            if state.reserved.get(stream).is_some_and(|(_, holder)| Arc::ptr_eq(holder, group)) {
                state.reserved.remove(stream);
            }
        }
        if let Some((key, _)) = &record.key {
            state.keys.remove(key);
        }
    }
    assert!(to_u64(records.len()) > 0, "a group has members");
}
