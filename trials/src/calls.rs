//! A life in sections, for trials that make its calls to the disk fail.
//!
//! A section is one opening of the store. The world at its start is kept, so that a run in which the n-th call of a section
//! fails starts there, exactly as the whole life would have come there, and not at the beginning.

use std::ops::ControlFlow;
use std::sync::Arc;

use bitacora::disk::sim::{Fault, OperationInfo, Random};
use bitacora::{Align, Checkpoint, Durability, Error, ErrorKind, Preallocation, Result, Sequence, Store};

use crate::oracle;
use crate::workload::{Book, Known, STREAMS, Shape, Sizes, World, key, snapshot_of, stream};

/// One thing that a life does with an open store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// The next commit.
    Commit,
    /// So many commits in flight at once.
    Submit(usize),
    /// What the housekeeping thread does.
    Housekeep,
    /// A sync of what is buffered.
    Sync,
    /// A snapshot that rests on the last event.
    Snapshot,
    /// A consumer's checkpoint at the last event.
    Checkpoint,
    /// All events, each stream and a key are read.
    Read,
    /// The store is closed.
    Close,
}

/// One opening.
#[derive(Debug)]
pub struct Section {
    /// How the store is opened.
    pub shape: Shape,
    /// What it stands on.
    pub world: World,
    /// How far the life had come.
    pub known: Known,
    /// The next commit.
    pub next: usize,
    /// What is done.
    pub acts: Vec<Act>,
    /// The calls that this takes where none fails.
    pub calls: Vec<OperationInfo>,
}

/// A whole life.
#[derive(Debug)]
pub struct Course {
    /// What is committed.
    pub book: Arc<Book>,
    /// The openings.
    pub sections: Vec<Section>,
}

/// How many openings a life has.
pub const SECTIONS: u64 = 4;
const ACTS: usize = 14;

impl Course {
    /// Goes through a life without a fault.
    ///
    /// # Panics
    /// Where the store fails.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0x00ca_1150);
        let sizes = Sizes { events_max: 3, payload_bytes_max: 300 };
        let book = Arc::new(Book::new(seed, SECTIONS as usize * ACTS * 3, sizes));
        let mut sections: Vec<Section> = Vec::new();
        let mut world = World::new(&Shape::plain());
        let (mut known, mut next) = (Known::default(), 0);
        for number in 0..SECTIONS {
            let mut acts: Vec<Act> = (0..ACTS).map(|_| drawn_act(&mut random)).collect();
            // Half of the openings end with a close, the others with a kill.
            if number % 2 == 0 {
                acts.push(Act::Close);
            }
            let mut section =
                Section { shape: drawn_shape(&mut random), world: world.clone(), known, next, acts, calls: Vec::new() };
            let mut caller = Caller::start(&section, &book, &[]);
            caller.open().unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            for act in section.acts.clone() {
                caller.act(act).unwrap_or_else(|error| panic!("seed {seed}, {act:?}: {error}"));
            }
            section.calls = caller.world.disk.operation_log();
            world = caller.world.kill();
            (known, next) = (book.known(), caller.next);
            caller.abandon();
            sections.push(section);
        }
        Self { book, sections }
    }

    /// How many calls there are.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.sections.iter().map(|section| section.calls.len()).sum()
    }
}

fn drawn_act(random: &mut Random) -> Act {
    match random.below(14) {
        0..=3 => Act::Commit,
        4..=6 => Act::Submit(2 + random.index(3)),
        7..=8 => Act::Housekeep,
        9 => Act::Sync,
        10 => Act::Snapshot,
        11 => Act::Checkpoint,
        _ => Act::Read,
    }
}

/// A life's openings differ in all that may differ from one opening to the next.
fn drawn_shape(random: &mut Random) -> Shape {
    let preallocation = [Preallocation::Grow, Preallocation::Reserve, Preallocation::ZeroFill][random.index(3)];
    let durability = if random.below(3) == 0 { Durability::Buffered } else { Durability::Sync };
    let align = if random.below(4) == 0 { Align::Sector } else { Align::Packed };
    let segment_bytes = if align == Align::Sector { 16 * 1024 } else { 4096 };
    let tail_events_max = [3, 7, 1000][random.index(3)];
    Shape { durability, align, preallocation, segment_bytes, tail_events_max, ..Shape::plain() }
}

/// What callers were told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Commits that went through.
    pub done: u64,
    /// Commits that may be there or not.
    pub unknown: u64,
    /// Commits that were never written, because of an earlier failure.
    pub poisoned: u64,
    /// Commits of which nothing was written, and which may be tried again.
    pub refused: u64,
}

/// Opens what a process left on a machine that runs on. One in two goes on with a commit, whose sync would hide that something
/// before it was not synced. Returns what it has served then.
///
/// # Panics
/// Where the store is at fault.
pub fn go_on(world: &World, shape: &Shape, book: &Book, known: Known, label: &dyn Fn() -> String) -> (Store, Known) {
    let (store, commits) = oracle::check(world, shape, book, known, label);
    let mut served = Known { acknowledged: commits, submitted: commits };
    if commits < book.commits() && world.disk.operations().is_multiple_of(2) {
        let commit = book.commit(commits).durability(Durability::Sync);
        store.commit(commit).unwrap_or_else(|error| panic!("{}: {error}", label()));
        served = Known { acknowledged: commits + 1, submitted: commits + 1 };
    }
    (store, served)
}

/// Somebody who uses a store and hears of its failures.
#[derive(Debug)]
pub struct Caller<'a> {
    /// What the store stands on.
    pub world: World,
    /// The next commit.
    pub next: usize,
    /// What was said.
    pub told: Told,
    /// Whether the store has said that it takes no more writes.
    pub is_stopped: bool,
    /// Commits before this one may be there.
    in_doubt: usize,
    shape: Shape,
    book: &'a Book,
    store: Option<Store>,
}

impl<'a> Caller<'a> {
    /// At the start of a section, with faults planned for its calls.
    #[must_use]
    pub fn start(section: &Section, book: &'a Book, faults: &[Fault]) -> Self {
        let world = section.world.kill();
        faults.iter().for_each(|fault| world.disk.inject(fault.clone()));
        book.note(section.known);
        let (next, shape) = (section.next, section.shape);
        Self { world, next, told: Told::default(), is_stopped: false, in_doubt: next, shape, book, store: None }
    }

    /// Opens the store.
    ///
    /// # Errors
    /// As `Store::open`.
    ///
    /// # Panics
    /// Where the error is none that a failing disk may lead to.
    pub fn open(&mut self) -> Result<()> {
        let opened = self.world.open(&self.shape);
        self.store = Some(opened.inspect_err(|error| expect(error, "open", &[ErrorKind::Io, ErrorKind::StorageFull]))?);
        self.is_stopped = false;
        self.note_durable();
        Ok(())
    }

    /// Whether the store is open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.store.is_some()
    }

    /// Ends it as a kill does.
    pub fn abandon(mut self) {
        if let Some(store) = self.store.take() {
            self.world.abandon(store);
        }
    }

    fn note_durable(&self) {
        if let Some(store) = &self.store {
            self.book.acknowledge_durable(store.durable_sequence());
        }
    }

    /// Does one thing with the open store.
    ///
    /// # Errors
    /// What the store says.
    ///
    /// # Panics
    /// Where the store says what it must not say.
    pub fn act(&mut self, act: Act) -> Result<()> {
        let Some(store) = self.store.clone() else { return Ok(()) };
        let outcome = match act {
            Act::Commit => return self.submit(&store, 1),
            Act::Submit(count) => return self.submit(&store, count),
            Act::Read => return self.read(&store),
            Act::Housekeep => store.housekeep(),
            Act::Sync => store.sync().map(drop),
            Act::Snapshot => store.save_snapshot(&snapshot_of(&store)),
            Act::Checkpoint => {
                let checkpoint = Checkpoint { sequence: store.last_sequence(), data: vec![1, 2, 3] };
                store.set_checkpoint("consumer", &checkpoint)
            }
            Act::Close => store.close(),
        };
        self.note_durable();
        if act == Act::Close {
            self.store = None;
        }
        // A chore takes room for the next segment.
        let kinds = [ErrorKind::Io, ErrorKind::Poisoned, ErrorKind::StorageFull];
        let kinds = if act == Act::Housekeep { &kinds[..] } else { &kinds[..2] };
        outcome.inspect_err(|error| expect(error, &format!("{act:?}"), kinds))
    }

    /// Commits, as many as asked for at once. What was refused is the next one again.
    fn submit(&mut self, store: &Store, count: usize) -> Result<()> {
        let mut tickets = Vec::new();
        let mut outcome = Ok(());
        let first = self.next;
        for number in (first..self.book.commits()).take(count) {
            self.book.submit(number);
            match store.submit(self.book.commit(number)) {
                Ok(ticket) => tickets.push(ticket),
                Err(error) => {
                    self.hear(number, Err(error), &mut outcome);
                    break;
                }
            }
        }
        // In the order of their places: those behind one that failed fail too.
        let refused_at_once = outcome;
        outcome = Ok(());
        for (number, ticket) in (first..).zip(tickets) {
            let answer = ticket.wait().map(|receipt| receipt.sequence_last);
            self.hear(number, answer, &mut outcome);
        }
        self.note_durable();
        outcome.and(refused_at_once)
    }

    fn hear(&mut self, number: usize, answer: Result<Sequence>, outcome: &mut Result<()>) {
        match answer {
            Ok(sequence) => {
                assert!(outcome.is_ok(), "commit {number} went through behind one that did not: {outcome:?}");
                assert!(!self.is_stopped, "commit {number} went through after the store had stopped");
                assert_eq!(sequence, self.book.sequence(number + 1), "the place of commit {number}");
                self.next = number + 1;
                self.told.done += 1;
                if self.shape.durability == Durability::Sync {
                    self.book.acknowledge(number);
                }
            }
            Err(error) => {
                let kinds = [ErrorKind::Io, ErrorKind::StorageFull, ErrorKind::CommitUnknown, ErrorKind::Poisoned];
                expect(&error, "commit", &kinds);
                let kind = error.kind();
                assert!(!self.is_stopped || kind != ErrorKind::StorageFull, "a stopped store asks for room: {error}");
                match kind {
                    ErrorKind::CommitUnknown => self.told.unknown += 1,
                    ErrorKind::Poisoned => self.told.poisoned += 1,
                    _ => self.told.refused += 1,
                }
                let is_first = outcome.is_ok();
                self.is_stopped |= matches!(kind, ErrorKind::CommitUnknown | ErrorKind::Poisoned);
                if kind == ErrorKind::CommitUnknown {
                    self.in_doubt = number + 1;
                } else if is_first {
                    // Nothing of it was written, nor of what came behind.
                    self.book.note(Known { submitted: number.max(self.in_doubt), ..self.book.known() });
                }
                if is_first {
                    *outcome = Err(error);
                }
            }
        }
    }

    /// Reads all in each way. An error is `Io`; what is shown is what was written, and all of what was acknowledged.
    fn read(&mut self, store: &Store) -> Result<()> {
        let expect_io = |error: &Error| expect(error, "read", &[ErrorKind::Io]);
        let known = self.book.known();
        let planned = self.book.events(known.submitted);
        let through = store.last_sequence().get() as usize;
        assert!(through >= self.book.events(known.acknowledged).len(), "what is acknowledged is shown");
        let mut found = 0;
        let visited = store.visit(.., |event| {
            let expected = &planned[found];
            assert!(event.payload == expected.payload && event.id == expected.id, "event {found} is another");
            found += 1;
            Ok(ControlFlow::Continue(()))
        });
        visited.inspect_err(expect_io)?;
        assert_eq!(found, through, "all that is shown is read");
        for (at, name) in STREAMS.iter().enumerate() {
            let wanted = planned[..through].iter().filter(|event| event.stream == at).count();
            let mut count = 0;
            for event in store.read_stream(&stream(name), ..) {
                event.inspect_err(expect_io)?;
                count += 1;
            }
            assert_eq!(count, wanted, "events of {name}");
        }
        if self.book.whole(through).is_some_and(|commits| commits > 0) {
            let number = self.book.whole(through).unwrap_or(1) - 1;
            let used = store.key_use(&key(number)).inspect_err(expect_io)?;
            assert!(used.is_some(), "the key of commit {number}");
        }
        Ok(())
    }
}

/// An error must be one of those that the call's documentation names for a failing disk.
fn expect(error: &Error, call: &str, kinds: &[ErrorKind]) {
    assert!(kinds.contains(&error.kind()), "{call} answers {:?}: {error}", error.kind());
}
