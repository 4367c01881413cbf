//! Many threads on the same sagas.

use std::thread;

use super::super::*;
use super::errand::*;
use crate::types::Timestamp;

const THREADS: usize = 16;
const ERRANDS: u64 = 48;

/// Each thread has a driver of its own, as if each were a recovery that believes to be alone; all take from one shelf.
#[test]
fn sixteen_drivers_on_the_same_sagas_end_each_once() {
    let bench = Bench::new(Temper::LosesAnswers);
    let starter = bench.driver();
    for number in 0..ERRANDS {
        bench.start(&starter, &number.to_string(), 2);
    }
    let late = bench.store.now().plus(WAITS.close * 10);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let driver = bench.driver();
                drain(&driver, late);
            });
        }
    });
    check(&bench);
}

/// One driver that all threads poll: the agenda gives each saga to one at a time.
#[test]
fn sixteen_threads_that_poll_one_driver_end_each_saga_once() {
    let bench = Bench::new(Temper::Willing);
    let driver = bench.driver();
    let late = bench.store.now().plus(WAITS.close * 10);
    thread::scope(|scope| {
        for thread in 0..THREADS as u64 {
            let (bench, driver) = (&bench, driver.clone());
            scope.spawn(move || {
                for number in (thread..ERRANDS).step_by(THREADS) {
                    bench.start(&driver, &number.to_string(), 2);
                    driver.poll(Timestamp::EPOCH).unwrap();
                }
                drain(&driver, late);
            });
        }
    });
    drain(&driver, late);
    check(&bench);
    assert_eq!(bench.courier.queries(), 0, "nobody met another one at a saga");
    assert!(driver.open().is_empty());
}

fn drain(driver: &Errands, late: Timestamp) {
    loop {
        let report: PollReport = driver.poll(late).unwrap();
        assert!(report.failed.is_empty(), "{report:?}");
        if report.next_due.is_none_or(|due| due > late) {
            return;
        }
    }
}

fn check(bench: &Bench) {
    Bench::poll_out(&bench.driver()).unwrap();
    let (ends, calls) = bench.told();
    assert_eq!(ends.len() as u64, ERRANDS);
    assert!(ends.values().all(|ends| ends == &[true]), "{ends:?}");
    assert_eq!(calls.len() as u64, ERRANDS);
    assert!(bench.courier.parcels().values().all(|(_, carried)| *carried == 1));
    assert_eq!(bench.left(), STOCKED - 2 * ERRANDS);
}
