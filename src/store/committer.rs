//! The commit path up to the group: a commit is encoded, checked, given its places, and joins a group.

use std::collections::HashMap;
use std::sync::Arc;

use super::commit::Commit;
use super::options::{Durability, Options};
use super::shared::{CommitState, InFlight, Shared};
use crate::error::{Conflict, Error, ErrorKind, Result};
use crate::format::frame::Draft;
use crate::index::KeyEntry;
use crate::limits;
use crate::log::queue::{DONE, FORMING, Group, GroupResult, Joined, LEAD, LED};
use crate::log::writer::Pending;
use crate::sabotage::{self, Defect};
use crate::types::{ExpectedVersion, Receipt, Sequence, StreamId, StreamReceipt, Timestamp, Version};

/// A commit that is encoded and not yet checked against the streams.
struct Prepared {
    draft: Draft,
    streams: Vec<StreamId>,
    parts: Vec<(usize, usize)>,
    expected: Vec<ExpectedVersion>,
    key: Option<(String, [u8; 32])>,
    wants_sync: bool,
    may_use_reserve: bool,
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
    heads: Vec<Option<Version>>,
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
    /// The index changed since it was looked at.
    LookAgain,
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
        let mut prepared = Some(prepare(commit, &self.options)?);
        loop {
            let Some(ready) = prepared.as_ref() else { unreachable!("a prepared commit is kept until it joins") };
            let cold = self.look_up(ready)?;
            match self.check_and_join(&mut prepared, &cold)? {
                Checked::Joined(submitted) => {
                    self.chores.note_activity();
                    return Ok(submitted);
                }
                Checked::LookAgain => {}
                Checked::WaitUntilTaken(group) => self.wait_until_taken(&group),
                Checked::WaitFor(group) => {
                    let failure = self.wait(&group).failure.filter(|failure| failure.kind() != ErrorKind::StorageFull);
                    if let Some(failure) = failure {
                        return Err(
                            failure.wrap(ErrorKind::CommitUnknown, "a commit that this one depends on is in doubt")
                        );
                    }
                }
                Checked::Used(entry) => return Ok(Submitted::Repeat(self.receipt_at(&entry)?)),
            }
        }
    }

    fn look_up(&self, prepared: &Prepared) -> Result<Cold> {
        let (warm, key, epoch) = {
            let view = self.view.read();
            let warm: Vec<_> = prepared.streams.iter().map(|stream| view.head(stream.as_str())).collect();
            let key = prepared.key.as_ref().and_then(|(key, _)| view.key(key));
            (warm, key, view.epoch())
        };
        let mut heads = Vec::with_capacity(warm.len());
        for (stream, head) in prepared.streams.iter().zip(warm) {
            let head = match head {
                Some(head) => Some(head),
                None => self.index.head(stream.as_str())?,
            };
            heads.push(head.map(|head| head.version));
        }
        let key = match (&prepared.key, key) {
            (Some((name, _)), None) => self.index.key(name)?,
            (_, known) => known,
        };
        Ok(Cold { heads, key, epoch })
    }

    fn check_and_join(&self, slot: &mut Option<Prepared>, cold: &Cold) -> Result<Checked> {
        let Some(prepared) = slot.as_ref() else { unreachable!("a prepared commit is kept until it joins") };
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
        let (heads, used) = {
            let view = self.view.read();
            if view.epoch() != cold.epoch {
                return Ok(Checked::LookAgain);
            }
            let head = |(stream, cold): (&StreamId, &Option<Version>)| match view.head(stream.as_str()) {
                Some(head) => Some(head.version),
                None => *cold,
            };
            let heads: Vec<_> = prepared.streams.iter().zip(&cold.heads).map(head).collect();
            (heads, prepared.key.as_ref().and_then(|(key, _)| view.key(key)).or(cold.key))
        };
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
        let (versions, receipts) = match reserve(&state, prepared, heads) {
            Ok(reserved) => reserved,
            Err(Refusal::Unresolved(group)) => return Ok(Checked::WaitFor(group)),
            Err(Refusal::Conflict(conflict)) => return Err(Error::conflict(conflict)),
        };
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
        Ok(Checked::Joined(join(&mut state, prepared, versions, receipts)))
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
fn prepare(commit: Commit, options: &Options) -> Result<Prepared> {
    let count = commit.events();
    if count == 0 {
        return Err(Error::new(ErrorKind::InvalidInput, "the commit has no event"));
    }
    if count > limits::COMMIT_EVENTS_MAX {
        let text = format!("the commit has {count} events, at most {} are allowed", limits::COMMIT_EVENTS_MAX);
        return Err(Error::new(ErrorKind::InvalidInput, text));
    }
    let hash = if commit.idempotency.is_some() { commit.content_hash() } else { [0; 32] };
    let key = commit.idempotency.map(|idempotency| (idempotency.key, hash));
    let mut draft = Draft::new(key.as_ref().map(|(key, hash)| (key.as_str(), hash)))?;
    let mut prepared_streams: Vec<StreamId> = Vec::new();
    let mut known: HashMap<StreamId, usize> = HashMap::new();
    let (mut parts, mut expected) = (Vec::new(), Vec::new());
    for append in &commit.appends {
        let at = *known.entry(append.stream.clone()).or_insert_with(|| {
            prepared_streams.push(append.stream.clone());
            prepared_streams.len() - 1
        });
        for event in &append.events {
            let id = event.id.unwrap_or_else(|| options.event_id());
            draft
                .push(&append.stream, id, event)
                .map_err(|error| error.context(format!("stream {}", append.stream)))?;
            if draft.bytes_max() > crate::format::frame::to_u64(limits::COMMIT_BYTES_MAX) {
                let text = format!("the commit has more than {} bytes", limits::COMMIT_BYTES_MAX);
                return Err(Error::new(ErrorKind::InvalidInput, text));
            }
        }
        parts.push((at, append.events.len()));
        expected.push(append.expected);
    }
    let wants_sync = commit.durability == Some(Durability::Sync);
    let may_use_reserve = commit.may_use_reserve;
    Ok(Prepared { draft, streams: prepared_streams, parts, expected, key, wants_sync, may_use_reserve })
}

enum Refusal {
    Conflict(Conflict),
    /// The version that does not fit is of a commit whose group is not resolved.
    Unresolved(Arc<Group>),
}

/// The versions of each event, and the receipt of each stream, if the streams are as expected. `published` is what readers see.
fn reserve(
    state: &CommitState,
    prepared: &Prepared,
    published: Vec<Option<Version>>,
) -> Result<(Vec<Version>, Vec<StreamReceipt>), Refusal> {
    let reserved: Vec<_> = prepared.streams.iter().map(|stream| state.reserved.get(stream)).collect();
    let mut heads: Vec<Option<Version>> = published;
    for (head, reserved) in heads.iter_mut().zip(&reserved) {
        *head = reserved.map_or(*head, |(version, _)| Some(*version));
    }
    let mut versions = Vec::with_capacity(prepared.draft.event_count());
    let mut receipts: Vec<Option<StreamReceipt>> = vec![None; heads.len()];
    let mut order = Vec::with_capacity(heads.len());
    for ((at, count), expected) in prepared.parts.iter().zip(&prepared.expected) {
        let (Some(head), Some(stream)) = (heads.get_mut(*at), prepared.streams.get(*at)) else { continue };
        if !expected.matches(*head) && !sabotage::has(Defect::IgnoreExpectedVersion) {
            let group = reserved.get(*at).copied().flatten().map(|(_, group)| Arc::clone(group));
            let group = group.filter(|_| !sabotage::has(Defect::AnswerFromUnresolvedConflict));
            return Err(group.map_or_else(
                || Refusal::Conflict(Conflict { stream: stream.clone(), expected: *expected, actual: *head }),
                Refusal::Unresolved,
            ));
        }
        for _ in 0..*count {
            let version = head.unwrap_or(Version::ZERO).next();
            *head = Some(version);
            versions.push(version);
            if let Some(slot) = receipts.get_mut(*at) {
                let receipt = slot.get_or_insert_with(|| {
                    order.push(*at);
                    StreamReceipt { stream: stream.clone(), version_first: version, version_last: version }
                });
                receipt.version_last = version;
            }
        }
    }
    let receipts = order.into_iter().filter_map(|at| receipts.get_mut(at).and_then(Option::take)).collect();
    Ok((versions, receipts))
}

/// Gives out the sequences, reserves the versions and the key, and joins the forming group, which has room.
fn join(
    state: &mut CommitState,
    prepared: Prepared,
    versions: Vec<Version>,
    receipts: Vec<StreamReceipt>,
) -> Submitted {
    let first = state.next;
    let next = first.plus(crate::format::frame::to_u64(versions.len()));
    let bytes = prepared.draft.bytes_max();
    let key = prepared.key.clone();
    let commit = InFlight {
        pending: Pending {
            draft: prepared.draft,
            first_sequence: first,
            versions,
            may_use_reserve: prepared.may_use_reserve,
            place: None,
        },
        streams: prepared.streams,
        parts: prepared.parts,
        key: prepared.key,
        wants_sync: prepared.wants_sync,
    };
    let Joined::In(group, at) = state.queue.join(commit, bytes) else {
        unreachable!("room was checked under this lock")
    };
    state.next = next;
    for receipt in &receipts {
        state.reserved.insert(receipt.stream.clone(), (receipt.version_last, Arc::clone(&group)));
    }
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
