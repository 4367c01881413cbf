//! Errands that are cut off at every commit and around every call, and gone on with.

use super::errand::*;
use crate::ErrorKind;
use crate::types::Timestamp;

/// Works with cuts until the errand is over or parked; whether the first cut was met.
fn live_and_die(temper: Temper, cuts: &[u64]) -> bool {
    let bench = Bench::new(temper);
    bench.start(&bench.driver(), "a", 7);
    let mut first_is_met = false;
    for (life, points) in cuts.iter().enumerate() {
        let driver = bench.cut_after(*points);
        let outcome = Bench::poll_out(&driver);
        if let Err(error) = &outcome {
            assert_eq!(error.kind(), ErrorKind::Closed);
        }
        first_is_met |= life == 0 && outcome.is_err();
    }
    let driver = bench.driver();
    driver.recover().unwrap();
    Bench::poll_out(&driver).unwrap();
    if temper == Temper::Silent {
        assert_eq!(driver.open().into_iter().collect::<Vec<_>>(), [("a".to_owned(), None)], "parked");
        driver.tell("a", |_, _| Ok(vec![Fact::TimedOut])).unwrap();
        Bench::poll_out(&driver).unwrap();
    }
    let (ends, _) = bench.told();
    let is_delivered = !matches!(temper, Temper::Busy | Temper::Silent);
    assert_eq!(ends["a"], [is_delivered], "one end, and the right one");
    let carried = bench.courier.parcels().get("errand-a/call").map_or(0, |(_, carried)| *carried);
    assert_eq!(carried, u32::from(is_delivered), "carried if it says so, and once");
    assert_eq!(bench.left(), if is_delivered { STOCKED - 7 } else { STOCKED }, "no goods are made or lost");
    assert!(driver.open().is_empty());
    let last = bench.store.last_sequence();
    Bench::poll_out(&bench.driver()).unwrap();
    driver.poll(Timestamp::MAX).unwrap();
    assert_eq!(bench.store.last_sequence(), last, "what is over stays over");
    first_is_met
}

#[test]
fn cut_at_every_point_an_errand_has_one_end_and_is_carried_once() {
    for temper in TEMPERS {
        let mut points = 0;
        while live_and_die(temper, &[points]) {
            points += 1;
            assert!(points < 100, "an errand has an end");
        }
        assert!(points >= 7, "there was something to cut: {temper:?}, {points}");
    }
}

#[test]
fn cut_again_in_the_next_lives_it_is_the_same() {
    for temper in TEMPERS {
        for first in 0..14 {
            for second in 0..10 {
                live_and_die(temper, &[first, second, second / 2]);
            }
        }
    }
}
