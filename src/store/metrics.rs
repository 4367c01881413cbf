//! What a store counts, told to the recorder of the crate `metrics`.
//!
//! Nothing is emitted where it is counted: a recorder's counter is a call through two pointers, and a commit would make a dozen
//! of them. The housekeeping thread tells what has come since the last time, every second and when the store closes, and
//! [`Store::publish_metrics`](super::Store::publish_metrics) does at once. A histogram is told bucket by bucket, each value as the
//! middle of its bucket, within a sixteenth of what was measured.
//!
//! Every metric has the label `store`, the store's id, so that two stores of one program are told apart.

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use super::shared::Shared;
use super::stats::StoreStats;
use crate::measure::{Histogram, value_of};

type Count = (&'static str, Unit, &'static str, fn(&StoreStats) -> u64);

/// All counters: the name, the unit, what it counts, and where that is.
const COUNTERS: &[Count] = &[
    ("bitacora_commits_total", Unit::Count, "Commits that were acknowledged.", |stats| stats.commits),
    ("bitacora_events_total", Unit::Count, "Events that were committed.", |stats| stats.events),
    ("bitacora_payload_bytes_total", Unit::Bytes, "Payloads that were committed.", |stats| stats.payload_bytes),
    ("bitacora_log_bytes_total", Unit::Bytes, "Frames that were written, with padding.", |stats| stats.log_bytes),
    ("bitacora_padding_bytes_total", Unit::Bytes, "Padding that was written.", |stats| stats.padding_bytes),
    ("bitacora_zero_bytes_total", Unit::Bytes, "Zeros that were written ahead.", |stats| stats.zero_bytes),
    ("bitacora_sync_failures_total", Unit::Count, "Syncs of the log that failed.", |stats| stats.sync_failures),
    ("bitacora_rolls_total", Unit::Count, "Segments that were started.", |stats| stats.rolls),
    ("bitacora_seals_total", Unit::Count, "Segments that were sealed.", |stats| stats.seals),
    ("bitacora_ingests_total", Unit::Count, "Times that the index was brought up to date.", |stats| stats.ingests),
    ("bitacora_ingested_events_total", Unit::Count, "Events that entered the index.", |stats| stats.ingested_events),
    ("bitacora_ingest_microseconds_total", Unit::Microseconds, "Time spent ingesting.", |stats| {
        stats.ingest_nanos / 1_000
    }),
    ("bitacora_waits_for_commit_total", Unit::Count, "Commits that waited for one in flight.", |stats| {
        stats.waits_for_commit
    }),
    ("bitacora_waits_for_room_total", Unit::Count, "Commits that waited for a full group.", |stats| {
        stats.waits_for_room
    }),
    ("bitacora_index_lookups_total", Unit::Count, "Commits for which the index was asked.", |stats| {
        stats.index_lookups
    }),
    ("bitacora_repeats_total", Unit::Count, "Commits that were answered from a key.", |stats| stats.repeats),
    ("bitacora_conflicts_total", Unit::Count, "Commits that were refused for a conflict.", |stats| stats.conflicts),
    ("bitacora_full_refusals_total", Unit::Count, "Commits that were refused for want of room.", |stats| {
        stats.full_refusals
    }),
    ("bitacora_read_events_total", Unit::Count, "Events that readers were given.", |stats| stats.read_events),
    ("bitacora_read_bytes_total", Unit::Bytes, "Payloads that readers were given.", |stats| stats.read_bytes),
];

/// All gauges.
const GAUGES: &[Count] = &[
    ("bitacora_last_sequence", Unit::Count, "The last sequence that reads show.", |stats| stats.last_sequence.get()),
    ("bitacora_durable_sequence", Unit::Count, "The last sequence that is synced.", |stats| {
        stats.durable_sequence.get()
    }),
    ("bitacora_tail_events", Unit::Count, "Events that are not in the index yet.", |stats| stats.tail_events),
    ("bitacora_index_bytes", Unit::Bytes, "What the index takes on disk.", |stats| stats.index_bytes.unwrap_or(0)),
    ("bitacora_open_microseconds", Unit::Microseconds, "How long the open took.", |stats| stats.open_micros),
];

/// All histograms: the name, the unit, what it measures, and what divides a count into that unit.
const HISTOGRAMS: &[(&str, Unit, &str, f64)] = &[
    ("bitacora_commit_seconds", Unit::Seconds, "From a commit's call to its answer.", 1e9),
    ("bitacora_sync_seconds", Unit::Seconds, "A sync of the log.", 1e9),
    ("bitacora_sync_commits", Unit::Count, "Commits that a sync made durable.", 1.0),
    ("bitacora_sync_events", Unit::Count, "Events that a sync made durable.", 1.0),
];

/// As a facade takes numbers; beyond 2^53 the last digits are lost.
#[expect(clippy::cast_precision_loss, reason = "a facade knows no other numbers")]
fn float(count: u64) -> f64 {
    count as f64
}

impl Shared {
    /// Tells a recorder what has come since the last time.
    pub(crate) fn publish_metrics(&self) {
        let (store, stats) = (self.store_id.to_string(), self.stats());
        let measures = &self.files.measures;
        let mut told = measures.told.lock();
        if told.is_empty() {
            told.resize(HISTOGRAMS.len(), Vec::new());
            describe();
        }
        for (name, _, _, count) in COUNTERS {
            counter!(*name, "store" => store.clone()).absolute(count(&stats));
        }
        for (name, _, _, count) in GAUGES {
            gauge!(*name, "store" => store.clone()).set(float(count(&stats)));
        }
        let measured = [&measures.commit_nanos, &measures.sync_nanos, &measures.sync_commits, &measures.sync_events];
        for (((name, _, _, divisor), measured), told) in HISTOGRAMS.iter().zip(measured).zip(told.iter_mut()) {
            let recorded = histogram!(*name, "store" => store.clone());
            for (value, count) in news(measured, told) {
                recorded.record_many(float(value) / divisor, count);
            }
        }
    }
}

fn describe() {
    for (name, unit, text, _) in COUNTERS {
        describe_counter!(*name, *unit, *text);
    }
    for (name, unit, text, _) in GAUGES {
        describe_gauge!(*name, *unit, *text);
    }
    for (name, unit, text, _) in HISTOGRAMS {
        describe_histogram!(*name, *unit, *text);
    }
}

/// The values that were measured since `told`, which is brought up to date, and how often each.
fn news(measured: &Histogram, told: &mut Vec<u64>) -> Vec<(u64, usize)> {
    let counts = measured.counts();
    told.resize(counts.len(), 0);
    let more = counts.iter().zip(told.iter()).map(|(count, told)| count.saturating_sub(*told));
    let news = more.enumerate().filter(|(_, more)| *more > 0);
    let news = news.map(|(bucket, more)| (value_of(bucket), usize::try_from(more).unwrap_or(usize::MAX))).collect();
    *told = counts;
    news
}

#[cfg(test)]
#[path = "metrics_tests.rs"]
mod tests;
