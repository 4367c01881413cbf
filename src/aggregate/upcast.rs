//! Upcasters: events of older shapes, read as if they had been written in the newest.
//!
//! What is in a log stays as it is. Where a program has changed the shape of an event's payload, an *upcaster* is a pure
//! function from the payload of one schema version to that of the next, and a reader applies one after the other. So only the
//! newest shape is known to the rest of the program.
//!
//! A registry names every type and version there is. What it does not name is an error, or skipped where a reader says so, and
//! never passed on.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{DomainEvent, decode_payload};
use crate::codec;
use crate::error::{Error, ErrorKind, Result};
use crate::types::{CodecId, Event, EventType};

/// The first schema version there is of any type.
const VERSION_FIRST: u16 = 1;

/// Types that an error names before it breaks off.
const NAMES_MAX: usize = 16;

/// What a reader does with an event of an unknown type, or of a newer schema version than its program knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnUnknown {
    /// Breaks off with an error that names it. Whoever makes a state of events must: it would be another state without it.
    Error,
    /// Leaves it out. For readers that look for some types among others.
    Skip,
}

/// A payload in its next shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpcastPayload {
    /// How it is encoded.
    pub codec: CodecId,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// An upcaster between two shapes that are both in bincode, as a function between two types.
pub fn upcast_with<Old, New, F>(convert: F) -> impl Fn(&Event) -> Result<UpcastPayload> + Send + Sync + 'static
where
    Old: DeserializeOwned,
    New: Serialize,
    F: Fn(Old) -> Result<New> + Send + Sync + 'static,
{
    move |event| {
        let new = convert(decode_payload(event, event.schema_version)?)?;
        Ok(UpcastPayload { codec: CodecId::BINCODE, bytes: codec::encode(&new)? })
    }
}

type Upcaster = Arc<dyn Fn(&Event) -> Result<UpcastPayload> + Send + Sync>;

/// A type and a schema version of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Shape {
    event_type: EventType,
    version: u16,
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of schema version {}", self.event_type, self.version)
    }
}

#[derive(Clone)]
struct Step {
    to: Shape,
    upcaster: Upcaster,
}

/// What a program makes of one schema version of a type.
#[derive(Clone)]
enum Reading {
    /// It decodes it as it is.
    AsItIs,
    Upcast(Step),
}

/// The types and schema versions that a program reads, and how. Cheap to clone.
#[derive(Clone)]
pub struct Upcasters(Arc<BTreeMap<EventType, BTreeMap<u16, Reading>>>);

impl fmt::Debug for Upcasters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter().map(|(event_type, known)| (event_type, known.keys()))).finish()
    }
}

impl Upcasters {
    /// Begins a registry.
    #[must_use]
    pub fn builder() -> UpcastersBuilder {
        UpcastersBuilder::default()
    }

    /// Whether the registry has this event's type and schema version.
    #[must_use]
    pub fn knows(&self, event: &Event) -> bool {
        self.0.get(&event.event_type).is_some_and(|known| known.contains_key(&event.schema_version))
    }

    /// The event in the newest shape: everything but type, schema version, codec and payload stays.
    ///
    /// # Errors
    /// `UnknownPayload`: of a type or schema version that is not in the registry (the text names it and what is), or its bytes
    /// are not of that shape. What an upcaster says.
    pub fn upcast<'a>(&self, event: &'a Event) -> Result<Cow<'a, Event>> {
        let mut event = Cow::Borrowed(event);
        loop {
            let known = self.0.get(&event.event_type).and_then(|known| known.get(&event.schema_version));
            match known {
                None => return Err(self.unknown(&event)),
                Some(Reading::AsItIs) => return Ok(event),
                Some(Reading::Upcast(step)) => {
                    let payload = (step.upcaster)(&event).map_err(|error| {
                        let (sequence, stream, from) = (event.sequence, &event.stream, shape_of(&event));
                        error.context(format_args!("event {sequence} of stream {stream}, {from} to {}", step.to))
                    })?;
                    let newer = event.to_mut();
                    newer.event_type.clone_from(&step.to.event_type);
                    newer.schema_version = step.to.version;
                    (newer.codec, newer.payload) = (payload.codec, payload.bytes);
                }
            }
        }
    }

    /// The fact in an event of any shape.
    ///
    /// # Errors
    /// As [`upcast`](Self::upcast).
    pub fn decode<E: DomainEvent>(&self, event: &Event) -> Result<E> {
        E::decode(self.upcast(event)?.as_ref())
    }

    fn unknown(&self, event: &Event) -> Error {
        let known = match self.0.get(&event.event_type) {
            Some(versions) => {
                let (first, last) = (versions.keys().next(), versions.keys().next_back());
                let end = |version: Option<&u16>| version.map_or_else(String::new, u16::to_string);
                format!("it reads schema versions {} to {} of it", end(first), end(last))
            }
            None => {
                let names: Vec<&str> = self.0.keys().take(NAMES_MAX).map(EventType::as_str).collect();
                let others = self.0.len().saturating_sub(names.len());
                let more = if others == 0 { String::new() } else { format!(" and {others} others") };
                format!("it reads the types {}{more}", names.join(", "))
            }
        };
        let (sequence, stream, shape) = (event.sequence, &event.stream, shape_of(event));
        let text = format!("event {sequence} of stream {stream}: {shape} is not known to this program; {known}");
        Error::new(ErrorKind::UnknownPayload, text)
    }
}

fn shape_of(event: &Event) -> Shape {
    Shape { event_type: event.event_type.clone(), version: event.schema_version }
}

/// Events in their newest shapes, for readers and projections. With [`OnUnknown::Skip`] those that `upcasters` does not know are
/// left out; what cannot be read though its type and version are known is an error in any case.
pub fn upcast_events<I>(events: I, upcasters: &Upcasters, on_unknown: OnUnknown) -> impl Iterator<Item = Result<Event>>
where
    I: IntoIterator<Item = Result<Event>>,
{
    events.into_iter().filter_map(move |event| {
        let event = match event {
            Ok(event) => event,
            Err(error) => return Some(Err(error)),
        };
        if on_unknown == OnUnknown::Skip && !upcasters.knows(&event) {
            return None;
        }
        Some(upcasters.upcast(&event).map(Cow::into_owned))
    })
}

/// A registry that is being made. Order does not matter; [`build`](Self::build) says what does not fit.
#[derive(Default)]
pub struct UpcastersBuilder {
    decoded: Vec<(String, RangeInclusive<u16>)>,
    steps: Vec<NewStep>,
}

struct NewStep {
    from: (String, u16),
    to: (String, Option<u16>),
    upcaster: Upcaster,
}

impl fmt::Debug for UpcastersBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps: Vec<_> = self.steps.iter().map(|step| (&step.from, &step.to)).collect();
        f.debug_struct("UpcastersBuilder").field("decoded", &self.decoded).field("steps", &steps).finish()
    }
}

impl UpcastersBuilder {
    /// The program decodes these schema versions of a type as they are: the newest alone, or older ones too where it knows
    /// them.
    #[must_use]
    pub fn decodes(mut self, event_type: impl Into<String>, versions: RangeInclusive<u16>) -> Self {
        self.decoded.push((event_type.into(), versions));
        self
    }

    /// An upcaster from a schema version of a type to the next. It must be pure: whoever reads the event again gets the same.
    #[must_use]
    pub fn step(
        mut self,
        event_type: impl Into<String>,
        version: u16,
        upcaster: impl Fn(&Event) -> Result<UpcastPayload> + Send + Sync + 'static,
    ) -> Self {
        let event_type = event_type.into();
        let to = (event_type.clone(), version.checked_add(1));
        self.steps.push(NewStep { from: (event_type, version), to, upcaster: Arc::new(upcaster) });
        self
    }

    /// As [`step`](Self::step), to a version of another type, where a type was given another name or taken into another.
    #[must_use]
    pub fn step_to(
        mut self,
        (event_type, version): (&str, u16),
        (to_type, to_version): (&str, u16),
        upcaster: impl Fn(&Event) -> Result<UpcastPayload> + Send + Sync + 'static,
    ) -> Self {
        let from = (event_type.to_owned(), version);
        self.steps.push(NewStep { from, to: (to_type.to_owned(), Some(to_version)), upcaster: Arc::new(upcaster) });
        self
    }

    /// The registry.
    ///
    /// # Errors
    /// `InvalidInput`, naming the type and version: there are two ways to read a version, or none to read an older one; the
    /// steps lead nowhere or in a circle; a name is no event type.
    pub fn build(self) -> Result<Upcasters> {
        let mut known: BTreeMap<EventType, BTreeMap<u16, Reading>> = BTreeMap::new();
        for (name, versions) in self.decoded {
            let event_type = EventType::new(name)?;
            if versions.is_empty() {
                return Err(invalid(format_args!("{event_type}: no schema version is between {versions:?}")));
            }
            for version in versions {
                add(&mut known, Shape { event_type: event_type.clone(), version }, Reading::AsItIs)?;
            }
        }
        for NewStep { from, to, upcaster } in self.steps {
            let from = Shape { event_type: EventType::new(from.0)?, version: from.1 };
            let Some(version) = to.1 else { return Err(invalid(format_args!("{from} has no next version"))) };
            let to = Shape { event_type: EventType::new(to.0)?, version };
            add(&mut known, from, Reading::Upcast(Step { to, upcaster }))?;
        }
        check_gaps(&known)?;
        check_ends(&known)?;
        Ok(Upcasters(Arc::new(known)))
    }
}

fn invalid(text: fmt::Arguments<'_>) -> Error {
    Error::new(ErrorKind::InvalidInput, format!("upcasters: {text}"))
}

fn add(known: &mut BTreeMap<EventType, BTreeMap<u16, Reading>>, shape: Shape, reading: Reading) -> Result<()> {
    let versions = known.entry(shape.event_type.clone()).or_default();
    if versions.insert(shape.version, reading).is_some() {
        return Err(invalid(format_args!("there are two ways to read {shape}")));
    }
    Ok(())
}

/// Every version up to the newest can be read: events of it may be in a log.
fn check_gaps(known: &BTreeMap<EventType, BTreeMap<u16, Reading>>) -> Result<()> {
    for (event_type, versions) in known {
        let last = versions.keys().next_back().copied().unwrap_or(VERSION_FIRST);
        if let Some(version) = (VERSION_FIRST..=last).find(|version| !versions.contains_key(version)) {
            let shape = Shape { event_type: event_type.clone(), version };
            return Err(invalid(format_args!("nothing reads {shape}, and version {last} is read")));
        }
    }
    Ok(())
}

/// Every chain of steps ends at a shape that is decoded as it is.
fn check_ends(known: &BTreeMap<EventType, BTreeMap<u16, Reading>>) -> Result<()> {
    let steps_max = known.values().map(BTreeMap::len).sum::<usize>();
    let readings =
        known.iter().flat_map(|(event_type, versions)| versions.iter().map(move |entry| (event_type, entry)));
    for (event_type, (version, mut reading)) in readings {
        let from = || Shape { event_type: event_type.clone(), version: *version };
        let mut steps = 0;
        while let Reading::Upcast(Step { to, .. }) = reading {
            steps += 1;
            if steps > steps_max {
                return Err(invalid(format_args!("the steps from {} lead in a circle", from())));
            }
            let next = known.get(&to.event_type).and_then(|versions| versions.get(&to.version));
            let Some(next) = next else {
                return Err(invalid(format_args!("the steps from {} lead to {to}, which nothing reads", from())));
            };
            reading = next;
        }
    }
    Ok(())
}
