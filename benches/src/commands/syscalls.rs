//! System calls of a commit, counted by `strace -f -c`.
//!
//! Two runs of different length are subtracted, so that opening and closing do not count. Under `strace` everything is slower, and
//! groups of many writers are larger than they are otherwise; what one writer does for a commit is the same.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::cases::Scale;
use crate::child::{Job, Task};
use crate::parts::Part;
use crate::place;

type Counts = BTreeMap<String, f64>;

const CASES: &[(&str, usize, usize, usize)] = &[
    ("durable, 1 writer", 1, 1, 1_000),
    ("durable, 16 writers", 16, 1, 100),
    ("durable, 64 writers", 64, 1, 50),
    ("durable, 100 events a commit", 1, 100, 500),
    ("durable, 1,000 events a commit", 1, 1_000, 50),
];

/// Counts and prints.
///
/// # Panics
/// There is no `strace`, or it says something else than it used to.
pub fn print(scale: Scale) {
    println!("Calls per commit; fewer than one in a hundred are left out.\n");
    println!("| case | subject | calls |\n|---|---|---|");
    for (name, writers, events, commits) in CASES.iter().copied() {
        let commits = if scale == Scale::Full { commits * 4 } else { commits };
        for (subject, title) in [("floor", "floor"), ("bitacora", "Bitacora")] {
            let [few, many] = [commits, commits * 3].map(|commits| {
                let part = Part::Append { is_durable: true, writers, commits, events, is_closed: true };
                count(subject, part)
            });
            let each = |calls: f64, before: f64| (calls - before) / (writers * commits * 2) as f64;
            let mut found: Vec<(f64, &String)> = many
                .iter()
                .map(|(call, count)| (each(*count, few.get(call).copied().unwrap_or(0.0)), call))
                .filter(|(each, _)| *each >= 0.01)
                .collect();
            found.sort_by(|a, b| b.0.total_cmp(&a.0));
            let shown: Vec<String> = found.iter().map(|(each, call)| format!("{call} {each:.2}")).collect();
            println!("| {name} | {title} | {} |", shown.join(", "));
        }
    }
}

fn count(subject: &str, part: Part) -> Counts {
    let folder = place::folder();
    let result = folder.path().join("strace");
    let files = folder.path().join("files");
    std::fs::create_dir_all(&files).unwrap();
    let job = Job { task: Task::Part(part), subject: subject.to_owned(), folder: files, scale: Scale::Short };
    let status = Command::new("strace")
        .args(["-f", "-c", "-o"])
        .arg(&result)
        .arg(std::env::current_exe().unwrap())
        .args(["child", &serde_json::to_string(&job).unwrap()])
        .stdout(Stdio::null())
        .status()
        .expect("strace is needed");
    assert!(status.success(), "{subject}: {status}");
    read(&result)
}

/// Lines of `% time, seconds, usecs/call, calls, [errors,] syscall`.
fn read(path: &Path) -> Counts {
    let text = std::fs::read_to_string(path).unwrap();
    let line = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let calls: f64 = words.get(3)?.parse().ok()?;
        let call = words.get(4..)?.last()?;
        (*call != "total").then(|| ((*call).to_owned(), calls))
    };
    text.lines().filter_map(line).collect()
}
