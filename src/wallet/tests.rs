use std::time::Duration;

use super::*;
use crate::aggregate::{DomainEvent, ExecuteError, ExecuteOptions, Repository};
use crate::money::{Currency, Money};
use crate::snapshot::SnapshotPolicy;
use crate::store::{Options, Store};
use crate::types::{Event, EventId, EventType, Metadata, Sequence, StreamId, Version};

mod account;
mod encodings;
mod holds;
mod limits;
mod model;
mod transfers;

fn usd(minor: i64) -> Money {
    Money::new(minor, Currency::from_code("USD").unwrap())
}

fn eur(minor: i64) -> Money {
    Money::new(minor, Currency::from_code("EUR").unwrap())
}

/// The event as a store would give it back.
fn stored(event: &WalletEvent, place: u64) -> Event {
    Event {
        sequence: Sequence::new(place),
        stream: StreamId::new("wallet-ana").unwrap(),
        version: Version::new(place),
        id: EventId::from_bytes([7; 16]),
        event_type: EventType::new(event.event_type()).unwrap(),
        schema_version: event.schema_version(),
        codec: event.codec(),
        timestamp: Timestamp::from_micros(1_000),
        tags: Vec::new(),
        metadata: Metadata::default(),
        payload: event.encode().unwrap(),
    }
}

/// A wallet that decides and applies without a store.
struct Played {
    wallet: Wallet,
    now: Timestamp,
}

impl Played {
    fn opened(overdraft_limit: i64) -> Self {
        Self::limited(overdraft_limit, WalletLimits::default())
    }

    fn limited(overdraft_limit: i64, limits: WalletLimits) -> Self {
        let mut played = Self { wallet: Wallet::new("ana"), now: Timestamp::from_micros(1_000) };
        played.play(WalletCommand::Open { currency: usd(0).currency, overdraft_limit, limits }).unwrap();
        played
    }

    fn play(&mut self, command: WalletCommand) -> Result<Vec<WalletEvent>, WalletRefusal> {
        let before = self.wallet.clone();
        let events = self.wallet.decide(&command, self.now)?;
        assert_eq!(self.wallet, before, "a decision changes nothing");
        for event in &events {
            let version = self.wallet.version().next();
            let context = EventContext { sequence: Sequence::new(version.get()), version, timestamp: self.now };
            self.wallet.apply(event, &context);
            self.wallet.check_invariants().unwrap();
        }
        Ok(events)
    }

    fn refusal(&mut self, command: WalletCommand) -> WalletRefusal {
        let before = self.wallet.clone();
        let refusal = self.play(command).unwrap_err();
        assert_eq!(self.wallet, before);
        refusal
    }
}

fn hold(hold_id: &str, minor: i64) -> WalletCommand {
    WalletCommand::Hold { hold_id: hold_id.into(), amount: usd(minor), payment_id: None, time_to_live: None }
}

fn hold_for(hold_id: &str, minor: i64, time_to_live: Duration) -> WalletCommand {
    let time_to_live = Some(time_to_live);
    WalletCommand::Hold { hold_id: hold_id.into(), amount: usd(minor), payment_id: None, time_to_live }
}

fn capture(hold_id: &str, minor: i64) -> WalletCommand {
    WalletCommand::Capture { hold_id: hold_id.into(), amount: usd(minor), is_final: true }
}

fn release(hold_id: &str) -> WalletCommand {
    WalletCommand::Release { hold_id: hold_id.into() }
}

#[test]
fn a_hold_locks_a_capture_takes_and_releases_the_rest() {
    let mut played = Played::opened(0);
    played.play(WalletCommand::Deposit { amount: usd(1_000) }).unwrap();
    played.play(hold("h", 600)).unwrap();
    let amounts = |wallet: &Wallet| (wallet.balance(), wallet.locked_balance(), wallet.available());
    assert_eq!(amounts(&played.wallet), (1_000, 600, 400));
    assert_eq!(played.wallet.holds()["h"].remaining(), 600);
    let captured = played.play(capture("h", 450)).unwrap();
    assert_eq!(
        captured,
        [HoldCaptured { hold_id: "h".into(), amount: usd(450), released: 150, is_final: true }.into()]
    );
    assert_eq!(amounts(&played.wallet), (550, 0, 550));
    assert_eq!(played.wallet.hold_outcome("h"), Some(HoldOutcome::Captured { amount: 450 }));
    played.play(hold("i", 550)).unwrap();
    played.play(release("i")).unwrap();
    assert_eq!(amounts(&played.wallet), (550, 0, 550));
    assert_eq!(played.wallet.hold_outcome("i"), Some(HoldOutcome::Released));
    assert_eq!((played.wallet.total_in(), played.wallet.total_out()), (1_000, 450));
    assert_eq!((played.wallet.holds().len(), played.wallet.holds_resolved()), (0, 2));
}

#[test]
fn a_wallet_that_was_never_opened_refuses_everything_but_opening() {
    let wallet = Wallet::new("ana");
    wallet.check_invariants().unwrap();
    let commands = [
        WalletCommand::Deposit { amount: usd(1) },
        WalletCommand::Withdraw { amount: usd(1) },
        hold("h", 1),
        WalletCommand::IncreaseHold { hold_id: "h".into(), amount: usd(1) },
        WalletCommand::ExtendHold { hold_id: "h".into(), time_to_live: Duration::from_secs(1) },
        capture("h", 1),
        release("h"),
        WalletCommand::Expire { hold_id: "h".into() },
        WalletCommand::Refund { hold_id: "h".into(), amount: usd(1) },
        WalletCommand::Adjust { amount: usd(1), reason: "r".into(), operator: "o".into() },
        WalletCommand::SetOverdraft { overdraft_limit: 1 },
        WalletCommand::SetLimits { limits: WalletLimits::default() },
        WalletCommand::Freeze { debits_only: true },
        WalletCommand::Unfreeze,
        WalletCommand::Close,
    ];
    for command in commands {
        assert_eq!(wallet.decide(&command, Timestamp::EPOCH), Err(WalletRefusal::NotOpen), "{command:?}");
    }
    assert_eq!(wallet.status().as_str(), "unopened");
}

#[test]
fn opening_is_refused_twice_and_with_a_negative_overdraft() {
    let open = |overdraft_limit| WalletCommand::Open {
        currency: usd(0).currency,
        overdraft_limit,
        limits: WalletLimits::default(),
    };
    let refusal = Wallet::new("ana").decide(&open(-1), Timestamp::EPOCH).unwrap_err();
    assert_eq!(refusal, WalletRefusal::InvalidAmount { amount: -1 });
    let limits = WalletLimits { balance_max: Some(-2), ..WalletLimits::default() };
    let limited = WalletCommand::Open { currency: usd(0).currency, overdraft_limit: 0, limits };
    let refusal = Wallet::new("ana").decide(&limited, Timestamp::EPOCH).unwrap_err();
    assert_eq!(refusal, WalletRefusal::InvalidAmount { amount: -2 });
    assert_eq!(Played::opened(0).refusal(open(0)), WalletRefusal::AlreadyExists);
    assert_eq!(currency_of("USD"), Ok(usd(0).currency));
    assert_eq!(currency_of("XXX"), Err(WalletRefusal::UnknownCurrency { code: "XXX".into() }));
}

#[test]
fn what_is_spendable_can_be_spent_and_one_more_cannot() {
    let mut played = Played::opened(200);
    played.play(WalletCommand::Deposit { amount: usd(1_000) }).unwrap();
    played.play(hold("h", 300)).unwrap();
    let expected = WalletRefusal::InsufficientFunds { available: 700, spendable: 900, requested: 901 };
    assert_eq!(played.refusal(WalletCommand::Withdraw { amount: usd(901) }), expected);
    assert_eq!(played.refusal(hold("i", 901)), expected);
    played.play(WalletCommand::Withdraw { amount: usd(900) }).unwrap();
    assert_eq!((played.wallet.balance(), played.wallet.available(), played.wallet.spendable()), (100, -200, 0));
    let expected = WalletRefusal::InsufficientFunds { available: -200, spendable: 0, requested: 1 };
    assert_eq!(played.refusal(hold("i", 1)), expected);
    played.play(capture("h", 300)).unwrap();
    assert_eq!((played.wallet.balance(), played.wallet.spendable()), (-200, 0));
}

#[test]
fn amounts_must_be_positive_and_in_the_wallets_currency() {
    let mut played = Played::opened(0);
    played.play(WalletCommand::Deposit { amount: usd(1_000) }).unwrap();
    played.play(hold("open", 10)).unwrap();
    played.play(hold("captured", 10)).unwrap();
    played.play(capture("captured", 10)).unwrap();
    let with = |amount: Money| {
        [
            WalletCommand::Deposit { amount },
            WalletCommand::Withdraw { amount },
            WalletCommand::Hold { hold_id: "h".into(), amount, payment_id: None, time_to_live: None },
            WalletCommand::Capture { hold_id: "open".into(), amount, is_final: true },
            WalletCommand::IncreaseHold { hold_id: "open".into(), amount },
            WalletCommand::Refund { hold_id: "captured".into(), amount },
        ]
    };
    for minor in [0, -1, i64::MIN] {
        for command in with(usd(minor)) {
            assert_eq!(played.refusal(command), WalletRefusal::InvalidAmount { amount: minor });
        }
    }
    let (expected, given) = (usd(0).currency, eur(0).currency);
    for command in with(eur(1)) {
        assert_eq!(played.refusal(command), WalletRefusal::CurrencyMismatch { expected, given });
    }
}

#[test]
fn no_sum_leaves_64_bits() {
    let mut played = Played::opened(10);
    played.play(WalletCommand::Deposit { amount: usd(i64::MAX - 11) }).unwrap();
    let refusal = played.refusal(WalletCommand::Deposit { amount: usd(2) });
    assert_eq!(refusal, WalletRefusal::Overflow { balance: i64::MAX - 11, amount: 2 });
    played.play(WalletCommand::Deposit { amount: usd(1) }).unwrap();
    assert_eq!(played.wallet.spendable(), i64::MAX);
    // All of it may go out and come in again: the totals are wider than a balance.
    for round in 0..3 {
        let hold_id = format!("all {round}");
        played.play(hold(&hold_id, i64::MAX)).unwrap();
        played.play(capture(&hold_id, i64::MAX)).unwrap();
        assert_eq!(played.wallet.balance(), -10);
        played.play(WalletCommand::Deposit { amount: usd(i64::MAX) }).unwrap();
    }
    assert!(played.wallet.total_in() > i128::from(i64::MAX));
}

#[test]
fn a_hold_asked_for_again_changes_nothing_and_with_other_content_is_refused() {
    let mut played = Played::opened(0);
    played.play(WalletCommand::Deposit { amount: usd(1_000) }).unwrap();
    let asked = |minor, payment: Option<&str>, seconds: Option<u64>| WalletCommand::Hold {
        hold_id: "h".into(),
        amount: usd(minor),
        payment_id: payment.map(str::to_owned),
        time_to_live: seconds.map(Duration::from_secs),
    };
    let first = asked(700, Some("p"), Some(60));
    assert_eq!(played.play(first.clone()).unwrap().len(), 1);
    let others = [
        asked(701, Some("p"), Some(60)),
        asked(700, Some("q"), Some(60)),
        asked(700, None, Some(60)),
        asked(700, Some("p"), Some(61)),
        asked(700, Some("p"), None),
        WalletCommand::Hold { hold_id: "h".into(), amount: eur(700), payment_id: Some("p".into()), time_to_live: None },
    ];
    let check = |played: &mut Played| {
        played.now = played.now.plus(Duration::from_secs(5));
        assert_eq!(played.play(first.clone()).unwrap(), []);
        for other in &others {
            assert_eq!(played.refusal(other.clone()), WalletRefusal::HoldExists { hold_id: "h".into() }, "{other:?}");
        }
    };
    check(&mut played);
    played.play(capture("h", 1)).unwrap();
    check(&mut played);
    // The same through a snapshot: what is kept of a resolved hold suffices.
    played.wallet = Wallet::decode_state(&played.wallet.encode_state().unwrap()).unwrap();
    check(&mut played);
}

#[test]
fn a_hold_is_resolved_once() {
    let mut played = Played::opened(0);
    played.play(WalletCommand::Deposit { amount: usd(1_000) }).unwrap();
    played.play(hold("h", 100)).unwrap();
    played.play(hold("i", 100)).unwrap();
    played.play(capture("h", 60)).unwrap();
    played.play(release("i")).unwrap();
    for (hold_id, outcome) in [("h", HoldOutcome::Captured { amount: 60 }), ("i", HoldOutcome::Released)] {
        let expected = WalletRefusal::HoldResolved { hold_id: hold_id.into(), outcome };
        assert_eq!(played.refusal(capture(hold_id, 1)), expected);
        assert_eq!(played.refusal(release(hold_id)), expected);
    }
    let expected = WalletRefusal::HoldNotFound { hold_id: "j".into() };
    assert_eq!(played.refusal(capture("j", 1)), expected);
    assert_eq!(played.refusal(release("j")), expected);
}

#[test]
fn a_capture_takes_at_most_what_is_held() {
    let mut played = Played::opened(0);
    played.play(WalletCommand::Deposit { amount: usd(1_000) }).unwrap();
    played.play(hold("h", 100)).unwrap();
    let expected = WalletRefusal::CaptureExceedsHold { hold_id: "h".into(), held: 100, requested: 101 };
    assert_eq!(played.refusal(capture("h", 101)), expected);
    played.play(capture("h", 100)).unwrap();
}

#[test]
fn an_expired_hold_is_not_captured_unless_it_names_a_payment_and_is_always_released() {
    let mut played = Played::opened(0);
    played.play(WalletCommand::Deposit { amount: usd(1_000) }).unwrap();
    let micros = Duration::from_micros;
    for hold_id in ["a", "b", "c"] {
        played.play(hold_for(hold_id, 100, micros(50))).unwrap();
    }
    let payment_id = Some("p".to_owned());
    let time_to_live = Some(micros(50));
    played.play(WalletCommand::Hold { hold_id: "p".into(), amount: usd(100), payment_id, time_to_live }).unwrap();
    let expires_at = Timestamp::from_micros(1_050);
    assert_eq!(played.wallet.holds()["a"].expires_at, Some(expires_at));
    played.now = Timestamp::from_micros(1_049);
    played.play(capture("a", 100)).unwrap();
    played.now = expires_at;
    assert_eq!(played.refusal(capture("b", 100)), WalletRefusal::HoldExpired { hold_id: "b".into(), expires_at });
    played.play(release("b")).unwrap();
    played.play(capture("p", 100)).unwrap();
}

#[test]
fn times_to_live_and_ids_have_limits() {
    let mut played = Played::opened(i64::MAX);
    let longest = "h".repeat(HOLD_ID_BYTES_MAX);
    played.play(hold(&longest, 1)).unwrap();
    for id in ["", "a\nb", &"h".repeat(HOLD_ID_BYTES_MAX + 1)] {
        assert_eq!(played.refusal(hold(id, 1)), WalletRefusal::InvalidId { id: id.into() });
        let payment_id = Some(id.to_owned());
        let command = WalletCommand::Hold { hold_id: "h".into(), amount: usd(1), payment_id, time_to_live: None };
        assert_eq!(played.refusal(command), WalletRefusal::InvalidId { id: id.into() });
    }
    let left = u64::try_from(i64::MAX - 1_000).unwrap();
    for time_to_live in [Duration::ZERO, Duration::from_nanos(999), Duration::from_micros(left + 1), Duration::MAX] {
        assert_eq!(played.refusal(hold_for("t", 1, time_to_live)), WalletRefusal::InvalidTimeToLive);
    }
    played.play(hold_for("t", 1, Duration::from_micros(left))).unwrap();
    assert_eq!(played.wallet.holds()["t"].expires_at, Some(Timestamp::MAX));
    while played.wallet.holds().len() < OPEN_HOLDS_MAX {
        let event = FundsHeld {
            hold_id: played.wallet.holds().len().to_string(),
            amount: usd(1),
            payment_id: None,
            time_to_live_micros: None,
            expires_at: None,
        };
        let version = played.wallet.version().next();
        let context = EventContext { sequence: Sequence::new(version.get()), version, timestamp: played.now };
        played.wallet.apply(&event.into(), &context);
    }
    assert_eq!(played.refusal(hold("one more", 1)), WalletRefusal::TooManyHolds { open: OPEN_HOLDS_MAX as u64 });
    played.play(release("t")).unwrap();
    played.play(hold("one more", 1)).unwrap();
}

#[test]
fn a_frozen_or_closed_wallet_refuses_what_it_is_frozen_for_and_always_resolves_holds() {
    let commands =
        || [WalletCommand::Deposit { amount: usd(1) }, WalletCommand::Withdraw { amount: usd(1) }, hold("i", 1)];
    let outcome = |status| {
        let mut played = Played::opened(0);
        played.play(WalletCommand::Deposit { amount: usd(1_000) }).unwrap();
        played.play(hold("h", 100)).unwrap();
        played.play(hold("g", 100)).unwrap();
        match status {
            // With a hold it cannot be closed by a command.
            WalletStatus::Closed => played.wallet.status = status,
            status => {
                let debits_only = status == WalletStatus::FrozenDebits;
                played.play(WalletCommand::Freeze { debits_only }).unwrap();
                assert_eq!(played.wallet.status(), status);
            }
        }
        let refused = commands().map(|command| played.wallet.decide(&command, played.now).err());
        assert!(played.wallet.decide(&capture("h", 1), played.now).is_ok());
        assert!(played.wallet.decide(&release("g"), played.now).is_ok());
        refused
    };
    let frozen = |status| Some(WalletRefusal::Frozen { status });
    let debits = frozen(WalletStatus::FrozenDebits);
    assert_eq!(outcome(WalletStatus::FrozenDebits), [None, debits.clone(), debits]);
    let all = frozen(WalletStatus::Frozen);
    assert_eq!(outcome(WalletStatus::Frozen), [all.clone(), all.clone(), all]);
    let closed = Some(WalletRefusal::Closed);
    assert_eq!(outcome(WalletStatus::Closed), [closed.clone(), closed.clone(), closed]);
}

/// The last of these breaks a rule.
fn assert_noticed(events: &[WalletEvent]) {
    let mut wallet = Wallet::new("ana");
    for (index, event) in events.iter().enumerate() {
        assert_eq!(wallet.check_invariants(), Ok(()), "before the last of {events:?}");
        wallet.apply(event, &EventContext::from(&stored(event, index as u64 + 1)));
    }
    assert!(wallet.check_invariants().is_err(), "after {events:?}");
}

#[test]
fn events_that_no_decision_could_have_led_to_are_noticed() {
    let opened = || {
        WalletEvent::from(WalletOpened {
            currency: usd(0).currency,
            overdraft_limit: 0,
            limits: WalletLimits::default(),
        })
    };
    let placed = || {
        let (hold_id, amount) = ("h".to_owned(), usd(10));
        WalletEvent::from(FundsHeld { hold_id, amount, payment_id: None, time_to_live_micros: None, expires_at: None })
    };
    let deposit = |amount| WalletEvent::from(FundsDeposited { amount });
    let captured = |minor, released| {
        WalletEvent::from(HoldCaptured { hold_id: "h".into(), amount: usd(minor), released, is_final: true })
    };
    let released = |minor| WalletEvent::from(HoldReleased { hold_id: "h".into(), amount: usd(minor) });
    let partly = |minor, released| {
        WalletEvent::from(HoldCaptured { hold_id: "h".into(), amount: usd(minor), released, is_final: false })
    };
    let expired = |minor| {
        WalletEvent::from(HoldExpired { hold_id: "h".into(), amount: usd(minor), expires_at: Timestamp::EPOCH })
    };
    let refund = |minor| WalletEvent::from(RefundCredited { hold_id: "h".into(), amount: usd(minor) });
    let paid =
        || WalletEvent::from(TransferDebited { transfer_id: "t".into(), to_user_id: "bob".into(), amount: usd(1) });
    let adjusted =
        |minor| WalletEvent::from(BalanceAdjusted { amount: usd(minor), reason: "r".into(), operator: "o".into() });
    let bad = [
        vec![deposit(usd(1))],
        vec![opened(), opened()],
        vec![opened(), deposit(eur(1))],
        vec![opened(), FundsWithdrawn { amount: usd(1) }.into()],
        vec![opened(), placed()],
        vec![opened(), deposit(usd(50)), placed(), placed()],
        vec![opened(), deposit(usd(50)), captured(5, 5)],
        vec![opened(), deposit(usd(50)), placed(), captured(5, 4)],
        vec![opened(), deposit(usd(50)), placed(), released(9)],
        vec![opened(), deposit(usd(50)), placed(), released(10), placed()],
        vec![opened(), deposit(usd(50)), placed(), released(10), released(10)],
        vec![opened(), deposit(usd(i64::MAX)), deposit(usd(i64::MAX))],
        vec![opened(), HoldIncreased { hold_id: "h".into(), amount: usd(1) }.into()],
        vec![opened(), deposit(usd(10)), placed(), HoldIncreased { hold_id: "h".into(), amount: usd(1) }.into()],
        vec![opened(), HoldExtended { hold_id: "h".into(), time_to_live_micros: 1, expires_at: Timestamp::MAX }.into()],
        vec![opened(), deposit(usd(50)), placed(), partly(11, 0)],
        vec![opened(), deposit(usd(50)), placed(), partly(4, 1)],
        vec![opened(), deposit(usd(50)), placed(), partly(4, 0), captured(7, 0)],
        vec![opened(), deposit(usd(50)), placed(), expired(9)],
        vec![opened(), deposit(usd(50)), placed(), expired(10), released(10)],
        vec![opened(), refund(1)],
        vec![opened(), deposit(usd(50)), placed(), captured(5, 5), refund(6)],
        vec![opened(), deposit(usd(50)), placed(), partly(5, 0), refund(6)],
        vec![opened(), deposit(usd(50)), paid(), paid()],
        vec![opened(), adjusted(-1)],
        vec![opened(), deposit(usd(i64::MAX)), adjusted(1)],
        vec![opened(), deposit(usd(5)), OverdraftLimitSet { overdraft_limit: i64::MAX }.into()],
        vec![opened(), OverdraftLimitSet { overdraft_limit: -1 }.into()],
        vec![opened(), deposit(usd(1)), WalletClosed {}.into()],
        vec![opened(), WalletClosed {}.into(), WalletUnfrozen {}.into()],
        vec![WalletFrozen { debits_only: true }.into()],
    ];
    bad.iter().for_each(|events| assert_noticed(events));
    let mut wallet = Wallet::new("ana");
    wallet.apply(&opened(), &EventContext::from(&stored(&opened(), 2)));
    assert!(wallet.check_invariants().unwrap_err().contains("version"), "an event was left out");
}

/// Goal: money is conserved when threads share a wallet through a repository.
/// Method: each thread deposits, holds, captures half of its holds in part and releases the others; the end is known.
#[test]
fn threads_on_one_wallet_conserve_money() {
    const THREADS: i64 = 8;
    const ROUNDS: i64 = 25;
    let store = Store::in_memory(Options::new()).unwrap();
    let repository = Repository::<Wallet>::new(store, SnapshotPolicy::default());
    let execute = |repository: &Repository<Wallet>, command: WalletCommand| {
        repository.execute("ana", &ExecuteOptions::default(), &command).unwrap()
    };
    execute(
        &repository,
        WalletCommand::Open { currency: usd(0).currency, overdraft_limit: 0, limits: WalletLimits::default() },
    );
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let repository = repository.clone();
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let hold_id = format!("{thread}-{round}");
                    execute(&repository, WalletCommand::Deposit { amount: usd(10) });
                    execute(&repository, hold(&hold_id, 10));
                    if round % 2 == 0 {
                        execute(&repository, capture(&hold_id, 3));
                    } else {
                        execute(&repository, release(&hold_id));
                    }
                }
            });
        }
    });
    let loaded = repository.load("ana").unwrap();
    loaded.state.check_invariants().unwrap();
    let captures = THREADS * (ROUNDS + 1) / 2;
    assert_eq!(loaded.state.balance(), THREADS * ROUNDS * 10 - captures * 3);
    assert_eq!(loaded.state.locked_balance(), 0);
    assert_eq!(loaded.state.version().get(), (1 + THREADS * ROUNDS * 3).cast_unsigned());
    assert_eq!(repository.load_full("ana").unwrap().state, loaded.state);
    let refused = repository.execute("ana", &ExecuteOptions::default(), &hold("big", i64::MAX)).unwrap_err();
    assert!(matches!(refused, ExecuteError::Refused(WalletRefusal::InsufficientFunds { .. })));
}
