//! Charges that come after a payment has ended unpaid.

use std::sync::Arc;

use super::super::*;
use super::bench::{Bench, options, policy};
use super::scripted::{Scripted, commits, finish, no, types, yes};
use crate::aggregate::ExecuteError;
use crate::money::Money;
use crate::sync::{AtomicBool, Mutex, Ordering};
use crate::types::Sequence;

/// A gateway whose answers on captures get lost while it is deaf; what was sent arrives.
pub(super) struct Deaf {
    pub(super) gateway: Arc<MemoryGateway>,
    is_deaf: AtomicBool,
}

impl Deaf {
    pub(super) fn new(gateway: Arc<MemoryGateway>) -> Arc<Self> {
        Arc::new(Self { gateway, is_deaf: AtomicBool::new(true) })
    }

    pub(super) fn hear(&self) {
        self.is_deaf.store(false, Ordering::SeqCst);
    }
}

impl PaymentGateway for Deaf {
    fn authorise(&self, key: &str, amount: Money, reference: &str) -> GatewayAnswer {
        self.gateway.authorise(key, amount, reference)
    }

    fn capture(&self, key: &str, authorise_key: &str, amount: Money) -> GatewayAnswer {
        let answer = self.gateway.capture(key, authorise_key, amount);
        if self.is_deaf.load(Ordering::SeqCst) { GatewayAnswer::Unknown } else { answer }
    }

    fn void(&self, key: &str, authorise_key: &str) -> GatewayAnswer {
        self.gateway.void(key, authorise_key)
    }

    fn refund(&self, key: &str, capture_key: &str, amount: Money) -> GatewayAnswer {
        self.gateway.refund(key, capture_key, amount)
    }

    fn query(&self, key: &str) -> GatewayOutcome {
        let outcome = self.gateway.query(key);
        let is_lost = self.is_deaf.load(Ordering::SeqCst) && key.ends_with("capture");
        if is_lost { GatewayOutcome::Unknown } else { outcome }
    }
}

fn open(orchestrator: &Orchestrator) -> Vec<String> {
    orchestrator.incomplete(Sequence::ZERO, &Default::default()).unwrap()
}

fn refusal<T: std::fmt::Debug>(result: Result<T, ExecuteError<PaymentRefusal>>) -> PaymentRefusal {
    match result {
        Err(ExecuteError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

/// Goal: a capture that was taken for lost, and was not, is given back, once, and the outcome stays.
#[test]
fn a_capture_that_was_resolved_as_lost_and_is_found_is_given_back() {
    let bench = Bench::ticking(100);
    let deaf = Deaf::new(bench.gateway(GatewayProfile::always_approve()));
    let orchestrator = bench.orchestrator(deaf.clone());
    orchestrator.start(bench.request("p", 5, 6)).unwrap();
    assert!(matches!(finish(&bench, &orchestrator, "p"), Progress::Parked(_)));
    orchestrator.resolve("p", Resolution::Compensated, "ana", "the acquirer knows nothing").unwrap();
    assert!(open(&orchestrator).is_empty());
    assert!(!orchestrator.look_for_late_success("p").unwrap(), "no answer is no charge");
    deaf.hear();
    assert!(orchestrator.look_for_late_success("p").unwrap());
    assert!(orchestrator.look_for_late_success("p").unwrap(), "it is known");
    assert_eq!(open(&orchestrator), ["p"], "something is left to be done");
    let outcome = orchestrator.drive("p").unwrap();
    assert_eq!(
        (outcome.kind, outcome.reason.as_str()),
        (OutcomeKind::Compensated, "resolved: the acquirer knows nothing")
    );
    assert_eq!(
        commits(&bench)[commits(&bench).len() - 3..],
        ["LateSuccessDetected", "RefundPublished", "RefundSucceeded"],
        "the refund's intent is on record before it is sent"
    );
    assert!(open(&orchestrator).is_empty());
    let charge = &deaf.gateway.journal().charges["p"];
    assert_eq!((charge.captured, charge.refunded, charge.refunds, charge.net()), (6, 6, 1, 0));
    bench.check_all(&orchestrator, &deaf.gateway.journal(), 100, 1);
    let last = bench.store.last_sequence();
    orchestrator.report_late_success("p", "again").unwrap();
    orchestrator.drive("p").unwrap();
    assert_eq!(bench.store.last_sequence(), last, "reported again, nothing follows");
}

#[test]
fn a_late_charge_that_the_gateway_reports_is_given_back_by_its_own_key_and_capped() {
    let bench = Bench::ticking(100);
    let gateway = Scripted::new(vec![no()], vec![]);
    let orchestrator = bench.orchestrator(gateway.clone());
    assert_eq!(orchestrator.run(bench.request("p", 0, 6)).unwrap().kind, OutcomeKind::Rejected);
    let saga = orchestrator.report_late_success("p", "charge-17").unwrap();
    assert_eq!(saga.late_success(), Some(&LateSuccessDetected { reference: "charge-17".into(), amount: 6 }));
    assert_eq!(orchestrator.drive("p").unwrap().kind, OutcomeKind::Rejected);
    assert_eq!(gateway.called(), ["p/authorise", "p/refund"]);
    let saga = orchestrator.load("p").unwrap().unwrap();
    assert!(saga.is_refunded() && saga.is_over());
    // What another program wrote gives back no more than the card's part either.
    let mut forged = orchestrator.load("p").unwrap().unwrap();
    forged.late = Some(LateSuccessDetected { reference: String::new(), amount: 1_000 });
    assert_eq!(super::super::record::amount_of(&forged, GatewayCommand::Refund), 6);
}

#[test]
fn a_refund_is_retried_given_up_with_an_alert_and_found_until_an_operator_has_it_done() {
    let bench = Bench::ticking(100);
    let attempts = usize::try_from(policy().attempts_max).unwrap();
    let answers = [vec![no()], vec![GatewayAnswer::Unknown; attempts]].concat();
    let gateway = Scripted::new(answers, vec![GatewayOutcome::Unknown; attempts]);
    let heard: Arc<Mutex<Vec<AlertKind>>> = Arc::default();
    let kept = Arc::clone(&heard);
    let on_alert: AlertHandler = Arc::new(move |alert: &Alert| kept.lock().push(alert.kind));
    let with = OrchestratorOptions { on_alert: Some(on_alert), ..options() };
    let orchestrator = bench.orchestrator_with(gateway.clone(), with);
    orchestrator.run(bench.request("p", 0, 6)).unwrap();
    orchestrator.report_late_success("p", "charge-17").unwrap();
    orchestrator.drive("p").unwrap();
    let refunds = gateway.called().iter().filter(|key| *key == "p/refund").count();
    assert_eq!(refunds, attempts, "all under one key");
    assert_eq!(*heard.lock(), [AlertKind::RefundFailed]);
    let saga = orchestrator.load("p").unwrap().unwrap();
    assert!(!saga.is_over() && saga.refund_failure().is_some());
    assert_eq!(saga.state(), PaymentState::Rejected, "the outcome stays");
    assert_eq!(open(&orchestrator), ["p"]);
    let now = bench.store.now();
    let decision = orchestrator.resume("p", "r1", now, std::time::Duration::ZERO).unwrap();
    assert_eq!(decision, ResumeDecision::Parked, "a recovery leaves it to a person");
    orchestrator.retry("p", "ana", "the acquirer is back").unwrap();
    orchestrator.drive("p").unwrap();
    assert!(orchestrator.load("p").unwrap().unwrap().is_over());
    assert!(open(&orchestrator).is_empty());
    let refused = refusal(orchestrator.retry("p", "ana", ""));
    assert_eq!(refused, PaymentRefusal::AlreadyOver { outcome: OutcomeKind::Rejected });
}

#[test]
fn a_recovery_resumes_a_refund() {
    let bench = Bench::ticking(100);
    let orchestrator = bench.orchestrator(Scripted::new(vec![no()], vec![]));
    orchestrator.run(bench.request("p", 0, 6)).unwrap();
    orchestrator.report_late_success("p", "charge-17").unwrap();
    let now = bench.store.now();
    for _ in 0..2 {
        let decision = orchestrator.resume("p", "r1", now, std::time::Duration::from_secs(9)).unwrap();
        assert_eq!(decision, ResumeDecision::Resumed);
    }
    let all = types(&bench, "p");
    assert_eq!(all[all.len() - 2..], ["LateSuccessDetected", "PaymentResumed"], "once, and no deadline is moved");
    orchestrator.drive("p").unwrap();
    let decision = orchestrator.resume("p", "r1", now, std::time::Duration::ZERO).unwrap();
    assert_eq!(decision, ResumeDecision::AlreadyFinal);
}

// What: after a void that was given up, an authorisation that turned out to be approved was refunded.
// Why: nothing was captured, so a gateway refuses the refund each time, and the payment stayed open for ever.
// How found: by reading, while the trials were taught to report late charges.
#[test]
fn an_authorisation_whose_void_was_given_up_is_no_charge_and_is_not_refunded() {
    let bench = Bench::ticking(100);
    // The void is refused; the authorisation turns out to have been approved.
    let gateway = Scripted::new(vec![no()], vec![]);
    let orchestrator = bench.orchestrator(gateway.clone());
    orchestrator.start(bench.request("p", 0, 6)).unwrap();
    assert!(bench.cut_after(&orchestrator, 2).drive("p").is_err(), "published, and cut off before it is sent");
    orchestrator.cancel("p", "ana", "").unwrap();
    assert!(matches!(finish(&bench, &orchestrator, "p"), Progress::Parked(_)));
    assert_eq!(refusal(orchestrator.look_for_late_success("p")), PaymentRefusal::NotOver);
    orchestrator.resolve("p", Resolution::Compensated, "ana", "").unwrap();
    assert!(!orchestrator.look_for_late_success("p").unwrap());
    assert!(open(&orchestrator).is_empty());
    assert_eq!(gateway.called(), ["p/void"], "nobody is asked");
}

#[test]
fn what_is_no_late_charge_is_refused() {
    let bench = Bench::ticking(100);
    let orchestrator = bench.orchestrator(Scripted::new(vec![yes(), yes()], vec![]));
    orchestrator.run(bench.request("paid", 0, 6)).unwrap();
    let outcome = OutcomeKind::Completed;
    let paid = orchestrator.report_late_success("paid", "r");
    assert_eq!(refusal(paid), PaymentRefusal::AlreadyOver { outcome });
    orchestrator.start(bench.request("open", 0, 6)).unwrap();
    assert_eq!(refusal(orchestrator.report_late_success("open", "r")), PaymentRefusal::NotOver);
    orchestrator.start(bench.request("wallet", 500, 0)).unwrap();
    orchestrator.drive("wallet").unwrap();
    assert_eq!(refusal(orchestrator.report_late_success("wallet", "r")), PaymentRefusal::NoCardPart);
    // Where it is known that nothing was charged nobody is asked.
    let declined = Scripted::new(vec![no()], vec![]);
    let orchestrator = bench.orchestrator(declined.clone());
    orchestrator.run(bench.request("declined", 0, 6)).unwrap();
    assert!(!orchestrator.look_for_late_success("declined").unwrap());
    assert_eq!(declined.called(), ["declined/authorise"]);
}
