//! `bitacora rebuild-index`, `bitacora compact-index`, and `bitacora upgrade`, which may have to make the index anew too.

use std::ops::ControlFlow;
use std::time::Duration;

use bitacora::{Error, ErrorKind, IndexProgress, IndexReport};
use serde::Serialize;

use crate::args::{CompactIndexArgs, RebuildIndexArgs, UpgradeArgs};
use crate::exit::{FINE, Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::output::Output;
use crate::progress::{Progress, Unit};

#[derive(Serialize)]
struct IndexDocument {
    store_id: String,
    events: u64,
    streams: u64,
    keys: u64,
    /// Snapshots and checkpoints that were kept.
    state_entries: u64,
    /// Why they are lost, where they are.
    state_lost: Option<String>,
    elapsed_ms: u64,
    index_bytes: u64,
}

impl IndexDocument {
    fn new(report: &IndexReport) -> Self {
        Self {
            store_id: report.store_id.to_string(),
            events: report.events,
            streams: report.streams,
            keys: report.keys,
            state_entries: report.state_entries,
            state_lost: report.state_lost.clone(),
            elapsed_ms: milliseconds(report.elapsed),
            index_bytes: report.index_bytes,
        }
    }
}

#[derive(Serialize)]
struct CompactDocument {
    bytes_before: u64,
    bytes_after: u64,
    elapsed_ms: u64,
}

#[derive(Serialize)]
struct UpgradeDocument {
    store_id: String,
    format_before: u16,
    format_after: u16,
    changed: bool,
    /// What was made anew.
    index: Option<IndexDocument>,
}

pub(crate) fn rebuild(args: &RebuildIndexArgs, output: &mut Output) -> Outcome {
    let mut watch = Watch::start("rebuild-index")?;
    let report = bitacora::rebuild_index(&args.dir, &mut |now| watch.tell(now)).map_err(opening)?;
    let document = IndexDocument::new(&report);
    if output.is_json() {
        output.json(&document)?;
        return Ok(FINE);
    }
    output.facts(&[
        ("store_id", document.store_id),
        ("events", document.events.to_string()),
        ("streams", document.streams.to_string()),
        ("keys", document.keys.to_string()),
        ("state_entries", document.state_entries.to_string()),
        ("state_lost", document.state_lost.unwrap_or_default()),
        ("elapsed_ms", document.elapsed_ms.to_string()),
        ("index_bytes", document.index_bytes.to_string()),
    ])?;
    Ok(FINE)
}

pub(crate) fn compact(args: &CompactIndexArgs, output: &mut Output) -> Outcome {
    let report = bitacora::compact_index(&args.dir).map_err(opening)?;
    let document = CompactDocument {
        bytes_before: report.bytes_before,
        bytes_after: report.bytes_after,
        elapsed_ms: milliseconds(report.elapsed),
    };
    if output.is_json() {
        output.json(&document)?;
        return Ok(FINE);
    }
    output.facts(&[
        ("bytes_before", document.bytes_before.to_string()),
        ("bytes_after", document.bytes_after.to_string()),
        ("elapsed_ms", document.elapsed_ms.to_string()),
    ])?;
    Ok(FINE)
}

pub(crate) fn upgrade(args: &UpgradeArgs, output: &mut Output) -> Outcome {
    let mut watch = Watch::start("upgrade")?;
    let report = bitacora::upgrade(&args.dir, &mut |now| watch.tell(now)).map_err(opening)?;
    let document = UpgradeDocument {
        store_id: report.store_id.to_string(),
        format_before: report.format_before,
        format_after: report.format_after,
        changed: !report.is_unchanged(),
        index: report.index.as_ref().map(IndexDocument::new),
    };
    if output.is_json() {
        output.json(&document)?;
        return Ok(FINE);
    }
    let index = match &document.index {
        Some(index) => format!("made anew: {} events", index.events),
        None => "as it was".to_owned(),
    };
    output.facts(&[
        ("store_id", document.store_id),
        ("format_before", document.format_before.to_string()),
        ("format_after", document.format_after.to_string()),
        ("changed", document.changed.to_string()),
        ("index", index),
    ])?;
    Ok(FINE)
}

/// Ctrl-C, and how far it is.
struct Watch {
    interrupt: Interrupt,
    progress: Progress,
}

impl Watch {
    fn start(verb: &'static str) -> Result<Self, Failure> {
        Ok(Self { interrupt: Interrupt::catch()?, progress: Progress::new(verb, Unit::Count) })
    }

    fn tell(&mut self, now: IndexProgress) -> ControlFlow<()> {
        self.progress.tell("reading the log", now.done_events, now.total_events);
        if self.interrupt.came() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

fn opening(error: Error) -> Failure {
    if error.kind() == ErrorKind::NotFound { Failure::opening(&error) } else { Failure::from(error) }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
