//! Classes that run on the machine itself: real files, the real index, real processes.
//!
//! A parent, which is the class, starts children, which are the command `trials child ...`. A child writes and says on its
//! standard output what was acknowledged to it, a line each; the parent kills it, cuts its power or fills its disk, and holds
//! what is left against those lines. What a child writes is a function of a seed, so the parent knows every byte of it.

pub mod apart;
pub mod day;
pub mod fleet;
pub mod folder;
pub mod gateway;
pub mod mount;
pub mod operations;
pub mod oracle;
pub mod plan;
pub mod process;
pub mod strace;

use std::panic::resume_unwind;
use std::process::ExitCode;

use crate::class::Tally;

/// The exit code of a child that the store has failed.
pub const STORE_FAILED: u8 = 3;

/// What the command `trials child ...` does.
///
/// # Errors
/// The words are not those of a child.
pub fn child(words: &[String]) -> Result<ExitCode, String> {
    #[cfg(feature = "sabotage")]
    if let Some(number) = std::env::var_os(process::SABOTAGE) {
        let number = number.to_str().and_then(|number| number.parse().ok()).ok_or("no number of a defect")?;
        bitacora::sabotage::choose_number(number);
    }
    let (what, rest) = words.split_first().ok_or("a child of what?")?;
    match what.as_str() {
        "apart" => apart::child(rest),
        "day" => day::child(rest),
        "operations" => operations::child(rest),
        "fleet" => fleet::child(rest),
        other => Err(format!("there is no child {other}")),
    }
}

/// Does some work for several seeds at once, each in a thread of its own, and adds up what they counted. For pieces that
/// wait for processes.
///
/// # Panics
/// As the first work that panics, in the order of the seeds.
pub fn side_by_side(tally: &mut Tally, seeds: &[u64], work: impl Fn(u64, &mut Tally) + Sync) {
    let work = &work;
    std::thread::scope(|scope| {
        let threads: Vec<_> = seeds
            .iter()
            .map(|seed| {
                scope.spawn(move || {
                    let mut part = Tally::default();
                    work(*seed, &mut part);
                    part
                })
            })
            .collect();
        let parts: Vec<_> = threads.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        for part in parts {
            tally.add(&part.unwrap_or_else(|panic| resume_unwind(panic)));
        }
    });
}
