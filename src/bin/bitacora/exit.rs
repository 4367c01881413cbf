//! How the command ends: exit codes by what the caller must do, and the error line.
//!
//! An interrupt (Ctrl-C) is left to the system, which ends the process with the signal; a shell shows that as 130.
//! Nothing needs to be put in order first: what was acknowledged is durable, and the next open recovers the rest. Two kinds
//! take it themselves: `tail`, which an interrupt is the usual end of, so that no line is cut short, and what makes something
//! beside its place (`export`, `import`, `rebuild-index`, `upgrade`), so that nothing is left there.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use bitacora::{Error, ErrorKind};

/// All is well, and the answer is "yes" where there was a question.
pub(crate) const FINE: u8 = 0;
/// The answer is "no": damage, not found, refused, a conflict.
pub(crate) const NO: u8 = 1;
/// The command or its input is wrong.
pub(crate) const USAGE: u8 = 2;
/// The store could not be opened: locked, missing, of a newer format.
pub(crate) const NOT_OPENED: u8 = 3;
/// Bytes that had been durable are damaged.
pub(crate) const CORRUPT: u8 = 4;
/// There is no room.
pub(crate) const FULL: u8 = 5;
/// A read, a write or a sync failed.
pub(crate) const STORAGE: u8 = 6;

/// Ctrl-C ended it.
pub(crate) const INTERRUPTED: u8 = 130;

/// What a verb answers: an exit code, or why it could not do its work.
pub(crate) type Outcome = Result<u8, Failure>;

/// Why a verb ended early.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    /// `None` where nobody is left to tell: the reader of standard output went away.
    message: Option<String>,
}

impl Failure {
    /// The input is wrong.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { code: USAGE, message: Some(message.into()) }
    }

    /// What was asked for is not there, or the answer is "no" for another reason.
    pub(crate) fn no(message: impl Into<String>) -> Self {
        Self { code: NO, message: Some(message.into()) }
    }

    /// A failure to open a store; what would be "not found" elsewhere is a store that is missing.
    pub(crate) fn opening(error: &Error) -> Self {
        let code = match error.kind() {
            ErrorKind::NotFound | ErrorKind::AlreadyExists => NOT_OPENED,
            kind => code(kind),
        };
        Self { code, message: Some(error.to_string()) }
    }

    /// A failure of standard input or output.
    pub(crate) fn of_stream(what: &str, error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self { code: FINE, message: None };
        }
        Self { code: STORAGE, message: Some(format!("{what}: {error}")) }
    }

    /// Whether nobody is left to tell.
    pub(crate) fn is_quiet(&self) -> bool {
        self.message.is_none()
    }

    /// The same failure, its text preceded by its place in the input.
    pub(crate) fn at(mut self, place: impl fmt::Display) -> Self {
        self.message = self.message.map(|message| format!("{place}: {message}"));
        self
    }

    /// The same failure with another exit code.
    pub(crate) fn with_code(mut self, code: u8) -> Self {
        self.code = code;
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message.as_deref().unwrap_or_default())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { code: code(error.kind()), message: Some(error.to_string()) }
    }
}

/// The exit code for an error met on a store that is open.
fn code(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::InvalidInput => USAGE,
        ErrorKind::Locked | ErrorKind::NotAStore | ErrorKind::UnsupportedFormat | ErrorKind::ReadOnly => NOT_OPENED,
        ErrorKind::Corrupt => CORRUPT,
        ErrorKind::StorageFull => FULL,
        ErrorKind::Io | ErrorKind::CommitUnknown | ErrorKind::Poisoned | ErrorKind::Closed | ErrorKind::Stale => {
            STORAGE
        }
        ErrorKind::Aborted => INTERRUPTED,
        // Conflicts, refusals, what is not found and what this program does not know: the answer is "no".
        _ => NO,
    }
}

/// Writes one error line.
pub(crate) fn error_line(message: &str) {
    // Nobody can be told that standard error is gone.
    let _ = writeln!(io::stderr().lock(), "error: {message}");
}

/// Writes one line of warning.
pub(crate) fn warning_line(message: &str) {
    // Nobody can be told that standard error is gone.
    let _ = writeln!(io::stderr().lock(), "warning: {message}");
}

/// Prints the error line, if there is one to print, and gives the exit code.
pub(crate) fn conclude(outcome: Outcome) -> ExitCode {
    let code = outcome.unwrap_or_else(|failure| {
        if let Some(message) = failure.message {
            error_line(&message);
        }
        failure.code
    });
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_the_exit_code_of_what_the_caller_must_do() {
        let cases = [
            (ErrorKind::InvalidInput, USAGE),
            (ErrorKind::Conflict, NO),
            (ErrorKind::IdempotencyConflict, NO),
            (ErrorKind::Refused, NO),
            (ErrorKind::NotFound, NO),
            (ErrorKind::NotReady, NO),
            (ErrorKind::UnknownPayload, NO),
            (ErrorKind::Locked, NOT_OPENED),
            (ErrorKind::NotAStore, NOT_OPENED),
            (ErrorKind::UnsupportedFormat, NOT_OPENED),
            (ErrorKind::ReadOnly, NOT_OPENED),
            (ErrorKind::Corrupt, CORRUPT),
            (ErrorKind::StorageFull, FULL),
            (ErrorKind::Io, STORAGE),
            (ErrorKind::CommitUnknown, STORAGE),
            (ErrorKind::Poisoned, STORAGE),
            (ErrorKind::Closed, STORAGE),
            (ErrorKind::Stale, STORAGE),
            (ErrorKind::Aborted, INTERRUPTED),
        ];
        for (kind, expected) in cases {
            assert_eq!(Failure::from(Error::new(kind, "x")).code, expected, "{kind:?}");
        }
    }

    #[test]
    fn a_missing_store_is_one_that_could_not_be_opened() {
        let missing = Error::new(ErrorKind::NotFound, "no such folder");
        assert_eq!(Failure::opening(&missing).code, NOT_OPENED);
        assert_eq!(Failure::from(missing).code, NO);
    }

    #[test]
    fn a_reader_that_went_away_is_no_failure_to_speak_of() {
        let failure = Failure::of_stream("standard output", &io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(failure.code, FINE);
        assert!(failure.message.is_none());
        let failure = Failure::of_stream("standard output", &io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!(failure.code, STORAGE);
        assert!(failure.message.is_some());
    }
}
