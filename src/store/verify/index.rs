//! Comparing the index with what the log says.

use std::path::Path;

use super::segments::{CorrelationCheck, LogCheck, PlacesHash, StreamCheck};
use super::{FindingKind, Pace, Tell, VerifyReport, WHAT};
use crate::error::{ErrorKind, Result};
use crate::format::frame::to_u64;
use crate::index::{Direction, Index, IndexEvidence, Watermark};
use crate::limits::POSTING_EVENTS_MAX;
use crate::recovery::examine::INDEX;
use crate::store::Environment;
use crate::types::{Sequence, StoreId, StreamId, Version};

/// Compares heads, places, keys and correlation ids, as far as the index covers the log and the log was read.
pub(super) fn check(index: &dyn Index, log: &LogCheck, report: &mut VerifyReport, tell: Tell<'_>) -> Result<()> {
    let Some(mark) = index.watermark() else { return Ok(()) };
    if !report.is_ok() {
        // Where the log is damaged, what the index says of the missing events is right and cannot be compared.
        return Ok(());
    }
    let covered = mark.sequence.min(report.last_sequence);
    let outcome = check_streams(index, log, (covered, mark.sequence), report, tell)
        .and_then(|()| check_keys(index, log, covered, report))
        .and_then(|()| check_correlations(index, log, covered, report));
    match outcome {
        Err(error) if error.kind() == ErrorKind::Io => {
            report.find(FindingKind::Index, INDEX, None, Sequence::ZERO, error.to_string());
            Ok(())
        }
        other => other,
    }
}

/// A reader sees an older index where the newest part of it is damaged, and all is well. What a writer would be told counts.
pub(super) fn check_opening(
    environment: &Environment,
    root: &Path,
    store_id: StoreId,
    index: &dyn Index,
    report: &mut VerifyReport,
) {
    let mut find = |detail: String| report.find(FindingKind::Index, INDEX, None, Sequence::ZERO, detail);
    match environment.index.evidence(&root.join(INDEX), store_id) {
        IndexEvidence::Unusable(reason) => find(reason),
        IndexEvidence::Present { watermark, .. } if watermark != index.watermark() => {
            let through = |mark: Option<Watermark>| mark.map_or(Sequence::ZERO, |mark| mark.sequence);
            find(format!(
                "it covers the log through sequence {}, and can be read through {}",
                through(watermark),
                through(index.watermark())
            ));
        }
        IndexEvidence::Present { .. } | IndexEvidence::Absent => {}
    }
}

/// Streams that are compared between two words on how far it is.
const STEP_STREAMS: u64 = 256;

fn check_streams(
    index: &dyn Index,
    log: &LogCheck,
    (covered, watermark): (Sequence, Sequence),
    report: &mut VerifyReport,
    tell: Tell<'_>,
) -> Result<()> {
    let mut pace = Pace::new(WHAT, to_u64(log.streams.len()), STEP_STREAMS, tell)?;
    for (number, (stream, known)) in log.streams.iter().enumerate() {
        pace.at(to_u64(number))?;
        check_stream(index, stream, known, covered, watermark, report)?;
    }
    let mut after: Option<StreamId> = None;
    loop {
        let page = index.streams("", after.as_ref().map(StreamId::as_str), 1024)?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        after = Some(last.clone());
        for (stream, head) in page {
            if head.sequence <= covered && !log.streams.contains_key(&stream) {
                let detail = format!("the index has stream {stream}, the log has not");
                report.find(FindingKind::Index, INDEX, None, head.sequence, detail);
            }
        }
    }
}

fn check_stream(
    index: &dyn Index,
    stream: &StreamId,
    known: &StreamCheck,
    covered: Sequence,
    watermark: Sequence,
    report: &mut VerifyReport,
) -> Result<()> {
    if known.sequence > covered {
        // Its end is in the tail of the log, which the index does not have; its head there is an earlier one.
        return Ok(());
    }
    let head = index.head(stream.as_str())?;
    let fits = head.is_some_and(|head| head.version == known.version && head.sequence == known.sequence);
    let grew = watermark > report.last_sequence && head.is_some_and(|head| head.sequence > report.last_sequence);
    if !fits && !grew {
        let found =
            head.map_or("none".to_owned(), |head| format!("version {} at sequence {}", head.version, head.sequence));
        let detail = format!(
            "the head of stream {stream} is version {} at sequence {} in the log, and {found} in the index",
            known.version, known.sequence
        );
        report.find(FindingKind::Index, INDEX, None, known.sequence, detail);
        return Ok(());
    }
    let mut places = PlacesHash::default();
    let mut from = Version::FIRST;
    while from <= known.version {
        let found = index.places(stream.as_str(), from, Direction::Forwards, POSTING_EVENTS_MAX)?;
        let Some((last, _)) = found.last() else { break };
        from = last.next();
        found
            .iter()
            .filter(|(version, _)| *version <= known.version)
            .for_each(|(version, place)| places.add(*version, place));
    }
    if places.finish() != known.places.finish() {
        let detail = format!("the places of stream {stream} in the index are not those in the log");
        report.find(FindingKind::Index, INDEX, None, known.sequence, detail);
    }
    Ok(())
}

fn check_keys(index: &dyn Index, log: &LogCheck, covered: Sequence, report: &mut VerifyReport) -> Result<()> {
    for (key, entry, sequence) in &log.keys {
        if *sequence <= covered && index.key(key)? != Some(*entry) {
            let detail = format!("idempotency key {key:?} is not in the index as it is in the log");
            report.find(FindingKind::Index, INDEX, None, *sequence, detail);
        }
    }
    Ok(())
}

fn check_correlations(index: &dyn Index, log: &LogCheck, covered: Sequence, report: &mut VerifyReport) -> Result<()> {
    for (correlation_id, known) in &log.correlations {
        // One whose end is in the tail of the log is not in the index as a whole.
        if known.sequence <= covered && correlated_in(index, correlation_id, known)? != known.places.finish() {
            let detail =
                format!("the places of correlation id {correlation_id:?} in the index are not those in the log");
            report.find(FindingKind::Index, INDEX, None, known.sequence, detail);
        }
    }
    Ok(())
}

/// The hash of the places that the index has for a correlation id, up to the last in the log that was read.
fn correlated_in(index: &dyn Index, correlation_id: &str, known: &CorrelationCheck) -> Result<u64> {
    let mut places = PlacesHash::default();
    let mut from = Sequence::FIRST;
    while from <= known.sequence {
        let found = index.correlated(correlation_id, from, Direction::Forwards, POSTING_EVENTS_MAX)?;
        let Some(last) = found.last() else { break };
        from = last.sequence.next();
        let within = found.iter().filter(|place| place.sequence <= known.sequence);
        within.for_each(|place| places.add(Version::ZERO, place));
    }
    Ok(places.finish())
}
