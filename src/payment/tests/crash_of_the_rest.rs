//! Refunds, operators and payments without a network, cut off at every place.

use super::super::*;
use super::bench::{Bench, options};
use super::crash::{DEPOSITED, FORMS};
use super::late::Deaf;
use super::scripted::{finish, types};
use crate::ErrorKind;
use crate::aggregate::ExecuteError;
use crate::types::{Sequence, Timestamp};

/// A cut shows as this error and as no other.
fn is_cut<T>(result: Result<T, ExecuteError<PaymentRefusal>>) -> bool {
    match result {
        Ok(_) | Err(ExecuteError::Refused(_)) => false,
        Err(ExecuteError::Store(error)) if error.kind() == ErrorKind::Closed => true,
        Err(ExecuteError::Store(error)) => panic!("{error}"),
    }
}

fn is_driven(orchestrator: &Orchestrator) -> bool {
    match orchestrator.drive("p") {
        Ok(_) => true,
        Err(error) if error.kind() == ErrorKind::NotReady => true,
        Err(error) if error.kind() == ErrorKind::Closed => false,
        Err(error) => panic!("{error}"),
    }
}

fn count(bench: &Bench, name: &str) -> usize {
    types(bench, "p").iter().filter(|other| *other == name).count()
}

/// Goal: a late charge is given back exactly once, wherever the work is cut off. Method: a payment whose capture is taken for
/// lost; resolving it, finding the charge and giving it back are cut at every point, and begun anew.
#[test]
fn cut_at_every_point_a_late_charge_is_given_back_once() {
    for seed in 0..30 {
        let mut points = 0;
        loop {
            let profile = GatewayProfile {
                timeout_after_permille: 300,
                timeout_before_permille: 300,
                seed,
                ..GatewayProfile::always_approve()
            };
            let bench = Bench::ticking(DEPOSITED);
            let deaf = Deaf::new(bench.gateway(profile));
            let orchestrator = bench.orchestrator(deaf.clone());
            orchestrator.start(bench.request("p", 5, 6)).unwrap();
            let Progress::Parked(_) = finish(&bench, &orchestrator, "p") else { panic!("it is parked") };
            deaf.hear();
            let work = |orchestrator: &Orchestrator| {
                let resolved = orchestrator.resolve("p", Resolution::Compensated, "ana", "lost");
                is_cut(resolved) || is_cut(orchestrator.look_for_late_success("p")) || !is_driven(orchestrator)
            };
            let was_cut = work(&bench.cut_after(&orchestrator, points));
            let again = bench.orchestrator(deaf.clone());
            for id in again.incomplete(Sequence::ZERO, &Default::default()).unwrap() {
                again.resume(&id, "r1", bench.store.now(), std::time::Duration::ZERO).unwrap();
            }
            // A gateway that does not answer the question is asked again.
            for _ in 0..3 {
                assert!(!work(&again));
            }
            let charge = deaf.gateway.journal().charges["p"].clone();
            let label = format!("seed {seed}, cut after {points}");
            assert_eq!((charge.captured, charge.refunds, charge.net()), (6, 1, 0), "{label}");
            for name in ["OperatorResolved", "LateSuccessDetected", "RefundSucceeded", "PaymentCompensated"] {
                assert_eq!(count(&bench, name), 1, "{label}: {name}: {:?}", types(&bench, "p"));
            }
            bench.check_all(&again, &deaf.gateway.journal(), DEPOSITED, 1);
            if !was_cut {
                break;
            }
            points += 1;
        }
        assert!(points >= 5, "there was something to cut: {points}");
    }
}

/// Goal: calling a payment off, at every point of its way and cut at every point of its own, leaves one outcome and no money
/// locked.
#[test]
fn cut_at_every_point_a_cancelled_payment_ends_once() {
    let mut met = std::collections::HashMap::new();
    for seed in 0..6 {
        for form in FORMS {
            for worked in 0..14 {
                for cancelled in 0..6 {
                    let profile = GatewayProfile {
                        timeout_after_permille: 300,
                        timeout_before_permille: 300,
                        seed,
                        settles: seed % 2 == 0,
                        ..GatewayProfile::always_approve()
                    };
                    let bench = Bench::ticking(DEPOSITED);
                    let gateway = bench.gateway(profile);
                    let orchestrator = bench.orchestrator(gateway.clone());
                    orchestrator.start(bench.request("p", form.0, form.1)).unwrap();
                    is_driven(&bench.cut_after(&orchestrator, worked));
                    let cut = bench.cut_after(&orchestrator, cancelled);
                    let is_cancelled = !is_cut(cut.cancel("p", "ana", "enough"));
                    is_driven(&cut);
                    let again = bench.orchestrator(gateway.clone());
                    is_cut(again.cancel("p", "ana", "enough"));
                    let outcome = again.drive("p").unwrap();
                    bench.check_all(&again, &gateway.journal(), DEPOSITED, 1);
                    assert!(
                        count(&bench, "OperatorCancelled") <= 1
                            && (is_cancelled
                                || outcome.kind != OutcomeKind::Completed
                                || count(&bench, "OperatorCancelled") == 0)
                    );
                    *met.entry(outcome.kind).or_insert(0) += 1;
                }
            }
        }
    }
    assert_eq!(met.len(), 3, "each outcome is met: {met:?}");
}

/// Goal: without a network, wherever the work is cut off, nothing is taken on trust twice or uncounted, and with a network again
/// every payment ends once.
#[test]
fn cut_at_every_point_a_payment_without_a_network_is_uploaded_once() {
    let policy = OfflinePolicy { floor_limit: 9, payments_max: 1, sum_max: 9, ..OfflinePolicy::default() };
    for trusts in [true, false] {
        for form in [(0, 9), (5, 6)] {
            let mut points = 0;
            loop {
                let bench = Bench::ticking(DEPOSITED);
                let gateway = bench.gateway(GatewayProfile::always_approve().settling());
                gateway.set_online(false);
                let offline = if trusts { policy } else { OfflinePolicy::default() };
                let with = OrchestratorOptions { offline, ..options() };
                let orchestrator = bench.orchestrator_with(gateway.clone(), with.clone());
                orchestrator.start(bench.request("p", form.0, form.1)).unwrap();
                let was_cut = bench.cut_after(&orchestrator, points).advance("p", Timestamp::EPOCH).is_err();
                let again = bench.orchestrator_with(gateway.clone(), with);
                let open = again.incomplete(Sequence::ZERO, &Default::default()).unwrap();
                again.rebuild_offline(&open).unwrap();
                assert_eq!(open, ["p"]);
                again.resume("p", "r1", bench.store.now(), std::time::Duration::ZERO).unwrap();
                again.advance("p", Timestamp::EPOCH).unwrap();
                let saga = again.load("p").unwrap().unwrap();
                let stored = again.offline_stored().unwrap().payments;
                assert_eq!(stored, u32::from(saga.is_stored_offline()), "cut after {points}");
                assert_eq!(count(&bench, "OfflineAccepted"), usize::from(saga.offline().is_some()));
                gateway.set_online(true);
                assert!(matches!(finish(&bench, &again, "p"), Progress::Final(_)));
                assert_eq!(again.load("p").unwrap().unwrap().state(), PaymentState::Completed, "cut after {points}");
                bench.check_all(&again, &gateway.journal(), DEPOSITED, 1);
                if !was_cut {
                    break;
                }
                points += 1;
            }
            assert!(points >= 4, "there was something to cut: {points}");
        }
    }
}
