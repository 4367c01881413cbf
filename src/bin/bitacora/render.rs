//! Events, times and metadata as JSON.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bitacora::aggregate::{DomainEvent, FieldValue, FlatFields};
use bitacora::payment::PaymentEvent;
use bitacora::service::{RECOVERY_STREAM, RecoveryEvent};
use bitacora::wallet::WalletEvent;
use bitacora::{CodecId, Event, Metadata, Timestamp};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// An event as it is printed.
#[derive(Serialize)]
pub(crate) struct EventLine<'a> {
    sequence: u64,
    stream: &'a str,
    version: u64,
    #[serde(rename = "type")]
    event_type: &'a str,
    id: String,
    timestamp: String,
    data: Data,
    metadata: MetadataObject<'a>,
}

impl<'a> EventLine<'a> {
    pub(crate) fn new(event: &'a Event) -> Self {
        Self {
            sequence: event.sequence.get(),
            stream: event.stream.as_str(),
            version: event.version.get(),
            event_type: event.event_type.as_str(),
            id: event.id.to_string(),
            timestamp: time(event.timestamp),
            data: Data::of(event),
            metadata: MetadataObject(&event.metadata),
        }
    }
}

/// A payload, as far as it can be read.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Data {
    /// A built-in event, flat.
    Fields(FieldsObject),
    /// JSON as it was given: a number keeps every digit.
    Json(Box<RawValue>),
    /// What this program cannot decode.
    Bytes { codec: u8, base64: String },
}

impl Data {
    pub(crate) fn of(event: &Event) -> Self {
        let bytes = || Self::Bytes { codec: event.codec.0, base64: BASE64_STANDARD.encode(&event.payload) };
        Self::built_in(event).or_else(|| Self::json(event)).unwrap_or_else(bytes)
    }

    /// The stream says whose event it is: a type's name may be used by anybody.
    fn built_in(event: &Event) -> Option<Self> {
        let fields = if event.stream.aggregate_id("wallet").is_some() {
            WalletEvent::decode(event).ok()?.fields()
        } else if event.stream.aggregate_id("payment").is_some() {
            PaymentEvent::decode(event).ok()?.fields()
        } else if event.stream.as_str() == RECOVERY_STREAM {
            RecoveryEvent::decode(event).ok()?.fields()
        } else {
            return None;
        };
        Some(Self::Fields(FieldsObject(fields)))
    }

    fn json(event: &Event) -> Option<Self> {
        if event.codec != CodecId::JSON {
            return None;
        }
        let value: &RawValue = serde_json::from_slice(&event.payload).ok()?;
        one_line(value).map(Self::Json)
    }
}

/// The same JSON without white space between its tokens, so that it fits on a line and equal documents are equal bytes.
pub(crate) fn one_line(value: &RawValue) -> Option<Box<RawValue>> {
    let mut text = String::with_capacity(value.get().len());
    let (mut in_string, mut escaped) = (false, false);
    for character in value.get().chars() {
        if in_string {
            in_string = escaped || character != '"';
            escaped = !escaped && character == '\\';
        } else if character.is_ascii_whitespace() {
            continue;
        } else {
            in_string = character == '"';
        }
        text.push(character);
    }
    RawValue::from_string(text).ok()
}

/// Fields as one flat object, in their order.
pub(crate) struct FieldsObject(Vec<(&'static str, FieldValue)>);

impl Serialize for FieldsObject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            match value {
                FieldValue::None => map.serialize_entry(name, &())?,
                FieldValue::Bool(value) => map.serialize_entry(name, value)?,
                FieldValue::Integer(value) => map.serialize_entry(name, value)?,
                FieldValue::Unsigned(value) => map.serialize_entry(name, value)?,
                FieldValue::Text(value) => map.serialize_entry(name, value)?,
                FieldValue::Time(value) => map.serialize_entry(name, &time(*value))?,
            }
        }
        map.end()
    }
}

/// Metadata as one flat object of texts.
struct MetadataObject<'a>(&'a Metadata);

impl Serialize for MetadataObject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let known = [
            ("correlation_id", &self.0.correlation_id),
            ("causation_id", &self.0.causation_id),
            ("actor", &self.0.actor),
        ];
        for (name, value) in known {
            if let Some(value) = value {
                map.serialize_entry(name, value)?;
            }
        }
        for (name, value) in &self.0.pairs {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// A time in RFC 3339, UTC, with microseconds. One beyond the calendar's end is shown as its number of microseconds.
pub(crate) fn time(timestamp: Timestamp) -> String {
    match jiff::Timestamp::from_microsecond(timestamp.as_micros()) {
        Ok(time) => format!("{time:.6}"),
        Err(_) => timestamp.as_micros().to_string(),
    }
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The name that a value without fields has in JSON, so that both forms of output say the same.
pub(crate) fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        Ok(other) => other.to_string(),
        Err(error) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use bitacora::money::Money;
    use bitacora::wallet::HoldCaptured;
    use bitacora::{EventId, EventType, Sequence, StreamId, Version};

    use super::*;

    #[test]
    fn times_have_microseconds_also_where_they_are_zero() {
        assert_eq!(time(Timestamp::EPOCH), "1970-01-01T00:00:00.000000Z");
        assert_eq!(time(Timestamp::from_micros(1_700_000_000_000_001)), "2023-11-14T22:13:20.000001Z");
        assert_eq!(time(Timestamp::MAX), i64::MAX.to_string());
    }

    fn event(stream: &str, event_type: &str, codec: CodecId, payload: &[u8]) -> Event {
        Event {
            sequence: Sequence::FIRST,
            stream: StreamId::new(stream).unwrap(),
            version: Version::FIRST,
            id: EventId::from_bytes([1; 16]),
            event_type: EventType::new(event_type).unwrap(),
            schema_version: 1,
            codec,
            timestamp: Timestamp::EPOCH,
            tags: Vec::new(),
            metadata: Metadata::default(),
            payload: payload.to_vec(),
        }
    }

    fn data(event: &Event) -> String {
        serde_json::to_string(&Data::of(event)).unwrap()
    }

    #[test]
    fn a_wallets_events_are_flat_objects_with_integer_amounts() {
        let amount = Money::new(1_250, "EUR".parse().unwrap());
        let captured =
            WalletEvent::from(HoldCaptured { hold_id: "h1".to_owned(), amount, released: 50, is_final: true })
                .encode()
                .unwrap();
        let event = Event { schema_version: 2, ..event("wallet-1", "HoldCaptured", CodecId::BINCODE, &captured) };
        let shown = r#"{"hold_id":"h1","amount":1250,"currency":"EUR","released":50,"is_final":true}"#;
        assert_eq!(data(&event), shown);
    }

    #[test]
    fn a_payload_that_cannot_be_decoded_is_shown_as_bytes() {
        let bytes = r#"{"codec":1,"base64":"/wA="}"#;
        assert_eq!(data(&event("wallet-1", "HoldCaptured", CodecId::BINCODE, &[255, 0])), bytes);
        assert_eq!(data(&event("wallet-1", "CoffeeSpilled", CodecId::BINCODE, &[255, 0])), bytes);
        assert_eq!(data(&event("order-1", "HoldCaptured", CodecId::BINCODE, &[255, 0])), bytes);
        assert_eq!(data(&event("a", "b", CodecId::JSON, b"{")), r#"{"codec":2,"base64":"ew=="}"#);
        assert_eq!(data(&event("a", "b", CodecId::JSON, b"{}\xff")), r#"{"codec":2,"base64":"e33/"}"#);
        assert_eq!(data(&event("a", "b", CodecId::RAW, b"{}")), r#"{"codec":0,"base64":"e30="}"#);
    }

    #[test]
    fn metadata_is_one_flat_object() {
        let metadata = Metadata {
            correlation_id: Some("c".to_owned()),
            causation_id: None,
            actor: Some("a".to_owned()),
            pairs: vec![("z".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())],
        };
        let text = serde_json::to_string(&MetadataObject(&metadata)).unwrap();
        assert_eq!(text, r#"{"correlation_id":"c","actor":"a","z":"1","b":"2"}"#);
    }

    #[test]
    fn json_on_one_line_keeps_strings_and_digits() {
        let text = "{ \"a b\" : [ 1.10 ,\r\n\t12345678901234567890123 ] , \"c\\\" d\\\\\" : \" e \" }";
        let value: &RawValue = serde_json::from_str(text).unwrap();
        let compact = one_line(value).unwrap();
        assert_eq!(compact.get(), "{\"a b\":[1.10,12345678901234567890123],\"c\\\" d\\\\\":\" e \"}");
    }
}
