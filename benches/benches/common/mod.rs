//! What the benches share: the events, the folder they are written to, and the raw files that are the floor.

#![allow(
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "each bench takes what it needs, and may stop by panicking"
)]

mod floor;

use std::path::PathBuf;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use bitacora::{CodecId, EventType, ExpectedVersion, NewEvent, Options, Store, StreamId};
pub(crate) use floor::{GroupedFile, RawFile};

/// What an event carries, bytes.
pub(crate) const PAYLOAD_BYTES: usize = 256;
/// How many streams the events go to.
pub(crate) const STREAMS: usize = 10_000;

const EVENT_TYPE: &str = "Measured";

/// A folder on a disk, removed when it is dropped: in `$BITACORA_BENCH_DIR`, or beside what cargo builds.
pub(crate) fn folder() -> tempfile::TempDir {
    let parent = std::env::var_os("BITACORA_BENCH_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
    std::fs::create_dir_all(&parent).unwrap();
    #[cfg(target_os = "linux")]
    {
        const TMPFS: i64 = 0x0102_1994;
        let kind = rustix::fs::statfs(&parent).unwrap().f_type;
        assert_ne!(kind, TMPFS, "{} is memory and not a disk; set BITACORA_BENCH_DIR", parent.display());
    }
    tempfile::tempdir_in(parent).unwrap()
}

/// The streams and one event, made once.
#[derive(Debug)]
pub(crate) struct Workload {
    pub(crate) streams: Vec<StreamId>,
    event: NewEvent,
}

impl Workload {
    pub(crate) fn new() -> Self {
        let streams = (0..STREAMS).map(|number| StreamId::of("till", &format!("{number:05}")).unwrap()).collect();
        let mut state = 1u32;
        let payload = (0..PAYLOAD_BYTES).map(|_| {
            // Bytes that do not repeat, so that nothing below compresses them away.
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_le_bytes()[3]
        });
        let event = NewEvent::new(EventType::new(EVENT_TYPE).unwrap(), CodecId::RAW, payload.collect());
        Self { streams, event }
    }

    pub(crate) fn events(&self, count: usize) -> Vec<NewEvent> {
        vec![self.event.clone(); count]
    }

    /// The stream of a writer's `number`-th commit: all of them in turn, in an order without neighbours.
    pub(crate) fn stream(&self, writer: usize, number: usize) -> &StreamId {
        &self.streams[(writer * 1_009 + number * 7_919) % STREAMS]
    }

    /// What the log takes for one commit of so many events: see the layout of frames and records.
    pub(crate) fn frame_bytes(&self, events: usize) -> usize {
        const FRAME_HEADER: usize = 56;
        const RECORD_HEADER: usize = 20;
        const EVENT_ID: usize = 16;
        let names = 1 + self.streams[0].as_str().len() + 1 + EVENT_TYPE.len();
        (FRAME_HEADER + events * (RECORD_HEADER + EVENT_ID + names + PAYLOAD_BYTES)).next_multiple_of(8)
    }

    /// Fills a store with `events` events, each stream's scattered over all of it.
    pub(crate) fn fill(&self, store: &Store, events: usize) {
        for number in 0..events / 100 {
            let mut commit = bitacora::Commit::new();
            for part in 0..100 {
                commit = commit.append(self.stream(0, number * 100 + part), ExpectedVersion::Any, self.events(1));
            }
            store.commit(commit).unwrap();
        }
    }
}

/// A store in a folder of its own.
#[derive(Debug)]
pub(crate) struct BenchStore {
    pub(crate) store: Store,
    _folder: tempfile::TempDir,
}

impl BenchStore {
    pub(crate) fn new(options: Options) -> Self {
        let folder = folder();
        Self { store: Store::create_new(folder.path().join("store"), options).unwrap(), _folder: folder }
    }

    /// `writers` threads that append one commit after another; how long they took for `commits` each.
    pub(crate) fn append(&self, workload: &Workload, writers: usize, commits: usize, events: usize) -> Duration {
        in_parallel(writers, |writer| {
            for number in 0..commits {
                let stream = workload.stream(writer, number);
                self.store.append(stream, ExpectedVersion::Any, workload.events(events)).unwrap();
            }
        })
    }
}

/// Runs the same in `writers` threads at once; from when all are there until all are done.
pub(crate) fn in_parallel(writers: usize, work: impl Fn(usize) + Sync) -> Duration {
    if writers == 1 {
        let started = Instant::now();
        work(0);
        return started.elapsed();
    }
    let barrier = Barrier::new(writers + 1);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..writers)
            .map(|writer| {
                let (barrier, work) = (&barrier, &work);
                scope.spawn(move || {
                    barrier.wait();
                    work(writer);
                })
            })
            .collect();
        barrier.wait();
        let started = Instant::now();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        started.elapsed()
    })
}
