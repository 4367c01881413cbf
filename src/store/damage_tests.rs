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

/// A stream read checks the record it returns and the header of its frame; what lies beside it in the commit is the affair of
/// who reads that. A read of all checks every record, `verify` every byte.
#[test]
fn a_stream_read_notices_damage_in_each_byte_that_it_rests_on() {
    const SECOND: &str = "the second of one commit";
    let (disk, index) = (SimulatedDisk::default(), MemoryIndexProvider::default());
    let environment = Environment::new(Arc::new(disk.clone()), Arc::new(index.clone()));
    let options = || Options::new().background(false).segment_bytes(8192);
    let store = Store::open_in(&environment, ROOT, options()).unwrap();
    for number in 0..EVENTS {
        let commit = crate::Commit::new()
            .append(&stream("a-1"), ExpectedVersion::Any, vec![event(&format!("event number {number}"))])
            .append(&stream("b-1"), ExpectedVersion::Any, vec![event(SECOND)]);
        store.commit(commit).unwrap();
    }
    store.housekeep().unwrap();
    store.close().unwrap();
    let segment = PathBuf::from("/store/log/00000000000000000001.seg");
    let sound = disk.read_file(&segment).unwrap();
    let find = |text: &str, from: usize| {
        from + sound[from..].windows(text.len()).position(|window| window == text.as_bytes()).unwrap()
    };
    let payload = find("event number 10", 0);
    let frame = (0..payload).rev().find(|at| sound[at + 4..].starts_with(&0xB17A_u16.to_le_bytes())).unwrap();
    let (end, end_of_second) = (payload + "event number 10".len(), find(SECOND, payload) + SECOND.len());
    for offset in frame..end_of_second {
        let disk = disk.kill();
        disk.flip_bit(&segment, offset as u64, 3).unwrap();
        let environment = Environment::new(Arc::new(disk), Arc::new(index.kill()));
        let store = Store::open_in(&environment, ROOT, options()).unwrap();
        let (first, failed) = sequences(store.read_stream(&stream("a-1"), ..));
        let (second, second_failed) = sequences(store.read_stream(&stream("b-1"), ..));
        let is_of_first = offset < end;
        assert_eq!(failed.is_some(), is_of_first, "offset {}", offset - frame);
        assert_eq!(first.len() as u64, if is_of_first { 10 } else { EVENTS }, "offset {}", offset - frame);
        let is_of_second = offset < frame + 56 || offset >= end;
        assert_eq!(second_failed.is_some(), is_of_second, "offset {}", offset - frame);
        assert_eq!(second.len() as u64, if is_of_second { 10 } else { EVENTS }, "offset {}", offset - frame);
        let (all, all_failed) = sequences(store.read_all(..));
        assert!(all_failed.is_some() && all.len() <= 21, "offset {}", offset - frame);
        let told = all_failed.and_then(|error| error.corruption().and_then(|found| found.sequence)).unwrap();
        assert!((21..=22).contains(&told.get()) && all.len() as u64 == told.get() - 1, "offset {}", offset - frame);
    }
}

#[test]
fn what_was_just_written_is_read_from_memory_while_more_is_written() {
    let root = tempfile::tempdir().unwrap();
    let environment = Environment::new(Arc::new(crate::disk::OsDisk), Arc::new(MemoryIndexProvider::default()));
    let options = || Options::new().background(false).segment_bytes(64 * 1024);
    let store = Store::open_in(&environment, root.path().join("store"), options()).unwrap();
    let payload = |number: u64| format!("event number {number}, {}", "x".repeat(300));
    for number in 1..=600 {
        store.append(&stream("a-1"), ExpectedVersion::Any, vec![event(&payload(number))]).unwrap();
        if number % 50 > 0 && number > 3 {
            continue;
        }
        let check = |event: Result<Event>, number: u64| {
            assert_eq!(event.unwrap().payload, payload(number).as_bytes(), "{number}");
        };
        store.read_all(..).zip(1..).for_each(|(event, number)| check(event, number));
        store.read_stream(&stream("a-1"), ..).zip(1..).for_each(|(event, number)| check(event, number));
        store.read_all(..).rev().zip((1..=number).rev()).for_each(|(event, number)| check(event, number));
        store.read_stream(&stream("a-1"), ..).rev().zip((1..=number).rev()).for_each(|(event, number)| {
            check(event, number);
        });
        assert_eq!(store.read_all(..).count() as u64, number);
        assert_eq!(store.read_stream(&stream("a-1"), ..).count() as u64, number);
    }
    assert!(store.shared().files.count() > 2, "it has rolled");
}

#[test]
fn a_segment_that_is_opened_again_is_walked_once_to_find_a_sequence() {
    let (disk, index) = (SimulatedDisk::default(), MemoryIndexProvider::default());
    let environment = Environment::new(Arc::new(disk), Arc::new(index));
    let options = || Options::new().background(false).segment_bytes(256 * 1024);
    let store = Store::open_in(&environment, ROOT, options()).unwrap();
    for _ in 0..1_000 {
        store.append(&stream("a-1"), ExpectedVersion::Any, vec![event(&"x".repeat(100))]).unwrap();
    }
    store.close().unwrap();
    let store = Store::open_in(&environment, ROOT, options()).unwrap();
    let files = &store.shared().files;
    let segment = files.last().unwrap();
    let anchor = |sequence| files.anchor(&segment, Sequence::new(sequence)).unwrap();
    assert_eq!(anchor(900).sequence, Sequence::FIRST);
    for sequence in [500, 900, 100, 700] {
        assert_eq!(store.event(Sequence::new(sequence)).unwrap().unwrap().sequence.get(), sequence);
    }
    let known: Vec<_> = (1..=900).map(anchor).collect();
    assert!(known.is_sorted_by_key(|anchor| (anchor.sequence, anchor.offset)), "{known:?}");
    assert!(
        known.iter().zip(1..).skip(150).all(|(anchor, sequence)| anchor.sequence.get() + 150 > sequence),
        "{known:?}"
    );
}
