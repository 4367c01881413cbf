//! An event as a flat list of named fields, for printing.

use crate::types::Timestamp;

/// The value of a printed field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldValue {
    /// It has none.
    None,
    /// Yes or no.
    Bool(bool),
    /// A number; an amount is in minor units.
    Integer(i64),
    /// A count that is never negative.
    Unsigned(u64),
    /// Text.
    Text(String),
    /// A time.
    Time(Timestamp),
}

impl From<bool> for FieldValue {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for FieldValue {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<u64> for FieldValue {
    fn from(value: u64) -> Self {
        Self::Unsigned(value)
    }
}

impl From<u32> for FieldValue {
    fn from(value: u32) -> Self {
        Self::Unsigned(value.into())
    }
}

impl From<&str> for FieldValue {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<Timestamp> for FieldValue {
    fn from(value: Timestamp) -> Self {
        Self::Time(value)
    }
}

impl<T: Into<FieldValue>> From<Option<T>> for FieldValue {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::None, Into::into)
    }
}

/// What can be printed as one flat object.
pub trait FlatFields {
    /// The fields by name, in the order to print them in; each name once. A field that is named `amount` is an integer of
    /// minor units.
    fn fields(&self) -> Vec<(&'static str, FieldValue)>;
}
