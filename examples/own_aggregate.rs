//! An aggregate of your own: a loyalty card that collects points.
//!
//! State, commands, events and refusals are plain types; `decide` and `apply` are pure. The repository does the rest:
//! loading, snapshots, conflicts, repeated commands, looking into the past.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::fmt;
use std::num::NonZeroU32;

use bitacora::aggregate::{
    Aggregate, AsOf, DomainEvent, EventContext, ExecuteOptions, Repository, decode_payload, unknown_event,
};
use bitacora::snapshot::SnapshotPolicy;
use bitacora::{Event, Options, Result, Store, Timestamp, Version, codec};
use serde::{Deserialize, Serialize};

/// The state. What a snapshot keeps is this, so its shape has a version.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Card {
    points: u64,
}

#[derive(Serialize)]
enum Command {
    Collect(u64),
    Redeem(u64),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Collected {
    points: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Redeemed {
    points: u64,
}

#[derive(Clone, Debug)]
enum CardEvent {
    Collected(Collected),
    Redeemed(Redeemed),
}

#[derive(Debug)]
struct TooFewPoints {
    points: u64,
}

impl fmt::Display for TooFewPoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the card has {} points", self.points)
    }
}

impl std::error::Error for TooFewPoints {}

impl Aggregate for Card {
    const AGGREGATE_TYPE: &'static str = "card";
    const SCHEMA_VERSION: u16 = 1;
    type Command = Command;
    type Event = CardEvent;
    type Refusal = TooFewPoints;

    fn new(_aggregate_id: &str) -> Self {
        Self::default()
    }

    fn decide(&self, command: &Command, _now: Timestamp) -> Result<Vec<CardEvent>, TooFewPoints> {
        match *command {
            Command::Collect(points) => Ok(vec![CardEvent::Collected(Collected { points })]),
            Command::Redeem(points) if points <= self.points => Ok(vec![CardEvent::Redeemed(Redeemed { points })]),
            Command::Redeem(_) => Err(TooFewPoints { points: self.points }),
        }
    }

    fn apply(&mut self, event: &CardEvent, _context: &EventContext) {
        match event {
            CardEvent::Collected(Collected { points }) => self.points = self.points.saturating_add(*points),
            CardEvent::Redeemed(Redeemed { points }) => self.points = self.points.saturating_sub(*points),
        }
    }
}

impl DomainEvent for CardEvent {
    fn event_type(&self) -> &'static str {
        match self {
            Self::Collected(_) => "PointsCollected",
            Self::Redeemed(_) => "PointsRedeemed",
        }
    }

    fn encode(&self) -> Result<Vec<u8>> {
        match self {
            Self::Collected(payload) => codec::encode(payload),
            Self::Redeemed(payload) => codec::encode(payload),
        }
    }

    fn decode(event: &Event) -> Result<Self> {
        match event.event_type.as_str() {
            "PointsCollected" => Ok(Self::Collected(decode_payload(event, 1)?)),
            "PointsRedeemed" => Ok(Self::Redeemed(decode_payload(event, 1)?)),
            _ => Err(unknown_event(event)),
        }
    }
}

fn main() -> Result<()> {
    let store = Store::in_memory(Options::new())?;
    let policy = SnapshotPolicy::EveryEvents(NonZeroU32::MIN.saturating_add(9));
    let cards = Repository::<Card>::new(store.clone(), policy);

    for sale in 1..=25 {
        let command_id = format!("sale-{sale}");
        let once = ExecuteOptions { command_id: Some(&command_id), ..ExecuteOptions::default() };
        cards.execute("ana", &once, &Command::Collect(10))?;
    }
    // The same command id with the same command gives the first outcome again and appends nothing.
    let once = ExecuteOptions { command_id: Some("sale-25"), ..ExecuteOptions::default() };
    let repeated = cards.execute("ana", &once, &Command::Collect(10))?;
    println!("sale-25 repeated: {} points", repeated.loaded.state.points);

    match cards.execute("ana", &ExecuteOptions::default(), &Command::Redeem(1_000)) {
        Ok(_) => println!("redeemed 1000 points"),
        Err(refusal) => println!("refused: {refusal}"),
    }
    cards.execute("ana", &ExecuteOptions::default(), &Command::Redeem(100))?;

    let now = cards.load("ana")?;
    println!("now: {} points at version {}, loaded from {}", now.state.points, now.version, now.loaded_from);
    let then = cards.load_as_of("ana", AsOf::Version(Version::new(3)))?;
    println!("at version 3: {} points, loaded from {}", then.state.points, then.loaded_from);
    store.close()
}

#[test]
fn a_card_is_collected_on_and_looked_back_at() -> Result<()> {
    main()
}
