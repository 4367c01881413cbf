//! `bitacora import`: the store that was exported, again.

use std::fs::File;
use std::io::{self, BufRead, BufReader};

use bitacora::{ErrorKind, TransferProgress};
use serde::Serialize;

use crate::args::ImportArgs;
use crate::exit::{FINE, Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::output::Output;
use crate::progress::{Progress, Unit};
use crate::render::hex;

/// Read at once.
const READ_BYTES: usize = 1024 * 1024;

#[derive(Serialize)]
struct Document {
    store_id: String,
    /// Whether the store was made.
    new: bool,
    first_sequence: u64,
    last_sequence: u64,
    commits_written: u64,
    events_written: u64,
    /// There already, and the same.
    events_present: u64,
    /// Over the export's events, RFC 9162.
    merkle_root: String,
}

pub(crate) fn run(args: &ImportArgs, output: &mut Output) -> Outcome {
    let interrupt = Interrupt::catch()?;
    let mut progress = Progress::new("import", Unit::Count);
    let mut tell = |now: TransferProgress| super::export::transfer(&interrupt, &mut progress, now);
    let mut input: Box<dyn BufRead> = match &args.input {
        None => Box::new(io::stdin().lock()),
        Some(path) => {
            let file = File::open(path).map_err(|error| Failure::usage(format!("read {}: {error}", path.display())))?;
            Box::new(BufReader::with_capacity(READ_BYTES, file))
        }
    };
    let report = bitacora::import(&args.dir, &mut input, &mut tell).map_err(|error| match error.kind() {
        ErrorKind::NotFound => Failure::opening(&error),
        _ => Failure::from(error),
    })?;
    let document = Document {
        store_id: report.store_id.to_string(),
        new: report.is_new,
        first_sequence: report.first_sequence.get(),
        last_sequence: report.last_sequence.get(),
        commits_written: report.commits_written,
        events_written: report.events_written,
        events_present: report.events_present,
        merkle_root: hex(&report.merkle_root),
    };
    if output.is_json() {
        output.json(&document)?;
        return Ok(FINE);
    }
    output.facts(&[
        ("store_id", document.store_id),
        ("new", document.new.to_string()),
        ("first_sequence", document.first_sequence.to_string()),
        ("last_sequence", document.last_sequence.to_string()),
        ("commits_written", document.commits_written.to_string()),
        ("events_written", document.events_written.to_string()),
        ("events_present", document.events_present.to_string()),
        ("merkle_root", document.merkle_root),
    ])?;
    Ok(FINE)
}
