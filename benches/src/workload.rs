//! The events that everything is measured with: 256 bytes each, over 10,000 streams.

use bitacora::{CodecId, EventType, NewEvent, StreamId};

/// What an event carries, bytes.
pub const PAYLOAD_BYTES: usize = 256;
/// How many streams the events go to.
pub const STREAMS: usize = 10_000;

const EVENT_TYPE: &str = "Measured";

/// Bytes that do not repeat, so that nothing compresses them away.
#[must_use]
pub fn payload() -> Vec<u8> {
    let mut state = 1u32;
    let byte = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_le_bytes()[3]
    };
    (0..PAYLOAD_BYTES).map(byte).collect()
}

/// The stream that the event of this number goes to: all of them in turn, in an order without neighbours.
#[must_use]
pub fn stream_of(event: usize) -> usize {
    event.wrapping_mul(7_919) % STREAMS
}

/// The name of a stream.
#[must_use]
pub fn stream_name(stream: usize) -> String {
    stream_id(stream).as_str().to_owned()
}

/// A stream.
///
/// # Panics
/// Never: the name is one.
#[must_use]
pub fn stream_id(stream: usize) -> StreamId {
    StreamId::of("till", &format!("{stream:05}")).unwrap()
}

/// An event of Bitacora's that carries nothing yet.
///
/// # Panics
/// Never: the type's name is one.
#[must_use]
pub fn empty_event() -> NewEvent {
    NewEvent::new(EventType::new(EVENT_TYPE).unwrap(), CodecId::RAW, Vec::new())
}

/// What a record of the log takes, keys included: see the layout of records.
#[must_use]
pub fn record_bytes() -> usize {
    const RECORD_HEADER: usize = 20;
    const EVENT_ID: usize = 16;
    let names = 1 + stream_name(0).len() + 1 + EVENT_TYPE.len();
    RECORD_HEADER + EVENT_ID + names + PAYLOAD_BYTES
}

/// What the log takes for one commit of so many events: see the layout of frames.
#[must_use]
pub fn frame_bytes(events: usize) -> usize {
    const FRAME_HEADER: usize = 56;
    (FRAME_HEADER + events * record_bytes()).next_multiple_of(8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_is_given_as_many_bytes_as_a_commit_takes() {
        for count in [1, 2, 100] {
            let events: Vec<NewEvent> = (0..count).map(|_| NewEvent { payload: payload(), ..empty_event() }).collect();
            let mut length = 0;
            bitacora::internals::encode_frame(&stream_id(7), &events, &mut |frame| length = frame.len());
            assert_eq!(frame_bytes(count), length, "{count} events");
        }
    }

    #[test]
    fn the_streams_take_turns() {
        let mut seen: Vec<usize> = (0..STREAMS).map(stream_of).collect();
        seen.sort_unstable();
        assert!(seen.iter().copied().eq(0..STREAMS), "each once before any comes again");
    }
}
