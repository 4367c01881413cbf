//! The text a gateway's journal is made of, and the money in it.
//!
//! One line an entry, fields apart by tabs: checksum (CRC-32 of the rest of the line, 8 hex digits), number (from 1, without
//! gaps), what was called, its key, the key it is about, amount in minor units, currency, effect, answer, reason. Missing fields
//! are `-`. The first line, number 0, names the format.
//!
//! The end of the file may be torn: what follows the last valid line was never answered on. An invalid line *before* a valid
//! one is damage.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::gateway::GatewayCommand;
use super::gateway_ledger::{Effect, Entry};
use crate::error::{Corruption, Error, ErrorKind, Result};
use crate::money::{Currency, Money};

/// The journal's file in a gateway's folder.
pub(crate) const JOURNAL_FILE: &str = "journal";

const FORMAT: &str = "bitacora-gateway-1";
const QUERY: &str = "query";
const NOTHING: &str = "-";

/// What a gateway did for one payment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Charge {
    /// Of all its amounts.
    pub currency: Option<Currency>,
    /// Authorised, minor units.
    pub authorised: i64,
    /// Captured, minor units.
    pub captured: i64,
    /// Voided of what was authorised, minor units.
    pub voided: i64,
    /// Refunded of what was captured, minor units.
    pub refunded: i64,
    /// Settled of what was captured, minor units.
    pub settled: i64,
    /// How often an authorisation took effect.
    pub authorisations: u32,
    /// How often a capture took effect.
    pub captures: u32,
    /// How often a void took effect.
    pub voids: u32,
    /// How often a refund took effect.
    pub refunds: u32,
    /// How often a settlement took effect.
    pub settlements: u32,
    /// How often a command was refused for good.
    pub declines: u32,
}

impl Charge {
    /// What the customer paid in the end, minor units.
    #[must_use]
    pub const fn net(&self) -> i64 {
        self.captured.saturating_sub(self.refunded)
    }

    /// What is locked on the card and neither captured nor let go, minor units.
    #[must_use]
    pub const fn open(&self) -> i64 {
        self.authorised.saturating_sub(self.captured).saturating_sub(self.voided)
    }

    /// Whether anything was done to a card twice that may be done once.
    #[must_use]
    pub const fn is_double(&self) -> bool {
        self.authorisations > 1 || self.captures > 1 || self.refunds > 1 || self.settlements > 1
    }
}

/// The money in a gateway's journal, added up from its lines alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Journal {
    /// By payment id: what stands before the last `/` of the authorisation's key.
    pub charges: BTreeMap<String, Charge>,
    /// Calls in it.
    pub calls: u64,
    /// Calls that were left without an answer.
    pub timeouts: u64,
    /// Bytes after the last valid line.
    pub torn_bytes: u64,
}

impl Journal {
    /// Reads the journal in a gateway's folder; the gateway may be running. A torn last line is passed over.
    ///
    /// # Errors
    /// `NotFound`: there is no journal. `Corrupt`: an invalid line before a valid one. `Io`.
    pub fn read(folder: impl AsRef<Path>) -> Result<Self> {
        let path = folder.as_ref().join(JOURNAL_FILE);
        let bytes = std::fs::read(&path).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => {
                Error::new(ErrorKind::NotFound, format!("there is no gateway journal {}", path.display()))
            }
            _ => Error::from_io(format!("read {}", path.display()), source),
        })?;
        Scan::of(&bytes).map(|scan| Self::of(&scan))
    }

    pub(crate) fn of(scan: &Scan) -> Self {
        let mut journal = Self { torn_bytes: scan.torn_bytes, ..Self::default() };
        // By capture key, the authorisation's key: refunds and settlements name the capture alone.
        let mut captures: HashMap<&str, &str> = HashMap::new();
        for entry in &scan.entries {
            journal.calls += 1;
            journal.timeouts += u64::from(entry.timed_out);
            let Some(command) = entry.command else { continue };
            let authorise_key = match command {
                GatewayCommand::Authorise => entry.key.as_str(),
                GatewayCommand::Void => entry.target.as_str(),
                GatewayCommand::Capture => {
                    captures.insert(&entry.key, &entry.target);
                    entry.target.as_str()
                }
                GatewayCommand::Refund | GatewayCommand::Settle => {
                    captures.get(entry.target.as_str()).copied().unwrap_or(entry.target.as_str())
                }
            };
            let payment_id = authorise_key.rsplit_once('/').map_or(authorise_key, |(payment_id, _)| payment_id);
            journal.charges.entry(payment_id.to_owned()).or_default().add(command, entry);
        }
        journal
    }
}

impl Charge {
    fn add(&mut self, command: GatewayCommand, entry: &Entry) {
        match entry.effect {
            Effect::Nothing => return,
            Effect::Declined(_) => {
                self.declines += 1;
                return;
            }
            Effect::Acted => {}
        }
        self.currency = self.currency.or(entry.amount.map(|amount| amount.currency));
        let amount = entry.amount.map_or(0, |amount| amount.minor);
        let (total, count, amount) = match command {
            GatewayCommand::Authorise => (&mut self.authorised, &mut self.authorisations, amount),
            GatewayCommand::Capture => (&mut self.captured, &mut self.captures, amount),
            GatewayCommand::Refund => (&mut self.refunded, &mut self.refunds, amount),
            GatewayCommand::Settle => (&mut self.settled, &mut self.settlements, amount),
            // A void lets go whatever is there.
            GatewayCommand::Void => {
                let rest = self.authorised - self.captured - self.voided;
                (&mut self.voided, &mut self.voids, rest.max(0))
            }
        };
        *total = total.saturating_add(amount);
        *count += 1;
    }
}

/// What stands in a journal.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    pub(crate) entries: Vec<Entry>,
    /// Whether the first line is there.
    pub(crate) has_header: bool,
    pub(crate) valid_bytes: u64,
    pub(crate) torn_bytes: u64,
}

impl Scan {
    /// Reads every valid line.
    ///
    /// # Errors
    /// `Corrupt`: an invalid line before a valid one. `UnsupportedFormat`: another format.
    pub(crate) fn of(bytes: &[u8]) -> Result<Self> {
        let mut scan = Self::default();
        let mut invalid_at: Option<usize> = None;
        let mut offset = 0;
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let content = checked_content(line);
            match (content, invalid_at) {
                (Some(content), None) => {
                    scan.take(content, offset)?;
                    scan.valid_bytes = length(offset + line.len());
                }
                (None, None) => invalid_at = Some(offset),
                (Some(_), Some(invalid_at)) => return Err(damage(invalid_at, "a line with its checksum")),
                (None, Some(_)) => {}
            }
            offset += line.len();
        }
        scan.torn_bytes = length(bytes.len()) - scan.valid_bytes;
        Ok(scan)
    }

    /// The number of the next line.
    pub(crate) fn next_number(&self) -> u64 {
        length(self.entries.len()) + u64::from(self.has_header)
    }

    fn take(&mut self, content: &str, offset: usize) -> Result<()> {
        let Some((number, rest)) = content.split_once('\t') else { return Err(damage(offset, "a number")) };
        if number.parse() != Ok(self.next_number()) {
            return Err(damage(offset, "the next number"));
        }
        if !self.has_header {
            if rest != FORMAT {
                return Err(Error::new(ErrorKind::UnsupportedFormat, format!("a gateway journal of format {rest:?}")));
            }
            self.has_header = true;
            return Ok(());
        }
        self.entries.push(parse_entry(rest).ok_or_else(|| damage(offset, "an entry"))?);
        Ok(())
    }
}

/// The first line of a journal.
pub(crate) fn header_line() -> String {
    with_checksum(&format!("0\t{FORMAT}"))
}

/// The line of an entry.
pub(crate) fn entry_line(number: u64, entry: &Entry) -> String {
    let what = entry.command.map_or(QUERY, GatewayCommand::as_str);
    let (minor, currency) = match entry.amount {
        Some(amount) => (amount.minor.to_string(), amount.currency.code().to_owned()),
        None => (NOTHING.to_owned(), NOTHING.to_owned()),
    };
    let (effect, reason) = match &entry.effect {
        Effect::Acted => ("acted", NOTHING.to_owned()),
        Effect::Declined(reason) => ("declined", escape(reason)),
        Effect::Nothing => ("nothing", NOTHING.to_owned()),
    };
    let answer = if entry.timed_out { "unknown" } else { "answered" };
    let (key, target) = (escape(&entry.key), escape(&entry.target));
    with_checksum(&format!("{number}\t{what}\t{key}\t{target}\t{minor}\t{currency}\t{effect}\t{answer}\t{reason}"))
}

fn parse_entry(text: &str) -> Option<Entry> {
    let mut fields = text.split('\t');
    let mut next = || fields.next();
    let command = match next()? {
        QUERY => None,
        name => Some(GatewayCommand::ALL.into_iter().find(|command| command.as_str() == name)?),
    };
    let key = unescape(next()?);
    let target = unescape(next()?);
    let amount = match (next()?, next()?) {
        (NOTHING, NOTHING) => None,
        (minor, currency) => Some(Money::new(minor.parse().ok()?, Currency::from_code(currency)?)),
    };
    let effect = next()?;
    let timed_out = match next()? {
        "unknown" => true,
        "answered" => false,
        _ => return None,
    };
    let reason = next()?;
    let effect = match effect {
        "acted" => Effect::Acted,
        "declined" => Effect::Declined(unescape(reason)),
        "nothing" => Effect::Nothing,
        _ => return None,
    };
    next().is_none().then_some(Entry { command, key, target, amount, effect, timed_out })
}

fn with_checksum(content: &str) -> String {
    format!("{:08x}\t{content}\n", crc32fast::hash(content.as_bytes()))
}

/// What a line says, if it is whole.
fn checked_content(line: &[u8]) -> Option<&str> {
    let line = std::str::from_utf8(line.strip_suffix(b"\n")?).ok()?;
    let (checksum, content) = line.split_once('\t')?;
    let checksum = u32::from_str_radix(checksum, 16).ok()?;
    (checksum == crc32fast::hash(content.as_bytes())).then_some(content)
}

/// Keys may hold anything; a field may hold neither tab nor line end.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\t' => escaped.push_str("\\t"),
            '\n' => escaped.push_str("\\n"),
            '\\' => escaped.push_str("\\\\"),
            other => escaped.push(other),
        }
    }
    escaped
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            plain.push(character);
            continue;
        }
        match characters.next() {
            Some('t') => plain.push('\t'),
            Some('n') => plain.push('\n'),
            Some(other) => plain.push(other),
            None => {}
        }
    }
    plain
}

fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

fn damage(offset: usize, expected: &str) -> Error {
    Error::corrupt(Corruption {
        file: JOURNAL_FILE.to_owned(),
        offset: Some(length(offset)),
        sequence: None,
        expected: expected.to_owned(),
        found: "something else".to_owned(),
    })
}
