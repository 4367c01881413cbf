//! Goal: every check can fail. Method: a day that is right, then one thing of it tampered with at a time; the check that
//! must see it is red, and it names what is wrong.

use super::*;
use crate::till::ledger::Kind;
use bitacora::money::Money;

fn line(number: u64, id: &str, kind: Kind, minor: i64) -> (u64, LedgerLine) {
    let line = LedgerLine {
        number,
        id: id.to_owned(),
        user_id: "ana".to_owned(),
        occurred_at: "t".to_owned(),
        kind,
        amount: Money::new(minor, "EUR".parse().unwrap()),
    };
    (number, line)
}

fn ack(line: u64, outcome: Outcome, sequence: u64) -> Ack {
    Ack { line, outcome, sequence }
}

fn record(line_id: &str, outcome: Outcome) -> Record {
    Record { line_id: line_id.to_owned(), outcome }
}

fn card(authorised_minor: i64, captured_minor: i64, voided_minor: i64) -> CardTrail {
    CardTrail {
        currency: "EUR".to_owned(),
        authorised_minor,
        captured_minor,
        voided_minor,
        refunded_minor: 0,
        authorisations: u32::from(authorised_minor > 0),
        captures: u32::from(captured_minor > 0),
    }
}

fn payment(wallet_minor: i64, card_minor: i64, outcome: Outcome) -> PaymentTrail {
    PaymentTrail { currency: "EUR".to_owned(), wallet_minor, card_minor, outcomes: vec![outcome] }
}

/// A deposit of 100, a split payment of 60 that is paid, and one of 40 by card that was authorised and voided.
fn day() -> Evidence {
    Evidence {
        acks: vec![ack(2, Outcome::Deposited, 2), ack(5, Outcome::Completed, 9), ack(4, Outcome::Compensated, 14)],
        lines: [line(2, "d", Kind::Deposit, 100), line(5, "p", Kind::Payment, 60), line(4, "q", Kind::Payment, 40)]
            .into(),
        records: [
            (2, record("d", Outcome::Deposited)),
            (9, record("p", Outcome::Completed)),
            (14, record("q", Outcome::Compensated)),
        ]
        .into(),
        payments: [
            ("p".to_owned(), payment(30, 30, Outcome::Completed)),
            ("q".to_owned(), payment(0, 40, Outcome::Compensated)),
        ]
        .into(),
        wallets: [(
            "ana".to_owned(),
            WalletTrail {
                currency: "EUR".to_owned(),
                deposited_minor: 100,
                captured_minor: 30,
                balance_told_minor: 70,
                ..WalletTrail::default()
            },
        )]
        .into(),
        cards: [("p".to_owned(), card(30, 30, 0)), ("q".to_owned(), card(40, 0, 40))].into(),
    }
}

/// The checks that find something wrong after `tamper`.
fn red(tamper: impl FnOnce(&mut Evidence)) -> Vec<&'static str> {
    let mut evidence = day();
    tamper(&mut evidence);
    let findings = check(&evidence);
    for finding in &findings {
        assert_eq!(finding.found == 0, finding.examples.is_empty(), "{finding:?}");
    }
    findings.into_iter().filter(|finding| finding.found > 0).map(|finding| finding.check).collect()
}

const LOST: &str = "acknowledged outcomes lost";
const NO_OUTCOME: &str = "lines without an outcome, or with two";
const TWO_OUTCOMES: &str = "payments with two outcomes";
const STRAY: &str = "charges without a completed payment";
const DOUBLE: &str = "double charges";
const NO_SUM: &str = "wallets that are not the sum of their events";
const MONEY: &str = "money created or destroyed, minor units";

#[test]
fn a_day_that_is_right_is_green_and_every_check_looked_at_something() {
    assert_eq!(red(|_| {}), [""; 0]);
    for finding in check(&day()) {
        assert!(finding.of > 0, "{finding:?}");
    }
}

#[test]
fn an_acknowledged_outcome_that_is_gone_is_lost() {
    assert_eq!(
        red(|day| {
            day.records.remove(&9);
        }),
        [LOST, NO_OUTCOME]
    );
}

#[test]
fn an_acknowledged_outcome_that_turned_into_another_is_lost() {
    assert_eq!(red(|day| day.acks[1].outcome = Outcome::Rejected), [LOST]);
    assert_eq!(red(|day| day.acks[1].line = 4), [LOST]);
    assert_eq!(red(|day| day.acks[1].sequence = 10), [LOST]);
    assert_eq!(red(|day| day.acks[1].line = 99), [LOST]);
}

#[test]
fn a_line_that_was_booked_twice_is_found() {
    assert_eq!(
        red(|day| {
            day.records.insert(20, record("d", Outcome::Deposited));
        }),
        [NO_OUTCOME]
    );
}

#[test]
fn a_payment_that_was_completed_and_compensated_is_found() {
    let red = red(|day| day.payments.get_mut("p").unwrap().outcomes.push(Outcome::Compensated));
    assert!(red.contains(&TWO_OUTCOMES), "{red:?}");
}

#[test]
fn an_authorisation_that_was_left_behind_is_a_charge_without_a_payment() {
    assert_eq!(red(|day| day.cards.get_mut("q").unwrap().voided_minor = 0), [STRAY, MONEY]);
}

#[test]
fn a_charge_for_a_payment_that_nobody_made_is_found() {
    let red = red(|day| {
        day.cards.insert("ghost".to_owned(), card(5, 5, 0));
    });
    assert_eq!(red, [STRAY, DOUBLE, MONEY]);
}

#[test]
fn a_refund_makes_up_for_a_charge() {
    let red = red(|day| {
        let card = day.cards.get_mut("q").unwrap();
        (card.captured_minor, card.voided_minor, card.refunded_minor) = (40, 0, 40);
    });
    assert_eq!(red, [""; 0]);
}

#[test]
fn a_card_that_was_charged_twice_is_found() {
    assert_eq!(
        red(|day| {
            let card = day.cards.get_mut("p").unwrap();
            (card.captured_minor, card.captures) = (60, 2);
        }),
        [DOUBLE, MONEY]
    );
    assert_eq!(
        red(|day| {
            let card = day.cards.get_mut("p").unwrap();
            (card.captured_minor, card.captures, card.refunded_minor) = (60, 2, 30);
        }),
        [DOUBLE]
    );
}

#[test]
fn a_completed_payment_whose_card_was_never_charged_is_money_from_nowhere() {
    let red = red(|day| {
        day.cards.remove("p");
    });
    assert_eq!(red, [MONEY]);
}

#[test]
fn a_balance_that_is_not_the_sum_of_the_events_is_found() {
    assert_eq!(red(|day| day.wallets.get_mut("ana").unwrap().balance_told_minor = 71), [NO_SUM, MONEY]);
    assert_eq!(red(|day| day.wallets.get_mut("ana").unwrap().locked_told_minor = 1), [NO_SUM]);
    assert_eq!(red(|day| day.wallets.get_mut("ana").unwrap().held_minor = 1), [NO_SUM]);
}

#[test]
fn a_capture_that_no_completed_payment_asked_for_is_money_destroyed() {
    let red = red(|day| {
        let wallet = day.wallets.get_mut("ana").unwrap();
        wallet.captured_minor = 40;
        wallet.balance_told_minor = 60;
    });
    assert_eq!(red, [MONEY]);
}
