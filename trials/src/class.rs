//! What a class of faults is.

use std::collections::BTreeMap;

/// A class of faults, and how much of it is tried.
#[derive(Clone, Copy, Debug)]
pub struct Class {
    /// As in `src/docs/testing.md`, such as `T1`.
    pub id: &'static str,
    /// What is counted, such as `crash images`.
    pub what: &'static str,
    /// How many the gate asks for.
    pub gate: u64,
    /// How many a release asks for.
    pub release: u64,
    /// The seeds that exist.
    pub extent: Extent,
    /// Who may run beside a piece.
    pub threads: Threads,
    /// Tries the piece that a seed names and counts what it tried. It panics where the store is at fault.
    pub piece: fn(u64, &mut Tally),
}

/// The seeds of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// As many as there is time for.
    Endless,
    /// Those from zero up to this number are all there is to try; the gate tries every one of the first so many.
    Pieces {
        /// What the gate tries.
        gate: u64,
        /// All there is.
        all: u64,
    },
}

/// How many pieces may run at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// One a processor.
    Every,
    /// One: the piece keeps the processors busy itself, or waits for processes of its own.
    One,
}

/// What pieces have tried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many of what the class counts.
    pub count: u64,
    /// What else is worth knowing, such as how many were refused.
    pub notes: BTreeMap<&'static str, u64>,
    /// Why nothing can be tried on this machine, if so.
    pub skipped: Option<&'static str>,
}

impl Tally {
    /// Counts one more.
    pub fn one(&mut self) {
        self.count += 1;
    }

    /// Adds to a note, which is there from then on even where it stays zero.
    pub fn note(&mut self, name: &'static str, count: u64) {
        *self.notes.entry(name).or_default() += count;
    }

    /// Says why nothing can be tried on this machine. It is not counted, and shown.
    pub fn skip(&mut self, why: &'static str) {
        self.skipped = Some(why);
    }

    /// Adds what another one counted.
    pub fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.skipped = self.skipped.or(other.skipped);
        for (name, count) in &other.notes {
            self.note(name, *count);
        }
    }
}
