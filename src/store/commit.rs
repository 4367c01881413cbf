//! What is asked of an append: events for one or many streams, all or none.

use std::fmt;

use sha2::{Digest, Sha256};

use super::options::Durability;
use super::shared::{Append, InFlight};
use crate::error::{Error, ErrorKind, Result};
use crate::format::frame::{Draft, to_u64};
use crate::format::record;
use crate::limits;
use crate::types::{ExpectedVersion, NewEvent, NewEventRef, Receipt, StreamId};

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
/// Streams may be named more than once; each part is checked against what the parts before it leave. An event is encoded when it
/// is added; one that is past a limit is refused when the commit is made.
#[derive(Clone, Default)]
pub struct Commit {
    /// All of it, so that nothing is copied from step to step.
    pub(crate) content: Box<InFlight>,
}

/// Prints no payloads: logs are no place for customers' data.
impl fmt::Debug for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Commit")
            .field("runs", &self.content.appends)
            .field("refusal", &self.content.refusal)
            .field("idempotency", &self.content.idempotency)
            .field("durability", &self.content.durability)
            .field("may_use_reserve", &self.content.pending.may_use_reserve)
            .finish_non_exhaustive()
    }
}

impl Commit {
    /// An empty one; it is refused until it has an event. [`Store::new_commit`](crate::Store::new_commit) gives one in memory that
    /// earlier commits are done with.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty one in memory that is there.
    pub(crate) fn in_memory_of(content: Box<InFlight>) -> Self {
        debug_assert!(content.appends.is_empty() && content.streams.is_empty(), "nothing is left of what was there");
        Self { content }
    }

    /// Adds events for a stream.
    #[must_use]
    pub fn append(mut self, stream: &StreamId, expected: ExpectedVersion, events: Vec<NewEvent>) -> Self {
        let bytes = events.iter().map(|event| record::bytes_about(stream, event.into())).sum::<usize>();
        let draft = &mut self.content.pending.draft;
        // What goes beyond is refused, and needs no room.
        draft.reserve(events.len().min(limits::COMMIT_EVENTS_MAX), bytes.min(limits::COMMIT_BYTES_MAX));
        self.content.appends.push(Append { stream: Some(stream.clone()), expected, events: events.len() });
        events.iter().for_each(|event| self.encode(stream, event.into()));
        self
    }

    /// Adds an event for a stream, which must be as expected when the events before it are there. What the event borrows is
    /// copied once, to where it is written from.
    pub fn add(&mut self, stream: &StreamId, expected: ExpectedVersion, event: NewEventRef<'_>) {
        let appends = &mut self.content.appends;
        match appends.last_mut() {
            Some(last) if expected == ExpectedVersion::Any && last.stream.as_ref() == Some(stream) => last.events += 1,
            _ => appends.push(Append { stream: Some(stream.clone()), expected, events: 1 }),
        }
        self.encode(stream, event);
    }

    fn encode(&mut self, stream: &StreamId, event: NewEventRef<'_>) {
        let content = &mut *self.content;
        if content.refusal.is_some() {
            return;
        }
        content.payload_bytes += to_u64(event.payload.len());
        let draft = &mut content.pending.draft;
        if let Err(error) = draft.push(stream, event) {
            self.refuse(error.context(format!("stream {stream}")));
        } else if let Err(error) = check_length(draft) {
            self.refuse(error);
        }
    }

    #[cold]
    fn refuse(&mut self, why: Error) {
        self.content.refusal = Some(why);
        self.content.pending.draft = Draft::default();
    }

    /// Makes the commit safe to repeat: with the same key and content the first receipt is given again, with other
    /// content the commit is refused. Content is streams, types, schema versions, codecs and payloads; not ids, times,
    /// metadata or expected versions.
    #[must_use]
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.content.idempotency = Some(IdempotencyKey { key: key.into(), content_hash: None });
        self
    }

    /// As [`idempotency_key`](Self::idempotency_key), where the caller says what counts as content: of a command, the
    /// command itself, since its events depend on the state it met.
    #[must_use]
    pub fn idempotency_key_for(mut self, key: impl Into<String>, content_hash: [u8; 32]) -> Self {
        self.content.idempotency = Some(IdempotencyKey { key: key.into(), content_hash: Some(content_hash) });
        self
    }

    /// Asks for more than the store's durability; less is not given.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.content.durability = Some(durability);
        self
    }

    /// Lets the commit use the room that is kept for a full disk. For what ends something that is under way (a release, a
    /// compensation, an outcome), and nothing that begins anything: on a full disk the others are refused with `StorageFull`,
    /// and what may use the reserve is written until that is spent. [`Store::commit`](crate::Store::commit) sees to it that no
    /// other commit in its group is in the way; of one that was [submitted](crate::Store::submit), the ticket may answer
    /// `StorageFull` because of one before it, and it is to be submitted again.
    #[must_use]
    pub fn may_use_reserve(mut self) -> Self {
        self.content.pending.may_use_reserve = true;
        self
    }

    /// Gives it the time at which it was committed before, elsewhere; no earlier than the commit before it has.
    #[cfg(feature = "transfer")]
    pub(crate) fn committed_at(mut self, time: crate::types::Timestamp) -> Self {
        self.content.pending.committed_at = Some(time);
        self
    }

    /// Events in it.
    #[must_use]
    pub fn events(&self) -> usize {
        self.content.appends.iter().map(|append| append.events).sum()
    }
}

impl InFlight {
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
        let appends = self.appends.iter();
        let streams = appends.flat_map(|append| std::iter::repeat_n(append.stream.as_ref(), append.events));
        for (stream, event) in streams.zip(self.pending.draft.contents()) {
            part(stream.map_or("", StreamId::as_str).as_bytes());
            part(event.event_type.as_bytes());
            part(&event.schema_version.to_le_bytes());
            part(&[event.codec.0]);
            part(event.payload);
        }
        hasher.finalize().into()
    }
}

/// # Errors
/// `InvalidInput`: it is longer than a commit may be.
pub(crate) fn check_length(draft: &Draft) -> Result<()> {
    if draft.bytes_max() > to_u64(limits::COMMIT_BYTES_MAX) {
        let text = format!("the commit has more than {} bytes", limits::COMMIT_BYTES_MAX);
        return Err(Error::new(ErrorKind::InvalidInput, text));
    }
    Ok(())
}

/// What an idempotency key was used for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyUse {
    /// The hash of the content it was used with.
    pub content_hash: [u8; 32],
    /// What its commit was given; `is_repeat` is true.
    pub receipt: Receipt,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{CodecId, EventType};

    fn stream(name: &str) -> StreamId {
        StreamId::new(name).unwrap()
    }

    fn event(payload: &[u8]) -> NewEvent {
        NewEvent::new(EventType::new("Sold").unwrap(), CodecId::RAW, payload.to_vec())
    }

    #[test]
    fn events_that_are_lent_make_the_commit_that_owned_ones_make() {
        let events = [event(b"one"), event(b"two"), event(b"three")];
        let (any, new) = (ExpectedVersion::Any, ExpectedVersion::NoStream);
        let owned = Commit::new().append(&stream("a"), new, vec![events[0].clone(), events[1].clone()]).append(
            &stream("b"),
            new,
            vec![events[2].clone()],
        );
        let mut used = owned.content.clone();
        used.clear();
        let mut lent = Commit::in_memory_of(used);
        for (name, expected, event) in [("a", new, &events[0]), ("a", any, &events[1]), ("b", new, &events[2])] {
            lent.add(&stream(name), expected, event.into());
        }
        assert_eq!((lent.events(), lent.content.content_hash()), (3, owned.content.content_hash()));
        let one = |append: &Append| (append.stream.clone(), append.events);
        let runs = |commit: &Commit| commit.content.appends.iter().map(one).collect::<Vec<_>>();
        assert_eq!(runs(&lent), runs(&owned));
        assert_eq!(lent.content.pending.draft.completed(), owned.content.pending.draft.completed());
        lent.add(&stream("b"), new, (&events[0]).into());
        assert_eq!(lent.content.appends.len(), 3, "what a stream must be like is not forgotten");
    }

    #[test]
    fn a_commit_that_is_too_long_is_refused_and_takes_no_more_memory() {
        let mut commit = Commit::new();
        let (name, event) = (stream("a"), event(&vec![7; limits::PAYLOAD_BYTES_MAX]));
        let enough = limits::COMMIT_BYTES_MAX / limits::PAYLOAD_BYTES_MAX + 1;
        (0..enough).for_each(|_| commit.add(&name, ExpectedVersion::Any, (&event).into()));
        assert_eq!(commit.content.refusal.as_ref().map(Error::kind), Some(ErrorKind::InvalidInput));
        commit.add(&name, ExpectedVersion::Any, (&event).into());
        assert_eq!((commit.events(), commit.content.pending.draft.memory_bytes() < 1024), (enough + 1, true));
    }

    #[test]
    fn a_commit_prints_no_payload() {
        let text = format!("{:?}", Commit::new().append(&stream("a"), ExpectedVersion::Any, vec![event(b"secret")]));
        assert!(text.contains("events: 1") && !text.contains("115, 101, 99"), "{text}");
    }
}
