//! What becomes of deadlines while the store is closed.

use std::path::Path;

use super::*;
use crate::store::{DeadlinesAfterStep, Environment};

const NIGHT: Duration = Duration::from_hours(10);
const PAYMENTS: [&str; 3] = ["a", "b", "c"];

fn open(environment: &Environment, clock: &ManualClock, policy: DeadlinesAfterStep) -> Till {
    let options = Options::new().clock(Arc::new(clock.clone())).background(false).deadlines_after_step(policy);
    let store = Store::open_in(environment, Path::new("/till"), options).unwrap();
    Till::over(store, clock.clone(), MemoryGateway::new(GatewayProfile::always_approve()))
}

/// A store with payments that have only begun, closed for a night.
fn closed_for_a_night() -> (Environment, ManualClock) {
    let (environment, clock) = (Environment::in_memory(), ManualClock::new(Timestamp::from_micros(1_000_000)));
    let till = open(&environment, &clock, DeadlinesAfterStep::Extend);
    till.open_wallet("ana", 100);
    for payment_id in PAYMENTS {
        till.orchestrator.start(Till::request(payment_id, "ana")).unwrap();
    }
    till.store.close().unwrap();
    clock.advance(NIGHT);
    (environment, clock)
}

fn deadline(till: &Till, payment_id: &str) -> Timestamp {
    till.orchestrator.load(payment_id).unwrap().unwrap().deadline().unwrap()
}

#[test]
fn a_night_that_the_store_was_closed_does_not_count_against_a_payment() {
    let (environment, clock) = closed_for_a_night();
    let till = open(&environment, &clock, DeadlinesAfterStep::Extend);
    let before = deadline(&till, "a");
    assert!(before < till.store.now(), "its deadline has passed");
    let report = till.recover(Strategy::Incremental);
    assert_eq!(report.sagas_with(SagaDecision::Resumed).count(), PAYMENTS.len());
    assert_eq!(deadline(&till, "a"), before.plus(NIGHT));
    // The night was one: neither a second recovery in this life nor the next life's extends again.
    till.recovery.recover_service(PAYMENTS_SERVICE, Strategy::Incremental).unwrap();
    till.store.close().unwrap();
    let till = open(&environment, &clock, DeadlinesAfterStep::Extend);
    till.recover(Strategy::Incremental);
    assert_eq!(deadline(&till, "a"), before.plus(NIGHT));
    for payment_id in PAYMENTS {
        assert_eq!(till.orchestrator.drive(payment_id).unwrap().kind, OutcomeKind::Completed);
    }
}

#[test]
fn by_the_other_policy_a_payment_expires_over_night() {
    let (environment, clock) = closed_for_a_night();
    let till = open(&environment, &clock, DeadlinesAfterStep::Expire);
    till.recover(Strategy::Incremental);
    for payment_id in PAYMENTS {
        assert_eq!(till.orchestrator.drive(payment_id).unwrap().kind, OutcomeKind::Rejected);
    }
}

/// Goal: a recovery that is killed does not take the night from the payments that it did not come to.
/// Method: stop it after 0, 1, 2 resumptions, and once more in the next life, where the log's last commit is recent; in the third
/// every payment's deadline is put off by one night, and by no more.
#[test]
fn a_recovery_that_was_killed_leaves_the_extension_to_the_next() {
    for (first, second) in [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (0, 2)] {
        let (environment, clock) = closed_for_a_night();
        let mut before = Timestamp::EPOCH;
        for stop_after in [first, second] {
            let till = open(&environment, &clock, DeadlinesAfterStep::Extend);
            before = if before == Timestamp::EPOCH { deadline(&till, "c") } else { before };
            let payments = PaymentService::new(till.orchestrator.clone());
            let killed = Killed { payments, calls_left: AtomicUsize::new(stop_after), panics: false };
            let recovery = RecoveryService::with_sagas(till.wallets.clone(), Arc::new(killed));
            recovery.recover(Trigger::Open, Strategy::Incremental).unwrap_err();
            till.store.close().unwrap();
        }
        let till = open(&environment, &clock, DeadlinesAfterStep::Extend);
        till.recover(Strategy::Incremental);
        for payment_id in PAYMENTS {
            assert_eq!(deadline(&till, payment_id), before.plus(NIGHT), "{payment_id} after {first} and {second}");
        }
    }
}
