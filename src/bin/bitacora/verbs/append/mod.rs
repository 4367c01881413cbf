//! `bitacora append`: JSON lines in, commits out, in the same order.
//!
//! Invariants:
//! 1. Lines are submitted in the input's order, so sequences follow it however many are in flight.
//! 2. A line is acknowledged only after its ticket is, and acknowledgements are printed in the input's order.
//! 3. A line that fails ends the input: everything before it is waited for and printed, nothing behind it is submitted.
//!    The store refuses a commit when it is submitted, and waits there for one in flight that the answer depends on.
//! 4. Before the command may wait for input, everything in flight is settled and flushed: a writer that waits for an
//!    acknowledgement before it sends more is never left waiting.

mod line;

use std::collections::VecDeque;
use std::io::{self, Read};

use bitacora::{Durability, EventId, Receipt, Store, StreamId, Ticket};
use serde::Serialize;

use self::line::Line;
use super::input::Lines;
use crate::args::{AppendArgs, DurabilityArg};
use crate::exit::{FINE, Failure, NO, Outcome};
use crate::output::Output;

#[derive(Serialize)]
struct Acknowledgement<'a> {
    sequence: u64,
    stream: &'a str,
    version: u64,
    id: String,
}

pub(crate) fn run(args: &AppendArgs, output: &mut Output) -> Outcome {
    let durability = match args.durability {
        DurabilityArg::Sync => Durability::Sync,
        DurabilityArg::Buffered => Durability::Buffered,
    };
    let store = Store::open(&args.dir, args.preset.options().durability(durability))
        .map_err(|error| Failure::opening(&error))?;
    let in_flight_max = usize::try_from(args.inflight).unwrap_or(usize::MAX);
    let mut window = Window { store: &store, output, in_flight_max, in_flight: VecDeque::new() };
    let taken = take_lines(&mut Lines::new(io::stdin().lock()), &mut window);
    // What is in flight stands before the line that failed, if one did, and so does its failure.
    let settled = window.settle(0);
    let closed = store.close().map_err(Failure::from);
    settled.and(taken).and(closed).map_err(|failure| {
        // Lines were left when the reader of the acknowledgements went away.
        if failure.is_quiet() { failure.with_code(NO) } else { failure }
    })?;
    Ok(FINE)
}

fn take_lines(lines: &mut Lines<impl Read>, window: &mut Window<'_>) -> Result<(), Failure> {
    loop {
        if !lines.has_one_ready() {
            window.settle(0)?;
        }
        let Some((number, text)) = lines.next()? else { return Ok(()) };
        if text.trim_ascii().is_empty() {
            continue;
        }
        let line = Line::parse(text).map_err(|failure| failure.at(format_args!("line {number}")))?;
        window.submit(number, line)?;
    }
}

/// The commits in flight, oldest first.
struct Window<'a> {
    store: &'a Store,
    output: &'a mut Output,
    in_flight_max: usize,
    in_flight: VecDeque<InFlight>,
}

struct InFlight {
    number: u64,
    stream: StreamId,
    id: EventId,
    ticket: Ticket,
}

impl Window<'_> {
    fn submit(&mut self, number: u64, line: Line) -> Result<(), Failure> {
        let Line { stream, id, commit } = line;
        let ticket =
            self.store.submit(commit).map_err(|error| Failure::from(error).at(format_args!("line {number}")))?;
        self.in_flight.push_back(InFlight { number, stream, id, ticket });
        if self.in_flight.len() >= self.in_flight_max {
            // Half of them stay on their way, so that the store has work while the next lines are read.
            self.settle(self.in_flight_max / 2)?;
        }
        Ok(())
    }

    /// Waits for the oldest commits until at most `left` are in flight, and prints their acknowledgements. Goes on
    /// after a failure, because what is durable is told; the first failure is the answer.
    fn settle(&mut self, left: usize) -> Result<(), Failure> {
        let mut outcome = Ok(());
        while self.in_flight.len() > left {
            let Some(mut oldest) = self.in_flight.pop_front() else { break };
            let number = oldest.number;
            let settled = match oldest.ticket.wait() {
                Ok(receipt) => acknowledge(self.store, self.output, &mut oldest.id, &oldest.stream, &receipt),
                Err(error) => Err(Failure::from(error).at(format_args!("line {number}"))),
            };
            outcome = outcome.and(settled);
        }
        outcome.and(self.output.flush())
    }
}

fn acknowledge(
    store: &Store,
    output: &mut Output,
    id: &mut EventId,
    stream: &StreamId,
    receipt: &Receipt,
) -> Result<(), Failure> {
    if receipt.is_repeat {
        // The event that is there has the id of the line that brought it.
        if let Some(event) = store.event(receipt.sequence_first)? {
            *id = event.id;
        }
    }
    let version = receipt.streams.first().map_or(0, |stream| stream.version_first.get());
    let sequence = receipt.sequence_first.get();
    output.json(&Acknowledgement { sequence, stream: stream.as_str(), version, id: id.to_string() })
}
