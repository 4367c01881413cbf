//! Goal: whatever is asked of a wallet in whatever order, it answers as a plain model does, and its invariants hold.
//! Method: random commands from a small world (few holds, two currencies, small and extreme amounts, time that passes) are
//! given to both. The model keeps a list of movements and a list of holds, adds them up each time, and shares no code with
//! the wallet.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug, PartialEq)]
enum End {
    Open,
    Captured(i64),
    Released,
}

#[derive(Clone, Debug)]
struct ModelHold {
    id: String,
    amount: i64,
    payment: Option<String>,
    time_to_live: Option<Duration>,
    expires: Option<i64>,
    end: End,
}

#[derive(Debug, Default)]
struct Model {
    opened: Option<(Currency, i64)>,
    movements: Vec<i64>,
    holds: Vec<ModelHold>,
}

impl Model {
    fn balance(&self) -> i128 {
        self.movements.iter().map(|minor| i128::from(*minor)).sum()
    }

    fn locked(&self) -> i128 {
        self.holds.iter().filter(|hold| hold.end == End::Open).map(|hold| i128::from(hold.amount)).sum()
    }

    fn take(&mut self, command: &WalletCommand, now: i64) -> &'static str {
        let WalletCommand::Open { currency, overdraft_limit, .. } = command else {
            let Some((currency, overdraft)) = self.opened else { return "not open" };
            return self.take_opened(command, currency, overdraft, now);
        };
        match self.opened {
            Some(_) => "already exists",
            None if *overdraft_limit < 0 => "invalid amount",
            None => {
                self.opened = Some((*currency, *overdraft_limit));
                "done"
            }
        }
    }

    fn take_opened(&mut self, command: &WalletCommand, currency: Currency, overdraft: i64, now: i64) -> &'static str {
        let spendable = self.balance() - self.locked() + i128::from(overdraft);
        let wrong = |amount: &Money| match amount {
            amount if amount.currency != currency => Some("currency mismatch"),
            amount if amount.minor <= 0 => Some("invalid amount"),
            _ => None,
        };
        match command {
            WalletCommand::Open { .. } => unreachable!("taken before"),
            WalletCommand::Deposit { amount } => {
                if let Some(wrong) = wrong(amount) {
                    return wrong;
                }
                if self.balance() + i128::from(amount.minor) + i128::from(overdraft) > i128::from(i64::MAX) {
                    return "overflow";
                }
                self.movements.push(amount.minor);
            }
            WalletCommand::Withdraw { amount } => {
                if let Some(wrong) = wrong(amount) {
                    return wrong;
                }
                if i128::from(amount.minor) > spendable {
                    return "insufficient funds";
                }
                self.movements.push(-amount.minor);
            }
            WalletCommand::Hold { hold_id, amount, payment_id, time_to_live } => {
                if *time_to_live == Some(Duration::ZERO) {
                    return "invalid time to live";
                }
                if let Some(known) = self.holds.iter().find(|hold| &hold.id == hold_id) {
                    let same = known.amount == amount.minor
                        && amount.currency == currency
                        && &known.payment == payment_id
                        && &known.time_to_live == time_to_live;
                    return if same { "nothing" } else { "hold exists" };
                }
                if let Some(wrong) = wrong(amount) {
                    return wrong;
                }
                if i128::from(amount.minor) > spendable {
                    return "insufficient funds";
                }
                self.holds.push(ModelHold {
                    id: hold_id.clone(),
                    amount: amount.minor,
                    payment: payment_id.clone(),
                    time_to_live: *time_to_live,
                    expires: time_to_live.map(|duration| now + i64::try_from(duration.as_micros()).unwrap()),
                    end: End::Open,
                });
            }
            WalletCommand::Capture { hold_id, amount, is_final: true } => {
                return self.capture(hold_id, amount, wrong(amount), now);
            }
            WalletCommand::Release { hold_id } => return self.release(hold_id),
            other => unreachable!("{other:?} is not drawn"),
        }
        "done"
    }

    fn capture(&mut self, hold_id: &str, amount: &Money, wrong: Option<&'static str>, now: i64) -> &'static str {
        let Some(hold) = self.holds.iter_mut().find(|hold| hold.id == hold_id) else { return "hold not found" };
        if hold.end != End::Open {
            return "hold resolved";
        }
        if let Some(wrong) = wrong {
            return wrong;
        }
        if hold.payment.is_none() && hold.expires.is_some_and(|expires| expires <= now) {
            return "hold expired";
        }
        if amount.minor > hold.amount {
            return "capture exceeds hold";
        }
        hold.end = End::Captured(amount.minor);
        self.movements.push(-amount.minor);
        "done"
    }

    fn release(&mut self, hold_id: &str) -> &'static str {
        let Some(hold) = self.holds.iter_mut().find(|hold| hold.id == hold_id) else { return "hold not found" };
        if hold.end != End::Open {
            return "hold resolved";
        }
        hold.end = End::Released;
        "done"
    }

    fn check(&self, wallet: &Wallet) {
        assert_eq!(i128::from(wallet.balance()), self.balance());
        assert_eq!(i128::from(wallet.locked_balance()), self.locked());
        assert_eq!(i128::from(wallet.available()), self.balance() - self.locked());
        let overdraft = self.opened.map_or(0, |(_, overdraft)| overdraft);
        assert_eq!(i128::from(wallet.spendable()), self.balance() - self.locked() + i128::from(overdraft));
        assert_eq!(wallet.currency(), self.opened.map(|(currency, _)| currency));
        for hold in &self.holds {
            let outcome = match hold.end {
                End::Open => None,
                End::Captured(amount) => Some(HoldOutcome::Captured { amount }),
                End::Released => Some(HoldOutcome::Released),
            };
            assert_eq!(wallet.hold_outcome(&hold.id), outcome);
            assert_eq!(wallet.holds().contains_key(&hold.id), hold.end == End::Open);
        }
        assert_eq!(wallet.holds().len() + wallet.holds_resolved(), self.holds.len());
    }
}

fn name(decided: &Result<Vec<WalletEvent>, WalletRefusal>) -> &'static str {
    match decided {
        Ok(events) if events.is_empty() => "nothing",
        Ok(_) => "done",
        Err(WalletRefusal::NotOpen) => "not open",
        Err(WalletRefusal::AlreadyExists) => "already exists",
        Err(WalletRefusal::InvalidAmount { .. }) => "invalid amount",
        Err(WalletRefusal::CurrencyMismatch { .. }) => "currency mismatch",
        Err(WalletRefusal::Overflow { .. }) => "overflow",
        Err(WalletRefusal::InsufficientFunds { .. }) => "insufficient funds",
        Err(WalletRefusal::InvalidTimeToLive) => "invalid time to live",
        Err(WalletRefusal::HoldExists { .. }) => "hold exists",
        Err(WalletRefusal::HoldNotFound { .. }) => "hold not found",
        Err(WalletRefusal::HoldResolved { .. }) => "hold resolved",
        Err(WalletRefusal::HoldExpired { .. }) => "hold expired",
        Err(WalletRefusal::CaptureExceedsHold { .. }) => "capture exceeds hold",
        Err(other) => panic!("the model knows nothing of {other:?}"),
    }
}

fn money() -> impl Strategy<Value = Money> {
    let minor = prop_oneof![20 => 1..500_i64, 2 => -2..=0_i64, 1 => (i64::MAX - 400)..=i64::MAX, 1 => Just(i64::MIN)];
    (minor, prop::bool::weighted(0.05)).prop_map(|(minor, is_euro)| if is_euro { eur(minor) } else { usd(minor) })
}

fn command() -> impl Strategy<Value = WalletCommand> {
    let hold_id = || (0..8_u8).prop_map(|number| format!("hold {number}"));
    let payment_id = prop::option::of((0..2_u8).prop_map(|number| format!("payment {number}")));
    let time_to_live = prop::option::of((0..4_u64).prop_map(|steps| Duration::from_micros(steps * 10)));
    prop_oneof![
        1 => (-1..300_i64).prop_map(|overdraft_limit| WalletCommand::Open { currency: usd(0).currency, overdraft_limit, limits: WalletLimits::default() }),
        4 => money().prop_map(|amount| WalletCommand::Deposit { amount }),
        3 => money().prop_map(|amount| WalletCommand::Withdraw { amount }),
        6 => (hold_id(), money(), payment_id, time_to_live).prop_map(|(hold_id, amount, payment_id, time_to_live)| {
            WalletCommand::Hold { hold_id, amount, payment_id, time_to_live }
        }),
        5 => (hold_id(), money()).prop_map(|(hold_id, amount)| WalletCommand::Capture { hold_id, amount, is_final: true }),
        3 => hold_id().prop_map(|hold_id| WalletCommand::Release { hold_id }),
    ]
}

/// Mostly opened wallets: a command on another one has a single answer.
fn commands() -> impl Strategy<Value = Vec<(u8, WalletCommand)>> {
    let open = (0..300_i64).prop_map(|overdraft_limit| WalletCommand::Open {
        currency: usd(0).currency,
        overdraft_limit,
        limits: WalletLimits::default(),
    });
    let rest = prop::collection::vec((0..15_u8, command()), 1..80);
    (prop::bool::weighted(0.9), open, rest).prop_map(|(is_opened, open, mut rest)| {
        if is_opened {
            rest.insert(0, (0, open));
        }
        rest
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_wallet_answers_as_the_model_does_and_never_breaks_a_rule(commands in commands()) {
        let mut model = Model::default();
        let mut wallet = Wallet::new("ana");
        let mut now = 1_000;
        let mut events = Vec::new();
        for (step, command) in commands {
            now += i64::from(step);
            let decided = wallet.decide(&command, Timestamp::from_micros(now));
            let expected = model.take(&command, now);
            prop_assert_eq!(name(&decided), expected, "{:?}", command);
            for event in decided.unwrap_or_default() {
                let place = wallet.version().next().get();
                let read = stored(&event, place);
                prop_assert_eq!(&WalletEvent::decode(&read).unwrap(), &event);
                wallet.apply(&event, &EventContext::from(&read));
                prop_assert_eq!(wallet.check_invariants(), Ok(()));
                events.push(read);
            }
            model.check(&wallet);
            // A state that came through a snapshot is the state; the run goes on with it.
            let restored = Wallet::decode_state(&wallet.encode_state().unwrap()).unwrap();
            prop_assert_eq!(&restored, &wallet);
            wallet = restored;
        }
        let mut replayed = Wallet::new("ana");
        for event in &events {
            replayed.apply(&WalletEvent::decode(event).unwrap(), &EventContext::from(event));
        }
        prop_assert_eq!(replayed, wallet);
    }
}
