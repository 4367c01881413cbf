//! `bitacora export`: the log as JSON lines.

use std::error::Error as _;
use std::io;
use std::ops::ControlFlow;

use bitacora::{Error, ErrorKind, ExportReport, Sequence, TransferPhase, TransferProgress};
use serde::Serialize;

use crate::args::ExportArgs;
use crate::exit::{FINE, Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::output::Output;
use crate::progress::{Progress, Unit};
use crate::render::hex;

#[derive(Serialize)]
struct Document {
    store_id: String,
    first_sequence: u64,
    /// The one before the first where there is no event.
    last_sequence: u64,
    commits: u64,
    events: u64,
    bytes: u64,
    /// Over the events, RFC 9162.
    merkle_root: String,
}

impl Document {
    fn new(report: &ExportReport) -> Self {
        Self {
            store_id: report.store_id.to_string(),
            first_sequence: report.first_sequence.get(),
            last_sequence: report.last_sequence.get(),
            commits: report.commits,
            events: report.events,
            bytes: report.bytes,
            merkle_root: hex(&report.merkle_root),
        }
    }
}

pub(crate) fn run(args: &ExportArgs, output: &mut Output) -> Outcome {
    let interrupt = Interrupt::catch()?;
    let mut progress = Progress::new("export", Unit::Count);
    let mut tell = |now: TransferProgress| transfer(&interrupt, &mut progress, now);
    let range = args.from.map_or(Sequence::ZERO, Sequence::new)..=args.to.map_or(Sequence::MAX, Sequence::new);
    let Some(file) = &args.output else {
        bitacora::export(&args.dir, range, output.writer(), &mut tell).map_err(|error| failure(&error))?;
        return Ok(FINE);
    };
    let report = bitacora::export_file(&args.dir, range, file, &mut tell).map_err(|error| failure(&error))?;
    let document = Document::new(&report);
    if output.is_json() {
        output.json(&document)?;
        return Ok(FINE);
    }
    output.facts(&[
        ("store_id", document.store_id),
        ("first_sequence", document.first_sequence.to_string()),
        ("last_sequence", document.last_sequence.to_string()),
        ("commits", document.commits.to_string()),
        ("events", document.events.to_string()),
        ("bytes", document.bytes.to_string()),
        ("merkle_root", document.merkle_root),
    ])?;
    Ok(FINE)
}

/// Tells how far it is; broken off at Ctrl-C.
pub(super) fn transfer(interrupt: &Interrupt, progress: &mut Progress, now: TransferProgress) -> ControlFlow<()> {
    let phase = match now.phase {
        TransferPhase::Export => "writing lines",
        TransferPhase::Import => "taking lines in",
        TransferPhase::Verify => "reading back",
    };
    progress.tell(phase, now.done_events, now.total_events);
    if interrupt.came() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

/// What became of it; that the reader of standard output has gone is no failure.
fn failure(error: &Error) -> Failure {
    let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    match (error.kind(), source) {
        (ErrorKind::NotFound, _) => Failure::opening(error),
        (_, Some(source)) if source.kind() == io::ErrorKind::BrokenPipe => {
            Failure::of_stream("standard output", source)
        }
        _ => Failure::from(error.clone()),
    }
}
