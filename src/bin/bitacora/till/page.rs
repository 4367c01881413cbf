//! Text for people: headings, lines, and tables whose columns line up. Plain wherever it is not a terminal that shows it.

use std::io::Write;

use bitacora::{Error, Result};
use comfy_table::{CellAlignment, Table, presets};

pub(crate) use crate::tone::{Emphasis, Tone};

/// Where a page is printed.
#[derive(Debug)]
pub(crate) struct Page<W> {
    out: W,
    emphasis: Emphasis,
}

/// How a table's column lines up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    Text,
    Number,
}

impl<W: Write> Page<W> {
    pub(crate) fn new(out: W, emphasis: Emphasis) -> Self {
        Self { out, emphasis }
    }

    /// `text` in a tone.
    pub(crate) fn toned(&self, tone: Tone, text: &str) -> String {
        self.emphasis.toned(tone, text)
    }

    /// A heading, with an empty line before it.
    pub(crate) fn heading(&mut self, text: &str) -> Result<()> {
        let text = self.toned(Tone::Heading, text);
        self.line(&format!("\n{text}"))
    }

    /// A line, shown at once.
    pub(crate) fn line(&mut self, text: &str) -> Result<()> {
        match writeln!(self.out, "{text}").and_then(|()| self.out.flush()) {
            Ok(()) => Ok(()),
            // A reader that went away wants no more.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            Err(error) => Err(Error::from_io("write to standard output", error)),
        }
    }

    /// A table, two spaces in.
    pub(crate) fn table(&mut self, columns: &[(&str, Column)], rows: &[Vec<String>]) -> Result<()> {
        let header: Vec<String> = columns.iter().map(|(name, _)| self.toned(Tone::Aside, name)).collect();
        for line in aligned(columns, &header, rows) {
            self.line(&format!("  {line}"))?;
        }
        Ok(())
    }
}

/// The lines of a table. Escapes take no room, so columns line up with them too.
fn aligned(columns: &[(&str, Column)], header: &[String], rows: &[Vec<String>]) -> Vec<String> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).force_no_tty();
    table.set_header(columns.iter().map(|(name, _)| *name));
    for row in rows {
        table.add_row(row.iter().map(|cell| plain(cell)));
    }
    for (index, (_, column)) in columns.iter().enumerate() {
        if let Some(shown) = table.column_mut(index) {
            shown.set_padding((0, 2));
            if *column == Column::Number {
                shown.set_cell_alignment(CellAlignment::Right);
            }
        }
    }
    // The table is laid out with plain text, and what is toned is put in its place afterwards: each cell's text stands in its
    // line once, after those before it.
    let toned = std::iter::once(header).chain(rows.iter().map(Vec::as_slice));
    table.lines().zip(toned).map(|(line, cells)| retone(line.trim_end(), cells)).collect()
}

fn retone(line: &str, cells: &[String]) -> String {
    let (mut rest, mut text) = (line, String::with_capacity(line.len()));
    for cell in cells {
        let bare = plain(cell);
        if bare == *cell || bare.is_empty() {
            continue;
        }
        if let Some((before, after)) = rest.split_once(bare.as_str()) {
            text.push_str(before);
            text.push_str(cell);
            rest = after;
        }
    }
    text.push_str(rest);
    text
}

/// `text` without the escapes of [`Page::toned`].
fn plain(text: &str) -> String {
    let mut bare = String::with_capacity(text.len());
    let mut is_escape = false;
    for character in text.chars() {
        match (is_escape, character) {
            (false, '\u{1b}') => is_escape = true,
            (false, other) => bare.push(other),
            (true, 'm') => is_escape = false,
            (true, _) => {}
        }
    }
    bare
}

/// A count with its thousands apart.
pub(crate) fn count(number: impl Into<i128>) -> String {
    let number: i128 = number.into();
    let digits = number.unsigned_abs().to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if number < 0 { format!("-{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(emphasis: Emphasis) -> String {
        let mut out = Vec::new();
        let mut page = Page::new(&mut out, emphasis);
        page.heading("Checks").unwrap();
        let good = page.toned(Tone::Good, "ok");
        let rows = [
            vec!["lost".to_owned(), "0".to_owned(), good.clone()],
            vec!["charged twice".to_owned(), "12".to_owned(), good],
        ];
        page.table(&[("check", Column::Text), ("found", Column::Number), ("", Column::Text)], &rows).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn plain_text_has_no_control_characters_and_its_columns_line_up() {
        let text = page(Emphasis::Plain);
        assert!(text.chars().all(|character| character == '\n' || !character.is_control()), "{text:?}");
        assert_eq!(text, "\nChecks\n  check          found\n  lost               0  ok\n  charged twice     12  ok\n");
    }

    #[test]
    fn emphasis_changes_no_column() {
        let shown = page(Emphasis::Shown);
        assert_ne!(shown, page(Emphasis::Plain));
        assert_eq!(plain(&shown), page(Emphasis::Plain));
    }

    #[test]
    fn thousands_stand_apart() {
        assert_eq!([0, 12, 999, 1_000, 1_234_567].map(count), ["0", "12", "999", "1,000", "1,234,567"]);
        assert_eq!(count(-1_000), "-1,000");
    }
}
