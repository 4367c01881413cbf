//! Reading the lines of an export, numbered from 1.

use std::io::{BufRead, Read};

use super::line::{self, Header, Line, Trailer, VERSION};
use crate::error::{Error, ErrorKind, Result};

/// A line's bytes. The largest commit, where every byte of it is escaped in the worst way, with its events' names.
const LINE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// The lines of an input.
pub(super) struct Lines<'a> {
    input: &'a mut dyn BufRead,
    line: Vec<u8>,
    number: u64,
}

/// What a line behind the first one is.
pub(super) enum Next {
    Commit(super::line::Taken),
    End(Trailer),
}

impl<'a> Lines<'a> {
    pub(super) fn new(input: &'a mut dyn BufRead) -> Self {
        Self { input, line: Vec::new(), number: 0 }
    }

    /// The number of the line that was read last.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// The error, with the place of the line that was read last.
    pub(super) fn at(&self, error: Error) -> Error {
        error.context(format!("line {}", self.number))
    }

    /// Reads a line; whether there was one.
    fn read(&mut self) -> Result<bool> {
        self.line.clear();
        let mut bounded = (&mut *self.input).take(LINE_BYTES_MAX + 1);
        let read =
            bounded.read_until(b'\n', &mut self.line).map_err(|source| Error::from_io("read the export", source))?;
        self.number += 1;
        if crate::format::frame::to_u64(read) > LINE_BYTES_MAX {
            return Err(self.at(line::invalid(&format!("it has more than {LINE_BYTES_MAX} bytes"))));
        }
        Ok(read > 0)
    }

    fn parse(&self) -> Result<Line<'_>> {
        if self.line.last() != Some(&b'\n') {
            return Err(line::invalid("it has no end: the file was cut"));
        }
        serde_json::from_slice(&self.line).map_err(|error| line::invalid(&without_line(&error)))
    }

    /// The first line.
    ///
    /// # Errors
    /// `InvalidInput`: it is no export. `UnsupportedFormat`: it is one of a newer version. `Io`.
    pub(super) fn header(&mut self) -> Result<Header> {
        if !self.read()? {
            return Err(line::invalid("there is no line at all"));
        }
        let header = match self.parse().map_err(|error| self.at(error))? {
            Line::Export(header) => header,
            _ => return Err(self.at(line::invalid("it is not the first line of an export"))),
        };
        if header.version != VERSION {
            let text = format!("the export has version {}, this program knows {VERSION}", header.version);
            return Err(self.at(Error::new(ErrorKind::UnsupportedFormat, text)));
        }
        let is_range = header.first_sequence.get() > 0 && header.last_sequence >= header.first_sequence.previous();
        if !is_range {
            return Err(self.at(line::invalid("its sequences are no range")));
        }
        Ok(header)
    }

    /// The next line.
    ///
    /// # Errors
    /// `InvalidInput`: it is none of an export, or there is none though there must be. `Io`.
    pub(super) fn next(&mut self) -> Result<Next> {
        if !self.read()? {
            return Err(self.at(line::invalid("there is no such line, and the last was not read: the file was cut")));
        }
        let next = self.parse().and_then(|line| match line {
            Line::Commit(commit) => commit.take().map(Next::Commit),
            Line::End(trailer) => Ok(Next::End(trailer)),
            Line::Export(_) => Err(line::invalid("another export begins here")),
        });
        next.map_err(|error| self.at(error))
    }

    /// That nothing follows.
    ///
    /// # Errors
    /// `InvalidInput`: something does. `Io`.
    pub(super) fn end(&mut self) -> Result<()> {
        if self.read()? { Err(self.at(line::invalid("it stands behind the last line"))) } else { Ok(()) }
    }
}

/// The parser's text without its line number, which is always 1 and not the input's.
fn without_line(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    match text.strip_suffix(&place) {
        Some(text) => format!("{text}, column {}", error.column()),
        None => text,
    }
}
