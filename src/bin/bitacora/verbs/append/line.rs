//! One line of input: an event to append, and what its stream must be like.

use std::borrow::Cow;

use bitacora::{CodecId, Commit, EventId, EventType, ExpectedVersion, NewEvent, StreamId, Version};
use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::exit::Failure;
use crate::render::one_line;
use crate::verbs::input::{MetadataFields, without_line};

/// The streams of the parts that are built in: their events are made by commands that keep rules.
const RESERVED_PREFIXES: [&str; 5] = ["wallet-", "payment-", "till-", "system-", "$"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields<'a> {
    #[serde(borrow)]
    stream: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    event_type: Cow<'a, str>,
    #[serde(borrow)]
    data: &'a RawValue,
    id: Option<Uuid>,
    expected_version: Option<Expected>,
    key: Option<String>,
    metadata: Option<MetadataFields>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected_version must be a number, \"any\", \"no_stream\" or \"exists\"")]
enum Expected {
    Version(u64),
    Word(ExpectedWord),
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum ExpectedWord {
    Any,
    NoStream,
    Exists,
}

impl From<Expected> for ExpectedVersion {
    fn from(expected: Expected) -> Self {
        match expected {
            Expected::Version(number) => Self::Exact(Version::new(number)),
            Expected::Word(ExpectedWord::Any) => Self::Any,
            Expected::Word(ExpectedWord::NoStream) => Self::NoStream,
            Expected::Word(ExpectedWord::Exists) => Self::StreamExists,
        }
    }
}

/// A line that can be submitted.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) stream: StreamId,
    pub(crate) id: EventId,
    pub(crate) commit: Commit,
}

impl Line {
    /// The line that `text` says, or why it says none.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, Failure> {
        let fields: Fields<'_> = serde_json::from_slice(text).map_err(|error| Failure::usage(without_line(&error)))?;
        let stream = StreamId::new(&fields.stream)?;
        if let Some(prefix) = RESERVED_PREFIXES.iter().find(|prefix| stream.as_str().starts_with(**prefix)) {
            let why = format!("stream {stream}: names that begin with `{prefix}` belong to the built-in parts");
            return Err(Failure::usage(why));
        }
        let data = one_line(fields.data).ok_or_else(|| Failure::usage("data: not JSON"))?;
        let id = EventId::from_uuid(fields.id.unwrap_or_else(Uuid::now_v7));
        let metadata = fields.metadata.map(|fields| fields.0).unwrap_or_default();
        let event = NewEvent::new(EventType::new(&fields.event_type)?, CodecId::JSON, data.get().as_bytes().to_vec())
            .with_id(id)
            .with_metadata(metadata);
        let expected = fields.expected_version.map_or(ExpectedVersion::Any, ExpectedVersion::from);
        let mut commit = Commit::new().append(&stream, expected, vec![event]);
        if let Some(key) = fields.key {
            commit = commit.idempotency_key(key);
        }
        Ok(Self { stream, id, commit })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Line {
        Line::parse(text.as_bytes()).unwrap()
    }

    #[track_caller]
    fn refused(text: &str, part: &str) {
        let failure = format!("{:?}", Line::parse(text.as_bytes()).unwrap_err());
        assert!(failure.contains(part), "{failure}");
    }

    #[test]
    fn expected_versions_are_numbers_and_words() {
        let of = |text: &str| ExpectedVersion::from(serde_json::from_str::<Expected>(text).unwrap());
        assert_eq!(of("\"any\""), ExpectedVersion::Any);
        assert_eq!(of("\"no_stream\""), ExpectedVersion::NoStream);
        assert_eq!(of("\"exists\""), ExpectedVersion::StreamExists);
        assert_eq!(of("7"), ExpectedVersion::Exact(Version::new(7)));
    }

    #[test]
    fn what_is_no_line_says_why() {
        refused("", "EOF");
        refused("[]", "");
        refused(r#"{"stream":"a","type":"b"}"#, "missing field `data`");
        refused(r#"{"stream":"a","type":"b","data":1,"when":2}"#, "unknown field `when`");
        refused(r#"{"stream":"a","type":"b","data":1,"data":2}"#, "duplicate field `data`");
        refused(r#"{"stream":"a","type":"b","data":{]}"#, "column");
        refused(r#"{"stream":"a","type":"b","data":1} x"#, "trailing characters");
        refused(r#"{"stream":"a","type":"b","data":1,"id":"7"}"#, "UUID");
        refused(r#"{"stream":"a","type":"b","data":1,"expected_version":-1}"#, "no_stream");
        refused(r#"{"stream":"a","type":"b","data":1,"expected_version":"none"}"#, "no_stream");
        refused(r#"{"stream":"a","type":"b","data":1,"metadata":{"a":1}}"#, "string");
        refused(r#"{"stream":"","type":"b","data":1}"#, "must not be empty");
        refused(r#"{"stream":"a","type":"b\u0000","data":1}"#, "control characters");
    }

    #[test]
    fn the_streams_of_built_in_parts_are_refused() {
        for stream in ["wallet-1", "payment-1", "till-day", "system-recovery", "$checkpoints"] {
            refused(&format!(r#"{{"stream":"{stream}","type":"b","data":1}}"#), "built-in");
        }
        assert_eq!(parse(r#"{"stream":"wallets","type":"b","data":1}"#).stream.as_str(), "wallets");
    }

    #[test]
    fn escapes_in_names_are_read() {
        assert_eq!(parse(r#"{"stream":"a\u0062","type":"b","data":1}"#).stream.as_str(), "ab");
    }
}
