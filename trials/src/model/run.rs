//! Carries a plan out, on a store and on the model, and compares every answer.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use bitacora::clock::ManualClock;
use bitacora::disk::sim::{OperationInfo, SimulatedDisk};
use bitacora::{Durability, Error, ErrorKind, Event, Receipt, Store, Ticket, Timestamp};

use super::operation::{Batch, Operation, Plan};
use super::plain::{Answer, Model, Refusal};
use crate::workload::{ROOT, Shape, World};

mod beside;
mod build;
mod compare;
mod full;
mod read;

pub(crate) use build::{again, ready};

/// What the clock shows at first.
const CLOCK_MICROS: i64 = 1000;
/// Readers that are kept at once.
const HELD_MAX: usize = 4;

/// What a plan met, for the tally.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Met {
    /// Commits that went through.
    pub commits: u64,
    /// Commits that were refused.
    pub refused: u64,
    /// Commits that were repeats.
    pub repeats: u64,
    /// Power cuts and kills.
    pub crashes: u64,
    /// Those of them within an operation.
    pub within: u64,
    /// Commits that a full disk refused.
    pub full: u64,
    /// Commits that it left in doubt.
    pub in_doubt: u64,
}

/// A crash that is to happen.
struct Armed {
    kill: bool,
    image: Arc<Mutex<Option<World>>>,
}

/// A commit whose ticket is kept.
struct Awaited {
    ticket: Ticket,
    answer: Answer,
}

/// A store at work, and what it must be like.
pub(super) struct Run {
    world: World,
    shape: Shape,
    clock: ManualClock,
    store: Option<Store>,
    model: Model,
    tickets: Vec<Awaited>,
    /// Commits with a key, for repeating them.
    keyed: Vec<Batch>,
    held: VecDeque<read::Held>,
    armed: Option<Armed>,
    is_full: bool,
    ids: u64,
    met: Met,
}

/// Carries a plan out.
///
/// # Panics
/// Where the store answers otherwise than the model, or is at fault by itself.
pub fn run(plan: &Plan) -> Met {
    let mut run = Run::start(plan.shape);
    for operation in &plan.operations {
        run.step(operation);
    }
    run.end();
    run.met
}

/// The same, where a panic leaves the store as it stands: to close it might panic again, and end the process.
///
/// # Errors
/// What the panic carries.
pub fn attempt(plan: &Plan) -> std::thread::Result<Met> {
    let mut run = std::mem::ManuallyDrop::new(Run::start(plan.shape));
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        for operation in &plan.operations {
            run.step(operation);
        }
        run.end();
        run.met
    }));
    if outcome.is_ok() {
        drop(std::mem::ManuallyDrop::into_inner(run));
    }
    outcome
}

impl Run {
    fn start(shape: Shape) -> Self {
        let clock = ManualClock::new(Timestamp::from_micros(CLOCK_MICROS));
        let mut run = Self {
            world: World::new(&shape),
            shape,
            model: Model::new(shape.durability == Durability::Sync, Timestamp::from_micros(CLOCK_MICROS)),
            clock,
            store: None,
            tickets: Vec::new(),
            keyed: Vec::new(),
            held: VecDeque::new(),
            armed: None,
            is_full: false,
            ids: 0,
            met: Met::default(),
        };
        run.open();
        run
    }

    fn open(&mut self) {
        self.model.open();
        let options = self.shape.options().clock(Arc::new(self.clock.clone()));
        let opened = Store::open_in(&self.world.environment(), ROOT, options);
        let store = opened.unwrap_or_else(|error| panic!("the store does not open: {error}"));
        // What was never asked for is not held to, so the time is asked for.
        let _ = store.now();
        self.store = Some(store);
    }

    fn store(&self) -> &Store {
        self.store.as_ref().expect("the store is open")
    }

    /// Does one thing, and crashes where one was to happen within it.
    fn step(&mut self, operation: &Operation) {
        let (visible, durable, states) = (self.model.last(), self.model.durable, self.model.states.len());
        self.act(operation);
        self.check_standing();
        let image = self.armed.as_ref().and_then(|armed| armed.image.lock().expect("no panic under this lock").take());
        if let Some(world) = image {
            let kill = self.armed.as_ref().is_some_and(|armed| armed.kill);
            self.met.within += 1;
            // A kill keeps all that was acknowledged, and what lay beside the log; a power cut what was durable.
            if kill {
                self.crash(world, visible, Some(states - 1));
            } else {
                self.crash(world, durable, None);
            }
        }
    }

    fn act(&mut self, operation: &Operation) {
        match operation {
            Operation::Commit(batch) => self.commit(batch, false),
            Operation::Submit(batch) => self.commit(batch, true),
            Operation::Again { which, change, submit } => {
                if let Some(batch) = pick(&self.keyed, *which).map(|at| again(&self.keyed[at], *change)) {
                    self.commit(&batch, *submit);
                }
            }
            Operation::Wait { which } => {
                if let Some(at) = pick(&self.tickets, *which) {
                    let awaited = self.tickets.remove(at);
                    self.wait(awaited);
                }
            }
            Operation::Drop { which } => {
                if let Some(at) = pick(&self.tickets, *which) {
                    self.tickets.remove(at);
                }
            }
            Operation::Sync => {
                self.model.sync();
                let outcome = self.store().sync().map(bitacora::Sequence::get);
                assert_eq!(outcome.map_err(|error| error.kind()), Ok(self.model.last()), "sync");
            }
            Operation::Housekeep => self.housekeep(),
            Operation::Full { spare } => self.fill(*spare),
            Operation::Room => self.give_room(),
            Operation::Clock { micros } => {
                let time = self.model.move_clock(i64::from(*micros));
                self.clock.set(time);
            }
            Operation::ReadAll(selection) => self.read_all(selection),
            Operation::ReadStream { stream, selection } => self.read_stream(*stream, selection),
            Operation::Hold { stream, selection } => {
                let held = self.hold(*stream, selection);
                self.held.push_back(held);
                if self.held.len() > HELD_MAX {
                    self.held.pop_front();
                }
            }
            Operation::Resume { events } => self.resume(*events),
            Operation::Look { number } => self.look(*number),
            Operation::Snapshot { stream, version } => self.snapshot(*stream, *version),
            Operation::Checkpoint { consumer, sequence } => self.checkpoint(*consumer, u64::from(*sequence)),
            Operation::Consume { consumer, events } => self.consume(*consumer, *events),
            Operation::Beside => self.beside(),
            Operation::Reopen { verify, lose_index } => self.reopen(*verify, *lose_index),
            Operation::Kill => {
                let world = self.world.kill();
                self.crash(world, self.model.last(), Some(self.model.states.len() - 1));
            }
            Operation::PowerCut { seed } => {
                let world = self.world.crash(u64::from(*seed), self.shape.crash);
                self.crash(world, self.model.durable, None);
            }
            Operation::Cut { calls, seed, kill } => self.arm(*calls, *seed, *kill),
        }
    }

    /// What holds after everything: what readers see, what is durable, and the time.
    fn check_standing(&mut self) {
        let store = self.store();
        assert_eq!(store.last_sequence().get(), self.model.last(), "the last sequence");
        assert_eq!(store.now(), self.model.now(), "the store's time");
        let durable = store.durable_sequence().get();
        let bounds = self.model.durable..=self.model.last();
        assert!(bounds.contains(&durable), "durable up to {durable}, must be in {bounds:?}");
        // It may have synced more than it had to, and has to keep what it says.
        self.model.durable = durable;
    }

    fn commit(&mut self, batch: &Batch, submit: bool) {
        let ready = ready(batch, &self.model, &mut self.ids);
        if batch.key.is_some() {
            self.keyed.push(batch.clone());
        }
        let expected = self.model.submit(&ready);
        match &expected {
            Ok(Answer::Repeat(_)) => self.met.repeats += 1,
            Ok(Answer::Placed(_)) => self.met.commits += 1,
            Err(_) => self.met.refused += 1,
        }
        if self.is_full && matches!(expected, Ok(Answer::Placed(_))) {
            return self.commit_to_full(&ready, batch.reserve, expected.expect("a place"));
        }
        let commit = build::commit(&ready, batch.reserve);
        if submit {
            match (self.store().submit(commit), expected) {
                (Ok(ticket), Ok(answer)) => self.tickets.push(Awaited { ticket, answer }),
                (Err(error), Err(refusal)) => assert_eq!(refusal_of(&error), refusal, "submit: {error}"),
                (found, expected) => panic!("submit answers {found:?}, expected {expected:?}: {ready:?}"),
            }
            return;
        }
        if matches!(expected, Ok(Answer::Placed(_))) {
            self.model.flush();
        }
        let found = self.store().commit(commit);
        self.compare_receipt(found, expected, &ready);
    }

    fn wait(&mut self, awaited: Awaited) {
        if let Answer::Placed(number) = awaited.answer
            && self.model.is_pending(number)
        {
            self.model.flush();
        }
        let found = awaited.ticket.wait();
        self.compare_receipt(found, Ok(awaited.answer), &"a ticket");
    }

    fn compare_receipt(
        &self,
        found: Result<Receipt, Error>,
        expected: Result<Answer, Refusal>,
        what: &dyn std::fmt::Debug,
    ) {
        let expected = expected.map(|answer| match answer {
            Answer::Repeat(receipt) => receipt,
            Answer::Placed(number) => self.model.receipt(number).expect("a commit that was written").clone(),
        });
        assert_eq!(found.map_err(|error| refusal_of(&error)), expected, "the answer to {what:?}");
    }

    fn reopen(&mut self, verify: bool, lose_index: bool) {
        self.give_room();
        self.model.sync();
        self.store().close().unwrap_or_else(|error| panic!("close: {error}"));
        let store = self.store.take().expect("the store is open");
        let closed = Some(ErrorKind::Closed);
        let facts = Batch::of_one_event();
        let commit = || build::commit(&ready(&facts, &self.model, &mut 0), false);
        assert_eq!(store.commit(commit()).err().map(|error| error.kind()), closed, "a commit after the close");
        assert_eq!(store.submit(commit()).err().map(|error| error.kind()), closed, "a submit after the close");
        assert_eq!(store.sync().err().map(|error| error.kind()), closed, "a sync after the close");
        assert!(store.close().is_ok(), "a second close");
        self.held.clear();
        drop(store);
        if verify {
            crate::oracle::check_verify(&self.world, &|| "after a close".to_owned());
        }
        if lose_index {
            self.disarm();
            self.world.index = bitacora::index::MemoryIndexProvider::default();
            self.model.states = vec![super::plain::State::default()];
        }
        self.open();
        self.compare();
        assert_eq!(self.state(), *self.model.state(), "what lies beside the log");
    }

    fn arm(&mut self, calls: u8, seed: u8, kill: bool) {
        self.disarm();
        let image = Arc::new(Mutex::new(None));
        let (index, crash, kept, mut left) = (self.world.index.clone(), self.shape.crash, Arc::clone(&image), calls);
        self.world.disk.set_observer(Box::new(move |_: &OperationInfo, disk: &SimulatedDisk| {
            if left == 0 && !disk_is_taken(&kept) {
                let world = World { disk: disk.clone(), index: index.clone() };
                let world = if kill { world.kill() } else { world.crash(u64::from(seed), crash) };
                *kept.lock().expect("no panic under this lock") = Some(world);
            }
            left = left.saturating_sub(1);
        }));
        self.armed = Some(Armed { kill, image });
    }

    fn disarm(&mut self) {
        self.world.disk.clear_observer();
        self.armed = None;
    }

    /// Goes on with what a crash has left, which must hold the first `lower` events at least. What lay beside the log is there
    /// with so many changes at least after a kill; a power cut may take any of them back.
    fn crash(&mut self, world: World, lower: u64, changes: Option<usize>) {
        self.met.crashes += 1;
        self.disarm();
        self.tickets.clear();
        self.held.clear();
        if let Some(store) = self.store.take() {
            self.world.abandon(store);
        }
        self.world = world;
        self.give_room();
        self.open();
        let last = self.store().last_sequence().get();
        let bounds = lower..=self.model.last();
        assert!(bounds.contains(&last), "the log ends at {last} after a crash, must be in {bounds:?}");
        self.model.cut_to(last);
        assert_eq!(self.store().durable_sequence().get(), last, "what an open shows is durable");
        let state = self.state();
        let (states, from) = (&mut self.model.states, changes.unwrap_or(0));
        let place = states[from..].iter().rposition(|known| *known == state);
        let place = place.unwrap_or_else(|| panic!("{state:?} is none of {:?}", &states[from..]));
        states.truncate(from + place + 1);
        if changes.is_none() {
            // What a power cut has left stays. What a kill has left may yet be taken back.
            states.drain(..place);
        }
        self.compare();
    }

    /// Closes, and looks at everything once more.
    fn end(&mut self) {
        self.disarm();
        self.give_room();
        self.compare();
        self.model.sync();
        self.store().close().unwrap_or_else(|error| panic!("close: {error}"));
        for awaited in std::mem::take(&mut self.tickets) {
            self.wait(awaited);
        }
        self.held.clear();
        self.store = None;
        crate::oracle::check_verify(&self.world, &|| "at the end".to_owned());
        self.open();
        self.compare();
        assert_eq!(self.state(), *self.model.state(), "what lies beside the log");
    }
}

fn disk_is_taken(image: &Mutex<Option<World>>) -> bool {
    image.lock().expect("no panic under this lock").is_some()
}

/// The place that a number counts back to from the end.
fn pick<T>(all: &[T], which: u8) -> Option<usize> {
    (!all.is_empty()).then(|| all.len() - 1 - usize::from(which) % all.len())
}

fn refusal_of(error: &Error) -> Refusal {
    Refusal { kind: error.kind(), conflict: error.as_conflict().cloned() }
}

/// The events that a reader has still to show.
type Left = VecDeque<Event>;
