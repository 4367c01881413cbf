//! `bitacora info`: what a store is and holds.

use bitacora::DiskSpace;
use serde::Serialize;

use super::disk_space;
use super::store_report::StoreReport;
use crate::args::StoreArgs;
use crate::exit::{FINE, Outcome};
use crate::output::Output;

#[derive(Serialize)]
struct Document<'a> {
    store_id: String,
    format: u16,
    first_sequence: u64,
    last_sequence: u64,
    durable_sequence: u64,
    segments: u64,
    /// Of these; their bytes in the log if they were there, and those of their archives.
    archived_segments: u64,
    archived_bytes: u64,
    archive_bytes: u64,
    bytes: u64,
    /// What is kept for a full disk; 0 where it is spent, or none is kept.
    reserve_bytes: u64,
    index_bytes: u64,
    streams: u64,
    disk: DiskSpace,
    /// What the last open to write found and did.
    last_recovery: Option<StoreReport<'a>>,
}

pub(crate) fn run(args: &StoreArgs, output: &mut Output) -> Outcome {
    let store = super::open_to_read(&args.dir)?;
    let (info, disk) = (store.info()?, store.disk_space()?);
    disk_space::warn(&disk);
    let document = Document {
        store_id: info.store_id.to_string(),
        format: info.format_version,
        first_sequence: info.first_sequence.get(),
        last_sequence: info.last_sequence.get(),
        durable_sequence: info.durable_sequence.get(),
        segments: info.segments,
        archived_segments: info.archived_segments,
        archived_bytes: info.archived_bytes,
        archive_bytes: info.archive_bytes,
        bytes: info.log_bytes,
        reserve_bytes: info.reserve_bytes,
        index_bytes: info.index_bytes,
        streams: info.streams,
        disk,
        last_recovery: info.last_recovery.as_ref().map(StoreReport::new),
    };
    if output.is_json() {
        output.json(&document)?;
        return Ok(FINE);
    }
    let mut facts = vec![
        ("store_id", document.store_id),
        ("format", document.format.to_string()),
        ("first_sequence", document.first_sequence.to_string()),
        ("last_sequence", document.last_sequence.to_string()),
        ("durable_sequence", document.durable_sequence.to_string()),
        ("segments", document.segments.to_string()),
        ("archived_segments", document.archived_segments.to_string()),
        ("archived_bytes", document.archived_bytes.to_string()),
        ("archive_bytes", document.archive_bytes.to_string()),
        ("bytes", document.bytes.to_string()),
        ("reserve_bytes", document.reserve_bytes.to_string()),
        ("index_bytes", document.index_bytes.to_string()),
        ("streams", document.streams.to_string()),
    ];
    facts.extend(disk_space::facts(&document.disk));
    facts.push(("last_recovery", document.last_recovery.as_ref().map_or_else(String::new, StoreReport::line)));
    output.facts(&facts)?;
    Ok(FINE)
}
