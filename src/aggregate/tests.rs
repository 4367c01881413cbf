use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::*;
use crate::clock::ManualClock;
use crate::snapshot::{Snapshot, SnapshotPolicy};
use crate::store::{Commit, Options, Store};
use crate::types::{ExpectedVersion, StreamId};

mod restore;

/// A counter that must not pass its limit: as little as an aggregate can be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Counter {
    id: String,
    count: u64,
    limit: u64,
    last: Option<(u64, u64, Timestamp)>,
}

#[derive(Clone, Debug, Serialize)]
enum CounterCommand {
    Add(u64),
    AddEach(Vec<u64>),
    ReachAtLeast(u64),
    SetLimit(u64),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum CounterEvent {
    Added(u64),
    LimitSet(u64),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{count} + {asked} is above {limit}")]
struct AboveLimit {
    count: u64,
    asked: u64,
    limit: u64,
}

impl DomainEvent for CounterEvent {
    fn event_type(&self) -> &'static str {
        match self {
            Self::Added(_) => "Added",
            Self::LimitSet(_) => "LimitSet",
        }
    }

    fn encode(&self) -> Result<Vec<u8>> {
        match self {
            Self::Added(number) | Self::LimitSet(number) => codec::encode(number),
        }
    }

    fn decode(event: &Event) -> Result<Self> {
        match event.event_type.as_str() {
            "Added" => decode_payload(event, 1).map(Self::Added),
            "LimitSet" => decode_payload(event, 1).map(Self::LimitSet),
            _ => Err(unknown_event(event)),
        }
    }
}

impl Aggregate for Counter {
    const AGGREGATE_TYPE: &'static str = "counter";
    const SCHEMA_VERSION: u16 = 3;
    type Command = CounterCommand;
    type Event = CounterEvent;
    type Refusal = AboveLimit;

    fn new(aggregate_id: &str) -> Self {
        Self { id: aggregate_id.to_owned(), count: 0, limit: 1_000_000, last: None }
    }

    fn encode_state(&self) -> Result<Vec<u8>> {
        match self.count {
            13 => Err(Error::new(ErrorKind::InvalidInput, "this state has no snapshot")),
            _ => codec::encode(self),
        }
    }

    fn decide(&self, command: &CounterCommand, _now: Timestamp) -> Result<Vec<CounterEvent>, AboveLimit> {
        let add = |numbers: &[u64]| {
            let asked = numbers.iter().sum::<u64>();
            if self.count + asked > self.limit {
                return Err(AboveLimit { count: self.count, asked, limit: self.limit });
            }
            Ok(numbers.iter().copied().map(CounterEvent::Added).collect())
        };
        match command {
            CounterCommand::Add(number) => add(&[*number]),
            CounterCommand::AddEach(numbers) => add(numbers),
            CounterCommand::ReachAtLeast(number) if self.count >= *number => Ok(Vec::new()),
            CounterCommand::ReachAtLeast(number) => add(&[number - self.count]),
            CounterCommand::SetLimit(limit) => Ok(vec![CounterEvent::LimitSet(*limit)]),
        }
    }

    fn apply(&mut self, event: &CounterEvent, context: &EventContext) {
        match event {
            CounterEvent::Added(number) => self.count += number,
            CounterEvent::LimitSet(limit) => self.limit = *limit,
        }
        self.last = Some((context.sequence.get(), context.version.get(), context.timestamp));
    }
}

fn store() -> Store {
    Store::in_memory(Options::new()).unwrap()
}

fn every(events: u32) -> SnapshotPolicy {
    SnapshotPolicy::EveryEvents(NonZeroU32::new(events).unwrap())
}

fn repository(policy: SnapshotPolicy) -> Repository<Counter> {
    Repository::new(store(), policy)
}

fn with_id(command_id: &str) -> ExecuteOptions<'_> {
    ExecuteOptions { command_id: Some(command_id), ..ExecuteOptions::default() }
}

fn add(repository: &Repository<Counter>, id: &str, number: u64) -> Executed<Counter> {
    repository.execute(id, &ExecuteOptions::default(), &CounterCommand::Add(number)).unwrap()
}

#[test]
fn an_aggregate_without_events_is_given_in_its_first_state() {
    let repository = repository(SnapshotPolicy::Never);
    let loaded = repository.load("a").unwrap();
    assert_eq!(loaded, Loaded::beginning("a"));
    assert_eq!(repository.load("").map(|loaded| loaded.version).unwrap(), Version::ZERO);
    assert_eq!(repository.load("a\n").unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn what_was_executed_is_loaded_again_event_by_event() {
    let repository = repository(SnapshotPolicy::Never);
    let executed = add(&repository, "a", 5);
    assert_eq!(executed.events, [CounterEvent::Added(5)]);
    assert_eq!(executed.loaded.state.count, 5);
    add(&repository, "b", 1);
    add(&repository, "a", 6);
    let loaded = repository.load("a").unwrap();
    assert_eq!((loaded.state.count, loaded.version, loaded.events_replayed), (11, Version::new(2), 2));
    assert_eq!(loaded.last_event_sequence, Sequence::new(3));
    assert_eq!(loaded.state, repository.cached("a").unwrap().state, "what is kept is what is read");
    let ids: Vec<_> = repository.aggregate_ids().collect::<Result<_>>().unwrap();
    assert_eq!(ids, ["a", "b"]);
}

#[test]
fn a_snapshot_is_made_every_so_many_events_and_used_by_the_next_load() {
    let repository = repository(every(3));
    for _ in 0..7 {
        add(&repository, "a", 1);
    }
    let snapshots = repository.store().snapshots("counter", "a", Sequence::MAX).unwrap();
    let ids: Vec<_> = snapshots.iter().map(|snapshot| snapshot.snapshot_id.as_str()).collect();
    assert_eq!(ids, ["counter-a@6", "counter-a@3"]);
    let loaded = repository.load("a").unwrap();
    assert_eq!(loaded.loaded_from, LoadedFrom::Snapshot("counter-a@6".into()));
    assert_eq!((loaded.events_replayed, loaded.version.get(), loaded.state.count), (1, 7, 7));
    let full = repository.load_full("a").unwrap();
    assert_eq!(full.loaded_from, LoadedFrom::Beginning);
    assert_eq!((full.events_replayed, &full.state), (7, &loaded.state));
}

#[test]
fn a_commit_of_many_events_that_passes_the_mark_makes_one_snapshot() {
    let repository = repository(every(3));
    repository.execute("a", &ExecuteOptions::default(), &CounterCommand::AddEach(vec![1; 8])).unwrap();
    let snapshots = repository.store().snapshots("counter", "a", Sequence::MAX).unwrap();
    assert_eq!(snapshots.len(), 1);
    assert_eq!(snapshots[0].last_event_version, Version::new(8));
}

#[test]
fn a_snapshot_that_cannot_be_made_fails_no_command() {
    let repository = repository(every(2));
    add(&repository, "a", 6);
    add(&repository, "a", 7);
    let snapshots = || repository.store().snapshots("counter", "a", Sequence::MAX).unwrap().len();
    assert_eq!(snapshots(), 0);
    assert_eq!(repository.snapshot("a").unwrap_err().kind(), ErrorKind::InvalidInput, "who asks for it is told");
    add(&repository, "a", 1);
    assert_eq!(snapshots(), 0, "the next one is due two events later");
    add(&repository, "a", 1);
    assert_eq!(snapshots(), 1);
}

#[test]
fn snapshots_on_demand_and_before_a_close_cover_what_has_changed() {
    let repository = repository(every(100));
    assert_eq!(repository.snapshot("a").unwrap(), None);
    add(&repository, "a", 1);
    let snapshot = repository.snapshot("a").unwrap().unwrap();
    assert_eq!((snapshot.last_event_version, snapshot.schema_version), (Version::new(1), 3));
    add(&repository, "b", 1);
    assert_eq!(repository.snapshot_changed(), 1, "of b alone");
    assert_eq!(repository.snapshot_changed(), 0);
    add(&repository, "a", 1);
    assert_eq!(repository.snapshot_changed(), 1);
    assert_eq!(repository.load("a").unwrap().loaded_from, LoadedFrom::Snapshot("counter-a@2".into()));
    assert_eq!(Repository::<Counter>::new(repository.store().clone(), SnapshotPolicy::Never).snapshot_changed(), 0);
}

#[test]
fn snapshots_of_another_schema_or_codec_and_damaged_ones_are_passed_over() {
    let repository = repository(every(2));
    for _ in 0..5 {
        add(&repository, "a", 1);
    }
    let good = repository.store().snapshots("counter", "a", Sequence::MAX).unwrap().remove(0);
    let later = |change: &dyn Fn(&mut Snapshot)| {
        let mut snapshot = Snapshot {
            snapshot_id: "counter-a@5".into(),
            last_event_version: Version::new(5),
            last_event_sequence: Sequence::new(5),
            ..good.clone()
        };
        change(&mut snapshot);
        repository.store().save_snapshot(&snapshot).unwrap();
        let loaded = repository.load("a").unwrap();
        assert_eq!(loaded.loaded_from, LoadedFrom::Snapshot("counter-a@4".into()), "the older one serves");
        assert_eq!(loaded.state.count, 5);
    };
    later(&|snapshot| snapshot.schema_version = 2);
    later(&|snapshot| snapshot.codec = CodecId::JSON);
    later(&|snapshot| snapshot.state.truncate(2));
    later(&|snapshot| snapshot.state.push(0));
}

#[test]
fn as_of_a_sequence_a_version_or_a_time_shows_the_events_up_to_it_also_within_a_commit() {
    let clock = ManualClock::new(Timestamp::from_micros(1_000));
    let store = Store::in_memory(Options::new().clock(Arc::new(clock.clone()))).unwrap();
    let repository = Repository::<Counter>::new(store, every(2));
    repository.execute("a", &ExecuteOptions::default(), &CounterCommand::AddEach(vec![1, 10, 100])).unwrap();
    add(&repository, "b", 1);
    clock.advance(Duration::from_micros(500));
    add(&repository, "a", 1_000);
    add(&repository, "a", 10_000);
    let count = |as_of| {
        let loaded = repository.load_as_of("a", as_of).unwrap();
        let full = repository.load_full_as_of("a", as_of).unwrap();
        assert_eq!(loaded.state, full.state);
        assert_eq!(full.loaded_from, LoadedFrom::Beginning);
        loaded.state.count
    };
    let by_sequence = [0, 1, 2, 3, 4, 5, 6, 7].map(|sequence| count(AsOf::Sequence(Sequence::new(sequence))));
    assert_eq!(by_sequence, [0, 1, 11, 111, 111, 1_111, 11_111, 11_111]);
    let by_version = [0, 1, 2, 3, 4, 5, 6].map(|version| count(AsOf::Version(Version::new(version))));
    assert_eq!(by_version, [0, 1, 11, 111, 1_111, 11_111, 11_111]);
    let by_time = [999, 1_000, 1_499, 1_500].map(|micros| count(AsOf::Time(Timestamp::from_micros(micros))));
    assert_eq!(by_time, [0, 111, 111, 11_111]);
    let past = repository.load_as_of("a", AsOf::Sequence(Sequence::new(5))).unwrap();
    assert_eq!(past.loaded_from, LoadedFrom::Snapshot("counter-a@3".into()), "the newest that is not beyond the point");
}

#[test]
fn an_event_that_is_not_known_is_an_error_that_names_it() {
    let repository = repository(SnapshotPolicy::Never);
    let stream = StreamId::new("counter-a").unwrap();
    let event = |event_type: &str| NewEvent::new(EventType::new(event_type).unwrap(), CodecId::BINCODE, vec![1]);
    repository.store().append(&stream, ExpectedVersion::NoStream, vec![event("Added").with_schema_version(7)]).unwrap();
    let error = repository.load("a").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownPayload);
    assert!(error.to_string().contains("Added, schema version 7"), "{error}");
    let stream = StreamId::new("counter-b").unwrap();
    repository.store().append(&stream, ExpectedVersion::NoStream, vec![event("Exploded")]).unwrap();
    assert!(repository.load("b").unwrap_err().to_string().contains("Exploded"));
}

#[test]
fn a_repeated_command_id_gives_the_first_outcome_again_and_appends_nothing() {
    let repository = repository(SnapshotPolicy::Never);
    let command = CounterCommand::AddEach(vec![3, 4]);
    let first = repository.execute("a", &with_id("one"), &command).unwrap();
    add(&repository, "a", 100);
    // Another repository knows nothing but what the store does, as after a restart.
    let restarted = Repository::<Counter>::new(repository.store().clone(), SnapshotPolicy::Never);
    for again in [&repository, &restarted] {
        let repeated = again.execute("a", &with_id("one"), &command).unwrap();
        assert_eq!(repeated.events, first.events);
        assert_eq!(repeated.loaded.state, first.loaded.state, "the state right after it, not the one now");
        let receipt = repeated.receipt.unwrap();
        assert!(receipt.is_repeat);
        assert_eq!(receipt.sequence_first, first.receipt.as_ref().unwrap().sequence_first);
    }
    assert_eq!(repository.store().last_sequence(), Sequence::new(3));
}

#[test]
fn a_command_id_with_another_command_is_refused_and_another_aggregates_id_is_its_own() {
    let repository = repository(SnapshotPolicy::Never);
    repository.execute("a", &with_id("one"), &CounterCommand::Add(1)).unwrap();
    let error = repository.execute("a", &with_id("one"), &CounterCommand::Add(2)).unwrap_err();
    let ExecuteError::Store(error) = error else { panic!("{error}") };
    assert_eq!(error.kind(), ErrorKind::IdempotencyConflict);
    repository.execute("b", &with_id("one"), &CounterCommand::Add(2)).unwrap();
    // The two make the same key. Passing the one's outcome for the other's would lose a command.
    repository.execute("c/d", &with_id("e"), &CounterCommand::Add(2)).unwrap();
    let error = repository.execute("c", &with_id("d/e"), &CounterCommand::Add(2)).unwrap_err();
    assert!(matches!(error, ExecuteError::Store(error) if error.kind() == ErrorKind::IdempotencyConflict));
}

#[test]
fn a_refusal_and_an_empty_outcome_leave_the_command_id_free() {
    let repository = repository(SnapshotPolicy::Never);
    let options = with_id("one");
    repository.execute("a", &ExecuteOptions::default(), &CounterCommand::SetLimit(10)).unwrap();
    let refused = repository.execute("a", &options, &CounterCommand::Add(11)).unwrap_err();
    assert!(matches!(refused, ExecuteError::Refused(AboveLimit { count: 0, asked: 11, limit: 10 })));
    let nothing = repository.execute("a", &options, &CounterCommand::ReachAtLeast(0)).unwrap();
    assert!(nothing.events.is_empty() && nothing.receipt.is_none());
    let executed = repository.execute("a", &options, &CounterCommand::Add(10)).unwrap();
    assert_eq!(executed.loaded.state.count, 10);
    let error = Error::from(repository.execute("a", &with_id("two"), &CounterCommand::Add(1)).unwrap_err());
    assert_eq!(error.kind(), ErrorKind::Refused);
}

#[test]
fn a_stale_state_in_memory_neither_refuses_nor_answers_nor_writes() {
    let one = repository(SnapshotPolicy::Never);
    let other = Repository::<Counter>::new(one.store().clone(), SnapshotPolicy::Never);
    one.execute("a", &ExecuteOptions::default(), &CounterCommand::SetLimit(10)).unwrap();
    // A refusal: `one` still believes in the limit of 10.
    other.execute("a", &ExecuteOptions::default(), &CounterCommand::SetLimit(1_000)).unwrap();
    add(&one, "a", 500);
    // A write: `other` still believes in a count of 0, and would pass the limit.
    let refused = other.execute("a", &ExecuteOptions::default(), &CounterCommand::Add(600)).unwrap_err();
    assert!(matches!(refused, ExecuteError::Refused(AboveLimit { count: 500, .. })), "{refused}");
    // A write that goes through: decided anew after the conflict.
    add(&one, "a", 100);
    assert_eq!(add(&other, "a", 50).loaded.state.count, 650);
    // An empty outcome: `one` believes in 600.
    let stream = StreamId::new("counter-a").unwrap();
    let undo = new_events(&[CounterEvent::LimitSet(7)], &Metadata::default()).unwrap();
    one.store().append(&stream, ExpectedVersion::Any, undo).unwrap();
    let nothing = one.execute("a", &ExecuteOptions::default(), &CounterCommand::ReachAtLeast(600)).unwrap();
    assert_eq!(nothing.loaded.state.limit, 7, "answered on the state now");
}

#[test]
fn metadata_is_on_every_event() {
    let repository = repository(SnapshotPolicy::Never);
    let metadata = Metadata { correlation_id: Some("payment-7".into()), ..Metadata::default() };
    let options = ExecuteOptions { metadata: metadata.clone(), ..ExecuteOptions::default() };
    repository.execute("a", &options, &CounterCommand::AddEach(vec![1, 2])).unwrap();
    for event in repository.store().read_all(..) {
        assert_eq!(event.unwrap().metadata, metadata);
    }
}

#[test]
fn two_aggregates_are_decided_apart_and_committed_together() {
    let repository = repository(every(1));
    add(&repository, "b", 1);
    let mut one = repository.decide("a", &CounterCommand::AddEach(vec![1, 2])).unwrap();
    let mut two = repository.decide("b", &CounterCommand::Add(4)).unwrap();
    let metadata = Metadata::default();
    let commit = two.add_to(one.add_to(Commit::new(), &metadata).unwrap(), &metadata).unwrap();
    let receipt = repository.store().commit(commit).unwrap();
    let one = repository.committed(one, &receipt).unwrap();
    let two = repository.committed(two, &receipt).unwrap();
    for (id, loaded) in [("a", one), ("b", two)] {
        let read = repository.load_full(id).unwrap();
        assert_eq!(read.state, loaded.state, "places and times too");
        assert_eq!(read.last_event_sequence, loaded.last_event_sequence);
        assert_eq!(repository.load(id).unwrap().events_replayed, 0, "a snapshot was made");
    }
}

/// Goal: no command is lost or done twice, and no state in memory goes wrong, when threads share an aggregate.
/// Method: eight threads in two repositories over one store each add 1 to one counter many times, every command twice under
/// the same id; a limit below the sum of all makes some be refused at the end.
#[test]
fn threads_on_one_aggregate_lose_nothing_and_do_nothing_twice() {
    const THREADS: usize = 8;
    const COMMANDS: usize = 50;
    const LIMIT: usize = 350;
    let one = repository(every(10));
    let other = Repository::<Counter>::new(one.store().clone(), every(7));
    one.execute("a", &ExecuteOptions::default(), &CounterCommand::SetLimit(LIMIT as u64)).unwrap();
    let (done, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let repository = if thread % 2 == 0 { one.clone() } else { other.clone() };
            let (done, refused) = (&done, &refused);
            scope.spawn(move || {
                for command in 0..COMMANDS {
                    let command_id = format!("{thread}-{command}");
                    let outcomes = [0, 1].map(|_| {
                        loop {
                            match repository.execute("a", &with_id(&command_id), &CounterCommand::Add(1)) {
                                Err(ExecuteError::Store(error)) => assert_eq!(error.kind(), ErrorKind::Conflict),
                                outcome => break outcome.is_ok(),
                            }
                        }
                    });
                    // What was refused may not go through later: nothing ever lowers the counter.
                    assert_eq!(outcomes[0], outcomes[1]);
                    if outcomes[0] { done } else { refused }.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(done.into_inner(), LIMIT);
    assert_eq!(refused.into_inner(), THREADS * COMMANDS - LIMIT);
    let full = one.load_full("a").unwrap();
    assert_eq!(full.state.count, LIMIT as u64);
    assert_eq!(full.version, Version::new(LIMIT as u64 + 1));
    for repository in [one, other] {
        assert_eq!(repository.load("a").unwrap().state, full.state);
        assert_eq!(repository.fresh("a").unwrap().state, full.state);
    }
}
