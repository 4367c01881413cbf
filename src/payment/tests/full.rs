//! Payments on a disk that is full: what is under way comes to its end, what is new is refused.

use std::sync::Arc;
use std::time::Duration;

use super::super::*;
use super::bench::{Bench, eur_code};
use crate::aggregate::{ExecuteError, ExecuteOptions};
use crate::disk::sim::{SimulatedDisk, SimulationOptions};
use crate::index::MemoryIndexProvider;
use crate::money::Money;
use crate::types::{CodecId, EventType, ExpectedVersion, NewEvent, Sequence, StreamId};
use crate::wallet::WalletCommand;
use crate::{Environment, ErrorKind, Options, Store};

const DEPOSITED: i64 = 1_000;
/// Wallet's and card's parts.
const FORMS: [(i64, i64); 3] = [(7, 0), (0, 9), (5, 6)];

fn store(disk: &SimulatedDisk) -> Store {
    let environment = Environment::new(Arc::new(disk.clone()), Arc::new(MemoryIndexProvider::default()));
    let options = Options::new().segment_bytes(8192).reserve_bytes(64 * 1024).background(false);
    Store::open_in(&environment, "/till", options).unwrap()
}

/// Takes all the room there is, and what is left of the active segment.
fn fill(disk: &SimulatedDisk, store: &Store) {
    let used: usize = disk.files().iter().map(|path| disk.read_file(path).unwrap().len()).sum();
    disk.set_options(SimulationOptions { capacity_bytes: Some(used as u64), ..disk.options() });
    let notes = StreamId::new("notes-1").unwrap();
    let event = || NewEvent::new(EventType::new("Noted").unwrap(), CodecId::RAW, vec![7; 10]);
    loop {
        match store.append(&notes, ExpectedVersion::Any, vec![event()]) {
            Ok(_) => {}
            Err(error) => return assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}"),
        }
    }
}

fn make_room(disk: &SimulatedDisk) {
    disk.set_options(SimulationOptions { capacity_bytes: None, ..disk.options() });
}

#[test]
fn on_a_full_disk_what_is_under_way_ends_and_what_is_new_is_refused() {
    let (mut under_way, mut never_began) = (0, 0);
    for (approves, form) in FORMS.iter().flat_map(|form| [(true, *form), (false, *form)]) {
        for points in 0..12 {
            let disk = SimulatedDisk::default();
            let bench = Bench::on(store(&disk), DEPOSITED);
            let profile = if approves {
                GatewayProfile::always_approve()
            } else {
                GatewayProfile { decline_permille: 1_000, ..GatewayProfile::always_approve() }
            };
            let gateway = bench.gateway(profile);
            let request = bench.request("p", form.0, form.1);
            let cut = bench.cut_after(&bench.orchestrator(gateway.clone()), points);
            let is_cut = cut.run(request.clone()).is_err();
            fill(&disk, &bench.store);
            let label = format!("{form:?}, {approves}, cut after {points}");
            let orchestrator = bench.orchestrator(gateway.clone());
            let open = orchestrator.incomplete(Sequence::ZERO, &Default::default()).unwrap();
            for payment_id in &open {
                orchestrator
                    .resume(payment_id, "r", bench.store.now(), Duration::ZERO)
                    .unwrap_or_else(|error| panic!("{label}: {error}"));
                orchestrator.drive(payment_id).unwrap_or_else(|error| panic!("{label}: {error}"));
                under_way += 1;
            }
            let refused = orchestrator.run(bench.request("new", 1, 0)).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::StorageFull, "{label}: {refused}");
            let never = is_cut && open.is_empty();
            never_began += u32::from(never);
            if !never {
                bench.check_all(&orchestrator, &gateway.journal(), DEPOSITED, 1);
            }
            bench.store.close().unwrap();
            // After the next start, and with room again, all goes on.
            let again = store(&disk);
            assert!(again.recovery_report().was_closed_cleanly, "{label}");
            make_room(&disk);
            drop(orchestrator);
            let wallets = crate::aggregate::Repository::new(again.clone(), bench.wallets.policy());
            let bench = Bench { store: again, wallets };
            let orchestrator = bench.orchestrator(gateway.clone());
            orchestrator.run(request).unwrap();
            orchestrator.run(bench.request("new", 1, 0)).unwrap();
            bench.check_all(&orchestrator, &gateway.journal(), DEPOSITED, 2);
        }
    }
    assert!(under_way > 20 && never_began > 5, "{under_way} under way, {never_began} never began");
}

#[test]
fn a_hold_is_released_on_a_full_disk_where_that_is_asked_for() {
    let disk = SimulatedDisk::default();
    let bench = Bench::on(store(&disk), DEPOSITED);
    let amount = Money::new(100, eur_code());
    let hold = |hold_id: &str| WalletCommand::Hold {
        hold_id: hold_id.to_owned(),
        amount,
        payment_id: None,
        time_to_live: None,
    };
    let release = WalletCommand::Release { hold_id: "h1".to_owned() };
    bench.wallets.execute("u1", &ExecuteOptions::default(), &hold("h1")).unwrap();
    fill(&disk, &bench.store);
    for command in [&release, &hold("h2")] {
        match bench.wallets.execute("u1", &ExecuteOptions::default(), command) {
            Err(ExecuteError::Store(error)) => assert_eq!(error.kind(), ErrorKind::StorageFull),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(bench.wallet().locked_balance(), 100);
    let options = ExecuteOptions { may_use_reserve: true, ..ExecuteOptions::default() };
    bench.wallets.execute("u1", &options, &release).unwrap();
    assert_eq!(bench.wallet().locked_balance(), 0);
}
