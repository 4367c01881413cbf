//! When a sync fails, `bitacora append` answers nothing more and ends with 6; the next open has all that was answered.

#![cfg(all(feature = "cli", target_os = "linux"))]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

mod command;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use command::{PROGRAM, Place, line, values};

const LINES: u64 = 40;

fn has_strace() -> bool {
    let traced = Command::new("strace").args(["-o", "/dev/null", "true"]).stderr(Stdio::null()).status();
    traced.is_ok_and(|status| status.success())
}

struct Run {
    code: i32,
    answered: Vec<u64>,
    /// System calls, a line each.
    calls: Vec<String>,
}

/// Appends lines while each thread's n-th `fdatasync` fails with EIO.
fn run(place: &Place, in_flight: &str, n: u64) -> Run {
    let log = place.join("calls");
    let mut child = Command::new("strace")
        .args(["-f", "-y", "-o", log.to_str().unwrap(), "-e", "trace=fdatasync,write"])
        .args(["-e", &format!("inject=fdatasync:error=EIO:when={n}")])
        .args([PROGRAM, "append", place.store().to_str().unwrap(), "--inflight", in_flight])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    // It may end before it has read them.
    let _ = input.write_all((0..LINES).map(|number| line("a", number)).collect::<String>().as_bytes());
    drop(input);
    let output = child.wait_with_output().unwrap();
    let answered = values(&output.stdout).iter().map(|answer| answer["sequence"].as_u64().unwrap()).collect();
    let calls = std::fs::read_to_string(log).unwrap().lines().map(str::to_owned).collect();
    Run { code: output.status.code().unwrap(), answered, calls }
}

/// Whether a call failed on demand, in a file of the log.
fn is_failure_of_log(call: &str) -> bool {
    call.contains("INJECTED") && call.contains("/store/log/")
}

/// Goal: for every sync of the first commits, nothing is answered behind one that failed. Method: strace makes each thread's n-th sync fail
/// once; its record tells what was written to standard output after that.
#[test]
fn nothing_is_answered_after_a_sync_that_failed() {
    if !has_strace() {
        println!("skipped: strace is not there");
        return;
    }
    let mut stopped = 0;
    for (in_flight, in_doubt_max) in [("1", 1), ("8", 8)] {
        for n in 1..=20 {
            let place = Place::new();
            let label = format!("{in_flight} in flight, sync {n} of each thread fails");
            let run = run(&place, in_flight, n);
            let failed_at = run.calls.iter().position(|call| is_failure_of_log(call));
            if let Some(at) = failed_at {
                stopped += 1;
                assert_eq!(run.code, 6, "{label}");
                let answers =
                    run.calls[at..].iter().filter(|call| call.contains("write(1<") && call.contains("sequence"));
                assert_eq!(answers.count(), 0, "{label}: answered after the failure");
            }
            check(&place, &run, in_doubt_max, &label);
        }
    }
    println!("{stopped} runs stopped at a failed sync of the log");
    assert!(stopped >= 12, "only {stopped} runs met a sync of the log");
}

/// The next open serves the answered events, and at most those that were in flight behind them.
fn check(place: &Place, run: &Run, in_doubt_max: usize, label: &str) {
    let answered = run.answered.len();
    assert!(run.answered.iter().copied().eq(1..=answered as u64), "{label}: {:?}", run.answered);
    assert!(run.code == 6 || answered as u64 == LINES, "{label}: {} and {answered} answers", run.code);
    if !is_store(&place.store()) {
        assert_eq!(answered, 0, "{label}");
        return;
    }
    // Opened to write first, as a program that goes on would; then read.
    place.append(&line("b", 0));
    let events = place.read("events", &[]);
    let of_a = events.iter().filter(|event| event["stream"] == "a");
    let found: Vec<u64> = of_a.map(|event| event["data"].as_u64().unwrap()).collect();
    assert!(found.iter().copied().eq(0..found.len() as u64), "{label}: {found:?}");
    assert!((answered..=answered + in_doubt_max).contains(&found.len()), "{label}: {answered} answered, {found:?}");
    place.command("verify", &[]).assert().success();
}

fn is_store(path: &Path) -> bool {
    path.join("identity").exists()
}
