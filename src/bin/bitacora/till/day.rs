//! One run over a ledger: a thread reads it, workers book its lines, and the caller's thread counts what came of them and
//! acknowledges it, so that the caller may hold standard output.

use std::io::{BufRead, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use bitacora::{Result, Sequence};
use indicatif::ProgressBar;

use super::clerk::Clerk;
use super::desk::Desk;
use super::ledger::{LedgerLine, Reader};
use super::summary::Summary;
use super::teller::{Teller, Told};

/// Lines that wait for their turn, at least: enough that some user's turn it is.
const PENDING_MIN: usize = 1_024;

/// Outcomes that wait to be counted.
const TOLD_MAX: usize = 1_024;

/// What a run needs.
pub(crate) struct Day<'a, R> {
    pub(crate) reader: Reader<R>,
    pub(crate) clerk: &'a Clerk,
    pub(crate) workers: usize,
    /// The store's last sequence when the run began: what is settled beyond it was settled by this run.
    pub(crate) began_at: Sequence,
    pub(crate) progress: &'a ProgressBar,
    /// Moves the recovery points to the log's end.
    pub(crate) checkpoint: &'a dyn Fn(),
}

impl<R: BufRead + Send> Day<'_, R> {
    /// Works through the ledger; acknowledges to `acks`.
    ///
    /// # Errors
    /// The first of the reader's, a worker's or the teller's. What was booked by then stays.
    pub(crate) fn run(self, acks: Option<impl Write>) -> Result<Summary> {
        let desk = Desk::new(PENDING_MIN.max(self.workers.saturating_mul(64)));
        let (sender, receiver) = sync_channel(TOLD_MAX);
        let teller = Teller::new(
            self.clerk.wallets.store(),
            acks,
            self.progress,
            Summary { top_ups: self.clerk.outcomes.top_ups(), ..Summary::default() },
            self.checkpoint,
        );
        let reading =
            Reading { reader: self.reader, clerk: self.clerk, began_at: self.began_at, progress: self.progress };
        std::thread::scope(|scope| {
            let mut threads = Vec::with_capacity(self.workers.saturating_add(1));
            for _ in 0..self.workers {
                let (sender, desk, clerk) = (sender.clone(), &desk, self.clerk);
                threads.push(scope.spawn(move || work(clerk, desk, &sender)));
            }
            let desk = &desk;
            threads.push(scope.spawn(move || reading.read(desk, &sender)));
            let told = tell(teller, receiver, desk);
            let mut first = Ok(());
            for thread in threads {
                match thread.join() {
                    Ok(result) => first = first.and(result),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            // A worker's failure is why there was nothing more to tell.
            first.and(told)
        })
    }
}

/// What the thread that reads the ledger needs.
struct Reading<'a, R> {
    reader: Reader<R>,
    clerk: &'a Clerk,
    began_at: Sequence,
    progress: &'a ProgressBar,
}

impl<R: BufRead + Send> Reading<'_, R> {
    /// Leaves every line that has no outcome yet on the desk.
    fn read(mut self, desk: &Desk<LedgerLine>, told: &SyncSender<Told>) -> Result<()> {
        let _guard = desk.stop_on_panic();
        let result = self.read_all(desk, told);
        match result {
            Ok(()) => desk.close(),
            Err(_) => desk.stop(),
        }
        result
    }

    fn read_all(&mut self, desk: &Desk<LedgerLine>, told: &SyncSender<Told>) -> Result<()> {
        while let Some(entry) = self.reader.next_entry()? {
            self.progress.inc(entry.bytes);
            let is_heard = match entry.line {
                Err(refusal) => told.send(Told::Unreadable { line: entry.number, reason: refusal.to_string() }).is_ok(),
                Ok(line) => match self.settled(&line) {
                    Some(settled) => told.send(settled(line)).is_ok(),
                    None => {
                        let user_id = line.user_id.clone();
                        desk.put(&user_id, line)
                    }
                },
            };
            if !is_heard {
                // Somebody failed, and says why.
                return Ok(());
            }
        }
        Ok(())
    }

    fn settled(&self, line: &LedgerLine) -> Option<impl FnOnce(LedgerLine) -> Told + use<R>> {
        let settled = self.clerk.outcomes.of(line)?;
        let is_new = settled.sequence > self.began_at;
        Some(move |line| Told::Done {
            line,
            outcome: settled.outcome,
            reason: settled.reason,
            sequence: settled.sequence,
            is_new,
            has_top_up: false,
        })
    }
}

/// Counts until all is told, and sends everybody home if that fails.
fn tell(teller: Teller<'_, impl Write>, receiver: Receiver<Told>, desk: &Desk<LedgerLine>) -> Result<Summary> {
    let _guard = desk.stop_on_panic();
    let told = teller.run(&receiver);
    if told.is_err() {
        desk.stop();
    }
    // Whoever still wants to tell something must not wait for room.
    drop(receiver);
    told
}

fn work(clerk: &Clerk, desk: &Desk<LedgerLine>, told: &SyncSender<Told>) -> Result<()> {
    let _guard = desk.stop_on_panic();
    while let Some((user, line)) = desk.take() {
        let number = line.number;
        let outcome = clerk.work(line).map_err(|error| error.context(format_args!("line {number}")));
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(error) => {
                desk.stop();
                return Err(error);
            }
        };
        if told.send(outcome).is_err() {
            desk.stop();
            return Ok(());
        }
        desk.finish(&user);
    }
    Ok(())
}
