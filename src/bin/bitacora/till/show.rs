//! The summary, for people.

use std::collections::BTreeSet;
use std::io::Write;

use bitacora::Result;
use bitacora::money::{Currency, Money};

use super::page::{Column, Page, Tone, count};
use super::summary::{LineReason, Summary};

/// Refused lines that are named; all are with `--json`.
const NAMED_MAX: usize = 12;

/// Prints the summary of a ledger.
///
/// # Errors
/// `Io`: standard output cannot be written.
pub(crate) fn summary<W: Write>(page: &mut Page<W>, ledger: &str, summary: &Summary) -> Result<()> {
    page.heading(&format!("Ledger {ledger}: {} lines", count(summary.lines)))?;
    let seconds = format!("{}.{:03} s", summary.elapsed_ms / 1_000, summary.elapsed_ms % 1_000);
    let rate = count(summary.events_per_second);
    page.line(&format!("this run took {seconds}, {rate} events a second"))?;
    page.line("")?;
    let refused = u64::try_from(summary.refused.len()).unwrap_or(u64::MAX);
    let pending = u64::try_from(summary.pending.len()).unwrap_or(u64::MAX);
    let mut rows = vec![
        ("payments completed", summary.completed),
        ("payments compensated", summary.compensated),
        ("payments rejected", summary.rejected),
        ("deposits", summary.deposits),
        ("withdrawals", summary.withdrawals),
        ("lines refused", refused),
    ];
    if pending > 0 {
        rows.push(("lines without an outcome", pending));
    }
    rows.push(("top-ups, not lines of the ledger", summary.top_ups));
    let rows: Vec<_> = rows.into_iter().map(|(name, number)| vec![name.to_owned(), count(number)]).collect();
    page.table(&[("outcome", Column::Text), ("count", Column::Number)], &rows)?;
    money(page, summary)?;
    named(page, "Refused", &summary.refused)?;
    named(page, "Without an outcome", &summary.pending)
}

fn money<W: Write>(page: &mut Page<W>, summary: &Summary) -> Result<()> {
    let all = [&summary.captured, &summary.charged, &summary.balances];
    let codes: BTreeSet<&String> = all.iter().flat_map(|sums| sums.0.keys()).collect();
    if codes.is_empty() {
        return Ok(());
    }
    page.line("")?;
    let rows: Vec<_> = codes
        .into_iter()
        .map(|code| {
            let amounts = all.map(|sums| amount(code, sums.0.get(code).copied().unwrap_or(0)));
            std::iter::once(code.clone()).chain(amounts).collect()
        })
        .collect();
    let columns = [
        ("money", Column::Text),
        ("from wallets", Column::Number),
        ("from cards", Column::Number),
        ("left in wallets", Column::Number),
    ];
    page.table(&columns, &rows)
}

/// Minor units as a decimal number of major ones, without the currency's name.
pub(crate) fn amount(code: &str, minor: i64) -> String {
    match Currency::from_code(code) {
        Some(currency) => {
            let text = Money::new(minor, currency).to_string();
            text.split(' ').next().unwrap_or_default().to_owned()
        }
        None => minor.to_string(),
    }
}

fn named<W: Write>(page: &mut Page<W>, title: &str, lines: &[LineReason]) -> Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    page.heading(title)?;
    let rows: Vec<_> =
        lines.iter().take(NAMED_MAX).map(|named| vec![named.line.to_string(), named.reason.clone()]).collect();
    page.table(&[("line", Column::Number), ("reason", Column::Text)], &rows)?;
    let more = lines.len().saturating_sub(NAMED_MAX);
    if more > 0 {
        let more = page.toned(Tone::Aside, &format!("  and {more} more; --json names them all"));
        page.line(&more)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::page::Emphasis;
    use super::super::summary::Sums;
    use super::*;

    #[test]
    fn amounts_are_shown_in_major_units_and_long_lists_are_cut() {
        let mut told = Summary {
            lines: 20,
            captured: Sums([("EUR".to_owned(), 123_456), ("JPY".to_owned(), 500)].into()),
            refused: (0..20).map(|line| LineReason { line, reason: "zero amount".to_owned() }).collect(),
            ..Summary::default()
        };
        told.finish(std::time::Duration::from_millis(1_500), 3_000);
        let mut out = Vec::new();
        summary(&mut Page::new(&mut out, Emphasis::Plain), "day", &told).unwrap();
        let text = String::from_utf8(out).unwrap();
        for part in ["1.500 s, 2,000 events", "EUR         1234.56", "JPY             500", "and 8 more"] {
            assert!(text.contains(part), "{part:?} is not in\n{text}");
        }
        assert!(text.lines().all(|line| line == line.trim_end()), "{text}");
    }
}
