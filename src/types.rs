//! The words of the store as types: places, names, times, events.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::{Error, ErrorKind, Result};
use crate::limits;

macro_rules! place {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(u64);

        impl $name {
            /// Before the first.
            pub const ZERO: Self = Self(0);
            /// The first one.
            pub const FIRST: Self = Self(1);
            /// Beyond every one that can be.
            pub const MAX: Self = Self(u64::MAX);

            /// The place with this number.
            #[must_use]
            pub const fn new(number: u64) -> Self {
                Self(number)
            }

            /// Its number.
            #[must_use]
            pub const fn get(self) -> u64 {
                self.0
            }

            /// The place `count` further. Saturates: no store reaches the end of 64 bits.
            #[must_use]
            pub const fn plus(self, count: u64) -> Self {
                Self(self.0.saturating_add(count))
            }

            /// The next place.
            #[must_use]
            pub const fn next(self) -> Self {
                self.plus(1)
            }

            /// The place before; zero stays zero.
            #[must_use]
            pub const fn previous(self) -> Self {
                Self(self.0.saturating_sub(1))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

place! {
    /// An event's global place: gapless from 1, zero is "before the first".
    Sequence
}
place! {
    /// An event's place in its stream: gapless from 1, zero is "before the first".
    Version
}

/// Checks a name that is stored and shown: not empty, bounded, no control characters.
fn check_name(what: &str, name: &str, bytes_max: usize) -> Result<()> {
    let invalid = |why: String| Err(Error::new(ErrorKind::InvalidInput, format!("{what} {name:?}: {why}")));
    if name.is_empty() {
        return invalid("must not be empty".into());
    }
    if name.len() > bytes_max {
        return invalid(format!("has {} bytes, at most {bytes_max} are allowed", name.len()));
    }
    if name.chars().any(char::is_control) {
        return invalid("must not contain control characters".into());
    }
    Ok(())
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name, checked.
            ///
            /// # Errors
            /// `InvalidInput`: empty, too long, or with control characters.
            pub fn new(name: impl AsRef<str>) -> Result<Self> {
                let name = name.as_ref();
                check_name($what, name, $max)?;
                Ok(Self(Arc::from(name)))
            }

            /// As text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;
            fn try_from(name: String) -> Result<Self> {
                Self::new(name)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = Error;
            fn try_from(name: &str) -> Result<Self> {
                Self::new(name)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().to_owned()
            }
        }
    };
}

name! {
    /// A stream's name: the events of one aggregate, `<aggregate_type>-<aggregate_id>`.
    StreamId, "stream", limits::STREAM_NAME_BYTES_MAX
}
name! {
    /// What kind of fact an event is, such as `FundsDeposited`.
    EventType, "event type", limits::EVENT_TYPE_BYTES_MAX
}

/// What the names of the store's own streams start with.
pub(crate) const SYSTEM_PREFIX: &str = "system-";

impl StreamId {
    /// The stream of one aggregate.
    ///
    /// # Errors
    /// `InvalidInput`: the name made of both is empty, too long, or has control characters.
    pub fn of(aggregate_type: &str, aggregate_id: &str) -> Result<Self> {
        Self::new(format!("{aggregate_type}-{aggregate_id}"))
    }

    /// Whether it is one of the store's own, whose names start with `system-`: consumers pass over their events.
    #[must_use]
    pub fn is_system(&self) -> bool {
        self.as_str().starts_with(SYSTEM_PREFIX)
    }

    /// The aggregate's id, if this is a stream of `aggregate_type`.
    #[must_use]
    pub fn aggregate_id(&self, aggregate_type: &str) -> Option<&str> {
        self.as_str().strip_prefix(aggregate_type)?.strip_prefix('-')
    }
}

macro_rules! uuid_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// The id with these bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// The id of this UUID.
            #[must_use]
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// Its bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// As a UUID.
            #[must_use]
            pub const fn as_uuid(&self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

uuid_newtype! {
    /// An event's id, unique by itself.
    EventId
}
uuid_newtype! {
    /// A store's id, drawn when it is created. It salts every checksum.
    StoreId
}

/// A time: microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// 1970.
    pub const EPOCH: Self = Self(0);
    /// The last time that can be told.
    pub const MAX: Self = Self(i64::MAX);

    /// The time this many microseconds after 1970.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since 1970.
    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// The time this much later; saturates.
    #[must_use]
    pub fn plus(self, duration: std::time::Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)))
    }

    /// How long after `earlier` this is; zero if it is not.
    #[must_use]
    pub fn since(self, earlier: Self) -> std::time::Duration {
        std::time::Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// How a payload's bytes are to be read. Numbers below 128 belong to this crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CodecId(pub u8);

impl CodecId {
    /// Bytes whose meaning is the caller's.
    pub const RAW: Self = Self(0);
    /// bincode 2 in its standard configuration, see [`crate::codec`].
    pub const BINCODE: Self = Self(1);
    /// JSON text, UTF-8.
    pub const JSON: Self = Self(2);
}

/// What a stream must be like for an append to go through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExpectedVersion {
    /// Anything.
    Any,
    /// It has no event yet.
    NoStream,
    /// It has at least one event.
    StreamExists,
    /// It is exactly at this version.
    Exact(Version),
}

impl ExpectedVersion {
    /// Whether a stream that is at `actual` (`None`: has no event) is as expected.
    #[must_use]
    pub fn matches(self, actual: Option<Version>) -> bool {
        match self {
            Self::Any => true,
            Self::NoStream => actual.is_none(),
            Self::StreamExists => actual.is_some(),
            Self::Exact(version) => actual.unwrap_or(Version::ZERO) == version,
        }
    }
}

impl fmt::Display for ExpectedVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any version"),
            Self::NoStream => f.write_str("no stream"),
            Self::StreamExists => f.write_str("an existing stream"),
            Self::Exact(version) => write!(f, "version {version}"),
        }
    }
}

/// Who, why, and in which connection; beside the payload, for finding and auditing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// What belongs together, such as all events of a payment.
    pub correlation_id: Option<String>,
    /// What made this event: an event's or a command's id.
    pub causation_id: Option<String>,
    /// Who did it.
    pub actor: Option<String>,
    /// Anything else.
    pub pairs: Vec<(String, String)>,
}

impl Metadata {
    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.correlation_id.is_none() && self.causation_id.is_none() && self.actor.is_none() && self.pairs.is_empty()
    }

    /// The value of the first free pair with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// A fact that is to be appended.
#[derive(Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// Its id; drawn (UUIDv7) where none is given.
    pub id: Option<EventId>,
    /// What kind of fact it is.
    pub event_type: EventType,
    /// The version of its payload's shape.
    pub schema_version: u16,
    /// How its payload is encoded.
    pub codec: CodecId,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// Who and why.
    pub metadata: Metadata,
    /// The fact itself.
    pub payload: Vec<u8>,
}

impl NewEvent {
    /// A fact with a payload whose encoding is `codec`, schema version 1.
    #[must_use]
    pub fn new(event_type: EventType, codec: CodecId, payload: Vec<u8>) -> Self {
        Self {
            id: None,
            event_type,
            schema_version: 1,
            codec,
            tags: Vec::new(),
            metadata: Metadata::default(),
            payload,
        }
    }

    /// The same with this id.
    #[must_use]
    pub fn with_id(mut self, id: EventId) -> Self {
        self.id = Some(id);
        self
    }

    /// The same with this version of its payload's shape.
    #[must_use]
    pub fn with_schema_version(mut self, schema_version: u16) -> Self {
        self.schema_version = schema_version;
        self
    }

    /// The same with this metadata.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }
}

/// Prints the payload's length, not the payload: logs are no place for customers' data.
impl fmt::Debug for NewEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewEvent")
            .field("id", &self.id)
            .field("event_type", &self.event_type)
            .field("schema_version", &self.schema_version)
            .field("payload_bytes", &self.payload.len())
            .finish_non_exhaustive()
    }
}

/// A fact that is to be appended, whose parts are borrowed: for who has many payloads at hand, and need not copy them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct NewEventRef<'a> {
    /// Its id; drawn (UUIDv7) where none is given.
    pub id: Option<EventId>,
    /// What kind of fact it is.
    pub event_type: &'a EventType,
    /// The version of its payload's shape.
    pub schema_version: u16,
    /// How its payload is encoded.
    pub codec: CodecId,
    /// Words to find it by.
    pub tags: &'a [String],
    /// Who and why.
    pub metadata: &'a Metadata,
    /// The fact itself.
    pub payload: &'a [u8],
}

impl<'a> NewEventRef<'a> {
    /// A fact with a payload whose encoding is `codec`, schema version 1.
    #[must_use]
    pub const fn new(event_type: &'a EventType, codec: CodecId, payload: &'a [u8]) -> Self {
        static NO_METADATA: Metadata =
            Metadata { correlation_id: None, causation_id: None, actor: None, pairs: Vec::new() };
        Self { id: None, event_type, schema_version: 1, codec, tags: &[], metadata: &NO_METADATA, payload }
    }
}

impl<'a> From<&'a NewEvent> for NewEventRef<'a> {
    fn from(event: &'a NewEvent) -> Self {
        let NewEvent { id, event_type, schema_version, codec, tags, metadata, payload } = event;
        Self { id: *id, event_type, schema_version: *schema_version, codec: *codec, tags, metadata, payload }
    }
}

/// Prints the payload's length, not the payload: logs are no place for customers' data.
impl fmt::Debug for NewEventRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewEventRef")
            .field("id", &self.id)
            .field("event_type", &self.event_type)
            .field("schema_version", &self.schema_version)
            .field("payload_bytes", &self.payload.len())
            .finish_non_exhaustive()
    }
}

/// A fact that was appended.
#[derive(Clone, PartialEq, Eq)]
pub struct Event {
    /// Its global place.
    pub sequence: Sequence,
    /// Its stream.
    pub stream: StreamId,
    /// Its place in its stream.
    pub version: Version,
    /// Its id.
    pub id: EventId,
    /// What kind of fact it is.
    pub event_type: EventType,
    /// The version of its payload's shape.
    pub schema_version: u16,
    /// How its payload is encoded.
    pub codec: CodecId,
    /// The store's time when it was committed; never earlier than that of an earlier sequence.
    pub timestamp: Timestamp,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// Who and why.
    pub metadata: Metadata,
    /// The fact itself.
    pub payload: Vec<u8>,
}

/// Prints the payload's length, not the payload: logs are no place for customers' data.
impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("sequence", &self.sequence)
            .field("stream", &self.stream)
            .field("version", &self.version)
            .field("event_type", &self.event_type)
            .field("payload_bytes", &self.payload.len())
            .finish_non_exhaustive()
    }
}

/// What one stream of a commit was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamReceipt {
    /// The stream.
    pub stream: StreamId,
    /// The version of the commit's first event in it.
    pub version_first: Version,
    /// The version of the commit's last event in it.
    pub version_last: Version,
}

/// What a commit was given. Its events have the sequences from first to last, in the order of the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The sequence of its first event.
    pub sequence_first: Sequence,
    /// The sequence of its last event.
    pub sequence_last: Sequence,
    /// When it was committed.
    pub timestamp: Timestamp,
    /// Its streams, in the order of their first event.
    pub streams: Vec<StreamReceipt>,
    /// Whether this is the receipt of an earlier commit with the same idempotency key and content.
    pub is_repeat: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_at_the_limit_and_refused_one_past_it() {
        assert!(StreamId::new("s".repeat(limits::STREAM_NAME_BYTES_MAX)).is_ok());
        let error = StreamId::new("s".repeat(limits::STREAM_NAME_BYTES_MAX + 1)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(EventType::new("t".repeat(limits::EVENT_TYPE_BYTES_MAX)).is_ok());
        assert!(EventType::new("t".repeat(limits::EVENT_TYPE_BYTES_MAX + 1)).is_err());
    }

    #[test]
    fn names_refuse_what_cannot_be_shown() {
        for name in ["", "a\nb", "a\0b", "\u{7f}", "a\u{85}b"] {
            assert_eq!(StreamId::new(name).unwrap_err().kind(), ErrorKind::InvalidInput, "{name:?}");
        }
        assert!(StreamId::new("wallet-José 1").is_ok());
    }

    #[test]
    fn expected_version_zero_is_a_stream_without_events() {
        assert!(ExpectedVersion::Exact(Version::ZERO).matches(None));
        assert!(!ExpectedVersion::Exact(Version::ZERO).matches(Some(Version::FIRST)));
        assert!(!ExpectedVersion::StreamExists.matches(None));
        assert!(ExpectedVersion::NoStream.matches(None));
    }

    #[test]
    fn an_aggregate_id_may_contain_the_separator() {
        let stream = StreamId::of("wallet", "a-b").unwrap();
        assert_eq!(stream.as_str(), "wallet-a-b");
        assert_eq!(stream.aggregate_id("wallet"), Some("a-b"));
        assert_eq!(stream.aggregate_id("payment"), None);
    }
}
