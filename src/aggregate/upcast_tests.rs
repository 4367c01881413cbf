use std::collections::BTreeMap;
use std::num::NonZeroU32;

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::*;
use crate::snapshot::SnapshotPolicy;
use crate::store::{Options, Store};
use crate::types::{ExpectedVersion, StreamId};

/// What was spent, by currency. Its one fact has had three shapes, and another name before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Purse {
    spent: BTreeMap<String, i64>,
    purposes: Vec<String>,
    limit: u64,
}

/// Version 1: euros alone.
#[derive(Clone, Serialize, Deserialize)]
struct SpentV1 {
    cents: u32,
}

/// Version 2: any currency.
#[derive(Clone, Serialize, Deserialize)]
struct SpentV2 {
    minor_units: i64,
    currency: String,
}

/// Version 3: with a purpose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Spent {
    minor_units: i64,
    currency: String,
    purpose: Option<String>,
}

/// What it was called once, with the currency first.
#[derive(Clone, Serialize, Deserialize)]
struct Outlay {
    currency: String,
    minor_units: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum PurseEvent {
    Spent(Spent),
    LimitSet(u64),
}

#[derive(Debug, thiserror::Error)]
#[error("never")]
struct Never;

impl DomainEvent for PurseEvent {
    fn event_type(&self) -> &'static str {
        match self {
            Self::Spent(_) => "Spent",
            Self::LimitSet(_) => "LimitSet",
        }
    }

    fn schema_version(&self) -> u16 {
        match self {
            Self::Spent(_) => 3,
            Self::LimitSet(_) => 1,
        }
    }

    fn encode(&self) -> Result<Vec<u8>> {
        match self {
            Self::Spent(fact) => codec::encode(fact),
            Self::LimitSet(limit) => codec::encode(limit),
        }
    }

    fn decode(event: &Event) -> Result<Self> {
        match event.event_type.as_str() {
            "Spent" => decode_payload(event, 3).map(Self::Spent),
            "LimitSet" => decode_payload(event, 1).map(Self::LimitSet),
            _ => Err(unknown_event(event)),
        }
    }
}

impl Aggregate for Purse {
    const AGGREGATE_TYPE: &'static str = "purse";
    const SCHEMA_VERSION: u16 = 2;
    type Command = (i64, String);
    type Event = PurseEvent;
    type Refusal = Never;

    fn new(_: &str) -> Self {
        Self::default()
    }

    fn decide(&self, (minor_units, currency): &(i64, String), _: Timestamp) -> Result<Vec<PurseEvent>, Never> {
        let fact = Spent { minor_units: *minor_units, currency: currency.clone(), purpose: None };
        Ok(vec![PurseEvent::Spent(fact)])
    }

    fn apply(&mut self, event: &PurseEvent, _: &EventContext) {
        match event {
            PurseEvent::Spent(fact) => {
                *self.spent.entry(fact.currency.clone()).or_default() += fact.minor_units;
                self.purposes.extend(fact.purpose.clone());
            }
            PurseEvent::LimitSet(limit) => self.limit = *limit,
        }
    }
}

fn first_step() -> impl Fn(&Event) -> Result<UpcastPayload> + Send + Sync + 'static {
    upcast_with(|old: SpentV1| Ok(SpentV2 { minor_units: i64::from(old.cents), currency: "EUR".to_owned() }))
}

fn second_step() -> impl Fn(&Event) -> Result<UpcastPayload> + Send + Sync + 'static {
    upcast_with(|old: SpentV2| Ok(Spent { minor_units: old.minor_units, currency: old.currency, purpose: None }))
}

fn from_outlay() -> impl Fn(&Event) -> Result<UpcastPayload> + Send + Sync + 'static {
    upcast_with(|old: Outlay| Ok(SpentV2 { minor_units: old.minor_units, currency: old.currency }))
}

fn upcasters() -> Upcasters {
    let builder = Upcasters::builder().step("Spent", 1, first_step()).step("Spent", 2, second_step());
    let builder = builder.step_to(("Outlay", 1), ("Spent", 2), from_outlay());
    builder.decodes("Spent", 3..=3).decodes("LimitSet", 1..=1).build().unwrap()
}

fn written<T: Serialize>(event_type: &str, schema_version: u16, payload: &T) -> NewEvent {
    let payload = codec::encode(payload).unwrap();
    NewEvent::new(EventType::new(event_type).unwrap(), CodecId::BINCODE, payload).with_schema_version(schema_version)
}

fn spent(currency: &str, minor_units: i64, purpose: Option<&str>) -> Spent {
    Spent { minor_units, currency: currency.to_owned(), purpose: purpose.map(str::to_owned) }
}

/// One of each shape there ever was.
fn history() -> Vec<NewEvent> {
    vec![
        written("Spent", 1, &SpentV1 { cents: 5 }),
        written("LimitSet", 1, &70u64),
        written("Spent", 2, &SpentV2 { minor_units: 6, currency: "CHF".to_owned() }),
        written("Outlay", 1, &Outlay { currency: "CHF".to_owned(), minor_units: 100 }),
        written("Spent", 3, &spent("EUR", 7, Some("tea"))),
    ]
}

fn store_of(events: Vec<NewEvent>) -> Store {
    let store = Store::in_memory(Options::new()).unwrap();
    if !events.is_empty() {
        store.append(&StreamId::new("purse-a").unwrap(), ExpectedVersion::NoStream, events).unwrap();
    }
    store
}

fn repository_of(events: Vec<NewEvent>) -> Repository<Purse> {
    Repository::with_upcasters(store_of(events), SnapshotPolicy::EveryEvents(NonZeroU32::new(3).unwrap()), upcasters())
}

fn events_of(store: &Store) -> Vec<Event> {
    store.read_all(..).collect::<Result<_>>().unwrap()
}

#[test]
fn a_stream_of_every_shape_there_was_is_loaded_as_if_it_were_of_the_newest() {
    let repository = repository_of(history());
    let loaded = repository.load("a").unwrap();
    assert_eq!(loaded.state.spent, BTreeMap::from([("CHF".to_owned(), 106), ("EUR".to_owned(), 12)]));
    assert_eq!((loaded.state.limit, loaded.state.purposes, loaded.version.get()), (70, vec!["tea".to_owned()], 5));
}

#[test]
fn commands_go_on_over_older_shapes_and_snapshots_of_them_are_of_the_newest_state() {
    let repository = repository_of(history());
    let options = ExecuteOptions { command_id: Some("c-1"), ..ExecuteOptions::default() };
    repository.execute("a", &options, &(1, "EUR".to_owned())).unwrap();
    let loaded = repository.load("a").unwrap();
    assert_eq!(loaded.loaded_from, LoadedFrom::Snapshot("purse-a@6".to_owned()));
    assert_eq!(loaded.state, repository.load_full("a").unwrap().state);
    assert_eq!(loaded.state.spent["EUR"], 13);
    let again = repository.execute("a", &options, &(1, "EUR".to_owned())).unwrap();
    assert!(again.receipt.unwrap().is_repeat);
    assert_eq!(again.events, [PurseEvent::Spent(spent("EUR", 1, None))]);
}

#[test]
fn without_upcasters_an_older_shape_is_an_error_that_names_it() {
    let repository = Repository::<Purse>::new(store_of(history()), SnapshotPolicy::Never);
    let error = repository.load("a").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownPayload);
    assert!(error.to_string().contains("type Spent, schema version 1"), "{error}");
}

#[test]
fn what_an_upcaster_changes_is_the_shape_and_nothing_else() {
    for event in events_of(&store_of(history())) {
        let newer = upcasters().upcast(&event).unwrap().into_owned();
        let expected = Event {
            event_type: newer.event_type.clone(),
            schema_version: newer.schema_version,
            codec: newer.codec,
            payload: newer.payload.clone(),
            ..event
        };
        assert_eq!(newer, expected);
        assert!(matches!((newer.event_type.as_str(), newer.schema_version), ("Spent", 3) | ("LimitSet", 1)));
    }
}

#[test]
fn an_event_in_the_newest_shape_is_not_copied() {
    let event = events_of(&store_of(history())).pop().unwrap();
    assert!(matches!(upcasters().upcast(&event).unwrap(), std::borrow::Cow::Borrowed(_)));
}

#[test]
fn a_newer_schema_is_an_error_that_names_it_and_what_is_known() {
    let repository = repository_of(vec![written("Spent", 4, &spent("EUR", 7, None))]);
    let error = repository.load("a").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownPayload);
    assert_eq!(
        error.to_string(),
        "event 1 of stream purse-a: Spent of schema version 4 is not known to this program; it reads schema versions 1 to 3 of it"
    );
}

#[test]
fn an_unknown_type_is_an_error_that_names_it_and_what_is_known() {
    let repository = repository_of(vec![written("Lost", 1, &7u64)]);
    let error = repository.load("a").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownPayload);
    assert_eq!(
        error.to_string(),
        "event 1 of stream purse-a: Lost of schema version 1 is not known to this program; \
         it reads the types LimitSet, Outlay, Spent"
    );
}

#[test]
fn many_known_types_are_named_up_to_a_number() {
    let mut builder = Upcasters::builder();
    for number in 0..20 {
        builder = builder.decodes(format!("Type{number:02}"), 1..=1);
    }
    let event = events_of(&store_of(vec![written("Lost", 1, &7u64)])).pop().unwrap();
    let error = builder.build().unwrap().upcast(&event).unwrap_err();
    assert!(error.to_string().ends_with("Type14, Type15 and 4 others"), "{error}");
}

#[test]
fn a_payload_that_is_not_of_its_shape_is_an_error_that_names_the_step() {
    let repository = repository_of(vec![written("Spent", 1, &"not a number of cents at all")]);
    let error = repository.load("a").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownPayload);
    let text = "event 1 of stream purse-a, Spent of schema version 1 to Spent of schema version 2";
    assert!(error.to_string().contains(text), "{error}");
}

#[test]
fn a_reader_skips_what_it_does_not_know_only_where_it_says_so() {
    let mut history = history();
    history.insert(1, written("Lost", 1, &7u64));
    history.push(written("Spent", 4, &7u64));
    let store = store_of(history);
    let read = |on_unknown| upcast_events(store.read_all(..), &upcasters(), on_unknown).collect::<Vec<_>>();
    let skipped: Vec<u64> = read(OnUnknown::Skip).into_iter().map(|event| event.unwrap().sequence.get()).collect();
    assert_eq!(skipped, [1, 3, 4, 5, 6]);
    let all = read(OnUnknown::Error);
    let unknown: Vec<bool> = all.iter().map(Result::is_err).collect();
    assert_eq!(unknown, [false, true, false, false, false, false, true]);
    for error in all.into_iter().filter_map(Result::err) {
        assert_eq!(error.kind(), ErrorKind::UnknownPayload);
    }
}

#[test]
fn what_is_damaged_is_an_error_also_to_a_reader_that_skips() {
    let store = store_of(vec![written("Spent", 1, &"not a number of cents at all")]);
    let read: Vec<_> = upcast_events(store.read_all(..), &upcasters(), OnUnknown::Skip).collect();
    assert_eq!(read.len(), 1);
    assert_eq!(read[0].as_ref().unwrap_err().kind(), ErrorKind::UnknownPayload);
}

#[test]
fn a_projection_decodes_facts_through_the_same_registry() {
    let facts: Result<Vec<PurseEvent>> =
        events_of(&store_of(history())).iter().map(|event| upcasters().decode(event)).collect();
    assert_eq!(facts.unwrap()[0], PurseEvent::Spent(spent("EUR", 5, None)));
}

#[track_caller]
fn assert_refused(builder: UpcastersBuilder, text: &str) {
    let error = builder.build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains(text), "{error}");
}

#[test]
fn a_registry_with_two_ways_to_read_a_version_is_refused() {
    let spent = || Upcasters::builder().decodes("Spent", 3..=3).step("Spent", 1, first_step());
    let twice = spent().step("Spent", 2, second_step()).step("Spent", 2, second_step());
    assert_refused(twice, "two ways to read Spent of schema version 2");
    let both = spent().step("Spent", 2, second_step()).decodes("Spent", 2..=2);
    assert_refused(both, "two ways to read Spent of schema version 2");
    assert_refused(
        spent().step("Spent", 2, second_step()).decodes("Spent", 3..=4),
        "two ways to read Spent of schema version 3",
    );
}

#[test]
fn a_registry_with_a_gap_is_refused() {
    let first_is_missing = Upcasters::builder().decodes("Spent", 3..=3).step("Spent", 2, second_step());
    assert_refused(first_is_missing, "nothing reads Spent of schema version 1");
    let middle_is_missing = Upcasters::builder().decodes("Spent", 3..=3).step("Spent", 1, first_step());
    assert_refused(middle_is_missing, "nothing reads Spent of schema version 2");
    let end_is_missing = Upcasters::builder().step("Spent", 1, first_step()).step("Spent", 2, second_step());
    assert_refused(end_is_missing, "lead to Spent of schema version 3, which nothing reads");
    let target_is_missing = Upcasters::builder().step_to(("Outlay", 1), ("Spent", 2), from_outlay());
    assert_refused(target_is_missing, "lead to Spent of schema version 2, which nothing reads");
}

#[test]
fn a_registry_that_leads_in_a_circle_is_refused() {
    let to_itself = Upcasters::builder().step_to(("Spent", 1), ("Spent", 1), first_step());
    assert_refused(to_itself, "in a circle");
    let there_and_back = Upcasters::builder()
        .decodes("LimitSet", 1..=1)
        .step_to(("Outlay", 1), ("Spent", 1), from_outlay())
        .step_to(("Spent", 1), ("Outlay", 1), first_step());
    assert_refused(there_and_back, "in a circle");
}

#[test]
fn a_registry_with_a_bad_name_or_range_is_refused() {
    assert_refused(Upcasters::builder().decodes("", 1..=1), "event type");
    #[expect(clippy::reversed_empty_ranges, reason = "it is what is refused")]
    let empty = Upcasters::builder().decodes("Spent", 2..=1);
    assert_refused(empty, "no schema version");
    assert_refused(Upcasters::builder().step("Spent", u16::MAX, first_step()), "has no next version");
}

#[test]
fn a_program_may_decode_several_versions_by_itself() {
    let builder = Upcasters::builder().decodes("Spent", 2..=3).step("Spent", 1, first_step());
    let upcasters = builder.build().unwrap();
    let event = events_of(&store_of(history())).remove(0);
    assert_eq!(upcasters.upcast(&event).unwrap().schema_version, 2);
}

/// A fact, and the shape that it is written in: the oldest that can hold it, or a later one.
fn facts() -> impl Strategy<Value = Vec<(Spent, u16)>> {
    let currency = prop_oneof![2 => Just("EUR"), 1 => Just("CHF")];
    let purpose = prop_oneof![3 => Just(None), 1 => "[a-z]{1,4}".prop_map(Some)];
    let fact = (0u32..1_000, currency, purpose, 0u16..4).prop_map(|(amount, currency, purpose, later)| {
        let oldest = match (&purpose, currency) {
            (Some(_), _) => 3,
            (None, "EUR") => 1,
            (None, _) => 2,
        };
        (spent(currency, i64::from(amount), purpose.as_deref()), if later == 3 { 0 } else { (oldest + later).min(3) })
    });
    proptest::collection::vec(fact, 0..30)
}

fn written_as(fact: &Spent, version: u16) -> NewEvent {
    let (minor_units, currency) = (fact.minor_units, fact.currency.clone());
    match version {
        0 if fact.purpose.is_none() => written("Outlay", 1, &Outlay { currency, minor_units }),
        1 => written("Spent", 1, &SpentV1 { cents: u32::try_from(minor_units).unwrap() }),
        2 => written("Spent", 2, &SpentV2 { minor_units, currency }),
        _ => written("Spent", 3, fact),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn replay_through_upcasters_equals_replay_of_the_same_facts_in_the_newest_shape(facts in facts()) {
        let old = repository_of(facts.iter().map(|(fact, version)| written_as(fact, *version)).collect());
        let new = repository_of(facts.iter().map(|(fact, _)| written_as(fact, 3)).collect());
        let (old, new) = (old.load_full("a").unwrap(), new.load_full("a").unwrap());
        prop_assert_eq!(old, new);
    }
}
