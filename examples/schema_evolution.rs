//! A payload whose shape changed twice: what last year's program wrote is read as if it had been written today.
//!
//! Nothing in the log is rewritten. Each change of a shape adds one small function from the old to the new.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use bitacora::aggregate::{DomainEvent, unknown_event};
use bitacora::aggregate::{OnUnknown, Upcasters, decode_payload, new_events, upcast_events, upcast_with};
use bitacora::{
    CodecId, Event, EventType, ExpectedVersion, Metadata, NewEvent, Options, Result, Store, StreamId, codec,
};
use serde::{Deserialize, Serialize};

/// Version 1: whole euros.
#[derive(Serialize, Deserialize)]
struct SoldV1 {
    euros: u32,
}

/// Version 2: cents.
#[derive(Serialize, Deserialize)]
struct SoldV2 {
    cents: i64,
}

/// Version 3, today's: any currency.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Sold {
    minor_units: i64,
    currency: String,
}

/// The program knows today's shape alone.
impl DomainEvent for Sold {
    fn event_type(&self) -> &'static str {
        "Sold"
    }

    fn schema_version(&self) -> u16 {
        3
    }

    fn encode(&self) -> Result<Vec<u8>> {
        codec::encode(self)
    }

    fn decode(event: &Event) -> Result<Self> {
        if event.event_type.as_str() == "Sold" { decode_payload(event, 3) } else { Err(unknown_event(event)) }
    }
}

/// How older shapes become today's. A version that is left out, or read in two ways, is an error here and not years later.
fn upcasters() -> Result<Upcasters> {
    Upcasters::builder()
        .decodes("Sold", 3..=3)
        .step("Sold", 1, upcast_with(|old: SoldV1| Ok(SoldV2 { cents: i64::from(old.euros) * 100 })))
        .step("Sold", 2, upcast_with(|old: SoldV2| Ok(Sold { minor_units: old.cents, currency: "EUR".to_owned() })))
        .build()
}

/// What an older program wrote.
fn old<T: Serialize>(schema_version: u16, payload: &T) -> Result<NewEvent> {
    let event = NewEvent::new(EventType::new("Sold")?, CodecId::BINCODE, codec::encode(payload)?);
    Ok(event.with_schema_version(schema_version))
}

fn main() -> Result<()> {
    let store = Store::in_memory(Options::new())?;
    let till = StreamId::new("till-1")?;
    let mut events = vec![old(1, &SoldV1 { euros: 3 })?, old(2, &SoldV2 { cents: 250 })?];
    events.extend(new_events(&[Sold { minor_units: 80, currency: "CHF".to_owned() }], &Metadata::default())?);
    store.append(&till, ExpectedVersion::NoStream, events)?;

    let upcasters = upcasters()?;
    let mut sold = Vec::new();
    for event in upcast_events(store.read_stream(&till, ..), &upcasters, OnUnknown::Error) {
        let event = event?;
        let fact = Sold::decode(&event)?;
        println!("{}: {} {}", event.version, fact.minor_units, fact.currency);
        sold.push((fact.minor_units, fact.currency));
    }
    assert_eq!(sold, [(300, "EUR".to_owned()), (250, "EUR".to_owned()), (80, "CHF".to_owned())]);

    // A till that was not updated meets what a newer one wrote.
    store.append(&till, ExpectedVersion::Any, vec![old(4, &7u64)?])?;
    let unknown = upcast_events(store.read_stream(&till, ..), &upcasters, OnUnknown::Error).find_map(Result::err);
    println!("{}", unknown.map_or_else(String::new, |error| error.to_string()));
    assert_eq!(upcast_events(store.read_stream(&till, ..), &upcasters, OnUnknown::Skip).count(), 3);
    Ok(())
}

#[test]
fn older_shapes_are_read_as_the_newest() -> Result<()> {
    main()
}
