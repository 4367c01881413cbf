//! T13: an index that does not fit its log: behind or ahead by every step, deleted, foreign, with a flipped bit. It is the real one.
//!
//! The log is on a simulated disk, so that it can be kept as it was at any commit; the index is RocksDB in a real folder, and
//! is copied while it is open, as a kill would leave it. A piece is one such life of 500 commits and ten of its steps.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bitacora::disk::sim::{Random, SimulatedDisk};
use bitacora::index::{Index, IndexEvidence, IndexProvider, RocksIndexProvider};
use bitacora::{Checkpoint, Environment, Error, ErrorKind, IndexUse, Options, Result, Store, StoreId, verify_in};
use tempfile::TempDir;

use crate::class::{Class, Extent, Tally, Threads};
use crate::oracle::{check_events, check_index};
use crate::real::folder;
use crate::workload::{Book, Known, ROOT, STREAMS, Shape, Sizes, key, stream};

pub const CLASS: Class = Class {
    id: "T13",
    what: "skewed indices",
    gate: 1_650,
    release: 10_000,
    extent: Extent::Endless,
    threads: Threads::Every,
    piece,
};

const COMMITS: usize = 500;
/// Steps of a piece; so many pieces are every step of one life.
const STEPS: usize = 10;
const PIECES: u64 = (COMMITS / STEPS) as u64;
/// Bits flipped in a piece, one after the other.
const FLIPS: usize = 10;

/// The real index, in another folder than the store's, which is on a simulated disk.
#[derive(Clone, Debug)]
struct Elsewhere(PathBuf);

impl IndexProvider for Elsewhere {
    fn evidence(&self, _: &Path, store_id: StoreId) -> IndexEvidence {
        RocksIndexProvider.evidence(&self.0, store_id)
    }
    fn open(&self, _: &Path, store_id: StoreId) -> Result<Arc<dyn Index>> {
        RocksIndexProvider.open(&self.0, store_id)
    }
    fn open_read_only(&self, _: &Path, store_id: StoreId) -> Result<Arc<dyn Index>> {
        RocksIndexProvider.open_read_only(&self.0, store_id)
    }
    fn remove(&self, _: &Path) -> Result<()> {
        RocksIndexProvider.remove(&self.0)
    }
    fn replace(&self, _: &Path, _: &Path) -> Result<()> {
        Err(bitacora::Error::new(bitacora::ErrorKind::Io, "there is one folder here, whatever it is called"))
    }
}

/// A log, and an index beside it that may be another's.
struct Pair {
    disk: SimulatedDisk,
    place: TempDir,
    options: Options,
}

impl Pair {
    fn new(disk: SimulatedDisk, options: &Options) -> Self {
        Self { disk, place: folder::temporary_in_memory(), options: options.clone() }
    }

    /// That log as a kill leaves it, with a copy of that index.
    fn of(disk: &SimulatedDisk, index: &Path, options: &Options) -> Self {
        let pair = Self::new(disk.kill(), options);
        folder::copy(index, &pair.index()).expect("the index is copied");
        pair
    }

    fn index(&self) -> PathBuf {
        self.place.path().join("index")
    }

    fn environment(&self) -> Environment {
        Environment::new(Arc::new(self.disk.clone()), Arc::new(Elsewhere(self.index())))
    }

    fn open(&self) -> Result<Store> {
        Store::open_in(&self.environment(), ROOT, self.options.clone())
    }

    /// The log's files, and the index's.
    fn contents(&self) -> impl PartialEq + use<> {
        let files = self.disk.files().into_iter().filter(|path| !path.ends_with("LOCK"));
        let log: Vec<_> = files.map(|path| (self.disk.read_file(&path).expect("it is listed"), path)).collect();
        (log, folder::contents(&self.index()))
    }
}

/// One life: the log at each step of a piece and at the end, killed and closed, and the index at the same places.
struct Life {
    book: Book,
    steps: Vec<Kept>,
    killed: Kept,
    closed: Kept,
    options: Options,
}

/// A log and its index at one moment.
struct Kept {
    commits: usize,
    disk: SimulatedDisk,
    index: PathBuf,
    _place: Arc<TempDir>,
}

/// The steps of a piece: through all pieces, each from 1 to the number of commits.
fn steps(piece: usize) -> Vec<usize> {
    (0..STEPS).map(|at| piece * STEPS + at + 1).collect()
}

impl Life {
    fn lived(seed: u64, store_id: StoreId, steps: &[usize]) -> Self {
        let mut random = Random::new(seed);
        let mut shape = Shape::drawn(&mut random);
        (shape.durability, shape.tail_events_max) = (bitacora::Durability::Sync, 1);
        let options = shape.options().store_id(store_id);
        let book = Book::new(seed, COMMITS, Sizes::default());
        let pair = Pair::new(shape.disk(), &options);
        let place = Arc::new(folder::temporary_in_memory());
        let works = "no fault is injected";
        let store = pair.open().expect(works);
        let keep = |commits: usize, name: String| {
            let index = place.path().join(name);
            folder::copy_of_live(&pair.index(), &index);
            Kept { commits, disk: pair.disk.kill(), index, _place: Arc::clone(&place) }
        };
        let mut kept = Vec::new();
        for number in 0..COMMITS {
            store.commit(book.commit(number)).expect(works);
            let commits = number + 1;
            if steps.contains(&commits) || random.below(20) == 0 || commits == COMMITS {
                store.housekeep().expect(works);
            }
            if random.below(10) == 0 {
                let sequence = store.last_sequence();
                store.set_checkpoint("consumer", &Checkpoint { sequence, data: Vec::new() }).expect(works);
            }
            if steps.contains(&commits) {
                kept.push(keep(commits, commits.to_string()));
            }
        }
        let killed = keep(COMMITS, "killed".into());
        store.close().expect(works);
        let closed = keep(COMMITS, "closed".into());
        Self { book, steps: kept, killed, closed, options }
    }

    /// How the log ended: killed, or closed.
    fn end(&self, random: &mut Random) -> &Kept {
        if random.below(2) == 0 { &self.killed } else { &self.closed }
    }

    /// Opens a pair whose log is whole and holds it against the plan; what became of its index.
    fn check(&self, pair: &Pair, label: &dyn Fn() -> String) -> IndexUse {
        let store = pair.open().unwrap_or_else(|error| panic!("{}: {error}", label()));
        let known = Known { acknowledged: COMMITS, submitted: COMMITS };
        let commits = check_events(&store, &self.book, known, label);
        check_index(&store, &self.book, commits, label);
        let checkpoint = store.checkpoint("consumer").unwrap_or_else(|error| panic!("{}: {error}", label()));
        assert!(
            checkpoint.as_ref().is_none_or(|at| at.sequence <= store.last_sequence()),
            "{}: {checkpoint:?}",
            label()
        );
        let used = store.recovery_report().index.clone();
        store.close().unwrap_or_else(|error| panic!("{}: {error}", label()));
        let report = verify_in(&pair.environment(), ROOT).unwrap_or_else(|error| panic!("{}: {error}", label()));
        assert!(report.is_ok(), "{}: {:?}", label(), report.findings);
        used
    }

    /// Opens a pair whose index knows more than its log: it is refused, to write and to read, and nothing has changed.
    fn check_refused(&self, pair: &Pair, label: &dyn Fn() -> String) {
        let before = pair.contents();
        let outcomes = [pair.open().map(drop), Store::open_read_only_in(&pair.environment(), ROOT).map(drop)];
        for (outcome, how) in outcomes.into_iter().zip(["write", "read"]) {
            match outcome {
                Ok(()) => panic!("{}: opened to {how}", label()),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "{}: to {how}: {error}", label()),
            }
        }
        assert!(pair.contents() == before, "{}: a refused open has changed something", label());
    }
}

fn piece(seed: u64, tally: &mut Tally) {
    // From the end on: there the index and the log share a segment.
    let (round, piece) = (seed / PIECES, usize::try_from(PIECES - 1 - seed % PIECES).expect("small"));
    let mut random = Random::new(seed);
    let life = Life::lived(round, StoreId::from_bytes([7; 16]), &steps(piece));
    for kept in &life.steps {
        let end = life.end(&mut random);
        let label = || format!("the index is {} commits behind", COMMITS - kept.commits);
        let pair = Pair::of(&end.disk, &kept.index, &life.options);
        assert!(matches!(life.check(&pair, &label), IndexUse::Used), "{}: it was not used", label());
        tally.one();
        if kept.commits < COMMITS {
            let pair = Pair::of(&kept.disk, &end.index, &life.options);
            life.check_refused(&pair, &|| format!("the index is {} commits ahead", COMMITS - kept.commits));
            tally.one();
        }
    }
    deleted(&life, &mut random, tally);
    foreign(&life, round, &mut random, tally);
    for _ in 0..FLIPS {
        flipped(&life, &mut random, tally);
    }
}

/// The index is not there, or an empty folder.
fn deleted(life: &Life, random: &mut Random, tally: &mut Tally) {
    let end = life.end(random);
    let pair = Pair::new(end.disk.kill(), &life.options);
    if random.below(2) == 0 {
        std::fs::create_dir(pair.index()).expect("a folder");
    }
    let used = life.check(&pair, &|| "the index is gone".to_owned());
    assert!(matches!(used, IndexUse::Rebuilt { .. }), "{used:?}");
    tally.one();
}

/// The index is another store's.
fn foreign(life: &Life, round: u64, random: &mut Random, tally: &mut Tally) {
    let step = 1 + random.index(COMMITS);
    let other = Life::lived(!round, StoreId::from_bytes([8; 16]), &[step]);
    let pair = Pair::of(&life.end(random).disk, &other.steps[0].index, &life.options);
    let used = life.check(&pair, &|| format!("the index is another store's, of {step} commits"));
    assert!(matches!(used, IndexUse::Rebuilt { .. }), "{used:?}");
    tally.one();
}

/// One bit of the index is another. The log is whole, so the store opens; where the damage is met later the index says so, and
/// the next open makes it anew.
fn flipped(life: &Life, random: &mut Random, tally: &mut Tally) {
    let end = life.end(random);
    let pair = Pair::of(&end.disk, &end.index, &life.options);
    let files: Vec<_> = folder::contents(&pair.index()).into_iter().filter(|(_, bytes)| !bytes.is_empty()).collect();
    let (name, mut bytes) = files[random.index(files.len())].clone();
    let (at, bit) = (random.index(bytes.len()), random.below(8));
    bytes[at] ^= 1 << bit;
    std::fs::write(pair.index().join(&name), &bytes).expect("the file is written");
    let label = || format!("bit {bit} of byte {at} of the index's {} is flipped", name.display());
    let store = pair.open().unwrap_or_else(|error| panic!("{}: {error}", label()));
    let is_rebuilt = matches!(store.recovery_report().index, IndexUse::Rebuilt { .. });
    let known = Known { acknowledged: COMMITS, submitted: COMMITS };
    check_events(&store, &life.book, known, &label);
    let refused = read_through_index(&store, &life.book, &label);
    let outcome = store.close();
    let report = verify_in(&pair.environment(), ROOT);
    let is_told = outcome.is_err() || report.as_ref().is_ok_and(|report| !report.is_ok());
    assert!(refused.is_none() || is_told, "{}: {refused:?} was met, and {report:?} does not tell of it", label());
    let is_whole = report.as_ref().is_ok_and(bitacora::VerifyReport::is_ok);
    let again = life.check(&pair, &|| format!("{}, opened once more after {refused:?} and {report:?}", label()));
    assert!(refused.is_none() || matches!(again, IndexUse::Rebuilt { .. }), "{}: {refused:?}, then {again:?}", label());
    tally.note("flips that verify tells of", (!is_whole).into());
    tally.note("flips that made the index anew", is_rebuilt.into());
    tally.note("flips refused when read", refused.is_some().into());
    tally.one();
}

/// Reads all streams, heads and keys. What is answered must be right; returns the first refusal.
fn read_through_index(store: &Store, book: &Book, label: &dyn Fn() -> String) -> Option<Error> {
    let mut refused = None;
    let events = book.events(COMMITS);
    for (at, name) in STREAMS.iter().enumerate() {
        let mut expected = (1u64..).zip(events).filter(|(_, event)| event.stream == at);
        let last = expected.clone().last().map(|(sequence, _)| sequence);
        let mut is_whole = true;
        for event in store.read_stream(&stream(name), ..) {
            match event {
                Ok(event) => {
                    let place = expected.next().map(|(sequence, event)| (sequence, &event.payload));
                    assert_eq!(Some((event.sequence.get(), &event.payload)), place, "{}: {name}", label());
                }
                Err(error) => {
                    (is_whole, refused) = (false, refused.or(Some(error)));
                    break;
                }
            }
        }
        assert!(!is_whole || expected.next().is_none(), "{}: {name} ends too early", label());
        match store.stream_head(&stream(name)) {
            Ok(head) => assert_eq!(head.map(|head| head.sequence.get()), last, "{}: {name}", label()),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    for number in 0..COMMITS {
        match store.key_use(&key(number)) {
            Ok(used) => {
                let last = used.map(|used| used.receipt.sequence_last);
                assert_eq!(last, Some(book.sequence(number + 1)), "{}: key {number}", label());
            }
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    refused
}
