//! One process for each measurement, so that none finds what another left in memory, and each has its own counters.
//!
//! The table starts itself again with the word `child` and a [`Job`]; what the child measured is the last line that it prints.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::bitacora_subject::{BitacoraSubject, options};
use crate::cases::{self, Appends, Prepared, Scale, Work};
use crate::floor::{FloorSubject, FrameFile, Medium, Syncing, read_and_check};
use crate::measure::{self, PeakMemory};
use crate::parts::{self, Part};
use crate::subject::{Durability, Subject};
use crate::workload::{frame_bytes, payload, record_bytes, stream_of};
use crate::{opening, wallets};

/// What a child is to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// The case, or what has to be there before it.
    pub task: Task,
    /// Who does it.
    pub subject: String,
    /// Where; of reads, where it was loaded.
    pub folder: PathBuf,
    /// How much.
    pub scale: Scale,
}

/// What a child is to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Task {
    /// To measure a case.
    Case(String),
    /// To make what a case reads.
    Prepare(Prepared),
    /// To do a part, for a command.
    Part(Part),
}

/// What a child has measured. What does not apply is zero.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// Events appended or read.
    pub events: u64,
    /// The time that took.
    pub seconds: f64,
    /// Of single commits, or of single reads of a stream, as the caller sees them.
    pub p50_micros: f64,
    /// Likewise.
    pub p99_micros: f64,
    /// Likewise.
    pub max_micros: f64,
    /// User and system time of the whole process meanwhile.
    pub cpu_micros: u64,
    /// The most memory without the maps of files.
    pub peak_anonymous_bytes: u64,
    /// Handed to the disk, by the kernel's own count, zeros and the index included.
    pub written_bytes: u64,
    /// What the log's files hold: of the last, up to its last byte that is not zero.
    pub log_bytes: u64,
    /// What the records of the events take, keys included.
    pub record_bytes: u64,
    /// What the index takes at the end.
    pub index_bytes: u64,
}

/// The longest that one child appends or reads; a slow subject does less within it.
fn time_max(scale: Scale) -> Duration {
    Duration::from_secs(match scale {
        Scale::Tiny => 1,
        Scale::Short => 3,
        Scale::Full => 20,
    })
}

/// Runs a child and reads what it measured. `None`: its subject has no such thing.
///
/// # Errors
/// It failed, or said nothing.
pub fn run(job: &Job) -> Result<Option<Report>, String> {
    run_under(&[], job)
}

/// As [`run`], started by another program: its name and its first arguments.
///
/// # Errors
/// As [`run`].
pub fn run_under(starter: &[String], job: &Job) -> Result<Option<Report>, String> {
    let itself = std::env::current_exe().map_err(|error| error.to_string())?;
    let words = starter.iter().map(Into::into).chain([itself.into_os_string()]);
    let words: Vec<std::ffi::OsString> = words.collect();
    let (program, arguments) = words.split_first().ok_or("no program")?;
    let task = &job.task;
    let job = serde_json::to_string(job).map_err(|error| error.to_string())?;
    let output = Command::new(program)
        .args(arguments)
        .args(["child", &job])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| error.to_string())?;
    // A killed process leaves behind what it was asked for, and says nothing.
    if matches!(task, Task::Prepare(Prepared::Killed(_))) && output.status.signal() == Some(9) {
        return Ok(Some(Report::default()));
    }
    if !output.status.success() {
        return Err(format!("{job}: {}", output.status));
    }
    let said = String::from_utf8_lossy(&output.stdout);
    let is_report = |line: &&str| line.starts_with('{') || *line == "null";
    let line = said.lines().rfind(is_report).ok_or_else(|| format!("{job}: said nothing"))?;
    serde_json::from_str(line).map_err(|error| format!("{job}: {error}"))
}

/// What a child does. `None`: its subject has no such thing.
///
/// # Panics
/// The subject fails, or the job makes no sense.
#[must_use]
pub fn work(job: &Job) -> Option<Report> {
    match &job.task {
        Task::Prepare(Prepared::Loaded(events)) => Some(load(job, *events)),
        Task::Prepare(Prepared::Killed(events)) => {
            opening::fill_and_die(job, scaled(*events, job.scale));
            Some(Report::default())
        }
        Task::Prepare(Prepared::Wallets(events)) => {
            wallets::prepare(job, scaled(*events, job.scale));
            Some(Report::default())
        }
        Task::Part(part) => Some(parts::work(job, *part)),
        Task::Case(name) => {
            let case = cases::find(name);
            match case.work {
                Work::Append(shape) => has(&job.subject, shape.durability).then(|| append(job, &shape)),
                Work::Load(events) => Some(load(job, events)),
                Work::Scan(events) => scan(job, scaled(events, job.scale)),
                Work::Streams(events) => streams(job, scaled(events, job.scale)),
                Work::Open(_) => Some(opening::reopen(job)),
                Work::Wallet { events, from_snapshot } => {
                    Some(wallets::load_one(job, scaled(events, job.scale), from_snapshot))
                }
                Work::Wallets(events) => wallets::load_all(job, scaled(events, job.scale)),
            }
        }
    }
}

fn scaled(events: usize, scale: Scale) -> usize {
    if scale == Scale::Tiny { events / 50 } else { events }
}

/// Opens a subject by its name; for commits of at most `events_max` events and `bytes` bytes in all.
pub(crate) fn open(
    job: &Job,
    durability: Durability,
    writers: usize,
    events_max: usize,
    bytes: usize,
) -> Box<dyn Subject> {
    let folder = &job.folder;
    if job.subject.starts_with("bitacora") {
        let mut options = options(durability);
        if job.subject == "bitacora-reserve" {
            options = options.preallocation(bitacora::Preallocation::Reserve);
        }
        return Box::new(BitacoraSubject::open(folder, options));
    }
    let (medium, syncing) = match (job.subject.as_str(), durability) {
        ("floor-o-dsync", _) => (Medium::ZeroFilled, Syncing::Dsync),
        ("floor-fallocate", _) => (Medium::Fallocated, Syncing::DataSync),
        ("floor-growing", _) => (Medium::Growing, Syncing::DataSync),
        ("floor-zero-filled", _) => (Medium::ZeroFilled, Syncing::DataSync),
        ("floor-overwritten", _) => (Medium::Overwritten, Syncing::None),
        ("floor", Durability::Buffered) => (Medium::Fallocated, Syncing::None),
        ("floor", Durability::Sync) if events_max >= 1_000 => (Medium::Fallocated, Syncing::DataSync),
        ("floor", Durability::Sync) => (Medium::ZeroFilled, Syncing::DataSync),
        _ => return open_peer(&job.subject, folder, durability),
    };
    Box::new(FloorSubject::new(folder, medium, syncing, writers > 1, events_max, bytes))
}

#[cfg(feature = "peers")]
fn open_peer(name: &str, folder: &Path, durability: Durability) -> Box<dyn Subject> {
    let peer = crate::peers::all().into_iter().find(|peer| peer.name == name);
    (peer.unwrap_or_else(|| unreachable!("there is no peer {name}")).open)(folder, durability)
}

#[cfg(not(feature = "peers"))]
fn open_peer(name: &str, _folder: &Path, _durability: Durability) -> Box<dyn Subject> {
    unreachable!("there is no subject {name}")
}

#[cfg(feature = "peers")]
fn has(name: &str, durability: Durability) -> bool {
    let peer = crate::peers::all().into_iter().find(|peer| peer.name == name);
    peer.is_none_or(|peer| peer.durabilities.contains(&durability))
}

#[cfg(not(feature = "peers"))]
fn has(_name: &str, _durability: Durability) -> bool {
    true
}

/// How what is read later is loaded: durably, by whatever can.
fn loading(name: &str) -> Durability {
    if has(name, Durability::Sync) { Durability::Sync } else { Durability::Buffered }
}

fn append(job: &Job, shape: &Appends) -> Report {
    let commits = shape.commits(job.scale);
    let warm_up = (commits / 20).max(1);
    let bytes = (commits + warm_up) * shape.writers * frame_bytes(shape.events);
    let subject = open(job, shape.durability, shape.writers, shape.events, bytes);
    let is_one_stream = shape.is_one_stream || job.subject == "bitacora-one-stream";
    let shape = Appends { is_one_stream, ..*shape };
    let report = drive(subject.as_ref(), &shape, warm_up, commits, time_max(job.scale));
    subject.close();
    report
}

/// Appends, and times each commit.
///
/// # Panics
/// The subject fails.
#[must_use]
pub fn drive(subject: &dyn Subject, shape: &Appends, warm_up: usize, commits: usize, time_max: Duration) -> Report {
    let barrier = std::sync::Barrier::new(shape.writers + 1);
    // One reading of the clock a commit: the end of one is the start of the next.
    let one = |writer: usize| {
        let payload = payload();
        let mut streams = vec![0; shape.events];
        let mut commit = |number: usize| {
            let first = (number * shape.writers + writer) * shape.events;
            for (part, stream) in streams.iter_mut().enumerate() {
                *stream = stream_of(if shape.is_one_stream { first / shape.events } else { first + part });
            }
            subject.append(&streams, &payload);
        };
        (0..warm_up).for_each(&mut commit);
        let mut nanos: Vec<u32> = Vec::with_capacity(commits);
        // Once when all are warm, and once when the counters were read.
        barrier.wait();
        barrier.wait();
        let started = Instant::now();
        let mut before = Duration::ZERO;
        for number in warm_up..warm_up + commits {
            commit(number);
            let now = started.elapsed();
            nanos.push(u32::try_from((now - before).as_nanos()).unwrap_or(u32::MAX));
            before = now;
            if now > time_max {
                break;
            }
        }
        (started, started + before, nanos)
    };
    let (mut written, mut cpu) = (0, 0);
    let timed: Vec<_> = std::thread::scope(|scope| {
        let one = &one;
        let threads: Vec<_> = (0..shape.writers).map(|writer| scope.spawn(move || one(writer))).collect();
        barrier.wait();
        (written, cpu) = (measure::written_bytes(), measure::cpu_micros());
        barrier.wait();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let cpu_micros = measure::cpu_micros() - cpu;
    // From when the first began: the thread that waits for all may see their start late.
    let started = timed.iter().map(|(started, _, _)| *started).min().unwrap();
    let elapsed = timed.iter().map(|(_, ended, _)| *ended - started).max().unwrap();
    let mut nanos: Vec<u32> = timed.into_iter().flat_map(|(_, _, nanos)| nanos).collect();
    let events = nanos.len() * shape.events;
    nanos.sort_unstable();
    Report {
        events: events as u64,
        seconds: elapsed.as_secs_f64(),
        cpu_micros,
        written_bytes: measure::written_bytes() - written,
        record_bytes: (events * record_bytes()) as u64,
        ..latencies(&nanos)
    }
}

/// Of sorted nanoseconds.
pub(crate) fn latencies(nanos: &[u32]) -> Report {
    let micros = |nanos: u32| f64::from(nanos) / 1_000.0;
    Report {
        p50_micros: micros(measure::permille(nanos, 500)),
        p99_micros: micros(measure::permille(nanos, 990)),
        max_micros: micros(nanos.last().copied().unwrap_or(0)),
        ..Report::default()
    }
}

pub(crate) const FRAMES: &str = "frames";

/// What commits of a load hold.
pub(crate) const IN_A_COMMIT: usize = 1_000;

fn load(job: &Job, events: usize) -> Report {
    let events = scaled(events, job.scale);
    let written = measure::written_bytes();
    let memory = PeakMemory::watch();
    let mut report = if job.subject == "floor" {
        let started = Instant::now();
        FrameFile::write(&job.folder.join(FRAMES), events, IN_A_COMMIT);
        Report { events: events as u64, seconds: started.elapsed().as_secs_f64(), ..Report::default() }
    } else {
        let shape = Appends {
            durability: loading(&job.subject),
            writers: 1,
            commits: (0, 0),
            events: IN_A_COMMIT,
            is_one_stream: false,
        };
        let subject = open(job, shape.durability, 1, IN_A_COMMIT, 0);
        let report = drive(subject.as_ref(), &shape, 0, events / IN_A_COMMIT, Duration::MAX);
        subject.close();
        report
    };
    report.peak_anonymous_bytes = memory.stop();
    // Whatever is still only in memory would be written a little later.
    crate::place::settle(&job.folder);
    report.written_bytes = measure::written_bytes() - written;
    report.record_bytes = (events * record_bytes()) as u64;
    if job.subject.starts_with("bitacora") {
        report.log_bytes = log_bytes(&job.folder.join("store").join("log"));
        report.index_bytes = folder_bytes(&job.folder.join("store").join("index"));
    }
    report
}

/// What the log's segments and seals hold, without the room that is only kept ready.
fn log_bytes(log: &Path) -> u64 {
    let used = |path: PathBuf| {
        let bytes = std::fs::read(path).unwrap();
        bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1)
    };
    std::fs::read_dir(log).unwrap().map(|entry| used(entry.unwrap().path())).sum()
}

fn folder_bytes(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let bytes = |entry: std::fs::DirEntry| {
        let metadata = entry.metadata().unwrap();
        if metadata.is_dir() { folder_bytes(&entry.path()) } else { metadata.len() }
    };
    entries.map(|entry| bytes(entry.unwrap())).sum()
}

fn scan(job: &Job, events: usize) -> Option<Report> {
    let seen = |seen: (u64, u64)| assert_eq!(seen.0, events as u64, "every event is read");
    let path = job.folder.join(FRAMES);
    match job.subject.as_str() {
        "floor" => {
            let file = FrameFile::map(&path);
            timed(events, || seen(file.scan()))
        }
        "floor-map" => timed(events, || seen(FrameFile::map(&path).scan())),
        "floor-read" => timed(events, || assert_ne!(read_and_check(&path), 0)),
        "bitacora-read-all" => {
            let subject = BitacoraSubject::open(&job.folder, options(Durability::Sync));
            let report = timed(events, || seen(subject.scan_copied()));
            Box::new(subject).close();
            report
        }
        _ => {
            let subject = open(job, loading(&job.subject), 1, 1, 0);
            subject.scan()?;
            let report = timed(events, || subject.scan().into_iter().for_each(seen));
            subject.close();
            report
        }
    }
}

/// Once to warm up, and the median of three.
pub(crate) fn timed(events: usize, mut scan: impl FnMut()) -> Option<Report> {
    const TIMES: u64 = 3;
    scan();
    let cpu = measure::cpu_micros();
    let mut once = || {
        let started = Instant::now();
        scan();
        started.elapsed().as_secs_f64()
    };
    let seconds = measure::median((0..TIMES).map(|_| once()).collect());
    let cpu_micros = (measure::cpu_micros() - cpu) / TIMES;
    Some(Report { events: events as u64, seconds, cpu_micros, ..Report::default() })
}

fn streams(job: &Job, events: usize) -> Option<Report> {
    const READS_MAX: usize = 4_000;
    let subject = open(job, loading(&job.subject), 1, 1, 0);
    let each = (events / crate::workload::STREAMS) as u64;
    subject.read_stream(0)?;
    let read = |number: usize| {
        // Another order than that of the appends.
        let seen = subject.read_stream(number.wrapping_mul(3_331) % crate::workload::STREAMS);
        assert!(seen.is_some_and(|seen| seen.abs_diff(each) <= 1), "every event of the stream is read");
    };
    (0..READS_MAX / 10).for_each(read);
    let (begun, mut nanos) = (Instant::now(), Vec::new());
    let cpu = measure::cpu_micros();
    for number in 0..READS_MAX {
        let started = Instant::now();
        read(number);
        nanos.push(u32::try_from(started.elapsed().as_nanos()).unwrap_or(u32::MAX));
        if begun.elapsed() > time_max(job.scale) {
            break;
        }
    }
    let (seconds, cpu_micros) = (begun.elapsed().as_secs_f64(), measure::cpu_micros() - cpu);
    subject.close();
    nanos.sort_unstable();
    let events = nanos.len() as u64 * each;
    Some(Report { events, seconds, cpu_micros, ..latencies(&nanos) })
}
