//! The thread that polls.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::*;
use super::errand::*;
use crate::sync::{AtomicU64, Ordering};
use crate::types::Timestamp;
use crate::{ErrorKind, Result, Store};

/// Longer than any test: who waits so long was not woken.
const LONG: Duration = Duration::from_secs(600);

struct Counting {
    driver: Errands,
    polls: AtomicU64,
    polled: Bell,
    error: Option<ErrorKind>,
}

impl Counting {
    fn new(driver: Errands, error: Option<ErrorKind>) -> Arc<Self> {
        Arc::new(Self { driver, polls: AtomicU64::new(0), polled: Bell::new(), error })
    }

    /// Waits, by the bell, until `is_so`.
    fn wait_for(&self, is_so: impl Fn() -> bool) {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let heard = self.polled.rings();
            if is_so() {
                return;
            }
            assert!(Instant::now() < end, "the runner does not come to it");
            self.polled.wait(heard, Duration::from_millis(100));
        }
    }
}

impl Poller for Counting {
    fn poll(&self, now: Timestamp) -> Result<PollReport> {
        self.polls.fetch_add(1, Ordering::SeqCst);
        let report = match self.error {
            Some(kind) => Err(crate::Error::new(kind, "by the test")),
            None => self.driver.poll(now),
        };
        self.polled.ring();
        report
    }

    fn store(&self) -> &Store {
        self.driver.store()
    }

    fn bell(&self) -> &Bell {
        Poller::bell(&self.driver)
    }
}

#[test]
fn it_polls_when_there_is_work_and_not_otherwise() {
    let bench = Bench::new(Temper::Busy);
    let poller = Counting::new(bench.driver(), None);
    let runner = Runner::start(poller.clone(), RunnerOptions { longest_wait: LONG }).unwrap();
    for number in 0..5 {
        let saga_id = number.to_string();
        bench.start(&poller.driver, &saga_id, 3);
        poller.wait_for(|| poller.driver.load(&saga_id).unwrap().unwrap().outcome == Some(false));
    }
    assert!(runner.is_running());
    runner.stop().unwrap();
    // One when it starts, which rings its own bell by making the agenda, and one for each that was begun.
    assert!(poller.polls.load(Ordering::SeqCst) <= 7, "it does not poll for nothing");
}

#[test]
fn it_polls_when_a_timer_is_due() {
    let bench = Bench::new(Temper::Willing);
    let driver = bench.driver();
    bench.start(&driver, "a", 3);
    let due = driver.poll(Timestamp::EPOCH).unwrap().next_due.unwrap();
    // A tenth of a second before it: from here the clock stands, and the runner waits that long by its own.
    bench.clock.advance(due.since(bench.store.now()) - Duration::from_millis(100));
    let poller = Counting::new(driver, None);
    let runner = Runner::start(poller.clone(), RunnerOptions { longest_wait: LONG }).unwrap();
    poller.wait_for(|| poller.polls.load(Ordering::SeqCst) >= 1);
    bench.clock.advance(Duration::from_millis(100));
    poller.wait_for(|| poller.driver.load("a").unwrap().unwrap().outcome == Some(true));
    runner.stop().unwrap();
}

/// Goal: a clock that jumps ahead fires no timer.
/// Method: a saga waits for its timer; the wall jumps past it, and the runner does not poll however its bell is rung. Once the
/// clock is accepted, it does.
#[test]
fn timers_pause_while_the_clock_is_suspect() {
    let bench = Bench::new(Temper::Willing);
    let driver = bench.driver();
    bench.start(&driver, "a", 3);
    let due = driver.poll(Timestamp::EPOCH).unwrap().next_due.unwrap();
    bench.clock.jump(due.plus(Duration::from_hours(24)));
    let poller = Counting::new(driver, None);
    let runner = Runner::start(poller.clone(), RunnerOptions { longest_wait: Duration::from_millis(1) }).unwrap();
    for _ in 0..20 {
        poller.bell().ring();
        poller.polled.wait(poller.polled.rings(), Duration::from_millis(2));
    }
    assert_eq!(poller.polls.load(Ordering::SeqCst), 0, "it waits for the clock");
    bench.store.accept_clock("ana").unwrap();
    poller.wait_for(|| poller.driver.load("a").unwrap().unwrap().outcome == Some(true));
    runner.stop().unwrap();
}

#[test]
fn a_store_that_is_closed_ends_it_and_other_failures_do_not() {
    let bench = Bench::new(Temper::Willing);
    let poller = Counting::new(bench.driver(), Some(ErrorKind::Closed));
    let runner = Runner::start(poller.clone(), RunnerOptions { longest_wait: LONG }).unwrap();
    poller.wait_for(|| !runner.is_running());
    assert_eq!(runner.stop().unwrap_err().kind(), ErrorKind::Closed);

    let poller = Counting::new(bench.driver(), Some(ErrorKind::Io));
    let runner = Runner::start(poller.clone(), RunnerOptions { longest_wait: Duration::from_millis(1) }).unwrap();
    poller.wait_for(|| poller.polls.load(Ordering::SeqCst) >= 3);
    assert!(runner.is_running());
    drop(runner);
    let none = RunnerOptions { longest_wait: Duration::ZERO };
    assert_eq!(Runner::start(poller, none).unwrap_err().kind(), ErrorKind::InvalidInput);
}
