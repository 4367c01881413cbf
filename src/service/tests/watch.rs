//! What those who poll know after a recovery.

use super::*;

/// Goal: a recovery tells the orchestrator what is open, and a payment whose wallet is quarantined is not polled.
/// Method: two payments have begun; the wallet of one cannot be read. After the recovery a poll ends the other one alone.
#[test]
fn a_poll_after_a_recovery_works_on_what_is_open_and_not_on_what_is_quarantined() {
    let till = Till::new();
    for user_id in ["ana", "bo"] {
        till.open_wallet(user_id, 100);
        till.orchestrator.start(Till::request(&format!("of-{user_id}"), user_id)).unwrap();
    }
    till.damage("bo");
    let till = till.restarted();
    let report = till.recover(Strategy::Incremental);
    assert_eq!(decisions(&report), [("of-ana", SagaDecision::Resumed), ("of-bo", SagaDecision::HeldBack)]);
    let open = till.orchestrator.open_payments();
    assert!(open["of-ana"].is_some() && open["of-bo"].is_none(), "{open:?}");
    let report = till.orchestrator.poll(till.store.now()).unwrap();
    assert!(report.failed.is_empty(), "{report:?}");
    let outcome =
        |payment_id| till.orchestrator.load(payment_id).unwrap().unwrap().outcome().map(|outcome| outcome.kind);
    assert_eq!((outcome("of-ana"), outcome("of-bo")), (Some(OutcomeKind::Completed), None));
}
