//! Crash-testing your own code: the power is cut before every call to the disk, and each time the store is opened again.
//!
//! `cargo run --example crash_test --features simulation`
//!
//! What is tried here is a rule of a small till: a sale and the drawer's cash are one commit, so they are never apart.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::{Arc, Mutex, PoisonError};

use bitacora::disk::sim::{CrashOptions, OperationInfo, Random, SimulatedDisk};
use bitacora::index::MemoryIndexProvider;
use bitacora::{CodecId, Commit, Environment, EventType, ExpectedVersion, NewEvent, Options, Result, Store, StreamId};

const SALES: u64 = 40;

/// What a power cut could leave, and how many sales were acknowledged by then.
struct Image {
    disk: SimulatedDisk,
    index: MemoryIndexProvider,
    acknowledged: u64,
}

/// Small segments, so that a short run starts many; no thread, so that the calls come in the same order each time.
fn options() -> Options {
    Options::new().segment_bytes(4096).background(false)
}

fn environment(disk: &SimulatedDisk, index: &MemoryIndexProvider) -> Environment {
    Environment::new(Arc::new(disk.clone()), Arc::new(index.clone()))
}

fn sell(store: &Store, number: u64) -> Result<()> {
    let event = |event_type: &str| -> Result<NewEvent> {
        Ok(NewEvent::new(EventType::new(event_type)?, CodecId::RAW, number.to_le_bytes().to_vec()))
    };
    let commit = Commit::new()
        .append(&StreamId::new(format!("sale-{number}"))?, ExpectedVersion::NoStream, vec![event("Sold")?])
        .append(&StreamId::new("drawer-1")?, ExpectedVersion::Any, vec![event("CashIn")?]);
    store.commit(commit).map(drop)
}

/// Runs the till once and takes an image before every call that may change the disk.
fn images() -> Result<Vec<Image>> {
    let (disk, index) = (SimulatedDisk::default(), MemoryIndexProvider::default());
    let acknowledged = Arc::new(Mutex::new(0));
    let images = Arc::new(Mutex::new(Vec::new()));
    let observer = {
        let (index, acknowledged, images) = (index.clone(), Arc::clone(&acknowledged), Arc::clone(&images));
        let mut random = Random::new(1);
        move |_: &OperationInfo, disk: &SimulatedDisk| {
            let seed = random.next_u64();
            let image = Image {
                disk: disk.crash(seed, CrashOptions::default()),
                index: index.crash(seed),
                acknowledged: *acknowledged.lock().unwrap_or_else(PoisonError::into_inner),
            };
            images.lock().unwrap_or_else(PoisonError::into_inner).push(image);
        }
    };
    disk.set_observer(Box::new(observer));
    let store = Store::open_in(&environment(&disk, &index), "/till", options())?;
    for number in 1..=SALES {
        sell(&store, number)?;
        *acknowledged.lock().unwrap_or_else(PoisonError::into_inner) = number;
        if number % 10 == 0 {
            store.housekeep()?;
        }
    }
    store.close()?;
    disk.clear_observer();
    Ok(std::mem::take(&mut *images.lock().unwrap_or_else(PoisonError::into_inner)))
}

fn main() -> Result<()> {
    let images = images()?;
    let (mut cuts, mut replayed) = (0, 0);
    for (number, image) in images.iter().enumerate() {
        let store = Store::open_in(&environment(&image.disk, &image.index), "/till", options())?;
        let sales = u64::try_from(store.streams("sale-").count()).unwrap_or(u64::MAX);
        let cash = store.stream_head(&StreamId::new("drawer-1")?)?.map_or(0, |head| head.version.get());
        assert_eq!(sales, cash, "image {number}: a sale without its cash, or cash without its sale");
        assert!(sales >= image.acknowledged, "image {number}: an acknowledged sale is gone");
        assert!(sales <= image.acknowledged + 1, "image {number}: a sale that nobody made");
        cuts += u64::from(store.recovery_report().cut.is_some());
        replayed += store.recovery_report().events_replayed;
    }
    println!("{} power cuts, each recovered; {cuts} torn writes cut off, {replayed} events replayed", images.len());
    println!("sales without cash: 0, acknowledged sales lost: 0");
    Ok(())
}

#[test]
fn no_power_cut_parts_a_sale_from_its_cash() -> Result<()> {
    main()
}
