//! Operations on a store, crashes among them, against a plain model.

use std::collections::HashMap;

use bitacora::disk::sim::{CrashOptions, SimulatedDisk};
use bitacora::index::MemoryIndexProvider;
use bitacora::{
    CodecId, Commit, ErrorKind, EventType, ExpectedVersion, NewEvent, Receipt, Sequence, Store, StreamId, Version,
};

use super::{ROOT, environment, options};

/// More would only take longer to shrink.
const OPERATIONS_MAX: usize = 64;
const STREAMS: u8 = 3;

type Content = Vec<(u8, Vec<u8>)>;

/// All that was acknowledged.
#[derive(Default)]
struct Model {
    events: Content,
    keys: HashMap<u8, (Content, Receipt)>,
}

impl Model {
    fn version(&self, stream: u8) -> u64 {
        self.events.iter().filter(|(of, _)| *of == stream).count() as u64
    }
}

struct Run<'a> {
    bytes: &'a [u8],
    disk: SimulatedDisk,
    index: MemoryIndexProvider,
    store: Store,
    model: Model,
}

pub fn store_operations(bytes: &[u8]) {
    let (disk, index) = (SimulatedDisk::default(), MemoryIndexProvider::default());
    let store = Store::open_in(&environment(&disk, &index), ROOT, options()).unwrap();
    let mut run = Run { bytes, disk, index, store, model: Model::default() };
    for _ in 0..OPERATIONS_MAX {
        let Some(operation) = run.byte() else { break };
        match operation % 10 {
            0..=4 => run.commit(),
            5 => run.store.housekeep().unwrap(),
            6 => {
                run.store.close().unwrap();
                run.reopen();
            }
            7 => {
                (run.disk, run.index) = (run.disk.kill(), run.index.kill());
                run.reopen();
            }
            8 => {
                let seed = u64::from(run.byte().unwrap_or(0));
                let (disk, index) = (run.disk.crash(seed, CrashOptions::default()), run.index.crash(seed));
                (run.disk, run.index) = (disk, index);
                run.reopen();
            }
            _ => run.read_stream(),
        }
    }
    run.compare();
    run.store.close().unwrap();
    let verified = bitacora::verify_in(&environment(&run.disk, &run.index), ROOT).unwrap();
    assert!(verified.is_ok(), "{:?}", verified.findings);
}

fn stream(number: u8) -> StreamId {
    StreamId::new(format!("s-{number}")).unwrap()
}

impl Run<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(*first)
    }

    /// One to three parts of one to four events, maybe with a key.
    fn commit(&mut self) {
        let shape = self.byte().unwrap_or(0);
        let key = self.byte().unwrap_or(0);
        let (mut commit, mut content, mut is_expected) = (Commit::new(), Content::new(), true);
        let mut versions = HashMap::new();
        for _ in 0..1 + shape % 3 {
            let part = self.byte().unwrap_or(0);
            let name = part % STREAMS;
            let version = versions.entry(name).or_insert_with(|| self.model.version(name));
            let (expected, fits) = match part / STREAMS % 5 {
                0 => (ExpectedVersion::NoStream, *version == 0),
                1 => (ExpectedVersion::StreamExists, *version > 0),
                2 => (ExpectedVersion::Exact(Version::new(*version)), true),
                3 => (ExpectedVersion::Exact(Version::new(*version + 1)), false),
                _ => (ExpectedVersion::Any, true),
            };
            is_expected &= fits;
            let events: Vec<NewEvent> = (0..1 + part / 15 % 4)
                .map(|number| {
                    let payload = vec![part ^ number; usize::from(shape) * 3 + usize::from(number)];
                    content.push((name, payload.clone()));
                    NewEvent::new(EventType::new("T").unwrap(), CodecId::RAW, payload)
                })
                .collect();
            *version += events.len() as u64;
            commit = commit.append(&stream(name), expected, events);
        }
        // Half of the commits have one of eight keys.
        let key = (key % 16 < 8).then_some(key % 8);
        if let Some(key) = key {
            commit = commit.idempotency_key(format!("k{key}"));
        }
        let outcome = self.store.commit(commit);
        match (key.and_then(|key| self.model.keys.get(&key)), outcome) {
            (Some((known, receipt)), Ok(found)) => {
                assert_eq!(known, &content, "a key stands for one content");
                assert!(found.is_repeat);
                assert_eq!(found, Receipt { is_repeat: true, ..receipt.clone() });
            }
            (Some((known, _)), Err(error)) => {
                assert_eq!(error.kind(), ErrorKind::IdempotencyConflict, "{error}");
                assert_ne!(known, &content);
            }
            (None, Ok(receipt)) => {
                assert!(is_expected && !receipt.is_repeat);
                assert_eq!(receipt.sequence_first, Sequence::new(self.model.events.len() as u64 + 1));
                self.model.events.extend(content.iter().cloned());
                assert_eq!(receipt.sequence_last, Sequence::new(self.model.events.len() as u64));
                for part in &receipt.streams {
                    assert_eq!(
                        Some(&part.version_last.get()),
                        (0..STREAMS).find(|name| stream(*name) == part.stream).and_then(|name| versions.get(&name))
                    );
                }
                if let Some(key) = key {
                    self.model.keys.insert(key, (content, receipt));
                }
            }
            (None, Err(error)) => {
                assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
                assert!(!is_expected, "{error}");
            }
        }
    }

    fn reopen(&mut self) {
        self.store = Store::open_in(&environment(&self.disk, &self.index), ROOT, options()).unwrap();
        self.compare();
    }

    /// Everything acknowledged is there, and nothing else: nothing is ever in flight when the store stops.
    fn compare(&self) {
        let found = self.store.read_all(..).map(Result::unwrap).map(|event| (event.stream, event.payload));
        assert!(found.eq(self.model.events.iter().map(|(name, payload)| (stream(*name), payload.clone()))));
    }

    fn read_stream(&mut self) {
        let name = self.byte().unwrap_or(0) % STREAMS;
        let expected: Vec<&[u8]> =
            self.model.events.iter().filter(|(of, _)| *of == name).map(|(_, payload)| payload.as_slice()).collect();
        let forwards: Vec<_> = self.store.read_stream(&stream(name), ..).map(|event| event.unwrap().payload).collect();
        assert_eq!(forwards, expected);
        let mut backwards: Vec<_> =
            self.store.read_stream(&stream(name), ..).rev().map(|event| event.unwrap().payload).collect();
        backwards.reverse();
        assert_eq!(backwards, expected);
    }
}
