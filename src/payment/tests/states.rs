//! Every state of a payment: the events that lead there, and what is next.

use super::super::record;
use super::super::*;
use super::table::{DEADLINE, POLICY, all_of, started, started_as};
use crate::types::Timestamp;

const NOW: Timestamp = Timestamp::EPOCH;

fn after(saga: &PaymentSaga, events: impl IntoIterator<Item = PaymentEvent>) -> PaymentSaga {
    let mut after = saga.clone();
    all_of(&mut after, events);
    after
}

fn published(saga: &PaymentSaga, command: GatewayCommand) -> PaymentSaga {
    let attempt = saga.call(command).attempts + 1;
    after(saga, [record::published(saga, command, attempt)])
}

fn answered(saga: &PaymentSaga, command: GatewayCommand, answer: &GatewayAnswer) -> PaymentSaga {
    after(saga, [record::answered(saga, command, answer)])
}

fn approved(saga: &PaymentSaga, command: GatewayCommand) -> PaymentSaga {
    answered(&published(saga, command), command, &GatewayAnswer::Approved { reference: "r".into() })
}

fn parked(saga: &PaymentSaga) -> PaymentSaga {
    after(saga, [PaymentParkedForReview { reason: "x".into() }.into()])
}

fn late(saga: &PaymentSaga) -> PaymentSaga {
    after(saga, [LateSuccessDetected { reference: "r".into(), amount: 7 }.into()])
}

fn operator_retried(saga: &PaymentSaga) -> PaymentSaga {
    after(saga, [OperatorRetried { operator: "o".into(), reason: "x".into() }.into()])
}

/// Every state, the payment that is in it by its last event, and what is next.
fn rows() -> Vec<(PaymentState, PaymentSaga, Action)> {
    use GatewayCommand::{Authorise, Capture, Refund, Settle, Void};
    let publish = |command, attempt| Action::Publish { command, attempt };
    let offline = GatewayAnswer::Offline;
    let begun = started_as(5, 7, true);
    let resumed = after(&begun, [PaymentResumed { recovery_id: "r".into(), in_doubt: None }.into()]);
    let held = after(&resumed, [record::held(&resumed)]);
    let charging = published(&held, Authorise);
    let unsent = answered(&charging, Authorise, &offline);
    let accepted = after(&unsent, [OfflineAccepted { amount: 7, upload_by: DEADLINE }.into()]);
    let charged = approved(&held, Authorise);
    let capturing = published(&charged, Capture);
    let captured = answered(&capturing, Capture, &GatewayAnswer::Approved { reference: "r".into() });
    let taken = after(&captured, record::hold_taken(&captured));
    let settling = published(&taken, Settle);
    let settled = answered(&settling, Settle, &GatewayAnswer::Approved { reference: "r".into() });
    let undoing = after(&charging, record::compensation(&charging, CompensationReason::Timeout, "x".into()));
    let voided = approved(&undoing, Void);
    let undone = after(&voided, record::released(&voided));
    let due = NOW.plus(POLICY.delay(1));
    let retry = |command| Action::ScheduleRetry { command, due };
    let unknown = |saga, command| answered(saga, command, &GatewayAnswer::Unknown);
    let rejected = after(&started(0, 7), [PaymentRejected { reason: "x".into() }.into()]);
    let refunding = published(&late(&undone), Refund);
    let refunded = approved(&late(&undone), Refund);
    let refund_failed = after(&refunding, [record::refund_given_up(&refunding, "x")]);
    let capture_failed = answered(&capturing, Capture, &GatewayAnswer::Declined { reason: "x".into() });
    vec![
        (PaymentState::Started, begun.clone(), Action::Hold),
        (PaymentState::Started, started(0, 7), publish(Authorise, 1)),
        (PaymentState::ReservingFunds, resumed, Action::Hold),
        (PaymentState::FundsReserved, held, publish(Authorise, 1)),
        (PaymentState::Charging, charging.clone(), Action::Query(Authorise)),
        (PaymentState::OutcomeUnknown(Step::Charge), unknown(&charging, Authorise), Action::Query(Authorise)),
        (PaymentState::AwaitingConnectivity, unsent, retry(Authorise)),
        (PaymentState::AwaitingConnectivity, accepted, retry(Authorise)),
        (PaymentState::Charged, charged, publish(Capture, 1)),
        (PaymentState::Capturing, capturing.clone(), Action::Query(Capture)),
        (PaymentState::OutcomeUnknown(Step::Capture), unknown(&capturing, Capture), Action::Query(Capture)),
        (PaymentState::AwaitingConnectivity, answered(&capturing, Capture, &offline), retry(Capture)),
        (PaymentState::Captured, captured, Action::TakeHold),
        (PaymentState::Captured, taken, publish(Settle, 1)),
        (PaymentState::Settling, settling.clone(), Action::Query(Settle)),
        (PaymentState::OutcomeUnknown(Step::Settle), unknown(&settling, Settle), Action::Query(Settle)),
        (PaymentState::AwaitingConnectivity, answered(&settling, Settle, &offline), retry(Settle)),
        (PaymentState::Completed, after(&settled, [record::completed(&settled)]), Action::Done),
        (PaymentState::Compensating(Step::Charge), undoing.clone(), publish(Void, 1)),
        (PaymentState::Compensating(Step::Charge), published(&undoing, Void), Action::Query(Void)),
        (PaymentState::Compensating(Step::Reserve), voided, Action::ReleaseHold),
        (PaymentState::Compensated, undone.clone(), Action::Done),
        (PaymentState::Compensated, late(&undone), publish(Refund, 1)),
        (PaymentState::Compensated, refunding, Action::Query(Refund)),
        (PaymentState::Compensated, refunded, Action::Done),
        (PaymentState::Compensated, refund_failed.clone(), Action::Done),
        (PaymentState::Compensated, operator_retried(&refund_failed), publish(Refund, 2)),
        (PaymentState::Rejected, rejected.clone(), Action::Done),
        (PaymentState::Rejected, late(&rejected), publish(Refund, 1)),
        (PaymentState::ManualReview, parked(&capture_failed), Action::Parked),
        (PaymentState::OutcomeUnknown(Step::Capture), operator_retried(&parked(&capture_failed)), publish(Capture, 2)),
    ]
}

#[test]
fn every_state_has_an_event_that_leads_there_and_a_next_action() {
    let mut met = std::collections::BTreeSet::new();
    for (number, (state, saga, action)) in rows().into_iter().enumerate() {
        assert_eq!(saga.state(), state, "row {number}: {saga:?}");
        assert_eq!(next(&saga, NOW, &POLICY), action, "row {number}: {state:?}");
        met.insert(state.as_str());
    }
    let all = [
        "started",
        "reserving_funds",
        "funds_reserved",
        "charging",
        "charged",
        "capturing",
        "captured",
        "settling",
        "completed",
        "compensating",
        "compensated",
        "rejected",
        "outcome_unknown",
        "awaiting_connectivity",
        "manual_review",
    ];
    assert_eq!(met, all.into(), "every state is met");
}

/// Goal: what comes after an outcome changes no outcome, and what is paid is never given back.
#[test]
fn an_outcome_stays_whatever_comes_later() {
    for (_, saga, _) in rows() {
        let Some(outcome) = saga.outcome().cloned() else { continue };
        let mut later = late(&saga);
        for event in [
            PaymentCompleted { wallet_amount: 5, card_amount: 7 }.into(),
            PaymentRejected { reason: "y".into() }.into(),
            PaymentParkedForReview { reason: "y".into() }.into(),
            OperatorRetried { operator: "o".into(), reason: "y".into() }.into(),
            RefundSucceeded { attempt: 1, amount: 7, reference: "r".into() }.into(),
        ] {
            all_of(&mut later, [event]);
            assert_eq!(later.outcome(), Some(&outcome));
        }
        assert_eq!(later.late_success().is_some(), outcome.kind != OutcomeKind::Completed);
        assert_eq!(next(&later, DEADLINE, &POLICY), Action::Done);
    }
}
