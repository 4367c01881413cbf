//! What a ledger is called in a store: its stream, and the ids of the commands that book its lines.

use std::path::Path;

use bitacora::{Error, ErrorKind, Event, Metadata, Result, StreamId};

use super::ledger::LedgerLine;

/// The name's length, bytes: it shares an idempotency key with a user id and a line id.
const NAME_BYTES_MAX: usize = 32;

/// What a command books.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Booking {
    Deposit,
    Withdrawal,
    TopUp,
}

impl Booking {
    const ALL: [Self; 3] = [Self::Deposit, Self::Withdrawal, Self::TopUp];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Deposit => "deposit",
            Self::Withdrawal => "withdrawal",
            Self::TopUp => "top-up",
        }
    }
}

/// A ledger's name: that of its file, without what stands after the last point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LedgerName {
    stream: StreamId,
}

impl LedgerName {
    /// The name of the ledger in this file. Letters, digits, `-`, `_` and points stay, everything else becomes `_`; a long name is
    /// cut and gets a number that the rest of it decides.
    ///
    /// # Errors
    /// `InvalidInput`: the path names no file.
    pub(crate) fn of(path: &Path) -> Result<Self> {
        let stem = path
            .file_stem()
            .ok_or_else(|| Error::new(ErrorKind::InvalidInput, format!("{} names no ledger file", path.display())))?;
        let stem = stem.to_string_lossy();
        let is_plain = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
        let mut name: String =
            stem.chars().map(|character| if is_plain(character) { character } else { '_' }).collect();
        if name.len() > NAME_BYTES_MAX {
            let rest = fnv(stem.as_bytes());
            name.truncate(NAME_BYTES_MAX - 9);
            name.push_str(&format!("-{rest:08x}"));
        }
        Ok(Self { stream: StreamId::of("till", &name)? })
    }

    /// Where refused lines are put on record.
    pub(crate) fn stream(&self) -> &StreamId {
        &self.stream
    }

    /// The id of the command that books `line`.
    pub(crate) fn command_id(&self, booking: Booking, line: &LedgerLine) -> String {
        format!("{}/{}/{}", self.stream, booking.as_str(), line.id)
    }

    /// The booking of this ledger that `event` belongs to, and the id of its line.
    pub(crate) fn booking_of<'a>(&self, event: &'a Event) -> Option<(Booking, &'a str)> {
        let command_id = event.metadata.causation_id.as_deref()?;
        let rest = command_id.strip_prefix(self.stream.as_str())?.strip_prefix('/')?;
        let (kind, line_id) = rest.split_once('/')?;
        let booking = Booking::ALL.into_iter().find(|booking| booking.as_str() == kind)?;
        Some((booking, line_id))
    }

    /// What the events of `line` carry beside the facts.
    pub(crate) fn metadata(&self, line: &LedgerLine, causation_id: Option<String>) -> Metadata {
        let pairs = vec![
            ("occurred_at".to_owned(), line.occurred_at.clone()),
            ("ledger_line".to_owned(), line.number.to_string()),
        ];
        Metadata { causation_id, actor: Some(self.stream.to_string()), pairs, ..Metadata::default() }
    }
}

/// FNV-1a, 32 bits: tells names apart that differ where they are cut.
fn fnv(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::super::ledger::Kind;
    use super::*;
    use bitacora::limits::IDEMPOTENCY_KEY_BYTES_MAX;
    use bitacora::money::Money;
    use bitacora::{CodecId, EventId, EventType, Sequence, Timestamp, Version};

    fn line(id: &str) -> LedgerLine {
        LedgerLine {
            number: 2,
            id: id.to_owned(),
            user_id: "u".to_owned(),
            occurred_at: "1997-01-01".to_owned(),
            kind: Kind::Deposit,
            amount: Money::new(1, "EUR".parse().unwrap()),
        }
    }

    fn event(metadata: Metadata) -> Event {
        Event {
            sequence: Sequence::FIRST,
            stream: StreamId::new("wallet-u").unwrap(),
            version: Version::FIRST,
            id: EventId::from_bytes([0; 16]),
            event_type: EventType::new("FundsDeposited").unwrap(),
            schema_version: 1,
            codec: CodecId::RAW,
            timestamp: Timestamp::EPOCH,
            tags: Vec::new(),
            metadata,
            payload: Vec::new(),
        }
    }

    #[test]
    fn the_name_is_that_of_the_file() {
        let stream = |path: &str| LedgerName::of(Path::new(path)).unwrap().stream().to_string();
        assert_eq!(stream("/data/CDNOW_master.txt"), "till-CDNOW_master");
        assert_eq!(stream("Monday 1.csv"), "till-Monday_1");
        assert!(LedgerName::of(Path::new("/")).is_err());
        let (one, other) = (stream(&format!("{}1.csv", "x".repeat(90))), stream(&format!("{}2.csv", "x".repeat(90))));
        assert_ne!(one, other);
        assert_eq!(one.len(), "till-".len() + NAME_BYTES_MAX);
    }

    #[test]
    fn a_booking_is_found_again_by_its_event_and_only_in_its_own_ledger() {
        let name = LedgerName::of(Path::new("day.csv")).unwrap();
        let other = LedgerName::of(Path::new("day2.csv")).unwrap();
        let line = line("a/b");
        for booking in Booking::ALL {
            let event = event(name.metadata(&line, Some(name.command_id(booking, &line))));
            assert_eq!(name.booking_of(&event), Some((booking, "a/b")));
            assert_eq!(other.booking_of(&event), None);
        }
        assert_eq!(name.booking_of(&event(Metadata::default())), None);
    }

    #[test]
    fn the_longest_names_and_ids_make_an_idempotency_key() {
        let name = LedgerName::of(Path::new(&"n".repeat(200))).unwrap();
        let id = "i".repeat(super::super::ledger::FIELD_BYTES_MAX);
        let key = format!("wallet-{id}/{}", name.command_id(Booking::Withdrawal, &line(&id)));
        assert!(key.len() <= IDEMPOTENCY_KEY_BYTES_MAX, "{}", key.len());
    }
}
