//! Pieces that mount file systems run in a process of their own, which has mounts of its own.
//!
//! The mounts of a process are those of the thread that made it, and RocksDB works in threads that all databases of a process
//! share; so a namespace for each thread would not do.
//!
//! The process says what it counted: `count NUMBER`, `note NUMBER NAME`, `skipped WHY`, or `failure TEXT` in one line.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Mutex;

use super::day::say;
use super::mount;
use super::process::Process;
use crate::class::{Class, Tally};
use crate::{classes, runner};

/// Tries a piece in a process of its own and adds what it counted.
///
/// # Panics
/// As the piece.
pub fn piece(id: &str, seed: u64, tally: &mut Tally) {
    let process = Process::start(&["apart".to_owned(), id.to_owned(), seed.to_string()]);
    let (status, lines) = process.finish();
    let mut failure = None;
    for line in &lines {
        let (word, rest) = line.split_once(' ').unwrap_or_else(|| panic!("it said {line:?}"));
        let number = |text: &str| text.parse::<u64>().unwrap_or_else(|_| panic!("it said {line:?}"));
        match (word, rest.split_once(' ')) {
            ("count", _) => tally.count += number(rest),
            ("note", Some((count, name))) => tally.note(known(name), number(count)),
            ("skipped", _) => tally.skip(known(rest)),
            ("failure", _) => failure = Some(rest.replace("\\n", "\n")),
            _ => panic!("it said {line:?}"),
        }
    }
    if let Some(text) = failure {
        panic!("{text}");
    }
    assert!(status.success(), "the process of {id} {seed} ended with {status}");
}

/// The same text for as long as this program runs. There are only as many as classes note.
fn known(text: &str) -> &'static str {
    static KNOWN: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut known = KNOWN.lock().expect("no panic under this lock");
    if let Some(text) = known.get(text) {
        return text;
    }
    let text: &'static str = Box::leak(text.to_owned().into_boxed_str());
    known.insert(text);
    text
}

/// Runs such a piece.
///
/// # Errors
/// The words are not those of one.
pub(super) fn child(words: &[String]) -> Result<ExitCode, String> {
    let [id, seed] = words else { return Err("apart ID SEED".to_owned()) };
    let seed = seed.parse().map_err(|_| format!("{seed} is no seed"))?;
    let class = classes::find(id).ok_or_else(|| format!("there is no class {id}"))?;
    let piece = classes::apart(id).ok_or_else(|| format!("{id} has no pieces of that kind"))?;
    let mut tally = Tally::default();
    // Before this process has any other thread.
    if let Err(why) = mount::prepare() {
        say(&format!("skipped {why}"));
        return Ok(ExitCode::SUCCESS);
    }
    let outcome = runner::attempt(&Class { piece, ..*class }, seed, &mut tally);
    say(&format!("count {}", tally.count));
    for (name, count) in &tally.notes {
        say(&format!("note {count} {name}"));
    }
    Ok(match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            say(&format!("failure {}", failure.text.replace('\n', "\\n")));
            ExitCode::FAILURE
        }
    })
}
