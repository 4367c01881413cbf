//! Reading: events one by one out of a handle.

use bitacora::{Event, Sequence, StreamId, Version};

use crate::code::{Code, Stop, guarded};
use crate::store::OpenStore;
use crate::values::{Slice, give, needed, shared};

/// Events that are being read. One thread at a time may use it.
pub struct EventReader {
    events: Box<dyn Iterator<Item = bitacora::Result<Event>> + Send>,
    /// What the caller looks at.
    current: Option<Event>,
}

impl std::fmt::Debug for EventReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventReader").field("current", &self.current).finish_non_exhaustive()
    }
}

/// An event as it lies in the log. What it points to is valid until the next call with the same reader.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct StoredEvent {
    /// Its place in the whole log, from 1.
    pub sequence: u64,
    /// Its place in its stream, from 1.
    pub version: u64,
    /// When it was committed, in microseconds since 1970.
    pub timestamp_micros: i64,
    /// Its id, a UUID.
    pub id: [u8; 16],
    /// The stream's name.
    pub stream: Slice,
    /// Its type.
    pub event_type: Slice,
    /// The payload.
    pub payload: Slice,
    /// What it belongs to; empty for nothing.
    pub correlation_id: Slice,
    /// What caused it; empty for nothing.
    pub causation_id: Slice,
    /// Who did it; empty for nobody.
    pub actor: Slice,
    /// Which shape of its type the payload has.
    pub schema_version: u16,
    /// What the payload is in.
    pub codec: u8,
}

impl StoredEvent {
    fn of(event: &Event) -> Self {
        let text = |text: &Option<String>| text.as_ref().map_or(Slice::EMPTY, |text| Slice::of(text.as_bytes()));
        Self {
            sequence: event.sequence.get(),
            version: event.version.get(),
            timestamp_micros: event.timestamp.as_micros(),
            id: *event.id.as_bytes(),
            stream: Slice::of(event.stream.as_str().as_bytes()),
            event_type: Slice::of(event.event_type.as_str().as_bytes()),
            payload: Slice::of(&event.payload),
            correlation_id: text(&event.metadata.correlation_id),
            causation_id: text(&event.metadata.causation_id),
            actor: text(&event.metadata.actor),
            schema_version: event.schema_version,
            codec: event.codec.0,
        }
    }
}

fn reader(events: impl Iterator<Item = bitacora::Result<Event>> + Send + 'static) -> *mut EventReader {
    Box::into_raw(Box::new(EventReader { events: Box::new(events), current: None }))
}

/// Events by sequence, from `first` to `last`, both included, as far as they are acknowledged now. 0 and `UINT64_MAX` for all.
/// Ends with `bitacora_events_free`.
///
/// # Safety
/// Every pointer is null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bitacora_read_all(
    store: *const OpenStore,
    first: u64,
    last: u64,
    events: *mut *mut EventReader,
) -> Code {
    guarded(|| {
        needed(events, "events")?;
        // SAFETY: the caller's promise.
        let store = unsafe { shared(store, "store")? };
        let all = store.store.read_all(Sequence::new(first)..=Sequence::new(last));
        // SAFETY: the caller's promise.
        unsafe { give(events, reader(all), "events") }
    })
}

/// A stream's events by version, from `first` to `last`, both included, as far as they are acknowledged now; none where there is
/// no such stream. 0 and `UINT64_MAX` for all. Ends with `bitacora_events_free`.
///
/// # Safety
/// Every pointer is null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bitacora_read_stream(
    store: *const OpenStore,
    stream: Slice,
    first: u64,
    last: u64,
    events: *mut *mut EventReader,
) -> Code {
    guarded(|| {
        needed(events, "events")?;
        // SAFETY: the caller's promise.
        let store = unsafe { shared(store, "store")? };
        // SAFETY: the caller's promise.
        let stream = StreamId::new(unsafe { stream.text("stream")? })?;
        let all = store.store.read_stream(&stream, Version::new(first)..=Version::new(last));
        // SAFETY: the caller's promise.
        unsafe { give(events, reader(all), "events") }
    })
}

/// The next event; `BITACORA_CODE_END` where there is none. What the event before pointed to is gone then. Ends at its first error.
///
/// # Safety
/// Every pointer is null or valid, and no other call uses `events`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bitacora_events_next(events: *mut EventReader, event: *mut StoredEvent) -> Code {
    guarded(|| {
        needed(event, "event")?;
        // SAFETY: the caller's promise.
        let reader = unsafe { events.as_mut() }.ok_or_else(|| Stop::null("events"))?;
        reader.current = None;
        let next = reader.events.next().ok_or_else(Stop::end)??;
        let current = reader.current.insert(next);
        // SAFETY: the caller's promise.
        unsafe { give(event, StoredEvent::of(current), "event") }
    })
}

/// Ends reading. Null is no harm.
///
/// # Safety
/// `events` is null or was made by this library and not freed yet, and no other call uses it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bitacora_events_free(events: *mut EventReader) {
    // Whatever is answered: the handle is gone.
    let _ = guarded(|| {
        if !events.is_null() {
            // SAFETY: made by `reader` and not freed yet, by the caller's promise.
            drop(unsafe { Box::from_raw(events) });
        }
        Ok(())
    });
}
