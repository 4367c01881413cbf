//! A disk without room is exit code 5, a hint says what to do, and with room the same command works.

#![cfg(all(feature = "cli", target_os = "linux"))]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

mod command;

use std::path::Path;
use std::process::{Command, Output, Stdio};

use command::{PROGRAM, Place, line};

/// Runs a shell's lines in a name space of its own, where `SMALL` is a file system with room for 6 MiB and no more; what is mounted there
/// goes with it.
fn on_a_small_disk(small: &Path, script: &str) -> Output {
    std::fs::create_dir_all(small).unwrap();
    let mounted = format!("mount -t tmpfs -o size=6m tmpfs \"$SMALL\" || exit 99\n{script}");
    Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", &mounted])
        .env("SMALL", small)
        .env("BITACORA", PROGRAM)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("unshare, of util-linux: {error}"))
}

fn can_mount(place: &Place) -> bool {
    let is_there = Command::new("unshare").arg("--version").stdout(Stdio::null()).status().is_ok();
    is_there && on_a_small_disk(&place.join("probe"), "exit 0").status.success()
}

#[test]
fn no_room_is_5_with_a_hint_and_leaves_nothing_half_made() {
    let place = Place::new();
    if !can_mount(&place) {
        println!("skipped: no file system can be mounted here");
        return;
    }
    place.append(&line("notes", 1));
    let store = place.store().display().to_string();
    // Every byte is taken; folders take none there.
    let fill = "cat /dev/zero > \"$SMALL/filler\" 2>/dev/null";
    let scripts = [
        format!(
            "{fill}; echo '{{\"stream\":\"a\",\"type\":\"b\",\"data\":1}}' | \"$BITACORA\" append \"$SMALL/store\""
        ),
        format!("{fill}; \"$BITACORA\" backup {store} \"$SMALL/copy\""),
    ];
    for script in scripts {
        let output =
            on_a_small_disk(&place.join("small"), &format!("{script}; code=$?; ls \"$SMALL\" >&2; exit $code"));
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(5), "{script}: {told}");
        let lines: Vec<&str> = told.lines().collect();
        assert!(lines[0].starts_with("error: ") && lines[1].starts_with("hint: make room"), "{told}");
        assert!(output.stdout.is_empty());
        assert!(!lines[2..].iter().any(|name| name.starts_with("copy")), "a part of a copy is left: {told}");
    }
    place.command("verify", &[]).assert().success();
}
