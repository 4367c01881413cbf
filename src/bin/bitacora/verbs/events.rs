//! `bitacora events`: events as JSON lines, by place, stream and type.

use bitacora::{Event, EventType, Sequence, Store, StreamId};

use crate::args::EventsArgs;
use crate::exit::{FINE, Outcome};
use crate::output::Output;
use crate::render::EventLine;

/// Any number is a limit that a machine can count to.
const NO_LIMIT: usize = usize::MAX;

pub(crate) fn run(args: &EventsArgs, output: &mut Output) -> Outcome {
    let stream = args.stream.as_deref().map(StreamId::new).transpose()?;
    let event_type = args.event_type.as_deref().map(EventType::new).transpose()?;
    output.end_at_interrupt()?;
    let store = super::open_to_read(&args.dir)?;
    let limit = args.limit.map_or(NO_LIMIT, |limit| usize::try_from(limit).unwrap_or(NO_LIMIT));
    for event in select(&store, args, stream.as_ref(), event_type.as_ref()).take(limit) {
        output.json(&EventLine::new(&event?))?;
    }
    Ok(FINE)
}

type Events = Box<dyn Iterator<Item = bitacora::Result<Event>>>;

fn select(store: &Store, args: &EventsArgs, stream: Option<&StreamId>, event_type: Option<&EventType>) -> Events {
    let from = args.from.map_or(Sequence::ZERO, Sequence::new);
    let to = args.to.map_or(Sequence::MAX, Sequence::new);
    if from > to {
        return Box::new(std::iter::empty());
    }
    let Some(stream) = stream else {
        let events = store.read_all(from..=to);
        return match event_type {
            Some(event_type) => directed(events.of_type(event_type), args.reverse),
            None => directed(events, args.reverse),
        };
    };
    let events = store.read_stream(stream, ..);
    let events = match event_type {
        Some(event_type) => directed(events.of_type(event_type), args.reverse),
        None => directed(events, args.reverse),
    };
    // Sequences rise with versions, so what lies before the wanted range is passed over and what lies behind it ends
    // the walk. An error is always shown.
    let reverse = args.reverse;
    let is_before = move |event: &Event| if reverse { event.sequence > to } else { event.sequence < from };
    let is_behind = move |event: &Event| if reverse { event.sequence < from } else { event.sequence > to };
    let ahead = events.skip_while(move |event| event.as_ref().is_ok_and(is_before));
    Box::new(ahead.take_while(move |event| !event.as_ref().is_ok_and(is_behind)))
}

fn directed(events: impl DoubleEndedIterator<Item = bitacora::Result<Event>> + 'static, reverse: bool) -> Events {
    if reverse { Box::new(events.rev()) } else { Box::new(events) }
}
