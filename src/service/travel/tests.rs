use std::num::NonZeroU32;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::aggregate::{AsOf, ExecuteOptions, Repository};
use crate::clock::ManualClock;
use crate::error::{Error, ErrorKind};
use crate::money::{Currency, Money};
use crate::payment::{GatewayProfile, MemoryGateway, Orchestrator, OrchestratorOptions, PaymentRequest};
use crate::snapshot::SnapshotPolicy;
use crate::store::{Commit, Options, Store};
use crate::types::{CodecId, EventType, ExpectedVersion, Metadata, NewEvent, Sequence, StreamId, Timestamp, Version};
use crate::wallet::{Wallet, WalletCommand, WalletLimits};

struct Till {
    store: Store,
    clock: ManualClock,
    wallets: Repository<Wallet>,
    orchestrator: Orchestrator,
}

fn usd() -> Currency {
    Currency::from_code("USD").unwrap()
}

impl Till {
    fn new() -> Self {
        let clock = ManualClock::new(Timestamp::from_micros(1_000_000));
        let store = Store::in_memory(Options::new().clock(Arc::new(clock.clone()))).unwrap();
        let policy = SnapshotPolicy::EveryEvents(NonZeroU32::new(3).unwrap());
        let wallets = Repository::new(store.clone(), policy);
        let gateway = Arc::new(MemoryGateway::new(GatewayProfile::always_approve()));
        let orchestrator = Orchestrator::new(wallets.clone(), gateway, OrchestratorOptions::default()).unwrap();
        Self { store, clock, wallets, orchestrator }
    }

    fn execute(&self, user_id: &str, command: &WalletCommand) {
        self.wallets.execute(user_id, &ExecuteOptions::default(), command).unwrap();
    }

    fn open(&self, user_id: &str) {
        self.execute(
            user_id,
            &WalletCommand::Open { currency: usd(), overdraft_limit: 0, limits: WalletLimits::default() },
        );
    }

    fn deposit(&self, user_id: &str, minor: i64) {
        self.execute(user_id, &WalletCommand::Deposit { amount: Money::new(minor, usd()) });
    }

    /// Both deposits in one commit.
    fn deposit_both(&self, minor: i64) {
        let mut commit = Commit::new();
        let command = WalletCommand::Deposit { amount: Money::new(minor, usd()) };
        let mut decisions = Vec::new();
        for user_id in ["ana", "bea"] {
            let mut decision = self.wallets.decide(user_id, &command).unwrap();
            commit = decision.add_to(commit, &Metadata::default()).unwrap();
            decisions.push(decision);
        }
        let receipt = self.store.commit(commit).unwrap();
        decisions.into_iter().for_each(|decision| drop(self.wallets.committed(decision, &receipt).unwrap()));
    }

    fn balances(&self, as_of: AsOf) -> Vec<(String, i64)> {
        let mut shown = Vec::new();
        let count = wallets_as_of(&self.store, as_of, |loaded| {
            shown.push((loaded.state.user_id().to_owned(), loaded.state.balance()));
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
        assert_eq!(count, shown.len() as u64);
        shown
    }
}

fn owned(pairs: &[(&str, i64)]) -> Vec<(String, i64)> {
    pairs.iter().map(|(user, balance)| ((*user).to_owned(), *balance)).collect()
}

/// ana is opened at 1, bea at 2; both get 5 in one commit at 3 and 4; ana gets 1 at 5, a second later; cid is opened at 6.
fn day() -> Till {
    let till = Till::new();
    till.open("ana");
    till.open("bea");
    till.deposit_both(5);
    till.clock.advance(Duration::from_secs(1));
    till.deposit("ana", 1);
    till.open("cid");
    till
}

#[test]
fn all_wallets_as_of_a_sequence_are_those_opened_by_then_also_within_a_commit() {
    let till = day();
    let at = |sequence| till.balances(AsOf::Sequence(Sequence::new(sequence)));
    assert_eq!(at(0), []);
    assert_eq!(at(1), owned(&[("ana", 0)]));
    assert_eq!(at(3), owned(&[("ana", 5), ("bea", 0)]), "within the commit");
    assert_eq!(at(4), owned(&[("ana", 5), ("bea", 5)]));
    assert_eq!(at(5), owned(&[("ana", 6), ("bea", 5)]));
    assert_eq!(at(99), owned(&[("ana", 6), ("bea", 5), ("cid", 0)]));
}

#[test]
fn all_wallets_as_of_a_time_and_of_a_version() {
    let till = day();
    let time = |micros| till.balances(AsOf::Time(Timestamp::from_micros(micros)));
    assert_eq!(time(999_999), []);
    assert_eq!(time(1_000_000), owned(&[("ana", 5), ("bea", 5)]));
    assert_eq!(time(2_000_000), owned(&[("ana", 6), ("bea", 5), ("cid", 0)]));
    let version = |number| till.balances(AsOf::Version(Version::new(number)));
    assert_eq!(version(0), []);
    assert_eq!(version(1), owned(&[("ana", 0), ("bea", 0), ("cid", 0)]));
    assert_eq!(version(3), owned(&[("ana", 6), ("bea", 5), ("cid", 0)]));
}

#[test]
fn a_visitor_ends_the_showing_and_its_error_is_the_answer() {
    let till = day();
    let end = AsOf::Sequence(Sequence::MAX);
    let mut seen = 0;
    let shown = wallets_as_of(&till.store, end, |_| {
        seen += 1;
        Ok(ControlFlow::Break(()))
    });
    assert_eq!((shown.unwrap(), seen), (1, 1));
    let failed = wallets_as_of(&till.store, end, |_| Err(Error::new(ErrorKind::Io, "no paper")));
    assert_eq!(failed.unwrap_err().kind(), ErrorKind::Io);
    // A wallet that cannot be read is named, up to where it can be it is shown.
    let event = NewEvent::new(EventType::new("FundsBurned").unwrap(), CodecId::BINCODE, vec![1]);
    till.store.append(&StreamId::new("wallet-bea").unwrap(), ExpectedVersion::Any, vec![event]).unwrap();
    let error = wallets_as_of(&till.store, end, |_| Ok(ControlFlow::Continue(()))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownPayload);
    assert!(error.to_string().contains("bea"), "{error}");
    assert_eq!(till.balances(AsOf::Sequence(Sequence::new(6))).len(), 3);
}

#[test]
fn a_diff_lists_what_changed_between_two_points_and_nothing_else() {
    let till = day();
    let at = |sequence| AsOf::Sequence(Sequence::new(sequence));
    let found = diff(&till.store, at(3), at(5), None).unwrap();
    let changes: Vec<_> = found.iter().map(|diff| (diff.user_id.as_str(), diff.balance_change, diff.events)).collect();
    assert_eq!(changes, [("ana", 1, 1), ("bea", 5, 1)]);
    assert_eq!((found[0].from.balance, found[0].to.balance), (5, 6));
    assert_eq!(diff(&till.store, at(5), at(6), None).unwrap()[0].currency, Some("USD"), "it was opened between");
    assert_eq!(diff(&till.store, at(5), at(5), None).unwrap(), []);
    let back = diff(&till.store, at(5), at(3), Some("ana")).unwrap();
    assert_eq!((back[0].balance_change, back[0].events), (-1, -1), "the other way round");
    assert_eq!(diff(&till.store, at(4), at(6), Some("bea")).unwrap(), []);
    let time = |micros| AsOf::Time(Timestamp::from_micros(micros));
    assert_eq!(diff(&till.store, time(1_000_000), time(2_000_000), None).unwrap().len(), 2);
    let version = |number| AsOf::Version(Version::new(number));
    assert_eq!(diff(&till.store, version(1), version(2), None).unwrap().len(), 2);
    let json = serde_json::to_value(&found[0]).unwrap();
    assert_eq!((&json["from"]["status"], &json["balance_change"]), (&"open".into(), &1.into()));
}

#[test]
fn an_explanation_adds_up_to_the_balance_and_says_who_and_why() {
    let till = Till::new();
    till.open("ana");
    let metadata = Metadata {
        actor: Some("till 3".into()),
        correlation_id: Some("day 1".into()),
        causation_id: Some("ticket 9".into()),
        ..Metadata::default()
    };
    let options = ExecuteOptions { metadata, ..ExecuteOptions::default() };
    till.wallets.execute("ana", &options, &WalletCommand::Deposit { amount: Money::new(100, usd()) }).unwrap();
    till.orchestrator.run(PaymentRequest::new("sale-1", "ana", usd()).by_wallet(30)).unwrap();
    let end = AsOf::Sequence(Sequence::MAX);
    let all = explain(&till.store, "ana", end).unwrap();
    let types: Vec<_> = all.events.iter().map(|event| event.event_type.as_str()).collect();
    assert_eq!(types, ["WalletOpened", "FundsDeposited", "FundsHeld", "HoldCaptured"]);
    let changes: Vec<_> = all.events.iter().map(|event| (event.balance_change, event.locked_change)).collect();
    assert_eq!(changes, [(0, 0), (100, 0), (0, 30), (-30, -30)]);
    assert_eq!((all.balance, all.locked_balance, all.available_balance), (70, 0, 70));
    assert_eq!(all.events.iter().map(|event| event.balance_change).sum::<i128>(), 70);
    assert_eq!(
        (all.events[1].actor.as_deref(), all.events[1].causation_id.as_deref()),
        (Some("till 3"), Some("ticket 9"))
    );
    assert_eq!(all.events[2].correlation_id.as_deref(), Some("sale-1"));
    let held = explain(&till.store, "ana", AsOf::Version(Version::new(3))).unwrap();
    assert_eq!((held.balance, held.locked_balance, held.events.len()), (100, 30, 3));
    assert_eq!(explain(&till.store, "bo", end).unwrap_err().kind(), ErrorKind::NotFound);
    let before = explain(&till.store, "ana", AsOf::Sequence(Sequence::ZERO)).unwrap_err();
    assert_eq!(before.kind(), ErrorKind::NotFound);
}

#[test]
fn payments_are_listed_by_where_they_stand() {
    let till = Till::new();
    till.open("ana");
    till.deposit("ana", 100);
    let request = |payment_id: &str| PaymentRequest::new(payment_id, "ana", usd()).by_wallet(10);
    till.orchestrator.run(request("over")).unwrap();
    till.orchestrator.start(request("late")).unwrap();
    till.clock.advance(Duration::from_secs(3_600));
    till.orchestrator.start(request("young")).unwrap();
    let list = |filter: PaymentFilter| -> Vec<String> {
        payments_list(&till.store, filter).unwrap().map(|payment| payment.unwrap().payment_id).collect()
    };
    let of_state = |state: &str| PaymentFilter { state: Some(state.into()), ..PaymentFilter::default() };
    assert_eq!(list(PaymentFilter::default()), ["late", "over", "young"]);
    assert_eq!(list(of_state("completed")), ["over"]);
    assert_eq!(list(of_state("started")), ["late", "young"]);
    assert_eq!(list(PaymentFilter { overdue: true, ..PaymentFilter::default() }), ["late"]);
    assert!(list(PaymentFilter { in_doubt: true, ..PaymentFilter::default() }).is_empty());
    let over = payments_list(&till.store, of_state("completed")).unwrap().next().unwrap().unwrap();
    assert_eq!((over.outcome, over.amount, over.currency), (Some("completed"), Some(10), Some("USD")));
    // One that cannot be read ends the list with an error, after those before it.
    let event = NewEvent::new(EventType::new("PaymentVanished").unwrap(), CodecId::BINCODE, vec![1]);
    till.store.append(&StreamId::new("payment-m").unwrap(), ExpectedVersion::Any, vec![event]).unwrap();
    let all: Vec<_> = payments_list(&till.store, PaymentFilter::default()).unwrap().collect();
    assert_eq!(all.len(), 2);
    assert_eq!(all[1].as_ref().unwrap_err().kind(), ErrorKind::UnknownPayload);
}

#[test]
fn snapshots_are_listed_by_aggregate_the_newest_first() {
    let till = day();
    till.deposit("ana", 1);
    till.deposit("ana", 1);
    till.deposit("ana", 1);
    till.wallets.snapshot("bea").unwrap();
    let found: Vec<_> = snapshots(&till.store, "wallet").map(|snapshot| snapshot.unwrap()).collect();
    let ids: Vec<_> = found.iter().map(|snapshot| snapshot.snapshot_id.as_str()).collect();
    assert_eq!(ids, ["wallet-ana@6", "wallet-ana@3", "wallet-bea@2"]);
    assert!(found.iter().all(|snapshot| snapshot.bytes > 0 && snapshot.schema_version > 0));
    assert_eq!(snapshots(&till.store, "order").count(), 0);
}
