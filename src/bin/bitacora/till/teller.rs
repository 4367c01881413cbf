//! Who counts: takes what readers and workers tell, acknowledges outcomes once they are durable, and shows progress.

use std::io::Write;
use std::sync::mpsc::Receiver;

use bitacora::{Error, Result, Sequence, Store};
use indicatif::ProgressBar;

use super::ledger::LedgerLine;
use super::summary::{Outcome, Summary};

/// Outcomes that are counted, and acknowledged with one sync where the store's durability asks for one.
const BATCH_MAX: usize = 512;

/// New outcomes after which the recovery points are moved: what a recovery reads again after a kill is bounded by it.
const OUTCOMES_PER_CHECKPOINT: u64 = 5_000;

/// What came of a line.
#[derive(Debug)]
pub(crate) enum Told {
    /// It cannot be booked.
    Unreadable { line: u64, reason: String },
    /// It has its outcome.
    Done {
        line: LedgerLine,
        outcome: Outcome,
        /// Of a refused one.
        reason: String,
        /// Of the event that records the outcome.
        sequence: Sequence,
        /// Whether it was reached by this run; only then it is acknowledged.
        is_new: bool,
        /// Whether a top-up was booked for it by this run.
        has_top_up: bool,
    },
    /// It has no outcome: a person has to decide on its payment, or what it is about is quarantined.
    Pending { line: LedgerLine, reason: String, has_top_up: bool },
}

/// Counts until every sender is gone.
pub(crate) struct Teller<'a, W> {
    store: &'a Store,
    /// Where acknowledgements go, if anywhere.
    acks: Option<W>,
    progress: &'a ProgressBar,
    summary: Summary,
    /// Moves the recovery points to the log's end.
    checkpoint: &'a dyn Fn(),
    since_checkpoint: u64,
}

impl<'a, W: Write> Teller<'a, W> {
    /// A teller that goes on from `summary`.
    pub(crate) fn new(
        store: &'a Store,
        acks: Option<W>,
        progress: &'a ProgressBar,
        summary: Summary,
        checkpoint: &'a dyn Fn(),
    ) -> Self {
        Self { store, acks, progress, summary, checkpoint, since_checkpoint: 0 }
    }

    /// The counts, when all has been told.
    ///
    /// # Errors
    /// `Io`: an acknowledgement cannot be written. Of the store: as [`Store::sync`].
    pub(crate) fn run(mut self, told: &Receiver<Told>) -> Result<Summary> {
        let mut batch = Vec::new();
        while let Ok(first) = told.recv() {
            batch.push(first);
            batch.extend(told.try_iter().take(BATCH_MAX - 1));
            self.acknowledge(&batch)?;
            for told in batch.drain(..) {
                self.since_checkpoint += u64::from(matches!(told, Told::Done { is_new: true, .. }));
                self.count(told)?;
            }
            if self.since_checkpoint >= OUTCOMES_PER_CHECKPOINT {
                (self.checkpoint)();
                self.since_checkpoint = 0;
            }
            let lines = self.summary.lines;
            self.progress.set_message(format!("{lines} lines"));
        }
        Ok(self.summary)
    }

    fn acknowledge(&mut self, batch: &[Told]) -> Result<()> {
        let Some(acks) = &mut self.acks else { return Ok(()) };
        let new = batch.iter().filter_map(|told| match told {
            Told::Done { line, outcome, sequence, is_new: true, .. } => Some((line.number, *outcome, *sequence)),
            _ => None,
        });
        let Some(last) = new.clone().map(|(.., sequence)| sequence).max() else { return Ok(()) };
        if self.store.durable_sequence() < last {
            self.store.sync()?;
        }
        let mut text = String::new();
        for (line, outcome, sequence) in new {
            let outcome = outcome.as_str();
            text.push_str(&format!("{{\"line\":{line},\"outcome\":\"{outcome}\",\"sequence\":{sequence}}}\n"));
        }
        let written = acks.write_all(text.as_bytes()).and_then(|()| acks.flush());
        written.map_err(|error| Error::from_io("write acknowledgements", error))
    }

    fn count(&mut self, told: Told) -> Result<()> {
        let has_top_up = match &told {
            Told::Done { has_top_up, .. } | Told::Pending { has_top_up, .. } => *has_top_up,
            Told::Unreadable { .. } => false,
        };
        self.summary.top_ups = self.summary.top_ups.saturating_add(u64::from(has_top_up));
        match told {
            Told::Unreadable { line, reason } => self.summary.count_unreadable(line, reason),
            Told::Pending { line, reason, .. } => self.summary.count_pending(line.number, reason),
            Told::Done { line, outcome, reason, .. } => self.summary.count(&line, outcome, &reason)?,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::ledger::Kind;
    use super::*;
    use bitacora::Options;
    use bitacora::money::Money;

    fn done(number: u64, is_new: bool) -> Told {
        let line = LedgerLine {
            number,
            id: format!("l{number}"),
            user_id: "u".to_owned(),
            occurred_at: "t".to_owned(),
            kind: Kind::Deposit,
            amount: Money::new(5, "EUR".parse().unwrap()),
        };
        let outcome = Outcome::Deposited;
        Told::Done { line, outcome, reason: String::new(), sequence: Sequence::ZERO, is_new, has_top_up: is_new }
    }

    #[test]
    fn new_outcomes_are_acknowledged_and_all_are_counted() {
        let store = Store::in_memory(Options::new()).unwrap();
        let (sender, receiver) = std::sync::mpsc::channel();
        sender.send(done(2, false)).unwrap();
        sender.send(done(3, true)).unwrap();
        sender.send(Told::Unreadable { line: 4, reason: "zero amount".to_owned() }).unwrap();
        drop(sender);
        let mut acks = Vec::new();
        let progress = ProgressBar::hidden();
        let teller =
            Teller::new(&store, Some(&mut acks), &progress, Summary { top_ups: 7, ..Summary::default() }, &|| ());
        let summary = teller.run(&receiver).unwrap();
        assert_eq!((summary.lines, summary.deposits, summary.top_ups, summary.refused.len()), (3, 2, 8, 1));
        assert_eq!(String::from_utf8(acks).unwrap(), "{\"line\":3,\"outcome\":\"deposited\",\"sequence\":0}\n");
    }

    #[test]
    fn a_reader_of_acknowledgements_that_went_away_is_an_error() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(std::io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let store = Store::in_memory(Options::new()).unwrap();
        let (sender, receiver) = std::sync::mpsc::channel();
        sender.send(done(3, true)).unwrap();
        drop(sender);
        let progress = ProgressBar::hidden();
        let teller = Teller::new(&store, Some(Gone), &progress, Summary::default(), &|| ());
        assert_eq!(teller.run(&receiver).unwrap_err().kind(), bitacora::ErrorKind::Io);
    }
}
