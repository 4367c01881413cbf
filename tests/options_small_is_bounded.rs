//! A store with `Options::small` keeps to the memory and the open files that the page on tuning states, and to the bytes that
//! a commit costs on a card.
//!
//! Each measurement is made in a process of its own, the same test started again, so that no other test counts.

#![cfg(all(feature = "rocksdb", target_os = "linux"))]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;

use bitacora::snapshot::Snapshot;
use bitacora::{
    Align, CodecId, Commit, EventType, ExpectedVersion, NewEvent, Options, ScrubOptions, Sequence, Store, StreamId,
};

/// What the page on tuning states for a process that does this much with a small store.
const ANONYMOUS_BYTES_MAX: u64 = 32 * 1024 * 1024;
const OPEN_FILES_MAX: u64 = 64;

const EVENTS: u64 = 300_000;
const STREAMS: u64 = 20_000;
const COMMIT_EVENTS: u64 = 50;

/// Where the process of its own is to make its store; without it this is the test itself.
const FOLDER: &str = "BITACORA_TEST_FOLDER";

/// Starts one of these tests as a process of its own; what it printed behind `RESULT `.
fn in_a_process_of_its_own(test: &str) -> Vec<u64> {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    let line = text.lines().find_map(|line| line.split_once("RESULT ")).unwrap().1;
    line.split(' ').map(|number| number.parse().unwrap()).collect()
}

fn folder() -> Option<PathBuf> {
    std::env::var_os(FOLDER).map(PathBuf::from)
}

/// A field of a file in `/proc/self`, without its unit.
fn field(file: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(Path::new("/proc/self").join(file)).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_start_matches(':').split_whitespace().next().unwrap().parse().unwrap()
}

/// The most that was seen so far.
#[derive(Debug, Default)]
struct Peaks {
    anonymous: u64,
    files: u64,
}

impl Peaks {
    fn look(&mut self) {
        self.anonymous = self.anonymous.max(field("status", "RssAnon") * 1024);
        self.files = self.files.max(std::fs::read_dir("/proc/self/fd").unwrap().count() as u64);
    }
}

fn stream(number: u64) -> StreamId {
    StreamId::new(format!("till-{number:05}")).unwrap()
}

fn event(number: u64, bytes: usize) -> NewEvent {
    let mut payload = format!("{{\"number\":{number},\"text\":\"").into_bytes();
    payload.resize(bytes - 2, b'x');
    payload.extend_from_slice(b"\"}");
    NewEvent::new(EventType::new("Noted").unwrap(), CodecId::JSON, payload)
}

/// Loads events in commits over all streams, with a snapshot of one aggregate in each.
fn load(store: &Store, peaks: &mut Peaks) {
    let mut draw = 1u64;
    for commit in 0..EVENTS / COMMIT_EVENTS {
        let mut written = Commit::new();
        for number in 0..COMMIT_EVENTS {
            draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let event = event(commit * COMMIT_EVENTS + number, 256);
            written = written.append(&stream((draw >> 33) % STREAMS), ExpectedVersion::Any, vec![event]);
        }
        let receipt = store.commit(written).unwrap();
        if commit % 4 == 0 {
            save_snapshot(store, commit % 500, receipt.sequence_last);
        }
        if commit % 64 == 0 {
            peaks.look();
        }
    }
}

fn save_snapshot(store: &Store, aggregate: u64, last: Sequence) {
    let event = store.event(last).unwrap().unwrap();
    let snapshot = Snapshot {
        snapshot_id: format!("till-{aggregate}@{}", event.version),
        aggregate_type: "till".into(),
        aggregate_id: aggregate.to_string(),
        timestamp: event.timestamp,
        last_event_version: event.version,
        last_event_sequence: last,
        schema_version: 1,
        codec: CodecId::RAW,
        state: vec![7; 500],
    };
    store.save_snapshot(&snapshot).unwrap();
}

/// Reads all by sequence, every stream, and scrubs.
fn read(store: &Store, peaks: &mut Peaks) {
    let mut count = 0u64;
    for event in store.read_all(..) {
        event.unwrap();
        count += 1;
        if count.is_multiple_of(10_000) {
            peaks.look();
        }
    }
    assert_eq!(count, EVENTS);
    count = 0;
    for number in 0..STREAMS {
        for event in store.read_stream(&stream(number), ..) {
            event.unwrap();
            count += 1;
        }
        if number.is_multiple_of(500) {
            peaks.look();
        }
    }
    assert_eq!(count, EVENTS);
    let report = store
        .scrub(&ScrubOptions::new().rate_bytes(0), &mut |_| {
            peaks.look();
            ControlFlow::Continue(())
        })
        .unwrap();
    assert!(report.is_ok() && report.events == EVENTS, "{report:?}");
}

#[test]
fn a_small_store_keeps_to_its_memory_and_its_files() {
    const NAME: &str = "a_small_store_keeps_to_its_memory_and_its_files";
    let Some(folder) = folder() else {
        let [anonymous, files, peak] = in_a_process_of_its_own(NAME)[..] else { panic!("three numbers") };
        println!("{} KiB anonymous, {files} files, {} KiB in all", anonymous / 1024, peak / 1024);
        assert!(anonymous < ANONYMOUS_BYTES_MAX, "{anonymous} bytes of its own memory");
        assert!(files < OPEN_FILES_MAX, "{files} open files");
        return;
    };
    let mut peaks = Peaks::default();
    let path = folder.join("store");
    let store = Store::open(&path, Options::small()).unwrap();
    load(&store, &mut peaks);
    read(&store, &mut peaks);
    store.close().unwrap();
    drop(store);
    // The next open, with an index of its full size.
    let store = Store::open(&path, Options::small()).unwrap();
    read(&store, &mut peaks);
    store.close().unwrap();
    println!("RESULT {} {} {}", peaks.anonymous, peaks.files, field("status", "VmHWM") * 1024);
}

/// What the system counts as handed to the disk by this process, an event, of commits of one small event each.
fn bytes_of_single_commits(options: Options, folder: &Path, name: &str) -> u64 {
    const COMMITS: u64 = 2_000;
    let store = Store::open(folder.join(name), options).unwrap();
    let before = field("io", "write_bytes");
    for number in 0..COMMITS {
        store.append(&stream(number % 50), ExpectedVersion::Any, vec![event(number, 256)]).unwrap();
    }
    let bytes = (field("io", "write_bytes") - before) / COMMITS;
    store.close().unwrap();
    bytes
}

#[test]
fn a_single_commit_on_a_card_costs_a_sector_and_little_more() {
    const NAME: &str = "a_single_commit_on_a_card_costs_a_sector_and_little_more";
    let Some(folder) = folder() else {
        let [small, zeroed, packed, grown] = in_a_process_of_its_own(NAME)[..] else { panic!("four numbers") };
        println!("small {small}, with zeros {zeroed}, packed {packed}, packed and reserved {grown} bytes a commit");
        if small == 0 {
            println!("this file system is in memory, or does not count what is written");
            return;
        }
        // A sector for the commit; the index, the headers, the seals and the marks are the rest.
        assert!((4_096..5_200).contains(&small), "{small} bytes a commit");
        assert!(zeroed > small && packed >= 4_096, "zeros {zeroed}, packed {packed}");
        return;
    };
    use bitacora::Preallocation;
    let small = bytes_of_single_commits(Options::small(), &folder, "small");
    let zeroed =
        bytes_of_single_commits(Options::small().preallocation(Preallocation::ZeroFill), &folder, "zero-filled");
    let packed = bytes_of_single_commits(Options::new(), &folder, "packed");
    let reserved = bytes_of_single_commits(
        Options::small().align(Align::Packed).preallocation(Preallocation::Reserve),
        &folder,
        "reserved",
    );
    println!("RESULT {small} {zeroed} {packed} {reserved}");
}
