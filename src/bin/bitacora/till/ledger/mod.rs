//! Ledgers of real business, read line by line.
//!
//! A line's number is its physical one: the header is line 1, and lines are ended by LF or CRLF. Parsing a line is pure;
//! reading holds one line in memory, and beside it the ids that were used, which is what it takes to know a second one.

mod cdnow;
mod csv;

use std::collections::HashMap;
use std::fmt;
use std::io::BufRead;

use bitacora::money::{Currency, Money, parse_decimal};
use bitacora::{Error, ErrorKind};

pub(crate) use csv::HEADER as CSV_HEADER;

/// A line, bytes: longer ones are refused without being held.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// One field, bytes: a user id, a line id and the name of the ledger stand in one idempotency key, which has room for 255.
pub(crate) const FIELD_BYTES_MAX: usize = 96;

/// How a ledger is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// `id,user_id,timestamp,kind,amount,currency`
    Csv,
    /// The CDNOW master file: `customer date count dollars`
    Cdnow,
}

/// What a line does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Deposit,
    Withdrawal,
    Payment,
}

/// A line that can be booked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LedgerLine {
    pub(crate) number: u64,
    pub(crate) id: String,
    pub(crate) user_id: String,
    /// When it happened, in the ledger's words. Never drives a decision.
    pub(crate) occurred_at: String,
    pub(crate) kind: Kind,
    /// More than zero.
    pub(crate) amount: Money,
}

/// Why a line cannot be booked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Malformed(String),
    ZeroAmount,
    NegativeAmount,
    UnknownCurrency(String),
    DuplicateId { id: String, first_line: u64 },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(why) => write!(f, "malformed: {why}"),
            Self::ZeroAmount => f.write_str("zero amount"),
            Self::NegativeAmount => f.write_str("negative amount"),
            Self::UnknownCurrency(code) => write!(f, "unknown currency {code:?}"),
            Self::DuplicateId { id, first_line } => write!(f, "duplicate id {id:?}, used by line {first_line}"),
        }
    }
}

/// One physical line after the header.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) number: u64,
    /// Its bytes in the file, with its end.
    pub(crate) bytes: u64,
    pub(crate) line: Result<LedgerLine, Refusal>,
}

/// Reads a ledger's lines in order.
#[derive(Debug)]
pub(crate) struct Reader<R> {
    source: R,
    format: Format,
    /// The number of the last line read.
    number: u64,
    /// Ids and the line that used each. Line numbers are ids in a CDNOW file, so nothing needs to be remembered there.
    used: HashMap<Box<str>, u64>,
    buffer: Vec<u8>,
    /// Blank lines that were read and not yet told: at the very end of a file they are no lines.
    blank: u64,
    next: Option<Entry>,
}

impl<R: BufRead> Reader<R> {
    /// A reader that has checked the header.
    ///
    /// # Errors
    /// `InvalidInput`: no header of this format. `Io`: the source cannot be read.
    pub(crate) fn new(source: R, format: Format) -> Result<Self, Error> {
        let mut reader =
            Self { source, format, number: 0, used: HashMap::new(), buffer: Vec::new(), blank: 0, next: None };
        if reader.fill()?.is_none() {
            return Err(Error::new(ErrorKind::InvalidInput, "the ledger is empty: it must start with a header"));
        }
        let header = String::from_utf8_lossy(&reader.buffer);
        let header = header.trim_start_matches('\u{feff}').trim();
        let is_header = match format {
            Format::Csv => header == csv::HEADER,
            Format::Cdnow => header.starts_with(|first: char| first.is_alphabetic()),
        };
        if !is_header {
            let wanted = match format {
                Format::Csv => csv::HEADER,
                Format::Cdnow => "customer date count dollars",
            };
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!("line 1 of the ledger must be the header {wanted:?}"),
            ));
        }
        Ok(reader)
    }

    /// The next line; `None` at the end.
    ///
    /// # Errors
    /// `Io`: the source cannot be read.
    pub(crate) fn next_entry(&mut self) -> Result<Option<Entry>, Error> {
        loop {
            if self.next.is_some() {
                if self.blank > 0 {
                    return Ok(Some(self.take_blank()));
                }
                return Ok(self.next.take());
            }
            let Some(bytes) = self.fill()? else {
                return Ok(None);
            };
            if self.buffer.iter().all(u8::is_ascii_whitespace) {
                self.blank = self.blank.saturating_add(1);
                continue;
            }
            let line = self.parse();
            self.next = Some(Entry { number: self.number, bytes, line });
        }
    }

    fn take_blank(&mut self) -> Entry {
        // The blank lines stand right before the line that is kept in `next`, which is the last one read.
        let number = self.number.saturating_sub(self.blank);
        self.blank = self.blank.saturating_sub(1);
        Entry { number, bytes: 1, line: Err(Refusal::Malformed("an empty line".to_owned())) }
    }

    fn parse(&mut self) -> Result<LedgerLine, Refusal> {
        if self.buffer.len() > LINE_BYTES_MAX {
            return Err(Refusal::Malformed(format!("more than {LINE_BYTES_MAX} bytes")));
        }
        let text = std::str::from_utf8(&self.buffer).map_err(|_| Refusal::Malformed("not UTF-8".to_owned()))?;
        let line = parse_line(self.format, self.number, text)?;
        if self.format == Format::Csv {
            match self.used.get(line.id.as_str()) {
                Some(first_line) => return Err(Refusal::DuplicateId { id: line.id, first_line: *first_line }),
                None => self.used.insert(line.id.as_str().into(), self.number),
            };
        }
        Ok(line)
    }

    /// Reads one line into the buffer, without its end and at most one byte more than a line may have. Returns the bytes it
    /// has in the file; `None` at the end.
    fn fill(&mut self) -> Result<Option<u64>, Error> {
        self.buffer.clear();
        let mut bytes = 0u64;
        loop {
            let chunk = self.source.fill_buf().map_err(|error| Error::from_io("read the ledger", error))?;
            if chunk.is_empty() {
                break;
            }
            let (part, is_end) = match chunk.iter().position(|byte| *byte == b'\n') {
                Some(at) => (chunk.get(..at).unwrap_or_default(), true),
                None => (chunk, false),
            };
            let room = LINE_BYTES_MAX.saturating_add(1).saturating_sub(self.buffer.len());
            self.buffer.extend_from_slice(part.get(..room).unwrap_or(part));
            let used = part.len().saturating_add(usize::from(is_end));
            self.source.consume(used);
            bytes = bytes.saturating_add(u64::try_from(used).unwrap_or(u64::MAX));
            if is_end {
                break;
            }
        }
        if bytes == 0 {
            return Ok(None);
        }
        if self.buffer.last() == Some(&b'\r') {
            self.buffer.pop();
        }
        self.number = self.number.saturating_add(1);
        Ok(Some(bytes))
    }
}

/// What one line says, without its end.
pub(crate) fn parse_line(format: Format, number: u64, text: &str) -> Result<LedgerLine, Refusal> {
    match format {
        Format::Csv => csv::parse_line(number, text),
        Format::Cdnow => cdnow::parse_line(number, text),
    }
}

/// An id that can be part of a stream's name and of an idempotency key.
fn checked_id(what: &str, id: &str) -> Result<String, Refusal> {
    if id.is_empty() {
        return Err(Refusal::Malformed(format!("the {what} is empty")));
    }
    if id.len() > FIELD_BYTES_MAX {
        return Err(Refusal::Malformed(format!("the {what} has more than {FIELD_BYTES_MAX} bytes")));
    }
    if id.chars().any(char::is_control) {
        return Err(Refusal::Malformed(format!("the {what} has control characters")));
    }
    Ok(id.to_owned())
}

/// A decimal amount as money: more than zero, and no finer than its currency.
fn amount(text: &str, currency: Currency) -> Result<Money, Refusal> {
    let minor = parse_decimal(text, currency)
        .map_err(|_| Refusal::Malformed(format!("{text:?} is no amount of {currency}")))?;
    match minor {
        0 => Err(Refusal::ZeroAmount),
        ..0 => Err(Refusal::NegativeAmount),
        1.. => Ok(Money::new(minor, currency)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(format: Format, text: &[u8]) -> Vec<Entry> {
        // A tiny buffer, so that lines straddle its edges.
        let source = std::io::BufReader::with_capacity(7, text);
        let mut reader = Reader::new(source, format).unwrap();
        let mut entries = Vec::new();
        while let Some(entry) = reader.next_entry().unwrap() {
            entries.push(entry);
        }
        entries
    }

    #[test]
    fn both_line_ends_give_the_same_lines() {
        let unix = format!("{HEADER}\na,u,t,deposit,5.00,EUR\nb,u,t,payment,1.00,EUR", HEADER = csv::HEADER);
        let dos = unix.replace('\n', "\r\n");
        let lines = |text: &str| -> Vec<_> {
            read(Format::Csv, text.as_bytes()).into_iter().map(|entry| entry.line.unwrap()).collect()
        };
        assert_eq!(lines(&unix).len(), 2);
        assert_eq!(lines(&unix), lines(&dos));
        assert_eq!(lines(&unix)[0].number, 2);
    }

    #[test]
    fn a_second_line_with_a_used_id_is_refused_and_one_after_a_refused_line_is_not() {
        let text = format!("{}\na,u,t,payment,0.00,EUR\na,u,t,payment,1.00,EUR\na,v,t,deposit,2.00,EUR\n", csv::HEADER);
        let entries = read(Format::Csv, text.as_bytes());
        assert_eq!(entries[0].line, Err(Refusal::ZeroAmount));
        assert!(entries[1].line.is_ok());
        assert_eq!(entries[2].line, Err(Refusal::DuplicateId { id: "a".to_owned(), first_line: 3 }));
    }

    #[test]
    fn blank_lines_are_refused_by_number_but_not_at_the_very_end() {
        let text = format!("{}\n\n \r\na,u,t,deposit,5.00,EUR\n\n\n", csv::HEADER);
        let entries = read(Format::Csv, text.as_bytes());
        let numbers: Vec<_> = entries.iter().map(|entry| (entry.number, entry.line.is_ok())).collect();
        assert_eq!(numbers, [(2, false), (3, false), (4, true)]);
    }

    #[test]
    fn a_line_that_is_too_long_or_no_text_is_refused_and_the_next_one_is_read() {
        let mut text = format!("{}\n", csv::HEADER).into_bytes();
        text.extend(std::iter::repeat_n(b'x', LINE_BYTES_MAX + 10));
        text.extend(b"\n\xff\xfe\na,u,t,deposit,5.00,EUR\n");
        let entries = read(Format::Csv, &text);
        assert!(matches!(entries[0].line, Err(Refusal::Malformed(_))));
        assert!(matches!(entries[1].line, Err(Refusal::Malformed(_))));
        assert_eq!(entries[2].line.as_ref().unwrap().number, 4);
    }

    #[test]
    fn a_missing_header_is_bad_input() {
        for (format, text) in
            [(Format::Csv, "a,u,t,deposit,5.00,EUR\n"), (Format::Cdnow, " 00001 19970101 1 11.77\n"), (Format::Csv, "")]
        {
            let error = Reader::new(text.as_bytes(), format).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
        }
    }

    #[test]
    fn bytes_add_up_to_the_file() {
        let text = "customer date count dollars\r\n 00001 19970101 1 11.77\r\n 00002 19970101 1 0.00\r\n";
        let entries = read(Format::Cdnow, text.as_bytes());
        let header = 29;
        assert_eq!(entries.iter().map(|entry| entry.bytes).sum::<u64>() + header, text.len() as u64);
    }
}
