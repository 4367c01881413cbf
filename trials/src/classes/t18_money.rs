//! T18: wallets and payments, a crash before every operation of the disk, and a gateway that does not always answer.
//!
//! A piece is one till with several payments in flight. Before each operation it leaves an image: the disk after a power cut
//! or a kill, the index, and the gateway with the requests that are on their way to it. Each image is recovered as a till
//! is after a crash, and in some of them the recovery is cut again, up to twice; then every payment is brought to its end, and the
//! books are audited. A saga is counted each time that a payment was in flight at a crash and was carried to its end.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bitacora::aggregate::ExecuteError;
use bitacora::disk::sim::{OperationInfo, Random, SimulatedDisk};
use bitacora::payment::Orchestrator;
use bitacora::service::{SagaDecision, ServiceReport, Strategy, Trigger};
use bitacora::{ErrorKind, Timestamp};

use crate::class::{Class, Extent, Tally, Threads};
use crate::money::books::{Books, audit};
use crate::money::road::Road;
use crate::money::till::{Known, Plan, TIME_LIMIT, Till};
use crate::oracle;
use crate::workload::{Shape, World};
use bitacora::Durability;

pub const CLASS: Class = Class {
    id: "T18",
    what: "sagas carried through a crash",
    gate: 100_000,
    release: 10_000_000,
    extent: Extent::Endless,
    threads: Threads::Every,
    piece,
};

const PAYMENTS: usize = 5;
/// Crashes in a row.
const DEPTH_MAX: usize = 3;
/// One image in so many is crashed again within its recovery.
const AGAIN: u64 = 6;
/// One operation of such a recovery in so many.
const AGAIN_EACH: u64 = 12;

/// What a crash left.
struct Image {
    world: World,
    road: Road,
    known: Known,
    now: Timestamp,
    operation: u64,
    is_power_cut: bool,
}

type Images = Arc<Mutex<Vec<Image>>>;

/// Leaves an image before one in `each` operations of a till's disk.
fn watch(till: &Till, world: &World, seed: u64, each: u64) -> Images {
    let images = Images::default();
    let (index, kept) = (world.index.clone(), Arc::clone(&images));
    let (road, known, clock) = (Arc::clone(&till.road), Arc::clone(&till.known), till.clock.clone());
    let crash = till.plan.shape.crash;
    let mut random = Random::new(seed);
    world.disk.set_observer(Box::new(move |operation: &OperationInfo, disk: &SimulatedDisk| {
        if random.below(each) > 0 {
            return;
        }
        let seed = random.next_u64();
        let is_power_cut = !seed.is_multiple_of(4);
        let world = World { disk: disk.clone(), index: index.clone() };
        let image = Image {
            world: if is_power_cut { world.crash(seed, crash) } else { world.kill() },
            road: road.fork(),
            known: known.lock().expect("no panic under this lock").clone(),
            now: bitacora::clock::Clock::now(&clock),
            operation: operation.number,
            is_power_cut,
        };
        kept.lock().expect("no panic under this lock").push(image);
    }));
    images
}

fn take(world: &World, images: &Images) -> Vec<Image> {
    world.disk.clear_observer();
    std::mem::take(&mut *images.lock().expect("no panic under this lock"))
}

fn piece(seed: u64, tally: &mut Tally) {
    let mut random = Random::new(seed);
    let plan = Arc::new(Plan::drawn(&mut random, PAYMENTS));
    let world = World::new(&plan.shape);
    let road = Arc::new(Road::new(plan.temper, Random::new(random.next_u64())));
    let known = Arc::new(Mutex::new(Known::default()));
    let start = Timestamp::from_micros(1_000_000);
    let till = Till::open(&plan, &world, &road, &known, start).expect("a new store");
    till.recovery.recover(Trigger::Open, Strategy::Incremental).expect("an empty store is recovered");
    till.open_wallets().expect("wallets are opened");
    let images = watch(&till, &world, random.next_u64(), 1);
    work_beside(&till, &mut random);
    live(&till, &mut random);
    till.review(&mut random).and_then(|()| till.give_back(&mut random)).expect("no fault is injected");
    let label = || format!("without a crash, {:?}, {:?}", plan.shape, plan.temper);
    till.road.set_beside(None);
    let books = audit(&till, &label);
    for (what, count) in books.counts() {
        tally.note(what, count);
    }
    till.store.close().expect("a store is closed");
    let images = take(&world, &images);
    drop(till);
    for image in images {
        let random = Random::new(random.next_u64());
        follow(&plan, image, 1, "", random, tally);
    }
}

/// While a request is under way the till works on other payments, and now and then another worker on the same one.
fn work_beside(till: &Till, random: &mut Random) {
    let (orchestrator, wallets) = (till.orchestrator.clone(), till.wallets.clone());
    let (known, plan) = (Arc::clone(&till.known), Arc::clone(&till.plan));
    let store = till.store.clone();
    let mut random = Random::new(random.next_u64());
    till.road.set_beside(Some(Box::new(move |key| {
        if random.below(3) > 0 {
            return;
        }
        let asked = known.lock().expect("no panic under this lock").asked;
        let other = plan.payments[random.index(asked)].payment_id.as_str();
        let same = key.rsplit_once('/').map_or(other, |(payment_id, _)| payment_id);
        let payment_id = if random.below(3) == 0 { same } else { other };
        if orchestrator.load(payment_id).expect("a payment that can be read").is_some() {
            orchestrator.advance(payment_id, store.now()).expect("no fault is injected");
        }
        if random.below(4) == 0 {
            wallets.snapshot_changed();
        }
        if random.below(12) == 0 {
            cancel_beside(&orchestrator, &known, payment_id);
        }
    })));
}

/// An operator calls off what is being worked on.
fn cancel_beside(orchestrator: &Orchestrator, known: &Mutex<Known>, payment_id: &str) {
    match orchestrator.cancel(payment_id, "otto", "beside") {
        Ok(_) => {
            let mut known = known.lock().expect("no panic under this lock");
            known.words.insert((payment_id.to_owned(), "cancelled"));
        }
        // It is too late, or the payment is not on record.
        Err(ExecuteError::Refused(_)) => {}
        Err(ExecuteError::Store(error)) => assert_eq!(error.kind(), ErrorKind::NotFound, "no fault is injected"),
    }
}

/// The till's day: payments and deeds are asked for, and worked on in turns, until all are over.
fn live(till: &Till, random: &mut Random) {
    let (mut asked, mut dared, mut idle) = (0, 0, 0);
    let (payments, deeds) = (till.plan.payments.len(), till.plan.deeds.len());
    let works = "no fault is injected";
    // Money comes first, mostly.
    if random.below(4) > 0 {
        till.ask_deed(0).expect(works);
        dared = 1;
    }
    while asked < payments || dared < deeds || (0..asked).any(|number| !till.is_over(number)) {
        match random.below(12) {
            0..=2 if asked < payments => {
                till.ask_payment(asked).expect(works);
                asked += 1;
            }
            3 if dared < deeds => {
                till.ask_deed(dared).expect(works);
                dared += 1;
            }
            4 if random.below(2) == 0 => till.store.housekeep().expect(works),
            5 if random.below(3) == 0 => drop(till.recovery.checkpoint().expect(works)),
            6 if random.below(3) == 0 => drop(till.wallets.snapshot_changed()),
            7 if random.below(12) == 0 => till.clock.advance(TIME_LIMIT),
            8 if random.below(4) == 0 => drop(till.store.sync().expect(works)),
            9 if asked > 0 && random.below(3) == 0 => {
                till.cancel(&till.plan.payments[random.index(asked)].payment_id).expect(works);
            }
            10 if random.below(8) == 0 => till.clock.advance(Duration::from_millis(1)),
            _ if asked > 0 => {
                let open: Vec<_> = (0..asked).filter(|number| !till.is_over(*number)).collect();
                let Some(number) = open.get(random.index(open.len())) else { continue };
                let due = till.advance(&till.plan.payments[*number].payment_id, till.store.now()).expect(works);
                // Now and then nobody waits for as long as it takes.
                if let Some(due) = due.filter(|_| random.below(4) > 0) {
                    till.clock.set(due);
                }
                idle += 1;
                assert!(idle < 2_000, "the payments do not end");
            }
            _ => {}
        }
    }
}

/// The time that a restarted till finds.
fn restart_time(now: Timestamp, random: &mut Random) -> Timestamp {
    match random.below(8) {
        // A till that is off over night, or longer than there is to upload.
        3 => now.plus(Duration::from_secs(3_600 * (1 + random.below(30)))),
        0 => now.plus(TIME_LIMIT),
        1 => now.plus(Duration::from_millis(1)),
        2 => Timestamp::from_micros(now.as_micros() / 2),
        _ => now,
    }
}

/// Recovers an image, brings every payment to its end and audits the books.
fn follow(plan: &Arc<Plan>, image: Image, depth: usize, before: &str, mut random: Random, tally: &mut Tally) {
    let cut = if image.is_power_cut { "power cut" } else { "kill" };
    let place = format!("{before}{cut} before operation {}", image.operation);
    let strategy = if random.below(4) == 0 { Strategy::Full } else { Strategy::Incremental };
    let label = || format!("{place}, {strategy:?}, {:?}, {:?}", plan.shape, plan.temper);
    let Image { world, road, known, now, is_power_cut, .. } = image;
    let in_flight = plan.payments.iter().take(known.asked);
    let in_flight = in_flight.filter(|request| !known.over.contains_key(&request.payment_id)).count();
    let (road, known) = (Arc::new(road), Arc::new(Mutex::new(known)));
    let now = restart_time(now, &mut random);
    let cut_again = depth < DEPTH_MAX && random.below(AGAIN) == 0;
    let failed = |error: bitacora::Error| -> ! { panic!("{}: {error}", label()) };

    let till = Till::open(plan, &world, &road, &known, now).unwrap_or_else(|error| failed(error));
    let told = Books::of(&till.store, &plan.offline, &label);
    if is_power_cut && !keeps_all(&plan.shape) {
        // What was told on a promise of less is not held against the store.
        *known.lock().expect("no panic under this lock") = forgotten(&known);
    } else {
        told.hold_what_was_told(&known.lock().expect("no panic under this lock"), &label);
    }
    let images = cut_again.then(|| watch(&till, &world, random.next_u64(), AGAIN_EACH));
    let report = till.recovery.recover(Trigger::Open, strategy).unwrap_or_else(|error| failed(error));
    assert!(report.is_ready && report.findings.is_empty(), "{}: {:?}", label(), report.findings);
    for saga in &report.sagas {
        assert_ne!(saga.decision, SagaDecision::HeldBack, "{}: {}", label(), saga.saga_id);
    }
    carry_on(&till, &report, &mut random).unwrap_or_else(|error| failed(error));
    let books = audit(&till, &label);
    for ((what, before), (_, after)) in told.counts().into_iter().zip(books.counts()) {
        tally.note(what, after - before);
    }
    let images = images.map(|images| take(&world, &images)).unwrap_or_default();

    let last = till.store.last_sequence();
    let asked = known.lock().expect("no panic under this lock").asked;
    for number in 0..asked {
        till.finish(&plan.payments[number].payment_id).unwrap_or_else(|error| failed(error));
    }
    assert_eq!(till.store.last_sequence(), last, "{}: what is over stays over", label());
    if random.below(8) == 0 {
        oracle::check_verify(&world, &label);
    }
    for _ in 0..in_flight {
        tally.one();
    }
    tally.note("crashes", 1);
    tally.note("crashes within a recovery", u64::from(depth > 1));
    drop(till);
    let before = format!("{place}, then ");
    for image in images {
        let random = Random::new(random.next_u64());
        follow(plan, image, depth + 1, &before, random, tally);
    }
}

/// What a till does when it is back: all that is open is worked on, in turns at first, and brought to its end.
fn carry_on(till: &Till, report: &ServiceReport, random: &mut Random) -> bitacora::Result<()> {
    for saga in &report.sagas {
        if random.below(12) == 0 {
            till.cancel(&saga.saga_id)?;
        }
        till.advance(&saga.saga_id, till.store.now())?;
    }
    for saga in &report.sagas {
        till.finish(&saga.saga_id)?;
    }
    till.settle_all(random)?;
    till.review(random)?;
    till.give_back(random)
}

/// Whether a power cut may lose nothing that was acknowledged.
fn keeps_all(shape: &Shape) -> bool {
    shape.durability == Durability::Sync
}

/// What customers know for sure after a power cut of a store that promises less than `Sync`: what they asked for.
fn forgotten(known: &Mutex<Known>) -> Known {
    let known = known.lock().expect("no panic under this lock");
    Known { asked: known.asked, dared: known.dared, ..Known::default() }
}
