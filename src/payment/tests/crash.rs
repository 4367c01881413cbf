//! Payments that are cut off at every place, and gone on with.

use std::time::Duration;

use super::super::*;
use super::bench::Bench;
use crate::ErrorKind;
use crate::types::Timestamp;

pub(super) const DEPOSITED: i64 = 1_000;
/// Wallet's and card's parts.
pub(super) const FORMS: [(i64, i64); 3] = [(7, 0), (0, 9), (5, 6)];

/// What the restarts find: time that went on a little, or past the deadline.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Restart {
    AtOnce,
    PastTheDeadline,
}

/// Works on a payment with cuts until it is over; `cuts` says after how many points each life is cut. Returns whether the first cut
/// was met.
fn live_and_die(profile: GatewayProfile, form: (i64, i64), cuts: &[u64], restart: Restart) -> (bool, OutcomeKind) {
    let bench = Bench::ticking(DEPOSITED);
    let gateway = bench.gateway(profile);
    let request = bench.request("p", form.0, form.1);
    let first = bench.cut_after(&bench.orchestrator(gateway.clone()), cuts[0]);
    let is_cut = match first.run(request.clone()) {
        Ok(_) => false,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Closed);
            true
        }
    };
    for (life, points) in cuts[1..].iter().enumerate() {
        let orchestrator = bench.cut_after(&bench.orchestrator(gateway.clone()), *points);
        // What is cut off here is taken up by the next life.
        let _ = recover(&bench, &orchestrator, &format!("r{life}"), restart);
    }
    let orchestrator = bench.orchestrator(gateway.clone());
    recover(&bench, &orchestrator, "last", restart).unwrap();
    // A payment that never came on record is asked for again.
    let outcome = orchestrator.run(request).unwrap();
    bench.check_all(&orchestrator, &gateway.journal(), DEPOSITED, 1);
    let settled = gateway.journal().charges.get("p").map_or(0, |charge| charge.settled);
    let is_settled = profile.settles && outcome.kind == OutcomeKind::Completed;
    assert_eq!(settled, if is_settled { form.1 } else { 0 }, "{profile:?}");
    let last = bench.store.last_sequence();
    assert_eq!(orchestrator.drive("p").unwrap(), outcome);
    assert_eq!(bench.store.last_sequence(), last, "what is over stays over");
    (is_cut, outcome.kind)
}

fn recover(bench: &Bench, orchestrator: &Orchestrator, recovery_id: &str, restart: Restart) -> crate::Result<()> {
    for payment_id in orchestrator.incomplete(crate::Sequence::ZERO, &Default::default())? {
        let mut now = bench.store.now();
        if restart == Restart::PastTheDeadline {
            let saga = orchestrator.load(&payment_id)?.unwrap();
            now = now.max(saga.deadline().unwrap());
        }
        orchestrator.resume(&payment_id, recovery_id, now, Duration::ZERO)?;
        loop {
            match orchestrator.advance(&payment_id, now)? {
                Progress::Final(_) => break,
                Progress::WaitUntil(due) => now = due,
                Progress::Parked(reason) => panic!("nothing here needs a person: {reason}"),
            }
        }
    }
    Ok(())
}

/// Gateways of every temper: each seed gives the one payment's keys another fate.
fn profiles() -> Vec<GatewayProfile> {
    let rough = GatewayProfile {
        decline_permille: 200,
        timeout_after_permille: 300,
        timeout_before_permille: 300,
        seed: 0,
        settles: false,
    };
    // One in three has captures settled.
    let profile = |seed| if seed % 3 == 0 { rough.with_seed(seed).settling() } else { rough.with_seed(seed) };
    let mut profiles: Vec<_> = (0..40).map(profile).collect();
    profiles.push(GatewayProfile::always_approve());
    profiles
}

/// Goal: wherever the work is cut off, the payment ends once, is charged at most once, and no money is made or lost.
/// Method: for each form and temper, cut at the first point, then at the second, and so on until a run has no cut left; go on at once, or past the
/// deadline.
#[test]
fn cut_at_every_point_a_payment_has_one_outcome_and_no_money_is_lost() {
    let mut met = std::collections::HashMap::new();
    for profile in profiles() {
        for form in FORMS {
            for restart in [Restart::AtOnce, Restart::PastTheDeadline] {
                let mut points = 0;
                loop {
                    let (is_cut, kind) = live_and_die(profile, form, &[points], restart);
                    *met.entry(kind).or_insert(0) += 1;
                    if !is_cut {
                        break;
                    }
                    points += 1;
                    assert!(points < 100, "a payment has an end");
                }
                assert!(points >= 4, "there was something to cut: {points}");
            }
        }
    }
    assert_eq!(met.len(), 3, "each outcome is met: {met:?}");
}

/// The same, with the recovery cut off as well, at every point of its own.
#[test]
fn a_recovery_cut_at_every_point_changes_nothing_of_that() {
    for profile in profiles().into_iter().step_by(5) {
        for form in FORMS {
            for first in 0..14 {
                for second in 0..10 {
                    let restart = if (first + second) % 2 == 0 { Restart::AtOnce } else { Restart::PastTheDeadline };
                    live_and_die(profile, form, &[first, second, second / 2], restart);
                }
            }
        }
    }
}

/// Goal: two that work on the same payment at the same time, one of them a life that should be over, agree.
/// Method: a first life is stopped at every point, a second one ends the payment, then the first one goes on with what it
/// had in memory, as a thread would that was only slow.
#[test]
fn a_late_sender_never_charges_what_was_undone() {
    for profile in profiles() {
        let bench = Bench::ticking(DEPOSITED);
        let gateway = bench.gateway(profile);
        let orchestrator = bench.orchestrator(gateway.clone());
        let saga = orchestrator.start(bench.request("p", 5, 6)).unwrap();
        // Published, and cut off right before it is sent.
        assert!(bench.cut_after(&bench.orchestrator(gateway.clone()), 2).drive("p").is_err());
        let deadline: Timestamp = saga.started().unwrap().deadline;
        let mut now = deadline;
        let outcome = loop {
            match orchestrator.advance("p", now).unwrap() {
                Progress::Final(outcome) => break outcome,
                Progress::WaitUntil(due) => now = due,
                Progress::Parked(reason) => panic!("{reason}"),
            }
        };
        assert_eq!(outcome.kind, OutcomeKind::Compensated);
        let key = GatewayCommand::Authorise.key("p");
        let amount = saga.card_part().unwrap();
        for _ in 0..4 {
            let answer = gateway.authorise(&key, amount, "u");
            assert!(!matches!(answer, GatewayAnswer::Approved { .. }), "{profile:?}");
        }
        bench.check_all(&orchestrator, &gateway.journal(), DEPOSITED, 1);
    }
}
