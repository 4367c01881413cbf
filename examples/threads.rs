//! Many threads, one store: a clone for each, and commits that share a sync.
//!
//! Also shows `submit`: one thread that keeps many commits in flight, in order.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Instant;

use bitacora::{CodecId, Commit, EventType, ExpectedVersion, NewEvent, Options, Result, Sequence, Store, StreamId};

const THREADS: u64 = 16;
const COMMITS: u64 = 50;

fn commit(stream: &StreamId, number: u64) -> Result<Commit> {
    let event = NewEvent::new(EventType::new("Counted")?, CodecId::RAW, number.to_le_bytes().to_vec());
    Ok(Commit::new().append(stream, ExpectedVersion::Any, vec![event]))
}

/// Each thread waits for each of its commits; those that wait at the same time are synced together.
fn with_threads(store: &Store) -> Result<()> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let store = store.clone();
                scope.spawn(move || -> Result<()> {
                    let stream = StreamId::new(format!("counter-{thread}"))?;
                    for number in 0..COMMITS {
                        store.commit(commit(&stream, number)?)?;
                    }
                    Ok(())
                })
            })
            .collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

/// One thread submits all, then waits for each: the sequences follow the order of the calls.
fn with_tickets(store: &Store) -> Result<()> {
    let stream = StreamId::new("counter-tickets")?;
    let mut tickets = Vec::new();
    for number in 0..THREADS * COMMITS {
        tickets.push(store.submit(commit(&stream, number)?)?);
    }
    let mut before = Sequence::ZERO;
    for ticket in tickets {
        let receipt = ticket.wait()?;
        assert!(receipt.sequence_first > before, "in the order of the calls");
        before = receipt.sequence_last;
    }
    Ok(())
}

fn main() -> Result<()> {
    let folder = tempfile::tempdir().map_err(|error| bitacora::Error::from_io("make a temporary folder", error))?;
    let store = Store::open(folder.path().join("till-data"), Options::new())?;

    let started = Instant::now();
    let alone = StreamId::new("counter-alone")?;
    for number in 0..COMMITS {
        store.commit(commit(&alone, number)?)?;
    }
    println!("1 thread, {COMMITS} durable commits: {:?}", started.elapsed());

    let started = Instant::now();
    with_threads(&store)?;
    println!("{THREADS} threads, {} durable commits: {:?}", THREADS * COMMITS, started.elapsed());

    let started = Instant::now();
    with_tickets(&store)?;
    println!("1 thread with tickets, {} durable commits: {:?}", THREADS * COMMITS, started.elapsed());

    let events: Vec<_> = store.read_all(..).collect::<Result<_>>()?;
    assert!(events.iter().zip(1..).all(|(event, number)| event.sequence.get() == number), "gapless from 1");
    println!("{} events, gapless from 1", events.len());
    store.close()
}

#[test]
fn what_many_threads_commit_is_gapless() -> Result<()> {
    main()
}
