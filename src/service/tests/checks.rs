use super::*;
use crate::aggregate::DomainEvent;
use crate::payment::{PaymentCompleted, PaymentStarted};
use crate::wallet::{FundsHeld, HoldReleased, TransferCredited, TransferDebited};

fn append<E: DomainEvent>(till: &Till, stream: &str, facts: &[E]) {
    let events = new_events(facts, &Metadata::default()).unwrap();
    till.store.append(&StreamId::new(stream).unwrap(), ExpectedVersion::Any, events).unwrap();
}

fn debited(minor: i64) -> WalletEvent {
    let amount = Money::new(minor, usd());
    TransferDebited { transfer_id: "t".into(), to_user_id: "bea".into(), amount }.into()
}

fn credited(minor: i64) -> WalletEvent {
    let amount = Money::new(minor, usd());
    TransferCredited { transfer_id: "t".into(), from_user_id: "ana".into(), amount }.into()
}

fn kinds(findings: &[Finding]) -> Vec<(&str, FindingKind)> {
    findings.iter().map(|finding| (finding.stream.as_str(), finding.kind)).collect()
}

#[test]
fn transfers_that_add_up_are_told_by_currency() {
    let till = Till::new();
    till.open_wallet("ana", 100);
    till.open_wallet("bea", 100);
    append(&till, "wallet-ana", &[debited(30)]);
    append(&till, "wallet-bea", &[credited(30)]);
    let report = check(&till.store).unwrap();
    assert!(report.is_ok, "{report:?}");
    assert_eq!(report.transfers, [TransferTotals { currency: "USD".into(), debited: 30, credited: 30 }]);
    assert!(till.recover(Strategy::Incremental).is_ready);
}

#[test]
fn a_check_tells_how_far_it_is_and_can_be_broken_off() {
    use std::ops::ControlFlow;

    let till = Till::new();
    till.open_wallet("ana", 100);
    till.open_wallet("bea", 100);
    let end = till.store.last_sequence().get();
    let words = crate::sync::Mutex::new(Vec::new());
    let report = check_with(&till.store, &|now| {
        words.lock().push(now);
        ControlFlow::Continue(())
    });
    assert!(report.unwrap().is_ok);
    let words = words.lock().clone();
    assert!(words.iter().all(|now| now.done_events <= now.total_events && now.total_events == end), "{words:?}");
    for last_word in 1..=words.len() {
        let count = AtomicUsize::new(0);
        let error = check_with(&till.store, &|_| match count.fetch_add(1, Ordering::Relaxed) + 1 {
            word if word >= last_word => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        });
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Aborted, "word {last_word} of {}", words.len());
    }
}

#[test]
fn a_finding_about_the_whole_store_holds_readiness_and_is_found_again() {
    let till = Till::new();
    till.open_wallet("ana", 100);
    till.open_wallet("bea", 100);
    append(&till, "wallet-ana", &[debited(30)]);
    append(&till, "wallet-bea", &[credited(29)]);
    let report = check(&till.store).unwrap();
    assert_eq!(kinds(&report.findings), [("", FindingKind::TransfersDiffer)]);
    for strategy in [Strategy::Incremental, Strategy::Full, Strategy::Incremental] {
        let till = till.restarted();
        let report = till.recover(strategy);
        assert!(!report.is_ready, "{strategy:?}");
        assert_eq!(kinds(&report.findings), [("", FindingKind::TransfersDiffer)]);
        assert!(report.findings[0].is_about_the_store());
        let refused = till.recovery.gate().check().unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::NotReady);
        assert!(refused.to_string().contains("30 USD"), "{refused}");
        assert!(!till.recovery.health().is_ready);
        let point = RecoveryPoint::load(&till.store, WALLETS_SERVICE).unwrap();
        assert_eq!(point, RecoveryPoint::beginning(WALLETS_SERVICE), "what was not validated is not covered");
    }
}

#[test]
fn a_payment_and_its_hold_that_contradict_each_other_are_found() {
    let till = Till::new();
    till.open_wallet("ana", 100);
    till.orchestrator.run(Till::request("well", "ana")).unwrap();
    let started = |payment_id: &str| {
        PaymentEvent::from(PaymentStarted {
            payment_id: payment_id.into(),
            user_id: "ana".into(),
            currency: usd(),
            wallet_amount: 10,
            card_amount: 0,
            deadline: Timestamp::MAX,
            settles: false,
        })
    };
    let completed = || PaymentEvent::from(PaymentCompleted { wallet_amount: 10, card_amount: 0 });
    append(&till, "payment-never-held", &[started("never-held"), completed()]);
    append(&till, "payment-let-go", &[started("let-go")]);
    let amount = Money::new(10, usd());
    let held = FundsHeld {
        hold_id: "let-go".into(),
        amount,
        payment_id: Some("let-go".into()),
        time_to_live_micros: None,
        expires_at: None,
    };
    append(&till, "wallet-ana", &[WalletEvent::from(held)]);
    append(&till, "wallet-ana", &[WalletEvent::from(HoldReleased { hold_id: "let-go".into(), amount })]);
    append(&till, "payment-let-go", &[completed()]);
    let report = check(&till.store).unwrap();
    let expected = [("payment-never-held", FindingKind::HoldDisagrees), ("payment-let-go", FindingKind::HoldDisagrees)];
    assert_eq!(kinds(&report.findings), expected);
    assert_eq!((report.payments, report.payments_open), (3, 0));
    assert!(report.findings[1].detail.contains("its hold was let go"), "{report:?}");
}

#[test]
fn a_check_states_its_rates() {
    let till = Till::new();
    till.open_wallet("ana", 100);
    // Its clock stands still, so no time has passed.
    let report = check(&till.store).unwrap();
    assert_eq!((report.elapsed_ms, report.events_per_second), (0, 0));
    let store = Store::in_memory(Options::new()).unwrap();
    let wallets = Repository::<Wallet>::new(store.clone(), SnapshotPolicy::Never);
    let deposit = WalletCommand::Deposit { amount: Money::new(1, usd()) };
    let open = WalletCommand::Open { currency: usd(), overdraft_limit: 0, limits: WalletLimits::default() };
    wallets.execute("ana", &ExecuteOptions::default(), &open).unwrap();
    wallets.execute("ana", &ExecuteOptions::default(), &deposit).unwrap();
    let report = check(&store).unwrap();
    assert!(report.is_ok && report.wallets_per_second > 0 && report.events_per_second > 0, "{report:?}");
}
