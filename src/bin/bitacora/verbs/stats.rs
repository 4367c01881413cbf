//! `bitacora stats`: what a store takes and costs.

use bitacora::{DiskSpace, Distribution, StatsRecord, Store, StoreUsage, Timestamp};
use serde::Serialize;
use serde_json::Value;

use super::disk_space::{self, number};
use crate::args::StatsArgs;
use crate::exit::{FINE, Failure, Outcome};
use crate::output::Output;
use crate::render;

#[derive(Serialize)]
struct Document {
    store_id: String,
    events: u64,
    streams: u64,
    segments: u64,
    log_bytes: u64,
    index_bytes: u64,
    index_bytes_per_event: Option<u64>,
    last_event_at: Option<String>,
    last_event_age_seconds: Option<u64>,
    /// Of the newest events.
    sample: Sample,
    checkpoints: Vec<Lag>,
    snapshots: Snapshots,
    recovery: Recovery,
    /// What the last writer had counted; `null` where it kept nothing.
    writer: Option<Writer>,
    disk: DiskSpace,
}

#[derive(Serialize)]
struct Sample {
    events: u64,
    commits: u64,
    payload_bytes: u64,
    /// Frames: headers, records, padding.
    log_bytes: u64,
    padding_bytes: u64,
    bytes_per_event: Option<u64>,
    write_amplification_percent: Option<u64>,
    events_per_commit: Distribution,
}

/// How far a consumer or a service (`service/...`) is behind the log.
#[derive(Serialize)]
struct Lag {
    name: String,
    sequence: u64,
    events_behind: u64,
}

#[derive(Serialize)]
struct Snapshots {
    count: u64,
    oldest_at: Option<String>,
    newest_at: Option<String>,
    newest_age_seconds: Option<u64>,
}

#[derive(Serialize)]
struct Recovery {
    events_beyond_index: u64,
    bytes_beyond_index: u64,
    /// What was measured just now, reading and checking the sample.
    events_per_second: Option<u64>,
    estimated_us: u64,
}

#[derive(Serialize)]
struct Writer {
    kept_at: String,
    age_seconds: u64,
    /// Whether it was closing the store.
    is_last: bool,
    process_id: u32,
    session: u64,
    write_amplification_percent: Option<u64>,
    /// All of `StoreStats`.
    stats: Value,
}

pub(crate) fn run(args: &StatsArgs, output: &mut Output) -> Outcome {
    let store = super::open_to_read(&args.dir)?;
    let (usage, kept) = (store.usage(args.sample)?, store.kept_stats());
    let document = document(&store, &usage, kept.as_ref())?;
    disk_space::warn(&document.disk);
    if output.is_json() {
        output.json(&document)?;
        return Ok(FINE);
    }
    print(&document, kept.as_ref(), output)?;
    Ok(FINE)
}

fn document(store: &Store, usage: &StoreUsage, kept: Option<&StatsRecord>) -> Result<Document, Failure> {
    let now = store.now();
    let age = |time: Timestamp| now.since(time).as_secs();
    let checkpoints = usage.checkpoints.iter().map(|lag| Lag {
        name: lag.name.clone(),
        sequence: lag.sequence.get(),
        events_behind: lag.behind,
    });
    Ok(Document {
        store_id: store.store_id().to_string(),
        events: usage.events,
        streams: usage.streams,
        segments: usage.segments,
        log_bytes: usage.log_bytes,
        index_bytes: usage.index_bytes,
        index_bytes_per_event: usage.index_bytes_per_event(),
        last_event_at: usage.last_event_at.map(render::time),
        last_event_age_seconds: usage.last_event_at.map(age),
        sample: Sample {
            events: usage.sampled_events,
            commits: usage.sampled_commits,
            payload_bytes: usage.sampled_payload_bytes,
            log_bytes: usage.sampled_frame_bytes,
            padding_bytes: usage.sampled_padding_bytes,
            bytes_per_event: usage.bytes_per_event(),
            write_amplification_percent: usage.write_amplification_percent(),
            events_per_commit: usage.sampled_commit_events,
        },
        checkpoints: checkpoints.collect(),
        snapshots: Snapshots {
            count: usage.snapshots,
            oldest_at: usage.snapshot_oldest_at.map(render::time),
            newest_at: usage.snapshot_newest_at.map(render::time),
            newest_age_seconds: usage.snapshot_newest_at.map(age),
        },
        recovery: Recovery {
            events_beyond_index: usage.events_beyond_index,
            bytes_beyond_index: usage.bytes_beyond_index,
            events_per_second: usage.events_per_second(),
            estimated_us: usage.recovery_micros,
        },
        writer: kept.map(|kept| writer(kept, age(kept.written_at))),
        disk: store.disk_space()?,
    })
}

fn writer(kept: &StatsRecord, age_seconds: u64) -> Writer {
    let mut stats = serde_json::to_value(&kept.stats).unwrap_or_default();
    if let Some(opened_at) = stats.get_mut("opened_at") {
        *opened_at = render::time(kept.stats.opened_at).into();
    }
    Writer {
        kept_at: render::time(kept.written_at),
        age_seconds,
        is_last: kept.is_last,
        process_id: kept.process_id,
        session: kept.session,
        write_amplification_percent: kept.stats.write_amplification_percent(),
        stats,
    }
}

fn print(document: &Document, kept: Option<&StatsRecord>, output: &mut Output) -> Result<(), Failure> {
    let Document { sample, snapshots, recovery, .. } = document;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let mut facts = vec![
        ("store_id", document.store_id.clone()),
        ("events", document.events.to_string()),
        ("streams", document.streams.to_string()),
        ("segments", document.segments.to_string()),
        ("log_bytes", document.log_bytes.to_string()),
        ("index_bytes", document.index_bytes.to_string()),
        ("index_bytes_per_event", number(document.index_bytes_per_event)),
        ("last_event_at", text(&document.last_event_at)),
        ("last_event_age_seconds", number(document.last_event_age_seconds)),
        ("sample_events", sample.events.to_string()),
        ("bytes_per_event", number(sample.bytes_per_event)),
        ("write_amplification_percent", number(sample.write_amplification_percent)),
        ("padding_bytes", sample.padding_bytes.to_string()),
        ("events_per_commit_p50", sample.events_per_commit.p50.to_string()),
        ("events_per_commit_max", sample.events_per_commit.max.to_string()),
        ("snapshots", snapshots.count.to_string()),
        ("snapshot_newest_at", text(&snapshots.newest_at)),
        ("snapshot_newest_age_seconds", number(snapshots.newest_age_seconds)),
        ("events_beyond_index", recovery.events_beyond_index.to_string()),
        ("events_per_second", number(recovery.events_per_second)),
        ("recovery_estimated_us", recovery.estimated_us.to_string()),
    ];
    facts.extend(disk_space::facts(&document.disk));
    output.facts(&facts)?;
    if let (Some(writer), Some(kept)) = (&document.writer, kept) {
        print_writer(writer, kept, output)?;
    }
    let rows = document.checkpoints.iter();
    let mut rows = rows.map(|lag| Ok(vec![lag.name.clone(), lag.sequence.to_string(), lag.events_behind.to_string()]));
    if rows.len() == 0 {
        return Ok(());
    }
    output.rows(&["checkpoint", "sequence", "events_behind"], &mut rows)
}

/// What the last writer kept: its counts, and its distributions as a table.
fn print_writer(writer: &Writer, kept: &StatsRecord, output: &mut Output) -> Result<(), Failure> {
    let stats = &kept.stats;
    output.facts(&[
        ("writer_kept_at", writer.kept_at.clone()),
        ("writer_age_seconds", writer.age_seconds.to_string()),
        ("writer_is_last", writer.is_last.to_string()),
        ("writer_process_id", writer.process_id.to_string()),
        ("writer_commits", stats.commits.to_string()),
        ("writer_events", stats.events.to_string()),
        ("writer_write_amplification_percent", number(writer.write_amplification_percent)),
        ("writer_sync_failures", stats.sync_failures.to_string()),
        ("writer_full_refusals", stats.full_refusals.to_string()),
        ("writer_conflicts", stats.conflicts.to_string()),
    ])?;
    let micros = |distribution: Distribution| {
        let Distribution { count, sum, p50, p90, p99, max } = distribution;
        [count, sum / 1_000, p50 / 1_000, p90 / 1_000, p99 / 1_000, max / 1_000]
    };
    let plain = |of: Distribution| [of.count, of.sum, of.p50, of.p90, of.p99, of.max];
    let rows = [
        ("sync_us", micros(stats.sync_nanos)),
        ("commit_us", micros(stats.commit_nanos)),
        ("commits_per_sync", plain(stats.sync_commits)),
        ("events_per_sync", plain(stats.sync_events)),
    ];
    let rows = rows.into_iter().map(|(name, numbers)| {
        Ok(std::iter::once(name.to_owned()).chain(numbers.map(|number| number.to_string())).collect())
    });
    output.rows(&["measured", "count", "sum", "p50", "p90", "p99", "max"], rows)
}
