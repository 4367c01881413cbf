//! How a verb ends: exit codes by what the caller must do, and failures.
//!
//! Verbs that take long, or print line after line, take an interrupt (Ctrl-C) themselves and end with 130: between two lines, and
//! with nothing half done. Elsewhere it is left to the system, which ends the process with the signal; a shell shows that as 130,
//! too. Nothing needs to be put in order first: what was acknowledged is durable, and the next open recovers the rest.

use std::fmt;
use std::io;

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
    /// `None` where nobody is left to tell, or knows already: the reader of standard output went away, or Ctrl-C was pressed.
    message: Option<String>,
    kind: Option<ErrorKind>,
    /// What to do next, where the kind does not tell; the word DIR stands for the store's folder.
    hint: Option<&'static str>,
}

impl Failure {
    /// The input is wrong.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { code: USAGE, message: Some(message.into()), kind: None, hint: None }
    }

    /// What was asked for is not there, or the answer is "no" for another reason.
    pub(crate) fn no(message: impl Into<String>) -> Self {
        Self { code: NO, message: Some(message.into()), kind: None, hint: None }
    }

    /// Ctrl-C was pressed, and whoever did knows it.
    pub(crate) fn interrupted() -> Self {
        Self { code: INTERRUPTED, message: None, kind: None, hint: None }
    }

    /// A failure to open a store; what would be "not found" elsewhere is a store that is missing.
    pub(crate) fn opening(error: &Error) -> Self {
        let code = match error.kind() {
            ErrorKind::NotFound | ErrorKind::AlreadyExists => NOT_OPENED,
            kind => code(kind),
        };
        Self { code, ..Self::of(error) }
    }

    fn of(error: &Error) -> Self {
        let kind = error.kind();
        // Who broke it off needs no explanation.
        let message = (kind != ErrorKind::Aborted).then(|| error.to_string());
        Self { code: code(kind), message, kind: Some(kind), hint: None }
    }

    /// A failure of standard input or output.
    pub(crate) fn of_stream(what: &str, error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self { code: FINE, message: None, kind: None, hint: None };
        }
        Self { code: STORAGE, message: Some(format!("{what}: {error}")), kind: None, hint: None }
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

    pub(crate) fn code(&self) -> u8 {
        self.code
    }

    pub(crate) fn kind(&self) -> Option<ErrorKind> {
        self.kind
    }

    pub(crate) fn hint(&self) -> Option<&'static str> {
        self.hint
    }

    /// The same failure, with what to do next; the word DIR stands for the store's folder.
    pub(crate) fn with_hint(mut self, hint: &'static str) -> Self {
        self.hint = Some(hint);
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
        Self::of(&error)
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
