//! What every verb prints, pinned: plain where it is piped, on a terminal, and with `--json`; with its exit code and its errors.
//!
//! One file a case in `tests/snapshots`. `UPDATE_SNAPSHOTS=1 cargo test --features cli --test cli_snapshots` writes them anew; read
//! the difference before it is committed. A new verb needs a row in [`CASES`], and no verb is without one. Ids, digests, times,
//! durations and folders are masked.

#![cfg(all(feature = "cli", unix))]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

mod command;
#[path = "snapshots/fixture.rs"]
mod fixture;
#[path = "snapshots/mask.rs"]
mod mask;
#[path = "snapshots/terminal.rs"]
mod terminal;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fixture::{Fixture, On};
use terminal::Terminal;

/// What is run, and on what.
struct Case {
    /// Its file's name.
    name: &'static str,
    /// The verb and its arguments; STORE is the store, FOLDER the empty folder it lies in.
    command: &'static str,
    on: On,
    /// What is fed to it.
    input: &'static str,
    masks: Masks,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Masks {
    /// Ids, digests, times, durations, rates and folders.
    Usual,
    /// Every number, too: of a run whose numbers depend on chance.
    Numbers,
}

const fn case(name: &'static str, command: &'static str, on: On) -> Case {
    Case { name, command, on, input: "", masks: Masks::Usual }
}

/// On a store of its own each: what these do to it is no matter to others.
const CASES: &[Case] = &[
    Case {
        input: "{\"stream\":\"order-1\",\"type\":\"OrderPlaced\",\"data\":{\"items\":3},\"id\":\"01890000-0000-7000-8000-000000000001\"}\n",
        ..case("append", "append FOLDER/new", On::Nothing)
    },
    Case { input: "{\"stream\":\"\"}\n", ..case("append-bad-line", "append FOLDER/new", On::Nothing) },
    case("events", "events STORE --stream order-1", On::Till),
    case("streams", "streams STORE", On::Till),
    case("info", "info STORE", On::Till),
    case("verify", "verify STORE", On::Till),
    case("verify-damaged", "verify STORE", On::Damaged),
    case("verify-missing", "verify FOLDER/elsewhere", On::Nothing),
    case("backup", "backup STORE FOLDER/copy", On::Till),
    case("backup-damaged", "backup STORE FOLDER/copy", On::Damaged),
    case("repair-dry-run", "repair STORE --dry-run", On::Damaged),
    case("repair", "repair STORE --yes", On::Damaged),
    case("repair-unasked", "repair STORE", On::Damaged),
    case("repair-sound", "repair STORE --yes", On::Till),
    Case {
        input: "{\"command\":\"deposit\",\"command_id\":\"c9\",\"user_id\":\"ana\",\"amount\":100,\"currency\":\"EUR\"}\n\
                {\"command\":\"withdraw\",\"command_id\":\"c10\",\"user_id\":\"ana\",\"amount\":900000,\"currency\":\"EUR\"}\n",
        ..case("command", "command STORE", On::Copy)
    },
    case("wallet", "wallet STORE ana", On::Till),
    case("wallet-none", "wallet STORE nobody", On::Till),
    case("wallets", "wallets STORE", On::Till),
    case("explain", "explain STORE ana", On::Till),
    case("diff", "diff STORE --from-sequence 4", On::Till),
    case("trace", "trace STORE sale-1", On::Till),
    case("payment", "payment STORE sale-1", On::Till),
    case("payment-parked", "payment STORE parked", On::Till),
    case("payments", "payments STORE", On::Till),
    case("payment-cancel", "payment-cancel STORE begun --operator ana --reason 'the customer left'", On::Copy),
    case("payment-retry", "payment-retry STORE parked --operator ana --reason 'the gateway is back'", On::Copy),
    case(
        "payment-resolve",
        "payment-resolve STORE parked --as compensated --operator ana --reason 'asked the bank'",
        On::Copy,
    ),
    case("snapshots", "snapshots STORE", On::Till),
    case("recover", "recover STORE", On::Copy),
    case("recover-check", "recover STORE --check", On::Till),
    case("health", "health STORE", On::Till),
    Case { masks: Masks::Numbers, ..case("stats", "stats STORE", On::Till) },
    case("scrub", "scrub STORE --rate 0", On::Copy),
    case("scrub-damaged", "scrub STORE --rate 0", On::Damaged),
    case("restore", "restore STORE FOLDER/again", On::Till),
    case("export", "export STORE --output FOLDER/log.jsonl", On::Till),
    Case { input: "{}\n", ..case("import-bad-line", "import FOLDER/new", On::Nothing) },
    case("rebuild-index", "rebuild-index STORE", On::Copy),
    Case { masks: Masks::Numbers, ..case("compact-index", "compact-index STORE", On::Copy) },
    case("upgrade", "upgrade STORE", On::Copy),
    case("archive", "archive STORE --before 20 --dry-run", On::Till),
    case("unarchive", "unarchive STORE", On::Copy),
    case("till", "till FOLDER/new --ledger FOLDER/day.csv --workers 1", On::Nothing),
    Case { masks: Masks::Numbers, ..case("demo", "demo --dir FOLDER/demo --payments 120 --kills 1", On::Nothing) },
    case("help", "--help", On::Nothing),
    case("usage", "events", On::Nothing),
];

/// Verbs whose output is pinned elsewhere, each with where.
const ELSEWHERE: &[(&str, &str)] = &[
    // It ends by an interrupt alone, and prints what `events` prints.
    ("tail", "cli_tail_follows_writers.rs"),
    // What it says depends on the disk.
    ("check-disk", "cli_check_disk.rs"),
];

/// How a case is run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Piped,
    OnATerminal,
    Json,
}

/// The words of a command, as a shell would take them; only single quotes are known.
fn words(command: &str) -> Vec<String> {
    let pieces = command.split('\'').enumerate();
    pieces
        .flat_map(|(number, piece)| match number % 2 {
            0 => piece.split_whitespace().map(str::to_owned).collect(),
            _ => vec![piece.to_owned()],
        })
        .collect()
}

fn run(case: &Case, way: Way, fixture: &Fixture, terminal: &Terminal) -> String {
    let place = fixture.place(case.on);
    let at = |word: String| {
        let folder = place.folder.path().display().to_string();
        word.replace("FOLDER", &folder).replace("STORE", &place.store.display().to_string())
    };
    let mut arguments: Vec<String> = words(case.command).into_iter().map(at).collect();
    if way == Way::Json {
        arguments.push("--json".to_owned());
    }
    let input = place.folder.path().join("input");
    std::fs::write(&input, case.input).unwrap();
    let (code, printed, told) = if way == Way::OnATerminal {
        terminal.run(&arguments, &input, &place.folder.path().join("told"))
    } else {
        let mut command = Command::new(command::PROGRAM);
        terminal::usual_environment(&mut command);
        let input = std::fs::File::open(&input).unwrap();
        let output = command.args(&arguments).stdin(Stdio::from(input)).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    };
    let mut text = format!("exit {code}\n");
    text.push_str(&printed);
    for line in told.lines().filter(|line| !command::is_progress(line)) {
        writeln!(text, "stderr: {line}").unwrap();
    }
    let folders =
        [(place.store.as_path(), "STORE"), (place.folder.path(), "FOLDER"), (Path::new(command::PROGRAM), "bitacora")];
    mask::masked(&text, &folders, case.masks == Masks::Numbers)
}

fn snapshot(case: &Case, fixture: &Fixture, terminal: &Terminal) -> String {
    let mut text = String::new();
    for way in [Way::Piped, Way::OnATerminal, Way::Json] {
        let how = match way {
            Way::Piped => "",
            Way::OnATerminal => "    # on a terminal",
            Way::Json => " --json",
        };
        writeln!(text, "$ bitacora {}{how}", case.command).unwrap();
        if way == Way::OnATerminal && !terminal.is_there {
            text.push_str("skipped\n");
        } else {
            text.push_str(run(case, way, fixture, terminal).trim_end());
        }
        text.push_str("\n\n");
    }
    text
}

/// Without what is on a terminal: where there is none to be had, the rest is compared.
fn without_terminal(text: &str) -> String {
    let sections = text.split("$ bitacora ").filter(|section| !section.contains("    # on a terminal\n"));
    sections.collect::<Vec<_>>().join("$ bitacora ")
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots")
}

#[test]
fn every_verb_prints_what_it_printed_before() {
    let (fixture, terminal) = (Fixture::new(), Terminal::look());
    if !terminal.is_there {
        println!("skipped: what is shown on a terminal, because util-linux's `script` is not there");
    }
    let is_update = std::env::var_os("UPDATE_SNAPSHOTS").is_some();
    let mut wrong = Vec::new();
    for case in CASES {
        let (path, found) = (folder().join(format!("{}.txt", case.name)), snapshot(case, &fixture, &terminal));
        if is_update {
            assert!(terminal.is_there, "a snapshot has what is shown on a terminal");
            std::fs::write(path, found).unwrap();
            continue;
        }
        let pinned = std::fs::read_to_string(&path).unwrap_or_default();
        let same =
            if terminal.is_there { pinned == found } else { without_terminal(&pinned) == without_terminal(&found) };
        if !same {
            wrong.push(format!("{}: is\n{found}and not\n{pinned}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{}\nUPDATE_SNAPSHOTS=1 writes them anew", wrong.join("\n"));
}

#[test]
fn no_verb_is_without_a_snapshot_and_no_snapshot_without_a_case() {
    let has_case = |verb: &String| {
        let is_its = |case: &Case| case.command.split(' ').next() == Some(verb);
        CASES.iter().any(is_its) || ELSEWHERE.iter().any(|(known, _)| known == verb)
    };
    let without: Vec<String> = command::verbs().into_iter().filter(|verb| !has_case(verb)).collect();
    assert!(without.is_empty(), "these verbs need a row in CASES, and UPDATE_SNAPSHOTS=1: {without:?}");
    for (_, file) in ELSEWHERE {
        assert!(folder().join("..").join(file).exists(), "{file}");
    }
    let names: BTreeSet<String> = CASES.iter().map(|case| format!("{}.txt", case.name)).collect();
    assert_eq!(names.len(), CASES.len(), "no two cases have one name");
    let files = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let files: BTreeSet<String> = files.filter(|name| name.ends_with(".txt")).collect();
    assert_eq!(files, names);
}

#[test]
fn colours_are_shown_on_a_terminal_alone_and_not_where_they_are_unwanted() {
    let terminal = Terminal::look();
    if !terminal.is_there {
        println!("skipped: util-linux's `script` is not there");
        return;
    }
    let red = "\\e[1;31merror:\\e[0m ";
    for command in ["events no-such-store", "--help", "events"] {
        let shown = |environment: &[(&str, &str)]| terminal.shown(&words(command), environment, 80);
        let coloured = shown(&[]);
        assert!(coloured.contains("\\e["), "{command}: {coloured}");
        assert_eq!(coloured.contains(red), command.starts_with("events "), "{coloured}");
        for unwanted in [("NO_COLOR", "1"), ("CLICOLOR", "0"), ("TERM", "dumb")] {
            // Some take any terminal of a continuous integration for one with colours.
            for environment in [&[unwanted][..], &[unwanted, ("CI", "true")]] {
                let plain = shown(environment);
                assert!(!plain.contains("\\e"), "{environment:?} {command}: {plain}");
            }
        }
    }
}

#[test]
fn a_table_fits_the_terminal() {
    let (fixture, terminal) = (Fixture::new(), Terminal::look());
    if !terminal.is_there {
        println!("skipped: util-linux's `script` is not there");
        return;
    }
    let place = fixture.place(On::Till);
    for columns in [60, 100, 160] {
        for verb in ["trace", "wallets", "payments"] {
            let mut arguments = vec![verb.to_owned(), place.store.display().to_string()];
            arguments.extend((verb == "trace").then(|| "sale-1".to_owned()));
            let shown = terminal.shown(&arguments, &[], columns);
            assert!(shown.lines().count() > 3, "{shown}");
            let widest = shown.lines().map(|line| line.chars().count()).max().unwrap();
            // A frame and one character a column is the least that a table of ten columns takes.
            assert!(widest <= columns, "{verb} at {columns} columns is {widest} wide:\n{shown}");
        }
    }
}
