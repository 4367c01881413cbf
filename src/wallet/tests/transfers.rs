//! Transfers: one commit over two streams, conserved and done once.

use std::sync::Arc;

use super::*;
use crate::disk::MemoryDisk;
use crate::error::ErrorKind;
use crate::index::MemoryIndexProvider;
use crate::store::Environment;
use crate::types::ExpectedVersion;

struct Bank {
    environment: Environment,
    wallets: Repository<Wallet>,
}

impl Bank {
    fn new() -> Self {
        let environment = Environment::new(Arc::new(MemoryDisk::default()), Arc::new(MemoryIndexProvider::default()));
        let wallets = Self::open(&environment);
        let bank = Self { environment, wallets };
        for user_id in ["ana", "bob"] {
            bank.execute(user_id, open(usd(0).currency, WalletLimits::default()));
        }
        bank.execute("ana", WalletCommand::Deposit { amount: usd(1_000) });
        bank
    }

    fn open(environment: &Environment) -> Repository<Wallet> {
        let store = Store::open_in(environment, "bank", Options::new().background(false)).unwrap();
        Repository::new(store, SnapshotPolicy::Never)
    }

    fn restart(self) -> Self {
        self.wallets.store().close().unwrap();
        let wallets = Self::open(&self.environment);
        Self { wallets, ..self }
    }

    fn execute(&self, user_id: &str, command: WalletCommand) {
        self.wallets.execute(user_id, &ExecuteOptions::default(), &command).unwrap();
    }

    fn transfer(&self, asked: &Transfer) -> Result<Transferred, ExecuteError<WalletRefusal>> {
        transfer(&self.wallets, &ExecuteOptions::default(), asked)
    }

    fn refusal(&self, asked: &Transfer) -> WalletRefusal {
        let end = self.wallets.store().last_sequence();
        let error = self.transfer(asked).unwrap_err();
        assert_eq!(self.wallets.store().last_sequence(), end, "a refusal writes nothing");
        match error {
            ExecuteError::Refused(refusal) => refusal,
            ExecuteError::Store(error) => panic!("{error}"),
        }
    }

    fn balances<const USERS: usize>(&self, user_ids: [&str; USERS]) -> [i64; USERS] {
        user_ids.map(|user_id| self.wallets.load(user_id).unwrap().state.balance())
    }

    /// Both by the wallets' totals and by all events of the store.
    fn assert_conserved(&self) {
        let (mut totals, mut sum) = (TransferTotals::default(), 0);
        for user_id in self.wallets.aggregate_ids() {
            let wallet = self.wallets.load_full(&user_id.unwrap()).unwrap().state;
            wallet.check_invariants().unwrap();
            totals.add(&wallet);
        }
        totals.check().unwrap();
        for event in self.wallets.store().read_all(..) {
            match WalletEvent::decode(&event.unwrap()).unwrap() {
                WalletEvent::TransferDebited(fact) => sum -= fact.amount.minor,
                WalletEvent::TransferCredited(fact) => sum += fact.amount.minor,
                _ => {}
            }
        }
        assert_eq!(sum, 0);
    }
}

fn open(currency: Currency, limits: WalletLimits) -> WalletCommand {
    WalletCommand::Open { currency, overdraft_limit: 0, limits }
}

fn to_bob(transfer_id: &str, minor: i64) -> Transfer {
    let (from_user_id, to_user_id) = ("ana".to_owned(), "bob".to_owned());
    Transfer { transfer_id: transfer_id.into(), from_user_id, to_user_id, amount: usd(minor) }
}

#[test]
fn a_transfer_is_one_commit_over_both_wallets() {
    let bank = Bank::new();
    let done = bank.transfer(&to_bob("t", 300)).unwrap();
    assert_eq!((done.from.state.balance(), done.to.state.balance()), (700, 300));
    let receipt = done.receipt.unwrap();
    assert_eq!(receipt.sequence_last, receipt.sequence_first.next(), "two events");
    assert_eq!(receipt.streams.len(), 2);
    let events: Vec<_> = bank
        .wallets
        .store()
        .read_all(receipt.sequence_first..)
        .map(|event| WalletEvent::decode(&event.unwrap()).unwrap())
        .collect();
    let debited = TransferDebited { transfer_id: "t".into(), to_user_id: "bob".into(), amount: usd(300) };
    let credited = TransferCredited { transfer_id: "t".into(), from_user_id: "ana".into(), amount: usd(300) };
    assert_eq!(events, [debited.into(), credited.into()]);
    for (user_id, told) in [("ana", &done.from), ("bob", &done.to)] {
        assert_eq!(bank.wallets.load_full(user_id).unwrap().state, told.state);
    }
    assert_eq!((done.from.state.transferred_out(), done.to.state.transferred_in()), (300, 300));
    bank.assert_conserved();
}

#[test]
fn a_transfer_is_refused_by_either_side_and_then_changes_neither() {
    let bank = Bank::new();
    let limited = |per_day, balance_max| WalletLimits { per_transaction: None, per_day, balance_max };
    bank.execute("eve", open(eur(0).currency, WalletLimits::default()));
    bank.execute("max", open(usd(0).currency, limited(None, Some(10))));
    bank.execute("closed", open(usd(0).currency, WalletLimits::default()));
    bank.execute("closed", WalletCommand::Close);
    bank.execute("ana", WalletCommand::SetLimits { limits: limited(Some(900), None) });
    let to = |user_id: &str, minor| Transfer { to_user_id: user_id.into(), ..to_bob("t", minor) };
    let target =
        |user_id: &str, refusal| WalletRefusal::TargetRefused { user_id: user_id.into(), refusal: Box::new(refusal) };
    let (dollar, euro) = (usd(0).currency, eur(0).currency);
    assert_eq!(bank.refusal(&to("ana", 1)), WalletRefusal::SameWallet);
    for minor in [0, -1, i64::MIN] {
        assert_eq!(bank.refusal(&to_bob("t", minor)), WalletRefusal::InvalidAmount { amount: minor });
    }
    assert_eq!(bank.refusal(&to_bob("", 1)), WalletRefusal::InvalidId { id: String::new() });
    let other = Transfer { amount: eur(1), ..to_bob("t", 1) };
    assert_eq!(bank.refusal(&other), WalletRefusal::CurrencyMismatch { expected: dollar, given: euro });
    let mismatch = WalletRefusal::CurrencyMismatch { expected: euro, given: dollar };
    assert_eq!(bank.refusal(&to("eve", 1)), target("eve", mismatch));
    let max = WalletRefusal::MaxBalance { balance: 0, balance_max: 10, requested: 11 };
    assert_eq!(bank.refusal(&to("max", 11)), target("max", max));
    let closed = bank.refusal(&to("closed", 1));
    assert_eq!((closed.name(), &closed), ("Closed", &target("closed", WalletRefusal::Closed)));
    assert_eq!(bank.refusal(&to("nobody", 1)), target("nobody", WalletRefusal::NotOpen));
    let limit = WalletRefusal::LimitExceeded { which: SpendingLimit::PerDay, limit: 900, used: 0, requested: 901 };
    assert_eq!(bank.refusal(&to_bob("t", 901)), limit);
    bank.execute("ana", hold("h", 900));
    bank.execute("ana", WalletCommand::SetLimits { limits: WalletLimits::default() });
    let insufficient = WalletRefusal::InsufficientFunds { available: 100, spendable: 100, requested: 101 };
    assert_eq!(bank.refusal(&to_bob("t", 101)), insufficient);
    bank.execute("bob", WalletCommand::Freeze { debits_only: false });
    let frozen = |status| WalletRefusal::Frozen { status };
    assert_eq!(bank.refusal(&to_bob("t", 1)), target("bob", frozen(WalletStatus::Frozen)));
    bank.execute("bob", WalletCommand::Freeze { debits_only: true });
    bank.execute("ana", WalletCommand::Freeze { debits_only: true });
    assert_eq!(bank.refusal(&to_bob("t", 1)), frozen(WalletStatus::FrozenDebits));
    bank.execute("ana", WalletCommand::Unfreeze);
    // What was refused left the id free, and a wallet that is frozen for debits takes money.
    bank.transfer(&to_bob("t", 1)).unwrap();
    bank.assert_conserved();
}

#[test]
fn a_transfer_counts_as_spent_and_is_done_once_for_its_id_also_after_a_restart() {
    let bank = Bank::new();
    bank.transfer(&to_bob("t", 300)).unwrap();
    let now = bank.wallets.store().now();
    assert_eq!(bank.wallets.load("ana").unwrap().state.spent_on_day_of(now), 300);
    let check = |bank: &Bank| {
        let again = bank.transfer(&to_bob("t", 300)).unwrap();
        assert!(again.receipt.is_none());
        assert_eq!((again.from.state.balance(), again.to.state.balance()), (700, 300));
        let exists = WalletRefusal::TransferExists { transfer_id: "t".into() };
        assert_eq!(bank.refusal(&to_bob("t", 301)), exists);
        assert_eq!(bank.refusal(&Transfer { to_user_id: "eve".into(), ..to_bob("t", 300) }), exists);
        assert_eq!(bank.refusal(&Transfer { amount: eur(300), ..to_bob("t", 300) }), exists);
    };
    check(&bank);
    // The id is one of the wallet that pays: the other one has a transfer of its own under it.
    let back = Transfer { from_user_id: "bob".into(), to_user_id: "ana".into(), ..to_bob("t", 300) };
    bank.transfer(&back).unwrap();
    bank.transfer(&to_bob("again", 300)).unwrap();
    let bank = bank.restart();
    check(&bank);
    bank.assert_conserved();
}

#[test]
fn a_repeated_command_id_gives_the_first_outcome_of_a_transfer_again_also_after_a_restart() {
    let bank = Bank::new();
    let once = ExecuteOptions { command_id: Some("c"), ..ExecuteOptions::default() };
    let asked = to_bob("t", 300);
    let first = transfer(&bank.wallets, &once, &asked).unwrap();
    bank.transfer(&to_bob("u", 700)).unwrap();
    bank.execute("ana", WalletCommand::Close);
    let check = |bank: &Bank| {
        let again = transfer(&bank.wallets, &once, &asked).unwrap();
        assert_eq!((&again.from.state, &again.to.state), (&first.from.state, &first.to.state));
        let receipt = again.receipt.unwrap();
        assert!(receipt.is_repeat);
        assert_eq!(receipt.sequence_first, first.receipt.as_ref().unwrap().sequence_first);
        let others = [
            to_bob("t", 301),
            to_bob("v", 300),
            Transfer { to_user_id: "eve".into(), ..to_bob("t", 300) },
            Transfer { to_user_id: "ana".into(), ..to_bob("v", 300) },
        ];
        for other in others {
            match transfer(&bank.wallets, &once, &other) {
                Err(ExecuteError::Store(error)) => assert_eq!(error.kind(), ErrorKind::IdempotencyConflict),
                other => panic!("{other:?}"),
            }
        }
        // The id is that of a command on the wallet that pays, so no other command has it.
        let deposit = WalletCommand::Deposit { amount: usd(1) };
        match bank.wallets.execute("ana", &once, &deposit) {
            Err(ExecuteError::Store(error)) => assert_eq!(error.kind(), ErrorKind::IdempotencyConflict),
            other => panic!("{other:?}"),
        }
    };
    check(&bank);
    check(&bank.restart());
}

#[test]
fn a_writer_that_was_faster_on_either_wallet_has_both_sides_decided_anew() {
    let bank = Bank::new();
    let other = Repository::<Wallet>::new(bank.wallets.store().clone(), SnapshotPolicy::Never);
    for user_id in ["ana", "bob"] {
        // Both are in this repository's memory, and out of date after this.
        bank.wallets.cached("ana").unwrap();
        bank.wallets.cached("bob").unwrap();
        let deposit = WalletCommand::Deposit { amount: usd(10) };
        other.execute(user_id, &ExecuteOptions::default(), &deposit).unwrap();
        bank.transfer(&to_bob(user_id, 100)).unwrap();
    }
    assert_eq!(bank.balances(["ana", "bob"]), [810, 210]);
    // A stale state neither refuses: the money that another writer brought is there.
    other.execute("ana", &ExecuteOptions::default(), &WalletCommand::Deposit { amount: usd(90) }).unwrap();
    bank.transfer(&to_bob("all", 900)).unwrap();
    assert_eq!(bank.balances(["ana", "bob"]), [0, 1_110]);
    bank.assert_conserved();
}

#[test]
fn one_side_of_a_transfer_alone_is_noticed() {
    let bank = Bank::new();
    let fact = TransferCredited { transfer_id: "t".into(), from_user_id: "ana".into(), amount: usd(7) };
    let events = crate::aggregate::new_events(&[WalletEvent::from(fact)], &Metadata::default()).unwrap();
    let stream = Repository::<Wallet>::stream("bob").unwrap();
    bank.wallets.store().append(&stream, ExpectedVersion::Any, events).unwrap();
    let mut totals = TransferTotals::default();
    for user_id in ["ana", "bob"] {
        let wallet = bank.wallets.load(user_id).unwrap().state;
        wallet.check_invariants().unwrap();
        totals.add(&wallet);
    }
    assert_eq!(totals.sent(usd(0).currency), 0);
    assert!(totals.check().unwrap_err().contains("sent 0 minor units to each other and received 7"));
}

/// Goal: threads that transfer crosswise neither deadlock nor make or lose money.
/// Method: so many wallets that some share a turn (the hasher's seed differs from run to run), transfers both ways between any
/// two of them, and the sum at the end is known.
#[test]
fn threads_that_transfer_crosswise_conserve_money() {
    const THREADS: usize = 8;
    const ROUNDS: usize = 60;
    const USERS: usize = 64;
    let bank = Bank::new();
    for user in 0..USERS {
        bank.execute(&user.to_string(), open(usd(0).currency, WalletLimits::default()));
        bank.execute(&user.to_string(), WalletCommand::Deposit { amount: usd(100) });
    }
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let wallets = bank.wallets.clone();
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    // Threads meet on few wallets in half of the rounds.
                    let users = if round % 2 == 0 { 3 } else { USERS };
                    let (from, to) = ((thread * 7 + round) % users, (thread * 3 + round * 5 + 1) % users);
                    let asked = Transfer {
                        transfer_id: format!("{thread}-{round}"),
                        from_user_id: from.to_string(),
                        to_user_id: to.to_string(),
                        amount: usd(1 + i64::try_from(round % 40).unwrap()),
                    };
                    match transfer(&wallets, &ExecuteOptions::default(), &asked) {
                        Ok(done) => assert!(done.receipt.is_some()),
                        Err(ExecuteError::Refused(
                            WalletRefusal::InsufficientFunds { .. } | WalletRefusal::SameWallet,
                        )) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
    });
    bank.assert_conserved();
    let sum: i64 = (0..USERS).map(|user| bank.wallets.load(&user.to_string()).unwrap().state.balance()).sum();
    assert_eq!(sum, 6_400);
}

#[test]
fn turns_that_are_shared_are_taken_once() {
    let bank = Bank::new();
    let ids: Vec<String> = (0..3_000).map(|number: u32| number.to_string()).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let turns = bank.wallets.turns(&ids);
    assert!(turns.len() < ids.len(), "there are fewer turns than ids");
    drop(turns);
    assert_eq!(bank.wallets.turns(&["ana", "ana"]).len(), 1);
}
