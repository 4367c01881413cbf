//! Fills the table of `src/docs/performance.md`.
//!
//! `table [--short | --tiny] [--peers] [part of a case's name...]`

use std::process::ExitCode;

use bitacora_bench::cases::Scale;
use bitacora_bench::child::{self, Job};
use bitacora_bench::table::{self, Run};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, job] = arguments.as_slice()
        && word == "child"
    {
        let job: Job = serde_json::from_str(job).unwrap();
        println!("{}", serde_json::to_string(&child::work(&job)).unwrap());
        return ExitCode::SUCCESS;
    }
    let has = |option: &str| arguments.iter().any(|argument| argument == option);
    let scale = match (has("--tiny"), has("--short")) {
        (true, _) => Scale::Tiny,
        (false, true) => Scale::Short,
        (false, false) => Scale::Full,
    };
    let rounds = if scale == Scale::Tiny { 1 } else { 5 };
    let chosen = arguments.iter().filter(|argument| !argument.starts_with("--")).cloned().collect();
    let _ = table::print(&Run { scale, rounds, has_peers: has("--peers"), chosen });
    ExitCode::SUCCESS
}
