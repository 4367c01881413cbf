//! `bitacora backup`: a copy of a store that is a store.

use bitacora::{BackupPhase, BackupProgress, ErrorKind};
use serde::Serialize;

use crate::args::BackupArgs;
use crate::exit::{FINE, Failure, Outcome};
use crate::output::Output;
use crate::progress::{Progress, Unit};
use crate::render::hex;

#[derive(Serialize)]
struct Document {
    store_id: String,
    segments: u64,
    seals: u64,
    bytes: u64,
    events: u64,
    last_sequence: u64,
    /// Over all events, RFC 9162.
    merkle_root: String,
    /// Of the last seal; it stands on all before.
    seal_digest: Option<String>,
}

fn tell(progress: &mut Progress, now: BackupProgress) {
    let phase = match now.phase {
        BackupPhase::Check => "checking the source",
        BackupPhase::Copy => "copying",
        BackupPhase::Verify => "verifying the copy",
    };
    progress.tell(phase, now.done_bytes, now.total_bytes);
}

pub(crate) fn run(args: &BackupArgs, output: &mut Output) -> Outcome {
    let mut progress = Progress::new("backup", Unit::Bytes);
    let report =
        bitacora::backup_with(&args.dir, &args.to, &mut |now| tell(&mut progress, now)).map_err(|error| match error
            .kind()
        {
            ErrorKind::NotFound => Failure::opening(&error),
            _ => Failure::from(error),
        })?;
    let document = Document {
        store_id: report.store_id.to_string(),
        segments: report.segments,
        seals: report.seals,
        bytes: report.bytes,
        events: report.events,
        last_sequence: report.last_sequence.get(),
        merkle_root: hex(&report.merkle_root),
        seal_digest: report.seal_digest.map(|digest| hex(&digest)),
    };
    if output.is_json() {
        output.json(&document)?;
        return Ok(FINE);
    }
    output.facts(&[
        ("store_id", document.store_id),
        ("segments", document.segments.to_string()),
        ("seals", document.seals.to_string()),
        ("bytes", document.bytes.to_string()),
        ("events", document.events.to_string()),
        ("last_sequence", document.last_sequence.to_string()),
        ("merkle_root", document.merkle_root),
        ("seal_digest", document.seal_digest.unwrap_or_default()),
    ])?;
    Ok(FINE)
}
