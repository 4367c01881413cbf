//! Following a store from async code, without a runtime: any executor does.
//!
//! An append waits for the disk, so it is made where waiting is allowed: in a thread, or in what a runtime has for that
//! (`spawn_blocking`). Events come to async code as a stream.
//!
//! Run it with `cargo run --example from_async --no-default-features --features futures`.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use bitacora::{CodecId, EventType, ExpectedVersion, NewEvent, Options, Result, Store, StreamId, SubscribeOptions};

/// The smallest executor there is: one future, in this thread, which sleeps until it is woken.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

fn sell(store: &Store, cents: u64) -> Result<()> {
    let sold = NewEvent::new(EventType::new("Sold")?, CodecId::RAW, cents.to_le_bytes().to_vec());
    store.append(&StreamId::new("till-1")?, ExpectedVersion::Any, vec![sold]).map(drop)
}

/// Adds up sales until they come to a goal.
async fn takings(store: &Store, goal: u64) -> Result<u64> {
    // With the crate `futures`, or a runtime's own extension, it is a `Stream` as any other.
    let mut sales = store.subscribe(SubscribeOptions::new().stream_prefix("till-")).into_stream()?;
    let mut total = 0;
    while let Some(event) = sales.next().await {
        total += event?.payload.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        if total >= goal {
            break;
        }
    }
    Ok(total)
}

fn main() -> Result<()> {
    let store = Store::in_memory(Options::new())?;
    sell(&store, 250)?;
    let till = {
        let store = store.clone();
        thread::spawn(move || (1..=100).try_for_each(|cents| sell(&store, cents)))
    };
    let total = block_on(takings(&store, 250 + 5_050))?;
    till.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    assert_eq!(total, 250 + 5_050);
    println!("takings: {total} cents");
    store.close()
}

#[test]
fn the_takings_are_all_that_was_sold() -> Result<()> {
    main()
}
