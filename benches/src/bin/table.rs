//! Fills the table of `src/docs/performance.md`, and the further tables beside it.
//!
//! - `table [--short | --tiny] [--peers] [--rounds=N] [part of a case's name...]`: the table, medians of five rounds where nothing
//!   else is said. With names, only those cases.
//! - `table rolls`, `growth`, `cold` `[--short | --tiny]`: what a line cannot show.
//! - `table tail` `[--short | --tiny]`: what a till loses to `tail`, `verify` and `backup` beside it; needs the command, built with
//!   the same profile.
//! - `table syscalls`: calls per commit; needs `strace`.
//! - `table profile [--short | --tiny] [part of a case's name...]`: where the time goes; needs `perf`.
//! - `table instructions [--keep]`: instructions an event; needs `valgrind`. Fails where there are more than
//!   `benches/instructions.txt` says; `--keep` writes that file instead.
//!
//! Allocations have a program of their own, `allocations`, since counting them slows everything down.

use std::path::Path;
use std::process::ExitCode;

use bitacora_bench::cases::Scale;
use bitacora_bench::child::{self, Job};
use bitacora_bench::commands::{cold, growth, instructions, profile, rolls, syscalls, tail};
use bitacora_bench::table::{self, Run};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [word, job] if word == "child" => {
            let job: Job = serde_json::from_str(job).unwrap();
            println!("{}", serde_json::to_string(&child::work(&job)).unwrap());
            return ExitCode::SUCCESS;
        }
        [word, path] if word == cold::READER => {
            cold::read_until_told(Path::new(path));
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    let has = |option: &str| arguments.iter().any(|argument| argument == option);
    let scale = match (has("--tiny"), has("--short")) {
        (true, _) => Scale::Tiny,
        (false, true) => Scale::Short,
        (false, false) => Scale::Full,
    };
    let asked = arguments.iter().find_map(|argument| argument.strip_prefix("--rounds="));
    let usual = if scale == Scale::Tiny { 1 } else { 5 };
    let rounds = asked.map_or(usual, |rounds| rounds.parse().expect("--rounds= takes a number"));
    let is_name = |argument: &&String| !argument.starts_with("--") && *argument != "profile";
    let chosen = arguments.iter().filter(is_name).cloned().collect();
    let run = Run { scale, rounds, has_peers: has("--peers"), chosen };
    let mut is_well = true;
    match arguments.first().map(String::as_str) {
        Some("rolls") => rolls::print(scale),
        Some("growth") => growth::print(scale),
        Some("cold") => cold::print(scale),
        Some("tail") => tail::print(scale),
        Some("syscalls") => syscalls::print(scale),
        Some("instructions") => is_well = instructions::print(has("--keep")),
        Some("profile") => profile::print(&run),
        // A target that is missed is told and no failure: the figures are the machine's too.
        _ => {
            let _ = table::print(&run);
        }
    }
    if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
