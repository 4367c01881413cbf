//! A small store's life, as a seed tells it: which commits, in which order, between which openings.
//!
//! Everything is a function of the seed, so that the oracle knows what every commit holds without being told.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bitacora::clock::ManualClock;
use bitacora::disk::sim::{CrashOptions, Failure, Fault, Random, Sector, SimulatedDisk, SimulationOptions};
use bitacora::index::MemoryIndexProvider;
use bitacora::snapshot::Snapshot;
use bitacora::{
    Align, Checkpoint, CodecId, Commit, Durability, Environment, EventId, EventType, ExpectedVersion, NewEvent,
    Options, Preallocation, Result, Sequence, Store, StoreId, StreamId, Timestamp, Version,
};

/// Where the store stands on the simulated disk.
pub const ROOT: &str = "/store";

/// The streams that every workload writes to.
pub const STREAMS: [&str; 3] = ["order-1", "order-2", "drawer-1"];

/// How a store is opened, and what it stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// When an append is acknowledged.
    pub durability: Durability,
    /// Where groups start.
    pub align: Align,
    /// How room is taken.
    pub preallocation: Preallocation,
    /// The size of a segment, bytes.
    pub segment_bytes: u64,
    /// Events in memory before they go into the index.
    pub tail_events_max: usize,
    /// The disk's sectors.
    pub sector: Sector,
    /// What a power cut may do.
    pub crash: CrashOptions,
}

impl Shape {
    /// The plainest one: synced, packed, 4 KiB segments, 512-byte sectors, powersafe overwrite.
    #[must_use]
    pub fn plain() -> Self {
        Self {
            durability: Durability::Sync,
            align: Align::Packed,
            preallocation: Preallocation::ZeroFill,
            segment_bytes: 4096,
            tail_events_max: 7,
            sector: Sector::Bytes512,
            crash: CrashOptions::default(),
        }
    }

    /// One of all shapes under which nothing acknowledged may be lost.
    #[must_use]
    pub fn drawn(random: &mut Random) -> Self {
        let align = if random.below(3) == 0 { Align::Sector } else { Align::Packed };
        let sector = if random.below(3) == 0 { Sector::Bytes4096 } else { Sector::Bytes512 };
        let preallocation = [Preallocation::Grow, Preallocation::Reserve, Preallocation::ZeroFill][random.index(3)];
        let powersafe = align == Align::Packed || random.below(2) == 0;
        let stale_allocation = random.below(4) == 0;
        let durability = match random.below(8) {
            0 => Durability::Buffered,
            1 => Durability::Interval(Duration::from_secs(3600)),
            _ => Durability::Sync,
        };
        Self {
            durability,
            align,
            preallocation,
            segment_bytes: [4096, 4096, 8192, 16 * 1024][random.index(4)],
            tail_events_max: [1, 3, 7, 1000][random.index(4)],
            sector,
            crash: CrashOptions { powersafe, stale_allocation },
        }
    }

    /// The options of a store of this shape.
    #[must_use]
    pub fn options(&self) -> Options {
        Options::new()
            .segment_bytes(self.segment_bytes)
            .durability(self.durability)
            .preallocation(self.preallocation)
            .align(self.align)
            .background(false)
            .tail_events_max(self.tail_events_max)
            .store_id(StoreId::from_bytes([7; 16]))
            .clock(Arc::new(ManualClock::new(Timestamp::from_micros(1))))
    }

    /// An empty disk for it.
    #[must_use]
    pub fn disk(&self) -> SimulatedDisk {
        SimulatedDisk::new(SimulationOptions { sector: self.sector, ..SimulationOptions::default() })
    }
}

/// A disk and an index that a store stands on.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// The disk.
    pub disk: SimulatedDisk,
    /// The index, in memory and with a crash model of its own.
    pub index: MemoryIndexProvider,
}

impl World {
    /// A new one.
    #[must_use]
    pub fn new(shape: &Shape) -> Self {
        Self { disk: shape.disk(), index: MemoryIndexProvider::default() }
    }

    /// What a power cut now leaves.
    #[must_use]
    pub fn crash(&self, seed: u64, options: CrashOptions) -> Self {
        Self { disk: self.disk.crash(seed, options), index: self.index.crash(seed) }
    }

    /// What a kill now leaves.
    #[must_use]
    pub fn kill(&self) -> Self {
        Self { disk: self.disk.kill(), index: self.index.kill() }
    }

    /// What a kill now leaves, in the place of this world: its observer and all who hold its index come along. A store that
    /// is open goes on in the old one.
    pub fn restart(&mut self) {
        let observer = self.disk.take_observer();
        self.disk = self.disk.kill();
        self.index.restore(&self.index.snapshot());
        if let Some(observer) = observer {
            self.disk.set_observer(observer);
        }
    }

    /// Drops a store without what a close would write. This world's disk is of no use afterwards.
    pub fn abandon(&self, store: Store) {
        self.disk.inject(Fault::at(1, Failure::Io).for_good());
        drop(store);
    }

    /// As a store wants it.
    #[must_use]
    pub fn environment(&self) -> Environment {
        Environment::new(Arc::new(self.disk.clone()), Arc::new(self.index.clone()))
    }

    /// Opens the store.
    ///
    /// # Errors
    /// As `Store::open`.
    pub fn open(&self, shape: &Shape) -> Result<Store> {
        Store::open_in(&self.environment(), ROOT, shape.options())
    }

    /// Every file with its bytes, but the lock's.
    #[must_use]
    pub fn contents(&self) -> Vec<(std::path::PathBuf, Vec<u8>)> {
        let files = self.disk.files().into_iter().filter(|path| !path.ends_with("LOCK"));
        files.map(|path| (path.clone(), self.disk.read_file(&path).expect("a file that is listed"))).collect()
    }

    /// The segments' paths, in the order of their names.
    #[must_use]
    pub fn segments(&self) -> Vec<std::path::PathBuf> {
        let is_segment = |path: &std::path::PathBuf| path.extension().is_some_and(|end| end == "seg");
        self.disk.files().into_iter().filter(is_segment).collect()
    }
}

/// One event that the oracle expects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// Which of [`STREAMS`].
    pub stream: usize,
    /// Its version there.
    pub version: u64,
    /// Its id.
    pub id: EventId,
    /// Its payload.
    pub payload: Vec<u8>,
}

fn planned(random: &mut Random, versions: &mut [u64; STREAMS.len()], stream: usize, payload_bytes: usize) -> Planned {
    versions[stream] += 1;
    let mut payload = vec![0; payload_bytes];
    random.fill(&mut payload);
    let mut id = [0; 16];
    random.fill(&mut id);
    Planned { stream, version: versions[stream], id: EventId::from_bytes(id), payload }
}

/// All commits that a workload may make, and how far it came.
#[derive(Debug, Default)]
pub struct Book {
    events: Vec<Planned>,
    /// Where each commit's events start in `events`, and after the last one the end.
    starts: Vec<usize>,
    acknowledged: AtomicUsize,
    submitted: AtomicUsize,
}

/// How far a workload had come at one moment, in commits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Known {
    /// Those acknowledged.
    pub acknowledged: usize,
    /// Those submitted, the acknowledged ones among them.
    pub submitted: usize,
}

/// How large payloads are.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// The most events of a commit.
    pub events_max: usize,
    /// The longest payload, bytes.
    pub payload_bytes_max: usize,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { events_max: 3, payload_bytes_max: 200 }
    }
}

impl Book {
    /// Plans `commits` commits.
    #[must_use]
    pub fn new(seed: u64, commits: usize, sizes: Sizes) -> Self {
        let mut random = Random::new(seed ^ 0x0b00_c000);
        let (mut events, mut starts) = (Vec::new(), vec![0]);
        let mut versions = [0; STREAMS.len()];
        for _ in 0..commits {
            // Parts are in the order of streams, as the commit names them.
            let mut streams: Vec<usize> =
                (0..=random.index(sizes.events_max)).map(|_| random.index(STREAMS.len())).collect();
            streams.sort_unstable();
            for stream in streams {
                let payload_bytes = random.index(sizes.payload_bytes_max + 1);
                events.push(planned(&mut random, &mut versions, stream, payload_bytes));
            }
            starts.push(events.len());
        }
        Self { events, starts, ..Self::default() }
    }

    /// Plans a commit of one event for each payload's length, bytes.
    #[must_use]
    pub fn of_payloads(seed: u64, lengths: &[usize]) -> Self {
        let mut random = Random::new(seed ^ 0x0b00_c000);
        let mut versions = [0; STREAMS.len()];
        let events: Vec<Planned> = lengths
            .iter()
            .map(|length| {
                let stream = random.index(STREAMS.len());
                planned(&mut random, &mut versions, stream, *length)
            })
            .collect();
        Self { starts: (0..=events.len()).collect(), events, ..Self::default() }
    }

    /// How many commits are planned.
    #[must_use]
    pub fn commits(&self) -> usize {
        self.starts.len() - 1
    }

    /// The events of the first `commits` commits.
    #[must_use]
    pub fn events(&self, commits: usize) -> &[Planned] {
        &self.events[..self.starts[commits]]
    }

    /// How many whole commits so many events are; `None` where they end within one.
    #[must_use]
    pub fn whole(&self, events: usize) -> Option<usize> {
        self.starts.binary_search(&events).ok()
    }

    /// The sequence of the last event of the first `commits` commits.
    #[must_use]
    pub fn sequence(&self, commits: usize) -> Sequence {
        Sequence::new(self.starts[commits] as u64)
    }

    /// How far the workload has come.
    #[must_use]
    pub fn known(&self) -> Known {
        // In this order: what is acknowledged was submitted.
        let acknowledged = self.acknowledged.load(Ordering::SeqCst);
        Known { acknowledged, submitted: self.submitted.load(Ordering::SeqCst) }
    }

    /// Notes how far a workload has come that another one goes on from.
    pub fn note(&self, known: Known) {
        self.submitted.store(known.submitted, Ordering::SeqCst);
        self.acknowledged.store(known.acknowledged, Ordering::SeqCst);
    }

    /// Notes that so many events are durable: the commits they make up are acknowledged.
    pub fn acknowledge_durable(&self, sequence: Sequence) {
        let commits = self.starts.partition_point(|start| *start as u64 <= sequence.get()) - 1;
        self.acknowledged.fetch_max(commits, Ordering::SeqCst);
    }

    /// Notes that a commit is handed over.
    pub fn submit(&self, number: usize) {
        self.submitted.store(number + 1, Ordering::SeqCst);
    }

    /// Notes that a commit, and all before it, is acknowledged as durable.
    pub fn acknowledge(&self, number: usize) {
        self.acknowledged.store(number + 1, Ordering::SeqCst);
    }

    /// A commit as the store takes it.
    #[must_use]
    pub fn commit(&self, number: usize) -> Commit {
        let events = &self.events[self.starts[number]..self.starts[number + 1]];
        let mut commit = Commit::new().idempotency_key(key(number));
        for (at, name) in STREAMS.iter().enumerate() {
            let of_stream: Vec<&Planned> = events.iter().filter(|event| event.stream == at).collect();
            let Some(first) = of_stream.first() else { continue };
            let expected = match first.version - 1 {
                0 => ExpectedVersion::NoStream,
                version => ExpectedVersion::Exact(Version::new(version)),
            };
            let kind = EventType::new("Noted").expect("a type's name");
            let new =
                |event: &Planned| NewEvent::new(kind.clone(), CodecId::JSON, event.payload.clone()).with_id(event.id);
            commit = commit.append(&stream(name), expected, of_stream.into_iter().map(new).collect());
        }
        commit
    }
}

/// The idempotency key of a commit.
#[must_use]
pub fn key(number: usize) -> String {
    format!("key-{number}")
}

/// A stream's name as the store takes it.
#[must_use]
pub fn stream(name: &str) -> StreamId {
    StreamId::new(name).expect("a stream's name")
}

/// One thing that a workload does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The next commit, and waits for it.
    Commit,
    /// The next commit, at the store's own durability, and a sync.
    CommitDurable,
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
    /// Commits until the segment changes.
    Roll,
    /// Closes the store and opens it again.
    Reopen,
    /// Leaves the store as a kill does and opens it again.
    Kill,
}

/// A store at work.
#[derive(Debug)]
pub struct Life<'a> {
    world: World,
    shape: Shape,
    book: &'a Book,
    store: Option<Store>,
    next: usize,
}

impl<'a> Life<'a> {
    /// Opens the store for the first time.
    ///
    /// # Errors
    /// As `Store::open`.
    pub fn start(world: &World, shape: Shape, book: &'a Book) -> Result<Self> {
        let store = world.open(&shape)?;
        Ok(Self { world: world.clone(), shape, book, store: Some(store), next: 0 })
    }

    /// The world that it stands on, which is another one after a kill.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.world
    }

    /// The open store.
    ///
    /// # Panics
    /// Where opening it again has failed.
    #[must_use]
    pub fn store(&self) -> &Store {
        self.store.as_ref().expect("the store is open")
    }

    /// Does one thing. With a step that would go beyond what is planned, nothing.
    ///
    /// # Errors
    /// As the store's call.
    pub fn step(&mut self, step: Step) -> Result<()> {
        match step {
            Step::Commit => self.commit(false),
            Step::CommitDurable => self.commit(true),
            Step::Submit(count) => self.submit(count),
            Step::Housekeep => self.store().housekeep(),
            Step::Sync => {
                self.store().sync()?;
                self.note_durable();
                Ok(())
            }
            Step::Snapshot => {
                let snapshot = snapshot_of(self.store());
                let outcome = self.store().save_snapshot(&snapshot);
                self.note_durable();
                outcome
            }
            Step::Checkpoint => {
                let sequence = self.store().last_sequence();
                let outcome = self.store().set_checkpoint("consumer", &Checkpoint { sequence, data: vec![1, 2, 3] });
                self.note_durable();
                outcome
            }
            Step::Roll => self.roll(),
            Step::Reopen => {
                self.store().close()?;
                self.note_durable();
                self.reopen()
            }
            Step::Kill => {
                self.world.restart();
                self.reopen()?;
                // What was written is there, and what an open shows is durable.
                assert_eq!(self.store().last_sequence(), self.book.sequence(self.next), "a kill loses nothing");
                self.note_durable();
                Ok(())
            }
        }
    }

    fn reopen(&mut self) -> Result<()> {
        self.store = None;
        self.store = Some(self.world.open(&self.shape)?);
        Ok(())
    }

    /// What the store calls durable is acknowledged as such.
    fn note_durable(&self) {
        self.book.acknowledge_durable(self.store().durable_sequence());
    }

    fn commit(&mut self, durable: bool) -> Result<()> {
        if self.next == self.book.commits() {
            return Ok(());
        }
        let number = self.next;
        let mut commit = self.book.commit(number);
        if durable {
            commit = commit.durability(Durability::Sync);
        }
        self.book.submit(number);
        self.next += 1;
        self.store().commit(commit)?;
        if durable || self.shape.durability == Durability::Sync {
            self.book.acknowledge(number);
        }
        Ok(())
    }

    fn submit(&mut self, count: usize) -> Result<()> {
        let mut tickets = Vec::new();
        let mut outcome = Ok(());
        while tickets.len() < count && self.next < self.book.commits() && outcome.is_ok() {
            let number = self.next;
            self.book.submit(number);
            self.next += 1;
            match self.store().submit(self.book.commit(number)) {
                Ok(ticket) => tickets.push((number, ticket)),
                Err(error) => outcome = Err(error),
            }
        }
        for (number, ticket) in tickets {
            match ticket.wait() {
                Ok(_) if self.shape.durability == Durability::Sync => self.book.acknowledge(number),
                Ok(_) => {}
                Err(error) => outcome = outcome.and(Err(error)),
            }
        }
        outcome
    }

    fn roll(&mut self) -> Result<()> {
        let segments = self.world.segments().len();
        while self.world.segments().len() == segments && self.next < self.book.commits() {
            self.commit(false)?;
        }
        Ok(())
    }

    /// Ends it in good order.
    ///
    /// # Errors
    /// As `Store::close`.
    pub fn close(self) -> Result<()> {
        let outcome = self.store().close();
        self.note_durable();
        outcome
    }
}

/// A snapshot that rests on the store's last event.
#[must_use]
pub fn snapshot_of(store: &Store) -> Snapshot {
    let sequence = store.last_sequence();
    Snapshot {
        snapshot_id: format!("order-1@{}", sequence.get()),
        aggregate_id: "1".to_owned(),
        aggregate_type: "order".to_owned(),
        timestamp: store.now(),
        last_event_version: Version::new(sequence.get()),
        last_event_sequence: sequence,
        schema_version: 1,
        codec: CodecId::JSON,
        state: sequence.get().to_le_bytes().to_vec(),
    }
}

/// The steps of a life of about `commits` commits, as a seed draws them.
#[must_use]
pub fn script(random: &mut Random, commits: usize) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut left = commits;
    while left > 0 {
        let step = match random.below(21) {
            0..=8 => Step::Commit,
            9 => Step::CommitDurable,
            10..=12 => Step::Submit(1 + random.index(4)),
            13..=15 => Step::Housekeep,
            16 => Step::Sync,
            17 => Step::Snapshot,
            18 => Step::Checkpoint,
            19 => Step::Kill,
            _ => Step::Reopen,
        };
        left -= match step {
            Step::Commit | Step::CommitDurable => 1,
            Step::Submit(count) => count.min(left),
            _ => 0,
        };
        steps.push(step);
    }
    steps
}
