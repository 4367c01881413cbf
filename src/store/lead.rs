//! The commit path from the group on: one caller writes it, syncs it, shows it to readers, and wakes its members.

use super::reservations::Reserved;
use super::shared::{CommitState, InFlight, Shared};
use crate::error::{Error, ErrorKind};
use crate::index::tail::Tail;
use crate::index::{KeyEntry, Place};
use crate::limits;
use crate::log::queue::{Group, GroupResult};
use crate::log::scan::offset_u32;
use crate::log::writer::{LogWriter, WriteError};
use crate::recovery::walk::watermark;
use crate::sabotage::{self, Defect};
use crate::sync::MutexGuard;

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
    pub(crate) fn lead(&self, group: &Group) {
        let mut guard = LeadGuard { shared: self, is_armed: true };
        let Some(writer) = &self.writer else { unreachable!("nothing joins where there is no writer") };
        let mut writer = writer.lock();
        let (mut commits, tail_events) = {
            let mut state = self.commits.lock();
            if state.queue.poisoned().is_some() {
                // Who poisoned it has answered everybody.
                guard.is_armed = false;
                return;
            }
            state.reserved.take();
            (state.queue.take(group), state.tail_events)
        };
        let wants_sync = self.syncs_each() || commits.iter().any(|commit| commit.wants_sync());
        let rolls = writer.rolls();
        let (done, outcome) = writer.write(&mut commits, self.now(), &|| self.make_way());
        // The index may only take in what is durable, so what is about to be handed to it is synced first.
        if sabotage::has(Defect::ShowBeforeSync) {
            self.places.show(writer.position().next.previous(), writer.position().timestamp);
        }
        let is_tail_full = writer.rolls() > rolls || self.is_tail_full(tail_events, &commits);
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
        let measured = commits.iter().take(done).map(|commit| commit.measured());
        self.files.measures.committed(wants_sync || is_tail_full, measured);
        self.conclude(writer, group, &mut commits, done, failure, is_tail_full);
        guard.is_armed = false;
        self.pool.give_back(commits);
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

    /// Whether the active tail, which has so many events, is full with these.
    fn is_tail_full(&self, tail_events: usize, commits: &[Box<InFlight>]) -> bool {
        let new: usize = commits.iter().map(|commit| commit.pending.draft.event_count()).sum();
        tail_events + new >= self.options.tail_events_max
    }

    /// Shows what was written, passes the token on, and wakes the members.
    fn conclude(
        &self,
        mut writer: MutexGuard<'_, LogWriter>,
        group: &Group,
        commits: &mut [Box<InFlight>],
        done: usize,
        failure: Option<Error>,
        is_tail_full: bool,
    ) {
        let timestamp = writer.position().timestamp;
        let wants_chores = writer.is_flush_due() || is_tail_full;
        let mut state = self.commits.lock();
        if state.queue.poisoned().is_some() {
            // Another thread's sync failed meanwhile, and it has answered everybody.
            return;
        }
        self.show(&writer, &mut state, commits.get(..done).unwrap_or_default(), is_tail_full);
        let abandoned = failure.as_ref().map(|_| {
            state.forget_reservations();
            state.next = writer.position().next;
            state.queue.abandon_forming().0
        });
        if abandoned.is_none() {
            release(&mut state, commits);
        }
        let next = state.queue.finish();
        drop(state);
        // Whoever leads next needs not wait until all members of this group are woken.
        drop(writer);
        if let Some(next) = next {
            next.word.wake_one();
        }
        if let Some(abandoned) = abandoned {
            abandoned.resolve(GroupResult { completed: 0, failure: failure.clone(), timestamp });
        }
        group.resolve(GroupResult { completed: done, failure, timestamp });
        self.watch.announce();
        if wants_chores {
            self.chores.wake();
        }
    }

    /// Takes the commits, which are written, into the tail, and lets readers see them.
    fn show(&self, writer: &LogWriter, state: &mut CommitState, commits: &[Box<InFlight>], is_tail_full: bool) {
        // A tail that waits to be ingested is known to be durable.
        self.note_durable(writer.durable());
        let mut view = self.view.write();
        let generation = view.generation();
        for (commit, reserved) in commits.iter().zip(state.reserved.led()) {
            take_in(&mut view.active, generation, commit, reserved);
        }
        if is_tail_full {
            view.freeze(watermark(&self.files, writer.segment(), writer.position()));
        }
        state.tail_events = view.active.events();
        drop(view);
        let position = writer.position();
        let shown = if commits.is_empty() { self.places.sequence() } else { position.next.previous() };
        assert!(!self.syncs_each() || shown <= writer.durable(), "nothing is shown before it is synced");
        self.places.show(shown, position.timestamp);
    }
}

/// Takes a commit that is written into the tail of a generation.
fn take_in(tail: &mut Tail, generation: u64, commit: &InFlight, reserved: &Reserved) {
    let pending = &commit.pending;
    let Some(place) = pending.place else { unreachable!("a written commit has a place") };
    let mut records = pending.draft.record_offsets().zip(pending.draft.correlation_ids());
    let mut sequence = pending.first_sequence;
    for run in &pending.runs {
        let Some(stream) = reserved.streams.get(run.stream) else { unreachable!("a run names a stream") };
        let number = stream.number.filter(|_| reserved.generation == generation);
        let events = run.versions().zip(records.by_ref()).map(|(version, (offset, correlation_id))| {
            let place = Place {
                sequence,
                segment: place.segment,
                frame_offset: offset_u32(place.offset),
                record_offset: offset_u32(place.offset + u64::from(offset)),
            };
            sequence = sequence.next();
            (version, place, correlation_id)
        });
        tail.record(&stream.id, stream.hash, number, events);
    }
    if let Some((key, content_hash)) = &commit.key {
        let (segment, frame_offset) = (place.segment, offset_u32(place.offset));
        tail.record_key(key.clone(), KeyEntry { content_hash: *content_hash, segment, frame_offset });
    }
}

/// Forgets the reservations of a group that went through, where no later one stands on them.
fn release(state: &mut CommitState, commits: &mut [Box<InFlight>]) {
    let mut members = commits.iter_mut();
    state.reserved.release(|streams| {
        // A list with memory of its own goes back to its commit: what it holds is dropped without this lock.
        if let Some(commit) = members.next()
            && streams.spilled()
        {
            commit.streams = streams;
        }
    });
    for (key, _) in commits.iter().filter_map(|commit| commit.key.as_ref()) {
        state.keys.remove(key);
    }
}
