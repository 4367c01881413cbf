//! Opening after a kill: what is left behind, and how long it takes to the first durable append.

use std::io;
use std::path::Path;
use std::time::Instant;

use rustix::process::{Signal, getpid, kill_process};

use crate::bitacora_subject::{BitacoraSubject, options};
use crate::child::{FRAMES, IN_A_COMMIT, Job, Report, open};
use crate::floor::{FILE_BYTES, FloorSubject, FrameFile, Medium, Syncing};
use crate::subject::{Durability, Subject};
use crate::workload::{frame_bytes, payload, stream_of};

/// How full the active segment is when the process is killed: the most that an open ever has to read.
const FULL: f64 = 0.97;
/// Of a store that is left behind.
const EVENTS_IN_A_COMMIT: usize = 100;

/// Appends so many events, durably, and is killed as `kill -9` does it. Returns only of the floor, which has no process to kill.
///
/// # Panics
/// The subject fails.
pub fn fill_and_die(job: &Job, events: usize) {
    match job.subject.as_str() {
        "floor" => return FrameFile::write(&job.folder.join(FRAMES), events, IN_A_COMMIT),
        "bitacora" => fill_to_a_full_segment(job, events),
        _ => {
            let subject = open(job, Durability::Sync, 1, IN_A_COMMIT, 0);
            let payload = payload();
            for number in 0..events / IN_A_COMMIT {
                append(subject.as_ref(), number, IN_A_COMMIT, &payload);
            }
        }
    }
    die();
}

fn append(subject: &dyn Subject, number: usize, events: usize, payload: &[u8]) {
    let streams: Vec<usize> = (number * events..(number + 1) * events).map(stream_of).collect();
    subject.append(&streams, payload);
}

/// At least so many events, and then until the active segment is nearly full; and nothing of that segment is in the index.
fn fill_to_a_full_segment(job: &Job, events: usize) {
    const SEGMENT_HEADER: usize = 512;
    let subject = BitacoraSubject::open(&job.folder, options(Durability::Sync));
    let (frame, payload) = (frame_bytes(EVENTS_IN_A_COMMIT), payload());
    let (mut number, mut offset) = (0, SEGMENT_HEADER);
    while number * EVENTS_IN_A_COMMIT < events || (offset as f64) < FILE_BYTES as f64 * FULL {
        append(&subject, number, EVENTS_IN_A_COMMIT, &payload);
        number += 1;
        offset = if offset + frame > FILE_BYTES { SEGMENT_HEADER + frame } else { offset + frame };
    }
    // What is finished is ingested; what is left is the active segment's.
    subject.store().housekeep().unwrap();
    let left = subject.store().info().unwrap().tail_events as usize * frame / EVENTS_IN_A_COMMIT;
    assert!(left > FILE_BYTES / 10 * 9, "only {left} bytes of the active segment are beyond the watermark");
    std::mem::forget(subject);
}

fn die() -> ! {
    let _ = kill_process(getpid(), Signal::KILL);
    unreachable!("a killed process goes no further")
}

/// Opens what was left behind and appends one event durably. What the process holds is not closed: the next one finds what this
/// one found.
///
/// # Panics
/// The subject fails.
#[must_use]
pub fn reopen(job: &Job) -> Report {
    let payload = payload();
    let started = Instant::now();
    if job.subject == "floor" {
        // The least that an open can do which trusts no index: check everything, and append.
        let (events, _) = FrameFile::map(&job.folder.join(FRAMES)).scan();
        assert!(events > 0);
        let log = FloorSubject::new(&job.folder, Medium::Growing, Syncing::DataSync, false, 1, 1);
        log.append(&[0], &payload);
        return report(started);
    }
    if job.subject != "bitacora" {
        let subject = open(job, Durability::Sync, 1, 1, 0);
        subject.append(&[0], &payload);
        let report = report(started);
        std::mem::forget(subject);
        return report;
    }
    let subject = BitacoraSubject::open(&job.folder, options(Durability::Sync));
    subject.append(&[0], &payload);
    let report = report(started);
    let found = subject.store().recovery_report();
    eprintln!(
        "read {} of {} segments, {} bytes; {} events replayed",
        found.segments_read, found.segments, found.bytes_read, found.events_replayed
    );
    let phase = |phase: &bitacora::PhaseReport| format!("{} {:.1}", phase.phase, phase.microseconds as f64 / 1e3);
    eprintln!("milliseconds: {}", found.phases.iter().map(phase).collect::<Vec<_>>().join(", "));
    std::mem::forget(subject);
    report
}

fn report(started: Instant) -> Report {
    let seconds = started.elapsed().as_secs_f64();
    Report { events: 1, seconds, p50_micros: seconds * 1e6, ..Report::default() }
}

/// A store to be opened once: finished segments are shared, since nothing writes to them, everything else is a copy, which
/// leaves it in the page cache.
///
/// # Errors
/// The disk fails.
pub fn copy_store(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::create_dir_all(to)?;
    let mut entries = std::fs::read_dir(from)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    let is_segment = |path: &Path| path.extension().is_some_and(|extension| extension == "seg");
    let segments = entries.iter().filter(|entry| is_segment(&entry.path())).count();
    let mut number = 0;
    for entry in entries {
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_store(&entry.path(), &target)?;
            continue;
        }
        number += usize::from(is_segment(&entry.path()));
        if is_segment(&entry.path()) && number < segments {
            std::fs::hard_link(entry.path(), target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
