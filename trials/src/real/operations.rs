//! A child that does so many operations in a row, each once: commits, snapshots, checkpoints, housekeeping, reopening. Without
//! threads of its own, so that its system calls can be counted.
//!
//! It says `commit 0 NUMBER FIRST LAST` for what was acknowledged, as a day does, and `closed` at its end.

use std::path::Path;
use std::process::ExitCode;

use bitacora::disk::sim::Random;
use bitacora::{Checkpoint, Options, Result, Store};

use super::STORE_FAILED;
use super::day::{say, store_in};
use super::plan::{Against, Plan};
use crate::workload::snapshot_of;

/// The words that start such a child.
#[must_use]
pub fn words(folder: &Path, seed: u64, count: u64) -> Vec<String> {
    vec!["operations".to_owned(), folder.display().to_string(), seed.to_string(), count.to_string()]
}

/// What it commits.
#[must_use]
pub fn plan(seed: u64) -> Plan {
    Plan { seed, against: Against::Power }
}

fn options(seed: u64) -> Options {
    plan(seed).options().background(false).segment_bytes(32 * 1024).tail_events_max(100)
}

/// Runs such a child.
///
/// # Errors
/// The words are not those of one.
pub(super) fn child(words: &[String]) -> std::result::Result<ExitCode, String> {
    let [folder, seed, count] = words else { return Err("operations FOLDER SEED COUNT".to_owned()) };
    let seed = seed.parse().map_err(|_| format!("{seed} is no seed"))?;
    let count = count.parse().map_err(|_| format!("{count} is no count"))?;
    Ok(match work(Path::new(folder), seed, count) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("failed {:?} {error}", error.kind()));
            ExitCode::from(STORE_FAILED)
        }
    })
}

fn work(folder: &Path, seed: u64, count: u64) -> Result<()> {
    let mut store = Store::open(store_in(folder), options(seed))?;
    let mut random = Random::new(seed);
    let mut number = 0;
    for _ in 0..count {
        match random.below(100) {
            0 => {
                store.close()?;
                store = Store::open(store_in(folder), options(seed))?;
            }
            1..=4 => store.housekeep()?,
            5..=6 => store.save_snapshot(&snapshot_of(&store))?,
            7..=9 => {
                let sequence = store.last_sequence();
                store.set_checkpoint("consumer", &Checkpoint { sequence, data: Vec::new() })?;
            }
            _ => {
                let receipt = store.commit(plan(seed).commit(0, number))?;
                say(&format!("commit 0 {number} {} {}", receipt.sequence_first, receipt.sequence_last));
                number += 1;
            }
        }
    }
    store.close()?;
    say("closed");
    Ok(())
}
