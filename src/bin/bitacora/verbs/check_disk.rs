//! `bitacora check-disk`: what a disk is like, and which options suit it.

use std::ops::ControlFlow;
use std::time::Duration;

use bitacora::{DiskReport, DiskWarningKind, ErrorKind};

use crate::args::CheckDiskArgs;
use crate::exit::{FINE, Failure, NO, Outcome};
use crate::interrupt::Interrupt;
use crate::output::Output;
use crate::progress::{Progress, Unit};
use crate::render::word;

pub(crate) fn run(args: &CheckDiskArgs, output: &mut Output) -> Outcome {
    let interrupt = Interrupt::catch()?;
    let mut progress = Progress::new("check-disk", Unit::Count);
    let report = bitacora::check_disk(&args.dir, Duration::from_secs(args.seconds), &mut |now| {
        progress.tell(now.phase, now.done, now.total);
        if interrupt.came() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    drop(progress);
    let report = report.map_err(|error| match error.kind() {
        ErrorKind::NotFound => Failure::opening(&error),
        _ => Failure::from(error),
    })?;
    print(&report, output)?;
    let is_lying = |kind: &DiskWarningKind| matches!(kind, DiskWarningKind::TooFast | DiskWarningKind::Memory);
    Ok(if report.advice.warnings.iter().any(|warning| is_lying(&warning.kind)) { NO } else { FINE })
}

fn print(report: &DiskReport, output: &mut Output) -> Result<(), Failure> {
    if output.is_json() {
        return output.json(report);
    }
    let DiskReport { measurements: measured, advice } = report;
    output.facts(&[
        ("medium", word(&measured.medium.kind)),
        ("file_system", measured.medium.file_system.clone()),
        ("device", measured.medium.device.clone()),
        ("write_bytes_per_second", measured.write_bytes_per_second.to_string()),
        ("read_bytes_per_second", measured.read_bytes_per_second.to_string()),
    ])?;
    let rows = measured.syncs.iter().map(|cost| {
        let nanos = &cost.nanos;
        let micros = [nanos.p50, nanos.p90, nanos.p99, nanos.max].map(|nanos| (nanos / 1_000).to_string());
        Ok([word(&cost.way), nanos.count.to_string()].into_iter().chain(micros).collect())
    });
    output.rows(&["way", "writes", "p50_us", "p90_us", "p99_us", "max_us"], rows)?;
    let told = serde_json::to_value(advice).unwrap_or_default();
    let word_of = |name: &str| told.get(name).map_or_else(String::new, word);
    output.facts(&[
        ("preallocation", format!("{}: {}", word_of("preallocation"), advice.preallocation_reason)),
        ("align", format!("{}: {}", word_of("align"), advice.align_reason)),
    ])?;
    for warning in &advice.warnings {
        output.facts(&[("warning", warning.text.clone())])?;
    }
    Ok(())
}
