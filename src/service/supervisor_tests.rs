use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

#[test]
fn a_restart_follows_at_once_then_after_growing_delays_until_the_limit_of_the_window() {
    let options = SupervisorOptions {
        delay_initial: Duration::from_secs(10),
        delay_factor: 3,
        delay_max: Duration::from_secs(50),
        restarts_max: 4,
        window: Duration::from_secs(600),
        ..SupervisorOptions::default()
    };
    let decide = |restarts: &[i64], now| options.decide(&restarts.iter().copied().map(at).collect(), at(now));
    assert_eq!(decide(&[], 0), Decision::Restart);
    assert_eq!(decide(&[0], 9), Decision::WaitUntil(at(10)));
    assert_eq!(decide(&[0], 10), Decision::Restart);
    assert_eq!(decide(&[0, 10], 39), Decision::WaitUntil(at(40)));
    assert_eq!(decide(&[0, 10, 40], 80), Decision::WaitUntil(at(90)), "not beyond the longest delay");
    assert_eq!(decide(&[0, 10, 40, 90], 100), Decision::GiveUp);
    // What is older than the window does not count.
    assert_eq!(decide(&[0, 10, 40, 90], 601), Decision::Restart);
    assert_eq!(decide(&[0], 600), Decision::Restart);
    let never = SupervisorOptions { restarts_max: 0, ..options };
    assert_eq!(never.decide(&VecDeque::new(), at(0)), Decision::GiveUp);
    let many = SupervisorOptions { delay_factor: u32::MAX, ..options };
    assert_eq!(many.delay(usize::MAX), options.delay_max);
}

#[test]
fn options_out_of_range_are_refused() {
    let base = SupervisorOptions::default();
    base.check().unwrap();
    for bad in [
        SupervisorOptions { check_every: Duration::ZERO, ..base },
        SupervisorOptions { delay_factor: 0, ..base },
        SupervisorOptions { delay_max: Duration::ZERO, ..base },
    ] {
        assert_eq!(bad.check().unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}
