//! What the verbs that read JSON lines have in common: the lines, and what may stand in them.

use std::fmt;
use std::io::{BufRead, BufReader, Read};

use bitacora::Metadata;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::exit::Failure;

/// Read at once: enough that a fast writer costs few system calls.
const READ_BYTES: usize = 1024 * 1024;

/// A payload at its limit in which every byte is escaped, and the rest of its line.
const LINE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The lines of an input, numbered from 1.
pub(crate) struct Lines<R> {
    reader: BufReader<R>,
    line: Vec<u8>,
    number: u64,
}

impl<R: Read> Lines<R> {
    pub(crate) fn new(input: R) -> Self {
        Self { reader: BufReader::with_capacity(READ_BYTES, input), line: Vec::new(), number: 0 }
    }

    /// Whether the next line can be read without waiting for the writer.
    pub(crate) fn has_one_ready(&self) -> bool {
        self.reader.buffer().contains(&b'\n')
    }

    /// The next line with its number; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<(u64, &[u8])>, Failure> {
        self.line.clear();
        self.number += 1;
        let mut bounded = (&mut self.reader).take(LINE_BYTES_MAX + 1);
        let read = bounded.read_until(b'\n', &mut self.line);
        let read = read.map_err(|error| Failure::of_stream("standard input", &error))?;
        if u64::try_from(read).is_ok_and(|read| read > LINE_BYTES_MAX) {
            let what = format!("line {}: has more than {LINE_BYTES_MAX} bytes", self.number);
            return Err(Failure::usage(what));
        }
        Ok((read > 0).then_some((self.number, self.line.as_slice())))
    }
}

/// Metadata as an object of texts: three names have a place of their own, the others keep their order.
pub(crate) struct MetadataFields(pub(crate) Metadata);

impl<'de> Deserialize<'de> for MetadataFields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MetadataVisitor)
    }
}

struct MetadataVisitor;

impl<'de> Visitor<'de> for MetadataVisitor {
    type Value = MetadataFields;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object of texts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut metadata = Metadata::default();
        while let Some((name, value)) = map.next_entry::<String, String>()? {
            match name.as_str() {
                "correlation_id" => metadata.correlation_id = Some(value),
                "causation_id" => metadata.causation_id = Some(value),
                "actor" => metadata.actor = Some(value),
                _ => metadata.pairs.push((name, value)),
            }
        }
        Ok(MetadataFields(metadata))
    }
}

/// The parser's text without its line number, which is always 1 and not the input's.
pub(crate) fn without_line(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    match text.strip_suffix(&place) {
        Some(text) => format!("{text}, column {}", error.column()),
        None => text,
    }
}
