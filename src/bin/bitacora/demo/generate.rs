//! A till's day, made up from a seed: customers with a currency each, deposits, withdrawals, payments large and small, and
//! the few lines that every real ledger has and nobody wants.

use std::fmt::Write as _;

use super::random::Random;
use crate::till::ledger::CSV_HEADER;

/// What a day is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Day {
    pub(crate) seed: u64,
    pub(crate) payments: u64,
}

/// A currency, the number of its decimals, and how many of a hundred customers have it.
const CURRENCIES: [(&str, u32, u64); 4] = [("EUR", 2, 64), ("USD", 2, 20), ("JPY", 0, 10), ("KWD", 3, 6)];

/// The till opens at seven and closes at ten in the evening; seconds of the day.
const OPENS_AT_S: u64 = 7 * 3_600;
const OPEN_FOR_S: u64 = 15 * 3_600;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Deposit,
    Withdrawal,
    Payment,
}

/// The lines of `day` as a CSV ledger.
pub(crate) fn csv(day: Day) -> String {
    let mut random = Random::new(day.seed);
    let customers = customers(&mut random, day.payments);
    let kinds = shuffled_kinds(&mut random, day.payments);
    let total = u64::try_from(kinds.len()).unwrap_or(u64::MAX).max(1);
    let bad_every = (total / 9).max(3);
    let mut text = format!("{CSV_HEADER}\n");
    let mut number = 0u64;
    for kind in kinds {
        number = number.saturating_add(1);
        let time = time_of_day(number, total);
        if number.is_multiple_of(bad_every) {
            bad_line(&mut text, &mut random, number, &time);
        }
        // A quarter of the business is done by the few regulars at the start of the list.
        let regulars = (customers.len() / 8).max(1);
        let pool = if random.below(4) == 0 { customers.get(..regulars).unwrap_or(&customers) } else { &customers };
        let Some(customer) = random.one_of(pool) else { continue };
        let amount = amount(&mut random, kind, customer.exponent);
        let (id, word) = match kind {
            Kind::Deposit => (format!("d-{number:05}"), "deposit"),
            Kind::Withdrawal => (format!("w-{number:05}"), "withdrawal"),
            Kind::Payment => (format!("p-{number:05}"), "payment"),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{id},{},{time},{word},{amount},{}", customer.id, customer.currency);
    }
    text
}

struct Customer {
    id: String,
    currency: &'static str,
    exponent: u32,
}

fn customers(random: &mut Random, payments: u64) -> Vec<Customer> {
    let count = (payments / 12).clamp(8, 5_000);
    (1..=count)
        .map(|number| {
            let mut ticket = random.below(100);
            let mut chosen = ("EUR", 2);
            for (code, exponent, share) in CURRENCIES {
                if ticket < share {
                    chosen = (code, exponent);
                    break;
                }
                ticket = ticket.saturating_sub(share);
            }
            Customer { id: format!("{number:04}"), currency: chosen.0, exponent: chosen.1 }
        })
        .collect()
}

/// As many payments as asked, a deposit to every eight and a withdrawal to every twenty, in a drawn order.
fn shuffled_kinds(random: &mut Random, payments: u64) -> Vec<Kind> {
    let repeat = |kind, count: u64| std::iter::repeat_n(kind, usize::try_from(count).unwrap_or(usize::MAX));
    let mut kinds: Vec<Kind> = repeat(Kind::Payment, payments)
        .chain(repeat(Kind::Deposit, payments / 8))
        .chain(repeat(Kind::Withdrawal, payments / 20))
        .collect();
    for last in (1..kinds.len()).rev() {
        let end = u64::try_from(last).unwrap_or(u64::MAX).saturating_add(1);
        let other = usize::try_from(random.below(end)).unwrap_or(0);
        kinds.swap(last, other);
    }
    kinds
}

fn time_of_day(number: u64, total: u64) -> String {
    let seconds = OPENS_AT_S.saturating_add(OPEN_FOR_S.saturating_mul(number.saturating_sub(1)) / total.max(1));
    format!("2026-03-02T{:02}:{:02}:{:02}Z", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

/// Mostly small amounts; deposits are round.
fn amount(random: &mut Random, kind: Kind, exponent: u32) -> String {
    let unit = 10u64.pow(exponent);
    // A yen is worth about a hundredth of the others, so amounts without decimals are larger.
    let scale = if exponent == 0 { 100 } else { 1 };
    let minor = match kind {
        Kind::Deposit => random.between(1, 12).saturating_mul(10).saturating_mul(unit).saturating_mul(scale),
        Kind::Withdrawal => random.between(1, 6).saturating_mul(10).saturating_mul(unit).saturating_mul(scale),
        Kind::Payment => {
            let major_max = if random.below(10) == 0 { 180 } else { 35 };
            random.between(unit.saturating_mul(scale) / 2, major_max * unit * scale).max(1)
        }
    };
    decimal(minor, exponent)
}

fn decimal(minor: u64, exponent: u32) -> String {
    if exponent == 0 {
        return minor.to_string();
    }
    let unit = 10u64.pow(exponent);
    let width = usize::try_from(exponent).unwrap_or(0);
    format!("{}.{:0width$}", minor / unit, minor % unit)
}

/// One line that must be refused, of a kind that `number` decides.
fn bad_line(text: &mut String, random: &mut Random, number: u64, time: &str) {
    let user = random.between(1, 8);
    let line = match random.below(5) {
        0 => format!("x-{number:05},{user:04},{time},payment,0.00,EUR"),
        1 => format!("x-{number:05},{user:04},{time},payment,12.50,XQQ"),
        2 => format!("x-{number:05},{user:04},{time},payment,-4.00,EUR"),
        3 => format!("x-{number:05},{user:04},{time},payment"),
        _ => match text.lines().last() {
            // A till that sent its last line twice.
            Some(last) if last != CSV_HEADER => last.to_owned(),
            _ => format!("x-{number:05},{user:04},{time},payment,0.00,EUR"),
        },
    };
    text.push_str(&line);
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::till::ledger::{Format, Kind as LineKind, Reader, Refusal};

    #[test]
    fn a_day_has_the_payments_asked_for_and_some_lines_to_refuse() {
        for (seed, payments) in [(1, 2_000), (42, 2_000), (7, 50)] {
            let text = csv(Day { seed, payments });
            let mut reader = Reader::new(text.as_bytes(), Format::Csv).unwrap();
            let (mut seen, mut refused, mut duplicates) = (0, 0, 0);
            while let Some(entry) = reader.next_entry().unwrap() {
                match entry.line {
                    Ok(line) => seen += u64::from(line.kind == LineKind::Payment),
                    Err(reason) => {
                        refused += 1;
                        duplicates += u64::from(matches!(reason, Refusal::DuplicateId { .. }));
                    }
                }
            }
            // A duplicate may stand before the line it repeats is counted, never instead of it.
            assert_eq!(seen, payments, "seed {seed}");
            assert!(refused >= 3, "seed {seed}: {refused} refused");
            assert!(duplicates <= refused);
        }
    }

    #[test]
    fn the_same_seed_makes_the_same_day_and_another_seed_another() {
        let day = |seed| csv(Day { seed, payments: 100 });
        assert_eq!(day(5), day(5));
        assert_ne!(day(5), day(6));
    }

    #[test]
    fn decimals_follow_the_currency() {
        assert_eq!(decimal(1_205, 2), "12.05");
        assert_eq!(decimal(1_205, 0), "1205");
        assert_eq!(decimal(1_205, 3), "1.205");
        assert_eq!(decimal(5, 3), "0.005");
    }
}
