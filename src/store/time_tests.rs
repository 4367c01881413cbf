//! The store's time over its whole life: while it is open, and from one opening to the next.

use proptest::prelude::*;

use super::*;
use crate::clock::{Clock, ClockState, ClockStep};

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
const YEAR: Duration = Duration::from_secs(365 * 86_400);
const NOON: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

fn options(clock: &ManualClock) -> Options {
    Options::new().background(false).segment_bytes(1024 * 1024).clock(Arc::new(clock.clone()))
}

fn open_with(environment: &Environment, options: Options) -> Store {
    Store::open_in(environment, "/store", options.preallocation(Preallocation::Grow)).unwrap()
}

fn note(store: &Store) -> Timestamp {
    store.append(&stream("a-1"), ExpectedVersion::Any, vec![event("x")]).unwrap().timestamp
}

/// A store that was closed at noon, and is opened when its clock shows `wall`.
fn opened_at(wall: Timestamp, options_of: impl Fn(Options) -> Options) -> (ManualClock, Store) {
    let (environment, clock) = (Environment::in_memory(), ManualClock::new(NOON));
    let store = open_with(&environment, options(&clock));
    note(&store);
    store.close().unwrap();
    clock.jump(wall);
    let store = open_with(&environment, options_of(options(&clock)));
    (clock, store)
}

#[test]
fn a_clock_that_jumps_ahead_by_a_year_stamps_no_commit_and_its_return_is_followed() {
    let clock = ManualClock::new(NOON);
    let store = Store::in_memory(options(&clock)).unwrap();
    assert_eq!((note(&store), store.clock_state()), (NOON, ClockState::Trusted));
    clock.jump(NOON.plus(YEAR));
    assert_eq!(note(&store), NOON);
    clock.advance(HOUR);
    assert_eq!((note(&store), store.now()), (NOON.plus(HOUR), NOON.plus(HOUR)));
    assert_eq!(store.clock_state(), ClockState::Suspect { ahead_by: YEAR, since: NOON });
    clock.jump(NOON.plus(HOUR));
    assert_eq!((note(&store), store.clock_state()), (NOON.plus(HOUR), ClockState::Trusted));
}

/// What: a command that was decided at one time could be committed with an earlier one, so that an event's time was before the
/// times that its content was reckoned from.
/// Why: each look at the clock was for itself; only commits were kept in order.
/// How found: by asking of store time, and not of commits alone, that it never goes back.
#[test]
fn what_was_decided_at_a_time_is_not_committed_before_it() {
    let clock = ManualClock::new(NOON.plus(HOUR));
    let store = Store::in_memory(options(&clock)).unwrap();
    let decided_at = store.now();
    clock.jump(NOON);
    assert_eq!(note(&store), decided_at);
}

#[test]
fn an_operator_who_accepts_a_clock_is_on_record_before_time_moves() {
    let clock = ManualClock::new(NOON);
    let store = Store::in_memory(options(&clock)).unwrap();
    assert_eq!(store.accept_clock("ana").unwrap(), Duration::ZERO, "there is nothing to accept");
    assert_eq!(store.last_sequence(), Sequence::ZERO);
    clock.jump(NOON.plus(YEAR));
    assert_eq!(store.accept_clock(" ").unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(store.now(), NOON);
    assert_eq!(store.accept_clock("ana").unwrap(), YEAR);
    assert_eq!((store.now(), store.clock_state()), (NOON.plus(YEAR), ClockState::Trusted));
    let record = store.event(Sequence::FIRST).unwrap().unwrap();
    assert_eq!((record.stream.as_str(), record.timestamp), (ClockAccepted::STREAM, NOON));
    assert_eq!(record.metadata.actor.as_deref(), Some("ana"));
    assert_eq!(ClockAccepted::decode(&record).unwrap(), ClockAccepted { from: NOON, to: NOON.plus(YEAR) });
    assert_eq!(note(&store), NOON.plus(YEAR));
}

#[test]
fn a_record_of_an_accepted_clock_is_these_bytes() {
    let accepted = ClockAccepted { from: Timestamp::from_micros(1), to: Timestamp::from_micros(300) };
    assert_eq!(crate::codec::encode(&accepted).unwrap(), [2, 251, 88, 2]);
    let clock = ManualClock::new(NOON);
    let store = Store::in_memory(options(&clock)).unwrap();
    note(&store);
    let other = store.event(Sequence::FIRST).unwrap().unwrap();
    assert_eq!(ClockAccepted::decode(&other).unwrap_err().kind(), ErrorKind::UnknownPayload);
}

#[test]
fn a_clock_that_nobody_could_put_on_record_stays_suspect() {
    let clock = ManualClock::new(NOON);
    let store = Store::in_memory(options(&clock)).unwrap();
    note(&store);
    clock.jump(NOON.plus(YEAR));
    store.close().unwrap();
    assert_eq!(store.accept_clock("ana").unwrap_err().kind(), ErrorKind::Closed);
    assert!(matches!(store.clock_state(), ClockState::Suspect { .. }));
}

#[test]
fn a_night_at_open_is_reported_and_deadlines_are_put_off_by_it() {
    let (_, store) = opened_at(NOON.plus(DAY), |options| options);
    assert_eq!(store.recovery_report().clock_step, Some(ClockStep::Ahead(DAY)));
    assert_eq!(store.deadline_extension(), DAY);
    assert_eq!((store.now(), store.clock_state()), (NOON.plus(DAY), ClockState::Trusted), "it is believed at open");
    let kept = store.info().unwrap().last_recovery.unwrap();
    assert_eq!(kept.clock_step, Some(ClockStep::Ahead(DAY)));
}

#[test]
fn by_policy_deadlines_are_not_put_off() {
    let (_, store) = opened_at(NOON.plus(DAY), |options| options.deadlines_after_step(DeadlinesAfterStep::Expire));
    assert_eq!(store.recovery_report().clock_step, Some(ClockStep::Ahead(DAY)));
    assert_eq!(store.deadline_extension(), Duration::ZERO);
}

#[test]
fn a_step_below_its_bound_is_neither_reported_nor_puts_deadlines_off() {
    for (minimum, step) in [(DAY, None), (HOUR, Some(ClockStep::Ahead(DAY / 2)))] {
        let (_, store) = opened_at(NOON.plus(DAY / 2), |options| options.open_step_report_min(minimum));
        assert_eq!(store.recovery_report().clock_step, step);
        assert_eq!(store.deadline_extension(), if step.is_some() { DAY / 2 } else { Duration::ZERO });
    }
}

#[test]
fn a_dead_battery_at_open_is_reported_and_time_stands_still_until_the_clock_is_set() {
    let (clock, store) = opened_at(Timestamp::EPOCH, |options| options);
    let behind = NOON.since(Timestamp::EPOCH);
    assert_eq!(store.recovery_report().clock_step, Some(ClockStep::Behind(behind)));
    assert_eq!(store.deadline_extension(), Duration::ZERO);
    assert_eq!((note(&store), store.clock_state()), (NOON, ClockState::Trusted));
    clock.pass(HOUR);
    assert_eq!(note(&store), NOON);
    clock.jump(NOON.plus(HOUR));
    assert_eq!(
        (note(&store), store.clock_state()),
        (NOON.plus(HOUR), ClockState::Trusted),
        "as it would show by itself"
    );
    clock.jump(NOON.plus(DAY));
    assert!(matches!(store.clock_state(), ClockState::Suspect { .. }), "a night or a wrong date: somebody must look");
    assert_eq!(store.accept_clock("ana").unwrap(), DAY - HOUR);
    assert_eq!(note(&store), NOON.plus(DAY));
}

#[test]
fn a_store_without_a_commit_has_no_step_at_open() {
    let (environment, clock) = (Environment::in_memory(), ManualClock::new(NOON));
    open_with(&environment, options(&clock)).close().unwrap();
    let store = open_with(&environment, options(&clock));
    assert_eq!((store.recovery_report().clock_step, store.deadline_extension()), (None, Duration::ZERO));
}

#[test]
fn a_reader_puts_no_deadline_off() {
    let (environment, clock) = (Environment::in_memory(), ManualClock::new(NOON));
    let store = open_with(&environment, options(&clock));
    note(&store);
    store.close().unwrap();
    clock.jump(NOON.plus(DAY));
    let writer = open_with(&environment, options(&clock));
    let reader = Store::open_read_only_in(&environment, "/store").unwrap();
    assert_eq!(reader.recovery_report().clock_step, writer.recovery_report().clock_step, "what the last open found");
    assert_eq!(reader.deadline_extension(), Duration::ZERO);
    assert_eq!(writer.deadline_extension(), DAY);
}

#[test]
fn no_thread_sees_time_go_back_while_the_clock_jumps_about() {
    let clock = ManualClock::new(NOON);
    let store = Store::in_memory(options(&clock)).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut before = store.now();
                for _ in 0..20_000 {
                    let now = store.now();
                    assert!(now >= before, "{now:?} after {before:?}");
                    before = now;
                }
            });
        }
        for round in 0..2_000u32 {
            clock.jump(NOON.plus(if round % 2 == 0 { YEAR } else { Duration::from_secs(round.into()) / 100 }));
            clock.pass(Duration::from_millis(1));
            if round % 500 == 0 {
                store.accept_clock("ana").unwrap();
            }
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn commits_never_go_back_in_time_whatever_the_clock_does(
        moves in proptest::collection::vec((0u8..4, 0..63_000_000_000_000i64), 1..40),
    ) {
        let (environment, clock) = (Environment::in_memory(), ManualClock::new(NOON));
        let mut store = open_with(&environment, options(&clock));
        let mut last = note(&store);
        for (kind, micros) in moves {
            match kind {
                0 => clock.set(Timestamp::from_micros(clock.now().as_micros() + micros)),
                1 => clock.jump(Timestamp::from_micros(clock.now().as_micros() + micros)),
                2 => clock.jump(Timestamp::from_micros(clock.now().as_micros() - micros)),
                _ => {
                    store.close().unwrap();
                    store = open_with(&environment, options(&clock));
                }
            }
            let now = store.now();
            let committed = note(&store);
            prop_assert!(now <= committed && committed >= last, "{now:?}, {committed:?} after {last:?}");
            last = committed;
        }
        let times: Vec<Timestamp> = store.read_all(..).map(|event| event.unwrap().timestamp).collect();
        prop_assert!(times.is_sorted());
    }
}
