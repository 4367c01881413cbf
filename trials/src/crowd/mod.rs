//! A crowd of threads in one store, under shuttle: writers, one who reads, some who keep house, sync, close and open again,
//! while calls fail and the power is cut.
//!
//! The real store runs over a simulated disk and the index in memory. Shuttle decides at each access to a lock or an atomic who
//! goes on; the same seed decides the same. What a thread is told is written down at once, and every log that is left is
//! held against that.

pub mod ledger;
pub mod plan;

use std::sync::{Arc, Mutex};

use bitacora::disk::sim::{CrashOptions, Fault, SimulatedDisk, SimulationOptions};
use bitacora::index::MemoryIndexProvider;
use bitacora::{Durability, Error, ErrorKind, Event, ExpectedVersion, Receipt, Result, Sequence, Store};
use shuttle::rand::{Rng, thread_rng};
use shuttle::scheduler::{PctScheduler, RandomScheduler, UrwRandomScheduler};
use shuttle::thread;

use crate::workload::{STREAMS, World, stream};
use ledger::{Fate, Image, Ledger, all, check, check_streams, whole};
use plan::{Plan, Planned, Wish, key_name, of_id};

/// Bytes.
const STACK: usize = 256 * 1024;

/// More than any schedule of a plan takes: a thread that waits for another by looking again and again shows here.
const STEPS_MAX: usize = 200_000;

/// Tries so many schedules of a seed's plan.
///
/// # Panics
/// Where the store is at fault.
pub fn run(seed: u64, schedules: usize) {
    let plan = Arc::new(Plan::drawn(seed));
    let _shown = Shown(Arc::clone(&plan));
    let mut config = shuttle::Config::new();
    config.stack_size = STACK;
    config.max_steps = shuttle::MaxSteps::FailAfter(STEPS_MAX);
    // The seed tells the schedule, and is printed.
    config.silence_warnings = true;
    config.failure_persistence = shuttle::FailurePersistence::None;
    let one = move || schedule(&plan);
    let count = match seed % 4 {
        0 => shuttle::Runner::new(PctScheduler::new_from_seed(seed, 3, schedules), config).run(one),
        1 => shuttle::Runner::new(UrwRandomScheduler::new_from_seed(seed, schedules), config).run(one),
        _ => shuttle::Runner::new(RandomScheduler::new_from_seed(seed, schedules), config).run(one),
    };
    assert_eq!(count, schedules, "every schedule was tried");
}

/// Shows the plan that failed.
struct Shown(Arc<Plan>);

impl Drop for Shown {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the plan: {:#?}", self.0);
        }
    }
}

/// What all threads of a schedule share.
#[derive(Clone)]
struct Scene {
    plan: Arc<Plan>,
    world: World,
    ledger: Arc<Ledger>,
    /// What was left at some moment.
    images: Arc<Mutex<Vec<Image>>>,
    /// The store that was opened after a close.
    reopened: Arc<Mutex<Option<Store>>>,
}

/// One schedule, from the first open to the last image.
fn schedule(plan: &Arc<Plan>) {
    let options = SimulationOptions { after_failed_sync: plan.after_failed_sync, ..SimulationOptions::default() };
    let world = World { disk: SimulatedDisk::new(options), index: MemoryIndexProvider::default() };
    let store = world.open(&plan.shape).expect("a new store");
    if let Some(fault) = plan.fault {
        let planned = Fault::at(thread_rng().gen_range(1..12), fault.failure).of(fault.kind);
        world.disk.inject(if fault.is_lasting { planned.for_good() } else { planned });
    }
    let scene = Scene {
        plan: Arc::clone(plan),
        world,
        ledger: Arc::default(),
        images: Arc::default(),
        reopened: Arc::default(),
    };
    let mut threads = Vec::new();
    let mut start = |action: Box<dyn FnOnce(&Scene, &Store) + Send>| {
        let (scene, store) = (scene.clone(), store.clone());
        threads.push(thread::spawn(move || action(&scene, &store)));
    };
    for writer in 0..plan.writers.len() {
        start(Box::new(move |scene, store| write(scene, store, &scene.plan.writers[writer])));
    }
    for calls in plan.housekeeping.clone() {
        start(Box::new(move |scene, store| keep_house(scene, store, calls)));
    }
    if plan.reads > 0 {
        start(Box::new(read));
    }
    if plan.syncs > 0 {
        start(Box::new(sync));
    }
    if plan.is_cut {
        start(Box::new(|scene, _| cut(scene)));
    }
    for _ in 0..plan.closers {
        start(Box::new(close));
    }
    for thread in threads {
        thread.join().expect("no panic");
    }
    end(&scene, store);
}

/// Looks at what is left, with and without a close.
fn end(scene: &Scene, store: Store) {
    let now = scene.ledger.known();
    let last = scene.reopened.lock().expect("no panic").take().unwrap_or(store);
    if scene.plan.fault.is_none() && scene.plan.closers == 0 {
        assert!(!now.fates.contains(&Fate::Unknown), "nothing failed, and somebody does not know: {now:?}");
    }
    scene.take_image();
    // A second close says nothing of the first.
    let is_first = scene.plan.closers == 0 || scene.plan.fault.is_none();
    if last.close().is_ok() && is_first {
        scene.images.lock().expect("no panic").push(Image {
            world: scene.world.crash(thread_rng().r#gen(), CrashOptions::default()),
            known: now.clone(),
            is_kill: true,
        });
    }
    drop(last);
    let images = std::mem::take(&mut *scene.images.lock().expect("no panic"));
    for (number, image) in images.iter().enumerate() {
        drop(check(image, &scene.plan, &now, &format!("image {number} of {}", images.len())));
    }
}

impl Scene {
    /// What a power cut or a kill leaves at this moment. No other thread runs in between.
    fn take_image(&self) {
        let (how, seed) = (thread_rng().gen_range(0..3), thread_rng().r#gen());
        let known = self.ledger.known();
        let world = match how {
            0 => self.world.kill(),
            1 => World { disk: self.world.disk.crash_choosing(|_| false), index: self.world.index.crash(seed) },
            _ => self.world.crash(seed, CrashOptions::default()),
        };
        // A sync that fails may take back what was written.
        let is_kill = how == 0 && self.world.disk.failures() == 0;
        self.images.lock().expect("no panic").push(Image { world, known, is_kill });
    }

    /// Whether an answer can be right: most errors come only after a failure or a close.
    fn allow(&self, error: &Error, what: &str) {
        let is_right = match error.kind() {
            ErrorKind::Closed => self.plan.closers > 0,
            _ => self.plan.fault.is_some() && self.world.disk.failures() > 0,
        };
        assert!(is_right, "{what}: {error}");
    }

    /// Notes what a commit was told, and whether that can be right.
    fn judge(&self, store: &Store, planned: &Planned, outcome: &Result<Receipt>) {
        match outcome {
            Ok(receipt) => self.acknowledged(store, planned, receipt),
            Err(error) => self.refused(store, planned, error),
        }
    }

    fn acknowledged(&self, store: &Store, planned: &Planned, receipt: &Receipt) {
        let is_durable = self.plan.syncs_each() || planned.wants_sync;
        if !receipt.is_repeat {
            self.ledger.acknowledge(planned.number, receipt, is_durable);
        }
        let last = receipt.sequence_last;
        assert!(store.last_sequence() >= last, "acknowledged {last}, shown {}", store.last_sequence());
        if self.plan.syncs_each() || (is_durable && !receipt.is_repeat) {
            assert!(store.durable_sequence() >= last, "acknowledged {last}, durable {}", store.durable_sequence());
        }
        if receipt.is_repeat {
            // What is repeated is there, and has the same key and content.
            let event = store.event(receipt.sequence_first).expect("a read").expect("what a receipt names");
            let (number, _) = of_id(event.id);
            let first = self.plan.commits().nth(usize::from(number)).expect("a planned commit");
            assert_eq!(first.key, planned.key, "a repeat of commit {number}");
            self.ledger.note(planned.number, Fate::Refused);
            self.ledger.acknowledge(number, receipt, self.plan.syncs_each());
        } else {
            assert_eq!(last.get() + 1 - receipt.sequence_first.get(), planned.events.len() as u64);
        }
    }

    fn refused(&self, store: &Store, planned: &Planned, error: &Error) {
        let number = planned.number;
        match error.kind() {
            ErrorKind::CommitUnknown => {
                // In doubt; or it hung on another that is, and was not written itself.
                self.allow(error, "in doubt");
                return;
            }
            ErrorKind::Conflict => {
                let conflict = error.as_conflict().expect("a conflict's details");
                let head = store.stream_head(&conflict.stream);
                if let Ok(head) = head {
                    let version = head.map(|head| head.version);
                    assert!(version >= conflict.actual, "told of {:?}, shown {version:?}", conflict.actual);
                }
            }
            ErrorKind::IdempotencyConflict => {
                let (key, content) = planned.key.expect("only a commit with a key");
                if let Ok(used) = store.key_use(&key_name(key)) {
                    let used = used.expect("the key is used").content_hash;
                    assert_ne!(used, [content; 32], "the content is the same");
                }
            }
            _ => self.allow(error, "a commit"),
        }
        self.ledger.note(number, Fate::Refused);
    }
}

fn write(scene: &Scene, store: &Store, commits: &[Planned]) {
    let mut waiting = None;
    for planned in commits {
        let first = stream(STREAMS[planned.events[0].0]);
        let expected = match planned.wish {
            Wish::Any => ExpectedVersion::Any,
            Wish::Empty => ExpectedVersion::NoStream,
            Wish::AsSeen => match store.stream_head(&first) {
                Ok(head) => head.map_or(ExpectedVersion::NoStream, |head| ExpectedVersion::Exact(head.version)),
                Err(error) => {
                    scene.allow(&error, "a head");
                    ExpectedVersion::Any
                }
            },
        };
        scene.ledger.note(planned.number, Fate::Unknown);
        let commit = planned.commit(expected);
        let outcome = if planned.is_submitted {
            match store.submit(commit) {
                Ok(ticket) => {
                    if let Some((before, ticket)) = waiting.replace((planned, ticket)) {
                        scene.judge(store, before, &bitacora::Ticket::wait(ticket));
                    }
                    continue;
                }
                Err(error) => Err(error),
            }
        } else {
            store.commit(commit)
        };
        scene.judge(store, planned, &outcome);
    }
    if let Some((planned, ticket)) = waiting {
        scene.judge(store, planned, &ticket.wait());
    }
}

fn keep_house(scene: &Scene, store: &Store, calls: usize) {
    for _ in 0..calls {
        if let Err(error) = store.housekeep() {
            scene.allow(&error, "housekeeping");
        }
    }
}

fn sync(scene: &Scene, store: &Store) {
    for _ in 0..scene.plan.syncs {
        let before = scene.ledger.known().last(&scene.plan);
        match store.sync() {
            Ok(synced) => {
                scene.ledger.note_synced(synced);
                assert!(synced >= before, "acknowledged {before}, synced through {synced}");
            }
            Err(error) => scene.allow(&error, "a sync"),
        }
    }
}

/// What is shown is whole, gapless, a prefix of what is shown later, and durable where each commit is synced.
fn read(scene: &Scene, store: &Store) {
    let mut before: Vec<Event> = Vec::new();
    for _ in 0..scene.plan.reads {
        let shown = store.last_sequence();
        let events = all(store, "a reader");
        assert!(events.len() as u64 >= shown.get(), "shown {shown}, read {}", events.len());
        if scene.plan.syncs_each() {
            let durable = store.durable_sequence();
            assert!(durable.get() >= events.len() as u64, "read {}, durable {durable}", events.len());
            scene.ledger.note_synced(Sequence::new(events.len() as u64));
        }
        assert!(events.starts_with(&before), "what was shown stays shown");
        drop(whole(&events, &scene.plan, "a reader"));
        if scene.plan.closers == 0 {
            check_streams(store, &events, "a reader");
        }
        before = events;
    }
}

/// Waits for a moment that the checker chooses.
fn linger() {
    for _ in 0..thread_rng().gen_range(0..40) {
        thread::yield_now();
    }
}

fn cut(scene: &Scene) {
    linger();
    scene.take_image();
}

/// Closes, opens again at once, and goes on, while the others are still about in the store that was closed.
fn close(scene: &Scene, store: &Store) {
    linger();
    if let Err(error) = store.close() {
        return scene.allow(&error, "a close");
    }
    if scene.plan.fault.is_some() {
        return;
    }
    let again = match scene.world.open(&scene.plan.shape) {
        // The other one was quicker.
        Err(error) if error.kind() == ErrorKind::Locked && scene.plan.closers > 1 => return,
        again => again.unwrap_or_else(|error| panic!("after a close: {error}")),
    };
    assert!(again.recovery_report().was_closed_cleanly, "{:?}", again.recovery_report());
    let known = scene.ledger.known();
    assert!(again.last_sequence() >= known.last(&scene.plan), "after a close: {known:?}");
    for planned in &scene.plan.after {
        scene.ledger.note(planned.number, Fate::Unknown);
        let outcome = again.commit(planned.commit(ExpectedVersion::Any).durability(Durability::Sync));
        scene.judge(&again, planned, &outcome);
        if let Err(error) = outcome {
            panic!("after a close: {error}");
        }
    }
    if let Err(error) = again.housekeep() {
        panic!("after a close: {error}");
    }
    *scene.reopened.lock().expect("no panic") = Some(again);
}
