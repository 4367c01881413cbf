//! How far a long operation is, told to its caller now and then; the caller may break it off.

use std::ops::ControlFlow;

use crate::error::{Error, ErrorKind, Result};

/// Is told what was done of the phase, and of how much; says whether to go on.
pub(super) type Tell<'a> = &'a mut dyn FnMut(u64, u64) -> ControlFlow<()>;

/// Counts what was done of a phase.
pub(super) struct Pace<'a> {
    tell: Tell<'a>,
    /// What is broken off, as the error's text has it.
    what: &'static str,
    total: u64,
    /// What was done before the part that is counted now.
    base: u64,
    /// When it is told again.
    next: u64,
    step: u64,
}

impl<'a> Pace<'a> {
    /// A phase of `total`, told whenever `step` more is done.
    ///
    /// # Errors
    /// `Aborted`: the caller breaks off at once.
    pub(super) fn new(what: &'static str, total: u64, step: u64, tell: Tell<'a>) -> Result<Self> {
        let mut pace = Self { tell, what, total, base: 0, next: 0, step };
        pace.at(0)?;
        Ok(pace)
    }

    /// So much of the present part is done.
    ///
    /// # Errors
    /// `Aborted`: the caller broke off.
    pub(super) fn at(&mut self, done: u64) -> Result<()> {
        let done = self.base.saturating_add(done);
        if done < self.next {
            return Ok(());
        }
        self.next = done.saturating_add(self.step);
        match (self.tell)(done.min(self.total), self.total) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::new(ErrorKind::Aborted, format!("{} was broken off", self.what))),
        }
    }

    /// A part of this size is done, and the next one begins.
    ///
    /// # Errors
    /// As [`at`](Self::at).
    pub(super) fn end_part(&mut self, size: u64) -> Result<()> {
        self.base = self.base.saturating_add(size);
        self.at(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_once_a_step_and_never_beyond_the_total() {
        let mut told = Vec::new();
        let mut tell = |done, total| {
            told.push((done, total));
            ControlFlow::Continue(())
        };
        let mut pace = Pace::new("a test", 25, 10, &mut tell).unwrap();
        for done in 0..=12 {
            pace.at(done).unwrap();
        }
        pace.end_part(20).unwrap();
        pace.at(9).unwrap();
        pace.end_part(20).unwrap();
        assert_eq!(told, [(0, 25), (10, 25), (20, 25), (25, 25)]);
    }

    #[test]
    fn whoever_is_told_can_break_off() {
        let mut tell = |done, _| if done > 4 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        let mut pace = Pace::new("a test", 10, 1, &mut tell).unwrap();
        pace.at(4).unwrap();
        let error = pace.at(5).unwrap_err();
        assert_eq!((error.kind(), error.to_string()), (ErrorKind::Aborted, "a test was broken off".to_owned()));
    }
}
