//! The commands of the README and of the book, run as they stand.
//!
//! Blocks marked `sh` are commands. Blocks marked `console` are commands behind `$ `, each with what it prints; a command with
//! nothing below it may print anything. All of one file run in order, in one shell and one empty folder, with `bitacora` on its
//! path. Exit 0 is expected, or what a remark `# exit N` at a command's end says. Ids, digests and times are masked on both sides
//! before they are compared.
//!
//! Not run: blocks marked `sh,ignore`, and those that begin with `make`, `cargo` or `export`, which build the program.

#![cfg(all(feature = "cli", unix))]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

mod command;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use command::masked_text;

/// Between the outputs of two commands, with the exit code of the first one.
const MARK: &str = "--- the command ended with ";

/// What begins a block that builds the program.
const BUILDERS: &[&str] = &["make", "cargo", "export"];

#[derive(Debug, PartialEq, Eq)]
struct Step {
    command: String,
    exit: i32,
    /// What it prints, where the page says so.
    output: Option<String>,
}

/// The commands of a page, in order.
fn steps(page: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(mark) = line.strip_prefix("```") else { continue };
        let block: Vec<&str> = lines.by_ref().take_while(|line| !line.starts_with("```")).collect();
        let first = block.iter().flat_map(|line| line.split_whitespace()).next().unwrap_or_default();
        match mark {
            "sh" if !BUILDERS.contains(&first) => steps.extend(commands(&block)),
            "console" => steps.extend(session(&block)),
            _ => {}
        }
    }
    steps
}

fn step(command: &str) -> Step {
    let exit = command.rsplit_once("# exit ").and_then(|(_, code)| code.trim().parse().ok()).unwrap_or(0);
    Step { command: command.to_owned(), exit, output: None }
}

/// A command a line; one that has a text to be fed to it ends with that.
fn commands(block: &[&str]) -> Vec<Step> {
    let (mut steps, mut lines) = (Vec::new(), block.iter());
    while let Some(line) = lines.next() {
        let mut command = (*line).to_owned();
        if let Some((_, end)) = line.split_once("<<'") {
            let end = end.split('\'').next().unwrap();
            for fed in lines.by_ref() {
                command = format!("{command}\n{fed}");
                if *fed == end {
                    break;
                }
            }
        }
        if !command.trim().is_empty() && !command.starts_with('#') {
            steps.push(step(&command));
        }
    }
    steps
}

/// Commands behind a prompt, each with what it prints.
fn session(block: &[&str]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in block {
        if let Some(command) = line.strip_prefix("$ ") {
            steps.push(step(command));
        } else if let Some(last) = steps.last_mut() {
            let output = last.output.get_or_insert_default();
            output.push_str(line);
            output.push('\n');
        }
    }
    for step in &mut steps {
        step.output = step.output.take().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    }
    steps
}

/// The file names of the pages with their texts.
fn pages() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths: Vec<PathBuf> =
        fs::read_dir(root.join("src/docs")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "md"));
    paths.push(root.join("README.md"));
    paths.sort();
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    paths.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect()
}

/// Runs the commands in one shell, and says what is not as the page has it.
fn run(page: &str, steps: &[Step]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let script: String =
        steps.iter().map(|step| format!("{}\nprintf '\\n{MARK}%s\\n' \"$?\"\n", step.command)).collect();
    let program = Path::new(command::PROGRAM).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let output = Command::new("sh")
        .args(["-c", &script])
        .current_dir(folder.path())
        .env("PATH", path)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (shown, told) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    let mut wrong = Vec::new();
    let mut rest = shown.as_str();
    for step in steps {
        let Some((printed, behind)) = rest.split_once(&format!("\n{MARK}")) else {
            wrong.push(format!("{page}: the shell ended within: {}\n{told}", step.command));
            break;
        };
        let (code, behind) = behind.split_once('\n').unwrap();
        rest = behind;
        if code != step.exit.to_string() {
            wrong.push(format!("{page}: exit {code}, not {}: {}\n{printed}{told}", step.exit, step.command));
        }
        if let Some(expected) = &step.output
            && masked_text(expected) != masked_text(printed.trim())
        {
            wrong.push(format!("{page}: {}\nprints\n{printed}\nand not\n{expected}", step.command));
        }
    }
    wrong
}

#[test]
fn the_readmes_and_the_books_commands_work_as_they_stand() {
    let mut wrong = Vec::new();
    let mut names = Vec::new();
    for (name, text) in pages() {
        let steps = steps(&text);
        if !steps.is_empty() {
            wrong.extend(run(&name, &steps));
            names.push(name);
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n\n"));
    for page in ["README.md", "getting_started.md"] {
        assert!(names.iter().any(|name| name == page), "{page} has commands, and they must be found: {names:?}");
    }
}

#[test]
fn a_page_that_is_wrong_is_found_out() {
    let page = |text: &str| run("page", &steps(text));
    assert!(page("```sh\ntrue\nfalse # exit 1\n```\n").is_empty());
    assert_eq!(page("```sh\nfalse\ntrue # exit 1\n```\n").len(), 2);
    assert!(page("```console\n$ echo a; echo b\na\nb\n\n$ echo c\n```\n").is_empty());
    assert_eq!(page("```console\n$ echo a\nb\n```\n").len(), 1);
    assert_eq!(page("```sh\nbitacora surprise\n```\n").len(), 1);
    assert!(page("```sh\ncat > f <<'END'\nx\nEND\n```\n\n```console\n$ cat f\nx\n```\n").is_empty());
    for skipped in ["```sh\nmake demo\n```", "```sh,ignore\nfalse\n```", "```text\n$ false\n```"] {
        assert_eq!(steps(skipped), []);
    }
    let ids = "{\"id\":\"01a20c1e-8480-7130-acd4-b45b1ff1d747\"} 2026-01-01T00:00:00.000000Z 12";
    assert_eq!(masked_text(ids), "{\"id\":\"UUID\"} TIME 12");
}
