//! The orchestrator over a store in memory: what is committed when, and what everybody ends with.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::super::*;
use super::bench::{Bench, eur_code, policy};
use super::scripted::{Scripted, commits, no};
use crate::clock::ManualClock;
use crate::money::Money;
use crate::sync::Mutex;
use crate::types::{Sequence, Timestamp};
use crate::{Durability, ErrorKind, Metadata, Options, StreamId};

const APPROVE: GatewayProfile = GatewayProfile::always_approve();

#[test]
fn a_payment_from_a_wallet_takes_two_commits() {
    let bench = Bench::ticking(100);
    let outcome = bench.orchestrator(bench.gateway(APPROVE)).run(bench.request("p", 30, 0)).unwrap();
    assert_eq!(outcome.kind, OutcomeKind::Completed);
    assert_eq!(
        commits(&bench),
        ["PaymentStarted FundsHeld StepSucceeded", "HoldCaptured StepSucceeded PaymentCompleted"]
    );
    assert_eq!(outcome.sequence, bench.store.last_sequence(), "the sequence of the event that says so");
    assert_eq!((bench.wallet().balance(), bench.wallet().locked_balance()), (70, 0));
}

#[test]
fn a_payment_by_card_takes_three_commits_and_no_wallet() {
    let bench = Bench::ticking(100);
    let gateway = bench.gateway(APPROVE);
    let outcome = bench.orchestrator(gateway.clone()).run(bench.request("p", 0, 30)).unwrap();
    assert_eq!(outcome.kind, OutcomeKind::Completed);
    assert_eq!(
        commits(&bench),
        ["PaymentStarted StepCommandPublished", "StepSucceeded StepCommandPublished", "StepSucceeded PaymentCompleted"]
    );
    assert_eq!(gateway.journal().charges["p"].net(), 30);
    assert_eq!(bench.wallet().balance(), 100);
}

#[test]
fn a_split_payment_takes_three_commits_over_both_streams() {
    let bench = Bench::ticking(100);
    let gateway = bench.gateway(APPROVE);
    let outcome = bench.orchestrator(gateway.clone()).run(bench.request("p", 30, 31)).unwrap();
    assert_eq!(outcome.kind, OutcomeKind::Completed);
    assert_eq!(
        commits(&bench),
        [
            "PaymentStarted FundsHeld StepSucceeded StepCommandPublished",
            "StepSucceeded StepCommandPublished",
            "StepSucceeded HoldCaptured PaymentCompleted"
        ]
    );
    assert_eq!((bench.wallet().balance(), gateway.journal().charges["p"].net()), (70, 31));
    assert_eq!(outcome.sequence, bench.store.last_sequence());
    let saga = bench.orchestrator(gateway).load("p").unwrap().unwrap();
    assert_eq!(saga.outcome(), Some(&outcome), "what is read back is what was answered");
}

#[test]
fn whatever_a_payment_causes_is_found_by_its_id_and_its_first_event_keeps_what_the_request_brought() {
    let bench = Bench::ticking(100);
    let pairs = vec![("occurred_at".to_owned(), "1997-01-01".to_owned())];
    let request = bench.request("p", 30, 31).with_metadata(Metadata { pairs, ..Metadata::default() });
    bench.orchestrator(bench.gateway(APPROVE)).run(request).unwrap();
    let events: Vec<_> = bench.store.read_all(Sequence::new(3)..).map(Result::unwrap).collect();
    assert!(events.iter().all(|event| event.metadata.correlation_id.as_deref() == Some("p")));
    assert!(events.iter().any(|event| event.stream.as_str().starts_with("wallet-")));
    assert_eq!(events[0].metadata.get("occurred_at"), Some("1997-01-01"));
    assert!(events[1..].iter().all(|event| event.metadata.pairs.is_empty()));
}

#[test]
fn a_wallet_that_cannot_pay_rejects_and_nothing_is_held_or_charged() {
    let bench = Bench::ticking(100);
    let gateway = bench.gateway(APPROVE);
    let outcome = bench.orchestrator(gateway.clone()).run(bench.request("p", 101, 5)).unwrap();
    assert_eq!(outcome.kind, OutcomeKind::Rejected);
    assert!(outcome.reason.contains("insufficient funds"), "{}", outcome.reason);
    assert_eq!(commits(&bench), ["PaymentStarted StepFailed PaymentRejected"]);
    assert_eq!(gateway.journal().calls, 0);
    let stranger = PaymentRequest::new("q", "stranger", eur_code()).by_wallet(5);
    let outcome = bench.orchestrator(gateway).run(stranger).unwrap();
    assert_eq!(outcome.kind, OutcomeKind::Rejected, "a wallet that was never opened");
}

#[test]
fn a_declined_card_rejects_alone_and_compensates_a_hold() {
    let bench = Bench::ticking(100);
    let outcome = bench.orchestrator(Scripted::new(vec![no()], vec![])).run(bench.request("card", 0, 5)).unwrap();
    assert_eq!((outcome.kind, outcome.reason.as_str()), (OutcomeKind::Rejected, "no"));
    let outcome = bench.orchestrator(Scripted::new(vec![no()], vec![])).run(bench.request("split", 5, 5)).unwrap();
    assert_eq!((outcome.kind, outcome.reason.as_str()), (OutcomeKind::Compensated, "no"));
    assert_eq!(
        commits(&bench).last().unwrap(),
        "StepFailed CompensationInitiated HoldReleased CompensationStepSucceeded PaymentCompensated"
    );
    assert_eq!((bench.wallet().balance(), bench.wallet().locked_balance()), (100, 0));
}

#[test]
fn an_unknown_answer_is_asked_about_at_once_and_not_sent_again() {
    let bench = Bench::ticking(100);
    let gateway = Scripted::new(vec![GatewayAnswer::Unknown], vec![]);
    let outcome = bench.orchestrator(gateway.clone()).run(bench.request("p", 0, 5)).unwrap();
    assert_eq!(outcome.kind, OutcomeKind::Completed);
    assert_eq!(*gateway.calls.lock(), ["p/authorise", "p/authorise?", "p/capture"]);
    assert_eq!(commits(&bench)[1], "StepFailed OutcomeQueried StepSucceeded StepCommandPublished");
}

#[test]
fn a_command_that_was_not_seen_is_sent_again_under_the_same_key() {
    let bench = Bench::ticking(100);
    let gateway = Scripted::new(vec![GatewayAnswer::Unknown], vec![GatewayOutcome::NotSeen]);
    let outcome = bench.orchestrator(gateway.clone()).run(bench.request("p", 0, 5)).unwrap();
    assert_eq!(outcome.kind, OutcomeKind::Completed);
    assert_eq!(*gateway.calls.lock(), ["p/authorise", "p/authorise?", "p/authorise", "p/capture"]);
}

#[test]
fn a_gateway_that_stays_silent_is_given_up_and_its_charge_voided_by_key() {
    let bench = Bench::ticking(100);
    let attempts = usize::try_from(policy().attempts_max).unwrap();
    let gateway = Scripted::new(vec![GatewayAnswer::Unknown; attempts], vec![GatewayOutcome::Unknown; attempts]);
    let outcome = bench.orchestrator(gateway.clone()).run(bench.request("p", 5, 5)).unwrap();
    assert_eq!(outcome.kind, OutcomeKind::Compensated);
    let calls = gateway.calls.lock();
    assert_eq!(calls.iter().filter(|key| *key == "p/authorise").count(), attempts);
    assert_eq!(calls.last().unwrap(), "p/void");
    assert_eq!(bench.wallet().locked_balance(), 0);
}

#[test]
fn a_refused_capture_and_a_void_that_fails_are_parked_and_what_else_can_be_undone_is() {
    let bench = Bench::ticking(100);
    let approve = GatewayAnswer::Approved { reference: "r".into() };
    let orchestrator = bench.orchestrator(Scripted::new(vec![approve.clone(), no()], vec![]));
    let error = orchestrator.run(bench.request("captured", 5, 5)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotReady);
    assert_eq!(orchestrator.load("captured").unwrap().unwrap().state(), PaymentState::ManualReview);
    assert_eq!(bench.wallet().locked_balance(), 5, "past the pivot nothing is let go");
    let parked = orchestrator.advance("captured", bench.store.now()).unwrap();
    assert!(matches!(parked, Progress::Parked(_)));
    assert_eq!(
        orchestrator.resume("captured", "r1", bench.store.now(), Duration::ZERO).unwrap(),
        ResumeDecision::Parked
    );

    let orchestrator = bench.orchestrator(Scripted::new(vec![no()], vec![]));
    orchestrator.start(bench.request("voided", 5, 5)).unwrap();
    // Held and published, and cut off before it is sent.
    let cut = bench.cut_after(&orchestrator, 2);
    assert_eq!(cut.drive("voided").unwrap_err().kind(), ErrorKind::Closed);
    let late = bench.store.now().plus(Duration::from_secs(3_600));
    assert!(matches!(orchestrator.advance("voided", late).unwrap(), Progress::Parked(_)));
    assert_eq!(bench.wallet().locked_balance(), 5, "the hold of the other payment alone");
}

#[test]
fn the_same_request_is_the_same_payment_and_another_one_under_its_id_is_refused() {
    let bench = Bench::ticking(100);
    let gateway = bench.gateway(APPROVE);
    let orchestrator = bench.orchestrator(gateway.clone());
    let started = orchestrator.start(bench.request("p", 10, 10)).unwrap();
    assert_eq!(started.state(), PaymentState::Started);
    assert_eq!(orchestrator.start(bench.request("p", 10, 10)).unwrap(), started);
    let outcome = orchestrator.run(bench.request("p", 10, 10)).unwrap();
    let last = bench.store.last_sequence();
    assert_eq!(orchestrator.run(bench.request("p", 10, 10)).unwrap(), outcome);
    assert_eq!(orchestrator.drive("p").unwrap(), outcome);
    assert_eq!(bench.store.last_sequence(), last, "nothing is written twice");
    assert_eq!((bench.wallet().balance(), gateway.journal().charges["p"].captures), (90, 1));
    for other in
        [bench.request("p", 10, 11), bench.request("p", 11, 10), PaymentRequest::new("p", "x", eur_code()).by_card(20)]
    {
        assert_eq!(orchestrator.start(other.clone()).unwrap_err().kind(), ErrorKind::IdempotencyConflict);
        assert_eq!(orchestrator.run(other).unwrap_err().kind(), ErrorKind::IdempotencyConflict);
    }
}

#[test]
fn requests_that_break_a_rule_are_refused_and_leave_nothing() {
    let bench = Bench::ticking(100);
    let orchestrator = bench.orchestrator(bench.gateway(APPROVE));
    let last = bench.store.last_sequence();
    for request in [
        bench.request("p", 0, 0),
        bench.request("p", -1, 5),
        bench.request("p", 5, -1),
        bench.request("p", i64::MAX, 1),
        bench.request("", 1, 1),
        bench.request(&"p".repeat(129), 1, 1),
        bench.request("p\n", 1, 1),
        PaymentRequest::new("p", "", eur_code()).by_card(1),
    ] {
        assert_eq!(orchestrator.run(request.clone()).unwrap_err().kind(), ErrorKind::InvalidInput, "{request:?}");
    }
    assert_eq!(bench.store.last_sequence(), last);
    assert!(orchestrator.run(bench.request(&"p".repeat(128), 1, 1)).is_ok(), "at the limit");
    assert_eq!(orchestrator.drive("nobody").unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(
        orchestrator.resume("nobody", "r", Timestamp::EPOCH, Duration::ZERO).unwrap_err().kind(),
        ErrorKind::NotFound
    );
    assert_eq!(orchestrator.load("nobody").unwrap(), None);
}

#[test]
fn a_retry_waits_and_the_deadline_cuts_the_waiting_short() {
    let clock = ManualClock::new(Timestamp::from_micros(1_000_000));
    let bench = Bench::with_options(100, Options::new().clock(Arc::new(clock.clone())));
    let silent = Scripted::new(vec![GatewayAnswer::Unknown], vec![GatewayOutcome::Unknown]);
    let orchestrator = bench.orchestrator(silent.clone());
    let saga = orchestrator.start(bench.request("p", 0, 5)).unwrap();
    let due = clock.now_plus(policy().delay(1));
    assert_eq!(orchestrator.advance("p", Timestamp::EPOCH).unwrap(), Progress::WaitUntil(due));
    let last = bench.store.last_sequence();
    assert_eq!(orchestrator.advance("p", Timestamp::EPOCH).unwrap(), Progress::WaitUntil(due));
    assert_eq!(bench.store.last_sequence(), last, "a wait that goes on writes nothing");
    let deadline = saga.started().unwrap().deadline;
    let Progress::Final(outcome) = orchestrator.advance("p", deadline).unwrap() else { panic!("it is over") };
    assert_eq!(outcome.kind, OutcomeKind::Compensated);
    assert_eq!(orchestrator.load("p").unwrap().unwrap().compensation(), Some(CompensationReason::Timeout));
}

trait NowPlus {
    fn now_plus(&self, duration: Duration) -> Timestamp;
}

impl NowPlus for ManualClock {
    fn now_plus(&self, duration: Duration) -> Timestamp {
        use crate::clock::Clock;
        self.now().plus(duration)
    }
}

#[test]
fn unfinished_payments_are_found_from_any_place_and_resumed_once_per_recovery() {
    let bench = Bench::ticking(100);
    let orchestrator = bench.orchestrator(bench.gateway(APPROVE));
    orchestrator.run(bench.request("over", 1, 1)).unwrap();
    orchestrator.start(bench.request("early", 1, 1)).unwrap();
    let place = bench.store.last_sequence();
    orchestrator.start(bench.request("late", 1, 1)).unwrap();
    let none = BTreeSet::new();
    assert_eq!(orchestrator.incomplete(Sequence::ZERO, &none).unwrap(), ["early", "late"]);
    assert_eq!(orchestrator.incomplete(place, &none).unwrap(), ["late"]);
    let known = BTreeSet::from(["early".to_owned()]);
    assert_eq!(orchestrator.incomplete(place, &known).unwrap(), ["early", "late"]);

    let now = bench.store.now();
    assert_eq!(orchestrator.resume("over", "r1", now, Duration::ZERO).unwrap(), ResumeDecision::AlreadyFinal);
    assert_eq!(orchestrator.resume("early", "r1", now, Duration::ZERO).unwrap(), ResumeDecision::Resumed);
    let last = bench.store.last_sequence();
    assert_eq!(orchestrator.resume("early", "r1", now, Duration::ZERO).unwrap(), ResumeDecision::Resumed);
    assert_eq!(bench.store.last_sequence(), last, "a recovery that is killed and repeated says so once");
    orchestrator.drive("early").unwrap();
    orchestrator.drive("late").unwrap();
    assert!(orchestrator.incomplete(place, &known).unwrap().is_empty());
}

#[test]
fn a_recovery_past_the_deadline_begins_to_undo_and_calls_nobody() {
    let bench = Bench::ticking(100);
    let gateway = bench.gateway(APPROVE);
    let orchestrator = bench.orchestrator(gateway.clone());
    let saga = orchestrator.start(bench.request("p", 5, 5)).unwrap();
    // Held and published, and cut off before it is sent.
    let cut = bench.cut_after(&orchestrator, 2);
    assert!(cut.drive("p").is_err());
    assert_eq!(orchestrator.load("p").unwrap().unwrap().in_doubt(), Some(GatewayCommand::Authorise));
    let late = saga.started().unwrap().deadline;
    assert_eq!(orchestrator.resume("p", "r1", late, Duration::ZERO).unwrap(), ResumeDecision::Compensating);
    assert_eq!(commits(&bench).last().unwrap(), "PaymentResumed DeadlineReached CompensationInitiated");
    assert_eq!(gateway.journal().calls, 0);
    assert_eq!(orchestrator.drive("p").unwrap().kind, OutcomeKind::Compensated);
    let charge = &gateway.journal().charges["p"];
    assert_eq!((charge.voids, charge.authorisations), (1, 0));
    let authorise_key = GatewayCommand::Authorise.key("p");
    let late_arrival = gateway.authorise(&authorise_key, Money::new(5, eur_code()), "u");
    assert!(matches!(late_arrival, GatewayAnswer::Declined { .. }), "a command that was on its way is precluded");
}

/// Goal: with everybody on one wallet, every payment ends, with one outcome that all agree on, and no cent is made or lost.
/// Method: each payment is worked on by two threads at a time, which take no turns: each has an orchestrator and a repository of
/// the two there are.
#[test]
fn sixteen_threads_on_one_wallet_end_every_payment() {
    const THREADS: i64 = 16;
    const PAYMENTS: i64 = 12;
    let rough = GatewayProfile {
        decline_permille: 150,
        timeout_after_permille: 150,
        timeout_before_permille: 150,
        seed: 3,
        settles: true,
    };
    let bench = Bench::ticking(10_000);
    let gateway = bench.gateway(rough);
    let orchestrators = [bench.orchestrator(gateway.clone()), bench.orchestrator(gateway.clone())];
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (bench, orchestrator) = (&bench, &orchestrators[usize::try_from(thread % 2).unwrap()]);
            scope.spawn(move || {
                for n in 0..PAYMENTS {
                    let id = format!("p{}-{n}", thread / 2);
                    let (wallet, card) = [(7, 0), (0, 9), (5, 6)][usize::try_from(n % 3).unwrap()];
                    let outcome = orchestrator.run(bench.request(&id, wallet, card)).unwrap();
                    assert_eq!(orchestrator.drive(&id).unwrap(), outcome);
                }
            });
        }
    });
    bench.check_all(&orchestrators[0], &gateway.journal(), 10_000, usize::try_from(THREADS / 2 * PAYMENTS).unwrap());
}

/// Goal: the journal of a gateway in its folder and the store agree to the cent, over payments of every form, worked on by
/// threads, through a restart of both sides.
#[test]
fn the_net_charges_in_a_gateways_journal_are_the_card_amounts_of_completed_payments() {
    let folder = tempfile::tempdir().unwrap();
    let rough = GatewayProfile {
        decline_permille: 150,
        timeout_after_permille: 150,
        timeout_before_permille: 150,
        seed: 5,
        settles: false,
    };
    let bench = Bench::ticking(10_000);
    for ids in [0..24, 12..48] {
        let gateway = Arc::new(FileGateway::open_with(folder.path(), rough).unwrap());
        let orchestrator = bench.orchestrator(gateway);
        std::thread::scope(|scope| {
            for worker in 0..4 {
                let (bench, orchestrator, ids) = (&bench, &orchestrator, ids.clone());
                scope.spawn(move || {
                    for id in ids.filter(|id| id % 4 == worker) {
                        let (wallet, card) = [(7, 0), (0, 9), (5, 6)][id % 3];
                        orchestrator.run(bench.request(&format!("p{id}"), wallet, card)).unwrap();
                    }
                });
            }
        });
    }
    let journal = FileGateway::read_journal(folder.path()).unwrap();
    assert!(journal.timeouts > 0);
    bench.check_all(&bench.orchestrator(bench.gateway(APPROVE)), &journal, 10_000, 48);
}

/// A gateway that does something each time before it answers.
struct Meddled<F> {
    gateway: Arc<MemoryGateway>,
    calls: Mutex<Vec<String>>,
    meddle: F,
}

impl<F: Fn(&str) + Send + Sync> Meddled<F> {
    fn new(gateway: Arc<MemoryGateway>, meddle: F) -> Arc<Self> {
        Arc::new(Self { gateway, calls: Mutex::default(), meddle })
    }

    fn after(&self, key: &str, answer: GatewayAnswer) -> GatewayAnswer {
        self.calls.lock().push(key.to_owned());
        (self.meddle)(key);
        answer
    }
}

impl<F: Fn(&str) + Send + Sync> PaymentGateway for Meddled<F> {
    fn authorise(&self, key: &str, amount: Money, reference: &str) -> GatewayAnswer {
        self.after(key, self.gateway.authorise(key, amount, reference))
    }

    fn capture(&self, key: &str, authorise_key: &str, amount: Money) -> GatewayAnswer {
        self.after(key, self.gateway.capture(key, authorise_key, amount))
    }

    fn void(&self, key: &str, authorise_key: &str) -> GatewayAnswer {
        self.after(key, self.gateway.void(key, authorise_key))
    }

    fn refund(&self, key: &str, capture_key: &str, amount: Money) -> GatewayAnswer {
        self.after(key, self.gateway.refund(key, capture_key, amount))
    }

    fn query(&self, key: &str) -> GatewayOutcome {
        self.calls.lock().push(format!("{key}?"));
        self.gateway.query(key)
    }
}

/// Goal: a wallet that changed between decision and commit is decided on anew, and what the gateway answered meanwhile is kept.
#[test]
fn a_conflict_on_the_wallet_alone_forgets_no_answer() {
    let bench = Bench::ticking(100);
    // The orchestrator's own repository does not see the deposits, which another one makes.
    let other = bench.clone();
    let gateway = Meddled::new(bench.gateway(APPROVE), move |_: &str| other.deposit(1));
    let outcome = bench.orchestrator(gateway.clone()).run(bench.request("p", 30, 5)).unwrap();
    assert_eq!(outcome.kind, OutcomeKind::Completed);
    assert_eq!(*gateway.calls.lock(), ["p/authorise", "p/capture"], "nothing is asked again");
    assert_eq!((bench.wallet().balance(), bench.wallet().locked_balance()), (72, 0));
}

/// Goal: a second worker that overtakes the first one while it calls the gateway ends the payment, and the first one takes over its outcome.
#[test]
fn a_worker_that_was_overtaken_takes_over_the_outcome() {
    for overtaken_at in ["p/authorise", "p/capture"] {
        let bench = Bench::ticking(100);
        let gateway = bench.gateway(APPROVE);
        let other = bench.orchestrator(gateway.clone());
        let slow = Meddled::new(gateway.clone(), move |key: &str| {
            if key == overtaken_at {
                assert_eq!(other.drive("p").unwrap().kind, OutcomeKind::Completed);
            }
        });
        let outcome = bench.orchestrator(slow).run(bench.request("p", 30, 5)).unwrap();
        assert_eq!(outcome.kind, OutcomeKind::Completed);
        bench.check_all(&bench.orchestrator(gateway.clone()), &gateway.journal(), 100, 1);
    }
}

/// Goal: no command is sent before what says so is durable, in a store that syncs nothing by itself.
#[test]
fn commands_are_published_durably_whatever_the_mode_of_the_store() {
    let bench = Bench::with_options(100, Options::new().durability(Durability::Buffered));
    let store = bench.store.clone();
    let stream = StreamId::new("payment-p").unwrap();
    let watched = Meddled::new(bench.gateway(APPROVE), move |key: &str| {
        let head = store.stream_head(&stream).unwrap().unwrap();
        assert!(store.durable_sequence() >= head.sequence, "{key}");
        let last = store.event(head.sequence).unwrap().unwrap();
        assert_eq!(last.event_type.as_str(), "StepCommandPublished", "{key}");
    });
    let orchestrator = bench.orchestrator(watched.clone());
    orchestrator.run(bench.request("p", 5, 5)).unwrap();
    assert_eq!(*watched.calls.lock(), ["p/authorise", "p/capture"]);
}

#[test]
fn options_out_of_their_ranges_are_refused() {
    let bench = Bench::ticking(100);
    for options in [
        OrchestratorOptions { time_limit: Duration::ZERO, ..OrchestratorOptions::default() },
        OrchestratorOptions { retry: RetryPolicy { attempts_max: 0, ..policy() }, ..OrchestratorOptions::default() },
    ] {
        let refused = Orchestrator::new(bench.wallets.clone(), bench.gateway(APPROVE), options);
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}
