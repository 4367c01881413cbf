//! Runs pieces of a class on all processors, until enough is counted or one fails.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::class::{Class, Extent, Tally, Threads};

/// How far a run goes.
#[derive(Clone, Copy, Debug)]
pub struct Goal {
    /// The first seed.
    pub from: u64,
    /// Stops when this much is counted.
    pub count: u64,
    /// Stops before this seed.
    pub until: u64,
    /// Starts no piece after so long.
    pub time: Option<Duration>,
}

impl Goal {
    /// What the gate asks of a class.
    #[must_use]
    pub fn gate(class: &Class) -> Self {
        match class.extent {
            Extent::Endless => Self { from: 0, count: class.gate, until: u64::MAX, time: None },
            Extent::Pieces { gate, .. } => Self { from: 0, count: u64::MAX, until: gate, time: None },
        }
    }
}

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What was tried.
    pub tally: Tally,
    /// Every seed before this one was tried.
    pub next: u64,
    /// How long it took.
    pub time: Duration,
    /// The first piece that failed.
    pub failure: Option<Failure>,
}

/// A piece that failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Its class.
    pub id: &'static str,
    /// Its seed.
    pub seed: u64,
    /// What it said.
    pub text: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{} seed {}: {}", self.id, self.seed, self.text)?;
        // Only in the same build are there the same pieces.
        let flags = if cfg!(bitacora_shuttle) { "RUSTFLAGS='--cfg bitacora_shuttle' " } else { "" };
        write!(formatter, "again: {flags}cargo run -p bitacora-trials -- replay {} {}", self.id, self.seed)
    }
}

/// One line, such as `T1 crash images 1,000,000, lost 0 (612 s, 1,634 a second)`.
#[must_use]
pub fn line(class: &Class, outcome: &Outcome) -> String {
    let mut text = format!("{} {} {}", class.id, class.what, grouped(outcome.tally.count));
    for (name, count) in &outcome.tally.notes {
        text += &format!(", {name} {}", grouped(*count));
    }
    if let Some(why) = outcome.tally.skipped {
        text += &format!(", skipped: {why}");
    }
    let seconds = outcome.time.as_secs_f64();
    let rate = outcome.tally.count as f64 / seconds.max(1e-3);
    text + &format!(" ({seconds:.0} s, {} a second)", grouped(rate.round() as u64))
}

/// A number with its digits in threes.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Tries one piece. A panic in it is its failure.
///
/// # Errors
/// What the panic said.
pub fn attempt(class: &Class, seed: u64, tally: &mut Tally) -> Result<(), Failure> {
    let outcome = catch_unwind(AssertUnwindSafe(|| (class.piece)(seed, tally)));
    outcome.map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Failure { id: class.id, seed, text: text.unwrap_or_else(|| "a panic without words".to_owned()) }
    })
}

/// Runs pieces from `goal.from` on.
#[must_use]
pub fn run(class: &Class, goal: Goal) -> Outcome {
    let threads = match class.threads {
        Threads::Every => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        Threads::One => 1,
    };
    let started = Instant::now();
    let next = AtomicU64::new(goal.from);
    let stop = AtomicBool::new(false);
    let (tally, failure) = (Mutex::new(Tally::default()), Mutex::new(None::<Failure>));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !stop.load(Ordering::SeqCst) && goal.time.is_none_or(|time| started.elapsed() < time) {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= goal.until {
                        break;
                    }
                    let mut part = Tally::default();
                    let outcome = attempt(class, seed, &mut part);
                    let mut tally = tally.lock().expect("no panic under this lock");
                    tally.add(&part);
                    if tally.count >= goal.count || tally.skipped.is_some() || outcome.is_err() {
                        stop.store(true, Ordering::SeqCst);
                    }
                    if let Err(found) = outcome {
                        let mut failure = failure.lock().expect("no panic under this lock");
                        if failure.as_ref().is_none_or(|first| found.seed < first.seed) {
                            *failure = Some(found);
                        }
                    }
                }
            });
        }
    });
    Outcome {
        tally: tally.into_inner().expect("no panic under this lock"),
        next: next.into_inner().min(goal.until),
        time: started.elapsed(),
        failure: failure.into_inner().expect("no panic under this lock"),
    }
}

/// Runs the gate of a class and prints its line.
///
/// # Panics
/// Where a piece fails, or less is counted than the gate asks for.
pub fn gate(class: &Class) {
    let outcome = run(class, Goal::gate(class));
    println!("{}", line(class, &outcome));
    if let Some(failure) = &outcome.failure {
        panic!("{failure}");
    }
    let (counted, asked) = (outcome.tally.count, class.gate);
    assert!(
        counted >= asked || outcome.tally.skipped.is_some(),
        "{} counted {} {}, the gate asks for {}",
        class.id,
        grouped(counted),
        class.what,
        grouped(asked)
    );
}
