//! A terminal for the command: util-linux's `script`, which makes a pseudo-terminal.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::command::PROGRAM;

/// Columns of the terminal that snapshots are made on: so many that nothing is wrapped.
const COLUMNS: usize = 400;

#[derive(Debug)]
pub(crate) struct Terminal {
    pub(crate) is_there: bool,
}

/// What a user's wishes about colours would change is not set.
pub(crate) fn usual_environment(command: &mut Command) {
    for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "COLUMNS"] {
        command.env_remove(name);
    }
    command.env("TERM", "xterm-256color");
}

impl Terminal {
    pub(crate) fn look() -> Self {
        let version = Command::new("script").arg("--version").stdin(Stdio::null()).output();
        let is_known = version.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("util-linux"));
        Self { is_there: is_known }
    }

    /// Runs the command with its standard output on a terminal, fed from a file: exit code, output, and standard error, which goes
    /// to a file.
    pub(crate) fn run(&self, arguments: &[String], input: &Path, told: &Path) -> (i32, String, String) {
        let redirected = format!("<{} 2>{}", quoted(&input.display().to_string()), quoted(&told.display().to_string()));
        let (code, shown) = Self::script(arguments, &[], COLUMNS, &redirected);
        (code, shown, std::fs::read_to_string(told).unwrap())
    }

    /// What is shown on a terminal, standard error included.
    pub(crate) fn shown(&self, arguments: &[String], environment: &[(&str, &str)], columns: usize) -> String {
        Self::script(arguments, environment, columns, "</dev/null").1
    }

    fn script(arguments: &[String], environment: &[(&str, &str)], columns: usize, redirected: &str) -> (i32, String) {
        let words: Vec<String> =
            std::iter::once(PROGRAM).chain(arguments.iter().map(String::as_str)).map(quoted).collect();
        let line = format!("stty cols {columns} rows 50; exec {} {redirected}", words.join(" "));
        let mut command = Command::new("script");
        usual_environment(&mut command);
        command.envs(environment.iter().copied()).env("SHELL", "/bin/sh");
        let output = command.args(["-qec", &line, "/dev/null"]).stdin(Stdio::null()).output().unwrap();
        // A terminal ends a line with both; what `script` types at its input's end is shown as two marks.
        let shown = String::from_utf8(output.stdout).unwrap().replace("\r\n", "\n").replace("^D\u{8}\u{8}", "");
        (output.status.code().unwrap(), shown.replace('\u{1b}', "\\e"))
    }
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}
