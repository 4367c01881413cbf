//! What a store must answer: a vector of commits and a few maps.

use std::collections::BTreeMap;

use bitacora::snapshot::Snapshot;
use bitacora::{
    Checkpoint, Conflict, ErrorKind, Event, ExpectedVersion, NewEvent, Receipt, Sequence, StreamReceipt, Timestamp,
    Version,
};

use super::operation::{Key, STREAMS};
use crate::workload::stream;

/// Of each stream so many snapshots are kept, the newest.
const SNAPSHOTS_KEPT: usize = 2;

/// A commit, with all that its events will be but their places.
#[derive(Clone, Debug)]
pub struct Ready {
    /// Stream, what it must be like, and events.
    pub parts: Vec<(u8, ExpectedVersion, Vec<NewEvent>)>,
    /// What makes it safe to repeat.
    pub key: Option<Key>,
    /// Whether it asks for a sync.
    pub durable: bool,
}

/// What an idempotency key stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Content {
    Stated(u8),
    /// Stream, type, schema version, codec and payload of each event.
    Events(Vec<(u8, String, u16, u8, Vec<u8>)>),
}

impl Content {
    fn of(ready: &Ready, key: Key) -> Self {
        if let Some(stated) = key.stated {
            return Self::Stated(stated);
        }
        let events =
            ready.parts.iter().flat_map(|(stream, _, events)| events.iter().map(move |event| (*stream, event)));
        let content = |(stream, event): (u8, &NewEvent)| {
            let kind = event.event_type.as_str().to_owned();
            (stream, kind, event.schema_version, event.codec.0, event.payload.clone())
        };
        Self::Events(events.map(content).collect())
    }
}

/// A commit that has its places.
#[derive(Clone, Debug)]
struct Placed {
    /// Which one it is of all that were ever given a place.
    number: u64,
    events: Vec<Event>,
    key: Option<(u8, Content)>,
    receipt: Receipt,
    wants_sync: bool,
}

/// Where a commit that was submitted got to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It has its places, and is this one of all that have.
    Placed(u64),
    /// It was committed before.
    Repeat(Receipt),
}

/// Why a commit is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The error's kind.
    pub kind: ErrorKind,
    /// What is not as expected.
    pub conflict: Option<Conflict>,
}

impl Refusal {
    fn of(kind: ErrorKind) -> Self {
        Self { kind, conflict: None }
    }
}

/// What lies beside the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// By consumer.
    pub checkpoints: BTreeMap<u8, Checkpoint>,
    /// By stream, newest first.
    pub snapshots: BTreeMap<u8, Vec<Snapshot>>,
}

/// A store.
#[derive(Clone, Debug)]
pub struct Model {
    /// Whether every commit is synced before it is acknowledged.
    syncs_each: bool,
    /// What the clock shows.
    clock: Timestamp,
    /// The latest that it showed since the store was opened: time never goes back.
    latest: Timestamp,
    commits: Vec<Placed>,
    pending: Vec<Placed>,
    placed: u64,
    /// Everything up to this event survives a power cut. More may.
    pub durable: u64,
    /// What lay beside the log, the latest last. A power cut may go back to any of them.
    pub states: Vec<State>,
}

impl Model {
    /// A new store.
    #[must_use]
    pub fn new(syncs_each: bool, clock: Timestamp) -> Self {
        let states = vec![State::default()];
        Self {
            syncs_each,
            clock,
            latest: clock,
            commits: Vec::new(),
            pending: Vec::new(),
            placed: 0,
            durable: 0,
            states,
        }
    }

    /// Events that readers see.
    pub fn events(&self) -> impl DoubleEndedIterator<Item = &Event> {
        self.commits.iter().flat_map(|commit| &commit.events)
    }

    /// The events of a stream that readers see.
    pub fn events_of(&self, number: u8) -> impl DoubleEndedIterator<Item = &Event> {
        let name = STREAMS[usize::from(number)];
        self.events().filter(move |event| event.stream.as_str() == name)
    }

    /// The last sequence that readers see.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.commits.last().map_or(0, |commit| commit.receipt.sequence_last.get())
    }

    /// The store's time, which begins in 1970 where the clock says less.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let last = self.commits.last().map_or(Timestamp::EPOCH, |commit| commit.receipt.timestamp);
        self.latest.max(last)
    }

    /// Moves the clock, forwards or backwards; returns what it shows then.
    pub fn move_clock(&mut self, micros: i64) -> Timestamp {
        self.clock = Timestamp::from_micros(self.clock.as_micros() + micros);
        self.latest = self.latest.max(self.clock);
        self.clock
    }

    /// The store is opened: what it said of time before is forgotten, except in the log.
    pub fn open(&mut self) {
        self.latest = self.clock;
    }

    /// What lies beside the log now.
    #[must_use]
    pub fn state(&self) -> &State {
        self.states.last().expect("there is one from the beginning")
    }

    /// A stream's version, commits that are pending among it.
    #[must_use]
    pub fn version(&self, number: u8) -> u64 {
        let name = STREAMS[usize::from(number)];
        let placed = self.commits.iter().chain(&self.pending).flat_map(|commit| &commit.events);
        placed.filter(|event| event.stream.as_str() == name).count() as u64
    }

    /// Gives a commit its places. Where its answer depends on commits that are pending, these are written first.
    ///
    /// # Errors
    /// Those of `Store::submit`.
    pub fn submit(&mut self, ready: &Ready) -> Result<Answer, Refusal> {
        if ready.parts.iter().all(|(_, _, events)| events.is_empty()) {
            return Err(Refusal::of(ErrorKind::InvalidInput));
        }
        let key = ready.key.map(|key| (key.number, Content::of(ready, key)));
        if let Some((number, content)) = &key {
            let uses = |commit: &Placed| commit.key.as_ref().is_some_and(|(used, _)| used == number);
            if self.pending.iter().any(uses) {
                self.flush();
            }
            if let Some(commit) = self.commits.iter().find(|commit| uses(commit)) {
                let is_same = commit.key.as_ref().is_some_and(|(_, known)| known == content);
                let repeat = Receipt { is_repeat: true, ..commit.receipt.clone() };
                return if is_same {
                    Ok(Answer::Repeat(repeat))
                } else {
                    Err(Refusal::of(ErrorKind::IdempotencyConflict))
                };
            }
        }
        let (events, streams) = match self.place(ready) {
            Ok(placed) => placed,
            Err(conflict) => {
                let touches = |event: &Event| event.stream == conflict.stream;
                if self.pending.iter().flat_map(|commit| &commit.events).any(touches) {
                    self.flush();
                }
                return Err(Refusal { kind: ErrorKind::Conflict, conflict: Some(conflict) });
            }
        };
        let (first, last) = (events.first().expect("an event"), events.last().expect("an event"));
        let receipt = Receipt {
            sequence_first: first.sequence,
            sequence_last: last.sequence,
            timestamp: Timestamp::EPOCH,
            streams,
            is_repeat: false,
        };
        self.placed += 1;
        self.pending.push(Placed { number: self.placed, events, key, receipt, wants_sync: ready.durable });
        Ok(Answer::Placed(self.placed))
    }

    /// The events with their places, and what each stream was given.
    fn place(&self, ready: &Ready) -> Result<(Vec<Event>, Vec<StreamReceipt>), Conflict> {
        let mut versions = [0, 1, 2, 3].map(|number| self.version(number));
        let mut sequence = self.last() + self.pending.iter().map(|commit| commit.events.len() as u64).sum::<u64>();
        let (mut events, mut receipts) = (Vec::new(), Vec::<StreamReceipt>::new());
        for (number, expected, facts) in &ready.parts {
            let version = &mut versions[usize::from(*number)];
            let name = stream(STREAMS[usize::from(*number)]);
            let actual = Some(Version::new(*version)).filter(|version| *version > Version::ZERO);
            let fits = match expected {
                ExpectedVersion::Any => true,
                ExpectedVersion::NoStream => *version == 0,
                ExpectedVersion::StreamExists => *version > 0,
                ExpectedVersion::Exact(expected) => expected.get() == *version,
            };
            if !fits {
                return Err(Conflict { stream: name, expected: *expected, actual });
            }
            for fact in facts {
                *version += 1;
                sequence += 1;
                let place = (Sequence::new(sequence), Version::new(*version));
                match receipts.iter_mut().find(|receipt| receipt.stream == name) {
                    Some(receipt) => receipt.version_last = place.1,
                    None => receipts.push(StreamReceipt {
                        stream: name.clone(),
                        version_first: place.1,
                        version_last: place.1,
                    }),
                }
                events.push(event(fact, &name, place));
            }
        }
        Ok((events, receipts))
    }

    /// Writes what is pending, as the leader of a group does.
    pub fn flush(&mut self) {
        let timestamp = self.now();
        let wants_sync = self.pending.iter().any(|commit| commit.wants_sync);
        let is_idle = self.pending.is_empty();
        for mut commit in std::mem::take(&mut self.pending) {
            commit.receipt.timestamp = timestamp;
            commit.events.iter_mut().for_each(|event| event.timestamp = timestamp);
            self.commits.push(commit);
        }
        if !is_idle && (self.syncs_each || wants_sync) {
            self.durable = self.last();
        }
    }

    /// The last commit that was given its places has them no more: there is no room for it.
    pub fn take_back(&mut self) {
        self.pending.pop();
    }

    /// Writes and syncs.
    pub fn sync(&mut self) {
        self.flush();
        self.durable = self.last();
    }

    /// Whether a commit waits to be written.
    #[must_use]
    pub fn is_pending(&self, number: u64) -> bool {
        self.pending.iter().any(|commit| commit.number == number)
    }

    /// The receipt of a commit that was written.
    #[must_use]
    pub fn receipt(&self, number: u64) -> Option<&Receipt> {
        self.commits.iter().find(|commit| commit.number == number).map(|commit| &commit.receipt)
    }

    /// The first receipt of a key, and the content where it was stated.
    #[must_use]
    pub fn key_use(&self, key: u8) -> Option<(Receipt, Option<u8>)> {
        let uses = |commit: &&Placed| commit.key.as_ref().is_some_and(|(used, _)| *used == key);
        self.commits.iter().find(uses).map(|commit| {
            let stated = match &commit.key {
                Some((_, Content::Stated(stated))) => Some(*stated),
                _ => None,
            };
            (Receipt { is_repeat: true, ..commit.receipt.clone() }, stated)
        })
    }

    /// The log is as far as something may rest on it; as `Store::save_snapshot` sees to it.
    ///
    /// # Errors
    /// `InvalidInput`: beyond what readers see.
    pub fn make_durable(&mut self, sequence: u64) -> Result<(), Refusal> {
        if sequence > self.last() {
            return Err(Refusal::of(ErrorKind::InvalidInput));
        }
        if sequence > self.durable {
            self.sync();
        }
        Ok(())
    }

    /// Sets a checkpoint.
    ///
    /// # Errors
    /// `InvalidInput`: it goes back, or beyond the log.
    pub fn set_checkpoint(&mut self, consumer: u8, checkpoint: Checkpoint) -> Result<(), Refusal> {
        self.make_durable(checkpoint.sequence.get())?;
        if self.state().checkpoints.get(&consumer).is_some_and(|set| checkpoint.sequence < set.sequence) {
            return Err(Refusal::of(ErrorKind::InvalidInput));
        }
        let mut state = self.state().clone();
        state.checkpoints.insert(consumer, checkpoint);
        self.states.push(state);
        Ok(())
    }

    /// Saves a snapshot of a stream.
    ///
    /// # Errors
    /// `InvalidInput`: it rests on what is not there.
    pub fn save_snapshot(&mut self, number: u8, snapshot: Snapshot) -> Result<(), Refusal> {
        self.make_durable(snapshot.last_event_sequence.get())?;
        let mut state = self.state().clone();
        let kept = state.snapshots.entry(number).or_default();
        kept.retain(|known| known.last_event_sequence != snapshot.last_event_sequence);
        kept.push(snapshot);
        kept.sort_by_key(|snapshot| std::cmp::Reverse(snapshot.last_event_sequence));
        kept.truncate(SNAPSHOTS_KEPT);
        self.states.push(state);
        Ok(())
    }

    /// After a crash that left so many events: what is beyond them is gone, and all that is left is durable.
    ///
    /// # Panics
    /// Where they end within a commit.
    pub fn cut_to(&mut self, last: u64) {
        self.pending.clear();
        while self.last() > last {
            self.commits.pop();
        }
        assert_eq!(self.last(), last, "the log ends within a commit");
        self.durable = last;
    }
}

fn event(fact: &NewEvent, stream: &bitacora::StreamId, (sequence, version): (Sequence, Version)) -> Event {
    Event {
        sequence,
        stream: stream.clone(),
        version,
        id: fact.id.expect("an event with an id"),
        event_type: fact.event_type.clone(),
        schema_version: fact.schema_version,
        codec: fact.codec,
        timestamp: Timestamp::EPOCH,
        tags: fact.tags.clone(),
        metadata: fact.metadata.clone(),
        payload: fact.payload.clone(),
    }
}
