//! `bitacora backup`: a copy of a store that is a store, or an earlier copy brought up to date.

use std::ops::ControlFlow;

use bitacora::{BackupOptions, BackupPhase, BackupProgress, ErrorKind};
use serde::Serialize;

use crate::args::BackupArgs;
use crate::exit::{FINE, Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::output::Output;
use crate::progress::{Progress, Unit};
use crate::render::hex;

#[derive(Serialize)]
struct Document {
    store_id: String,
    segments: u64,
    /// Written by this run, in whatever way.
    segments_copied: u64,
    /// Of these: sharing bytes with the store's until either is written to.
    segments_reflinked: u64,
    /// Of these: second names of the store's files.
    segments_linked: u64,
    segments_kept: u64,
    seals: u64,
    bytes: u64,
    bytes_copied: u64,
    bytes_kept: u64,
    events: u64,
    last_sequence: u64,
    /// Over all events, RFC 9162; none where a part was kept and not read.
    merkle_root: Option<String>,
    /// Of the last seal; it stands on all before.
    seal_digest: Option<String>,
}

/// Tells how far it is, until Ctrl-C.
pub(super) fn telling<'a>(
    progress: &'a mut Progress,
    interrupt: &'a Interrupt,
) -> impl FnMut(BackupProgress) -> ControlFlow<()> + 'a {
    |now| {
        let phase = match now.phase {
            BackupPhase::Check => "checking",
            BackupPhase::Copy => "copying",
            BackupPhase::Verify => "verifying",
            _ => "working",
        };
        progress.tell(phase, now.done_bytes, now.total_bytes);
        if interrupt.came() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// What is not found is a store, or the folder for the copy.
pub(super) fn failed(error: bitacora::Error) -> Failure {
    match error.kind() {
        ErrorKind::NotFound => Failure::opening(&error),
        _ => Failure::from(error),
    }
}

pub(crate) fn run(args: &BackupArgs, output: &mut Output) -> Outcome {
    let interrupt = Interrupt::catch()?;
    let mut progress = Progress::new("backup", Unit::Bytes);
    let options = BackupOptions::new().hard_links(args.hard_links).verify_all(args.verify_all);
    let report = bitacora::backup_with(&args.dir, &args.to, &options, &mut telling(&mut progress, &interrupt));
    drop(progress);
    let report = report.map_err(failed)?;
    let document = Document {
        store_id: report.store_id.to_string(),
        segments: report.segments,
        segments_copied: report.segments_copied,
        segments_reflinked: report.segments_reflinked,
        segments_linked: report.segments_linked,
        segments_kept: report.segments_kept,
        seals: report.seals,
        bytes: report.bytes,
        bytes_copied: report.bytes_copied,
        bytes_kept: report.bytes_kept,
        events: report.events,
        last_sequence: report.last_sequence.get(),
        merkle_root: report.merkle_root.map(|root| hex(&root)),
        seal_digest: report.seal_digest.map(|digest| hex(&digest)),
    };
    if output.is_json() {
        output.json(&document)?;
        return Ok(FINE);
    }
    output.facts(&[
        ("store_id", document.store_id),
        ("segments", document.segments.to_string()),
        ("segments_copied", document.segments_copied.to_string()),
        ("segments_reflinked", document.segments_reflinked.to_string()),
        ("segments_linked", document.segments_linked.to_string()),
        ("segments_kept", document.segments_kept.to_string()),
        ("seals", document.seals.to_string()),
        ("bytes", document.bytes.to_string()),
        ("bytes_copied", document.bytes_copied.to_string()),
        ("bytes_kept", document.bytes_kept.to_string()),
        ("events", document.events.to_string()),
        ("last_sequence", document.last_sequence.to_string()),
        ("merkle_root", document.merkle_root.unwrap_or_default()),
        ("seal_digest", document.seal_digest.unwrap_or_default()),
    ])?;
    Ok(FINE)
}
