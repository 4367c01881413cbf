//! Carrying out commands: decide, append with the version that was decided on, and decide anew on a conflict.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{Aggregate, DomainEvent, EventContext, Loaded, Repository, new_events};
use crate::codec;
use crate::error::{Error, ErrorKind, Result};
use crate::store::{Commit, Durability};
use crate::types::{ExpectedVersion, Metadata, Receipt, StreamId, Timestamp, Version};

/// How often a command is decided anew because another writer was faster. Threads of one process take turns, so more than
/// this means a writer that does not.
pub(crate) const RETRIES_MAX: u32 = 16;

/// How a command is carried out.
#[derive(Clone, Debug, Default)]
pub struct ExecuteOptions<'a> {
    /// Makes it safe to repeat: the same id with the same command gives the first outcome again, another command under it is
    /// refused. A refusal, or a command that nothing follows from, leaves the id free.
    pub command_id: Option<&'a str>,
    /// What its events carry beside the facts.
    pub metadata: Metadata,
    /// Asks for more than the store's durability.
    pub durability: Option<Durability>,
    /// Lets it use the room that is kept for a full disk, see [`Commit::may_use_reserve`]: for what ends something, such as a
    /// release.
    pub may_use_reserve: bool,
}

impl ExecuteOptions<'_> {
    /// `commit` with what these options ask for, under `key`.
    pub(crate) fn complete(&self, mut commit: Commit, key: Option<&CommandKey>) -> Commit {
        if let Some(key) = key {
            commit = commit.idempotency_key_for(key.key.clone(), key.content_hash);
        }
        if let Some(durability) = self.durability {
            commit = commit.durability(durability);
        }
        if self.may_use_reserve {
            commit = commit.may_use_reserve();
        }
        commit
    }
}

/// Why a command was not carried out.
#[derive(Debug)]
pub enum ExecuteError<R> {
    /// A rule of the business said no. Nothing was written.
    Refused(R),
    /// The store did.
    Store(Error),
}

impl<R> From<Error> for ExecuteError<R> {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

impl<R: std::error::Error> fmt::Display for ExecuteError<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => fmt::Display::fmt(refusal, f),
            Self::Store(error) => fmt::Display::fmt(error, f),
        }
    }
}

impl<R: std::error::Error + 'static> std::error::Error for ExecuteError<R> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            Self::Store(error) => Some(error),
        }
    }
}

impl<R: std::error::Error + Send + Sync + 'static> From<ExecuteError<R>> for Error {
    /// A refusal becomes an error of kind `Refused`.
    fn from(error: ExecuteError<R>) -> Self {
        match error {
            ExecuteError::Refused(refusal) => Self::with_source(ErrorKind::Refused, "refused", refusal),
            ExecuteError::Store(error) => error,
        }
    }
}

/// What a command led to.
#[derive(Debug)]
pub struct Executed<A: Aggregate> {
    /// The state right after it.
    pub loaded: Arc<Loaded<A>>,
    /// What followed from it; empty where all that was asked for was the case already.
    pub events: Vec<A::Event>,
    /// What its commit was given; `None` where nothing was appended. `is_repeat` says that the command had been carried out
    /// before.
    pub receipt: Option<Receipt>,
}

/// What follows from a command, not appended yet. For commits over several streams; [`Repository::execute`] does the rest by
/// itself.
#[derive(Debug)]
pub struct Decision<A: Aggregate> {
    aggregate_id: String,
    stream: StreamId,
    before: Arc<Loaded<A>>,
    events: Vec<A::Event>,
    /// Events that stand before these in the commit they were added to.
    events_before: u64,
}

impl<A: Aggregate> Decision<A> {
    /// The aggregate's id.
    #[must_use]
    pub fn aggregate_id(&self) -> &str {
        &self.aggregate_id
    }

    /// The aggregate's stream.
    #[must_use]
    pub fn stream(&self) -> &StreamId {
        &self.stream
    }

    /// The state that it was decided on.
    #[must_use]
    pub fn before(&self) -> &Loaded<A> {
        &self.before
    }

    /// What follows; may be empty.
    #[must_use]
    pub fn events(&self) -> &[A::Event] {
        &self.events
    }

    /// Adds the events to `commit`, to be appended to the version that they were decided on. Without events the commit stays
    /// as it is.
    ///
    /// # Errors
    /// `InvalidInput`: an event is too large.
    pub fn add_to(&mut self, commit: Commit, metadata: &Metadata) -> Result<Commit> {
        self.events_before = u64::try_from(commit.events()).unwrap_or(u64::MAX);
        if self.events.is_empty() {
            return Ok(commit);
        }
        let events = new_events(&self.events, metadata)?;
        Ok(commit.append(&self.stream, ExpectedVersion::Exact(self.before.version), events))
    }
}

/// The content of a command, as a repeated command id is compared by: SHA-256 over the length and name of its stream and
/// its encoding. The stream is in it so that ids of two aggregates that make the same key never pass for each other.
///
/// # Errors
/// `InvalidInput`: the command is too large.
pub fn command_hash<C: Serialize>(stream: &StreamId, command: &C) -> Result<[u8; 32]> {
    let mut hasher = Sha256::new();
    let name = stream.as_str().as_bytes();
    hasher.update(u64::try_from(name.len()).unwrap_or(u64::MAX).to_le_bytes());
    hasher.update(name);
    hasher.update(codec::encode(command)?);
    Ok(hasher.finalize().into())
}

/// A command id as the store keeps it, with the content it stands for.
pub(crate) struct CommandKey {
    key: String,
    content_hash: [u8; 32],
}

impl CommandKey {
    /// # Errors
    /// `InvalidInput`: the command is too large.
    pub(crate) fn new<C: Serialize>(stream: &StreamId, command_id: &str, command: &C) -> Result<Self> {
        Ok(Self { key: format!("{stream}/{command_id}"), content_hash: command_hash(stream, command)? })
    }
}

impl<A: Aggregate> Repository<A> {
    /// Decides `command` on the state in memory. A refusal, and an answer without events, are given only of a state that was
    /// checked to be the stream's head.
    ///
    /// # Errors
    /// The aggregate's refusals, and of the store as [`load`](Self::load).
    pub fn decide(&self, aggregate_id: &str, command: &A::Command) -> Result<Decision<A>, ExecuteError<A::Refusal>> {
        self.decide_with(aggregate_id, |state, now| state.decide(command, now))
    }

    /// As [`decide`](Self::decide), by a rule that is no command: one side of what concerns several aggregates.
    pub(crate) fn decide_with(
        &self,
        aggregate_id: &str,
        rule: impl Fn(&A, Timestamp) -> Result<Vec<A::Event>, A::Refusal>,
    ) -> Result<Decision<A>, ExecuteError<A::Refusal>> {
        let stream = Self::stream(aggregate_id)?;
        let decision = |before: Arc<Loaded<A>>, events| Decision {
            aggregate_id: aggregate_id.to_owned(),
            stream: stream.clone(),
            before,
            events,
            events_before: 0,
        };
        let cached = self.cached(aggregate_id)?;
        let decided = rule(&cached.state, self.store().now());
        if let Ok(events) = decided.as_ref()
            && !events.is_empty()
        {
            return decided.map(|events| decision(cached, events)).map_err(ExecuteError::Refused);
        }
        let head = self.store().stream_head(&stream)?.map_or(Version::ZERO, |head| head.version);
        let (before, decided) = if head == cached.version {
            (cached, decided)
        } else {
            self.forget(aggregate_id);
            let fresh = self.fresh(aggregate_id)?;
            let decided = rule(&fresh.state, self.store().now());
            (fresh, decided)
        };
        decided.map(|events| decision(before, events)).map_err(ExecuteError::Refused)
    }

    /// Takes note that `decision` was appended by the commit that `receipt` is of, after it was added to it by
    /// [`Decision::add_to`]: keeps the new state in memory, and makes a snapshot if one is due. Returns the new state. The
    /// receipt of a repeat tells nothing of this decision; the state is loaded afresh then.
    ///
    /// # Errors
    /// As [`load`](Self::load), for a repeat alone.
    pub fn committed(&self, decision: Decision<A>, receipt: &Receipt) -> Result<Arc<Loaded<A>>> {
        let Decision { aggregate_id, before, events, events_before, .. } = decision;
        // What is kept in memory is the state before; let go of it, so that it can be changed in place.
        self.forget(&aggregate_id);
        if receipt.is_repeat {
            return self.fresh(&aggregate_id);
        }
        let mut loaded = Arc::unwrap_or_clone(before);
        let mut sequence = receipt.sequence_first.plus(events_before);
        for event in &events {
            let version = loaded.version.next();
            loaded.advance(event, &EventContext { sequence, version, timestamp: receipt.timestamp });
            sequence = sequence.next();
        }
        self.snapshot_if_due(&aggregate_id, &mut loaded);
        let loaded = Arc::new(loaded);
        self.keep(&aggregate_id, Arc::clone(&loaded));
        Ok(loaded)
    }

    /// Carries out `command`: decides it, appends what follows, and decides it anew, at most 16 times, where another writer was
    /// faster.
    ///
    /// # Errors
    /// The aggregate's refusals. Of the store: `Conflict` (others were faster every time), `IdempotencyConflict` (the command
    /// id stands for another command), as [`load`](Self::load), and as [`Store::commit`](crate::Store::commit).
    pub fn execute(
        &self,
        aggregate_id: &str,
        options: &ExecuteOptions<'_>,
        command: &A::Command,
    ) -> Result<Executed<A>, ExecuteError<A::Refusal>> {
        let stream = Self::stream(aggregate_id)?;
        let key = options.command_id.map(|command_id| CommandKey::new(&stream, command_id, command)).transpose()?;
        let _turn = self.turn(aggregate_id);
        // A command id is not looked up here: the commit does so, before it looks at the version.
        let mut retries = 0;
        loop {
            let decision = match self.decide(aggregate_id, command) {
                Ok(decision) => decision,
                Err(ExecuteError::Refused(refusal)) => {
                    // What refuses it may be its own first outcome.
                    let first = self.first_outcome(aggregate_id, key.as_ref())?;
                    return first.ok_or(ExecuteError::Refused(refusal));
                }
                Err(error) => return Err(error),
            };
            if decision.events.is_empty() {
                let first = self.first_outcome(aggregate_id, key.as_ref())?;
                return Ok(first.unwrap_or(Executed { loaded: decision.before, events: Vec::new(), receipt: None }));
            }
            match self.commit_one(decision, options, key.as_ref()) {
                Err(error) if error.kind() == ErrorKind::Conflict && retries < RETRIES_MAX => {
                    retries += 1;
                    self.forget(aggregate_id);
                }
                outcome => return outcome.map_err(ExecuteError::Store),
            }
        }
    }

    fn commit_one(
        &self,
        mut decision: Decision<A>,
        options: &ExecuteOptions<'_>,
        key: Option<&CommandKey>,
    ) -> Result<Executed<A>> {
        let commit = decision.add_to(Commit::new(), &options.metadata)?;
        let receipt = self.store().commit(options.complete(commit, key))?;
        if receipt.is_repeat {
            return self.read_back(decision.aggregate_id(), receipt);
        }
        let events = decision.events.clone();
        let loaded = self.committed(decision, &receipt)?;
        Ok(Executed { loaded, events, receipt: Some(receipt) })
    }

    /// What the command led to when it was carried out before.
    fn first_outcome(&self, aggregate_id: &str, key: Option<&CommandKey>) -> Result<Option<Executed<A>>> {
        match self.first_receipt(key)? {
            Some(receipt) => self.read_back(aggregate_id, receipt).map(Some),
            None => Ok(None),
        }
    }

    /// The receipt of the commit that carried out a command; `None` where it was not, or has no id.
    ///
    /// # Errors
    /// `IdempotencyConflict`: the command id stands for another command. `Io`, `Corrupt`, `Closed`: the store's.
    pub(crate) fn first_receipt(&self, key: Option<&CommandKey>) -> Result<Option<Receipt>> {
        let Some(key) = key else { return Ok(None) };
        let Some(used) = self.store().key_use(&key.key)? else { return Ok(None) };
        if used.content_hash != key.content_hash {
            return Err(Error::new(
                ErrorKind::IdempotencyConflict,
                format!("the command id {:?} was used with another command", key.key),
            ));
        }
        Ok(Some(Receipt { is_repeat: true, ..used.receipt }))
    }

    fn read_back(&self, aggregate_id: &str, receipt: Receipt) -> Result<Executed<A>> {
        let stream = Self::stream(aggregate_id)?;
        let mut events = Vec::new();
        let mut version_last = Version::ZERO;
        if let Some(part) = receipt.streams.iter().find(|part| part.stream == stream) {
            for event in self.store().read_stream(&stream, part.version_first..=part.version_last) {
                events.push(A::Event::decode(&event?)?);
            }
            version_last = part.version_last;
        }
        let loaded = Arc::new(self.load_as_of(aggregate_id, super::AsOf::Version(version_last))?);
        Ok(Executed { loaded, events, receipt: Some(receipt) })
    }
}
