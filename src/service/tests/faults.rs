//! The faults that such flows commonly have; `src/docs/recovery.md` lists each with the test that covers it.

use super::*;
use crate::snapshot::Snapshot;

#[test]
fn a_recovery_without_a_checkpoint_starts_before_the_first_event_and_without_a_snapshot() {
    let till = Till::new();
    let point = RecoveryPoint::load(&till.store, WALLETS_SERVICE).unwrap();
    assert_eq!((point.last_event_sequence, point.last_snapshot_id.as_str()), (Sequence::ZERO, ""));
}

/// A cold wallet, whose snapshot is older than a day, starts from it, and the report tells how many events were replayed.
#[test]
fn a_wallet_that_was_cold_for_more_than_a_day_starts_from_its_snapshot_and_not_from_the_beginning() {
    let till = Till::new();
    till.open_wallet("cold", 100);
    for _ in 0..6 {
        till.deposit("cold", 1);
    }
    till.clock.advance(Duration::from_secs(30 * 24 * 3_600));
    till.deposit("cold", 1);
    let report = till.restarted().recover(Strategy::Incremental);
    assert_eq!((report.wallets.from_snapshot, report.wallets.events_replayed), (1, 1));
}

/// `since` is exclusive: the event that the snapshot ends with is not applied twice.
#[test]
fn the_last_event_of_a_snapshot_is_not_applied_again() {
    let till = Till::new();
    till.open_wallet("ana", 100);
    till.deposit("ana", 7);
    let snapshot = till.wallets.snapshot("ana").unwrap().unwrap();
    let loaded = till.wallets.load_from("ana", &snapshot).unwrap();
    assert_eq!((loaded.events_replayed, loaded.state.balance()), (0, 107));
    till.deposit("ana", 1);
    let loaded = till.wallets.load_from("ana", &snapshot).unwrap();
    assert_eq!((loaded.events_replayed, loaded.state.balance()), (1, 108));
}

/// Snapshots of two wallets made in the same moment, and of a wallet and something else with the same id, stay apart.
#[test]
fn snapshots_of_one_moment_and_of_one_id_under_two_types_stay_apart() {
    let till = Till::new();
    till.open_wallet("ana", 100);
    till.open_wallet("bea", 200);
    let ana = till.wallets.snapshot("ana").unwrap().unwrap();
    let bea = till.wallets.snapshot("bea").unwrap().unwrap();
    assert_eq!(ana.timestamp, bea.timestamp, "within one microsecond, not to speak of a minute");
    assert_ne!(ana.snapshot_id, bea.snapshot_id);
    let other = Snapshot {
        snapshot_id: format!("order-ana@{}", ana.last_event_version),
        aggregate_type: "order".into(),
        ..ana.clone()
    };
    till.store.save_snapshot(&other).unwrap();
    assert_eq!(till.store.snapshots("wallet", "ana", Sequence::MAX).unwrap(), [ana]);
    assert_eq!(till.store.snapshots("order", "ana", Sequence::MAX).unwrap(), [other]);
    assert_eq!(till.wallets.load("bea").unwrap().state.balance(), 200);
}

/// An older snapshot that is handed over with a newer one never wins, in whatever order they come.
#[test]
fn the_newest_snapshot_of_a_day_wins_by_its_sequence() {
    let till = Till::new();
    till.open_wallet("ana", 100);
    let older = till.wallets.snapshot("ana").unwrap().unwrap();
    till.deposit("ana", 1);
    let newer = till.wallets.snapshot("ana").unwrap().unwrap();
    let recent = till.recovery.wallets().snapshots_since(Timestamp::EPOCH).unwrap();
    assert_eq!(recent["ana"].snapshot_id, newer.snapshot_id);
    assert!(older.last_event_sequence < newer.last_event_sequence);
}

/// An error of the store while wallets are restored is the recovery's, and the gate stays closed.
#[test]
fn an_error_while_loading_is_not_passed_over() {
    let till = Till::new();
    till.open_wallet("ana", 100);
    let recovery = RecoveryService::new(till.wallets.clone(), till.orchestrator.clone());
    till.store.close().unwrap();
    let error = recovery.recover(Trigger::Open, Strategy::Incremental).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
    assert!(!recovery.gate().is_open());
}

/// Two recoveries at once: the second is refused, and writes nothing.
#[test]
fn two_recoveries_never_run_at_once() {
    let till = Till::new();
    till.open_wallet("ana", 100);
    let end = till.store.last_sequence();
    let refused = crate::sync::Mutex::new(None);
    let progress = |_: &RecoveryProgress| {
        let second = till.recovery.recover(Trigger::Open, Strategy::Full).unwrap_err();
        *refused.lock() = Some((second.kind(), till.store.last_sequence()));
    };
    let options = RecoverOptions { threads: None, progress: Some(&progress) };
    // The first phase ends before anything is written.
    let alert = Trigger::Alert { service_id: WALLETS_SERVICE.into(), reason: "odd".into() };
    till.recovery.recover_with(alert, Strategy::Incremental, options).unwrap();
    let (kind, _) = refused.lock().unwrap();
    assert_eq!(kind, ErrorKind::NotReady);
    let begun = till.events_of_type("RecoveryStarted");
    assert_eq!((begun, till.events_of_type("RecoveryCompleted")), (1, 1), "after {end}");
}

/// No snapshot is looked into that is not there.
#[test]
fn a_wallet_without_a_snapshot_is_made_from_all_its_events() {
    let till = Till::new();
    let wallets = Repository::<Wallet>::new(till.store.clone(), SnapshotPolicy::Never);
    let open = WalletCommand::Open { currency: usd(), overdraft_limit: 0, limits: WalletLimits::default() };
    wallets.execute("ana", &ExecuteOptions::default(), &open).unwrap();
    assert!(till.store.snapshots("wallet", "ana", Sequence::MAX).unwrap().is_empty());
    let report = till.recover(Strategy::Incremental);
    let wallets = report.wallets;
    assert_eq!((wallets.restored, wallets.from_snapshot, wallets.events_replayed), (1, 0, 1));
}

#[test]
fn sequences_and_versions_beyond_32_bits_are_kept_and_read_back() {
    let beyond = u64::from(u32::MAX) + 7;
    let (sequence, version) = (Sequence::new(beyond), Version::new(beyond));
    let bytes = crate::codec::encode(&(sequence, version)).unwrap();
    assert_eq!(crate::codec::decode::<(Sequence, Version)>(&bytes).unwrap(), (sequence, version));
    assert_eq!(version.next().get(), beyond + 1);
    let till = Till::new();
    let checkpoint = Checkpoint { sequence, data: Vec::new() };
    till.store.set_checkpoint_unchecked("service/wallets", &checkpoint).unwrap();
    assert_eq!(till.store.checkpoint("service/wallets").unwrap(), Some(checkpoint));
    let error = RecoveryPoint::load(&till.store, WALLETS_SERVICE).unwrap_err();
    assert!(error.to_string().contains(&beyond.to_string()), "not cut to 32 bits: {error}");
}
