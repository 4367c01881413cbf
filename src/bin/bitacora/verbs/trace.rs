//! `bitacora trace`: all that has a correlation id, in order.

use crate::args::TraceArgs;
use crate::exit::{FINE, Failure, Outcome};
use crate::output::Output;
use crate::render::{self, Data, EventLine};

pub(crate) fn run(args: &TraceArgs, output: &mut Output) -> Outcome {
    output.end_at_interrupt()?;
    let store = super::open_to_read(&args.dir)?;
    let mut events = store.read_correlation(&args.correlation_id, ..).peekable();
    if events.peek().is_none() {
        return Err(Failure::no(format!("there is no event with the correlation id {:?}", args.correlation_id))
            .with_hint("`bitacora events DIR` shows each event with its correlation id"));
    }
    if output.is_json() {
        for event in events {
            output.json(&EventLine::new(&event?))?;
        }
        return Ok(FINE);
    }
    let rows = events.map(|event| {
        let event = event?;
        let data = serde_json::to_string(&Data::of(&event)).map_err(|error| Failure::usage(error.to_string()))?;
        let metadata = event.metadata;
        Ok(vec![
            event.sequence.to_string(),
            render::time(event.timestamp),
            event.stream.to_string(),
            event.event_type.to_string(),
            metadata.actor.unwrap_or_default(),
            metadata.causation_id.unwrap_or_default(),
            data,
        ])
    });
    output.rows(&["sequence", "timestamp", "stream", "type", "actor", "causation_id", "data"], rows)?;
    Ok(FINE)
}
