//! Recoveries of a store that takes no record of them.

use super::*;
use crate::Environment;
use crate::disk::sim::{SimulatedDisk, SimulationOptions};
use crate::index::MemoryIndexProvider;

fn environment(disk: &SimulatedDisk) -> Environment {
    Environment::new(Arc::new(disk.clone()), Arc::new(MemoryIndexProvider::default()))
}

fn till(store: Store) -> Till {
    let clock = ManualClock::new(Timestamp::from_micros(1_000_000));
    Till::over(store, clock, MemoryGateway::new(GatewayProfile::always_approve()))
}

fn opened(disk: &SimulatedDisk) -> Till {
    let options = Options::new().segment_bytes(8192).reserve_bytes(64 * 1024).background(false);
    till(Store::open_in(&environment(disk), "/till", options).unwrap())
}

/// On a full disk the recovery is not on record, and gets ready all the same; what is under way is resumed from the reserve.
#[test]
fn on_a_full_disk_a_recovery_gets_ready_without_its_record() {
    for is_under_way in [false, true] {
        let disk = SimulatedDisk::default();
        let till = opened(&disk);
        till.open_wallet("ana", 100);
        if is_under_way {
            till.orchestrator.start(Till::request("open", "ana")).unwrap();
        }
        let used: usize = disk.files().iter().map(|path| disk.read_file(path).unwrap().len()).sum();
        disk.set_options(SimulationOptions { capacity_bytes: Some(used as u64), ..disk.options() });
        let notes = StreamId::new("notes-1").unwrap();
        let event = || NewEvent::new(EventType::new("Noted").unwrap(), CodecId::RAW, vec![7; 10]);
        while till.store.append(&notes, ExpectedVersion::Any, vec![event()]).is_ok() {}
        let report = till.recover(Strategy::Incremental);
        assert!(report.is_ready && report.findings.is_empty());
        assert_eq!(report.sagas_with(SagaDecision::Resumed).count(), usize::from(is_under_way));
        assert_eq!(till.events_of_type("RecoveryStarted") + till.events_of_type("RecoveryCompleted"), 0);
        assert_eq!(till.events_of_type("PaymentResumed"), usize::from(is_under_way));
        // With room again the next one is on record.
        disk.set_options(SimulationOptions { capacity_bytes: None, ..disk.options() });
        till.recover(Strategy::Incremental);
        assert_eq!(till.events_of_type("RecoveryCompleted"), 1);
    }
}

#[test]
fn a_store_that_is_open_to_read_says_so_and_is_not_ready() {
    let disk = SimulatedDisk::default();
    let writer = opened(&disk);
    writer.open_wallet("ana", 100);
    writer.store.close().unwrap();
    let reader = till(Store::open_read_only_in(&environment(&disk), "/till").unwrap());
    for strategy in [Strategy::Incremental, Strategy::Full] {
        let error = reader.recovery.recover(Trigger::Open, strategy).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ReadOnly);
        assert!(!reader.recovery.gate().is_open());
    }
    assert!(check(&reader.store).unwrap().is_ok, "looking is allowed");
}
