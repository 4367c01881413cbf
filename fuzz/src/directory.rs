//! A whole store's folder: one that real code has left, with its files cut, flipped, copied, renamed, swapped, taken away and
//! added to, as the bytes say.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use bitacora::disk::Disk;
use bitacora::index::MemoryIndexProvider;
use bitacora::{
    Align, CodecId, Durability, ErrorKind, Event, EventType, ExpectedVersion, NewEvent, Result, Sequence, Store,
    StreamId, internals, repair_plan_in, verify_in,
};
use bitacora_trials::workload::{Book, Life, ROOT, Shape, Sizes, Step, World};

/// More would only take longer.
const MUTATIONS_MAX: usize = 24;

/// Names for what is copied, renamed or added, beside those that are there.
const NAMES: [&str; 12] = [
    "store",
    "identity",
    "control",
    "reserve",
    "recovery.json",
    "notes.txt",
    "log/00000000000000000001.seg",
    "log/00000000000000000002.seg",
    "log/00000000000000000002.seal",
    "log/00000000000000000099.seg",
    "log/next.tmp",
    "quarantine/1.bin",
];

/// A folder as it was left, and what it holds.
struct Base {
    world: World,
    shape: Shape,
    events: Vec<Event>,
}

/// An empty folder; a store that was closed; one that was killed; one with whole sectors that is not synced; one without index.
static BASES: LazyLock<Vec<Base>> = LazyLock::new(|| {
    let plain = Shape::plain();
    let sectors = Shape { align: Align::Sector, durability: Durability::Buffered, segment_bytes: 16_384, ..plain };
    let closed = base(plain, false);
    let lost = World { disk: closed.world.disk.kill(), index: MemoryIndexProvider::default() };
    let without_index = Base { world: lost, shape: plain, events: closed.events.clone() };
    let empty = Base { world: World::new(&plain), shape: plain, events: Vec::new() };
    let bases = vec![empty, closed, base(plain, true), base(sectors, true), without_index];
    for base in &bases {
        for folder in ["", "log", "quarantine"] {
            let _ = base.world.disk.create_directory(&Path::new(ROOT).join(folder));
        }
    }
    bases
});

fn base(shape: Shape, kill: bool) -> Base {
    const COMMITS: usize = 24;
    let world = World::new(&shape);
    let book = Book::new(16, COMMITS, Sizes::default());
    let mut life = Life::start(&world, shape, &book).unwrap();
    for number in 0..COMMITS {
        life.step(Step::Commit).unwrap();
        if number % 8 == 7 {
            life.step(Step::Housekeep).unwrap();
        }
        if number == COMMITS / 2 {
            life.step(Step::Snapshot).unwrap();
            life.step(Step::Checkpoint).unwrap();
        }
    }
    let events = life.store().read_all(..).map(Result::unwrap).collect();
    let killed = world.kill();
    life.close().unwrap();
    Base { world: if kill { killed } else { world }, shape, events }
}

/// The first byte chooses the folder, the others say what is done to it.
pub fn directory(bytes: &[u8]) {
    let Some((kind, mut bytes)) = bytes.split_first() else { return };
    let base = &BASES[usize::from(*kind) % BASES.len()];
    let world = base.world.kill();
    let mut is_forged = false;
    for _ in 0..MUTATIONS_MAX {
        if bytes.is_empty() {
            break;
        }
        is_forged |= mutate(&world, &mut bytes);
    }
    check(&world, base, is_forged);
}

fn byte(bytes: &mut &[u8]) -> u8 {
    let Some((first, rest)) = bytes.split_first() else { return 0 };
    *bytes = rest;
    *first
}

fn run<'a>(bytes: &mut &'a [u8]) -> &'a [u8] {
    let length = usize::from(byte(bytes)).min(bytes.len());
    let (run, rest) = bytes.split_at(length);
    *bytes = rest;
    run
}

/// One of the names that there are or may be.
fn path(world: &World, bytes: &mut &[u8]) -> PathBuf {
    let number = usize::from(byte(bytes));
    let files = world.disk.files();
    match files.get(number % (files.len() + NAMES.len())) {
        Some(path) => path.clone(),
        None => Path::new(ROOT).join(NAMES[number % NAMES.len()]),
    }
}

/// Does one thing to one file; whether its bytes may be taken for those of a store now though nobody wrote them.
fn mutate(world: &World, bytes: &mut &[u8]) -> bool {
    let (kind, files) = (byte(bytes) % 12, world.disk.files());
    let disk = &world.disk;
    if kind == 11 {
        disk.write_file(&path(world, bytes), run(bytes)).unwrap();
        return true;
    }
    if files.is_empty() {
        return false;
    }
    let file = &files[usize::from(byte(bytes)) % files.len()];
    let mut content = disk.read_file(file).unwrap();
    let offset = usize::from(u16::from_le_bytes([byte(bytes), byte(bytes)])) % (content.len() + 1);
    let is_forged = kind >= 8;
    match kind {
        0 => content.truncate(offset),
        1 => content.resize(content.len() + offset, 0),
        2 | 3 if offset < content.len() => content[offset] ^= 1 << (byte(bytes) % 8),
        4 => {
            let end = content.len().min(offset + 512);
            content[offset..end].fill(0);
        }
        5 => {
            disk.write_file(&path(world, bytes), &content).unwrap();
            return false;
        }
        6 => {
            let other = path(world, bytes);
            disk.remove_file(file).unwrap();
            disk.write_file(&other, &content).unwrap();
            return false;
        }
        7 => {
            let other = path(world, bytes);
            // What is not there is taken away.
            let swapped = disk.read_file(&other);
            disk.write_file(&other, &content).unwrap();
            match swapped {
                Ok(swapped) => content = swapped,
                Err(_) => return disk.remove_file(file).is_err(),
            }
        }
        8 | 9 => {
            let run = run(bytes);
            let end = content.len().min(offset + run.len());
            content[offset..end].copy_from_slice(&run[..end - offset]);
        }
        10 => internals::repair_segment(&mut content),
        _ => {}
    }
    disk.write_file(file, &content).unwrap();
    is_forged
}

/// What holds of any folder.
fn check(world: &World, base: &Base, is_forged: bool) {
    let before = world.contents();
    let verified = verify_in(&world.environment(), ROOT);
    let planned = repair_plan_in(&world.environment(), ROOT, &mut |_| {});
    let mut read_only = None;
    if let Ok(store) = Store::open_read_only_in(&world.environment(), ROOT) {
        read_only = Some(each_event(&store));
        drop(store);
    }
    assert!(world.contents() == before, "who looks changes nothing");
    let is_clean = verified.as_ref().is_ok_and(|report| report.is_ok());
    if is_clean && let Ok(plan) = &planned {
        assert!(!plan.is_damaged(), "what is clean is not damaged: {plan:?}");
    }
    let store = match world.open(&base.shape) {
        Ok(store) => store,
        Err(error) => {
            assert!(world.contents() == before, "a store that does not open is not changed: {error}");
            let kinds = [ErrorKind::Corrupt, ErrorKind::NotAStore, ErrorKind::UnsupportedFormat];
            assert!(kinds.contains(&error.kind()), "any bytes are refused for what they are: {error}");
            assert!(!is_clean, "verify found nothing, and the store does not open: {error}");
            return;
        }
    };
    let events = each_event(&store);
    let is_known = verified.is_ok_and(|report| !report.is_ok());
    assert!(is_known || events.iter().all(Option::is_some), "what reads refuse, verify finds");
    if !is_forged {
        let agree = events.iter().zip(&base.events).all(|(found, known)| found.as_ref().is_none_or(|it| it == known));
        assert!(agree && events.len() <= base.events.len(), "what is read was written");
    }
    if let Some(read_only) = read_only {
        assert!(read_only == events, "a reader sees what an open keeps");
    }
    if is_clean {
        check_streams(&store, &events);
    }
    go_on(world, base, store, events);
}

/// Every event of a store; `None` for one that is refused as damaged.
fn each_event(store: &Store) -> Vec<Option<Event>> {
    let all: Result<Vec<Event>> = store.read_all(..).collect();
    if let Ok(all) = all {
        assert_eq!(all.len() as u64, store.last_sequence().get(), "every event up to the last");
        return all.into_iter().map(Some).collect();
    }
    let event = |sequence| match store.event(Sequence::new(sequence)) {
        Ok(event) => Some(event.expect("an event up to the last")),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
            None
        }
    };
    (1..=store.last_sequence().get()).map(event).collect()
}

/// The index leads to the same events as the log.
fn check_streams(store: &Store, events: &[Option<Event>]) {
    let mut count = 0;
    for entry in store.streams("") {
        let (stream, head) = entry.unwrap();
        let expected = events.iter().flatten().filter(|event| event.stream == stream);
        let found: Vec<Event> = store.read_stream(&stream, ..).map(Result::unwrap).collect();
        assert!(found.iter().eq(expected), "a stream is read as it was verified");
        assert_eq!(found.last().map(|event| event.sequence), Some(head.sequence), "a head is the last event");
        count += found.len();
    }
    assert_eq!(count, events.len(), "every event is of a stream");
}

/// What is acknowledged from now on stays.
fn go_on(world: &World, base: &Base, store: Store, mut events: Vec<Option<Event>>) {
    let new = NewEvent::new(EventType::new("Went on").unwrap(), CodecId::RAW, vec![7; 40]);
    let outcome = store.append(&StreamId::new("z-1").unwrap(), ExpectedVersion::Any, vec![new]);
    match outcome {
        Ok(receipt) => events.push(store.event(receipt.sequence_first).unwrap()),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}"),
    }
    if let Err(error) = store.close() {
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    }
    drop(store);
    let again = world.open(&base.shape).unwrap_or_else(|error| panic!("what was opened opens again: {error}"));
    assert!(each_event(&again) == events, "what was opened opens again as the same");
}
