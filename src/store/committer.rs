//! The commit path up to the group: a commit is encoded, checked, given its places, and joins a group.

use std::sync::Arc;

use smallvec::SmallVec;

use super::commit::{Commit, check_length};
use super::reservations::{CommitStream, CommitStreams, Reserved};
use super::shared::{Append, CommitState, InFlight, Shared};
use crate::error::{Conflict, Error, ErrorKind, Result};
use crate::format::frame::to_u64;
use crate::index::KeyEntry;
use crate::index::names::Keyed;
use crate::limits;
use crate::log::queue::{DONE, FORMING, Group, GroupResult, Joined, LEAD, LED};
use crate::log::writer::Run;
use crate::sabotage::{self, Defect};
use crate::types::{Receipt, Sequence, StreamId, StreamReceipt, Timestamp, Version};

/// As long as this lives, nothing joins a group that may not use the reserve.
struct Ahead<'a> {
    shared: &'a Shared,
}

impl<'a> Ahead<'a> {
    fn enter(shared: &'a Shared) -> Self {
        shared.commits.lock().ahead += 1;
        Self { shared }
    }
}

impl Drop for Ahead<'_> {
    fn drop(&mut self) {
        self.shared.commits.lock().ahead -= 1;
    }
}

/// What the index knows of a commit's streams and key; looked up without a lock, and old when the epoch has changed.
struct Cold {
    heads: SmallVec<[Option<Version>; 1]>,
    key: Option<KeyEntry>,
    epoch: u64,
}

/// A commit that has its places.
#[derive(Debug)]
pub(crate) enum Submitted {
    /// In this group, at this place; the receipt lacks the time.
    InGroup { group: Arc<Group>, at: usize, receipt: Receipt },
    /// It was committed before.
    Repeat(Receipt),
}

/// What checking under the lock came to.
enum Checked {
    Joined(Submitted),
    /// The answer depends on this group: wait, then check again.
    WaitFor(Arc<Group>),
    /// The group is full: wait until it is taken, then check again.
    WaitUntilTaken(Arc<Group>),
    /// The index is to be looked at, or changed since it was.
    LookUp,
    /// The key was used with this content by the commit at this place.
    Used(KeyEntry),
}

impl Shared {
    /// Commits, and waits until it is acknowledged.
    pub(crate) fn commit(&self, commit: Commit) -> Result<Receipt> {
        if commit.content.pending.may_use_reserve {
            return self.commit_ahead(&commit);
        }
        let submitted = self.submit(commit)?;
        self.receipt(submitted)
    }

    /// Commits what may use the reserve. On a full disk a commit fails with those before it in its group, and one of them may
    /// be one that may not; so it is tried again while no other joins. The group that is forming by then may still hold
    /// some; the one after it does not.
    fn commit_ahead(&self, commit: &Commit) -> Result<Receipt> {
        let attempt = || self.submit(commit.clone()).and_then(|submitted| self.receipt(submitted));
        let is_full =
            |outcome: &Result<Receipt>| matches!(outcome, Err(error) if error.kind() == ErrorKind::StorageFull);
        let outcome = attempt();
        if !is_full(&outcome) {
            return outcome;
        }
        let _ahead = Ahead::enter(self);
        let outcome = attempt();
        if is_full(&outcome) { attempt() } else { outcome }
    }

    /// Waits until a submitted commit is acknowledged.
    pub(crate) fn receipt(&self, submitted: Submitted) -> Result<Receipt> {
        match submitted {
            Submitted::Repeat(receipt) => Ok(receipt),
            Submitted::InGroup { group, at, receipt } => {
                let result = self.wait(&group);
                match result.failure {
                    Some(failure) if at >= result.completed => Err(failure),
                    _ => Ok(Receipt { timestamp: result.timestamp, ..receipt }),
                }
            }
        }
    }

    /// Gives a commit its places; it is acknowledged later.
    pub(crate) fn submit(&self, commit: Commit) -> Result<Submitted> {
        self.writer()?;
        let mut prepared = commit.content;
        prepared.came = self.files.measures.came(self.syncs_each());
        prepare(&mut prepared, self)?;
        let mut prepared = Some(prepared);
        let mut cold = None;
        loop {
            match self.check_and_join(&mut prepared, cold.as_ref())? {
                Checked::Joined(submitted) => {
                    self.chores.note_activity();
                    return Ok(submitted);
                }
                Checked::LookUp => {
                    let Some(ready) = &prepared else { unreachable!("a prepared commit is kept until it joins") };
                    self.files.measures.index_lookups.add(1);
                    cold = Some(self.look_up(ready)?);
                }
                Checked::WaitUntilTaken(group) => {
                    self.files.measures.waits_for_room.add(1);
                    self.wait_until_taken(&group);
                }
                Checked::WaitFor(group) => {
                    self.files.measures.waits_for_commit.add(1);
                    let failure = self.wait(&group).failure.filter(|failure| failure.kind() != ErrorKind::StorageFull);
                    if let Some(failure) = failure {
                        return Err(
                            failure.wrap(ErrorKind::CommitUnknown, "a commit that this one depends on is in doubt")
                        );
                    }
                }
                Checked::Used(entry) => {
                    self.files.measures.repeats.add(1);
                    return Ok(Submitted::Repeat(self.receipt_at(&entry)?));
                }
            }
        }
    }

    fn look_up(&self, prepared: &InFlight) -> Result<Cold> {
        let (warm, key, epoch) = {
            let view = self.view.read();
            let warm = |stream: &CommitStream| view.warm(stream.hash, stream.id.as_str()).version;
            let warm: SmallVec<[_; 1]> = prepared.streams.iter().map(warm).collect();
            let key = prepared.key.as_ref().and_then(|(key, _)| view.key(key));
            (warm, key, view.epoch())
        };
        let mut heads = SmallVec::with_capacity(warm.len());
        for (stream, head) in prepared.streams.iter().zip(warm) {
            let head = match head {
                Some(version) => Some(version),
                None => self.index.head(stream.id.as_str())?.map(|head| head.version),
            };
            heads.push(head);
        }
        let key = match (&prepared.key, key) {
            (Some((name, _)), None) => self.index.key(name)?,
            (_, known) => known,
        };
        Ok(Cold { heads, key, epoch })
    }

    /// Checks a commit against the streams and joins the forming group. What neither the tails nor the commits in flight know
    /// must have been looked up in the index before, for this holds a lock.
    fn check_and_join(&self, slot: &mut Option<Box<InFlight>>, cold: Option<&Cold>) -> Result<Checked> {
        let Some(prepared) = slot.as_mut() else { unreachable!("a prepared commit is kept until it joins") };
        let mut state = self.commits.lock();
        if let Some(error) = state.queue.poisoned() {
            return Err(error.clone());
        }
        if self.latch.is_tripped() {
            return Err(Error::new(ErrorKind::Poisoned, "an earlier failure stopped this store; open it again"));
        }
        if state.is_closed {
            return Err(Error::new(ErrorKind::Closed, "the store was closed"));
        }
        state.reserved.enter();
        let Some(used) = self.known(&state, prepared, cold) else { return Ok(Checked::LookUp) };
        if let Some((key, hash)) = &prepared.key {
            // Whatever its content: that commit may yet fail, and then nobody has used the key.
            if let Some(group) = state.keys.get(key)
                && !sabotage::has(Defect::AnswerFromUnresolvedKey)
            {
                return Ok(Checked::WaitFor(Arc::clone(group)));
            }
            if let Some(entry) = used {
                let is_same = entry.content_hash == *hash || sabotage::has(Defect::RepeatWithoutContent);
                return if is_same { Ok(Checked::Used(entry)) } else { Err(key_conflict(key)) };
            }
        }
        match give_versions(&state, prepared) {
            Ok(()) => {}
            Err(Refusal::Unresolved(group)) => return Ok(Checked::WaitFor(group)),
            Err(Refusal::Conflict(conflict)) => return Err(Error::conflict(conflict)),
        }
        if state.ahead > 0 && !prepared.pending.may_use_reserve {
            return Err(Error::new(
                ErrorKind::StorageFull,
                "the disk is full, and what must still be written goes first",
            ));
        }
        if !state.queue.has_room(prepared.pending.draft.bytes_max()) {
            return Ok(Checked::WaitUntilTaken(Arc::clone(state.queue.forming())));
        }
        let Some(prepared) = slot.take() else { unreachable!("it was there a moment ago") };
        Ok(Checked::Joined(join(&mut state, prepared)))
    }

    /// Notes the version of each of the commit's streams as the last commit before it leaves it, and tells what its key was used
    /// for; `None` where only the index can tell.
    fn known(&self, state: &CommitState, prepared: &mut InFlight, cold: Option<&Cold>) -> Option<Option<KeyEntry>> {
        let view = self.view.read();
        let cold = cold.filter(|cold| cold.epoch == view.epoch());
        prepared.generation = view.generation();
        for (at, stream) in prepared.streams.iter_mut().enumerate() {
            let warm = view.warm(stream.hash, stream.id.as_str());
            let reserved = state.reserved.find(stream.hash, &stream.id).map(|reserved| reserved.version);
            stream.version = match reserved.or(warm.version) {
                None => cold?.heads.get(at).copied()?,
                known => known,
            };
            (stream.number, stream.given) = (warm.number, None);
        }
        match &prepared.key {
            None => Some(None),
            Some((key, _)) => match view.key(key) {
                None => Some(cold?.key),
                known => Some(known),
            },
        }
    }

    /// Waits for a group's result, and leads it if nobody else does.
    pub(crate) fn wait(&self, group: &Arc<Group>) -> GroupResult {
        loop {
            match group.word.load() {
                DONE => break,
                LEAD => {
                    if group.word.change(LEAD, LED) {
                        self.lead(group);
                    }
                }
                waiting => group.word.wait_while(waiting),
            }
        }
        group.result().unwrap_or_else(|| unreachable!("a group that is done has a result"))
    }

    fn wait_until_taken(&self, group: &Arc<Group>) {
        loop {
            match group.word.load() {
                LEAD => {
                    if group.word.change(LEAD, LED) {
                        self.lead(group);
                    }
                }
                FORMING => group.word.wait_while(FORMING),
                _ => return,
            }
        }
    }

    /// Leads whatever waits for somebody to lead it; whether there was anything.
    pub(crate) fn lead_waiting(&self) -> bool {
        let group = {
            let state = self.commits.lock();
            if !state.queue.is_waiting() {
                return false;
            }
            Arc::clone(state.queue.forming())
        };
        if group.word.change(LEAD, LED) {
            self.lead(&group);
        }
        true
    }
}

fn key_conflict(key: &str) -> Error {
    Error::new(ErrorKind::IdempotencyConflict, format!("idempotency key {key:?} was used before with other content"))
}

/// Checks a commit against the limits, and gives its events what they lack but for their places.
fn prepare(commit: &mut InFlight, shared: &Shared) -> Result<()> {
    let count: usize = commit.appends.iter().map(|append| append.events).sum();
    if count == 0 {
        return Err(Error::new(ErrorKind::InvalidInput, "the commit has no event"));
    }
    if count > limits::COMMIT_EVENTS_MAX {
        let text = format!("the commit has {count} events, at most {} are allowed", limits::COMMIT_EVENTS_MAX);
        return Err(Error::new(ErrorKind::InvalidInput, text));
    }
    if let Some(refusal) = commit.refusal.take() {
        return Err(refusal);
    }
    if commit.idempotency.is_some() {
        let hash = commit.content_hash();
        commit.key = commit.idempotency.take().map(|idempotency| (idempotency.key, hash));
    }
    let mut ids = shared.ids.of_commit(shared.options.clock.as_ref(), count);
    let draft = &mut commit.pending.draft;
    draft.close(commit.key.as_ref().map(|(key, hash)| (key.as_str(), hash)), || ids.draw())?;
    // The key's bytes were not there before.
    check_length(draft)?;
    let mut streams = Streams::of(commit.appends.len(), &mut commit.streams, &mut commit.slots);
    commit.pending.runs.reserve(commit.appends.len());
    for append in &mut commit.appends {
        let Some(id) = append.stream.take() else { unreachable!("a commit is prepared once") };
        let (stream, events) = (streams.place_of(id, &shared.keyed), append.events);
        commit.pending.runs.push(Run { stream, events, version_first: Version::ZERO });
    }
    Ok(())
}

/// The streams of a commit, each once.
struct Streams<'a> {
    list: &'a mut CommitStreams,
    /// A table of their places, counted from one, by their hashes: who finds another one in its slot looks at the next. Empty where
    /// they are so few that they are compared one by one.
    // Not a `ByHash`, which takes a hundred instructions more for each stream: it is asked twice, and cleared.
    slots: &'a mut [u32],
    mask: u64,
}

impl<'a> Streams<'a> {
    /// Room for the streams of so many appends.
    fn of(appends: usize, list: &'a mut CommitStreams, slots: &'a mut Vec<u32>) -> Self {
        const FEW: usize = 8;
        list.reserve(appends);
        slots.clear();
        if appends > FEW {
            slots.resize(appends.next_power_of_two() * 2, 0);
        }
        let mask = to_u64(slots.len()).saturating_sub(1);
        Self { list, slots, mask }
    }

    /// Where a stream is in the list; it is added where it is not.
    fn place_of(&mut self, id: StreamId, keyed: &Keyed) -> usize {
        let hash = keyed.hash(id.as_str());
        self.place_of_hashed(id, hash)
    }

    #[inline]
    fn place_of_hashed(&mut self, id: StreamId, hash: u64) -> usize {
        let is_it = |known: &CommitStream| known.hash == hash && known.id == id;
        let place = self.list.len();
        if self.slots.is_empty() {
            if let Some(known) = self.list.iter().position(is_it) {
                return known;
            }
        } else {
            let mut at = hash & self.mask;
            loop {
                let slot = self.slots.get_mut(usize::try_from(at).unwrap_or(usize::MAX));
                let Some(slot) = slot else { unreachable!("the mask is that of the slots") };
                let Some(known) = slot.checked_sub(1) else {
                    *slot = u32::try_from(place + 1).unwrap_or_else(|_| unreachable!("a commit has fewer streams"));
                    break;
                };
                let known = usize::try_from(known).unwrap_or(usize::MAX);
                if self.list.get(known).is_some_and(is_it) {
                    return known;
                }
                at = (at + 1) & self.mask;
            }
        }
        self.list.push(CommitStream { id, hash, version: None, given: None, number: None });
        place
    }
}

enum Refusal {
    Conflict(Conflict),
    /// The version that does not fit is of a commit whose group is not resolved.
    Unresolved(Arc<Group>),
}

/// Gives each run its versions, if the streams are as expected.
fn give_versions(state: &CommitState, prepared: &mut InFlight) -> Result<(), Refusal> {
    for (run, Append { expected, .. }) in prepared.pending.runs.iter_mut().zip(&prepared.appends) {
        let Some(stream) = prepared.streams.get_mut(run.stream) else { unreachable!("a run names a stream") };
        if !expected.matches(stream.version) && !sabotage::has(Defect::IgnoreExpectedVersion) {
            let group = state.holder(stream).filter(|_| !sabotage::has(Defect::AnswerFromUnresolvedConflict));
            let conflict = || Conflict { stream: stream.id.clone(), expected: *expected, actual: stream.version };
            return Err(group.map_or_else(|| Refusal::Conflict(conflict()), Refusal::Unresolved));
        }
        run.version_first = stream.version.unwrap_or(Version::ZERO).next();
        if run.events > 0 {
            stream.version = Some(run.version_first.plus(to_u64(run.events - 1)));
            stream.given.get_or_insert(run.version_first);
        }
    }
    Ok(())
}

/// What each stream was given, in the order of the first event of each.
fn receipts(prepared: &InFlight) -> Vec<StreamReceipt> {
    let mut receipts = Vec::with_capacity(prepared.streams.len());
    for run in prepared.pending.runs.iter().filter(|run| run.events > 0) {
        let Some(stream) = prepared.streams.get(run.stream) else { unreachable!("a run names a stream") };
        let (Some(version_first), Some(version_last)) = (stream.given, stream.version) else { continue };
        if version_first == run.version_first {
            receipts.push(StreamReceipt { stream: stream.id.clone(), version_first, version_last });
        }
    }
    receipts
}

/// Gives out the sequences, reserves the versions and the key, and joins the forming group, which has room.
fn join(state: &mut CommitState, mut commit: Box<InFlight>) -> Submitted {
    let receipts = receipts(&commit);
    let first = state.next;
    let next = first.plus(to_u64(commit.pending.draft.event_count()));
    let bytes = commit.pending.draft.bytes_max();
    let key = commit.key.as_ref().map(|(key, _)| key.clone());
    commit.pending.first_sequence = first;
    let streams = std::mem::take(&mut commit.streams);
    state.reserved.push(Reserved { streams, generation: commit.generation });
    let Joined::In(group, at) = state.queue.join(commit, bytes) else {
        unreachable!("room was checked under this lock")
    };
    state.next = next;
    if let Some(key) = key {
        state.keys.insert(key, Arc::clone(&group));
    }
    let receipt = Receipt {
        sequence_first: first,
        sequence_last: next.previous(),
        timestamp: Timestamp::EPOCH,
        streams: receipts,
        is_repeat: false,
    };
    Submitted::InGroup { group, at, receipt }
}

const _: () = assert!(Sequence::FIRST.get() == 1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::tail::Tail;

    #[test]
    fn each_stream_of_a_commit_is_listed_once_however_many_there_are() {
        let tail = Tail::default();
        for count in [1, 3, 8, 9, 100, 1_000] {
            let (mut list, mut slots) = (CommitStreams::new(), vec![7; 3]);
            let mut streams = Streams::of(2 * count, &mut list, &mut slots);
            let id = |number: usize| StreamId::new(format!("till-{number}")).unwrap();
            for number in (0..count).chain((0..count).rev()) {
                assert_eq!(streams.place_of(id(number), tail.keyed()), number, "of {count}");
            }
            assert!(list.iter().map(|stream| stream.id.clone()).eq((0..count).map(id)));
            assert!(list.iter().all(|stream| stream.hash == tail.keyed().hash(stream.id.as_str())));
        }
    }

    #[test]
    fn streams_with_one_hash_are_told_apart_and_the_last_slot_is_followed_by_the_first() {
        let (mut list, mut slots) = (CommitStreams::new(), Vec::new());
        let mut streams = Streams::of(9, &mut list, &mut slots);
        let ids: Vec<StreamId> = (0..9).map(|number| StreamId::new(format!("s{number}")).unwrap()).collect();
        // All of them begin at the last slot, so that each looks at those before it.
        let hash = streams.mask;
        let places = [&ids[..], &ids[..]].concat().into_iter().map(|id| streams.place_of_hashed(id, hash));
        assert!(places.eq((0..9).chain(0..9)));
    }
}
