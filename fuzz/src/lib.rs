//! What each fuzz target does with its bytes. An ordinary test runs the same over the corpora.

mod directory;
mod operations;

use std::path::Path;
use std::sync::Arc;

use bitacora::aggregate::{Aggregate, DomainEvent, EventContext};
use bitacora::disk::Disk;
use bitacora::disk::sim::SimulatedDisk;
use bitacora::index::MemoryIndexProvider;
use bitacora::payment::{PaymentEvent, PaymentSaga};
use bitacora::wallet::{Wallet, WalletEvent};
use bitacora::{
    CodecId, Environment, Event, EventId, EventType, Metadata, Options, Sequence, Store, StreamId, Timestamp, Version,
    internals,
};

pub use directory::directory;
pub use operations::store_operations;

/// Where stores stand on a simulated disk.
const ROOT: &str = "/store";

/// The first byte says what the others are taken for.
pub fn frame(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    match kind % 8 {
        0 => internals::record(bytes),
        1 => internals::segment_header(bytes),
        2 => internals::seal(bytes),
        3 => internals::identity(bytes),
        4 => internals::control(bytes),
        _ => internals::frame(bytes),
    }
}

pub fn snapshot(bytes: &[u8]) {
    internals::snapshot(bytes);
}

pub fn keys(bytes: &[u8]) {
    internals::index_keys(bytes);
}

/// A segment as it is, and the same with its checksums made to fit.
pub fn segment(bytes: &[u8]) {
    open_segment(bytes);
    let mut repaired = bytes.to_vec();
    internals::repair_segment(&mut repaired);
    open_segment(&repaired);
}

/// What opens reads to its end, but for what `verify` knows of, and opens again as the same. What does not open is not changed.
fn open_segment(bytes: &[u8]) {
    let disk = SimulatedDisk::default();
    disk.create_directory(Path::new(ROOT)).unwrap();
    disk.create_directory(&Path::new(ROOT).join("log")).unwrap();
    for (path, bytes) in internals::store_of_segment(bytes) {
        disk.write_file(&Path::new(ROOT).join(path), &bytes).unwrap();
    }
    let environment = environment(&disk, &MemoryIndexProvider::default());
    let verified = bitacora::verify_in(&environment, ROOT);
    if let Ok(store) = Store::open_read_only_in(&environment, ROOT) {
        store.read_all(..).for_each(drop);
    }
    let content = |disk: &SimulatedDisk| {
        disk.files()
            .into_iter()
            .filter(|path| path.ends_with("00000000000000000001.seg"))
            .map(|path| disk.read_file(&path).unwrap())
            .next()
    };
    match Store::open_in(&environment, ROOT, options()) {
        Err(_) => assert_eq!(content(&disk).as_deref(), Some(bytes), "a store that does not open is not changed"),
        Ok(store) => {
            let events: Vec<Option<Event>> = each_event(&store).collect();
            let is_known = verified.is_ok_and(|report| !report.is_ok());
            assert!(is_known || events.iter().all(Option::is_some), "what reads refuse, verify finds");
            store.close().unwrap();
            let again = Store::open_in(&environment, ROOT, options()).unwrap();
            assert!(each_event(&again).eq(events), "what was opened opens again");
        }
    }
}

/// Every event of a store; `None` for one that is refused as damaged.
fn each_event(store: &Store) -> impl Iterator<Item = Option<Event>> {
    (1..=store.last_sequence().get()).map(|sequence| match store.event(Sequence::new(sequence)) {
        Ok(event) => Some(event.unwrap()),
        Err(error) => {
            assert_eq!(error.kind(), bitacora::ErrorKind::Corrupt, "{error}");
            None
        }
    })
}

fn options() -> Options {
    Options::new().segment_bytes(4096).background(false)
}

fn environment(disk: &SimulatedDisk, index: &MemoryIndexProvider) -> Environment {
    Environment::new(Arc::new(disk.clone()), Arc::new(index.clone()))
}

pub fn wallet_event(bytes: &[u8]) {
    let mut wallet = Wallet::new("1");
    for_each_event(bytes, WalletEvent::TYPES, |event| {
        if let Some(fact) = decode::<WalletEvent>(&event) {
            wallet.apply(&fact, &EventContext::from(&event));
        }
    });
    let _ = wallet.check_invariants();
}

pub fn payment_event(bytes: &[u8]) {
    let mut saga = PaymentSaga::new("1");
    for_each_event(bytes, PaymentEvent::TYPES, |event| {
        if let Some(fact) = decode::<PaymentEvent>(&event) {
            let outcome = saga.outcome().cloned();
            saga.apply(&fact, &EventContext::from(&event));
            assert!(outcome.is_none() || saga.outcome() == outcome.as_ref(), "a payment has one outcome");
            let _ = (saga.state(), saga.in_doubt(), saga.wallet_part(), saga.card_part());
        }
    });
}

/// An event, if it is one; it is written as it was read.
fn decode<E: DomainEvent + PartialEq + std::fmt::Debug>(event: &Event) -> Option<E> {
    let fact = E::decode(event).ok()?;
    let again = Event { payload: fact.encode().unwrap(), schema_version: fact.schema_version(), ..event.clone() };
    assert_eq!(E::decode(&again).unwrap(), fact, "an event is written as it was read");
    Some(fact)
}

/// Events one after another, each as a byte that chooses its type and its schema version, a byte with its payload's length, and
/// its payload.
fn for_each_event(mut bytes: &[u8], types: &[&str], mut take: impl FnMut(Event)) {
    let mut number = 0;
    while let [kind, length, rest @ ..] = bytes {
        let (payload, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        bytes = rest;
        number += 1;
        take(Event {
            sequence: Sequence::new(number),
            stream: StreamId::new("a-1").unwrap(),
            version: Version::new(number),
            id: EventId::from_bytes([1; 16]),
            event_type: EventType::new(types[usize::from(*kind) % types.len()]).unwrap(),
            schema_version: 1 + u16::from(*kind) / u16::try_from(types.len()).unwrap(),
            codec: CodecId::BINCODE,
            timestamp: Timestamp::EPOCH,
            tags: Vec::new(),
            metadata: Metadata::default(),
            payload: payload.to_vec(),
        });
    }
}
