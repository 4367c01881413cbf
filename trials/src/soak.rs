//! The soak: goes on where it stopped, and writes down what it tried.
//!
//! The log is a text file, a line a run: class, first seed, the seed after the last, count, seconds, result, and notes,
//! separated by tabs. Seeds are tried in order, so the last line of a class says where to go on.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use crate::class::{Class, Extent};
use crate::runner::{Goal, Outcome, grouped, run};

/// What a log says of one class.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reached {
    /// The seed to go on with.
    pub next: u64,
    /// All that was counted.
    pub count: u64,
    /// All the time it took, seconds.
    pub seconds: f64,
    /// How many runs failed.
    pub failures: u64,
}

/// Reads a log; where there is none, nothing was reached.
///
/// # Errors
/// The file cannot be read, or a line of it is not one of these.
pub fn read(path: &Path) -> io::Result<BTreeMap<String, Reached>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error),
    };
    let mut reached: BTreeMap<String, Reached> = BTreeMap::new();
    for (number, line) in text.lines().enumerate() {
        let fields: Vec<&str> = line.split('\t').collect();
        let parsed = parse(&fields).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{}:{}: not a line of a soak", path.display(), number + 1),
            )
        })?;
        let (id, next, count, seconds, passed) = parsed;
        let class = reached.entry(id.to_owned()).or_default();
        class.next = class.next.max(next);
        class.count += count;
        class.seconds += seconds;
        class.failures += u64::from(!passed);
    }
    Ok(reached)
}

fn parse<'a>(fields: &[&'a str]) -> Option<(&'a str, u64, u64, f64, bool)> {
    let [id, _, next, count, seconds, result, ..] = fields else { return None };
    Some((id, next.parse().ok()?, count.parse().ok()?, seconds.parse().ok()?, *result == "passed"))
}

/// Runs a class for some time, from where the log ends, and writes down what came of it. Nothing is left to do where all its
/// pieces were tried or the release's count is reached: then there is no outcome.
///
/// # Errors
/// The log cannot be read or written.
pub fn go_on(class: &Class, path: &Path, time: Duration) -> io::Result<Option<Outcome>> {
    let reached = read(path)?.remove(class.id).unwrap_or_default();
    let until = match class.extent {
        Extent::Endless => u64::MAX,
        Extent::Pieces { all, .. } => all,
    };
    let is_counted = class.extent == Extent::Endless && reached.count >= class.release;
    if reached.next >= until || is_counted {
        return Ok(None);
    }
    let count = if class.extent == Extent::Endless { class.release - reached.count } else { u64::MAX };
    let outcome = run(class, Goal { from: reached.next, count, until, time: Some(time) });
    if outcome.tally.skipped.is_some() && outcome.failure.is_none() {
        // Nothing was tried: its seeds are left for a machine that can.
        return Ok(Some(outcome));
    }
    let notes: Vec<String> = outcome.tally.notes.iter().map(|(name, count)| format!("{name} {count}")).collect();
    let result =
        outcome.failure.as_ref().map_or("passed".to_owned(), |failure| format!("failed at seed {}", failure.seed));
    let line = format!(
        "{}\t{}\t{}\t{}\t{:.1}\t{result}\t{}\n",
        class.id,
        reached.next,
        outcome.next,
        outcome.tally.count,
        outcome.time.as_secs_f64(),
        notes.join(", ")
    );
    OpenOptions::new().create(true).append(true).open(path)?.write_all(line.as_bytes())?;
    Ok(Some(outcome))
}

/// The table of what a log reached, as Markdown.
///
/// # Errors
/// The log cannot be read.
pub fn table(classes: &[Class], path: &Path) -> io::Result<String> {
    let reached = read(path)?;
    let mut text =
        "| class | what | reached | of a release | hours | failures |\n|---|---|---|---|---|---|\n".to_owned();
    for class in classes {
        let Some(reached) = reached.get(class.id) else { continue };
        let share = reached.count as f64 / class.release as f64 * 100.0;
        text += &format!(
            "| {} | {} | {} | {share:.1} % | {:.2} | {} |\n",
            class.id,
            class.what,
            grouped(reached.count),
            reached.seconds / 3600.0,
            reached.failures
        );
    }
    Ok(text)
}
