//! Settlement: the step after the capture.

use super::super::*;
use super::bench::{Bench, policy};
use super::scripted::{Scripted, commits, finish, no, types, yes};
use crate::types::Sequence;

#[test]
fn what_is_captured_is_settled_and_then_completed() {
    let bench = Bench::ticking(100);
    let gateway = bench.gateway(GatewayProfile::always_approve().settling());
    let outcome = bench.orchestrator(gateway.clone()).run(bench.request("p", 30, 31)).unwrap();
    assert_eq!(outcome.kind, OutcomeKind::Completed);
    assert_eq!(
        commits(&bench),
        [
            "PaymentStarted FundsHeld StepSucceeded StepCommandPublished",
            "StepSucceeded StepCommandPublished",
            // The card's capture, the wallet's part, and the settlement's intent.
            "StepSucceeded HoldCaptured StepSucceeded StepCommandPublished",
            "StepSucceeded PaymentCompleted"
        ]
    );
    let charge = &gateway.journal().charges["p"];
    assert_eq!((charge.captured, charge.settled, charge.settlements), (31, 31, 1));
    assert_eq!(bench.wallet().balance(), 70);
}

#[test]
fn a_payment_from_a_wallet_alone_has_nothing_to_settle() {
    let bench = Bench::ticking(100);
    let gateway = Scripted::settling(vec![], vec![]);
    bench.orchestrator(gateway.clone()).run(bench.request("p", 30, 0)).unwrap();
    assert!(gateway.called().is_empty());
    assert!(!bench.orchestrator(gateway).load("p").unwrap().unwrap().settles());
}

/// Goal: a gateway that is exchanged for another kind changes nothing for payments under way.
#[test]
fn whether_a_payment_settles_is_on_record_at_its_start() {
    let bench = Bench::ticking(100);
    let settling = Scripted::settling(vec![], vec![]);
    bench.orchestrator(settling.clone()).start(bench.request("settles", 0, 5)).unwrap();
    let plain = Scripted::new(vec![], vec![]);
    bench.orchestrator(plain.clone()).start(bench.request("does not", 0, 5)).unwrap();
    bench.orchestrator(plain.clone()).drive("settles").unwrap();
    assert_eq!(plain.called(), ["settles/authorise", "settles/capture", "settles/settle"]);
    // Asked for again it is the same payment, whatever the gateway is now.
    bench.orchestrator(settling.clone()).run(bench.request("does not", 0, 5)).unwrap();
    assert_eq!(settling.called(), ["does not/authorise", "does not/capture"]);
}

#[test]
fn a_settlement_is_published_before_it_is_sent_and_retried_under_its_key() {
    let bench = Bench::ticking(100);
    let unknown = GatewayAnswer::Unknown;
    let answers = vec![yes(), yes(), unknown.clone(), unknown];
    let gateway = Scripted::settling(answers, vec![GatewayOutcome::NotSeen, GatewayOutcome::Unknown]);
    let orchestrator = bench.orchestrator(gateway.clone());
    assert_eq!(orchestrator.run(bench.request("p", 0, 5)).unwrap().kind, OutcomeKind::Completed);
    let settle = "p/settle";
    assert_eq!(gateway.called()[2..], [settle, "p/settle?", settle, "p/settle?", settle]);
    let published = types(&bench, "p").iter().filter(|name| *name == "StepCommandPublished").count();
    assert_eq!(published, 5, "each attempt has its intent");
}

#[test]
fn a_settlement_that_is_refused_or_used_up_is_parked_and_never_undone() {
    let silent = usize::try_from(policy().attempts_max).unwrap();
    for answers in [vec![yes(), yes(), no()], [vec![yes(), yes()], vec![GatewayAnswer::Unknown; silent]].concat()] {
        let bench = Bench::ticking(100);
        let gateway = Scripted::settling(answers, vec![GatewayOutcome::Unknown; silent]);
        let orchestrator = bench.orchestrator(gateway.clone());
        orchestrator.start(bench.request("p", 5, 6)).unwrap();
        let Progress::Parked(reason) = finish(&bench, &orchestrator, "p") else { panic!("it is parked") };
        assert!(reason.starts_with("the settlement failed"), "{reason}");
        assert_eq!((bench.wallet().balance(), bench.wallet().locked_balance()), (95, 0), "what is taken stays taken");
        assert!(!gateway.called().iter().any(|key| key.contains("void") || key.contains("refund")));
        assert_eq!(orchestrator.incomplete(Sequence::ZERO, &Default::default()).unwrap(), ["p"]);
        // The gateway approves from here on.
        orchestrator.retry("p", "ana", "the acquirer is back").unwrap();
        assert!(matches!(finish(&bench, &orchestrator, "p"), Progress::Final(_)));
        assert_eq!(bench.wallet().balance(), 95);
    }
}
