//! What a crowd was told, and what must therefore be in every log that is left of it.

use std::sync::{Mutex, MutexGuard};

use bitacora::{Event, Receipt, Sequence, Store, verify_in};

use super::plan::{COMMITS_MAX, Plan, Planned, key_name, of_id, payload};
use crate::workload::{ROOT, STREAMS, World, stream};

/// What became of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nobody has submitted it.
    Unborn,
    /// It was submitted and not answered, or its answer was that nobody knows.
    Unknown,
    /// It is in no log.
    Refused,
    /// It is in every log that a kill leaves, at this sequence; and where so, in every one that a power cut leaves.
    Acknowledged {
        /// Its first event's.
        first: Sequence,
        /// Whether it was acknowledged as durable.
        is_durable: bool,
    },
}

/// What is known of all commits at one moment.
#[derive(Clone, Debug)]
pub struct Known {
    /// By number.
    pub fates: [Fate; COMMITS_MAX as usize],
    /// The last sequence that a sync has covered.
    pub synced: Sequence,
}

/// What all threads write down. Its lock is none of the checker's, so writing down is one step with what comes before it.
#[derive(Debug)]
pub struct Ledger {
    known: Mutex<Known>,
}

impl Default for Ledger {
    fn default() -> Self {
        Self { known: Mutex::new(Known { fates: [Fate::Unborn; COMMITS_MAX as usize], synced: Sequence::ZERO }) }
    }
}

impl Ledger {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// What is known now.
    #[must_use]
    pub fn known(&self) -> Known {
        self.lock().clone()
    }

    /// Notes a commit's fate. Once acknowledged it stays so.
    pub fn note(&self, number: u8, fate: Fate) {
        let mut known = self.lock();
        let place = &mut known.fates[usize::from(number)];
        match (*place, fate) {
            (Fate::Acknowledged { first, is_durable }, Fate::Acknowledged { first: again, is_durable: more }) => {
                assert_eq!(first, again, "commit {number} has two places");
                *place = Fate::Acknowledged { first, is_durable: is_durable || more };
            }
            (Fate::Acknowledged { .. }, _) => {}
            _ => *place = fate,
        }
    }

    /// Notes a receipt.
    pub fn acknowledge(&self, number: u8, receipt: &Receipt, is_durable: bool) {
        self.note(number, Fate::Acknowledged { first: receipt.sequence_first, is_durable });
    }

    /// Notes what a sync has covered.
    pub fn note_synced(&self, synced: Sequence) {
        let mut known = self.lock();
        known.synced = known.synced.max(synced);
    }
}

impl Known {
    /// The last sequence that is acknowledged.
    #[must_use]
    pub fn last(&self, plan: &Plan) -> Sequence {
        let ends = plan.commits().filter_map(|commit| match self.fates[usize::from(commit.number)] {
            Fate::Acknowledged { first, .. } => Some(first.plus(commit.events.len() as u64 - 1)),
            _ => None,
        });
        ends.max().unwrap_or(Sequence::ZERO)
    }
}

/// What a moment has left: an image, and what was known when it was taken.
#[derive(Debug)]
pub struct Image {
    /// The disk and the index.
    pub world: World,
    /// Then.
    pub known: Known,
    /// Whether all that was written is there, and not only what was synced.
    pub is_kill: bool,
}

/// Holds a log against what is known: `then` when it was left, `now` when all is over.
///
/// # Panics
/// Where the store is at fault.
pub fn check(image: &Image, plan: &Plan, now: &Known, label: &str) -> Store {
    let store = image.world.open(&plan.shape).unwrap_or_else(|error| panic!("{label}: {error}"));
    let events: Vec<Event> = all(&store, label);
    let commits = whole(&events, plan, label);
    for commit in plan.commits() {
        let number = usize::from(commit.number);
        let at = commits.iter().position(|found| found.0 == commit.number).map(|at| commits[at].1);
        match now.fates[number] {
            Fate::Refused | Fate::Unborn => assert_eq!(at, None, "{label}: commit {number} was refused"),
            Fate::Acknowledged { first, .. } if at.is_some() => assert_eq!(at, Some(first), "{label}: commit {number}"),
            _ => {}
        }
        if let Fate::Acknowledged { first, is_durable } = image.known.fates[number] {
            let last = first.plus(commit.events.len() as u64 - 1);
            let survives = image.is_kill || is_durable || last <= image.known.synced;
            assert!(at.is_some() || !survives, "{label}: lost: commit {number}, acknowledged at {first}");
        }
        if let (Some((key, content)), Some(first)) = (commit.key, at) {
            let used = store.key_use(&key_name(key)).unwrap_or_else(|error| panic!("{label}: {error}"));
            let used = used.unwrap_or_else(|| panic!("{label}: the key of commit {number} is not there"));
            assert_eq!((used.receipt.sequence_first, used.content_hash), (first, [content; 32]), "{label}");
        }
    }
    check_streams(&store, &events, label);
    let report = verify_in(&image.world.environment(), ROOT).unwrap_or_else(|error| panic!("{label}: {error}"));
    assert!(report.is_ok(), "{label}: {:?}", report.findings);
    store
}

/// All events by sequence, without a gap.
///
/// # Panics
/// Where there is one.
#[must_use]
pub fn all(store: &Store, label: &str) -> Vec<Event> {
    let events = store.read_all(..).map(|event| event.unwrap_or_else(|error| panic!("{label}: {error}")));
    let events: Vec<Event> = events.collect();
    for (event, sequence) in events.iter().zip(1..) {
        assert_eq!(event.sequence.get(), sequence, "{label}: a gap");
    }
    events
}

/// The commits that these events are, each whole and once, with the sequence of its first event.
///
/// # Panics
/// Where they are not, or say what was never submitted.
#[must_use]
pub fn whole(events: &[Event], plan: &Plan, label: &str) -> Vec<(u8, Sequence)> {
    let planned: Vec<&Planned> = plan.commits().collect();
    let mut found: Vec<(u8, Sequence)> = Vec::new();
    let mut rest = events;
    while let Some(event) = rest.first() {
        let (number, _) = of_id(event.id);
        let Some(commit) = planned.get(usize::from(number)) else { panic!("{label}: nobody made {event:?}") };
        assert!(!found.iter().any(|(known, _)| *known == number), "{label}: commit {number} is there twice");
        found.push((number, event.sequence));
        assert!(rest.len() >= commit.events.len(), "{label}: commit {number} is not whole");
        let (own, after) = rest.split_at(commit.events.len());
        for (at, (event, (of, bytes))) in own.iter().zip(&commit.events).enumerate() {
            assert_eq!(of_id(event.id), (number, at), "{label}: commit {number} is not whole");
            let is_equal = event.payload == payload(number, at, *bytes) && event.stream.as_str() == STREAMS[*of];
            assert!(is_equal, "{label}: {event:?} is not what commit {number} said");
        }
        rest = after;
    }
    found
}

/// The streams say what the log says: `events` or more, without a gap.
///
/// # Panics
/// Where they do not.
pub fn check_streams(store: &Store, events: &[Event], label: &str) {
    for name in STREAMS {
        let expected = events.iter().filter(|event| event.stream.as_str() == name);
        let mut found = store.read_stream(&stream(name), ..).zip(1..).map(|(event, version)| {
            let event = event.unwrap_or_else(|error| panic!("{label}: {name}: {error}"));
            assert_eq!(event.version.get(), version, "{label}: {name}: a gap");
            event
        });
        for event in expected {
            let found = found.next().unwrap_or_else(|| panic!("{label}: {name} lacks {event:?}"));
            assert_eq!((found.id, found.sequence), (event.id, event.sequence), "{label}: {name}");
        }
        found.for_each(drop);
    }
}
