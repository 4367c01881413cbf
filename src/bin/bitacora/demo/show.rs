//! What the demonstration shows: each kill with its recovery, the checks, and where to look next.

use std::io::Write;
use std::path::{Path, PathBuf};

use bitacora::Result;

use super::Kill;
use super::check::Finding;
use crate::ending::quoted;
use crate::till::page::{Column, Page, Tone, count};

/// The columns of the kills, which are printed as they happen, so their widths are fixed.
const KILLS: [(&str, usize); 9] = [
    ("kill", 4),
    ("acknowledged", 12),
    ("events", 9),
    ("replayed", 8),
    ("in doubt", 8),
    ("resumed", 7),
    ("completed", 9),
    ("compensated", 11),
    ("ready in", 9),
];

pub(crate) fn kills_header<W: Write>(page: &mut Page<W>) -> Result<()> {
    let names: Vec<String> = KILLS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let header = page.toned(Tone::Aside, &row(&names));
    page.line(&header)
}

pub(crate) fn kill<W: Write>(page: &mut Page<W>, number: usize, kill: &Kill) -> Result<()> {
    let recovered = &kill.recovery;
    page.line(&row(&[
        number.to_string(),
        count(kill.acknowledged),
        count(recovered.events),
        count(recovered.events_replayed),
        count(recovered.in_doubt),
        count(recovered.resumed.saturating_add(recovered.undoing)),
        count(recovered.completed),
        count(recovered.compensated),
        format!("{} ms", count(recovered.ready_ms)),
    ]))?;
    recovered.findings.iter().try_for_each(|finding| page.line(&format!("  found: {finding}")))
}

fn row(cells: &[String]) -> String {
    let cells: Vec<_> = cells.iter().zip(KILLS).map(|(cell, (_, width))| format!("{cell:>width$}")).collect();
    format!("  {}", cells.join("  "))
}

pub(crate) fn checks<W: Write>(page: &mut Page<W>, findings: &[Finding]) -> Result<()> {
    page.heading("What must not have happened")?;
    let rows: Vec<_> = findings
        .iter()
        .map(|finding| {
            let verdict = match finding.found {
                0 => page.toned(Tone::Good, "ok"),
                _ => page.toned(Tone::Bad, "WRONG"),
            };
            vec![finding.check.to_owned(), count(finding.of), count(finding.found), verdict]
        })
        .collect();
    let columns =
        [("check", Column::Text), ("looked at", Column::Number), ("found", Column::Number), ("", Column::Text)];
    page.table(&columns, &rows)?;
    for finding in findings.iter().filter(|finding| finding.found > 0) {
        page.heading(&format!("Wrong: {}", finding.check))?;
        for example in &finding.examples {
            page.line(&format!("  {example}"))?;
        }
    }
    Ok(())
}

/// Where the store lies, and what to try on it.
pub(crate) struct Ending<'a> {
    pub(crate) store: &'a Path,
    pub(crate) gateway: &'a Path,
    pub(crate) user_id: &'a str,
    /// Nothing was wrong.
    pub(crate) is_well: bool,
    pub(crate) elapsed_ms: u64,
}

pub(crate) fn ending<W: Write>(page: &mut Page<W>, ending: &Ending<'_>) -> Result<()> {
    let Ending { store, gateway, user_id, is_well, elapsed_ms } = ending;
    let seconds = format!("{}.{} s", elapsed_ms / 1_000, elapsed_ms / 100 % 10);
    let verdict = if *is_well {
        page.toned(Tone::Good, &format!("Every cent is there, after {seconds}."))
    } else {
        page.toned(Tone::Bad, &format!("Something is wrong, see above. It took {seconds}."))
    };
    page.line("")?;
    page.line(&verdict)?;
    page.heading("Look for yourself")?;
    page.line(&format!("  store    {}", store.display()))?;
    page.line(&format!("  gateway  {}", gateway.display()))?;
    page.line("")?;
    let program = quoted(std::env::args_os().next().map_or_else(|| PathBuf::from("bitacora"), PathBuf::from));
    let dir = quoted(store);
    page.line(&format!("  {program} verify {dir}"))?;
    page.line(&format!("  {program} wallet {dir} {}", quoted(Path::new(user_id))))?;
    page.line(&format!("  {program} events {dir} --reverse --limit 5"))
}

#[cfg(test)]
mod tests {
    use super::super::recovery::Recovery;
    use super::*;
    use crate::till::page::Emphasis;

    fn shown(print: impl FnOnce(&mut Page<&mut Vec<u8>>)) -> String {
        let mut out = Vec::new();
        print(&mut Page::new(&mut out, Emphasis::Plain));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn kills_line_up_under_their_header() {
        let text = shown(|page| {
            kills_header(page).unwrap();
            for acknowledged in [3, 1_234] {
                let recovery = Recovery { events: 10_000, ready_ms: 41, ..Recovery::default() };
                kill(page, 1, &Kill { acknowledged, recovery }).unwrap();
            }
        });
        let widths: Vec<_> = text.lines().map(str::len).collect();
        assert!(widths.windows(2).all(|pair| pair[0] == pair[1]), "{text}");
        assert!(text.contains("1,234     10,000"), "{text}");
    }

    #[test]
    fn what_is_wrong_is_named_with_examples() {
        let finding = |found| Finding {
            check: "double charges",
            found,
            of: 9,
            examples: if found > 0 { vec!["payment p-1".to_owned()] } else { Vec::new() },
        };
        let good = shown(|page| checks(page, &[finding(0)]).unwrap());
        assert!(good.contains("ok") && !good.contains("WRONG"), "{good}");
        let bad = shown(|page| checks(page, &[finding(2)]).unwrap());
        assert!(bad.contains("WRONG") && bad.contains("payment p-1"), "{bad}");
    }
}
