//! Limits, and what counts as spent on a day.

use super::*;

const DAY: i64 = 86_400_000_000;

fn per_day(limit: i64) -> WalletLimits {
    WalletLimits { per_day: Some(limit), ..WalletLimits::default() }
}

fn withdraw(minor: i64) -> WalletCommand {
    WalletCommand::Withdraw { amount: usd(minor) }
}

fn increase(hold_id: &str, minor: i64) -> WalletCommand {
    WalletCommand::IncreaseHold { hold_id: hold_id.into(), amount: usd(minor) }
}

fn over_day(limit: i64, used: i64, requested: i64) -> WalletRefusal {
    WalletRefusal::LimitExceeded { which: SpendingLimit::PerDay, limit, used, requested }
}

fn funded(limits: WalletLimits) -> Played {
    let mut played = Played::limited(0, limits);
    played.play(WalletCommand::Deposit { amount: usd(10_000) }).unwrap();
    played
}

impl Played {
    fn spent(&self) -> i128 {
        self.wallet.spent_on_day_of(self.now)
    }
}

#[test]
fn a_transaction_is_limited_and_a_hold_with_its_increases_is_one() {
    let mut played = funded(WalletLimits { per_transaction: Some(100), ..WalletLimits::default() });
    let over = |used, requested| {
        let which = SpendingLimit::PerTransaction;
        WalletRefusal::LimitExceeded { which, limit: 100, used, requested }
    };
    assert_eq!(played.refusal(withdraw(101)), over(0, 101));
    assert_eq!(played.refusal(hold("h", 101)), over(0, 101));
    played.play(withdraw(100)).unwrap();
    played.play(hold("h", 60)).unwrap();
    assert_eq!(played.refusal(increase("h", 41)), over(60, 41));
    played.play(increase("h", 40)).unwrap();
    assert_eq!(over(60, 41).to_string(), "41 and the 60 used are more than the limit of 100 per transaction");
}

#[test]
fn withdrawals_holds_and_increases_count_when_they_are_made_and_captures_do_not_count_again() {
    let mut played = funded(per_day(100));
    played.play(withdraw(30)).unwrap();
    played.play(hold("h", 40)).unwrap();
    played.play(increase("h", 20)).unwrap();
    assert_eq!(played.refusal(withdraw(11)), over_day(100, 90, 11));
    assert_eq!(played.refusal(hold("i", 11)), over_day(100, 90, 11));
    assert_eq!(played.refusal(increase("h", 11)), over_day(100, 90, 11));
    played.play(capture("h", 60)).unwrap();
    assert_eq!(played.spent(), 90);
    played.play(withdraw(10)).unwrap();
    assert_eq!(played.refusal(withdraw(1)), over_day(100, 100, 1));
}

#[test]
fn what_is_released_or_expires_on_the_same_day_is_given_back() {
    let mut played = funded(per_day(100));
    played.play(hold("released", 30)).unwrap();
    played.play(hold("captured", 30)).unwrap();
    played.play(hold_for("expired", 30, Duration::from_micros(1))).unwrap();
    assert_eq!(played.spent(), 90);
    played.play(release("released")).unwrap();
    played.play(capture("captured", 10)).unwrap();
    played.now = Timestamp::from_micros(1_001);
    played.play(WalletCommand::Expire { hold_id: "expired".into() }).unwrap();
    assert_eq!(played.spent(), 10);
    played.play(withdraw(90)).unwrap();
}

#[test]
fn a_day_ends_at_midnight_of_utc_and_what_is_released_later_is_not_given_back() {
    let mut played = funded(per_day(100));
    played.now = Timestamp::from_micros(DAY - 1);
    played.play(hold("h", 100)).unwrap();
    assert_eq!(played.refusal(withdraw(1)), over_day(100, 100, 1));
    played.now = Timestamp::from_micros(DAY);
    assert_eq!(played.spent(), 0);
    played.play(release("h")).unwrap();
    assert_eq!(played.spent(), 0);
    played.play(withdraw(100)).unwrap();
    assert_eq!(played.refusal(withdraw(1)), over_day(100, 100, 1));
}

#[test]
fn of_a_hold_that_was_increased_on_a_later_day_that_days_part_is_given_back() {
    let mut played = funded(per_day(100));
    played.play(hold("h", 70)).unwrap();
    played.now = Timestamp::from_micros(DAY);
    played.play(increase("h", 50)).unwrap();
    assert_eq!(played.spent(), 50);
    // What is captured is taken from the older part first.
    played.play(capture("h", 90)).unwrap();
    assert_eq!(played.spent(), 20);
}

#[test]
fn what_was_spent_before_a_limit_was_set_counts() {
    let mut played = funded(WalletLimits::default());
    played.play(withdraw(80)).unwrap();
    played.play(WalletCommand::SetLimits { limits: per_day(50) }).unwrap();
    assert_eq!(played.refusal(withdraw(1)), over_day(50, 80, 1));
    played.now = played.now.plus(Duration::from_micros(DAY.unsigned_abs()));
    played.play(withdraw(50)).unwrap();
}

#[test]
fn a_day_without_a_limit_may_spend_more_than_64_bits() {
    let mut played = Played::opened(0);
    for _ in 0..3 {
        played.play(WalletCommand::Deposit { amount: usd(i64::MAX) }).unwrap();
        played.play(withdraw(i64::MAX)).unwrap();
    }
    assert_eq!(played.spent(), 3 * i128::from(i64::MAX));
    played.play(WalletCommand::Deposit { amount: usd(1) }).unwrap();
    played.play(WalletCommand::SetLimits { limits: per_day(i64::MAX) }).unwrap();
    assert_eq!(played.refusal(withdraw(1)), over_day(i64::MAX, i64::MAX, 1));
}

#[test]
fn a_deposit_brings_the_balance_to_its_limit_and_no_further() {
    let mut played = Played::limited(50, WalletLimits { balance_max: Some(100), ..WalletLimits::default() });
    let deposit = |minor| WalletCommand::Deposit { amount: usd(minor) };
    played.play(deposit(70)).unwrap();
    // What is locked is in it too.
    played.play(hold("h", 100)).unwrap();
    let expected = WalletRefusal::MaxBalance { balance: 70, balance_max: 100, requested: 31 };
    assert_eq!(played.refusal(deposit(31)), expected);
    played.play(deposit(30)).unwrap();
    assert_eq!(played.refusal(deposit(1)), WalletRefusal::MaxBalance { balance: 100, balance_max: 100, requested: 1 });
}
