//! The commit path up to the group: a commit is encoded, checked, given its places, and joins a group.

use std::sync::Arc;

use smallvec::SmallVec;

use super::commit::{Commit, check_length};
use super::options::Durability;
use super::reservations::{CommitStream, CommitStreams, Reserved};
use super::shared::{CommitState, InFlight, Shared};
use crate::error::{Conflict, Error, ErrorKind, Result};
use crate::format::frame::{Draft, to_u64};
use crate::index::KeyEntry;
use crate::index::names::{ByHash, Keyed};
use crate::limits;
use crate::log::queue::{DONE, FORMING, Group, GroupResult, Joined, LEAD, LED};
use crate::log::writer::{Pending, Run};
use crate::measure::Stopwatch;
use crate::sabotage::{self, Defect};
use crate::types::{ExpectedVersion, Receipt, Sequence, StreamId, StreamReceipt, Timestamp, Version};

/// A commit that is encoded and not yet checked against the streams.
struct Prepared {
    draft: Draft,
    streams: CommitStreams,
    /// Which tail their numbers are of.
    generation: u64,
    /// Their versions are given out last.
    runs: SmallVec<[Run; 1]>,
    /// Of each run.
    expected: SmallVec<[ExpectedVersion; 1]>,
    key: Option<(String, [u8; 32])>,
    wants_sync: bool,
    may_use_reserve: bool,
    came: Stopwatch,
    payload_bytes: u64,
    committed_at: Option<Timestamp>,
}

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
        if commit.may_use_reserve {
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
        let mut prepared = Some(prepare(commit, self, self.files.measures.came(self.syncs_each()))?);
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

    fn look_up(&self, prepared: &Prepared) -> Result<Cold> {
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
    fn check_and_join(&self, slot: &mut Option<Prepared>, cold: Option<&Cold>) -> Result<Checked> {
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
        if state.ahead > 0 && !prepared.may_use_reserve {
            return Err(Error::new(
                ErrorKind::StorageFull,
                "the disk is full, and what must still be written goes first",
            ));
        }
        if !state.queue.has_room(prepared.draft.bytes_max()) {
            return Ok(Checked::WaitUntilTaken(Arc::clone(state.queue.forming())));
        }
        let Some(prepared) = slot.take() else { unreachable!("it was there a moment ago") };
        Ok(Checked::Joined(join(&mut state, prepared)))
    }

    /// Notes the version of each of the commit's streams as the last commit before it leaves it, and tells what its key was used
    /// for; `None` where only the index can tell.
    fn known(&self, state: &CommitState, prepared: &mut Prepared, cold: Option<&Cold>) -> Option<Option<KeyEntry>> {
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
                        self.lead();
                    }
                }
                waiting => group.word.wait_while(waiting),
            }
        }
        group.result().cloned().unwrap_or_else(|| unreachable!("a group that is done has a result"))
    }

    fn wait_until_taken(&self, group: &Arc<Group>) {
        loop {
            match group.word.load() {
                LEAD => {
                    if group.word.change(LEAD, LED) {
                        self.lead();
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
            self.lead();
        }
        true
    }
}

fn key_conflict(key: &str) -> Error {
    Error::new(ErrorKind::IdempotencyConflict, format!("idempotency key {key:?} was used before with other content"))
}

/// Checks a commit against the limits and encodes it.
fn prepare(commit: Commit, shared: &Shared, came: Stopwatch) -> Result<Prepared> {
    let count = commit.events();
    if count == 0 {
        return Err(Error::new(ErrorKind::InvalidInput, "the commit has no event"));
    }
    if count > limits::COMMIT_EVENTS_MAX {
        let text = format!("the commit has {count} events, at most {} are allowed", limits::COMMIT_EVENTS_MAX);
        return Err(Error::new(ErrorKind::InvalidInput, text));
    }
    if let Some(refusal) = commit.refusal {
        return Err(refusal);
    }
    let hash = if commit.idempotency.is_some() { commit.content_hash() } else { [0; 32] };
    let key = commit.idempotency.map(|idempotency| (idempotency.key, hash));
    let mut ids = shared.ids.of_commit(shared.options.clock.as_ref(), count);
    let mut draft = commit.draft;
    draft.close(key.as_ref().map(|(key, hash)| (key.as_str(), hash)), || ids.draw())?;
    // The key's bytes were not there before.
    check_length(&draft)?;
    let runs = commit.runs.len();
    let mut streams = Streams::of(runs, &shared.keyed);
    let (mut runs, mut expected) = (SmallVec::with_capacity(runs), SmallVec::with_capacity(runs));
    for run in commit.runs {
        let (stream, events) = (streams.place_of(run.stream), run.events);
        runs.push(Run { stream, events, version_first: Version::ZERO });
        expected.push(run.expected);
    }
    let wants_sync = commit.durability == Some(Durability::Sync);
    let (may_use_reserve, committed_at) = (commit.may_use_reserve, commit.committed_at);
    let streams = streams.list;
    let payload_bytes = commit.payload_bytes;
    Ok(Prepared {
        draft,
        streams,
        generation: 0,
        runs,
        expected,
        key,
        wants_sync,
        may_use_reserve,
        committed_at,
        came,
        payload_bytes,
    })
}

/// The streams of a commit, each once.
struct Streams<'a> {
    keyed: &'a Keyed,
    list: CommitStreams,
    /// Their places; `None` where they are so few that they are compared one by one.
    places: Option<ByHash<usize>>,
}

impl<'a> Streams<'a> {
    /// Room for the streams of so many appends.
    fn of(appends: usize, keyed: &'a Keyed) -> Self {
        const FEW: usize = 8;
        let places = (appends > FEW).then(|| ByHash::with_capacity(appends));
        Self { keyed, list: SmallVec::with_capacity(appends), places }
    }

    /// Where a stream is in the list; it is added where it is not.
    fn place_of(&mut self, id: StreamId) -> usize {
        let Self { keyed, list, places } = self;
        let hash = keyed.hash(id.as_str());
        let is_it = |known: &CommitStream| known.hash == hash && known.id == id;
        let known = match places {
            None => list.iter().position(is_it),
            Some(places) => places.get(hash, |place| list.get(place).is_some_and(is_it)),
        };
        if let Some(known) = known {
            return known;
        }
        let place = list.len();
        if let Some(places) = places {
            places.put(hash, place, |_| false);
        }
        list.push(CommitStream { id, hash, version: None, given: None, number: None });
        place
    }
}

enum Refusal {
    Conflict(Conflict),
    /// The version that does not fit is of a commit whose group is not resolved.
    Unresolved(Arc<Group>),
}

/// Gives each run its versions, if the streams are as expected.
fn give_versions(state: &CommitState, prepared: &mut Prepared) -> Result<(), Refusal> {
    for (run, expected) in prepared.runs.iter_mut().zip(&prepared.expected) {
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
fn receipts(prepared: &Prepared) -> Vec<StreamReceipt> {
    let mut receipts = Vec::with_capacity(prepared.streams.len());
    for run in prepared.runs.iter().filter(|run| run.events > 0) {
        let Some(stream) = prepared.streams.get(run.stream) else { unreachable!("a run names a stream") };
        let (Some(version_first), Some(version_last)) = (stream.given, stream.version) else { continue };
        if version_first == run.version_first {
            receipts.push(StreamReceipt { stream: stream.id.clone(), version_first, version_last });
        }
    }
    receipts
}

/// Gives out the sequences, reserves the versions and the key, and joins the forming group, which has room.
fn join(state: &mut CommitState, prepared: Prepared) -> Submitted {
    let receipts = receipts(&prepared);
    let first = state.next;
    let next = first.plus(to_u64(prepared.draft.event_count()));
    let bytes = prepared.draft.bytes_max();
    let key = prepared.key.clone();
    let commit = InFlight {
        pending: Pending {
            draft: prepared.draft,
            first_sequence: first,
            runs: prepared.runs,
            may_use_reserve: prepared.may_use_reserve,
            committed_at: prepared.committed_at,
            place: None,
        },
        key: prepared.key,
        wants_sync: prepared.wants_sync,
        came: prepared.came,
        payload_bytes: prepared.payload_bytes,
    };
    let Joined::In(group, at) = state.queue.join(commit, bytes) else {
        unreachable!("room was checked under this lock")
    };
    state.next = next;
    state.reserved.push(Reserved { streams: prepared.streams, generation: prepared.generation });
    if let Some((key, _)) = key {
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
