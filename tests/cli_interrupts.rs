//! Ctrl-C ends what takes long with exit code 130, between two lines, and leaves nothing half done; and progress is told meanwhile.

#![cfg(all(feature = "cli", target_os = "linux"))]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

mod command;

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use command::{PROGRAM, Place, content, line, values};

/// Enough that a verb which reads them all cannot be done before it is interrupted.
const EVENTS: u64 = 60_000;

fn large() -> Place {
    let place = Place::new();
    let lines: String = (0..EVENTS).map(|number| line(&format!("notes-{}", number % 50), number)).collect();
    place.command("append", &["--durability", "buffered", "--inflight", "5000"]).write_stdin(lines).assert().success();
    place
}

fn interrupt(child: &Child) {
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
}

#[test]
fn what_is_printed_ends_between_two_lines() {
    let place = large();
    for arguments in [&["events"] as &[&str], &["events", "--reverse", "--json"], &["events", "--type", "Noted"]] {
        let mut child = place.process(arguments[0], &arguments[1..]).spawn().unwrap();
        let mut printed = BufReader::new(child.stdout.take().unwrap());
        let mut first = String::new();
        printed.read_line(&mut first).unwrap();
        // It waits for its reader now, with most of the events before it.
        interrupt(&child);
        let mut rest = String::new();
        printed.read_to_string(&mut rest).unwrap();
        let mut told = String::new();
        child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{arguments:?}: {told}");
        assert_eq!(told, "", "whoever pressed Ctrl-C knows it");
        let whole = values(rest.as_bytes()).len() as u64 + 1;
        assert!(whole > 1 && whole < EVENTS, "{arguments:?}: {whole} lines");
    }
}

fn has_strace() -> bool {
    let traced = Command::new("strace").args(["-D", "-o", "/dev/null", "true"]).stderr(Stdio::null()).status();
    traced.is_ok_and(|status| status.success())
}

/// A verb whose every read of the log takes some time. The process is the command itself: strace stands aside.
fn slow(place: &Place, arguments: &[&str]) -> Child {
    Command::new("strace")
        .args(["-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=pread64", "-e", "inject=pread64:delay_enter=60000"])
        .arg(PROGRAM)
        .arg(arguments[0])
        .arg(place.store())
        .args(&arguments[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Goal: what takes over a second says how far it is, and an interrupt ends it at once with nothing changed. Method: reads are slowed
/// down; the interrupt comes behind the first word on how far it is.
#[test]
fn what_takes_long_tells_how_far_it_is_and_can_be_broken_off() {
    if !has_strace() {
        println!("skipped: strace is not there");
        return;
    }
    let place = large();
    command::damage(&place.store(), "30000");
    let before = content(&place.store());
    for arguments in [&["verify"] as &[&str], &["repair", "--dry-run"], &["repair", "--yes"]] {
        let mut child = slow(&place, arguments);
        let mut told = BufReader::new(child.stderr.take().unwrap());
        let mut first = String::new();
        told.read_line(&mut first).unwrap();
        let verb = arguments[0];
        assert!(first.starts_with(&format!("{verb}: ")) && first.contains("MiB/s"), "{arguments:?}: {first}");
        interrupt(&child);
        let (mut rest, mut printed) = (String::new(), String::new());
        told.read_to_string(&mut rest).unwrap();
        child.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{arguments:?}: {first}{rest}");
        assert!(!rest.contains("error") && printed.is_empty(), "{arguments:?}: {rest}{printed}");
        assert!(content(&place.store()) == before, "{arguments:?}: nothing is changed");
    }
}
