use proptest::prelude::*;

use super::*;

const BOUND: Duration = Duration::from_secs(300);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// Late enough for every jump back in these tests.
const START: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

fn earlier(time: Timestamp, duration: Duration) -> Timestamp {
    Timestamp::from_micros(time.as_micros() - i64::try_from(duration.as_micros()).unwrap())
}

struct Wall {
    clock: ManualClock,
    store: StoreClock,
}

impl Wall {
    fn new() -> Self {
        let clock = ManualClock::new(START);
        let store = StoreClock::start(&clock, START, BOUND);
        Self { clock, store }
    }

    fn now(&self) -> Timestamp {
        self.store.now(&self.clock, Timestamp::EPOCH)
    }

    fn state(&self) -> ClockState {
        self.store.state(&self.clock, Timestamp::EPOCH)
    }

    fn jump(&self, duration: Duration) {
        self.clock.jump(self.clock.now().plus(duration));
    }

    fn jump_back(&self, duration: Duration) {
        self.clock.jump(earlier(self.clock.now(), duration));
    }
}

#[test]
fn store_time_stands_still_while_the_clock_is_behind() {
    let last = Timestamp::from_micros(1_000);
    assert_eq!(store_time(Timestamp::from_micros(10), last), last);
    assert_eq!(store_time(Timestamp::from_micros(2_000), last), Timestamp::from_micros(2_000));
}

#[test]
fn the_systems_monotonic_clock_counts() {
    let first = SystemClock.elapsed();
    assert!(first > Duration::ZERO && SystemClock.elapsed() >= first);
}

#[test]
fn a_step_up_to_the_bound_is_followed_and_one_microsecond_more_is_not() {
    let wall = Wall::new();
    wall.jump(BOUND);
    assert_eq!((wall.now(), wall.state()), (START.plus(BOUND), ClockState::Trusted));
    let wall = Wall::new();
    wall.jump(BOUND + Duration::from_micros(1));
    assert_eq!(wall.now(), START);
    assert!(matches!(wall.state(), ClockState::Suspect { since: START, .. }));
}

#[test]
fn a_clock_that_jumps_ahead_by_a_year_is_not_followed_and_time_goes_on_until_it_returns() {
    let wall = Wall::new();
    wall.clock.advance(HOUR / 2);
    let before = wall.now();
    wall.jump(YEAR);
    assert_eq!(wall.state(), ClockState::Suspect { ahead_by: YEAR, since: before });
    wall.clock.advance(HOUR);
    assert_eq!(wall.now(), before.plus(HOUR), "it goes on by the monotonic clock");
    assert_eq!(wall.state(), ClockState::Suspect { ahead_by: YEAR, since: before }, "it began when it began");
    wall.jump_back(YEAR);
    assert_eq!((wall.now(), wall.state()), (before.plus(HOUR), ClockState::Trusted));
    wall.clock.advance(SECOND);
    assert_eq!(wall.now(), before.plus(HOUR + SECOND), "it is followed again");
}

#[test]
fn a_suspect_clock_goes_on_from_the_last_time_that_was_given() {
    let wall = Wall::new();
    wall.jump(BOUND / 2);
    let given = wall.now();
    wall.jump(YEAR);
    assert_eq!(wall.now(), given);
    wall.clock.pass(SECOND);
    assert_eq!(wall.now(), given.plus(SECOND), "and does not stand still until the anchor has come so far");
}

#[test]
fn a_clock_that_jumps_by_less_than_the_bound_again_and_again_is_not_followed_anywhere() {
    let wall = Wall::new();
    for _ in 0..100 {
        wall.clock.advance(SECOND);
        wall.jump(BOUND - SECOND);
        wall.now();
    }
    assert!(wall.now() <= START.plus(SECOND * 100 + BOUND), "{:?}", wall.now());
    assert!(matches!(wall.state(), ClockState::Suspect { .. }));
}

#[test]
fn a_bad_quartz_that_is_set_right_once_a_day_is_followed_for_years() {
    for is_slow in [true, false] {
        let wall = Wall::new();
        for day in 0..1_000 {
            wall.clock.advance(DAY);
            // A hundred parts in a million.
            let drift = DAY / 10_000;
            if is_slow {
                wall.jump(drift)
            } else {
                wall.jump_back(drift)
            }
            wall.now();
            assert_eq!(wall.state(), ClockState::Trusted, "day {day}");
        }
        wall.jump(BOUND + SECOND * 60);
        assert!(matches!(wall.state(), ClockState::Suspect { .. }), "the anchor has followed, so a jump is still seen");
    }
}

#[test]
fn a_machine_that_slept_has_no_clock_that_jumped() {
    let wall = Wall::new();
    wall.clock.advance(DAY * 30);
    assert_eq!((wall.now(), wall.state()), (START.plus(DAY * 30), ClockState::Trusted));
}

#[test]
fn a_clock_that_goes_back_is_believed_and_time_stands_still() {
    let wall = Wall::new();
    wall.now();
    wall.jump_back(YEAR);
    for _ in 0..10 {
        wall.clock.advance(HOUR);
        assert_eq!((wall.now(), wall.state()), (START, ClockState::Trusted));
    }
    wall.jump(YEAR);
    assert_eq!((wall.now(), wall.state()), (START.plus(HOUR * 10), ClockState::Trusted), "its return is no jump");
}

#[test]
fn a_clock_with_a_dead_battery_is_not_followed_from_1970_to_today_unasked() {
    let clock = ManualClock::new(Timestamp::EPOCH);
    let store = StoreClock::start(&clock, START, BOUND);
    assert_eq!(store.now(&clock, START), START);
    clock.pass(SECOND * 40);
    clock.jump(START.plus(SECOND * 100));
    assert_eq!(
        store.now(&clock, START),
        START.plus(SECOND * 100),
        "the machine was off for a minute, as far as one can tell"
    );
    clock.jump(START.plus(DAY));
    assert!(
        matches!(store.state(&clock, START), ClockState::Suspect { .. }),
        "it was off for a day, or the clock is wrong"
    );
}

#[test]
fn an_accepted_clock_is_followed_and_the_next_jump_is_not() {
    let wall = Wall::new();
    wall.jump(YEAR);
    assert_eq!(wall.now(), START);
    assert_eq!(wall.store.accept(&wall.clock, Timestamp::EPOCH), YEAR);
    assert_eq!((wall.now(), wall.state()), (START.plus(YEAR), ClockState::Trusted));
    wall.clock.advance(HOUR);
    assert_eq!(wall.now(), START.plus(YEAR + HOUR));
    wall.jump(DAY);
    assert!(matches!(wall.state(), ClockState::Suspect { ahead_by: DAY, .. }));
}

#[test]
fn without_a_bound_the_clock_is_followed_wherever_it_goes() {
    let clock = ManualClock::new(START);
    let store = StoreClock::start(&clock, START, Duration::MAX);
    clock.jump(Timestamp::MAX);
    assert_eq!(store.now(&clock, START), Timestamp::MAX);
    assert_eq!(store.state(&clock, START), ClockState::Trusted);
}

#[test]
fn a_manual_clock_that_is_set_forwards_lets_time_pass_and_one_that_jumps_does_not() {
    let clock = ManualClock::new(START);
    assert_eq!(clock.elapsed(), Duration::ZERO);
    clock.set(START.plus(SECOND));
    clock.set(START);
    clock.advance(SECOND);
    assert_eq!((clock.now(), clock.elapsed()), (START.plus(SECOND), SECOND * 2), "back is a jump");
    clock.jump(START.plus(DAY));
    clock.pass(SECOND);
    assert_eq!((clock.now(), clock.elapsed()), (START.plus(DAY), SECOND * 3));
}

#[test]
fn a_step_at_open_is_told_from_its_bound_on() {
    let between = |wall| ClockStep::between(START, wall, HOUR);
    let back = |duration: Duration| earlier(START, duration);
    assert_eq!(between(START.plus(HOUR)), Some(ClockStep::Ahead(HOUR)));
    assert_eq!(between(START.plus(HOUR - SECOND)), None);
    assert_eq!(between(back(HOUR)), Some(ClockStep::Behind(HOUR)));
    assert_eq!(between(back(HOUR - SECOND)), None);
    assert_eq!(ClockStep::between(START, START, Duration::ZERO), None);
}

#[derive(Clone, Copy, Debug)]
enum Move {
    /// Time passes, on both clocks.
    Pass(u64),
    /// The wall is set ahead.
    Ahead(u64),
    /// The wall is set back.
    Back(u64),
    /// The wall stands while time passes.
    Stand(u64),
    Accept,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    // Around the bound, around the hour, and anything up to two years.
    let micros = || {
        prop_oneof![
            0..1_000_000_000u64,
            299_000_000..301_000_000u64,
            3_500_000_000..3_700_000_000u64,
            0..63_000_000_000_000u64
        ]
    };
    let one = prop_oneof![
        4 => micros().prop_map(Move::Pass),
        3 => micros().prop_map(Move::Ahead),
        2 => micros().prop_map(Move::Back),
        1 => micros().prop_map(Move::Stand),
        1 => Just(Move::Accept),
    ];
    proptest::collection::vec(one, 0..60)
}

proptest! {
    #[test]
    fn store_time_is_monotone_and_never_further_ahead_of_true_time_than_the_bound_unless_accepted(moves in moves()) {
        let wall = Wall::new();
        let (mut before, mut base, mut since) = (wall.now(), START, Duration::ZERO);
        for step in moves {
            match step {
                Move::Pass(micros) => wall.clock.advance(Duration::from_micros(micros)),
                Move::Ahead(micros) => wall.jump(Duration::from_micros(micros)),
                Move::Back(micros) => wall.jump_back(Duration::from_micros(micros)),
                Move::Stand(micros) => wall.clock.pass(Duration::from_micros(micros)),
                Move::Accept => {
                    let moved = wall.store.accept(&wall.clock, Timestamp::EPOCH);
                    (base, since) = (wall.now(), wall.clock.elapsed());
                    prop_assert!(moved <= wall.now().since(before), "what is told is not more than what was moved");
                    prop_assert_eq!(wall.state(), ClockState::Trusted);
                }
            }
            let now = wall.now();
            prop_assert!(now >= before, "{:?} after {:?}", now, before);
            let passed = wall.clock.elapsed() - since;
            prop_assert!(now <= base.plus(passed + passed / 1_000 + BOUND), "{:?} after {:?} from {:?}", now, passed, base);
            match wall.state() {
                ClockState::Trusted => prop_assert!(now >= wall.clock.now(), "a clock that is believed is followed"),
                ClockState::Suspect { ahead_by, since } => {
                    prop_assert_eq!(ahead_by, wall.clock.now().since(now));
                    prop_assert!(since <= now && ahead_by > Duration::ZERO);
                }
            }
            before = now;
        }
    }
}
