//! Makes commits of what a plan says.

use bitacora::{CodecId, Commit, Durability, EventId, EventType, ExpectedVersion, Metadata, NewEvent, Version};

use crate::model::operation::{Batch, Change, Expected, Fact, KINDS, Part, STREAMS};
use crate::model::plain::{Model, Ready};
use crate::workload::{key, stream};

/// A commit as the model takes it, its expected versions seen from where the streams are. `ids` is the last id that was given.
pub(crate) fn ready(batch: &Batch, model: &Model, ids: &mut u64) -> Ready {
    let mut versions = [0, 1, 2, 3].map(|number| model.version(number));
    let parts = batch.parts.iter().map(|part| {
        let version = &mut versions[usize::from(part.stream)];
        let exact = |version| ExpectedVersion::Exact(Version::new(version));
        let expected = match part.expected {
            Expected::Any => ExpectedVersion::Any,
            Expected::Current => exact(*version),
            Expected::NoStream => ExpectedVersion::NoStream,
            Expected::Exists => ExpectedVersion::StreamExists,
            Expected::Ahead => exact(*version + 1),
            Expected::Behind => exact(version.saturating_sub(1)),
        };
        *version += part.facts.len() as u64;
        let mut new = |fact: &Fact| {
            *ids += 1;
            new_event(fact, *ids)
        };
        (part.stream, expected, part.facts.iter().map(&mut new).collect())
    });
    Ready { parts: parts.collect(), key: batch.key, durable: batch.durable }
}

/// The same as the store takes it.
pub(super) fn commit(ready: &Ready, may_use_reserve: bool) -> Commit {
    let mut commit = Commit::new();
    for (number, expected, events) in &ready.parts {
        commit = commit.append(&stream(STREAMS[usize::from(*number)]), *expected, events.clone());
    }
    if let Some(used) = ready.key {
        let name = key(usize::from(used.number));
        commit = match used.stated {
            Some(stated) => commit.idempotency_key_for(name, [stated; 32]),
            None => commit.idempotency_key(name),
        };
    }
    if ready.durable {
        commit = commit.durability(Durability::Sync);
    }
    if may_use_reserve { commit.may_use_reserve() } else { commit }
}

fn new_event(fact: &Fact, id: u64) -> NewEvent {
    let kind = EventType::new(KINDS[usize::from(fact.kind)]).expect("a type's name");
    let payload = (0..fact.payload_bytes).map(|at| fact.fill.wrapping_add(at as u8)).collect();
    let metadata = Metadata {
        correlation_id: (fact.metadata % 2 == 1).then(|| format!("payment {}", fact.fill)),
        actor: (fact.metadata >= 2).then(|| "till".to_owned()),
        pairs: if fact.metadata == 3 { vec![("occurred_at".to_owned(), "now".to_owned())] } else { Vec::new() },
        ..Metadata::default()
    };
    NewEvent {
        tags: (0..fact.tags).map(|number| format!("tag {number}")).collect(),
        ..NewEvent::new(kind, CodecId(fact.codec), payload)
            .with_id(EventId::from_bytes(u128::from(id).to_be_bytes()))
            .with_schema_version(1 + u16::from(fact.second_schema))
            .with_metadata(metadata)
    }
}

/// A commit that is made again.
pub(crate) fn again(batch: &Batch, change: Change) -> Batch {
    let mut batch = batch.clone();
    match change {
        Change::Nothing => {}
        Change::Circumstances => {
            for part in &mut batch.parts {
                part.expected = Expected::Ahead;
                part.facts.iter_mut().for_each(|fact| fact.metadata = 3 - fact.metadata);
            }
        }
        Change::Payload => {
            if let Some(fact) = batch.parts.iter_mut().flat_map(|part| &mut part.facts).last() {
                fact.fill = fact.fill.wrapping_add(1);
                fact.payload_bytes = fact.payload_bytes.max(1);
            }
        }
        Change::Stream => {
            if let Some(part) = batch.parts.iter_mut().find(|part| !part.facts.is_empty()) {
                part.stream = (part.stream + 1) % STREAMS.len() as u8;
            }
        }
    }
    batch
}

impl Batch {
    /// The smallest that is one.
    pub(super) fn of_one_event() -> Self {
        let part = Part { stream: 0, expected: Expected::Any, facts: vec![Fact::default()] };
        Self { parts: vec![part], key: None, durable: false, reserve: false }
    }
}
