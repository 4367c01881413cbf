//! Goal: whatever is asked of wallets in whatever order, they answer as a plain model does, and their invariants hold.
//! Method: random commands from a small world (few holds, two currencies, small and extreme amounts, time and days that pass)
//! are given to two wallets and their models, and transfers between them. The model keeps lists of what happened, adds them up
//! each time, and shares no code with the wallet.

use proptest::prelude::*;

use super::*;

const DAY: i64 = 86_400_000_000;
const USERS: [&str; 2] = ["ana", "bob"];

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Captured,
    Released,
    Expired,
}

#[derive(Clone, Debug)]
struct ModelHold {
    id: String,
    asked: (i64, Option<String>, Option<Duration>),
    /// Day and amount, of the placing and of each increase.
    placed: Vec<(i64, i128)>,
    captures: Vec<i128>,
    refunds: Vec<i128>,
    expires: Option<i64>,
    /// How, when, and what was unlocked by that.
    end: Option<(End, i64, i128)>,
}

impl ModelHold {
    fn amount(&self) -> i128 {
        self.placed.iter().map(|(_, amount)| amount).sum()
    }

    fn captured(&self) -> i128 {
        self.captures.iter().sum()
    }

    fn left(&self) -> i128 {
        if self.end.is_some() { 0 } else { self.amount() - self.captured() }
    }

    fn end(&mut self, end: End, day: i64) {
        self.end = Some((end, day, self.left()));
    }

    fn spent_on(&self, day: i64) -> i128 {
        let placed: i128 = self.placed.iter().filter(|(on, _)| *on == day).map(|(_, amount)| amount).sum();
        let unlocked = self.end.filter(|(_, on, _)| *on == day).map_or(0, |(_, _, unlocked)| unlocked);
        placed - unlocked.min(placed)
    }
}

#[derive(Debug, Default)]
struct Model {
    currency: Option<Currency>,
    overdraft: i128,
    limits: WalletLimits,
    frozen: Option<bool>,
    closed: bool,
    movements: Vec<i128>,
    /// Day and amount of withdrawals and transfers to others.
    gone: Vec<(i64, i128)>,
    sent: Vec<(String, String, i64)>,
    holds: Vec<ModelHold>,
}

type Answer = Result<&'static str, &'static str>;

impl Model {
    fn balance(&self) -> i128 {
        self.movements.iter().sum()
    }

    fn locked(&self) -> i128 {
        self.holds.iter().map(ModelHold::left).sum()
    }

    fn spendable(&self) -> i128 {
        self.balance() - self.locked() + self.overdraft
    }

    fn spent(&self, day: i64) -> i128 {
        let gone: i128 = self.gone.iter().filter(|(on, _)| *on == day).map(|(_, amount)| amount).sum();
        gone + self.holds.iter().map(|hold| hold.spent_on(day)).sum::<i128>()
    }

    fn amount(&self, amount: &Money) -> Result<i128, &'static str> {
        match amount {
            amount if Some(amount.currency) != self.currency => Err("CurrencyMismatch"),
            amount if amount.minor <= 0 => Err("InvalidAmount"),
            amount => Ok(amount.minor.into()),
        }
    }

    fn not_closed(&self) -> Result<(), &'static str> {
        if self.closed { Err("Closed") } else { Ok(()) }
    }

    fn may_debit(&self) -> Result<(), &'static str> {
        self.not_closed()?;
        if self.frozen.is_some() { Err("Frozen") } else { Ok(()) }
    }

    fn may_credit(&self) -> Result<(), &'static str> {
        self.not_closed()?;
        if self.frozen == Some(false) { Err("Frozen") } else { Ok(()) }
    }

    fn fits(&self, change: i128) -> Result<(), &'static str> {
        let balance = self.balance() + change;
        let most = balance.max(balance + self.overdraft);
        if most > i128::from(i64::MAX) || balance < i128::from(i64::MIN) { Err("Overflow") } else { Ok(()) }
    }

    fn below_highest(&self, minor: i128) -> Result<(), &'static str> {
        self.fits(minor)?;
        let over = self.limits.balance_max.is_some_and(|most| self.balance() + minor > i128::from(most));
        if over { Err("MaxBalance") } else { Ok(()) }
    }

    fn may_spend(&self, minor: i128, whole: i128, now: i64) -> Result<(), &'static str> {
        let over_one = self.limits.per_transaction.is_some_and(|most| whole > i128::from(most));
        let today = self.spent(now / DAY) + minor;
        if over_one || self.limits.per_day.is_some_and(|most| today > i128::from(most)) {
            return Err("LimitExceeded");
        }
        if minor > self.spendable() { Err("InsufficientFunds") } else { Ok(()) }
    }

    fn open_hold(&mut self, hold_id: &str) -> Result<&mut ModelHold, &'static str> {
        match self.holds.iter_mut().find(|hold| hold.id == hold_id) {
            None => Err("HoldNotFound"),
            Some(hold) if hold.end.is_some() => Err("HoldResolved"),
            Some(hold) => Ok(hold),
        }
    }

    fn live_hold(&mut self, hold_id: &str, now: i64) -> Result<&mut ModelHold, &'static str> {
        let hold = self.open_hold(hold_id)?;
        let is_over = hold.asked.1.is_none() && hold.expires.is_some_and(|expires| expires <= now);
        if is_over { Err("HoldExpired") } else { Ok(hold) }
    }

    fn take(&mut self, command: &WalletCommand, now: i64) -> Answer {
        let day = now / DAY;
        if let WalletCommand::Open { currency, overdraft_limit, limits } = command {
            return self.open(*currency, *overdraft_limit, *limits);
        }
        if self.currency.is_none() {
            return Err("NotOpen");
        }
        match command {
            WalletCommand::Deposit { amount } => {
                self.may_credit()?;
                let minor = self.amount(amount)?;
                self.below_highest(minor)?;
                self.movements.push(minor);
            }
            WalletCommand::Withdraw { amount } => {
                self.may_debit()?;
                let minor = self.amount(amount)?;
                self.may_spend(minor, minor, now)?;
                self.movements.push(-minor);
                self.gone.push((day, minor));
            }
            WalletCommand::Refund { hold_id, amount } => {
                self.not_closed()?;
                let minor = self.amount(amount);
                let of = self.holds.iter().position(|hold| &hold.id == hold_id && hold.captured() > 0);
                let of = of.ok_or("CaptureNotFound")?;
                let minor = minor?;
                let refunded: i128 = self.holds[of].refunds.iter().sum();
                if refunded + minor > self.holds[of].captured() {
                    return Err("RefundExceedsCapture");
                }
                self.fits(minor)?;
                self.holds[of].refunds.push(minor);
                self.movements.push(minor);
            }
            WalletCommand::Hold { .. }
            | WalletCommand::IncreaseHold { .. }
            | WalletCommand::ExtendHold { .. }
            | WalletCommand::Capture { .. }
            | WalletCommand::Release { .. }
            | WalletCommand::Expire { .. } => return self.take_hold(command, now),
            _ => return self.take_account(command),
        }
        Ok("done")
    }

    fn open(&mut self, currency: Currency, overdraft_limit: i64, limits: WalletLimits) -> Answer {
        if self.currency.is_some() {
            return Err("AlreadyExists");
        }
        let amounts = [Some(overdraft_limit), limits.per_transaction, limits.per_day, limits.balance_max];
        if amounts.iter().flatten().any(|minor| *minor < 0) {
            return Err("InvalidAmount");
        }
        (self.currency, self.overdraft, self.limits) = (Some(currency), overdraft_limit.into(), limits);
        Ok("done")
    }

    fn take_hold(&mut self, command: &WalletCommand, now: i64) -> Answer {
        let day = now / DAY;
        let until = |duration: Duration| now + i64::try_from(duration.as_micros()).unwrap();
        match command {
            WalletCommand::Hold { hold_id, amount, payment_id, time_to_live } => {
                let asked = (amount.minor, payment_id.clone(), *time_to_live);
                return self.place(hold_id, amount, asked, now);
            }
            WalletCommand::IncreaseHold { hold_id, amount } => {
                let held = self.live_hold(hold_id, now)?.amount();
                self.may_debit()?;
                let minor = self.amount(amount)?;
                if held + minor > i128::from(i64::MAX) {
                    return Err("Overflow");
                }
                self.may_spend(minor, held + minor, now)?;
                self.open_hold(hold_id)?.placed.push((day, minor));
            }
            WalletCommand::ExtendHold { hold_id, time_to_live } => {
                self.not_closed()?;
                let hold = self.live_hold(hold_id, now)?;
                if time_to_live.is_zero() {
                    return Err("InvalidTimeToLive");
                }
                if hold.expires.is_none_or(|expires| expires >= until(*time_to_live)) {
                    return Ok("nothing");
                }
                hold.expires = Some(until(*time_to_live));
            }
            WalletCommand::Capture { hold_id, amount, is_final } => {
                self.open_hold(hold_id)?;
                let minor = self.amount(amount)?;
                let hold = self.live_hold(hold_id, now)?;
                if minor > hold.left() {
                    return Err("CaptureExceedsHold");
                }
                hold.captures.push(minor);
                if *is_final || hold.left() == 0 {
                    hold.end(End::Captured, day);
                }
                self.movements.push(-minor);
            }
            WalletCommand::Release { hold_id } => self.open_hold(hold_id)?.end(End::Released, day),
            WalletCommand::Expire { hold_id } => {
                let hold = self.open_hold(hold_id)?;
                if hold.asked.1.is_some() {
                    return Err("HoldNamesPayment");
                }
                if hold.expires.is_none_or(|expires| expires > now) {
                    return Err("HoldNotExpired");
                }
                hold.end(End::Expired, day);
            }
            _ => unreachable!("taken elsewhere"),
        }
        Ok("done")
    }

    fn place(
        &mut self,
        hold_id: &str,
        amount: &Money,
        asked: (i64, Option<String>, Option<Duration>),
        now: i64,
    ) -> Answer {
        let time_to_live = asked.2;
        if time_to_live == Some(Duration::ZERO) {
            return Err("InvalidTimeToLive");
        }
        if let Some(known) = self.holds.iter().find(|hold| hold.id == hold_id) {
            let same = known.asked == asked && Some(amount.currency) == self.currency;
            return if same { Ok("nothing") } else { Err("HoldExists") };
        }
        self.may_debit()?;
        let minor = self.amount(amount)?;
        self.may_spend(minor, minor, now)?;
        self.holds.push(ModelHold {
            id: hold_id.to_owned(),
            asked,
            placed: vec![(now / DAY, minor)],
            captures: Vec::new(),
            refunds: Vec::new(),
            expires: time_to_live.map(|duration| now + i64::try_from(duration.as_micros()).unwrap()),
            end: None,
        });
        Ok("done")
    }

    fn take_account(&mut self, command: &WalletCommand) -> Answer {
        match command {
            WalletCommand::Adjust { amount, reason, operator } => {
                self.not_closed()?;
                match self.amount(amount) {
                    Err("InvalidAmount") if amount.minor != 0 => {}
                    other => _ = other?,
                }
                if operator.is_empty() {
                    return Err("InvalidId");
                }
                if reason.is_empty() {
                    return Err("InvalidReason");
                }
                let minor = i128::from(amount.minor);
                self.fits(minor)?;
                if self.spendable() + minor < 0 {
                    return Err("WouldBreakInvariant");
                }
                self.movements.push(minor);
            }
            WalletCommand::SetOverdraft { overdraft_limit } => {
                self.not_closed()?;
                let limit = i128::from(*overdraft_limit);
                if limit < 0 {
                    return Err("InvalidAmount");
                }
                if limit == self.overdraft {
                    return Ok("nothing");
                }
                if self.balance() + limit > i128::from(i64::MAX) {
                    return Err("Overflow");
                }
                if self.balance() - self.locked() + limit < 0 {
                    return Err("WouldBreakInvariant");
                }
                self.overdraft = limit;
            }
            WalletCommand::SetLimits { limits } => {
                self.not_closed()?;
                if [limits.per_transaction, limits.per_day, limits.balance_max].iter().flatten().any(|most| *most < 0) {
                    return Err("InvalidAmount");
                }
                if *limits == self.limits {
                    return Ok("nothing");
                }
                self.limits = *limits;
            }
            WalletCommand::Freeze { debits_only } if !self.closed && self.frozen != Some(*debits_only) => {
                self.frozen = Some(*debits_only);
            }
            WalletCommand::Unfreeze if !self.closed && self.frozen.is_some() => self.frozen = None,
            WalletCommand::Close if !self.closed => {
                if self.holds.iter().any(|hold| hold.end.is_none()) {
                    return Err("ActiveHolds");
                }
                if self.balance() != 0 {
                    return Err("NonZeroBalance");
                }
                self.closed = true;
            }
            _ => return Err("InvalidState"),
        }
        Ok("done")
    }

    fn check(&self, wallet: &Wallet, now: i64) {
        assert_eq!(i128::from(wallet.balance()), self.balance());
        assert_eq!(i128::from(wallet.locked_balance()), self.locked());
        assert_eq!(i128::from(wallet.available()), self.balance() - self.locked());
        assert_eq!(i128::from(wallet.spendable()), self.spendable());
        assert_eq!((wallet.currency(), wallet.limits()), (self.currency, self.limits));
        assert_eq!(wallet.spent_on_day_of(Timestamp::from_micros(now)), self.spent(now / DAY));
        let status = match (self.currency, self.closed, self.frozen) {
            (None, ..) => WalletStatus::Unopened,
            (_, true, _) => WalletStatus::Closed,
            (_, _, None) => WalletStatus::Open,
            (_, _, Some(true)) => WalletStatus::FrozenDebits,
            (_, _, Some(false)) => WalletStatus::Frozen,
        };
        assert_eq!(wallet.status(), status);
        for hold in &self.holds {
            let captured = i64::try_from(hold.captured()).unwrap();
            let outcome = hold.end.map(|(end, ..)| match end {
                _ if captured > 0 => HoldOutcome::Captured { amount: captured },
                End::Released => HoldOutcome::Released,
                End::Expired => HoldOutcome::Expired,
                End::Captured => unreachable!("nothing was captured"),
            });
            assert_eq!(wallet.hold_outcome(&hold.id), outcome);
            assert_eq!(wallet.holds().contains_key(&hold.id), hold.end.is_none());
            let refunded = i64::try_from(hold.refunds.iter().sum::<i128>()).unwrap();
            assert_eq!(wallet.captured_and_refunded(&hold.id), Some((captured, refunded)));
        }
        assert_eq!(wallet.holds().len() + wallet.holds_resolved(), self.holds.len());
        let sent: i128 = self.sent.iter().map(|(.., minor)| i128::from(*minor)).sum();
        assert_eq!(wallet.transferred_out(), sent);
    }
}

/// Both models' answer to a transfer.
fn take_transfer(models: &mut [Model; 2], asked: &Transfer, now: i64) -> Answer {
    let place = |user_id: &str| USERS.iter().position(|user| *user == user_id).unwrap();
    let (from, to) = (place(&asked.from_user_id), place(&asked.to_user_id));
    let Transfer { transfer_id, to_user_id, amount, .. } = asked;
    let payer = &models[from];
    if payer.currency.is_none() {
        return Err("NotOpen");
    }
    if let Some(known) = payer.sent.iter().find(|(id, ..)| id == transfer_id) {
        let same = known == &(transfer_id.clone(), to_user_id.clone(), amount.minor);
        return if same && payer.currency == Some(amount.currency) { Ok("nothing") } else { Err("TransferExists") };
    }
    if from == to {
        return Err("SameWallet");
    }
    payer.may_debit()?;
    let minor = payer.amount(amount)?;
    payer.may_spend(minor, minor, now)?;
    let payee = &models[to];
    if payee.currency.is_none() {
        return Err("NotOpen");
    }
    payee.may_credit()?;
    payee.amount(amount)?;
    payee.below_highest(minor)?;
    models[from].movements.push(-minor);
    models[from].gone.push((now / DAY, minor));
    models[from].sent.push((transfer_id.clone(), to_user_id.clone(), amount.minor));
    models[to].movements.push(minor);
    Ok("done")
}

#[derive(Clone, Debug)]
enum Step {
    Command(usize, WalletCommand),
    Transfer(Transfer),
}

fn money() -> impl Strategy<Value = Money> {
    let minor = prop_oneof![20 => 1..500_i64, 2 => -2..=0_i64, 1 => (i64::MAX - 400)..=i64::MAX, 1 => Just(i64::MIN)];
    (minor, prop::bool::weighted(0.05)).prop_map(|(minor, is_euro)| if is_euro { eur(minor) } else { usd(minor) })
}

fn limits() -> impl Strategy<Value = WalletLimits> {
    let limit = || prop::option::weighted(0.4, -1..2_000_i64);
    (limit(), limit(), limit()).prop_map(|(per_transaction, per_day, balance_max)| {
        let per_transaction = per_transaction.map(|most| most.min(400));
        WalletLimits { per_transaction, per_day, balance_max }
    })
}

fn command() -> impl Strategy<Value = WalletCommand> {
    let hold_id = || (0..6_u8).prop_map(|number| format!("hold {number}"));
    let payment_id = prop::option::of((0..2_u8).prop_map(|number| format!("payment {number}")));
    let steps = || (0..4_u64).prop_map(|steps| Duration::from_micros(steps * 10));
    let text = || prop::bool::weighted(0.9).prop_map(|is_there| if is_there { "x".to_owned() } else { String::new() });
    let overdraft = || prop_oneof![9 => -1..300_i64, 1 => Just(i64::MAX)];
    let funds = prop_oneof![
        8 => money().prop_map(|amount| WalletCommand::Deposit { amount }),
        3 => money().prop_map(|amount| WalletCommand::Withdraw { amount }),
        3 => (hold_id(), money()).prop_map(|(hold_id, amount)| WalletCommand::Refund { hold_id, amount }),
    ];
    let holds = prop_oneof![
        6 => (hold_id(), money(), payment_id, prop::option::of(steps())).prop_map(
            |(hold_id, amount, payment_id, time_to_live)| {
                WalletCommand::Hold { hold_id, amount, payment_id, time_to_live }
            }
        ),
        3 => (hold_id(), money()).prop_map(|(hold_id, amount)| WalletCommand::IncreaseHold { hold_id, amount }),
        2 => (hold_id(), steps()).prop_map(|(hold_id, time_to_live)| {
            WalletCommand::ExtendHold { hold_id, time_to_live }
        }),
        6 => (hold_id(), money(), any::<bool>()).prop_map(|(hold_id, amount, is_final)| {
            WalletCommand::Capture { hold_id, amount, is_final }
        }),
        2 => hold_id().prop_map(|hold_id| WalletCommand::Release { hold_id }),
        2 => hold_id().prop_map(|hold_id| WalletCommand::Expire { hold_id }),
    ];
    let account = prop_oneof![
        3 => (money(), text(), text()).prop_map(|(amount, reason, operator)| {
            let amount = if amount.minor % 2 == 0 { Money::new(amount.minor.saturating_neg(), amount.currency) } else { amount };
            WalletCommand::Adjust { amount, reason, operator }
        }),
        2 => overdraft().prop_map(|overdraft_limit| WalletCommand::SetOverdraft { overdraft_limit }),
        2 => limits().prop_map(|limits| WalletCommand::SetLimits { limits }),
        1 => any::<bool>().prop_map(|debits_only| WalletCommand::Freeze { debits_only }),
        3 => Just(WalletCommand::Unfreeze),
        1 => Just(WalletCommand::Close),
        1 => open(),
    ];
    prop_oneof![14 => funds, 21 => holds, 8 => account]
}

fn open() -> impl Strategy<Value = WalletCommand> {
    (-1..300_i64, prop::bool::weighted(0.7), limits()).prop_map(|(overdraft_limit, is_unlimited, limits)| {
        let limits = if is_unlimited { WalletLimits::default() } else { limits };
        WalletCommand::Open { currency: usd(0).currency, overdraft_limit, limits }
    })
}

fn step() -> impl Strategy<Value = Step> {
    let user = || prop::bool::weighted(0.3).prop_map(usize::from);
    let transfer = ((0..20_u8), user(), user(), money()).prop_map(|(number, from, to, amount)| {
        let (from_user_id, to_user_id) = (USERS[from].to_owned(), USERS[to].to_owned());
        Step::Transfer(Transfer { transfer_id: format!("transfer {number}"), from_user_id, to_user_id, amount })
    });
    prop_oneof![6 => (user(), command()).prop_map(|(user, command)| Step::Command(user, command)), 1 => transfer]
}

/// How far the clock goes on before a step: mostly a little, now and then beyond midnight.
fn elapsed() -> impl Strategy<Value = i64> {
    prop_oneof![30 => 0..15_i64, 1 => DAY / 2..2 * DAY]
}

/// Mostly opened wallets: a command on another one has a single answer.
fn steps() -> impl Strategy<Value = Vec<(i64, Step)>> {
    let rest = prop::collection::vec((elapsed(), step()), 1..120);
    let is_opened = || prop::bool::weighted(0.95);
    (is_opened(), open(), is_opened(), open(), rest).prop_map(|(first, open_first, second, open_second, mut rest)| {
        if first {
            rest.insert(0, (0, Step::Command(0, open_first)));
        }
        if second {
            rest.insert(0, (0, Step::Command(1, open_second)));
        }
        rest
    })
}

struct World {
    wallets: [Wallet; 2],
    events: [Vec<Event>; 2],
    now: i64,
}

impl World {
    fn time(&self) -> Timestamp {
        Timestamp::from_micros(self.now)
    }

    fn apply(&mut self, user: usize, decided: &[WalletEvent]) {
        for event in decided {
            let place = self.wallets[user].version().next().get();
            let read = Event { timestamp: self.time(), ..stored(event, place) };
            assert_eq!(&WalletEvent::decode(&read).unwrap(), event);
            self.wallets[user].apply(event, &EventContext::from(&read));
            assert_eq!(self.wallets[user].check_invariants(), Ok(()), "after {event:?}");
            self.events[user].push(read);
        }
        // A state that came through a snapshot is the state; the run goes on with it.
        let restored = Wallet::decode_state(&self.wallets[user].encode_state().unwrap()).unwrap();
        assert_eq!(restored, self.wallets[user]);
        self.wallets[user] = restored;
    }

    fn take(&mut self, step: &Step) -> Answer {
        let decided = match step {
            Step::Command(user, command) => {
                self.wallets[*user].decide(command, self.time()).map(|events| vec![(*user, events)])
            }
            Step::Transfer(asked) => self.decide_transfer(asked),
        };
        let decided = match decided {
            Ok(decided) => decided,
            Err(refusal) => return Err(refusal.name()),
        };
        let is_empty = decided.iter().all(|(_, events)| events.is_empty());
        decided.iter().for_each(|(user, events)| self.apply(*user, events));
        Ok(if is_empty { "nothing" } else { "done" })
    }

    /// As [`transfer`] decides, without a store.
    fn decide_transfer(&self, asked: &Transfer) -> Result<Vec<(usize, Vec<WalletEvent>)>, WalletRefusal> {
        let place = |user_id: &str| USERS.iter().position(|user| *user == user_id).unwrap();
        let (from, to) = (place(&asked.from_user_id), place(&asked.to_user_id));
        let debited = decide::transfer_out(&self.wallets[from], asked, self.time())?;
        if debited.is_empty() {
            return Ok(Vec::new());
        }
        let credited = decide::transfer_in(&self.wallets[to], asked)?;
        Ok(vec![(from, debited), (to, credited)])
    }

    fn check(&self, models: &[Model; 2]) {
        let mut totals = TransferTotals::default();
        for (wallet, model) in self.wallets.iter().zip(models) {
            model.check(wallet, self.now);
            totals.add(wallet);
        }
        totals.check().unwrap();
    }

    /// What the events alone say: each wallet again, and what went from one to the other.
    fn check_events(&self) {
        let (mut debited, mut credited) = (0_i128, 0_i128);
        for (user, events) in self.events.iter().enumerate() {
            let (mut replayed, mut sum) = (Wallet::new(USERS[user]), 0);
            for event in events {
                let fact = WalletEvent::decode(event).unwrap();
                replayed.apply(&fact, &EventContext::from(event));
                sum += fact.balance_change();
                match &fact {
                    WalletEvent::TransferDebited(fact) => debited += i128::from(fact.amount.minor),
                    WalletEvent::TransferCredited(fact) => credited += i128::from(fact.amount.minor),
                    _ => {}
                }
            }
            assert_eq!(i128::from(replayed.balance()), sum);
            assert_eq!(replayed, self.wallets[user]);
        }
        assert_eq!(debited, credited);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_wallet_answers_as_the_model_does_and_never_breaks_a_rule(steps in steps()) {
        let mut models = <[Model; 2]>::default();
        let wallets = USERS.map(Wallet::new);
        let mut world = World { wallets, events: [Vec::new(), Vec::new()], now: DAY - 300 };
        for (elapsed, step) in steps {
            world.now += elapsed;
            let expected = match &step {
                Step::Command(user, command) => models[*user].take(command, world.now),
                Step::Transfer(asked) => take_transfer(&mut models, asked, world.now),
            };
            prop_assert_eq!(world.take(&step), expected, "{:?}", step);
            world.check(&models);
        }
        world.check_events();
    }
}
