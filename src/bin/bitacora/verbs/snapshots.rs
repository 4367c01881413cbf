//! `bitacora snapshots`: the snapshots that there are.

use bitacora::Sequence;
use bitacora::service::{SnapshotSummary, snapshots};
use bitacora::{Result, Store};
use serde::Serialize;

use crate::args::SnapshotsArgs;
use crate::exit::{FINE, Outcome};
use crate::output::Output;
use crate::render;

#[derive(Serialize)]
struct Line<'a> {
    snapshot_id: &'a str,
    aggregate_type: &'a str,
    aggregate_id: &'a str,
    timestamp: String,
    last_event_version: u64,
    last_event_sequence: u64,
    schema_version: u16,
    codec: u8,
    bytes: usize,
}

impl<'a> Line<'a> {
    fn new(snapshot: &'a SnapshotSummary) -> Self {
        Self {
            snapshot_id: &snapshot.snapshot_id,
            aggregate_type: &snapshot.aggregate_type,
            aggregate_id: &snapshot.aggregate_id,
            timestamp: render::time(snapshot.timestamp),
            last_event_version: snapshot.last_event_version.get(),
            last_event_sequence: snapshot.last_event_sequence.get(),
            schema_version: snapshot.schema_version,
            codec: snapshot.codec,
            bytes: snapshot.bytes,
        }
    }

    fn row(self) -> Vec<String> {
        vec![
            self.snapshot_id.to_owned(),
            self.timestamp,
            self.last_event_version.to_string(),
            self.last_event_sequence.to_string(),
            self.schema_version.to_string(),
            self.bytes.to_string(),
        ]
    }
}

const HEADER: [&str; 6] =
    ["snapshot_id", "timestamp", "last_event_version", "last_event_sequence", "schema_version", "bytes"];

pub(crate) fn run(args: &SnapshotsArgs, output: &mut Output) -> Outcome {
    output.end_at_interrupt()?;
    let store = super::open_to_read(&args.dir)?;
    let found = find(&store, args.user.as_deref())?;
    if output.is_json() {
        for snapshot in found {
            output.json(&Line::new(&snapshot?))?;
        }
        return Ok(FINE);
    }
    output.rows(&HEADER, found.map(|snapshot| Ok(Line::new(&snapshot?).row())))?;
    Ok(FINE)
}

type Summaries = Box<dyn Iterator<Item = Result<SnapshotSummary>>>;

fn find(store: &Store, user: Option<&str>) -> Result<Summaries> {
    let Some(user) = user else { return Ok(Box::new(snapshots(store, "wallet"))) };
    let found = store.snapshots("wallet", user, Sequence::MAX)?;
    let summaries: Vec<_> = found.iter().map(|snapshot| Ok(SnapshotSummary::from(snapshot))).collect();
    Ok(Box::new(summaries.into_iter()))
}
