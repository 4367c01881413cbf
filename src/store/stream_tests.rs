//! A subscription as a stream: the same events, the task woken for each, and an end.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Wake, Waker};

use super::*;

/// Wakes the thread that waits for a future.
struct Unpark(std::thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

fn append(store: &Store, number: u64) {
    store.append(&stream("a-1"), ExpectedVersion::Any, vec![event(&number.to_string())]).unwrap();
}

async fn sequences(events: &mut EventStream, count: usize) -> Vec<u64> {
    let mut found = Vec::new();
    while found.len() < count {
        let Some(event) = events.next().await else { break };
        found.push(event.unwrap().sequence.get());
    }
    found
}

#[test]
fn a_stream_gives_what_is_there_and_what_comes_and_ends_with_the_store() {
    let environment = Environment::in_memory();
    let store = Store::open_in(&environment, "/s", Options::new()).unwrap();
    (1..=300).for_each(|number| append(&store, number));
    let reader = Store::open_read_only_in(&environment, "/s").unwrap();
    let tasks: Vec<_> = [&store, &reader]
        .into_iter()
        .map(|store| {
            let mut events = store.subscribe(SubscribeOptions::new()).into_stream().unwrap();
            // A store that is closed gives no more, so each tells when it has all.
            let (caught_up, told) = std::sync::mpsc::channel();
            let task = std::thread::spawn(move || {
                let mut seen = block_on(sequences(&mut events, 600));
                caught_up.send(()).unwrap();
                seen.extend(block_on(sequences(&mut events, usize::MAX)));
                seen
            });
            (task, told)
        })
        .collect();
    (301..=600).for_each(|number| append(&store, number));
    let all: Vec<u64> = (1..=600).collect();
    let mut live = reader.subscribe(SubscribeOptions::new()).into_stream().unwrap();
    assert_eq!(block_on(sequences(&mut live, 600)), all);
    tasks.iter().for_each(|(_, told)| told.recv().unwrap());
    store.close().unwrap();
    reader.close().unwrap();
    for (task, _) in tasks {
        assert_eq!(task.join().unwrap(), all);
    }
}

#[test]
fn a_stream_reads_a_little_ahead_and_its_thread_ends_with_it() {
    let store = store();
    (1..=500).for_each(|number| append(&store, number));
    for at_once in [0, 1, 500] {
        let mut events = store.subscribe(SubscribeOptions::new()).into_stream().unwrap();
        let first = block_on(async {
            for _ in 0..at_once {
                events.next().await.unwrap().unwrap();
            }
            at_once
        });
        assert!(events.read_ahead() <= 64, "after {first}");
        let lives = events.lives();
        drop(events);
        let started = std::time::Instant::now();
        while lives() {
            assert!(started.elapsed() < Duration::from_secs(60), "the thread goes on after {first}");
            std::thread::yield_now();
        }
    }
}

#[test]
fn a_stream_gives_an_error_once_and_ends() {
    let store = store();
    append(&store, 1);
    let beyond = SubscribeOptions::new().stream(&stream("a-1"));
    let mut events = store.subscribe(beyond).into_stream().unwrap();
    assert_eq!(block_on(events.next()).unwrap().unwrap().sequence, Sequence::FIRST);
    store.shared().poison(&Error::new(ErrorKind::Io, "a test"));
    assert_eq!(block_on(events.next()).unwrap().unwrap_err().kind(), ErrorKind::Poisoned);
    assert!(block_on(events.next()).is_none());
}
