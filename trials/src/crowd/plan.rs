//! What a crowd is to do, as a seed tells it. What each schedule of one plan draws for itself comes from the checker.

use bitacora::disk::sim::{AfterFailedSync, Failure, OperationKind, Random};
use bitacora::{Align, CodecId, Commit, Durability, EventId, EventType, NewEvent, Preallocation};

use crate::workload::{STREAMS, Shape, stream};

/// What a commit says of the stream it writes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Whatever is there.
    Any,
    /// What its writer sees just before.
    AsSeen,
    /// Nothing.
    Empty,
}

/// One commit.
#[derive(Clone, Debug)]
pub struct Planned {
    /// Its place among all commits of the plan, which its events' ids tell.
    pub number: u8,
    /// For each event its stream, and the payload's length, bytes. Of one stream the events stand together.
    pub events: Vec<(usize, usize)>,
    /// For its first stream; the others take whatever is there.
    pub wish: Wish,
    /// A key and what counts as content.
    pub key: Option<(u8, u8)>,
    /// Whether it asks to be synced.
    pub wants_sync: bool,
    /// Whether it is waited for only after the writer's next commit.
    pub is_submitted: bool,
}

/// How calls are made to fail. Which of them is drawn for each schedule.
#[derive(Clone, Copy, Debug)]
pub struct PlannedFault {
    /// Which calls.
    pub kind: OperationKind,
    /// How.
    pub failure: Failure,
    /// Whether all that follow fail too.
    pub is_lasting: bool,
}

/// All that a crowd does.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The store's.
    pub shape: Shape,
    /// What the disk does after a failed sync.
    pub after_failed_sync: AfterFailedSync,
    /// Each writer's commits.
    pub writers: Vec<Vec<Planned>>,
    /// Commits of who has closed the store and opened it again.
    pub after: Vec<Planned>,
    /// Rounds of one who reads everything.
    pub reads: usize,
    /// Calls of each who keeps house.
    pub housekeeping: Vec<usize>,
    /// Calls of one who syncs.
    pub syncs: usize,
    /// How many close the store, and open it again.
    pub closers: usize,
    /// What fails.
    pub fault: Option<PlannedFault>,
    /// Whether the power is cut, or the process killed, at some moment.
    pub is_cut: bool,
}

/// The most commits of a plan, and those made after a close.
pub const COMMITS_MAX: u8 = 16;

impl Plan {
    /// The plan of a seed.
    #[must_use]
    pub fn drawn(seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0x0bac_c0de);
        let shape = shape(&mut random);
        // A failure that is reported late is a sync that lies, and has a class of its own. Where old bytes come back, what was
        // shown unsynced is gone from under its readers.
        let after_failed_sync = match (shape.durability, random.below(3)) {
            (_, 0) => AfterFailedSync::Dirty,
            (Durability::Sync, 1) => AfterFailedSync::CleanOld,
            _ => AfterFailedSync::CleanNew,
        };
        let fault = (random.below(3) == 0).then(|| planned_fault(&mut random));
        let writer_count = 2 + random.index(3);
        let mut number = 0;
        let mut writers = Vec::new();
        for _ in 0..writer_count {
            let count = 1 + random.index(if writer_count == 4 { 2 } else { 3 });
            writers.push((0..count).map(|_| planned(&mut random, &mut number)).collect());
        }
        let after =
            (0..2).map(|_| Planned { wish: Wish::Any, key: None, ..planned(&mut random, &mut number) }).collect();
        let rounds = |random: &mut Random, of: usize| if random.below(2) == 0 { 0 } else { 1 + random.index(of) };
        Self {
            shape,
            after_failed_sync,
            writers,
            after,
            reads: rounds(&mut random, 3),
            housekeeping: (0..random.index(3)).map(|_| 1 + random.index(2)).collect(),
            syncs: rounds(&mut random, 2),
            closers: if random.below(2) == 0 { 0 } else { 1 + random.index(2) },
            fault,
            is_cut: random.below(2) == 0,
        }
    }

    /// All commits, by number.
    pub fn commits(&self) -> impl Iterator<Item = &Planned> {
        self.writers.iter().flatten().chain(&self.after)
    }

    /// Whether what is acknowledged is durable.
    #[must_use]
    pub fn syncs_each(&self) -> bool {
        self.shape.durability == Durability::Sync
    }
}

/// A shape that makes rolls, full tails and spares likely among a dozen commits.
fn shape(random: &mut Random) -> Shape {
    Shape {
        durability: if random.below(4) == 0 { Durability::Buffered } else { Durability::Sync },
        align: if random.below(8) == 0 { Align::Sector } else { Align::Packed },
        preallocation: [Preallocation::Grow, Preallocation::Reserve, Preallocation::ZeroFill][random.index(3)],
        segment_bytes: 4096,
        tail_events_max: [1, 3, 7, 1000][random.index(4)],
        ..Shape::plain()
    }
}

fn planned_fault(random: &mut Random) -> PlannedFault {
    let (kind, failure) = match random.below(8) {
        0..=2 => (OperationKind::Sync, Failure::Io),
        3..=4 => (OperationKind::Write, Failure::Io),
        5 => (OperationKind::Allocate, Failure::Full),
        6 => (OperationKind::Create, Failure::Full),
        _ => (OperationKind::SyncDirectory, Failure::Io),
    };
    PlannedFault { kind, failure, is_lasting: random.below(2) == 0 }
}

fn planned(random: &mut Random, number: &mut u8) -> Planned {
    let first = random.index(STREAMS.len());
    let mut streams = vec![first];
    if random.below(3) == 0 {
        streams.push((first + 1) % STREAMS.len());
    }
    let bytes_max = [40, 400, 1200][random.index(3)];
    let mut events = Vec::new();
    for of in streams {
        events.extend((0..1 + random.index(2)).map(|_| (of, 1 + random.index(bytes_max))));
    }
    let planned = Planned {
        number: *number,
        events,
        wish: [Wish::Any, Wish::Any, Wish::AsSeen, Wish::AsSeen, Wish::Empty][random.index(5)],
        key: match random.below(4) {
            0 => Some((0, u8::from(random.below(3) == 0))),
            1 => Some((1 + *number, 0)),
            _ => None,
        },
        wants_sync: random.below(3) == 0,
        is_submitted: random.below(3) == 0,
    };
    *number += 1;
    planned
}

/// The id of an event of a commit.
#[must_use]
pub fn id(number: u8, at: usize) -> EventId {
    let mut bytes = [0x5a; 16];
    bytes[0] = number;
    bytes[1] = u8::try_from(at).expect("a small commit");
    EventId::from_bytes(bytes)
}

/// Which commit, and which of its events, an id is of.
#[must_use]
pub fn of_id(id: EventId) -> (u8, usize) {
    let bytes = id.as_bytes();
    (bytes[0], usize::from(bytes[1]))
}

/// An event's payload: an id's bytes, again and again.
#[must_use]
pub fn payload(number: u8, at: usize, bytes: usize) -> Vec<u8> {
    id(number, at).as_bytes().iter().copied().cycle().take(bytes).collect()
}

/// A key as the store takes it.
#[must_use]
pub fn key_name(key: u8) -> String {
    format!("key-{key}")
}

impl Planned {
    /// As the store takes it. `expected` is for the first stream.
    #[must_use]
    pub fn commit(&self, expected: bitacora::ExpectedVersion) -> Commit {
        let kind = EventType::new("Noted").expect("a type's name");
        let mut commit = Commit::new();
        for of in 0..STREAMS.len() {
            let at = (self.events[0].0 + of) % STREAMS.len();
            let events: Vec<NewEvent> = (0..)
                .zip(&self.events)
                .filter(|(_, event)| event.0 == at)
                .map(|(place, event)| {
                    let payload = payload(self.number, place, event.1);
                    NewEvent::new(kind.clone(), CodecId::JSON, payload).with_id(id(self.number, place))
                })
                .collect();
            if !events.is_empty() {
                let expected = if of == 0 { expected } else { bitacora::ExpectedVersion::Any };
                commit = commit.append(&stream(STREAMS[at]), expected, events);
            }
        }
        if let Some((key, content)) = self.key {
            commit = commit.idempotency_key_for(key_name(key), [content; 32]);
        }
        if self.wants_sync { commit.durability(Durability::Sync) } else { commit }
    }
}
