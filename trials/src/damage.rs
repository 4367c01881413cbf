//! A store whose bytes are damaged behind its back: what it may answer then.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bitacora::{ErrorKind, Sequence, Store, verify_in};

use crate::workload::{Book, Planned, ROOT, STREAMS, Shape, Sizes, World, stream};

/// A store with one finished segment, nearly full, and one active, that was killed.
#[derive(Debug)]
pub struct TwoSegments {
    /// The disk and the index as the kill left them.
    pub world: World,
    /// How the store was opened.
    pub shape: Shape,
    /// What was committed.
    pub book: Arc<Book>,
    /// The finished segment.
    pub sealed: PathBuf,
    /// The active one.
    pub active: PathBuf,
    /// How many commits are in the finished one.
    pub sealed_commits: usize,
    /// How many there are in all.
    pub commits: usize,
    /// How many commits the index covers, which an open therefore does not read: one more than the finished segment has.
    pub indexed_commits: usize,
    /// Where each commit of the active segment ends; the first entry is where frames start.
    pub ends: Vec<u64>,
}

/// Just past the last byte that is not zero, rounded up to where a frame can end.
#[must_use]
pub fn content_end(bytes: &[u8]) -> u64 {
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| (last as u64 + 1).next_multiple_of(8))
}

impl TwoSegments {
    /// Makes it, with segments of so many bytes, and so much of the active one filled.
    ///
    /// # Panics
    /// Where the store fails without a fault.
    #[must_use]
    pub fn new(seed: u64, segment_bytes: u64, active_bytes: u64) -> Self {
        let shape = Shape { segment_bytes, tail_events_max: 1_000_000, ..Shape::plain() };
        let world = World::new(&shape);
        let book =
            Arc::new(Book::new(seed, segment_bytes as usize / 256, Sizes { events_max: 3, payload_bytes_max: 1500 }));
        let store = world.open(&shape).expect("a new store");
        let (mut commits, mut sealed_commits, mut ends) = (0, 0, Vec::new());
        loop {
            store.commit(book.commit(commits)).expect("a commit");
            let segments = world.segments();
            if segments.len() == 3 {
                // This one is too many: the store as it was before it is what is wanted.
                break;
            }
            commits += 1;
            let bytes = world.disk.read_file(&segments[segments.len() - 1]).expect("a segment");
            if segments.len() == 2 && ends.is_empty() {
                sealed_commits = commits - 1;
                ends.push(512);
                store.housekeep().expect("the finished segment is sealed and indexed");
            }
            if segments.len() == 2 {
                ends.push(content_end(&bytes));
                if content_end(&bytes) >= active_bytes {
                    break;
                }
            }
        }
        let made = Self::replayed(&book, shape, commits);
        let [sealed, active] = &made.segments()[..] else { panic!("two segments") };
        let (sealed, active, indexed_commits) = (sealed.clone(), active.clone(), sealed_commits + 1);
        Self { world: made, shape, book, sealed, active, sealed_commits, commits, indexed_commits, ends }
    }

    /// The same commits without the last: every byte is a function of them.
    fn replayed(book: &Book, shape: Shape, commits: usize) -> World {
        let world = World::new(&shape);
        let store = world.open(&shape).expect("a new store");
        for number in 0..commits {
            store.commit(book.commit(number)).expect("a commit");
            if world.segments().len() == 2 {
                store.housekeep().expect("the finished segment is sealed and indexed");
            }
        }
        world.kill()
    }

    /// The sequences of a commit.
    #[must_use]
    pub fn sequences(&self, commit: usize) -> std::ops::RangeInclusive<Sequence> {
        self.book.sequence(commit).next()..=self.book.sequence(commit + 1)
    }
}

/// Whether an event is what was submitted for its sequence.
#[must_use]
pub fn is_equal(event: &bitacora::Event, planned: &Planned) -> bool {
    event.stream.as_str() == STREAMS[planned.stream]
        && event.version.get() == planned.version
        && event.id == planned.id
        && event.payload == planned.payload
}

/// Reads every event of a store by itself: each is what was submitted, or is refused as damaged. Returns the sequences refused.
///
/// # Panics
/// Where another event, or another error, comes.
pub fn read_each(store: &Store, planned: &[Planned], label: &dyn Fn() -> String) -> Vec<u64> {
    let mut refused = Vec::new();
    for (sequence, planned) in (1u64..).zip(planned) {
        match store.event(Sequence::new(sequence)) {
            Ok(Some(event)) => assert!(is_equal(&event, planned), "{}: sequence {sequence} is {event:?}", label()),
            Ok(None) => panic!("{}: sequence {sequence} is passed over", label()),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Corrupt, "{}: sequence {sequence}: {error}", label());
                refused.push(sequence);
            }
        }
    }
    refused
}

/// Reads every stream: each event is what was submitted, in order, up to the first that is refused as damaged.
///
/// # Panics
/// Where one is passed over, or another error comes.
pub fn read_streams(store: &Store, planned: &[Planned], refused: &[u64], label: &dyn Fn() -> String) {
    for (at, name) in STREAMS.iter().enumerate() {
        let name = stream(name);
        let mut expected = (1u64..).zip(planned).filter(|(_, event)| event.stream == at);
        for event in store.read_stream(&name, ..) {
            let (sequence, planned) = expected.next().unwrap_or_else(|| panic!("{}: {name} is too long", label()));
            match event {
                Ok(event) => {
                    let is_it = event.sequence.get() == sequence && is_equal(&event, planned);
                    assert!(is_it, "{}: {name}: {event:?} where sequence {sequence} is next", label());
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Corrupt, "{}: {name}: {error}", label());
                    assert!(refused.contains(&sequence), "{}: {name}: sequence {sequence} can be read alone", label());
                    expected.by_ref().for_each(drop);
                    break;
                }
            }
        }
        assert!(expected.next().is_none(), "{}: {name} ends too early", label());
    }
}

/// What became of a damaged store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It does not open, and nothing was changed.
    Refused,
    /// It opens, so many events are refused as damaged, and all others are there.
    Reads(usize),
    /// It opens, and the newest commits are gone.
    Cut,
}

/// Opens a damaged store and holds it against the oracle: refused and unchanged, or all there but what is refused as damaged,
/// which `verify` then knows of.
///
/// # Panics
/// Where the store is at fault.
pub fn check(world: &World, shape: &Shape, book: &Book, commits: usize, label: &dyn Fn() -> String) -> Answer {
    let before = world.contents();
    let found = verify_in(&world.environment(), ROOT);
    assert!(world.contents() == before, "{}: verify changed the store", label());
    let store = match world.open(shape) {
        Ok(store) => store,
        Err(error) => {
            let kinds = [ErrorKind::Corrupt, ErrorKind::NotAStore, ErrorKind::UnsupportedFormat];
            assert!(kinds.contains(&error.kind()), "{}: {error}", label());
            assert!(world.contents() == before, "{}: a refused open changed the store", label());
            let is_known = found.as_ref().map_or(true, |report| !report.is_ok());
            assert!(is_known, "{}: open refuses ({error}), and verify finds nothing", label());
            return Answer::Refused;
        }
    };
    let planned = book.events(commits);
    if store.last_sequence() < book.sequence(commits) {
        return Answer::Cut;
    }
    let refused = read_each(&store, planned, label);
    read_streams(&store, planned, &refused, label);
    let report = found.unwrap_or_else(|error| panic!("{}: {error}", label()));
    assert!(refused.is_empty() || !report.is_ok(), "{}: reads refuse {refused:?}, and verify finds nothing", label());
    Answer::Reads(refused.len())
}

/// The bytes of a file.
///
/// # Panics
/// Where there is none.
#[must_use]
pub fn bytes_of(world: &World, path: &Path) -> Vec<u8> {
    world.disk.read_file(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
