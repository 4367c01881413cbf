//! A saga of your own, killed at every place: the order of `order.rs`, which is all that you would write.
//!
//! `cargo run --example own_saga --features simulation`
//!
//! The power is cut before every call to the disk. Each time the store is opened again, what is open is found in the log and gone
//! on with, against the same card and the same printer as before.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

mod order;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use bitacora::aggregate::DomainEvent;
use bitacora::clock::ManualClock;
use bitacora::disk::sim::{CrashOptions, OperationInfo, SimulatedDisk};
use bitacora::index::MemoryIndexProvider;
use bitacora::money::{Currency, Money};
use bitacora::payment::{Charge, GatewayProfile, MemoryGateway};
use bitacora::saga::{SagaDriver, SagaOptions};
use bitacora::{Environment, Error, ErrorKind, Metadata, Options, Result, Store, StreamId, Timestamp};

use order::{Fact, Order, Shop};

const CENTS: i64 = 450;

/// Everything that outlives a life of the process. A cut is a copy of it, of which no other one knows.
struct World {
    disk: SimulatedDisk,
    index: MemoryIndexProvider,
    gateway: MemoryGateway,
    printer: Option<Arc<Mutex<BTreeSet<String>>>>,
}

impl World {
    fn new(profile: GatewayProfile, has_paper: bool) -> Self {
        Self {
            disk: SimulatedDisk::default(),
            index: MemoryIndexProvider::default(),
            gateway: MemoryGateway::new(profile),
            printer: has_paper.then(Arc::default),
        }
    }

    /// What is left if the power is cut now.
    fn cut(&self, disk: &SimulatedDisk, seed: u64) -> Self {
        Self {
            disk: disk.crash(seed, CrashOptions::default()),
            index: self.index.crash(seed),
            gateway: self.gateway.fork(),
            printer: self.printer.as_ref().map(|roll| Arc::new(Mutex::new(lock(roll).clone()))),
        }
    }

    fn store(&self) -> Result<Store> {
        let environment = Environment::new(Arc::new(self.disk.clone()), Arc::new(self.index.clone()));
        let clock = ManualClock::new(Timestamp::from_micros(1_000_000));
        let options = Options::new().segment_bytes(4096).background(false).clock(Arc::new(clock));
        Store::open_in(&environment, "/shop", options)
    }

    /// One life: the order is placed, if it is not there yet, and carried on to its end, waiting in no time.
    fn live(&self, store: &Store) -> Result<()> {
        let euro = Currency::from_code("EUR").ok_or_else(|| Error::new(ErrorKind::InvalidInput, "no such currency"))?;
        let (price, printer) = (Money::new(CENTS, euro), self.printer.clone());
        let shop = Shop { price, gateway: self.gateway.clone(), printer };
        let orders = SagaDriver::<Order, Shop>::new(store.clone(), shop, (), SagaOptions::default())?;
        orders.start("17", &[Fact::Placed], &Metadata::default())?;
        let mut now = Timestamp::EPOCH;
        while let Some(due) = orders.poll(now)?.next_due {
            now = due;
        }
        Ok(())
    }

    fn charge(&self) -> Charge {
        self.gateway.journal().charges.into_values().next().unwrap_or_default()
    }

    fn receipts(&self) -> usize {
        self.printer.as_ref().map_or(0, |roll| lock(roll).len())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn story(store: &Store) -> Result<Vec<Fact>> {
    store.read_stream(&StreamId::new("order-17")?, ..).map(|event| Fact::decode(&event?)).collect()
}

/// Runs an order once, with a copy of the world before every call that may change the disk.
fn cuts(world: &World) -> Result<Vec<World>> {
    let cuts = Arc::new(Mutex::new(Vec::new()));
    let observer = {
        let cuts = Arc::clone(&cuts);
        let (index, gateway, printer) = (world.index.clone(), world.gateway.clone(), world.printer.clone());
        let seen = World { disk: SimulatedDisk::default(), index, gateway, printer };
        move |operation: &OperationInfo, disk: &SimulatedDisk| {
            let cut = seen.cut(disk, operation.number);
            lock(&cuts).push(cut);
        }
    };
    world.disk.set_observer(Box::new(observer));
    let store = world.store()?;
    world.live(&store)?;
    store.close()?;
    world.disk.clear_observer();
    Ok(std::mem::take(&mut *lock(&cuts)))
}

/// One end, and everything else fits it.
fn check(world: &World, store: &Store) -> Result<bool> {
    let story = story(store)?;
    let ends = story.iter().filter(|fact| matches!(fact, Fact::Fulfilled | Fact::Cancelled)).count();
    assert_eq!(ends, 1, "an order ends once: {story:?}");
    let is_fulfilled = matches!(story.last(), Some(Fact::Fulfilled));
    let charge = world.charge();
    assert!(!charge.is_double() && charge.net() == if is_fulfilled { CENTS } else { 0 }, "{charge:?}");
    assert_eq!(world.receipts(), usize::from(is_fulfilled));
    let shelf: Vec<String> = store
        .read_stream(&StreamId::new("shelf-cups")?, ..)
        .map(|event| event.map(|event| event.event_type.as_str().to_owned()))
        .collect::<Result<_>>()?;
    let expected: &[&str] = if is_fulfilled { &["CupTaken"] } else { &["CupTaken", "CupPutBack"] };
    assert_eq!(shelf, expected, "taken once, and put back once where it is undone");
    Ok(is_fulfilled)
}

fn main() -> Result<()> {
    let lossy = GatewayProfile { timeout_after_permille: 1_000, ..GatewayProfile::always_approve() };
    let declining = GatewayProfile { decline_permille: 1_000, ..GatewayProfile::always_approve() };
    let approving = GatewayProfile::always_approve();
    let days = [
        ("a good day", approving, true),
        ("answers get lost", lossy, true),
        ("the card is declined", declining, true),
        ("the printer is out of paper", approving, false),
    ];
    for (day, profile, has_paper) in days {
        let world = World::new(profile, has_paper);
        let cuts = cuts(&world)?;
        println!("\n{day}: {} places to cut the power at", cuts.len());
        let mut is_shown = false;
        for (number, cut) in cuts.iter().enumerate() {
            let store = cut.store()?;
            let (survived, captured) = (story(&store)?, cut.charge().captured);
            cut.live(&store)?;
            check(cut, &store)?;
            // One of them in full: the card is charged, and nothing on record says so.
            if !is_shown && captured > 0 && matches!(survived.last(), Some(Fact::Called(step, _)) if step == "capture")
            {
                is_shown = true;
                println!("  the one before call {}:", number + 1);
                for (place, fact) in story(&store)?.iter().enumerate() {
                    if place == survived.len() {
                        println!(
                            "    ----- the power fails: {captured} cents are taken, and nothing on record says so -----"
                        );
                        println!("    ----- opened again, the order is found in the log and gone on with -----");
                    }
                    println!("    {fact:?}");
                }
            }
        }
        let end = if check(&world, &world.store()?)? { "fulfilled" } else { "cancelled" };
        let (net, receipts) = (world.charge().net(), world.receipts());
        println!("  each time the order is {end} once: {net} cents charged, {receipts} receipt(s), the shelf adds up");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_order_that_is_killed_anywhere_ends_once_and_everything_adds_up() {
        super::main().unwrap();
    }
}
