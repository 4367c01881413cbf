//! The decision table: walked from every kind of payment through every answer that a gateway and a wallet can give.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::super::call::CallPhase;
use super::super::record;
use super::super::state::HoldProgress;
use super::super::*;
use crate::aggregate::EventContext;
use crate::money::Currency;
use crate::types::{Sequence, Timestamp};

pub(super) const DEADLINE: Timestamp = Timestamp::from_micros(1_000_000);
pub(super) const POLICY: RetryPolicy = RetryPolicy {
    initial: Duration::from_micros(10),
    longest: Duration::from_micros(40),
    attempts_max: 3,
    jitter_percent: 0,
    ..RetryPolicy::short()
};

fn apply(saga: &mut PaymentSaga, event: &PaymentEvent) {
    let version = saga.version().next();
    let sequence = Sequence::new(version.get());
    saga.apply(event, &EventContext { sequence, version, timestamp: Timestamp::EPOCH });
}

pub(super) fn started(wallet_amount: i64, card_amount: i64) -> PaymentSaga {
    started_as(wallet_amount, card_amount, false)
}

pub(super) fn started_as(wallet_amount: i64, card_amount: i64, settles: bool) -> PaymentSaga {
    let mut saga = PaymentSaga::new("p");
    let fact = PaymentStarted {
        payment_id: "p".into(),
        user_id: "u".into(),
        currency: Currency::from_code("EUR").unwrap(),
        wallet_amount,
        card_amount,
        deadline: DEADLINE,
        settles,
    };
    apply(&mut saga, &fact.into());
    saga
}

fn answers() -> [GatewayAnswer; 4] {
    [
        GatewayAnswer::Offline,
        GatewayAnswer::Approved { reference: "r".into() },
        GatewayAnswer::Declined { reason: "no".into() },
        GatewayAnswer::Unknown,
    ]
}

fn outcomes() -> [GatewayOutcome; 5] {
    [
        GatewayOutcome::Offline,
        GatewayOutcome::Approved { reference: "r".into() },
        GatewayOutcome::Declined { reason: "no".into() },
        GatewayOutcome::NotSeen,
        GatewayOutcome::Unknown,
    ]
}

fn may_be_offline(saga: &PaymentSaga) -> bool {
    let mut calls = [&saga.authorise, &saga.capture, &saga.void].into_iter();
    !saga.settles() && calls.all(|call| call.unsent == 0 && !call.is_to_be_asked)
}

/// What may be on record after an action: every answer the world can give, and a crash before the answer.
fn branches(saga: &PaymentSaga, action: &Action) -> Vec<Vec<PaymentEvent>> {
    match action {
        Action::NotStarted | Action::Done | Action::Parked | Action::WaitUntil(_) => Vec::new(),
        Action::Hold => vec![vec![record::held(saga)], vec![record::wallet_refused(Step::Reserve, "no")]],
        Action::Publish { command, attempt } => {
            let published = record::published(saga, *command, *attempt);
            let mut after = saga.clone();
            apply(&mut after, &published);
            // Without a network once, so that paths stay finite; what settles goes the same ways without that.
            let is_new = |answer: &&GatewayAnswer| **answer != GatewayAnswer::Offline || may_be_offline(&after);
            let mut all: Vec<_> = answers()
                .iter()
                .filter(is_new)
                .map(|answer| vec![published.clone(), record::answered(&after, *command, answer)])
                .collect();
            all.push(vec![published]);
            all
        }
        Action::Query(command) => {
            let is_new = |outcome: &&GatewayOutcome| **outcome != GatewayOutcome::Offline || may_be_offline(saga);
            outcomes().iter().filter(is_new).map(|outcome| record::queried(saga, *command, outcome)).collect()
        }
        Action::ScheduleRetry { command, due } => vec![vec![record::retry_scheduled(saga, *command, *due)]],
        Action::TakeHold => {
            let refused = if saga.is_past_pivot() {
                PaymentParkedForReview { reason: "no".into() }.into()
            } else {
                record::wallet_refused(Step::Capture, "no")
            };
            vec![record::hold_taken(saga), vec![refused]]
        }
        Action::Complete => vec![vec![record::completed(saga)]],
        Action::Compensate { reason, detail } => vec![record::compensation(saga, *reason, detail.clone())],
        Action::GiveUpVoid => vec![vec![record::void_given_up(saga)]],
        Action::ReleaseHold => vec![record::released(saga), vec![record::release_refused("no")]],
        Action::ConcludeCompensation => vec![vec![record::compensated(saga)]],
        Action::GiveUpRefund(reason) => vec![vec![record::refund_given_up(saga, reason)]],
        Action::Reject { reason, detail } => vec![record::rejected(saga, *reason, detail.clone())],
        Action::Park(reason) => vec![vec![PaymentParkedForReview { reason: reason.clone() }.into()]],
    }
}

/// The rules that hold of each state and what is to be done in it.
fn check(saga: &PaymentSaga, action: &Action, now: Timestamp) {
    let is_undone = saga.compensation().is_some();
    assert!(!(is_undone && saga.is_past_pivot()), "what is captured is never undone: {saga:?}");
    match action {
        Action::Publish { command: GatewayCommand::Capture, attempt } => {
            assert!(!is_undone, "{saga:?}");
            assert_eq!(saga.authorise.phase, CallPhase::Approved, "only what is authorised is captured");
            assert!(*attempt > 1 || now < DEADLINE, "the pivot is not crossed past the deadline");
            assert!(saga.wallet_part().is_none() || saga.hold == HoldProgress::Held);
        }
        Action::Publish { command: GatewayCommand::Authorise, .. } => {
            assert!(!is_undone && now < DEADLINE, "{saga:?}");
            assert!(saga.wallet_part().is_none() || saga.hold == HoldProgress::Held);
        }
        Action::Publish { command: GatewayCommand::Void, .. } => {
            assert!(is_undone && saga.may_be_authorised(), "{saga:?}");
        }
        Action::Publish { command: GatewayCommand::Settle, .. } => {
            assert!(!is_undone && saga.settles() && saga.capture.phase == CallPhase::Approved, "{saga:?}");
            assert!(saga.wallet_part().is_none() || saga.hold == HoldProgress::Captured, "all is taken before");
        }
        Action::Publish { command: GatewayCommand::Refund, .. } => panic!("nothing is refunded: {saga:?}"),
        Action::Query(command) => assert!(saga.call(*command).is_in_doubt(), "{saga:?}"),
        Action::Compensate { .. } => {
            assert!(saga.hold == HoldProgress::Held || saga.may_be_authorised(), "there is something to undo");
        }
        Action::Reject { .. } => {
            assert!(saga.hold != HoldProgress::Held && !saga.may_be_authorised(), "there is nothing to undo");
        }
        Action::ReleaseHold => assert!(is_undone && !saga.is_charge_to_undo(), "in reverse: {saga:?}"),
        Action::TakeHold => {
            assert!(!is_undone && saga.hold == HoldProgress::Held);
            assert!(saga.card_part().is_none() || saga.capture.phase == CallPhase::Approved);
        }
        Action::Complete => {
            assert!(saga.wallet_part().is_none() || saga.hold == HoldProgress::Captured);
            assert!(saga.capture.phase == CallPhase::Approved);
            assert!(!saga.settles() || saga.settle.phase == CallPhase::Approved);
        }
        Action::WaitUntil(due) => {
            assert!(*due > now, "a wait ends");
            assert!(is_undone || saga.is_past_pivot() || *due <= DEADLINE, "the deadline caps the waiting");
        }
        Action::Done => assert!(saga.outcome().is_some()),
        Action::Parked => assert!(saga.parked().is_some()),
        _ => {}
    }
    let tries = [&saga.authorise, &saga.capture, &saga.settle, &saga.void].map(|call| call.tries());
    assert!(tries.iter().all(|tries| *tries <= POLICY.attempts_max), "{tries:?}");
}

/// Goal: from every kind of payment, whatever is answered, wherever a crash hides an answer and whenever the deadline passes, every
/// path ends in an outcome or in review, and no rule is broken on the way.
/// Method: all states that can be reached are visited once; the graph between them must have no cycle, so every path is
/// finite, and only final and parked states may have no way on.
#[test]
fn every_path_from_every_payment_ends() {
    for (wallet, card, settles) in [(5, 0, false), (0, 7, false), (5, 7, false), (0, 7, true), (5, 7, true)] {
        let mut seen: HashMap<String, usize> = HashMap::new();
        let mut edges: Vec<Vec<usize>> = Vec::new();
        let mut queue = VecDeque::from([(started_as(wallet, card, settles), Timestamp::EPOCH)]);
        let mut ends = HashMap::from([("completed", 0), ("compensated", 0), ("rejected", 0), ("parked", 0)]);
        let key = |saga: &PaymentSaga, now: Timestamp| {
            let mut plain = saga.clone();
            plain.version = crate::Version::ZERO;
            plain.last_event_sequence = Sequence::ZERO;
            format!("{plain:?} {now:?}")
        };
        seen.insert(key(&queue[0].0, queue[0].1), 0);
        edges.push(Vec::new());
        while let Some((saga, now)) = queue.pop_front() {
            let from = seen[&key(&saga, now)];
            let action = next(&saga, now, &POLICY);
            check(&saga, &action, now);
            let mut successors = Vec::new();
            match &action {
                Action::Done => *ends.get_mut(saga.outcome().unwrap().kind.as_str()).unwrap() += 1,
                Action::Parked => *ends.get_mut("parked").unwrap() += 1,
                Action::WaitUntil(due) => successors.push((saga.clone(), *due)),
                _ => {}
            }
            for events in branches(&saga, &action) {
                let mut after = saga.clone();
                events.iter().for_each(|event| apply(&mut after, event));
                successors.push((after, now));
            }
            if !matches!(action, Action::Done | Action::Parked) {
                assert!(!successors.is_empty(), "stuck: {saga:?}");
                // The deadline may pass at any moment.
                if now < DEADLINE {
                    successors.push((saga.clone(), DEADLINE));
                }
            }
            for (after, then) in successors {
                let count = seen.len();
                let to = *seen.entry(key(&after, then)).or_insert(count);
                if to == count {
                    edges.push(Vec::new());
                    queue.push_back((after, then));
                }
                edges[from].push(to);
            }
        }
        assert_acyclic(&edges);
        assert!(ends["completed"] > 0 && ends["compensated"] > 0 && ends["rejected"] > 0, "{ends:?}");
        assert!(edges.len() > if card > 0 { 100 } else { 5 }, "the walk is not trivial: {} states", edges.len());
    }
}

/// Kahn's algorithm: everything can be put in an order.
fn assert_acyclic(edges: &[Vec<usize>]) {
    let mut into = vec![0; edges.len()];
    edges.iter().flatten().for_each(|to| into[*to] += 1);
    let mut ready: Vec<usize> = (0..edges.len()).filter(|node| into[*node] == 0).collect();
    let mut ordered = 0;
    while let Some(node) = ready.pop() {
        ordered += 1;
        for to in &edges[node] {
            into[*to] -= 1;
            if into[*to] == 0 {
                ready.push(*to);
            }
        }
    }
    assert_eq!(ordered, edges.len(), "a path that never ends");
}

pub(super) fn all_of(saga: &mut PaymentSaga, events: impl IntoIterator<Item = PaymentEvent>) {
    events.into_iter().for_each(|event| apply(saga, &event));
}

fn authorise_published(saga: &mut PaymentSaga) {
    let event = record::published(saga, GatewayCommand::Authorise, 1);
    apply(saga, &event);
}

/// The rows of the table that matter most, one by one: (what is on record, time, what is to be done, state shown).
#[test]
fn the_table() {
    let before = Timestamp::EPOCH;
    let timeout = || Action::Compensate { reason: CompensationReason::Timeout, detail: "its deadline passed".into() };
    let publish = |command, attempt| Action::Publish { command, attempt };
    let reject = |reason, detail: &str| Action::Reject { reason, detail: detail.to_owned() };
    let authorise = GatewayCommand::Authorise;

    assert_eq!(next(&PaymentSaga::new("p"), before, &POLICY), Action::NotStarted);

    // Nothing done yet, and the deadline passed: nothing is to undo.
    let split = started(5, 7);
    assert_eq!(next(&split, before, &POLICY), Action::Hold);
    assert_eq!(next(&split, DEADLINE, &POLICY), reject(CompensationReason::Timeout, "its deadline passed"));
    assert_eq!(next(&started(0, 7), before, &POLICY), publish(authorise, 1));

    // Held: on with the charge; past the deadline the hold is undone.
    let mut held = split.clone();
    all_of(&mut held, [record::held(&split)]);
    assert_eq!(held.state(), PaymentState::FundsReserved);
    assert_eq!(next(&held, before, &POLICY), publish(authorise, 1));
    assert_eq!(next(&held, DEADLINE, &POLICY), timeout());

    // Published and not answered: in doubt. It is asked, not sent blindly; past the deadline it is voided by key.
    let mut charging = held.clone();
    authorise_published(&mut charging);
    assert_eq!(charging.state(), PaymentState::Charging);
    assert_eq!(charging.in_doubt(), Some(authorise));
    assert_eq!(next(&charging, before, &POLICY), Action::Query(authorise));
    assert_eq!(next(&charging, DEADLINE, &POLICY), timeout());
    let mut undoing = charging.clone();
    all_of(&mut undoing, record::compensation(&charging, CompensationReason::Timeout, "late".into()));
    assert_eq!(undoing.state(), PaymentState::Compensating(Step::Charge));
    assert_eq!(next(&undoing, DEADLINE, &POLICY), publish(GatewayCommand::Void, 1));

    // The gateway never saw it: the first time it is sent again at once, later after a delay.
    let mut not_seen = charging.clone();
    all_of(&mut not_seen, record::queried(&charging, authorise, &GatewayOutcome::NotSeen));
    assert_eq!(not_seen.state(), PaymentState::OutcomeUnknown(Step::Charge));
    assert_eq!(next(&not_seen, before, &POLICY), publish(authorise, 2));

    // The gateway does not answer at all: a delay.
    let mut unreachable = charging.clone();
    all_of(&mut unreachable, record::queried(&charging, authorise, &GatewayOutcome::Unknown));
    let due = before.plus(POLICY.delay(1));
    assert_eq!(next(&unreachable, before, &POLICY), Action::ScheduleRetry { command: authorise, due });
    let scheduled = record::retry_scheduled(&unreachable, authorise, due);
    all_of(&mut unreachable, [scheduled]);
    assert_eq!(next(&unreachable, before, &POLICY), Action::WaitUntil(due));
    assert_eq!(next(&unreachable, due, &POLICY), publish(authorise, 2));

    // Declined: what was held is let go; a card alone has nothing to undo.
    let declined = GatewayAnswer::Declined { reason: "no".into() };
    let mut refused = charging.clone();
    all_of(&mut refused, [record::answered(&charging, authorise, &declined)]);
    let reason = CompensationReason::StepFailed;
    assert_eq!(next(&refused, before, &POLICY), Action::Compensate { reason, detail: "no".into() });
    let compensation = record::compensation(&refused, reason, "no".into());
    all_of(&mut refused, compensation);
    assert_eq!(refused.state(), PaymentState::Compensating(Step::Reserve));
    assert_eq!(next(&refused, before, &POLICY), Action::ReleaseHold);
    let mut card = started(0, 7);
    authorise_published(&mut card);
    let answer = record::answered(&card, authorise, &declined);
    all_of(&mut card, [answer]);
    assert_eq!(next(&card, before, &POLICY), reject(reason, "no"));

    // Authorised: the capture is published before the deadline or not at all; once it is, no deadline counts.
    let mut charged = charging.clone();
    all_of(&mut charged, [record::answered(&charging, authorise, &GatewayAnswer::Approved { reference: "r".into() })]);
    assert_eq!(charged.state(), PaymentState::Charged);
    assert_eq!(next(&charged, before, &POLICY), publish(GatewayCommand::Capture, 1));
    assert_eq!(next(&charged, DEADLINE, &POLICY), timeout());
    let mut capturing = charged.clone();
    all_of(&mut capturing, [record::published(&charged, GatewayCommand::Capture, 1)]);
    assert_eq!(capturing.state(), PaymentState::Capturing);
    assert_eq!(next(&capturing, DEADLINE, &POLICY), Action::Query(GatewayCommand::Capture));
    let answer = record::answered(&capturing, GatewayCommand::Capture, &declined);
    let mut lost = capturing.clone();
    all_of(&mut lost, [answer]);
    assert_eq!(next(&lost, DEADLINE, &POLICY), Action::Park("the capture failed: no".into()));
}

/// Goal: deliveries that repeat, or come late, change nothing. Method: every prefix of a long history is delivered again, with the
/// versions it had, and the last event with a new one.
#[test]
fn repeated_deliveries_change_nothing() {
    let mut saga = PaymentSaga::new("p");
    let mut history: Vec<(PaymentEvent, EventContext)> = Vec::new();
    let mut take = |saga: &mut PaymentSaga, event: PaymentEvent| {
        let version = saga.version().next();
        let context = EventContext { sequence: Sequence::new(version.get()), version, timestamp: Timestamp::EPOCH };
        saga.apply(&event, &context);
        let once = saga.clone();
        history.push((event, context));
        for (event, context) in &history {
            saga.apply(event, context);
        }
        assert_eq!(*saga, once);
    };
    take(&mut saga, started(5, 7).started().unwrap().clone().into());
    let mut held = false;
    for _ in 0..100 {
        let event = match next(&saga, Timestamp::EPOCH, &POLICY) {
            Action::Hold => record::held(&saga),
            Action::Publish { command, attempt } => record::published(&saga, command, attempt),
            Action::Query(command) => {
                record::answered(&saga, command, &GatewayAnswer::Approved { reference: "r".into() })
            }
            Action::TakeHold => record::completed(&saga),
            Action::Done => break,
            other => panic!("{other:?}"),
        };
        held |= saga.hold == HoldProgress::Held;
        take(&mut saga, event);
    }
    assert!(held);
    assert_eq!(saga.state(), PaymentState::Completed);
    let before = saga.outcome().cloned();
    apply(&mut saga, &PaymentRejected { reason: "late".into() }.into());
    assert_eq!(saga.outcome().cloned(), before, "a payment has one outcome");
}
