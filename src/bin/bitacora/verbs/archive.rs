//! `bitacora archive` and `unarchive`: old segments moved into archives, and back.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use bitacora::{
    ArchiveOptions, ArchivePlan, ArchiveProgress, ErrorKind, KeptBecause, MovedSegment, Options, PlannedSegment,
    SegmentFate, Sequence, Store,
};
use serde::Serialize;

use crate::args::{ArchiveArgs, UnarchiveArgs};
use crate::exit::{FINE, Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::output::Output;
use crate::progress::{Progress, Unit};

#[derive(Serialize)]
struct Document {
    dry_run: bool,
    folder: String,
    segments: Vec<Line>,
    moved: usize,
    /// Of what was moved: before and after.
    segment_bytes: u64,
    archive_bytes: u64,
}

#[derive(Serialize)]
struct Line {
    first: u64,
    last: u64,
    /// `archived` before, `goes` (with `--dry-run`), `moved` now, or `kept`.
    state: &'static str,
    /// What keeps it.
    because: Vec<String>,
    segment_bytes: u64,
    /// Of one that was moved now.
    archive_bytes: Option<u64>,
}

#[derive(Serialize)]
struct Back<'a> {
    segments: &'a [MovedSegment],
    moved: usize,
    segment_bytes: u64,
    archive_bytes: u64,
    left: Vec<String>,
}

pub(crate) fn archive(args: &ArchiveArgs, output: &mut Output) -> Outcome {
    let backup = args.backup.named();
    if backup == bitacora::ArchiveBackup::Unnamed && !args.dry_run {
        let text = "which backup holds it? Give --backup FOLDER or --backed-up-through SEQ, or --without-backup";
        return Err(Failure::usage(text));
    }
    let mut options = ArchiveOptions::before(args.before.0).backup(backup).past_snapshots(args.past_snapshots);
    if let Some(folder) = &args.to {
        options = options.to(absolute(folder)?);
    }
    // Nothing is made where there is no store.
    let store = super::open_to_read(&args.dir)?;
    let (plan, moved) = if args.dry_run {
        (store.archive_plan(&options)?, Vec::new())
    } else {
        drop(store);
        carry_out(&args.dir, &options)?
    };
    let document = document(args.dry_run, &plan, &moved);
    if output.is_json() {
        output.json(&document)?;
        return Ok(FINE);
    }
    let rows = document.segments.iter().map(|line| {
        let archive = line.archive_bytes.map_or_else(String::new, |bytes| bytes.to_string());
        let numbers = [line.first, line.last].map(|number| number.to_string());
        let [first, last] = numbers;
        Ok(vec![first, last, line.state.to_owned(), line.segment_bytes.to_string(), archive, line.because.join("; ")])
    });
    output.rows(&["first", "last", "state", "segment_bytes", "archive_bytes", "because"], rows)?;
    Ok(FINE)
}

fn carry_out(dir: &Path, options: &ArchiveOptions) -> Result<(ArchivePlan, Vec<MovedSegment>), Failure> {
    let interrupt = Interrupt::catch()?;
    let mut progress = Progress::new("archive", Unit::Bytes);
    let store = Store::open(dir, Options::new()).map_err(|error| Failure::opening(&error))?;
    // What is finished is sealed and indexed before it is looked at.
    let done = store.housekeep().and_then(|()| store.archive(options, &mut |now| tell(&mut progress, &interrupt, now)));
    let closed = store.close();
    let report = done?;
    closed?;
    Ok((report.plan, report.moved))
}

fn tell(progress: &mut Progress, interrupt: &Interrupt, now: ArchiveProgress) -> ControlFlow<()> {
    progress.tell("moving segments", now.done_bytes, now.total_bytes);
    if interrupt.came() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

/// The folder as it goes on record: where a link leads to, for a link may change.
fn absolute(folder: &Path) -> Result<PathBuf, Failure> {
    folder
        .canonicalize()
        .or_else(|_| std::path::absolute(folder))
        .map_err(|error| Failure::usage(format!("{}: {error}", folder.display())))
}

fn document(dry_run: bool, plan: &ArchivePlan, moved: &[MovedSegment]) -> Document {
    Document {
        dry_run,
        folder: plan.folder.display().to_string(),
        segments: plan.segments.iter().map(|segment| line(segment, moved)).collect(),
        moved: moved.len(),
        segment_bytes: moved.iter().map(|moved| moved.segment_bytes).sum(),
        archive_bytes: moved.iter().map(|moved| moved.archive_bytes).sum(),
    }
}

fn line(segment: &PlannedSegment, moved: &[MovedSegment]) -> Line {
    let now = moved.iter().find(|moved| moved.first == segment.first);
    let (state, because) = match (&segment.fate, now) {
        (SegmentFate::Archived, _) => ("archived", Vec::new()),
        (SegmentFate::Goes, Some(_)) => ("moved", Vec::new()),
        (SegmentFate::Goes, None) => ("goes", Vec::new()),
        (SegmentFate::Kept(because), _) => ("kept", because.iter().map(KeptBecause::to_string).collect()),
    };
    Line {
        first: segment.first.get(),
        last: segment.last.get(),
        state,
        because,
        segment_bytes: segment.bytes,
        archive_bytes: now.map(|moved| moved.archive_bytes),
    }
}

pub(crate) fn unarchive(args: &UnarchiveArgs, output: &mut Output) -> Outcome {
    let interrupt = Interrupt::catch()?;
    let mut progress = Progress::new("unarchive", Unit::Bytes);
    let from = Sequence::new(args.from);
    let report = bitacora::unarchive(&args.dir, from, &mut |now| tell(&mut progress, &interrupt, now));
    let report = report.map_err(|error| match error.kind() {
        ErrorKind::NotFound => Failure::opening(&error),
        _ => Failure::from(error),
    })?;
    let document = Back {
        moved: report.moved.len(),
        segment_bytes: report.moved.iter().map(|moved| moved.segment_bytes).sum(),
        archive_bytes: report.moved.iter().map(|moved| moved.archive_bytes).sum(),
        left: report.left.iter().map(|path| path.display().to_string()).collect(),
        segments: &report.moved,
    };
    if output.is_json() {
        output.json(&document)?;
        return Ok(FINE);
    }
    output.facts(&[
        ("moved", document.moved.to_string()),
        ("segment_bytes", document.segment_bytes.to_string()),
        ("archive_bytes", document.archive_bytes.to_string()),
        ("left", document.left.join(", ")),
    ])?;
    Ok(FINE)
}
