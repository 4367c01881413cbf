//! T9: a small real file system is full.
//!
//! A piece is a store on a file system of a few MiB, in memory or ext4 in an image. A foreign file takes the room at one stage:
//! before the store is made, before or while it is opened again, while it is written to, while house is kept, in the middle of a
//! payment, before a close. While there is none, commits pass or are refused as a whole, reads go on, payments that are on
//! record come to their end, and what may use the reserve is written. Then the room is given back: the same opening goes
//! on, and the next one finds all that was acknowledged and nothing that was refused. The index is RocksDB in half of the
//! pieces, and has no room either.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bitacora::aggregate::{ExecuteError, ExecuteOptions, Repository};
use bitacora::disk::OsDisk;
use bitacora::disk::sim::Random;
use bitacora::index::MemoryIndexProvider;
use bitacora::payment::{FileGateway, GatewayProfile, Orchestrator, PaymentGateway};
use bitacora::wallet::{Wallet, WalletCommand, WalletLimits};
use bitacora::{Checkpoint, Environment, Error, ErrorKind, Options, Preallocation, Result, Store, verify_in};

use crate::class::{Class, Extent, Tally, Threads};
use crate::real::day::{gateway_in, store_in};
use crate::real::gateway::DisturbedGateway;
use crate::real::mount::{FileSystem, Filler, Mounted};
use crate::real::oracle::{Known, check_events, check_money, settle};
use crate::real::plan::{Against, Deed, Plan, USERS, WRITERS, deed_id, euro};
use crate::real::{apart, folder};
use crate::workload::snapshot_of;

pub const CLASS: Class = Class {
    id: "T9",
    what: "full disks",
    gate: 50,
    release: 1_000,
    extent: Extent::Endless,
    threads: Threads::Every,
    piece,
};

const ROOM_BYTES: u64 = 24 << 20;

/// When the foreign file takes the room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    BeforeMaking,
    BeforeOpening,
    WhileOpening,
    WhileWriting,
    BeforeWriting,
    WhileKeepingHouse,
    WhilePaying,
    BeforeClosing,
}

impl Stage {
    const ALL: [Self; 8] = [
        Self::BeforeMaking,
        Self::BeforeOpening,
        Self::WhileOpening,
        Self::WhileWriting,
        Self::BeforeWriting,
        Self::WhileKeepingHouse,
        Self::WhilePaying,
        Self::BeforeClosing,
    ];
}

fn piece(seed: u64, tally: &mut Tally) {
    apart::piece(CLASS.id, seed, tally);
}

/// The same, in the process that was started for it.
pub(super) fn piece_apart(seed: u64, tally: &mut Tally) {
    let place = folder::temporary();
    let memory = Mounted::memory(&place.path().join("memory"), 4 * ROOM_BYTES);
    let mut random = Random::new(seed ^ 0x6675_6c6c);
    let stage = Stage::ALL[usize::try_from(seed % 8).expect("small")];
    let (is_ext4, is_rocks) = (seed / 8 % 2 == 1, seed / 16 % 2 != 1);
    let point = memory.point().join("small");
    let small = if is_ext4 {
        let system = [FileSystem::Ext4Ordered, FileSystem::Ext4Journal, FileSystem::Ext4Writeback][random.index(3)];
        let image = memory.point().join("image");
        system.make(&image, ROOM_BYTES, if random.below(2) == 0 { 1024 } else { 4096 });
        Mounted::image(&point, &image, system)
    } else {
        Mounted::memory(&point, ROOM_BYTES)
    };
    tally.note(if is_ext4 { "ext4" } else { "tmpfs" }, 1);
    tally.note(if is_rocks { "RocksDB" } else { "index in memory" }, 1);
    let gateway = memory.point().join("gateway");
    std::fs::create_dir(&gateway).expect("a folder in memory");
    std::os::unix::fs::symlink(&gateway, gateway_in(small.point())).expect("a link to the gateway");
    let trial = Arc::new(Trial::new(seed, stage, &small, is_ext4, is_rocks, &mut random));
    trial.run(stage, &mut random, tally);
    drop(trial);
    small.unmount();
    memory.unmount();
    tally.one();
}

/// What became of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Done,
    Refused,
    /// It is in doubt, and this opening writes nothing any more: only where files grow with each write.
    Stopped,
}

struct Trial {
    plan: Plan,
    label: String,
    folder: PathBuf,
    environment: Environment,
    options: Options,
    filler: Filler,
    /// What is left free.
    left_bytes: u64,
    may_stop: bool,
    reserve_bytes: u64,
    is_rocks: bool,
    /// Whether an index that has stopped is waited for, which takes seconds.
    waits: bool,
    /// Whether a consumer's checkpoint was set.
    has_checkpoint: AtomicBool,
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    known: Known,
    /// The next commit of each writer, and the next deed.
    next: [u64; WRITERS],
    deed: u64,
    refused: u64,
    by_reserve: u64,
    stopped: u64,
    /// By kind.
    ended_while_full: BTreeMap<&'static str, u64>,
}

impl Trial {
    fn new(seed: u64, stage: Stage, small: &Mounted, is_ext4: bool, is_rocks: bool, random: &mut Random) -> Self {
        let plan = Plan { seed, against: Against::Power };
        let preallocation = match random.below(7) {
            0 => Preallocation::Grow,
            1..=3 => Preallocation::Reserve,
            _ => Preallocation::ZeroFill,
        };
        let segment_bytes = (64 << 10) << random.below(5);
        let reserve_bytes = [256 << 10, 1 << 20, segment_bytes][random.index(3)];
        let left_bytes = random.below(64) << random.below(16);
        let options = plan.options().preallocation(preallocation).segment_bytes(segment_bytes);
        let may_stop = preallocation == Preallocation::Grow;
        let environment = if is_rocks {
            Environment::default()
        } else {
            Environment::new(Arc::new(OsDisk), Arc::new(MemoryIndexProvider::default()))
        };
        let (system, index) = (if is_ext4 { "ext4" } else { "tmpfs" }, if is_rocks { "RocksDB" } else { "memory" });
        let options = options.reserve_bytes(reserve_bytes).tail_events_max([50, 100_000][random.index(2)]);
        let label = format!("full {stage:?}, {left_bytes} bytes left, {system}, index {index}, {options:?}");
        Self {
            plan,
            label,
            folder: small.point().to_owned(),
            environment,
            options,
            filler: Filler::new(small),
            left_bytes,
            may_stop,
            reserve_bytes: if may_stop { 0 } else { reserve_bytes },
            is_rocks,
            waits: random.below(4) == 0,
            has_checkpoint: AtomicBool::new(false),
            book: Mutex::default(),
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().expect("no panic under this lock")
    }

    fn fill(&self) {
        self.filler.leave(self.left_bytes);
    }

    fn open(&self) -> Result<Store> {
        Store::open_in(&self.environment, store_in(&self.folder), self.options.clone())
    }

    /// Opens where there is room.
    fn expect_open(&self) -> Store {
        self.open().unwrap_or_else(|error| panic!("{}: open: {error}", self.label))
    }

    /// An open without room goes through, or is refused and changes nothing.
    fn open_while_full(&self, has_log: bool, tally: &mut Tally) -> Option<Store> {
        match self.open() {
            Ok(store) => Some(store),
            Err(error) => {
                self.expect_kind(&error, &[ErrorKind::StorageFull], "open");
                tally.note("opens refused", 1);
                if has_log {
                    let reader = Store::open_read_only_in(&self.environment, store_in(&self.folder));
                    let reader = reader.unwrap_or_else(|error| panic!("{}: open to read: {error}", self.label));
                    self.check(&reader);
                }
                None
            }
        }
    }

    fn expect_kind(&self, error: &Error, kinds: &[ErrorKind], what: &str) {
        assert!(kinds.contains(&error.kind()), "{}: {what}: {:?}: {error}", self.label, error.kind());
    }

    fn run(self: &Arc<Self>, stage: Stage, random: &mut Random, tally: &mut Tally) {
        let store = if stage == Stage::BeforeMaking {
            self.fill();
            self.open_while_full(false, tally)
        } else {
            let store = self.expect_open();
            self.work(&store, 40 + random.below(200));
            self.pay(&store, 6, false);
            self.set_checkpoint(&store, 100).unwrap_or_else(|error| panic!("{}: {error}", self.label));
            self.has_checkpoint.store(true, Ordering::SeqCst);
            Some(store)
        };
        let store = store.and_then(|store| match stage {
            Stage::BeforeOpening | Stage::WhileOpening => self.open_again(store, stage, random, tally),
            _ => Some(store),
        });
        let store = store.and_then(|store| self.while_full(store, stage, random, tally));
        self.filler.give_back();
        let store = store.unwrap_or_else(|| {
            let store = self.expect_open();
            self.renumber(&store);
            store
        });
        self.go_on(&store, tally);
        store.close().unwrap_or_else(|error| panic!("{}: close: {error}", self.label));
        drop(store);
        self.end(tally);
    }

    /// Closes the store or lets it go, and opens it again without room.
    fn open_again(&self, store: Store, stage: Stage, random: &mut Random, tally: &mut Tally) -> Option<Store> {
        if random.below(2) == 0 {
            store.close().unwrap_or_else(|error| panic!("{}: close: {error}", self.label));
        }
        drop(store);
        if stage == Stage::BeforeOpening {
            self.fill();
            return self.open_while_full(true, tally);
        }
        std::thread::scope(|scope| {
            let filling = scope.spawn(|| self.fill());
            let opened = self.open();
            filling.join().expect("no panic in it");
            opened.map_err(|error| self.expect_kind(&error, &[ErrorKind::StorageFull], "open")).ok()
        })
    }

    /// All that is tried while there is no room. Returns the store, unless it was closed or has stopped.
    fn while_full(
        self: &Arc<Self>,
        store: Store,
        stage: Stage,
        random: &mut Random,
        tally: &mut Tally,
    ) -> Option<Store> {
        match stage {
            Stage::BeforeMaking | Stage::BeforeOpening | Stage::WhileOpening => {}
            Stage::WhileWriting => std::thread::scope(|scope| {
                for writer in 0..WRITERS {
                    let store = &store;
                    scope.spawn(move || self.until_refused(store, writer));
                }
                self.fill();
            }),
            Stage::WhilePaying => self.pay_while_it_fills(&store),
            Stage::BeforeWriting | Stage::WhileKeepingHouse | Stage::BeforeClosing => self.fill(),
        }
        if stage == Stage::BeforeClosing && random.below(2) == 0 {
            return self.close_while_full(store, tally);
        }
        for round in 0..3 {
            (0..WRITERS).for_each(|writer| self.until_refused(&store, writer));
            self.check(&store);
            if round == 1 || stage == Stage::WhileKeepingHouse {
                self.keep_house(&store, random);
            }
            self.use_reserve(&store);
            self.check(&store);
        }
        self.pay(&store, 3, true);
        self.check(&store);
        if stage == Stage::BeforeClosing {
            return self.close_while_full(store, tally);
        }
        // Where files grow with each write, any of them may have stopped it, and the next one may.
        if self.may_stop { None } else { Some(store) }
    }

    /// A close needs no room for the log; but where files grow, its last mark does.
    fn close_while_full(&self, store: Store, tally: &mut Tally) -> Option<Store> {
        if let Err(error) = store.close() {
            let kinds = if self.may_stop { &[ErrorKind::Io, ErrorKind::Poisoned][..] } else { &[] };
            self.expect_kind(&error, kinds, "close");
        }
        drop(store);
        self.open_while_full(true, tally).filter(|_| !self.may_stop)
    }

    /// The log says where each writer goes on, also after a commit that was in doubt.
    fn renumber(&self, store: &Store) {
        let commits = self.check(store);
        let mut book = self.book();
        (book.next, book.known.begun) = (commits, commits);
    }

    /// Commits what its writer commits next.
    fn commit(&self, store: &Store, writer: usize, may_use_reserve: bool) -> Fate {
        let number = self.book().next[writer];
        let commit = self.plan.commit(writer, number);
        let outcome = store.commit(if may_use_reserve { commit.may_use_reserve() } else { commit });
        let mut book = self.book();
        match outcome {
            Ok(receipt) => {
                assert!(!receipt.is_repeat, "{}: commit {number} of {writer} was refused, and is there", self.label);
                let place = (receipt.sequence_first.get(), receipt.sequence_last.get());
                book.known.commits.insert((writer, number), place);
                book.next[writer] += 1;
                Fate::Done
            }
            Err(error) if error.kind() == ErrorKind::StorageFull => {
                let used = store.key_use(&crate::real::plan::key(writer, number));
                let used = used.unwrap_or_else(|error| panic!("{}: {error}", self.label));
                assert!(used.is_none(), "{}: commit {number} of {writer} was refused, and its key is used", self.label);
                book.refused += 1;
                Fate::Refused
            }
            Err(error) => {
                let kinds: &[_] = if self.may_stop { &[ErrorKind::CommitUnknown, ErrorKind::Poisoned] } else { &[] };
                self.expect_kind(&error, kinds, "commit");
                book.stopped += 1;
                Fate::Stopped
            }
        }
    }

    /// Commits, with room for all of it.
    fn work(&self, store: &Store, commits: u64) {
        for number in 0..commits {
            let writer = usize::try_from(number).expect("few") % WRITERS;
            let fate = self.commit(store, writer, false);
            assert_eq!(fate, Fate::Done, "{}: there is room", self.label);
        }
    }

    fn until_refused(&self, store: &Store, writer: usize) {
        while self.commit(store, writer, false) == Fate::Done {}
    }

    /// What may use the reserve is written, as long as that lasts.
    fn use_reserve(&self, store: &Store) {
        for writer in 0..WRITERS {
            let size: usize =
                self.plan.events(writer, self.book().next[writer]).iter().map(|event| event.payload.len() + 300).sum();
            let is_kept = store.info().unwrap_or_else(|error| panic!("{}: {error}", self.label)).reserve_bytes > 0;
            let fate = self.commit(store, writer, true);
            // In a segment's first sectors, and one more for each of a group.
            let fits = is_kept && size as u64 + 16_384 < self.reserve_bytes;
            assert!(!fits || fate == Fate::Done, "{}: {size} bytes may use the reserve: {fate:?}", self.label);
            self.book().by_reserve += u64::from(fate == Fate::Done);
        }
    }

    /// What is kept in the index or beside the log may find no room, and then says so.
    fn keep_house(&self, store: &Store, random: &mut Random) {
        let data_bytes = [100, 60_000][random.index(2)];
        for _ in 0..=random.below(60) {
            for outcome in
                [store.housekeep(), self.set_checkpoint(store, data_bytes), store.save_snapshot(&snapshot_of(store))]
            {
                let stops = if self.book().stopped > 0 { &[ErrorKind::Poisoned, ErrorKind::Io][..] } else { &[] };
                if let Err(error) = outcome {
                    self.expect_kind(&error, &[&[ErrorKind::StorageFull], stops].concat(), "keep house");
                }
            }
        }
    }

    fn wallets(&self, store: &Store) -> Repository<Wallet> {
        self.plan.wallets(store)
    }

    fn gateway(&self) -> FileGateway {
        FileGateway::open_with(gateway_in(&self.folder), self.plan.gateway()).expect("the gateway has room")
    }

    fn payments(&self, store: &Store, gateway: Arc<dyn PaymentGateway>) -> Orchestrator {
        Orchestrator::new(self.wallets(store), gateway, self.plan.payments()).expect("sound options")
    }

    /// The next deeds of a payer. Without room a new one is refused, or goes through.
    fn pay(&self, store: &Store, count: u64, is_full: bool) {
        let wallets = self.wallets(store);
        let payments = self.payments(store, Arc::new(self.gateway()));
        let accept = |what: &str, error: &Error| {
            let kinds: &[_] = if self.may_stop { &[ErrorKind::CommitUnknown, ErrorKind::Poisoned] } else { &[] };
            let kinds = [&[ErrorKind::StorageFull], kinds].concat();
            self.expect_kind(error, if is_full { &kinds } else { &[] }, what);
            self.book().stopped += u64::from(error.kind() != ErrorKind::StorageFull);
        };
        for user in 0..USERS {
            let open = WalletCommand::Open { currency: euro(), overdraft_limit: 0, limits: WalletLimits::default() };
            let once = ExecuteOptions { command_id: Some("open"), ..ExecuteOptions::default() };
            if let Err(ExecuteError::Store(error)) = wallets.execute(&format!("user-{user}"), &once, &open) {
                accept("open a wallet", &error);
            }
        }
        for _ in 0..count {
            let number = self.book().deed;
            self.book().deed += 1;
            match self.plan.deed(0, number) {
                Deed::Deposit { user, amount } => {
                    let id = deed_id(0, number);
                    let options = ExecuteOptions { command_id: Some(&id), ..ExecuteOptions::default() };
                    match wallets.execute(&user, &options, &WalletCommand::Deposit { amount }) {
                        Ok(done) => {
                            let sequence = done.receipt.expect("a deposit is an event").sequence_last.get();
                            self.book().known.deposits.insert((0, number), sequence);
                        }
                        Err(ExecuteError::Store(error)) => accept("deposit", &error),
                        Err(ExecuteError::Refused(_)) => assert!(is_full, "{}: the wallet is open", self.label),
                    }
                }
                Deed::Pay(request) => match payments.run(request) {
                    Ok(outcome) => self.note_payment(number, &outcome, is_full),
                    Err(error) => accept("pay", &error),
                },
            }
        }
    }

    fn note_payment(&self, number: u64, outcome: &bitacora::payment::Outcome, is_full: bool) {
        let mut book = self.book();
        book.known.payments.insert((0, number), (outcome.kind.as_str().to_owned(), outcome.sequence.get()));
        if is_full {
            *book.ended_while_full.entry(outcome.kind.as_str()).or_default() += 1;
        }
    }

    /// Payments that are on record when the room is taken: what they still write is written. One after another, each with its
    /// room given back before, for the reserve is one.
    fn pay_while_it_fills(self: &Arc<Self>, store: &Store) {
        for _ in 0..4 {
            self.filler.give_back();
            // Makes the reserve again.
            self.work(store, 4);
            if !self.pay_one_while_it_fills(store) {
                return;
            }
        }
    }

    /// Whether the store goes on.
    fn pay_one_while_it_fills(self: &Arc<Self>, store: &Store) -> bool {
        let (trial, writer) = (Arc::clone(self), store.clone());
        let fill = move || {
            trial.fill();
            (0..2 * WRITERS).for_each(|number| trial.until_refused(&writer, number % WRITERS));
        };
        let profile = GatewayProfile { decline_permille: 500, ..self.plan.gateway() };
        let inner = FileGateway::open_with(gateway_in(&self.folder), profile).expect("the gateway has room");
        let payments = self.payments(store, Arc::new(DisturbedGateway::new(inner, fill)));
        let (number, request) = loop {
            let number = self.book().deed;
            self.book().deed += 1;
            match self.plan.deed(0, number) {
                Deed::Pay(request) if request.card_amount > 0 => break (number, request),
                _ => {}
            }
        };
        match payments.run(request) {
            Ok(outcome) => self.note_payment(number, &outcome, true),
            Err(error) => {
                let kinds = [ErrorKind::StorageFull, ErrorKind::CommitUnknown, ErrorKind::Poisoned];
                let kinds = if self.may_stop { &kinds[..] } else { &[] };
                self.expect_kind(&error, kinds, "a payment that is on record");
                self.book().stopped += u64::from(error.kind() != ErrorKind::StorageFull);
            }
        }
        // One that was rejected before it came to the card has not filled anything.
        self.fill();
        self.book().stopped == 0
    }

    /// There is room again: writes go on in the same opening, beyond the end of a segment.
    fn go_on(&self, store: &Store, tally: &mut Tally) {
        self.work(store, 400);
        match store.housekeep() {
            Ok(()) => {
                let kept = store.info().unwrap_or_else(|error| panic!("{}: {error}", self.label)).reserve_bytes;
                assert!(kept >= self.reserve_bytes, "{}: the reserve is made again: {kept}", self.label);
            }
            // RocksDB looks every few seconds whether it has room again.
            Err(error) => {
                assert!(self.is_rocks, "{}: keep house: {error}", self.label);
                tally.note("index still stopped", 1);
                if self.waits {
                    self.wait_for_index(store);
                    tally.note("index went on by itself", 1);
                }
            }
        }
        self.pay(store, 4, false);
        self.check(store);
    }

    /// The index, too, goes on without being opened again.
    fn wait_for_index(&self, store: &Store) {
        const PATIENCE: Duration = Duration::from_secs(30);
        let began = Instant::now();
        while let Err(error) = store.housekeep().and_then(|()| self.set_checkpoint(store, 100)) {
            assert!(began.elapsed() < PATIENCE, "{}: the index has room since {PATIENCE:?}: {error}", self.label);
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }

    fn set_checkpoint(&self, store: &Store, data_bytes: usize) -> Result<()> {
        let checkpoint = Checkpoint { sequence: store.last_sequence(), data: vec![7; data_bytes] };
        store.set_checkpoint("consumer", &checkpoint)
    }

    fn check(&self, store: &Store) -> [u64; WRITERS] {
        let known = self.book().known.clone();
        let commits = check_events(store, self.plan, &known, &self.label);
        check_money(store, &self.folder, &known, &self.label);
        commits
    }

    fn end(&self, tally: &mut Tally) {
        let store = self.expect_open();
        self.check(&store);
        let checkpoint = store.checkpoint("consumer").unwrap_or_else(|error| panic!("{}: {error}", self.label));
        let is_there = checkpoint.is_some() || !self.has_checkpoint.load(Ordering::SeqCst);
        assert!(is_there, "{}: the index was thrown away for want of room: {:?}", self.label, store.recovery_report());
        settle(&store, &self.folder, self.plan, &self.label);
        store.housekeep().unwrap_or_else(|error| panic!("{}: keep house: {error}", self.label));
        store.close().unwrap_or_else(|error| panic!("{}: close: {error}", self.label));
        drop(store);
        let report = verify_in(&self.environment, Path::new(&store_in(&self.folder)));
        let report = report.unwrap_or_else(|error| panic!("{}: verify: {error}", self.label));
        assert!(report.is_ok(), "{}: {:?}", self.label, report.findings);
        let book = self.book();
        tally.note("commits acknowledged", book.known.commits.len() as u64);
        tally.note("commits refused", book.refused);
        tally.note("by the reserve", book.by_reserve);
        for (kind, note) in [
            ("completed", "payments completed while full"),
            ("compensated", "compensated while full"),
            ("rejected", "rejected while full"),
        ] {
            tally.note(note, book.ended_while_full.get(kind).copied().unwrap_or_default());
        }
        tally.note("in doubt", u64::from(book.stopped > 0));
        tally.note("lost", 0);
    }
}
