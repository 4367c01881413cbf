//! What differs from run to run, masked.

use std::path::Path;

use crate::command::{self, masked_text};

/// Names of numbers that depend on the time a run takes, or on how the index lays its files out.
const VOLATILE: &[&str] = &[
    "elapsed_ms",
    "wallets_per_second",
    "payments_per_second",
    "events_per_second",
    "index_bytes",
    "microseconds",
    "time_to_live_micros",
    "first_failure_ms",
    "ready_ms",
    "free_bytes",
    "total_bytes",
    "segments_left",
];

/// Columns of tables with such numbers.
const VOLATILE_COLUMNS: &[&str] = &["ms"];

/// A text without what differs from run to run. Where something did, what lines up is squeezed, because it lines up otherwise.
pub(crate) fn masked(text: &str, folders: &[(&Path, &str)], is_of_chance: bool) -> String {
    let mut shown = text.replace('\u{1b}', "\\e");
    for (folder, name) in folders {
        let folder = folder.display().to_string();
        shown = shown.replace(&folder, name);
    }
    shown = masked_columns(&took_masked(&VOLATILE.iter().fold(masked_text(&shown), |text, name| without(&text, name))));
    if is_of_chance {
        let (first, rest) = shown.split_once('\n').unwrap();
        shown = format!("{first}\n{}", numbers_masked(rest));
    }
    let is_changed = shown != text.replace('\u{1b}', "\\e");
    if is_changed { squeezed(&shown) } else { shown }
}

/// The number behind a name: in JSON, behind a tab, or behind spaces.
fn without(text: &str, name: &str) -> String {
    let (mut shown, mut rest) = (String::new(), text);
    while let Some(at) = rest.find(name) {
        let (before, behind) = rest.split_at(at + name.len());
        shown.push_str(before);
        let number = behind.trim_start_matches(['"', ':', '\t', ' ']);
        let gap = &behind[..behind.len() - number.len()];
        let digits = number.len() - number.trim_start_matches(|digit: char| digit.is_ascii_digit()).len();
        shown.push_str(gap);
        if digits > 0 && !gap.is_empty() {
            shown.push('N');
            rest = &number[digits..];
        } else {
            rest = number;
        }
    }
    shown + rest
}

/// A line such as "this run took 0.123 s, 1,234 events a second", and one that ends with microseconds.
fn took_masked(text: &str) -> String {
    let masked = |line: &str| {
        if line.contains("this run took ") {
            return numbers_masked(line);
        }
        match line.strip_suffix(" us\n").and_then(|line| line.rsplit_once(' ')) {
            Some((before, _)) => format!("{before} N us\n"),
            None => line.to_owned(),
        }
    };
    text.split_inclusive('\n').map(masked).collect()
}

fn numbers_masked(text: &str) -> String {
    let mut shown = String::new();
    let mut is_number = false;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let is_inner =
            is_number && matches!(character, ',' | '.') && characters.peek().is_some_and(|next| next.is_ascii_digit());
        let is_digit = character.is_ascii_digit() || is_inner;
        if is_digit && !is_number {
            shown.push('N');
        }
        if !is_digit {
            shown.push(character);
        }
        is_number = is_digit;
    }
    shown
}

/// Numbers in columns whose heads say that they depend on time.
fn masked_columns(text: &str) -> String {
    let mut shown = String::new();
    let mut column: Option<(usize, usize)> = None;
    for line in text.split_inclusive('\n') {
        let separator = if line.contains('\u{2506}') { '\u{2506}' } else { '\t' };
        let cells: Vec<&str> = line.split(separator).collect();
        let head = cells.iter().position(|cell| VOLATILE_COLUMNS.contains(&cell.trim_matches(['\u{2502}', ' ', '\n'])));
        match (head, column) {
            (Some(head), _) => column = Some((head, cells.len())),
            (None, Some((at, width))) if cells.len() == width && width > 1 => {
                let masked = |(number, cell): (usize, &&str)| {
                    if number == at { numbers_masked(cell) } else { (*cell).to_owned() }
                };
                let cells: Vec<String> = cells.iter().enumerate().map(masked).collect();
                shown.push_str(&cells.join(&separator.to_string()));
                continue;
            }
            (None, _) => {}
        }
        shown.push_str(line);
    }
    shown
}

/// Runs of spaces, and of the pieces that a table's frame is made of, become short ones.
fn squeezed(text: &str) -> String {
    let mut shown = String::new();
    let mut last = ' ';
    for character in text.chars() {
        let is_frame = matches!(character, '\u{2500}' | '\u{2550}' | '\u{254c}');
        if character == last && (is_frame || character == ' ') {
            continue;
        }
        shown.push(character);
        last = character;
    }
    shown
}

#[test]
fn what_differs_is_masked_and_nothing_else() {
    let usual = |text: &str| masked(text, &[(Path::new("/tmp/x1"), "FOLDER")], false);
    assert_eq!(usual("{\"elapsed_ms\":12,\"wallets\":12}"), "{\"elapsed_ms\":N,\"wallets\":12}");
    assert_eq!(usual("elapsed_ms\t12\nwallets\t12\n"), "elapsed_ms\tN\nwallets\t12\n");
    assert_eq!(usual("at /tmp/x1/a\n"), "at FOLDER/a\n");
    assert_eq!(usual("phase\tcount\tms\nopen\t3\t12\nok\t1\n"), "phase\tcount\tms\nopen\t3\tN\nok\t1\n");
    assert_eq!(usual("a   12\n"), "a   12\n", "where nothing differs, it lines up as it does");
    assert_eq!(masked("exit 0\n 1,234 of 5.\n", &[], true), "exit 0\n N of N.\n");
    assert!(command::is_progress("verify: reading the log, 20 of 70 MiB, 10 MiB/s, 5 s left"));
    assert!(!command::is_progress("error: the store is damaged"));
}
