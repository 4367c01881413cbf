//! Increases, extensions, captures in parts, expiry, refunds.

use super::*;

fn increase(hold_id: &str, minor: i64) -> WalletCommand {
    WalletCommand::IncreaseHold { hold_id: hold_id.into(), amount: usd(minor) }
}

fn extend(hold_id: &str, micros: u64) -> WalletCommand {
    WalletCommand::ExtendHold { hold_id: hold_id.into(), time_to_live: Duration::from_micros(micros) }
}

fn capture_part(hold_id: &str, minor: i64) -> WalletCommand {
    WalletCommand::Capture { hold_id: hold_id.into(), amount: usd(minor), is_final: false }
}

fn expire(hold_id: &str) -> WalletCommand {
    WalletCommand::Expire { hold_id: hold_id.into() }
}

fn refund(hold_id: &str, minor: i64) -> WalletCommand {
    WalletCommand::Refund { hold_id: hold_id.into(), amount: usd(minor) }
}

fn hold_of_payment(hold_id: &str, minor: i64, micros: u64) -> WalletCommand {
    let (payment_id, time_to_live) = (Some("p".to_owned()), Some(Duration::from_micros(micros)));
    WalletCommand::Hold { hold_id: hold_id.into(), amount: usd(minor), payment_id, time_to_live }
}

fn funded(minor: i64) -> Played {
    let mut played = Played::opened(0);
    played.play(WalletCommand::Deposit { amount: usd(minor) }).unwrap();
    played
}

#[test]
fn captures_in_parts_take_at_most_the_hold_and_the_last_one_releases_the_rest() {
    let mut played = funded(1_000);
    played.play(hold("h", 600)).unwrap();
    let part = played.play(capture_part("h", 200)).unwrap();
    assert_eq!(part, [HoldCaptured { hold_id: "h".into(), amount: usd(200), released: 0, is_final: false }.into()]);
    assert_eq!((played.wallet.balance(), played.wallet.locked_balance()), (800, 400));
    assert_eq!((played.wallet.holds()["h"].captured, played.wallet.hold_outcome("h")), (200, None));
    let expected = WalletRefusal::CaptureExceedsHold { hold_id: "h".into(), held: 400, requested: 401 };
    assert_eq!(played.refusal(capture_part("h", 401)), expected);
    let last = played.play(capture("h", 100)).unwrap();
    assert_eq!(last, [HoldCaptured { hold_id: "h".into(), amount: usd(100), released: 300, is_final: true }.into()]);
    assert_eq!((played.wallet.balance(), played.wallet.locked_balance()), (700, 0));
    assert_eq!(played.wallet.hold_outcome("h"), Some(HoldOutcome::Captured { amount: 300 }));
}

#[test]
fn a_capture_of_all_that_is_held_ends_the_hold_and_so_does_a_release_of_what_is_left() {
    let mut played = funded(1_000);
    played.play(hold("all", 600)).unwrap();
    played.play(capture_part("all", 599)).unwrap();
    let last = played.play(capture_part("all", 1)).unwrap();
    assert_eq!(last, [HoldCaptured { hold_id: "all".into(), amount: usd(1), released: 0, is_final: true }.into()]);
    played.play(hold("rest", 100)).unwrap();
    played.play(capture_part("rest", 40)).unwrap();
    let released = played.play(release("rest")).unwrap();
    assert_eq!(released, [HoldReleased { hold_id: "rest".into(), amount: usd(60) }.into()]);
    assert_eq!(played.wallet.hold_outcome("rest"), Some(HoldOutcome::Captured { amount: 40 }));
    assert_eq!((played.wallet.balance(), played.wallet.locked_balance()), (360, 0));
}

#[test]
fn an_increase_locks_more_and_is_refused_as_a_hold_is() {
    let mut played = funded(1_000);
    let expected = WalletRefusal::HoldNotFound { hold_id: "h".into() };
    assert_eq!(played.refusal(increase("h", 1)), expected);
    played.play(hold_for("h", 600, Duration::from_micros(50))).unwrap();
    played.play(increase("h", 300)).unwrap();
    assert_eq!((played.wallet.holds()["h"].amount, played.wallet.available()), (900, 100));
    let expected = WalletRefusal::InsufficientFunds { available: 100, spendable: 100, requested: 101 };
    assert_eq!(played.refusal(increase("h", 101)), expected);
    // The hold asked for again is what it was placed as.
    assert_eq!(played.play(hold_for("h", 600, Duration::from_micros(50))).unwrap(), []);
    assert_eq!(
        played.refusal(hold_for("h", 900, Duration::from_micros(50))),
        WalletRefusal::HoldExists { hold_id: "h".into() }
    );
    played.play(WalletCommand::Freeze { debits_only: true }).unwrap();
    assert_eq!(played.refusal(increase("h", 1)), WalletRefusal::Frozen { status: WalletStatus::FrozenDebits });
    played.play(WalletCommand::Unfreeze).unwrap();
    played.now = Timestamp::from_micros(1_050);
    let expires_at = played.now;
    assert_eq!(played.refusal(increase("h", 1)), WalletRefusal::HoldExpired { hold_id: "h".into(), expires_at });
    played.play(release("h")).unwrap();
    let outcome = HoldOutcome::Released;
    assert_eq!(played.refusal(increase("h", 1)), WalletRefusal::HoldResolved { hold_id: "h".into(), outcome });
}

/// What: an increase of a hold whose captures and increases together leave 64 bits is refused.
/// Why: what was captured stays part of the hold's amount, so the sum is not bounded by what the wallet has.
/// How found: by looking for sums that `spendable` does not bound.
#[test]
fn a_hold_that_held_more_than_64_bits_in_all_is_not_increased() {
    let mut played = funded(i64::MAX);
    played.play(hold("h", i64::MAX)).unwrap();
    played.play(capture_part("h", i64::MAX - 1)).unwrap();
    played.play(WalletCommand::Deposit { amount: usd(10) }).unwrap();
    assert_eq!(played.refusal(increase("h", 1)), WalletRefusal::Overflow { balance: i64::MAX, amount: 1 });
}

#[test]
fn an_extension_counts_from_now_and_never_shortens() {
    let mut played = funded(1_000);
    played.play(hold_for("h", 100, Duration::from_micros(50))).unwrap();
    played.play(hold("endless", 100)).unwrap();
    assert_eq!(played.refusal(extend("h", 0)), WalletRefusal::InvalidTimeToLive);
    assert_eq!(played.refusal(extend("h", u64::MAX)), WalletRefusal::InvalidTimeToLive);
    played.now = Timestamp::from_micros(1_049);
    assert_eq!(played.play(extend("h", 1)).unwrap(), []);
    assert_eq!(played.play(extend("endless", 1)).unwrap(), []);
    let extended = played.play(extend("h", 10)).unwrap();
    let expires_at = Timestamp::from_micros(1_059);
    assert_eq!(extended, [HoldExtended { hold_id: "h".into(), time_to_live_micros: 10, expires_at }.into()]);
    played.now = Timestamp::from_micros(1_058);
    // It takes no money, so a freeze does not matter.
    played.play(WalletCommand::Freeze { debits_only: false }).unwrap();
    played.play(extend("h", 20)).unwrap();
    played.now = Timestamp::from_micros(1_078);
    let expires_at = played.now;
    assert_eq!(played.refusal(extend("h", 20)), WalletRefusal::HoldExpired { hold_id: "h".into(), expires_at });
    assert_eq!(played.refusal(extend("nobody", 20)), WalletRefusal::HoldNotFound { hold_id: "nobody".into() });
}

#[test]
fn a_hold_expires_at_its_time_and_not_before_and_never_one_of_a_payment() {
    let mut played = funded(1_000);
    played.play(hold_for("h", 100, Duration::from_micros(50))).unwrap();
    played.play(hold("endless", 100)).unwrap();
    played.play(hold_of_payment("p", 100, 50)).unwrap();
    let expires_at = Timestamp::from_micros(1_050);
    played.now = Timestamp::from_micros(1_049);
    let not_yet =
        |hold_id: &str, expires_at, now| WalletRefusal::HoldNotExpired { hold_id: hold_id.into(), expires_at, now };
    assert_eq!(played.refusal(expire("h")), not_yet("h", Some(expires_at), played.now));
    assert_eq!(played.wallet.holds_expired(played.now).count(), 0);
    played.now = expires_at;
    assert_eq!(played.refusal(expire("endless")), not_yet("endless", None, played.now));
    let expected = WalletRefusal::HoldNamesPayment { hold_id: "p".into(), payment_id: "p".into() };
    assert_eq!(played.refusal(expire("p")), expected);
    assert_eq!(played.wallet.holds_expired(played.now).collect::<Vec<_>>(), ["h"]);
    let expired = played.play(expire("h")).unwrap();
    assert_eq!(expired, [HoldExpired { hold_id: "h".into(), amount: usd(100), expires_at }.into()]);
    assert_eq!((played.wallet.locked_balance(), played.wallet.balance()), (200, 1_000));
    let expected = WalletRefusal::HoldResolved { hold_id: "h".into(), outcome: HoldOutcome::Expired };
    for command in [expire("h"), capture("h", 1), release("h"), extend("h", 1)] {
        assert_eq!(played.refusal(command), expected);
    }
}

#[test]
fn a_payments_hold_is_captured_and_released_frozen_beyond_limits_and_after_its_time() {
    let mut played = funded(1_000);
    for hold_id in ["capture", "release", "extend"] {
        played.play(hold_of_payment(hold_id, 100, 50)).unwrap();
    }
    let limits = WalletLimits { per_transaction: Some(0), per_day: Some(0), balance_max: Some(0) };
    played.play(WalletCommand::SetLimits { limits }).unwrap();
    played.play(WalletCommand::Freeze { debits_only: false }).unwrap();
    played.now = Timestamp::from_micros(9_999);
    played.play(extend("extend", 50)).unwrap();
    played.play(capture_part("capture", 30)).unwrap();
    played.play(capture("capture", 70)).unwrap();
    played.play(release("release")).unwrap();
    assert_eq!((played.wallet.balance(), played.wallet.holds().len()), (900, 1));
}

#[test]
fn refunds_of_a_hold_are_at_most_what_was_captured_of_it() {
    let mut played = funded(1_000);
    assert_eq!(played.refusal(refund("h", 1)), WalletRefusal::CaptureNotFound { hold_id: "h".into() });
    played.play(hold("h", 600)).unwrap();
    assert_eq!(played.refusal(refund("h", 1)), WalletRefusal::CaptureNotFound { hold_id: "h".into() });
    played.play(capture_part("h", 100)).unwrap();
    played.play(refund("h", 60)).unwrap();
    let exceeds = |captured, refunded, requested| WalletRefusal::RefundExceedsCapture {
        hold_id: "h".into(),
        captured,
        refunded,
        requested,
    };
    assert_eq!(played.refusal(refund("h", 41)), exceeds(100, 60, 41));
    assert_eq!(played.refusal(refund("h", i64::MAX)), exceeds(100, 60, i64::MAX));
    // What was refunded of it while it was open counts after its end too, and through a snapshot.
    played.play(capture("h", 50)).unwrap();
    played.wallet = Wallet::decode_state(&played.wallet.encode_state().unwrap()).unwrap();
    assert_eq!(played.wallet.captured_and_refunded("h"), Some((150, 60)));
    assert_eq!(played.refusal(refund("h", 91)), exceeds(150, 60, 91));
    played.play(refund("h", 90)).unwrap();
    assert_eq!(played.refusal(refund("h", 1)), exceeds(150, 150, 1));
    assert_eq!((played.wallet.balance(), played.wallet.total_in(), played.wallet.total_out()), (1_000, 1_150, 150));
    played.play(hold("released", 10)).unwrap();
    played.play(release("released")).unwrap();
    assert_eq!(played.refusal(refund("released", 1)), WalletRefusal::CaptureNotFound { hold_id: "released".into() });
}

#[test]
fn a_refund_goes_into_a_frozen_wallet_and_beyond_the_highest_balance_but_not_beyond_64_bits() {
    let mut played = funded(1_000);
    played.play(hold("h", 500)).unwrap();
    played.play(capture("h", 500)).unwrap();
    let limits = WalletLimits { balance_max: Some(10), ..WalletLimits::default() };
    played.play(WalletCommand::SetLimits { limits }).unwrap();
    played.play(WalletCommand::Freeze { debits_only: false }).unwrap();
    played.play(refund("h", 400)).unwrap();
    assert_eq!(played.wallet.balance(), 900);
    played.play(WalletCommand::Unfreeze).unwrap();
    played.play(WalletCommand::SetLimits { limits: WalletLimits::default() }).unwrap();
    played.play(WalletCommand::Deposit { amount: usd(i64::MAX - 900) }).unwrap();
    assert_eq!(played.refusal(refund("h", 1)), WalletRefusal::Overflow { balance: i64::MAX, amount: 1 });
}
