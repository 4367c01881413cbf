//! What is asked of an append: events for one or many streams, all or none.

use sha2::{Digest, Sha256};
use smallvec::SmallVec;

use super::options::Durability;
use crate::types::{ExpectedVersion, NewEvent, Receipt, StreamId, Timestamp};

/// Events for one stream of a commit.
#[derive(Clone, Debug)]
pub struct StreamAppend {
    /// The stream.
    pub stream: StreamId,
    /// What it must be like.
    pub expected: ExpectedVersion,
    /// The events, in order.
    pub events: Vec<NewEvent>,
}

/// A key that makes a commit safe to repeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey {
    pub(crate) key: String,
    pub(crate) content_hash: Option<[u8; 32]>,
}

/// Events that become durable together, or not at all.
///
/// Streams may be named more than once; each part is checked against what the parts before it leave.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    pub(crate) appends: SmallVec<[StreamAppend; 1]>,
    pub(crate) idempotency: Option<IdempotencyKey>,
    pub(crate) durability: Option<Durability>,
    pub(crate) may_use_reserve: bool,
    pub(crate) committed_at: Option<Timestamp>,
}

impl Commit {
    /// An empty one; it is refused until it has an event.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds events for a stream.
    #[must_use]
    pub fn append(mut self, stream: &StreamId, expected: ExpectedVersion, events: Vec<NewEvent>) -> Self {
        self.appends.push(StreamAppend { stream: stream.clone(), expected, events });
        self
    }

    /// Makes the commit safe to repeat: with the same key and content the first receipt is given again, with other
    /// content the commit is refused. Content is streams, types, schema versions, codecs and payloads; not ids, times,
    /// metadata or expected versions.
    #[must_use]
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.idempotency = Some(IdempotencyKey { key: key.into(), content_hash: None });
        self
    }

    /// As [`idempotency_key`](Self::idempotency_key), where the caller says what counts as content: of a command, the
    /// command itself, since its events depend on the state it met.
    #[must_use]
    pub fn idempotency_key_for(mut self, key: impl Into<String>, content_hash: [u8; 32]) -> Self {
        self.idempotency = Some(IdempotencyKey { key: key.into(), content_hash: Some(content_hash) });
        self
    }

    /// Asks for more than the store's durability; less is not given.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = Some(durability);
        self
    }

    /// Lets the commit use the room that is kept for a full disk. For what ends something that is under way (a release, a
    /// compensation, an outcome), and nothing that begins anything: on a full disk the others are refused with `StorageFull`,
    /// and what may use the reserve is written until that is spent. [`Store::commit`](crate::Store::commit) sees to it that no
    /// other commit in its group is in the way; of one that was [submitted](crate::Store::submit), the ticket may answer
    /// `StorageFull` because of one before it, and it is to be submitted again.
    #[must_use]
    pub fn may_use_reserve(mut self) -> Self {
        self.may_use_reserve = true;
        self
    }

    /// Gives it the time at which it was committed before, elsewhere; no earlier than the commit before it has.
    #[cfg(feature = "transfer")]
    pub(crate) fn committed_at(mut self, time: Timestamp) -> Self {
        self.committed_at = Some(time);
        self
    }

    /// Events in it.
    #[must_use]
    pub fn events(&self) -> usize {
        self.appends.iter().map(|append| append.events.len()).sum()
    }

    /// The hash that tells whether a repeated key has the same content.
    pub(crate) fn content_hash(&self) -> [u8; 32] {
        if let Some(IdempotencyKey { content_hash: Some(hash), .. }) = &self.idempotency {
            return *hash;
        }
        let mut hasher = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hasher.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_le_bytes());
            hasher.update(bytes);
        };
        for append in &self.appends {
            for event in &append.events {
                part(append.stream.as_str().as_bytes());
                part(event.event_type.as_str().as_bytes());
                part(&event.schema_version.to_le_bytes());
                part(&[event.codec.0]);
                part(&event.payload);
            }
        }
        hasher.finalize().into()
    }
}

/// What an idempotency key was used for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyUse {
    /// The hash of the content it was used with.
    pub content_hash: [u8; 32],
    /// What its commit was given; `is_repeat` is true.
    pub receipt: Receipt,
}
