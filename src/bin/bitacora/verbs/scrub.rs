//! `bitacora scrub`: the whole log read slowly, beside a till.

use std::ops::ControlFlow;

use bitacora::{ScrubOptions, ScrubReport};
use serde::Serialize;

use super::findings::{self, Finding};
use crate::args::ScrubArgs;
use crate::exit::{FINE, Failure, NO, Outcome};
use crate::interrupt::Interrupt;
use crate::output::Output;
use crate::progress::{Progress, Unit};
use crate::render::time;

#[derive(Serialize)]
struct Document {
    ok: bool,
    is_complete: bool,
    pass: u64,
    started_at: String,
    was_resumed: bool,
    segments: u64,
    events: u64,
    bytes: u64,
    last_sequence: u64,
    /// Reads that failed and went through when they were made again.
    reads_repeated: u64,
    /// What has waited longest to be read has waited since then.
    unread_since: String,
    keeps_position: bool,
    findings: Vec<Finding>,
    findings_left_off: u64,
}

pub(crate) fn run(args: &ScrubArgs, output: &mut Output) -> Outcome {
    let mut options = ScrubOptions::new().rate_bytes(args.rate).restart(args.restart);
    if let Some(folder) = &args.position {
        options = options.position_folder(folder);
    }
    let report = if args.status {
        let status = bitacora::scrub_status(&args.dir, &options).map_err(|error| Failure::opening(&error))?;
        status.ok_or_else(|| Failure::no(format!("{}: no scrub is remembered", args.dir.display())))?
    } else {
        let interrupt = Interrupt::catch()?;
        let mut progress = Progress::new("scrub", Unit::Bytes);
        let mut tell = |now: bitacora::ScrubProgress| {
            let phase =
                if now.findings == 0 { "reading".to_owned() } else { format!("reading, {} found", now.findings) };
            progress.tell(&phase, now.done_bytes, now.total_bytes);
            if interrupt.came() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        bitacora::scrub(&args.dir, &options, &mut tell).map_err(|error| Failure::opening(&error))?
    };
    let document = document(report);
    print(&document, output)?;
    Ok(if document.ok { FINE } else { NO })
}

fn document(report: ScrubReport) -> Document {
    Document {
        ok: report.is_ok(),
        is_complete: report.is_complete,
        pass: report.pass,
        started_at: time(report.started_at),
        was_resumed: report.was_resumed,
        segments: report.segments,
        events: report.events,
        bytes: report.bytes,
        last_sequence: report.last_sequence.get(),
        reads_repeated: report.reads_repeated,
        unread_since: time(report.unread_since),
        keeps_position: report.keeps_position,
        findings: report.findings.into_iter().map(Finding::from).collect(),
        findings_left_off: report.findings_left_off,
    }
}

fn print(document: &Document, output: &mut Output) -> Result<(), Failure> {
    if output.is_json() {
        return output.json(document);
    }
    output.facts(&[
        ("ok", document.ok.to_string()),
        ("is_complete", document.is_complete.to_string()),
        ("pass", document.pass.to_string()),
        ("started_at", document.started_at.clone()),
        ("was_resumed", document.was_resumed.to_string()),
        ("segments", document.segments.to_string()),
        ("events", document.events.to_string()),
        ("bytes", document.bytes.to_string()),
        ("last_sequence", document.last_sequence.to_string()),
        ("reads_repeated", document.reads_repeated.to_string()),
        ("unread_since", document.unread_since.clone()),
        ("keeps_position", document.keeps_position.to_string()),
        ("findings", document.findings.len().to_string()),
        ("findings_left_off", document.findings_left_off.to_string()),
    ])?;
    findings::print(&document.findings, output)
}
