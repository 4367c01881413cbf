//! What a till loses to those who look at its store: 16 threads that commit, alone and with `bitacora tail`, `verify` and `backup`
//! beside them in processes of their own.
//!
//! One till runs all the time, and is looked at for a moment alone and for a moment beside each, in turns, round after round: what
//! the machine does meanwhile falls on all of them alike. A ratio is that of a round; the medians are told. `verify` and `backup`
//! begin anew whenever they are done. In the end a backup that was made under load is opened, and must be a prefix.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use bitacora::{Options, Store};

use crate::bitacora_subject::{BitacoraSubject, options};
use crate::cases::Scale;
use crate::measure::median;
use crate::place;
use crate::subject::{Durability, Subject};
use crate::workload::{payload, stream_of};

const THREADS: usize = 16;
/// Time for a reader to open the store, which is not measured.
const WARM_UP: Duration = Duration::from_millis(500);
const BESIDE: [&str; 4] = ["alone", "tail", "verify", "backup"];

/// Measures and prints.
///
/// # Panics
/// The command is not built, a subject fails, or the backup is no prefix.
pub fn print(scale: Scale) {
    let (rounds, window) = match scale {
        Scale::Tiny => (1, Duration::from_millis(300)),
        Scale::Short => (5, Duration::from_secs(2)),
        Scale::Full => (11, Duration::from_secs(5)),
    };
    let command = command();
    let folder = place::folder();
    let till = BitacoraSubject::open(folder.path(), options(Durability::Sync));
    let (committed, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    let mut rates = [const { Vec::new() }; BESIDE.len()];
    let copy = folder.path().join("copy");
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (till, committed, is_over) = (&till, &committed, &is_over);
            scope.spawn(move || commit_until(till, thread, committed, is_over));
        }
        wait(window);
        for round in 0..rounds {
            for turn in 0..BESIDE.len() {
                let at = (round + turn) % BESIDE.len();
                let looker = Looker::start(&command, BESIDE[at], folder.path());
                wait(WARM_UP);
                let (before, started) = (committed.load(Ordering::Relaxed), Instant::now());
                wait(window);
                let events = committed.load(Ordering::Relaxed) - before;
                rates[at].push(events as f64 / started.elapsed().as_secs_f64());
                drop(looker);
            }
        }
        let backup = Command::new(&command).arg("backup").arg(folder.path().join("store")).arg(&copy).output().unwrap();
        is_over.store(true, Ordering::Relaxed);
        assert!(backup.status.success(), "{}", String::from_utf8_lossy(&backup.stderr));
    });
    println!("{}; {THREADS} threads, durable, one event a commit.\n", place::machine(folder.path()));
    println!("| beside the till | events a second | of alone |\n|---|---:|---:|");
    for (name, beside) in BESIDE.iter().zip(&rates) {
        let ratios = beside.iter().zip(&rates[0]).map(|(beside, alone)| beside / alone).collect();
        println!("| {name} | {:.0} | {:.3} |", median(beside.clone()), median(ratios));
    }
    println!("\n{}", compared(&till, &copy));
    Box::new(till).close();
}

/// The command, which is built apart from the benches.
fn command() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let command = program.with_file_name("bitacora");
    assert!(command.exists(), "{} is not there: cargo build --release --features cli", command.display());
    command
}

fn commit_until(till: &BitacoraSubject, thread: usize, committed: &AtomicU64, is_over: &AtomicBool) {
    let payload = payload();
    let mut number = thread;
    while !is_over.load(Ordering::Relaxed) {
        till.append(&[stream_of(number)], &payload);
        committed.fetch_add(1, Ordering::Relaxed);
        number += THREADS;
    }
}

fn wait(duration: Duration) {
    let (_open, never) = mpsc::channel::<()>();
    assert_eq!(never.recv_timeout(duration), Err(RecvTimeoutError::Timeout));
}

/// Whether the copy opens and is a prefix.
fn compared(till: &BitacoraSubject, copy: &Path) -> String {
    let copied = Store::open(copy, Options::new()).unwrap();
    let last = copied.last_sequence();
    let original = till.store().read_all(..=last).map(Result::unwrap);
    assert!(copied.read_all(..).map(Result::unwrap).eq(original), "the backup is no prefix");
    copied.close().unwrap();
    format!(
        "A backup made meanwhile opens, and its {last} events are the first of the till's {}.",
        till.store().last_sequence()
    )
}

/// A process that looks at the store, started again whenever it is done.
struct Looker {
    stop: Option<(mpsc::Sender<()>, std::thread::JoinHandle<()>)>,
}

impl Looker {
    fn start(command: &Path, verb: &'static str, folder: &Path) -> Self {
        if verb == BESIDE[0] {
            return Self { stop: None };
        }
        let (stop, stopped) = mpsc::channel();
        let (command, store, copy) = (command.to_owned(), folder.join("store"), folder.join("passing-copy"));
        let thread = std::thread::spawn(move || {
            let mut child = spawn(&command, verb, &store, &copy);
            while stopped.recv_timeout(Duration::from_millis(5)) == Err(RecvTimeoutError::Timeout) {
                if let Some(status) = child.try_wait().unwrap() {
                    assert!(status.success(), "{verb} failed beside the till");
                    child = spawn(&command, verb, &store, &copy);
                }
            }
            child.kill().unwrap();
            child.wait().unwrap();
        });
        Self { stop: Some((stop, thread)) }
    }
}

fn spawn(command: &Path, verb: &str, store: &Path, copy: &Path) -> Child {
    let mut process = Command::new(command);
    process.arg(verb).arg(store).stdout(Stdio::null()).stderr(Stdio::null());
    match verb {
        "tail" => process.arg("--new"),
        "backup" => {
            remove_copies(copy);
            process.arg(copy)
        }
        _ => &mut process,
    };
    process.spawn().unwrap()
}

/// What an earlier backup left, finished or not.
fn remove_copies(copy: &Path) {
    let name = copy.file_name().unwrap().to_string_lossy().into_owned();
    for entry in std::fs::read_dir(copy.parent().unwrap()).unwrap().map(Result::unwrap) {
        if entry.file_name().to_string_lossy().starts_with(&name) {
            std::fs::remove_dir_all(entry.path()).unwrap();
        }
    }
}

impl Drop for Looker {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.stop.take() {
            drop(stop);
            thread.join().unwrap();
        }
    }
}
