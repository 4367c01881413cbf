//! `bitacora streams`: the streams by name.

use serde::Serialize;

use crate::args::StreamsArgs;
use crate::exit::{FINE, Failure, Outcome};
use crate::output::Output;

#[derive(Serialize)]
struct Line<'a> {
    stream: &'a str,
    version: u64,
    last_sequence: u64,
}

pub(crate) fn run(args: &StreamsArgs, output: &mut Output) -> Outcome {
    output.end_at_interrupt()?;
    let store = super::open_to_read(&args.dir)?;
    let streams = store.streams(&args.prefix);
    if output.is_json() {
        for entry in streams {
            let (stream, head) = entry?;
            let (version, last_sequence) = (head.version.get(), head.sequence.get());
            output.json(&Line { stream: stream.as_str(), version, last_sequence })?;
        }
        return Ok(FINE);
    }
    let rows = streams.map(|entry| {
        let (stream, head) = entry.map_err(Failure::from)?;
        Ok(vec![stream.to_string(), head.version.to_string(), head.sequence.to_string()])
    });
    output.rows(&["stream", "version", "last_sequence"], rows)?;
    Ok(FINE)
}
