//! What a line asks for, decided without looking at a store.

use bitacora::money::Money;

use super::ledger::LedgerLine;

/// How a payment is paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Wallet,
    Card,
    Split,
}

/// The form of the payment on this line.
pub(crate) fn form(line_number: u64) -> Form {
    match line_number % 3 {
        0 => Form::Wallet,
        1 => Form::Card,
        _ => Form::Split,
    }
}

/// The parts of a payment, minor units; a part of zero is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parts {
    pub(crate) wallet_minor: Option<i64>,
    pub(crate) card_minor: Option<i64>,
}

/// How the payment on `line` is divided: of a split one the wallet pays half, rounded down.
pub(crate) fn parts(line: &LedgerLine) -> Parts {
    let amount = line.amount.minor;
    let wallet = match form(line.number) {
        Form::Wallet => amount,
        Form::Card => 0,
        Form::Split => amount / 2,
    };
    let some = |minor: i64| (minor > 0).then_some(minor);
    Parts { wallet_minor: some(wallet), card_minor: some(amount.saturating_sub(wallet)) }
}

/// Major units that top-ups come in multiples of.
const TOP_UP_MAJOR: i64 = 50;

/// The deposit that lets a wallet with `spendable_minor` pay `needed`: the smallest multiple of 50 major units that suffices.
/// `None`: nothing is missing, or no wallet could hold it.
pub(crate) fn top_up(needed: Money, spendable_minor: i64) -> Option<Money> {
    let missing = needed.minor.checked_sub(spendable_minor)?;
    if missing <= 0 {
        return None;
    }
    let unit = TOP_UP_MAJOR.checked_mul(10i64.checked_pow(u32::from(needed.currency.exponent()))?)?;
    let count = missing.checked_add(unit.checked_sub(1)?)?.checked_div(unit)?;
    Some(Money::new(count.checked_mul(unit)?, needed.currency))
}

#[cfg(test)]
mod tests {
    use super::super::ledger::Kind;
    use super::*;

    fn line(number: u64, minor: i64) -> LedgerLine {
        LedgerLine {
            number,
            id: "p".to_owned(),
            user_id: "u".to_owned(),
            occurred_at: "t".to_owned(),
            kind: Kind::Payment,
            amount: Money::new(minor, "EUR".parse().unwrap()),
        }
    }

    #[test]
    fn the_line_number_decides_the_form_and_the_parts_add_up() {
        let of = |number, minor| {
            let parts = parts(&line(number, minor));
            (parts.wallet_minor, parts.card_minor)
        };
        assert_eq!(of(3, 101), (Some(101), None));
        assert_eq!(of(4, 101), (None, Some(101)));
        assert_eq!(of(5, 101), (Some(50), Some(51)));
        assert_eq!(of(5, 1), (None, Some(1)));
    }

    #[test]
    fn a_top_up_is_the_smallest_multiple_of_fifty_major_units_that_suffices() {
        let need = |minor, code: &str| Money::new(minor, code.parse().unwrap());
        let minor = |money: Option<Money>| money.map(|money| money.minor);
        assert_eq!(minor(top_up(need(100, "EUR"), 100)), None);
        assert_eq!(minor(top_up(need(101, "EUR"), 100)), Some(5_000));
        assert_eq!(minor(top_up(need(5_000, "EUR"), 0)), Some(5_000));
        assert_eq!(minor(top_up(need(5_001, "EUR"), 0)), Some(10_000));
        assert_eq!(minor(top_up(need(51, "JPY"), 0)), Some(100));
        assert_eq!(minor(top_up(need(1, "KWD"), 0)), Some(50_000));
        assert_eq!(minor(top_up(need(100, "EUR"), -4_950)), Some(10_000));
    }

    #[test]
    fn a_top_up_that_no_wallet_could_hold_is_not_made() {
        let most = Money::new(i64::MAX, "EUR".parse().unwrap());
        assert_eq!(top_up(most, 0), None);
        assert_eq!(top_up(most, -1), None);
    }
}
