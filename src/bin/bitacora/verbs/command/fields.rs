//! The fields of a line of input, taken one by one: what is left over is unknown, and an amount is an integer.

use std::fmt;

use bitacora::Metadata;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::exit::Failure;
use crate::verbs::input::{MetadataFields, without_line};

/// The fields of a JSON object that nobody took yet.
pub(super) struct Fields<'a> {
    /// Where it stands, for what is said of it; empty for the line itself.
    place: &'static str,
    fields: Vec<(String, &'a RawValue)>,
}

/// Whether a field must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needed {
    Yes,
    No,
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields: Vec<(String, &'de RawValue)> = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
            if fields.iter().any(|(known, _)| *known == name) {
                return Err(A::Error::custom(format_args!("duplicate field `{name}`")));
            }
            fields.push((name, value));
        }
        Ok(Fields { place: "", fields })
    }
}

impl<'a> Fields<'a> {
    /// The fields of a line.
    pub(super) fn of_line(text: &'a [u8]) -> Result<Self, Failure> {
        serde_json::from_slice(text).map_err(|error| Failure::usage(without_line(&error)))
    }

    fn take(&mut self, name: &str) -> Option<&'a RawValue> {
        let index = self.fields.iter().position(|(known, _)| known == name)?;
        let value = self.fields.remove(index).1;
        (value.get() != "null").then_some(value)
    }

    fn take_as<T: Deserialize<'a>>(&mut self, name: &str, what: &str) -> Result<Option<T>, Failure> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let wrong = |_| Failure::usage(format!("{}{name}: {} is not {what}", self.place, shortened(value.get())));
        serde_json::from_str(value.get()).map(Some).map_err(wrong)
    }

    fn needed<T>(&self, name: &str, value: Option<T>) -> Result<T, Failure> {
        value.ok_or_else(|| Failure::usage(format!("missing field `{}{name}`", self.place)))
    }

    pub(super) fn text(&mut self, name: &str) -> Result<String, Failure> {
        let value = self.text_if_any(name)?;
        self.needed(name, value)
    }

    pub(super) fn text_if_any(&mut self, name: &str) -> Result<Option<String>, Failure> {
        self.take_as(name, "a text")
    }

    /// An amount is an integer of minor units: neither a fraction, nor with an exponent, nor a text.
    pub(super) fn integer(&mut self, name: &str) -> Result<i64, Failure> {
        let value = self.integer_if_any(name)?;
        self.needed(name, value)
    }

    pub(super) fn integer_if_any(&mut self, name: &str) -> Result<Option<i64>, Failure> {
        self.take_as(name, "an integer of 64 bits")
    }

    pub(super) fn flag_if_any(&mut self, name: &str) -> Result<Option<bool>, Failure> {
        self.take_as(name, "true or false")
    }

    pub(super) fn metadata_if_any(&mut self, name: &str) -> Result<Option<Metadata>, Failure> {
        let metadata: Option<MetadataFields> = self.take_as(name, "an object of texts")?;
        Ok(metadata.map(|metadata| metadata.0))
    }

    /// The fields of an object in a field; none where there is no object, and need not be.
    pub(super) fn inner(
        &mut self,
        name: &'static str,
        place: &'static str,
        needed: Needed,
    ) -> Result<Fields<'a>, Failure> {
        let fields: Option<Fields<'a>> = self.take_as(name, "an object")?;
        if needed == Needed::Yes && fields.is_none() {
            return self.needed(name, None);
        }
        let fields = fields.map(|inner| inner.fields).unwrap_or_default();
        Ok(Fields { place, fields })
    }

    /// Checks that every field was taken.
    pub(super) fn finish(self) -> Result<(), Failure> {
        match self.fields.first() {
            Some((name, _)) => Err(Failure::usage(format!("unknown field `{}{name}`", self.place))),
            None => Ok(()),
        }
    }
}

/// The beginning of a text, for an error's line.
fn shortened(text: &str) -> String {
    const CHARACTERS_MAX: usize = 60;
    let short: String = text.chars().filter(|character| !character.is_control()).take(CHARACTERS_MAX).collect();
    if short.len() < text.len() { format!("{short}...") } else { short }
}
