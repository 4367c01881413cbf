//! The end of the command: the error line, what to do next, and the exit code.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bitacora::ErrorKind;
use clap::ArgMatches;

use crate::exit::{Failure, NOT_OPENED, Outcome, USAGE};
use crate::tone::{Emphasis, Tone};

/// What was asked of the command, as far as a hint needs it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    verb: String,
    /// The store's folder; `None` where a verb has none.
    dir: Option<PathBuf>,
}

impl Asked {
    pub(crate) fn of(matches: &ArgMatches) -> Self {
        let Some((verb, matches)) = matches.subcommand() else { return Self::default() };
        let dir = matches.try_get_one::<PathBuf>("dir").ok().flatten().cloned();
        Self { verb: verb.to_owned(), dir }
    }

    fn dir(&self) -> String {
        self.dir.as_deref().map_or_else(|| "DIR".to_owned(), quoted)
    }
}

/// Prints the error line and the hint, if there are any, and gives the exit code.
pub(crate) fn conclude(outcome: Outcome, asked: &Asked) -> ExitCode {
    let code = outcome.unwrap_or_else(|failure| {
        if !failure.is_quiet() {
            let stderr = io::stderr().lock();
            let emphasis = Emphasis::of(&stderr);
            tell(stderr, emphasis, &failure, asked);
        }
        failure.code()
    });
    ExitCode::from(code)
}

/// Writes one line of warning.
pub(crate) fn warning_line(message: &str) {
    let stderr = io::stderr().lock();
    let emphasis = Emphasis::of(&stderr);
    write_warning(stderr, emphasis, message);
}

fn write_warning(mut out: impl Write, emphasis: Emphasis, message: &str) {
    // Nobody can be told that standard error is gone.
    let _ = writeln!(out, "{} {message}", emphasis.toned(Tone::Heading, "warning:"));
}

fn tell(mut out: impl Write, emphasis: Emphasis, failure: &Failure, asked: &Asked) {
    // Nobody can be told that standard error is gone.
    let _ = writeln!(out, "{} {failure}", emphasis.toned(Tone::Bad, "error:"));
    if let Some(hint) = hint(failure, asked) {
        let _ = writeln!(out, "{} {hint}", emphasis.toned(Tone::Heading, "hint:"));
    }
}

/// What to do next, in one line.
fn hint(failure: &Failure, asked: &Asked) -> Option<String> {
    let (dir, verb) = (asked.dir(), &asked.verb);
    if let Some(hint) = failure.hint() {
        return Some(hint.replace("DIR", &dir));
    }
    let hint = match failure.kind() {
        Some(ErrorKind::NotFound) if failure.code() == NOT_OPENED => {
            format!("look whether {dir} is the right folder; `bitacora append {dir}` makes a store where there is none")
        }
        Some(kind) => of_kind(kind, verb, &dir)?,
        None if failure.code() == USAGE => of_kind(ErrorKind::InvalidInput, verb, &dir)?,
        None => return None,
    };
    Some(hint)
}

fn of_kind(kind: ErrorKind, verb: &str, dir: &str) -> Option<String> {
    Some(match kind {
        ErrorKind::InvalidInput => format!("`bitacora {verb} --help` says what it takes, with an example"),
        ErrorKind::Conflict => format!("look at what is there (`bitacora events {dir} --reverse`), and decide anew"),
        ErrorKind::IdempotencyConflict => {
            "nothing was written: use another key, or repeat what it was used for first".to_owned()
        }
        ErrorKind::Refused => "nothing was changed: mend what the error names, and run it again".to_owned(),
        ErrorKind::NotFound => format!("`bitacora streams {dir}` lists what there is"),
        ErrorKind::AlreadyExists => "give a name that is not taken; what stands there was not touched".to_owned(),
        ErrorKind::Locked => {
            "wait until that process has closed the store; verbs that only read work beside it".to_owned()
        }
        ErrorKind::NotAStore => format!("look whether {dir} is the right folder; nothing in it was changed"),
        ErrorKind::UnsupportedFormat => "use a newer bitacora; nothing was changed".to_owned(),
        ErrorKind::ReadOnly => {
            format!("see that you may write to {dir} and that its file system is mounted to be written")
        }
        ErrorKind::Corrupt => format!(
            "`bitacora verify {dir}` shows all that is damaged, `bitacora repair {dir} --dry-run` what a repair would keep"
        ),
        ErrorKind::StorageFull => "make room on that disk and run it again; what was answered is kept".to_owned(),
        ErrorKind::Io => {
            format!("look at the disk and at the system's log; then `bitacora verify {dir}` tells what is sound")
        }
        ErrorKind::CommitUnknown => {
            "run it again with the same key or command id: what was kept is not done twice".to_owned()
        }
        ErrorKind::Poisoned | ErrorKind::Closed | ErrorKind::Stale => {
            "run it again: the next open recovers the store".to_owned()
        }
        ErrorKind::Aborted => "nothing is half done: run it again whenever you like".to_owned(),
        ErrorKind::NotReady => {
            format!("`bitacora health {dir}` says what is not ready, `bitacora recover {dir}` makes it so")
        }
        ErrorKind::UnknownPayload => {
            format!("use the program that wrote it; `bitacora events {dir}` shows what this one cannot read as bytes")
        }
        _ => return None,
    })
}

/// `path` as one word of a shell.
pub(crate) fn quoted(path: impl AsRef<Path>) -> String {
    let text = OsStr::to_string_lossy(path.as_ref().as_os_str());
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "/._-+:@%".contains(character);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.into_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use bitacora::Error;
    use clap::CommandFactory;

    use super::*;
    use crate::args::Arguments;

    fn asked() -> Asked {
        Asked { verb: "append".to_owned(), dir: Some("till data".into()) }
    }

    fn told(failure: &Failure, emphasis: Emphasis) -> String {
        let mut out = Vec::new();
        tell(&mut out, emphasis, failure, &asked());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_kind_says_what_to_do_next() {
        let kinds = [
            ErrorKind::InvalidInput,
            ErrorKind::Conflict,
            ErrorKind::IdempotencyConflict,
            ErrorKind::Refused,
            ErrorKind::NotFound,
            ErrorKind::AlreadyExists,
            ErrorKind::Locked,
            ErrorKind::NotAStore,
            ErrorKind::UnsupportedFormat,
            ErrorKind::ReadOnly,
            ErrorKind::Corrupt,
            ErrorKind::StorageFull,
            ErrorKind::Io,
            ErrorKind::CommitUnknown,
            ErrorKind::Poisoned,
            ErrorKind::Closed,
            ErrorKind::Stale,
            ErrorKind::NotReady,
            ErrorKind::UnknownPayload,
        ];
        for kind in kinds {
            let text = told(&Failure::from(Error::new(kind, "what happened")), Emphasis::Plain);
            let lines: Vec<&str> = text.lines().collect();
            assert!(lines.len() == 2 && lines[0] == "error: what happened", "{kind:?}: {text}");
            assert!(lines[1].starts_with("hint: ") && !lines[1].contains("DIR"), "{kind:?}: {text}");
        }
        // Who broke it off knows.
        assert!(Failure::from(Error::new(ErrorKind::Aborted, "broken off")).is_quiet());
    }

    #[test]
    fn a_hint_names_the_folder_as_a_shell_takes_it() {
        let corrupt = Failure::from(Error::new(ErrorKind::Corrupt, "x"));
        assert!(told(&corrupt, Emphasis::Plain).contains("`bitacora repair 'till data' --dry-run`"));
        let missing = Failure::opening(&Error::new(ErrorKind::NotFound, "x"));
        assert!(told(&missing, Emphasis::Plain).contains("hint: look whether 'till data' is the right folder"));
        let own = Failure::no("x").with_hint("`bitacora wallets DIR` lists them");
        assert!(told(&own, Emphasis::Plain).ends_with("hint: `bitacora wallets 'till data'` lists them\n"));
        assert!(told(&Failure::usage("x"), Emphasis::Plain).contains("hint: `bitacora append --help`"));
        assert_eq!(told(&Failure::no("x"), Emphasis::Plain), "error: x\n");
    }

    #[test]
    fn an_error_is_red_where_that_is_shown() {
        let text = told(&Failure::no("x"), Emphasis::Shown);
        assert_eq!(text, "\u{1b}[1;31merror:\u{1b}[0m x\n");
    }

    #[test]
    fn the_verb_and_its_folder_are_what_was_asked() {
        let matches = Arguments::command().try_get_matches_from(["bitacora", "events", "a/b", "--limit", "1"]).unwrap();
        let asked = Asked::of(&matches);
        assert_eq!((asked.verb.as_str(), asked.dir()), ("events", "a/b".to_owned()));
    }

    #[test]
    fn paths_are_words_of_a_shell() {
        assert_eq!(quoted("/tmp/demo-1"), "/tmp/demo-1");
        assert_eq!(quoted("/tmp/a b's"), "'/tmp/a b'\\''s'");
        assert_eq!(quoted(""), "''");
    }
}
