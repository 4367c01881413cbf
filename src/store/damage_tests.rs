//! Reading around damage: what is sound is there, from both sides.

use std::path::PathBuf;

use super::*;
use crate::disk::sim::SimulatedDisk;
use crate::index::MemoryIndexProvider;

const ROOT: &str = "/store";
const EVENTS: u64 = 60;

/// A closed store of two segments, whose first holds most events.
fn closed() -> (SimulatedDisk, MemoryIndexProvider) {
    let (disk, index) = (SimulatedDisk::default(), MemoryIndexProvider::default());
    let environment = Environment::new(Arc::new(disk.clone()), Arc::new(index.clone()));
    let store = Store::open_in(&environment, ROOT, Options::new().background(false).segment_bytes(8192)).unwrap();
    for number in 1..=EVENTS {
        store.append(&stream("a-1"), ExpectedVersion::Any, vec![event(&format!("event number {number}"))]).unwrap();
    }
    store.housekeep().unwrap();
    store.close().unwrap();
    (disk, index)
}

fn sequences(events: impl Iterator<Item = Result<Event>>) -> (Vec<u64>, Option<Error>) {
    let (mut found, mut failed) = (Vec::new(), None);
    for event in events {
        match event {
            Ok(event) => found.push(event.sequence.get()),
            Err(error) => failed = Some(error),
        }
    }
    (found, failed)
}

/// What: a read backwards that met damage returned none of up to 16 KiB of sound events behind it.
/// Why: it takes a stretch at once, from an anchor on, and gave it up as a whole.
/// How found: by reading, beside what T5 found of reads by sequence.
#[test]
fn a_read_backwards_returns_all_up_to_the_damage() {
    let (disk, index) = closed();
    let segment = PathBuf::from("/store/log/00000000000000000001.seg");
    let sound = disk.read_file(&segment).unwrap();
    for damaged in [1, 2, 20, 30] {
        let text = format!("event number {damaged}");
        let at = sound.windows(text.len()).position(|window| window == text.as_bytes()).unwrap() as u64;
        // In the payload, and in the header of the frame.
        for offset in [at, at - 60] {
            let disk = disk.kill();
            disk.flip_bit(&segment, offset, 0).unwrap();
            let environment = Environment::new(Arc::new(disk), Arc::new(index.kill()));
            let options = Options::new().background(false).segment_bytes(8192);
            let store = Store::open_in(&environment, ROOT, options).unwrap();
            let label = format!("event {damaged}, offset {offset}");
            let (found, failed) = sequences(store.read_all(..).rev());
            let corruption = failed.unwrap().corruption().cloned().unwrap();
            let told = corruption.sequence.unwrap().get();
            assert!((damaged.max(2) - 1..=damaged).contains(&told), "{label}: {corruption:?}");
            assert!(found.iter().copied().eq((told + 1..=EVENTS).rev()), "{label}: {found:?}");
            let behind = sequences(store.read_all(Sequence::new(told + 1)..).rev());
            assert!(behind.1.is_none() && behind.0 == found, "{label}: {behind:?}");
            let before = sequences(store.read_all(..Sequence::new(told)).rev());
            assert!(before.1.is_none() && before.0.iter().copied().eq((1..told).rev()), "{label}: {before:?}");
        }
    }
}
