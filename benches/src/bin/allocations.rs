//! How often memory is allocated: by the caller of an append or a read, on its own thread, after a warm-up.
//!
//! What the caller builds before the call (the events with their payloads, the commit) is counted apart from what the call itself
//! allocates. Growing what is there counts as an allocation too; giving back does not. What other threads allocate, such as the one
//! that ingests, is not in it.

#![expect(unsafe_code, reason = "a global allocator is unsafe by its trait; this one only counts and passes on")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ops::ControlFlow;

use bitacora::{Commit, Durability, ExpectedVersion, NewEvent, NewEventRef, Options, Store, StreamId};
use bitacora_bench::place;
use bitacora_bench::workload::{empty_event, payload, stream_id, stream_of};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

fn count() {
    // A thread that ends may allocate after its counter is gone.
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: every call is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(old, layout, bytes) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(old, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn so_far() -> u64 {
    ALLOCATIONS.with(Cell::get)
}

/// What each of many calls allocates, after as many that warm up: building its input, and the call itself.
fn each<I>(times: usize, build: impl Fn(usize) -> I, call: impl Fn(I)) -> (f64, f64) {
    let (mut built, mut called) = (0, 0);
    for number in 0..2 * times {
        let before = so_far();
        let input = build(number);
        let between = so_far();
        call(input);
        if number >= times {
            built += between - before;
            called += so_far() - between;
        }
    }
    (built as f64 / times as f64, called as f64 / times as f64)
}

fn line(name: &str, events: usize, (built, called): (f64, f64)) {
    println!("| {name} | {built:.2} | {called:.2} | {:.2} |", called / events as f64);
}

fn events(count: usize, payload: &[u8]) -> Vec<NewEvent> {
    (0..count).map(|_| NewEvent { payload: payload.to_vec(), ..empty_event() }).collect()
}

fn main() {
    let (payload, empty) = (payload(), empty_event());
    let streams: Vec<StreamId> = (0..bitacora_bench::workload::STREAMS).map(stream_id).collect();
    println!("| call | allocated by building its input | by the call | an event |\n|---|---:|---:|---:|");
    for (durability, name) in [(Durability::Sync, "durable"), (Durability::Buffered, "buffered")] {
        let folder = place::folder();
        let store = Store::open(folder.path().join("store"), Options::new().durability(durability)).unwrap();
        let append = |(stream, events): (&StreamId, Vec<NewEvent>)| {
            store.append(stream, ExpectedVersion::Any, events).unwrap();
        };
        let one = |number: usize| (&streams[stream_of(number)], events(1, &payload));
        line(&format!("append, {name}, 1 event"), 1, each(20_000, one, append));
        let many = |number: usize| (&streams[stream_of(number)], events(100, &payload));
        line(&format!("append, {name}, 100 events of one stream"), 100, each(1_000, many, append));
        let scattered = |number: usize| {
            (0..100).fold(Commit::new(), |commit, part| {
                let stream = &streams[stream_of(number * 100 + part)];
                commit.append(stream, ExpectedVersion::Any, events(1, &payload))
            })
        };
        let commit = |commit: Commit| drop(store.commit(commit).unwrap());
        let lent = |number: usize| {
            let mut commit = store.new_commit();
            for part in 0..100 {
                let event = NewEventRef { payload: &payload, ..NewEventRef::from(&empty) };
                commit.add(&streams[stream_of(number * 100 + part)], ExpectedVersion::Any, event);
            }
            commit
        };
        line(&format!("commit, {name}, 100 lent events of 100 streams"), 100, each(1_000, lent, commit));
        line(&format!("commit, {name}, 100 events of 100 streams"), 100, each(1_000, scattered, commit));
        store.close().unwrap();
        if durability == Durability::Buffered {
            reads(folder.path(), &streams);
        }
    }
}

fn reads(folder: &std::path::Path, streams: &[StreamId]) {
    let store = Store::open(folder.join("store"), Options::new()).unwrap();
    let stream = |number: usize| &streams[stream_of(number)];
    let seen = store.read_stream(&streams[0], ..).count();
    let read = |stream: &StreamId| assert!(store.read_stream(stream, ..).filter(Result::is_ok).count() > 0);
    line(&format!("read_stream, {seen} events"), seen, each(1_000, stream, read));
    let mut total = 0;
    store
        .visit(.., |_| {
            total += 1;
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
    let visit = |()| store.visit(.., |_| Ok(ControlFlow::Continue(()))).unwrap();
    line(&format!("visit, {total} events"), total, each(1, |_| (), visit));
    store.close().unwrap();
}
