//! Standard output: JSON by the line, tables for people, plain text for pipes.
//!
//! One locked, buffered writer; nothing else in the command writes there while it lives. What is buffered reaches the
//! reader on [`Output::flush`] and at the end.

use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::exit::Failure;
use crate::interrupt::Interrupt;

/// Bytes gathered before they are written: one system call for some hundred events.
const BUFFER_BYTES: usize = 64 * 1024;

/// Columns of a terminal, at least: where it is narrower, or says nothing of its width, nothing can be fitted into it.
const COLUMNS_MIN: u16 = 20;

/// The names and values of one thing, or the rows of many, as text.
type Row = Vec<String>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// One JSON document, or one a line.
    Json,
    /// Columns that are parted by tabs, for other programs.
    Plain,
    /// Columns that line up, for people.
    Table,
}

/// Where a verb prints.
#[derive(Debug)]
pub(crate) struct Output {
    style: Style,
    out: BufWriter<StdoutLock<'static>>,
    /// Ends what is printed, if a verb asked for that.
    interrupt: Option<Interrupt>,
}

impl Output {
    /// Standard output; JSON if asked for, else a table on a terminal and plain text elsewhere.
    pub(crate) fn new(json: bool) -> Self {
        let stdout = io::stdout().lock();
        let style = match (json, stdout.is_terminal()) {
            (true, _) => Style::Json,
            (false, true) => Style::Table,
            (false, false) => Style::Plain,
        };
        Self { style, out: BufWriter::with_capacity(BUFFER_BYTES, stdout), interrupt: None }
    }

    /// From now on Ctrl-C ends what is printed between two lines, with exit code 130.
    pub(crate) fn end_at_interrupt(&mut self) -> Result<(), Failure> {
        self.interrupt = Some(Interrupt::catch()?);
        Ok(())
    }

    fn go_on(&self) -> Result<(), Failure> {
        if self.interrupt.as_ref().is_some_and(Interrupt::came) { Err(Failure::interrupted()) } else { Ok(()) }
    }

    /// Whether JSON is asked for.
    pub(crate) fn is_json(&self) -> bool {
        self.style == Style::Json
    }

    /// Where lines go that are made elsewhere.
    pub(crate) fn writer(&mut self) -> &mut dyn Write {
        &mut self.out
    }

    /// Prints a document on a line of its own.
    pub(crate) fn json(&mut self, document: &impl Serialize) -> Result<(), Failure> {
        self.go_on()?;
        serde_json::to_writer(&mut self.out, document).map_err(|error| failed(&error.into()))?;
        self.out.write_all(b"\n").map_err(|error| failed(&error))
    }

    /// Prints rows under a header.
    pub(crate) fn rows(
        &mut self,
        header: &[&str],
        rows: impl Iterator<Item = Result<Row, Failure>>,
    ) -> Result<(), Failure> {
        if self.style == Style::Table {
            let mut table = Table::new();
            table.load_style(presets::UTF8_FULL_CONDENSED).set_header(header.to_vec());
            if table.width().is_some_and(|columns| columns >= COLUMNS_MIN) {
                table.set_content_arrangement(ContentArrangement::Dynamic);
            }
            for row in rows {
                self.go_on()?;
                table.add_row(row?);
            }
            return writeln!(self.out, "{table}").map_err(|error| failed(&error));
        }
        self.line(&header.join("\t"))?;
        for row in rows {
            self.go_on()?;
            self.line(&row?.join("\t"))?;
        }
        Ok(())
    }

    /// Prints the names and values of one thing, a line each.
    pub(crate) fn facts(&mut self, facts: &[(&str, String)]) -> Result<(), Failure> {
        let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, value) in facts {
            match self.style {
                Style::Table => self.line(&format!("{name:width$}  {value}"))?,
                Style::Json | Style::Plain => self.line(&format!("{name}\t{value}"))?,
            }
        }
        Ok(())
    }

    /// Prints a line of text.
    pub(crate) fn line(&mut self, text: &str) -> Result<(), Failure> {
        writeln!(self.out, "{text}").map_err(|error| failed(&error))
    }

    /// Hands everything printed so far to the reader.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.out.flush().map_err(|error| failed(&error))
    }
}

fn failed(error: &io::Error) -> Failure {
    Failure::of_stream("standard output", error)
}
