//! `bitacora restore`: a store of a backup.

use bitacora::RestoreOptions;
use serde::Serialize;

use super::backup::{failed, telling};
use crate::args::RestoreArgs;
use crate::exit::{FINE, Outcome};
use crate::interrupt::Interrupt;
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
    /// Where the store that stood there is now.
    set_aside: Option<String>,
}

pub(crate) fn run(args: &RestoreArgs, output: &mut Output) -> Outcome {
    let interrupt = Interrupt::catch()?;
    let mut progress = Progress::new("restore", Unit::Bytes);
    let options = RestoreOptions::new().replace(args.replace);
    let report = bitacora::restore_with(&args.backup, &args.to, &options, &mut telling(&mut progress, &interrupt));
    drop(progress);
    let report = report.map_err(failed)?;
    let document = Document {
        store_id: report.store_id.to_string(),
        segments: report.segments,
        seals: report.seals,
        bytes: report.bytes,
        events: report.events,
        last_sequence: report.last_sequence.get(),
        merkle_root: hex(&report.merkle_root),
        set_aside: report.set_aside.map(|path| path.display().to_string()),
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
        ("set_aside", document.set_aside.unwrap_or_default()),
    ])?;
    Ok(FINE)
}
