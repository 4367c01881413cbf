//! What the commands ask a child to do: so many operations and nothing else, so that two runs can be subtracted.

use std::time::{Duration, Instant};

use bitacora::{ExpectedVersion, Store};
use serde::{Deserialize, Serialize};

use crate::bitacora_subject::{BitacoraSubject, options};
use crate::cases::Appends;
use crate::child::{Job, Report, drive, latencies, open};
use crate::measure::{self, PeakMemory};
use crate::subject::{Durability, Subject};
use crate::workload::{empty_event, frame_bytes, stream_id};

/// One part.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Part {
    /// Commits of each writer.
    Append {
        /// Whether each is synced.
        is_durable: bool,
        /// Threads.
        writers: usize,
        /// Of each writer.
        commits: usize,
        /// In a commit.
        events: usize,
        /// Whether the store is closed, which puts what it holds into the index.
        is_closed: bool,
    },
    /// Scans of all events.
    Scan {
        /// How many.
        times: usize,
    },
    /// Reads of one stream after another.
    Streams {
        /// How many.
        reads: usize,
        /// Among so many streams.
        streams: usize,
    },
    /// Durable commits of 100 events over so many streams; then the process ends without closing.
    Fill {
        /// In all.
        events: usize,
        /// Over so many streams.
        streams: usize,
    },
    /// From opening to the first durable append; then the process ends without closing.
    Open,
}

/// Does it.
///
/// # Panics
/// The subject fails.
#[must_use]
pub fn work(job: &Job, part: Part) -> Report {
    match part {
        Part::Append { is_durable, writers, commits, events, is_closed } => {
            let durability = if is_durable { Durability::Sync } else { Durability::Buffered };
            let shape = Appends { durability, writers, commits: (0, 0), events, is_one_stream: false };
            let bytes = (commits + 1) * writers * frame_bytes(events);
            let subject = open(job, durability, writers, events, bytes);
            let report = drive(subject.as_ref(), &shape, 0, commits, Duration::MAX);
            if is_closed {
                subject.close();
            } else {
                std::mem::forget(subject);
            }
            report
        }
        Part::Scan { times } => {
            let subject = open(job, Durability::Sync, 1, 1, 0);
            let events = (0..times).map(|_| subject.scan().map_or(0, |seen| seen.0)).sum();
            subject.close();
            Report { events, ..Report::default() }
        }
        Part::Streams { reads, streams } => {
            let subject = store(job, streams);
            let report = read_streams(&subject, reads, streams);
            Box::new(subject).close();
            report
        }
        Part::Fill { events, streams } => fill(job, events, streams),
        Part::Open => first_append(job),
    }
}

fn first_append(job: &Job) -> Report {
    let (stream, event) = (stream_id(0), empty_event());
    let memory = PeakMemory::watch();
    let started = Instant::now();
    let store = Store::open(job.folder.join("store"), options(Durability::Sync)).unwrap();
    store.append(&stream, ExpectedVersion::Any, vec![event]).unwrap();
    let seconds = started.elapsed().as_secs_f64();
    std::mem::forget(store);
    Report { events: 1, seconds, peak_anonymous_bytes: memory.stop(), ..Report::default() }
}

fn store(job: &Job, streams: usize) -> BitacoraSubject {
    BitacoraSubject::with_streams(&job.folder, options(Durability::Sync), streams)
}

fn read_streams(subject: &dyn Subject, reads: usize, streams: usize) -> Report {
    let (mut nanos, mut events) = (Vec::with_capacity(reads), 0);
    let begun = Instant::now();
    for number in 0..reads {
        let started = Instant::now();
        events += subject.read_stream(number.wrapping_mul(3_331) % streams).unwrap_or(0);
        nanos.push(u32::try_from(started.elapsed().as_nanos()).unwrap_or(u32::MAX));
    }
    let seconds = begun.elapsed().as_secs_f64();
    nanos.sort_unstable();
    Report { events, seconds, ..latencies(&nanos) }
}

fn fill(job: &Job, events: usize, streams: usize) -> Report {
    const IN_A_COMMIT: usize = 100;
    let subject = store(job, streams);
    let payload = crate::workload::payload();
    let (memory, cpu) = (PeakMemory::watch(), measure::cpu_micros());
    let written = measure::written_bytes();
    let mut nanos = Vec::with_capacity(events / IN_A_COMMIT);
    let begun = Instant::now();
    let mut before = Duration::ZERO;
    for number in 0..events / IN_A_COMMIT {
        let to: [usize; IN_A_COMMIT] =
            std::array::from_fn(|part| (number * IN_A_COMMIT + part).wrapping_mul(7_919) % streams);
        subject.append(&to, &payload);
        let now = begun.elapsed();
        nanos.push(u32::try_from((now - before).as_nanos()).unwrap_or(u32::MAX));
        before = now;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let cpu_micros = measure::cpu_micros() - cpu;
    subject.store().housekeep().unwrap();
    let written_bytes = measure::written_bytes() - written;
    let index_bytes = subject.store().info().unwrap().index_bytes;
    let peak_anonymous_bytes = memory.stop();
    std::mem::forget(subject);
    nanos.sort_unstable();
    Report {
        events: events as u64,
        seconds,
        cpu_micros,
        peak_anonymous_bytes,
        written_bytes,
        index_bytes,
        ..latencies(&nanos)
    }
}
