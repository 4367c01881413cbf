//! The lines: their JSON, and what an event is in it. Pure.

use std::borrow::Cow;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::content::{Content, Given};
use crate::error::{Error, ErrorKind, Result};
use crate::types::{
    CodecId, Event, EventId, EventType, Metadata, NewEvent, Sequence, StoreId, StreamId, Timestamp, Version,
};

/// The version of the lines' format. Lines of a newer one are refused.
pub(super) const VERSION: u32 = 1;

/// One line, of whichever kind: an object with one field, which names it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line<'a> {
    /// The first.
    Export(Header),
    #[serde(borrow)]
    Commit(CommitLine<'a>),
    /// The last.
    End(Trailer),
}

/// Whose log follows, from where to where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    /// Of the lines' format.
    pub(super) version: u32,
    pub(super) store_id: StoreId,
    pub(super) first_sequence: Sequence,
    /// The one before the first, where there is no event.
    pub(super) last_sequence: Sequence,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CommitLine<'a> {
    /// Of its first event.
    pub(super) sequence: Sequence,
    /// Microseconds since 1970.
    pub(super) time_micros: i64,
    /// The idempotency key.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    key: Option<Cow<'a, str>>,
    /// SHA-256 of what the key stands for.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    key_hash: Option<Cow<'a, str>>,
    #[serde(borrow)]
    events: Vec<EventLine<'a>>,
    /// Of the commit's content, eight hexadecimal digits.
    crc32: Cow<'a, str>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EventLine<'a> {
    stream: StreamId,
    version: Version,
    #[serde(rename = "type")]
    event_type: EventType,
    id: EventId,
    schema_version: u16,
    codec: CodecId,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    metadata: Option<MetadataLine>,
    /// The payload, where that is JSON whose every byte can stand here.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
    /// The payload otherwise.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    base64: Option<Cow<'a, str>>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MetadataLine {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    correlation_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    causation_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    actor: Option<String>,
    /// In their order, and with a name more than once where it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pairs: Vec<(String, String)>,
}

/// How much there was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Trailer {
    pub(super) commits: u64,
    pub(super) events: u64,
    pub(super) last_sequence: Sequence,
    /// RFC 9162, over the events; hexadecimal.
    pub(super) merkle_root: String,
}

/// A commit as it was read from a line.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) first_sequence: Sequence,
    pub(super) timestamp: Timestamp,
    pub(super) key: Option<(String, [u8; 32])>,
    pub(super) events: Vec<Given>,
    pub(super) content: Content,
}

impl<'a> CommitLine<'a> {
    /// The line of a commit with this content.
    pub(super) fn new(content: &Content, key: Option<(&'a str, &[u8; 32])>, events: &'a [Event]) -> Option<Self> {
        let first = events.first()?;
        Some(Self {
            sequence: first.sequence,
            time_micros: first.timestamp.as_micros(),
            key: key.map(|(key, _)| key.into()),
            key_hash: key.map(|(_, hash)| hex(hash).into()),
            events: events.iter().map(EventLine::new).collect(),
            crc32: format!("{:08x}", content.checksum()).into(),
        })
    }

    /// The commit that the line tells of, which has the content that it says.
    ///
    /// # Errors
    /// `InvalidInput`: it is not what was exported.
    pub(super) fn take(self) -> Result<Taken> {
        if self.events.is_empty() {
            return Err(invalid("the commit has no event"));
        }
        let key = match (self.key, self.key_hash) {
            (None, None) => None,
            (Some(key), Some(hash)) => {
                let hash = unhex(&hash).ok_or_else(|| invalid("key_hash is not 64 hexadecimal digits"))?;
                Some((key.into_owned(), hash))
            }
            _ => return Err(invalid("there is one of key and key_hash, and not the other")),
        };
        let timestamp = Timestamp::from_micros(self.time_micros);
        let events = self.events.into_iter().map(EventLine::take).collect::<Result<Vec<_>>>()?;
        let borrowed = key.as_ref().map(|(key, hash)| (key.as_str(), hash));
        let content = Content::of_events(self.sequence, timestamp, borrowed, &events)?;
        let found = format!("{:08x}", content.checksum());
        if found != *self.crc32 {
            let text =
                format!("it is not what was exported: crc32 is {:?}, of what stands there {found:?}", self.crc32);
            return Err(invalid(&text));
        }
        Ok(Taken { first_sequence: self.sequence, timestamp, key, events, content })
    }
}

impl<'a> EventLine<'a> {
    fn new(event: &'a Event) -> Self {
        let data = if event.codec == CodecId::JSON { json(&event.payload) } else { None };
        Self {
            stream: event.stream.clone(),
            version: event.version,
            event_type: event.event_type.clone(),
            id: event.id,
            schema_version: event.schema_version,
            codec: event.codec,
            tags: event.tags.clone(),
            metadata: MetadataLine::new(&event.metadata),
            data,
            base64: data.is_none().then(|| BASE64_STANDARD.encode(&event.payload).into()),
        }
    }

    fn take(self) -> Result<Given> {
        let payload = match (self.data, self.base64) {
            (Some(data), None) => data.get().as_bytes().to_vec(),
            (None, Some(text)) => {
                let decoded = BASE64_STANDARD.decode(text.as_bytes());
                decoded.map_err(|error| invalid(&format!("base64 of version {}: {error}", self.version)))?
            }
            _ => return Err(invalid("an event has one of data and base64")),
        };
        let event = NewEvent {
            id: Some(self.id),
            event_type: self.event_type,
            schema_version: self.schema_version,
            codec: self.codec,
            tags: self.tags,
            metadata: self.metadata.unwrap_or_default().take(),
            payload,
        };
        Ok((self.stream, self.version, self.id, event))
    }
}

impl MetadataLine {
    fn new(metadata: &Metadata) -> Option<Self> {
        let Metadata { correlation_id, causation_id, actor, pairs } = metadata.clone();
        (!metadata.is_empty()).then_some(Self { correlation_id, causation_id, actor, pairs })
    }

    fn take(self) -> Metadata {
        let Self { correlation_id, causation_id, actor, pairs } = self;
        Metadata { correlation_id, causation_id, actor, pairs }
    }
}

/// A payload as JSON that stands on the line byte for byte as it is; `None` where it cannot: with a line's end or white space around
/// it, and where it is `null`, which would be taken for no payload.
fn json(payload: &[u8]) -> Option<&RawValue> {
    if payload.contains(&b'\n') || payload.contains(&b'\r') || payload == b"null" {
        return None;
    }
    let value: &RawValue = serde_json::from_slice(payload).ok()?;
    (value.get().len() == payload.len()).then_some(value)
}

pub(super) fn invalid(text: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, text)
}

pub(super) fn hex(bytes: &[u8; 32]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let digits = text.as_bytes();
    if digits.len() != 2 * bytes.len() || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_json_that_stands_on_a_line_as_it_is_is_shown_as_json() {
        for text in ["{}", "1.10", "\"\\u00e1 b\"", "{\"a\": [1 , 2]}", "[[[]]]", "12345678901234567890123", "true"] {
            assert_eq!(json(text.as_bytes()).map(RawValue::get), Some(text));
        }
        for text in ["", "null", " {}", "{} ", "{\n}", "{\r}", "{", "{} {}", "nul", "\"\u{1}\""] {
            assert!(json(text.as_bytes()).is_none(), "{text:?}");
        }
        assert!(json(b"\"\xff\"").is_none());
        let deep = format!("{}{}", "[".repeat(3000), "]".repeat(3000));
        let line =
            format!("{{\"commit\":{{\"sequence\":1,\"time_micros\":1,\"events\":[],\"crc32\":\"x\"}},\"z\":{deep}}}");
        assert!(serde_json::from_str::<Line<'_>>(&line).is_err(), "an object with a second field");
    }

    #[test]
    fn what_is_shown_as_json_is_read_back_however_deep_it_is() {
        let deep = format!("{}{}", "[".repeat(3000), "]".repeat(3000));
        let event = Event {
            sequence: Sequence::FIRST,
            stream: StreamId::new("a").unwrap(),
            version: Version::FIRST,
            id: EventId::from_bytes([1; 16]),
            event_type: EventType::new("b").unwrap(),
            schema_version: 3,
            codec: CodecId::JSON,
            timestamp: Timestamp::from_micros(5),
            tags: vec!["t".into()],
            metadata: Metadata {
                pairs: vec![("k".into(), "1".into()), ("k".into(), "2".into())],
                ..Metadata::default()
            },
            payload: deep.clone().into_bytes(),
        };
        let given = vec![EventLine::new(&event).take().unwrap()];
        let content = Content::of_events(Sequence::FIRST, event.timestamp, None, &given).unwrap();
        let events = [event];
        let line = Line::Commit(CommitLine::new(&content, None, &events).unwrap());
        let text = serde_json::to_string(&line).unwrap();
        assert!(text.contains(&deep));
        let Line::Commit(read) = serde_json::from_str(&text).unwrap() else { panic!("{text}") };
        let taken = read.take().unwrap();
        assert_eq!(taken.events, given);
        assert_eq!(taken.content, content);
    }

    #[test]
    fn golden_lines() {
        let header = Header {
            version: VERSION,
            store_id: StoreId::from_bytes([7; 16]),
            first_sequence: Sequence::FIRST,
            last_sequence: Sequence::new(2),
        };
        let text = r#"{"export":{"version":1,"store_id":"07070707-0707-0707-0707-070707070707","first_sequence":1,"last_sequence":2}}"#;
        assert_eq!(serde_json::to_string(&Line::Export(header)).unwrap(), text);
        let text = r#"{"commit":{"sequence":1,"time_micros":1700000000000000,"key":"k","key_hash":"0909090909090909090909090909090909090909090909090909090909090909","events":[{"stream":"order-1","version":1,"type":"OrderPlaced","id":"01010101-0101-0101-0101-010101010101","schema_version":1,"codec":2,"data":{"items": 3}},{"stream":"order-1","version":2,"type":"OrderPaid","id":"02020202-0202-0202-0202-020202020202","schema_version":2,"codec":1,"tags":["blue"],"metadata":{"actor":"ana","pairs":[["till","4"]]},"base64":"/wA="}],"crc32":"db6ff905"}}"#;
        // The checksum pins the content that it is of.
        let Line::Commit(line) = serde_json::from_str(text).unwrap() else { panic!("{text}") };
        let taken = line.take().unwrap();
        let place = |(at, (stream, version, id, event)): (usize, &Given)| {
            let NewEvent { event_type, schema_version, codec, tags, metadata, payload, .. } = event.clone();
            let sequence = Sequence::FIRST.plus(crate::format::frame::to_u64(at));
            let (stream, version, id, timestamp) = (stream.clone(), *version, *id, taken.timestamp);
            Event {
                sequence,
                stream,
                version,
                id,
                event_type,
                schema_version,
                codec,
                timestamp,
                tags,
                metadata,
                payload,
            }
        };
        let events: Vec<Event> = taken.events.iter().enumerate().map(place).collect();
        let key = taken.key.as_ref().map(|(key, hash)| (key.as_str(), hash));
        let line = Line::Commit(CommitLine::new(&taken.content, key, &events).unwrap());
        assert_eq!(serde_json::to_string(&line).unwrap(), text);
        let trailer = Trailer { commits: 1, events: 2, last_sequence: Sequence::new(2), merkle_root: "ab".to_owned() };
        let text = r#"{"end":{"commits":1,"events":2,"last_sequence":2,"merkle_root":"ab"}}"#;
        assert_eq!(serde_json::to_string(&Line::End(trailer)).unwrap(), text);
    }
}
