//! Adjusting, the settings, freezing, closing.

use super::*;

fn adjust(minor: i64) -> WalletCommand {
    WalletCommand::Adjust { amount: usd(minor), reason: "a till was counted".into(), operator: "eva".into() }
}

fn set_overdraft(overdraft_limit: i64) -> WalletCommand {
    WalletCommand::SetOverdraft { overdraft_limit }
}

fn freeze(debits_only: bool) -> WalletCommand {
    WalletCommand::Freeze { debits_only }
}

#[test]
fn an_adjustment_goes_both_ways_and_never_below_what_is_spendable() {
    let mut played = Played::opened(100);
    played.play(adjust(500)).unwrap();
    played.play(hold("h", 300)).unwrap();
    played.play(adjust(-250)).unwrap();
    assert_eq!((played.wallet.balance(), played.wallet.spendable()), (250, 50));
    assert_eq!(played.refusal(adjust(-51)), WalletRefusal::WouldBreakInvariant { spendable: -1 });
    played.play(adjust(-50)).unwrap();
    assert_eq!((played.wallet.total_in(), played.wallet.total_out()), (500, 300));
    assert_eq!(played.refusal(adjust(0)), WalletRefusal::InvalidAmount { amount: 0 });
    assert!(matches!(played.refusal(adjust(i64::MAX)), WalletRefusal::Overflow { balance: 200, amount: i64::MAX }));
    assert!(matches!(played.refusal(adjust(i64::MIN)), WalletRefusal::WouldBreakInvariant { .. }));
    let (expected, given) = (usd(0).currency, eur(0).currency);
    let command = WalletCommand::Adjust { amount: eur(1), reason: "r".into(), operator: "o".into() };
    assert_eq!(played.refusal(command), WalletRefusal::CurrencyMismatch { expected, given });
}

#[test]
fn an_adjustment_says_who_and_why_and_minds_neither_limits_nor_freeze() {
    let mut played = Played::limited(0, WalletLimits { balance_max: Some(1), ..WalletLimits::default() });
    let with = |reason: &str, operator: &str| WalletCommand::Adjust {
        amount: usd(5),
        reason: reason.into(),
        operator: operator.into(),
    };
    for reason in ["", " \n", &"r".repeat(REASON_BYTES_MAX + 1)] {
        let bytes = reason.len() as u64;
        assert_eq!(played.refusal(with(reason, "eva")), WalletRefusal::InvalidReason { bytes });
    }
    assert_eq!(played.refusal(with("r", "")), WalletRefusal::InvalidId { id: String::new() });
    played.play(freeze(false)).unwrap();
    let longest = "r".repeat(REASON_BYTES_MAX);
    let adjusted = played.play(with(&longest, "eva")).unwrap();
    assert_eq!(adjusted, [BalanceAdjusted { amount: usd(5), reason: longest, operator: "eva".into() }.into()]);
}

#[test]
fn an_overdraft_limit_is_not_set_below_what_is_used_of_it_nor_beyond_64_bits() {
    let mut played = Played::opened(100);
    played.play(WalletCommand::Withdraw { amount: usd(60) }).unwrap();
    assert_eq!(played.refusal(set_overdraft(59)), WalletRefusal::WouldBreakInvariant { spendable: -1 });
    assert_eq!(played.refusal(set_overdraft(-1)), WalletRefusal::InvalidAmount { amount: -1 });
    played.play(set_overdraft(60)).unwrap();
    assert_eq!((played.wallet.overdraft_limit(), played.wallet.spendable()), (60, 0));
    assert_eq!(played.play(set_overdraft(60)).unwrap(), []);
    played.play(WalletCommand::Deposit { amount: usd(61) }).unwrap();
    assert_eq!(played.refusal(set_overdraft(i64::MAX)), WalletRefusal::Overflow { balance: 1, amount: i64::MAX });
}

#[test]
fn limits_are_set_all_at_once_and_are_not_negative() {
    let mut played = Played::opened(0);
    let limits = WalletLimits { per_transaction: Some(5), per_day: None, balance_max: Some(9) };
    played.play(WalletCommand::SetLimits { limits }).unwrap();
    assert_eq!(played.wallet.limits(), limits);
    assert_eq!(played.play(WalletCommand::SetLimits { limits }).unwrap(), []);
    let negative = [
        WalletLimits { per_transaction: Some(-1), ..WalletLimits::default() },
        WalletLimits { per_day: Some(-1), ..WalletLimits::default() },
        WalletLimits { balance_max: Some(-1), ..WalletLimits::default() },
    ];
    for limits in negative {
        assert_eq!(played.refusal(WalletCommand::SetLimits { limits }), WalletRefusal::InvalidAmount { amount: -1 });
    }
    assert_eq!(played.wallet.limits(), limits);
}

#[test]
fn a_freeze_changes_and_ends_and_is_refused_where_it_is_the_case() {
    let mut played = Played::opened(0);
    let invalid = |status| WalletRefusal::InvalidState { status };
    assert_eq!(played.refusal(WalletCommand::Unfreeze), invalid(WalletStatus::Open));
    played.play(freeze(true)).unwrap();
    assert_eq!(played.refusal(freeze(true)), invalid(WalletStatus::FrozenDebits));
    played.play(freeze(false)).unwrap();
    assert_eq!(played.refusal(freeze(false)), invalid(WalletStatus::Frozen));
    played.play(freeze(true)).unwrap();
    assert_eq!(played.wallet.status(), WalletStatus::FrozenDebits);
    played.play(WalletCommand::Unfreeze).unwrap();
    assert_eq!(played.wallet.status(), WalletStatus::Open);
}

#[test]
fn a_wallet_is_closed_empty_and_without_holds_and_then_takes_nothing_any_more() {
    let mut played = Played::opened(100);
    played.play(WalletCommand::Deposit { amount: usd(50) }).unwrap();
    played.play(hold("h", 50)).unwrap();
    assert_eq!(played.refusal(WalletCommand::Close), WalletRefusal::ActiveHolds { open: 1, locked: 50 });
    played.play(capture("h", 20)).unwrap();
    assert_eq!(played.refusal(WalletCommand::Close), WalletRefusal::NonZeroBalance { balance: 30 });
    played.play(WalletCommand::Withdraw { amount: usd(40) }).unwrap();
    assert_eq!(played.refusal(WalletCommand::Close), WalletRefusal::NonZeroBalance { balance: -10 });
    played.play(WalletCommand::Deposit { amount: usd(10) }).unwrap();
    // A freeze does not keep it from being closed.
    played.play(freeze(false)).unwrap();
    played.play(WalletCommand::Close).unwrap();
    assert_eq!(played.wallet.status(), WalletStatus::Closed);
    let refused = [
        WalletCommand::Deposit { amount: usd(1) },
        WalletCommand::Withdraw { amount: usd(1) },
        hold("i", 1),
        WalletCommand::ExtendHold { hold_id: "h".into(), time_to_live: Duration::from_secs(1) },
        WalletCommand::Refund { hold_id: "h".into(), amount: usd(1) },
        adjust(1),
        set_overdraft(1),
        WalletCommand::SetLimits { limits: WalletLimits::default() },
    ];
    for command in refused {
        assert_eq!(played.refusal(command), WalletRefusal::Closed);
    }
    for command in [freeze(true), freeze(false), WalletCommand::Unfreeze, WalletCommand::Close] {
        let status = WalletStatus::Closed;
        assert_eq!(played.refusal(command), WalletRefusal::InvalidState { status });
    }
}
