//! Lines booked on a store in memory, with a gateway in a folder.

use std::sync::Arc;

use bitacora::payment::{FileGateway, GatewayProfile};
use bitacora::snapshot::SnapshotPolicy;
use bitacora::{Options, Store};
use indicatif::ProgressBar;

use super::super::day::Day;
use super::super::ledger::{CSV_HEADER, Format, Reader};
use super::super::summary::Summary;
use super::super::{Till, recovery};
use super::*;

/// A store and a gateway that outlive any number of runs.
struct World {
    store: Store,
    gateway: FileGateway,
    _folder: tempfile::TempDir,
}

impl World {
    fn new(profile: GatewayProfile) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let gateway = FileGateway::open_with(folder.path(), profile).unwrap();
        Self { store: Store::in_memory(Options::new()).unwrap(), gateway, _folder: folder }
    }

    /// One run over `lines`; what it acknowledged, and its summary.
    fn run(&self, lines: &str, overdraft: &str, top_ups: TopUps) -> (String, Summary) {
        let till = Till::over(self.store.clone(), Arc::new(self.gateway.clone()), 1).unwrap();
        recovery::recover(&till).unwrap();
        let name = LedgerName::of(std::path::Path::new("day.csv")).unwrap();
        let outcomes = Outcomes::read(&self.store, &name).unwrap();
        let overdraft = overdraft.parse().unwrap();
        let began_at = self.store.last_sequence();
        let Till { wallets, orchestrator, recovery, .. } = till;
        let gate = recovery.gate().clone();
        let clerk =
            Clerk { wallets, orchestrator, gate, name, overdraft, top_ups, outcomes, waiting: Waiting::default() };
        let text = format!("{CSV_HEADER}\n{lines}");
        let reader = Reader::new(text.as_bytes(), Format::Csv).unwrap();
        let progress = ProgressBar::hidden();
        let day = Day { reader, clerk: &clerk, workers: 3, began_at, progress: &progress, checkpoint: &|| () };
        let mut acks = Vec::new();
        let mut summary = day.run(Some(&mut acks)).unwrap();
        summary.finish(std::time::Duration::ZERO, 0);
        assert!(summary.is_whole(), "{summary:?}");
        (String::from_utf8(acks).unwrap(), summary)
    }

    /// Events, without those that tell of recoveries.
    fn events_of_the_day(&self) -> usize {
        let of_recoveries = |event: &bitacora::Event| event.stream.as_str() == bitacora::service::RECOVERY_STREAM;
        self.store.read_all(..).filter(|event| !of_recoveries(event.as_ref().unwrap())).count()
    }

    fn types(&self, stream: &str) -> Vec<String> {
        let events = self.store.read_stream(&bitacora::StreamId::new(stream).unwrap(), ..);
        events.map(|event| event.unwrap().event_type.to_string()).collect()
    }
}

fn approving() -> World {
    World::new(GatewayProfile::always_approve())
}

#[test]
fn a_withdrawal_that_is_not_covered_is_on_record_and_decided_once() {
    let world = approving();
    let lines = "w1,ana,t,withdrawal,5.00,EUR\nd1,ana,t,deposit,9.00,EUR\n";
    let (acks, first) = world.run(lines, "0", TopUps::Made);
    assert_eq!((first.deposits, first.withdrawals, first.refused.len()), (1, 0, 1));
    assert_eq!(first.refused[0].line, 2);
    assert_eq!(acks.lines().count(), 2);
    assert_eq!(world.types("till-day"), ["LineRefused"]);
    assert_eq!(world.types("wallet-ana"), ["WalletOpened", "FundsDeposited"]);

    // Now it would be covered; what was decided stays decided.
    let events = world.events_of_the_day();
    let (acks, again) = world.run(lines, "0", TopUps::Made);
    assert_eq!(again, first);
    assert_eq!(acks, "");
    assert_eq!(world.events_of_the_day(), events, "a line that is done costs no event");
}

#[test]
fn an_overdraft_covers_a_withdrawal_and_is_cut_to_the_currencys_decimals() {
    let world = approving();
    let (_, summary) = world.run("w1,ana,t,withdrawal,5.00,EUR\nw2,bo,t,withdrawal,5,JPY\n", "5.50", TopUps::Made);
    assert_eq!(summary.withdrawals, 2);
    let overdraft: Overdraft = "5.509".parse().unwrap();
    let minor = |code: &str| overdraft.minor(code.parse().unwrap());
    assert_eq!((minor("EUR"), minor("JPY"), minor("KWD")), (550, 5, 5_509));
    for text in ["-1", "", "1.", ".5", "1e3", "x", "9999999999999"] {
        assert!(text.parse::<Overdraft>().is_err(), "{text}");
    }
    assert_eq!(Overdraft::default().minor("EUR".parse().unwrap()), 0);
}

#[test]
fn payments_take_their_form_from_the_line_and_the_wallet_is_topped_up() {
    let world = approving();
    // Lines 2, 3 and 4: split, wallet, card.
    let lines = "p2,ana,t,payment,60.01,EUR\np3,ana,t,payment,30.00,EUR\np4,ana,t,payment,7.00,EUR\n";
    let (_, summary) = world.run(lines, "0", TopUps::Made);
    assert_eq!((summary.completed, summary.top_ups), (3, 2));
    assert_eq!(summary.captured.0["EUR"], 3_000 + 3_000);
    assert_eq!(summary.charged.0["EUR"], 3_001 + 700);
    let (_, again) = world.run(lines, "0", TopUps::Made);
    assert_eq!(again, summary);
}

#[test]
fn a_top_up_that_was_booked_before_the_kill_is_not_made_again() {
    let world = approving();
    let line = "p3,ana,t,payment,30.00,EUR\n";
    // The first run gets as far as the top-up.
    let wallets: Repository<Wallet> = Repository::new(world.store.clone(), SnapshotPolicy::default());
    let name = LedgerName::of(std::path::Path::new("day.csv")).unwrap();
    let currency: Currency = "EUR".parse().unwrap();
    let parsed = super::super::ledger::parse_line(Format::Csv, 3, line.trim()).unwrap();
    let open = WalletCommand::Open { currency, overdraft_limit: 0, limits: WalletLimits::default() };
    wallets.execute("ana", &ExecuteOptions::default(), &open).unwrap();
    let command_id = name.command_id(Booking::TopUp, &parsed);
    let metadata = name.metadata(&parsed, Some(command_id.clone()));
    let options = ExecuteOptions { command_id: Some(&command_id), metadata, ..ExecuteOptions::default() };
    let deposit = WalletCommand::Deposit { amount: Money::new(5_000, currency) };
    wallets.execute("ana", &options, &deposit).unwrap();

    let (_, summary) = world.run(&format!("x,ana,t,payment,0.00,EUR\n{line}"), "0", TopUps::Made);
    assert_eq!((summary.completed, summary.top_ups), (1, 1));
    let deposits = world.types("wallet-ana").iter().filter(|name| *name == "FundsDeposited").count();
    assert_eq!(deposits, 1);
}

#[test]
fn without_top_ups_a_payment_that_is_not_covered_is_rejected() {
    let world = approving();
    let (_, summary) = world.run("x,ana,t,payment,0.00,EUR\np3,ana,t,payment,30.00,EUR\n", "0", TopUps::NotMade);
    assert_eq!((summary.rejected, summary.top_ups, summary.refused.len()), (1, 0, 1));
}

#[test]
fn unreadable_lines_open_no_wallet_and_put_nothing_on_record() {
    let world = approving();
    let lines = "a,ana,t,payment,0.00,EUR\nb,ana,t,payment,1.00,QQQ\nc,ana,t,payment,-1.00,EUR\nd,ana\n";
    let (acks, summary) = world.run(lines, "0", TopUps::Made);
    assert_eq!((summary.lines, summary.refused.len()), (4, 4));
    assert_eq!(acks, "");
    assert_eq!(world.events_of_the_day(), 0);
}

#[test]
fn a_wallet_is_in_the_currency_of_the_first_line_and_another_currency_is_refused() {
    let world = approving();
    let lines = "x,ana,t,deposit,0.00,USD\nd1,ana,t,deposit,9,JPY\nd2,ana,t,deposit,9.00,EUR\n\
                 x2,ana,t,deposit,0,JPY\np6,ana,t,payment,1.00,EUR\n";
    let (_, summary) = world.run(lines, "0", TopUps::Made);
    assert_eq!((summary.deposits, summary.rejected), (1, 1));
    assert_eq!(summary.refused.iter().map(|refused| refused.line).collect::<Vec<_>>(), [2, 4, 5]);
}

#[test]
fn an_id_that_stands_for_something_else_in_this_store_refuses_the_line() {
    let world = approving();
    world.run("d1,ana,t,deposit,9.00,EUR\np3,ana,t,payment,1.00,EUR\n", "0", TopUps::Made);
    let (_, summary) = world.run("d1,ana,t,deposit,8.00,EUR\np3,ana,t,payment,2.00,EUR\n", "0", TopUps::Made);
    assert_eq!((summary.deposits, summary.completed, summary.refused.len()), (0, 0, 2));
    assert_eq!(world.types("till-day").len(), 2);
}

/// Goal: with a gateway that declines and times out every payment still gets one outcome, and the journal agrees. Method: 300
/// card and split payments of a few users, the default profile.
#[test]
fn every_payment_gets_an_outcome_from_a_gateway_that_declines_and_times_out() {
    let world = World::new(GatewayProfile::default());
    let lines: String =
        (0..300).map(|number| format!("p{number},u{},t,payment,{}.50,EUR\n", number % 7, number % 40 + 1)).collect();
    let (acks, summary) = world.run(&lines, "0", TopUps::Made);
    assert_eq!(summary.lines, 300);
    assert_eq!(acks.lines().count(), 300);
    assert!(summary.completed > 200 && summary.compensated + summary.rejected > 5, "{summary:?}");
    assert!(summary.pending.is_empty());
    let journal = FileGateway::read_journal(world._folder.path()).unwrap();
    assert!(journal.timeouts > 0);
    let charged: i64 = journal.charges.values().map(bitacora::payment::Charge::net).sum();
    assert_eq!(charged, summary.charged.0["EUR"]);
    assert!(journal.charges.values().all(|charge| charge.open() == 0 && !charge.is_double()));
}

/// Goal: a payment that was cut off is finished before its user's next line. Method: a payment is put on record and left
/// alone, as by a kill; then a run over a ledger in which it is the first line.
#[test]
fn a_payment_that_was_under_way_is_finished_and_counted_once() {
    let world = approving();
    let till = Till::over(world.store.clone(), Arc::new(world.gateway.clone()), 1).unwrap();
    let currency: Currency = "EUR".parse().unwrap();
    till.orchestrator.start(PaymentRequest::new("p4", "ana", currency).by_card(100)).unwrap();
    let recovered = recovery::recover(&till).unwrap();
    assert_eq!((recovered.completed, recovered.report.sagas.len()), (1, 1));
    assert!(recovered.report.is_ready);
    assert_eq!(recovered.lines().len(), 1);
    let lines = "x,ana,t,payment,0.00,EUR\nx,ana,t,payment,0.00,EUR\np4,ana,t,payment,1.00,EUR\n";
    let (acks, summary) = world.run(lines, "0", TopUps::Made);
    assert_eq!((summary.completed, summary.charged.0["EUR"], acks.as_str()), (1, 100, ""));
}

/// Goal: one bad wallet stops its own user and nobody else. Method: an event that this program cannot read, forged into a
/// wallet's stream; the recovery quarantines it.
#[test]
fn lines_of_a_quarantined_wallet_wait_and_other_users_go_on() {
    let world = approving();
    world.run("d1,ana,t,deposit,9.00,EUR\n", "0", TopUps::Made);
    let event_type = bitacora::EventType::new("FundsDeposited").unwrap();
    let forged = bitacora::NewEvent::new(event_type, bitacora::CodecId::RAW, vec![1, 2, 3]);
    world.store.append(&StreamId::new("wallet-ana").unwrap(), ExpectedVersion::Any, vec![forged]).unwrap();
    let lines =
        "d1,ana,t,deposit,9.00,EUR\nd2,ana,t,deposit,1.00,EUR\nd3,bo,t,deposit,2.00,EUR\nd4,ana,t,deposit,3.00,EUR\n";
    let (_, summary) = world.run(lines, "0", TopUps::Made);
    assert_eq!((summary.deposits, summary.lines), (2, 4));
    assert_eq!(summary.pending.iter().map(|pending| pending.line).collect::<Vec<_>>(), [3, 5]);
    assert!(summary.pending[0].reason.contains("quarantined"), "{:?}", summary.pending);
    assert!(summary.pending[1].reason.contains("line 3 of the same user"), "{:?}", summary.pending);
}
